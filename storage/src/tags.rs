//! Object tags: replaced in place, per version.

use crate::error::{Entity, Error, Result};
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::{Tag, VersionSelector};
use crate::stamp::VersionId;
use crate::store::Store;

/// What a change of tags acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The version's id; `None` in a bucket that never was versioned.
    pub version_id: Option<VersionId>,
}

impl Store {
    /// Replaces the tags of a version; empty removes them. Errors as [`Store::object`].
    pub async fn set_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        tags: Vec<Tag>,
    ) -> Result<Tagged> {
        let bucket_guard = self.inner.locks.bucket_shared(bucket.as_str()).await;
        let bucket = self.bucket(bucket).await?;
        let key_guard = self.inner.locks.key(bucket.id, key.as_str()).await;
        let newest = self.inner.newest(&bucket, key).await?;
        let (stamp, missing) = match version {
            VersionSelector::Current => (newest.as_ref().map(|newest| newest.stamp), Entity::Key),
            VersionSelector::Id(id) => (self.inner.resolve(&bucket, key, id, newest.as_ref()).await?, Entity::Version),
        };
        let stamp = stamp.ok_or(Error::NotFound(missing))?;
        let row = key::version(bucket.id, key.as_str(), stamp);
        let record = self.inner.index.record::<VersionRecord>(Family::Version, row.clone()).await?;
        let mut record = record.ok_or(Error::NotFound(missing))?;
        let version_id = if record.null { VersionId::Null } else { VersionId::Stamp(stamp) };
        let Some(object) = &mut record.object else {
            let by_id = version != VersionSelector::Current;
            return Err(Error::DeleteMarker { version_id, modified: stamp.time, by_id });
        };
        let mut batch = Batch::new();
        let (counted, before) = object.usage(bucket.id);
        object.tags = tags;
        batch.count(counted, before.negated());
        batch.count(counted, object.usage(bucket.id).1);
        batch.put(Family::Version, row, &record);
        // Rules may ask for tags.
        self.inner.wake(&bucket, key, stamp, &mut batch);
        batch.hold(bucket_guard);
        batch.hold(key_guard);
        self.inner.index.commit(batch).await?;
        Ok(Tagged { version_id: bucket.was_versioned().then_some(version_id) })
    }
}
