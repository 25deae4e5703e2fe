//! The data directory: its layout, its format, its lock.
//!
//! ```text
//! <data>/FORMAT      one line: "strata <format> <store id in hex>", and " sealed" if there must be KEYS
//! <data>/KEYS        the data keys, wrapped; see `cipher::keys`
//! <data>/LOCK        held exclusively while a store is open
//! <data>/index/      RocksDB
//! <data>/segments/   blobs
//! <data>/backup/     while a backup is made: the moment that it is of
//! <data>/RESTORING   while a backup is being restored: this is no store yet; see `restoring`
//! ```
//!
//! FORMAT is written before anything else, by rename, so a directory either has none and holds nothing of ours, or has
//! one that says how to read the rest. Dying while a store is first made leaves one that opens, empty.

mod restoring;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cipher::{Expected, KEYS_FILE, Keys, MasterKey};
use crate::clock::Entropy;
use crate::error::{Error, Result};
use crate::fs;
use restoring::refuse_unfinished;
pub(crate) use restoring::{RESTORING, begin_restore, end_restore, forget_token};

/// The format that this build writes.
const FORMAT: u32 = 4;

/// An open data directory. Dropping it releases the lock.
pub(crate) struct Directory {
    path: PathBuf,
    /// Tells this store's segments from those of others.
    pub(crate) store_id: [u8; 16],
    /// Whether something may be sealed.
    sealed: bool,
    _lock: fs::DirectoryLock,
}

impl Directory {
    /// Makes the directory if it is missing, locks it, and reads or writes its format. Blocking.
    pub(crate) fn open(path: &Path, entropy: &dyn Entropy) -> Result<Directory> {
        fs::create_directories(path)?;
        let lock = fs::lock_directory(path)?;
        refuse_unfinished(path)?;
        let (store_id, sealed) = match fs::read_small_file(&path.join("FORMAT"))? {
            Some(text) => read_format(&text)?,
            None => {
                let mut store_id = [0; 16];
                store_id[..8].copy_from_slice(&entropy.next_u64().to_be_bytes());
                store_id[8..].copy_from_slice(&entropy.next_u64().to_be_bytes());
                if index_in(path).exists() || segments_in(path).exists() {
                    return Err(Error::Corrupt { what: "FORMAT file (missing)", place: path.display().to_string() });
                }
                write_format(path, store_id, false)?;
                (store_id, false)
            }
        };
        Ok(Directory { path: path.to_path_buf(), store_id, sealed, _lock: lock })
    }

    /// Locks a directory that holds a store and reads its format, writing nothing. `Err(Locked)` if it is in use,
    /// `Err(Io)` if there is no store. Blocking.
    pub(crate) fn open_to_read(path: &Path) -> Result<Directory> {
        let lock = fs::lock_directory(path)?;
        refuse_unfinished(path)?;
        let missing = || Error::io("find a store", std::io::ErrorKind::NotFound.into());
        let text = fs::read_small_file(&path.join("FORMAT"))?.ok_or_else(missing)?;
        let (store_id, sealed) = read_format(&text)?;
        Ok(Directory { path: path.to_path_buf(), store_id, sealed, _lock: lock })
    }

    /// The store's data keys as they are, writing nothing. Blocking.
    pub(crate) fn keys_to_read(&self, master: Option<&MasterKey>) -> Result<Keys> {
        let expected = if self.sealed { Expected::Present } else { Expected::PresentOrAbsent };
        Keys::open_to_read(&self.path, self.store_id, master, expected)
    }

    /// The store's data keys, which from now on must be there if they are. Blocking.
    pub(crate) fn open_keys(&mut self, master: Option<&MasterKey>, entropy: &Arc<dyn Entropy>) -> Result<Keys> {
        let expected = if self.sealed { Expected::Present } else { Expected::PresentOrAbsent };
        let keys = Keys::open(&self.path, self.store_id, master, expected, Arc::clone(entropy))?;
        if keys.seals() && !self.sealed {
            write_format(&self.path, self.store_id, true)?;
            self.sealed = true;
        }
        Ok(keys)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn index(&self) -> PathBuf {
        index_in(&self.path)
    }
}

/// Writes the FORMAT file of a data directory: whether it must have KEYS. Blocking.
pub(crate) fn write_format(path: &Path, store_id: [u8; 16], sealed: bool) -> Result<()> {
    fs::write_small_file(&path.join("FORMAT"), format_text(store_id, sealed).as_bytes())
}

/// Whether the store in a data directory, if there is one, has a master key. Blocking.
pub fn is_encrypted(path: &Path) -> bool {
    path.join(KEYS_FILE).exists()
}

/// Where the index of a data directory is.
pub(crate) fn index_in(path: &Path) -> PathBuf {
    path.join("index")
}

/// Where the segments of a data directory are.
pub(crate) fn segments_in(path: &Path) -> PathBuf {
    path.join("segments")
}

fn format_text(store_id: [u8; 16], sealed: bool) -> String {
    format!("strata {FORMAT} {}{}\n", hex::encode(store_id), if sealed { " sealed" } else { "" })
}

fn read_format(text: &[u8]) -> Result<([u8; 16], bool)> {
    let corrupt = || Error::Corrupt { what: "FORMAT file", place: String::from_utf8_lossy(text).trim().to_owned() };
    let words: Vec<&str> = std::str::from_utf8(text).map_err(|_| corrupt())?.split_whitespace().collect();
    let ["strata", format, rest @ ..] = words.as_slice() else { return Err(corrupt()) };
    match format.parse::<u32>() {
        Ok(FORMAT) => {}
        Ok(found) => return Err(Error::UnknownFormat { found, known: FORMAT }),
        Err(_) => return Err(corrupt()),
    }
    let (store_id, sealed) = match rest {
        [store_id] => (store_id, false),
        [store_id, "sealed"] => (store_id, true),
        _ => return Err(corrupt()),
    };
    let mut bytes = [0; 16];
    hex::decode_to_slice(store_id, &mut bytes).map_err(|_| corrupt())?;
    Ok((bytes, sealed))
}

#[cfg(test)]
mod tests {
    use super::{format_text, read_format};
    use crate::error::Error;

    #[test]
    fn formats_read_back_and_unknown_ones_are_told() {
        assert_eq!(format_text([0xAB; 16], false), "strata 4 abababababababababababababababab\n");
        assert_eq!(format_text([0xAB; 16], true), "strata 4 abababababababababababababababab sealed\n");
        for sealed in [false, true] {
            let read = read_format(format_text([0xAB; 16], sealed).as_bytes()).expect("it was just written");
            assert_eq!(read, ([0xAB; 16], sealed));
        }
        assert!(matches!(read_format(b"strata 5 what ever"), Err(Error::UnknownFormat { found: 5, known: 4 })));
        for text in ["", "minio 2 00", "strata", "strata x 00", "strata 4", "strata 4 zz", "strata 4 00 x"] {
            assert!(matches!(read_format(text.as_bytes()), Err(Error::Corrupt { .. })), "{text}");
        }
    }
}
