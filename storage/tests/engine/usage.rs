//! Counters: what buckets hold is counted exactly, and what has a price beside storage is metered.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::TestRunner;
use strata_storage::{
    Activity, BucketChange, BucketName, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyStage, DeleteCondition,
    DeleteObject, Digests, Month, NewBucket, NewUpload, PutObject, RequestKind, StageOptions, StorageClass, Store, Tag,
    Timestamp, Usage, VersionId, VersionSelector, Versioning, VersionsQuery, WriteCondition,
};

use crate::support::{Fixture, bucket, content, key, make_bucket};

const KEYS: [&str; 3] = ["a", "b/c", "ü"];
const SIZES: [usize; 4] = [0, 100, 5000, 200_000];

#[derive(Debug, Clone)]
enum Op {
    Put {
        key: usize,
        size: usize,
        class: usize,
        tags: usize,
    },
    Copy {
        from: usize,
        to: usize,
        class: usize,
    },
    Upload {
        key: usize,
        size: usize,
        class: usize,
        complete: bool,
    },
    Tag {
        key: usize,
        tags: usize,
    },
    Delete {
        key: usize,
    },
    /// Removes the version at this place of the listing.
    DeleteVersion {
        place: usize,
    },
    SetVersioning(bool),
}

fn ops() -> impl Strategy<Value = Op> {
    let (key, size, class, tags) = (0..KEYS.len(), 0..SIZES.len(), 0..StorageClass::ALL.len(), 0..3_usize);
    prop_oneof![
        5 => (key.clone(), size.clone(), class.clone(), tags.clone())
            .prop_map(|(key, size, class, tags)| Op::Put { key, size, class, tags }),
        2 => (key.clone(), key.clone(), class.clone()).prop_map(|(from, to, class)| Op::Copy { from, to, class }),
        2 => (key.clone(), size, class, any::<bool>())
            .prop_map(|(key, size, class, complete)| Op::Upload { key, size, class, complete }),
        2 => (key.clone(), tags).prop_map(|(key, tags)| Op::Tag { key, tags }),
        3 => key.prop_map(|key| Op::Delete { key }),
        3 => (0..6_usize).prop_map(|place| Op::DeleteVersion { place }),
        1 => any::<bool>().prop_map(Op::SetVersioning),
    ]
}

fn tags(count: usize) -> Vec<Tag> {
    (0..count).map(|number| Tag { key: number.to_string(), value: String::new() }).collect()
}

async fn apply(store: &Store, op: &Op, seed: u64) {
    match *op {
        Op::Put { key: at, size, class, tags: count } => {
            let staged = store.stage_bytes(content(seed, SIZES[size])).await.expect("bytes are staged");
            let mut request = PutObject::new(bucket(), key(KEYS[at]), staged);
            (request.class, request.tags) = (StorageClass::ALL[class], tags(count));
            store.put(request).await.expect("it is stored");
        }
        Op::Copy { from, to, class } => {
            let Ok(source) = store.object(&bucket(), &key(KEYS[from]), VersionSelector::Current).await else { return };
            // Archived objects cannot be copied.
            let Ok(staged) = store.stage_copy(&source, CopyStage::default()).await else { return };
            let mut request = PutObject::new(bucket(), key(KEYS[to]), staged);
            request.class = StorageClass::ALL[class];
            store.put(request).await.expect("it is stored");
        }
        Op::Upload { key: at, size, class, complete } => {
            let new = NewUpload { class: StorageClass::ALL[class], tags: tags(1), ..NewUpload::default() };
            upload(store, KEYS[at], content(seed, SIZES[size]), new, complete).await;
        }
        Op::Tag { key: at, tags: count } => {
            // There may be nothing to tag.
            let _ = store.set_tags(&bucket(), &key(KEYS[at]), VersionSelector::Current, tags(count)).await;
        }
        Op::Delete { key: at } => delete(store, KEYS[at], None).await,
        Op::DeleteVersion { place } => {
            let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
            let page = store.list_versions(&bucket(), query).await.expect("the listing succeeds");
            if let Some(entry) = page.entries.get(place) {
                delete(store, entry.key.as_str(), Some(entry.version_id)).await;
            }
        }
        Op::SetVersioning(on) => {
            let state = if on { Versioning::Enabled } else { Versioning::Suspended };
            store.change_bucket(&bucket(), BucketChange::Versioning(state)).await.expect("it is changed");
        }
    }
}

async fn upload(store: &Store, name: &str, bytes: Vec<u8>, new: NewUpload, complete: bool) {
    let id = store.create_upload(&bucket(), &key(name), new).await.expect("an upload begins");
    let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
    let mut stage = store.stage(StageOptions { size: Some(bytes.len() as u64), digests, seal: None });
    stage.write(bytes.into()).await.expect("bytes are staged");
    let staged = stage.finish().await.expect("bytes are staged");
    let part = store.put_part(&bucket(), &key(name), id, 1, staged, None).await.expect("the upload is open");
    if complete {
        let parts = vec![CompletedPart { number: 1, etag: part.etag.to_string(), checksum: None }];
        let (bucket, key, condition) = (bucket(), key(name), WriteCondition::None);
        let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
        store.complete_upload(request).await.expect("it is completed");
    }
}

async fn delete(store: &Store, name: &str, version: Option<VersionId>) {
    let request = DeleteObject {
        bucket: bucket(),
        key: key(name),
        version,
        condition: DeleteCondition::None,
        governance: Default::default(),
    };
    store.delete(request).await.expect("it is deleted");
}

/// The counters say what a listing shows, and a recount finds no difference.
async fn check_counters(store: &Store) {
    assert_eq!(store.recount(&bucket()).await.expect("it is counted"), []);
    let mut sum = Usage::default();
    for row in store.usage(Some(&bucket())).await.expect("there are counters") {
        sum += row.usage;
    }
    let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
    let page = store.list_versions(&bucket(), query).await.expect("the listing succeeds");
    let sizes: Vec<i64> = page
        .entries
        .iter()
        .filter_map(|entry| Some(i64::try_from(entry.object.as_ref()?.size).expect("small")))
        .collect();
    let markers: Vec<usize> =
        page.entries.iter().filter(|entry| entry.object.is_none()).map(|entry| entry.key.as_str().len()).collect();
    assert_eq!((sum.objects, sum.bytes), (sizes.len() as i64, sizes.iter().sum()));
    assert_eq!(sum.billed_bytes, sizes.iter().map(|size| size.max(&131_072)).sum::<i64>());
    assert_eq!(sum.small_objects, sizes.iter().filter(|size| **size < 131_072).count() as i64);
    assert_eq!((sum.markers, sum.marker_bytes), (markers.len() as i64, markers.iter().sum::<usize>() as i64));
}

#[test]
fn counters_are_exact() {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&vec(ops(), 1..40), |history| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            let fixture = Fixture::new().await;
            make_bucket(&fixture.store).await;
            for (op, seed) in history.iter().zip(0..) {
                apply(&fixture.store, op, seed).await;
            }
            check_counters(&fixture.store).await;
            let fixture = fixture.reopen().await;
            check_counters(&fixture.store).await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn put_in(store: &Store, name: &str, size: usize, class: StorageClass) {
    let staged = store.stage_bytes(content(1, size)).await.expect("bytes are staged");
    let mut request = PutObject::new(bucket(), key(name), staged);
    request.class = class;
    store.put(request).await.expect("it is stored");
}

async fn activity(store: &Store, class: StorageClass, month: Month) -> Activity {
    let found = store.activity(Some(&bucket()), month).await.expect("there is a meter");
    found.into_iter().find(|found| found.class == class).map(|found| found.activity).unwrap_or_default()
}

#[tokio::test]
async fn requests_are_metered_by_month() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let (november, december) =
        (Month::of(Timestamp::from_secs(1_700_000_000)), Month::of(Timestamp::from_secs(1_702_000_000)));
    let meter = fixture.store.meter();
    for _ in 0..3 {
        meter.request(&bucket(), StorageClass::GlacierIr, RequestKind::Read);
        meter.retrieval(&bucket(), StorageClass::GlacierIr, 1000);
        meter.retrieval(&bucket(), StorageClass::Standard, 1000);
    }
    meter.request(&bucket(), StorageClass::Standard, RequestKind::Write);
    let missing = BucketName::parse("missing").expect("a valid name");
    meter.request(&missing, StorageClass::Standard, RequestKind::Write);
    // Closing writes it out.
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    let expected = Activity { reads: 3, retrieved_bytes: 3000, ..Activity::default() };
    assert_eq!(activity(store, StorageClass::GlacierIr, november).await, expected);
    let expected = Activity { writes: 1, ..Activity::default() };
    assert_eq!(activity(store, StorageClass::Standard, november).await, expected);
    fixture.clock.set(Timestamp::from_secs(1_702_000_000));
    store.meter().request(&bucket(), StorageClass::Standard, RequestKind::Write);
    upload(store, "a", content(1, 100), NewUpload { class: StorageClass::Glacier, ..NewUpload::default() }, true).await;
    assert_eq!(activity(store, StorageClass::Standard, november).await, expected);
    // The part is sent at the price of STANDARD, the completion at that of the class.
    assert_eq!(activity(store, StorageClass::Standard, december).await.writes, 2);
    assert_eq!(activity(store, StorageClass::Glacier, december).await.writes, 1);
    let all = store.activity(None, december).await.expect("there is a meter");
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn what_leaves_its_class_early_is_charged() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    put_in(store, "standard", 1000, StorageClass::Standard).await;
    put_in(store, "cool", 1000, StorageClass::StandardIa).await;
    put_in(store, "archived", 200_000, StorageClass::Glacier).await;
    fixture.clock.advance(Duration::from_secs(20 * 86_400));
    put_in(store, "cool", 1000, StorageClass::Standard).await;
    delete(store, "archived", None).await;
    delete(store, "standard", None).await;
    let month = Month::of(Timestamp::from_secs(1_700_000_000 + 20 * 86_400));
    let early = |class| async move { activity(store, class, month).await.early_delete_byte_days };
    assert_eq!(early(StorageClass::StandardIa).await, 10 * 131_072);
    assert_eq!(early(StorageClass::Glacier).await, 70 * 200_000);
    assert_eq!(early(StorageClass::Standard).await, 0);
}

#[tokio::test]
async fn counters_go_with_their_bucket() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    put_in(store, "a", 10, StorageClass::Standard).await;
    store.meter().request(&bucket(), StorageClass::Standard, RequestKind::Write);
    let month = Month::of(Timestamp::from_secs(1_700_000_000));
    assert_eq!(store.activity(None, month).await.expect("there is a meter").len(), 1);
    delete(store, "a", None).await;
    store.delete_bucket(&bucket()).await.expect("it is empty");
    assert_eq!(store.usage(None).await.expect("there are counters"), []);
    assert_eq!(store.activity(None, month).await.expect("there is a meter"), []);
    store.create_bucket(&bucket(), NewBucket::default()).await.expect("a new bucket can be made");
    assert_eq!(store.activity(Some(&bucket()), month).await.expect("there is a meter"), []);
    let missing = BucketName::parse("missing").expect("a valid name");
    assert!(store.usage(Some(&missing)).await.is_err() && store.recount(&missing).await.is_err());
}
