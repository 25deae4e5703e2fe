//! What is metered, in memory: sharded by thread, so that noting a request never waits for another thread for long.

use std::cell::Cell;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::meter::{Metered, RequestKind};
use crate::name::BucketName;
use crate::object::StorageClass;
use crate::residence::RestoreSpeed;
use crate::usage::has_least_size;

/// Parts of the memory, so that threads rarely meet at one lock.
const SHARDS: usize = 16;
/// Counters that one shard holds between flushes, 4 MiB or so; what exceeds it is not counted.
const COUNTERS_MAX: usize = 65_536;

/// Notes what happens until it is written out. Noting takes some 25 ns and waits for nothing but a short lock.
#[derive(Default)]
pub struct Meter {
    shards: [Line; SHARDS],
    /// Held while counters are on their way to the index, so that a second flush finds them there.
    pub(super) flushing: tokio::sync::Mutex<()>,
}

/// A shard in cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Line(Mutex<Shard>);

#[derive(Default, Clone)]
pub(super) struct Shard {
    pub(super) requests: HashMap<BucketName, Requests>,
    pub(super) counters: HashMap<(u64, StorageClass, Metered), u64>,
}

/// The requests and retrieved bytes of one bucket by class.
pub(super) type Requests = [[u64; 3]; StorageClass::ALL.len()];

impl Meter {
    /// Notes a request that was served.
    pub fn request(&self, bucket: &BucketName, class: StorageClass, kind: RequestKind) {
        let kind = match kind {
            RequestKind::Write => 0,
            RequestKind::Read => 1,
        };
        self.add_request(bucket, class, kind, 1);
    }

    /// Notes bytes that are read from a class. Only classes that charge for it are noted.
    pub fn retrieval(&self, bucket: &BucketName, class: StorageClass, bytes: u64) {
        if has_least_size(class) {
            self.add_request(bucket, class, 2, bytes);
        }
    }

    fn add_request(&self, bucket: &BucketName, class: StorageClass, kind: usize, count: u64) {
        let mut shard = self.shard();
        if let Some(requests) = shard.requests.get_mut(bucket) {
            requests[class as usize][kind] += count;
        } else if shard.requests.len() < COUNTERS_MAX {
            let mut requests = Requests::default();
            requests[class as usize][kind] = count;
            shard.requests.insert(bucket.clone(), requests);
        }
    }

    /// Notes an object that a lifecycle rule moved into a class.
    pub(crate) fn transition(&self, bucket: u64, class: StorageClass) {
        self.add(bucket, class, Metered::Transitions, 1);
    }

    /// Notes a restore of an object of that many bytes.
    pub(crate) fn restore(&self, bucket: u64, class: StorageClass, speed: RestoreSpeed, bytes: u64) {
        self.add(bucket, class, Metered::Restores(speed), 1);
        self.add(bucket, class, Metered::RestoredBytes(speed), bytes);
    }

    /// Notes a request of which only the engine knows the class.
    pub(crate) fn write_request(&self, bucket: u64, class: StorageClass) {
        self.add(bucket, class, Metered::Writes, 1);
    }

    pub(super) fn add(&self, bucket: u64, class: StorageClass, metered: Metered, count: u64) {
        let mut shard = self.shard();
        let is_full = shard.counters.len() >= COUNTERS_MAX;
        match shard.counters.entry((bucket, class, metered)) {
            Entry::Occupied(mut entry) => *entry.get_mut() += count,
            Entry::Vacant(entry) if !is_full => *entry.insert(0) += count,
            Entry::Vacant(_) => {}
        }
    }

    /// The shard of the calling thread.
    fn shard(&self) -> MutexGuard<'_, Shard> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static SHARD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        lock(&self.shards[SHARD.get()])
    }

    /// Takes all that was noted.
    pub(super) fn take(&self) -> Shard {
        self.gather(std::mem::take)
    }

    /// All that was noted, which stays noted.
    pub(super) fn noted(&self) -> Shard {
        self.gather(|shard| shard.clone())
    }

    fn gather(&self, of: impl Fn(&mut Shard) -> Shard) -> Shard {
        let mut all = Shard::default();
        for line in &self.shards {
            let Shard { requests, counters } = of(&mut lock(line));
            for (bucket, found) in requests {
                let sums = all.requests.entry(bucket).or_default();
                sums.as_flattened_mut().iter_mut().zip(found.as_flattened()).for_each(|(sum, count)| *sum += count);
            }
            for (counter, count) in counters {
                *all.counters.entry(counter).or_default() += count;
            }
        }
        all
    }

    /// Notes again what could not be written out.
    pub(super) fn put_back(&self, bucket: &BucketName, requests: &Requests) {
        for class in StorageClass::ALL {
            for (kind, &count) in requests[class as usize].iter().enumerate().filter(|(_, count)| **count > 0) {
                self.add_request(bucket, class, kind, count);
            }
        }
    }
}

fn lock(line: &Line) -> MutexGuard<'_, Shard> {
    line.0.lock().unwrap_or_else(PoisonError::into_inner)
}
