//! The admin API: only for the root credentials, and what it says of a store.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Fixture, Raw};

const ADMIN: &str = "/-/admin/v1";

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.request);
    serde_json::from_slice(&answer.body).expect("JSON")
}

async fn put(raw: &Raw, target: &str, class: &str, size: usize) {
    let request = raw.request("PUT", target).header("x-amz-storage-class", class).body(vec![b'x'; size]);
    request.send().await.is(200);
}

#[tokio::test]
async fn only_for_the_root_credentials() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let mut foreign = raw.clone();
    foreign.access_key = "AKIAIOSFODNN7EXAMPLE".to_owned();
    let mut wrong = raw.clone();
    wrong.secret_key = "wrong".to_owned();
    for (method, topic) in [
        ("GET", "status"),
        ("GET", "info"),
        ("GET", "buckets"),
        ("POST", "buckets/quota?bucket=bucket&bytes=1"),
        ("GET", "zones"),
        ("POST", "zones/add?name=a&path=/a"),
        ("POST", "zones/drain?name=data"),
        ("GET", "cost"),
        ("GET", "projection?bucket=bucket"),
        ("POST", "lifecycle-preview?bucket=bucket"),
        ("GET", "nothing"),
    ] {
        let target = format!("{ADMIN}/{topic}");
        raw.request(method, &target).unsigned().send().await.fails(403, "AccessDenied");
        foreign.request(method, &target).send().await.fails(403, "InvalidAccessKeyId");
        wrong.request(method, &target).send().await.fails(403, "SignatureDoesNotMatch");
    }
    raw.get(&format!("{ADMIN}/nothing")).await.fails(404, "NoSuchResource");
    raw.post(&format!("{ADMIN}/status"), "").await.fails(405, "MethodNotAllowed");
    raw.get(&format!("{ADMIN}/lifecycle-preview?bucket=bucket")).await.fails(405, "MethodNotAllowed");
    // The body belongs to what is signed.
    let mut request = raw.request("POST", &format!("{ADMIN}/cost")).payload(&"0".repeat(64)).body("x").build();
    request.headers_mut().insert("content-length", 1.into());
    raw.send(request).await.fails(400, "XAmzContentSHA256Mismatch");
    raw.request("GET", &format!("{ADMIN}/status")).presigned(Duration::from_secs(60)).send().await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn status_and_info() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let status = json(&raw.get(&format!("{ADMIN}/status")).await.is(200));
    assert_eq!(status["state"], "ready");
    assert!(status["workers"].is_array());
    put(raw, "/bucket/a", "STANDARD", 1000).await;
    put(raw, "/bucket/b", "STANDARD_IA", 200_000).await;
    let info = json(&raw.get(&format!("{ADMIN}/info")).await.is(200));
    assert_eq!((&info["objects"], &info["bytes"]), (&Value::from(2), &Value::from(201_000)));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["store_id"].as_str().map(str::len), Some(32));
    assert!(info["zones"][0]["free_bytes"].as_u64().expect("a number") > 0);
    let classes: Vec<&str> =
        info["classes"].as_array().expect("classes").iter().filter_map(|class| class["class"].as_str()).collect();
    assert_eq!(classes, ["STANDARD", "STANDARD_IA"]);
    fixture.stop().await;
}

/// The line of a class in a bill.
fn line<'v>(cost: &'v Value, class: &str) -> &'v Value {
    let lines = cost["lines"].as_array().expect("lines");
    lines.iter().find(|line| line["class"] == class).unwrap_or_else(|| panic!("no {class} in {cost}"))
}

#[tokio::test]
async fn costs_count_requests_by_class() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/other", "").await.is(200);
    put(raw, "/other/a", "STANDARD", 10).await;
    put(raw, "/bucket/a", "STANDARD", 10).await;
    put(raw, "/bucket/b", "STANDARD_IA", 1000).await;
    raw.get("/bucket/b").await.is(200);
    raw.request("GET", "/bucket/b").header("range", "bytes=0-99").send().await.is(206);
    raw.head("/bucket/b").await.is(200);
    raw.get("/bucket/missing").await.is(404);
    raw.get("/bucket?list-type=2").await.is(200);
    raw.delete("/bucket/a").await.is(204);
    let copy = raw.request("PUT", "/bucket/c").header("x-amz-copy-source", "/bucket/b");
    copy.send().await.is(200);
    let cost = json(&raw.get(&format!("{ADMIN}/cost?bucket=bucket")).await.is(200));
    let (standard, cool) = (line(&cost, "STANDARD"), line(&cost, "STANDARD_IA"));
    // Creating the bucket, writing, listing, copying.
    assert_eq!((&standard["write_requests"], &standard["read_requests"]), (&Value::from(4), &Value::from(0)));
    assert_eq!((&cool["write_requests"], &cool["read_requests"]), (&Value::from(1), &Value::from(3)));
    assert_eq!(cool["retrieved_bytes"], 1000 + 100 + 1000);
    assert_eq!(cool["billable_bytes"], 131_072);
    let requests = cool["cost"]["requests"].as_f64().expect("an amount");
    assert!((requests - 0.000_013).abs() < 1e-12, "{requests}");
    // Overwriting it early is charged.
    put(raw, "/bucket/b", "STANDARD", 10).await;
    let cost = json(&raw.get(&format!("{ADMIN}/cost?bucket=bucket")).await.is(200));
    assert!(line(&cost, "STANDARD_IA")["cost"]["early_delete"].as_f64().expect("an amount") > 0.0);
    assert!(cost["total"]["total"].as_f64().expect("an amount") > 0.0);
    let all = json(&raw.get(&format!("{ADMIN}/cost")).await.is(200));
    assert!(all["lines"].as_array().expect("lines").iter().any(|line| line["bucket"] == "other"));
    assert_eq!((&all["currency"], &all["prices_date"]), (&Value::from("USD"), &Value::from("2026-08-01")));
    raw.get(&format!("{ADMIN}/cost?bucket=missing")).await.fails(404, "NoSuchBucket");
    raw.get(&format!("{ADMIN}/cost?bucket=-")).await.fails(400, "InvalidBucketName");
    raw.post(&format!("{ADMIN}/cost"), "nonsense").await.fails(400, "InvalidRequest");
    fixture.stop().await;
}

fn rules(action: &str) -> String {
    format!("<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status>{action}</Rule></LifecycleConfiguration>")
}

#[tokio::test]
async fn previews_change_nothing() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    put(raw, "/bucket/large", "STANDARD", 200_000).await;
    put(raw, "/bucket/small", "STANDARD", 10).await;
    let action = "<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>\
                  <Expiration><Days>200</Days></Expiration>";
    let target = format!("{ADMIN}/lifecycle-preview?bucket=bucket&days=365");
    let preview = json(&raw.post(&target, rules(action)).await.is(200));
    let events: Vec<(&str, &str, &str)> = preview["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap_or("");
            (text("key"), text("action"), text("to"))
        })
        .collect();
    assert_eq!(events, [("large", "transition", "GLACIER"), ("large", "expire", ""), ("small", "expire", "")]);
    assert_eq!(preview["projection"]["removed_versions"], 2);
    assert!(preview["next"].is_null());
    let unchanged = preview["projection"]["unchanged"].as_f64().expect("an amount");
    assert!(preview["projection"]["followed"].as_f64().expect("an amount") < unchanged);
    raw.get("/bucket?lifecycle").await.fails(404, "NoSuchLifecycleConfiguration");
    // What the rules are not, they are not here either.
    raw.post(&target, "<nonsense").await.fails(400, "MalformedXML");
    raw.post(&target, rules("")).await.fails(400, "InvalidRequest");
    let early = "<Transition><Days>3</Days><StorageClass>STANDARD_IA</StorageClass></Transition>";
    raw.post(&target, rules(early)).await.fails(400, "InvalidArgument");
    for (query, code) in [
        ("days=365", "InvalidArgument"),
        ("bucket=bucket&days=0", "InvalidArgument"),
        ("bucket=bucket&after=zz", "InvalidArgument"),
        ("bucket=missing", "NoSuchBucket"),
    ] {
        let answer = raw.post(&format!("{ADMIN}/lifecycle-preview?{query}"), rules(action)).await;
        assert_eq!(answer.element("Code").as_deref(), Some(code), "{query}");
    }
    // Installed rules are what a projection follows.
    raw.request("PUT", "/bucket?lifecycle").md5_of(rules(action).as_bytes()).body(rules(action)).send().await.is(200);
    let projection = json(&raw.get(&format!("{ADMIN}/projection?bucket=bucket&days=365")).await.is(200));
    assert_eq!(projection["projection"]["removed_versions"], 2);
    fixture.stop().await;
}
