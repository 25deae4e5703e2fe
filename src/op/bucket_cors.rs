//! GetBucketCors, PutBucketCors, DeleteBucketCors.

use http::StatusCode;
use strata_storage::{BucketChange, BucketDocument};

use crate::checksum_headers::Need;
use crate::cors;
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;

/// The largest document: S3's limit.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// Answers `GET /bucket?cors`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let rules = cors::of_bucket(&bucket)?.ok_or_else(|| {
        let message = "The CORS configuration does not exist";
        S3Error::new(StatusCode::NOT_FOUND, "NoSuchCORSConfiguration", message).with("BucketName", name.as_str())
    })?;
    Ok(Response::xml(cors::write(&rules)))
}

/// Answers `PUT /bucket?cors`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, DOCUMENT_BYTES_MAX, Need::Required).await?;
    let rules = cors::encode(&cors::parse(&bytes)?);
    let change = BucketChange::Document(BucketDocument::Cors, Some(rules.into()));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::OK))
}

/// Answers `DELETE /bucket?cors`, also when there is nothing to remove.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let change = BucketChange::Document(BucketDocument::Cors, None);
    ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
