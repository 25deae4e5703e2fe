//! Deeds: what rules, timers and restores did of themselves, without a request, in buckets that are logged. Told to whoever
//! listens once the change is durable, as events are; nothing is kept for those who come later.

use std::sync::Arc;

use crate::bucket::{Bucket, BucketDocument};
use crate::index::Batch;
use crate::object::StorageClass;
use crate::stamp::{Timestamp, VersionId};
use crate::store::Inner;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeedKind {
    /// A version was removed, or a delete marker that was alone.
    Expired,
    /// An object was hidden behind a delete marker.
    Hidden,
    /// An object came into another class.
    Transitioned(StorageClass),
    /// A restore was completed.
    Restored,
    /// An upload was aborted.
    Aborted,
}

/// One deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// What.
    pub kind: DeedKind,
    /// When.
    pub time: Timestamp,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version, in a bucket that has or had versioning.
    pub version_id: Option<VersionId>,
    /// The size of the object in bytes, if it was one.
    pub bytes: Option<u64>,
}

impl Inner {
    /// Adds to `batch` that something was done to a version, or an upload, which has none, if the bucket is logged.
    pub(crate) fn note_deed(
        &self,
        bucket: &Bucket,
        key: &str,
        kind: DeedKind,
        (version, bytes): (Option<VersionId>, Option<u64>),
        batch: &mut Batch,
    ) {
        if !bucket.documents.contains_key(&BucketDocument::Logging) || !self.listeners.want_deeds() {
            return;
        }
        let deed = Deed {
            kind,
            time: self.clock.now(),
            bucket: bucket.name.clone(),
            key: key.to_owned(),
            version_id: version.filter(|_| bucket.was_versioned()),
            bytes,
        };
        self.listeners.keep_deed(Arc::new(deed), &mut batch.untold);
    }
}
