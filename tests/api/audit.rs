//! The audit log's file: which requests it records, and that no secret gets into it.

use std::sync::Arc;

use serde_json::Value;
use strata_storage::SystemClock;

use crate::support::Fixture;

/// What must not be in any record.
const SECRET: &str = "hush-a-secret";

async fn with_file() -> (Fixture, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("audit.log");
    let fixture = Fixture::start_with(|config| config.audit.file = Some(file), Arc::new(SystemClock)).await;
    (fixture, directory)
}

/// All records, once the server stopped, and their text.
async fn records(fixture: Fixture, directory: &tempfile::TempDir) -> (Vec<Value>, String) {
    fixture.stop().await;
    let text = std::fs::read_to_string(directory.path().join("audit.log")).expect("the audit log");
    (text.lines().map(|line| serde_json::from_str(line).expect("a record in JSON")).collect(), text)
}

#[tokio::test]
async fn changes_are_recorded_and_reads_are_not() {
    let (fixture, directory) = with_file().await;
    let raw = &fixture.raw;
    raw.put("/bucket", "").await.is(200);
    raw.put("/bucket/key", "x").await.is(200);
    raw.get("/bucket/key").await.is(200);
    raw.get("/bucket?versioning").await.is(200);
    fixture.set_versioning("bucket", "Enabled").await;
    raw.put("/missing?versioning", "<x/>").await.fails(404, "NoSuchBucket");
    raw.delete("/bucket").await.fails(409, "BucketNotEmpty");
    raw.request("DELETE", "/bucket").unsigned().send().await.is(403);
    raw.request("POST", "/-/admin/v1/buckets/quota?bucket=bucket&bytes=1000").send().await.is(200);
    raw.request("GET", "/-/admin/v1/info").send().await.is(200);
    let (records, _) = records(fixture, &directory).await;
    let found: Vec<String> = records
        .iter()
        .filter(|record| record["event"] == "change")
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
            let bucket = record["resource"]["bucket"].as_str().unwrap_or("-");
            let parts = [text("operation"), bucket.to_owned(), text("outcome"), text("code"), text("principal")];
            parts.join(" ")
        })
        .collect();
    let root = "arn:aws:iam::000000000000:root";
    let expected = [
        format!("CreateBucket bucket success - {root}"),
        format!("PutBucketVersioning bucket success - {root}"),
        format!("PutBucketVersioning missing failure NoSuchBucket {root}"),
        format!("DeleteBucket bucket failure BucketNotEmpty {root}"),
        "DeleteBucket bucket failure AccessDenied ".to_owned(),
        format!("buckets/quota bucket success - {root}"),
    ];
    assert_eq!(found, expected);
    for name in ["time", "request_id", "access_key", "source", "account"] {
        assert!(records[0][name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {}", records[0]);
    }
}

#[tokio::test]
async fn no_secret_gets_into_a_record() {
    let (fixture, directory) = with_file().await;
    let raw = &fixture.raw;
    raw.put("/bucket", "").await.is(200);
    let headers = [
        ("x-amz-meta-password", SECRET),
        ("x-amz-server-side-encryption-customer-key", SECRET),
        ("cookie", SECRET),
        ("user-agent", SECRET),
        ("referer", SECRET),
    ];
    let targets = ["/bucket?policy", "/bucket?versioning", "/bucket?cors", "/bucket?logging", "/bucket?tagging"];
    for target in targets {
        let target = format!("{target}&secret={SECRET}&X-Amz-Security-Token={SECRET}");
        raw.request("PUT", &target).headers(&headers).body(SECRET).send().await;
        raw.request("PUT", &target).headers(&headers).body(SECRET).unsigned().send().await;
        raw.request("PUT", &target).header("authorization", SECRET).body(SECRET).unsigned().send().await;
    }
    let admin = format!("/-/admin/v1/accounts/create?name=dev&email=dev@example.com&secret_key={SECRET}");
    let created = raw.request("POST", &admin).headers(&headers).body(SECRET).send().await.is(200).text();
    let created: Value = serde_json::from_str(&created).expect("an account");
    let keys = created["keys"]["secret_key"].as_str().expect("a secret key").to_owned();
    let (records, text) = records(fixture, &directory).await;
    assert!(records.len() > 2 && !text.contains(SECRET) && !text.contains(&keys), "{text}");
    assert!(records.iter().any(|record| record["operation"] == "accounts/create"));
}

#[tokio::test]
async fn failed_sign_ins_are_counted() {
    let (fixture, directory) = with_file().await;
    for _ in 0..3 {
        let credential = "AWS4-HMAC-SHA256 Credential=NOBODY/20260102/us-east-1/s3/aws4_request, SignedHeaders=host, \
                          Signature=00";
        let answer = fixture.raw.request("GET", "/").header("authorization", credential).unsigned().send().await;
        assert!(answer.status.is_client_error());
    }
    let (records, _) = records(fixture, &directory).await;
    let counts: Vec<u64> = records.iter().filter_map(|record| record["count"].as_u64()).collect();
    assert_eq!(counts, [1, 2]);
}
