//! What is lost: a version of a class that may lose objects, whose bytes turned out to be damaged beyond repair. It is told
//! once, whoever finds it, and however often.
//!
//! The event and the note that it was told are one batch: dying before it leaves the next reader to tell. Damage that the
//! collector meets is told by the next read or move, for blobs know the contents that they are of, but not the versions.

use crate::announce::{Happening, bucket_by_id};
use crate::error::Result;
use crate::event::EventKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family};
use crate::object::StorageClass;
use crate::residence_change::VersionName;
use crate::stamp::Stamp;
use crate::store::Inner;

/// Whether objects of a class may be lost with what they lie on. S3 tells of REDUCED_REDUNDANCY alone; that ONEZONE_IA is
/// told of as well, which may be lost with its zone, is our addition.
pub(crate) const fn may_be_lost(class: StorageClass) -> bool {
    matches!(class, StorageClass::ReducedRedundancy | StorageClass::OnezoneIa)
}

/// Adds to `batch` that what was noted beside a version because of its class is forgotten.
pub(crate) fn forget_notes(class: StorageClass, stamp: Stamp, batch: &mut Batch) {
    let row = || stamp.to_bytes().to_vec();
    if class == StorageClass::IntelligentTiering {
        batch.delete(Family::Access, row());
    } else if may_be_lost(class) {
        batch.delete(Family::Lost, row());
    }
}

impl Inner {
    /// Tells that a version's bytes are damaged, if its class may lose objects, unless that was told before or nobody
    /// wants to know. The caller holds no locks. What cannot be told now, the next one tells who finds it.
    pub(crate) async fn tell_lost(&self, name: &VersionName) {
        if let Err(error) = self.try_tell_lost(name).await {
            tracing::warn!(%error, bucket = name.bucket, key = name.key, "that an object is lost cannot be told now");
        }
    }

    async fn try_tell_lost(&self, name: &VersionName) -> Result<()> {
        // What may come back with its zone is not lost yet.
        if self.has_lost_zone() || self.was_told(name).await? {
            return Ok(());
        }
        let id = name.bucket;
        let Some(bucket) = self.index.read(move |rows| bucket_by_id(rows, id)).await? else { return Ok(()) };
        let is_wanted = bucket.notifications.iter().any(|rule| rule.wants(EventKind::LostObject, &name.key));
        if !is_wanted && !self.listeners.are_there() {
            return Ok(());
        }
        let guard = self.locks.key(name.bucket, &name.key).await;
        let record = self.index.record::<VersionRecord>(Family::Version, name.row()).await?;
        let Some(VersionRecord { null, object: Some(object), .. }) = record else { return Ok(()) };
        if !may_be_lost(object.residence.class) || self.was_told(name).await? {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put_raw(Family::Lost, name.stamp.to_bytes().to_vec(), Vec::new());
        let happening = Happening::new(EventKind::LostObject, &name.key, (name.stamp, null)).of(&object);
        self.announce(&bucket, &happening, &mut batch);
        batch.hold(guard);
        self.index.commit(batch).await
    }

    async fn was_told(&self, name: &VersionName) -> Result<bool> {
        Ok(self.index.get(Family::Lost, name.stamp.to_bytes().to_vec()).await?.is_some())
    }
}
