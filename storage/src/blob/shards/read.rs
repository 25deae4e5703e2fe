//! Reading a segment from its shards.
//!
//! A shard is opened when it is first needed. What cannot be read from the data shards is decoded from others, and a
//! reader who finds that bytes do not verify can have them decoded without any one of the shards.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::blob::shards::{Pace, Sound, on_shards};
use crate::blob::stripe::Layout;
use crate::blob::{ReadError, ReadResult};
use crate::fs::DiskFile;

/// Who opens the shards of a segment for reading.
pub trait Opener: Send + Sync + 'static {
    /// Opens a shard that is known to be there, and checks that it is the one.
    fn open(&self, shard: usize) -> ReadResult<Arc<dyn DiskFile>>;
    /// Takes note that a read of a shard failed.
    fn failed(&self, shard: usize, error: &io::Error);
}

/// The shards of a segment for reading, taken for one file.
pub struct ReadShards {
    layout: Layout,
    /// `None` for a shard that cannot be opened.
    files: Vec<OnceLock<Option<Arc<dyn DiskFile>>>>,
    sound: Arc<Sound>,
    opener: Box<dyn Opener>,
    /// The shards of which a failing read was told, as bits.
    told: AtomicU32,
}

/// Bytes of one shard, and how many of them were read.
struct Part {
    start: u64,
    bytes: Vec<u8>,
    filled: usize,
}

fn is_out_of_files(error: &ReadError) -> bool {
    matches!(error, ReadError::Engine(error) if error.is_out_of_files())
}

impl ReadShards {
    /// Opens as many shards as it takes, the data shards if they are there. `Ok(None)` if too few can be opened;
    /// `Err` if there is only one shard, if none is there any more, or if too many files are open.
    pub fn open(layout: Layout, sound: Arc<Sound>, opener: Box<dyn Opener>) -> ReadResult<Option<ReadShards>> {
        let files = (0..layout.shards()).map(|_| OnceLock::new()).collect();
        let shards = ReadShards { layout, files, sound, opener, told: AtomicU32::new(0) };
        let (mut open, mut gone, mut too_many) = (0, 0, None);
        for shard in (0..layout.shards()).filter(|&shard| shards.sound.has(shard)) {
            match shards.opener.open(shard) {
                Ok(file) => {
                    let _ = shards.files[shard].set(Some(file));
                    open += 1;
                }
                Err(error) if layout.shards() == 1 => return Err(error),
                Err(error) if is_out_of_files(&error) => too_many = Some(error),
                Err(error) => {
                    gone += usize::from(matches!(error, ReadError::Moved));
                    let _ = shards.files[shard].set(None);
                }
            }
            if open == layout.needed() {
                return Ok(Some(shards));
            }
        }
        match too_many {
            Some(error) => Err(error),
            None if open == 0 && gone > 0 => Err(ReadError::Moved),
            None => Ok(None),
        }
    }

    /// A shard that may be used, opened.
    fn file(&self, shard: usize) -> Option<&Arc<dyn DiskFile>> {
        if !self.sound.has(shard) {
            return None;
        }
        if self.files[shard].get().is_none() {
            let opened = match self.opener.open(shard) {
                // It may be opened the next time.
                Err(error) if is_out_of_files(&error) => return None,
                opened => opened.ok(),
            };
            let _ = self.files[shard].set(opened);
        }
        self.files[shard].get()?.as_ref()
    }

    /// The same, if it was opened before.
    fn open_file(&self, shard: usize) -> Option<&Arc<dyn DiskFile>> {
        if self.sound.has(shard) { self.files[shard].get()?.as_ref() } else { None }
    }

    fn usable(&self) -> Vec<usize> {
        (0..self.files.len()).filter(|&shard| self.file(shard).is_some()).collect()
    }

    /// The shards to leave out one by one, if enough others are left.
    fn leave_out(&self) -> Vec<usize> {
        let usable = self.usable();
        if usable.len() <= self.layout.needed() {
            return Vec::new();
        }
        let data = usable.iter().filter(|&&shard| shard < self.layout.needed()).count();
        // As long as all data shards are there, parity shards are not read.
        let most = if data == self.layout.needed() { data } else { usable.len() };
        usable[..most].to_vec()
    }

    fn read_shard(&self, shard: usize, span: &Range<u64>) -> io::Result<Part> {
        let file = self.file(shard).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut bytes = vec![0; (span.end - span.start) as usize];
        let filled = file.read_at(&mut bytes, span.start).inspect_err(|error| self.tell(shard, error))?;
        Ok(Part { start: span.start, bytes, filled })
    }

    fn tell(&self, shard: usize, error: &io::Error) {
        if self.told.fetch_or(1 << shard, Ordering::Relaxed) & (1 << shard) == 0 {
            self.opener.failed(shard, error);
        }
    }

    /// Reads one of the copies of a segment with one data shard: the one asked for, or else the next that works.
    fn read_copy(&self, way: usize, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let copies = match way {
            // Others than the first are opened only when they are needed.
            0 => (0..self.files.len()).collect(),
            way => {
                let mut copies = self.usable();
                let count = copies.len().max(1);
                copies.rotate_left(way % count);
                copies
            }
        };
        let mut most = Err(io::Error::from(io::ErrorKind::NotFound));
        for shard in copies {
            let Some(file) = self.file(shard) else { continue };
            let read = file.read_at(bytes, offset).inspect_err(|error| self.tell(shard, error));
            match (read, &most) {
                (Ok(filled), _) if filled == bytes.len() => return Ok(filled),
                // What a shorter copy left in the memory is the same as far as it goes.
                (Ok(filled), Ok(before)) => most = Ok(filled.max(*before)),
                (Ok(filled), Err(_)) => most = Ok(filled),
                (Err(error), Err(_)) => most = Err(error),
                (Err(_), Ok(_)) => {}
            }
        }
        most
    }

    /// Reads data shards directly. A shard that does not deliver has a part that is not filled.
    fn read_parts(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let spans = self.layout.spans(offset, bytes.len());
        let touched: Vec<usize> = (0..spans.len()).filter(|&shard| spans[shard].is_some()).collect();
        let outcomes = on_shards(&touched, Pace::for_bytes(bytes.len()), |shard| {
            self.read_shard(shard, spans[shard].as_ref().expect("it is touched"))
        });
        let mut parts: Vec<Option<Part>> = spans.iter().map(|_| None).collect();
        let mut first_error = None;
        for (shard, outcome) in outcomes {
            match outcome {
                Ok(part) => parts[shard] = Some(part),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let filled = self.gather(bytes, offset, &parts);
        match first_error {
            Some(error) if filled < bytes.len() => Err(error),
            _ => Ok(filled),
        }
    }

    /// Copies what was read to where it belongs, and returns how many bytes there are without a gap.
    fn gather(&self, bytes: &mut [u8], offset: u64, parts: &[Option<Part>]) -> usize {
        for piece in self.layout.pieces(offset, bytes.len()) {
            let Some(part) = &parts[piece.shard] else { return piece.range.start };
            let at = (piece.offset - part.start) as usize;
            let there = part.filled.saturating_sub(at).min(piece.range.len());
            bytes[piece.range.start..piece.range.start + there].copy_from_slice(&part.bytes[at..at + there]);
            if there < piece.range.len() {
                return piece.range.start + there;
            }
        }
        bytes.len()
    }

    /// Reads the stripes around a range from any shards but one, and decodes what is missing. `Ok(false)` if too few
    /// shards have them.
    fn read_decoded(&self, without: Option<usize>, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
        let rows = self.layout.rows(offset, bytes.len());
        let needed = self.layout.needed();
        let mut candidates = self.usable();
        candidates.retain(|&shard| Some(shard) != without);
        let mut shards: Vec<Option<Vec<u8>>> = vec![None; self.files.len()];
        let (mut found, mut first_error) = (0, None);
        while found < needed && candidates.len() >= needed - found {
            let later = candidates.split_off(needed - found);
            let pace = Pace::for_bytes(bytes.len());
            for (shard, outcome) in on_shards(&candidates, pace, |shard| self.read_shard(shard, &rows)) {
                match outcome {
                    Ok(part) if part.filled == part.bytes.len() => {
                        shards[shard] = Some(part.bytes);
                        found += 1;
                    }
                    Ok(_cut_short) => {}
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
            candidates = later;
        }
        if found < needed {
            return first_error.map_or(Ok(false), Err);
        }
        self.layout.restore_data(&mut shards);
        let whole = |bytes: Vec<u8>| Part { start: rows.start, filled: bytes.len(), bytes };
        let parts: Vec<Option<Part>> = shards.into_iter().take(needed).map(|bytes| bytes.map(whole)).collect();
        Ok(self.gather(bytes, offset, &parts) == bytes.len())
    }
}

impl DiskFile for ReadShards {
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the files of a reader are not writable"))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.files.len() == 1
            && let Some(file) = self.file(0)
        {
            return file.read_at(bytes, offset).inspect_err(|error| self.tell(0, error));
        }
        if self.layout.data == 1 {
            return self.read_copy(0, bytes, offset);
        }
        let plain = self.read_parts(bytes, offset);
        match plain {
            Ok(filled) if filled == bytes.len() => Ok(filled),
            plain => match self.read_decoded(None, bytes, offset) {
                Ok(true) => Ok(bytes.len()),
                Ok(false) => plain,
                Err(error) => Err(error),
            },
        }
    }

    fn read_at_cached(&self, bytes: &mut [u8], offset: u64) -> bool {
        if self.layout.data == 1 {
            let open = (0..self.files.len()).find_map(|shard| self.open_file(shard));
            return open.is_some_and(|file| file.read_at_cached(bytes, offset));
        }
        self.layout.pieces(offset, bytes.len()).all(|piece| {
            let memory = &mut bytes[piece.range];
            self.open_file(piece.shard).is_some_and(|file| file.read_at_cached(memory, piece.offset))
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the files of a reader are not writable"))
    }

    fn ways(&self) -> usize {
        match self.layout.data {
            1 => self.usable().len().max(1),
            _ => 1 + self.leave_out().len(),
        }
    }

    fn read_at_way(&self, way: usize, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.layout.data == 1 {
            return self.read_copy(way, bytes, offset);
        }
        let without = way.checked_sub(1).and_then(|other| self.leave_out().get(other).copied());
        let Some(without) = without else { return self.read_at(bytes, offset) };
        let decoded = self.read_decoded(Some(without), bytes, offset)?;
        Ok(if decoded { bytes.len() } else { 0 })
    }
}
