//! The object version that a request names, and how answers name versions.

use http::{HeaderName, header};
use strata_storage::{BucketName, Error, ObjectKey, VersionId, VersionSelector};

use crate::error::S3Error;
use crate::request::{Context, Request};
use crate::response::Response;

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
                ctx.store.bucket(&bucket).await?;
                return Err(error);
            }
        };
        Ok(Target { bucket, key, version })
    }

    /// How the engine is asked for it.
    pub fn selector(&self) -> VersionSelector {
        self.version.map_or(VersionSelector::Current, VersionSelector::Id)
    }
}

/// What a change of a version's attributes answers when the engine did not find it. Other than a read, it says
/// "not allowed" of every delete marker, and names the marker only when it was asked for by its id.
pub fn change_error(error: Error) -> S3Error {
    let Error::DeleteMarker { version_id, modified, by_id } = error else { return S3Error::from(error) };
    let mut refused = S3Error::from(Error::DeleteMarker { version_id, modified, by_id: true });
    if !by_id {
        refused.headers.retain(|(name, _)| *name != DELETE_MARKER && *name != VERSION_ID);
    }
    refused.headers.retain(|(name, _)| *name != header::LAST_MODIFIED);
    refused
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

/// Sets `x-amz-version-id` if there is an id to report.
pub fn set_version(response: &mut Response, version_id: Option<VersionId>) {
    if let Some(version_id) = version_id {
        response.set(VERSION_ID, version_id.to_string());
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{Error, Timestamp, VersionId};

    use super::{change_error, parse_version};

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
    fn markers_have_no_attributes_to_change() {
        fn check(by_id: bool, expected: &[&str]) {
            let modified = Timestamp::from_secs(1_234_567_890);
            let error = change_error(Error::DeleteMarker { version_id: VersionId::Null, modified, by_id });
            let names: Vec<&str> = error.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!((error.status.as_u16(), error.code, names), (405, "MethodNotAllowed", expected.to_vec()));
        }
        check(false, &["allow"]);
        check(true, &["x-amz-delete-marker", "x-amz-version-id", "allow"]);
    }
}
