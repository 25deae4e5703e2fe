//! Rules that change while versions wait, and destinations that are not where they were.

use strata::replication::{Place, Places};
use strata_storage::{BucketChange, BucketName, Replication};

use crate::command_line::Shell;
use crate::people::People;
use crate::replication::{ROLE, configuration, configure, fixture, put, region, to, with_regions};
use crate::replication_faults::{replicating, status};
use crate::replication_proxy::{Proxy, Verdict};
use crate::support::Fixture;

const FAR: &str = "arn:aws:s3:::far";

fn bucket() -> BucketName {
    BucketName::parse("bucket").expect("a name")
}

async fn rules(near: &Fixture) -> Replication {
    let bucket = near.store().bucket(&bucket()).await.expect("the bucket");
    bucket.replication.clone().expect("rules")
}

/// Says that the rules were set when their destination was there.
async fn place(near: &Fixture, place: Place) {
    let mut places = Places::default();
    places.set(FAR, place);
    let places = places.to_stored().expect("bytes").into();
    let change = BucketChange::PlacedReplication { replication: rules(near).await, places };
    near.store().change_bucket(&bucket(), change).await.expect("changed");
}

async fn trouble(near: &Fixture) -> String {
    let queues = Shell::new(near).json(&["replication", "status", "bucket"]).await["queues"].clone();
    queues[0]["trouble"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn nobody_takes_the_place_of_a_destination() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, 2).await;
    let people = People::of(&near).await;
    people.other.put("/far", "").await.is(200);
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    people.other.put("/far?versioning", versioning).await.is(200);
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{ROLE}"}},"Action":"s3:*","Resource":"arn:aws:s3:::far/*"}}]}}"#
    );
    people.other.put("/far?policy", policy).await.is(204);
    near.raw.put("/bucket/a", "x").await.is(200);
    proxy.until("the object", async || status(&near.raw, "a").await == "COMPLETED").await;
    far.raw.get("/far/a").await.is(200);
    people.other.get("/far/a").await.fails(404, "NoSuchKey");
    // So it is with rules of which it is not known where their destination was.
    let unplaced = BucketChange::Replication(Some(rules(&near).await));
    near.store().change_bucket(&bucket(), unplaced).await.expect("changed");
    near.raw.put("/bucket/b", "x").await.is(200);
    proxy.until("the object", async || status(&near.raw, "b").await == "COMPLETED").await;
    people.other.get("/far/b").await.fails(404, "NoSuchKey");
    // A bucket of this store that is another account's now is waited for.
    place(&near, Place::Here(strata_storage::AccountId::ROOT)).await;
    near.raw.put("/bucket/c", "x").await.is(200);
    proxy.until("the trouble", async || trouble(&near).await.contains("belongs to another account")).await;
    assert_eq!(status(&near.raw, "c").await, "PENDING");
    people.other.get("/far/c").await.fails(404, "NoSuchKey");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn accounts_own_what_they_are_sent() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, 2).await;
    let mut replication = rules(&near).await;
    replication.rules[0].destination.account = strata_storage::AccountId::parse("111122223333");
    let change = BucketChange::Replication(Some(replication));
    near.store().change_bucket(&bucket(), change).await.expect("changed");
    near.raw.put("/bucket/a", "x").await.is(200);
    proxy.until("the refusal", async || status(&near.raw, "a").await == "FAILED").await;
    far.raw.get("/far/a").await.fails(404, "NoSuchKey");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn a_region_that_is_missing_from_the_settings_is_waited_for() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, 2).await;
    place(&near, Place::There("site-x".to_owned())).await;
    for key in ["a", "b", "c"] {
        near.raw.put(&format!("/bucket/{key}"), "x").await.is(200);
    }
    proxy.until("the trouble", async || trouble(&near).await.contains("no region site-x")).await;
    place(&near, Place::There("site-b".to_owned())).await;
    for key in ["a", "b", "c"] {
        proxy.until("the objects", async || status(&near.raw, key).await == "COMPLETED").await;
    }
    assert_eq!(trouble(&near).await, "");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn a_destination_that_is_away_keeps_no_other_rule_from_changing() {
    let far = fixture(&["far"]).await;
    let near = with_regions(&["bucket", "near"], vec![region(&far.raw, &["far"])]).await;
    let raw = &near.raw;
    let document = configuration(ROLE, &to("far"));
    put(raw, "/bucket?replication", document.clone()).await.is(200);
    far.stop().await;
    put(raw, "/bucket?replication", document.clone()).await.is(200);
    let (head, rule) = document.split_once("<Rule>").expect("a rule");
    let other = rule.replace("<ID>all</ID>", "<ID>other</ID>").replace(":far", ":near");
    let both = format!("{head}<Rule>{}<Rule>{other}", rule.replace("</ReplicationConfiguration>", ""));
    put(raw, "/bucket?replication", both).await.is(200);
    let changed = document.replace("<Filter></Filter>", "<Filter><Prefix>a</Prefix></Filter>");
    put(raw, "/bucket?replication", changed.clone()).await.fails(400, "InvalidRequest");
    let disabled = changed.replacen("<Status>Enabled", "<Status>Disabled", 1);
    put(raw, "/bucket?replication", disabled).await.is(200);
    put(raw, "/bucket?replication", changed).await.fails(400, "InvalidRequest");
    near.stop().await;
}

#[tokio::test]
async fn what_waits_goes_by_the_rules_of_now() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, 2).await;
    let raw = &near.raw;
    let set = async |document: String| drop(put(raw, "/bucket?replication", document).await.is(200));
    let document = configuration(ROLE, &to("far"));
    let nameless = document.replace("<ID>all</ID>", "");
    set(nameless.clone()).await;
    let id = rules(&near).await.rules[0].id.clone();
    set(nameless).await;
    assert_eq!(rules(&near).await.rules[0].id, id);
    let refuse = || {
        proxy.judge(|line| match line.starts_with("PUT") || line.starts_with("DELETE") {
            true => Verdict::Answer(503, "SlowDown"),
            false => Verdict::Pass,
        });
    };
    refuse();
    raw.put("/bucket/renamed", "x").await.is(200);
    set(document.replace("<ID>all</ID>", "<ID>renamed</ID>")).await;
    proxy.until("an attempt", async || !proxy.seen("PUT", "/far/renamed").is_empty()).await;
    proxy.judge(|_| Verdict::Pass);
    proxy.until("the object", async || status(raw, "renamed").await == "COMPLETED").await;
    // By rules that do not send it any more, it is not sent.
    for (key, rules) in [
        ("disabled", Some(document.replacen("<Status>Enabled", "<Status>Disabled", 1))),
        ("other", Some(document.replace("<Filter></Filter>", "<Filter><Prefix>a</Prefix></Filter>"))),
        ("deleted", None),
    ] {
        configure(raw, "bucket", "far").await.is(200);
        refuse();
        raw.put(&format!("/bucket/{key}"), "x").await.is(200);
        proxy.until("an attempt", async || !proxy.seen("PUT", &format!("/far/{key}")).is_empty()).await;
        assert_eq!(status(raw, key).await, "PENDING");
        match rules {
            // Another id, so that the rule is not the same.
            Some(rules) => set(rules.replace("<ID>all</ID>", "<ID>now</ID>")).await,
            None => drop(raw.delete("/bucket?replication").await.is(204)),
        }
        proxy.until("the end of it", async || status(raw, key).await.is_empty()).await;
        // Nothing is held up any more.
        proxy.until("no trouble", async || trouble(&near).await.is_empty()).await;
        proxy.judge(|_| Verdict::Pass);
    }
    let failed = Shell::new(&near).json(&["replication", "failed", "bucket"]).await;
    assert_eq!(failed["tasks"], serde_json::json!([]));
    near.stop().await;
    far.stop().await;
}
