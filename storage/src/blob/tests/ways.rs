//! Damage that another way of reading can make good, and damage that none can.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::compressed::{store, text};
use super::{append, assert_corrupt, content, options, put_large, read_all, zone};
use crate::blob::codec::Level;
use crate::blob::{BlobId, Blobs, BlobsOptions, Placement, ReadError, StreamHint};
use crate::error::{Error, Result};
use crate::fs::{Disk, DiskFile, SystemDisk};
use crate::room::Room;

/// No byte of the file is damaged.
const NOWHERE: u64 = u64::MAX;
/// Every read fails.
const REFUSED: u64 = u64::MAX - 1;

/// Two zones, so that there are two ways to read: in each, reading changes the byte at one place.
#[derive(Clone)]
struct TwoWays {
    damaged: Arc<AtomicU64>,
    /// The same in the second zone.
    damaged_too: Arc<AtomicU64>,
}

/// The system's disk, except that reading changes the byte at one place.
struct DamagedDisk(Arc<AtomicU64>);

struct DamagedFile {
    damaged: Arc<AtomicU64>,
    file: Arc<dyn DiskFile>,
}

fn open_two(directory: &Path, disks: &TwoWays) -> Result<Blobs> {
    let first = zone(0, &directory.join("a"), DamagedDisk(disks.damaged_too.clone()));
    let second = zone(1, &directory.join("b"), DamagedDisk(disks.damaged.clone()));
    for zone in [&first, &second] {
        std::fs::create_dir_all(&zone.directory).unwrap();
    }
    Blobs::open(BlobsOptions { zones: vec![first, second], ..options(directory) })
}

fn damage(at: &AtomicU64, bytes: &mut [u8], offset: u64) {
    let at = at.load(Ordering::SeqCst);
    if let Some(byte) = at.checked_sub(offset).and_then(|at| bytes.get_mut(at as usize)) {
        *byte ^= 1 << (at % 8);
    }
}

impl TwoWays {
    fn new() -> TwoWays {
        TwoWays { damaged: Arc::new(AtomicU64::new(NOWHERE)), damaged_too: Arc::new(AtomicU64::new(NOWHERE)) }
    }
}

impl Disk for DamagedDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.create_new(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(DamagedFile { damaged: self.0.clone(), file: SystemDisk.open(path)? }))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.len(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        SystemDisk.read_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_dir_all(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_directory(path)
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        SystemDisk.room(path)
    }
}

impl DiskFile for DamagedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.damaged.load(Ordering::SeqCst) == REFUSED {
            return Err(rustix::io::Errno::IO.into());
        }
        let filled = self.file.read_at(bytes, offset)?;
        damage(&self.damaged, &mut bytes[..filled], offset);
        Ok(filled)
    }

    fn read_at_cached(&self, bytes: &mut [u8], offset: u64) -> bool {
        if self.damaged.load(Ordering::SeqCst) == REFUSED || !self.file.read_at_cached(bytes, offset) {
            return false;
        }
        damage(&self.damaged, bytes, offset);
        true
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

struct Stored {
    blobs: Blobs,
    disk: TwoWays,
    id: BlobId,
    placement: Placement,
    content: Vec<u8>,
}

impl Stored {
    /// The damage of the copy that is read first, and of the other one. Which zone has the first differs by segment.
    async fn copies(&self) -> (&AtomicU64, &AtomicU64) {
        let TwoWays { damaged, damaged_too } = &self.disk;
        let before = self.blobs.repaired_reads();
        damaged.store(self.placement.offset, Ordering::SeqCst);
        assert!(read_all(&self.blobs, &self.id, &self.placement).await.unwrap() == self.content);
        damaged.store(NOWHERE, Ordering::SeqCst);
        if self.blobs.repaired_reads() > before { (damaged, damaged_too) } else { (damaged_too, damaged) }
    }

    /// Damage at that place in either way is told.
    async fn check_noticed(&self, at: u64) {
        let Stored { blobs, disk, id, placement, .. } = self;
        [&disk.damaged, &disk.damaged_too].into_iter().for_each(|damaged| damaged.store(at, Ordering::SeqCst));
        let read = read_all(blobs, id, placement).await;
        [&disk.damaged, &disk.damaged_too].into_iter().for_each(|damaged| damaged.store(NOWHERE, Ordering::SeqCst));
        assert_corrupt(read, &format!("byte {at}"));
    }

    /// With damage at that place in the record, the content comes back all the same, and the repairs are counted; where
    /// a file refuses to be read there is nothing to repair, as the other zone is read at once.
    async fn check_repaired(&self, at: u64) {
        let Stored { blobs, id, placement, content, .. } = self;
        let (preferred, other) = self.copies().await;
        let least = if at == REFUSED { 0 } else { 1 };
        preferred.store(at, Ordering::SeqCst);
        let before = blobs.repaired_reads();
        assert!(read_all(blobs, id, placement).await.unwrap() == *content, "byte {at}");
        let after_first = blobs.repaired_reads();
        assert!(after_first >= before + least, "byte {at}");
        assert!(blobs.read(id, placement, 0..placement.plain_bytes).await.unwrap() == *content, "byte {at}");
        let record = blobs.stored(id, placement).await.unwrap();
        assert_eq!(record.stored.len(), placement.stored_bytes as usize);
        assert!(blobs.repaired_reads() >= after_first + 2 * least, "byte {at}");

        other.store(at, Ordering::SeqCst);
        let before = blobs.repaired_reads();
        let (read, stored) = (read_all(blobs, id, placement).await, blobs.stored(id, placement).await);
        if at == REFUSED {
            assert!(matches!(read, Err(ReadError::Engine(Error::Io { .. }))), "{read:?}");
        } else {
            assert_corrupt(read, &format!("byte {at}"));
            assert_corrupt(stored, &format!("byte {at}"));
        }
        assert_eq!(blobs.repaired_reads(), before);
        other.store(NOWHERE, Ordering::SeqCst);
        preferred.store(NOWHERE, Ordering::SeqCst);
        assert!(read_all(blobs, id, placement).await.unwrap() == *content);
        assert_eq!(blobs.repaired_reads(), before);
    }
}

#[tokio::test]
async fn raw_records_are_read_another_way() {
    let directory = tempfile::tempdir().unwrap();
    let disk = TwoWays::new();
    let blobs = open_two(directory.path(), &disk).unwrap();
    let small = content(1, 200_000);
    let (id, placement) = append(&blobs, &small).await.unwrap();
    let stored = Stored { blobs: blobs.clone(), disk: disk.clone(), id, placement, content: small.to_vec() };
    for at in [0, 70, 150_000, 200_064, placement.record_bytes() - 1] {
        stored.check_repaired(placement.offset + at).await;
    }
    stored.check_repaired(REFUSED).await;

    let large = content(3, (2 << 20) + 1);
    let (id, placement) = put_large(&blobs, &large, 0, &StreamHint::new(None)).await.unwrap();
    let stored = Stored { blobs, disk, id, placement, content: large.to_vec() };
    for at in [8, 64, 1 << 20, (2 << 20) + 64, (2 << 20) + 65, placement.record_bytes() - 1] {
        stored.check_repaired(placement.offset + at).await;
    }
    stored.check_repaired(REFUSED).await;
}

/// Places in a compressed record: in its frames, and in what surrounds them (head, directory, table, trailer, padding).
fn places(placement: &Placement) -> (Vec<u64>, Vec<u64>) {
    let frames = placement.plain_bytes.div_ceil(1 << 20);
    let data = 64 + u64::from(placement.stored_bytes);
    let directory = 64 + 4 + 4 * u64::from(frames);
    let head_and_directory = (0..64).step_by(5).chain(64..directory);
    let in_frames = (directory..data).step_by(((data - directory) / 40).max(1) as usize);
    let tail = (data..placement.record_bytes()).step_by(29).chain([placement.record_bytes() - 1]);
    (in_frames.collect(), head_and_directory.chain(tail).collect())
}

#[tokio::test]
async fn a_changed_byte_of_a_compressed_record_is_repaired_or_told() {
    let directory = tempfile::tempdir().unwrap();
    let disk = TwoWays::new();
    let blobs = open_two(directory.path(), &disk).unwrap();
    for bytes in [1000, 200_000, (2 << 20) + 5] {
        let content = text(1, bytes);
        let (id, placement) = store(&blobs, &content, Level::Cool).await;
        assert!(placement.is_compressed());
        let stored = Stored { blobs: blobs.clone(), disk: disk.clone(), id, placement, content: content.to_vec() };
        let (in_frames, around) = places(&placement);
        for at in around {
            stored.check_repaired(placement.offset + at).await;
        }
        for at in in_frames {
            stored.check_noticed(placement.offset + at).await;
            stored.check_repaired(placement.offset + at).await;
        }
        stored.check_repaired(REFUSED).await;
    }
}

#[tokio::test]
async fn damage_in_another_frame_does_not_hurt_a_range() {
    let directory = tempfile::tempdir().unwrap();
    let disk = TwoWays::new();
    let blobs = open_two(directory.path(), &disk).unwrap();
    let content = text(1, 3 << 20);
    let (id, placement) = store(&blobs, &content, Level::Cool).await;
    let middle = placement.offset + 64 + u64::from(placement.stored_bytes) / 2;
    disk.damaged.store(middle, Ordering::SeqCst);
    disk.damaged_too.store(middle, Ordering::SeqCst);
    const MIB: u32 = 1 << 20;
    assert!(blobs.read(&id, &placement, 0..MIB).await.unwrap() == content[..1 << 20]);
    assert!(blobs.read(&id, &placement, 2 * MIB..3 * MIB).await.unwrap() == content[2 << 20..]);
    assert_corrupt(blobs.read(&id, &placement, MIB..2 * MIB).await, "the frame that is damaged");
    assert_corrupt(blobs.read(&id, &placement, MIB - 1..2 * MIB + 1).await, "a range around it");
    assert_eq!(blobs.repaired_reads(), 0);
}
