//! ListObjectsV2: the list with opaque positions.

use strata_storage::{ListPage, ListQuery, Timestamp};

use crate::error::S3Error;
use crate::op::list_document::{self, Owners, boolean};
use crate::op::list_parameters::{self, Encoding, PageSize};
use crate::op::{bucket, continuation_token};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::xml::Writer;

/// The name of this list inside its tokens.
const LIST: &str = "objects";

/// Answers `GET /bucket?list-type=2`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let restores = list_parameters::restores_told(&request.headers, request.now)?;
    let parameters = Parameters::from_query(&request.query)?;
    let page = match parameters.page.max {
        0 => ListPage::default(),
        _ => ctx.store.list(name, parameters.list_query()).await.map_err(|error| bucket::error(error, name))?,
    };
    let owners = if parameters.fetch_owner { Owners::Told } else { Owners::Left };
    Ok(list_document::answer(document(name.as_str(), &parameters, &page, owners, restores), &bucket))
}

struct Parameters<'q> {
    page: PageSize,
    encoding: Encoding,
    prefix: &'q str,
    delimiter: &'q str,
    start_after: Option<&'q str>,
    /// The token as sent, and the position in it.
    token: Option<(&'q str, String)>,
    fetch_owner: bool,
}

impl Parameters<'_> {
    fn from_query(query: &Query) -> Result<Parameters<'_>, S3Error> {
        let page = list_parameters::page_size(query, "max-keys")?;
        let token = match query.get("continuation-token") {
            None => None,
            Some(token) => Some((token, continuation_token::decode(LIST, token)?)),
        };
        let encoding = Encoding::from_query(query)?;
        let prefix = list_parameters::text(query, "prefix")?;
        let start_after = list_parameters::text(query, "start-after")?;
        Ok(Parameters {
            page,
            encoding,
            prefix,
            delimiter: query.get("delimiter").unwrap_or_default(),
            start_after: query.contains("start-after").then_some(start_after),
            token,
            fetch_owner: fetch_owner(query)?,
        })
    }

    fn list_query(&self) -> ListQuery {
        let after = match &self.token {
            Some((_, position)) => position,
            None => self.start_after.unwrap_or_default(),
        };
        ListQuery {
            prefix: self.prefix.to_string(),
            delimiter: self.delimiter.to_string(),
            after: after.to_string(),
            max: self.page.max,
        }
    }
}

/// Unconfirmed: S3's answer to other words than the two.
fn fetch_owner(query: &Query) -> Result<bool, S3Error> {
    match query.get("fetch-owner") {
        Some("true") => Ok(true),
        None | Some("" | "false") => Ok(false),
        Some(other) => Err(S3Error::invalid_argument("fetch-owner must be true or false", "fetch-owner", other)),
    }
}

fn document(
    bucket: &str,
    parameters: &Parameters<'_>,
    page: &ListPage,
    owners: Owners,
    restores: Option<Timestamp>,
) -> Writer {
    let encoding = parameters.encoding;
    let mut writer = Writer::new("ListBucketResult");
    writer.element("Name", bucket);
    writer.element("Prefix", encoding.apply(parameters.prefix));
    // The token takes the place of the key to start after.
    if let Some((token, _)) = &parameters.token {
        writer.element("ContinuationToken", token);
    } else if let Some(start_after) = parameters.start_after {
        writer.element("StartAfter", encoding.apply(start_after));
    }
    if let Some(next) = &page.next {
        writer.element("NextContinuationToken", continuation_token::encode(LIST, next));
    }
    writer.element("KeyCount", (page.entries.len() + page.common_prefixes.len()).to_string());
    // Unconfirmed: S3 reports the page size that holds, not the larger one asked for.
    writer.element("MaxKeys", parameters.page.max.to_string());
    list_document::delimiter_and_encoding(&mut writer, parameters.delimiter, encoding);
    writer.element("IsTruncated", boolean(page.next.is_some()));
    for entry in &page.entries {
        list_document::object(&mut writer, entry, encoding, owners, restores);
    }
    list_document::common_prefixes(&mut writer, &page.common_prefixes, encoding);
    writer
}

#[cfg(test)]
mod tests {
    use strata_storage::ListPage;

    use super::{LIST, Owners, Parameters, continuation_token, document};
    use crate::request::Query;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn where_the_list_begins() {
        fn check(pairs: &[(&str, &str)], after: &str) {
            let query = query(pairs);
            assert_eq!(Parameters::from_query(&query).expect("valid parameters").list_query().after, after);
        }
        let token = continuation_token::encode(LIST, "k");
        check(&[], "");
        check(&[("start-after", "a")], "a");
        check(&[("continuation-token", &token)], "k");
        check(&[("continuation-token", &token), ("start-after", "z")], "k");
    }

    #[test]
    fn faults() {
        fn check(pairs: &[(&str, &str)], argument: &str) {
            let query = query(pairs);
            let Err(error) = Parameters::from_query(&query) else { panic!("{pairs:?} was accepted") };
            assert_eq!(error.code, "InvalidArgument", "{pairs:?}");
            assert_eq!(error.fields[0].1, argument, "{pairs:?}");
        }
        check(&[("continuation-token", "")], "continuation-token");
        check(&[("continuation-token", "x"), ("max-keys", "-1")], "max-keys");
        check(&[("continuation-token", "x"), ("encoding-type", "x")], "continuation-token");
        check(&[("start-after", "\0")], "start-after");
        check(&[("fetch-owner", "maybe")], "fetch-owner");
    }

    #[test]
    fn documents() {
        let token = continuation_token::encode(LIST, "k");
        let query = query(&[("continuation-token", &token), ("start-after", "s t"), ("encoding-type", "url")]);
        let parameters = Parameters::from_query(&query).expect("valid parameters");
        let page = ListPage { entries: vec![], common_prefixes: vec!["p/".to_string()], next: Some("p/".to_string()) };
        let text = document("b", &parameters, &page, Owners::Left, None).finish();
        let next = continuation_token::encode(LIST, "p/");
        let expected = format!(
            "<Name>b</Name><Prefix></Prefix><ContinuationToken>{token}</ContinuationToken>\
             <NextContinuationToken>{next}</NextContinuationToken><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>\
             <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
             <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"
        );
        assert!(text.ends_with(&expected), "{text}");
    }
}
