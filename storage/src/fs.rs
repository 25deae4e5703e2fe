//! The only door to files: whatever the engine does on disk outside of RocksDB goes through [`Disk`], so that tests
//! can make any single call fail.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use crate::error::{Error, Result};
use crate::room::Room;

#[cfg(test)]
mod failing;
#[cfg(test)]
pub use failing::{FailingDisk, Failure};

/// Offsets, lengths and addresses of a file made with `create_new` are multiples of this.
pub const DIRECT_ALIGNMENT_BYTES: usize = 4096;

/// The most files that the index keeps open, and that are kept open of segments to read them.
const OPEN_FILES_MAX: usize = 512;
/// The part of what the process may have open that each of the two gets at most: half of it is for connections.
const OPEN_FILES_PARTS: u64 = 6;
/// What each gets in any case: below it they would open and close files all the time.
const OPEN_FILES_MIN: usize = 32;

/// The calls that name files. All of them block.
pub trait Disk: Send + Sync + 'static {
    /// Makes a file that must not exist yet, for writing. Its name survives a crash after [`Disk::sync_directory`].
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading through the page cache.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// The size of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// The names in a directory, in no order.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Makes a directory and its parents; it may exist already.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Removes the name of a file. Open descriptors keep working.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another name in its directory, in place of the file that may have it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes changed names in a directory survive a crash.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// The room on the file system of a directory.
    fn room(&self, path: &Path) -> io::Result<Room>;
}

/// An open file. All calls but [`DiskFile::read_at_cached`] block.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all of `bytes`, or fails with an unknown number of them written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills `bytes` up to the end of the file and returns how many were read.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills `bytes` if all of them are in memory already. On `false` their content is unspecified.
    fn read_at_cached(&self, bytes: &mut [u8], offset: u64) -> bool;
    /// Makes what was written, and the size, survive a crash.
    fn sync_data(&self) -> io::Result<()>;
    /// How many ways there are to read the same bytes, at least 1. Way 0 is [`DiskFile::read_at`]; each further one does
    /// without some part of the storage that it relies on.
    fn ways(&self) -> usize {
        1
    }
    /// As [`DiskFile::read_at`], in the way of that number, which is below [`DiskFile::ways`].
    fn read_at_way(&self, way: usize, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let _ = way;
        self.read_at(bytes, offset)
    }
}

/// The operating system's files.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        // Set afterwards, because a refused O_DIRECT in open() may leave the file behind.
        match rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? | OFlags::DIRECT) {
            Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(Arc::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SystemFile(File::open(path)?)))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.len())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Room {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

struct SystemFile(File);

impl DiskFile for SystemFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // After a short write the rest is tried too: the second call tells why the first one stopped.
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.0.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read_at_cached(&self, bytes: &mut [u8], offset: u64) -> bool {
        let wanted = bytes.len();
        // Every failure is left to the blocking read, which meets it again and can tell about it.
        rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT) == Ok(wanted)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// How many files the index may keep open, and how many of segments may be: few enough for the limit of the process.
pub(crate) fn open_files_max() -> usize {
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share = allowed.and_then(|files| usize::try_from(files / OPEN_FILES_PARTS).ok()).unwrap_or(OPEN_FILES_MAX);
    share.clamp(OPEN_FILES_MIN, OPEN_FILES_MAX)
}

/// Exclusive use of a data directory, until it is dropped or the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    /// The lock belongs to this descriptor of the directory; nothing is left behind in it.
    _directory: File,
}

/// Takes exclusive use of a data directory. `Err(Locked)` if it is in use, by this process or another.
pub fn lock_directory(path: &Path) -> Result<DirectoryLock> {
    const ACTION: &str = "lock data directory";
    let directory = File::open(path).map_err(|error| Error::io(ACTION, error))?;
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(DirectoryLock { _directory: directory }),
        Err(Errno::WOULDBLOCK) => Err(Error::Locked),
        Err(errno) => Err(Error::io(ACTION, errno.into())),
    }
}

/// Runs a call that blocks where it holds up nothing else. Dropping the future does not stop the call.
///
/// `Err(Closed)` only when the runtime is shutting down.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(call).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_cancelled) => Error::Closed,
    })
}

/// Whether a directory is the root of a file system of its own. Blocking.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev());
    matches!((device(path), device(&path.join(".."))), (Ok(own), Ok(above)) if own != above)
}

/// The path without links and `..`, as far as it is there. Blocking.
pub(crate) fn real_path(path: &Path) -> std::path::PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    let Some((above, mut real)) = there else { return path.to_path_buf() };
    // What is not there has no links.
    for part in path.strip_prefix(above).unwrap_or(path).components() {
        match part {
            std::path::Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    real
}

/// The number of the file system that a file or directory is in, if it can be told. Blocking.
pub(crate) fn device_of(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.dev())
}

/// Makes a directory and those above it, and syncs the ones that name them: also the one that names the last that was there
/// already, because whoever made it may have died before that.
pub(crate) fn create_directories(path: &Path) -> Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    if let Some(there) = path.ancestors().nth(missing.len()).filter(|there| !there.as_os_str().is_empty()) {
        match sync_parent(there) {
            // Then it is not one that this process could have made.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    for directory in missing.into_iter().rev() {
        std::fs::create_dir(directory).or_else(exists_already).map_err(|error| Error::io("make a directory", error))?;
        sync_parent(directory)?;
    }
    Ok(())
}

fn exists_already(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// Syncs the directory that names `path`.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = std::fs::File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|error| Error::io("sync a directory", error))
}

/// The bytes of a small file, or `None` if there is none.
pub(crate) fn read_small_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read a small file", error)),
    }
}

/// Makes or replaces a small file, whole and durably: written beside, synced, renamed, directory synced.
pub(crate) fn write_small_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = std::fs::File::create(&beside)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| Error::io("write a small file", error))?;
    sync_parent(path)
}

/// Opens a small file to overwrite bytes of it in place, and makes it if it is missing. Blocking.
pub(crate) fn open_to_overwrite(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| Error::io("open a small file", error))
}

/// Gives a directory another name, durably. Blocking.
pub(crate) fn rename_directory(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| Error::io("rename a directory", error))?;
    sync_parent(to)
}

/// The names in a directory; none if it is missing. Blocking.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>> {
    match SystemDisk.read_dir(path) {
        Ok(names) => Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list a directory", error)),
    }
}

/// Removes a file, durably. Blocking.
pub(crate) fn remove_small_file(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|error| Error::io("remove a file", error))?;
    sync_parent(path)
}

/// Removes files, and directories with all that is in them, as far as they are there. Blocking.
pub(crate) fn remove_all(paths: &[std::path::PathBuf]) -> Result<()> {
    for path in paths {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove what a restore has left", error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes the names in a directory survive a crash. Blocking.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    SystemDisk.sync_directory(path).map_err(|error| Error::io("sync a directory", error))
}

/// Gives a file a second name, or copies it to where it cannot have one. Blocking.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    let copied = || {
        std::fs::copy(from, to)?;
        File::open(to)?.sync_all()
    };
    let linked = SystemDisk.link(from, to).or_else(|error| match error.kind() {
        io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => copied(),
        _ => Err(error),
    });
    linked.map_err(|error| Error::io("link a segment", error))
}

#[cfg(test)]
mod tests {
    use super::{Disk, SystemDisk, lock_directory};
    use crate::error::Error;

    #[test]
    fn a_directory_is_locked_once() {
        let directory = tempfile::tempdir().unwrap();
        let lock = lock_directory(directory.path()).unwrap();
        assert!(matches!(lock_directory(directory.path()), Err(Error::Locked)));
        drop(lock);
        lock_directory(directory.path()).unwrap();
    }

    #[test]
    fn files_are_made_once_and_read_to_their_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        SystemDisk.create_new(&path).unwrap().sync_data().unwrap();
        assert!(SystemDisk.create_new(&path).is_err());
        std::fs::write(&path, b".....0123456789").unwrap();
        assert_eq!(SystemDisk.len(&path).unwrap(), 15);

        let mut bytes = [0xff; 12];
        let file = SystemDisk.open(&path).unwrap();
        assert_eq!(file.read_at(&mut bytes, 8).unwrap(), 7);
        assert_eq!(&bytes[..7], b"3456789");
        assert!(!file.read_at_cached(&mut bytes, 8), "a short read is never taken for a whole one");
    }
}
