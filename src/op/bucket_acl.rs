//! GetBucketAcl and PutBucketAcl.

use http::StatusCode;
use strata_storage::{BucketChange, BucketDocument};

use crate::acl::{self, Acl, CanonicalId, Scope};
use crate::error::S3Error;
use crate::op::{bucket, requested_acl};
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `GET /bucket?acl`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let bucket = bucket::find(ctx, request.bucket()?).await?;
    Ok(Response::xml(requested_acl::shown(ctx, Acl::of_bucket(&bucket)?, &bucket)?))
}

/// Answers `PUT /bucket?acl`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let bucket = bucket::find(ctx, &name).await?;
    let owner = CanonicalId::of(bucket.owner);
    if let Some(acl) = requested_acl::read(ctx, &mut request, Scope::Bucket, owner, &bucket).await? {
        let change = BucketChange::Document(BucketDocument::Acl, acl::encode(&acl).map(Into::into));
        ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    }
    Ok(Response::empty(StatusCode::OK))
}
