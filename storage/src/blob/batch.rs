//! Batches of chunks that a background worker has in memory: written in long runs, synced once.
//!
//! Each pool has one open segment for batches. The order is: for each run of records a reservation and one aligned
//! write; at the end one sync of each segment written to, shared with other batches that end meanwhile. Dying or
//! dropping the future at any point leaves records that nothing names. A failed write or sync fails the whole batch,
//! and the next one goes to another segment; what a full disk refused to write gives its place back.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use crate::blob::buffer::AlignedBuffer;
use crate::blob::codec::{self, Level};
use crate::blob::hash::{BlobId, PIECE_BYTES, PieceTable, table_entries};
use crate::blob::layout::{
    BLOCK_BYTES, CHUNK_BYTES_MAX, HEAD_BYTES, Placement, SLOT_BYTES, SMALL_BYTES_MAX, encode_head, encode_tail,
};
use crate::blob::sealing::seal_data;
use crate::blob::segment::Segment;
use crate::blob::segments::SegmentSet;
use crate::blob::stripe::STRIPE_BYTES_MAX;
use crate::cipher::{Keys, PieceCipher, Seal, TAG_BYTES};
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::pool::Pool;
use crate::sync::Mutex;

/// The most that is reserved and written at once, in bytes: the largest record. Any record fits, and a run of small
/// ones is long enough for the full rate of any disk.
const RUN_BYTES_MAX: usize = CHUNK_BYTES_MAX + 2 * BLOCK_BYTES;

/// How content is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Raw,
    /// Compressed, unless that is not worth it.
    Compressed(Level),
}

impl Form {
    /// How a pool stores content.
    pub fn of(pool: Pool) -> Form {
        match pool {
            Pool::Hot => Form::Raw,
            Pool::Cool | Pool::OneZone => Form::Compressed(Level::Cool),
            Pool::Archive => Form::Compressed(Level::Archive),
        }
    }
}

/// A chunk in the form in which it is stored.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its name.
    pub id: BlobId,
    /// The table that belongs to the name.
    pub table: PieceTable,
    /// The size of the content in bytes, 1 to `layout::CHUNK_BYTES_MAX`.
    pub plain_bytes: u32,
    /// What is written: the content itself if it has `plain_bytes`, compressed frames if it has fewer.
    pub stored: Bytes,
}

impl Prepared {
    /// Where the record is, before its segment is known.
    pub(super) fn nowhere(&self, seal: Option<Seal>) -> Placement {
        let stored_bytes = u32::try_from(self.stored.len()).expect("what is stored is not larger than the content");
        Placement { segment: 0, generation: 0, offset: 0, plain_bytes: self.plain_bytes, stored_bytes, seal }
    }

    fn record_bytes(&self, sealing: bool) -> usize {
        self.nowhere(sealing.then_some(Seal { key: 1, salt: [0; 16] })).record_bytes() as usize
    }

    /// Where the record starts if what is before it ends at `end`.
    fn start(&self, end: usize) -> usize {
        end.next_multiple_of(if self.plain_bytes as usize > SMALL_BYTES_MAX { BLOCK_BYTES } else { SLOT_BYTES })
    }
}

/// Brings content into the form in which it is to be stored. `pause` is called after each frame.
pub fn prepare(id: BlobId, content: &[u8], table: PieceTable, form: Form, pause: &mut dyn FnMut()) -> Prepared {
    assert!((1..=CHUNK_BYTES_MAX).contains(&content.len()), "a chunk has 1 byte to 8 MiB");
    let plain_bytes = u32::try_from(content.len()).expect("at most 8 MiB");
    let compressed = match form {
        Form::Raw => None,
        Form::Compressed(level) => codec::compress(content, level, pause),
    };
    let stored = compressed.map_or_else(|| Bytes::copy_from_slice(content), Bytes::from);
    Prepared { id, table, plain_bytes, stored }
}

/// Where batches are placed.
pub struct BatchLanes {
    segments: Arc<SegmentSet>,
    /// The open segment of each pool, by the pool's number.
    open: [Mutex<Option<Arc<Segment>>>; Pool::ALL.len()],
}

impl BatchLanes {
    /// Opens no segment before it is needed.
    pub fn new(segments: Arc<SegmentSet>) -> BatchLanes {
        BatchLanes { segments, open: Default::default() }
    }

    /// Brings records to stable storage; see `Blobs::write_batch`.
    pub async fn write(self: &Arc<BatchLanes>, pool: Pool, records: Vec<Prepared>) -> Result<Vec<Placement>> {
        for record in &records {
            let (plain_bytes, entries) = (record.plain_bytes as usize, record.table.values().len());
            assert!((1..=CHUNK_BYTES_MAX).contains(&plain_bytes), "a chunk has 1 byte to 8 MiB");
            assert!((1..=plain_bytes).contains(&record.stored.len()), "what is stored is not larger than the content");
            assert_eq!(entries, table_entries(plain_bytes), "the table is that of the content");
        }
        let lanes = self.clone();
        let (placements, segments) = blocking(move || lanes.write_runs(pool, &records)).await??;
        for segment in segments {
            segment.sync_shared(segment.finish_write()).await?;
        }
        Ok(placements)
    }

    /// Lets go of the open segments. Blocks the thread.
    pub fn seal(&self) {
        for slot in &self.open {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Writes the records, and returns with their places the segments to sync.
    fn write_runs(&self, pool: Pool, records: &[Prepared]) -> Result<(Vec<Placement>, Vec<Arc<Segment>>)> {
        let runs = runs(records, self.segments.keys.seals());
        let largest = runs.iter().map(|run| run.bytes).max().unwrap_or(0);
        let mut buffer = AlignedBuffer::new(largest.next_multiple_of(BLOCK_BYTES) + STRIPE_BYTES_MAX);
        let mut placements = Vec::with_capacity(records.len());
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        for run in runs {
            let (segment, start) = self.reserve(pool, run.bytes as u64)?;
            placements.extend(pack(&mut buffer, &records[run.records], &self.segments.keys, (&segment, start)));
            let padded = run.bytes.next_multiple_of(segment.layout.stripe_bytes());
            buffer[run.bytes..padded].fill(0);
            if let Err(error) = segment.write(&buffer[..padded], start) {
                if matches!(error, Error::NoSpace { .. }) {
                    segment.give_back(start, start + padded as u64);
                }
                return Err(error);
            }
            if !segments.iter().any(|other| Arc::ptr_eq(other, &segment)) {
                segments.push(segment);
            }
        }
        Ok((placements, segments))
    }

    fn reserve(&self, pool: Pool, bytes: u64) -> Result<(Arc<Segment>, u64)> {
        let slot = &self.open[usize::from(pool.number())];
        self.segments.reserve_blocking(pool, &mut slot.lock().unwrap_or_else(PoisonError::into_inner), bytes)
    }
}

/// Records that are written together.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    records: Range<usize>,
    /// The end of the last record, from the start of the first one.
    bytes: usize,
}

/// Divides records into runs of at most [`RUN_BYTES_MAX`], in order.
fn runs(records: &[Prepared], sealing: bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (position, record) in records.iter().enumerate() {
        if let Some(run) = runs.last_mut() {
            let end = record.start(run.bytes) + record.record_bytes(sealing);
            if end <= RUN_BYTES_MAX {
                (run.records.end, run.bytes) = (position + 1, end);
                continue;
            }
        }
        runs.push(Run { records: position..position + 1, bytes: record.record_bytes(sealing) });
    }
    runs
}

/// Lays the records of a run out in the buffer, and seals them there.
fn pack(buffer: &mut [u8], records: &[Prepared], keys: &Keys, (segment, start): (&Segment, u64)) -> Vec<Placement> {
    let mut placements = Vec::with_capacity(records.len());
    let mut end = 0;
    for record in records {
        let at = record.start(end);
        buffer[end..at].fill(0);
        let (seal, cipher) = keys.begin().unzip();
        let offset = start + at as u64;
        let placement =
            Placement { segment: segment.id, generation: segment.generation, offset, ..record.nowhere(seal) };
        end = at + placement.record_bytes() as usize;
        lay_out(&mut buffer[at..end], record, &placement, cipher);
        placements.push(placement);
    }
    placements
}

/// Lays one record out in bytes of its size, and seals it there.
pub(super) fn lay_out(buffer: &mut [u8], record: &Prepared, placement: &Placement, cipher: Option<PieceCipher>) {
    let head = encode_head(placement);
    let data = HEAD_BYTES..HEAD_BYTES + record.stored.len();
    buffer[..data.start].copy_from_slice(&head);
    buffer[data.clone()].copy_from_slice(&record.stored);
    let seal = |cipher| seal_data(&cipher, record.plain_bytes as usize, &mut buffer[data.clone()]);
    let tags = cipher.map_or_else(Vec::new, seal);
    let tail = encode_tail(&head, &record.id, &record.table, &tags);
    let tail_end = data.end + tail.len();
    buffer[data.end..tail_end].copy_from_slice(&tail);
    buffer[tail_end..].fill(0);
}

const _: () = {
    let tail_bytes_max = CHUNK_BYTES_MAX / PIECE_BYTES * (32 + TAG_BYTES) + 64;
    assert!(HEAD_BYTES + CHUNK_BYTES_MAX + tail_bytes_max <= RUN_BYTES_MAX, "any record fits into a run");
};
