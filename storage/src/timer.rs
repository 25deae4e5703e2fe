//! Timers: when a version is next looked at, and the rows that say so.
//!
//! A version has at most one timer, in its record and as a row of the `due` family, written in one batch. Further rows
//! for it may exist: a row only says that the version is to be evaluated then, and evaluating twice is harmless.

use crate::bucket::Bucket;
use crate::index::key::DueKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::name::ObjectKey;
use crate::stamp::{Stamp, Timestamp};
use crate::store::Inner;

impl Inner {
    /// Adds to `batch` a version that is new, with the timer that it needs.
    pub(crate) fn put_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
        mut record: VersionRecord,
        batch: &mut Batch,
    ) {
        record.due = self.first_due(bucket, &record);
        if let Some(due) = record.due {
            batch.put_raw(Family::Due, key::due(due, DueKind::Version, bucket.id, key.as_str(), stamp), Vec::new());
        }
        batch.put(Family::Version, key::version(bucket.id, key.as_str(), stamp), &record);
    }

    /// When a new version is first looked at. Whoever looks then finds out when to look again.
    fn first_due(&self, _bucket: &Bucket, record: &VersionRecord) -> Option<Timestamp> {
        let now = self.clock.now();
        let object = record.object.as_ref()?;
        object.residence.is_misplaced(now).then_some(now)
    }

    /// Adds to `batch` that a version is to be evaluated soon, because something about it has changed that rules look
    /// at: its place among the versions of its key, or its tags. Buckets without rules need none of it.
    pub(crate) fn wake(&self, bucket: &Bucket, key: &ObjectKey, stamp: Stamp, batch: &mut Batch) {
        if bucket.has_rules() {
            let row = key::due(self.clock.now(), DueKind::Version, bucket.id, key.as_str(), stamp);
            batch.put_raw(Family::Due, row, Vec::new());
        }
    }
}
