//! `OPTIONS`: what browsers ask before they let a script of another origin send a request. Nobody signs it.

use http::HeaderMap;
use strata_storage::BucketName;

use crate::address::Address;
use crate::cors;
use crate::error::S3Error;
use crate::request::Context;
use crate::response::Response;

/// Answers `OPTIONS /bucket` and `OPTIONS /bucket/key`. A bucket that is not there answers as one without rules.
pub async fn run(ctx: &Context, address: &Address, headers: &HeaderMap) -> Result<Response, S3Error> {
    let name = address.bucket.as_deref().and_then(|name| BucketName::parse(name).ok());
    let bucket = match &name {
        None => None,
        Some(name) => ctx.store.bucket(name).await.ok(),
    };
    let rules = bucket.as_deref().map(cors::of_bucket).transpose()?.flatten();
    let resource_type = if address.key.is_some() { "OBJECT" } else { "BUCKET" };
    cors::preflight(rules.as_deref(), headers, resource_type)
}
