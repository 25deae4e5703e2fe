//! `events`: what waits for the targets of events, what they refused, and what happens now.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strata_storage::{AsideTask, Backlog, Event, QueueId, QueueName, QueueStatus, Stamp, Store, TaskOutcome, Work};

use crate::admin::{AdminRequest, FailureDocument};
use crate::error::S3Error;
use crate::events::kinds;
use crate::request::Context;
use crate::time::iso8601;

/// The most events on a page, and of one change.
const PAGE: usize = 1000;

/// All targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsDocument {
    /// Those of the settings, and others that something waits for.
    pub targets: Vec<EventTargetDocument>,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventTargetDocument {
    /// Its ARN.
    pub target: String,
    /// `ready`; `away` while it takes no events; `not_configured` if the settings do not name it any more.
    pub state: String,
    /// Events that wait.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// When the oldest of them happened.
    pub oldest: Option<String>,
    /// Events put aside.
    pub aside: u64,
    /// Their bytes.
    pub aside_bytes: u64,
    /// Events delivered, ever.
    pub delivered: u64,
    /// Events dropped or given to another target, ever.
    pub dropped: u64,
    /// Since when it takes no events.
    pub away_since: Option<String>,
    /// When it last took one, since the server started.
    pub last_delivery: Option<String>,
    /// Why it last did not take one, since the server started.
    pub last_error: Option<FailureDocument>,
}

/// A page of events that were put aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedEventsDocument {
    /// The events, the oldest first.
    pub events: Vec<FailedEventDocument>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// An event that was put aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedEventDocument {
    /// What happened.
    #[serde(flatten)]
    pub event: HappenedDocument,
    /// Why it was put aside.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was put aside.
    pub since: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HappenedDocument {
    /// When.
    pub time: String,
    /// `ObjectCreated:Put`
    pub event: String,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version, if the bucket has versions.
    pub version_id: Option<String>,
    /// The object's size.
    pub size: Option<u64>,
    /// The object's entity tag.
    pub etag: Option<String>,
    /// Who asked for it.
    pub principal: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// The request's id.
    pub request: Option<String>,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedEventsDocument {
    /// How many events.
    pub events: u64,
}

impl HappenedDocument {
    /// Of an event.
    pub fn of(event: &Event) -> HappenedDocument {
        let Event { kind, time, bucket, key, size, etag, version_id, asked, .. } = event;
        let asked = asked.as_ref();
        HappenedDocument {
            time: iso8601(*time),
            event: kinds::name(*kind).to_owned(),
            bucket: bucket.clone(),
            key: key.clone(),
            version_id: version_id.map(|id| id.to_string()),
            size: *size,
            etag: etag.map(|etag| etag.to_string().trim_matches('"').to_owned()),
            principal: asked.map(|asked| asked.principal.clone()),
            address: asked.map(|asked| asked.address.clone()),
            request: asked.map(|asked| asked.request.clone()),
        }
    }
}

/// Answers `GET events`.
pub async fn get(ctx: &Context, _request: AdminRequest) -> Result<EventsDocument, S3Error> {
    Ok(EventsDocument { targets: targets(ctx).await? })
}

/// All targets as they are now.
pub async fn targets(ctx: &Context) -> Result<Vec<EventTargetDocument>, S3Error> {
    let mut queues: BTreeMap<String, QueueStatus> = BTreeMap::new();
    for queue in ctx.store.queues().await? {
        if let QueueName::Events { target } = &queue.name {
            queues.insert(target.clone(), queue);
        }
    }
    let configured = ctx.events.targets.iter().map(|configured| configured.settings.arn.as_str().to_owned());
    let mut documents = Vec::new();
    for target in configured {
        let queue = queues.remove(&target);
        documents.push(document(ctx, target, queue, true));
    }
    let left = |queue: &QueueStatus| queue.backlog.waiting > 0 || queue.backlog.aside > 0;
    let others = queues.into_iter().filter(|(_, queue)| left(queue));
    documents.extend(others.map(|(target, queue)| document(ctx, target, Some(queue), false)));
    Ok(documents)
}

fn document(ctx: &Context, target: String, queue: Option<QueueStatus>, is_configured: bool) -> EventTargetDocument {
    let (backlog, oldest) = queue.map_or((Backlog::default(), None), |queue| (queue.backlog, queue.oldest));
    let health = ctx.events.healths.of(&target);
    let state = match (is_configured, health.away_since) {
        (false, _) => "not_configured",
        (true, Some(_)) => "away",
        (true, None) => "ready",
    };
    EventTargetDocument {
        target,
        state: state.to_owned(),
        waiting: backlog.waiting,
        waiting_bytes: backlog.waiting_bytes,
        oldest: oldest.map(iso8601),
        aside: backlog.aside,
        aside_bytes: backlog.aside_bytes,
        delivered: backlog.done,
        dropped: backlog.dropped,
        away_since: health.away_since.map(iso8601),
        last_delivery: health.last_delivery.map(iso8601),
        last_error: health.last_error.map(|(at, message)| FailureDocument { at: iso8601(at), message }),
    }
}

/// Answers `GET events/failed`: what was put aside, a page at a time.
pub async fn failed(ctx: &Context, request: AdminRequest) -> Result<FailedEventsDocument, S3Error> {
    let queue = queue(ctx, &request).await?;
    let after = request.query.get("after").map(position).transpose()?;
    let aside = ctx.store.tasks_aside(queue, after, PAGE).await?;
    let next = (aside.len() == PAGE).then(|| aside.last().map(|aside| hex::encode(aside.task.stamp.to_bytes())));
    let document = |aside: AsideTask| match aside.task.work {
        Work::Event(event) => Some(FailedEventDocument {
            event: HappenedDocument::of(&event),
            reason: aside.reason,
            attempts: aside.attempts,
            since: iso8601(aside.since),
        }),
        Work::Replicate(_) => None,
    };
    Ok(FailedEventsDocument { events: aside.into_iter().filter_map(document).collect(), next: next.flatten() })
}

/// Answers `POST events/retry`: what was put aside is delivered anew.
pub async fn retry(ctx: &Context, request: AdminRequest) -> Result<ChangedEventsDocument, S3Error> {
    let queue = queue(ctx, &request).await?;
    Ok(ChangedEventsDocument { events: take_up(&ctx.store, queue, false).await? })
}

/// Answers `POST events/drop`: what was put aside is forgotten; of a target that the settings do not name any more, also what
/// waits.
pub async fn forget(ctx: &Context, request: AdminRequest) -> Result<ChangedEventsDocument, S3Error> {
    let queue = queue(ctx, &request).await?;
    let mut events = take_up(&ctx.store, queue, true).await?;
    // Nobody else ends these tasks.
    if ctx.events.targets.get(request.query.get("target").unwrap_or_default()).is_none() {
        events += forget_waiting(&ctx.store, queue).await?;
    }
    Ok(ChangedEventsDocument { events })
}

async fn take_up(store: &Store, queue: QueueId, forget: bool) -> Result<u64, S3Error> {
    let (mut events, mut after) = (0, None);
    // What is put aside again meanwhile is behind the page.
    loop {
        let aside = store.tasks_aside(queue, after, PAGE).await?;
        let Some(last) = aside.last() else { return Ok(events) };
        after = Some(last.task.stamp);
        events += aside.len() as u64;
        store.retry_events(queue, aside, forget).await?;
    }
}

async fn forget_waiting(store: &Store, queue: QueueId) -> Result<u64, S3Error> {
    let mut events = 0;
    loop {
        let tasks = store.tasks(queue, None, PAGE).await?;
        if tasks.is_empty() {
            return Ok(events);
        }
        events += tasks.len() as u64;
        store.end_events(queue, tasks.into_iter().map(|task| (task, TaskOutcome::Dropped)).collect()).await?;
    }
}

/// The queue of the target that the query has to name.
async fn queue(ctx: &Context, request: &AdminRequest) -> Result<QueueId, S3Error> {
    let target = request.query.get("target").unwrap_or_default();
    let name = QueueName::Events { target: target.to_owned() };
    let is_known = ctx.events.targets.get(target).is_some()
        || ctx.store.queues().await?.into_iter().any(|queue| queue.name == name);
    match is_known {
        true => Ok(name.id()),
        false => Err(S3Error::new(StatusCode::NOT_FOUND, "NoSuchTarget", "There is no such target of events.")),
    }
}

fn position(text: &str) -> Result<Stamp, S3Error> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Stamp::from_bytes)
        .ok_or_else(|| S3Error::invalid_argument("The position is not one of ours.", "after", text))
}
