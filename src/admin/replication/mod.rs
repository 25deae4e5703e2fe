//! `replication/...`: what is still to be sent to other buckets, what could not be, and how two buckets differ.
//!
//! Every request looks at one page, however large the bucket or the queue is; whoever asks goes on with the next.

mod details;
mod listing;
mod resync;
mod status;
mod tasks;

use strata_storage::{Bucket, BucketName};

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::replication::{Found, Unresolved};
use crate::request::Context;

pub use details::{DetailsDocument, VersionDetails, VersionName, details};
pub use listing::{ListedVersion, ListingDocument, listing};
pub use resync::{ResyncDocument, resync};
pub use status::{QueueDocument, QueuesDocument, RecentDocument, RuleDocument, queues, status};
pub use tasks::{DroppedDocument, FailedDocument, FailedTask, RetriedDocument, failed, forget, retry};

/// One side of a replication: the source, or where a rule sends to.
enum Side {
    Here(BucketName),
    There(Found),
}

/// The side of `bucket` that the query names: its destination, if there is one in the query.
async fn side(ctx: &Context, request: &AdminRequest) -> Result<Side, S3Error> {
    let name = request.named_bucket()?;
    let Some(arn) = request.query.get("destination") else { return Ok(Side::Here(name)) };
    let source = ctx.store.bucket(&name).await?;
    let found = ctx.destinations.resolve(&source, arn).await.map_err(|error| unresolved(arn, &error))?;
    match found {
        Found::Local(bucket) => Ok(Side::Here(BucketName::parse(&bucket.name).map_err(S3Error::internal)?)),
        remote => Ok(Side::There(remote)),
    }
}

fn unresolved(arn: &str, error: &Unresolved) -> S3Error {
    S3Error::invalid_request(format!("The destination {arn} cannot be looked at: {error}."))
}

/// The destinations of a bucket's rules, each once, with the ids of its rules.
fn destinations(bucket: &Bucket) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for rule in bucket.replication.iter().flat_map(|replication| &replication.rules) {
        let arn = rule.destination.bucket.as_str();
        match found.iter_mut().find(|(other, _)| *other == arn) {
            Some((_, rules)) => rules.push(&rule.id),
            None => found.push((arn, vec![&rule.id])),
        }
    }
    found
}
