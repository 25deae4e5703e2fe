//! A batch: one state change of the index, with the locks that it was computed under.

use crate::blob::Placement;
use crate::index::family::Family;
use crate::index::key::{self, DueKind};
use crate::index::record::{Record, StoredBlob};
use crate::live::Untold;
use crate::locks::Guard;
use crate::meter::MeterKey;
use crate::name::ObjectKey;
use crate::queue::Arriving;
use crate::quota::{Amount, Reservation};
use crate::stamp::{Stamp, Timestamp};
use crate::usage::{Usage, UsageKey};

/// One change of a row.
pub(crate) enum Change {
    Put(Family, Vec<u8>, Vec<u8>),
    Delete(Family, Vec<u8>),
    /// Names a blob's place unless it has one already.
    AddBlob(StoredBlob, Placement),
    /// Repoints a blob from one place to another, if it is still at the first.
    MoveBlob(StoredBlob, Placement, Placement),
    /// Forgets a blob's place.
    DropBlob(StoredBlob),
    /// Adds to the counters of a family of counters.
    Add(Family, Vec<u8>, Vec<i64>),
}

/// What a batch is for, which decides whether it may use up what is kept free of a disk that is nearly full.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To keep something.
    #[default]
    Keep,
    /// To cover something with a delete marker, which removes nothing.
    Cover,
    /// To remove something, or what that needs. It adds few bytes at most, such as a garbage row.
    MakeRoom,
}

/// Changes that become visible and durable together. The guards are released after the commit, also when the
/// task that asked for it is gone.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) purpose: Purpose,
    pub(crate) changes: Vec<Change>,
    pub(crate) guards: Vec<Guard>,
    /// What it may add to what has a quota.
    pub(crate) reservation: Option<Reservation>,
    /// Keeps readers before the tasks in it.
    pub(crate) arriving: Option<Arriving>,
    /// What those are told who listen, once it is durable.
    pub(crate) untold: Option<Box<Untold>>,
}

impl Batch {
    /// One that keeps something; refused when the disk is nearly full.
    pub(crate) fn new() -> Batch {
        Batch::default()
    }

    /// One that makes room; taken as long as there is any.
    pub(crate) fn making_room() -> Batch {
        Batch { purpose: Purpose::MakeRoom, ..Batch::default() }
    }

    /// It turns out to remove nothing: it only adds a delete marker.
    pub(crate) fn only_covers(&mut self) {
        self.purpose = Purpose::Cover;
    }

    /// Keeps a lock or pin until the batch is durable.
    pub(crate) fn hold(&mut self, guard: impl Into<Guard>) {
        self.guards.push(guard.into());
    }

    pub(crate) fn put<R: Record>(&mut self, family: Family, key: Vec<u8>, record: &R) {
        self.changes.push(Change::Put(family, key, record.encode()));
    }

    /// Puts bytes that have no record format: inline content, reference rows.
    pub(crate) fn put_raw(&mut self, family: Family, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push(Change::Put(family, key, value));
    }

    pub(crate) fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.changes.push(Change::Delete(family, key));
    }

    /// Asks for a version, or an upload, to be looked at from that time on.
    pub(crate) fn put_due(&mut self, kind: DueKind, at: Timestamp, bucket: u64, key: &ObjectKey, stamp: Stamp) {
        self.put_raw(Family::Due, key::due(kind, at, bucket, key.as_str(), stamp), Vec::new());
    }

    /// Takes such a wish back.
    pub(crate) fn delete_due(&mut self, kind: DueKind, at: Timestamp, bucket: u64, key: &ObjectKey, stamp: Stamp) {
        self.delete(Family::Due, key::due(kind, at, bucket, key.as_str(), stamp));
    }

    pub(crate) fn add_blob(&mut self, blob: StoredBlob, placement: Placement) {
        self.changes.push(Change::AddBlob(blob, placement));
    }

    pub(crate) fn move_blob(&mut self, blob: StoredBlob, from: Placement, to: Placement) {
        self.changes.push(Change::MoveBlob(blob, from, to));
    }

    pub(crate) fn drop_blob(&mut self, blob: StoredBlob) {
        self.changes.push(Change::DropBlob(blob));
    }

    /// Counts what came to a bucket's class, or, negated, what left it.
    pub(crate) fn count(&mut self, key: UsageKey, usage: Usage) {
        if usage != Usage::default() {
            self.changes.push(Change::Add(Family::Usage, key::usage(key), usage.to_array().to_vec()));
        }
    }

    /// Adds to the counters of a row.
    pub(crate) fn add(&mut self, family: Family, key: Vec<u8>, numbers: Vec<i64>) {
        self.changes.push(Change::Add(family, key, numbers));
    }

    /// What it changes, on balance, of what quotas limit.
    pub(crate) fn amount(&self) -> Amount {
        let mut sum = Usage::default();
        for change in &self.changes {
            let Change::Add(Family::Usage, _, numbers) = change else { continue };
            sum += Usage::from_slice(numbers);
        }
        Amount::of(&sum)
    }

    /// Adds to what is metered.
    pub(crate) fn meter(&mut self, key: MeterKey, count: u64) {
        if count > 0 {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.changes.push(Change::Add(Family::Meter, key::meter(key), vec![count]));
        }
    }
}
