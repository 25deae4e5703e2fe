//! Locks in memory: stripes for keys, uploads and buckets, pins for blobs, epochs for readers, and what they hold.
//!
//! Order, to exclude deadlock: bucket, upload, key. A guard travels with the batch that was computed under it and is
//! released when that batch is durable, so a dropped future never leaves a half-guarded commit.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::blob::BlobId;
use crate::stamp::Stamp;
use crate::sync::{Flaw, Mutex, MutexGuard, RandomState, planted};

/// Stripes of the locks of buckets and of uploads: enough that unrelated ones seldom meet, few enough to make at open.
const STRIPES: usize = if cfg!(shuttle) { 64 } else { 1024 };
/// Stripes of the locks of keys: more, since batches of background work hold hundreds at once.
const KEY_STRIPES: usize = if cfg!(shuttle) { 64 } else { 16_384 };

/// What a batch holds until it is durable. The fields are kept for their drop alone.
#[expect(dead_code, reason = "guards work by being dropped")]
pub(crate) enum Guard {
    Exclusive(OwnedMutexGuard<()>),
    BucketShared(OwnedRwLockReadGuard<()>),
    BucketExclusive(OwnedRwLockWriteGuard<()>),
    Pin(Pin),
    Collecting(Collecting),
    Writer(Reader),
}

impl From<OwnedMutexGuard<()>> for Guard {
    fn from(guard: OwnedMutexGuard<()>) -> Guard {
        Guard::Exclusive(guard)
    }
}
impl From<OwnedRwLockReadGuard<()>> for Guard {
    fn from(guard: OwnedRwLockReadGuard<()>) -> Guard {
        Guard::BucketShared(guard)
    }
}
impl From<OwnedRwLockWriteGuard<()>> for Guard {
    fn from(guard: OwnedRwLockWriteGuard<()>) -> Guard {
        Guard::BucketExclusive(guard)
    }
}
impl From<Pin> for Guard {
    fn from(pin: Pin) -> Guard {
        Guard::Pin(pin)
    }
}

impl From<Collecting> for Guard {
    fn from(claim: Collecting) -> Guard {
        Guard::Collecting(claim)
    }
}
impl From<Reader> for Guard {
    fn from(writer: Reader) -> Guard {
        Guard::Writer(writer)
    }
}

/// The lock table of a store.
pub(crate) struct Locks {
    hasher: RandomState,
    buckets: Vec<Arc<RwLock<()>>>,
    uploads: Vec<Arc<AsyncMutex<()>>>,
    keys: Vec<Arc<AsyncMutex<()>>>,
}

impl Locks {
    pub(crate) fn new() -> Locks {
        Locks {
            hasher: RandomState::default(),
            buckets: (0..STRIPES).map(|_| Arc::default()).collect(),
            uploads: (0..STRIPES).map(|_| Arc::default()).collect(),
            keys: (0..KEY_STRIPES).map(|_| Arc::default()).collect(),
        }
    }

    fn stripe(&self, value: impl Hash) -> usize {
        self.one_of(STRIPES, value)
    }

    fn key_stripe(&self, bucket: u64, key: &str) -> usize {
        self.one_of(KEY_STRIPES, (bucket, key))
    }

    fn key_lock(&self, stripe: usize) -> Arc<AsyncMutex<()>> {
        if planted(Flaw::KeysUnlocked) { Arc::default() } else { self.keys[stripe].clone() }
    }

    fn one_of(&self, stripes: usize, value: impl Hash) -> usize {
        usize::try_from(self.hasher.hash_one(value) % stripes as u64).expect("a stripe number is small")
    }

    /// Keeps the bucket as it is: objects of it may be written meanwhile.
    pub(crate) async fn bucket_shared(&self, name: &str) -> OwnedRwLockReadGuard<()> {
        self.buckets[self.stripe(name)].clone().read_owned().await
    }

    /// Keeps everybody else from writing to the bucket.
    pub(crate) async fn bucket_exclusive(&self, name: &str) -> OwnedRwLockWriteGuard<()> {
        self.buckets[self.stripe(name)].clone().write_owned().await
    }

    /// Serialises changes of one upload.
    pub(crate) async fn upload(&self, upload: Stamp) -> OwnedMutexGuard<()> {
        let lock =
            if planted(Flaw::UploadsUnlocked) { Arc::default() } else { self.uploads[self.stripe(upload)].clone() };
        lock.lock_owned().await
    }

    /// Serialises changes of one key. A task never holds two of these, but for those taken by [`Locks::try_keys`].
    pub(crate) async fn key(&self, bucket: u64, key: &str) -> OwnedMutexGuard<()> {
        self.key_lock(self.key_stripe(bucket, key)).lock_owned().await
    }

    /// As [`Locks::bucket_shared`], for background work that holds other locks already; `None` if it would have to wait.
    pub(crate) fn try_bucket_shared(&self, name: &str) -> Option<OwnedRwLockReadGuard<()>> {
        self.buckets[self.stripe(name)].clone().try_read_owned().ok()
    }

    /// As [`Locks::upload`], for background work that holds other locks already; `None` if it would have to wait.
    pub(crate) fn try_upload(&self, upload: Stamp) -> Option<OwnedMutexGuard<()>> {
        self.uploads[self.stripe(upload)].clone().try_lock_owned().ok()
    }

    /// Adds a key's lock to those of one batch of background work, which changes many keys at once. Never waits, so it
    /// cannot deadlock; `false` if somebody else has the lock.
    pub(crate) fn try_key(&self, held: &mut KeyLocks, bucket: u64, key: &str) -> bool {
        let stripe = self.key_stripe(bucket, key);
        if held.0.contains_key(&stripe) {
            return true;
        }
        let Ok(guard) = self.key_lock(stripe).try_lock_owned() else { return false };
        held.0.insert(stripe, guard);
        true
    }
}

/// The locks of several keys.
#[derive(Default)]
pub(crate) struct KeyLocks(HashMap<usize, OwnedMutexGuard<()>>);

impl KeyLocks {
    /// The guards, to be held by the batch that was computed under them.
    pub(crate) fn into_guards(self) -> impl Iterator<Item = OwnedMutexGuard<()>> {
        self.0.into_values()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The guarded maps are whole after every statement, so a panic elsewhere leaves nothing torn.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blobs that a write is about to refer to, and blobs being collected; never both.
#[derive(Default)]
pub(crate) struct Pins {
    blobs: Mutex<HashMap<BlobId, PinState>>,
    collected: Notify,
}

enum PinState {
    Pinned(u32),
    Collecting,
}

/// Keeps one blob from being collected while it lives.
pub(crate) struct Pin {
    pins: Arc<Pins>,
    blob: BlobId,
}

impl Pins {
    /// Pins a blob, whether it exists yet or not, waiting for a collection of it to end.
    pub(crate) async fn pin(self: &Arc<Pins>, blob: BlobId) -> Pin {
        loop {
            let collected = self.collected.notified();
            tokio::pin!(collected);
            collected.as_mut().enable();
            // A pin of what nobody stores.
            let blob = if planted(Flaw::PinsKeepNothing) { BlobId([0; 32]) } else { blob };
            match lock(&self.blobs).entry(blob).or_insert(PinState::Pinned(0)) {
                PinState::Collecting => {}
                PinState::Pinned(count) => {
                    *count += 1;
                    return Pin { pins: Arc::clone(self), blob };
                }
            }
            collected.await;
        }
    }

    /// Claims a blob for collection; `None` while it is pinned.
    pub(crate) fn collect(self: &Arc<Pins>, blob: BlobId) -> Option<Collecting> {
        let mut blobs = lock(&self.blobs);
        if blobs.contains_key(&blob) {
            return None;
        }
        blobs.insert(blob, PinState::Collecting);
        Some(Collecting { pins: Arc::clone(self), blob })
    }

    /// Turns a pin into a claim for collection, with no moment between; gives it back while others pin the blob too.
    pub(crate) fn claim(self: &Arc<Pins>, pin: Pin) -> Result<Collecting, Pin> {
        match lock(&self.blobs).get_mut(&pin.blob) {
            Some(state @ PinState::Pinned(1)) => *state = PinState::Collecting,
            _ => return Err(pin),
        }
        // What is dropped here is a pin no more.
        Ok(Collecting { pins: Arc::clone(self), blob: pin.blob })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut blobs = lock(&self.pins.blobs);
        if let Some(PinState::Pinned(count)) = blobs.get_mut(&self.blob) {
            *count -= 1;
            if *count == 0 {
                blobs.remove(&self.blob);
            }
        }
    }
}

/// Keeps writes from relying on one blob while it lives.
pub(crate) struct Collecting {
    pins: Arc<Pins>,
    blob: BlobId,
}

impl Drop for Collecting {
    fn drop(&mut self) {
        lock(&self.pins.blobs).remove(&self.blob);
        if !planted(Flaw::ClaimsEndSilently) {
            self.pins.collected.notify_waiters();
        }
    }
}

/// Readers by the epoch in which they began, so that bytes released in an epoch outlive its readers.
///
/// A reader that has found a body holds it by name and leaves its epoch, so that a long read keeps what it reads and
/// nothing else. Both happen under one lock and in that order: whoever sees an epoch passed sees what its readers hold.
///
/// Writers are counted the same way: a sealed segment may hold bytes that a batch is still to name, until every writer
/// that began before it was sealed is gone.
#[derive(Default)]
pub(crate) struct Readers(Mutex<Epochs>);

#[derive(Default)]
struct Epochs {
    now: u64,
    active: BTreeMap<u64, u32>,
    held: HashMap<Stamp, u32>,
}

/// One reader. What was visible when it began stays readable while it lives.
pub(crate) struct Reader {
    readers: Arc<Readers>,
    epoch: u64,
}

/// A body that is being read. It stays readable while this lives.
pub(crate) struct Held {
    readers: Arc<Readers>,
    body: Stamp,
}

impl Reader {
    /// Keeps a body that this reader found, beyond the reader's own end.
    pub(crate) fn hold(&self, body: Stamp) -> Held {
        *lock(&self.readers.0).held.entry(body).or_insert(0) += 1;
        Held { readers: Arc::clone(&self.readers), body }
    }
}

impl Readers {
    /// Must be called before the reader looks at the index.
    pub(crate) fn enter(self: &Arc<Readers>) -> Reader {
        let mut epochs = lock(&self.0);
        let epoch = epochs.now;
        *epochs.active.entry(epoch).or_insert(0) += 1;
        Reader { readers: Arc::clone(self), epoch }
    }

    /// Ends the present epoch and returns it: whoever enters from now on sees what was committed before this call.
    pub(crate) fn advance(&self) -> u64 {
        let mut epochs = lock(&self.0);
        epochs.now += 1;
        epochs.now - 1
    }

    /// Whether no reader of `epoch` or an earlier one is left.
    pub(crate) fn passed(&self, epoch: u64) -> bool {
        let passed = lock(&self.0).active.first_key_value().is_none_or(|(&oldest, _)| oldest > epoch);
        passed || planted(Flaw::EpochsPass)
    }

    /// Whether a body is being read. Once nobody can find it any more, `false` is for good.
    pub(crate) fn holds(&self, body: Stamp) -> bool {
        lock(&self.0).held.contains_key(&body) && !planted(Flaw::EpochsPass)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut epochs = lock(&self.readers.0);
        if let Some(count) = epochs.held.get_mut(&self.body) {
            *count -= 1;
            if *count == 0 {
                epochs.held.remove(&self.body);
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut epochs = lock(&self.readers.0);
        if let Some(count) = epochs.active.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                epochs.active.remove(&self.epoch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Pins, Readers};
    use crate::blob::BlobId;

    #[tokio::test]
    async fn a_pinned_blob_is_not_collected_and_a_collected_one_not_pinned() {
        let pins = Arc::new(Pins::default());
        let blob = BlobId([1; 32]);
        let first = pins.pin(blob).await;
        let second = pins.pin(blob).await;
        drop(first);
        assert!(pins.collect(blob).is_none());
        drop(second);
        let collecting = pins.collect(blob).expect("nobody pins it");
        let waiting = tokio::spawn({
            let pins = Arc::clone(&pins);
            async move { drop(pins.pin(blob).await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(collecting);
        waiting.await.expect("the pin was granted");
        assert!(pins.collect(blob).is_some());
    }

    #[tokio::test]
    async fn only_the_last_pin_becomes_a_claim() {
        let pins = Arc::new(Pins::default());
        let blob = BlobId([1; 32]);
        let (first, second) = (pins.pin(blob).await, pins.pin(blob).await);
        let first = pins.claim(first).err().expect("somebody else pins it");
        drop(second);
        let claim = pins.claim(first).ok().expect("nobody else pins it");
        assert!(pins.collect(blob).is_none());
        drop(claim);
        assert!(pins.collect(blob).is_some());
    }

    #[test]
    fn an_epoch_passes_when_its_readers_left() {
        let readers = Arc::new(Readers::default());
        let old = readers.enter();
        let epoch = readers.advance();
        let young = readers.enter();
        assert!(!readers.passed(epoch));
        drop(old);
        assert!(readers.passed(epoch));
        drop(young);
    }
}
