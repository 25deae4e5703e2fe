//! Quotas over the wire: the admin API that sets them, the command, and what writes answer that exceed them.

use serde_json::Value;

use crate::support::{Answer, Fixture};

const BUCKETS: &str = "/-/admin/v1/buckets";

fn first(answer: &Answer) -> Value {
    let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
    document["buckets"][0].clone()
}

#[tokio::test]
async fn writes_beyond_a_quota_are_refused() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let set = raw.post(&format!("{BUCKETS}/quota?bucket=bucket&bytes=1000&objects=2"), "").await.is(200);
    assert_eq!((&first(&set)["quota_bytes"], &first(&set)["quota_objects"]), (&Value::from(1000), &Value::from(2)));
    raw.put("/bucket/a", vec![b'x'; 600]).await.is(200);
    raw.put("/bucket/b", vec![b'x'; 500])
        .await
        .fails_saying(403, "QuotaExceeded", "The bucket may hold at most 1000 bytes, of which 400 are left.")
        .has("Limit", "1000")
        .has("Left", "400");
    let copy = raw.request("PUT", "/bucket/b").header("x-amz-copy-source", "/bucket/a");
    copy.send().await.fails(403, "QuotaExceeded");
    raw.put("/bucket/a", vec![b'x'; 1000]).await.is(200);
    let id = raw.post("/bucket/c?uploads", "").await.is(200).element("UploadId").expect("an id");
    let part = format!("/bucket/c?partNumber=1&uploadId={id}");
    raw.put(&part, "x").await.fails(403, "QuotaExceeded");
    let part_copy = raw.request("PUT", &part).header("x-amz-copy-source", "/bucket/a");
    part_copy.send().await.fails(403, "QuotaExceeded");
    raw.delete("/bucket/a").await.is(204);
    raw.put(&part, "x").await.is(200);
    raw.put("/bucket/a", "").await.is(200);
    raw.put("/bucket/b", "").await.is(200);
    raw.put("/bucket/d", "").await.fails_saying(
        403,
        "QuotaExceeded",
        "The bucket may hold at most 2 object versions, of which 0 are left.",
    );
    let told = first(&raw.get(&format!("{BUCKETS}?bucket=bucket")).await.is(200));
    assert_eq!((&told["objects"], &told["bytes"]), (&Value::from(2), &Value::from(1)));
    // One limit changes, and the other one stays.
    raw.post(&format!("{BUCKETS}/quota?bucket=bucket&objects=none"), "").await.is(200);
    raw.put("/bucket/d", "").await.is(200);
    raw.put("/bucket/e", vec![b'x'; 1000]).await.fails(403, "QuotaExceeded");
    raw.post(&format!("{BUCKETS}/quota?bucket=bucket&bytes=none"), "").await.is(200);
    raw.put("/bucket/e", vec![b'x'; 1000]).await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn the_admin_api_lists_buckets() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/another", "").await.is(200);
    let answer = raw.get(BUCKETS).await.is(200);
    let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let names: Vec<&str> =
        document["buckets"].as_array().expect("a list").iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["another", "bucket"]);
    assert_eq!(document["buckets"][1]["versioning"], "enabled");
    raw.get(&format!("{BUCKETS}?bucket=missing")).await.fails(404, "NoSuchBucket");
    raw.post(&format!("{BUCKETS}/quota"), "").await.fails(400, "InvalidArgument");
    raw.post(&format!("{BUCKETS}/quota?bucket=bucket&bytes=-1"), "").await.fails(400, "InvalidArgument");
    raw.post(&format!("{BUCKETS}/quota?bucket=missing&bytes=1"), "").await.fails(404, "NoSuchBucket");
    raw.get(&format!("{BUCKETS}/quota?bucket=bucket")).await.fails(405, "MethodNotAllowed");
    fixture.stop().await;
}
