//! What a version knows of its replication. Pure.

use serde::{Deserialize, Serialize};

use crate::stamp::Stamp;

/// `x-amz-replication-status`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReplicationStatus {
    /// `PENDING`: something is still to be sent.
    Pending,
    /// `COMPLETED`: all destinations have it.
    Completed,
    /// `FAILED`: some destination will not get it without somebody's help.
    Failed,
    /// `REPLICA`: another bucket's rule made it.
    Replica,
}

impl ReplicationStatus {
    /// S3's name.
    pub const fn name(self) -> &'static str {
        match self {
            ReplicationStatus::Pending => "PENDING",
            ReplicationStatus::Completed => "COMPLETED",
            ReplicationStatus::Failed => "FAILED",
            ReplicationStatus::Replica => "REPLICA",
        }
    }
}

/// Counts of a version's tasks; its status follows from them. They change in the batches that change the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplicationState {
    /// Whether replication made it.
    pub replica: bool,
    /// Whether some rule ever sent it.
    pub sent: bool,
    /// Tasks that wait.
    pub pending: u32,
    /// Tasks that were put aside.
    pub failed: u32,
    /// When what can change was last changed.
    pub changes: Changes,
}

/// When tags, access control list and lock of a version were last set. Where two stores replicate to each other, the later
/// change wins on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Of the tags; `None` if they are as the version was made.
    pub tags: Option<Stamp>,
    /// Of the access control list.
    pub acl: Option<Stamp>,
    /// Of retention and legal hold.
    pub lock: Option<Stamp>,
}

impl ReplicationState {
    /// Counts tasks that were added.
    pub(crate) fn count(&mut self, tasks: usize) {
        self.sent |= tasks > 0;
        self.pending = self.pending.saturating_add(u32::try_from(tasks).unwrap_or(u32::MAX));
    }

    /// Forgets that it was sent if nothing is under way: a task of it was given up, and it is not known of any destination that
    /// it has all of it.
    pub(crate) fn give_up(&mut self) {
        self.sent &= self.is_under_way();
    }

    /// Whether it is still to be sent somewhere, be it that somebody must help.
    pub(crate) fn is_under_way(&self) -> bool {
        self.pending > 0 || self.failed > 0
    }

    /// The status; `None` for a version that no rule concerns.
    pub fn status(&self) -> Option<ReplicationStatus> {
        match self {
            ReplicationState { failed: 1.., .. } => Some(ReplicationStatus::Failed),
            ReplicationState { pending: 1.., .. } => Some(ReplicationStatus::Pending),
            ReplicationState { replica: true, .. } => Some(ReplicationStatus::Replica),
            ReplicationState { sent: true, .. } => Some(ReplicationStatus::Completed),
            ReplicationState { .. } => None,
        }
    }
}
