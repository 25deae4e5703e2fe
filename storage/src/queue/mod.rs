//! Queues: what is to be done elsewhere because of a change here, kept until it is done. An event goes to a target, a
//! version to another bucket.
//!
//! A task is a row that the batch of its change writes, so nothing that was acknowledged is forgotten, and nothing is done
//! for a change that never was. It is deleted when it is done, or put aside with the reason why it cannot be. Tasks have
//! stamps in the order of their changes; `arrivals` keeps readers from passing one that is still being written.
//!
//! Dying between the doing and the deleting leaves the task: it is done again. So everything here is done at least once.

mod arrivals;
mod replicating;
mod tasks;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::stamp::{Stamp, Timestamp, VersionId};

pub(crate) use arrivals::{Arrivals, Arriving};
pub(crate) use tasks::{backlog_of, latest_task};

/// What a queue is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QueueName {
    /// Events of all buckets for one target.
    Events {
        /// The target's ARN.
        target: String,
    },
    /// Versions of one bucket for one destination.
    Replication {
        /// The source bucket's id.
        bucket: u64,
        /// The destination bucket's ARN.
        destination: String,
    },
}

impl QueueName {
    /// Its id, which follows from the name.
    pub fn id(&self) -> QueueId {
        let mut hasher = blake3::Hasher::new_derive_key("strata 2026-11-23 queue id");
        match self {
            QueueName::Events { target } => hasher.update(b"e").update(target.as_bytes()),
            QueueName::Replication { bucket, destination } => {
                hasher.update(b"r").update(&bucket.to_be_bytes()).update(destination.as_bytes())
            }
        };
        let id = *hasher.finalize().as_bytes().first_chunk::<8>().expect("a BLAKE3 hash has 32 bytes");
        QueueId(u64::from_be_bytes(id))
    }
}

/// Names a queue's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub(crate) u64);

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its place in the queue, and what names it. Of two tasks of one key the earlier change has the earlier stamp.
    pub stamp: Stamp,
    /// What is to be done.
    pub work: Work,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Tell a target of an event.
    Event(Box<Event>),
    /// Bring a version, or what changed of it, to a destination.
    Replicate(Replicate),
}

/// A version to be replicated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// The source bucket's id.
    pub bucket: u64,
    /// The object's key.
    pub key: String,
    /// The version's stamp, also of a `null` version.
    pub version: Stamp,
    /// Whether its id is `null`.
    pub null: bool,
    /// What of it.
    pub part: ReplicatedPart,
    /// The id of the rule that wants it.
    pub rule: String,
    /// The object's size; 0 if its content is not to be sent.
    pub bytes: u64,
    /// When the change was made.
    pub requested: Timestamp,
}

impl Replicate {
    /// Whether it may begin an upload at its destination.
    pub(crate) fn may_upload(&self) -> bool {
        self.part == ReplicatedPart::Object && self.bytes > 0
    }

    /// The version's id as clients know it.
    pub fn version_id(&self) -> VersionId {
        if self.null { VersionId::Null } else { VersionId::Stamp(self.version) }
    }
}

/// What of a version is to be replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReplicatedPart {
    /// The object, with all that it has by then.
    Object,
    /// A delete marker.
    Marker,
    /// Tags, access control list and lock, as they are by then.
    Changes,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// It was done.
    Done,
    /// It is not to be done any more: what it is about is gone, or too old, or too much.
    Dropped,
    /// Somebody else is to do it: it is the newest task of another queue now, and counts as dropped here. Of events only.
    Moved {
        /// The queue that it is in now.
        to: QueueName,
    },
    /// It cannot be done without somebody's help.
    PutAside {
        /// Why, in S3's words where it has some.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
}

/// A task that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideTask {
    /// The task.
    pub task: Task,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was put aside.
    pub since: Timestamp,
}

/// What a queue holds, and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Tasks that wait.
    pub waiting: u64,
    /// Their bytes: of objects to be sent, or of the events themselves.
    pub waiting_bytes: u64,
    /// Tasks put aside.
    pub aside: u64,
    /// Their bytes.
    pub aside_bytes: u64,
    /// Tasks done, ever.
    pub done: u64,
    /// Their bytes.
    pub done_bytes: u64,
    /// Tasks dropped, ever.
    pub dropped: u64,
}

/// A queue as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStatus {
    /// What it is for.
    pub name: QueueName,
    /// What it holds.
    pub backlog: Backlog,
    /// The time of the oldest task that waits.
    pub oldest: Option<Timestamp>,
    /// What of it belongs to which rule of replication, by the rules' ids; empty for events.
    pub rules: Vec<(String, Backlog)>,
}

/// A value of the task family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    pub(crate) work: Work,
    /// Set if it is put aside.
    pub(crate) aside: Option<AsideRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AsideRecord {
    pub(crate) reason: String,
    pub(crate) attempts: u32,
    pub(crate) since: Timestamp,
}

/// The upload that a waiting task began at its destination: what goes on with it after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadedRecord {
    /// Its id there.
    pub(crate) id: String,
}

/// What a row says of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// It waits.
    Waiting,
    /// It is put aside.
    Aside,
    /// It waits, and has begun an upload. The row is beside that of `Waiting`, and goes with it.
    Uploaded,
    /// It is put aside, and is found by the version that it is about. The row is beside that of `Aside`, and goes with it;
    /// older builds wrote none.
    AsideOf,
}

impl TaskState {
    pub(crate) const ALL: [TaskState; 4] =
        [TaskState::Waiting, TaskState::Aside, TaskState::Uploaded, TaskState::AsideOf];

    pub(crate) const fn number(self) -> u8 {
        match self {
            TaskState::Waiting => 0,
            TaskState::Aside => 1,
            TaskState::Uploaded => 2,
            TaskState::AsideOf => 3,
        }
    }
}
