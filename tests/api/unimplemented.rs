//! What S3 has and this server has not: a clear refusal, and never an answer about something else.

use crate::support::{Fixture, Raw};

const BUCKET: [&str; 3] = ["abac", "metadataConfiguration", "session"];

/// What a bucket can only be asked for.
const NEVER_SET: [&str; 5] = ["accelerate", "inventory&id=x", "metrics&id=x", "requestPayment", "website"];

#[tokio::test]
async fn of_buckets() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "x").await.is(200);
    for name in BUCKET {
        for method in ["GET", "PUT", "POST", "DELETE"] {
            check(raw, method, &format!("/bucket?{name}")).await;
        }
    }
    raw.get("/bucket/key").await.is(200).has_body("x");
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_never_set_reads_as_in_other_buckets() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    for name in NEVER_SET {
        raw.put(&format!("/bucket?{name}"), "<x/>").await.fails(501, "NotImplemented");
        raw.get(&format!("/missing?{name}")).await.fails(404, "NoSuchBucket");
    }
    raw.get("/bucket?requestPayment").await.is(200).has("Payer", "BucketOwner");
    assert!(raw.get("/bucket?accelerate").await.is(200).text().contains("<AccelerateConfiguration xmlns="));
    let message = "The specified bucket does not have a website configuration";
    let website = raw.get("/bucket?website").await.fails_saying(404, "NoSuchWebsiteConfiguration", message);
    website.has("BucketName", "bucket");
    for kind in ["inventory", "metrics"] {
        raw.get(&format!("/bucket?{kind}")).await.is(200).has("IsTruncated", "false").lacks("Id");
        raw.get(&format!("/bucket?{kind}&id=x")).await.fails(404, "NoSuchConfiguration");
        raw.delete(&format!("/bucket?{kind}&id=x")).await.fails(501, "NotImplemented");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn of_objects() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "x").await.is(200);
    for name in ["torrent", "select&select-type=2", "encryption", "annotation", "renameObject"] {
        for method in ["GET", "PUT", "POST", "DELETE"] {
            check(raw, method, &format!("/bucket/key?{name}")).await;
        }
    }
    raw.get("/bucket/key").await.is(200).has_body("x");
    fixture.stop().await;
}

/// Refused as not implemented, or as a method that the resource does not have even in S3.
async fn check(raw: &Raw, method: &str, target: &str) {
    let answer = raw.request(method, target).body("<x/>").send().await;
    match answer.status.as_u16() {
        501 => answer.fails(501, "NotImplemented"),
        _ => answer.fails(405, "MethodNotAllowed").has("Method", method),
    };
}

#[tokio::test]
async fn each_has_a_method_that_is_known() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    for name in BUCKET {
        raw.get(&format!("/bucket?{name}")).await.fails(501, "NotImplemented");
    }
    for (method, name) in [("GET", "torrent"), ("POST", "select&select-type=2")] {
        raw.request(method, &format!("/bucket/key?{name}")).send().await.fails(501, "NotImplemented");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn forms_and_preflights() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let form = raw.request("POST", "/bucket").header("content-type", "multipart/form-data; boundary=x").unsigned();
    form.body("--x--").send().await.fails(400, "IncorrectNumberOfFilesInPostRequest");
    let other = raw.request("POST", "/bucket").unsigned().send().await;
    other
        .fails_saying(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        .has("Condition", "Bucket POST must be of the enclosure-type multipart/form-data");
    fixture.stop().await;
}
