//! GetBucketTagging, PutBucketTagging, DeleteBucketTagging.

use http::StatusCode;
use strata_storage::BucketChange;

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::tagging;

/// The most tags that a bucket can have.
const TAGS_MAX: usize = 50;

/// Answers `GET /bucket?tagging`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    if bucket.tags.is_empty() {
        return Err(S3Error::new(StatusCode::NOT_FOUND, "NoSuchTagSet", "The TagSet does not exist")
            .with("BucketName", name.as_str()));
    }
    Ok(Response::xml(tagging::document(&bucket.tags)))
}

/// Answers `PUT /bucket?tagging`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Required).await?;
    let tags = tagging::parse_document(&bytes, TAGS_MAX)?;
    ctx.store.change_bucket(&name, BucketChange::Tags(tags)).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Answers `DELETE /bucket?tagging`.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let change = BucketChange::Tags(Vec::new());
    ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
