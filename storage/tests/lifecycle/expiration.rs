//! Expiration of current objects and of delete markers, in each state of a bucket.

use strata_storage::{Evaluated, Expiration, Rule, StorageClass, Timestamp, VersionSelector, Versioning, When};

use crate::support::{
    Fixture, bucket, done, expire, expire_markers, key, midnight, morning, rule, tagged, tags, under,
};

const NOTHING: Evaluated = Evaluated { expired: 0, markers: 0, removed: 0, transitioned: 0, moved: 0, aborted: 0 };

#[tokio::test]
async fn an_unversioned_object_is_removed_at_the_midnight_after_its_days() {
    let fixture = Fixture::with(Versioning::Unversioned, &[under("logs/", expire(3))]).await;
    fixture.put(0, "logs/a", 10).await;
    fixture.put(0, "other", 10).await;
    fixture.put(1, "logs/b", 300_000).await;
    assert_eq!(fixture.on(3).await, NOTHING);
    fixture.clock.set(Timestamp::from_nanos(midnight(4).as_nanos() - 1));
    assert_eq!(fixture.store.evaluate().await.expect("a round"), NOTHING);
    assert_eq!(fixture.on(4).await, done(1, 0, 0));
    assert_eq!(fixture.versions().await, ["logs/b STANDARD null", "other STANDARD null"]);
    assert!(fixture.open("logs/a").await.is_err());
    assert_eq!(fixture.on(5).await, done(1, 0, 0));
    assert_eq!(fixture.on(400).await, NOTHING);
    assert_eq!(fixture.versions().await, ["other STANDARD null"]);
}

#[tokio::test]
async fn an_object_written_anew_counts_anew() {
    let fixture = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    fixture.put(0, "a", 10).await;
    fixture.put(2, "a", 20).await;
    assert_eq!(fixture.on(4).await, NOTHING);
    assert_eq!(fixture.read("a").await, 20);
    assert_eq!(fixture.on(6).await, done(1, 0, 0));
}

#[tokio::test]
async fn a_date_that_is_past_expires_what_comes_later_too() {
    let when = Rule { expiration: Some(Expiration::When(When::Date(midnight(2)))), ..rule() };
    let fixture = Fixture::with(Versioning::Unversioned, &[when]).await;
    fixture.put(0, "a", 10).await;
    fixture.put(1, "b", 10).await;
    assert_eq!(fixture.on(1).await, NOTHING);
    assert_eq!(fixture.on(2).await, done(2, 0, 0));
    fixture.put(5, "c", 10).await;
    assert_eq!(fixture.on(5).await, NOTHING, "the clock is before it was written");
    assert_eq!(fixture.on(6).await, done(1, 0, 0));
}

#[tokio::test]
async fn in_a_versioned_bucket_a_delete_marker_of_that_midnight_covers_the_object() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire(3)]).await;
    fixture.put(0, "a", 10).await;
    let written = fixture.put(1, "a", 10).await;
    assert_eq!(fixture.on(4).await, NOTHING, "the older version is not current");
    fixture.clock.set(morning(5));
    assert_eq!(fixture.store.evaluate().await.expect("a round"), done(0, 1, 0));
    assert_eq!(fixture.versions().await, ["a marker", "a STANDARD", "a STANDARD"]);
    let entries = fixture.entries().await;
    assert_eq!((entries[0].modified, entries[0].latest), (midnight(5), true));
    assert_eq!(Some(entries[1].version_id), written.version_id);
    assert_eq!(fixture.on(500).await, NOTHING, "a marker over other versions stays");
    // Without the older ones the marker is alone, and long old enough.
    for entry in &entries[1..] {
        fixture.remove("a", Some(entry.version_id)).await;
    }
    assert_eq!(fixture.on(501).await, done(0, 0, 1));
    assert_eq!(fixture.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_marker_is_never_older_than_what_it_covers() {
    let when = Rule { expiration: Some(Expiration::When(When::Date(midnight(0)))), ..rule() };
    let fixture = Fixture::with(Versioning::Enabled, &[when]).await;
    let written = fixture.put(5, "a", 10).await;
    assert_eq!(fixture.store.evaluate().await.expect("a round"), done(0, 1, 0));
    let entries = fixture.entries().await;
    assert_eq!(entries[0].object, None);
    assert_eq!(entries[0].modified.as_nanos(), written.modified.as_nanos() + 1);
    assert!(fixture.open("a").await.is_err());
    // And what is written later covers it.
    fixture.put(5, "a", 11).await;
    assert_eq!(fixture.read("a").await, 11);
}

#[tokio::test]
async fn suspended_a_null_marker_replaces_the_null_version() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire(3)]).await;
    fixture.put(0, "with id", 10).await;
    fixture.put(0, "both", 10).await;
    fixture.put(0, "null under id", 10).await;
    fixture.set_versioning(Versioning::Suspended).await;
    fixture.put(0, "both", 10).await;
    fixture.put(0, "null", 10).await;
    fixture.put(0, "null under id", 10).await;
    fixture.set_versioning(Versioning::Enabled).await;
    fixture.put(0, "null under id", 10).await;
    fixture.set_versioning(Versioning::Suspended).await;
    let before = fixture.versions().await;
    assert_eq!(before[3..6], ["null under id STANDARD", "null under id STANDARD null", "null under id STANDARD"]);
    // "null" had no other version, so its marker is alone, but not old enough.
    assert_eq!(fixture.on(4).await, done(0, 4, 0));
    let expected = [
        "both marker null",
        "both STANDARD",
        "null marker null",
        "null under id marker null",
        "null under id STANDARD",
        "null under id STANDARD",
        "with id marker null",
        "with id STANDARD",
    ];
    assert_eq!(fixture.versions().await, expected);
    assert_eq!(fixture.on(6).await, NOTHING);
    assert_eq!(fixture.on(7).await, done(0, 0, 1), "the marker is of day 4, at midnight");
    assert_eq!(fixture.versions().await.len(), 7);
    // The null marker is still known as such: a write replaces it.
    fixture.put(8, "both", 10).await;
    assert_eq!(fixture.versions().await[..2], ["both STANDARD null", "both STANDARD"]);
}

#[tokio::test]
async fn a_marker_that_is_alone_goes_at_once_if_the_rule_is_about_markers() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire_markers()]).await;
    let written = fixture.put(0, "a", 10).await;
    fixture.delete(1, "a").await;
    fixture.delete(1, "alone").await;
    assert_eq!(fixture.on(2).await, done(0, 0, 1));
    assert_eq!(fixture.versions().await, ["a marker", "a STANDARD"]);
    fixture.remove("a", written.version_id).await;
    assert_eq!(fixture.on(2).await, done(0, 0, 1));
    assert_eq!(fixture.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_marker_that_is_removed_shows_an_object_that_expires_again() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire(3)]).await;
    fixture.put(0, "a", 10).await;
    assert_eq!(fixture.on(4).await, done(0, 1, 0));
    let marker = fixture.entries().await[0].version_id;
    fixture.remove("a", Some(marker)).await;
    assert_eq!(fixture.read("a").await, 10);
    assert_eq!(fixture.on(5).await, done(0, 1, 0));
}

#[tokio::test]
async fn tags_decide_as_they_are_at_that_time() {
    let fixture = Fixture::with(Versioning::Unversioned, &[tagged("keep", "no", expire(3))]).await;
    fixture.put_as(0, "given", 10, StorageClass::Standard, &[]).await;
    fixture.put_as(0, "taken", 10, StorageClass::Standard, &[("keep", "no")]).await;
    fixture.put_as(0, "kept", 10, StorageClass::Standard, &[("keep", "no"), ("more", "")]).await;
    for (name, pairs) in [("given", &[("keep", "no")][..]), ("taken", &[])] {
        fixture
            .store
            .set_tags(&bucket(), &key(name), VersionSelector::Current, tags(pairs))
            .await
            .expect("they are set");
    }
    assert_eq!(fixture.on(3).await, NOTHING);
    assert_eq!(fixture.on(4).await, done(2, 0, 0));
    assert_eq!(fixture.versions().await, ["taken STANDARD null"]);
}

#[tokio::test]
async fn clocks_that_jump_a_year() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire(3)]).await;
    fixture.put(0, "early", 10).await;
    fixture.clock.set(midnight(365));
    fixture.put(365, "late", 10).await;
    assert_eq!(fixture.on(365).await, done(0, 1, 0));
    // Back, with a new process, as stamps do not go back in one: what was written in the future waits for it, what is
    // written now comes in its time.
    fixture.clock.set(morning(1));
    let fixture = fixture.reopen().await;
    fixture.put(1, "now", 10).await;
    assert_eq!(fixture.on(4).await, NOTHING);
    assert_eq!(fixture.on(5).await, done(0, 1, 0));
    assert_eq!(fixture.on(368).await, NOTHING);
    assert_eq!(fixture.on(369).await, done(0, 1, 0));
    let markers = fixture.versions().await.iter().filter(|text| text.contains("marker")).count();
    assert_eq!(markers, 3);
}

#[tokio::test]
async fn days_can_be_short() {
    let Fixture { directory, clock, store } = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    store.close().await.expect("it closes");
    drop(store);
    let mut options = crate::support::options(&directory, &clock);
    options.lifecycle_day = std::time::Duration::from_secs(2);
    let store = strata_storage::Store::open(options).await.expect("it opens");
    let fixture = Fixture { directory, clock, store };
    fixture.put(0, "a", 10).await;
    fixture.clock.advance(std::time::Duration::from_millis(7900));
    assert_eq!(fixture.store.evaluate().await.expect("a round"), NOTHING);
    fixture.clock.advance(std::time::Duration::from_millis(100));
    assert_eq!(fixture.store.evaluate().await.expect("a round"), done(1, 0, 0));
}

#[tokio::test]
async fn many_objects_expire_and_their_bytes_are_collected() {
    let fixture = Fixture::with(Versioning::Unversioned, &[under("gone/", expire(1))]).await;
    for number in 0..1700 {
        fixture.put(0, &format!("gone/{number:04}"), 100).await;
    }
    fixture.put(0, "gone/large", 3 << 20).await;
    fixture.put(0, "kept", 3 << 20).await;
    assert_eq!(fixture.on(2).await, done(1701, 0, 0));
    assert_eq!(fixture.versions().await, ["kept STANDARD null"]);
    fixture.store.collect().await.expect("a pass");
    assert_eq!(fixture.read("kept").await, 3 << 20);
}

/// A checkpoint is the state that a crash at that moment would leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_loses_nothing_and_does_nothing_twice() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire(1)]).await;
    for number in 0..4000 {
        fixture.put(0, &format!("{number:04}"), 10).await;
    }
    fixture.clock.set(midnight(2));
    let round = tokio::spawn({
        let store = fixture.store.clone();
        async move { store.evaluate().await }
    });
    let copy = fixture.directory.path().join("copy");
    fixture.store.checkpoint(&copy).await.expect("a copy");
    assert_eq!(round.await.expect("it ends").expect("a round"), done(0, 4000, 0));
    let mut options = crate::support::options(&fixture.directory, &fixture.clock);
    options.directory = copy;
    let store = strata_storage::Store::open(options).await.expect("the copy opens");
    store.evaluate().await.expect("the rest is done");
    let crashed = Fixture { store, ..fixture };
    for entry in crashed.entries().await.chunks(2) {
        assert!(matches!(entry, [marker, object] if marker.object.is_none() && object.object.is_some()), "{entry:?}");
    }
    assert_eq!(crashed.store.evaluate().await.expect("a round"), NOTHING);
}
