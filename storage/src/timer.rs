//! Timers: when a version is next looked at, and the rows that say so.
//!
//! A version has at most one timer, in its record and as a row of the `due` family, written in one batch. Further rows
//! for it may exist, of this kind and others: a row only says that the version is to be looked at then, and looking
//! twice is harmless.

use crate::bucket::Bucket;
use crate::error::Result;
use crate::evaluate::{Case, next_due};
use crate::index::key::{DueKind, Older};
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::lifecycle::Position;
use crate::name::ObjectKey;
use crate::stamp::{Stamp, Timestamp};
use crate::store::Inner;

impl Inner {
    /// Adds to `batch` a version that is new, with the timer that it needs as the newest version of its key, and the
    /// wish to bring its chunks to where they belong.
    pub(crate) fn put_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
        mut record: VersionRecord,
        batch: &mut Batch,
    ) {
        let now = self.clock.now();
        record.due = self.first_due(bucket, key, stamp, &record, now);
        if let Some(due) = record.due {
            batch.put_due(DueKind::Version, due, bucket.id, key, stamp);
        }
        if record.object.as_ref().is_some_and(|object| object.residence.is_misplaced(now)) {
            batch.put_due(DueKind::Settle, now, bucket.id, key, stamp);
            self.mover.wake();
        }
        batch.put(Family::Version, key::version(bucket.id, key.as_str(), stamp), &record);
    }

    /// When a new version is first looked at. A delete marker is looked at when it may be alone; see `wake_marker`.
    fn first_due(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
        record: &VersionRecord,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let position = Position::Current { alone: false };
        let case = Case { bucket, key: key.as_str(), created: stamp.time, record, position, last_access: None };
        next_due(&case, &self.calendar, now)
    }

    /// Adds to `batch` that a version is to be evaluated soon, because something about it has changed that rules look
    /// at: its place among the versions of its key, or its tags. Keys without rules need none of it.
    pub(crate) fn wake(&self, bucket: &Bucket, key: &ObjectKey, stamp: Stamp, batch: &mut Batch) {
        if bucket.has_rules(key.as_str()) {
            batch.put_due(DueKind::Version, self.clock.now(), bucket.id, key, stamp);
        }
    }

    /// As `wake`, for a version that becomes noncurrent. Where no rule acts on those, its timer finds that out.
    pub(crate) fn wake_superseded(&self, bucket: &Bucket, key: &ObjectKey, stamp: Stamp, batch: &mut Batch) {
        self.wake_with_older(bucket, key, stamp, Older::Superseded, batch);
    }

    fn wake_with_older(&self, bucket: &Bucket, key: &ObjectKey, stamp: Stamp, older: Older, batch: &mut Batch) {
        let acts = bucket.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.acts_on_noncurrent());
        if acts && bucket.has_rules(key.as_str()) {
            let row = key::due(DueKind::Version, self.clock.now(), bucket.id, key.as_str(), stamp);
            batch.put_raw(Family::Due, row, older.encode());
        }
    }

    /// As `wake`, for a delete marker that may be the only version of its key from now on.
    pub(crate) fn wake_marker(&self, bucket: &Bucket, key: &ObjectKey, stamp: Stamp, batch: &mut Batch) {
        if bucket.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.acts_on_markers()) {
            self.wake(bucket, key, stamp, batch);
        }
    }

    /// As `wake`, for a version that is put in among older ones, and for the next older one, which has another successor
    /// by that.
    pub(crate) async fn wake_put_in(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
        batch: &mut Batch,
    ) -> Result<()> {
        self.wake_with_older(bucket, key, stamp, Older::PutIn, batch);
        if bucket.has_rules(key.as_str())
            && let Some(older) = self.version_before(bucket, key, stamp).await?
        {
            self.wake(bucket, key, older.stamp, batch);
        }
        Ok(())
    }
}
