//! The committer: one thread that makes batches durable, many at a time.
//!
//! Batches that arrive while a sync is under way are written together by the next one, so the number of syncs falls
//! as the load grows. The order in which batches are taken is the order in which they take effect.
//!
//! 1. Take what is queued, up to a bound, but for what there is no room for.
//! 2. Resolve blob changes against the index and the batches before, so that a blob has one place and a segment's
//!    live bytes count it once.
//! 3. Write one RocksDB batch with a synced log.
//! 4. Tell the watermark, without a sync.
//! 5. Book what the group changed where there are quotas, and with it what its batches had reserved.
//! 6. Release each batch's guards, then tell its task, and whoever listens to its events.
//!
//! Dying before 3 is durable leaves none of the group; after it, all. A failed write poisons the committer: what the
//! log holds is unknown then, so every later commit is refused until the store is opened anew.
//!
//! A full disk is no reason to open anew. With little room only batches that make some or add delete markers are written,
//! with less only those that make some, with too little none, and a refused batch has not happened.
//! If others use up the rest, and RocksDB cannot write out what memory holds, it refuses writes until it can, which it
//! tries every 5 s; the log is whole all the while, so commits go on then. Only a log that could not be written to its
//! end poisons. RocksDB would recover from that, too, by writing out family by family, but a crash in the middle of it
//! leaves families that are ahead of a torn log, which it does not open. So its background work is ended with the poisoning.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use rocksdb::{DB, WriteBatch, WriteOptions};
use tokio::sync::{mpsc, oneshot};

use crate::blob::Placement;
use crate::error::{Error, Result};
use crate::index::batch::{Batch, Change, Purpose};
use crate::index::family::Family;
use crate::index::record::{Record, StoredBlob};
use crate::index::watermark::Watermark;
use crate::index::{handle, key};
use crate::live::Untold;
use crate::queue::Arriving;
use crate::quota::{Amount, Ledger, Reservation};
use crate::room::{Commits, Gauge, Room};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Flaw, planted, step};
use crate::usage::Usage;

/// Batches that may wait; further ones make their tasks wait.
const QUEUE_MAX: usize = 4096;
/// The most batches in one write.
const GROUP_MAX: usize = 1024;
/// What errors name.
const ACTION: &str = "commit a batch";
/// A write is ended when it holds this many bytes.
const GROUP_BYTES_MAX: usize = 4 << 20;

struct Request {
    batch: Batch,
    done: oneshot::Sender<Result<()>>,
}

/// The way to the committer's thread. Dropping it waits for the thread to end, so that the database is closed then.
pub(crate) struct Committer {
    /// Absent only within `drop`.
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    poisoned: Arc<AtomicBool>,
    closed: AtomicBool,
}

impl Committer {
    pub(super) fn start(
        db: Arc<DB>,
        watermark: Watermark,
        ledger: Arc<Ledger>,
        gauge: Arc<dyn Gauge>,
    ) -> Result<Committer> {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let poisoned = Arc::new(AtomicBool::new(false));
        let told = Cell::new(Commits::All);
        let thread = Thread { db, watermark, ledger, gauge, requests, poisoned: Arc::clone(&poisoned), told };
        let thread = thread::Builder::new()
            .name("strata-commit".to_owned())
            .spawn(move || thread.run())
            .map_err(|source| Error::Io { action: "start the commit thread", source })?;
        Ok(Committer { queue: Some(queue), thread: Some(thread), poisoned, closed: AtomicBool::new(false) })
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        let (done, outcome) = oneshot::channel();
        self.queue().send(Request { batch, done }).await.map_err(|_| Error::Closed)?;
        outcome.await.map_err(|_| Error::Closed)?
    }

    /// Blocks the thread.
    pub(crate) fn commit_blocking(&self, batch: Batch) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.queue().blocking_send(Request { batch, done }).map_err(|_| Error::Closed)?;
        outcome.blocking_recv().map_err(|_| Error::Closed)?
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Refuses further batches and waits for those in the queue.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let (done, outcome) = oneshot::channel();
        // The queue is in order: when this empty batch is done, so are all before it.
        if self.queue().send(Request { batch: Batch::new(), done }).await.is_ok() {
            let _ = outcome.await;
        }
    }

    fn queue(&self) -> &mpsc::Sender<Request> {
        self.queue.as_ref().expect("only drop takes it")
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has failed its callers already.
            let _ = thread.join();
        }
    }
}

struct Thread {
    db: Arc<DB>,
    watermark: Watermark,
    ledger: Arc<Ledger>,
    gauge: Arc<dyn Gauge>,
    requests: mpsc::Receiver<Request>,
    poisoned: Arc<AtomicBool>,
    /// What was taken when it was last told of.
    told: Cell<Commits>,
}

impl Thread {
    fn run(mut self) {
        while let Some(first) = self.requests.blocking_recv() {
            let takes = self.gauge.room(self.db.path()).map_or(Commits::All, Room::commits);
            let mut group = Group::new(&self.db, takes);
            let mut taken = vec![group.take(first)];
            while taken.len() < GROUP_MAX && group.writes.size_in_bytes() < GROUP_BYTES_MAX {
                match self.requests.try_recv() {
                    Ok(request) => taken.push(group.take(request)),
                    Err(_) => break,
                }
            }
            if planted(Flaw::GuardsLeaveEarly) {
                taken.iter_mut().for_each(|taken| taken.guards.clear());
            }
            let reservations = taken.iter_mut().filter_map(|taken| taken.reservation.take()).collect();
            let written = self.write(group, reservations);
            for taken in taken {
                drop((taken.guards, taken.arriving));
                let refused = if planted(Flaw::RefusalsUntold) { None } else { taken.refused };
                let outcome = match (refused, &written) {
                    (Some(error), _) => Err(error),
                    (None, Err(error)) => Err(copy(error)),
                    (None, Ok(())) => Ok(()),
                };
                if let (Ok(()), Some(untold)) = (&outcome, taken.untold) {
                    untold.tell();
                }
                // The task may be gone; what it asked for is done all the same.
                let _ = taken.done.send(outcome);
            }
        }
    }

    fn write(&self, group: Group<'_>, reservations: Vec<Reservation>) -> Result<()> {
        let _until_booked = self.ledger.writing();
        let changes = if self.ledger.is_kept() { group.amounts() } else { Vec::new() };
        let written = self.write_group(group);
        self.ledger.book(if written.is_ok() { &changes } else { &[] }, reservations);
        written
    }

    fn write_group(&self, mut group: Group<'_>) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        group.finish();
        if group.refuses {
            self.tell(group.takes, "too little is left for the log");
        }
        step();
        // After RocksDB's refusal one without changes tells whether others would be taken.
        if group.writes.is_empty() && (group.refuses || self.told.get() != Commits::None) {
            return Ok(());
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(group.writes, &options).map_err(|source| {
            if is_recoverable(source.as_ref()) {
                self.tell(Commits::None, source.as_ref());
                return Error::NoSpace { action: ACTION };
            }
            tracing::error!(%source, "a commit failed; the store refuses writes until it is reopened");
            self.poisoned.store(true, Ordering::Release);
            self.db.cancel_all_background_work(false);
            Error::Index { action: ACTION, source }
        })?;
        self.tell(group.takes, "too little is left for the log");
        // This thread alone writes, so the latest change is one of this group.
        self.watermark.advance(self.db.latest_sequence_number());
        Ok(())
    }
}

impl Thread {
    /// Says so when it changes, not for every commit.
    fn tell(&self, takes: Commits, reason: &str) {
        if self.told.replace(takes) == takes {
            return;
        }
        match takes {
            Commits::All => tracing::info!("there is room again; commits go on"),
            Commits::Covering => {
                tracing::error!(
                    reason,
                    "the index's disk is nearly full; only deletes and what makes room are committed"
                );
            }
            Commits::MakingRoom => {
                tracing::error!(reason, "the index's disk is nearly full; only what makes room is committed");
            }
            Commits::None => {
                tracing::error!(reason, "the index's disk is full; commits are refused until there is room")
            }
        }
    }
}

/// Whether RocksDB will recover by itself from an error of its, told by its text, with nothing lost or torn: a full disk,
/// met when something else was written than the log.
fn is_recoverable(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("IO error: No space left on device: ") else { return false };
    let mut parts = rest.split(": ");
    let (context, file) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_table = [".sst", ".blob"].iter().any(|ending| file.ends_with(ending));
    is_table && !context.contains("sync")
}

/// An outcome is told to several tasks, but the sources of errors cannot be cloned.
fn copy(error: &Error) -> Error {
    match error {
        Error::Index { action, source } => Error::Index { action, source: source.clone() },
        Error::Corrupt { what, place } => Error::Corrupt { what, place: place.clone() },
        Error::NoSpace { action } => Error::NoSpace { action },
        _ => Error::Poisoned,
    }
}

/// A batch of which the changes were taken into a group.
struct Taken {
    guards: Vec<crate::locks::Guard>,
    arriving: Option<Arriving>,
    reservation: Option<Reservation>,
    untold: Option<Box<Untold>>,
    done: oneshot::Sender<Result<()>>,
    refused: Option<Error>,
}

/// The batches of one write.
struct Group<'a> {
    db: &'a DB,
    /// What there is room for.
    takes: Commits,
    /// Whether it took a batch less for want of room.
    refuses: bool,
    writes: WriteBatch,
    /// Places of blobs as this group leaves them.
    blobs: HashMap<StoredBlob, Option<Placement>>,
    /// Changes of counters, the segments' live bytes among them.
    counters: HashMap<(Family, Vec<u8>), Vec<i64>>,
}

impl<'a> Group<'a> {
    fn new(db: &'a DB, takes: Commits) -> Group<'a> {
        let (writes, blobs, counters) = (WriteBatch::default(), HashMap::new(), HashMap::new());
        Group { db, takes, refuses: false, writes, blobs, counters }
    }

    fn take(&mut self, request: Request) -> Taken {
        let Request { batch: Batch { purpose, changes, guards, reservation, arriving, untold }, done } = request;
        let refused = self.check_room(purpose).and_then(|()| self.look_up_blobs(&changes)).err();
        if refused.is_none() {
            for change in changes {
                self.add(change);
            }
        }
        Taken { guards, arriving, reservation, untold, done, refused }
    }

    fn check_room(&mut self, purpose: Purpose) -> Result<()> {
        match (self.takes, purpose) {
            (Commits::All, _)
            | (Commits::Covering, Purpose::Cover | Purpose::MakeRoom)
            | (Commits::MakingRoom, Purpose::MakeRoom) => Ok(()),
            (Commits::Covering, Purpose::Keep)
            | (Commits::MakingRoom, Purpose::Keep | Purpose::Cover)
            | (Commits::None, _) => {
                self.refuses = true;
                Err(Error::NoSpace { action: ACTION })
            }
        }
    }

    /// Reads the places of the blobs that a batch changes, so that adding its changes cannot fail half-way.
    fn look_up_blobs(&mut self, changes: &[Change]) -> Result<()> {
        for change in changes {
            let (Change::AddBlob(id, _) | Change::MoveBlob(id, ..) | Change::DropBlob(id)) = change else { continue };
            if self.blobs.contains_key(id) {
                continue;
            }
            let row = self
                .db
                .get_cf(handle(self.db, Family::Blob), key::stored_blob(id))
                .map_err(|source| Error::Index { action: "look up a blob", source })?;
            let placement = row.map(|row| Placement::decode(&row)).transpose()?;
            self.blobs.insert(*id, placement);
        }
        Ok(())
    }

    fn add(&mut self, change: Change) {
        match change {
            Change::Put(family, key, value) => self.writes.put_cf(handle(self.db, family), key, value),
            Change::Delete(family, key) => self.writes.delete_cf(handle(self.db, family), key),
            Change::AddBlob(id, placement) => {
                if self.place(id).is_none() {
                    self.set_place(id, Some(placement));
                }
            }
            Change::MoveBlob(id, from, to) => {
                if self.place(id) == Some(from) || planted(Flaw::MovesUnlooked) {
                    self.set_place(id, Some(to));
                }
            }
            Change::DropBlob(id) => self.set_place(id, None),
            Change::Add(family, key, numbers) => self.count(family, key, &numbers),
        }
    }

    fn place(&self, id: StoredBlob) -> Option<Placement> {
        self.blobs.get(&id).copied().flatten()
    }

    fn set_place(&mut self, id: StoredBlob, to: Option<Placement>) {
        let (blob, placement) = (handle(self.db, Family::Blob), handle(self.db, Family::Placement));
        if let Some(from) = self.blobs.insert(id, to).flatten() {
            self.writes.delete_cf(placement, key::placement(from.segment, from.offset));
            self.count(Family::Segment, from.segment.to_be_bytes().to_vec(), &[-bytes(from)]);
        }
        match to {
            Some(to) => {
                self.writes.put_cf(blob, key::stored_blob(&id), to.encode());
                self.writes.put_cf(placement, key::placement(to.segment, to.offset), id.encode());
                self.count(Family::Segment, to.segment.to_be_bytes().to_vec(), &[bytes(to)]);
            }
            None => self.writes.delete_cf(blob, key::stored_blob(&id)),
        }
    }

    /// Adds to a row of counters, which the group writes once however many batches change it.
    fn count(&mut self, family: Family, key: Vec<u8>, numbers: &[i64]) {
        let sums = self.counters.entry((family, key)).or_insert_with(|| vec![0; numbers.len()]);
        assert_eq!(sums.len(), numbers.len(), "rows of a family have one length");
        sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum = sum.wrapping_add(*number));
    }

    /// What the group changes of what quotas limit, by bucket.
    fn amounts(&self) -> Vec<(u64, Amount)> {
        let usage = self.counters.iter().filter(|((family, _), _)| *family == Family::Usage);
        let amount = |((_, row), numbers): (&(Family, Vec<u8>), &Vec<i64>)| {
            Some((key::split_usage(row)?.bucket, Amount::of(&Usage::from_slice(numbers))))
        };
        usage.filter_map(amount).collect()
    }

    fn finish(&mut self) {
        for ((family, key), numbers) in self.counters.drain() {
            let row: Vec<u8> = numbers.into_iter().flat_map(i64::to_le_bytes).collect();
            self.writes.merge_cf(handle(self.db, family), key, row);
        }
    }
}

fn bytes(placement: Placement) -> i64 {
    i64::try_from(placement.record_bytes()).expect("a record is far smaller than 2^63 bytes")
}

#[cfg(test)]
mod tests {
    use super::is_recoverable;

    #[test]
    fn full_disks_that_rocksdb_recovers_from() {
        fn check(text: &str, expected: bool) {
            assert_eq!(is_recoverable(text), expected, "{text}");
        }
        let full = "IO error: No space left on device";
        check(&format!("{full}: While appending to file: /srv/a: b/000010.sst: No space left on device"), false);
        check(&format!("{full}: While appending to file: /srv/sync/000010.sst: No space left on device"), true);
        check(&format!("{full}: While open a file for appending: /srv/000011.blob: No space left on device"), true);
        check(&format!("{full}: While fdatasync: /srv/000010.sst: No space left on device"), false);
        check(&format!("{full}: While appending to file: /srv/000009.log: No space left on device"), false);
        check(&format!("{full}: While fsync: a directory: No space left on device"), false);
        check(full, false);
        check("IO error: While appending to file: /srv/000009.log: Input/output error", false);
        check("Corruption: No space left on device", false);
    }
}
