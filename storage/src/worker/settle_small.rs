//! Settling of small objects: many versions are brought to where they belong in one write and one commit.
//!
//! 1. Bring the chunks into the pools where they are wanted (`widen`), synced.
//! 2. Take the locks of the keys that are free, and read the records again: versions that changed meanwhile are left.
//! 3. One batch names the places, adds references in the new pools, deletes those in the old ones (`narrow`), says in
//!    the records how the versions are kept, and deletes the due rows.
//!
//! Dying before 3 is durable leaves bytes that nothing names, and the due rows, which have all of it done again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::blob::Placement;
use crate::error::Result;
use crate::index::record::{Body, ChunkRef, Content, ContentForm, StoredBlob, VersionRecord};
use crate::index::{Batch, Family, key};
use crate::locks::KeyLocks;
use crate::pool::{Pool, PoolSet};
use crate::residence::{Residence, home};
use crate::stamp::{Stamp, Timestamp};
use crate::store::Inner;
use crate::worker::narrow::narrow;
use crate::worker::settle_job::{Job, Tally};
use crate::worker::widen::{Widened, widen};

/// The most content of a version that is settled with others, in bytes.
pub(super) const SMALL_BYTES_MAX: u64 = 16 << 20;

/// The chunks of a body that its record holds, if it has no others, and the content that they belong to.
pub(super) fn small_chunks(body: &Body) -> Option<(Stamp, &[ChunkRef])> {
    match body {
        Body::Single(Content { id, form: ContentForm::Chunks(chunks), bytes, .. }) if *bytes <= SMALL_BYTES_MAX => {
            Some((*id, chunks))
        }
        Body::Single(Content { id, form: ContentForm::Inline | ContentForm::Empty, .. }) => Some((*id, &[])),
        Body::Single(_) | Body::Parts { .. } => None,
    }
}

/// The pools in which to look first for the bytes of an object: an archived one is read from the archive.
pub(super) fn read_from(residence: &Residence) -> PoolSet {
    match residence.is_archived() {
        true => PoolSet::of(home(residence.class, residence.tier)),
        false => residence.pools,
    }
}

/// The stored size of a piece of a blob, in bytes: its share of the blob's.
pub(super) fn stored_share(chunk: &ChunkRef, place: &Placement) -> u64 {
    let share = u64::from(place.stored_bytes) * u64::from(chunk.bytes);
    share.div_ceil(u64::from(place.plain_bytes).max(1))
}

/// A version that is about to be changed: its lock is held, and its record is as it was.
struct Ready {
    job: Job,
    record: VersionRecord,
    after: Residence,
    content: Stamp,
    chunks: Vec<ChunkRef>,
}

impl Ready {
    /// The chunks' blobs in those pools, with the content.
    fn in_pools(&self, pools: PoolSet) -> impl Iterator<Item = (StoredBlob, Stamp)> {
        let of_chunk = move |chunk: &ChunkRef| {
            let id = chunk.blob;
            pools.iter().map(move |pool| (StoredBlob { id, pool }, self.content))
        };
        self.chunks.iter().flat_map(of_chunk)
    }
}

/// Settles versions of which `small_chunks` knows the chunks.
pub(super) async fn settle_group(inner: &Arc<Inner>, jobs: Vec<Job>) -> Result<Tally> {
    let now = inner.clock.now();
    // The bytes written must not be taken for garbage before the batch that names them is durable.
    let writer = inner.writers.enter();
    let mut wanted = BTreeMap::new();
    for job in &jobs {
        let Some((_, chunks)) = small_chunks(&job.object.body) else { continue };
        let pools = job.object.residence.at(now, &inner.calendar).pools;
        for (chunk, pool) in chunks.iter().flat_map(|chunk| pools.iter().map(move |pool| (chunk, pool))) {
            wanted.insert(StoredBlob { id: chunk.blob, pool }, read_from(&job.object.residence));
        }
    }
    let mut widened = widen(inner, wanted).await?;
    let mut tally = Tally { bytes: widened.bytes, refused: widened.refused.take(), ..Tally::default() };
    // What it adds names bytes that are there, and what it removes is more.
    let mut batch = Batch::making_room();
    let mut locks = KeyLocks::default();
    let mut ready = Vec::new();
    for job in jobs {
        let chunks = small_chunks(&job.object.body).map_or(&[][..], |(_, chunks)| chunks);
        let pools = job.object.residence.at(now, &inner.calendar).pools;
        let is_there = |id| pools.iter().all(|pool| widened.places.contains_key(&StoredBlob { id, pool }));
        match chunks.iter().find_map(|chunk| widened.unreadable.get(&chunk.blob)) {
            Some(error) if !job.is_hopeless(inner, error) => tally.postpone(inner, &job, error, &mut batch).await?,
            None if !chunks.iter().all(|chunk| is_there(chunk.blob)) => tally.left += 1,
            damage => match (lock(inner, &mut locks, job, now).await?, damage) {
                (Locked::Ready(version), None) => ready.push(*version),
                (Locked::Ready(version), Some(error)) => {
                    let Ready { job, record, .. } = *version;
                    tally.give_up(inner, &job, record, error, &mut batch).await?;
                }
                (Locked::Gone(job), _) => tally.done(&job, &mut batch),
                (Locked::Left, _) => tally.left += 1,
            },
        }
    }
    settle_all(inner, ready, &mut widened, &mut tally, &mut batch).await?;
    if !batch.changes.is_empty() {
        locks.into_guards().for_each(|guard| batch.hold(guard));
        widened.pins.into_values().for_each(|pin| batch.hold(pin));
        batch.hold(writer);
        inner.index.commit(batch).await?;
        tally.tell_lost(inner).await;
    }
    Ok(tally)
}

enum Locked {
    Ready(Box<Ready>),
    /// The version is gone.
    Gone(Box<Job>),
    /// Somebody else is at it, or has changed it.
    Left,
}

/// Locks a version's key if that is free, and reads its record again.
async fn lock(inner: &Inner, locks: &mut KeyLocks, job: Job, now: Timestamp) -> Result<Locked> {
    if !inner.locks.try_key(locks, job.name.bucket, &job.name.key) {
        return Ok(Locked::Left);
    }
    let Some(record) = inner.index.record::<VersionRecord>(Family::Version, job.name.row()).await? else {
        return Ok(Locked::Gone(Box::new(job)));
    };
    let unchanged = record.object.as_ref().is_some_and(|object| object.residence == job.object.residence);
    let Some((content, chunks)) = small_chunks(&job.object.body).filter(|_| unchanged) else {
        return Ok(Locked::Left);
    };
    let (chunks, after) = (chunks.to_vec(), job.object.residence.at(now, &inner.calendar));
    Ok(Locked::Ready(Box::new(Ready { job, record, after, content, chunks })))
}

/// Adds to `batch` all that settles the versions.
async fn settle_all(
    inner: &Arc<Inner>,
    ready: Vec<Ready>,
    widened: &mut Widened,
    tally: &mut Tally,
    batch: &mut Batch,
) -> Result<()> {
    let mut staying = BTreeSet::new();
    let mut leaving = BTreeSet::new();
    for version in &ready {
        for (blob, content) in version.in_pools(version.after.pools) {
            if staying.insert(blob) {
                widened.place(blob, batch);
            }
            batch.put_raw(Family::Reference, key::reference(&blob, content), Vec::new());
        }
        leaving.extend(version.in_pools(version.job.object.residence.pools.without(version.after.pools)));
    }
    let kept = narrow(inner, leaving, &staying, &mut widened.pins, batch).await?;
    for version in ready {
        let before = &version.job.object.residence;
        let mut after = version.after.clone();
        if !version.chunks.is_empty() {
            after.stored_bytes = stored_bytes(&version, home(after.class, after.tier), widened);
        }
        let gone = before.pools.without(after.pools);
        let kept: Vec<Pool> = version
            .in_pools(gone)
            .map(|(blob, _)| blob)
            .filter(|blob| kept.contains(blob))
            .map(|blob| blob.pool)
            .collect();
        after.pools = kept.iter().fold(after.pools, |pools, &pool| pools.with(pool));
        if kept.is_empty() {
            tally.done(&version.job, batch);
            version.job.name.keep_waiting(&after, batch);
        }
        if after != *before {
            inner.put_residence(&version.job.name, version.record, after, batch).await?;
            tally.settled += u64::from(kept.is_empty());
        }
        if !kept.is_empty() {
            tally.left += 1;
        }
    }
    Ok(())
}

fn stored_bytes(version: &Ready, pool: Pool, widened: &Widened) -> u64 {
    let share = |chunk: &ChunkRef| {
        let place = widened.places.get(&StoredBlob { id: chunk.blob, pool });
        place.map_or(u64::from(chunk.bytes), |place| stored_share(chunk, place))
    };
    version.chunks.iter().map(share).sum()
}
