//! What protects a version that is about to be made: its owner, its locks, its encryption, from the request's headers
//! and the bucket's defaults. The one place where the writes (put, copy, create upload, form post) ask for it.
//!
//! Each of the three has a room of its own; this file only calls them in S3's order.

use http::HeaderMap;
use strata_storage::{AccountId, Bucket, Encryption, ObjectOwner, ObjectOwnership, Protection};

use crate::error::S3Error;
use crate::lock_headers;
use crate::metadata_headers;
use crate::request::{Context, Request};

/// Reads what shall protect a new version in `bucket`, and refuses what cannot be honoured.
pub async fn protection(ctx: &Context, bucket: &Bucket, request: &Request) -> Result<Protection, S3Error> {
    metadata_headers::refuse_unsupported(&request.headers)?;
    Ok(Protection {
        owner: owner(bucket, request, &request.headers)?,
        lock: lock_headers::lock(ctx, bucket, request).await?,
        encryption: Encryption::default(),
    })
}

/// Who will own the version. In a bucket without ACLs that is the bucket's owner; else the writer.
fn owner(bucket: &Bucket, request: &Request, _headers: &HeaderMap) -> Result<ObjectOwner, S3Error> {
    let enforced = bucket.ownership == Some(ObjectOwnership::BucketOwnerEnforced);
    let writer: AccountId = request.caller.account_id().unwrap_or(bucket.owner);
    Ok(ObjectOwner { account: if enforced { bucket.owner } else { writer }, acl: None })
}
