//! Condition keys: what one request says to each of them.
//!
//! A key that the request has, but whose value cannot be known when it is asked for, must not pass for an absent one:
//! a Deny would not hold. So it is noted, and a decision that asked for such a key is no permission.

use std::borrow::Cow;
use std::cell::Cell;

use http::{HeaderName, header};
use percent_encoding::percent_decode_str;
use strata_storage::{AccountId, Bucket, Tag, Timestamp};

use super::asking::{Asking, Said};
use super::resource::Through;
use crate::auth::SigningPlace;
use crate::policy::{ConditionKey, ConditionKeys, KeyValue};
use crate::route::Operation;
use crate::{tagging, time};

const DAY_SECONDS: u64 = 86_400;

/// What a request and its resource say to condition keys.
pub struct Keys<'a> {
    /// The request.
    pub asking: &'a Asking,
    /// The region of this server.
    pub region: &'a str,
    /// The account that the resource belongs to.
    pub owner: AccountId,
    /// The bucket that the resource is, or is in.
    pub bucket: Option<&'a Bucket>,
    /// The version that the question is about, if one is named.
    pub version: Option<String>,
    /// The tags of the object, if they were looked up. There are none if there is no object.
    pub object_tags: Option<&'a [Tag]>,
    /// The access point that the request came through.
    pub through: Option<&'a Through>,
    /// The first key that was asked for and could not be known.
    pub unknown: Cell<Option<ConditionKey>>,
}

type Value<'a> = Option<KeyValue<'a>>;

fn text<'a>(value: impl Into<Cow<'a, str>>) -> KeyValue<'a> {
    KeyValue::Text(value.into())
}

impl ConditionKeys for Keys<'_> {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        match key {
            ConditionKey::S3XAmzContentSha256 => self.payload_hash(),
            ConditionKey::S3XAmzCopySource => self.copy_source(),
            ConditionKey::S3IfMatch | ConditionKey::S3IfNoneMatch if !self.is_write() => None,
            ConditionKey::AwsReferer => self.header(&header::REFERER),
            ConditionKey::AwsUserAgent => self.header(&header::USER_AGENT),
            ConditionKey::AwsSourceIp
            | ConditionKey::AwsVpcSourceIp
            | ConditionKey::AwsSourceVpc
            | ConditionKey::AwsSourceVpce
            | ConditionKey::AwsSecureTransport => self.asking.origin.condition(key),
            ConditionKey::AwsCurrentTime | ConditionKey::AwsEpochTime => Some(KeyValue::Date(self.asking.now)),
            ConditionKey::AwsRequestedRegion => Some(text(self.region)),
            ConditionKey::AwsResourceAccount | ConditionKey::S3ResourceAccount => Some(text(self.owner.to_string())),
            ConditionKey::S3TlsVersion => self.asking.origin.tls_version.map(|version| text(version.number())),
            ConditionKey::S3SignatureVersion | ConditionKey::S3SignatureAge | ConditionKey::S3AuthType => {
                self.of_signature(key)
            }
            ConditionKey::S3Prefix | ConditionKey::S3Delimiter | ConditionKey::S3MaxKeys => self.of_listing(key),
            ConditionKey::S3VersionId => self.version.as_deref().map(text),
            ConditionKey::S3ExistingObjectTag => self.existing_tag(key, name),
            ConditionKey::S3BucketTag => tag(&self.bucket?.tags, name?),
            ConditionKey::S3LocationConstraint
            | ConditionKey::S3RequestObjectTag
            | ConditionKey::S3RequestObjectTagKeys
            | ConditionKey::AwsRequestTag
            | ConditionKey::AwsTagKeys
            | ConditionKey::S3InventoryAccessibleOptionalFields
            | ConditionKey::S3ObjectLockMode
            | ConditionKey::S3ObjectLockRetainUntilDate
            | ConditionKey::S3ObjectLockRemainingRetentionDays
            | ConditionKey::S3ObjectLockLegalHold => self.of_content(key, name),
            ConditionKey::S3ObjectCreationOperation => {
                self.is_write().then(|| KeyValue::Bool(self.asking.operation.is_some_and(creates_object)))
            }
            ConditionKey::S3DataAccessPointArn => self.through.map(|through| text(&*through.arn)),
            ConditionKey::S3DataAccessPointAccount => self.through.map(|through| text(through.account.to_string())),
            ConditionKey::S3AccessPointNetworkOrigin => {
                self.through.map(|through| text(if through.vpc.is_some() { "VPC" } else { "Internet" }))
            }
            ConditionKey::IamPassedToService => self.passed_to().map(text),
            ConditionKey::S3AccessPointTag => self.through.and_then(|through| tag(&through.tags, name?)),
            _ => match key.header() {
                Some(header) => self.named_header(header),
                None => self.asking.caller.condition(key, name),
            },
        }
    }
}

impl Keys<'_> {
    /// The service that is handed the role which the request's document names.
    fn passed_to(&self) -> Option<&'static str> {
        (self.asking.operation == Some(Operation::PutBucketReplication)).then_some("s3.amazonaws.com")
    }

    /// A key that the request has, though nobody knows yet what it says.
    fn unknown(&self, key: ConditionKey) -> Value<'_> {
        self.unknown.set(self.unknown.get().or(Some(key)));
        None
    }

    fn header(&self, name: &HeaderName) -> Value<'_> {
        // Of several lines the signature covers all; joined, none of them hides another.
        let mut lines = self.asking.headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        let first = lines.next()?;
        Some(text(lines.fold(first, |joined, line| Cow::Owned(format!("{joined},{line}")))))
    }

    fn named_header(&self, name: &'static str) -> Value<'_> {
        self.header(&HeaderName::from_static(name))
    }

    fn payload_hash(&self) -> Value<'_> {
        let sent = self.named_header("x-amz-content-sha256");
        let in_query = || self.asking.query.get("X-Amz-Content-Sha256").map(text);
        let place = self.asking.signing.map(|signing| signing.place);
        // A presigned URL that says nothing of its body does not sign it.
        sent.or_else(in_query).or_else(|| (place == Some(SigningPlace::Query)).then(|| text("UNSIGNED-PAYLOAD")))
    }

    /// The source as `bucket/key`, however it was written: one source has one spelling for policies.
    fn copy_source(&self) -> Value<'_> {
        let sent = self.asking.headers.get("x-amz-copy-source")?;
        let sent = String::from_utf8_lossy(sent.as_bytes());
        let path = sent.split_once('?').map_or(&*sent, |(path, _)| path);
        let path = percent_decode_str(path).decode_utf8_lossy();
        Some(text(path.strip_prefix('/').unwrap_or(&path).to_owned()))
    }

    fn of_signature(&self, key: ConditionKey) -> Value<'_> {
        let signing = self.asking.signing?;
        Some(match key {
            ConditionKey::S3SignatureVersion => text("AWS4-HMAC-SHA256"),
            ConditionKey::S3SignatureAge => {
                let age = self.asking.now.since(signing.time).as_millis();
                KeyValue::Number(i64::try_from(age).unwrap_or(i64::MAX))
            }
            _ => text(match signing.place {
                SigningPlace::Header => "REST-HEADER",
                SigningPlace::Query => "REST-QUERY-STRING",
                SigningPlace::Form => "POST",
            }),
        })
    }

    fn of_listing(&self, key: ConditionKey) -> Value<'_> {
        let max = match self.asking.operation? {
            Operation::ListObjects | Operation::ListObjectsV2 | Operation::ListObjectVersions => "max-keys",
            Operation::ListMultipartUploads => "max-uploads",
            _ => return None,
        };
        let parameter = match key {
            ConditionKey::S3Prefix => "prefix",
            ConditionKey::S3Delimiter => "delimiter",
            _ => max,
        };
        self.asking.query.get(parameter).map(text)
    }

    fn existing_tag(&self, key: ConditionKey, name: Option<&str>) -> Value<'_> {
        match self.object_tags {
            Some(tags) => tag(tags, name?),
            None => self.unknown(key),
        }
    }

    /// Keys of what the request wants to store, which headers say or the document.
    fn of_content(&self, key: ConditionKey, name: Option<&str>) -> Value<'_> {
        match self.asking.operation? {
            Operation::PutObjectTagging
            | Operation::PutBucketTagging
            | Operation::CreateBucket
            | Operation::PutObjectRetention
            | Operation::PutObjectLegalHold
            | Operation::PutBucketInventoryConfiguration => match self.asking.said.as_deref() {
                Some(said) => of_document(said, key, name, self.asking.now),
                None => self.unknown(key),
            },
            operation if writes_object(operation) => self.of_write(key, name),
            _ => None,
        }
    }

    fn of_write(&self, key: ConditionKey, name: Option<&str>) -> Value<'_> {
        match key {
            ConditionKey::S3RequestObjectTag | ConditionKey::S3RequestObjectTagKeys => {
                let sent = self.asking.headers.get("x-amz-tagging")?;
                match tagging::from_header(&String::from_utf8_lossy(sent.as_bytes())) {
                    Ok(tags) => of_tags(&tags, key, name),
                    Err(_) => self.unknown(key),
                }
            }
            ConditionKey::S3ObjectLockMode => self.named_header("x-amz-object-lock-mode"),
            ConditionKey::S3ObjectLockLegalHold => self.named_header("x-amz-object-lock-legal-hold"),
            ConditionKey::S3ObjectLockRetainUntilDate | ConditionKey::S3ObjectLockRemainingRetentionDays => {
                let sent = self.asking.headers.get("x-amz-object-lock-retain-until-date")?;
                match sent.to_str().ok().and_then(time::parse_iso8601) {
                    Some(until) => of_retention(until, key, self.asking.now),
                    None => self.unknown(key),
                }
            }
            _ => None,
        }
    }

    fn is_write(&self) -> bool {
        self.asking.operation.is_some_and(|operation| {
            writes_object(operation) || matches!(operation, Operation::DeleteObject | Operation::DeleteObjects)
        })
    }
}

/// Operations whose headers describe an object that will be.
fn writes_object(operation: Operation) -> bool {
    creates_object(operation)
        || matches!(operation, Operation::CreateMultipartUpload | Operation::UploadPart | Operation::UploadPartCopy)
}

/// Operations after which there is a new version.
fn creates_object(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::PutObject | Operation::CopyObject | Operation::CompleteMultipartUpload | Operation::PostObject
    )
}

fn tag<'a>(tags: &'a [Tag], name: &str) -> Value<'a> {
    tags.iter().find(|tag| tag.key.eq_ignore_ascii_case(name)).map(|tag| text(tag.value.as_str()))
}

fn of_tags(tags: &[Tag], key: ConditionKey, name: Option<&str>) -> Value<'static> {
    if matches!(key, ConditionKey::S3RequestObjectTagKeys | ConditionKey::AwsTagKeys) {
        let keys: Vec<_> = tags.iter().map(|tag| Cow::Owned(tag.key.clone())).collect();
        return (!keys.is_empty()).then_some(KeyValue::Texts(keys));
    }
    let wanted = name?;
    tags.iter().find(|tag| tag.key.eq_ignore_ascii_case(wanted)).map(|tag| text(tag.value.clone()))
}

fn of_retention(until: Timestamp, key: ConditionKey, now: Timestamp) -> Value<'static> {
    if key == ConditionKey::S3ObjectLockRetainUntilDate {
        return Some(KeyValue::Date(until));
    }
    // A day that has begun counts: a limit of so many days is not to be stretched by hours.
    let days = until.since(now).as_secs().div_ceil(DAY_SECONDS);
    Some(KeyValue::Number(i64::try_from(days).unwrap_or(i64::MAX)))
}

fn of_document<'a>(said: &'a Said, key: ConditionKey, name: Option<&str>, now: Timestamp) -> Value<'a> {
    match key {
        ConditionKey::S3LocationConstraint => said.location.as_deref().map(text),
        ConditionKey::S3ObjectLockMode => said.lock_mode.as_deref().map(text),
        ConditionKey::S3ObjectLockLegalHold => said.legal_hold.as_deref().map(text),
        ConditionKey::S3ObjectLockRetainUntilDate | ConditionKey::S3ObjectLockRemainingRetentionDays => {
            of_retention(said.retain_until?, key, now)
        }
        _ => of_tags(&said.tags, key, name),
    }
}
