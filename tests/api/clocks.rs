//! A clock that jumps while the server runs: signatures, presigned URLs, sessions, and what dates say of objects.

use std::time::Duration;

use strata_storage::Clock as _;

use crate::people::{People, call};
use crate::support::{Fixture, Raw};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// As far back as that.
fn back(clock: &strata_storage::ManualClock, by: Duration) {
    clock.set(strata_storage::Timestamp::from_nanos(clock.now().as_nanos() - by.as_nanos() as u64));
}

#[tokio::test]
async fn signatures_hold_around_their_time_whatever_came_before() {
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let raw = &fixture.raw;
    let (start, get) = (clock.now(), || raw.request("GET", "/bucket").build());
    let signed = get();
    raw.send(signed.clone()).await.is(200);
    for jump in [HOUR, DAY, YEAR, 30 * YEAR] {
        for ahead in [false, true] {
            if ahead {
                clock.advance(jump)
            } else {
                back(&clock, jump)
            }
            // What was signed before is refused, with both times; what is signed now is taken.
            let refused = raw.send(signed.clone()).await.fails(403, "RequestTimeTooSkewed");
            assert!(refused.element("RequestTime").is_some() && refused.element("ServerTime").is_some());
            raw.send(get()).await.is(200);
            clock.set(start);
            raw.send(signed.clone()).await.is(200);
        }
    }
    fixture.stop().await;
}

#[tokio::test]
async fn presigned_urls_hold_from_their_time_to_their_end() {
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "content").await.is(200);
    let (start, url) = (clock.now(), raw.request("GET", "/bucket/key").presigned(HOUR).build());
    let send = async || raw.send(url.clone()).await;
    for early in [16 * MINUTE, DAY, YEAR] {
        back(&clock, early);
        send().await.fails_saying(403, "AccessDenied", "Request is not valid yet");
        clock.set(start);
        send().await.is(200).has_body("content");
    }
    back(&clock, 14 * MINUTE);
    send().await.is(200);
    for late in [HOUR + MINUTE, DAY, YEAR, 30 * YEAR] {
        clock.set(start.plus(late));
        send().await.fails_saying(403, "AccessDenied", "Request has expired");
    }
    clock.set(start.plus(HOUR - MINUTE));
    send().await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn sessions_end_at_their_time() {
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let people = People::of(&fixture).await;
    people.allow("allowed", r#""Action":["s3:*","sts:*"],"Resource":"*""#).await;
    let start = clock.now();
    let made =
        call(&people.allowed, "sts", "Action=GetSessionToken&DurationSeconds=3600&Version=2011-06-15").await.is(200);
    let text = |name: &str| made.element(name).expect("credentials");
    let session = Raw {
        access_key: text("AccessKeyId"),
        secret_key: text("SecretAccessKey"),
        token: Some(text("SessionToken")),
        ..people.allowed.clone()
    };
    session.get("/bucket").await.is(200);
    // Back, it is as good as ever: nobody can make it last longer by that than until the clock is there again.
    back(&clock, DAY);
    session.get("/bucket").await.is(200);
    for late in [HOUR, DAY, YEAR] {
        clock.set(start.plus(late));
        session.get("/bucket").await.fails(400, "ExpiredToken");
    }
    clock.set(start.plus(HOUR - MINUTE));
    session.get("/bucket").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn the_newest_version_is_the_last_and_no_date_goes_back() {
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let raw = &fixture.raw;
    fixture.set_versioning("bucket", "Enabled").await;
    let mut versions = Vec::new();
    let start = clock.now();
    for time in [start, start.plus(YEAR), start.plus(HOUR), start, start.plus(2 * YEAR)] {
        clock.set(time);
        let answer = raw.put("/bucket/key", format!("{}", versions.len())).await.is(200);
        versions.insert(0, answer.version());
        raw.get("/bucket/key").await.is(200).has_body(format!("{}", versions.len() - 1));
    }
    let listed = raw.get("/bucket?versions").await.is(200);
    assert_eq!(listed.elements("VersionId"), versions);
    let dates = listed.elements("LastModified");
    assert!(dates.is_sorted_by(|newer, older| newer >= older), "{dates:?}");
    // Now the object is two years younger than the clock says, or older; conditions go by its own date.
    let modified = raw.head("/bucket/key").await.is(200).header("last-modified").expect("a date").to_owned();
    clock.set(start);
    let unmodified = raw.request("GET", "/bucket/key").header("if-unmodified-since", &modified);
    unmodified.send().await.is(200);
    fixture.stop().await;
}
