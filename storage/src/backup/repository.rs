//! Repositories: where backups are kept. One is a place of immutable files with names; here is one in a directory.
//!
//! A file is there whole or not at all, and once a call says that it is there, it survives a power cut: in a directory it
//! is written beside, synced, renamed, and its directory synced. Dying before the rename leaves a file that ends in `.new`.
//! One that must not replace another gets its name by a link instead.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::fs::{blocking, create_directories, read_small_file, sync_parent, write_small_file};

/// What the names of files in the making end in, which a crash leaves.
pub(super) const UNWRITTEN: &str = ".new";

/// What a call to a repository will come to.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFile {
    /// Its name, with `/` between its parts.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A place of files. Names are lower-case letters, digits, `-`, `.` and `/`; a file has at most some 64 MiB.
///
/// An error is told as [`Error::Backup`], [`Error::Io`] or [`Error::NoSpace`]; a call may then have done its work all the
/// same.
pub trait Repository: Send + Sync + 'static {
    /// What people call it.
    fn place(&self) -> String;
    /// Stores a file, in place of one that may have the name. `Ok` means that it is whole and durable.
    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, ()>;
    /// Stores a file if none has the name: `false` if one has. Of several at once one succeeds.
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, bool>;
    /// The bytes of a file; `None` if there is none.
    fn get<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Bytes>>;
    /// The files whose names begin with `folder`, which is empty or ends with `/`; in no order.
    fn list<'a>(&'a self, folder: &'a str) -> Pending<'a, Vec<RepositoryFile>>;
    /// Removes a file, which may be gone already.
    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;
}

/// A repository in a directory.
pub struct DirectoryRepository {
    path: PathBuf,
}

impl DirectoryRepository {
    /// The one in `path`, which is made when something is stored there.
    pub fn new(path: impl Into<PathBuf>) -> DirectoryRepository {
        DirectoryRepository { path: path.into() }
    }

    /// Where a file lies. Names come from files of the repository too, which somebody may have damaged.
    fn path_of(&self, name: &str) -> Result<PathBuf> {
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.');
        match name.split('/').all(is_part) {
            true => Ok(self.path.join(name)),
            false => Err(Error::Corrupt { what: "name in a repository", place: name.to_owned() }),
        }
    }
}

impl Repository for DirectoryRepository {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, ()> {
        Box::pin(async move {
            let path = self.path_of(name)?;
            blocking(move || {
                create_directories(path.parent().unwrap_or(Path::new("/")))?;
                write_small_file(&path, &bytes)
            })
            .await?
        })
    }

    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, bool> {
        Box::pin(async move {
            let path = self.path_of(name)?;
            blocking(move || {
                create_directories(path.parent().unwrap_or(Path::new("/")))?;
                make_new(&path, &bytes)
            })
            .await?
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Bytes>> {
        Box::pin(async move {
            let path = self.path_of(name)?;
            Ok(blocking(move || read_small_file(&path)).await??.map(Bytes::from))
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Pending<'a, Vec<RepositoryFile>> {
        Box::pin(async move {
            let root = self.path.clone();
            let from = if folder.is_empty() { root.clone() } else { self.path_of(folder.trim_end_matches('/'))? };
            blocking(move || {
                let mut found = Vec::new();
                walk(&root, &from, &mut found).map_err(|error| Error::io("list a repository", error))?;
                Ok(found)
            })
            .await?
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            let path = self.path_of(name)?;
            blocking(move || match std::fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.map_err(|error| Error::io("remove a file of a repository", error)),
            })
            .await?
        })
    }
}

/// Makes a file unless there is one: written beside and synced, then given its name, which fails if that is taken.
fn make_new(path: &Path, bytes: &[u8]) -> Result<bool> {
    let made = make_by(path, bytes, |beside, path| std::fs::hard_link(beside, path));
    let made = made.map_err(|error| Error::io("make a file of a repository", error))?;
    if made {
        sync_parent(path)?;
    }
    Ok(made)
}

fn make_by(path: &Path, bytes: &[u8], link: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<bool> {
    let beside = write_beside(path, bytes)?;
    let made = match link(&beside, path) {
        // Not every file system has second names: there, a crash may leave a file cut short.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            write_new(path, bytes)
        }
        linked => linked,
    };
    let removed = std::fs::remove_file(beside);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.and(removed).map(|()| true),
    }
}

/// Writes a file that nobody else writes to, and returns its path.
fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_extension(format!("{}-{number}{UNWRITTEN}", std::process::id()));
        match write_new(&beside, bytes) {
            // Of a process of that number, elsewhere or before.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Ok(()) => return Ok(beside),
            Err(error) => {
                // It may not be there at all; why it was not written counts.
                _ = std::fs::remove_file(&beside);
                return Err(error);
            }
        }
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<RepositoryFile>) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(root, &path, found)?;
            continue;
        }
        let name = path.strip_prefix(root).ok().and_then(Path::to_str);
        if let Some(name) = name {
            found.push(RepositoryFile { name: name.to_owned(), bytes: entry.metadata()?.len() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use bytes::Bytes;

    use super::{DirectoryRepository, Repository as _, make_by, make_new};

    #[tokio::test]
    async fn files_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let repository = DirectoryRepository::new(directory.path().join("not/there/yet"));
        assert!(repository.list("").await.unwrap().is_empty());
        assert_eq!(repository.get("a/b").await.unwrap(), None);
        repository.put("a/b", Bytes::from_static(b"one")).await.unwrap();
        repository.put("a/b", Bytes::from_static(b"two!")).await.unwrap();
        assert!(!repository.put_new("a/b", Bytes::from_static(b"three")).await.unwrap());
        assert!(repository.put_new("c", Bytes::new()).await.unwrap());
        assert_eq!(repository.get("a/b").await.unwrap().unwrap(), "two!");
        let [file] = &repository.list("a/").await.unwrap()[..] else { panic!("one file") };
        assert_eq!((file.name.as_str(), file.bytes), ("a/b", 4));
        assert_eq!(repository.list("").await.unwrap().len(), 2);
        repository.remove("a/b").await.unwrap();
        repository.remove("a/b").await.unwrap();
        assert_eq!(repository.get("a/b").await.unwrap(), None);
        for name in ["", "../x", "a/../b", "/x", "a//b"] {
            assert!(repository.get(name).await.is_err(), "{name}");
        }
    }

    /// Whatever happens in between, there is a whole file of the name or none.
    #[test]
    fn a_new_file_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let broken = |from: &Path, to: &Path| {
            assert_eq!(std::fs::read(from).unwrap(), b"mine");
            assert!(!to.exists());
            Err(io::ErrorKind::StorageFull.into())
        };
        assert!(make_by(&path, b"mine", broken).is_err() && !path.exists());
        // Without links there is another way.
        let unable = |_: &Path, _: &Path| Err(io::ErrorKind::PermissionDenied.into());
        assert!(make_by(&path, b"mine", unable).unwrap());
        assert!(!make_by(&path, b"theirs", unable).unwrap());
        assert!(!make_new(&path, b"theirs").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(&path).unwrap();
        assert!(make_new(&path, b"theirs").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
