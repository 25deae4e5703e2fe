//! Scrubbing: flipped bytes are found, repaired from other zones and pools, or told of with the objects that they hit.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::blob::Placement;
use crate::cipher::MasterKey;
use crate::clock::{Clock as _, ManualClock, SystemEntropy};
use crate::index::record::{Body, ContentForm, Record as _, StoredBlob, VersionRecord};
use crate::index::{Family, key};
use crate::pool::Pool;
use crate::room::{Gauge, Room};
use crate::stamp::Timestamp;
use crate::store::Store;
use crate::worker::{LostVersion, Next};
use crate::{
    BucketName, CheckDepth, CheckObserver, CheckOptions, CheckProgress, Finding, NewBucket, ObjectKey, OpenOptions,
    PutObject, RestoreRequest, RestoreSpeed, StorageClass, VersionSelector, ZoneOptions, check,
};

const EVERY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const TOTAL_BYTES: u64 = 1 << 40;

pub(super) struct World {
    pub(super) root: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    zones: usize,
}

impl World {
    pub(super) async fn new(zones: usize) -> (World, Store) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_500)));
        let world = World { root: tempfile::tempdir().unwrap(), clock, zones };
        let store = world.open().await;
        store.create_bucket(&bucket(), NewBucket::default()).await.unwrap();
        (world, store)
    }

    pub(super) fn zone(&self, at: usize) -> PathBuf {
        self.root.path().join(format!("z{at}"))
    }

    fn zone_options(&self) -> Vec<ZoneOptions> {
        let zone = |at| ZoneOptions { name: format!("z{at}"), directory: self.zone(at) };
        if self.zones > 1 { (0..self.zones).map(zone).collect() } else { Vec::new() }
    }

    pub(super) async fn open(&self) -> Store {
        self.open_with(|_| {}).await
    }

    pub(super) async fn open_with(&self, change: impl FnOnce(&mut OpenOptions)) -> Store {
        let mut options = OpenOptions::new(self.root.path().join("data"));
        options.clock = Arc::clone(&self.clock) as _;
        options.entropy = Arc::new(SystemEntropy);
        (options.collect_every, options.settle_every, options.heal_every) = (None, None, None);
        (options.evaluate_every, options.analyze_every) = (None, None);
        options.background_bytes_per_second = 1 << 40;
        options.lifecycle_day = Duration::from_secs(1000);
        options.scrub_every = Some(EVERY);
        options.zones = self.zone_options();
        options.master_key = Some(MasterKey::new([1; 32]));
        change(&mut options);
        Store::open(options).await.unwrap()
    }

    /// Seals what is being written, by opening the store anew.
    pub(super) async fn reopen(&self, store: Store) -> Store {
        store.close().await.unwrap();
        drop(store);
        self.open().await
    }

    pub(super) fn assert_sound(&self) {
        struct Faults(Vec<Finding>);
        impl CheckObserver for Faults {
            fn found(&mut self, finding: &Finding) {
                self.0.extend(finding.kind.is_fault().then(|| finding.clone()));
            }
            fn progress(&mut self, _progress: CheckProgress) {}
        }
        let options = CheckOptions {
            directory: self.root.path().join("data"),
            zones: self.zone_options(),
            master_key: Some(MasterKey::new([1; 32])),
            cache_bytes: 1 << 20,
            depth: CheckDepth::Content,
        };
        let mut faults = Faults(Vec::new());
        while let Err(error) = check(&options, &mut faults) {
            assert!(matches!(error, crate::Error::Locked), "{error}");
        }
        assert!(faults.0.is_empty(), "{:#?}", faults.0);
    }
}

/// Tells of what there is until it is told to tell of less.
pub(super) struct Adjustable {
    /// The room for the data directory, in bytes.
    pub(super) free_bytes: AtomicU64,
    /// So many commits there is room for.
    commits: AtomicU64,
}

impl Adjustable {
    pub(super) fn new() -> Arc<Adjustable> {
        Arc::new(Adjustable { free_bytes: AtomicU64::new(TOTAL_BYTES), commits: AtomicU64::new(u64::MAX) })
    }
}

impl Gauge for Adjustable {
    fn room(&self, directory: &Path) -> io::Result<Room> {
        let is_taken = |left: u64| left.checked_sub(1);
        let (order, is_commit) = (Ordering::SeqCst, directory.ends_with("index"));
        let is_full = is_commit && self.commits.fetch_update(order, order, is_taken).is_err();
        let free_bytes = if is_full { 0 } else { self.free_bytes.load(order) };
        Ok(Room { free_bytes, total_bytes: TOTAL_BYTES })
    }
}

pub(super) fn bucket() -> BucketName {
    BucketName::parse("photos").unwrap()
}

/// Bytes that compress to about a half, others for each seed.
pub(super) fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + u8::try_from(state >> 60).unwrap()
    };
    (0..bytes).map(|_| next()).collect()
}

pub(super) async fn put(store: &Store, name: &str, class: StorageClass, bytes: Vec<u8>) {
    let staged = store.stage_bytes(bytes).await.unwrap();
    store.put(PutObject { class, ..PutObject::new(bucket(), ObjectKey::parse(name).unwrap(), staged) }).await.unwrap();
}

pub(super) async fn read(store: &Store, name: &str) -> crate::Result<Vec<u8>> {
    let object = store.object(&bucket(), &ObjectKey::parse(name).unwrap(), VersionSelector::Current).await?;
    Ok(object.read(0..object.info().size).collect().await?.to_vec())
}

/// Where the first chunk of an object is in a pool.
pub(super) async fn place(store: &Store, name: &str, pool: Pool) -> Placement {
    let prefix = key::escaped(1, name);
    let to = key::after_prefix(prefix.clone());
    let (_, value) = store.inner.index.first(Family::Version, prefix, to).await.unwrap().unwrap();
    let Body::Single(content) = VersionRecord::decode(&value).unwrap().object.unwrap().body else { panic!("{name}") };
    let ContentForm::Chunks(chunks) = content.form else { panic!("{name}") };
    let blob = StoredBlob { id: chunks[0].blob, pool };
    store.inner.index.record(Family::Blob, key::stored_blob(&blob)).await.unwrap().unwrap()
}

pub(super) fn flip(file: &PathBuf, at: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_in_one_zone_is_repaired_from_the_other() {
    let (world, store) = World::new(2).await;
    for (seed, name) in [(1, "a"), (2, "b"), (3, "c")] {
        put(&store, name, StorageClass::Standard, content(seed, 3_000_000)).await;
    }
    let store = world.reopen(store).await;
    // Another one is damaged in each zone: mending a whole shard from the other would spread the damage.
    let (a, b) = (place(&store, "a", Pool::Hot).await, place(&store, "b", Pool::Hot).await);
    flip(&store.inner.blobs.segment_paths(a.segment)[0], a.offset + 1_000_000);
    flip(&store.inner.blobs.segment_paths(b.segment)[1], b.offset + 2_000_000);
    let status = store.scrub().await.unwrap();
    assert_eq!((status.damaged, status.repaired, status.lost), (2, 2, 0), "{status:?}");
    assert!(!status.running && status.records >= 3 && status.done_bytes >= 9_000_000, "{status:?}");
    assert_ne!(place(&store, "a", Pool::Hot).await, a, "it lies in another place now");
    let store = world.reopen(store).await;
    let status = store.scrub().await.unwrap();
    assert_eq!(status.damaged, 0, "{status:?}");
    store.close().await.unwrap();
    drop(store);
    world.assert_sound();
    for away in 0..2 {
        std::fs::rename(world.zone(away), world.root.path().join("away")).unwrap();
        let store = world.open().await;
        for (seed, name) in [(1, "a"), (2, "b"), (3, "c")] {
            assert!(read(&store, name).await.unwrap() == content(seed, 3_000_000), "{name} without zone {away}");
        }
        store.close().await.unwrap();
        drop(store);
        std::fs::rename(world.root.path().join("away"), world.zone(away)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_before_a_failure_counts_once() {
    let (world, store) = World::new(2).await;
    for (seed, name) in [(1, "a"), (2, "b"), (3, "c")] {
        put(&store, name, StorageClass::Standard, content(seed, 300_000)).await;
    }
    store.close().await.unwrap();
    drop(store);
    let gauge = Adjustable::new();
    let store = world.open_with(|options| options.gauge = gauge.clone()).await;
    for (name, zone) in [("a", 0), ("b", 1)] {
        let at = place(&store, name, Pool::Hot).await;
        flip(&store.inner.blobs.segment_paths(at.segment)[zone], at.offset + 100_000);
    }
    store.start_scrub().await.unwrap();
    gauge.commits.store(1, Ordering::SeqCst);
    assert!(matches!(store.scrub().await, Err(crate::Error::NoSpace { .. })));
    let status = store.scrub_status().await.unwrap();
    assert_eq!((status.records, status.damaged, status.repaired), (1, 1, 1), "{status:?}");
    gauge.commits.store(u64::MAX, Ordering::SeqCst);
    let status = store.scrub().await.unwrap();
    assert_eq!((status.records, status.damaged, status.repaired, status.lost), (3, 2, 2, 0), "{status:?}");
    assert_eq!(status.done_bytes, status.total_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_damaged_shards_of_six_are_repaired() {
    let (world, store) = World::new(6).await;
    put(&store, "a", StorageClass::Standard, content(1, 3_000_000)).await;
    put(&store, "archived", StorageClass::Glacier, content(2, 3_000_000)).await;
    store.settle().await.unwrap();
    let store = world.reopen(store).await;
    for (name, pool) in [("a", Pool::Hot), ("archived", Pool::Archive)] {
        let at = place(&store, name, pool).await;
        let paths = store.inner.blobs.segment_paths(at.segment);
        let offset = 4096 + (at.offset - 4096 + 300_000) / 4 / 4096 * 4096 + 7;
        flip(&paths[1], offset);
        flip(&paths[3], offset);
    }
    let status = store.scrub().await.unwrap();
    assert_eq!((status.damaged, status.repaired, status.lost), (2, 2, 0), "{status:?}");
    assert!(read(&store, "a").await.unwrap() == content(1, 3_000_000));
    store.close().await.unwrap();
    drop(store);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_zone_has_is_told_of_with_its_objects() {
    let (world, store) = World::new(1).await;
    put(&store, "whole", StorageClass::Standard, content(1, 300_000)).await;
    put(&store, "hit", StorageClass::Standard, content(2, 300_000)).await;
    put(&store, "hit-too", StorageClass::Standard, content(2, 300_000)).await;
    let store = world.reopen(store).await;
    let hit = place(&store, "hit", Pool::Hot).await;
    flip(&store.inner.blobs.segment_paths(hit.segment)[0], hit.offset + 100_000);
    let status = store.scrub().await.unwrap();
    assert_eq!((status.damaged, status.repaired, status.lost), (1, 0, 1), "{status:?}");
    let version = |key: &str| {
        let (bucket, version) = ("photos".to_owned(), "null".to_owned());
        LostVersion { bucket, key: key.to_owned(), version }
    };
    assert_eq!(status.lost_versions, [version("hit"), version("hit-too")]);
    assert!(read(&store, "whole").await.is_ok() && read(&store, "hit").await.is_err());
    // It is still told of after the store was opened anew.
    let store = world.reopen(store).await;
    assert_eq!(store.scrub_status().await.unwrap().lost_versions.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_pool_has_is_brought_from_there() {
    let (world, store) = World::new(1).await;
    put(&store, "cat", StorageClass::Glacier, content(1, 300_000)).await;
    store.settle().await.unwrap();
    let request = RestoreRequest {
        bucket: bucket(),
        key: ObjectKey::parse("cat").unwrap(),
        version: VersionSelector::Current,
        days: Some(3),
        speed: Some(RestoreSpeed::Expedited),
    };
    store.restore(request).await.unwrap();
    world.clock.advance(Duration::from_secs(1000));
    store.settle().await.unwrap();
    let store = world.reopen(store).await;
    let archived = place(&store, "cat", Pool::Archive).await;
    place(&store, "cat", Pool::Hot).await;
    flip(&store.inner.blobs.segment_paths(archived.segment)[0], archived.offset + 5_000);
    let status = store.scrub().await.unwrap();
    assert_eq!((status.damaged, status.repaired, status.lost), (1, 1, 0), "{status:?}");
    assert_ne!(place(&store, "cat", Pool::Archive).await, archived);
    store.close().await.unwrap();
    drop(store);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_no_shard_is_left_to_the_healer() {
    let (world, store) = World::new(2).await;
    put(&store, "a", StorageClass::Standard, content(1, 300_000)).await;
    let store = world.reopen(store).await;
    let a = place(&store, "a", Pool::Hot).await;
    flip(&store.inner.blobs.segment_paths(a.segment)[0], 20);
    let status = store.scrub().await.unwrap();
    assert_eq!((status.damaged, status.lost), (0, 0), "{status:?}");
    assert_eq!(store.heal().await.unwrap().shards, 1);
    assert_eq!(place(&store, "a", Pool::Hot).await, a, "the record stays where it is");
    store.close().await.unwrap();
    drop(store);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_begins_by_schedule_and_goes_on_where_it_was() {
    let (world, store) = World::new(1).await;
    for seed in 0..20 {
        put(&store, &format!("{seed}"), StorageClass::Standard, content(seed, 1_000_000)).await;
    }
    let store = world.reopen(store).await;
    let round = async |store: &Store| super::scrub::round(Arc::clone(&store.inner)).await.unwrap();
    assert_eq!(round(&store).await, Next::Later, "the first one is awaited");
    let awaited = store.scrub_status().await.unwrap();
    assert_eq!((awaited.started, awaited.next), (None, Some(world.clock.now().plus(EVERY))));
    world.clock.advance(EVERY);
    assert_eq!(round(&store).await, Next::Now);
    let begun = store.scrub_status().await.unwrap();
    assert!(begun.running && begun.records > 0 && begun.records < 20, "{begun:?}");
    assert!((20_000_000..21_000_000).contains(&begun.total_bytes), "{begun:?}");
    // In the midst of it the store is closed.
    let store = world.reopen(store).await;
    assert_eq!(store.scrub_status().await.unwrap().records, begun.records);
    while round(&store).await == Next::Now {}
    let ended = store.scrub_status().await.unwrap();
    assert_eq!((ended.running, ended.records, ended.done_bytes), (false, 20, ended.total_bytes), "{ended:?}");
    assert_eq!(round(&store).await, Next::Later);
    assert_eq!(ended.next, Some(world.clock.now().plus(EVERY)));
    assert!(store.workers().iter().any(|worker| worker.name == "scrub" && worker.done > 0));
    assert!(store.start_scrub().await.unwrap().running, "whenever it is asked for");
}
