//! GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock of buckets.

use http::StatusCode;
use strata_storage::{BucketChange, BucketDocument};

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::public_access_block::{PublicAccessBlock, not_found};
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `GET /bucket?publicAccessBlock` with the bucket's own switches.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let own = PublicAccessBlock::set_on(&bucket)?;
    let own = own.ok_or_else(|| not_found().with("BucketName", name.as_str()))?;
    Ok(Response::xml(own.document()))
}

/// Answers `PUT /bucket?publicAccessBlock`. What is public already stays stored; the other two switches take its effect.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let block = PublicAccessBlock::parse(&bytes)?;
    let change = BucketChange::Document(BucketDocument::PublicAccessBlock, Some(block.to_stored().into()));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::OK))
}

/// Answers `DELETE /bucket?publicAccessBlock`, also when there is nothing to remove.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let change = BucketChange::Document(BucketDocument::PublicAccessBlock, None);
    ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
