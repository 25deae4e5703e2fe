//! Conditional reads, copies, writes and deletes.

use crate::support::{Answer, Fixture, Raw};

const OTHER: &str = "\"0123456789abcdef0123456789abcdef\"";
const MESSAGE: &str = "At least one of the pre-conditions you specified did not hold";
const PAST: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
const FUTURE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

#[track_caller]
fn is_failed(answer: Answer, condition: &str) {
    answer.fails_saying(412, "PreconditionFailed", MESSAGE).has("Condition", condition);
}

#[tokio::test]
async fn reads() {
    async fn check(raw: &Raw, headers: &[(&str, &str)], status: u16, condition: &str) {
        let answer = raw.request("GET", "/bucket/key").headers(headers).send().await;
        raw.request("HEAD", "/bucket/key").headers(headers).send().await.is(status).has_body("");
        match status {
            412 => is_failed(answer, condition),
            304 => assert!(answer.is(304).has_body("").header("etag").is_some()),
            _ => drop(answer.is(status)),
        }
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "content").await.is(200);
    let head = raw.head("/bucket/key").await.is(200);
    let (bare, modified) = (head.etag(), head.header("last-modified").expect("a date").to_owned());
    let same = format!("\"{bare}\"");
    let (same, bare, modified) = (same.as_str(), bare.as_str(), modified.as_str());
    check(raw, &[("if-match", same)], 200, "").await;
    check(raw, &[("if-match", bare)], 200, "").await;
    check(raw, &[("if-match", OTHER)], 412, "If-Match").await;
    check(raw, &[("if-none-match", OTHER)], 200, "").await;
    check(raw, &[("if-none-match", same)], 304, "").await;
    check(raw, &[("if-none-match", bare)], 304, "").await;
    check(raw, &[("if-modified-since", PAST)], 200, "").await;
    check(raw, &[("if-modified-since", modified)], 304, "").await;
    check(raw, &[("if-unmodified-since", modified)], 200, "").await;
    check(raw, &[("if-unmodified-since", FUTURE)], 200, "").await;
    check(raw, &[("if-unmodified-since", PAST)], 412, "If-Unmodified-Since").await;
    check(raw, &[("if-match", same), ("if-unmodified-since", PAST)], 200, "").await;
    check(raw, &[("if-none-match", same), ("if-modified-since", PAST)], 304, "").await;
    fixture.stop().await;
}

#[tokio::test]
async fn copy_sources() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let etag = raw.put("/bucket/key", "content").await.is(200).etag();
    let modified = raw.head("/bucket/key").await.is(200).header("last-modified").expect("a date").to_owned();
    let upload = raw.post("/bucket/big?uploads", "").await.is(200).element("UploadId").expect("an id");
    let part = format!("/bucket/big?partNumber=1&uploadId={upload}");
    let check = async |conditions: &[(&str, &str)], failed: Option<&str>| {
        for target in ["/bucket/copy", &part] {
            let mut request = raw.request("PUT", target).header("x-amz-copy-source", "/bucket/key");
            for (name, value) in conditions {
                request = request.header(&format!("x-amz-copy-source-{name}"), value);
            }
            match (request.send().await, failed) {
                (answer, Some(condition)) => is_failed(answer, &format!("x-amz-copy-source-{condition}")),
                (answer, None) => drop(answer.is(200)),
            }
        }
    };
    check(&[("if-match", &etag)], None).await;
    check(&[("if-match", "*")], None).await;
    check(&[("if-match", OTHER)], Some("If-Match")).await;
    check(&[("if-none-match", OTHER)], None).await;
    check(&[("if-none-match", &etag)], Some("If-None-Match")).await;
    check(&[("if-modified-since", PAST)], None).await;
    check(&[("if-modified-since", FUTURE)], None).await;
    check(&[("if-modified-since", &modified)], Some("If-Modified-Since")).await;
    check(&[("if-unmodified-since", &modified)], None).await;
    check(&[("if-unmodified-since", PAST)], Some("If-Unmodified-Since")).await;
    check(&[("if-match", &etag), ("if-unmodified-since", PAST)], None).await;
    check(&[("if-none-match", &etag), ("if-modified-since", PAST)], Some("If-None-Match")).await;
    fixture.stop().await;
}

#[tokio::test]
async fn writes() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/source", "source").await.is(200);
    // Each way to write: a body, a copy.
    for copy in [false, true] {
        let key = if copy { "/bucket/copied" } else { "/bucket/put" };
        let write = async |name: &str, value: &str| {
            let request = raw.request("PUT", key).header(name, value);
            if copy { request.header("x-amz-copy-source", "/bucket/source") } else { request.body("x") }.send().await
        };
        write("if-match", OTHER)
            .await
            .fails_saying(404, "NoSuchKey", "The specified key does not exist.")
            .has("Key", &key[8..]);
        let etag = write("if-none-match", "*").await.is(200);
        let etag = if copy { etag.element("ETag").expect("an ETag") } else { etag.etag() };
        is_failed(write("if-none-match", "*").await, "If-None-Match");
        is_failed(write("if-match", OTHER).await, "If-Match");
        write("if-match", &etag).await.is(200);
        write("if-match", etag.trim_matches('"')).await.is(200);
        raw.delete(key).await.is(204);
        write("if-match", &etag).await.fails(404, "NoSuchKey");
        write("if-none-match", "*").await.is(200);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn values_that_writes_refuse() {
    async fn check(raw: &Raw, headers: &[(&str, &str)], expected: &str) {
        let answer = raw.request("PUT", "/bucket/key").headers(headers).body("x").send().await;
        answer.fails(501, "NotImplemented").has("additionalMessage", expected);
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let refused = |name: &str| format!("We don't accept the provided value of {name} header for this API");
    check(raw, &[("if-none-match", OTHER)], &refused("If-None-Match")).await;
    check(raw, &[("if-match", "*")], &refused("If-Match")).await;
    let several = "Multiple conditional request headers present in the request";
    check(raw, &[("if-match", OTHER), ("if-none-match", "*")], several).await;
    raw.head("/bucket/key").await.is(404);
    fixture.stop().await;
}

#[tokio::test]
async fn deletes() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let delete = async |name: &str, value: &str| raw.request("DELETE", "/bucket/key").header(name, value).send().await;
    delete("if-match", "*").await.fails(404, "NoSuchKey");
    delete("if-match", OTHER).await.fails(404, "NoSuchKey");
    let etag = raw.put("/bucket/key", "x").await.is(200).etag();
    is_failed(delete("if-match", OTHER).await, "If-Match");
    raw.get("/bucket/key").await.is(200);
    delete("if-match", &format!("\"{etag}\"")).await.is(204).has_header("x-amz-delete-marker", Some("true"));
    delete("if-match", "*").await.fails(412, "PreconditionFailed");
    raw.put("/bucket/key", "x").await.is(200);
    delete("if-match", "*").await.is(204);
    raw.put("/bucket/key", "x").await.is(200);
    for (name, value) in [("x-amz-if-match-size", "1"), ("x-amz-if-match-last-modified-time", PAST)] {
        delete(name, value).await.fails(501, "NotImplemented");
    }
    raw.get("/bucket/key").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn completions() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let start = async |key: &str| {
        let id = raw.post(&format!("/bucket/{key}?uploads"), "").await.is(200).element("UploadId").expect("an id");
        let part = raw.put(&format!("/bucket/{key}?partNumber=1&uploadId={id}"), "x").await.is(200).etag();
        let part = format!("<Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part>");
        (format!("/bucket/{key}?uploadId={id}"), format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"))
    };
    let complete = async |upload: &(String, String), name: &str, value: &str| {
        raw.request("POST", &upload.0).header(name, value).body(upload.1.clone()).send().await
    };
    let conflict = "The conditional request cannot succeed due to a conflicting operation against this resource.";

    let upload = start("a").await;
    complete(&upload, "if-match", OTHER).await.fails(404, "NoSuchKey");
    complete(&upload, "if-none-match", OTHER).await.fails(501, "NotImplemented");
    let etag = complete(&upload, "if-none-match", "*").await.is(200).element("ETag").expect("an ETag");
    let upload = start("a").await;
    is_failed(complete(&upload, "if-none-match", "*").await, "If-None-Match");
    is_failed(complete(&upload, "if-match", OTHER).await, "If-Match");
    complete(&upload, "if-match", &etag).await.is(200);

    // A write after the upload began.
    let upload = start("b").await;
    let newer = raw.put("/bucket/b", "y").await.is(200).etag();
    is_failed(complete(&upload, "if-none-match", "*").await, "If-None-Match");
    is_failed(complete(&upload, "if-match", OTHER).await, "If-Match");
    complete(&upload, "if-match", &newer)
        .await
        .fails_saying(409, "ConditionalRequestConflict", conflict)
        .has("Condition", "If-Match")
        .has("Key", "b");

    // A delete after the upload began.
    let old = raw.put("/bucket/c", "y").await.is(200).etag();
    let upload = start("c").await;
    raw.delete("/bucket/c").await.is(204);
    complete(&upload, "if-none-match", "*")
        .await
        .fails_saying(409, "ConditionalRequestConflict", conflict)
        .has("Condition", "If-None-Match")
        .has("Key", "c");
    complete(&upload, "if-match", &old).await.fails(404, "NoSuchKey");
    fixture.stop().await;
}

#[tokio::test]
async fn one_of_many_creators_wins() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let writes = (0..16).map(|n| async move {
        raw.request("PUT", "/bucket/key").header("if-none-match", "*").body(format!("{n}")).send().await.status.as_u16()
    });
    let statuses = futures_util::future::join_all(writes).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409, 412].contains(status)), "{statuses:?}");
    fixture.stop().await;
}
