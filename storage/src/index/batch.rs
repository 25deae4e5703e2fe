//! A batch: one state change of the index, with the locks that it was computed under.

use crate::blob::{BlobId, Placement};
use crate::index::family::Family;
use crate::index::record::Record;
use crate::locks::Guard;

/// One change of a row.
pub(crate) enum Change {
    Put(Family, Vec<u8>, Vec<u8>),
    Delete(Family, Vec<u8>),
    /// Names a blob's place unless it has one already.
    AddBlob(BlobId, Placement),
    /// Repoints a blob from one place to another, if it is still at the first.
    MoveBlob(BlobId, Placement, Placement),
    /// Forgets a blob's place.
    DropBlob(BlobId),
}

/// Changes that become visible and durable together. The guards are released after the commit, also when the
/// task that asked for it is gone.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) guards: Vec<Guard>,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch::default()
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

    pub(crate) fn add_blob(&mut self, id: BlobId, placement: Placement) {
        self.changes.push(Change::AddBlob(id, placement));
    }

    pub(crate) fn move_blob(&mut self, id: BlobId, from: Placement, to: Placement) {
        self.changes.push(Change::MoveBlob(id, from, to));
    }

    pub(crate) fn drop_blob(&mut self, id: BlobId) {
        self.changes.push(Change::DropBlob(id));
    }
}
