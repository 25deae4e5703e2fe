//! Attributes of a version that are replaced in place: its tags, its access control list.
//!
//! The record is read and written under the key's lock, in one batch: after a crash the version has the old attribute or
//! the new one.

use crate::announce::Happening;
use crate::bucket::Bucket;
use crate::error::{Entity, Error, Result};
use crate::event::EventKind;
use crate::index::record::{ObjectRecord, VersionRecord};
use crate::index::{Batch, Family, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::VersionSelector;
use crate::stamp::{Stamp, VersionId};
use crate::store::Store;

/// What a change of attributes acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The version's id; `None` in a bucket that never was versioned.
    pub version_id: Option<VersionId>,
}

/// A version whose record is being changed.
pub(crate) struct Changing<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) key: &'a ObjectKey,
    pub(crate) stamp: Stamp,
    /// Whether its id is `null`.
    pub(crate) null: bool,
    pub(crate) object: &'a mut ObjectRecord,
    pub(crate) batch: &'a mut Batch,
}

impl Store {
    /// Replaces the access control list of a version, a document that the engine never reads; `None` grants nothing to
    /// others. Errors as [`Store::object`].
    pub async fn set_acl(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        acl: Option<Vec<u8>>,
    ) -> Result<Tagged> {
        let change = |changing: Changing<'_>| {
            let Changing { bucket, key, stamp, null, object, batch } = changing;
            object.protection.owner.acl = acl;
            let known = &mut object.replication.changes;
            known.acl = Some(self.inner.stamp_of_change(known.acl));
            self.inner.replicate_changes(bucket, key.as_str(), (stamp, null), object, batch);
            let happening = Happening::new(EventKind::AclPut, key.as_str(), (stamp, null));
            self.inner.announce(bucket, &happening.of(object).asked(self.asked()), batch);
            Ok(())
        };
        self.change_object(bucket, key, version, change).await
    }

    /// Changes a version's record as `change` says, which gets it with the bucket, and may add to the batch.
    pub(crate) async fn change_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        change: impl FnOnce(Changing<'_>) -> Result<()>,
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
        change(Changing { bucket: &bucket, key, stamp, null: record.null, object, batch: &mut batch })?;
        batch.count(counted, before.negated());
        batch.count(counted, object.usage(bucket.id).1);
        batch.put(Family::Version, row, &record);
        batch.hold(bucket_guard);
        batch.hold(key_guard);
        self.inner.index.commit(batch).await?;
        Ok(Tagged { version_id: bucket.was_versioned().then_some(version_id) })
    }
}
