//! `strata replication`: what waits and what failed, sending what was there before, and whether two buckets are the same.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use strata_storage::{
    BucketName, ObjectKey, PutObject, QueueId, QueueName, Replica, Store, SystemClock, TaskOutcome, VersionSelector,
};

use crate::command_line::Shell;
use crate::replication::{configure, fixture, region, with_regions};
use crate::support::{Fixture, Raw};

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect("a bucket's name")
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).expect("a key")
}

/// A store whose bucket `bucket` is replicated to a store that is gone since, so that everything waits.
async fn with_a_dead_destination() -> Fixture {
    let far = fixture(&["far"]).await;
    let near = with_regions(&["bucket"], vec![region(&far.raw, &[])]).await;
    let raw = &near.raw;
    raw.put("/bucket/old", "1").await.is(200);
    raw.put("/bucket/old", "22").await.is(200);
    raw.delete("/bucket/old").await.is(204);
    raw.put("/bucket/other", "333").await.is(200);
    configure(raw, "bucket", "far").await.is(200);
    far.stop().await;
    near
}

async fn queue(store: &Store) -> QueueId {
    let id = store.bucket(&bucket("bucket")).await.expect("the bucket").id;
    QueueName::Replication { bucket: id, destination: "arn:aws:s3:::far".to_owned() }.id()
}

/// Waits until that is so.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

async fn status_of(raw: &Raw, target: &str) -> Option<String> {
    raw.head(target).await.is(200).header("x-amz-replication-status").map(str::to_owned)
}

#[tokio::test]
async fn what_was_there_before_is_sent() {
    let fixture = with_a_dead_destination().await;
    let (raw, shell) = (&fixture.raw, Shell::new(&fixture));
    assert_eq!(status_of(raw, "/bucket/other").await, None);
    raw.put("/bucket/new", "4444").await.is(200);
    let queues = shell.json(&["replication", "status"]).await["queues"].clone();
    assert_eq!((&queues[0]["waiting"], &queues[0]["waiting_bytes"]), (&Value::from(1), &Value::from(4)));
    assert_eq!((&queues[0]["rules"], &queues[0]["bucket"]), (&serde_json::json!(["all"]), &Value::from("bucket")));

    let asked = shell.json(&["replication", "resync", "bucket"]).await;
    // Three old versions and a marker are sent; the new one waits already.
    let expected = serde_json::json!({"examined": 5, "asked": 4, "skipped": 1, "failed": 0});
    assert_eq!(asked, expected);
    assert_eq!(status_of(raw, "/bucket/other").await.as_deref(), Some("PENDING"));
    let tasks = fixture.store().tasks(queue(fixture.store()).await, None, 10).await.expect("tasks");
    assert_eq!(tasks.len(), 5);
    // Again only the marker, which does not know.
    let text = shell.run(&["replication", "resync", "bucket", "--rule", "all"]).await;
    assert_eq!(text, "5 versions looked at: 1 will be sent, 4 need not be\n");
    let everything = shell.json(&["replication", "resync", "bucket", "--all"]).await;
    assert_eq!((&everything["asked"], &everything["skipped"]), (&Value::from(5), &Value::from(0)));

    let text = shell.run(&["status"]).await;
    assert!(text.contains("DESTINATION") && text.contains("arn:aws:s3:::far"), "{text}");
    let text = shell.run(&["replication", "status", "bucket"]).await;
    assert!(text.contains(" 11 ") && text.contains("arn:aws:s3:::far"), "{text}");
    for (arguments, reason) in [
        (&["replication", "resync", "bucket", "--rule", "none"][..], "no replication rule"),
        (&["replication", "resync", "nowhere"][..], "does not exist"),
        (&["events", "tail", "nowhere"][..], "does not exist"),
        (&["replication", "diff", "bucket"][..], "site-b"),
    ] {
        let (status, _, said) = shell.end(arguments).await;
        assert!(status == Some(1) && said.contains(reason), "{arguments:?}: {said}");
    }
    raw.delete("/bucket?replication").await.is(204);
    let (_, _, said) = shell.end(&["replication", "resync", "bucket"]).await;
    assert!(said.contains("has no replication rules"), "{said}");
    // What waits is not sent any more.
    until("it is dropped", async || {
        shell.json(&["replication", "status", "bucket"]).await["queues"] == serde_json::json!([])
    })
    .await;
    assert_eq!(status_of(raw, "/bucket/other").await, None);
    fixture.stop().await;
}

/// Puts aside what waits.
async fn put_aside(store: &Store, queue: QueueId) {
    for task in store.tasks(queue, None, 100).await.expect("tasks") {
        let outcome = TaskOutcome::PutAside { reason: "DstBucketNotFound".to_owned(), attempts: 3 };
        store.end_replication(queue, task, outcome).await.expect("it is put aside");
    }
}

#[tokio::test]
async fn what_failed_is_tried_again() {
    let fixture = with_a_dead_destination().await;
    let (raw, store, shell) = (&fixture.raw, fixture.store(), Shell::new(&fixture));
    raw.put("/bucket/a%20b", "1").await.is(200);
    raw.put("/bucket/c", "22").await.is(200);
    let queue = queue(store).await;
    put_aside(store, queue).await;
    assert_eq!(status_of(raw, "/bucket/c").await.as_deref(), Some("FAILED"));
    let failed = shell.json(&["replication", "failed", "bucket"]).await["tasks"].clone();
    assert_eq!(failed.as_array().map(Vec::len), Some(2), "{failed}");
    assert_eq!((&failed[0]["key"], &failed[0]["part"]), (&Value::from("a b"), &Value::from("object")));
    assert_eq!((&failed[1]["reason"], &failed[1]["attempts"]), (&Value::from("DstBucketNotFound"), &Value::from(3)));
    let text = shell.run(&["replication", "failed", "bucket"]).await;
    assert!(text.lines().count() == 2 && text.contains("DstBucketNotFound"), "{text}");

    assert_eq!(shell.run(&["replication", "retry", "bucket", "a b"]).await, "1 will be tried again\n");
    assert_eq!(status_of(raw, "/bucket/a%20b").await.as_deref(), Some("PENDING"));
    assert_eq!(status_of(raw, "/bucket/c").await.as_deref(), Some("FAILED"));
    assert_eq!(shell.json(&["replication", "retry", "bucket", "--all"]).await["retried"], 1);
    assert_eq!(shell.json(&["replication", "failed", "bucket"]).await["tasks"], serde_json::json!([]));
    assert_eq!(status_of(raw, "/bucket/c").await.as_deref(), Some("PENDING"));
    put_aside(store, queue).await;
    assert_eq!(status_of(raw, "/bucket/c").await.as_deref(), Some("FAILED"));
    // Existing objects are sent with what failed among them, once.
    let asked = shell.json(&["replication", "resync", "bucket"]).await;
    assert_eq!((&asked["failed"], &asked["examined"]), (&Value::from(0), &Value::from(6)), "{asked}");
    assert_eq!(shell.json(&["replication", "failed", "bucket"]).await["tasks"], serde_json::json!([]));
    assert_eq!(status_of(raw, "/bucket/c").await.as_deref(), Some("PENDING"));
    let again = shell.json(&["replication", "resync", "bucket"]).await;
    // Only the marker does not know that it waits.
    assert_eq!(again["asked"], 1, "{again}");
    put_aside(store, queue).await;
    assert_eq!(shell.run(&["replication", "drop", "bucket", "c"]).await, "1 are forgotten\n");
    assert_eq!(status_of(raw, "/bucket/c").await, None);
    shell.run(&["replication", "drop", "bucket", "--all"]).await;
    assert_eq!(shell.json(&["replication", "failed", "bucket"]).await["tasks"], serde_json::json!([]));
    raw.request("POST", "/-/admin/v1/replication/drop?bucket=bucket").send().await.fails(400, "InvalidArgument");
    raw.request("POST", "/-/admin/v1/replication/retry?bucket=bucket").send().await.fails(400, "InvalidArgument");
    fixture.stop().await;
}

/// Brings a version to another bucket as replication does.
async fn replicate(store: &Store, from: &str, name: &str, to: &str, content: &'static str) {
    let object = store.object(&bucket(from), &key(name), VersionSelector::Current).await.expect("the source");
    let staged = store.stage_bytes(content.as_bytes()).await.expect("it is staged");
    let info = object.info();
    let replica = Replica { version: info.stamp, null: false, changes: info.replication.changes, imported: false };
    let put = PutObject {
        replica: Some(replica),
        tags: info.tags.clone(),
        metadata: info.metadata.clone(),
        ..PutObject::new(bucket(to), key(name), staged)
    };
    store.put(put).await.expect("the replica");
}

#[tokio::test]
async fn buckets_are_compared() {
    let fixture = fixture(&["bucket", "copies"]).await;
    let (raw, store, shell) = (&fixture.raw, fixture.store(), Shell::new(&fixture));
    let diff = ["replication", "diff", "bucket", "--destination", "arn:aws:s3:::copies"];
    let with = |more: &[&'static str]| [&diff[..], more].concat();
    assert_eq!(shell.json(&diff).await, serde_json::json!({"differences": [], "versions": 0, "equal": true}));
    for name in ["a", "b/1", "b/2", "\u{fc}"] {
        let draft = raw.request("PUT", &format!("/bucket/{}", name.replace('\u{fc}', "%C3%BC")));
        draft.header("x-amz-meta-m", "1").header("x-amz-tagging", "t=1").body("content").send().await.is(200);
        replicate(store, "bucket", name, "copies", "content").await;
    }
    assert_eq!(shell.run(&diff).await, "arn:aws:s3:::copies: 4 versions here, 4 there\n");
    assert_eq!(shell.json(&with(&["--deep"])).await["equal"], true);

    // A version that is missing, one that is extra, a marker, and tags that are not the same.
    let missing = raw.put("/bucket/b/1", "newer").await.is(200).version();
    let extra = raw.put("/copies/c", "x").await.is(200).version();
    raw.delete("/bucket/b/2").await.is(204);
    let tags = "<Tagging><TagSet><Tag><Key>t</Key><Value>2</Value></Tag></TagSet></Tagging>";
    raw.put("/copies/a?tagging", tags).await.is(200);
    let (status, said, error) = shell.end(&with(&["--json"])).await;
    assert_eq!((status, error.as_str()), (Some(1), "strata: the two sides are not the same; differences: 5\n"));
    let found: Value = serde_json::from_str(&said).expect("JSON");
    let kinds = |found: &Value| -> Vec<String> {
        let found = found["differences"].as_array().expect("a list").iter();
        found.map(|one| format!("{} {} {}", one["kind"], one["key"], one["what"]).replace('"', "")).collect()
    };
    let expected =
        ["different b/1 [latest]", "missing b/1 []", "different b/2 [latest]", "missing b/2 []", "extra c []"];
    assert_eq!(kinds(&found), expected);
    assert_eq!((&found["differences"][1]["version_id"], &found["equal"]), (&Value::from(missing), &Value::from(false)));
    assert_eq!(found["differences"][4]["version_id"], Value::from(extra));
    let (status, said, _) = shell.end(&with(&["--no-markers", "--deep"])).await;
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    let words: Vec<&str> = lines.iter().map(|words| words[0]).collect();
    assert_eq!(
        (status, &words[..]),
        (Some(1), &["missing", "extra", "different", "arn:aws:s3:::copies:"][..]),
        "{said}"
    );
    assert_eq!(lines[2][2..], ["a", "(tag", "t)"], "{said}");
    // What is current alone: of a key that is a marker here, the other side has too much.
    let (status, said, _) = shell.end(&with(&["--current", "--json"])).await;
    let found: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (status, &kinds(&found)[..]),
        (Some(1), &["different b/1 [etag,size]", "extra b/2 []", "extra c []"].map(str::to_owned)[..])
    );
    let (status, said, _) = shell.end(&with(&["--prefix", "\u{fc}", "--deep"])).await;
    assert_eq!((status, said.as_str()), (Some(0), "arn:aws:s3:::copies: 1 versions here, 1 there\n"));
    let (status, _, said) = shell.end(&["replication", "diff", "bucket"]).await;
    assert!(status == Some(2) && said.contains("name a --destination"), "{said}");
    fixture.stop().await;
}

#[tokio::test]
async fn buckets_of_other_stores_are_compared() {
    let far = fixture(&["far"]).await;
    let near = with_regions(&["bucket"], vec![region(&far.raw, &[])]).await;
    let shell = Shell::new(&near);
    for number in 0..3 {
        near.raw.put(&format!("/bucket/k%20{number}%2B"), "x").await.is(200);
        far.raw.put(&format!("/far/k%20{number}%2B"), "x").await.is(200);
    }
    far.raw.delete("/far/k%200%2B").await.is(204);
    let diff = ["replication", "diff", "bucket", "--destination", "arn:aws:s3:::far", "--deep", "--json"];
    let (status, said, _) = shell.end(&diff).await;
    let found: Value = serde_json::from_str(&said).expect("JSON");
    let kinds: Vec<&str> =
        found["differences"].as_array().expect("a list").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(status, Some(1));
    assert_eq!(kinds, ["missing", "extra", "extra", "missing", "extra", "missing", "extra"]);
    assert_eq!(found["differences"][0]["key"], "k 0+");
    // What only the other store knows of a version.
    let version = far.raw.put("/far/k", "x").await.is(200).version();
    let asked = serde_json::json!([{"key": "k", "version_id": version}, {"key": "none", "version_id": "null"}]);
    let target = "/-/admin/v1/replication/details?bucket=bucket&destination=arn:aws:s3:::far";
    let answer = near.raw.request("POST", target).body(asked.to_string()).send().await.is(200);
    let found: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(found["versions"][0]["headers"]["content-type"], "binary/octet-stream");
    assert_eq!(found["versions"][1], Value::Null);
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn only_the_root_looks_after_replication() {
    let fixture = Fixture::start_with(|_| {}, Arc::new(SystemClock)).await;
    let stranger = crate::people::user(&fixture.raw, "stranger").await;
    for (method, topic) in [
        ("GET", "status"),
        ("GET", "failed"),
        ("POST", "retry"),
        ("POST", "drop"),
        ("POST", "resync"),
        ("GET", "listing"),
        ("POST", "details"),
    ] {
        let target = format!("/-/admin/v1/replication/{topic}?bucket=bucket");
        stranger.request(method, &target).send().await.fails(403, "AccessDenied");
        fixture.raw.request("DELETE", &target).send().await.fails(405, "MethodNotAllowed");
    }
    fixture.stop().await;
}
