//! What a bucket is: its identity, its versioning state, its configuration.

use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::AccountId;
use crate::analytics::AnalyticsConfiguration;
use crate::event::NotificationRule;
use crate::lifecycle::Lifecycle;
use crate::name::BucketName;
use crate::object::Tag;
use crate::protection::{ObjectLock, Quota};
use crate::replication::Replication;
use crate::stamp::Timestamp;
use crate::tiering::TieringConfiguration;

/// A bucket's versioning state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Versioning {
    /// Never enabled: one version per key, with id `null`.
    #[default]
    Unversioned,
    /// Every write adds a version.
    Enabled,
    /// Writes replace the `null` version; others stay.
    Suspended,
}

/// Who owns the objects of a bucket, and whether ACLs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ObjectOwnership {
    /// `BucketOwnerEnforced`: ACLs are off.
    #[default]
    BucketOwnerEnforced,
    /// `BucketOwnerPreferred`
    BucketOwnerPreferred,
    /// `ObjectWriter`
    ObjectWriter,
}

/// A bucket as it is stored and reported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Never reused, so that a bucket made anew under an old name shares nothing with it.
    pub id: u64,
    /// The account that owns it.
    pub owner: AccountId,
    /// Counts its changes, so that what was computed from it can be told from what is to be computed anew.
    pub revision: u64,
    /// When it was made.
    pub created: Timestamp,
    /// The region it was made in.
    pub region: String,
    /// Versioning state.
    pub versioning: Versioning,
    /// Object ownership; `None` once it was removed, and then ACLs count as with `ObjectWriter`.
    pub ownership: Option<ObjectOwnership>,
    /// Object Lock, if it is enabled.
    pub object_lock: Option<ObjectLock>,
    /// How much it may hold.
    pub quota: Quota,
    /// Bucket tags, in the order set.
    pub tags: Vec<Tag>,
    /// The lifecycle configuration. It has a row of its own, as have the following: none of them is part of a
    /// [`BucketPage`].
    #[serde(skip)]
    pub lifecycle: Option<Lifecycle>,
    /// Configurations of the archive tiers of `INTELLIGENT_TIERING`, in the order of their ids.
    #[serde(skip)]
    pub tiering: Vec<TieringConfiguration>,
    /// Configurations of storage-class analysis, in the order of their ids.
    #[serde(skip)]
    pub analytics: Vec<AnalyticsConfiguration>,
    /// Which events go where, in the order given.
    #[serde(skip)]
    pub notifications: Vec<NotificationRule>,
    /// Which versions go where; versioning cannot be suspended meanwhile.
    #[serde(skip)]
    pub replication: Option<Replication>,
    /// Configurations that the engine keeps and never reads.
    #[serde(skip)]
    pub documents: BTreeMap<BucketDocument, Arc<[u8]>>,
}

/// A kind of configuration that only those who embed the engine understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BucketDocument {
    /// The bucket policy.
    Policy,
    /// Block Public Access.
    PublicAccessBlock,
    /// The bucket's access control list.
    Acl,
    /// Cross-origin resource sharing.
    Cors,
    /// Default encryption.
    Encryption,
    /// Server access logging.
    Logging,
    /// Event notifications, as they were asked for; set together with the rules.
    Notifications,
    /// Where the destinations of replication rules are; set together with the rules.
    ReplicationPlaces,
}

impl Bucket {
    /// Whether versioning was ever enabled, which decides if version ids are reported.
    pub fn was_versioned(&self) -> bool {
        self.versioning != Versioning::Unversioned
    }

    /// Whether there are rules that may act on objects of that key by themselves.
    pub(crate) fn has_rules(&self, key: &str) -> bool {
        !self.tiering.is_empty() || self.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.concerns(key))
    }
}

/// The configurations of a bucket that may be large, in a row apart from the bucket's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct BucketRules {
    pub(crate) lifecycle: Option<Lifecycle>,
    pub(crate) tiering: Vec<TieringConfiguration>,
    pub(crate) analytics: Vec<AnalyticsConfiguration>,
    pub(crate) notifications: Vec<NotificationRule>,
    pub(crate) replication: Option<Replication>,
    pub(crate) documents: BTreeMap<BucketDocument, Arc<[u8]>>,
}

impl BucketRules {
    /// Those of a bucket.
    pub(crate) fn of(bucket: &Bucket) -> BucketRules {
        let Bucket { lifecycle, tiering, analytics, notifications, replication, documents, .. } = bucket.clone();
        BucketRules { lifecycle, tiering, analytics, notifications, replication, documents }
    }

    /// The bucket with these.
    pub(crate) fn put_into(self, bucket: &mut Bucket) {
        let BucketRules { lifecycle, tiering, analytics, notifications, replication, documents } = self;
        bucket.lifecycle = lifecycle;
        bucket.tiering = tiering;
        bucket.analytics = analytics;
        bucket.notifications = notifications;
        bucket.replication = replication;
        bucket.documents = documents;
    }
}

/// How a bucket shall begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewBucket {
    /// The account that will own it.
    pub owner: AccountId,
    /// The region to report.
    pub region: String,
    /// Object ownership.
    pub ownership: ObjectOwnership,
    /// Object Lock, which also enables versioning.
    pub object_lock: bool,
    /// Bucket tags.
    pub tags: Vec<Tag>,
    /// Configurations that the engine keeps and never reads.
    pub documents: BTreeMap<BucketDocument, Arc<[u8]>>,
}

/// One change to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketChange {
    /// Enables or suspends versioning. `Unversioned` is refused with `BucketState`, and so is suspending a bucket
    /// with Object Lock.
    Versioning(Versioning),
    /// Sets object ownership; `None` removes it.
    Ownership(Option<ObjectOwnership>),
    /// Sets Object Lock. `BucketState` unless versioning is enabled.
    ObjectLock(ObjectLock),
    /// Sets how much the bucket may hold from now on; what it holds stays.
    Quota(Quota),
    /// Replaces a document; `None` removes it.
    Document(BucketDocument, Option<Arc<[u8]>>),
    /// Replaces the tags; empty removes them.
    Tags(Vec<Tag>),
    /// Replaces the lifecycle configuration; `None` removes it.
    Lifecycle(Option<Lifecycle>),
    /// Adds a tiering configuration or replaces the one of its id; `TooManyConfigurations` beyond 1,000.
    PutTiering(TieringConfiguration),
    /// Removes the tiering configuration of that id; `NotFound(Configuration)` if there is none.
    DeleteTiering(String),
    /// Adds an analytics configuration or replaces the one of its id; `TooManyConfigurations` beyond 1,000.
    PutAnalytics(AnalyticsConfiguration),
    /// Removes the analytics configuration of that id; `NotFound(Configuration)` if there is none.
    DeleteAnalytics(String),
    /// Replaces the notification rules and the document that they come from; no rules remove them.
    Notifications {
        /// The rules.
        rules: Vec<NotificationRule>,
        /// The document; `None` removes it.
        document: Option<Arc<[u8]>>,
    },
    /// Replaces the replication configuration; `None` removes it. `BucketState` unless versioning is enabled. The document
    /// about its destinations is removed.
    Replication(Option<Replication>),
    /// The same with the document about its destinations.
    PlacedReplication {
        /// The configuration.
        replication: Replication,
        /// The document.
        places: Arc<[u8]>,
    },
}

/// Which buckets to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketQuery {
    /// Only names with this prefix.
    pub prefix: String,
    /// Only buckets of this account.
    pub owner: Option<AccountId>,
    /// Only buckets of this region.
    pub region: Option<String>,
    /// Only names after this one.
    pub after: Option<String>,
    /// At most this many, 1 to 10,000.
    pub max: usize,
}

/// One page of buckets, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketPage {
    /// The buckets.
    pub buckets: Vec<(BucketName, Bucket)>,
    /// The last name of this page if there is more.
    pub next: Option<String>,
}
