//! What cannot be replicated, and what becomes of the rest meanwhile.

use std::path::Path;

use strata_storage::{BucketChange, BucketName, EventKind, EventKinds, NotificationRule, QueueName, Store, Work};

use crate::command_line::Shell;
use crate::people::{call, encoded};
use crate::replication::{configure, configure_timed, fixture, region};
use crate::replication_proxy::{Proxy, Verdict};
use crate::support::{Fixture, Raw};

const ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
/// Versions that may be on their way at once.
const CONCURRENCY: usize = 2;

/// A store with the bucket `bucket`, which is replicated to the bucket `far` behind the proxy.
pub async fn replicating(proxy: &Proxy, concurrency: usize) -> Fixture {
    let regions = vec![region(&proxy.raw, &[])];
    let near = Fixture::start_with(
        |config| {
            config.regions = regions;
            config.replication.concurrency = concurrency;
            config.replication.part_bytes = 5 << 20;
        },
        std::sync::Arc::new(strata_storage::SystemClock),
    );
    let near = near.await;
    near.raw.put("/bucket", "").await.is(200);
    near.set_versioning("bucket", "Enabled").await;
    crate::replication::make_role(&near.raw).await;
    let form = format!("Action=PutRolePolicy&RoleName=replication&PolicyName=all&PolicyDocument={}", encoded(ALL));
    call(&near.raw, "iam", &form).await.is(200);
    configure(&near.raw, "bucket", "far").await.is(200);
    near
}

/// The replication status of an object.
pub async fn status(raw: &Raw, key: &str) -> String {
    let answer = raw.head(&format!("/bucket/{key}")).await.is(200);
    answer.header("x-amz-replication-status").unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_never_arrives_does_not_hold_the_rest() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    proxy.judge(|line| match line.contains("/far/bad-") {
        true => Verdict::Answer(500, "InternalError"),
        false => Verdict::Pass,
    });
    let near = replicating(&proxy, CONCURRENCY).await;
    let raw = &near.raw;
    // More than may be on their way at once, and before all others.
    for number in 0..2 * CONCURRENCY {
        raw.put(&format!("/bucket/bad-{number}"), "x").await.is(200);
    }
    proxy.until("the first attempt", async || !proxy.seen("PUT", "/far/bad-").is_empty()).await;
    for number in 0..20 {
        raw.put(&format!("/bucket/good-{number}"), "x").await.is(200);
    }
    for number in 0..20 {
        let key = format!("good-{number}");
        proxy.until("what can be sent", async || status(raw, &key).await == "COMPLETED").await;
    }
    for number in 0..2 * CONCURRENCY {
        let key = format!("bad-{number}");
        proxy
            .until("what cannot be sent", async || {
                // Only what others pass by is given up.
                raw.put("/bucket/good", "x").await.is(200);
                status(raw, &key).await == "FAILED"
            })
            .await;
        let attempts = proxy.seen("PUT", &format!("/far/{key}")).len();
        assert!((10..100).contains(&attempts), "{key}: {attempts}");
    }
    let failed = Shell::new(&near).json(&["replication", "failed", "bucket"]).await["tasks"].clone();
    assert_eq!(failed.as_array().map(Vec::len), Some(2 * CONCURRENCY), "{failed}");
    assert_eq!(failed[0]["reason"], "the destination answers 500 InternalError");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn a_destination_that_is_away_is_waited_for() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, CONCURRENCY).await;
    let raw = &near.raw;
    proxy.judge(|line| match line.starts_with("PUT") {
        true => Verdict::Answer(503, "ServiceUnavailable"),
        false => Verdict::Pass,
    });
    for number in 0..4 {
        raw.put(&format!("/bucket/{number}"), "x").await.is(200);
    }
    proxy.until("attempts", async || proxy.seen("PUT", "/far/").len() >= 12).await;
    let queues = Shell::new(&near).json(&["replication", "status", "bucket"]).await["queues"].clone();
    assert_eq!((&queues[0]["waiting"], &queues[0]["failed"]), (&4.into(), &0.into()), "{queues}");
    proxy.judge(|_| Verdict::Pass);
    for number in 0..4 {
        let key = number.to_string();
        proxy.until("all of it", async || status(raw, &key).await == "COMPLETED").await;
    }
    near.stop().await;
    far.stop().await;
}

/// Changes a byte in the middle of each segment.
fn damage(directory: &Path) {
    let mut files = vec![directory.to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("a segment");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("a segment that can be written");
    }
}

#[tokio::test]
async fn a_damaged_source_is_given_up_and_the_rest_goes_on() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, 1).await;
    let raw = &near.raw;
    proxy.judge(|_| Verdict::Answer(503, "SlowDown"));
    raw.put("/bucket/damaged", vec![7_u8; 300_000]).await.is(200);
    damage(&near.data().join("segments"));
    raw.put("/bucket/sound", "x").await.is(200);
    proxy.judge(|_| Verdict::Pass);
    proxy.until("the sound one", async || status(raw, "sound").await == "COMPLETED").await;
    proxy.until("the damaged one", async || status(raw, "damaged").await == "FAILED").await;
    let failed = Shell::new(&near).json(&["replication", "failed", "bucket"]).await["tasks"].clone();
    assert_eq!((&failed[0]["key"], &failed[0]["attempts"]), (&"damaged".into(), &3.into()), "{failed}");
    let reason = failed[0]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.starts_with("the source is damaged"), "{reason}");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn metadata_that_no_header_carries_arrives() {
    for is_strata in [true, false] {
        let far = fixture(&["far"]).await;
        let proxy = if is_strata { Proxy::to(&far.raw).await } else { Proxy::to_a_stranger(&far.raw).await };
        let near = replicating(&proxy, CONCURRENCY).await;
        let headers = [("x-amz-meta-bell", "=?UTF-8?Q?=07?="), ("x-amz-meta-plain", "a"), ("content-type", "text/x-a")];
        near.raw.request("PUT", "/bucket/a").headers(&headers).body("x").send().await.is(200);
        proxy.until("the object", async || status(&near.raw, "a").await == "COMPLETED").await;
        let missing = is_strata.then_some("1");
        let found = far.raw.head("/far/a").await.is(200).has_header("x-amz-missing-meta", missing);
        found.has_headers(&[("x-amz-meta-plain", "a"), ("content-type", "text/x-a")]);
        let name = |name: &str| strata_storage::BucketName::parse(name).expect("a name");
        let key = strata_storage::ObjectKey::parse("a").expect("a key");
        let current = strata_storage::VersionSelector::Current;
        let theirs = far.store().object(&name("far"), &key, current).await.expect("the replica");
        let ours = near.store().object(&name("bucket"), &key, current).await.expect("the source");
        match is_strata {
            true => assert_eq!(theirs.info().metadata, ours.info().metadata),
            false => assert_eq!(theirs.info().metadata.user, [("plain".to_owned(), "a".to_owned())]),
        }
        drop((theirs, ours));
        near.stop().await;
        far.stop().await;
    }
}

/// Keeps what is told of replication in a queue that nobody reads.
async fn keep_events(store: &Store) {
    let rule = NotificationRule {
        id: "all".to_owned(),
        target: "nobody".to_owned(),
        kinds: EventKinds::all(),
        prefix: String::new(),
        suffix: String::new(),
    };
    let name = BucketName::parse("bucket").expect("a name");
    let change = BucketChange::Notifications { rules: vec![rule], document: None };
    store.change_bucket(&name, change).await.expect("changed");
}

/// What was told of the keys of those objects that are not tracked any more.
async fn not_tracked(store: &Store) -> Vec<String> {
    let queue = QueueName::Events { target: "nobody".to_owned() };
    let tasks = store.tasks(queue.id(), None, 1000).await.expect("tasks");
    let keys = tasks.into_iter().filter_map(|task| match task.work {
        Work::Event(event) if event.kind == EventKind::ReplicationNotTracked => Some(event.key.clone()),
        _ => None,
    });
    keys.collect()
}

#[tokio::test]
async fn what_time_control_tracks_no_more_is_told() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, CONCURRENCY).await;
    let (raw, store) = (&near.raw, near.store());
    configure_timed(raw, "bucket", "far", true).await;
    keep_events(store).await;
    proxy.judge(|line| match line.starts_with("PUT") || line.starts_with("DELETE") {
        true => Verdict::Answer(503, "SlowDown"),
        false => Verdict::Pass,
    });
    let gone = raw.put("/bucket/gone", "x").await.is(200).version();
    let marked = raw.delete("/bucket/marked").await.is(204).version();
    raw.put("/bucket/kept", "x").await.is(200);
    for key in ["gone", "marked", "kept"] {
        proxy.until("attempts", async || !proxy.seen("", &format!("/far/{key}")).is_empty()).await;
    }
    assert!(not_tracked(store).await.is_empty());
    for target in [format!("/bucket/gone?versionId={gone}"), format!("/bucket/marked?versionId={marked}")] {
        raw.delete(&target).await.is(204);
    }
    proxy.until("the event", async || not_tracked(store).await == ["gone"]).await;
    configure_timed(raw, "bucket", "far", false).await;
    proxy.until("the other event", async || not_tracked(store).await == ["gone", "kept"]).await;
    proxy.judge(|_| Verdict::Pass);
    proxy.until("the object", async || status(raw, "kept").await == "COMPLETED").await;
    assert_eq!(not_tracked(store).await, ["gone", "kept"]);
    near.stop().await;
    far.stop().await;
}
