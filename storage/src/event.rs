//! Events: what happens to objects, and which of it a bucket wants to be told of. Pure; `announce` puts them into queues.

use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::object::{ETag, StorageClass};
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::tiering::Tier;

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    /// `s3:ObjectCreated:Put`
    CreatedPut,
    /// `s3:ObjectCreated:Post`
    CreatedPost,
    /// `s3:ObjectCreated:Copy`
    CreatedCopy,
    /// `s3:ObjectCreated:CompleteMultipartUpload`
    CreatedUpload,
    /// `s3:ObjectRemoved:Delete`
    RemovedDelete,
    /// `s3:ObjectRemoved:DeleteMarkerCreated`
    RemovedMarker,
    /// `s3:ObjectRestore:Post`
    RestorePost,
    /// `s3:ObjectRestore:Completed`
    RestoreCompleted,
    /// `s3:ObjectRestore:Delete`
    RestoreDelete,
    /// `s3:ReducedRedundancyLostObject`
    LostObject,
    /// `s3:Replication:OperationFailedReplication`
    ReplicationFailed,
    /// `s3:Replication:OperationMissedThreshold`
    ReplicationMissedThreshold,
    /// `s3:Replication:OperationReplicatedAfterThreshold`
    ReplicationAfterThreshold,
    /// `s3:Replication:OperationNotTracked`
    ReplicationNotTracked,
    /// `s3:LifecycleExpiration:Delete`
    ExpirationDelete,
    /// `s3:LifecycleExpiration:DeleteMarkerCreated`
    ExpirationMarker,
    /// `s3:LifecycleTransition`
    Transition,
    /// `s3:IntelligentTiering`
    Tiering,
    /// `s3:ObjectAcl:Put`
    AclPut,
    /// `s3:ObjectTagging:Put`
    TaggingPut,
    /// `s3:ObjectTagging:Delete`
    TaggingDelete,
    /// `s3:ObjectRetention:Put`
    RetentionPut,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 22] = [
        EventKind::CreatedPut,
        EventKind::CreatedPost,
        EventKind::CreatedCopy,
        EventKind::CreatedUpload,
        EventKind::RemovedDelete,
        EventKind::RemovedMarker,
        EventKind::RestorePost,
        EventKind::RestoreCompleted,
        EventKind::RestoreDelete,
        EventKind::LostObject,
        EventKind::ReplicationFailed,
        EventKind::ReplicationMissedThreshold,
        EventKind::ReplicationAfterThreshold,
        EventKind::ReplicationNotTracked,
        EventKind::ExpirationDelete,
        EventKind::ExpirationMarker,
        EventKind::Transition,
        EventKind::Tiering,
        EventKind::AclPut,
        EventKind::TaggingPut,
        EventKind::TaggingDelete,
        EventKind::RetentionPut,
    ];
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct EventKinds(u64);

impl EventKinds {
    /// Every kind.
    pub fn all() -> EventKinds {
        EventKind::ALL.into_iter().collect()
    }

    /// Whether it is in the set.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u64) != 0
    }

    /// The kinds of both.
    #[must_use]
    pub const fn with(self, other: EventKinds) -> EventKinds {
        EventKinds(self.0 | other.0)
    }

    /// Whether some kind is in both.
    pub const fn intersects(self, other: EventKinds) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> EventKinds {
        EventKinds(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u64))
    }
}

/// One configuration of a bucket's notifications: which events go to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRule {
    /// Its id, unique within the bucket.
    pub id: String,
    /// The target's ARN. The engine only compares it.
    pub target: String,
    /// Which kinds.
    pub kinds: EventKinds,
    /// What the key must begin with.
    pub prefix: String,
    /// What the key must end with.
    pub suffix: String,
}

impl NotificationRule {
    /// Whether it wants such an event.
    pub fn wants(&self, kind: EventKind, key: &str) -> bool {
        self.kinds.contains(kind) && key.starts_with(&self.prefix) && key.ends_with(&self.suffix)
    }
}

/// Who asked for a change, as an event tells it. The engine never looks into it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Asked {
    /// The principal's id, `AWS:AIDA...`.
    pub principal: String,
    /// The client's address.
    pub address: String,
    /// The request's id.
    pub request: String,
    /// The request's host id.
    pub host: String,
}

/// What an event says besides the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventDetails {
    /// Nothing.
    None,
    /// Of `RestoreCompleted` and `RestoreDelete`.
    Restore {
        /// Until when the copy is there; `None` if it stays.
        expires: Option<Timestamp>,
        /// The class of the object.
        class: StorageClass,
    },
    /// Of `Transition`: the new class.
    Transition {
        /// The new class.
        class: StorageClass,
    },
    /// Of `Tiering`: the new tier.
    Tiering {
        /// The new tier.
        tier: Tier,
    },
    /// Of replication.
    Replication(ReplicationDetails),
}

/// What an event says of replication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationDetails {
    /// The rule's id.
    pub rule: String,
    /// The ARN of the destination bucket.
    pub destination: String,
    /// `OBJECT_PUT` and the like.
    pub operation: String,
    /// When the change to be replicated was made.
    pub requested: Timestamp,
    /// Why it failed, in S3's words.
    pub failure: Option<String>,
}

/// An event on its way to one target, or to whoever listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub time: Timestamp,
    /// The bucket's name at that time.
    pub bucket: String,
    /// The account that owns the bucket.
    pub owner: AccountId,
    /// The object's key.
    pub key: String,
    /// The object's size in bytes; `None` of what is gone, and of markers.
    pub size: Option<u64>,
    /// The object's entity tag; as `size`.
    pub etag: Option<ETag>,
    /// The version's id; `None` in a bucket that never was versioned.
    pub version_id: Option<VersionId>,
    /// The id of the configuration that wants it; empty for listeners.
    pub configuration: String,
    /// Who asked for it; `None` if the store did it by itself.
    pub asked: Option<Asked>,
    /// What there is to say besides.
    pub details: EventDetails,
    /// The stamp of the task that it was at first, if it has moved to another target or waits once more.
    pub moved: Option<Stamp>,
}

#[cfg(test)]
mod tests {
    use super::{EventKind, EventKinds, NotificationRule};

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        for kind in EventKind::ALL {
            let only: EventKinds = [kind].into_iter().collect();
            for other in EventKind::ALL {
                assert_eq!(only.contains(other), kind == other, "{kind:?} {other:?}");
            }
            assert!(EventKinds::all().contains(kind) && only.intersects(EventKinds::all()));
        }
        assert!(!EventKinds::default().intersects(EventKinds::all()));
    }

    #[test]
    fn rules_choose_by_kind_and_both_ends_of_the_key() {
        let rule = NotificationRule {
            id: "id".into(),
            target: "arn".into(),
            kinds: [EventKind::CreatedPut].into_iter().collect(),
            prefix: "images/".into(),
            suffix: ".jpg".into(),
        };
        for (kind, key, wanted) in [
            (EventKind::CreatedPut, "images/a.jpg", true),
            (EventKind::CreatedCopy, "images/a.jpg", false),
            (EventKind::CreatedPut, "images/a.png", false),
            (EventKind::CreatedPut, "a/images/a.jpg", false),
        ] {
            assert_eq!(rule.wants(kind, key), wanted, "{kind:?} {key}");
        }
    }
}
