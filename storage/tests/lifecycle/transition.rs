//! Transitions between storage classes, and several rules for one object.

use strata_storage::{Evaluated, Expiration, Rule, StorageClass, Transition, VersionSelector, Versioning, When};

use crate::support::{Fixture, LARGE, bucket, done, expire, key, midnight, rule, tagged, transition, under};

use StorageClass::{DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa, StandardIa};

fn transitioned(count: u64) -> Evaluated {
    Evaluated { transitioned: count, ..Evaluated::default() }
}

fn named(id: &str, rule: Rule) -> Rule {
    Rule { id: id.to_owned(), ..rule }
}

#[tokio::test]
async fn an_object_goes_down_the_waterfall_and_keeps_what_it_is() {
    let steps = [(30, StandardIa), (60, GlacierIr), (90, Glacier), (180, DeepArchive)];
    let fixture = Fixture::with(Versioning::Enabled, &[transition(&steps)]).await;
    let written = fixture.put_as(0, "a", LARGE, StorageClass::Standard, &[("k", "v")]).await;
    assert_eq!(fixture.on(30).await, Evaluated::default());
    for (day, class) in [(31, StandardIa), (61, GlacierIr), (91, Glacier), (181, DeepArchive)] {
        assert_eq!(fixture.on(day - 1).await, Evaluated::default());
        assert_eq!(fixture.on(day).await, transitioned(1), "{day}");
        let info = fixture.open("a").await.expect("it is there").info().clone();
        assert_eq!((info.class, info.etag, info.modified), (class, written.etag, written.modified));
        assert_eq!((Some(info.version_id), info.tags.len()), (written.version_id, 1));
        let listed = fixture.store.list(&bucket(), strata_storage::ListQuery { max: 10, ..Default::default() }).await;
        assert_eq!(listed.expect("a list").entries[0].class, class);
    }
    assert_eq!(fixture.on(1000).await, Evaluated::default());
}

#[tokio::test]
async fn small_objects_stay() {
    let fixture = Fixture::with(Versioning::Unversioned, &[transition(&[(1, Glacier)])]).await;
    fixture.put(0, "large", LARGE).await;
    fixture.put(0, "small", LARGE - 1).await;
    assert_eq!(fixture.on(2).await, transitioned(1));
    assert_eq!(fixture.on(400).await, Evaluated::default());
    assert_eq!(fixture.versions().await, ["large GLACIER null", "small STANDARD null"]);
}

#[tokio::test]
async fn what_is_overdue_is_done_a_day_at_a_time_and_never_upwards() {
    let steps = [(30, StandardIa), (60, GlacierIr), (90, DeepArchive)];
    let fixture = Fixture::with(Versioning::Unversioned, &[transition(&steps)]).await;
    fixture.put(0, "a", LARGE).await;
    // Of several the cheapest class counts.
    assert_eq!(fixture.on(365).await, transitioned(1));
    assert_eq!(fixture.versions().await, ["a DEEP_ARCHIVE null"]);
    assert_eq!(fixture.on(366).await, Evaluated::default());
}

#[tokio::test]
async fn a_year_away_ends_where_every_day_would_have() {
    let rules = [transition(&[(30, Glacier)]), named("end", expire(300))];
    let fixture = Fixture::with(Versioning::Enabled, &rules).await;
    fixture.put(0, "a", LARGE).await;
    assert_eq!(fixture.on(365).await, transitioned(1), "the transition comes before the marker");
    assert_eq!(fixture.on(366).await, done(0, 1, 0), "one action a day");
    assert_eq!(fixture.versions().await, ["a marker", "a GLACIER"]);
    let fixture = Fixture::with(Versioning::Unversioned, &rules).await;
    fixture.put(0, "a", LARGE).await;
    assert_eq!(fixture.on(365).await, done(1, 0, 0), "a permanent end comes before all else");
}

#[tokio::test]
async fn several_rules_for_one_object() {
    async fn check(rules: &[Rule], day: u64, expected: &str) {
        let rules: Vec<Rule> = rules.iter().enumerate().map(|(n, rule)| named(&n.to_string(), rule.clone())).collect();
        let fixture = Fixture::with(Versioning::Unversioned, &rules).await;
        fixture.put(0, "a", LARGE).await;
        fixture.on(day).await;
        assert_eq!(fixture.versions().await.join(","), expected, "{rules:?}");
    }
    // Two expirations: the earlier.
    check(&[expire(10), expire(5)], 6, "").await;
    check(&[expire(10), under("b", expire(5))], 6, "a STANDARD null").await;
    // Two transitions to one class: the earlier.
    check(&[transition(&[(10, Glacier)]), transition(&[(5, Glacier)])], 6, "a GLACIER null").await;
    // On the same day: the cheaper class.
    check(&[transition(&[(30, StandardIa)]), transition(&[(30, Glacier)])], 31, "a GLACIER null").await;
    check(&[transition(&[(30, OnezoneIa)]), transition(&[(30, Glacier)])], 31, "a GLACIER null").await;
    // INTELLIGENT_TIERING before all but GLACIER and DEEP_ARCHIVE.
    let tiering = transition(&[(30, IntelligentTiering)]);
    check(&[tiering.clone(), transition(&[(30, GlacierIr)])], 31, "a INTELLIGENT_TIERING null").await;
    check(&[tiering, transition(&[(30, DeepArchive)])], 31, "a DEEP_ARCHIVE null").await;
    // A permanent end before a transition.
    check(&[transition(&[(30, Glacier)]), expire(30)], 31, "").await;
    // The object is gone before its transition.
    check(&[transition(&[(30, Glacier)]), expire(10)], 31, "").await;
    // A rule that is not in force.
    let off = Rule { status: strata_storage::Status::Disabled, ..expire(5) };
    check(&[off, transition(&[(5, Glacier)])], 6, "a GLACIER null").await;
}

#[tokio::test]
async fn a_transition_comes_before_a_marker_of_the_same_day() {
    let rules = [transition(&[(30, Glacier)]), named("end", expire(30))];
    let fixture = Fixture::with(Versioning::Enabled, &rules).await;
    fixture.put(0, "a", LARGE).await;
    assert_eq!(fixture.on(31).await, transitioned(1));
    assert_eq!(fixture.on(32).await, done(0, 1, 0));
}

#[tokio::test]
async fn dates() {
    let transitions = vec![Transition { when: When::Date(midnight(3)), class: Glacier }];
    let when = Rule { transitions, expiration: Some(Expiration::When(When::Date(midnight(5)))), ..rule() };
    let fixture = Fixture::with(Versioning::Unversioned, &[when]).await;
    fixture.put(1, "a", LARGE).await;
    assert_eq!(fixture.on(2).await, Evaluated::default());
    assert_eq!(fixture.on(3).await, transitioned(1));
    assert_eq!(fixture.on(5).await, done(1, 0, 0));
}

#[tokio::test]
async fn noncurrent_versions_of_a_suspended_bucket_move_too() {
    let fixture = Fixture::with(Versioning::Enabled, &[tagged("to", "cold", transition(&[(1, GlacierIr)]))]).await;
    let tagged = fixture.put_as(0, "a", LARGE, StorageClass::Standard, &[("to", "cold")]).await;
    fixture.set_versioning(Versioning::Suspended).await;
    assert_eq!(fixture.on(2).await, transitioned(1));
    let version = VersionSelector::Id(tagged.version_id.expect("it has one"));
    let object = fixture.store.object(&bucket(), &key("a"), version).await.expect("it is there");
    assert_eq!(object.info().class, GlacierIr);
    let noncurrent = crate::support::transition_noncurrent(1, DeepArchive, None);
    fixture.set_rules(&[noncurrent]).await;
    fixture.put(5, "a", LARGE).await;
    assert_eq!(fixture.on(7).await, transitioned(1));
    assert_eq!(fixture.versions().await, ["a STANDARD null", "a DEEP_ARCHIVE"]);
}
