//! Replicas: versions that another bucket's rule made, and what becomes of them here.
//!
//! A replica takes its source's version id, and with it its place among the versions of the key: two buckets with the same
//! versions have them in the same order, whatever came first. A version that is there already is left alone. Tags, access
//! control list and lock carry the stamp of their last change, and the later change wins, whichever side made it.
//!
//! Replicas are not replicated again, and changes that came this way are not sent back. Notifications tell of both, as of
//! what clients do.

use crate::announce::Happening;
use crate::attributes::Changing;
use crate::bucket::{Bucket, Versioning};
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::{Tag, VersionSelector};
use crate::protection::Lock;
use crate::replication::Changes;
use crate::stamp::{Stamp, VersionId};
use crate::store::{Inner, Store};
use crate::usage::{Usage, marker_key};

/// What a replica takes from its source besides what every object has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// The source's stamp, also of a `null` version.
    pub version: Stamp,
    /// Whether its id is `null`.
    pub null: bool,
    /// When what can change was last changed.
    pub changes: Changes,
    /// Whether it is brought here by an import, and not by a rule. Then it is an object like any other, whose rules apply to it
    /// as to a new one, and may come to a bucket whose versioning is suspended; a `null` object also to one without.
    pub imported: bool,
}

impl Replica {
    /// The id under which clients know it.
    pub fn version_id(&self) -> VersionId {
        if self.null { VersionId::Null } else { VersionId::Stamp(self.version) }
    }
}

/// Changes of a version that come from another store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplicaChanges {
    /// Its tags, and when they were set.
    pub tags: Option<(Stamp, Vec<Tag>)>,
    /// Its access control list, and when it was set.
    pub acl: Option<(Stamp, Option<Vec<u8>>)>,
    /// Its lock, and when it was set. A retention that holds here is never shortened by it.
    pub lock: Option<(Stamp, Lock)>,
}

impl Store {
    /// Adds a delete marker that was made elsewhere. `Ok(false)` if the version is there already; `Err(BucketState)` unless
    /// versioning is enabled, or suspended for what is imported.
    pub async fn put_replica_marker(&self, bucket: &BucketName, key: &ObjectKey, replica: Replica) -> Result<bool> {
        let mut batch = Batch::new();
        batch.hold(self.inner.locks.bucket_shared(bucket.as_str()).await);
        let bucket = self.bucket(bucket).await?;
        batch.hold(self.inner.locks.key(bucket.id, key.as_str()).await);
        if bucket.versioning == Versioning::Unversioned {
            return Err(Error::BucketState("delete markers need a bucket with versioning"));
        }
        if !self.inner.wants_replica(&bucket, key, &replica).await? {
            return Ok(false);
        }
        self.inner.install_marker(&bucket, key, &replica, &mut batch).await?;
        let happening = Happening::new(EventKind::RemovedMarker, key.as_str(), (replica.version, replica.null));
        self.inner.announce(&bucket, &happening.asked(self.asked()), &mut batch);
        self.inner.index.commit(batch).await?;
        Ok(true)
    }

    /// Applies changes of a version that were made elsewhere, as far as they are later than those made here. `Ok(false)` if
    /// none is. Errors as [`Store::object`].
    pub async fn change_replica(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionId,
        changes: ReplicaChanges,
    ) -> Result<bool> {
        let inner = &self.inner;
        let mut changed = false;
        let ReplicaChanges { tags, acl, lock } = changes;
        self.change_object(bucket, key, VersionSelector::Id(version), |changing| {
            let Changing { bucket, key, stamp, null, object, batch } = changing;
            let known = &mut object.replication.changes;
            let mut kinds = Vec::new();
            if let Some((at, tags)) = tags.filter(|(at, _)| Some(*at) > known.tags) {
                kinds.push(if tags.is_empty() { EventKind::TaggingDelete } else { EventKind::TaggingPut });
                (known.tags, object.tags) = (Some(at), tags);
            }
            if let Some((at, acl)) = acl.filter(|(at, _)| Some(*at) > known.acl) {
                kinds.push(EventKind::AclPut);
                (known.acl, object.protection.owner.acl) = (Some(at), acl);
            }
            if let Some((at, lock)) = lock.filter(|(at, _)| Some(*at) > known.lock) {
                if bucket.object_lock.is_none() {
                    return Err(Error::NoObjectLock);
                }
                let merged = merged(object.protection.lock, lock);
                if merged.retention != object.protection.lock.retention {
                    kinds.push(EventKind::RetentionPut);
                }
                (known.lock, object.protection.lock, changed) = (Some(at), merged, true);
            }
            changed |= !kinds.is_empty();
            for kind in kinds {
                let happening = Happening::new(kind, key.as_str(), (stamp, null)).of(object).asked(self.asked());
                inner.announce(bucket, &happening, batch);
            }
            // Rules may ask for tags, or have waited for the lock to end.
            inner.wake(bucket, key, stamp, batch);
            Ok(())
        })
        .await?;
        Ok(changed)
    }
}

/// A lock that comes from elsewhere, but for what would end a retention earlier: both sides keep the longer one, the
/// stricter where they are as long, and so agree.
fn merged(here: Lock, there: Lock) -> Lock {
    let strictness = |lock: &Lock| lock.retention.map(|it| (it.until, it.mode == crate::RetentionMode::Compliance));
    let retention = if strictness(&here) > strictness(&there) { here.retention } else { there.retention };
    Lock { retention, legal_hold: there.legal_hold.or(here.legal_hold) }
}

impl Inner {
    /// Whether a replica is to be written: unless the key has that version already, or a `null` version as late.
    /// `Err(BucketState)` unless the bucket's versioning lets it in. The caller holds the key's lock.
    pub(crate) async fn wants_replica(&self, bucket: &Bucket, key: &ObjectKey, replica: &Replica) -> Result<bool> {
        let may_come = match bucket.versioning {
            Versioning::Enabled => true,
            Versioning::Suspended => replica.imported,
            Versioning::Unversioned => replica.imported && replica.null,
        };
        if !may_come {
            return Err(Error::BucketState("replicas need a bucket with versioning"));
        }
        if replica.null {
            let newest = self.newest(bucket, key).await?;
            let null = self.null_version(bucket, key, newest.as_ref()).await?;
            return Ok(null.is_none_or(|null| replica.version.is_newer(null)));
        }
        let row = key::version(bucket.id, key.as_str(), replica.version);
        Ok(self.index.get(Family::Version, row).await?.is_none())
    }

    /// Adds to `batch` a delete marker of that stamp, in its place among the versions.
    async fn install_marker(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        replica: &Replica,
        batch: &mut Batch,
    ) -> Result<()> {
        let Replica { version: stamp, null, .. } = *replica;
        let mut newest = self.newest(bucket, key).await?;
        if null && let Some(old) = self.null_version(bucket, key, newest.as_ref()).await? {
            self.remove_version(bucket, key, &old, batch).await?;
            newest = match newest {
                Some(version) if version.stamp == old => self.version_before(bucket, key, old).await?,
                other => other,
            };
        }
        let row = key::object(bucket.id, key.as_str());
        let becomes_newest = newest.as_ref().is_none_or(|newest| stamp.is_newer(newest.stamp));
        if null {
            batch.put(Family::Null, row.clone(), &stamp);
        }
        match newest {
            Some(newest) if becomes_newest => {
                self.wake_superseded(bucket, key, newest.stamp, batch);
                if newest.null {
                    batch.put(Family::Null, row.clone(), &newest.stamp);
                }
            }
            Some(newest) => {
                self.make_visible(bucket, key, &newest, batch);
            }
            None => {}
        }
        if becomes_newest {
            batch.delete(Family::Current, row);
            self.wake_marker(bucket, key, stamp, batch);
        }
        batch.count(marker_key(bucket.id), Usage::marker(key.as_str()));
        self.put_version(bucket, key, stamp, VersionRecord { null, due: None, object: None }, batch);
        if !becomes_newest {
            // After the marker's own timer, which may have the same row.
            self.wake_put_in(bucket, key, stamp, batch).await?;
        }
        Ok(())
    }
}
