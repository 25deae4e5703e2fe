//! Which versions were read lately: noted in memory beside the read path, and handed over to be stored.
//!
//! A note costs a lookup under a lock that is held for nanoseconds; only the first since the last [`Accesses::drain`]
//! stores anything. Notes that a crash takes away let a version move down as if those reads had not happened, or stay
//! down until the next one. Nothing but its place depends on them, and the next read moves it up again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::name::ObjectKey;
use crate::stamp::{Stamp, Timestamp};

/// Locks, so that reads of different versions rarely meet at one.
const SHARDS: usize = 16;
/// Versions noted in one shard: a million in all, about 100 MiB.
const SHARD_VERSIONS_MAX: usize = 65_536;
/// Bytes of their keys in one shard: 128 MiB in all.
const SHARD_KEY_BYTES_MAX: usize = 8 << 20;

/// The accesses of one version since the last [`Accesses::drain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The id of the bucket that it is in.
    pub bucket: u64,
    /// Its key.
    pub key: ObjectKey,
    /// Which version of the key.
    pub stamp: Stamp,
    /// When it was last read.
    pub last: Timestamp,
    /// How often it was read.
    pub count: u64,
}

/// The versions read since the last [`Accesses::drain`], each once.
///
/// Only versions whose tier depends on it should be noted: those of class `INTELLIGENT_TIERING` for which
/// [`crate::tiering::is_monitored`] holds.
#[derive(Debug)]
pub struct Accesses {
    shards: [Line; SHARDS],
    /// Told when a shard is half full.
    filling: Notify,
    /// Accesses that found their shard full.
    lost: AtomicU64,
}

/// A shard in cache lines of its own, so that locking one does not slow down its neighbours.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(Mutex<Shard>);

#[derive(Debug, Default)]
struct Shard {
    versions: HashMap<Stamp, Noted, BuildHasherDefault<StampHasher>>,
    /// The lengths of all keys together.
    key_bytes: usize,
}

#[derive(Debug)]
struct Noted {
    bucket: u64,
    key: ObjectKey,
    last: Timestamp,
    count: u64,
}

impl Accesses {
    /// Nothing noted yet.
    pub fn new() -> Accesses {
        Accesses { shards: Default::default(), filling: Notify::new(), lost: AtomicU64::new(0) }
    }

    /// Notes that the version was read at `now`. Allocates nothing if it was already since the last drain.
    ///
    /// If the shard is full because nobody drains, the access is only counted in [`Accesses::lost`].
    pub fn record(&self, bucket: u64, key: &ObjectKey, stamp: Stamp, now: Timestamp) {
        let mut shard = self.lock(shard_of(stamp));
        let is_full = shard.is_beyond(SHARD_VERSIONS_MAX, SHARD_KEY_BYTES_MAX);
        match shard.versions.entry(stamp) {
            Entry::Occupied(mut entry) => {
                let noted = entry.get_mut();
                noted.last = noted.last.max(now);
                noted.count += 1;
                return;
            }
            Entry::Vacant(_) if is_full => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Entry::Vacant(entry) => entry.insert(Noted { bucket, key: key.clone(), last: now, count: 1 }),
        };
        shard.key_bytes += key.as_str().len();
        let is_filling = shard.is_beyond(SHARD_VERSIONS_MAX / 2, SHARD_KEY_BYTES_MAX / 2);
        drop(shard);
        if is_filling {
            self.filling.notify_one();
        }
    }

    /// Takes everything noted so far. What is noted meanwhile is in this answer or in the next.
    pub fn drain(&self) -> Vec<Access> {
        let mut accesses = Vec::new();
        for number in 0..SHARDS {
            // As much room as was needed this time, made before the lock is held, so that readers need not make it.
            let noted = self.lock(number).versions.len();
            let versions = HashMap::with_capacity_and_hasher(noted, BuildHasherDefault::default());
            let taken = std::mem::replace(&mut *self.lock(number), Shard { versions, key_bytes: 0 });
            accesses.extend(taken.versions.into_iter().map(|(stamp, noted)| {
                let Noted { bucket, key, last, count } = noted;
                Access { bucket, key, stamp, last, count }
            }));
        }
        accesses
    }

    /// Waits until it is time for a drain before the regular one: until a shard is half full. One caller at a time.
    /// Dropping the future loses nothing.
    pub async fn filling(&self) {
        self.filling.notified().await;
    }

    /// How many accesses were not noted because their shard was full, since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lock(&self, number: usize) -> MutexGuard<'_, Shard> {
        // A shard is in order at every moment at which a panic could leave it.
        self.shards[number].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Accesses {
    fn default() -> Accesses {
        Accesses::new()
    }
}

impl Shard {
    fn is_beyond(&self, versions: usize, key_bytes: usize) -> bool {
        self.versions.len() >= versions || self.key_bytes >= key_bytes
    }
}

/// The shard of a version, by other bits of its stamp than those that order the map.
fn shard_of(stamp: Stamp) -> usize {
    usize::from((stamp.random >> 32) as u8) % SHARDS
}

/// A stamp ends in 64 random bits that no client chose: they are its hash.
#[derive(Debug, Default)]
struct StampHasher(u64);

impl Hasher for StampHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Accesses, SHARD_KEY_BYTES_MAX, SHARD_VERSIONS_MAX, SHARDS, shard_of};
    use crate::name::ObjectKey;
    use crate::stamp::{Stamp, Timestamp};

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).expect("a valid key")
    }

    fn stamp(random: u64) -> Stamp {
        Stamp { time: Timestamp::from_secs(1), random }
    }

    #[test]
    fn versions_are_noted_once_with_their_last_access() {
        let accesses = Accesses::new();
        let secs = Timestamp::from_secs;
        for (random, at) in [(1, 10), (1 << 32, 11), (1, 30), (1, 20)] {
            accesses.record(7, &key("k"), stamp(random), secs(at));
        }
        let mut found = accesses.drain();
        found.sort_by_key(|access| access.stamp);
        let access = |random, last, count| Access { bucket: 7, key: key("k"), stamp: stamp(random), last, count };
        assert_eq!(found, [access(1, secs(30), 3), access(1 << 32, secs(11), 1)]);
        assert_eq!(accesses.drain(), []);
        accesses.record(7, &key("k"), stamp(1), secs(40));
        assert_eq!(accesses.drain(), [access(1, secs(40), 1)]);
    }

    #[test]
    fn versions_spread_over_the_shards() {
        let mut counts = [0; SHARDS];
        for number in 0..1600_u64 {
            let hash = blake3::hash(&number.to_be_bytes());
            let random = u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("8 of 32 bytes"));
            counts[shard_of(stamp(random))] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
    }

    /// Fills one shard and gives the number at which it was found to be filling, then how many were noted.
    async fn fill(key: ObjectKey, offered: usize) -> (usize, usize, u64) {
        let accesses = Accesses::new();
        let mut asked_for_drain = 0;
        for number in 0..offered {
            accesses.record(1, &key, stamp(number as u64), Timestamp::from_secs(2));
            let filling = accesses.filling();
            if asked_for_drain == 0 && is_ready_now(filling) {
                asked_for_drain = number + 1;
            }
        }
        let lost = accesses.lost();
        let noted = accesses.drain();
        accesses.record(1, &key, stamp(0), Timestamp::from_secs(3));
        assert_eq!((accesses.lost(), accesses.drain().len()), (lost, 1), "a drain makes room");
        (asked_for_drain, noted.len(), lost)
    }

    /// Whether a future is ready when it is first asked.
    fn is_ready_now(future: impl Future<Output = ()>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(future).poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn shards_are_bounded() {
        let most = SHARD_VERSIONS_MAX;
        assert_eq!(fill(key("k"), most + 3).await, (most / 2, most, 3));
        let most = SHARD_KEY_BYTES_MAX / 1024;
        assert_eq!(fill(key(&"k".repeat(1024)), most + 3).await, (most / 2, most, 3));
    }

    #[test]
    fn readers_and_a_drain_lose_nothing() {
        const READS: u64 = 100_000;
        let accesses = Accesses::new();
        let hot = key("hot");
        let drained = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for number in 0..READS {
                        accesses.record(1, &hot, stamp((number % 64) << 32), Timestamp::from_secs(2));
                    }
                });
            }
            (0..50).flat_map(|_| accesses.drain()).map(|access| access.count).sum::<u64>()
        });
        let rest: u64 = accesses.drain().iter().map(|access| access.count).sum();
        assert_eq!(drained + rest, 2 * READS);
    }
}
