//! Clocks that jump: what was due by a clock that went wrong is not forgotten, and nothing is due before its time.

use strata_storage::{Evaluated, NewUpload, Rule, Versioning};

use crate::support::{Fixture, bucket, done, expire, key, morning, rule};

const NOTHING: Evaluated = Evaluated { expired: 0, markers: 0, removed: 0, transitioned: 0, moved: 0, aborted: 0 };

#[tokio::test]
async fn what_comes_after_a_look_into_the_future_is_due_at_its_time() {
    let mut fixture = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    fixture.put(0, "early", 10).await;
    // Days, a year and many years ahead; each time rows up to there are looked through, and found done.
    for (round, ahead) in [(1, 2), (10, 400), (20, 20_000)] {
        let name = format!("after-{round}");
        fixture.on(ahead).await;
        fixture = fixture.reopen_on(round).await;
        fixture.put(round, &name, 10).await;
        fixture.on(round + 3).await;
        assert_eq!(fixture.read(&name).await, 10, "round {round}");
        fixture.on(round + 4).await;
        assert!(fixture.open(&name).await.is_err(), "round {round}");
    }
    assert!(fixture.open("early").await.is_err());
}

impl Fixture {
    /// Opens the store anew at another time.
    async fn reopen_on(self, day: u64) -> Fixture {
        self.clock.set(morning(day));
        self.reopen().await
    }
}

#[tokio::test]
async fn what_was_written_in_the_future_expires_after_it() {
    let mut fixture = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    fixture.put(400, "ahead", 10).await;
    // As long as the store is open its time does not go back.
    fixture.put(5, "beside", 10).await;
    fixture = fixture.reopen_on(5).await;
    fixture.put(5, "after", 10).await;
    // What replaces an object has a time of its own.
    fixture.put(6, "ahead", 20).await;
    assert_eq!(fixture.on(8).await, NOTHING);
    assert_eq!(fixture.on(9).await, done(1, 0, 0));
    assert!(fixture.open("after").await.is_err());
    assert_eq!(fixture.read("ahead").await, 20);
    assert_eq!(fixture.on(10).await, done(1, 0, 0));
    assert!(fixture.open("ahead").await.is_err());
    assert_eq!(fixture.on(403).await, NOTHING);
    assert_eq!(fixture.read("beside").await, 10);
    assert_eq!(fixture.on(404).await, done(1, 0, 0));
}

#[tokio::test]
async fn uploads_are_as_old_as_their_clock_said() {
    let rules = [Rule { abort_days: Some(2), ..rule() }];
    let mut fixture = Fixture::with(Versioning::Unversioned, &rules).await;
    for day in [500, 1] {
        fixture = fixture.reopen_on(day).await;
        fixture.store.create_upload(&bucket(), &key("upload"), NewUpload::default()).await.expect("it begins");
    }
    assert_eq!(fixture.on(3).await, NOTHING);
    assert_eq!(fixture.on(4).await.aborted, 1);
    assert_eq!(fixture.on(502).await, NOTHING);
    assert_eq!(fixture.on(503).await.aborted, 1);
}
