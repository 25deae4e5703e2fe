//! Whether a caller may do what a request asks for: the one decision, over all policies that apply.

use strata_storage::{BucketName, ObjectKey, VersionId};

use crate::error::S3Error;
use crate::request::{Context, Request};

/// What an action is about.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// Nothing but the account.
    Account,
    /// A bucket.
    Bucket(&'a BucketName),
    /// An object, or one version of it.
    Object(&'a BucketName, &'a ObjectKey, Option<VersionId>),
}

/// Asks for one more permission than the operation's own, which the service asks for before the operation runs: for
/// what a header adds (`s3:PutObjectAcl`), for the source of a copy, for each key of DeleteObjects.
///
/// `action` is the name with its prefix, `s3:GetObject`. `Err` is 403 `AccessDenied`.
pub async fn require(
    _ctx: &Context,
    request: &Request,
    action: &'static str,
    resource: Resource<'_>,
) -> Result<(), S3Error> {
    tracing::trace!(action, ?resource, "permission asked for");
    if request.caller.is_store_root() { Ok(()) } else { Err(S3Error::access_denied("Access Denied")) }
}
