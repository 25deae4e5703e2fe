//! stub
use crate::error::{Error, Result};
use std::path::Path;
pub(crate) struct DirectoryLock;
pub(crate) fn lock_directory(_: &Path) -> Result<DirectoryLock> {
    Ok(DirectoryLock)
}
// KEEP-FROM-HERE
/// Makes a directory and those above it, and syncs the ones that name them.
pub(crate) fn create_directories(path: &Path) -> Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
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
