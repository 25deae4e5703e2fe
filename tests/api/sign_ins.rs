//! Those who keep failing to sign in are slowed down, each by the address that is the client's own.

use std::time::Duration;

use crate::support::{Answer, Fixture, Raw};

/// A client that guesses.
fn guessing(fixture: &Fixture) -> Raw {
    Raw { secret_key: "not the secret".to_owned(), ..fixture.raw.clone() }
}

#[tokio::test]
async fn whoever_keeps_failing_is_slowed_down() {
    let (fixture, clock) = Fixture::with_clock("bucket", |config| config.limits.failures_per_minute = 3).await;
    let guessing = guessing(&fixture);
    for _ in 0..4 {
        guessing.get("/bucket").await.fails(403, "SignatureDoesNotMatch");
    }
    guessing.get("/bucket").await.fails(503, "SlowDown");
    fixture.raw.get("/bucket").await.fails(503, "SlowDown");
    let unknown = Raw { access_key: "SOMEBODY".to_owned(), ..guessing.clone() };
    unknown.get("/bucket").await.fails(503, "SlowDown");
    // Nothing was signed here, so nothing was guessed.
    fixture.raw.request("GET", "/bucket").unsigned().send().await.fails(403, "AccessDenied");
    clock.advance(Duration::from_secs(1));
    fixture.raw.get("/bucket").await.is(200);
    guessing.get("/-/admin/v1/status").await.fails(403, "SignatureDoesNotMatch");
    fixture.stop().await;
}

#[tokio::test]
async fn clients_behind_a_proxy_are_told_apart() {
    async fn from(raw: &Raw, address: &str) -> Answer {
        raw.request("GET", "/bucket").header("x-forwarded-for", address).send().await
    }
    let (fixture, _clock) = Fixture::with_clock("bucket", |config| {
        config.limits.failures_per_minute = 3;
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let guessing = guessing(&fixture);
    for _ in 0..4 {
        from(&guessing, "192.0.2.1").await.fails(403, "SignatureDoesNotMatch");
    }
    from(&guessing, "192.0.2.1").await.fails(503, "SlowDown");
    from(&guessing, "1.1.1.1, 192.0.2.1").await.fails(503, "SlowDown");
    from(&fixture.raw, "192.0.2.2").await.is(200);
    from(&fixture.raw, "192.0.2.2, nonsense").await.fails(400, "InvalidRequest");
    fixture.raw.get("/bucket").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn nobody_escapes_by_claiming_another_address() {
    let (fixture, _clock) = Fixture::with_clock("bucket", |config| config.limits.failures_per_minute = 3).await;
    let guessing = guessing(&fixture);
    for number in 0..5 {
        let request = guessing.request("GET", "/bucket").header("x-forwarded-for", &format!("192.0.2.{number}"));
        let answer = request.header("forwarded", "not even well formed").send().await;
        assert_eq!(answer.status, if number < 4 { 403 } else { 503 });
    }
    fixture.stop().await;
}
