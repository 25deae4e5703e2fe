//! What a request's document says to condition keys. It is read before the decision only if a policy asks for it; the
//! operation reads the same bytes again.

use std::sync::Arc;

use serde::Deserialize;
use strata_storage::Bucket;

use super::asking::Said;
use super::judge;
use crate::error::S3Error;
use crate::policy::ConditionKey;
use crate::request::{Context, Request};
use crate::route::Operation;
use crate::{tagging, time, xml};

/// The most tags of anything: a bucket's.
const TAGS_MAX: usize = 50;

/// The keys that documents have values for.
const KEYS: [ConditionKey; 9] = [
    ConditionKey::S3LocationConstraint,
    ConditionKey::S3RequestObjectTag,
    ConditionKey::S3RequestObjectTagKeys,
    ConditionKey::AwsRequestTag,
    ConditionKey::AwsTagKeys,
    ConditionKey::S3ObjectLockMode,
    ConditionKey::S3ObjectLockRetainUntilDate,
    ConditionKey::S3ObjectLockRemainingRetentionDays,
    ConditionKey::S3ObjectLockLegalHold,
];

/// Reads the document of a request into it, if a policy that will be asked depends on one.
///
/// A document that cannot be understood says nothing: whatever policy depends on it then refuses.
pub async fn read(ctx: &Context, request: &mut Request, bucket: Option<&Bucket>) -> Result<(), S3Error> {
    let parse = match request.operation {
        Operation::PutObjectTagging | Operation::PutBucketTagging => tags,
        Operation::CreateBucket => new_bucket,
        Operation::PutObjectRetention => retention,
        Operation::PutObjectLegalHold => legal_hold,
        _ => return Ok(()),
    };
    let policy = match request.bucket.as_ref().zip(bucket) {
        Some((name, bucket)) => ctx.policies.of(name, bucket)?,
        None => None,
    };
    let through = request.through.as_deref();
    let depends = |key: &ConditionKey| judge::mentions(&request.caller, policy.as_deref(), through, *key);
    if !KEYS.iter().any(depends) {
        return Ok(());
    }
    let bytes = request.body.collect(ctx.config.limits.xml_bytes).await?;
    request.said = parse(&bytes).map(Arc::new);
    request.body.put_back(bytes);
    Ok(())
}

fn tags(bytes: &[u8]) -> Option<Said> {
    tagging::parse_document(bytes, TAGS_MAX).ok().map(|tags| Said { tags, ..Said::default() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewBucket {
    location_constraint: Option<String>,
    tags: Option<Tags>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

fn new_bucket(bytes: &[u8]) -> Option<Said> {
    if bytes.is_empty() {
        return Some(Said::default());
    }
    let document: NewBucket = xml::parse(bytes).ok()?;
    let tags = document.tags.map(|tags| tags.tags).unwrap_or_default();
    let tags = tags.into_iter().map(|tag| strata_storage::Tag { key: tag.key, value: tag.value }).collect();
    Some(Said { location: document.location_constraint, tags, ..Said::default() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Retention {
    mode: Option<String>,
    retain_until_date: Option<String>,
}

fn retention(bytes: &[u8]) -> Option<Said> {
    let document: Retention = xml::parse(bytes).ok()?;
    let retain_until = match document.retain_until_date {
        Some(text) => Some(time::parse_iso8601(text.trim())?),
        None => None,
    };
    Some(Said { lock_mode: document.mode.map(|mode| mode.trim().to_owned()), retain_until, ..Said::default() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LegalHold {
    status: Option<String>,
}

fn legal_hold(bytes: &[u8]) -> Option<Said> {
    let document: LegalHold = xml::parse(bytes).ok()?;
    Some(Said { legal_hold: document.status.map(|status| status.trim().to_owned()), ..Said::default() })
}

#[cfg(test)]
mod tests {
    use strata_storage::{Tag, Timestamp};

    use super::{Said, legal_hold, new_bucket, retention, tags};

    #[test]
    fn documents() {
        let tag = || Tag { key: "a".to_owned(), value: "1".to_owned() };
        let pair = "<Tag><Key>a</Key><Value>1</Value></Tag>";
        let of_object = format!("<Tagging><TagSet>{pair}</TagSet></Tagging>");
        assert_eq!(tags(of_object.as_bytes()), Some(Said { tags: vec![tag()], ..Said::default() }));
        let bucket = format!(
            "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>\
             <Tags>{pair}</Tags></CreateBucketConfiguration>"
        );
        let location = Some("eu-west-1".to_owned());
        assert_eq!(new_bucket(bucket.as_bytes()), Some(Said { location, tags: vec![tag()], ..Said::default() }));
        assert_eq!(new_bucket(b""), Some(Said::default()));
        let kept = b"<Retention><Mode>GOVERNANCE</Mode>\
                     <RetainUntilDate>1970-01-01T00:00:09Z</RetainUntilDate></Retention>";
        let lock_mode = Some("GOVERNANCE".to_owned());
        let retain_until = Some(Timestamp::from_secs(9));
        assert_eq!(retention(kept), Some(Said { lock_mode, retain_until, ..Said::default() }));
        assert_eq!(retention(b"<Retention/>"), Some(Said::default()));
        let hold = Some("ON".to_owned());
        assert_eq!(
            legal_hold(b"<LegalHold><Status>ON</Status></LegalHold>"),
            Some(Said { legal_hold: hold, ..Said::default() })
        );
    }

    #[test]
    fn what_cannot_be_understood_says_nothing() {
        assert_eq!(tags(b"<Tagging>"), None);
        assert_eq!(new_bucket(b"<x"), None);
        assert_eq!(retention(b"<Retention><RetainUntilDate>soon</RetainUntilDate></Retention>"), None);
        assert_eq!(legal_hold(b""), None);
    }
}
