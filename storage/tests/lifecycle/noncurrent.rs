//! Noncurrent versions: removal, transition, and how many are kept.

use strata_storage::{Evaluated, Rule, StorageClass, Versioning};

use crate::support::{Fixture, LARGE, done, expire, expire_markers, expire_noncurrent, transition_noncurrent};

#[tokio::test]
async fn days_count_from_the_successor() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire_noncurrent(3, None)]).await;
    fixture.put(0, "a", 10).await;
    fixture.put(10, "a", 20).await;
    fixture.delete(11, "a").await;
    fixture.put(12, "a", 30).await;
    assert_eq!(fixture.on(13).await, Evaluated::default());
    assert_eq!(fixture.on(14).await, done(0, 0, 1));
    assert_eq!(fixture.on(15).await, done(0, 0, 1));
    assert_eq!(fixture.versions().await, ["a STANDARD", "a marker"]);
    assert_eq!(fixture.on(16).await, done(0, 0, 1), "noncurrent delete markers go too");
    assert_eq!(fixture.versions().await, ["a STANDARD"]);
    assert_eq!(fixture.on(400).await, Evaluated::default());
}

#[tokio::test]
async fn the_newest_ones_are_kept_whatever_their_age() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire_noncurrent(3, Some(2))]).await;
    for day in 0..4 {
        fixture.put(day, "a", 10 + usize::try_from(day).expect("small")).await;
    }
    // Three noncurrent ones, of which the oldest has two newer: since day 1.
    assert_eq!(fixture.on(4).await, Evaluated::default());
    assert_eq!(fixture.on(5).await, done(0, 0, 1));
    assert_eq!(fixture.on(300).await, Evaluated::default());
    assert_eq!(fixture.versions().await.len(), 3);
    // Each that becomes noncurrent lets one more go, which waited without a timer and is long old enough.
    fixture.put(300, "a", 50).await;
    assert_eq!(fixture.on(301).await, done(0, 0, 1));
    fixture.delete(301, "a").await;
    assert_eq!(fixture.on(302).await, done(0, 0, 1));
    let sizes: Vec<_> = fixture.entries().await.iter().filter_map(|entry| Some(entry.object.as_ref()?.size)).collect();
    assert_eq!(sizes, [50, 13]);
}

#[tokio::test]
async fn each_rule_has_its_own_number() {
    let rules = [transition_noncurrent(0, StorageClass::Glacier, Some(1)), expire_noncurrent(1, Some(3))];
    let rules = [rules[0].clone(), Rule { id: "second".to_owned(), ..rules[1].clone() }];
    let fixture = Fixture::with(Versioning::Enabled, &rules).await;
    for day in 0..5 {
        fixture.put(day, "a", LARGE).await;
        fixture.store.evaluate().await.expect("a round");
    }
    fixture.on(30).await;
    fixture.on(31).await;
    assert_eq!(fixture.versions().await, ["a STANDARD", "a STANDARD", "a GLACIER", "a GLACIER"]);
}

#[tokio::test]
async fn versions_put_in_late_find_their_place() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire_noncurrent(1, Some(1))]).await;
    fixture.put(0, "a", 10).await;
    let upload = fixture.begin(1, "a").await;
    fixture.put(2, "a", 30).await;
    assert_eq!(fixture.on(20).await, Evaluated::default(), "the newest noncurrent one is kept");
    // It takes its place by the time of its initiation, before the version of day 0, which is not kept any more.
    fixture.complete("a", upload, &[20]).await;
    assert_eq!(fixture.on(20).await, done(0, 0, 1));
    let sizes: Vec<_> = fixture.entries().await.iter().filter_map(|entry| Some(entry.object.as_ref()?.size)).collect();
    assert_eq!(sizes, [30, 20]);
}

#[tokio::test]
async fn the_last_noncurrent_version_leaves_a_marker_alone() {
    let both = Rule { expiration: expire_markers().expiration, ..expire_noncurrent(2, None) };
    let fixture = Fixture::with(Versioning::Enabled, &[both]).await;
    for day in 0..3 {
        fixture.put(day, "a", 10).await;
    }
    fixture.delete(3, "a").await;
    assert_eq!(fixture.on(5).await, done(0, 0, 2));
    assert_eq!(fixture.on(6).await, done(0, 0, 2), "the last one, and then the marker");
    assert_eq!(fixture.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_object_ends_step_by_step() {
    let all = Rule { expiration: expire(2).expiration, ..expire_noncurrent(5, None) };
    let fixture = Fixture::with(Versioning::Enabled, &[all]).await;
    fixture.put(0, "a", 10).await;
    assert_eq!(fixture.on(3).await, done(0, 1, 0));
    assert_eq!(fixture.on(7).await, Evaluated::default());
    // Noncurrent since the midnight of day 3.
    assert_eq!(fixture.on(8).await, done(0, 0, 2));
    assert_eq!(fixture.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_object_that_becomes_current_again_is_not_noncurrent_any_more() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire_noncurrent(3, None)]).await;
    fixture.put(0, "a", 10).await;
    let second = fixture.put(1, "a", 20).await;
    fixture.remove("a", second.version_id).await;
    assert_eq!(fixture.on(100).await, Evaluated::default());
    assert_eq!(fixture.read("a").await, 10);
}

#[tokio::test]
async fn many_versions_of_one_key_go_together() {
    let fixture = Fixture::with(Versioning::Enabled, &[expire_noncurrent(1, Some(2))]).await;
    for _ in 0..1300 {
        fixture.put(0, "a", 10).await;
    }
    assert_eq!(fixture.on(2).await, done(0, 0, 1297));
    assert_eq!(fixture.versions().await.len(), 3);
}

#[tokio::test]
async fn noncurrent_rules_do_nothing_where_versions_never_were() {
    let rules = [expire_noncurrent(1, None), transition_noncurrent(0, StorageClass::Glacier, None)];
    let rules = [rules[0].clone(), Rule { id: "second".to_owned(), ..rules[1].clone() }];
    let fixture = Fixture::with(Versioning::Unversioned, &rules).await;
    fixture.put(0, "a", LARGE).await;
    fixture.put(1, "a", LARGE).await;
    assert_eq!(fixture.on(300).await, Evaluated::default());
    assert_eq!(fixture.versions().await, ["a STANDARD null"]);
}
