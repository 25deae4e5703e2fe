//! `OPTIONS`: what browsers ask before they let a script of another origin send a request. Nobody signs it.

use http::HeaderMap;
use strata_storage::BucketName;

use crate::address::Address;
use crate::cors;
use crate::error::S3Error;
use crate::request::Context;
use crate::response::Response;

/// Answers `OPTIONS /bucket` and `OPTIONS /bucket/key`.
pub async fn run(ctx: &Context, address: &Address, headers: &HeaderMap) -> Result<Response, S3Error> {
    let name = address.bucket.as_deref().and_then(|name| BucketName::parse(name).ok());
    let bucket = match &name {
        None => None,
        Some(name) => ctx.store.bucket(name).await.ok(),
    };
    let resource_type = if address.key.is_some() { "OBJECT" } else { "BUCKET" };
    let Some(bucket) = bucket else {
        return Err(cors::without_rules("CORSResponse: Bucket not found", headers));
    };
    let Some(rules) = cors::of_bucket(&bucket)? else {
        return Err(cors::without_rules("CORSResponse: CORS is not enabled for this bucket.", headers));
    };
    cors::preflight(&rules, headers, resource_type)
}
