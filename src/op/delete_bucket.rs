//! DeleteBucket: only an empty bucket goes, open uploads with it.

use http::StatusCode;
use strata_storage::{Error, Versioning};

use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `DELETE /bucket`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let id = bucket::find(ctx, name).await?.id;
    if ctx.access_points.has_bucket(id) {
        // Unconfirmed: the message.
        let message = "The bucket you tried to delete has access points attached. Delete them first.";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "BucketHasAccessPointsAttached", message)
            .with("BucketName", name.as_str()));
    }
    match ctx.store.delete_bucket(name).await {
        Ok(()) => Ok(Response::empty(StatusCode::NO_CONTENT)),
        Err(Error::BucketNotEmpty) => {
            let versioning = bucket::find(ctx, name).await?.versioning;
            let mut error = bucket::error(Error::BucketNotEmpty, name);
            error.message = match versioning {
                Versioning::Unversioned => "The bucket you tried to delete is not empty",
                Versioning::Enabled | Versioning::Suspended => {
                    "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
                }
            }
            .into();
            Err(error)
        }
        Err(error) => Err(bucket::error(error, name)),
    }
}
