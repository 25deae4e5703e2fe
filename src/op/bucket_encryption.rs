//! PutBucketEncryption, GetBucketEncryption and DeleteBucketEncryption.

use http::StatusCode;
use strata_storage::{BucketChange, BucketDocument};

use crate::checksum_headers::Need;
use crate::encryption::DefaultEncryption;
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `GET /bucket?encryption`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let bucket = bucket::find(ctx, request.bucket()?).await?;
    Ok(Response::xml(DefaultEncryption::of(&bucket)?.document()))
}

/// Answers `PUT /bucket?encryption`. The KMS key is not looked for, as S3 does not: it counts when objects come.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let found = bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let document = DefaultEncryption::parse(&bytes, &DefaultEncryption::of(&found)?)?.to_stored()?;
    let change = BucketChange::Document(BucketDocument::Encryption, Some(document.into()));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::OK))
}

/// Answers `DELETE /bucket?encryption`: back to SSE-S3. Whether customers' keys are refused stays as it is.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let found = bucket::find(ctx, &name).await?;
    let blocks_customer_keys = DefaultEncryption::of(&found)?.blocks_customer_keys;
    let document = DefaultEncryption { blocks_customer_keys, ..DefaultEncryption::default() }.to_stored()?;
    let change = BucketChange::Document(BucketDocument::Encryption, Some(document.into()));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
