//! ListBuckets: the owner's buckets by name.

use strata_storage::{AccountId, BucketPage, BucketQuery};

use crate::error::S3Error;
use crate::op::{continuation_token, list_document, list_parameters};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::time;
use crate::xml::Writer;

/// The most buckets on a page, and the number when none is asked for.
const PAGE_MAX: usize = 10_000;

/// The name of this list inside its tokens.
const LIST: &str = "buckets";

/// Answers `GET /`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    // Nobody without an account gets here: AWS sends such callers to its web site.
    let owner = request.caller.account_id().ok_or_else(|| S3Error::access_denied("Access Denied"))?;
    let query = BucketQuery { owner: Some(owner), ..bucket_query(&request.query)? };
    let page = ctx.store.list_buckets(query).await?;
    Ok(Response::xml(document(&page, request.query.get("prefix"), owner)))
}

fn bucket_query(query: &Query) -> Result<BucketQuery, S3Error> {
    const MAX: &str = "max-buckets";
    let max = match list_parameters::number(query, MAX)? {
        None => PAGE_MAX,
        Some(asked) => usize::try_from(asked).ok().filter(|asked| (1..=PAGE_MAX).contains(asked)).ok_or_else(|| {
            let message = "Argument max-buckets must be an integer between 1 and 10000";
            S3Error::invalid_argument(message, MAX, asked.to_string())
        })?,
    };
    let region = query.get("bucket-region");
    if region == Some("") {
        return Err(S3Error::invalid_argument("The bucket-region is not valid", "bucket-region", ""));
    }
    let after = query.get("continuation-token").map(|token| continuation_token::decode(LIST, token)).transpose()?;
    let prefix = list_parameters::text(query, "prefix")?.to_string();
    Ok(BucketQuery { owner: None, prefix, region: region.map(str::to_string), after, max })
}

fn document(page: &BucketPage, prefix: Option<&str>, owner: AccountId) -> String {
    let mut writer = Writer::new("ListAllMyBucketsResult");
    list_document::owner(&mut writer, owner);
    writer.open("Buckets");
    for (name, bucket) in &page.buckets {
        writer.open("Bucket").element("Name", name.as_str());
        writer.element("CreationDate", time::iso8601(bucket.created));
        writer.element("BucketRegion", &bucket.region).close();
    }
    writer.close();
    if let Some(next) = &page.next {
        writer.element("ContinuationToken", continuation_token::encode(LIST, next));
    }
    if let Some(prefix) = prefix {
        writer.element("Prefix", prefix);
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, Bucket, BucketName, BucketPage, BucketQuery, Timestamp};

    use super::{LIST, bucket_query, continuation_token, document};
    use crate::identity::Account;
    use crate::request::Query;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn parameters() {
        fn check(pairs: &[(&str, &str)], expected: BucketQuery) {
            assert_eq!(bucket_query(&query(pairs)).expect("valid parameters"), expected);
        }
        let all = BucketQuery { max: 10_000, ..BucketQuery::default() };
        let token = continuation_token::encode(LIST, "abc");
        check(&[], all.clone());
        check(&[("max-buckets", "")], all.clone());
        check(&[("max-buckets", "7"), ("prefix", "p")], BucketQuery { prefix: "p".to_string(), max: 7, ..all.clone() });
        check(&[("bucket-region", "r")], BucketQuery { region: Some("r".to_string()), ..all.clone() });
        check(&[("continuation-token", &token)], BucketQuery { after: Some("abc".to_string()), ..all });
    }

    #[test]
    fn faults() {
        fn check(name: &str, value: &str) {
            let error = bucket_query(&query(&[(name, value)])).expect_err(value);
            assert_eq!((error.code, error.fields[0].1.as_str()), ("InvalidArgument", name), "{value}");
        }
        for value in ["0", "10001", "-1", "x"] {
            check("max-buckets", value);
        }
        for value in ["", "abc", &continuation_token::encode("objects", "abc")] {
            check("continuation-token", value);
        }
        check("bucket-region", "");
    }

    #[test]
    fn documents() {
        let bucket =
            Bucket { id: 1, created: Timestamp::from_secs(1), region: "eu-west-1".to_string(), ..Bucket::default() };
        let name = BucketName::parse("abc").expect("a valid name");
        let page = BucketPage { buckets: vec![(name, bucket)], next: Some("abc".to_string()) };
        let text = document(&page, Some("a"), AccountId::ROOT);
        let token = continuation_token::encode(LIST, "abc");
        let owner = Account::canonical_id_of(AccountId::ROOT);
        for part in [
            &format!("<Owner><ID>{owner}</ID></Owner><Buckets><Bucket><Name>abc</Name>"),
            "<CreationDate>1970-01-01T00:00:01",
            "<BucketRegion>eu-west-1</BucketRegion></Bucket></Buckets>",
            &format!("<ContinuationToken>{token}</ContinuationToken><Prefix>a</Prefix></ListAllMyBucketsResult>"),
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
