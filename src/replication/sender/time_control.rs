//! Replication time control: who is told of what takes longer than it promises, and of what it tracks no more.
//!
//! A task is tracked while its rule has time control; delete markers never are, as at S3. It is tracked no more when its version
//! is gone before it was sent, or when the rule loses time control or is taken away while the task is being tried.

use std::time::Duration;

use strata_storage::{BucketName, EventKind, Replicate, ReplicatedPart};

use super::Sender;

/// What it promises.
const THRESHOLD: Duration = Duration::from_secs(15 * 60);

/// What is known of a task.
#[derive(Debug, Default)]
pub struct Tracked {
    is_tracked: bool,
    /// Whether somebody was told that it is late.
    told_late: bool,
}

impl Tracked {
    /// An attempt begins.
    pub async fn begin(&mut self, sender: &Sender, source: &BucketName, replicate: &Replicate) {
        let was_tracked = self.is_tracked;
        self.is_tracked = has_time_control(sender, source, replicate).await.unwrap_or(was_tracked);
        if was_tracked && !self.is_tracked {
            tell(sender, EventKind::ReplicationNotTracked, replicate).await;
        }
    }

    /// The attempt failed for a reason that passes.
    pub async fn failed(&mut self, sender: &Sender, replicate: &Replicate) {
        if self.is_tracked && !self.told_late && is_late(sender, replicate) {
            tell(sender, EventKind::ReplicationMissedThreshold, replicate).await;
            self.told_late = true;
        }
    }

    /// It has arrived.
    pub async fn arrived(&self, sender: &Sender, replicate: &Replicate) {
        if self.is_tracked && is_late(sender, replicate) {
            tell(sender, EventKind::ReplicationAfterThreshold, replicate).await;
        }
    }

    /// It will not be sent: there is nothing left to send.
    pub async fn dropped(&self, sender: &Sender, replicate: &Replicate) {
        if self.is_tracked {
            tell(sender, EventKind::ReplicationNotTracked, replicate).await;
        }
    }
}

/// Whether the rule of a task has time control. `None` if that cannot be read.
async fn has_time_control(sender: &Sender, source: &BucketName, replicate: &Replicate) -> Option<bool> {
    if replicate.part == ReplicatedPart::Marker {
        return Some(false);
    }
    let bucket = sender.context.store.bucket(source).await.ok()?;
    let rule = bucket.replication.as_ref().and_then(|replication| replication.rule(&replicate.rule));
    Some(rule.is_some_and(|rule| rule.enabled && rule.destination.time_control == Some(true)))
}

fn is_late(sender: &Sender, replicate: &Replicate) -> bool {
    sender.clock.now().since(replicate.requested) >= THRESHOLD
}

async fn tell(sender: &Sender, kind: EventKind, replicate: &Replicate) {
    if let Err(error) = sender.context.store.tell_replication(kind, replicate, None).await {
        tracing::warn!(%error, "an event of replication is lost");
    }
}
