//! `GET status`: whether writes are served, what the background workers do, what is to be sent to other buckets, and what waits
//! for the targets of events.

use serde::{Deserialize, Serialize};
use strata_storage::{StoreStatus, WorkerStatus};

use crate::admin::replication::{self, QueueDocument};
use crate::admin::{AdminRequest, EventTargetDocument, events};
use crate::error::S3Error;
use crate::request::Context;
use crate::time::iso8601;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDocument {
    /// `ready`, or `read_only` after a failed sync.
    pub state: String,
    /// The names of the zones that are lost.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lost_zones: Vec<String>,
    /// The workers.
    pub workers: Vec<WorkerDocument>,
    /// What buckets have to send to their destinations.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub replication: Vec<QueueDocument>,
    /// The targets of events.
    pub events: Vec<EventTargetDocument>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerDocument {
    /// What it does.
    pub name: String,
    /// Whether it is at work now.
    pub running: bool,
    /// What it did since the server started.
    pub done: u64,
    /// What it does a minute, lately.
    pub done_per_minute: u64,
    /// Bytes that it read and wrote since the server started.
    pub bytes: u64,
    /// What is due and not done, as last counted.
    pub backlog: u64,
    /// Whether counting ended there: there is more.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub backlog_capped: bool,
    /// When it last finished a round.
    pub last_run: Option<String>,
    /// What went wrong last.
    pub last_error: Option<FailureDocument>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureDocument {
    /// When.
    pub at: String,
    /// What.
    pub message: String,
}

/// Answers.
pub async fn get(ctx: &Context, request: AdminRequest) -> Result<StatusDocument, S3Error> {
    let state = match ctx.store.status() {
        StoreStatus::Ready => "ready",
        StoreStatus::ReadOnly => "read_only",
    };
    Ok(StatusDocument {
        state: state.to_owned(),
        lost_zones: ctx.store.lost_zones(),
        workers: ctx.store.workers().into_iter().map(document).collect(),
        replication: replication::queues(ctx, request.now).await?,
        events: events::targets(ctx).await?,
    })
}

fn document(worker: WorkerStatus) -> WorkerDocument {
    let WorkerStatus { name, running, done, done_per_minute, bytes, backlog, backlog_capped, last_run, last_error } =
        worker;
    WorkerDocument {
        name: name.to_owned(),
        running,
        done,
        done_per_minute,
        bytes,
        backlog,
        backlog_capped,
        last_run: last_run.map(iso8601),
        last_error: last_error.map(|(at, message)| FailureDocument { at: iso8601(at), message }),
    }
}
