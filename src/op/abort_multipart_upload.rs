//! AbortMultipartUpload: an upload ends without an object.

use http::StatusCode;

use crate::error::S3Error;
use crate::metadata_headers;
use crate::op::upload;
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `DELETE /bucket/key?uploadId=U`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    // A condition of directory buckets, not to be dropped silently.
    const INITIATED: &str = "x-amz-if-match-initiated-time";
    if request.headers.contains_key(INITIATED) {
        return Err(metadata_headers::not_implemented(INITIATED));
    }
    let target = upload::target(ctx, &request).await?;
    let ended = ctx.store.abort_upload(&target.bucket, &target.key, target.id).await;
    ended.map_err(|error| upload::error(error, &target))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
