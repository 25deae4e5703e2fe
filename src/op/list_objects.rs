//! ListObjects, the first version of the list.

use strata_storage::{ListPage, ListQuery, Timestamp};

use crate::error::S3Error;
use crate::op::bucket;
use crate::op::list_document::{self, Owners, boolean};
use crate::op::list_parameters::{self, Encoding, PageSize};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::xml::Writer;

/// Answers `GET /bucket`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let restores = list_parameters::restores_told(&request.headers, request.now)?;
    let parameters = Parameters::from_query(&request.query)?;
    let page = match parameters.page.max {
        0 => ListPage::default(),
        _ => ctx.store.list(name, parameters.list_query()).await.map_err(|error| bucket::error(error, name))?,
    };
    Ok(list_document::answer(document(name.as_str(), &parameters, &page, restores), &bucket))
}

struct Parameters<'q> {
    page: PageSize,
    encoding: Encoding,
    prefix: &'q str,
    marker: &'q str,
    delimiter: &'q str,
}

impl Parameters<'_> {
    fn from_query(query: &Query) -> Result<Parameters<'_>, S3Error> {
        Ok(Parameters {
            page: list_parameters::page_size(query, "max-keys")?,
            encoding: Encoding::from_query(query)?,
            prefix: list_parameters::text(query, "prefix")?,
            marker: list_parameters::text(query, "marker")?,
            delimiter: query.get("delimiter").unwrap_or_default(),
        })
    }

    fn list_query(&self) -> ListQuery {
        ListQuery {
            prefix: self.prefix.to_string(),
            delimiter: self.delimiter.to_string(),
            after: self.marker.to_string(),
            max: self.page.max,
        }
    }
}

fn document(bucket: &str, parameters: &Parameters<'_>, page: &ListPage, restores: Option<Timestamp>) -> Writer {
    let encoding = parameters.encoding;
    let mut writer = Writer::new("ListBucketResult");
    writer.element("Name", bucket);
    writer.element("Prefix", encoding.apply(parameters.prefix));
    writer.element("Marker", encoding.apply(parameters.marker));
    // Without a delimiter the last key serves as the next marker, and S3 does not repeat it.
    if let Some(next) = page.next.as_deref().filter(|_| !parameters.delimiter.is_empty()) {
        writer.element("NextMarker", encoding.apply(next));
    }
    // Unconfirmed: S3 reports the page size that holds, not the larger one asked for.
    writer.element("MaxKeys", parameters.page.max.to_string());
    list_document::delimiter_and_encoding(&mut writer, parameters.delimiter, encoding);
    writer.element("IsTruncated", boolean(page.next.is_some()));
    for entry in &page.entries {
        list_document::object(&mut writer, entry, encoding, Owners::Told, restores);
    }
    list_document::common_prefixes(&mut writer, &page.common_prefixes, encoding);
    writer
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, ETag, ListEntry, ListPage, ObjectKey, StorageClass, Timestamp};

    use super::{Parameters, document};
    use crate::identity::Account;
    use crate::request::Query;

    fn page() -> ListPage {
        let entry = ListEntry {
            key: ObjectKey::parse("a b&").expect("a valid key"),
            size: 5,
            etag: ETag::single([0xab; 16]),
            modified: Timestamp::from_secs(1),
            class: StorageClass::Standard,
            restore: None,
            checksum: None,
            owner: AccountId::ROOT,
        };
        ListPage { entries: vec![entry], common_prefixes: vec!["c/".to_string()], next: Some("c/".to_string()) }
    }

    fn text(query: &[(&str, &str)]) -> String {
        let query = Query(query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect());
        let parameters = Parameters::from_query(&query).expect("valid parameters");
        document("b", &parameters, &page(), None).finish()
    }

    #[test]
    fn documents() {
        fn check(query: &[(&str, &str)], present: &[&str], absent: &[&str]) {
            let text = text(query);
            for part in present {
                assert!(text.contains(part), "{part} in {text}");
            }
            for part in absent {
                assert!(!text.contains(part), "{part} in {text}");
            }
        }
        check(
            &[],
            &[
                "<Name>b</Name><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys>\
                 <IsTruncated>true</IsTruncated>",
                "<Contents><Key>a b&amp;</Key>",
                "<ETag>&quot;abababab",
                &format!("<Owner><ID>{}</ID></Owner>", Account::canonical_id_of(AccountId::ROOT)),
                "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>",
            ],
            &["NextMarker", "Delimiter", "EncodingType", "ChecksumAlgorithm"],
        );
        check(
            &[("delimiter", "/"), ("encoding-type", "url"), ("prefix", "a b"), ("max-keys", "5000")],
            &[
                "<Prefix>a+b</Prefix>",
                "<NextMarker>c/</NextMarker><MaxKeys>1000</MaxKeys>",
                "<Delimiter>/</Delimiter><EncodingType>url</EncodingType>",
                "<Key>a+b%26</Key>",
            ],
            &[],
        );
    }
}
