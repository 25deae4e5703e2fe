//! Reads: the pieces that a range needs, each checked against the chunk's name before it is handed out.
//!
//! A record's head and tail are read with the first pieces: they prove that the record is the one which the index
//! means, and give the tags and hashes that further pieces are opened with and checked against.
//!
//! What the page cache holds is read at once; only a miss goes to the blocking threads, and what is not sound, which is
//! read there in every other way. Compressed records are read by `read_frames`.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinError, JoinHandle};

use crate::blob::ReadResult;
use crate::blob::buffer::{Buffers, ReadBuffer};
use crate::blob::codec::FRAME_BYTES;
use crate::blob::hash::{BlobId, PIECE_BYTES, PieceTable};
use crate::blob::layout::{Fault, HEAD_BYTES, Placement, check_frame};
use crate::blob::read_frames::{FrameReader, FrameSource};
use crate::blob::sealing::RecordOpener;
use crate::blob::segments::{ReadFile, SegmentSet};
use crate::blob::ways::{Repairs, fill};
use crate::cipher::Keys;
use crate::error::{Error, Result};
use crate::fs::blocking;

/// A [`ChunkReader`] hands out at most this many bytes at a time: few enough that they are still in the processor's
/// cache when they are hashed and then sent.
const STEP_BYTES: u32 = 256 << 10;

/// What a range needs of a record, and how it lies in memory: `[head] pieces [tail]`.
struct Plan {
    /// What to read: the place in the file and in memory.
    spans: Vec<(u64, Range<usize>)>,
    /// Whether head and tail are among it.
    has_frame: bool,
    /// The position of the first piece in the chunk.
    first_piece: usize,
    /// The pieces in memory.
    pieces: Range<usize>,
    /// The bytes that were asked for, in memory.
    wanted: Range<usize>,
    /// The memory needed.
    bytes: usize,
}

impl Plan {
    /// The placement must have been checked, and the range must lie within its content and not be empty.
    fn new(placement: &Placement, range: Range<u32>, has_frame: bool) -> Plan {
        let plain_bytes = placement.plain_bytes as usize;
        let (from, to) = (range.start as usize, range.end as usize);
        let first_piece = from / PIECE_BYTES;
        let content = first_piece * PIECE_BYTES..to.next_multiple_of(PIECE_BYTES).min(plain_bytes);

        let head = if has_frame { HEAD_BYTES } else { 0 };
        let pieces = head..head + content.len();
        let content_at = placement.offset + HEAD_BYTES as u64;
        let mut plan = Plan {
            spans: Vec::with_capacity(3),
            has_frame,
            first_piece,
            wanted: head + from - content.start..head + to - content.start,
            bytes: pieces.end,
            pieces,
        };
        if has_frame {
            plan.read(placement.offset, 0..head);
        }
        plan.read(content_at + content.start as u64, plan.pieces.clone());
        if has_frame {
            let tail = placement.record_bytes() as usize - HEAD_BYTES - plain_bytes;
            plan.bytes += tail;
            plan.read(content_at + plain_bytes as u64, plan.pieces.end..plan.bytes);
        }
        plan
    }

    /// Adds a span, joining it with the one before if they touch in the file as they do in memory.
    fn read(&mut self, offset: u64, memory: Range<usize>) {
        match self.spans.last_mut() {
            Some((start, before)) if *start + before.len() as u64 == offset => before.end = memory.end,
            _ => self.spans.push((offset, memory)),
        }
    }
}

/// One read of one record.
struct Fetch {
    file: Arc<ReadFile>,
    id: BlobId,
    placement: Placement,
    plan: Plan,
    /// What an earlier read of the record has checked.
    opener: Option<Arc<RecordOpener>>,
    keys: Arc<Keys>,
    repairs: Arc<Repairs>,
}

/// Verified bytes, with what it takes for further reads of the record.
struct Fetched {
    bytes: Bytes,
    opener: Arc<RecordOpener>,
}

impl Fetch {
    fn new(file: Arc<ReadFile>, source: &Source, range: Range<u32>, opener: Option<Arc<RecordOpener>>) -> Fetch {
        let plan = Plan::new(&source.placement, range, opener.is_none());
        let (keys, repairs) = (source.segments.keys.clone(), source.repairs.clone());
        Fetch { file, id: source.id, placement: source.placement, plan, opener, keys, repairs }
    }

    /// Reads what is in memory already, or else on a thread that may block.
    async fn run(self, buffers: &Buffers) -> Result<(Fetched, Served)> {
        let mut buffer = buffers.read_buffer(self.plan.bytes);
        let file = &self.file.file;
        if self.plan.spans.iter().all(|(offset, memory)| file.read_at_cached(&mut buffer[memory.clone()], *offset))
            && let Ok(opener) = self.check(&mut buffer)
        {
            return Ok((Fetched { bytes: buffer.into_bytes(self.plan.wanted), opener }, Served::FromMemory));
        }
        Ok((blocking(move || self.run_blocking(buffer)).await??, Served::FromDisk))
    }

    fn run_blocking(self, mut buffer: ReadBuffer) -> Result<Fetched> {
        let opener = self.repairs.read(&self.file, self.placement.offset, |way| {
            for (offset, memory) in &self.plan.spans {
                fill(&self.file, way, &mut buffer[memory.clone()], *offset)?;
            }
            self.check(&mut buffer)
        })?;
        Ok(Fetched { bytes: buffer.into_bytes(self.plan.wanted), opener })
    }

    /// Opens the pieces where they are, lets only verified bytes through, and returns what it takes for further reads
    /// of the record. After an `Err` the buffer has to be filled anew.
    fn check(&self, buffer: &mut [u8]) -> Result<Arc<RecordOpener>> {
        let opener = match &self.opener {
            Some(opener) => opener.clone(),
            None => Arc::new(self.check_frame(buffer)?),
        };
        let at = |fault: Fault| fault.at(self.file.place(self.placement.offset));
        let pieces = &mut buffer[self.plan.pieces.clone()];
        opener.open_pieces(self.plan.first_piece, pieces).map_err(at)?;
        if !opener.tail.table.verifies(&self.id, self.plan.first_piece, pieces) {
            return Err(at(Fault::Corrupt("record content")));
        }
        Ok(opener)
    }

    fn check_frame(&self, buffer: &[u8]) -> Result<RecordOpener> {
        debug_assert!(self.plan.has_frame, "who has no table reads the frame");
        let head = buffer[..HEAD_BYTES].try_into().expect("the range has the size of a head");
        let tail = check_frame(head, &buffer[self.plan.pieces.end..], &self.id, &self.placement)
            .map_err(|fault| fault.at(self.file.place(self.placement.offset)))?;
        RecordOpener::new(&self.keys, &self.placement, tail)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Served {
    FromMemory,
    FromDisk,
}

/// A chunk to read, and the means to do it.
pub struct Source {
    /// The segments to read from.
    pub segments: Arc<SegmentSet>,
    /// Memory to read into.
    pub buffers: Arc<Buffers>,
    /// Counts what only another way could read.
    pub repairs: Arc<Repairs>,
    /// The chunk's name.
    pub id: BlobId,
    /// Where it lies.
    pub placement: Placement,
}

impl Source {
    /// Reads a range of the content.
    pub async fn read(&self, range: Range<u32>) -> ReadResult<Bytes> {
        let file = self.open(&range).await?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if self.placement.is_compressed() {
            return Ok(self.read_frames(file, range).await?);
        }
        let (fetched, _) = Fetch::new(file, self, range, None).run(&self.buffers).await?;
        Ok(fetched.bytes)
    }

    /// Reads the whole record in its stored form, with the table of its pieces.
    pub async fn stored(&self) -> ReadResult<(PieceTable, Bytes)> {
        let content = 0..self.placement.plain_bytes;
        let file = self.open(&content).await?;
        if self.placement.is_compressed() {
            let frames = self.frames(file);
            return Ok(blocking(move || frames.stored()).await??);
        }
        let (fetched, _) = Fetch::new(file, self, content, None).run(&self.buffers).await?;
        Ok((fetched.opener.tail.table.clone(), fetched.bytes))
    }

    async fn read_frames(&self, file: Arc<ReadFile>, range: Range<u32>) -> Result<Bytes> {
        let mut frames = FrameReader::new(self.frames(file));
        let first = step(&range, FRAME_BYTES as u32);
        if first == range {
            return frames.read(first, range.end).await;
        }
        let mut all = Vec::with_capacity(range.len());
        let mut left = range;
        while !left.is_empty() {
            let step = step(&left, FRAME_BYTES as u32);
            left.start = step.end;
            all.extend_from_slice(&frames.read(step, left.end).await?);
        }
        Ok(all.into())
    }

    fn frames(&self, file: Arc<ReadFile>) -> FrameSource {
        let (keys, repairs) = (self.segments.keys.clone(), self.repairs.clone());
        FrameSource { file, id: self.id, placement: self.placement, keys, repairs }
    }

    /// The segment's file, after a look at the placement and the range.
    async fn open(&self, range: &Range<u32>) -> ReadResult<Arc<ReadFile>> {
        let place = || format!("segment {} at {}", self.placement.segment, self.placement.offset);
        self.placement.check().map_err(|fault| fault.at(place()))?;
        if range.start > range.end || range.end > self.placement.plain_bytes {
            return Err(Error::Corrupt { what: "range of a chunk", place: place() }.into());
        }
        self.segments.read_file(&self.placement).await
    }
}

/// A verified stream of a range of one chunk. Where the disk has to be read, the next bytes are on their way while the
/// present ones are used.
pub struct ChunkReader {
    source: Source,
    left: Range<u32>,
    file: Option<Arc<ReadFile>>,
    opener: Option<Arc<RecordOpener>>,
    ahead: Option<JoinHandle<Result<Fetched>>>,
    /// Reads the record if it is compressed.
    frames: Option<FrameReader>,
}

impl ChunkReader {
    /// Reads nothing yet.
    pub fn new(source: Source, range: Range<u32>) -> ChunkReader {
        ChunkReader { source, left: range, file: None, opener: None, ahead: None, frames: None }
    }

    /// The next bytes, at most 256 KiB, or `None` at the end. `Err(Moved)` is possible for the first bytes only. A
    /// dropped future loses nothing: the next call goes on where it was.
    pub async fn next(&mut self) -> ReadResult<Option<Bytes>> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(self.source.open(&self.left).await?).clone(),
        };
        if self.left.is_empty() {
            return Ok(None);
        }
        if self.source.placement.is_compressed() {
            return Ok(Some(self.next_of_frames(file).await?));
        }
        let (fetched, served) = match &mut self.ahead {
            Some(ahead) => {
                let fetched = ahead.await;
                self.ahead = None;
                (joined(fetched)?, Served::FromDisk)
            }
            None => {
                Fetch::new(file.clone(), &self.source, self.step(), self.opener.clone())
                    .run(&self.source.buffers)
                    .await?
            }
        };
        self.left.start = self.step().end;
        if served == Served::FromDisk && !self.left.is_empty() {
            let fetch = Fetch::new(file, &self.source, self.step(), Some(fetched.opener.clone()));
            let buffer = self.source.buffers.read_buffer(fetch.plan.bytes);
            self.ahead = Some(tokio::task::spawn_blocking(move || fetch.run_blocking(buffer)));
        }
        self.opener = Some(fetched.opener);
        Ok(Some(fetched.bytes))
    }

    async fn next_of_frames(&mut self, file: Arc<ReadFile>) -> Result<Bytes> {
        let step = self.step();
        let frames = self.frames.get_or_insert_with(|| FrameReader::new(self.source.frames(file)));
        let bytes = frames.read(step.clone(), self.left.end).await?;
        self.left.start = step.end;
        Ok(bytes)
    }

    fn step(&self) -> Range<u32> {
        step(&self.left, STEP_BYTES)
    }
}

/// What to hand out next: up to a multiple of the step, so that no piece is read twice.
fn step(left: &Range<u32>, step_bytes: u32) -> Range<u32> {
    let boundary = (left.start / step_bytes + 1) * step_bytes;
    left.start..boundary.min(left.end)
}

/// The result of a task, or its panic.
pub fn joined<T>(result: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    match result.map_err(JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => Err(Error::Closed),
    }
}
