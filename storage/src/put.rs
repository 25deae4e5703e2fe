//! Write path: staged bytes become the newest version of a key, in one index batch.
//!
//! The order of the steps, and what dying between any two leaves:
//!
//! 1. The bytes are staged and synced (`stage`). Dying here leaves unnamed bytes.
//! 2. The key's lock is taken; conditions and the bucket's versioning state are read under it.
//! 3. One synced batch installs the version, its references, and removes what it supersedes.
//!
//! Dying before 3 is durable leaves the old version as it was. The bytes of a superseded version stay until
//! `worker::collect` releases them.

use crate::checksum::Checksum;
use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ETag, Metadata, StorageClass, Tag, WriteCondition};
use crate::stage::Staged;
use crate::stamp::{Timestamp, VersionId};
use crate::store::Store;

/// An object to be written.
pub struct PutObject {
    /// Where.
    pub bucket: BucketName,
    /// Under which key.
    pub key: ObjectKey,
    /// The bytes.
    pub staged: Staged,
    /// The storage class.
    pub class: StorageClass,
    /// System and user metadata.
    pub metadata: Metadata,
    /// Tags.
    pub tags: Vec<Tag>,
    /// The checksum to keep with the object.
    pub checksum: Option<Checksum>,
    /// What must hold at commit.
    pub condition: WriteCondition,
}

impl PutObject {
    /// A plain write of `staged`, class STANDARD, without metadata or conditions.
    pub fn new(bucket: BucketName, key: ObjectKey, staged: Staged) -> PutObject {
        PutObject {
            bucket,
            key,
            staged,
            class: StorageClass::default(),
            metadata: Metadata::default(),
            tags: Vec::new(),
            checksum: None,
            condition: WriteCondition::None,
        }
    }
}

/// What a write made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The version's id; `None` unless the bucket's versioning is enabled.
    pub version_id: Option<VersionId>,
    /// The entity tag.
    pub etag: ETag,
    /// `Last-Modified`
    pub modified: Timestamp,
}

impl Store {
    /// Stores staged bytes as the newest version of a key.
    ///
    /// `Ok` means that the version survives a power cut. `Err(Precondition)` means that the condition did not hold,
    /// `Err(NotFound(Key))` that `IfMatch` found no visible object, `Err(NotFound(Bucket))` that the bucket is gone.
    /// After any `Err` but `Io`, `Index` and `Poisoned`, and after dropping the future before the commit, readers
    /// still see the previous version.
    pub async fn put(&self, request: PutObject) -> Result<Written> {
        todo!()
    }
}
