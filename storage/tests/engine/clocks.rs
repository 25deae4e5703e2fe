//! Clocks that jump: by a year forwards and back, while the store is open and across opening it.

use std::sync::Arc;
use std::time::Duration;

use strata_storage::{
    BucketChange, DeleteObject, ManualClock, Store, Timestamp, VersionId, VersionSelector, Versioning, VersionsQuery,
    WriteCondition,
};

use crate::sound::assert_sound;
use crate::support::{Fixture, bucket, content, key, make_bucket, options, put};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

async fn versions(store: &Store) -> Vec<VersionId> {
    let page = store.list_versions(&bucket(), VersionsQuery { max: 1000, ..VersionsQuery::default() }).await;
    page.expect("a page").entries.iter().map(|entry| entry.version_id).collect()
}

async fn assert_newest(store: &Store, expected: &[u8]) {
    let object = store.object(&bucket(), &key("key"), VersionSelector::Current).await.expect("it is there");
    let mut reader = object.read(0..object.info().size);
    let mut found = Vec::new();
    while let Some(bytes) = reader.next().await.expect("it is read") {
        found.extend_from_slice(&bytes);
    }
    assert!(found == expected, "{} bytes, not {}", found.len(), expected.len());
}

#[tokio::test]
async fn what_was_written_last_is_newest_whatever_the_clock_says() {
    let mut fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let versioned = BucketChange::Versioning(Versioning::Enabled);
    fixture.store.change_bucket(&bucket(), versioned).await.expect("versioned");
    let mut written: Vec<VersionId> = Vec::new();
    let times = [START, START.plus(YEAR), START, Timestamp::from_secs(1), START.plus(2 * YEAR), START];
    for (round, time) in times.into_iter().enumerate() {
        fixture.clock.set(time);
        if round % 2 == 1 {
            fixture = reopened_at(fixture, time).await;
        }
        for bytes in [100, 20_000] {
            let bytes = content(round as u64, bytes);
            let version = put(&fixture.store, "key", bytes.clone(), WriteCondition::None).await.expect("it is written");
            written.insert(0, version.version_id.expect("the bucket has versions"));
            assert_newest(&fixture.store, &bytes).await;
        }
        let (condition, governance) = (Default::default(), Default::default());
        let marker = DeleteObject { bucket: bucket(), key: key("key"), version: None, condition, governance };
        fixture.store.delete(marker).await.expect("a marker");
        assert!(fixture.store.object(&bucket(), &key("key"), VersionSelector::Current).await.is_err());
        let listed = versions(&fixture.store).await;
        assert_eq!(listed.len(), 3 * (round + 1));
        let objects: Vec<VersionId> = listed.into_iter().filter(|id| written.contains(id)).collect();
        assert_eq!(objects, written, "in round {round}");
        fixture.store.evaluate().await.expect("what is due");
        fixture.store.collect().await.expect("a collection");
    }
    assert!(fixture.store.recount(&bucket()).await.expect("a recount").is_empty());
    fixture.store.close().await.expect("it closes");
    let directory = fixture.directory;
    drop(fixture.store);
    assert_sound(directory.path(), Vec::new(), None);
}

/// Closes the store, and opens it when the clock says something else.
async fn reopened_at(fixture: Fixture, time: Timestamp) -> Fixture {
    let Fixture { directory, store, .. } = fixture;
    store.close().await.expect("it closes");
    drop(store);
    let clock = Arc::new(ManualClock::new(time));
    let store = Store::open(options(&directory, &clock)).await.expect("it opens again");
    Fixture { directory, clock, store }
}
