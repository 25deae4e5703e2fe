//! What the tests share: a store in a temporary directory, with a clock that stands still.

use std::sync::Arc;

use crate::entropy::entropy;
use strata_storage::{
    BucketName, ManualClock, NewBucket, ObjectKey, OpenOptions, PutObject, Result, Store, Timestamp, VersionSelector,
    WriteCondition, Written,
};
use tempfile::TempDir;

/// A store that can be closed and opened again.
pub struct Fixture {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
}

pub fn options(directory: &TempDir, clock: &Arc<ManualClock>) -> OpenOptions {
    let mut options = OpenOptions::new(directory.path());
    options.clock = Arc::clone(clock) as Arc<dyn strata_storage::Clock>;
    options.entropy = entropy();
    options.segment_bytes = 4 << 20;
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    options.collect_every = None;
    (options.settle_every, options.evaluate_every, options.heal_every) = (None, None, None);
    options.analyze_every = None;
    options
}

impl Fixture {
    pub async fn new() -> Fixture {
        Fixture::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut OpenOptions)) -> Fixture {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let mut options = options(&directory, &clock);
        change(&mut options);
        let store = Store::open(options).await.expect("a new store opens");
        Fixture { directory, clock, store }
    }

    pub async fn reopen(self) -> Fixture {
        let Fixture { directory, clock, store } = self;
        store.close().await.expect("it closes");
        drop(store);
        // Time stands still within a run only: order across runs is the clock's to keep.
        clock.advance(std::time::Duration::from_secs(1));
        let store = Store::open(options(&directory, &clock)).await.expect("it opens again");
        Fixture { directory, clock, store }
    }
}

pub fn bucket() -> BucketName {
    BucketName::parse("bucket").expect("a valid name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

pub async fn make_bucket(store: &Store) {
    store.create_bucket(&bucket(), NewBucket::default()).await.expect("a new bucket can be made");
}

/// Bytes that depend on the seed, hard to compress, equal for equal arguments.
pub fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u8::try_from(state >> 56).expect("eight bits are left")
        })
        .collect()
}

pub async fn put(store: &Store, name: &str, bytes: Vec<u8>, condition: WriteCondition) -> Result<Written> {
    let staged = store.stage_bytes(bytes).await?;
    let mut request = PutObject::new(bucket(), key(name), staged);
    request.condition = condition;
    store.put(request).await
}

pub async fn get(store: &Store, name: &str, version: VersionSelector) -> Result<Vec<u8>> {
    let object = store.object(&bucket(), &key(name), version).await?;
    Ok(object.read(0..object.info().size).collect().await?.to_vec())
}
