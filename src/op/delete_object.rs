//! DeleteObject: a version is removed, or a delete marker covers the key.

use http::StatusCode;
use strata_storage::{DeleteObject, Governance};

use crate::authorize::Resource;
use crate::conditions;
use crate::error::S3Error;
use crate::lock_headers;
use crate::op::target::{DELETE_MARKER, Target, set_version};
use crate::replication::replica::{self, Head};
use crate::request::{Context, Request};
use crate::response::Response;

/// Runs the operation.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    if let Some(head) = Head::of(&request.headers)? {
        return replicate(ctx, &target, head).await;
    }
    let condition = conditions::delete_condition(&request.headers)?;
    let resource = Resource::Object(&target.bucket, &target.key, target.version);
    let governance = match target.version {
        Some(_) => lock_headers::governance(ctx, &request, resource).await?,
        None => Governance::Binding,
    };
    let (bucket, key, version) = (target.bucket.clone(), target.key.clone(), target.version);
    let delete = DeleteObject { bucket, key, version, condition, governance };
    let deleted =
        request.store(ctx).delete(delete).await.map_err(|error| conditions::delete_error(error, &target.key))?;
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    if deleted.marker {
        response.set(DELETE_MARKER, "true");
    }
    set_version(&mut response, deleted.version_id);
    Ok(response)
}

/// Makes a delete marker of another bucket's. A version is never removed that way.
async fn replicate(ctx: &Context, target: &Target, head: Head) -> Result<Response, S3Error> {
    if target.version.is_some() {
        return Err(replica::refused());
    }
    let Head { replica, .. } = head;
    ctx.store.put_replica_marker(&target.bucket, &target.key, replica).await?;
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    response.set(DELETE_MARKER, "true");
    set_version(&mut response, Some(replica.version_id()));
    Ok(response)
}
