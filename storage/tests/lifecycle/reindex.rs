//! Rules that change: timers of what is there are set anew, also across restarts.

use strata_storage::{Evaluated, NewBucket, Rule, StorageClass, Versioning};

use crate::support::{Fixture, LARGE, bucket, done, expire, expire_noncurrent, midnight, transition, under};

#[tokio::test]
async fn rules_apply_to_what_was_there_before() {
    let fixture = Fixture::new(Versioning::Enabled).await;
    for name in ["a", "b", "logs/a", "logs/b"] {
        fixture.put(0, name, 10).await;
        fixture.put(1, name, 10).await;
    }
    assert_eq!(fixture.on(100).await, Evaluated::default());
    fixture.set_rules(&[under("logs/", expire(3))]).await;
    assert_eq!(fixture.on(100).await, done(0, 2, 0));
    fixture.set_rules(&[expire_noncurrent(50, None)]).await;
    assert_eq!(fixture.on(101).await, done(0, 0, 4), "those of day 0; the others became noncurrent on day 100");
    assert_eq!(fixture.on(150).await, done(0, 0, 2));
}

#[tokio::test]
async fn rules_that_are_gone_do_nothing() {
    let fixture = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    fixture.put(0, "a", 10).await;
    fixture.set_rules(&[]).await;
    assert_eq!(fixture.on(4).await, Evaluated::default());
    fixture.set_rules(&[Rule { status: strata_storage::Status::Disabled, ..expire(3) }]).await;
    assert_eq!(fixture.on(5).await, Evaluated::default());
    fixture.set_rules(&[expire(10)]).await;
    assert_eq!(fixture.on(10).await, Evaluated::default());
    assert_eq!(fixture.on(11).await, done(1, 0, 0));
}

#[tokio::test]
async fn rules_that_are_set_right_before_they_act() {
    let fixture = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    fixture.put(0, "a", 10).await;
    fixture.clock.set(midnight(4));
    // Nothing was evaluated in between: the old timer fires under the new rules.
    fixture.set_rules(&[expire(8)]).await;
    assert_eq!(fixture.store.evaluate().await.expect("a round"), Evaluated::default());
    assert_eq!(fixture.on(9).await, done(1, 0, 0));
}

#[tokio::test]
async fn re_indexing_goes_on_after_a_restart() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    for number in 0..2500 {
        fixture.put(0, &format!("{number:04}"), 10).await;
    }
    fixture.set_rules(&[expire(3)]).await;
    let fixture = fixture.reopen().await;
    fixture.clock.set(midnight(3));
    assert_eq!(fixture.store.evaluate().await.expect("a round"), Evaluated::default());
    let status = fixture.store.workers().into_iter().find(|status| status.name == "reindex").expect("it is there");
    assert_eq!((status.done, status.running, status.last_error), (2500, false, None));
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.on(4).await, done(2500, 0, 0));
    let status = fixture.store.workers().into_iter().find(|status| status.name == "lifecycle").expect("it is there");
    assert!(status.done >= 2500 && status.last_error.is_none(), "{status:?}");
}

#[tokio::test]
async fn a_store_that_does_it_by_itself() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.put(0, "a", 10).await;
    fixture.put(0, "b", LARGE).await;
    fixture
        .set_rules(&[
            under("a", expire(1)),
            Rule { id: "b".into(), ..under("b", transition(&[(1, StorageClass::Glacier)])) },
        ])
        .await;
    let Fixture { directory, clock, store } = fixture;
    store.close().await.expect("it closes");
    drop(store);
    clock.set(midnight(2));
    let mut options = crate::support::options(&directory, &clock);
    options.evaluate_every = Some(std::time::Duration::from_millis(20));
    let store = strata_storage::Store::open(options).await.expect("it opens");
    let fixture = Fixture { directory, clock, store };
    let mut waited = tokio::time::interval(std::time::Duration::from_millis(5));
    while fixture.versions().await != ["b GLACIER null"] {
        waited.tick().await;
    }
    fixture.store.close().await.expect("it closes while the worker runs");
}

#[tokio::test]
async fn a_bucket_that_is_gone_leaves_nothing_behind() {
    let fixture = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    fixture.put(0, "a", 10).await;
    fixture.set_rules(&[expire(5)]).await;
    fixture.remove("a", None).await;
    fixture.store.delete_bucket(&bucket()).await.expect("it is empty");
    fixture.store.create_bucket(&bucket(), NewBucket::default()).await.expect("made anew");
    fixture.put(0, "a", 10).await;
    assert_eq!(fixture.on(100).await, Evaluated::default());
    assert_eq!(fixture.versions().await, ["a STANDARD null"]);
}

/// Rounds, requests and changes of rules at once: nothing is lost, done twice or stuck.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_rounds_at_once() {
    let fixture =
        Fixture::with(Versioning::Enabled, &[expire(1), Rule { id: "n".into(), ..expire_noncurrent(1, Some(1)) }])
            .await;
    let fixture = std::sync::Arc::new(fixture);
    for number in 0..200 {
        fixture.put(0, &format!("{number:03}"), 10).await;
    }
    fixture.clock.set(midnight(10));
    let writer = tokio::spawn({
        let fixture = std::sync::Arc::clone(&fixture);
        async move {
            for number in 0..200 {
                fixture.put(10, &format!("{number:03}"), 20).await;
            }
        }
    });
    let mut total = Evaluated::default();
    while !writer.is_finished() {
        let done = fixture.store.evaluate().await.expect("a round");
        total.markers += done.markers;
        total.removed += done.removed;
    }
    writer.await.expect("it writes");
    // However the two met, the writes of day 10 expire a day later, and one noncurrent version of each key is kept.
    fixture.on(12).await;
    fixture.on(13).await;
    fixture.on(14).await;
    for number in 0..200 {
        let name = format!("{number:03}");
        let of_key: Vec<_> = fixture.versions().await.into_iter().filter(|text| text.starts_with(&name)).collect();
        assert_eq!(of_key, [format!("{name} marker"), format!("{name} STANDARD")], "{total:?}");
        if number > 20 {
            break;
        }
    }
}
