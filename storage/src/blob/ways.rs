//! Second chances: bytes that cannot be read, or are not what was written, are read in every other way there is before
//! anybody is told.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::blob::segments::ReadFile;
use crate::error::{Error, Result};

/// Counts the reads that only another way could serve.
#[derive(Default)]
pub struct Repairs(AtomicU64);

impl Repairs {
    /// How many there were since the store was opened.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Calls `read`, which must verify what it reads, with way 0 and then with each further one until one succeeds.
    /// `Err` is that of way 0. Blocks the thread.
    pub fn read<T>(&self, file: &ReadFile, offset: u64, mut read: impl FnMut(usize) -> Result<T>) -> Result<T> {
        let error = match read(0) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        for way in 1..file.file.ways() {
            if let Ok(found) = read(way) {
                self.0.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(place = file.place(offset), way, %error, "what is damaged was read in another way");
                return Ok(found);
            }
        }
        Err(error)
    }
}

/// Fills all of `bytes` in the given way. Blocks the thread.
pub fn fill(file: &ReadFile, way: usize, bytes: &mut [u8], offset: u64) -> Result<()> {
    let wanted = bytes.len();
    let filled = if way == 0 { file.file.read_at(bytes, offset) } else { file.file.read_at_way(way, bytes, offset) };
    if filled.map_err(|error| Error::io("read segment", error))? < wanted {
        return Err(Error::Corrupt { what: "record (cut short)", place: file.place(offset) });
    }
    Ok(())
}
