//! Settling of a large object: chunk by chunk, in bounded memory, in many commits.
//!
//! 1. Begin: the record says that the new pools may be wanted as well, so that whoever releases the version deletes the
//!    references there, too.
//! 2. Widen: chunks come into the new pools, each batch with the references that name them.
//! 3. Flip: the record says what the version is now (a restored copy, a tier) and how much it takes as it is stored.
//! 4. Narrow: the references in the old pools are deleted, and with them what nothing else refers to.
//! 5. Finish: the record says that the old pools are not wanted any more; the due rows are deleted.
//!
//! Every commit is made under the key's lock, after a look whether the version is as this work left it; if not, it is
//! left to another look at its due row, which finds what is done already. Dying between any two does the same. The
//! body is held as a reader would, so that its manifest pages outlive the version while they are walked over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use crate::error::{Error, Result};
use crate::index::record::{ChunkRef, StoredBlob, VersionRecord};
use crate::index::{Batch, Family, key};
use crate::locks::Held;
use crate::pool::PoolSet;
use crate::residence::{Residence, Restore, home};
use crate::stamp::Stamp;
use crate::store::Inner;
use crate::worker::ROW_BYTES;
use crate::worker::narrow::narrow;
use crate::worker::settle_job::{Job, Tally};
use crate::worker::settle_small::{read_from, stored_share};
use crate::worker::walk::Walk;
use crate::worker::widen::widen;

/// Chunks that one commit is about.
const STEP_CHUNKS_MAX: usize = 200;
/// The most content that one commit brings into a pool, in bytes; one chunk always fits.
const STEP_BYTES_MAX: u64 = 8 << 20;

/// Why the work ends before its end.
pub(super) enum Stop {
    /// The version is gone.
    Gone,
    /// Somebody has changed it.
    Changed,
    /// A chunk cannot be read.
    Unreadable(Error),
    /// Nothing can be read or written, or the store is closing.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            error @ Error::Corrupt { .. } => Stop::Unreadable(error),
            error => Stop::Failed(error),
        }
    }
}

type Outcome<T> = std::result::Result<T, Stop>;

/// A version on its way.
pub(super) struct Large {
    inner: Arc<Inner>,
    job: Job,
    _held: Held,
    /// How the record says that the version is kept, as this work left it.
    present: Residence,
    /// How it is to be kept.
    after: Residence,
    /// Whether references in old pools had to stay.
    kept: bool,
    bytes: u64,
}

/// Settles a version. `Ok` tells what came of it.
pub(super) async fn settle_large(inner: Arc<Inner>, job: Job) -> Result<Tally> {
    let mut large = Large::new(inner, job);
    let outcome = large.run().await;
    let mut tally = Tally { bytes: large.bytes, ..Tally::default() };
    let mut batch = Batch::making_room();
    match outcome {
        Ok(()) if large.kept => tally.left = 1,
        Ok(()) => (tally.settled, tally.dealt) = (1, large.job.rows.len() as u64),
        Err(Stop::Changed) => tally.left = 1,
        Err(Stop::Gone) => tally.done(&large.job, &mut batch),
        Err(Stop::Unreadable(error)) if large.job.is_hopeless(&large.inner, &error) => {
            match large.lock().await {
                Ok((guard, record)) => {
                    batch.hold(guard);
                    tally.give_up(&large.inner, &large.job, record, &error, &mut batch).await?;
                }
                // What has happened to it meanwhile the next look finds.
                Err(Stop::Failed(error)) => return Err(error),
                Err(_) => tally.left = 1,
            }
        }
        Err(Stop::Unreadable(error)) => tally.postpone(&large.inner, &large.job, &error, &mut batch).await?,
        Err(Stop::Failed(error @ (Error::NoSpace { .. } | Error::Io { .. }))) => {
            (tally.left, tally.refused) = (1, Some(error));
        }
        Err(Stop::Failed(error)) => return Err(error),
    }
    if !batch.changes.is_empty() {
        large.inner.index.commit(batch).await?;
    }
    tally.tell_lost(&large.inner).await;
    Ok(tally)
}

impl Large {
    pub(super) fn new(inner: Arc<Inner>, job: Job) -> Large {
        let reader = inner.readers.enter();
        let held = reader.hold(job.object.body.id());
        let present = job.object.residence.clone();
        let after = present.at(inner.clock.now(), &inner.calendar);
        Large { inner, job, _held: held, present, after, kept: false, bytes: 0 }
    }

    async fn run(&mut self) -> Outcome<()> {
        let old = self.present.pools.without(self.after.pools);
        // A narrowing that was broken off may have left a pool in the record that lacks chunks: a copy is told of only
        // after all of them were seen there.
        if self.present != self.after {
            self.begin().await?;
            self.after.stored_bytes = self.widen_all().await?;
        }
        self.flip().await?;
        if !old.is_empty() {
            self.narrow_all(old).await?;
        }
        self.finish().await
    }

    /// Waits for the key's lock and reads the record; goes on only if the version is as this work left it.
    async fn lock(&self) -> Outcome<(OwnedMutexGuard<()>, VersionRecord)> {
        self.inner.check_writable()?;
        let guard = self.inner.locks.key(self.job.name.bucket, &self.job.name.key).await;
        let record = self.inner.index.record::<VersionRecord>(Family::Version, self.job.name.row()).await?;
        let record = record.ok_or(Stop::Gone)?;
        let unchanged = record.object.as_ref().is_some_and(|object| object.residence == self.present);
        if unchanged { Ok((guard, record)) } else { Err(Stop::Changed) }
    }

    /// Commits another residence, and whatever else the batch holds.
    async fn keep_as(&mut self, residence: Residence, mut batch: Batch) -> Outcome<()> {
        let (guard, record) = self.lock().await?;
        if residence != self.present {
            self.inner.put_residence(&self.job.name, record, residence.clone(), &mut batch).await?;
        }
        if !batch.changes.is_empty() {
            batch.hold(guard);
            self.inner.index.commit(batch).await?;
        }
        self.present = residence;
        Ok(())
    }

    pub(super) async fn begin(&mut self) -> Outcome<()> {
        let pools = self.present.pools.union(self.after.pools);
        self.keep_as(Residence { pools, ..self.present.clone() }, Batch::new()).await
    }

    /// Brings all chunks into the new pools, and returns how many bytes the version takes in the pool of its class.
    pub(super) async fn widen_all(&mut self) -> Outcome<u64> {
        let mut walk = Walk::new(&self.inner, &self.job.object.body);
        let mut stored_bytes = 0;
        loop {
            let step = next_step(&mut walk, STEP_BYTES_MAX).await?;
            if step.is_empty() {
                return Ok(stored_bytes + walk.inline_bytes);
            }
            stored_bytes += self.widen_step(&step).await?;
        }
    }

    async fn widen_step(&mut self, step: &[(ChunkRef, Stamp)]) -> Outcome<u64> {
        let writer = self.inner.writers.enter();
        let from = read_from(&self.job.object.residence);
        let blobs = stored_blobs(step, self.after.pools);
        self.inner.budget.spend(ROW_BYTES * blobs.len() as u64).await;
        let mut widened = widen(&self.inner, blobs.iter().map(|(blob, _)| (*blob, from)).collect()).await?;
        self.bytes += widened.bytes;
        if let Some(error) = widened.unreadable.drain().next().map(|(_, error)| error) {
            return Err(Stop::Unreadable(error));
        }
        if let Some(error) = widened.refused.take() {
            return Err(Stop::Failed(error));
        }
        let mut batch = Batch::new();
        for (blob, content) in &blobs {
            widened.place(*blob, &mut batch);
            batch.put_raw(Family::Reference, key::reference(blob, *content), Vec::new());
        }
        let (guard, _) = self.lock().await?;
        batch.hold(guard);
        batch.hold(writer);
        widened.pins.into_values().for_each(|pin| batch.hold(pin));
        self.inner.index.commit(batch).await?;
        let pool = home(self.after.class, self.after.tier);
        let share = |chunk: &ChunkRef| {
            let place = widened.places.get(&StoredBlob { id: chunk.blob, pool });
            place.map_or(u64::from(chunk.bytes), |place| stored_share(chunk, place))
        };
        Ok(step.iter().map(|(chunk, _)| share(chunk)).sum())
    }

    pub(super) async fn flip(&mut self) -> Outcome<()> {
        let asked = &self.job.object.residence;
        let now = asked.at(self.inner.clock.now(), &self.inner.calendar);
        if is_ongoing(asked) && !is_ongoing(&now) {
            // A restored copy stays for its days from when it can be read, however long it took.
            (self.after.restore, self.after.since) = (now.restore, now.since);
        }
        let pools = self.present.pools;
        self.keep_as(Residence { pools, ..self.after.clone() }, Batch::making_room()).await
    }

    pub(super) async fn narrow_all(&mut self, old: PoolSet) -> Outcome<()> {
        let mut walk = Walk::new(&self.inner, &self.job.object.body);
        loop {
            // No content is read here.
            let step = next_step(&mut walk, u64::MAX).await?;
            if step.is_empty() {
                return Ok(());
            }
            let leaving = stored_blobs(&step, old);
            self.inner.budget.spend(ROW_BYTES * leaving.len() as u64).await;
            let (guard, _) = self.lock().await?;
            let mut batch = Batch::making_room();
            batch.hold(guard);
            let kept = narrow(&self.inner, leaving, &BTreeSet::new(), &mut BTreeMap::new(), &mut batch).await?;
            self.kept |= !kept.is_empty();
            self.inner.index.commit(batch).await?;
        }
    }

    pub(super) async fn finish(&mut self) -> Outcome<()> {
        if self.kept {
            // The old pools stay in the record, and the due rows in the queue.
            return Ok(());
        }
        let mut batch = Batch::making_room();
        self.job.rows.iter().for_each(|row| batch.delete(Family::Due, row.clone()));
        self.job.name.keep_waiting(&self.after, &mut batch);
        self.keep_as(self.after.clone(), batch).await
    }
}

fn is_ongoing(residence: &Residence) -> bool {
    matches!(residence.restore, Some(Restore::Ongoing { .. }))
}

/// The next chunks that one commit is about; none at the end.
async fn next_step(walk: &mut Walk, bytes_max: u64) -> Result<Vec<(ChunkRef, Stamp)>> {
    let (mut step, mut bytes) = (Vec::new(), 0);
    while step.len() < STEP_CHUNKS_MAX && bytes < bytes_max {
        let Some((chunk, content)) = walk.next().await? else { break };
        bytes += u64::from(chunk.bytes);
        step.push((chunk, content));
    }
    Ok(step)
}

/// The chunks' blobs in those pools, with their contents.
fn stored_blobs(step: &[(ChunkRef, Stamp)], pools: PoolSet) -> BTreeSet<(StoredBlob, Stamp)> {
    let of_chunk = |&(chunk, content): &(ChunkRef, Stamp)| {
        let blob = move |pool| (StoredBlob { id: chunk.blob, pool }, content);
        pools.iter().map(blob)
    };
    step.iter().flat_map(of_chunk).collect()
}
