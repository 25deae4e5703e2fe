//! The watermark: how far the index has been acknowledged, told beside RocksDB's log.
//!
//! A log that ends early looks like one that a crash cut short, so RocksDB opens on what comes before; it does so too if
//! a bit has flipped in the middle, and what was acknowledged after it would be gone without a word. So the committer
//! overwrites this file after each write of the log, before anybody hears of it, and an open that finds less than was
//! acknowledged is refused.
//!
//! ```text
//! <data>/index/ACKNOWLEDGED   number of the last change 8 | XXH3 of those bytes 8     little endian
//! ```
//!
//! It is written after the log was synced, and is not synced itself: what a crash leaves of it is behind the log, never
//! ahead. One that is missing, empty or damaged says nothing; a log that is damaged as well is then taken for one that was
//! cut short. Whoever has to live with the loss removes the file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::fs;

const FILE: &str = "ACKNOWLEDGED";
const BYTES: usize = 16;

/// The file, open.
pub(super) struct Watermark(File);

impl Watermark {
    /// Opens the file in the index's directory, or makes it, and compares it with the number of the last change that
    /// RocksDB has found. `Err(Corrupt)` if there must be later ones. Blocking.
    pub(super) fn open(directory: &Path, found: u64) -> Result<Watermark> {
        if let Some(missing) = missing(directory, found)? {
            let place = format!("{missing}. Go back to a copy of the store, or accept the loss by removing that file");
            return Err(Error::Corrupt { what: "index log (acknowledged changes are missing)", place });
        }
        Ok(Watermark(fs::open_to_overwrite(&directory.join(FILE))?))
    }

    /// Takes note that all changes up to this one are on stable storage. A failure leaves the file behind, which is
    /// allowed, and is not told.
    pub(super) fn advance(&self, to: u64) {
        let _ = self.0.write_all_at(&encode(to), 0);
    }
}

/// Which changes must have come after the last one that RocksDB has found, if any. Blocking.
pub(super) fn missing(directory: &Path, found: u64) -> Result<Option<String>> {
    let path = directory.join(FILE);
    let acknowledged = fs::read_small_file(&path)?.and_then(|bytes| decode(&bytes)).unwrap_or(0);
    Ok((found < acknowledged).then(|| format!("change {found} of {acknowledged}; {} says so", path.display())))
}

fn encode(number: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..].copy_from_slice(&xxh3_64(&number.to_le_bytes()).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes == encode(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{FILE, Watermark, decode, encode};
    use crate::error::Error;

    #[test]
    fn an_index_that_lacks_what_was_acknowledged_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        Watermark::open(path, 0).unwrap().advance(7);
        Watermark::open(path, 7).unwrap();
        Watermark::open(path, 8).unwrap().advance(9);
        assert!(matches!(Watermark::open(path, 8), Err(Error::Corrupt { .. })));
        std::fs::remove_file(path.join(FILE)).unwrap();
        Watermark::open(path, 8).unwrap();
    }

    #[test]
    fn what_a_crash_may_leave_says_nothing() {
        let whole = encode(7);
        assert_eq!(hex::encode(whole), format!("0700000000000000{}", hex::encode(&whole[8..])));
        assert_eq!(decode(&whole), Some(7));
        for bytes in [&whole[..0], &whole[..15], &[0; 16], &[whole.as_slice(), &[0]].concat()] {
            assert_eq!(decode(bytes), None);
        }
    }
}
