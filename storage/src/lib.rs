//! Strata's storage engine: versioned objects in buckets, durable on return, on one machine.
//!
//! The engine knows S3's semantics and nothing of HTTP, XML or S3 error codes. It keeps a RocksDB
//! index (`index`) and content-addressed segments (`blob`) in one data directory.
//!
//! What every call promises:
//!
//! * `Ok` from a call that changes something means that the change survives a power cut.
//! * `Err`, or dropping the future, means that readers see either the old state or, when the outcome
//!   was already on its way to the disk, the new one; never a mixture.
//! * Calls on one key are linearizable, conditions included.
//!
//! ```no_run
//! # async fn demo() -> Result<(), strata_storage::Error> {
//! use strata_storage::{BucketName, NewBucket, ObjectKey, OpenOptions, PutObject, Store, VersionSelector};
//!
//! let store = Store::open(OpenOptions::new("./data")).await?;
//! let bucket = BucketName::parse("photos").expect("a valid name");
//! store.create_bucket(&bucket, NewBucket::default()).await?;
//!
//! let key = ObjectKey::parse("2026/cat.jpg").expect("a valid key");
//! let staged = store.stage_bytes(&b"meow"[..]).await?;
//! store.put(PutObject::new(bucket.clone(), key.clone(), staged)).await?;
//!
//! let object = store.object(&bucket, &key, VersionSelector::Current).await?;
//! let bytes = object.read(0..object.info().size).collect().await?;
//! assert_eq!(&bytes[..], b"meow");
//! # Ok(())
//! # }
//! ```

// Words: values that are valid by construction.
mod account;
mod bucket;
mod checksum;
mod configuration;
mod deed;
mod error;
mod event;
mod name;
mod object;
mod pool;
mod protection;
mod replication;
mod residence;
mod room;
mod stamp;
mod usage;
mod zone;

// Rules: pure decisions.
pub mod analytics;
mod lifecycle;
pub mod tiering;

// Keys, and what is sealed with them.
mod cipher;

// The doors to the outside: time, randomness, files.
mod clock;
mod directory;
mod fs;

// What threads meet at.
mod sync;

// The two stores.
mod blob;
mod index;

// The look at all of it, and all of it elsewhere.
mod backup;
mod check;

// One file per path that a request can take.
mod access;
mod announce;
mod attributes;
mod copy;
mod delete;
mod document;
mod evaluate;
mod get;
mod get_sealed;
mod known;
mod lanes;
mod list;
mod list_versions;
mod live;
mod locks;
mod lookup;
mod lost;
mod meter;
mod multipart;
mod multipart_complete;
mod multipart_list;
mod object_lock;
mod plan;
mod preview;
mod put;
mod queue;
mod quota;
mod replica;
mod residence_change;
mod restore;
mod stage;
mod store;
mod store_buckets;
mod store_info;
mod tags;
mod timer;
mod usage_report;
mod versions;
mod zones;

// What runs by itself.
mod worker;

/// Cases of what meets in memory, for the schedules of `tests/schedules`.
#[cfg(shuttle)]
#[path = "../../tests/schedules/inside/mod.rs"]
pub mod schedules;

/// Doors for fuzzers.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::blob::fuzzing::{file_name, segment};
    pub use crate::index::fuzzing::{record, row};
}

pub use access::{Access, Accesses};
pub use account::AccountId;
pub use analytics::{AnalyticsConfiguration, AnalyticsExport};
pub use attributes::Tagged;
pub use backup::{
    BackupInfo, BackupOptions, BackupProgress, BackupStatus, DirectoryRepository, Pending, Pruned, Repository,
    RepositoryFile, RestoreOptions, Restored, VerifyReport, backups, prune_backups, restore, unlock_repository,
    verify_backup,
};
pub use bucket::{
    Bucket, BucketChange, BucketDocument, BucketPage, BucketQuery, NewBucket, ObjectOwnership, Versioning,
};
pub use check::{
    CheckDepth, CheckObserver, CheckOptions, CheckProgress, CheckReport, CheckStep, Finding, FindingKind, check,
};
pub use checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, Digests};
pub use cipher::{DataKey, KeyStatus, MasterKey};
pub use clock::{Clock, Entropy, ManualClock, SeededEntropy, SystemClock, SystemEntropy};
pub use configuration::{CONFIGURATIONS_MAX, ConfigurationFilter};
pub use deed::{Deed, DeedKind};
pub use delete::{DeleteObject, Deleted};
pub use directory::is_encrypted;
pub use document::{DOCUMENT_BYTES_MAX, DOCUMENT_NAME_BYTES_MAX, DocumentChange};
pub use error::{Entity, Error, Result};
pub use event::{Asked, Event, EventDetails, EventKind, EventKinds, NotificationRule, ReplicationDetails};
pub use get::{ObjectReader, OpenObject};
pub use known::KnownChunk;
pub use lifecycle::{
    Action, Calendar, Due, Expiration, Filter, FilterForm, Kind, Lifecycle, Next, NoncurrentExpiration,
    NoncurrentTransition, Position, Rule, Status, Subject, TRANSITION_BYTES_MIN, Transition, TransitionMinimum, When,
    may_follow,
};
pub use list::{ListEntry, ListPage, ListQuery};
pub use list_versions::{VersionEntry, VersionObject, VersionsPage, VersionsQuery};
pub use meter::{Activity, BucketActivity, Meter, Month, RequestKind, early_delete_byte_days, least_days};
pub use multipart::{NewUpload, PartInfo, UploadInfo};
pub use multipart_complete::{CompleteUpload, CompletedPart, CompletedUpload};
pub use multipart_list::{PartsPage, UploadEntry, UploadsPage, UploadsQuery};
pub use name::{BucketName, NameError, ObjectKey};
pub use object::{
    ChecksumSummary, DeleteCondition, ETag, Metadata, ObjectInfo, ObjectPart, StorageClass, Tag, VersionSelector,
    WriteCondition,
};
pub use object_lock::{Governance, Hold, RetentionChange};
pub use pool::{Pool, PoolSet};
pub use preview::{Holding, PreviewAction, PreviewEvent, PreviewPage, PreviewPosition, PreviewQuery, PreviewSums};
pub use protection::{
    CustomerEncryption, Encryption, KmsEncryption, LegalHold, Lock, ObjectLock, ObjectOwner, Protection, Quota,
    Retention, RetentionMode, RetentionPeriod,
};
pub use put::{PutObject, Written};
pub use queue::{
    AsideTask, Backlog, QueueId, QueueName, QueueStatus, Replicate, ReplicatedPart, Task, TaskOutcome, Work,
};
pub use quota::{Amount, QuotaExceeded, QuotaResource, QuotaScope};
pub use replica::{Replica, ReplicaChanges};
pub use replication::{
    Candidate, Changes, Destination, Replication, ReplicationForm, ReplicationRule, ReplicationState, ReplicationStatus,
};
pub use residence::{Restore, RestoreSpeed, home as home_pool};
pub use restore::{RestoreOutcome, RestoreRequest, RestoreTimes};
pub use room::{Gauge, Room, SystemGauge};
pub use stage::{CopyStage, Stage, StageOptions, Staged};
pub use stamp::{Stamp, Timestamp, UploadId, VersionId};
pub use store::{OpenOptions, Store, StoreStatus};
pub use store_info::{PoolStatus, StoreInfo};
pub use tiering::{Tier, TieringConfiguration};
pub use usage::{Usage, UsageKey, has_least_size};
pub use usage_report::BucketUsage;
pub use worker::{Evaluated, Healed, LostVersion, ReportRefusal, ScrubStatus, TakesReports, WorkerStatus};
pub use zone::{ZoneId, ZoneState};
pub use zones::{LostBytes, ZoneOptions, ZoneStatus};
