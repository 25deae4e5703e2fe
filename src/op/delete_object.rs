//! DeleteObject: a version is removed, or a delete marker covers the key.

use http::StatusCode;
use strata_storage::DeleteObject;

use crate::conditions;
use crate::error::S3Error;
use crate::op::target::{DELETE_MARKER, Target, set_version};
use crate::request::{Context, Request};
use crate::response::Response;

/// Runs the operation.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    let condition = conditions::delete_condition(&request.headers)?;
    let delete =
        DeleteObject { bucket: target.bucket.clone(), key: target.key.clone(), version: target.version, condition };
    let deleted = ctx.store.delete(delete).await.map_err(|error| conditions::delete_error(error, &target.key))?;
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    if deleted.marker {
        response.set(DELETE_MARKER, "true");
    }
    set_version(&mut response, deleted.version_id);
    Ok(response)
}
