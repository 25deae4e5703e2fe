//! Deletes: a version is removed for good, or a delete marker covers the key, in one index batch.
//!
//! As in `put`, conditions and versions are read under the key's lock, which travels with the batch. Dying before the
//! batch is durable changes nothing; after it, everything. Bytes are left to `worker::collect`.

use crate::announce::Happening;
use crate::bucket::{Bucket, Versioning};
use crate::error::{Entity, Error, Result};
use crate::event::EventKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::DeleteCondition;
use crate::object_lock::{Governance, Removable};
use crate::stamp::{Stamp, VersionId};
use crate::store::{Inner, Store};
use crate::usage::{Usage, marker_key};
use crate::versions::Version;

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
    /// Whether a governance retention of the version named binds.
    pub governance: Governance,
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
    /// `Err(NotFound(Key))` if a condition was set and there is no object, `Err(Precondition)` if it does not hold,
    /// `Err(ObjectLocked)` if Object Lock protects the version that would be gone for good.
    pub async fn delete(&self, request: DeleteObject) -> Result<Deleted> {
        let bucket_guard = self.inner.locks.bucket_shared(request.bucket.as_str()).await;
        let bucket = self.bucket(&request.bucket).await?;
        let key_guard = self.inner.locks.key(bucket.id, request.key.as_str()).await;
        let newest = self.inner.newest(&bucket, &request.key).await?;
        check_delete(&request.condition, newest.as_ref())?;

        let mut batch = Batch::making_room();
        let deleted = match request.version {
            Some(id) => self.remove_by_id(&bucket, &request, id, newest, &mut batch).await?,
            None if bucket.versioning == Versioning::Unversioned => {
                self.remove_object(&bucket, &request.key, newest, &mut batch).await?
            }
            None => self.add_marker(&bucket, &request.key, newest, &mut batch).await?,
        };
        if !batch.changes.is_empty() {
            batch.hold(bucket_guard);
            batch.hold(key_guard);
            self.inner.index.commit(batch).await?;
        }
        Ok(deleted)
    }
}

/// Whether a delete may happen, given the newest version.
fn check_delete(condition: &DeleteCondition, newest: Option<&Version>) -> Result<()> {
    let visible = newest.and_then(|newest| newest.visible.as_ref());
    match (condition, visible) {
        (DeleteCondition::None, _) | (DeleteCondition::IfPresent, Some(_)) => Ok(()),
        // S3 answers 412 where a delete marker is current, and 404 where there is nothing.
        (DeleteCondition::IfPresent, None) if newest.is_some() => Err(Error::Precondition),
        (_, None) => Err(Error::NotFound(Entity::Key)),
        (DeleteCondition::IfMatch(etag), Some(current)) if *etag == Some(current.etag) => Ok(()),
        (DeleteCondition::IfMatch(_), Some(_)) => Err(Error::Precondition),
    }
}

impl Store {
    async fn remove_object(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        newest: Option<Version>,
        batch: &mut Batch,
    ) -> Result<Deleted> {
        if let Some(newest) = newest {
            self.inner.remove_version(bucket, key, &newest.stamp, batch).await?;
            batch.delete(Family::Current, key::object(bucket.id, key.as_str()));
            self.tell(bucket, key, EventKind::RemovedDelete, (newest.stamp, newest.null), batch);
        }
        Ok(Deleted::default())
    }

    async fn add_marker(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        newest: Option<Version>,
        batch: &mut Batch,
    ) -> Result<Deleted> {
        let stamp = self.inner.stamp_after(newest.as_ref().map(|newest| newest.stamp.time));
        let mut removed = None;
        if bucket.versioning == Versioning::Suspended
            && let Some(old) = self.inner.null_version(bucket, key, newest.as_ref()).await?
        {
            removed = self.inner.remove_version(bucket, key, &old, batch).await?;
        }
        // A marker in place of another could go on for ever, too.
        if removed.is_none_or(|removed| removed.object.is_none()) {
            batch.only_covers();
        }
        if let Some(newest) = &newest {
            self.inner.wake_superseded(bucket, key, newest.stamp, batch);
        }
        let covered_null = newest.as_ref().filter(|newest| newest.null).map(|newest| newest.stamp);
        let version_id = self.inner.put_marker(bucket, key, stamp, covered_null, batch);
        if newest.is_none() || version_id == VersionId::Null {
            // It may be the only version there is.
            self.inner.wake_marker(bucket, key, stamp, batch);
        }
        let null = version_id == VersionId::Null;
        self.tell(bucket, key, EventKind::RemovedMarker, (stamp, null), batch);
        self.inner.replicate_marker(bucket, key.as_str(), stamp, null, batch);
        Ok(Deleted { marker: true, version_id: Some(version_id) })
    }

    async fn remove_by_id(
        &self,
        bucket: &Bucket,
        request: &DeleteObject,
        id: VersionId,
        newest: Option<Version>,
        batch: &mut Batch,
    ) -> Result<Deleted> {
        let key = &request.key;
        let nothing = Deleted { marker: false, version_id: Some(id) };
        let Some(stamp) = self.inner.resolve(bucket, key, id, newest.as_ref()).await? else { return Ok(nothing) };
        let row = key::version(bucket.id, key.as_str(), stamp);
        let Some(removed) = self.inner.index.record::<VersionRecord>(Family::Version, row).await? else {
            return Ok(nothing);
        };
        let removable = Removable::of(&removed, self.inner.clock.now(), request.governance)?;
        self.inner.forget_version(bucket, key, &stamp, removable, batch);
        self.tell(bucket, key, EventKind::RemovedDelete, (stamp, removed.null), batch);
        match newest {
            Some(newest) if newest.stamp == stamp => match self.inner.version_before(bucket, key, stamp).await? {
                Some(next) => {
                    self.inner.make_visible(bucket, key, &next, batch);
                    self.inner.wake(bucket, key, next.stamp, batch);
                }
                None => batch.delete(Family::Current, key::object(bucket.id, key.as_str())),
            },
            // A marker may be alone from now on.
            Some(newest) if newest.visible.is_none() => self.inner.wake_marker(bucket, key, newest.stamp, batch),
            _ => {}
        }
        Ok(Deleted { marker: removed.object.is_none(), version_id: Some(id) })
    }

    fn tell(&self, bucket: &Bucket, key: &ObjectKey, kind: EventKind, version: (Stamp, bool), batch: &mut Batch) {
        let happening = Happening::new(kind, key.as_str(), version).asked(self.asked());
        self.inner.announce(bucket, &happening, batch);
    }
}

impl Inner {
    /// Adds to `batch` a delete marker, `null` in a suspended bucket, over the newest version, whose stamp is
    /// `covered_null` if it is a `null` one. In a suspended bucket the caller removed the `null` version before.
    pub(crate) fn put_marker(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
        covered_null: Option<Stamp>,
        batch: &mut Batch,
    ) -> VersionId {
        let null = bucket.versioning == Versioning::Suspended;
        let row = key::object(bucket.id, key.as_str());
        // What names the null version when it is not the visible object: the marker itself, or the object it covers.
        if let Some(named) = if null { Some(stamp) } else { covered_null } {
            batch.put(Family::Null, row.clone(), &named);
        }
        batch.delete(Family::Current, row);
        batch.count(marker_key(bucket.id), Usage::marker(key.as_str()));
        self.put_version(bucket, key, stamp, VersionRecord { null, due: None, object: None }, batch);
        if null { VersionId::Null } else { VersionId::Stamp(stamp) }
    }

    /// The stamp of the version with that id, if the key has it.
    pub(crate) async fn resolve(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: VersionId,
        newest: Option<&Version>,
    ) -> Result<Option<Stamp>> {
        let stamp = match id {
            VersionId::Null => return self.null_version(bucket, key, newest).await,
            VersionId::Stamp(stamp) => stamp,
        };
        // A null version has a stamp too, but that is not an id by which it can be named.
        let row = key::version(bucket.id, key.as_str(), stamp);
        let record = self.index.record::<VersionRecord>(Family::Version, row).await?;
        Ok(record.filter(|record| !record.null).map(|_| stamp))
    }
}
