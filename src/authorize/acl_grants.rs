//! What access control lists say to a question, as far as they count.

use strata_storage::{Bucket, ObjectOwner, ObjectOwnership};

use crate::error::S3Error;
use crate::identity::{Identity, PublicAccessBlock};
use crate::policy::{Action, Decision};
use crate::request::Context;

/// The lists that may grant something.
pub struct Acls<'a> {
    /// The bucket, with its list.
    pub bucket: &'a Bucket,
    /// The object's owner and list.
    pub object: Option<&'a ObjectOwner>,
    /// Whether Block Public Access makes public grants count for nothing.
    pub ignores_public: bool,
}

/// Whether a bucket's lists, and those of its objects, count at all.
pub fn count(bucket: &Bucket) -> bool {
    bucket.ownership != Some(ObjectOwnership::BucketOwnerEnforced)
}

/// Block Public Access of a bucket and its account together.
pub fn block(ctx: &Context, bucket: &Bucket) -> Result<PublicAccessBlock, S3Error> {
    let account = ctx.directory.snapshot().account(bucket.owner).and_then(|account| account.public_access_block);
    Ok(account.unwrap_or_default())
}

/// What the lists grant to a caller.
pub fn decision(_acls: &Acls<'_>, _caller: &Identity, _action: Action) -> Result<Decision, S3Error> {
    Ok(Decision::Silent)
}
