//! Writing a segment to all of its shards.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::blob::buffer::AlignedBuffer;
use crate::blob::layout::BLOCK_BYTES;
use crate::blob::shards::{Outcomes, Pace, Sound, on_shards};
use crate::blob::stripe::Layout;
use crate::error::is_full_disk;
use crate::fs::DiskFile;

/// Who looks after the shards of a segment that is written.
pub trait Keeper: Send + Sync + 'static {
    /// Takes note that a call on a shard failed.
    fn failed(&self, shard: usize, error: &io::Error);
    /// Brings to stable storage, beside the shards that are sound, that this one misses writes.
    fn note_stale(&self, shard: usize, sound: &Sound) -> io::Result<()>;
}

/// The shards of a segment that is written, taken for one file. Offsets and lengths are whole stripes behind the
/// header.
///
/// `Ok` from a write or a sync means that at least as many shards have it as are needed to read it, and that every
/// other one is known to lack it, also after a crash. An error of a single shard is an error of the file only if too
/// few are left, or if the disk is full.
pub struct WriteShards {
    layout: Layout,
    files: Vec<Arc<dyn DiskFile>>,
    sound: Arc<Sound>,
    keeper: Box<dyn Keeper>,
    /// The shards whose loss is noted. Held while a shard is given up, so that nobody goes on without its note.
    noted: Mutex<Vec<usize>>,
}

impl WriteShards {
    /// Takes files that have their headers already, one for each shard.
    pub fn new(
        layout: Layout,
        files: Vec<Arc<dyn DiskFile>>,
        sound: Arc<Sound>,
        keeper: Box<dyn Keeper>,
    ) -> WriteShards {
        assert_eq!(files.len(), layout.shards(), "a file for each shard");
        WriteShards { layout, files, sound, keeper, noted: Mutex::default() }
    }

    fn sound_shards(&self) -> Vec<usize> {
        (0..self.files.len()).filter(|&shard| self.sound.has(shard)).collect()
    }

    /// Decides what the outcome on single shards means for the file.
    fn settle(&self, outcomes: Outcomes<()>) -> io::Result<()> {
        if outcomes.len() == self.files.len()
            && self.sound.count() == self.files.len()
            && outcomes.iter().all(|(_, outcome)| outcome.is_ok())
        {
            return Ok(());
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut full, mut broken) = (None, Vec::new());
        for (shard, outcome) in outcomes {
            match outcome {
                Err(error) if is_full_disk(&error) => full = Some(error),
                Err(error) => broken.push((shard, error)),
                Ok(()) => {}
            }
        }
        broken.iter().for_each(|(shard, error)| self.keeper.failed(*shard, error));
        let left = self.sound.count() - broken.iter().filter(|(shard, _)| self.sound.has(*shard)).count();
        if left < self.layout.needed() {
            // Nobody is told of a success, so the shards lack nothing that anybody relies on: they stay readable.
            let error = broken.into_iter().next().map(|(_, error)| error);
            return Err(error.unwrap_or_else(|| io::Error::other("too few shards of the segment are left")));
        }
        for (shard, _) in &broken {
            self.sound.make_stale(*shard);
        }
        for shard in (0..self.files.len()).filter(|&shard| !self.sound.has(shard)) {
            if !noted.contains(&shard) {
                // Whoever gave it up: from now on it misses writes.
                self.sound.make_stale(shard);
                self.keeper.note_stale(shard, &self.sound)?;
                noted.push(shard);
            }
        }
        full.map_or(Ok(()), Err)
    }
}

impl DiskFile for WriteShards {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let [file] = &self.files[..] {
            return file.write_at(bytes, offset).inspect_err(|error| {
                if !is_full_disk(error) {
                    self.keeper.failed(0, error);
                }
            });
        }
        let stripe = self.layout.stripe_bytes() as u64;
        assert!(offset >= BLOCK_BYTES as u64 && (offset - BLOCK_BYTES as u64).is_multiple_of(stripe), "whole stripes");
        let shards = self.sound_shards();
        let pace = Pace::for_bytes(bytes.len());
        if self.layout.data == 1 {
            return self.settle(on_shards(&shards, pace, |shard| self.files[shard].write_at(bytes, offset)));
        }
        let mut parts: Vec<AlignedBuffer> = self.layout.split(bytes);
        parts.append(&mut self.layout.parity(&parts));
        let offset = self.layout.shard_bytes(offset);
        self.settle(on_shards(&shards, pace, |shard| self.files[shard].write_at(&parts[shard], offset)))
    }

    fn read_at(&self, _bytes: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the files of a writer are not readable"))
    }

    fn read_at_cached(&self, _bytes: &mut [u8], _offset: u64) -> bool {
        false
    }

    fn sync_data(&self) -> io::Result<()> {
        if let [file] = &self.files[..] {
            return file.sync_data().inspect_err(|error| self.keeper.failed(0, error));
        }
        let shards = self.sound_shards();
        let outcomes = on_shards(&shards, Pace::Together, |shard| self.files[shard].sync_data());
        // What a full disk lost at a sync stays lost, so that shard is given up as any other.
        let outcomes = outcomes.into_iter().map(|(shard, outcome)| {
            let plain = |error: io::Error| if is_full_disk(&error) { io::Error::other(error) } else { error };
            (shard, outcome.map_err(plain))
        });
        self.settle(outcomes.collect())
    }
}
