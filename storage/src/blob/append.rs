//! Group append: small chunks that arrive while a sync runs are written and synced together by the next one.
//!
//! Each pool has a thread of its own, so that no pool waits for another one's sync. It does, again and again: gather what is queued, reserve blocks, copy the records into one aligned
//! buffer, write it once, sync once, answer everybody. Nobody is delayed on purpose: a lone record goes at once, and
//! groups grow by themselves when the disk is slower than the callers.
//!
//! Dying before the sync leaves records that nobody was told about and nothing names. A failed write or sync fails
//! every record of the group and seals the segment; the next group goes to a new one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};

use crate::blob::buffer::AlignedBuffer;
use crate::blob::hash::{BlobId, PieceTable};
use crate::blob::layout::{BLOCK_BYTES, HEAD_BYTES, Placement, SMALL_BYTES_MAX, encode_head, encode_tail};
use crate::blob::sealing::seal_data;
use crate::blob::segment::{Segment, same_error};
use crate::blob::segments::SegmentSet;
use crate::blob::stripe::STRIPE_BYTES_MAX;
use crate::cipher::{Keys, Seal, Tag};
use crate::error::{Error, Result};
use crate::pool::Pool;

/// The most that is written at once, in bytes: long enough for the disk's full rate, short enough to wait for.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Appends that may wait; whoever comes later waits to enter the queue. Their content is in memory either way.
pub const QUEUE_MAX: usize = 1024;

/// What the appending thread is asked to do, in order.
pub enum Job {
    /// To store a chunk.
    Append(Append),
    /// To let go of its segment, and tell.
    Seal(oneshot::Sender<()>),
}

/// A small chunk waiting to be written.
pub struct Append {
    id: BlobId,
    /// The table that belongs to the name.
    table: PieceTable,
    /// With which key the data is sealed, if it is.
    seal: Option<Seal>,
    tags: Vec<Tag>,
    /// What is written, in any number of pieces.
    data: Vec<Bytes>,
    /// The size of the content in bytes: 1 to [`SMALL_BYTES_MAX`].
    plain_bytes: u32,
    /// Told where the chunk lies when it is on stable storage.
    reply: oneshot::Sender<Result<Placement>>,
}

impl Append {
    /// Seals content of 1 byte to [`SMALL_BYTES_MAX`], where there are keys: in its own memory if nobody else has it.
    pub fn new(
        keys: &Keys,
        (id, table): (BlobId, PieceTable),
        content: Vec<Bytes>,
        reply: oneshot::Sender<Result<Placement>>,
    ) -> Append {
        let bytes = content.iter().map(Bytes::len).sum();
        let plain_bytes = u32::try_from(bytes).expect("at most 1 MiB");
        let Some((seal, cipher)) = keys.begin() else {
            return Append { id, table, seal: None, tags: Vec::new(), data: content, plain_bytes, reply };
        };
        let mut data = owned(content, bytes);
        let tags = seal_data(&cipher, bytes, &mut data);
        Append { id, table, seal: Some(seal), tags, data: vec![data.freeze()], plain_bytes, reply }
    }

    fn placement(&self, segment: u64, generation: u32, offset: u64) -> Placement {
        let bytes = self.plain_bytes;
        Placement { segment, generation, offset, plain_bytes: bytes, stored_bytes: bytes, seal: self.seal }
    }

    fn record_bytes(&self) -> usize {
        self.placement(0, 0, 0).record_bytes() as usize
    }
}

/// The state of the appending thread of a pool.
struct Lane {
    pool: Pool,
    segments: Arc<SegmentSet>,
    segment: Option<Arc<Segment>>,
    buffer: AlignedBuffer,
    /// Taken from the queue, but not for the group before it.
    held: Option<Job>,
}

/// Serves the queue until its last sender is dropped.
pub fn run(pool: Pool, segments: Arc<SegmentSet>, mut queue: mpsc::Receiver<Job>) {
    let buffer = AlignedBuffer::new(GROUP_BYTES_MAX + STRIPE_BYTES_MAX);
    let mut lane = Lane { pool, segments, segment: None, buffer, held: None };
    while let Some(job) = lane.held.take().or_else(|| queue.blocking_recv()) {
        let first = match job {
            Job::Append(append) => append,
            Job::Seal(reply) => {
                lane.segment = None;
                let _ = reply.send(());
                continue;
            }
        };
        let (group, bytes) = lane.gather(first, &mut queue);
        match lane.store(&group, bytes) {
            // A caller who went away needs no answer; the record is garbage.
            Ok(placements) => group.into_iter().zip(placements).for_each(|(append, placement)| {
                let _ = append.reply.send(Ok(placement));
            }),
            Err(error) => group.into_iter().for_each(|append| {
                let _ = append.reply.send(Err(same_error(&error)));
            }),
        }
    }
}

impl Lane {
    /// The next group, and the bytes of its records.
    fn gather(&mut self, first: Append, queue: &mut mpsc::Receiver<Job>) -> (Vec<Append>, usize) {
        let mut bytes = first.record_bytes();
        let mut group = vec![first];
        while let Ok(job) = queue.try_recv() {
            match job {
                Job::Append(append) if append.reply.is_closed() => {}
                Job::Append(append) if bytes + append.record_bytes() <= GROUP_BYTES_MAX => {
                    bytes += append.record_bytes();
                    group.push(append);
                }
                later => {
                    self.held = Some(later);
                    break;
                }
            }
        }
        (group, bytes)
    }

    /// Brings a group to stable storage.
    fn store(&mut self, group: &[Append], bytes: usize) -> Result<Vec<Placement>> {
        let (segment, start) = self.segments.reserve_blocking(self.pool, &mut self.segment, bytes as u64)?;
        let placements = self.pack(group, &segment, start);
        let written = bytes.next_multiple_of(segment.layout.stripe_bytes());
        self.buffer[bytes..written].fill(0);
        if let Err(error) = segment.write(&self.buffer[..written], start) {
            if matches!(error, Error::NoSpace { .. }) {
                segment.give_back(start, start + written as u64);
            }
            return Err(error);
        }
        segment.sync()?;
        Ok(placements)
    }

    /// Lays the records out in the buffer.
    fn pack(&mut self, group: &[Append], segment: &Segment, start: u64) -> Vec<Placement> {
        let mut placements = Vec::with_capacity(group.len());
        let mut at = 0;
        for append in group {
            let placement = append.placement(segment.id, segment.generation, start + at as u64);
            let record = &mut self.buffer[at..at + append.record_bytes()];
            let head = encode_head(&placement);
            record[..HEAD_BYTES].copy_from_slice(&head);
            let mut filled = HEAD_BYTES;
            let tail = encode_tail(&head, &append.id, &append.table, &append.tags);
            for bytes in append.data.iter().map(|bytes| &bytes[..]).chain([&tail[..]]) {
                record[filled..filled + bytes.len()].copy_from_slice(bytes);
                filled += bytes.len();
            }
            record[filled..].fill(0);
            at += append.record_bytes();
            placements.push(placement);
        }
        placements
    }
}

/// Content in one piece that can be changed.
fn owned(mut content: Vec<Bytes>, bytes: usize) -> BytesMut {
    if content.len() == 1 {
        match content.remove(0).try_into_mut() {
            Ok(owned) => return owned,
            Err(shared) => content.push(shared),
        }
    }
    let mut copy = BytesMut::with_capacity(bytes);
    content.iter().for_each(|piece| copy.extend_from_slice(piece));
    copy
}

const _: () = assert!(SMALL_BYTES_MAX + 2 * BLOCK_BYTES <= GROUP_BYTES_MAX, "any small record fits into a group");
