//! What workers say is left to do: everything that is due, while it is being done.

use std::time::Duration;

use crate::analytics::AnalyticsConfiguration;
use crate::bucket::BucketChange;
use crate::clock::Clock as _;
use crate::configuration::ConfigurationFilter;
use crate::delete::DeleteObject;
use crate::index::key::{self, DueKind};
use crate::index::{Batch, Family};
use crate::lifecycle::{Expiration, Filter, FilterForm, Lifecycle, Rule, Status, TransitionMinimum, When};
use crate::name::ObjectKey;
use crate::object::{StorageClass, VersionSelector};
use crate::restore::RestoreRequest;
use crate::stamp::{Stamp, Timestamp};
use crate::store::Store;
use crate::worker::WorkerStatus;
use crate::worker::scrub_tests::{World, bucket, content, put};
use crate::worker::waiting::{COUNTED_MAX, Waiting, count_rows};

/// More than are read at once.
const OBJECTS: u64 = 100;
const DAY: Duration = Duration::from_secs(1000);

fn status(store: &Store, name: &str) -> WorkerStatus {
    store.workers().into_iter().find(|worker| worker.name == name).unwrap()
}

/// Opens the store anew so that work takes weeks, begins some, and waits until a worker says that so much is left.
async fn assert_waiting<F>(
    world: &World,
    store: Store,
    name: &str,
    expected: u64,
    work: impl FnOnce(Store) -> F,
) -> Store
where
    F: Future<Output = ()> + Send + 'static,
{
    store.close().await.unwrap();
    drop(store);
    let store = world.open_with(|options| options.background_bytes_per_second = 1).await;
    let working = tokio::spawn(work(store.clone()));
    let told = async {
        while status(&store, name).backlog != expected {
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), told).await;
    assert!(told.is_ok(), "{:?} instead of {expected}", status(&store, name));
    store.close().await.unwrap();
    let _ended = working.await;
    drop(store);
    world.open().await
}

async fn put_all(store: &Store, class: StorageClass) {
    for number in 0..OBJECTS {
        put(store, &format!("{number}"), class, content(number, 5000)).await;
    }
}

async fn expire_after_a_day(store: &Store) {
    let rule = Rule {
        id: "expire".to_owned(),
        status: Status::Enabled,
        filter: Filter {
            prefix: Some(String::new()),
            tags: vec![],
            size_over: None,
            size_under: None,
            form: FilterForm::And,
        },
        transitions: vec![],
        expiration: Some(Expiration::When(When::Days(1))),
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    };
    let rules = Lifecycle { rules: vec![rule], minimum: TransitionMinimum::default() };
    store.change_bucket(&bucket(), BucketChange::Lifecycle(Some(rules))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_to_be_moved_and_restored_are_counted_beyond_those_at_hand() {
    let (world, store) = World::new(1).await;
    put_all(&store, StorageClass::Glacier).await;
    let settle = |store: Store| async move { drop(store.settle().await) };
    let store = assert_waiting(&world, store, "settle", OBJECTS, settle).await;
    store.settle().await.unwrap();
    assert_eq!(status(&store, "settle").backlog, 0);
    for number in 0..OBJECTS {
        let (key, version) = (ObjectKey::parse(&format!("{number}")).unwrap(), VersionSelector::Current);
        let request = RestoreRequest { bucket: bucket(), key, version, days: Some(1), speed: None };
        store.restore(request).await.unwrap();
    }
    store.settle().await.unwrap();
    assert_eq!(status(&store, "restore").backlog, 0, "none is due");
    world.clock.advance(Duration::from_hours(5));
    let store = assert_waiting(&world, store, "restore", OBJECTS, settle).await;
    store.settle().await.unwrap();
    assert_eq!(status(&store, "restore").backlog, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rules_make_due_is_counted_and_so_are_buckets_whose_rules_changed() {
    let (world, store) = World::new(1).await;
    put_all(&store, StorageClass::Standard).await;
    expire_after_a_day(&store).await;
    let evaluate = |store: Store| async move { drop(store.evaluate().await) };
    let store = assert_waiting(&world, store, "reindex", 1, evaluate).await;
    store.evaluate().await.unwrap();
    assert_eq!((status(&store, "reindex").backlog, status(&store, "lifecycle").backlog), (0, 0));
    world.clock.advance(3 * DAY);
    let store = assert_waiting(&world, store, "lifecycle", OBJECTS, evaluate).await;
    assert_eq!(store.evaluate().await.unwrap().expired, OBJECTS);
    assert_eq!(status(&store, "lifecycle").backlog, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_reports_are_counted() {
    let (world, store) = World::new(1).await;
    put(&store, "a", StorageClass::Standard, content(1, 5000)).await;
    let configuration =
        AnalyticsConfiguration { id: "all".to_owned(), filter: ConfigurationFilter::default(), export: None };
    store.change_bucket(&bucket(), BucketChange::PutAnalytics(configuration)).await.unwrap();
    assert_eq!(store.analyze().await.unwrap(), 0);
    world.clock.advance(DAY);
    let analyze = |store: Store| async move { drop(store.analyze().await) };
    let store = assert_waiting(&world, store, "analytics", 1, analyze).await;
    // It may have come to its end with the store.
    store.analyze().await.unwrap();
    assert_eq!(status(&store, "analytics").backlog, 0);

    let object = store.object(&bucket(), &ObjectKey::parse("a").unwrap(), VersionSelector::Current).await.unwrap();
    let request = DeleteObject {
        bucket: bucket(),
        key: ObjectKey::parse("a").unwrap(),
        version: None,
        condition: Default::default(),
        governance: Default::default(),
    };
    store.delete(request).await.unwrap();
    store.collect().await.unwrap();
    assert_eq!(status(&store, "collect").backlog, 1, "it is being read");
    drop(object);
    store.collect().await.unwrap();
    assert_eq!(status(&store, "collect").backlog, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_work_as_soon_as_it_is_asked_for() {
    let (world, store) = World::new(3).await;
    put(&store, "a", StorageClass::Standard, content(1, 300_000)).await;
    let store = world.reopen(store).await;
    let with_shards = |zone: &str| {
        let zones = store.inner.blobs.zones();
        let id = zones.iter().find(|info| info.name == zone).unwrap().id;
        store.inner.blobs.segments().iter().filter(|info| info.zones.contains(&id)).count() as u64
    };
    let (zone, segments) =
        ["z0", "z1", "z2"].map(|zone| (zone, with_shards(zone))).into_iter().max_by_key(|it| it.1).unwrap();
    assert!(segments > 0);
    store.drain_zone(zone).await.unwrap();
    assert_eq!(status(&store, "heal").backlog, segments);
    for _ in 0..5 {
        assert_eq!(store.heal().await.unwrap().waiting, 0);
    }
    assert_eq!(status(&store, "heal").backlog, 0);
    store.scrub().await.unwrap();
    assert_eq!(status(&store, "scrub").backlog, 0, "all was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_ends_somewhere() {
    let (world, store) = World::new(1).await;
    let all = || {
        (key::due_from(DueKind::Version, Timestamp::default()), key::due_from(DueKind::Upload, Timestamp::default()))
    };
    let add = async |numbers: std::ops::Range<u64>| {
        let mut batch = Batch::new();
        for number in numbers {
            let stamp = Stamp { time: world.clock.now(), random: number };
            batch.put_raw(Family::Due, key::due(DueKind::Version, world.clock.now(), 99, "gone", stamp), Vec::new());
        }
        store.inner.index.commit(batch).await.unwrap();
        store.inner.index.read(move |rows| count_rows(rows, Family::Due, &[all()])).await.unwrap()
    };
    assert_eq!(add(0..COUNTED_MAX).await, Waiting::from(COUNTED_MAX));
    assert_eq!(add(COUNTED_MAX..COUNTED_MAX + 2).await, Waiting { count: COUNTED_MAX, is_capped: true });
    let evaluate = |store: Store| async move { drop(store.evaluate().await) };
    let store = {
        store.close().await.unwrap();
        drop(store);
        world.open_with(|options| options.background_bytes_per_second = 1).await
    };
    let working = tokio::spawn(evaluate(store.clone()));
    let told = async {
        while !status(&store, "lifecycle").backlog_capped {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("it is told");
    assert_eq!(status(&store, "lifecycle").backlog, COUNTED_MAX);
    store.close().await.unwrap();
    let _ended = working.await;
}
