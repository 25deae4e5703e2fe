//! What the operations on a bucket share: finding it, naming it in errors, reading its documents.

use std::sync::Arc;

use bytes::Bytes;
use strata_storage::{Bucket, BucketName, Error};

use crate::checksum_headers::{self, Need};
use crate::error::S3Error;
use crate::request::{Context, Request};

/// The bucket, or `NoSuchBucket` with its name.
pub async fn find(ctx: &Context, name: &BucketName) -> Result<Arc<Bucket>, S3Error> {
    ctx.store.bucket(name).await.map_err(|error| self::error(error, name))
}

/// The engine's error, with the bucket's name where S3 gives it.
pub fn error(error: Error, name: &BucketName) -> S3Error {
    let error = S3Error::from(error);
    match error.code {
        "NoSuchBucket" | "BucketNotEmpty" | "BucketAlreadyOwnedByYou" => error.with("BucketName", name.as_str()),
        _ => error,
    }
}

/// Reads a request document of at most `most_bytes` and verifies the digests that came with it.
pub async fn read_document(request: &mut Request, most_bytes: usize, need: Need) -> Result<Bytes, S3Error> {
    let bytes = request.body.collect(most_bytes).await?;
    checksum_headers::require_for_document(&request.headers, &request.body, &bytes, need)?;
    Ok(bytes)
}
