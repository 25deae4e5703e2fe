//! Conditional writers race on one key: of N, exactly one wins, and its bytes are what everybody reads then.

use std::sync::Arc;

use strata_storage::{DeleteCondition, DeleteObject, ETag, Error, VersionSelector, WriteCondition};
use tokio::sync::Barrier;

use crate::support::{Fixture, bucket, content, get, key, make_bucket, put};

const WRITERS: u64 = 8;

/// Rounds of each race. Every round is a fresh key or a fresh ETag, so there is nothing to wait for between them.
const ROUNDS: u64 = 1000;

async fn race(fixture: &Fixture, name: &str, round: u64, condition: WriteCondition) -> (usize, Option<u64>) {
    let barrier = Arc::new(Barrier::new(usize::try_from(WRITERS).expect("a few")));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, barrier) = (fixture.store.clone(), Arc::clone(&barrier));
            let (name, condition) = (name.to_owned(), condition.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                let bytes = content(round * WRITERS + writer, if writer.is_multiple_of(2) { 100 } else { 6000 });
                match put(&store, &name, bytes, condition).await {
                    Ok(_) => Some(writer),
                    Err(Error::Precondition) => None,
                    Err(error) => panic!("a losing writer gets a failed precondition, not {error}"),
                }
            })
        })
        .collect();
    let mut winners = Vec::new();
    for writer in writers {
        winners.extend(writer.await.expect("no writer panics"));
    }
    (winners.len(), winners.first().copied())
}

fn expected(round: u64, writer: u64) -> Vec<u8> {
    content(round * WRITERS + writer, if writer.is_multiple_of(2) { 100 } else { 6000 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_creators_wins() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    for round in 0..ROUNDS {
        let name = format!("key-{round}");
        let (count, winner) = race(&fixture, &name, round, WriteCondition::IfAbsent).await;
        assert_eq!(count, 1, "round {round}");
        let stored = get(&fixture.store, &name, VersionSelector::Current).await.expect("the winner's object is there");
        assert!(stored == expected(round, winner.expect("one won")), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_replacers_wins() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let mut etag =
        put(&fixture.store, "key", b"first".to_vec(), WriteCondition::None).await.expect("it is stored").etag;
    for round in 0..ROUNDS {
        let (count, winner) = race(&fixture, "key", round, WriteCondition::IfMatch(Some(etag))).await;
        assert_eq!(count, 1, "round {round}");
        let object = fixture.store.object(&bucket(), &key("key"), VersionSelector::Current).await.expect("it is there");
        etag = object.info().etag;
        let stored = object.read(0..object.info().size).collect().await.expect("it reads");
        assert!(stored == expected(round, winner.expect("one won")), "round {round}");
    }
}

/// Deletes that require an ETag, against writes that require it: one of all wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conditional_delete_and_a_conditional_write_exclude_each_other() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    for round in 0..ROUNDS {
        let name = format!("key-{round}");
        let etag = put(&fixture.store, &name, b"first".to_vec(), WriteCondition::None).await.expect("stored").etag;
        let barrier = Arc::new(Barrier::new(2));
        let deleter = tokio::spawn({
            let (store, barrier, name) = (fixture.store.clone(), Arc::clone(&barrier), name.clone());
            async move {
                barrier.wait().await;
                let condition = DeleteCondition::IfMatch(Some(etag));
                let request = DeleteObject {
                    bucket: bucket(),
                    key: key(&name),
                    version: None,
                    condition,
                    governance: Default::default(),
                };
                store.delete(request).await.is_ok()
            }
        });
        barrier.wait().await;
        let condition = WriteCondition::IfMatch(Some(etag));
        let wrote = put(&fixture.store, &name, b"second".to_vec(), condition).await.is_ok();
        let deleted = deleter.await.expect("the deleter does not panic");
        assert!(wrote != deleted, "round {round}: wrote {wrote}, deleted {deleted}");
        let there = get(&fixture.store, &name, VersionSelector::Current).await;
        assert_eq!(there.is_ok(), wrote, "round {round}");
    }
}

/// Readers of a key that is overwritten all the time see one of the written contents, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_whole_versions_while_writers_and_the_collector_run() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let size = |round: u64| [100, 5000, 70_000][usize::try_from(round % 3).expect("small")];
    put(&fixture.store, "key", content(0, size(0)), WriteCondition::None).await.expect("stored");
    let writer = tokio::spawn({
        let store = fixture.store.clone();
        async move {
            for round in 1..ROUNDS {
                put(&store, "key", content(round, size(round)), WriteCondition::None).await.expect("stored");
                if round.is_multiple_of(20) {
                    store.collect().await.expect("collected");
                }
            }
        }
    });
    let mut reads = 0;
    while !writer.is_finished() || reads < 10 {
        let object =
            fixture.store.object(&bucket(), &key("key"), VersionSelector::Current).await.expect("never absent");
        let etag = object.info().etag;
        let bytes = object.read(0..object.info().size).collect().await.expect("what was opened stays readable");
        assert_eq!(etag, md5_of(&bytes));
        reads += 1;
    }
    writer.await.expect("the writer does not panic");
}

fn md5_of(bytes: &[u8]) -> ETag {
    use md5::Digest as _;
    ETag::single(md5::Md5::digest(bytes).into())
}

/// Makers of buckets that go away in the middle leave no two buckets with one id.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bucket_ids_are_unique_when_callers_go_away() {
    let fixture = Fixture::new().await;
    for round in 0..100 {
        let makers = (0..4).map(|maker| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                let name = strata_storage::BucketName::parse(&format!("bucket-{round}-{maker}")).expect("a valid name");
                store.create_bucket(&name, strata_storage::NewBucket::default()).await.map(|_| ())
            })
        });
        let makers: Vec<_> = makers.collect();
        tokio::task::yield_now().await;
        for (number, maker) in makers.into_iter().enumerate() {
            if number.is_multiple_of(2) {
                maker.abort();
            }
            let _ = maker.await;
        }
    }
    let query = strata_storage::BucketQuery { max: 10_000, ..strata_storage::BucketQuery::default() };
    let buckets = fixture.store.list_buckets(query).await.expect("the listing succeeds").buckets;
    let ids: std::collections::BTreeSet<u64> = buckets.iter().map(|(_, bucket)| bucket.id).collect();
    assert!(ids.len() == buckets.len() && buckets.len() >= 200, "{} buckets, {} ids", buckets.len(), ids.len());
}
