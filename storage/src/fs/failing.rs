//! A disk for tests on which one chosen call fails, or every one from there on.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::{Disk, DiskFile, SystemDisk};
use crate::room::Room;

/// How the chosen call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// As a broken device does.
    Broken,
    /// As a full one does.
    Full,
}

/// The system's disk, except that the n-th call which changes something fails. A failing write leaves the first half
/// of its bytes behind; reads fail only on a disk that broke for good. For several zones have one each.
#[derive(Clone)]
pub struct FailingDisk {
    calls: Arc<AtomicU64>,
    fail_at: u64,
    failure: Failure,
    syncs: bool,
    for_good: bool,
    room: Option<Room>,
}

impl FailingDisk {
    /// Fails at the call of that number, counted from 1; 0 never fails.
    pub fn new(fail_at: u64, failure: Failure) -> FailingDisk {
        FailingDisk { calls: Arc::default(), fail_at, failure, syncs: true, for_good: false, room: None }
    }

    /// Only counts syncs: for histories that do not cut the power, and are many.
    pub fn without_syncs(self) -> FailingDisk {
        FailingDisk { syncs: false, ..self }
    }

    /// Lets every call from the chosen one on fail, those that read among them.
    pub fn for_good(self) -> FailingDisk {
        FailingDisk { for_good: true, ..self }
    }

    /// Tells of this room, whatever there is.
    pub fn with_room(self, room: Room) -> FailingDisk {
        FailingDisk { room: Some(room), ..self }
    }

    /// Whether the chosen call has happened.
    pub fn has_failed(&self) -> bool {
        self.fail_at != 0 && self.calls() >= self.fail_at
    }

    /// How many calls there were that change something.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// For calls that change something.
    fn gate(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if call == self.fail_at || (self.for_good && self.has_failed()) { Err(self.error()) } else { Ok(()) }
    }

    /// For calls that change nothing.
    fn look(&self) -> io::Result<()> {
        if self.for_good && self.has_failed() { Err(self.error()) } else { Ok(()) }
    }

    fn error(&self) -> io::Error {
        match self.failure {
            Failure::Broken => Errno::IO.into(),
            Failure::Full => Errno::NOSPC.into(),
        }
    }
}

impl Disk for FailingDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.gate()?;
        Ok(Arc::new(FailingFile { disk: self.clone(), file: SystemDisk.create_new(path)? }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.look()?;
        Ok(Arc::new(FailingFile { disk: self.clone(), file: SystemDisk.open(path)? }))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.look()?;
        SystemDisk.len(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.look()?;
        SystemDisk.read_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.gate()?;
        SystemDisk.create_dir_all(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.gate()?;
        SystemDisk.remove(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate()?;
        SystemDisk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate()?;
        SystemDisk.rename(from, to)
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        self.look()?;
        self.room.map_or_else(|| SystemDisk.room(path), Ok)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.gate()?;
        if self.syncs { SystemDisk.sync_directory(path) } else { Ok(()) }
    }
}

struct FailingFile {
    disk: FailingDisk,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for FailingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.disk.gate() {
            let half = bytes.len() / 2 / super::DIRECT_ALIGNMENT_BYTES * super::DIRECT_ALIGNMENT_BYTES;
            self.file.write_at(&bytes[..half], offset)?;
            return Err(error);
        }
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.look()?;
        self.file.read_at(bytes, offset)
    }

    fn read_at_cached(&self, bytes: &mut [u8], offset: u64) -> bool {
        self.disk.look().is_ok() && self.file.read_at_cached(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.gate()?;
        if self.disk.syncs { self.file.sync_data() } else { Ok(()) }
    }
}
