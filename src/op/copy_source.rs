//! The source of a copy: what `x-amz-copy-source` names, opened, its conditions weighed.
//!
//! A source is asked for by the way that the header names, a bucket or an access point, whatever way the request itself
//! came.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use strata_storage::{
    BucketName, Entity, Error, NameError, ObjectInfo, ObjectKey, OpenObject, VersionId, VersionSelector,
};

use crate::authorize::{self, Asking, Resource};
use crate::conditions::{self, Outcome};
use crate::control;
use crate::encryption::{self, Side};
use crate::error::S3Error;
use crate::op::target::parse_version;
use crate::request::{Context, Request};

const HEADER: &str = "x-amz-copy-source";

/// The version that a copy reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version, if one was named.
    pub version: Option<VersionId>,
}

/// What the header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSource {
    /// Where.
    pub place: Place,
    /// The key.
    pub key: ObjectKey,
    /// The version, if one was named.
    pub version: Option<VersionId>,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a bucket.
    Bucket(BucketName),
    /// Behind the access point with this ARN or alias.
    AccessPoint(String),
}

/// A source, ready to be read.
pub struct OpenSource {
    /// Which it is.
    pub source: CopySource,
    /// The object.
    pub object: OpenObject,
    /// The request as policies see it that are about the source.
    pub asking: Asking,
}

impl CopySource {
    /// What a header names; `None` if it names nothing, or an access point, which has to be looked up.
    pub fn named(value: &str) -> Option<CopySource> {
        let NamedSource { place, key, version } = parse_source(value, Flavour::CopyObject).ok()?;
        match place {
            Place::Bucket(bucket) => Some(CopySource { bucket, key, version }),
            Place::AccessPoint(_) => None,
        }
    }

    /// What permissions to read it are about.
    pub fn resource(&self) -> Resource<'_> {
        Resource::Object(&self.bucket, &self.key, self.version)
    }
}

/// The operation that copies; the two word one error differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// CopyObject
    CopyObject,
    /// UploadPartCopy
    UploadPartCopy,
}

/// Reads `bucket/key` or `/bucket/key`, URL-encoded, with `?versionId=` or without; in place of the bucket an access point's
/// alias, or its ARN followed by `/object`.
pub fn parse_source(value: &str, flavour: Flavour) -> Result<NamedSource, S3Error> {
    let invalid = |what: &str| S3Error::invalid_argument(format!("Invalid copy source {what}"), HEADER, value);
    let keyless = || invalid("object key");
    // A question mark of the key itself is encoded.
    let (path, query) = value.split_once('?').map_or((value, None), |(path, query)| (path, Some(query)));
    let version = match query {
        None => None,
        Some(query) => Some(query.strip_prefix("versionId").ok_or_else(keyless)?),
    };
    let path = decode(path).ok_or_else(|| invalid("encoding"))?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (place, key) = match control::split_object_arn(path) {
        Some((arn, key)) => (Place::AccessPoint(arn.to_owned()), key),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (place(bucket).ok_or_else(|| invalid("bucket name"))?, key)
        }
    };
    let key = ObjectKey::parse(key).map_err(|error| match error {
        NameError::KeyTooLong(size) => S3Error::new(StatusCode::BAD_REQUEST, "KeyTooLongError", "Your key is too long")
            .with("Size", size.to_string())
            .with("MaxSizeAllowed", "1024"),
        NameError::EmptyKey | NameError::InvalidBucket => keyless(),
    })?;
    let version = version.map(|rest| source_version(rest, value, flavour)).transpose()?;
    Ok(NamedSource { place, key, version })
}

fn place(bucket: &str) -> Option<Place> {
    if bucket.ends_with(control::ALIAS_END) {
        return Some(Place::AccessPoint(bucket.to_owned()));
    }
    BucketName::parse(bucket).map(Place::Bucket).ok()
}

/// Reads what follows `versionId` in the header.
fn source_version(rest: &str, value: &str, flavour: Flavour) -> Result<VersionId, S3Error> {
    let text = rest.strip_prefix('=').unwrap_or(rest);
    if text.is_empty() {
        return parse_version("");
    }
    let version = rest.strip_prefix('=').and_then(decode).and_then(|text| VersionId::parse(&text));
    version.ok_or_else(|| match flavour {
        Flavour::CopyObject => S3Error::invalid_request("Invalid Request"),
        Flavour::UploadPartCopy => S3Error::invalid_argument("Invalid version id specified", HEADER, value),
    })
}

/// Opens the source and weighs the conditions that the request sets for it.
pub async fn open_source(ctx: &Context, request: &Request, flavour: Flavour) -> Result<OpenSource, S3Error> {
    let headers = &request.headers;
    // A signature covers repeated lines joined, so which of them counts must not be open.
    if headers.get_all(HEADER).iter().count() > 1 {
        return Err(S3Error::invalid_argument("Copy Source must be given once", HEADER, ""));
    }
    let value = headers.get(HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let NamedSource { place, key, version } = parse_source(value.as_deref().unwrap_or_default(), flavour)?;
    let (bucket, through) = match place {
        Place::Bucket(bucket) => (bucket, None),
        Place::AccessPoint(name) => {
            let point = control::point(ctx, &name)?;
            let through = control::through(ctx, &point, &request.caller, request.origin.source).await?;
            (BucketName::parse(&point.bucket).map_err(S3Error::internal)?, Some(Arc::new(through)))
        }
    };
    let source = CopySource { bucket, key, version };
    let asking = Asking { through, ..Asking::of(request) };
    let action = if source.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    authorize::require_of(ctx, &asking, action, source.resource()).await?;
    authorize::check_source_owner(ctx, request, &source.bucket).await?;
    let selector = source.version.map_or(VersionSelector::Current, VersionSelector::Id);
    let opened = ctx.store.object(&source.bucket, &source.key, selector).await;
    let mut object = match opened {
        Ok(object) => object,
        Err(error) => {
            return Err(authorize::conceal(ctx, &asking, &source.bucket, source_error(error, &source)).await);
        }
    };
    // Before the conditions, as GetObject has it.
    let ObjectInfo { class, tier, readable, .. } = *object.info();
    if !readable {
        return Err(read_error(Error::Archived { class, tier }));
    }
    encryption::unseal(ctx, request, &source.bucket, &mut object, Side::Source).await?;
    match conditions::evaluate_copy_source(headers, object.info(), request.now) {
        Outcome::Failed(name) => Err(S3Error::precondition_failed(name)),
        Outcome::Proceed | Outcome::NotModified => Ok(OpenSource { source, object, asking }),
    }
}

/// The engine's error in reading a source. The model has ObjectNotInActiveTierError for what is archived; S3 was seen
/// to send InvalidObjectState with this message. Whether it names the class as GetObject does is unconfirmed.
pub fn read_error(error: Error) -> S3Error {
    let archived = matches!(error, Error::Archived { .. });
    let error = S3Error::from(error);
    match archived {
        true => S3Error { message: "Operation is not valid for the source object's storage class".into(), ..error },
        false => error,
    }
}

/// Names what is missing: it is not what the request's path names.
fn source_error(error: Error, source: &CopySource) -> S3Error {
    match error {
        Error::DeleteMarker { by_id: true, .. } => S3Error::invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        ),
        Error::DeleteMarker { by_id: false, .. } | Error::NotFound(Entity::Key) => {
            S3Error::from(error).with("Key", source.key.as_str())
        }
        Error::NotFound(Entity::Version) => {
            let version_id = source.version.map(|id| id.to_string()).unwrap_or_default();
            S3Error::no_such_version(source.key.as_str(), version_id)
        }
        Error::NotFound(Entity::Bucket) => S3Error::no_such_bucket(source.bucket.as_str()),
        other => S3Error::from(other),
    }
}

/// Decodes a URL-encoded text; `None` for a broken escape or what is not UTF-8. A plus sign stays one.
fn decode(text: &str) -> Option<String> {
    let escapes_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    percent_decode_str(text).decode_utf8().ok().filter(|_| escapes_whole).map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use strata_storage::{Entity, Error, Stamp, Timestamp, VersionId};

    use super::{CopySource, Flavour, Place, parse_source, source_error};

    #[test]
    fn sources_are_read() {
        fn check(value: &str, expected: (&str, &str, Option<VersionId>)) {
            let found = parse_source(value, Flavour::CopyObject).expect("a valid source");
            let place = match &found.place {
                Place::Bucket(bucket) => bucket.as_str(),
                Place::AccessPoint(name) => name,
            };
            assert_eq!((place, found.key.as_str(), found.version), expected, "{value}");
            assert_eq!(CopySource::named(value).is_some(), matches!(found.place, Place::Bucket(_)), "{value}");
        }
        let id = VersionId::Stamp(Stamp { time: Timestamp::from_secs(1), random: 1 });
        check("bucket/key", ("bucket", "key", None));
        check("/bucket/key", ("bucket", "key", None));
        check("bucket//key", ("bucket", "/key", None));
        check("bucket/a/b/", ("bucket", "a/b/", None));
        check("bucket%2Fkey", ("bucket", "key", None));
        check("%2Fbucket%2Fa%2Fb", ("bucket", "a/b", None));
        check("bucket/a+b%20c%3Fd%25", ("bucket", "a+b c?d%", None));
        check("bucket/%C3%BC?versionId=null", ("bucket", "ü", Some(VersionId::Null)));
        check(&format!("bucket/key?versionId={id}"), ("bucket", "key", Some(id)));
        let arn = "arn:aws:s3:us-east-1:000000000001:accesspoint/door";
        check(&format!("{arn}/object/a/b:c%20d"), (arn, "a/b:c d", None));
        check(&format!("{arn}/object/a?versionId=null"), (arn, "a", Some(VersionId::Null)));
        check("door-0123456789-s3alias/key", ("door-0123456789-s3alias", "key", None));
        check("bucket/key%3FversionId=null", ("bucket", "key?versionId=null", None));
    }

    #[test]
    fn other_sources_are_refused() {
        fn check(value: &str, flavour: Flavour, code: &str, message: &str) {
            let error = parse_source(value, flavour).expect_err("a source to refuse");
            assert_eq!((error.code, error.message.as_ref()), (code, message), "{value}");
        }
        for (what, values) in [
            ("bucket name", &["", "/", "//", "//key", "Bucket/key", "arn:aws:s3:::bucket/key"][..]),
            ("bucket name", &["arn:aws:s3:us-east-1:000000000001:accesspoint/door/key"]),
            ("object key", &["bucket", "/bucket", "bucket/", "bucket/k?x=y"]),
            ("encoding", &["bucket/k%zz", "bucket/k%f", "bucket/%ff"]),
        ] {
            for value in values {
                check(value, Flavour::CopyObject, "InvalidArgument", &format!("Invalid copy source {what}"));
            }
        }
        let long = format!("bucket/{}", "k".repeat(1025));
        check(&long, Flavour::CopyObject, "KeyTooLongError", "Your key is too long");
        for value in ["bucket/key?versionId=", "bucket/key?versionId"] {
            check(value, Flavour::CopyObject, "InvalidArgument", "Version id cannot be the empty string");
            check(value, Flavour::UploadPartCopy, "InvalidArgument", "Version id cannot be the empty string");
        }
        for value in ["bucket/key?versionId=abc", "bucket/key?versionIds=null", "bucket/key?versionId=null&a=b"] {
            check(value, Flavour::CopyObject, "InvalidRequest", "Invalid Request");
            check(value, Flavour::UploadPartCopy, "InvalidArgument", "Invalid version id specified");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        fn check(error: Error, expected: (&str, &[(&'static str, &str)])) {
            let source = CopySource::named("bucket/key?versionId=null").expect("a valid source");
            let error = source_error(error, &source);
            let fields: Vec<_> = expected.1.iter().map(|&(name, value)| (name, value.to_owned())).collect();
            assert_eq!((error.code, error.fields), (expected.0, fields));
        }
        let marker =
            |by_id| Error::DeleteMarker { version_id: VersionId::Null, modified: Timestamp::from_secs(1), by_id };
        check(marker(true), ("InvalidRequest", &[]));
        check(marker(false), ("NoSuchKey", &[("Key", "key")]));
        check(Error::NotFound(Entity::Key), ("NoSuchKey", &[("Key", "key")]));
        check(Error::NotFound(Entity::Version), ("NoSuchVersion", &[("Key", "key"), ("VersionId", "null")]));
        check(Error::NotFound(Entity::Bucket), ("NoSuchBucket", &[("BucketName", "bucket")]));
    }
}
