//! RestoreObject: what becomes of an archived object and what is told of it, until its copy expires.

use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    GlacierJobParameters, OptionalObjectAttributes, RestoreRequest, RestoreStatus, StorageClass, Tier,
};
use strata_storage::Timestamp;

use crate::support::{Answer, Fixture, Raw, Sdk};

/// Enough that the content is not kept in the index.
const SIZE: usize = 100_000;
const HOUR: Duration = Duration::from_secs(3600);
const ONGOING: &str = "ongoing-request=\"true\"";

async fn put(s3: &Sdk, key: &str, class: StorageClass) {
    let request = s3.put_object().bucket("bucket").key(key).body(ByteStream::from(vec![7; SIZE]));
    request.storage_class(class).send().await.expect("an object");
}

async fn restore(s3: &Sdk, key: &str, days: i32, tier: Tier) {
    let parameters = GlacierJobParameters::builder().tier(tier).build().expect("a tier");
    let request = RestoreRequest::builder().days(days).glacier_job_parameters(parameters).build();
    s3.restore_object().bucket("bucket").key(key).restore_request(request).send().await.expect("a restore");
}

/// Asks with a document of a few elements.
async fn ask(raw: &Raw, target: &str, inside: &str) -> Answer {
    let document = format!("<RestoreRequest>{inside}</RestoreRequest>");
    raw.request("POST", target).body(document).send().await
}

fn tier(name: &str) -> String {
    format!("<GlacierJobParameters><Tier>{name}</Tier></GlacierJobParameters>")
}

/// What HeadObject says of a restore.
async fn told(s3: &Sdk, key: &str) -> Option<String> {
    let head = s3.head_object().bucket("bucket").key(key).send().await.expect("the object");
    assert!(head.storage_class().is_some_and(|class| class.as_str() != "STANDARD"), "the class stays");
    assert_eq!(head.archive_status(), None, "only tiers of INTELLIGENT_TIERING have one");
    head.restore().map(str::to_owned)
}

/// What the three lists say of a restore, which must be the same.
async fn listed(s3: &Sdk, key: &str) -> Option<RestoreStatus> {
    let wanted = OptionalObjectAttributes::RestoreStatus;
    let list = s3.list_objects().bucket("bucket").prefix(key).optional_object_attributes(wanted.clone());
    let first = list.send().await.expect("a list").contents()[0].restore_status().cloned();
    let list = s3.list_objects_v2().bucket("bucket").prefix(key).optional_object_attributes(wanted.clone());
    let second = list.send().await.expect("a list").contents()[0].restore_status().cloned();
    let list = s3.list_object_versions().bucket("bucket").prefix(key).optional_object_attributes(wanted);
    let third = list.send().await.expect("a list").versions()[0].restore_status().cloned();
    assert_eq!((&first, &first), (&second, &third));
    first
}

fn copy_until(text: &str) -> Option<RestoreStatus> {
    let until = DateTime::from_str(text, aws_sdk_s3::primitives::DateTimeFormat::DateTime).expect("a date");
    Some(RestoreStatus::builder().is_restore_in_progress(false).restore_expiry_date(until).build())
}

#[tokio::test]
async fn from_the_request_to_the_end_of_the_copy() {
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let (s3, raw) = (&fixture.s3, &fixture.raw);
    put(s3, "key", StorageClass::Glacier).await;
    fixture.store().settle().await.expect("an archived object");
    assert_eq!((told(s3, "key").await, listed(s3, "key").await), (None, None));

    // On 1 October at 10:00, for three days.
    restore(s3, "key", 3, Tier::Standard).await;
    assert_eq!(told(s3, "key").await.as_deref(), Some(ONGOING));
    assert_eq!(listed(s3, "key").await, Some(RestoreStatus::builder().is_restore_in_progress(true).build()));
    raw.get("/bucket/key").await.fails(403, "InvalidObjectState").has("StorageClass", "GLACIER");
    let again = ask(raw, "/bucket/key?restore", "<Days>3</Days>").await;
    again.fails_saying(409, "RestoreAlreadyInProgress", "Object restore is already in progress");
    clock.advance(4 * HOUR - Duration::from_secs(1));
    fixture.store().settle().await.expect("nothing to do yet");
    assert_eq!(told(s3, "key").await.as_deref(), Some(ONGOING));

    // Done on 1 October at 14:00; three days later is rounded up to a midnight.
    clock.advance(Duration::from_secs(1));
    fixture.store().settle().await.expect("a restored object");
    let copy = "ongoing-request=\"false\", expiry-date=\"Mon, 05 Oct 2026 00:00:00 GMT\"";
    assert_eq!(told(s3, "key").await.as_deref(), Some(copy));
    assert_eq!(listed(s3, "key").await, copy_until("2026-10-05T00:00:00Z"));
    let answer = raw.get("/bucket/key").await.is(200).has_body(vec![7; SIZE]);
    answer.has_headers(&[("x-amz-restore", copy), ("x-amz-storage-class", "GLACIER")]);
    raw.request("GET", "/bucket/key").header("range", "bytes=0-3").send().await.is(206).has_body([7; 4]);
    raw.get("/bucket?list-type=2").await.is(200).lacks("RestoreStatus");

    // Asked again, the copy stays for as long from now on, be that longer or shorter.
    ask(raw, "/bucket/key?restore", "<Days>9</Days>").await.is(200).has_body("");
    assert_eq!(listed(s3, "key").await, copy_until("2026-10-11T00:00:00Z"));
    ask(raw, "/bucket/key?restore", &format!("<Days>5</Days>{}", tier("Bulk"))).await.is(200);
    assert_eq!(listed(s3, "key").await, copy_until("2026-10-07T00:00:00Z"));
    let copied = raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "/bucket/key").send().await;
    copied.is(200);
    raw.get("/bucket/copy").await.is(200).has_body(vec![7; SIZE]).has_header("x-amz-restore", None);

    // The copy ends with its last moment, whether or not anything has cleaned up.
    let end = Timestamp::from_secs(1_791_331_200);
    clock.set(Timestamp::from_nanos(end.as_nanos() - 1));
    raw.get("/bucket/key").await.is(200);
    clock.set(end);
    for _ in 0..2 {
        raw.get("/bucket/key").await.fails(403, "InvalidObjectState");
        assert_eq!((told(s3, "key").await, listed(s3, "key").await), (None, None));
        fixture.store().settle().await.expect("an archived object");
    }
    raw.get("/bucket/copy").await.is(200).has_body(vec![7; SIZE]);
    ask(raw, "/bucket/key?restore", "<Days>1</Days>").await.is(202).has_body("");
    fixture.stop().await;
}

#[tokio::test]
async fn each_tier_has_its_time() {
    async fn check(class: StorageClass, tier: Tier, hours: u32) {
        let (fixture, clock) = Fixture::with_clock("bucket", |config| config.restore.expedited = HOUR).await;
        put(&fixture.s3, "key", class).await;
        restore(&fixture.s3, "key", 1, tier).await;
        clock.advance(HOUR * hours - Duration::from_secs(1));
        fixture.store().settle().await.expect("nothing to do yet");
        assert_eq!(told(&fixture.s3, "key").await.as_deref(), Some(ONGOING));
        clock.advance(Duration::from_secs(1));
        fixture.store().settle().await.expect("a restored object");
        fixture.raw.get("/bucket/key").await.is(200).has_body(vec![7; SIZE]);
        fixture.stop().await;
    }
    check(StorageClass::Glacier, Tier::Expedited, 1).await;
    check(StorageClass::Glacier, Tier::Standard, 4).await;
    check(StorageClass::Glacier, Tier::Bulk, 8).await;
    check(StorageClass::DeepArchive, Tier::Standard, 12).await;
    check(StorageClass::DeepArchive, Tier::Bulk, 48).await;
}

#[tokio::test]
async fn times_can_be_scaled() {
    let (fixture, clock) = Fixture::with_clock("bucket", |config| config.restore.scale = 0.001).await;
    put(&fixture.s3, "key", StorageClass::Glacier).await;
    restore(&fixture.s3, "key", 1, Tier::Standard).await;
    clock.advance(4 * HOUR / 1000);
    fixture.store().settle().await.expect("a restored object");
    fixture.raw.get("/bucket/key").await.is(200).has_body(vec![7; SIZE]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_restore_can_be_made_faster_but_not_otherwise_changed() {
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let raw = &fixture.raw;
    put(&fixture.s3, "key", StorageClass::Glacier).await;
    ask(raw, "/bucket/key?restore", &format!("<Days>2</Days>{}", tier("Standard"))).await.is(202);
    for (days, name) in [(2, "Bulk"), (2, "Standard"), (3, "Expedited"), (1, "Expedited")] {
        let answer = ask(raw, "/bucket/key?restore", &format!("<Days>{days}</Days>{}", tier(name))).await;
        answer.fails(409, "RestoreAlreadyInProgress");
    }
    ask(raw, "/bucket/key?restore", &format!("<Days>2</Days>{}", tier("Expedited"))).await.is(202);
    clock.advance(Duration::from_secs(180));
    fixture.store().settle().await.expect("a restored object");
    raw.get("/bucket/key").await.is(200).has_body(vec![7; SIZE]);
    fixture.stop().await;
}

#[tokio::test]
async fn expedited_restores_are_limited() {
    let (fixture, clock) = Fixture::with_clock("bucket", |config| config.restore.expedited_max = 1).await;
    let raw = &fixture.raw;
    for key in ["a", "b"] {
        put(&fixture.s3, key, StorageClass::Glacier).await;
    }
    let expedited = format!("<Days>1</Days>{}", tier("Expedited"));
    ask(raw, "/bucket/a?restore", &expedited).await.is(202);
    let refused = ask(raw, "/bucket/b?restore", &expedited).await;
    refused.fails(503, "GlacierExpeditedRetrievalNotAvailable");
    raw.head("/bucket/b").await.is(200).has_header("x-amz-restore", None);
    clock.advance(Duration::from_secs(300));
    ask(raw, "/bucket/b?restore", &expedited).await.is(202);
    fixture.stop().await;
}

#[tokio::test]
async fn one_version_of_many() {
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let raw = &fixture.raw;
    fixture.set_versioning("bucket", "Enabled").await;
    let old = raw.request("PUT", "/bucket/key").header("x-amz-storage-class", "DEEP_ARCHIVE").body("old");
    let old = old.send().await.is(200).version();
    raw.put("/bucket/key", "new").await.is(200);
    let refused = ask(raw, "/bucket/key?restore", "<Days>1</Days>").await;
    let message = "Restore is not allowed for the object's current storage class";
    refused.fails_saying(403, "InvalidObjectState", message).has("StorageClass", "STANDARD");
    ask(raw, &format!("/bucket/key?restore&versionId={old}"), "<Days>1</Days>").await.is(202);
    clock.advance(12 * HOUR);
    fixture.store().settle().await.expect("a restored version");
    raw.get(&format!("/bucket/key?versionId={old}")).await.is(200).has_body("old");
    raw.get("/bucket/key").await.is(200).has_body("new").has_header("x-amz-restore", None);

    let list = raw.request("GET", "/bucket?versions").header("x-amz-optional-object-attributes", "RestoreStatus");
    let versions = list.send().await.is(200).elements("Version");
    let told: Vec<bool> = versions.iter().map(|version| version.contains("<RestoreStatus>")).collect();
    assert_eq!(told, [false, true]);
    fixture.stop().await;
}

#[tokio::test]
async fn objects_in_parts() {
    const PART: usize = 5 << 20;
    let (fixture, clock) = Fixture::with_clock("bucket", |_| {}).await;
    let raw = &fixture.raw;
    let create = raw.request("POST", "/bucket/key?uploads").header("x-amz-storage-class", "GLACIER").send().await;
    let id = create.is(200).element("UploadId").expect("an id");
    let content: Vec<u8> = (0..2 * PART as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut listed = String::new();
    for (number, part) in (1..).zip(content.chunks(PART)) {
        let etag =
            raw.put(&format!("/bucket/key?partNumber={number}&uploadId={id}"), part.to_vec()).await.is(200).etag();
        listed.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
    raw.post(&format!("/bucket/key?uploadId={id}"), document).await.is(200);
    raw.get("/bucket/key?partNumber=2").await.fails(403, "InvalidObjectState");
    fixture.store().settle().await.expect("an archived object");
    ask(raw, "/bucket/key?restore", "<Days>1</Days>").await.is(202);
    clock.advance(4 * HOUR);
    fixture.store().settle().await.expect("a restored object");
    raw.get("/bucket/key").await.is(200).has_body(&content);
    raw.get("/bucket/key?partNumber=2").await.is(206).has_body(&content[PART..]);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_archived_is_not_restored() {
    let fixture = Fixture::with_bucket("bucket").await;
    let message = "Restore is not allowed for the object's current storage class";
    for class in ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "INTELLIGENT_TIERING"] {
        put(&fixture.s3, "key", StorageClass::from(class)).await;
        let answer = ask(&fixture.raw, "/bucket/key?restore", "<Days>1</Days>").await;
        answer.fails_saying(403, "InvalidObjectState", message).has("StorageClass", class);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_restored() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let one_day = "<Days>1</Days>";
    ask(raw, "/missing/key?restore", one_day).await.fails(404, "NoSuchBucket");
    ask(raw, "/bucket/key?restore", one_day).await.fails(404, "NoSuchKey");
    ask(raw, "/bucket/key?restore&versionId=null", one_day).await.fails(404, "NoSuchVersion");
    ask(raw, "/bucket/key?restore&versionId=x", one_day).await.fails(400, "InvalidArgument");
    raw.request("PUT", "/bucket/key").header("x-amz-storage-class", "GLACIER").body("x").send().await.is(200);
    let marker = raw.delete("/bucket/key").await.is(204).version();
    ask(raw, "/bucket/key?restore", one_day).await.fails(405, "MethodNotAllowed");
    let by_id = ask(raw, &format!("/bucket/key?restore&versionId={marker}"), one_day).await;
    by_id.fails(405, "MethodNotAllowed").has_header("x-amz-delete-marker", Some("true"));
    fixture.stop().await;
}

#[tokio::test]
async fn bad_requests() {
    async fn check(raw: &Raw, key: &str, inside: &str, status: u16, code: &str) {
        ask(raw, &format!("/bucket/{key}?restore"), inside).await.fails(status, code);
        raw.head(&format!("/bucket/{key}")).await.is(200).has_header("x-amz-restore", None);
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    put(&fixture.s3, "key", StorageClass::Glacier).await;
    put(&fixture.s3, "deep", StorageClass::DeepArchive).await;
    check(raw, "key", "", 400, "MalformedXML").await;
    check(raw, "key", &tier("Bulk"), 400, "MalformedXML").await;
    check(raw, "key", "<Days>0</Days>", 400, "InvalidArgument").await;
    check(raw, "key", "<Days>soon</Days>", 400, "MalformedXML").await;
    check(raw, "key", &format!("<Days>1</Days>{}", tier("Fast")), 400, "MalformedXML").await;
    check(raw, "key", "<Days>1</Days><Colour/>", 400, "MalformedXML").await;
    check(raw, "deep", &format!("<Days>1</Days>{}", tier("Expedited")), 400, "InvalidArgument").await;
    for inside in ["<Type>SELECT</Type>", "<SelectParameters/>", "<OutputLocation><S3/></OutputLocation>"] {
        check(raw, "key", inside, 501, "NotImplemented").await;
    }
    raw.request("POST", "/bucket/key?restore").send().await.fails(400, "MissingRequestBodyError");
    let document = "<RestoreRequest><Days>1</Days></RestoreRequest>";
    let other = raw.request("POST", "/bucket/key?restore").md5_of(b"other").body(document).send().await;
    other.fails(400, "BadDigest");
    raw.head("/bucket/key").await.is(200).has_header("x-amz-restore", None);
    raw.post("/bucket/key?restore", document).await.is(202);
    fixture.stop().await;
}

#[tokio::test]
async fn lists_know_no_other_attribute() {
    let fixture = Fixture::with_bucket("bucket").await;
    for list in ["/bucket", "/bucket?list-type=2", "/bucket?versions"] {
        for value in ["Owner", "restorestatus", "RestoreStatus,Owner", ""] {
            let request = fixture.raw.request("GET", list).header("x-amz-optional-object-attributes", value);
            let name = "x-amz-optional-object-attributes";
            request.send().await.fails(400, "InvalidArgument").has("ArgumentName", name);
        }
    }
    fixture.stop().await;
}
