//! The segments of a store: which there are, how a new one comes into use, and the descriptors to read them.
//!
//! A new segment comes into use in this order: exclusive creation, header, sync, sync of the directory. Only then is
//! a record placed in it, so a record that was acknowledged never lies in a file whose name may vanish. Dying before
//! the last step leaves a file without records, which the collector finds empty and removes.
//!
//! A process appends only to segments that it made itself: whatever is there at open is sealed, torn ends included.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blob::buffer::AlignedBuffer;
use crate::blob::layout::{BLOCK_BYTES, Placement, SegmentHeader};
use crate::blob::segment::{Segment, Space};
use crate::blob::{BlobsOptions, ReadError, ReadResult, SegmentInfo};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fs::{Disk, DiskFile, blocking};

/// Descriptors kept open for reading; far below the usual limit of a process.
const READ_FILES_MAX: usize = 512;
/// File names are not reused, so every segment is in its first life.
const GENERATION: u32 = 1;
const CREATE: &str = "create segment";
const SCAN: &str = "read segment directory";

/// All segments of a store.
pub struct SegmentSet {
    directory: PathBuf,
    segment_bytes: u64,
    store_id: [u8; 16],
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<u64, Known>,
    open: HashMap<u64, Open>,
    /// Counts lookups, to tell which descriptor was used last.
    lookups: u64,
}

struct Known {
    generation: u32,
    space: Arc<Space>,
}

struct Open {
    file: Arc<ReadFile>,
    used: u64,
}

/// A segment opened for reading. It stays readable after the segment was removed.
pub struct ReadFile {
    /// The descriptor.
    pub file: Arc<dyn DiskFile>,
    /// The file's name, for messages.
    name: String,
}

impl ReadFile {
    /// How messages name a place in this file.
    pub fn place(&self, offset: u64) -> String {
        format!("{} at {offset}", self.name)
    }
}

impl SegmentSet {
    /// Finds the segments of a directory, making it if it is missing. Reads names and sizes only.
    pub fn open(options: BlobsOptions) -> Result<SegmentSet> {
        let BlobsOptions { directory, segment_bytes, store_id, clock, next_segment, disk, .. } = options;
        let mut known: BTreeMap<u64, Known> = BTreeMap::new();
        for name in names(&*disk, &directory)? {
            let corrupt =
                || Error::Corrupt { what: "segment name", place: directory.join(&name).display().to_string() };
            let Some(stem) = name.strip_suffix(".seg") else { continue };
            let (segment, generation) = parse_stem(stem).ok_or_else(corrupt)?;
            let bytes = disk.len(&directory.join(&name)).map_err(|error| Error::io(SCAN, error))?;
            let space = Arc::new(Space::sealed(bytes));
            if known.insert(segment, Known { generation, space }).is_some() {
                return Err(corrupt());
            }
        }
        let above = known.last_key_value().map_or(1, |(segment, _)| segment.saturating_add(1));
        Ok(SegmentSet {
            directory,
            segment_bytes,
            store_id,
            clock,
            disk,
            next: AtomicU64::new(next_segment.max(above)),
            state: Mutex::new(State { known, ..State::default() }),
        })
    }

    /// Reserves bytes in the segment of `slot`, which is replaced by a new one when it takes no more.
    pub async fn reserve(self: &Arc<SegmentSet>, slot: &mut Option<Arc<Segment>>, bytes: u64) -> Result<u64> {
        loop {
            if let Some(offset) = slot.as_ref().and_then(|segment| segment.reserve(bytes)) {
                return Ok(offset);
            }
            let set = self.clone();
            *slot = Some(blocking(move || set.create()).await??);
        }
    }

    /// As [`SegmentSet::reserve`], for threads that may block.
    pub fn reserve_blocking(&self, slot: &mut Option<Arc<Segment>>, bytes: u64) -> Result<(Arc<Segment>, u64)> {
        loop {
            if let Some(segment) = &*slot
                && let Some(offset) = segment.reserve(bytes)
            {
                return Ok((segment.clone(), offset));
            }
            *slot = Some(self.create()?);
        }
    }

    /// What there is, by id.
    pub fn list(&self) -> Vec<SegmentInfo> {
        let info = |(&id, known): (&u64, &Known)| SegmentInfo {
            id,
            generation: known.generation,
            bytes: known.space.bytes(),
            sealed: known.space.is_sealed(),
        };
        self.state().known.iter().map(info).collect()
    }

    /// Lets no segment take more records.
    pub fn close_all(&self) {
        self.state().known.values().for_each(|known| known.space.close());
    }

    /// Removes a sealed segment; see `Blobs::remove_segment`. Blocks the thread.
    pub fn remove(&self, segment: u64) -> Result<u64> {
        const ACTION: &str = "remove segment";
        let (path, bytes) = match self.state().known.get(&segment) {
            None => return Ok(0),
            Some(known) if !known.space.is_sealed() => return Err(Error::Conflict),
            Some(known) => (self.path(segment, known.generation), known.space.bytes()),
        };
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(ACTION, error)),
            Ok(()) | Err(_) => {}
        }
        let mut state = self.state();
        state.known.remove(&segment);
        state.open.remove(&segment);
        drop(state);
        self.disk.sync_directory(&self.directory).map_err(|error| Error::io(ACTION, error))?;
        Ok(bytes)
    }

    /// The path of a segment that is known, for hard links.
    pub fn known_path(&self, segment: u64) -> Option<PathBuf> {
        let generation = self.state().known.get(&segment)?.generation;
        Some(self.path(segment, generation))
    }

    /// The segment of a placement, opened for reading.
    pub async fn read_file(self: &Arc<SegmentSet>, placement: &Placement) -> ReadResult<Arc<ReadFile>> {
        let segment = placement.segment;
        if let Some(file) = self.opened(placement)? {
            return Ok(file);
        }
        let set = self.clone();
        blocking(move || set.open_file(segment)).await?
    }

    /// The open descriptor if there is one. `Err(Moved)` if the place has ceased to exist.
    fn opened(&self, placement: &Placement) -> ReadResult<Option<Arc<ReadFile>>> {
        let mut state = self.state();
        state.lookups += 1;
        let lookups = state.lookups;
        let Some(known) = state.known.get(&placement.segment) else { return Err(ReadError::Moved) };
        if known.generation != placement.generation {
            return Err(ReadError::Moved);
        }
        Ok(state.open.get_mut(&placement.segment).map(|open| {
            open.used = lookups;
            open.file.clone()
        }))
    }

    fn open_file(&self, segment: u64) -> ReadResult<Arc<ReadFile>> {
        const ACTION: &str = "open segment";
        let generation = self.state().known.get(&segment).ok_or(ReadError::Moved)?.generation;
        let file = self.disk.open(&self.path(segment, generation)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::Moved,
            _ => ReadError::Engine(Error::io(ACTION, error)),
        })?;
        let opened = Arc::new(ReadFile { file, name: file_name(segment, generation) });
        let mut block = [0; BLOCK_BYTES];
        opened.file.read_at(&mut block, 0).map_err(|error| Error::io(ACTION, error))?;
        let header = SegmentHeader::decode(&block).map_err(|fault| fault.at(opened.place(0)))?;
        if (header.segment, header.generation, header.store_id) != (segment, generation, self.store_id) {
            return Err(Error::Corrupt { what: "segment header", place: opened.place(0) }.into());
        }
        self.keep_open(segment, opened.clone());
        Ok(opened)
    }

    fn keep_open(&self, segment: u64, file: Arc<ReadFile>) {
        let mut state = self.state();
        // If it was removed meanwhile, keeping the descriptor would keep its space on disk.
        if !state.known.contains_key(&segment) {
            return;
        }
        if state.open.len() >= READ_FILES_MAX {
            let oldest = state.open.iter().min_by_key(|(_, open)| open.used).map(|(segment, _)| *segment);
            oldest.and_then(|oldest| state.open.remove(&oldest));
        }
        let used = state.lookups;
        state.open.insert(segment, Open { file, used });
    }

    /// Brings a new segment into use. Blocks the thread.
    fn create(&self) -> Result<Arc<Segment>> {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let path = self.path(id, GENERATION);
        let file = self.create_file(id, &path).map_err(|error| {
            // Best effort: a file without records that stays is garbage of the next open.
            let _ = self.disk.remove(&path);
            Error::io(CREATE, error)
        })?;
        let space = Arc::new(Space::open(self.segment_bytes));
        self.state().known.insert(id, Known { generation: GENERATION, space: space.clone() });
        Ok(Arc::new(Segment::new(id, GENERATION, file, space)))
    }

    fn create_file(&self, segment: u64, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let created_ns = self.clock.now().as_nanos();
        let header = SegmentHeader { segment, generation: GENERATION, created_ns, store_id: self.store_id };
        let mut block = AlignedBuffer::new(BLOCK_BYTES);
        header.encode(&mut block);
        let file = self.disk.create_new(path)?;
        file.write_at(&block, 0)?;
        file.sync_data()?;
        self.disk.sync_directory(&self.directory)?;
        Ok(file)
    }

    fn path(&self, segment: u64, generation: u32) -> PathBuf {
        self.directory.join(file_name(segment, generation))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names in the directory of segments, which is made if it is missing.
fn names(disk: &dyn Disk, directory: &Path) -> Result<Vec<String>> {
    let names = match disk.read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = directory.parent().unwrap_or(directory);
            disk.create_dir_all(directory)
                .and_then(|()| disk.sync_directory(parent))
                .map_err(|error| Error::io("create segment directory", error))?;
            Vec::new()
        }
        names => names.map_err(|error| Error::io(SCAN, error))?,
    };
    // A name that is not text cannot be a segment's: it is left alone as other strange names are.
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

fn file_name(segment: u64, generation: u32) -> String {
    format!("{segment:016x}-{generation:08x}.seg")
}

fn parse_stem(stem: &str) -> Option<(u64, u32)> {
    let (segment, generation) = stem.split_once('-')?;
    let segment = u64::from_str_radix(segment, 16).ok()?;
    let generation = u32::from_str_radix(generation, 16).ok()?;
    // Only the one spelling that this build would write.
    (file_name(segment, generation).strip_suffix(".seg") == Some(stem)).then_some((segment, generation))
}

#[cfg(test)]
mod tests {
    use super::{file_name, parse_stem};

    #[test]
    fn names_have_one_spelling() {
        fn check(stem: &str, expected: Option<(u64, u32)>) {
            assert_eq!(parse_stem(stem), expected, "{stem}");
        }
        check("00000000000000ff-00000001", Some((255, 1)));
        check("00000000000000FF-00000001", None);
        check("ff-1", None);
        check("00000000000000ff", None);
        check("+0000000000000ff-00000001", None);
        assert_eq!(file_name(255, 1), "00000000000000ff-00000001.seg");
    }
}
