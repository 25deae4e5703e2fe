//! The files of a segment's shards, taken for one file: `write` by who makes the segment, `read` by who reads it.
//!
//! A shard that missed a write is given up: nobody writes, syncs or reads it again, and before the write that it
//! missed is acknowledged, a note of it is on stable storage beside the sound shards. So no crash makes a shard with a
//! hole look whole. A shard whose content is complete but cannot be reached at the moment needs no such note.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

mod read;
mod write;

pub use read::{Opener, ReadShards};
pub use write::{Keeper, WriteShards};

/// Which shards of a segment may be used; shared by all who use them.
#[derive(Debug)]
pub struct Sound {
    usable: AtomicU32,
    /// Those that miss writes; none of them is usable.
    stale: AtomicU32,
}

impl Sound {
    /// Exactly these shards may be used.
    pub fn of(shards: impl Iterator<Item = usize>) -> Sound {
        Sound { usable: AtomicU32::new(shards.fold(0, |mask, shard| mask | 1 << shard)), stale: AtomicU32::new(0) }
    }

    /// Whether a shard may be used.
    pub fn has(&self, shard: usize) -> bool {
        self.usable.load(Ordering::SeqCst) & (1 << shard) != 0
    }

    /// How many shards may be used.
    pub fn count(&self) -> usize {
        self.usable.load(Ordering::SeqCst).count_ones() as usize
    }

    /// Lets nobody use a shard any more that cannot be reached, or is not what it should be.
    pub fn give_up(&self, shard: usize) {
        self.usable.fetch_and(!(1 << shard), Ordering::SeqCst);
    }

    /// Lets nobody use a shard any more that misses a write.
    pub fn make_stale(&self, shard: usize) {
        self.stale.fetch_or(1 << shard, Ordering::SeqCst);
        self.give_up(shard);
    }

    /// Whether a shard misses a write.
    pub fn is_stale(&self, shard: usize) -> bool {
        self.stale.load(Ordering::SeqCst) & (1 << shard) != 0
    }
}

/// Transfers of at least so many bytes in all are worth a thread for each shard; so is every sync.
const PARALLEL_BYTES_LEAST: usize = 128 << 10;

/// Whether calls on several shards are made one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// For calls that are short.
    InTurn,
    /// For calls that wait for a disk.
    Together,
}

impl Pace {
    fn for_bytes(bytes: usize) -> Pace {
        if bytes >= PARALLEL_BYTES_LEAST { Pace::Together } else { Pace::InTurn }
    }
}

/// The outcome of a call on each of the shards.
pub type Outcomes<T> = Vec<(usize, io::Result<T>)>;

/// Makes a call on each of the shards.
pub fn on_shards<T: Send>(shards: &[usize], pace: Pace, call: impl Fn(usize) -> io::Result<T> + Sync) -> Outcomes<T> {
    let Some((&last, others)) = shards.split_last() else { return Vec::new() };
    if pace == Pace::InTurn || others.is_empty() {
        return shards.iter().map(|&shard| (shard, call(shard))).collect();
    }
    let call = &call;
    std::thread::scope(|scope| {
        let begun: Vec<_> = others
            .iter()
            .map(|&shard| (shard, std::thread::Builder::new().spawn_scoped(scope, move || call(shard))))
            .collect();
        let last = (last, call(last));
        let join = |(shard, thread): (usize, io::Result<std::thread::ScopedJoinHandle<'_, io::Result<T>>>)| {
            let outcome = match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // No thread is to be had: this one does it.
                Err(_) => call(shard),
            };
            (shard, outcome)
        };
        begun.into_iter().map(join).chain([last]).collect()
    })
}
