//! HeadBucket: whether a bucket is there, and where.

use http::{HeaderName, StatusCode};

use crate::error::S3Error;
use crate::op::bucket;
use crate::replication::replica;
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `HEAD /bucket`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let mut response = Response::empty(StatusCode::OK);
    response.set(HeaderName::from_static("x-amz-bucket-region"), &bucket.region);
    response.set(HeaderName::from_static("x-amz-bucket-arn"), format!("arn:aws:s3:::{name}"));
    response.set(HeaderName::from_static("x-amz-access-point-alias"), "false");
    if request.headers.contains_key(&replica::REPLICA) {
        response.set(replica::REPLICA, replica::KNOWN);
    }
    Ok(response)
}
