//! `GET replication/failed`, `POST replication/retry` and `POST replication/drop`: what was put aside because it needs somebody's
//! help.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use strata_storage::{AsideTask, QueueId, QueueName, Replicate, ReplicatedPart, Stamp, VersionId, Work};

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::request::Context;
use crate::time::iso8601;

/// Tasks on a page.
const PAGE_MAX: usize = 500;
/// Tasks that are taken up at once: they share the syncs of their commits.
const TOGETHER: usize = 32;

/// A page of what was put aside for one destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedDocument {
    /// The tasks, oldest first.
    pub tasks: Vec<FailedTask>,
    /// `after` of the next request, if there are more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A version, or what changed of it, that could not be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedTask {
    /// The destination's ARN.
    pub destination: String,
    /// The id of the rule.
    pub rule: String,
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// `object`, `delete_marker` or `changes`: its tags, access control list and lock.
    pub part: String,
    /// The bytes of the object.
    pub bytes: u64,
    /// Why, in S3's words where it has some.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was put aside.
    pub since: String,
}

/// What became of a page of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetriedDocument {
    /// How many will be tried again.
    pub retried: u64,
    /// `after` of the next request, if there are more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Answers `replication/failed`.
pub async fn failed(ctx: &Context, request: AdminRequest) -> Result<FailedDocument, S3Error> {
    let (queue, destination) = queue(ctx, &request).await?;
    let (tasks, next) = page(ctx, queue, &request).await?;
    let tasks = tasks.into_iter().filter_map(|task| document(task, &destination)).collect();
    Ok(FailedDocument { tasks, next })
}

/// What became of a page of them that is forgotten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DroppedDocument {
    /// How many were forgotten.
    pub dropped: u64,
    /// `after` of the next request, if there are more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Answers `replication/retry`: those of the key that is named, or all.
pub async fn retry(ctx: &Context, request: AdminRequest) -> Result<RetriedDocument, S3Error> {
    let (retried, next) = take_up(ctx, request, false).await?;
    Ok(RetriedDocument { retried, next })
}

/// Answers `replication/drop`: the same are forgotten.
pub async fn forget(ctx: &Context, request: AdminRequest) -> Result<DroppedDocument, S3Error> {
    let (dropped, next) = take_up(ctx, request, true).await?;
    Ok(DroppedDocument { dropped, next })
}

async fn take_up(ctx: &Context, request: AdminRequest, drop_them: bool) -> Result<(u64, Option<String>), S3Error> {
    let (queue, _) = queue(ctx, &request).await?;
    let key = request.query.get("key");
    if key.is_none() && request.query.get("all") != Some("true") {
        return Err(S3Error::invalid_argument("A key has to be named, or all=true.", "key", ""));
    }
    let (tasks, next) = page(ctx, queue, &request).await?;
    let is_wanted = |task: &AsideTask| match &task.task.work {
        Work::Replicate(replicate) => key.is_none_or(|key| key == replicate.key),
        Work::Event(_) => false,
    };
    let wanted = tasks.into_iter().filter(is_wanted);
    let count = stream::iter(wanted)
        .map(|task| ctx.store.retry_replication(queue, task, drop_them))
        .buffer_unordered(TOGETHER)
        .try_fold(0, |count, is_taken_up| async move { Ok(count + u64::from(is_taken_up)) })
        .await?;
    Ok((count, next))
}

/// The queue that the query names.
async fn queue(ctx: &Context, request: &AdminRequest) -> Result<(QueueId, String), S3Error> {
    let bucket = ctx.store.bucket(&request.named_bucket()?).await?.id;
    let destination = request
        .query
        .get("destination")
        .ok_or_else(|| S3Error::invalid_argument("A destination has to be named.", "destination", ""))?;
    let name = QueueName::Replication { bucket, destination: destination.to_owned() };
    Ok((name.id(), destination.to_owned()))
}

/// A page of tasks, and where the next one begins. Places are written as version ids are: both are stamps.
async fn page(
    ctx: &Context,
    queue: QueueId,
    request: &AdminRequest,
) -> Result<(Vec<AsideTask>, Option<String>), S3Error> {
    let after: Option<Stamp> = match request.query.get("after") {
        None => None,
        Some(text) => match VersionId::parse(text) {
            Some(VersionId::Stamp(stamp)) => Some(stamp),
            _ => return Err(S3Error::invalid_argument("This is no place in a queue.", "after", text)),
        },
    };
    let tasks = ctx.store.tasks_aside(queue, after, PAGE_MAX).await?;
    let last = tasks.last().filter(|_| tasks.len() == PAGE_MAX);
    let next = last.map(|task| VersionId::Stamp(task.task.stamp).to_string());
    Ok((tasks, next))
}

fn document(aside: AsideTask, destination: &str) -> Option<FailedTask> {
    let AsideTask { task, reason, attempts, since } = aside;
    let Work::Replicate(replicate) = task.work else { return None };
    let version_id = replicate.version_id().to_string();
    let Replicate { key, part, rule, bytes, .. } = replicate;
    let part = match part {
        ReplicatedPart::Object => "object",
        ReplicatedPart::Marker => "delete_marker",
        ReplicatedPart::Changes => "changes",
    };
    Some(FailedTask {
        destination: destination.to_owned(),
        rule,
        key,
        version_id,
        part: part.to_owned(),
        bytes,
        reason,
        attempts,
        since: iso8601(since),
    })
}
