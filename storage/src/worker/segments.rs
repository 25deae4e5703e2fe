//! Segments: removed when nothing in them is live, rewritten when most is dead or too many are tiny.
//!
//! Only settled segments are touched: sealed ones, after every writer that began before they were found sealed is gone,
//! because a write may have placed records in a segment that its batch is still to name. As nobody writes to a sealed
//! segment, it stays settled. The collector is such a writer itself when it moves blobs. The order for one segment:
//!
//! 1. Read and verify each blob that a placement row names, and write it to another segment, synced.
//! 2. Commit: repoint the blobs, each only if it is still at the old place.
//! 3. When no placement row is left: delete the segment's counter, then the file.
//!
//! When there is no room left for the commit of 3, the file goes all the same, and the counter, which says 0, later; after
//! a crash it stays, which harms nobody.
//!
//! Dying after 1 leaves duplicates that nothing names; after 2, or in the midst of 3, a segment without live blobs,
//! which the next pass removes. Readers that look up a blob before 2 and open its segment after 3 find it gone, and
//! look again. A blob that cannot be read is told about, and its segment stays; others are not held up by it.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::blob::{BlobId, Blobs, Placement, ReadError, SMALL_BYTES_MAX, SegmentInfo};
use crate::error::{Error, Result};
use crate::index::record::{Record as _, StoredBlob};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::list::following;
use crate::pool::Pool;
use crate::store::Inner;
use crate::worker::heal::Misfits;

/// A segment with a larger share of dead bytes is rewritten: at this share, two thirds written give back one.
const DEAD_PERCENT_MAX: u64 = 35;
/// Every restart seals what was being written, so small segments add up. So many are left alone.
const TINY_SEGMENTS_MAX: usize = 8;
/// Segments below this size are tiny, if they also have less than a quarter of a full one.
const TINY_BYTES: u64 = 16 << 20;
/// The most that one pass rewrites, in bytes, so that it leaves the disk to others.
const REWRITTEN_BYTES_MAX: u64 = 256 << 20;
/// Blobs that one commit repoints.
const GROUP_BLOBS: usize = 64;
/// So many bytes of blobs end a group: what it copies must fit beside what is kept free.
const GROUP_BYTES: u64 = 16 << 20;
/// The most that is being copied at once, in bytes: bounds memory, and lets small records share syncs.
const COPYING_BYTES_MAX: u64 = 16 << 20;
/// Stored bytes of compressed blobs that are copied together: they are in memory twice while they are written.
const COPYING_STORED_BYTES_MAX: u64 = COPYING_BYTES_MAX / 2;

/// For so many passes a segment is left alone in which a blob could not be read, or that could not be removed: enough that the log is not filled with
/// it, few enough that a disk which recovered is used again within the hour.
const UNREADABLE_PASSES: u32 = 100;

/// What is kept between passes.
#[derive(Default)]
pub(super) struct State {
    waiting: Option<Round>,
    /// The segments that nobody writes to any more, not even in a batch on its way.
    settled: BTreeSet<u64>,
    /// Segments with a blob that could not be read, and for how many more passes they are left alone.
    unreadable: BTreeMap<u64, u32>,
    /// Segments that could not be removed, likewise.
    unremovable: BTreeMap<u64, u32>,
    /// Segments that were removed while there was no room to delete their counters.
    uncounted: BTreeSet<u64>,
}

/// Sealed segments that may be touched when the writers of an epoch are gone.
struct Round {
    segments: BTreeSet<u64>,
    epoch: u64,
}

/// Returns the bytes freed on disk, less those written.
pub(super) async fn collect(inner: &Arc<Inner>, state: &mut State) -> Result<u64> {
    if matches!(inner.check_takes_bytes(), Err(Error::NoSpace { .. })) {
        seal_wasteful(inner).await?;
    }
    let infos = settled_segments(inner, state);
    for left_alone in [&mut state.unreadable, &mut state.unremovable] {
        left_alone.retain(|id, passes| {
            *passes -= 1;
            *passes > 0 && state.settled.contains(id)
        });
    }
    forget_counters(inner, &mut state.uncounted).await?;
    let (mut freed_bytes, mut rewritten_bytes) = (0_u64, 0_u64);
    for (SegmentInfo { id, pool, .. }, live_bytes) in candidates(inner, infos).await? {
        if (live_bytes > 0 && state.unreadable.contains_key(&id)) || state.unremovable.contains_key(&id) {
            continue;
        }
        // Segments without live bytes come first and cost nothing, whatever was written before.
        if live_bytes > 0 && rewritten_bytes >= REWRITTEN_BYTES_MAX {
            break;
        }
        // A segment gives nothing back before all that lives in it is elsewhere. Others may be smaller, or go elsewhere.
        if live_bytes > 0 && !(inner.takes_removals() && inner.blobs.spares(pool, live_bytes)) {
            tracing::debug!(segment = id, live_bytes, "there is no room to rewrite a segment");
            continue;
        }
        let rewrite = rewrite(inner, id, REWRITTEN_BYTES_MAX.saturating_sub(rewritten_bytes)).await?;
        rewritten_bytes += rewrite.bytes;
        match rewrite.outcome {
            Outcome::Emptied => match remove(inner, id, &mut state.uncounted).await {
                Ok(bytes) => freed_bytes += bytes,
                // A zone of it fails. The others' space is given back all the same.
                Err(error @ (Error::Io { .. } | Error::NoSpace { .. })) => {
                    tracing::error!(%error, segment = id, "a segment cannot be removed; it is tried again later");
                    state.unremovable.insert(id, UNREADABLE_PASSES);
                }
                Err(error) => return Err(error),
            },
            Outcome::Begun => {}
            Outcome::NoRoom => {
                tracing::debug!(segment = id, "there is no room any more to rewrite a segment");
            }
            Outcome::Unreadable => _ = state.unreadable.insert(id, UNREADABLE_PASSES),
        }
    }
    Ok(freed_bytes.saturating_sub(rewritten_bytes))
}

/// Ends the segments that are being written if one of them is worth being rewritten. Bodies that would fill them are
/// refused, so the space of what was deleted from them would never come back.
async fn seal_wasteful(inner: &Inner) -> Result<()> {
    let open: Vec<SegmentInfo> = inner.blobs.segments().into_iter().filter(|info| !info.sealed).collect();
    let ids: Vec<u64> = open.iter().map(|info| info.id).collect();
    let live: Vec<u64> = inner.index.read(move |rows| ids.iter().map(|&id| live_bytes(rows, id)).collect()).await?;
    if open.iter().zip(live).any(|(info, live)| is_mostly_dead(info.bytes, live)) {
        inner.blobs.seal_active().await?;
    }
    Ok(())
}

/// The segments there are that nobody writes to any more, not even in a batch on its way.
fn settled_segments(inner: &Inner, state: &mut State) -> Vec<SegmentInfo> {
    let infos = inner.blobs.segments();
    // A round is not replaced by a newer one before it has passed: there may always be some writer.
    if state.waiting.as_ref().is_none_or(|round| inner.writers.passed(round.epoch)) {
        state.settled.extend(state.waiting.take().into_iter().flat_map(|round| round.segments));
        let is_new = |info: &&SegmentInfo| info.sealed && !state.settled.contains(&info.id);
        let segments: BTreeSet<u64> = infos.iter().filter(is_new).map(|info| info.id).collect();
        // After the look: whoever begins from now on cannot write to a segment that is sealed.
        let epoch = inner.writers.advance();
        if inner.writers.passed(epoch) {
            state.settled.extend(segments);
        } else if !segments.is_empty() {
            state.waiting = Some(Round { segments, epoch });
        }
    }
    let settled: Vec<SegmentInfo> = infos.into_iter().filter(|info| state.settled.contains(&info.id)).collect();
    state.settled = settled.iter().map(|info| info.id).collect();
    settled
}

/// The segments to remove or rewrite, with their live bytes, in the order of what they cost.
async fn candidates(inner: &Inner, infos: Vec<SegmentInfo>) -> Result<Vec<(SegmentInfo, u64)>> {
    let ids: Vec<u64> = infos.iter().map(|info| info.id).collect();
    let live: Vec<u64> = inner.index.read(move |rows| ids.iter().map(|&id| live_bytes(rows, id)).collect()).await?;
    let misfits = Misfits::now(inner);
    let tiny_bytes = TINY_BYTES.min(inner.segment_bytes / 4);
    let many_tiny = infos.iter().filter(|info| info.bytes < tiny_bytes).count() > TINY_SEGMENTS_MAX;
    let mut chosen: Vec<(SegmentInfo, u64)> = infos
        .into_iter()
        .zip(live)
        .filter(|(info, live)| {
            let is_tiny = many_tiny && info.bytes < tiny_bytes;
            is_mostly_dead(info.bytes, *live) || is_tiny || misfits.fits_not(info)
        })
        .collect();
    chosen.sort_by_key(|(_, live)| *live);
    Ok(chosen)
}

fn is_mostly_dead(bytes: u64, live_bytes: u64) -> bool {
    live_bytes == 0 || bytes.saturating_sub(live_bytes).saturating_mul(100) > bytes.saturating_mul(DEAD_PERCENT_MAX)
}

/// What the committer counted. It decides what is worth a look; whether a segment is empty its placement rows say.
fn live_bytes(rows: &Rows<'_>, segment: u64) -> Result<u64> {
    let row = segment.to_be_bytes();
    let Some(value) = rows.get(Family::Segment, &row)? else { return Ok(0) };
    let value = value.as_slice().try_into().map_err(|_| key::corrupt("live bytes of segment", &row))?;
    Ok(u64::try_from(i64::from_le_bytes(value)).unwrap_or(0))
}

struct Rewrite {
    bytes: u64,
    outcome: Outcome,
}

enum Outcome {
    /// No blob is in the segment any more.
    Emptied,
    /// The bytes allowed were used up.
    Begun,
    /// A blob cannot be read.
    Unreadable,
    /// What it would copy next would use up the room that removals need, since others used what there was.
    NoRoom,
}

/// Moves blobs out of a segment, to others of their pool, until at least `bytes_max` were written.
async fn rewrite(inner: &Arc<Inner>, segment: u64, bytes_max: u64) -> Result<Rewrite> {
    let mut from = key::placement(segment, 0);
    let mut bytes = 0;
    loop {
        let start = from.clone();
        let named = inner.index.read(move |rows| named_blobs(rows, segment, &start)).await?;
        let Some(last) = named.last else { break };
        from = following(last);
        // Read once and written once.
        let copied: u64 = named.blobs.iter().map(|(_, from)| from.record_bytes()).sum();
        if let Some((blob, _)) = named.blobs.first()
            && !inner.blobs.spares(blob.pool, copied)
        {
            return Ok(Rewrite { bytes, outcome: Outcome::NoRoom });
        }
        inner.budget.spend(copied.saturating_mul(2)).await;
        // The copies' segment must not be taken for settled before the batch that names them is durable.
        let writer = inner.writers.enter();
        let mut moved = copy_all(inner, named.blobs).await?;
        moved.batch.hold(writer);
        bytes += moved.bytes;
        inner.index.commit(moved.batch).await?;
        if moved.unreadable {
            return Ok(Rewrite { bytes, outcome: Outcome::Unreadable });
        }
        if bytes >= bytes_max {
            return Ok(Rewrite { bytes, outcome: Outcome::Begun });
        }
    }
    tracing::debug!(segment, bytes, "rewrote a segment");
    Ok(Rewrite { bytes, outcome: Outcome::Emptied })
}

struct Named {
    blobs: Vec<(StoredBlob, Placement)>,
    /// The last row looked at; `None` at the end.
    last: Option<Vec<u8>>,
}

/// Some of the blobs that the index places in a segment.
fn named_blobs(rows: &Rows<'_>, segment: u64, from: &[u8]) -> Result<Named> {
    let mut named = Named { blobs: Vec::new(), last: None };
    let (mut looked_at, mut bytes) = (0, 0);
    rows.scan(Family::Placement, from, &end_of(segment), |row, value| {
        let blob = StoredBlob::decode(value)?;
        let place = rows.record::<Placement>(Family::Blob, &key::stored_blob(&blob))?;
        // A blob that was dropped or moved since the scan began is nobody's concern here.
        if let Some(place) = place.filter(|place| key::placement(place.segment, place.offset) == row) {
            bytes += place.record_bytes();
            named.blobs.push((blob, place));
        }
        named.last = Some(row.to_vec());
        looked_at += 1;
        Ok(if looked_at < GROUP_BLOBS && bytes < GROUP_BYTES { Step::Next } else { Step::Stop })
    })?;
    Ok(named)
}

fn end_of(segment: u64) -> Vec<u8> {
    key::after_prefix(segment.to_be_bytes().to_vec())
}

/// Blobs that were written anew, and the batch that repoints them.
struct Moved {
    batch: Batch,
    bytes: u64,
    unreadable: bool,
}

impl Moved {
    fn take(&mut self, copied: Copied) -> Result<()> {
        let Copied { blob, from, outcome } = copied;
        match outcome {
            Ok(to) => {
                self.bytes += to.record_bytes();
                self.batch.move_blob(blob, from, to);
                Ok(())
            }
            Err(CopyError::Failed(error)) => Err(error),
            Err(CopyError::Unreadable(error)) => {
                let (blob, segment, offset) = (hex::encode(blob.id.0), from.segment, from.offset);
                tracing::error!(%error, blob, segment, offset, "a blob cannot be read; its segment is kept");
                self.unreadable = true;
                Ok(())
            }
        }
    }
}

struct Copied {
    blob: StoredBlob,
    from: Placement,
    outcome: std::result::Result<Placement, CopyError>,
}

/// Why a blob was not written anew.
enum CopyError {
    /// The blob, or its place on the disk, is damaged. Others may be sound.
    Unreadable(ReadError),
    /// Nothing can be written, or the store is closing.
    Failed(Error),
}

impl From<Error> for CopyError {
    fn from(error: Error) -> CopyError {
        CopyError::Failed(error)
    }
}

impl From<ReadError> for CopyError {
    fn from(error: ReadError) -> CopyError {
        match error {
            // Neither says anything about what is stored.
            ReadError::Engine(error) if matches!(error, Error::Closed) || error.is_out_of_files() => {
                CopyError::Failed(error)
            }
            error => CopyError::Unreadable(error),
        }
    }
}

/// Writes blobs anew, several at once, and waits until all are on stable storage.
async fn copy_all(inner: &Arc<Inner>, blobs: Vec<(StoredBlob, Placement)>) -> Result<Moved> {
    let mut moved = Moved { batch: Batch::making_room(), bytes: 0, unreadable: false };
    let mut copying = JoinSet::new();
    let mut copying_bytes = 0;
    let (hot, other): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|(blob, _)| blob.pool == Pool::Hot);
    for (blob, from) in hot {
        let bytes = u64::from(from.plain_bytes);
        while copying_bytes + bytes > COPYING_BYTES_MAX
            && let Some(copied) = copying.join_next().await
        {
            let copied: Copied = joined(copied)?;
            copying_bytes -= u64::from(copied.from.plain_bytes);
            moved.take(copied)?;
        }
        copying_bytes += bytes;
        let blobs = inner.blobs.clone();
        copying.spawn(async move { Copied { blob, from, outcome: copy(&blobs, blob.id, from).await } });
    }
    while let Some(copied) = copying.join_next().await {
        moved.take(joined(copied)?)?;
    }
    let mut other = other.into_iter().peekable();
    while let Some(pool) = other.peek().map(|(blob, _)| blob.pool) {
        for copied in copy_as_stored(&inner.blobs, pool, &mut other).await? {
            moved.take(copied)?;
        }
    }
    Ok(moved)
}

fn joined(copied: std::result::Result<Copied, tokio::task::JoinError>) -> Result<Copied> {
    copied.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_cancelled) => Error::Closed,
    })
}

/// Takes some blobs of a pool and writes them anew as they are stored, in one batch.
async fn copy_as_stored(
    blobs: &Blobs,
    pool: Pool,
    from: &mut Peekable<impl Iterator<Item = (StoredBlob, Placement)>>,
) -> Result<Vec<Copied>> {
    let (mut copied, mut read, mut records) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    while let Some((blob, from)) = from.next_if(|(blob, from)| {
        let fits = bytes == 0 || bytes + u64::from(from.stored_bytes) <= COPYING_STORED_BYTES_MAX;
        blob.pool == pool && fits
    }) {
        bytes += u64::from(from.stored_bytes);
        match blobs.stored(&blob.id, &from).await.map_err(CopyError::from) {
            Ok(record) => {
                read.push((blob, from));
                records.push(record);
            }
            Err(error) => copied.push(Copied { blob, from, outcome: Err(error) }),
        }
    }
    let places = blobs.write_batch(pool, records).await?;
    copied.extend(read.into_iter().zip(places).map(|((blob, from), to)| Copied { blob, from, outcome: Ok(to) }));
    Ok(copied)
}

/// Writes one blob of the hot pool anew. `Ok` means that the copy is verified and on stable storage.
async fn copy(blobs: &Blobs, blob: BlobId, from: Placement) -> std::result::Result<Placement, CopyError> {
    let place = || format!("segment {} at {}", from.segment, from.offset);
    let other_name = || ReadError::Engine(Error::Corrupt { what: "blob name", place: place() });
    from.check().map_err(|fault| ReadError::Engine(fault.at(place())))?;
    if u64::from(from.plain_bytes) <= SMALL_BYTES_MAX as u64 {
        let content = blobs.read(&blob, &from, 0..from.plain_bytes).await?;
        let (name, table) = Blobs::hash(&content);
        if name != blob {
            return Err(other_name().into());
        }
        return Ok(blobs.append(Pool::Hot, blob, vec![content], table).await?);
    }
    let mut content = blobs.reader(&blob, &from, 0..from.plain_bytes);
    let mut writer = blobs.begin_move(Pool::Hot, u64::from(from.plain_bytes)).await?;
    while let Some(bytes) = content.next().await? {
        writer.write(bytes).await?;
    }
    let (name, to, ticket) = writer.finish().await?;
    if name != blob {
        return Err(other_name().into());
    }
    blobs.sync(vec![ticket]).await?;
    Ok(to)
}

/// Deletes the counters of segments that are gone, once there is room for that.
async fn forget_counters(inner: &Inner, segments: &mut BTreeSet<u64>) -> Result<()> {
    if segments.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::making_room();
    segments.iter().for_each(|id| batch.delete(Family::Segment, id.to_be_bytes().to_vec()));
    match inner.index.commit(batch).await {
        Err(Error::NoSpace { .. }) => {}
        committed => {
            committed?;
            segments.clear();
        }
    }
    Ok(())
}

/// Removes a segment, if the index places nothing in it, and returns the bytes freed.
async fn remove(inner: &Inner, segment: u64, uncounted: &mut BTreeSet<u64>) -> Result<u64> {
    let _no_checkpoint = inner.collector.segments.lock().await;
    let is_named = move |rows: &Rows<'_>| {
        let named = rows.first(Family::Placement, &key::placement(segment, 0), &end_of(segment))?;
        Ok(named.is_some())
    };
    if inner.index.read(is_named).await? {
        return Ok(0);
    }
    let mut batch = Batch::making_room();
    batch.delete(Family::Segment, segment.to_be_bytes().to_vec());
    let is_counted = match inner.index.commit(batch).await {
        // Refused in its turn, so that it tells as much of those before it.
        Err(Error::NoSpace { .. }) => true,
        committed => committed.map(|()| false)?,
    };
    // Once more, now that every batch before that one is done: bytes that are named must not go, whoever erred.
    if inner.index.read(is_named).await? {
        tracing::error!(segment, "a segment that was thought to be settled is in use; it is kept");
        return Ok(0);
    }
    let freed_bytes = inner.blobs.remove_segment(segment).await?;
    if is_counted {
        uncounted.insert(segment);
    }
    tracing::debug!(segment, freed_bytes, "removed a segment");
    Ok(freed_bytes)
}

#[cfg(test)]
mod tests {
    use super::is_mostly_dead;

    #[test]
    fn dead_shares() {
        fn check(bytes: u64, live_bytes: u64, expected: bool) {
            assert_eq!(is_mostly_dead(bytes, live_bytes), expected, "{live_bytes} of {bytes}");
        }
        check(4096, 0, true);
        check(0, 0, true);
        check(100, 65, false);
        check(100, 64, true);
        check(100, 100, false);
        check(100, 110, false);
        check(u64::MAX, u64::MAX, false);
    }
}
