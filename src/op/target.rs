//! The object version that a request names, and S3's answers when it is not there.

use http::{HeaderName, HeaderValue, StatusCode, header};
use strata_storage::{BucketName, Entity, Error, ObjectKey, VersionId, VersionSelector};

use crate::error::S3Error;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::time;

/// `x-amz-version-id`
pub const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");
/// `x-amz-delete-marker`
pub const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

/// Bucket, key, and the version if one was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version named by `versionId`.
    pub version: Option<VersionId>,
}

impl Target {
    /// What the path and `versionId` name. A version id that is none counts only in a bucket that exists.
    pub async fn of(ctx: &Context, request: &Request) -> Result<Target, S3Error> {
        let bucket = request.bucket()?.clone();
        let key = request.key()?.clone();
        let version = match request.query.get("versionId").map(parse_version).transpose() {
            Ok(version) => version,
            Err(error) => {
                check_bucket(ctx, &bucket).await?;
                return Err(error);
            }
        };
        Ok(Target { bucket, key, version })
    }

    /// How the engine is asked for it.
    pub fn selector(&self) -> VersionSelector {
        self.version.map_or(VersionSelector::Current, VersionSelector::Id)
    }

    /// What a read answers when the engine did not find it.
    pub fn read_error(&self, error: Error, method: &str) -> S3Error {
        match error {
            Error::DeleteMarker { version_id, by_id: false, .. } => with_marker(no_such_key(&self.key), version_id),
            Error::DeleteMarker { version_id, modified, by_id: true } => {
                with_marker(marker_refused(method), version_id)
                    .with_header(header::LAST_MODIFIED, header_value(&time::http_date(modified)))
            }
            error => self.error(error),
        }
    }

    /// What a change of a version's attributes answers when the engine did not find it.
    pub fn change_error(&self, error: Error, method: &str) -> S3Error {
        match error {
            Error::DeleteMarker { by_id: false, .. } => marker_refused(method),
            Error::DeleteMarker { version_id, by_id: true, .. } => with_marker(marker_refused(method), version_id),
            error => self.error(error),
        }
    }

    /// The engine's error with the names that it lacks.
    fn error(&self, error: Error) -> S3Error {
        match error {
            Error::NotFound(Entity::Key) => no_such_key(&self.key),
            Error::NotFound(Entity::Version) => {
                let version = self.version.map(|id| id.to_string()).unwrap_or_default();
                S3Error::new(StatusCode::NOT_FOUND, "NoSuchVersion", "The specified version does not exist.")
                    .with("Key", self.key.as_str())
                    .with("VersionId", version)
            }
            error => name_bucket(S3Error::from(error), &self.bucket),
        }
    }
}

/// Reads a version id, refusing the empty one and those that no Strata made.
pub fn parse_version(text: &str) -> Result<VersionId, S3Error> {
    if text.is_empty() {
        return Err(S3Error::invalid_argument("Version id cannot be the empty string", "versionId", ""));
    }
    VersionId::parse(text).ok_or_else(|| S3Error::invalid_argument("Invalid version id specified", "versionId", text))
}

/// Refuses `versionId` on operations that make a version.
pub fn refuse_version(request: &Request) -> Result<(), S3Error> {
    match request.query.get("versionId") {
        None => Ok(()),
        Some(version) => {
            let message = "This operation does not accept a version-id.";
            Err(S3Error::invalid_argument(message, "versionId", version))
        }
    }
}

/// `NoSuchBucket` unless the bucket exists; for operations that shall not read a body in vain.
pub async fn check_bucket(ctx: &Context, bucket: &BucketName) -> Result<(), S3Error> {
    ctx.store.bucket(bucket).await.map(|_| ()).map_err(|error| name_bucket(S3Error::from(error), bucket))
}

/// Adds the bucket's name to `NoSuchBucket`.
pub fn name_bucket(error: S3Error, bucket: &BucketName) -> S3Error {
    let lacks_name = error.code == "NoSuchBucket" && !error.fields.iter().any(|(name, _)| *name == "BucketName");
    if lacks_name { error.with("BucketName", bucket.as_str()) } else { error }
}

/// 404 for a key without a visible object.
pub fn no_such_key(key: &ObjectKey) -> S3Error {
    S3Error::new(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.").with("Key", key.as_str())
}

/// The same error with the headers that tell of a delete marker.
pub fn with_marker(error: S3Error, version_id: VersionId) -> S3Error {
    error
        .with_header(DELETE_MARKER, HeaderValue::from_static("true"))
        .with_header(VERSION_ID, header_value(&version_id.to_string()))
}

/// Sets `x-amz-version-id` if there is an id to report.
pub fn set_version(response: &mut Response, version_id: Option<VersionId>) {
    if let Some(version_id) = version_id {
        response.set(VERSION_ID, version_id.to_string());
    }
}

fn marker_refused(method: &str) -> S3Error {
    let message = "The specified method is not allowed against this resource.";
    S3Error::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        .with("Method", method)
        .with("ResourceType", "DeleteMarker")
        .with_header(header::ALLOW, HeaderValue::from_static("DELETE"))
}

/// Our own ids and dates, which are plain ASCII.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids and dates are visible ASCII")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use strata_storage::{BucketName, Entity, Error, ObjectKey, Timestamp, VersionId};

    use super::{Target, parse_version};

    fn target(version: Option<VersionId>) -> Target {
        Target {
            bucket: BucketName::parse("bucket").expect("a valid name"),
            key: ObjectKey::parse("key").expect("a valid key"),
            version,
        }
    }

    fn marker(by_id: bool) -> Error {
        Error::DeleteMarker { version_id: VersionId::Null, modified: Timestamp::from_secs(1_234_567_890), by_id }
    }

    #[test]
    fn version_ids_are_read() {
        assert_eq!(parse_version("null").expect("a valid id"), VersionId::Null);
        for (text, message) in [("", "Version id cannot be the empty string"), ("abc", "Invalid version id specified")]
        {
            let error = parse_version(text).expect_err("an id to refuse");
            let fields = [("ArgumentName", "versionId".to_owned()), ("ArgumentValue", text.to_owned())];
            assert_eq!(
                (error.code, error.message.as_ref(), error.fields),
                ("InvalidArgument", message, fields.to_vec())
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = target(None).read_error(Error::NotFound(Entity::Key), "GET");
        assert_eq!((error.code, error.fields), ("NoSuchKey", vec![("Key", "key".to_owned())]));
        let error = target(Some(VersionId::Null)).read_error(Error::NotFound(Entity::Version), "GET");
        let fields = vec![("Key", "key".to_owned()), ("VersionId", "null".to_owned())];
        assert_eq!((error.code, error.fields), ("NoSuchVersion", fields));
    }

    #[test]
    fn markers_answer_by_how_they_were_found() {
        let header_names = |error: &crate::error::S3Error| -> Vec<String> {
            error.headers.iter().map(|(name, _)| name.to_string()).collect()
        };
        let both = ["x-amz-delete-marker", "x-amz-version-id"];
        let error = target(None).read_error(marker(false), "GET");
        assert_eq!((error.status, error.code), (StatusCode::NOT_FOUND, "NoSuchKey"));
        assert_eq!(header_names(&error), both);
        let error = target(Some(VersionId::Null)).read_error(marker(true), "GET");
        assert_eq!((error.status, error.code), (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"));
        assert_eq!(error.fields, [("Method", "GET".to_owned()), ("ResourceType", "DeleteMarker".to_owned())]);
        assert_eq!(header_names(&error), ["allow", both[0], both[1], "last-modified"]);
        let error = target(None).change_error(marker(false), "PUT");
        assert_eq!(error.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header_names(&error), ["allow"]);
        let error = target(Some(VersionId::Null)).change_error(marker(true), "PUT");
        assert_eq!(header_names(&error), ["allow", both[0], both[1]]);
    }
}
