//! Deletes: a version is removed for good, or a delete marker covers the key, in one index batch.

use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::DeleteCondition;
use crate::stamp::VersionId;
use crate::store::Store;

/// What to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteObject {
    /// In which bucket.
    pub bucket: BucketName,
    /// Which key.
    pub key: ObjectKey,
    /// The version to remove for good; `None` removes the object or adds a marker, as the bucket's versioning says.
    pub version: Option<VersionId>,
    /// What must hold of the visible object at commit.
    pub condition: DeleteCondition,
}

/// What a delete did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Whether a marker was made, or the removed version was one.
    pub marker: bool,
    /// The id of the marker made, or of the version named in the request; `None` in a bucket that never was versioned
    /// when none was named.
    pub version_id: Option<VersionId>,
}

impl Store {
    /// Deletes, as S3's table of versioning states says. Deleting what is not there is `Ok`.
    ///
    /// `Err(NotFound(Key))` if a condition was set and there is no object, `Err(Precondition)` if it does not hold.
    pub async fn delete(&self, request: DeleteObject) -> Result<Deleted> {
        todo!()
    }
}
