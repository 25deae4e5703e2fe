//! HeadBucket: whether a bucket is there, and where.

use http::{HeaderName, StatusCode};
use strata_storage::BucketName;

use crate::error::S3Error;
use crate::op::bucket;
use crate::replication::replica;
use crate::request::{Context, Request};
use crate::response::Response;

const REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// Answers `HEAD /bucket`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let mut response = Response::empty(StatusCode::OK);
    response.set(REGION, &bucket.region);
    response.set(HeaderName::from_static("x-amz-bucket-arn"), format!("arn:aws:s3:::{name}"));
    response.set(HeaderName::from_static("x-amz-access-point-alias"), "false");
    if request.headers.contains_key(&replica::REPLICA) {
        response.set(replica::REPLICA, replica::KNOWN);
    }
    Ok(response)
}

/// Tells also those who may not see a bucket where it is, as at AWS: clients look there for the region to sign for.
pub async fn locate(ctx: &Context, name: &str, response: &mut Response) {
    let Ok(name) = BucketName::parse(name) else { return };
    if let Ok(bucket) = ctx.store.bucket(&name).await {
        response.set(REGION, &bucket.region);
    }
}
