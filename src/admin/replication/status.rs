//! `GET replication/status`: the queues, each of one bucket for one destination.

use serde::{Deserialize, Serialize};
use strata_storage::{Backlog, QueueName, QueueStatus, Timestamp};

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::replication::Lag;
use crate::request::Context;
use crate::time::iso8601;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueuesDocument {
    /// The queues.
    pub queues: Vec<QueueDocument>,
}

/// What a bucket has to send to one destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueDocument {
    /// The source bucket.
    pub bucket: String,
    /// The destination's ARN.
    pub destination: String,
    /// The ids of the rules that send there; none if what waits is left over from rules that are gone.
    pub rules: Vec<String>,
    /// Versions and changes that wait.
    pub waiting: u64,
    /// The bytes of the objects among them.
    pub waiting_bytes: u64,
    /// When the oldest of them came to be.
    pub oldest: Option<String>,
    /// How long ago that was, in seconds; 0 if nothing waits.
    pub lag_seconds: f64,
    /// How long what arrived within the last minute was on its way, if anything did.
    pub recent: Option<RecentDocument>,
    /// Versions and changes that were put aside: they need somebody's help.
    pub failed: u64,
    /// The bytes of the objects among them.
    pub failed_bytes: u64,
    /// What was sent, ever.
    pub done: u64,
    /// The bytes of it.
    pub done_bytes: u64,
    /// What was not to be sent any more, ever.
    pub dropped: u64,
    /// What holds the queue up, if something does.
    pub trouble: Option<String>,
    /// The same by rules, also of those that are gone.
    pub by_rule: Vec<RuleDocument>,
}

/// What of a queue belongs to one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleDocument {
    /// The rule's id.
    pub rule: String,
    /// Versions and changes that wait.
    pub waiting: u64,
    /// The bytes of the objects among them.
    pub waiting_bytes: u64,
    /// Versions and changes that were put aside.
    pub failed: u64,
    /// The bytes of the objects among them.
    pub failed_bytes: u64,
    /// What was sent, ever.
    pub done: u64,
    /// The bytes of it.
    pub done_bytes: u64,
    /// What was not to be sent any more, ever.
    pub dropped: u64,
}

impl RuleDocument {
    fn new((rule, backlog): (String, Backlog)) -> RuleDocument {
        let Backlog { waiting, waiting_bytes, aside, aside_bytes, done, done_bytes, dropped } = backlog;
        let (failed, failed_bytes) = (aside, aside_bytes);
        RuleDocument { rule, waiting, waiting_bytes, failed, failed_bytes, done, done_bytes, dropped }
    }
}

/// What arrived at a destination within the last minute. Times are from the change to the end of its sending, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecentDocument {
    /// How much arrived.
    pub arrived: u64,
    /// The median, to a sixteenth.
    pub p50_seconds: f64,
    /// What 99 of 100 did not exceed, to a sixteenth.
    pub p99_seconds: f64,
    /// The longest.
    pub max_seconds: f64,
}

/// Answers.
pub async fn status(ctx: &Context, request: AdminRequest) -> Result<QueuesDocument, S3Error> {
    let bucket = request.bucket()?;
    if let Some(name) = &bucket {
        ctx.store.bucket(name).await?;
    }
    let queues = queues(ctx, request.now).await?;
    let is_wanted = |queue: &QueueDocument| bucket.as_ref().is_none_or(|name| name.as_str() == queue.bucket);
    Ok(QueuesDocument { queues: queues.into_iter().filter(is_wanted).collect() })
}

/// All queues of buckets that are there, in the order of their buckets and destinations.
pub async fn queues(ctx: &Context, now: Timestamp) -> Result<Vec<QueueDocument>, S3Error> {
    let mut documents = Vec::new();
    for QueueStatus { name, backlog, oldest, rules: by_rule } in ctx.store.queues().await? {
        let QueueName::Replication { bucket, destination } = name else { continue };
        let Some(bucket) = ctx.store.bucket_by_id(bucket).await? else { continue };
        let rules = super::destinations(&bucket).into_iter().find(|(arn, _)| *arn == destination);
        let rules: Vec<String> =
            rules.map(|(_, rules)| rules.into_iter().map(str::to_owned).collect()).unwrap_or_default();
        if rules.is_empty() && backlog.waiting == 0 && backlog.aside == 0 {
            continue;
        }
        let name = QueueName::Replication { bucket: bucket.id, destination };
        let trouble = ctx.troubles.of(&name);
        let recent = ctx.lags.of(&name, now).map(recent);
        let QueueName::Replication { destination, .. } = name else { continue };
        let document = document((bucket.name.clone(), destination, rules), backlog, oldest, now);
        documents.push(QueueDocument {
            trouble,
            recent,
            by_rule: by_rule.into_iter().map(RuleDocument::new).collect(),
            ..document
        });
    }
    documents.sort_by(|one, other| (&one.bucket, &one.destination).cmp(&(&other.bucket, &other.destination)));
    Ok(documents)
}

fn document(
    (bucket, destination, rules): (String, String, Vec<String>),
    backlog: Backlog,
    oldest: Option<Timestamp>,
    now: Timestamp,
) -> QueueDocument {
    QueueDocument {
        bucket,
        destination,
        rules,
        waiting: backlog.waiting,
        waiting_bytes: backlog.waiting_bytes,
        oldest: oldest.map(iso8601),
        lag_seconds: oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64()),
        recent: None,
        failed: backlog.aside,
        failed_bytes: backlog.aside_bytes,
        done: backlog.done,
        done_bytes: backlog.done_bytes,
        dropped: backlog.dropped,
        trouble: None,
        by_rule: Vec::new(),
    }
}

fn recent(lag: Lag) -> RecentDocument {
    RecentDocument {
        arrived: lag.arrived,
        p50_seconds: lag.p50.as_secs_f64(),
        p99_seconds: lag.p99.as_secs_f64(),
        max_seconds: lag.max.as_secs_f64(),
    }
}
