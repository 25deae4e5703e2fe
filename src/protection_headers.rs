//! What protects a version that is about to be made: its owner, its locks, its encryption, from the request's headers
//! and the bucket's defaults. The one place where the writes (put, copy, create upload, form post) ask for it.
//!
//! Each of the three has a room of its own; this file only calls them in S3's order.

use strata_storage::{Bucket, Encryption, ObjectOwner, ObjectOwnership, Protection};

use crate::acl::{self, Acl, Canned, CanonicalId, Requested, Scope};
use crate::error::S3Error;
use crate::replication::replica::Head;
use crate::request::{Context, Request};
use crate::{lock_headers, metadata_headers, owners, public_access_block};

/// Reads what shall protect a new version in `bucket`, and refuses what cannot be honoured.
pub async fn protection(ctx: &Context, bucket: &Bucket, request: &Request) -> Result<Protection, S3Error> {
    metadata_headers::refuse_unsupported(&request.headers)?;
    if let Some(head) = Head::of(&request.headers)? {
        return Ok(Protection {
            owner: owner_of_replica(ctx, bucket, &head)?,
            lock: head.lock,
            ..Protection::default()
        });
    }
    Ok(Protection {
        owner: owner(ctx, bucket, request)?,
        lock: lock_headers::lock(ctx, bucket, request).await?,
        encryption: Encryption::default(),
    })
}

/// A replica belongs to the owner of its bucket, and keeps the list of its source where lists count.
fn owner_of_replica(ctx: &Context, bucket: &Bucket, head: &Head) -> Result<ObjectOwner, S3Error> {
    let owner = ObjectOwner { account: bucket.owner, acl: head.acl.clone().filter(|_| acl::acls_count(bucket)) };
    if owner.acl.is_some() {
        acl::refuse_blocked(&Acl::of_object(&owner)?, public_access_block::effective(ctx, bucket)?)?;
    }
    Ok(owner)
}

/// Who will own the version, and whom its access control list grants what.
fn owner(ctx: &Context, bucket: &Bucket, request: &Request) -> Result<ObjectOwner, S3Error> {
    // An object written by nobody who is known belongs to the bucket's owner: S3's anonymous user is no account here.
    let writer = request.caller.account_id().unwrap_or(bucket.owner);
    let exists = |id: &CanonicalId| owners::exists(ctx, id);
    let requested = acl::requested(&request.headers, Scope::Object, &exists);
    if !acl::acls_count(bucket) {
        let asks_for_none = requested.is_ok_and(|requested| {
            requested.is_none_or(|requested| requested.gives_only_the_owner(CanonicalId::of(bucket.owner)))
        });
        return match asks_for_none {
            true => Ok(ObjectOwner { account: bucket.owner, acl: None }),
            false => Err(acl::not_supported()),
        };
    }
    let requested = requested?;
    let account = match (bucket.ownership, &requested) {
        (Some(ObjectOwnership::BucketOwnerPreferred), Some(Requested::Canned(Canned::BucketOwnerFullControl))) => {
            bucket.owner
        }
        _ => writer,
    };
    let Some(requested) = requested else { return Ok(ObjectOwner { account, acl: None }) };
    let acl = requested.acl(CanonicalId::of(account), CanonicalId::of(bucket.owner));
    acl::refuse_blocked(&acl, public_access_block::effective(ctx, bucket)?)?;
    Ok(ObjectOwner { account, acl: acl::encode(&acl) })
}
