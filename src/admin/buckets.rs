//! `GET buckets` and `POST buckets/quota`: the buckets, what they hold, and how much they may.

use serde::{Deserialize, Serialize};
use strata_storage::{Bucket, BucketChange, BucketName, BucketQuery, Quota, Versioning};

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::request::Context;
use crate::time::iso8601;

/// Buckets on a page.
const PAGE_MAX: usize = 1000;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BucketsDocument {
    /// The buckets, by name.
    pub buckets: Vec<BucketDocument>,
    /// The last of them if there are more: `after` of the next request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BucketDocument {
    /// Its name.
    pub name: String,
    /// The account that owns it.
    pub owner: String,
    /// When it was made.
    pub created: String,
    /// `unversioned`, `enabled` or `suspended`.
    pub versioning: String,
    /// Whether it has Object Lock.
    pub object_lock: bool,
    /// Object versions.
    pub objects: i64,
    /// Their sizes, with the parts of open uploads.
    pub bytes: i64,
    /// How many object versions it may hold, if that is limited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quota_objects: Option<u64>,
    /// How many bytes it may hold, if that is limited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quota_bytes: Option<u64>,
}

/// Answers `buckets`: the one that is named, or a page of all.
pub async fn list(ctx: &Context, request: AdminRequest) -> Result<BucketsDocument, S3Error> {
    if let Some(name) = request.bucket()? {
        return one(ctx, &name).await;
    }
    let after = request.query.get("after").map(str::to_owned);
    let page = ctx.store.list_buckets(BucketQuery { after, max: PAGE_MAX, ..BucketQuery::default() }).await?;
    let mut buckets = Vec::with_capacity(page.buckets.len());
    for (name, bucket) in page.buckets {
        // One that was deleted since is left out.
        match ctx.store.held_by_bucket(&name).await {
            Ok(held) => buckets.push(document(&name, &bucket, held)),
            Err(strata_storage::Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(BucketsDocument { buckets, next: page.next })
}

/// Answers `buckets/quota`: each limit that is named changes, `none` removes it.
pub async fn set_quota(ctx: &Context, request: AdminRequest) -> Result<BucketsDocument, S3Error> {
    let name = request.named_bucket()?;
    let Quota { bytes, objects } = ctx.store.bucket(&name).await?.quota;
    let limit = |parameter: &'static str, present: Option<u64>| match request.query.get(parameter) {
        None => Ok(present),
        Some("none") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let message = format!("The limit of {parameter} must be a number, or none.");
            S3Error::invalid_argument(message, parameter, text)
        }),
    };
    let quota = Quota { bytes: limit("bytes", bytes)?, objects: limit("objects", objects)? };
    ctx.store.change_bucket(&name, BucketChange::Quota(quota)).await?;
    one(ctx, &name).await
}

async fn one(ctx: &Context, name: &BucketName) -> Result<BucketsDocument, S3Error> {
    let bucket = ctx.store.bucket(name).await?;
    let held = ctx.store.held_by_bucket(name).await?;
    Ok(BucketsDocument { buckets: vec![document(name, &bucket, held)], next: None })
}

fn document(name: &BucketName, bucket: &Bucket, held: strata_storage::Amount) -> BucketDocument {
    let versioning = match bucket.versioning {
        Versioning::Unversioned => "unversioned",
        Versioning::Enabled => "enabled",
        Versioning::Suspended => "suspended",
    };
    BucketDocument {
        name: name.to_string(),
        owner: bucket.owner.to_string(),
        created: iso8601(bucket.created),
        versioning: versioning.to_owned(),
        object_lock: bucket.object_lock.is_some(),
        objects: held.objects,
        bytes: held.bytes,
        quota_objects: bucket.quota.objects,
        quota_bytes: bucket.quota.bytes,
    }
}
