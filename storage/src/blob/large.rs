//! Large chunks: written in place around the page cache while they arrive, and synced by whoever ends the body.
//!
//! The extent of a chunk is reserved at the beginning, so several bodies write to one segment side by side. The order
//! is: data in pieces of 1 MiB, the tail, and (only if the chunk ended early) the head once more; then the sync. Dying
//! or dropping the writer at any point leaves an extent that nothing names.
//!
//! A piece of 64 KiB is named, and sealed where it lies, as soon as it is whole, so pieces never straddle two buffers: what
//! is left of a buffer behind the last whole stripe begins the next one.
//!
//! A writer fills one buffer while the one before is on its way to the disk. That one goes back to the pool by itself,
//! so a writer whose body has come to a halt holds one buffer and no more: with as many buffers as there are bodies,
//! no body waits for another one's client.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::blob::buffer::{AlignedBuffer, Buffers, WRITE_BUFFER_BYTES, WriteBuffer};
use crate::blob::hash::{BlobId, PIECE_BYTES, PieceHasher};
use crate::blob::layout::{CHUNK_BYTES_MAX, HEAD_BYTES, Placement, encode_head, encode_tail};
use crate::blob::sealing::seal_piece;
use crate::blob::segment::Segment;
use crate::blob::segments::SegmentSet;
use crate::cipher::{PieceCipher, Seal, Tag};
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::pool::Pool;

/// From this size on, in bytes, a body has segments of its own, so that deleting it is an unlink.
const OWN_SEGMENT_BYTES_LEAST: u64 = 64 << 20;
/// Segments that single bodies have open for themselves; further bodies share. Bounds descriptors and seeks.
const OWN_SEGMENTS_MAX: usize = 64;

/// What is known about the body that chunks belong to. It lives as long as the body arrives.
pub struct StreamHint {
    total: Option<u64>,
    own: tokio::sync::Mutex<Option<OwnSegment>>,
}

struct OwnSegment {
    pool: Pool,
    segment: Option<Arc<Segment>>,
    _permit: OwnedSemaphorePermit,
}

impl StreamHint {
    /// A body of that size in bytes, if it is known.
    pub fn new(total: Option<u64>) -> StreamHint {
        StreamHint { total, own: tokio::sync::Mutex::new(None) }
    }
}

/// Where large chunks are placed.
pub struct LargeLane {
    segments: Arc<SegmentSet>,
    /// One for each pool, by its number.
    shared: [tokio::sync::Mutex<Option<Arc<Segment>>>; Pool::ALL.len()],
    own_permits: Arc<Semaphore>,
}

impl LargeLane {
    /// Opens no segment before it is needed.
    pub fn new(segments: Arc<SegmentSet>) -> LargeLane {
        let own_permits = Arc::new(Semaphore::new(OWN_SEGMENTS_MAX));
        LargeLane { segments, shared: Default::default(), own_permits }
    }

    /// Lets go of the shared segments.
    pub async fn seal(&self) {
        for shared in &self.shared {
            *shared.lock().await = None;
        }
    }

    /// Reserves the extent of a chunk.
    async fn reserve(&self, pool: Pool, bytes: u64, hint: &StreamHint) -> Result<(Arc<Segment>, u64)> {
        if hint.total.is_some_and(|total| total >= OWN_SEGMENT_BYTES_LEAST) {
            let mut own = hint.own.lock().await;
            if own.is_none()
                && let Ok(permit) = self.own_permits.clone().try_acquire_owned()
            {
                *own = Some(OwnSegment { pool, segment: None, _permit: permit });
            }
            if let Some(own) = own.as_mut().filter(|own| own.pool == pool) {
                return self.reserve_in(pool, &mut own.segment, bytes).await;
            }
        }
        self.reserve_in(pool, &mut *self.shared[usize::from(pool.number())].lock().await, bytes).await
    }

    async fn reserve_in(&self, pool: Pool, slot: &mut Option<Arc<Segment>>, bytes: u64) -> Result<(Arc<Segment>, u64)> {
        let offset = self.segments.reserve(pool, slot, bytes).await?;
        Ok((slot.clone().expect("bytes were reserved in it"), offset))
    }
}

/// Bytes that were written but may not have reached stable storage: to be handed to `Blobs::sync`.
#[must_use = "nothing is durable before the ticket was synced"]
pub struct Ticket {
    segment: Arc<Segment>,
    number: u64,
}

impl Ticket {
    /// Waits until the bytes are on stable storage, sharing the sync with others.
    pub async fn synced(&self) -> Result<()> {
        self.segment.sync_shared(self.number).await
    }
}

/// A large chunk on its way in. Dropping it abandons the extent, which is garbage of its segment from then on.
///
/// After an `Err`, or after a future of [`LargeWriter::write`] was dropped, only dropping the writer is left.
pub struct LargeWriter {
    buffers: Arc<Buffers>,
    segment: Arc<Segment>,
    /// What is written is a multiple of it.
    stripe_bytes: usize,
    /// What a buffer takes: the most whole stripes.
    fill_bytes: usize,
    /// The extent: where the record starts, and where its room ends.
    start: u64,
    reserved_end: u64,
    declared_bytes: usize,
    plain_bytes: usize,
    hasher: PieceHasher,
    /// With which key the record is sealed, if it is, and the tags so far.
    seal: Option<Seal>,
    cipher: Option<PieceCipher>,
    tags: Vec<Tag>,
    /// The buffer being filled, how much of it is filled, and where in it the open piece begins.
    buffer: Option<WriteBuffer>,
    filled: usize,
    piece_start: usize,
    /// What the next buffer begins with: less than a stripe.
    carried: Vec<u8>,
    /// Where the buffer being filled, or the next one, goes.
    position: u64,
    in_flight: Option<JoinHandle<Result<()>>>,
    /// The record's first stripe, kept in case the head must be written again.
    first_stripe: Option<AlignedBuffer>,
    /// False while a call is under way, and for good after it failed or was dropped.
    sound: bool,
}

impl LargeWriter {
    /// Reserves room for `declared_bytes` of content.
    pub async fn begin(
        lane: &LargeLane,
        pool: Pool,
        buffers: Arc<Buffers>,
        declared_bytes: u64,
        hint: &StreamHint,
    ) -> Result<LargeWriter> {
        assert!((1..=CHUNK_BYTES_MAX as u64).contains(&declared_bytes), "a chunk has 1 byte to 8 MiB");
        let declared_bytes = declared_bytes as usize;
        let (seal, cipher) = lane.segments.keys.begin().unzip();
        let bytes = u32::try_from(declared_bytes).expect("at most 8 MiB");
        let nowhere = Placement { segment: 0, generation: 0, offset: 0, plain_bytes: bytes, stored_bytes: bytes, seal };
        let record_bytes = HEAD_BYTES + declared_bytes + nowhere.tail_bytes();
        let (segment, start) = lane.reserve(pool, record_bytes as u64, hint).await?;
        let stripe_bytes = segment.layout.stripe_bytes();
        let room = record_bytes.next_multiple_of(stripe_bytes) as u64;
        Ok(LargeWriter {
            buffers,
            segment,
            stripe_bytes,
            fill_bytes: WRITE_BUFFER_BYTES / stripe_bytes * stripe_bytes,
            start,
            reserved_end: start + room,
            declared_bytes,
            plain_bytes: 0,
            hasher: PieceHasher::new(),
            seal,
            cipher,
            tags: Vec::new(),
            buffer: None,
            filled: 0,
            piece_start: 0,
            carried: Vec::new(),
            position: start,
            in_flight: None,
            first_stripe: None,
            sound: true,
        })
    }

    /// How many more bytes of content the chunk takes.
    pub fn room(&self) -> usize {
        self.declared_bytes - self.plain_bytes
    }

    /// Takes the next bytes, at most [`LargeWriter::room`], waiting when the disk is behind.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        assert!(self.sound, "a writer is of no use after a write failed or was dropped");
        assert!(bytes.len() <= self.room(), "a chunk takes no more than was declared");
        if bytes.is_empty() {
            return Ok(());
        }
        self.sound = false;
        if self.plain_bytes == 0 {
            let head = encode_head(&self.placement(self.declared_bytes));
            self.copy(&head).await?;
            self.piece_start = self.filled;
        }
        self.plain_bytes += bytes.len();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let most = self.piece_start + PIECE_BYTES;
            rest = self.copy_some(rest, most).await?;
            if self.filled == most {
                self.close_piece();
                if self.filled + PIECE_BYTES > self.fill_bytes {
                    self.flush().await?;
                }
            }
        }
        self.sound = true;
        Ok(())
    }

    /// Ends the chunk, which must not be empty. The bytes are written but durable only after `Blobs::sync`.
    pub async fn finish(mut self) -> Result<(BlobId, Placement, Ticket)> {
        assert!(self.sound, "a writer is of no use after a write failed or was dropped");
        assert!(self.plain_bytes > 0, "a chunk has at least one byte");
        self.close_piece();
        let (id, table) = std::mem::replace(&mut self.hasher, PieceHasher::new()).finish();
        let placement = self.placement(self.plain_bytes);
        let head = encode_head(&placement);
        let ended_early = self.plain_bytes < self.declared_bytes;
        let first_stripe = if ended_early { self.replace_head(&head) } else { None };

        self.copy(&encode_tail(&head, &id, &table, &self.tags)).await?;
        let padded = self.filled.next_multiple_of(self.stripe_bytes);
        if let Some(buffer) = &mut self.buffer {
            buffer[self.filled..padded].fill(0);
            self.filled = padded;
            self.flush().await?;
        }
        self.settle().await?;
        self.segment.give_back(self.position, self.reserved_end);
        if let Some(stripe) = first_stripe {
            let (segment, start) = (self.segment.clone(), self.start);
            blocking(move || segment.write(&stripe, start)).await??;
        }
        let number = self.segment.finish_write();
        Ok((id, placement, Ticket { segment: self.segment, number }))
    }

    fn placement(&self, plain_bytes: usize) -> Placement {
        let bytes = u32::try_from(plain_bytes).expect("a chunk has at most 8 MiB");
        Placement {
            segment: self.segment.id,
            generation: self.segment.generation,
            offset: self.start,
            plain_bytes: bytes,
            stored_bytes: bytes,
            seal: self.seal,
        }
    }

    /// Copies what is not content.
    async fn copy(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.copy_some(bytes, self.fill_bytes).await?;
            if self.filled == self.fill_bytes {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Copies into the buffer until it is filled up to `most`, and returns the rest.
    async fn copy_some<'a>(&mut self, bytes: &'a [u8], most: usize) -> Result<&'a [u8]> {
        if self.buffer.is_none() {
            // Nobody who holds one waits, so those who wait go on as soon as a write returns.
            let mut buffer = self.buffers.write_buffer().await?;
            buffer[..self.carried.len()].copy_from_slice(&self.carried);
            self.carried.clear();
            self.buffer = Some(buffer);
        }
        let buffer = self.buffer.as_mut().expect("it was just put there");
        let (now, rest) = bytes.split_at(bytes.len().min(most - self.filled));
        buffer[self.filled..self.filled + now.len()].copy_from_slice(now);
        self.filled += now.len();
        Ok(rest)
    }

    /// Names the content that the open piece has, and seals it, while it is in the processor's cache.
    fn close_piece(&mut self) {
        let Some(buffer) = self.buffer.as_mut().filter(|_| self.piece_start < self.filled) else { return };
        let piece = &mut buffer[self.piece_start..self.filled];
        self.hasher.update(piece);
        if let Some(cipher) = &self.cipher {
            self.tags.push(seal_piece(cipher, self.tags.len(), piece));
        }
        self.piece_start = self.filled;
    }

    /// Sends the whole stripes of the buffer to the disk, after the write before it has returned. What the buffer has
    /// beyond them is kept for the next one.
    async fn flush(&mut self) -> Result<()> {
        self.settle().await?;
        let Some(full) = self.buffer.take() else { return Ok(()) };
        let (whole, position) = (self.filled / self.stripe_bytes * self.stripe_bytes, self.position);
        if position == self.start && self.declared_bytes > self.plain_bytes {
            let mut stripe = AlignedBuffer::new(self.stripe_bytes);
            stripe.copy_from_slice(&full[..self.stripe_bytes]);
            self.first_stripe = Some(stripe);
        }
        self.position += whole as u64;
        self.carried.extend_from_slice(&full[whole..self.filled]);
        self.filled = self.carried.len();
        self.piece_start = self.filled;
        let segment = self.segment.clone();
        self.in_flight = Some(tokio::task::spawn_blocking(move || segment.write(&full[..whole], position)));
        Ok(())
    }

    /// Waits for the write under way.
    async fn settle(&mut self) -> Result<()> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        let written = in_flight.await;
        self.in_flight = None;
        match written {
            Ok(written) => written,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(Error::Closed),
            },
        }
    }

    /// Corrects the head in the buffer, or returns the first stripe corrected if it has gone to the disk already.
    fn replace_head(&mut self, head: &[u8; HEAD_BYTES]) -> Option<AlignedBuffer> {
        if self.position == self.start {
            let buffer = self.buffer.as_mut().expect("what was not flushed is in the buffer");
            buffer[..HEAD_BYTES].copy_from_slice(head);
            return None;
        }
        let mut stripe = self.first_stripe.take().expect("the first flush keeps it");
        stripe[..HEAD_BYTES].copy_from_slice(head);
        Some(stripe)
    }
}
