//! A disk that is nearly full, simulated: what keeps something is refused, what makes room goes on, down to a last reserve.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strata_storage::{
    BucketChange, BucketName, Clock as _, CompleteUpload, CompletedPart, DeleteObject, Error, Expiration, Filter,
    FilterForm, Gauge, Lifecycle, Month, NewBucket, NewUpload, PutObject, RequestKind, Room, Rule, StageOptions,
    Staged, Status, StorageClass, Store, Tag, Timestamp, TransitionMinimum, VersionId, VersionSelector, Versioning,
    When, WriteCondition,
};

use crate::sound::assert_sound;
use crate::support::{Fixture, bucket, content, get, key, make_bucket, options, put};

const MIB: u64 = 1 << 20;
const TOTAL_BYTES: u64 = 1 << 40;
/// Not enough for more bytes of objects.
const NO_BYTES: u64 = 511 * MIB;
/// Enough for deletes only.
const REMOVALS: u64 = 63 * MIB;
/// Too little for delete markers.
const NO_MARKERS: u64 = 31 * MIB;
const NOTHING: u64 = 8 * MIB - 1;

#[derive(Default)]
struct Simulated {
    free_bytes: AtomicU64,
    /// How often it was asked about the data directory.
    asked: AtomicU64,
}

impl Gauge for Simulated {
    fn room(&self, directory: &Path) -> io::Result<Room> {
        if !directory.ends_with("index") {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Room { free_bytes: self.free_bytes.load(Ordering::SeqCst), total_bytes: TOTAL_BYTES })
    }
}

impl Simulated {
    fn set(&self, free_bytes: u64) {
        self.free_bytes.store(free_bytes, Ordering::SeqCst);
    }
}

async fn open() -> (Fixture, Arc<Simulated>) {
    let Fixture { directory, clock, store } = Fixture::new().await;
    drop(store);
    let gauge = Arc::new(Simulated::default());
    gauge.set(TOTAL_BYTES);
    let opened = Store::open(strata_storage::OpenOptions { gauge: gauge.clone(), ..options(&directory, &clock) }).await;
    (Fixture { directory, clock, store: opened.expect("it opens") }, gauge)
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    assert!(matches!(outcome, Err(Error::NoSpace { .. })), "{outcome:?}");
}

fn named(name: &str) -> BucketName {
    BucketName::parse(name).expect("a valid name")
}

async fn delete(store: &Store, name: &str, version: Option<VersionId>) -> Result<(), Error> {
    let (condition, governance) = (Default::default(), Default::default());
    store.delete(DeleteObject { bucket: bucket(), key: key(name), version, condition, governance }).await.map(drop)
}

async fn tag(store: &Store, name: &str) -> Result<(), Error> {
    let tags = vec![Tag { key: "a".to_owned(), value: "b".to_owned() }];
    store.set_tags(&bucket(), &key(name), VersionSelector::Current, tags).await.map(drop)
}

fn expire_after_a_day(prefix: &str) -> Lifecycle {
    let prefix = Some(prefix.to_owned());
    let filter = Filter { prefix, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty };
    let rule = Rule {
        id: "rule".to_owned(),
        status: Status::Enabled,
        filter,
        transitions: vec![],
        expiration: Some(Expiration::When(When::Days(1))),
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    };
    Lifecycle { rules: vec![rule], minimum: TransitionMinimum::default() }
}

async fn stored(store: &Store, staged: Staged) -> Result<(), Error> {
    store.put(PutObject::new(bucket(), key("late"), staged)).await.map(drop)
}

#[tokio::test]
async fn removals_go_on_when_nothing_else_does() {
    let (fixture, disk) = open().await;
    let store = &fixture.store;
    make_bucket(store).await;
    store.create_bucket(&named("empty"), NewBucket::default()).await.expect("a bucket");
    for name in ["kept", "plain", "old/a", "old/b"] {
        put(store, name, content(1, 100_000), WriteCondition::None).await.expect("it is put");
    }
    let rules = BucketChange::Lifecycle(Some(expire_after_a_day("old/")));
    store.change_bucket(&bucket(), rules).await.expect("the rules are set");
    store.evaluate().await.expect("the rules are heard of");
    let [aborted, completed] = [0, 1].map(async |_| {
        let id = store.create_upload(&bucket(), &key("upload"), NewUpload::default()).await.expect("it begins");
        let staged = store.stage_bytes(content(2, 300_000)).await.expect("staged");
        let part = store.put_part(&bucket(), &key("upload"), id, 1, staged, None).await.expect("a part");
        (id, part.etag.to_string())
    });
    let (aborted, completed) = (aborted.await.0, completed.await);
    let late = store.stage_bytes(content(3, 70_000)).await.expect("staged");

    // No bytes are taken any more, but what is small.
    disk.set(NO_BYTES);
    refused(store.stage_bytes(vec![1]).await.map(drop));
    refused(store.create_upload(&bucket(), &key("upload"), NewUpload::default()).await);
    tag(store, "kept").await.expect("it is tagged");

    // Nothing is kept any more.
    disk.set(REMOVALS);
    refused(stored(store, late).await);
    refused(tag(store, "kept").await);
    refused(store.create_bucket(&named("another"), NewBucket::default()).await);
    refused(store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Enabled)).await);
    let parts = || vec![CompletedPart { number: 1, etag: completed.1.clone(), checksum: None }];
    let complete = |id| CompleteUpload {
        bucket: bucket(),
        key: key("upload"),
        id,
        parts: parts(),
        size: None,
        checksum: None,
        condition: WriteCondition::None,
        replica: None,
    };
    refused(store.complete_upload(complete(completed.0)).await.map(drop));

    // What makes room goes on, and what was refused has not happened.
    delete(store, "plain", None).await.expect("it is deleted");
    store.abort_upload(&bucket(), &key("upload"), aborted).await.expect("it is aborted");
    store.delete_bucket(&named("empty")).await.expect("it is removed");
    fixture.clock.advance(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(store.evaluate().await.expect("what is due is done").expired, 2);
    assert!(store.collect().await.is_ok());
    assert!(get(store, "late", VersionSelector::Current).await.is_err());

    // But for the last of it.
    disk.set(NOTHING);
    refused(delete(store, "kept", None).await);
    refused(store.abort_upload(&bucket(), &key("upload"), completed.0).await);
    assert_eq!(get(store, "kept", VersionSelector::Current).await.expect("it is read"), content(1, 100_000));

    // There is room again.
    disk.set(TOTAL_BYTES / 2);
    store.complete_upload(complete(completed.0)).await.expect("it is completed");
    put(store, "late", content(3, 70_000), WriteCondition::None).await.expect("it is put");
    delete(store, "kept", None).await.expect("it is deleted");
    store.collect().await.expect("a collection");
    store.close().await.expect("it closes");
    let Fixture { directory, store, .. } = fixture;
    drop(store);
    assert_sound(directory.path(), Vec::new(), None);
}

#[tokio::test]
async fn versions_and_markers_go_and_what_they_held_is_given_back() {
    let (fixture, disk) = open().await;
    let store = &fixture.store;
    make_bucket(store).await;
    store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Enabled)).await.expect("versioned");
    let mut ids = Vec::new();
    for round in 0..6 {
        let written = put(store, "key", content(round, 3 << 20), WriteCondition::None).await.expect("it is put");
        ids.push(written.version_id.expect("the bucket has versions"));
    }
    disk.set(REMOVALS);
    delete(store, "key", None).await.expect("a marker");
    for id in ids {
        delete(store, "key", Some(id)).await.expect("it is removed");
    }
    let mut freed = 0;
    for _ in 0..5 {
        freed += store.collect().await.expect("a collection");
    }
    // The last segment too, which is still being written, and which nobody would fill.
    assert!(freed >= 18 << 20, "{freed}");
    disk.set(TOTAL_BYTES);
    put(store, "key", content(9, 1 << 20), WriteCondition::None).await.expect("it is put");
}

/// Whoever deletes without naming versions only adds, and would use up what removals need.
#[tokio::test]
async fn delete_markers_end_before_removals_do() {
    let (fixture, disk) = open().await;
    let store = &fixture.store;
    make_bucket(store).await;
    put(store, "null", content(1, 9_000), WriteCondition::None).await.expect("it is put");
    store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Enabled)).await.expect("versioned");
    let version = put(store, "key", content(2, 9_000), WriteCondition::None).await.expect("it is put").version_id;
    put(store, "old/a", content(3, 9_000), WriteCondition::None).await.expect("it is put");
    let rules = BucketChange::Lifecycle(Some(expire_after_a_day("old/")));
    store.change_bucket(&bucket(), rules).await.expect("the rules are set");
    store.evaluate().await.expect("the rules are heard of");

    disk.set(REMOVALS);
    delete(store, "key", None).await.expect("a marker");
    disk.set(NO_MARKERS);
    refused(delete(store, "key", None).await);
    refused(delete(store, "nothing", None).await);
    delete(store, "key", version).await.expect("a version goes");
    fixture.clock.advance(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(store.evaluate().await.expect("markers wait").markers, 0);
    assert!(get(store, "old/a", VersionSelector::Current).await.is_ok());

    // A marker in place of an object makes room, but once.
    disk.set(TOTAL_BYTES);
    store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Suspended)).await.expect("suspended");
    disk.set(NO_MARKERS);
    delete(store, "null", None).await.expect("the null version goes");
    refused(delete(store, "null", None).await);
    assert!(store.collect().await.is_ok());

    disk.set(REMOVALS);
    assert_eq!(store.evaluate().await.expect("there is room for markers").markers, 1);
    assert!(get(store, "old/a", VersionSelector::Current).await.is_err());
    delete(store, "null", None).await.expect("a marker");
}

#[tokio::test]
async fn dead_segments_go_when_nothing_can_be_committed() {
    let (fixture, disk) = open().await;
    let store = &fixture.store;
    make_bucket(store).await;
    put(store, "key", content(1, 3 << 20), WriteCondition::None).await.expect("it is put");
    // Keeps its segment from going at once.
    let writer = store.stage(StageOptions::default());
    disk.set(NO_BYTES);
    delete(store, "key", None).await.expect("it is deleted");
    assert_eq!(store.collect().await.expect("its bytes are released"), 0);
    drop(writer);
    disk.set(NOTHING);
    let mut freed = 0;
    for _ in 0..2 {
        freed += store.collect().await.expect("a collection");
    }
    assert!(freed >= 3 << 20, "{freed}");
    disk.set(TOTAL_BYTES);
    store.collect().await.expect("the counters go");
    put(store, "key", content(2, 1 << 20), WriteCondition::None).await.expect("it is put");
    store.close().await.expect("it closes");
    let Fixture { directory, store, .. } = fixture;
    drop(store);
    assert_sound(directory.path(), Vec::new(), None);
}

#[tokio::test]
async fn what_is_metered_is_told_when_it_cannot_be_stored() {
    let (fixture, disk) = open().await;
    let store = &fixture.store;
    make_bucket(store).await;
    store.create_bucket(&named("other"), NewBucket::default()).await.expect("a bucket");
    let month = Month::of(fixture.clock.now());
    let reads = async |bucket: Option<&BucketName>, month| {
        let found = store.activity(bucket, month).await.expect("it is told");
        found.iter().map(|found| found.activity.reads).sum::<i64>()
    };
    let read = |bucket: &BucketName| store.meter().request(bucket, StorageClass::Standard, RequestKind::Read);
    read(&bucket());
    assert_eq!(reads(None, month).await, 1);
    disk.set(REMOVALS);
    (0..2).for_each(|_| read(&bucket()));
    read(&named("other"));
    for _ in 0..2 {
        assert_eq!(reads(None, month).await, 4);
        assert_eq!(reads(Some(&bucket()), month).await, 3);
        assert_eq!(reads(None, Month::of(Timestamp::from_secs(0))).await, 0);
    }
    disk.set(TOTAL_BYTES);
    assert_eq!(reads(None, month).await, 4);
    disk.set(REMOVALS);
    assert_eq!(reads(None, month).await, 4);
}

#[tokio::test]
async fn a_body_asks_for_room_every_few_bytes() {
    const FRAME_BYTES: u64 = 64 << 10;
    let (fixture, disk) = open().await;
    let (store, frame) = (&fixture.store, content(1, FRAME_BYTES as usize));
    let asked = || disk.asked.load(Ordering::SeqCst);
    let before = asked();
    let mut stage = store.stage(StageOptions::default());
    for _ in 0..2 * (4 << 20) / FRAME_BYTES {
        stage.write(frame.clone().into()).await.expect("there is room");
    }
    assert_eq!(asked() - before, 2);
    stage.write(frame.clone().into()).await.expect("there is room");
    disk.set(NO_BYTES);
    let mut taken = 0;
    while stage.write(frame.clone().into()).await.is_ok() {
        taken += FRAME_BYTES;
    }
    assert!(taken < 4 << 20, "{taken}");
    // A body that is shorter is refused at its end.
    disk.set(TOTAL_BYTES);
    let mut stage = store.stage(StageOptions::default());
    stage.write(frame.clone().into()).await.expect("there is room");
    disk.set(NO_BYTES);
    refused(stage.finish().await.map(drop));
    refused(store.stage(StageOptions::default()).write(frame.into()).await);
}

#[tokio::test]
async fn a_full_store_opens_and_goes_on() {
    let (fixture, disk) = open().await;
    make_bucket(&fixture.store).await;
    put(&fixture.store, "key", content(1, 9_000), WriteCondition::None).await.expect("it is put");
    let Fixture { directory, clock, store } = fixture;
    disk.set(NOTHING);
    store.close().await.expect("it closes");
    drop(store);
    let gauge: Arc<dyn Gauge> = disk.clone();
    let opened = Store::open(strata_storage::OpenOptions { gauge, ..options(&directory, &clock) }).await;
    let store = opened.expect("it opens, since nothing has to be kept for that");
    assert_eq!(get(&store, "key", VersionSelector::Current).await.expect("it is read"), content(1, 9_000));
    refused(delete(&store, "key", None).await);
    disk.set(REMOVALS);
    delete(&store, "key", None).await.expect("it is deleted");
}
