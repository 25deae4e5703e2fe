//! Write path: staged bytes become the newest version of a key, in one index batch.
//!
//! The order of the steps, and what dying between any two leaves:
//!
//! 1. The bytes are staged and synced (`stage`). Dying here leaves unnamed bytes.
//! 2. The key's lock is taken; conditions and the bucket's versioning state are read under it.
//! 3. One synced batch installs the version, its references, and removes what it supersedes.
//!
//! Dying before 3 is durable leaves the old version as it was. The bytes of a superseded version stay until
//! `worker::collect` releases them. The locks travel with the batch, so they outlive a dropped future.

use crate::announce::Happening;
use crate::bucket::{Bucket, Versioning};
use crate::checksum::Checksum;
use crate::error::{Entity, Error, Result};
use crate::event::EventKind;
use crate::index::key::DueKind;
use crate::index::record::{Body, Content, ContentForm, CurrentRecord, Garbage, ObjectRecord, VersionRecord};
use crate::index::{Batch, Family, key};
use crate::lost::forget_notes;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ETag, Metadata, StorageClass, Tag, WriteCondition};
use crate::object_lock::{Governance, Removable, lock_of_new};
use crate::protection::Protection;
use crate::replica::Replica;
use crate::replication::ReplicationState;
use crate::residence::Residence;
use crate::stage::Staged;
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::store::{AskedBy, Inner, Store};
use crate::usage::{Usage, marker_key};

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
    /// Who owns it, what holds it, who has its key.
    pub protection: Protection,
    /// What must hold at commit.
    pub condition: WriteCondition,
    /// How it comes: `CreatedPut`, `CreatedPost` or `CreatedCopy`.
    pub created: EventKind,
    /// Set if it is a version of another bucket; it must be given a lock as it has there.
    pub replica: Option<Replica>,
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
            protection: Protection::default(),
            condition: WriteCondition::None,
            created: EventKind::CreatedPut,
            replica: None,
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
    /// `Err(NotFound(Key))` that `IfMatch` found no visible object, `Err(NotFound(Bucket))` that the bucket is gone,
    /// `Err(QuotaExceeded)` that it has no room for the object, `Err(NoObjectLock)` that it knows no locks,
    /// `Err(SealMismatch)` that the bytes are not sealed as their encryption says.
    /// After any `Err` but `Io`, `Index`, `NoSpace` and `Poisoned`, and after dropping the future before the commit, readers
    /// still see the previous version.
    pub async fn put(&self, request: PutObject) -> Result<Written> {
        let PutObject { bucket: name, key, staged, class, metadata, tags, checksum, protection, .. } = request;
        let PutObject { condition, created, replica, .. } = request;
        let bucket_guard = self.inner.locks.bucket_shared(name.as_str()).await;
        let bucket = self.bucket(&name).await?;
        let key_guard = self.inner.locks.key(bucket.id, key.as_str()).await;
        let current = self.inner.current(bucket.id, &key).await?;
        check_write(&condition, current.as_ref())?;
        let origin = Origin { created, asked: self.asked(), replica };
        let at = match replica {
            None => None,
            Some(replica) => {
                let (version_id, modified) = (Some(replica.version_id()), replica.version.time);
                if !self.inner.wants_replica(&bucket, &key, &replica).await? {
                    return Ok(Written { version_id, etag: staged.etag(), modified });
                }
                Some(replica.version)
            }
        };
        if staged.is_sealed() != protection.encryption.is_sealed() {
            return Err(Error::SealMismatch);
        }

        let mut batch = Batch::new();
        let (size, etag) = (staged.size(), staged.etag());
        let (content, pools) = staged.attach(&self.inner.keys, &mut batch);
        // The stamp is not known yet; `install` sets the time.
        let residence = Residence::new(class, Timestamp::default(), pools, size);
        let replication = ReplicationState::default();
        let object = ObjectRecord {
            size,
            etag,
            checksum,
            metadata,
            tags,
            body: Body::Single(content),
            residence,
            protection,
            replication,
        };
        let written = self.inner.install(&bucket, &key, at, object, &origin, &mut batch).await?;
        self.inner.reserve(&bucket, &mut batch).await?;
        batch.hold(bucket_guard);
        batch.hold(key_guard);
        self.inner.index.commit(batch).await?;
        Ok(written)
    }
}

/// How an object comes to be.
pub(crate) struct Origin<'a> {
    pub(crate) created: EventKind,
    pub(crate) asked: Option<&'a AskedBy>,
    pub(crate) replica: Option<Replica>,
}

/// Whether a write may happen, given the visible object.
pub(crate) fn check_write(condition: &WriteCondition, current: Option<&CurrentRecord>) -> Result<()> {
    match (condition, current) {
        (WriteCondition::None, _) | (WriteCondition::IfAbsent, None) => Ok(()),
        (WriteCondition::IfAbsent, Some(_)) => Err(Error::Precondition),
        (WriteCondition::IfMatch(_), None) => Err(Error::NotFound(Entity::Key)),
        (WriteCondition::IfMatch(etag), Some(current)) if *etag == Some(current.etag) => Ok(()),
        (WriteCondition::IfMatch(_), Some(_)) => Err(Error::Precondition),
    }
}

impl Inner {
    /// Adds to `batch` what installs `object` as a version of `key`, and what removes the version it supersedes.
    ///
    /// The caller holds the bucket shared and the key's lock. Without a `stamp` the version gets one newer than every
    /// version of the key. With one, a multipart upload's initiation, it takes its place by that time and becomes
    /// current only if it is the newest; where versions replace each other, the replaced one does not count.
    pub(crate) async fn install(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Option<Stamp>,
        mut object: ObjectRecord,
        origin: &Origin<'_>,
        batch: &mut Batch,
    ) -> Result<Written> {
        let null = origin.replica.map_or(bucket.versioning != Versioning::Enabled, |replica| replica.null);
        let mut newest = self.newest(bucket, key).await?;
        if null && let Some(old) = self.null_version(bucket, key, newest.as_ref()).await? {
            self.remove_version(bucket, key, &old, batch).await?;
            newest = match newest {
                Some(version) if version.stamp == old => self.version_before(bucket, key, old).await?,
                other => other,
            };
        }
        let stamp = stamp.unwrap_or_else(|| self.stamp_after(newest.as_ref().map(|newest| newest.stamp.time)));
        object.residence.since = self.clock.now();
        // An upload's version has the time of its initiation, but it is to be retained from now on.
        let made = object.residence.since.max(stamp.time);
        object.protection.lock = lock_of_new(bucket, object.protection.lock, made)?;
        match origin.replica {
            Some(Replica { changes, imported: false, .. }) => {
                object.replication = ReplicationState { replica: true, changes, ..ReplicationState::default() };
            }
            Some(Replica { imported: true, .. }) | None => {
                self.replicate_object(bucket, key.as_str(), (stamp, null), &mut object, batch);
            }
        }
        let happening = Happening::new(origin.created, key.as_str(), (stamp, null)).of(&object).asked(origin.asked);
        self.announce(bucket, &happening, batch);
        let becomes_current = newest.as_ref().is_none_or(|newest| stamp.is_newer(newest.stamp));
        let row = key::object(bucket.id, key.as_str());
        if becomes_current {
            if let Some(newest) = newest {
                self.wake_superseded(bucket, key, newest.stamp, batch);
                if newest.null {
                    // The null version is not the visible object any more, so its pointer is needed from now on.
                    batch.put(Family::Null, row.clone(), &newest.stamp);
                }
            }
            batch.put(Family::Current, row, &CurrentRecord::of(stamp, null, &object));
        } else {
            let newest = newest.expect("only a newest version can keep another from becoming current");
            self.make_visible(bucket, key, &newest, batch);
            if null {
                batch.put(Family::Null, row, &stamp);
            }
        }
        let own_id = (!null).then_some(VersionId::Stamp(stamp));
        let version_id = origin.replica.map_or(own_id, |replica| Some(replica.version_id()));
        let written = Written { version_id, etag: object.etag, modified: stamp.time };
        let (counted, usage) = object.usage(bucket.id);
        batch.count(counted, usage);
        let record = VersionRecord { null, due: None, object: Some(object) };
        self.put_version(bucket, key, stamp, record, batch);
        if !becomes_current {
            // After the version's own timer: if that is due now it has the same row, which must say that older ones are
            // concerned.
            self.wake_put_in(bucket, key, stamp, batch).await?;
        }
        Ok(written)
    }

    /// Adds to `batch` what removes one version's row and leaves its bytes to be collected, or `Err(ObjectLocked)`. The
    /// caller mends the `current` row, or replaces it in the same batch.
    pub(crate) async fn remove_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: &Stamp,
        batch: &mut Batch,
    ) -> Result<Option<VersionRecord>> {
        let row = key::version(bucket.id, key.as_str(), *stamp);
        let Some(record) = self.index.record::<VersionRecord>(Family::Version, row).await? else {
            return Ok(None);
        };
        let removable = Removable::of(&record, self.clock.now(), Governance::Binding)?;
        self.forget_version(bucket, key, stamp, removable, batch);
        Ok(Some(record))
    }

    /// As `remove_version`, of a version whose record was read under the key's lock.
    pub(crate) fn forget_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: &Stamp,
        removable: Removable<'_>,
        batch: &mut Batch,
    ) {
        let record = removable.record();
        batch.delete(Family::Version, key::version(bucket.id, key.as_str(), *stamp));
        if record.null && bucket.versioning != Versioning::Unversioned {
            batch.delete(Family::Null, key::object(bucket.id, key.as_str()));
        }
        if let Some(due) = record.due {
            batch.delete(Family::Due, key::due(DueKind::Version, due, bucket.id, key.as_str(), *stamp));
        }
        match &record.object {
            Some(object) => {
                let (counted, usage) = object.usage(bucket.id);
                batch.count(counted, usage.negated());
                self.charge_early_delete(bucket.id, object, batch);
                forget_notes(object.residence.class, *stamp, batch);
                self.release(Garbage::Body(object.body.clone(), object.residence.pools), batch);
            }
            None => batch.count(marker_key(bucket.id), Usage::marker(key.as_str()).negated()),
        }
    }

    /// Adds to `batch` what leaves bytes to be collected. Inline bytes need no collector: a reader that misses them
    /// finds its version gone, and looks again.
    pub(crate) fn release(&self, garbage: Garbage, batch: &mut Batch) {
        match garbage {
            Garbage::Body(Body::Single(Content { form: ContentForm::Empty, .. }), _) => {}
            Garbage::Body(Body::Single(Content { id, form: ContentForm::Inline, .. }), _) => {
                batch.delete(Family::Inline, id.to_bytes().to_vec());
            }
            garbage => batch.put(Family::Garbage, self.stamp().to_bytes().to_vec(), &garbage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_write;
    use crate::account::AccountId;
    use crate::error::{Entity, Error};
    use crate::index::record::CurrentRecord;
    use crate::object::{ETag, StorageClass, WriteCondition};
    use crate::stamp::{Stamp, Timestamp};

    #[test]
    fn write_conditions() {
        let etag = ETag::single([1; 16]);
        let current = CurrentRecord {
            stamp: Stamp { time: Timestamp::from_nanos(1), random: 1 },
            null: true,
            size: 0,
            etag,
            class: StorageClass::Standard,
            restore: None,
            checksum: None,
            owner: AccountId::ROOT,
        };
        let check = |condition: &WriteCondition, exists: bool| check_write(condition, exists.then_some(&current));
        assert!(check(&WriteCondition::None, false).is_ok());
        assert!(check(&WriteCondition::None, true).is_ok());
        assert!(check(&WriteCondition::IfAbsent, false).is_ok());
        assert!(matches!(check(&WriteCondition::IfAbsent, true), Err(Error::Precondition)));
        assert!(check(&WriteCondition::IfMatch(Some(etag)), true).is_ok());
        let other = WriteCondition::IfMatch(Some(ETag::single([2; 16])));
        assert!(matches!(check(&other, true), Err(Error::Precondition)));
        assert!(matches!(check(&WriteCondition::IfMatch(None), true), Err(Error::Precondition)));
        assert!(matches!(check(&other, false), Err(Error::NotFound(Entity::Key))));
    }
}
