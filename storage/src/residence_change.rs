//! Changing how a version is kept: its record, what its bucket's usage counts, what listings show and its timers, all in
//! one batch under the key's lock.

use crate::announce::Happening;
use crate::deed::DeedKind;
use crate::error::Result;
use crate::event::{EventDetails, EventKind};
use crate::index::key::DueKind;
use crate::index::record::{CurrentRecord, ObjectRecord, VersionRecord};
use crate::index::{Batch, Family, key};
use crate::residence::{Residence, Restore};
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::store::Inner;

/// Where a version is found, by work that waits in queues and knows buckets by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct VersionName {
    pub(crate) bucket: u64,
    pub(crate) key: String,
    pub(crate) stamp: Stamp,
}

impl VersionName {
    /// The row of its record.
    pub(crate) fn row(&self) -> Vec<u8> {
        key::version(self.bucket, &self.key, self.stamp)
    }

    /// A row that has it looked at.
    pub(crate) fn due(&self, kind: DueKind, at: Timestamp) -> Vec<u8> {
        key::due(kind, at, self.bucket, &self.key, self.stamp)
    }

    /// Adds to `batch`, which deletes due rows of the version, the row of a restore that is still to be done: the clock
    /// may have been set back since the rows were found due.
    pub(crate) fn keep_waiting(&self, residence: &Residence, batch: &mut Batch) {
        if let Some(Restore::Ongoing { ready, .. }) = residence.restore {
            batch.put_raw(Family::Due, self.due(DueKind::Restore, ready), Vec::new());
        }
    }
}

/// Says in the record of a bucket's object how it is kept from now on, and adds to `batch` that it is counted there.
/// Returns how it was kept.
pub(crate) fn keep_as(object: &mut ObjectRecord, bucket: u64, after: Residence, batch: &mut Batch) -> Residence {
    let (counted, usage) = object.usage(bucket);
    batch.count(counted, usage.negated());
    let before = std::mem::replace(&mut object.residence, after);
    let (counted, usage) = object.usage(bucket);
    batch.count(counted, usage);
    before
}

impl Inner {
    /// Adds to `batch` that an object is kept as `after` says from now on. The caller holds the key's lock and has read
    /// the record, an object's, under it.
    pub(crate) async fn put_residence(
        &self,
        name: &VersionName,
        mut record: VersionRecord,
        after: Residence,
        batch: &mut Batch,
    ) -> Result<()> {
        let Some(object) = &mut record.object else { return Ok(()) };
        let before = keep_as(object, name.bucket, after, batch);
        let Residence { class, tier, restore, .. } = object.residence;
        if let Some(Restore::Ongoing { speed, .. }) = before.restore
            && !matches!(restore, Some(Restore::Ongoing { .. }))
        {
            self.meter.restore(name.bucket, before.class, speed, object.size);
            let expires = match restore {
                Some(Restore::Done { expires }) => Some(expires),
                _ => None,
            };
            let details = EventDetails::Restore { expires, class: before.class };
            let happening = Happening::new(EventKind::RestoreCompleted, &name.key, (name.stamp, record.null));
            let bucket = self.announce_in(name.bucket, &happening.of(object).details(details), batch).await?;
            if let Some(bucket) = bucket {
                let version = if record.null { VersionId::Null } else { VersionId::Stamp(name.stamp) };
                let of = (Some(version), Some(object.size));
                self.note_deed(&bucket, &name.key, DeedKind::Restored, of, batch);
            }
        }
        if let Some(Restore::Done { expires }) = before.restore
            && restore.is_none()
        {
            // The mover may come before whoever looks at what is due, who then finds no copy any more.
            let details = EventDetails::Restore { expires: Some(expires), class: before.class };
            let happening = Happening::new(EventKind::RestoreDelete, &name.key, (name.stamp, record.null));
            self.announce_in(name.bucket, &happening.of(object).details(details), batch).await?;
        }
        if (class, restore) != (before.class, before.restore) {
            self.show(name, &record, batch).await?;
        }
        if let Some(Restore::Done { expires }) = restore.filter(|_| restore != before.restore) {
            self.put_expiry(name, &mut record, expires, batch);
        }
        if tier != before.tier {
            // When it moves on from its new tier, whoever evaluates it finds out.
            batch.put_raw(Family::Due, name.due(DueKind::Version, self.clock.now()), Vec::new());
        }
        batch.put(Family::Version, name.row(), &record);
        Ok(())
    }

    /// Adds to `batch` that a restore ends without a copy, as if nobody had asked for it; nobody is told that it was
    /// completed. What was brought for it leaves again. The caller holds the key's lock and has read the record under it.
    pub(crate) async fn end_restore(
        &self,
        name: &VersionName,
        mut record: VersionRecord,
        batch: &mut Batch,
    ) -> Result<()> {
        let Some(object) = &mut record.object else { return Ok(()) };
        let after = Residence { restore: None, ..object.residence.clone() };
        keep_as(object, name.bucket, after, batch);
        let now = self.clock.now();
        if object.residence.is_misplaced(now) {
            batch.put_raw(Family::Due, name.due(DueKind::Settle, now), Vec::new());
            self.mover.wake();
        }
        self.show(name, &record, batch).await?;
        // Tiers stood still for it.
        batch.put_raw(Family::Due, name.due(DueKind::Version, now), Vec::new());
        batch.put(Family::Version, name.row(), &record);
        Ok(())
    }

    /// Adds to `batch` what listings show of a version's object, if it is the current one.
    async fn show(&self, name: &VersionName, record: &VersionRecord, batch: &mut Batch) -> Result<()> {
        let Some(object) = &record.object else { return Ok(()) };
        let row = key::object(name.bucket, &name.key);
        let current = self.index.record::<CurrentRecord>(Family::Current, row.clone()).await?;
        if current.is_some_and(|current| current.stamp == name.stamp) {
            batch.put(Family::Current, row, &CurrentRecord::of(name.stamp, record.null, object));
        }
        Ok(())
    }

    /// Adds the timers of a restored copy: the version is looked at when the copy expires, and then its bytes leave.
    fn put_expiry(&self, name: &VersionName, record: &mut VersionRecord, expires: Timestamp, batch: &mut Batch) {
        batch.put_raw(Family::Due, name.due(DueKind::Settle, expires), Vec::new());
        if record.due.is_some_and(|due| due <= expires) {
            return;
        }
        if let Some(due) = record.due.replace(expires) {
            batch.delete(Family::Due, name.due(DueKind::Version, due));
        }
        batch.put_raw(Family::Due, name.due(DueKind::Version, expires), Vec::new());
    }
}
