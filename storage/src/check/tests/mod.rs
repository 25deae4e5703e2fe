//! Stores with something of every kind are sound; each kind of damage is found, and nothing else.

mod bytes;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{CheckDepth, CheckObserver, CheckOptions, CheckProgress, CheckReport, Finding, FindingKind, check};
use crate::blob::Placement;
use crate::cipher::{DataKey, MasterKey};
use crate::clock::{Clock as _, ManualClock, SeededEntropy};
use crate::error::Error;
use crate::index::record::{Body, ContentForm, Record as _, StoredBlob, VersionRecord};
use crate::index::{Batch, Family, key};
use crate::stamp::{Stamp, Timestamp};
use crate::store::Store;
use crate::{
    BucketChange, BucketName, Checksum, CompleteUpload, CompletedPart, CopyStage, DeleteObject, Digests, Encryption,
    EventKind, KmsEncryption, NewBucket, NewUpload, NotificationRule, ObjectKey, OpenOptions, Protection, PutObject,
    RestoreRequest, RestoreSpeed, StageOptions, StorageClass, UploadId, VersionSelector, Versioning, WriteCondition,
    ZoneOptions,
};

const SECRET: [u8; 32] = [9; 32];

struct World {
    root: tempfile::TempDir,
    clock: Arc<ManualClock>,
    zones: usize,
}

#[derive(Default)]
struct Told(Vec<Finding>);

impl CheckObserver for Told {
    fn found(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }

    fn progress(&mut self, progress: CheckProgress) {
        assert!(progress.done <= progress.total, "{progress:?}");
    }
}

fn bucket() -> BucketName {
    BucketName::parse("photos").unwrap()
}

fn object(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

/// Bytes that compress to about a half, others for each seed.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + u8::try_from(state >> 60).unwrap()
    };
    (0..bytes).map(|_| next()).collect()
}

impl World {
    fn new(zones: usize) -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_500)));
        World { root: tempfile::tempdir().unwrap(), clock, zones }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn zone_options(&self) -> Vec<ZoneOptions> {
        let zone =
            |at: usize| ZoneOptions { name: format!("z{at}"), directory: self.root.path().join(format!("z{at}")) };
        if self.zones > 1 { (0..self.zones).map(zone).collect() } else { Vec::new() }
    }

    async fn open(&self) -> Store {
        let mut options = OpenOptions::new(self.data());
        options.clock = Arc::clone(&self.clock) as _;
        self.clock.advance(Duration::from_secs(1));
        options.entropy = Arc::new(SeededEntropy::new(self.clock.now().as_nanos()));
        (options.collect_every, options.settle_every, options.heal_every) = (None, None, None);
        (options.evaluate_every, options.analyze_every) = (None, None);
        options.background_bytes_per_second = 1 << 40;
        options.segment_bytes = 4 << 20;
        options.part_bytes_min = 1;
        options.lifecycle_day = Duration::from_secs(1000);
        options.zones = self.zone_options();
        options.master_key = Some(MasterKey::new(SECRET));
        Store::open(options).await.unwrap()
    }

    fn try_check(&self, depth: CheckDepth) -> crate::Result<(CheckReport, Vec<Finding>)> {
        let mut told = Told::default();
        let options = CheckOptions {
            directory: self.data(),
            zones: self.zone_options(),
            master_key: Some(MasterKey::new(SECRET)),
            cache_bytes: 4 << 20,
            depth,
        };
        let report = check(&options, &mut told)?;
        let faults = told.0.iter().filter(|finding| finding.kind.is_fault()).count();
        assert_eq!(report.faults(), faults as u64);
        Ok((report, told.0))
    }

    fn check(&self, depth: CheckDepth) -> (CheckReport, Vec<Finding>) {
        loop {
            match self.try_check(depth) {
                // Tasks of a store that was dropped let go of it in a moment.
                Err(Error::Locked) => std::thread::yield_now(),
                checked => return checked.unwrap(),
            }
        }
    }

    /// What both depths find, faults alone, by kind.
    fn faults(&self, depth: CheckDepth) -> BTreeMap<FindingKind, u64> {
        let (report, findings) = self.check(depth);
        assert!(report.buckets > 0, "{findings:?}");
        report.findings.into_iter().filter(|(kind, _)| kind.is_fault()).collect()
    }

    fn assert_sound(&self) -> CheckReport {
        for depth in [CheckDepth::Index, CheckDepth::Content] {
            let (report, findings) = self.check(depth);
            assert_eq!(report.faults(), 0, "{findings:#?}");
        }
        self.check(CheckDepth::Content).0
    }

    /// Changes rows as nothing but a fault does, and closes the store.
    async fn damage(&self, damage: impl AsyncFnOnce(&Store, &mut Batch)) {
        let store = self.open().await;
        let mut batch = Batch::new();
        damage(&store, &mut batch).await;
        store.inner.index.commit(batch).await.unwrap();
        store.close().await.unwrap();
    }

    fn segment_files(&self) -> Vec<PathBuf> {
        let places = (0..self.zones).map(|at| match self.zones {
            1 => self.data().join("segments"),
            _ => self.root.path().join(format!("z{at}/segments")),
        });
        places.flat_map(|place| files(&place)).collect()
    }
}

fn files(place: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

async fn put(store: &Store, name: &str, class: StorageClass, bytes: Vec<u8>) {
    let staged = store.stage_bytes(bytes).await.unwrap();
    store.put(PutObject { class, ..PutObject::new(bucket(), object(name), staged) }).await.unwrap();
}

async fn part(store: &Store, name: &str, id: UploadId, number: u16, bytes: usize) -> CompletedPart {
    let staged = store.stage_bytes(content(u64::from(number), bytes)).await.unwrap();
    let put = store.put_part(&bucket(), &object(name), id, number, staged, None::<Checksum>).await.unwrap();
    CompletedPart { number, etag: put.etag.to_string(), checksum: None }
}

/// Of unknown size, so that it comes in chunks of 1 MiB, more than a record holds.
async fn put_in_pages(store: &Store, name: &str) {
    let mut stage = store.stage(StageOptions { size: None, digests: Digests::NONE, seal: None });
    for number in 0..18 {
        // Some of them twice: one reference is for all places of a chunk.
        stage.write(content(100 + number % 15, 1 << 20).into()).await.unwrap();
    }
    let staged = stage.finish().await.unwrap();
    store.put(PutObject::new(bucket(), object(name), staged)).await.unwrap();
}

async fn put_sealed(store: &Store, name: &str) {
    let seal = Some(DataKey::random(store.entropy()));
    let mut stage = store.stage(StageOptions { size: Some(200_000), digests: Digests::NONE, seal });
    stage.write(content(50, 200_000).into()).await.unwrap();
    let mut request = PutObject::new(bucket(), object(name), stage.finish().await.unwrap());
    let (key_arn, context) = ("arn".to_owned(), "{}".to_owned());
    let kms = KmsEncryption { key_arn, context, bucket_key: false, dual: false, wrapped: vec![1] };
    request.protection = Protection { encryption: Encryption::Kms(kms), ..Protection::default() };
    store.put(request).await.unwrap();
}

/// Makes something of every kind: versions, markers, uploads, classes, copies, tasks.
async fn fill(world: &World) -> Store {
    let store = world.open().await;
    store.create_bucket(&bucket(), NewBucket { object_lock: false, ..NewBucket::default() }).await.unwrap();
    let rule = NotificationRule {
        id: "all".into(),
        target: "arn:aws:sqs:us-east-1:000000000000:queue".into(),
        kinds: [EventKind::CreatedPut].into_iter().collect(),
        prefix: String::new(),
        suffix: String::new(),
    };
    let change = BucketChange::Notifications { rules: vec![rule], document: None };
    store.change_bucket(&bucket(), change).await.unwrap();
    put(&store, "empty", StorageClass::Standard, Vec::new()).await;
    put(&store, "small", StorageClass::Standard, content(1, 100)).await;
    put(&store, "large", StorageClass::Standard, content(2, 300_000)).await;
    put(&store, "large-too", StorageClass::Standard, content(2, 300_000)).await;
    put_in_pages(&store, "pages").await;
    put_sealed(&store, "sealed").await;
    for (seed, class) in (10..).zip(StorageClass::ALL) {
        put(&store, &format!("class-{}", class.name()), class, content(seed, 150_000)).await;
    }
    let id = store.create_upload(&bucket(), &object("parts"), NewUpload::default()).await.unwrap();
    let parts = vec![part(&store, "parts", id, 1, 200_000).await, part(&store, "parts", id, 3, 10).await];
    part(&store, "parts", id, 4, 70_000).await;
    let request = CompleteUpload {
        bucket: bucket(),
        key: object("parts"),
        id,
        parts,
        size: None,
        checksum: None,
        condition: WriteCondition::None,
        replica: None,
    };
    store.complete_upload(request).await.unwrap();
    let open = store.create_upload(&bucket(), &object("open"), NewUpload::default()).await.unwrap();
    part(&store, "open", open, 1, 120_000).await;
    let aborted = store.create_upload(&bucket(), &object("open"), NewUpload::default()).await.unwrap();
    part(&store, "open", aborted, 2, 130_000).await;
    store.abort_upload(&bucket(), &object("open"), aborted).await.unwrap();
    put(&store, "again", StorageClass::Standard, content(20, 90_000)).await;
    store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Enabled)).await.unwrap();
    put(&store, "again", StorageClass::Standard, content(21, 10)).await;
    put(&store, "versions", StorageClass::Standard, content(22, 80_000)).await;
    delete(&store, "versions").await;
    delete(&store, "large-too").await;
    store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Suspended)).await.unwrap();
    delete(&store, "versions").await;
    store
}

async fn delete(store: &Store, name: &str) {
    let (bucket, key) = (bucket(), object(name));
    let (condition, governance) = (Default::default(), Default::default());
    store.delete(DeleteObject { bucket, key, version: None, condition, governance }).await.unwrap();
}

async fn settled(world: &World) {
    let store = fill(world).await;
    store.settle().await.unwrap();
    let request = RestoreRequest {
        bucket: bucket(),
        key: object("class-GLACIER"),
        version: VersionSelector::Current,
        days: Some(3),
        speed: Some(RestoreSpeed::Expedited),
    };
    store.restore(request).await.unwrap();
    world.clock.advance(Duration::from_secs(1000));
    store.settle().await.unwrap();
    let source = store.object(&bucket(), &object("class-STANDARD_IA"), VersionSelector::Current).await.unwrap();
    let range = Some(1000..100_000);
    let copy = store.stage_copy(&source, CopyStage { range, ..CopyStage::default() }).await.unwrap();
    store.put(PutObject::new(bucket(), object("copy"), copy)).await.unwrap();
    drop(source);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_with_everything_are_sound() {
    for zones in [1, 2, 4, 6] {
        let world = World::new(zones);
        // Dropped, not closed: as after a crash, garbage, timers and logs lie about.
        drop(fill(&world).await);
        let report = world.assert_sound();
        assert!(report.garbage > 0 && report.uploads == 1 && report.versions > 15, "{report:?}");

        let world = World::new(zones);
        settled(&world).await;
        world.assert_sound();
        let store = world.open().await;
        for _ in 0..3 {
            store.collect().await.unwrap();
        }
        drop(store);
        let report = world.assert_sound();
        assert_eq!(report.garbage, 0);
        assert!(report.bytes_read > 16 << 20, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_use_is_not_checked_and_nothing_is_written() {
    let world = World::new(1);
    assert!(matches!(world.try_check(CheckDepth::Index), Err(Error::Io { .. })), "there is none");
    assert!(!world.data().exists());
    let store = fill(&world).await;
    assert!(matches!(world.try_check(CheckDepth::Index), Err(Error::Locked)));
    store.close().await.unwrap();
    drop(store);
    world.check(CheckDepth::Index);
    let listed = |place: &str| -> Vec<(PathBuf, u64)> {
        files(&world.data().join(place))
            .into_iter()
            .map(|file| (file.clone(), file.metadata().unwrap().len()))
            .collect()
    };
    let before = (listed(""), listed("index"), listed("segments"));
    world.check(CheckDepth::Content);
    assert_eq!((listed(""), listed("index"), listed("segments")), before);
    let options = CheckOptions {
        directory: world.data(),
        zones: Vec::new(),
        master_key: None,
        cache_bytes: 1 << 20,
        depth: CheckDepth::Index,
    };
    assert!(matches!(check(&options, &mut Told::default()), Err(Error::MasterKeyMissing)));
    let options = CheckOptions { master_key: Some(MasterKey::new([1; 32])), ..options };
    assert!(matches!(check(&options, &mut Told::default()), Err(Error::MasterKeyWrong)));
}

/// All rows of a family.
async fn rows(store: &Store, family: Family) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let rows = store.inner.index.rows();
    let mut cursor = rows.cursor(family, &[], &[]);
    while let Some((row, value)) = cursor.row().unwrap() {
        found.push((row.to_vec(), value.to_vec()));
        cursor.advance();
    }
    found
}

/// The row and the record of the newest version of a key.
async fn newest(store: &Store, name: &str) -> (Vec<u8>, VersionRecord) {
    let id = store.bucket(&bucket()).await.unwrap().id;
    let prefix = key::escaped(id, name);
    let to = key::after_prefix(prefix.clone());
    let (row, value) = store.inner.index.first(Family::Version, prefix, to).await.unwrap().unwrap();
    (row, VersionRecord::decode(&value).unwrap())
}

/// Its first chunk.
async fn chunk_of(store: &Store, name: &str) -> (StoredBlob, Stamp, Placement) {
    let (_, record) = newest(store, name).await;
    let object = record.object.unwrap();
    let Body::Single(content) = object.body else { panic!("it has parts") };
    let ContentForm::Chunks(chunks) = content.form else { panic!("it has no chunks") };
    let pool = object.residence.pools.iter().next().unwrap();
    let blob = StoredBlob { id: chunks[0].blob, pool };
    let place = store.inner.index.record(Family::Blob, key::stored_blob(&blob)).await.unwrap().unwrap();
    (blob, content.id, place)
}

fn object_row(name: &str) -> Vec<u8> {
    key::object(1, name)
}

type Kinds = BTreeMap<FindingKind, u64>;

/// Damages a store of everything in one place, and expects exactly that to be found.
async fn damaged(expected: &[(FindingKind, u64)], damage: impl AsyncFnOnce(&Store, &mut Batch)) {
    let world = World::new(1);
    settled(&world).await;
    world.damage(damage).await;
    let expected: Kinds = expected.iter().copied().collect();
    let (_, findings) = world.check(CheckDepth::Index);
    assert_eq!(world.faults(CheckDepth::Index), expected, "{findings:#?}");
}
