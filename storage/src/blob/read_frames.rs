//! Reads of compressed records: the frames that a range touches, decompressed and verified by threads that may block.
//!
//! The first read of a record takes the head, the directory of frames and the tail along: they prove that the record is
//! the one which the index means, and tell where the frames lie and what their content hashes to. Decompression needs
//! such a thread anyway, so nothing is gained by a look at the page cache from elsewhere.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::blob::codec::{self, Directory, FRAME_BYTES};
use crate::blob::hash::{BlobId, PIECE_BYTES, PieceTable};
use crate::blob::layout::{Fault, HEAD_BYTES, Placement, check_frame};
use crate::blob::read::joined;
use crate::blob::sealing::RecordOpener;
use crate::blob::segments::ReadFile;
use crate::blob::ways::{Repairs, fill};
use crate::cipher::Keys;
use crate::error::Result;

/// A compressed record in an open segment, whose placement was checked. All calls block the thread.
pub struct FrameSource {
    /// The segment.
    pub file: Arc<ReadFile>,
    /// The chunk's name.
    pub id: BlobId,
    /// Where the record lies.
    pub placement: Placement,
    /// With which it may be sealed.
    pub keys: Arc<Keys>,
    /// Counts what only another way could read.
    pub repairs: Arc<Repairs>,
}

/// What surrounds the frames of a record, checked against the name and the place.
struct Surround {
    opener: RecordOpener,
    directory: Directory,
}

/// A decompressed frame. The pieces that it was fetched for are verified; it is not handed out beyond them.
struct Frame {
    position: usize,
    plain: Bytes,
    surround: Arc<Surround>,
}

impl FrameSource {
    /// The data of the record, opened but still compressed, with the table of its pieces. All of it is verified.
    pub fn stored(&self) -> Result<(PieceTable, Bytes)> {
        let data = HEAD_BYTES..HEAD_BYTES + self.placement.stored_bytes as usize;
        let mut record = vec![0; self.placement.record_bytes() as usize];
        let table = self.repairs.read(&self.file, self.placement.offset, |way| {
            fill(&self.file, way, &mut record, self.placement.offset)?;
            let (head, rest) = record.split_at_mut(data.start);
            let (stored, tail) = rest.split_at_mut(data.len());
            let surround = self.check_surround(head, &stored[..self.directory_bytes().min(stored.len())], tail)?;
            for position in 0..surround.directory.frames() {
                let wanted = codec::plain_range(position, self.plain_bytes());
                self.decompress(&surround, position, &mut stored[surround.directory.frame(position)], wanted)?;
            }
            Ok(surround.opener.tail.table)
        })?;
        Ok((table, Bytes::from(record).slice(data)))
    }

    /// The frame in which `wanted` starts, verified as far as `wanted` goes.
    fn frame(&self, surround: Option<Arc<Surround>>, wanted: Range<usize>) -> Result<Frame> {
        let surround = match surround {
            Some(surround) => surround,
            None => Arc::new(self.repairs.read(&self.file, self.placement.offset, |way| self.surround(way))?),
        };
        let position = wanted.start / FRAME_BYTES;
        let within = surround.directory.frame(position);
        let at = self.placement.offset + (HEAD_BYTES + within.start) as u64;
        let mut frame = vec![0; within.len()];
        let plain = self.repairs.read(&self.file, at, |way| {
            fill(&self.file, way, &mut frame, at)?;
            self.decompress(&surround, position, &mut frame, wanted.clone())
        })?;
        Ok(Frame { position, plain: plain.into(), surround })
    }

    /// Reads and checks what surrounds the frames.
    fn surround(&self, way: usize) -> Result<Surround> {
        let offset = self.placement.offset;
        let data_end = HEAD_BYTES + self.placement.stored_bytes as usize;
        let mut front = vec![0; (HEAD_BYTES + self.directory_bytes()).min(data_end)];
        fill(&self.file, way, &mut front, offset)?;
        let mut tail = vec![0; self.placement.record_bytes() as usize - data_end];
        fill(&self.file, way, &mut tail, offset + data_end as u64)?;
        let (head, directory) = front.split_at(HEAD_BYTES);
        self.check_surround(head, directory, &tail)
    }

    fn check_surround(&self, head: &[u8], directory: &[u8], tail: &[u8]) -> Result<Surround> {
        let head = head.try_into().expect("the range has the size of a head");
        let at = |fault: Fault| fault.at(self.file.place(self.placement.offset));
        let tail = check_frame(head, tail, &self.id, &self.placement).map_err(at)?;
        let stored_bytes = self.placement.stored_bytes as usize;
        let directory = Directory::decode(directory, self.plain_bytes(), stored_bytes).map_err(at)?;
        Ok(Surround { opener: RecordOpener::new(&self.keys, &self.placement, tail)?, directory })
    }

    /// Opens a frame where it is, decompresses it, and verifies the pieces in it that `wanted` touches.
    fn decompress(
        &self,
        surround: &Surround,
        position: usize,
        frame: &mut [u8],
        wanted: Range<usize>,
    ) -> Result<Vec<u8>> {
        let at = |fault: Fault| fault.at(self.file.place(self.placement.offset));
        let whole = codec::plain_range(position, self.plain_bytes());
        surround.opener.open_frame(position, frame).map_err(at)?;
        let plain = codec::decompress(frame, whole.len()).map_err(at)?;
        let first_piece = wanted.start / PIECE_BYTES;
        let pieces = first_piece * PIECE_BYTES..wanted.end.next_multiple_of(PIECE_BYTES).min(whole.end);
        let verified = &plain[pieces.start - whole.start..pieces.end - whole.start];
        if !surround.opener.tail.table.verifies(&self.id, first_piece, verified) {
            return Err(at(Fault::Corrupt("record content")));
        }
        Ok(plain)
    }

    fn plain_bytes(&self) -> usize {
        self.placement.plain_bytes as usize
    }

    fn directory_bytes(&self) -> usize {
        codec::directory_bytes(self.plain_bytes())
    }
}

/// Goes through a range of a compressed record from front to back. Each frame is decompressed once: the present one is
/// kept until the next is needed, which is on its way meanwhile.
pub struct FrameReader {
    source: Arc<FrameSource>,
    surround: Option<Arc<Surround>>,
    frame: Option<Frame>,
    ahead: Option<JoinHandle<Result<Frame>>>,
}

impl FrameReader {
    /// Reads nothing yet.
    pub fn new(source: FrameSource) -> FrameReader {
        FrameReader { source: Arc::new(source), surround: None, frame: None, ahead: None }
    }

    /// The content of `step`, a range that is not empty and lies in one frame; of the record, `step.start..end` is still
    /// to be read. A dropped future loses nothing: the same call goes on where it was.
    pub async fn read(&mut self, step: Range<u32>, end: u32) -> Result<Bytes> {
        let (start, end) = (step.start as usize, end as usize);
        let position = start / FRAME_BYTES;
        let frame = match self.frame.take_if(|frame| frame.position == position) {
            Some(frame) => frame,
            None => self.fetched(start..end).await?,
        };
        let whole = codec::plain_range(position, self.source.placement.plain_bytes as usize);
        self.surround = Some(frame.surround.clone());
        if whole.end < end && self.ahead.is_none() {
            self.ahead = Some(self.fetch(whole.end..end));
        }
        let bytes = frame.plain.slice(start - whole.start..step.end as usize - whole.start);
        // The last step of a frame lets go of it, so that at most two are in memory.
        self.frame = (step.end as usize != whole.end).then_some(frame);
        Ok(bytes)
    }

    async fn fetched(&mut self, left: Range<usize>) -> Result<Frame> {
        let fetching = self.ahead.take().unwrap_or_else(|| self.fetch(left));
        // It stays where it is found again by the next call if this one is dropped.
        let frame = self.ahead.insert(fetching).await;
        self.ahead = None;
        joined(frame)
    }

    /// Begins to fetch the frame in which `left` starts.
    fn fetch(&self, left: Range<usize>) -> JoinHandle<Result<Frame>> {
        let (source, surround) = (self.source.clone(), self.surround.clone());
        let frame_end = codec::plain_range(left.start / FRAME_BYTES, left.end).end;
        tokio::task::spawn_blocking(move || source.frame(surround, left.start..frame_end))
    }
}
