//! Previews: what rules would do, and what each class would hold meanwhile.

use std::time::Duration;

use strata_storage::{
    BucketChange, DeleteCondition, DeleteObject, Expiration, Filter, FilterForm, Lifecycle, NewUpload,
    NoncurrentExpiration, PreviewAction, PreviewPage, PreviewPosition, PreviewQuery, PreviewSums, PutObject, Rule,
    Status, StorageClass, Store, Tier, TieringConfiguration, Timestamp, Transition, TransitionMinimum, VersionId,
    Versioning, When,
};

use crate::support::{Fixture, bucket, content, key, make_bucket};

/// The clock of a new store stands a part of a day after this midnight.
const MIDNIGHT: u64 = 1_699_920_000;
const DAY: u64 = 86_400;
const SIZE: usize = 200_000;

fn midnight(days: u64) -> Timestamp {
    Timestamp::from_secs(MIDNIGHT + days * DAY)
}

fn rule() -> Rule {
    Rule {
        id: "rule".to_owned(),
        status: Status::Enabled,
        filter: Filter { prefix: None, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty },
        transitions: vec![],
        expiration: None,
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    }
}

fn transition(days: u32, class: StorageClass) -> Rule {
    Rule { transitions: vec![Transition { when: When::Days(days), class }], ..rule() }
}

fn expiration(days: u32) -> Rule {
    Rule { expiration: Some(Expiration::When(When::Days(days))), ..rule() }
}

fn noncurrent_expiration(days: u32, newer: Option<u32>) -> Rule {
    Rule { noncurrent_expiration: Some(NoncurrentExpiration { days, newer }), ..rule() }
}

fn rules(rules: &[Rule]) -> Option<Lifecycle> {
    Some(Lifecycle { rules: rules.to_vec(), minimum: TransitionMinimum::default() })
}

async fn put(store: &Store, name: &str, class: StorageClass) {
    let staged = store.stage_bytes(content(1, SIZE)).await.expect("bytes are staged");
    let mut request = PutObject::new(bucket(), key(name), staged);
    request.class = class;
    store.put(request).await.expect("it is stored");
}

async fn set_versioning(store: &Store, versioning: Versioning) {
    store.change_bucket(&bucket(), BucketChange::Versioning(versioning)).await.expect("it is changed");
}

async fn delete(store: &Store, name: &str) {
    let request = DeleteObject {
        bucket: bucket(),
        key: key(name),
        version: None,
        condition: DeleteCondition::None,
        governance: Default::default(),
    };
    store.delete(request).await.expect("it is deleted");
}

/// All pages, in pages of that many versions.
async fn preview(store: &Store, rules: Option<Lifecycle>, days: u32, max: usize) -> PreviewPage {
    let mut all = PreviewPage::default();
    let mut after = None;
    loop {
        let query = PreviewQuery { bucket: bucket(), rules: rules.clone(), days, after, max };
        let page = store.preview(query).await.expect("a preview");
        all.events.extend(page.events);
        add(&mut all.sums, page.sums);
        let Some(next) = page.next else { return all };
        after = Some(PreviewPosition::parse(&next.to_text()).expect("it was just written"));
    }
}

fn add(sums: &mut PreviewSums, page: PreviewSums) {
    sums.versions += page.versions;
    sums.removed += page.removed;
    sums.removed_bytes += page.removed_bytes;
    sums.aborted += page.aborted;
    sums.aborted_bytes += page.aborted_bytes;
    for (class, count) in page.transitions {
        *sums.transitions.entry(class).or_default() += count;
    }
    for (class, count) in page.early_delete_byte_days {
        *sums.early_delete_byte_days.entry(class).or_default() += count;
    }
    for (place, held) in page.followed {
        let sum = sums.followed.entry(place).or_default();
        sum.object_days += held.object_days;
        sum.byte_days += held.byte_days;
    }
}

fn steps(page: &PreviewPage) -> Vec<(Timestamp, &str, PreviewAction)> {
    page.events.iter().map(|event| (event.at, event.key.as_str(), event.action)).collect()
}

#[tokio::test]
async fn a_version_is_followed_to_its_end() {
    use PreviewAction::{Expire, Transition};
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    put(&fixture.store, "a", StorageClass::Standard).await;
    let rules =
        rules(&[transition(30, StorageClass::StandardIa), transition(90, StorageClass::Glacier), expiration(100)]);
    let page = preview(&fixture.store, rules, 365, 10).await;
    let expected = [
        (midnight(31), "a", Transition(StorageClass::StandardIa)),
        (midnight(91), "a", Transition(StorageClass::Glacier)),
        (midnight(101), "a", Expire),
    ];
    assert_eq!(steps(&page), expected);
    let days = |class: StorageClass| page.sums.followed[&(class, Tier::Frequent)].object_days;
    let first_day = (midnight(1).as_secs() - 1_700_000_000) as f64 / DAY as f64;
    assert!((days(StorageClass::Standard) - 30.0 - first_day).abs() < 1e-9);
    assert!((days(StorageClass::StandardIa) - 60.0).abs() < 1e-9 && (days(StorageClass::Glacier) - 10.0).abs() < 1e-9);
    let byte_days = page.sums.followed[&(StorageClass::Glacier, Tier::Frequent)].byte_days;
    assert!((byte_days - 10.0 * SIZE as f64).abs() < 1e-3, "{byte_days}");
    assert_eq!((page.sums.removed, page.sums.removed_bytes), (1, SIZE as u64));
    assert_eq!(page.sums.early_delete_byte_days[&StorageClass::Glacier], 80 * SIZE as u64);
    assert_eq!(page.sums.early_delete_byte_days.len(), 1);
    assert_eq!(page.sums.transitions[&StorageClass::StandardIa], 1);
}

#[tokio::test]
async fn the_horizon_bounds_what_is_seen_and_nothing_is_done() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    put(store, "a", StorageClass::Standard).await;
    let page = preview(store, rules(&[expiration(40)]), 30, 10).await;
    assert_eq!((page.events.len(), page.sums.removed), (0, 0));
    // What is overdue is due now.
    fixture.clock.advance(Duration::from_secs(100 * DAY));
    let page = preview(store, rules(&[expiration(40)]), 30, 10).await;
    let now = Timestamp::from_secs(1_700_000_000 + 100 * DAY);
    assert_eq!(steps(&page), [(now, "a", PreviewAction::Expire)]);
    // Without rules of its own the bucket has nothing to do.
    assert_eq!(preview(store, None, 3650, 10).await.events, []);
    store.change_bucket(&bucket(), BucketChange::Lifecycle(rules(&[expiration(40)]))).await.expect("it is changed");
    assert_eq!(preview(store, None, 30, 10).await.events.len(), 1);
    assert_eq!(store.usage(None).await.expect("counters")[0].usage.objects, 1);
}

#[tokio::test]
async fn versions_follow_each_other() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    set_versioning(store, Versioning::Enabled).await;
    for _ in 0..4 {
        put(store, "a", StorageClass::Standard).await;
    }
    put(store, "b", StorageClass::Standard).await;
    put(store, "c", StorageClass::Standard).await;
    delete(store, "c").await;
    for max in [1, 2, 3, 100] {
        let page = preview(store, rules(&[expiration(10), noncurrent_expiration(5, None)]), 100, max).await;
        use PreviewAction::{Expire, Remove, RemoveMarker};
        let expected = [
            // The current version is hidden, becomes noncurrent, and ends.
            (midnight(11), "a", Expire),
            (midnight(16), "a", Remove),
            (midnight(6), "a", Remove),
            (midnight(6), "a", Remove),
            (midnight(6), "a", Remove),
            (midnight(11), "b", Expire),
            (midnight(16), "b", Remove),
            (midnight(6), "c", Remove),
            // The marker is alone from then on, and old enough five days later.
            (midnight(11), "c", RemoveMarker),
        ];
        assert_eq!(steps(&page), expected, "pages of {max}");
        assert_eq!((page.sums.versions, page.sums.removed), (7, 6));
    }
}

#[tokio::test]
async fn the_newest_noncurrent_versions_are_kept() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    set_versioning(store, Versioning::Enabled).await;
    for _ in 0..4 {
        put(store, "a", StorageClass::Standard).await;
    }
    let removed = |page: &PreviewPage| {
        let removed = page.events.iter().filter(|event| event.action == PreviewAction::Remove);
        removed.map(|event| event.at).collect::<Vec<_>>()
    };
    for max in [1, 100] {
        let page = preview(store, rules(&[noncurrent_expiration(5, Some(2))]), 100, max).await;
        assert_eq!(removed(&page), [midnight(6)], "only the oldest has two newer ones");
        // Once the current one is hidden, the next has two newer ones too.
        let page = preview(store, rules(&[expiration(10), noncurrent_expiration(5, Some(2))]), 100, max).await;
        assert_eq!(removed(&page), [midnight(11), midnight(6)], "pages of {max}");
    }
}

#[tokio::test]
async fn a_marker_replaces_the_null_version() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    put(&fixture.store, "a", StorageClass::Standard).await;
    set_versioning(&fixture.store, Versioning::Suspended).await;
    let page = preview(&fixture.store, rules(&[expiration(10)]), 100, 10).await;
    assert_eq!((page.sums.removed, page.events[0].version_id), (1, Some(VersionId::Null)));
}

#[tokio::test]
async fn tiers_are_followed_too() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    put(store, "a", StorageClass::IntelligentTiering).await;
    let configuration = TieringConfiguration {
        id: "archive".to_owned(),
        filter: Default::default(),
        enabled: true,
        archive_days: Some(120),
        deep_archive_days: None,
    };
    store.change_bucket(&bucket(), BucketChange::PutTiering(configuration)).await.expect("it is changed");
    let page = preview(store, None, 365, 10).await;
    let expected = [(31, Tier::Infrequent), (91, Tier::ArchiveInstant), (121, Tier::Archive)]
        .map(|(day, tier)| (midnight(day), "a", PreviewAction::Tier(tier)));
    assert_eq!(steps(&page), expected);
    let held = |tier| page.sums.followed[&(StorageClass::IntelligentTiering, tier)].object_days;
    assert!((held(Tier::Infrequent) - 60.0).abs() < 1e-9 && (held(Tier::ArchiveInstant) - 30.0).abs() < 1e-9);
    assert!(PreviewPosition::parse("zz").is_none() && PreviewPosition::parse("00").is_none());
}

#[tokio::test]
async fn uploads_that_would_be_aborted_follow_the_versions() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    put(store, "a", StorageClass::Standard).await;
    let mut ids = Vec::new();
    for (name, bytes) in [("logs/1", 0), ("logs/2", 1000), ("other", 1000)] {
        let id = store.create_upload(&bucket(), &key(name), NewUpload::default()).await.expect("an upload");
        if bytes > 0 {
            let staged = store.stage_bytes(content(2, bytes)).await.expect("bytes are staged");
            store.put_part(&bucket(), &key(name), id, 1, staged, None).await.expect("a part");
        }
        ids.push(id);
    }
    let filter = Filter { prefix: Some("logs/".to_owned()), form: FilterForm::Single, ..rule().filter };
    let abort = Rule { abort_days: Some(7), filter, ..rule() };
    for max in [1, 2, 3, 100] {
        let page = preview(store, rules(&[abort.clone(), expiration(10)]), 100, max).await;
        let abort = |number: usize, bytes| PreviewAction::Abort { upload: ids[number], bytes };
        let expected = [
            (midnight(11), "a", PreviewAction::Expire),
            (midnight(8), "logs/1", abort(0, 0)),
            (midnight(8), "logs/2", abort(1, 1000)),
        ];
        assert_eq!(steps(&page), expected, "pages of {max}");
        assert_eq!((page.sums.aborted, page.sums.aborted_bytes, page.sums.removed), (2, 1000, 1));
    }
    // Not so soon, and not by rules that abort nothing.
    assert_eq!(preview(store, rules(std::slice::from_ref(&abort)), 7, 10).await.events, []);
    assert_eq!(preview(store, rules(&[expiration(10)]), 100, 10).await.sums.aborted, 0);
    fixture.clock.advance(Duration::from_secs(30 * DAY));
    let page = preview(store, rules(&[abort]), 7, 10).await;
    let now = Timestamp::from_secs(1_700_000_000 + 30 * DAY);
    assert_eq!(page.events.iter().map(|event| event.at).collect::<Vec<_>>(), [now, now], "what is overdue is due now");
}
