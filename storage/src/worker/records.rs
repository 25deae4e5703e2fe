//! Records at rest: a group of them is read from every shard of their segment, and what is damaged is written anew.
//!
//! 1. Read each record of the group from every shard (`blob::examine`).
//! 2. What is damaged in some shards is written to another segment, from the sound ones, synced, and its place is repointed,
//!    as the collector does; then it is read there in all zones once more. The damaged place is dead bytes from then on.
//!    Nothing is mended in place: what others have there may be damaged elsewhere, and a shard that was rebuilt from them
//!    would be too.
//! 3. What no shard gives is brought from another pool, if the chunk is in one. Else it is lost, which the caller is told.
//! 4. A shard that cannot be opened, or is another's, is given up, and the healer rebuilds it.
//!
//! Dying anywhere leaves what the next reading finds the same way.

use std::sync::Arc;

use crate::blob::{Examiner, Placement, Prepared, ReadError, SegmentInfo};
use crate::error::{Error, Result};
use crate::index::record::{Record as _, StoredBlob};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::pool::Pool;
use crate::store::Inner;
use crate::worker::pace::Turn;
use crate::worker::widen::read_as;
use crate::zone::ZoneId;

/// What is read between two looks at the clock and the budget: so many records, or so many bytes of them.
const GROUP_RECORDS: usize = 64;
const GROUP_BYTES: u64 = 2 << 20;

/// Records side by side in one segment.
pub(super) struct Group {
    pub(super) segment: u64,
    blobs: Vec<(StoredBlob, Placement)>,
    /// Where the next one begins.
    pub(super) next: (u64, u64),
}

/// The next records in use, from a place up to a segment.
pub(super) fn next_group(rows: &Rows<'_>, from: (u64, u64), until: u64) -> Result<Option<Group>> {
    let mut group: Option<Group> = None;
    let mut bytes = 0;
    rows.scan(Family::Placement, &key::placement(from.0, from.1), &key::placement(until, 0), |row, value| {
        let Some((segment, offset)) = key::split_placement(row) else { return Ok(Step::Next) };
        let group = group.get_or_insert(Group { segment, blobs: Vec::new(), next: (segment, offset) });
        if segment != group.segment {
            group.next = (segment, 0);
            return Ok(Step::Stop);
        }
        group.next = (segment, offset.saturating_add(1));
        // What cannot be read of the index, a check tells of.
        let Ok(blob) = StoredBlob::decode(value) else { return Ok(Step::Next) };
        let Ok(Some(place)) = rows.record::<Placement>(Family::Blob, &key::stored_blob(&blob)) else {
            return Ok(Step::Next);
        };
        if key::placement(place.segment, place.offset) == row {
            bytes += place.record_bytes();
            group.blobs.push((blob, place));
        }
        Ok(if group.blobs.len() < GROUP_RECORDS && bytes < GROUP_BYTES { Step::Next } else { Step::Stop })
    })?;
    Ok(group)
}

/// What was found, in one group or several.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Records read.
    pub(super) records: u64,
    /// Records that were damaged somewhere.
    pub(super) damaged: u64,
    /// Of these, those that are whole again in all zones.
    pub(super) repaired: u64,
    /// Of these, those that cannot be read any more.
    pub(super) lost: Vec<StoredBlob>,
    /// The sizes of the records read, each counted once, in bytes.
    pub(super) bytes: u64,
    /// Where the first record begins that was not dealt with.
    pub(super) next: (u64, u64),
}

/// What is to be done about a record.
enum Verdict {
    Sound,
    /// It is not there any more: moved, or dropped.
    Gone,
    /// Some zones do not have it as it was written; this is how.
    Damaged(Vec<ZoneId>, Prepared),
    Unreadable(String),
}

impl Group {
    /// The size of its records, each counted once, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.blobs.iter().map(|(_, place)| place.record_bytes()).sum()
    }

    /// What is read of them in all zones of their segment, in bytes.
    pub(super) fn read_bytes(&self, segment: &SegmentInfo) -> u64 {
        let layout = segment.layout;
        self.bytes() * layout.shards() as u64 / u64::from(layout.data).max(1)
    }

    /// Reads the records in all zones and writes anew what is damaged. The caller has paid the budget for the reading.
    /// Adds what it finds to `found`; after an `Err` that is what it found before it.
    pub(super) async fn verify(self, inner: &Arc<Inner>, found: &mut Found) -> Result<()> {
        for (blob, place, verdict) in examine(inner, self.segment, self.blobs).await? {
            found.next = (place.segment, place.offset);
            match verdict {
                Verdict::Sound | Verdict::Gone => {}
                Verdict::Damaged(zones, prepared) => {
                    let zones: Vec<u16> = zones.into_iter().map(|zone| zone.0).collect();
                    let (segment, offset) = (place.segment, place.offset);
                    tracing::warn!(segment, offset, ?zones, "a record is damaged; it is written anew");
                    let is_repaired = repair(inner, blob, place, prepared).await?;
                    found.damaged += 1;
                    found.repaired += u64::from(is_repaired);
                }
                Verdict::Unreadable(reason) => unreadable(inner, found, blob, place, reason).await?,
            }
            found.records += 1;
            found.bytes += place.record_bytes();
        }
        found.next = self.next;
        Ok(())
    }
}

/// Reads records from all shards, on the thread that gives way to requests.
async fn examine(
    inner: &Arc<Inner>,
    segment: u64,
    group: Vec<(StoredBlob, Placement)>,
) -> Result<Vec<(StoredBlob, Placement, Verdict)>> {
    let blobs = inner.blobs.clone();
    let work = move |turn: &mut Turn<'_>| {
        let open = || match blobs.examiner(segment) {
            // A shard that is not what it should be was given up by the look; from now on it counts as missing.
            Ok(first) if first.unusable().next().is_some() => blobs.examiner(segment),
            opened => opened,
        };
        let examiner = match open() {
            Err(ReadError::Engine(error)) if error.is_out_of_files() => return Err(error),
            opened => opened,
        };
        let mut verdicts = Vec::with_capacity(group.len());
        for (blob, place) in group {
            let verdict = match &examiner {
                Ok(examiner) => look(examiner, &blob, &place),
                Err(ReadError::Moved) => Verdict::Gone,
                Err(error) => Verdict::Unreadable(error.to_string()),
            };
            verdicts.push((blob, place, verdict));
            turn.end_piece();
        }
        Ok(verdicts)
    };
    inner.mover.background.run(work).await?
}

fn look(examiner: &Examiner, blob: &StoredBlob, place: &Placement) -> Verdict {
    if examiner.generation() != place.generation {
        return Verdict::Unreadable("the segment is not the one that it was written to".to_owned());
    }
    match examiner.record(&blob.id, place) {
        Ok(examined) => match examined.record {
            Some(_) if examined.damaged.is_empty() => Verdict::Sound,
            Some(prepared) => Verdict::Damaged(examined.damaged, prepared),
            None => Verdict::Unreadable("no shard gives what was written".to_owned()),
        },
        Err(error) => Verdict::Unreadable(error.to_string()),
    }
}

/// Writes a record to another place, repoints it and reads it there. Whether it is whole now, or not in use any more.
async fn repair(inner: &Arc<Inner>, blob: StoredBlob, from: Placement, prepared: Prepared) -> Result<bool> {
    if let Err(error) = inner.check_takes_bytes() {
        tracing::error!(%error, "a damaged record cannot be written anew");
        return Ok(false);
    }
    inner.budget.spend(from.record_bytes()).await;
    // The new place must not be taken for settled before the batch that names it is durable.
    let writer = inner.writers.enter();
    let to = match inner.blobs.write_batch(blob.pool, vec![prepared]).await {
        Ok(places) => places.into_iter().next(),
        Err(error @ (Error::NoSpace { .. } | Error::Io { .. })) => {
            tracing::error!(%error, "a damaged record cannot be written anew");
            None
        }
        Err(error) => return Err(error),
    };
    let Some(to) = to else { return Ok(false) };
    let mut batch = Batch::new();
    batch.move_blob(blob, from, to);
    batch.hold(writer);
    inner.index.commit(batch).await?;
    let now: Option<Placement> = inner.index.record(Family::Blob, key::stored_blob(&blob)).await?;
    if now != Some(to) {
        // Dropped or moved meanwhile, by somebody who read it.
        return Ok(now != Some(from));
    }
    let verdicts = examine(inner, to.segment, vec![(blob, to)]).await?;
    Ok(verdicts.iter().all(|(_, _, verdict)| matches!(verdict, Verdict::Sound | Verdict::Gone)))
}

/// Brings a record that cannot be read from another pool, or tells that it is lost.
async fn unreadable(
    inner: &Arc<Inner>,
    found: &mut Found,
    blob: StoredBlob,
    place: Placement,
    reason: String,
) -> Result<()> {
    let now: Option<Placement> = inner.index.record(Family::Blob, key::stored_blob(&blob)).await?;
    if now != Some(place) {
        return Ok(());
    }
    let (segment, offset) = (place.segment, place.offset);
    for pool in Pool::ALL.into_iter().filter(|pool| *pool != blob.pool) {
        let other = StoredBlob { id: blob.id, pool };
        let Some(elsewhere) = inner.index.record(Family::Blob, key::stored_blob(&other)).await? else { continue };
        match read_as(inner, blob, (pool, elsewhere)).await {
            Ok(prepared) => {
                tracing::warn!(segment, offset, reason, "a record cannot be read; it is brought from another pool");
                let is_repaired = repair(inner, blob, place, prepared).await?;
                found.damaged += 1;
                found.repaired += u64::from(is_repaired);
                return Ok(());
            }
            Err(Error::Closed) => return Err(Error::Closed),
            Err(error) => tracing::error!(%error, pool = pool.name(), "a record cannot be read in another pool either"),
        }
    }
    tracing::error!(segment, offset, blob = %blob.id, pool = blob.pool.name(), reason, "a record is lost");
    found.damaged += 1;
    found.lost.push(blob);
    Ok(())
}
