//! Restores: asked for, done when their time has come, gone when the copy expires.

use std::time::Duration;

use strata_storage::{
    Error, EventDetails, EventKind, ListQuery, NewBucket, Restore, RestoreOutcome, RestoreRequest, RestoreSpeed,
    RestoreTimes, Result, StorageClass, Timestamp, VersionSelector,
};

use crate::support::{Fixture, bucket, content, key};

const SIZE: usize = 100_000;

impl Fixture {
    async fn restore(&self, name: &str, days: Option<u32>, speed: RestoreSpeed) -> Result<RestoreOutcome> {
        let (bucket, key) = (self.bucket.clone(), key(name));
        let version = VersionSelector::Current;
        self.store.restore(RestoreRequest { bucket, key, version, days, speed: Some(speed) }).await
    }

    async fn listed(&self, name: &str) -> Option<Restore> {
        let query = ListQuery { prefix: name.to_owned(), max: 1, ..ListQuery::default() };
        let page = self.store.list(&self.bucket, query).await.expect("it is listed");
        page.entries.first().and_then(|entry| entry.restore)
    }

    /// The bytes that restored copies are billed for.
    async fn restored_bytes(&self) -> i64 {
        let usage = self.store.usage(Some(&self.bucket)).await.expect("usage is told");
        usage.into_iter().map(|row| row.usage.restored_bytes).sum()
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_copy_is_made_when_its_time_has_come_and_leaves_when_it_expires() {
    let mut fixture = Fixture::new().await;
    // Of several chunks, of one, in the index, and none at all.
    let objects = [("large", 17 << 20), ("photo", SIZE), ("small", 100), ("empty", 0)];
    for (seed, (name, size)) in (1..).zip(objects) {
        fixture.put(name, StorageClass::Glacier, content(seed, size)).await;
    }
    fixture.store.settle().await.expect("a pass");
    for (name, _) in objects {
        let started = fixture.restore(name, Some(2), RestoreSpeed::Expedited).await.expect("it begins");
        assert_eq!(started, RestoreOutcome::Started);
    }
    let (requested, ready) = (Timestamp::from_secs(1_000_500), Timestamp::from_secs(1_000_680));
    let ongoing = Restore::Ongoing { requested, speed: RestoreSpeed::Expedited, days: Some(2), ready };
    fixture.advance(179);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 0);
    assert_eq!(fixture.restored_bytes().await, 0);
    for (name, _) in objects {
        assert_eq!(fixture.info(name).await.restore, Some(ongoing));
        assert_eq!(fixture.listed(name).await, Some(ongoing));
        fixture.assert_archived(name).await;
    }

    fixture = fixture.reopen().await;
    fixture.advance(1);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 4);
    let expires = Timestamp::from_secs(1_003_000);
    assert_eq!(fixture.restored_bytes().await, (17 << 20) + 100_100);
    for (seed, (name, size)) in (1..).zip(objects) {
        fixture.assert_reads(name, &content(seed, size)).await;
        assert_eq!(fixture.info(name).await.restore, Some(Restore::Done { expires }));
        assert_eq!(fixture.listed(name).await, Some(Restore::Done { expires }));
        assert_eq!(fixture.info(name).await.class, StorageClass::Glacier);
    }
    let restoring = fixture.store.workers().into_iter().find(|worker| worker.name == "restore");
    assert_eq!(restoring.expect("it is there").done, 4);

    fixture.clock.set(expires);
    for (name, _) in objects {
        fixture.assert_archived(name).await;
        assert_eq!(fixture.info(name).await.restore, None);
    }
    assert_eq!(fixture.store.settle().await.expect("a pass"), 4);
    for (name, _) in objects {
        assert_eq!(fixture.listed(name).await, None);
    }
    assert_eq!(fixture.restored_bytes().await, 0);
    let audit = fixture.finish().await;
    assert_eq!((audit.in_pool(0), audit.queued), (0, 0));
}

#[tokio::test]
async fn a_restore_can_be_made_faster_and_a_copy_kept_longer() {
    let fixture = Fixture::new().await;
    fixture.put("photo", StorageClass::Glacier, content(1, SIZE)).await;
    fixture.store.settle().await.expect("a pass");
    fixture.restore("photo", Some(1), RestoreSpeed::Bulk).await.expect("it begins");
    let again = fixture.restore("photo", Some(1), RestoreSpeed::Bulk).await;
    assert!(matches!(again, Err(Error::RestoreInProgress)));
    let faster = fixture.restore("photo", Some(1), RestoreSpeed::Expedited).await.expect("it is faster");
    assert_eq!(faster, RestoreOutcome::Started);
    fixture.advance(180);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_reads("photo", &content(1, SIZE)).await;

    let (first, second) = (Timestamp::from_secs(1_002_000), Timestamp::from_secs(1_012_000));
    assert_eq!(fixture.info("photo").await.restore, Some(Restore::Done { expires: first }));
    fixture.advance(1000);
    let extended = fixture.restore("photo", Some(10), RestoreSpeed::Standard).await.expect("it is extended");
    assert_eq!(extended, RestoreOutcome::Extended { expires: second });
    fixture.clock.set(first);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 0);
    fixture.assert_reads("photo", &content(1, SIZE)).await;
    fixture.clock.set(second);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_archived("photo").await;
    // And once more, from the start.
    fixture.restore("photo", Some(1), RestoreSpeed::Expedited).await.expect("it begins");
    fixture.advance(180);
    fixture.store.settle().await.expect("a pass");
    fixture.assert_reads("photo", &content(1, SIZE)).await;
    assert_eq!(fixture.finish().await.pools(), [1, 0, 0, 1]);
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused() {
    let times = RestoreTimes { expedited_max: 1, ..RestoreTimes::default() };
    let fixture = Fixture::with(|options| options.restore_times = times).await;
    fixture.put("standard", StorageClass::Standard, content(1, SIZE)).await;
    fixture.put("deep", StorageClass::DeepArchive, content(1, SIZE)).await;
    for name in ["first", "second"] {
        fixture.put(name, StorageClass::Glacier, content(1, SIZE)).await;
    }
    let asked = fixture.restore("standard", Some(1), RestoreSpeed::Standard).await;
    assert!(matches!(asked, Err(Error::NotArchived { class: StorageClass::Standard })));
    let asked = fixture.restore("missing", Some(1), RestoreSpeed::Standard).await;
    assert!(matches!(asked, Err(Error::NotFound(_))));
    let asked = fixture.restore("deep", Some(1), RestoreSpeed::Expedited).await;
    assert!(matches!(asked, Err(Error::RestoreSpeedNotOffered)));
    let asked = fixture.restore("first", None, RestoreSpeed::Standard).await;
    assert!(matches!(asked, Err(Error::RestoreDays(_))));
    fixture.restore("first", Some(1), RestoreSpeed::Expedited).await.expect("there is capacity for one");
    let asked = fixture.restore("second", Some(1), RestoreSpeed::Expedited).await;
    assert!(matches!(asked, Err(Error::RestoreSpeedUnavailable)));
    fixture.advance(300);
    fixture.restore("second", Some(1), RestoreSpeed::Expedited).await.expect("there is capacity again");
}

#[tokio::test]
async fn objects_deleted_or_written_again_before_they_are_restored_leave_nothing() {
    let fixture = Fixture::new().await;
    for name in ["deleted", "replaced", "kept"] {
        fixture.put(name, StorageClass::Glacier, content(1, SIZE)).await;
    }
    fixture.store.settle().await.expect("a pass");
    for name in ["deleted", "replaced", "kept"] {
        fixture.restore(name, Some(1), RestoreSpeed::Standard).await.expect("it begins");
    }
    fixture.delete("deleted").await;
    fixture.put("replaced", StorageClass::StandardIa, content(2, SIZE)).await;
    fixture.advance(4 * 3600);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 2);
    fixture.assert_reads("replaced", &content(2, SIZE)).await;
    fixture.assert_reads("kept", &content(1, SIZE)).await;
    fixture.delete("kept").await;
    let audit = fixture.finish().await;
    assert_eq!((audit.pools(), audit.garbage), ([0, 1, 0, 0], 0));
}

#[tokio::test]
async fn a_restored_object_can_be_copied_to_stay() {
    let fixture = Fixture::new().await;
    fixture.put("photo", StorageClass::DeepArchive, content(1, SIZE)).await;
    fixture.store.settle().await.expect("a pass");
    assert!(matches!(fixture.copy("photo", "copy", StorageClass::Standard).await, Err(Error::Archived { .. })));
    fixture.restore("photo", Some(1), RestoreSpeed::Bulk).await.expect("it begins");
    fixture.advance(48 * 3600);
    fixture.store.settle().await.expect("a pass");
    fixture.copy("photo", "copy", StorageClass::Standard).await.expect("it is copied");
    fixture.copy("photo", "colder", StorageClass::StandardIa).await.expect("it is copied");
    fixture.advance(2000);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 2);
    fixture.assert_archived("photo").await;
    fixture.assert_reads("copy", &content(1, SIZE)).await;
    fixture.assert_reads("colder", &content(1, SIZE)).await;
    assert_eq!(fixture.finish().await.pools(), [1, 1, 0, 1]);
}

fn parts(number: u64) -> [Vec<u8>; 2] {
    [content(number, SIZE), content(number + 100, SIZE)]
}

#[tokio::test]
async fn hundreds_of_restores_in_two_buckets_are_all_served() {
    let mut fixture = Fixture::new().await;
    let buckets = [fixture.bucket.clone(), bucket("films")];
    fixture.store.create_bucket(&buckets[1], NewBucket::default()).await.expect("a bucket");
    for bucket in &buckets {
        fixture.bucket = bucket.clone();
        for number in 0..150 {
            fixture.put(&format!("{number}"), StorageClass::Glacier, content(number, 5000)).await;
        }
        for number in 0..6 {
            fixture.multipart(&format!("large {number}"), StorageClass::Glacier, &parts(number)).await;
        }
    }
    assert_eq!(fixture.store.settle().await.expect("a pass"), 312);
    for bucket in &buckets {
        fixture.bucket = bucket.clone();
        for number in 0..150 {
            fixture.restore(&format!("{number}"), Some(1), RestoreSpeed::Standard).await.expect("it begins");
        }
        for number in 0..6 {
            fixture.restore(&format!("large {number}"), Some(1), RestoreSpeed::Standard).await.expect("it begins");
        }
    }
    fixture.advance(4 * 3600);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 312);
    for bucket in &buckets {
        fixture.bucket = bucket.clone();
        for number in 0..150 {
            fixture.assert_reads(&format!("{number}"), &content(number, 5000)).await;
        }
        fixture.assert_reads("large 5", &parts(5).concat()).await;
    }
}

#[tokio::test]
async fn copies_that_expired_make_room_though_nothing_more_fits() {
    let fixture = Fixture::new().await;
    fixture.put("copy", StorageClass::Glacier, content(1, SIZE)).await;
    fixture.store.settle().await.expect("a pass");
    fixture.restore("copy", Some(1), RestoreSpeed::Expedited).await.expect("it begins");
    fixture.advance(180);
    fixture.store.settle().await.expect("a pass");
    fixture.put("photo", StorageClass::StandardIa, content(2, SIZE)).await;
    // From now on it can be read without being opened, and nothing can be made beside it.
    fixture.assert_reads("photo", &content(2, SIZE)).await;
    let segments = fixture.directory.path().join("data/segments");
    let aside = fixture.directory.path().join("aside");
    std::fs::rename(&segments, &aside).expect("it is taken away");
    fixture.clock.set(Timestamp::from_secs(1_002_000));
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    assert_eq!(fixture.listed("copy").await, None);
    let settling = fixture.store.workers().into_iter().find(|worker| worker.name == "settle");
    assert!(settling.expect("it is there").last_error.is_some());

    std::fs::rename(&aside, &segments).expect("it is brought back");
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_reads("photo", &content(2, SIZE)).await;
    let audit = fixture.finish().await;
    assert_eq!((audit.pools(), audit.queued), ([0, 1, 0, 1], 0));
}

#[tokio::test]
async fn clocks_that_jump_end_restores_later_or_sooner_but_end_them() {
    let fixture = Fixture::new().await;
    fixture.put("photo", StorageClass::Glacier, content(1, SIZE)).await;
    fixture.store.settle().await.expect("a pass");
    fixture.restore("photo", Some(2), RestoreSpeed::Expedited).await.expect("it begins");
    let ready = Timestamp::from_secs(1_000_680);
    // An hour back, long before it was asked for.
    fixture.clock.set(Timestamp::from_secs(1_000_500 - 3600));
    assert_eq!(fixture.store.settle().await.expect("a pass"), 0);
    fixture.assert_archived("photo").await;
    fixture.clock.set(ready);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_reads("photo", &content(1, SIZE)).await;
    // Back once more: the copy is there, and stays for its days by that clock.
    fixture.clock.set(Timestamp::from_secs(900_000));
    assert_eq!(fixture.store.settle().await.expect("a pass"), 0);
    fixture.assert_reads("photo", &content(1, SIZE)).await;
    // Years ahead: it is gone, and can be asked for again.
    fixture.clock.set(Timestamp::from_secs(1_000_000_000));
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_archived("photo").await;
    fixture.clock.set(Timestamp::from_secs(1_100_000));
    let again = fixture.restore("photo", Some(1), RestoreSpeed::Expedited).await.expect("it begins again");
    assert_eq!(again, RestoreOutcome::Started);
    fixture.advance(180);
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_reads("photo", &content(1, SIZE)).await;
    let audit = fixture.finish().await;
    assert_eq!(audit.in_pool(0), 1);
}

#[tokio::test]
async fn the_end_of_a_copy_is_told_once_whoever_comes_first() {
    for mover_first in [true, false] {
        let fixture = Fixture::new().await;
        // A large one, which is moved on its own, and two that are moved together.
        for (seed, (name, size)) in (1..).zip([("large", 17 << 20), ("photo", SIZE), ("small", 100)]) {
            fixture.put(name, StorageClass::Glacier, content(seed, size)).await;
            fixture.restore(name, Some(1), RestoreSpeed::Expedited).await.expect("it begins");
        }
        fixture.advance(180);
        fixture.store.settle().await.expect("a pass");
        let Some(Restore::Done { expires }) = fixture.info("photo").await.restore else { panic!("it is restored") };
        fixture.clock.set(expires);
        let mut events = fixture.store.events();
        if mover_first {
            fixture.store.settle().await.expect("a pass");
            fixture.store.evaluate().await.expect("a pass");
        }
        fixture.store.evaluate().await.expect("a pass");
        fixture.store.settle().await.expect("a pass");
        let mut told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        told.sort_by(|a, b| a.key.cmp(&b.key));
        let told: Vec<_> = told.iter().map(|event| (event.kind, event.key.as_str(), &event.details)).collect();
        let details = EventDetails::Restore { expires: Some(expires), class: StorageClass::Glacier };
        let expected = ["large", "photo", "small"].map(|name| (EventKind::RestoreDelete, name, &details));
        assert_eq!(told, expected, "the mover first: {mover_first}");
        fixture.finish().await;
    }
}
