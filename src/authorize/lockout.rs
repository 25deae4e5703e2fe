//! Whether a bucket policy would keep its own sender from changing it again.

use strata_storage::Bucket;

use super::asking::Asking;
use super::bucket_policies::BucketPolicy;
use super::judge::{self, Facts};
use super::resource::Resource;
use crate::error::S3Error;
use crate::policy::{Action, Outcome, Policy};
use crate::public_access_block;
use crate::request::{Context, Request};

const PUT_POLICY: Action = Action::known("s3:PutBucketPolicy");

/// Whether the sender of a request could not put another policy once `policy` is that of the bucket.
pub fn locks_out(ctx: &Context, request: &Request, bucket: &Bucket, policy: Policy) -> Result<bool, S3Error> {
    let asking = Asking::of(request);
    if judge::is_always_allowed(&asking, PUT_POLICY, bucket) {
        return Ok(false);
    }
    let policy = BucketPolicy { is_public: policy.is_public(), policy };
    let outcome = judge::decide(&Facts {
        asking: &asking,
        action: PUT_POLICY,
        resource: Resource::Bucket(request.bucket()?),
        bucket,
        policy: Some(&policy),
        block: public_access_block::effective(ctx, bucket)?,
        object: None,
        through: asking.through.as_deref(),
        region: &ctx.config.region,
    })?;
    Ok(!matches!(outcome, Outcome::Allowed { .. }))
}
