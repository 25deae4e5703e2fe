//! `GET status`: whether writes are served, and what the background workers do.

use serde::{Deserialize, Serialize};
use strata_storage::{StoreStatus, WorkerStatus};

use crate::admin::AdminRequest;
use crate::request::Context;
use crate::time::iso8601;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDocument {
    /// `ready`, or `read_only` after a failed sync.
    pub state: String,
    /// The workers.
    pub workers: Vec<WorkerDocument>,
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
    /// What is waiting.
    pub backlog: u64,
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
pub fn get(ctx: &Context, _request: AdminRequest) -> StatusDocument {
    let state = match ctx.store.status() {
        StoreStatus::Ready => "ready",
        StoreStatus::ReadOnly => "read_only",
    };
    StatusDocument { state: state.to_owned(), workers: ctx.store.workers().into_iter().map(document).collect() }
}

fn document(worker: WorkerStatus) -> WorkerDocument {
    let WorkerStatus { name, running, done, done_per_minute, bytes, backlog, last_run, last_error } = worker;
    WorkerDocument {
        name: name.to_owned(),
        running,
        done,
        done_per_minute,
        bytes,
        backlog,
        last_run: last_run.map(iso8601),
        last_error: last_error.map(|(at, message)| FailureDocument { at: iso8601(at), message }),
    }
}
