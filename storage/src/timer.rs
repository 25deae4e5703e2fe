//! Timers: when a version is next looked at, and the rows that say so.
//!
//! A version has at most one timer, in its record and as a row of the `due` family, written in one batch. Further rows
//! for it may exist, of this kind and others: a row only says that the version is to be looked at then, and looking
//! twice is harmless.

use crate::bucket::Bucket;
use crate::index::key::DueKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::name::ObjectKey;
use crate::stamp::{Stamp, Timestamp};
use crate::store::Inner;

impl Inner {
    /// Adds to `batch` a version that is new, with the timer that it needs, and the wish to bring its chunks to where
    /// they belong.
    pub(crate) fn put_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
        mut record: VersionRecord,
        batch: &mut Batch,
    ) {
        let now = self.clock.now();
        let put_due = |kind, at, batch: &mut Batch| {
            batch.put_raw(Family::Due, key::due(kind, at, bucket.id, key.as_str(), stamp), Vec::new());
        };
        record.due = first_due(bucket, &record, now);
        if let Some(due) = record.due {
            put_due(DueKind::Version, due, batch);
        }
        if record.object.as_ref().is_some_and(|object| object.residence.is_misplaced(now)) {
            put_due(DueKind::Settle, now, batch);
            self.mover.wake();
        }
        batch.put(Family::Version, key::version(bucket.id, key.as_str(), stamp), &record);
    }

    /// Adds to `batch` that a version is to be evaluated soon, because something about it has changed that rules look
    /// at: its place among the versions of its key, or its tags. Buckets without rules need none of it.
    pub(crate) fn wake(&self, bucket: &Bucket, key: &ObjectKey, stamp: Stamp, batch: &mut Batch) {
        if bucket.has_rules() {
            let row = key::due(DueKind::Version, self.clock.now(), bucket.id, key.as_str(), stamp);
            batch.put_raw(Family::Due, row, Vec::new());
        }
    }
}

/// When a new version is first looked at. Whoever looks then finds out when to look again.
fn first_due(bucket: &Bucket, _record: &VersionRecord, now: Timestamp) -> Option<Timestamp> {
    bucket.has_rules().then_some(now)
}
