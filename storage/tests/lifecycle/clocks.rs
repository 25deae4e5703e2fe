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
        assert!(fixture.on(ahead).await.expired <= 1);
        fixture = fixture.reopen_on(round).await;
        fixture.put(round, &name, 10).await;
        assert_eq!(fixture.on(round + 3).await.expired, 0, "round {round}");
        // In the first round that is the day of the one that was there before, too.
        assert!(fixture.on(round + 4).await.expired >= 1, "round {round}");
        assert!(fixture.open(&name).await.is_err(), "round {round}");
    }
    assert!(fixture.open("early").await.is_err());
}

impl Fixture {
    /// Sets the clock, and opens the store anew in every other case.
    async fn reopen_on(self, day: u64) -> Fixture {
        self.clock.set(morning(day));
        if day.is_multiple_of(2) { self.reopen().await } else { self }
    }
}

#[tokio::test]
async fn what_was_written_in_the_future_expires_after_it() {
    let fixture = Fixture::with(Versioning::Unversioned, &[expire(3)]).await;
    fixture.put(400, "ahead", 10).await;
    for day in [0, 5, 403] {
        assert_eq!(fixture.on(day).await, NOTHING, "day {day}");
    }
    // Written anew by the right clock, it is not older than it was, since versions never go back.
    fixture.put(6, "ahead", 20).await;
    assert_eq!(fixture.on(10).await, NOTHING);
    assert_eq!(fixture.read("ahead").await, 20);
    assert_eq!(fixture.on(404).await, done(1, 0, 0));
}

#[tokio::test]
async fn uploads_are_as_old_as_their_clock_said() {
    let rules = [Rule { abort_days: Some(2), ..rule() }];
    let fixture = Fixture::with(Versioning::Unversioned, &rules).await;
    for day in [500, 1] {
        fixture.clock.set(morning(day));
        fixture.store.create_upload(&bucket(), &key("upload"), NewUpload::default()).await.expect("it begins");
    }
    assert_eq!(fixture.on(3).await, NOTHING);
    assert_eq!(fixture.on(4).await.aborted, 1);
    assert_eq!(fixture.on(502).await, NOTHING);
    assert_eq!(fixture.on(503).await.aborted, 1);
}
