//! Examining records: what every shard holds of a record is compared with what was written.
//!
//! A read is content with one way to the bytes. Here all shards are read: the record is put together from those that give
//! what its name says, what every other shard should hold is computed from that, and whoever holds something else is
//! damaged. Nothing is written: whoever asks writes the record anew in another place, from a shard that is sound.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::blob::batch::Prepared;
use crate::blob::hash::BlobId;
use crate::blob::layout::{BLOCK_BYTES, HEAD_BYTES, Placement, check_frame, decode_head};
use crate::blob::read_frames::FrameSource;
use crate::blob::sealing::RecordOpener;
use crate::blob::segments::{ReadFile, SegmentSet};
use crate::blob::shards::Opener as _;
use crate::blob::stripe::Layout;
use crate::blob::{ReadError, ReadResult};
use crate::cipher::Keys;
use crate::error::{Error, Result};
use crate::fs::DiskFile;
use crate::zone::ZoneId;

/// What the shards hold of one record.
pub struct Examined {
    /// The record as it was written, so that it can be written anew; `None` if it cannot be read, even without the damaged
    /// shards.
    pub record: Option<Prepared>,
    /// The zones of shards that do not hold what they should, or cannot be read. If the record shares a stripe with others
    /// that are damaged, a parity shard may be named for them. All of them if the record cannot be read.
    pub damaged: Vec<ZoneId>,
    /// What was read, in bytes.
    pub bytes: u64,
}

/// The shards of a segment, opened to be compared.
pub struct Examiner {
    layout: Layout,
    generation: u32,
    shards: Vec<Shard>,
    keys: Arc<Keys>,
}

/// One shard as it was found.
enum Shard {
    /// It is in no zone that can be reached, or was given up before: those who heal know.
    Absent,
    /// It is there, and cannot be opened, or is not what its name says.
    Unusable(ZoneId, Error),
    Open(ZoneId, Arc<dyn DiskFile>),
}

/// The blocks of the stripes that a record touches, of each shard; `None` where they cannot be had.
type Blocks = Vec<Option<Vec<u8>>>;

impl Examiner {
    /// Opens the shards. `Err(Moved)` if there is no such segment, or all of its shards went meanwhile; any other error says
    /// nothing of what is stored.
    pub(super) fn open(segments: &SegmentSet, segment: u64) -> ReadResult<Examiner> {
        let (opener, homes, usable, layout, generation) = {
            let state = segments.state();
            let known = state.known.get(&segment).ok_or(ReadError::Moved)?;
            let opener = segments.opener(&state, known);
            (opener, known.homes.clone(), known.usable(), known.name.layout, known.name.generation)
        };
        let mut shards = Vec::with_capacity(homes.len());
        let mut gone = 0;
        for (shard, home) in homes.into_iter().enumerate() {
            let Some(zone) = home.filter(|_| usable.contains(&shard)) else {
                shards.push(Shard::Absent);
                continue;
            };
            shards.push(match opener.open(shard) {
                Ok(file) => Shard::Open(zone, file),
                Err(ReadError::Moved) => {
                    gone += 1;
                    Shard::Unusable(zone, Error::io("open a shard", io::ErrorKind::NotFound.into()))
                }
                Err(ReadError::Engine(error)) if error.is_out_of_files() => return Err(ReadError::Engine(error)),
                Err(ReadError::Engine(error)) => Shard::Unusable(zone, error),
            });
        }
        if gone > 0 && !shards.iter().any(|shard| matches!(shard, Shard::Open(..))) {
            return Err(ReadError::Moved);
        }
        Ok(Examiner { layout, generation, shards, keys: segments.keys.clone() })
    }

    /// How often the segment's id was taken into use.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The shards that are there, and cannot be opened or are not what their names say.
    pub fn unusable(&self) -> impl Iterator<Item = (ZoneId, &Error)> {
        self.shards.iter().filter_map(|shard| match shard {
            Shard::Unusable(zone, error) => Some((*zone, error)),
            Shard::Absent | Shard::Open(..) => None,
        })
    }

    /// Whether the head of a record is as its place says wherever it lies, as far as it can be read there. A quick look
    /// that says nothing of the rest. The place must have been checked.
    pub fn has_head(&self, placement: &Placement) -> bool {
        let mut seen = false;
        let sound = (0..self.shards.len()).all(|shard| {
            let Some(offset) = self.head_offset(shard, placement) else { return true };
            let Shard::Open(_, file) = &self.shards[shard] else { return true };
            seen = true;
            let mut head = [0; HEAD_BYTES];
            let read = file.read_at(&mut head, offset);
            read.is_ok_and(|filled| filled == HEAD_BYTES) && decode_head(&head).is_ok_and(|found| found == *placement)
        });
        seen && sound
    }

    /// Where a shard has the head of a record, if it has it as it is.
    fn head_offset(&self, shard: usize, placement: &Placement) -> Option<u64> {
        if self.layout.data == 1 {
            return Some(placement.offset);
        }
        let piece = self.layout.pieces(placement.offset, HEAD_BYTES).next()?;
        (piece.shard == shard).then_some(piece.offset)
    }

    /// Reads a record from all shards. In memory are the stripes that it touches, two or three times over. `Err` if the
    /// place cannot be one.
    pub fn record(&self, id: &BlobId, placement: &Placement) -> Result<Examined> {
        let place = || format!("segment {} at {}", placement.segment, placement.offset);
        placement.check().map_err(|fault| fault.at(place()))?;
        let bytes = usize::try_from(placement.record_bytes()).expect("a record is small");
        let rows = self.layout.rows(placement.offset, bytes);
        let read = self.read(&rows);
        let total = read.iter().flatten().map(|blocks| blocks.len() as u64).sum();
        let present = |shard: &Shard| match shard {
            Shard::Absent => None,
            Shard::Unusable(zone, _) | Shard::Open(zone, _) => Some(*zone),
        };
        let zones = |shards: &mut dyn Iterator<Item = usize>| -> Vec<ZoneId> {
            let zones: BTreeSet<ZoneId> = shards.filter_map(|shard| present(&self.shards[shard])).collect();
            zones.into_iter().collect()
        };
        let Some((data, record)) = self.sound_data(&read, id, placement, rows.start) else {
            return Ok(Examined { record: None, damaged: zones(&mut (0..self.shards.len())), bytes: total });
        };
        let is_damaged = self.compare(&read, &data, placement, rows.start);
        Ok(Examined {
            record: Some(record),
            damaged: zones(&mut (0..self.shards.len()).filter(|&shard| is_damaged[shard])),
            bytes: total,
        })
    }

    fn read(&self, rows: &std::ops::Range<u64>) -> Blocks {
        let bytes = usize::try_from(rows.end - rows.start).expect("a record is small");
        let read = |shard: &Shard| {
            let Shard::Open(_, file) = shard else { return None };
            let mut blocks = vec![0; bytes];
            let filled = file.read_at(&mut blocks, rows.start).ok()?;
            // A file that ends within its last block is continued with zeros.
            (filled + BLOCK_BYTES > bytes).then_some(blocks)
        };
        self.shards.iter().map(read).collect()
    }

    /// The blocks of the data shards with which the record verifies: as they are, or computed without as few shards as
    /// it takes.
    fn sound_data(
        &self,
        read: &Blocks,
        id: &BlobId,
        placement: &Placement,
        start: u64,
    ) -> Option<(Vec<Vec<u8>>, Prepared)> {
        let count = self.shards.len();
        let one = (0..count).map(|shard| vec![shard]);
        let two = (0..count).flat_map(|first| (first + 1..count).map(move |second| vec![first, second]));
        for without in std::iter::once(Vec::new()).chain(one).chain(two) {
            if without.len() > usize::from(self.layout.parity) || without.iter().any(|&shard| read[shard].is_none()) {
                continue;
            }
            let left = (0..count).filter(|shard| read[*shard].is_some() && !without.contains(shard)).count();
            if left < self.layout.needed() {
                continue;
            }
            let kept =
                |(shard, blocks): (usize, &Option<Vec<u8>>)| blocks.clone().filter(|_| !without.contains(&shard));
            let mut blocks: Blocks = read.iter().enumerate().map(kept).collect();
            self.layout.restore_data(&mut blocks);
            blocks.truncate(self.layout.needed());
            let data: Vec<Vec<u8>> = blocks.into_iter().flatten().collect();
            if let Some(record) = verified(&self.keys, id, placement, self.record_of(&data, placement, start)) {
                return Some((data, record));
            }
        }
        None
    }

    /// The bytes of the record.
    fn record_of(&self, data: &[Vec<u8>], placement: &Placement, start: u64) -> Vec<u8> {
        let mut record = vec![0; usize::try_from(placement.record_bytes()).expect("a record is small")];
        for piece in self.layout.pieces(placement.offset, record.len()) {
            let at = usize::try_from(piece.offset - start).expect("it was read");
            let bytes = piece.range.len();
            record[piece.range].copy_from_slice(&data[piece.shard][at..at + bytes]);
        }
        record
    }

    /// Which shards hold something else than they should of the record: of copies and data shards its own bytes are
    /// compared, of parity shards all blocks that depend on them.
    fn compare(&self, read: &Blocks, data: &[Vec<u8>], placement: &Placement, start: u64) -> Vec<bool> {
        let bytes = usize::try_from(placement.record_bytes()).expect("a record is small");
        let unusable = |shard: usize| match &self.shards[shard] {
            Shard::Absent => false,
            Shard::Unusable(..) => true,
            Shard::Open(..) => read[shard].is_none(),
        };
        let mut damaged: Vec<bool> = (0..self.shards.len()).map(unusable).collect();
        for piece in self.layout.pieces(placement.offset, bytes) {
            let at = usize::try_from(piece.offset - start).expect("it was read");
            let within = at..at + piece.range.len();
            let copies = if self.layout.data == 1 { 0..self.shards.len() } else { piece.shard..piece.shard + 1 };
            for shard in copies {
                let blocks = read[shard].as_ref();
                damaged[shard] |=
                    blocks.is_some_and(|blocks| blocks[within.clone()] != data[piece.shard][within.clone()]);
            }
        }
        if self.layout.data > 1 {
            let parity = self.layout.parity(data);
            for (shard, expected) in (self.layout.needed()..).zip(parity) {
                damaged[shard] |= read[shard].as_ref().is_some_and(|blocks| blocks[..] != expected[..]);
            }
        }
        damaged
    }
}

/// What the bytes hold, if they are the record of that name and place, down to its content.
pub(super) fn verified(keys: &Arc<Keys>, id: &BlobId, placement: &Placement, mut record: Vec<u8>) -> Option<Prepared> {
    let prepared = |table, stored| Prepared { id: *id, table, plain_bytes: placement.plain_bytes, stored };
    if placement.is_compressed() {
        let file = Arc::new(ReadFile::named(Arc::new(Memory { record, at: placement.offset }), "a record".to_owned()));
        let (keys, repairs) = (keys.clone(), Arc::default());
        let source = FrameSource { file, id: *id, placement: *placement, keys, repairs };
        return source.stored().ok().map(|(table, stored)| prepared(table, stored));
    }
    let (head, rest) = record.split_at_mut(HEAD_BYTES);
    let (content, tail) = rest.split_at_mut(placement.plain_bytes as usize);
    let head: &[u8; HEAD_BYTES] = (&*head).try_into().expect("the range has the size of a head");
    let tail = check_frame(head, tail, id, placement).ok()?;
    let opener = RecordOpener::new(keys, placement, tail).ok()?;
    opener.open_pieces(0, content).ok()?;
    let is_sound = opener.tail.table.verifies(id, 0, content);
    let content = HEAD_BYTES..HEAD_BYTES + content.len();
    is_sound.then(|| prepared(opener.tail.table, Bytes::from(record).slice(content)))
}

/// A record in memory, as a part of its segment.
struct Memory {
    record: Vec<u8>,
    at: u64,
}

impl DiskFile for Memory {
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = offset.checked_sub(self.at).and_then(|from| usize::try_from(from).ok());
        let rest = from.and_then(|from| self.record.get(from..)).unwrap_or_default();
        let filled = rest.len().min(bytes.len());
        bytes[..filled].copy_from_slice(&rest[..filled]);
        Ok(filled)
    }

    fn read_at_cached(&self, _bytes: &mut [u8], _offset: u64) -> bool {
        false
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
