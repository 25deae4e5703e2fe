//! Lifecycle configurations: stored, given back, refused, removed; and the headers that announce what rules will do.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, Transition, TransitionDefaultMinimumObjectSize,
    TransitionStorageClass,
};

use crate::support::{Answer, Fixture, Raw};

const MINIMUM: &str = "x-amz-transition-default-minimum-object-size";
const EXPIRATION: &str = "x-amz-expiration";
const MALFORMED: &str = "The XML you provided was not well-formed or did not validate against our published schema";

/// Puts a configuration of these rules.
async fn put(raw: &Raw, rules: &str) -> Answer {
    let document = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    raw.request("PUT", "/bucket?lifecycle").md5_of(document.as_bytes()).body(document).send().await
}

fn rule(id: &str, filter: &str, inside: &str) -> String {
    format!("<Rule><ID>{id}</ID><Filter>{filter}</Filter><Status>Enabled</Status>{inside}</Rule>")
}

fn expires(days: u32) -> String {
    format!("<Expiration><Days>{days}</Days></Expiration>")
}

/// What the header says of a fixed date.
fn expiry(date: &str, id: &str) -> String {
    format!("expiry-date=\"{date}\", rule-id=\"{id}\"")
}

#[tokio::test]
async fn life_of_a_configuration() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    let missing = s3.get_bucket_lifecycle_configuration().bucket("bucket").send().await.expect_err("none yet");
    assert_eq!(missing.code(), Some("NoSuchLifecycleConfiguration"));
    assert_eq!(missing.message(), Some("The lifecycle configuration does not exist"));
    s3.delete_bucket_lifecycle().bucket("bucket").send().await.expect("nothing to remove");

    let first = LifecycleRule::builder()
        .id("logs")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("logs/").build())
        .transitions(Transition::builder().days(30).storage_class(TransitionStorageClass::StandardIa).build())
        .transitions(Transition::builder().days(90).storage_class(TransitionStorageClass::Glacier).build())
        .expiration(LifecycleExpiration::builder().days(365).build())
        .build()
        .expect("a rule");
    let second = LifecycleRule::builder()
        .status(ExpirationStatus::Disabled)
        .filter(LifecycleRuleFilter::builder().build())
        .noncurrent_version_expiration(
            NoncurrentVersionExpiration::builder().noncurrent_days(9).newer_noncurrent_versions(3).build(),
        )
        .abort_incomplete_multipart_upload(AbortIncompleteMultipartUpload::builder().days_after_initiation(7).build())
        .build()
        .expect("a rule");
    let configuration =
        BucketLifecycleConfiguration::builder().rules(first.clone()).rules(second.clone()).build().expect("rules");
    let request = s3.put_bucket_lifecycle_configuration().bucket("bucket").lifecycle_configuration(configuration);
    let stored = request.send().await.expect("a configuration");
    let default = Some(&TransitionDefaultMinimumObjectSize::AllStorageClasses128K);
    assert_eq!(stored.transition_default_minimum_object_size(), default);

    let got = s3.get_bucket_lifecycle_configuration().bucket("bucket").send().await.expect("the configuration");
    assert_eq!(got.transition_default_minimum_object_size(), default);
    let [one, other] = got.rules() else { panic!("{:?}", got.rules()) };
    assert_eq!(*one, first);
    assert_eq!(other.id().map(str::len), Some(48));
    assert_eq!(other.noncurrent_version_expiration(), second.noncurrent_version_expiration());
    assert_eq!(other.abort_incomplete_multipart_upload(), second.abort_incomplete_multipart_upload());
    assert_eq!(other.status(), &ExpirationStatus::Disabled);

    // A PUT replaces everything.
    let configuration = BucketLifecycleConfiguration::builder().rules(first).build().expect("rules");
    let varies = TransitionDefaultMinimumObjectSize::VariesByStorageClass;
    let request = s3.put_bucket_lifecycle_configuration().bucket("bucket").lifecycle_configuration(configuration);
    request.transition_default_minimum_object_size(varies.clone()).send().await.expect("a configuration");
    let got = s3.get_bucket_lifecycle_configuration().bucket("bucket").send().await.expect("the configuration");
    assert_eq!((got.rules().len(), got.transition_default_minimum_object_size()), (1, Some(&varies)));

    s3.delete_bucket_lifecycle().bucket("bucket").send().await.expect("a removal");
    let missing = s3.get_bucket_lifecycle_configuration().bucket("bucket").send().await.expect_err("none left");
    assert_eq!(missing.code(), Some("NoSuchLifecycleConfiguration"));
    fixture.stop().await;
}

#[tokio::test]
async fn configurations_outlive_other_changes() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    put(raw, &rule("a", "", &expires(1)))
        .await
        .is(200)
        .has_body("")
        .has_header(MINIMUM, Some("all_storage_classes_128K"));
    fixture.set_versioning("bucket", "Enabled").await;
    raw.get("/bucket?lifecycle").await.is(200).has("ID", "a").has("Days", "1").has("Status", "Enabled");
    // A refused one changes nothing.
    put(raw, &rule("b", "", &expires(0))).await.fails(400, "InvalidArgument");
    raw.get("/bucket?lifecycle").await.is(200).has("ID", "a");
    raw.delete("/bucket?lifecycle").await.is(204).has_body("");
    raw.delete("/bucket?lifecycle").await.is(204);
    raw.get("/bucket?lifecycle").await.fails(404, "NoSuchLifecycleConfiguration").has("BucketName", "bucket");
    for method in ["GET", "PUT", "DELETE"] {
        raw.request(method, "/missing?lifecycle").send().await.fails(404, "NoSuchBucket").has("BucketName", "missing");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn refusals() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let document = format!("<LifecycleConfiguration>{}</LifecycleConfiguration>", rule("a", "", &expires(1)));
    let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
    raw.put("/bucket?lifecycle", document.clone()).await.fails_saying(400, "InvalidRequest", message);
    raw.request("PUT", "/bucket?lifecycle")
        .md5_of(b"other")
        .body(document.clone())
        .send()
        .await
        .fails(400, "BadDigest");
    for (size, accepted) in [("all_storage_classes_128K", true), ("varies_by_storage_class", true), ("128K", false)] {
        let request = raw.request("PUT", "/bucket?lifecycle").md5_of(document.as_bytes()).header(MINIMUM, size);
        let answer = request.body(document.clone()).send().await;
        if accepted {
            answer.is(200).has_header(MINIMUM, Some(size));
            raw.get("/bucket?lifecycle").await.is(200).has_header(MINIMUM, Some(size));
        } else {
            let message = format!("Invalid TransitionDefaultMinimumObjectSize found: {size}");
            answer.fails_saying(400, "InvalidRequest", &message);
        }
    }
    raw.request("PUT", "/bucket?lifecycle").md5_of(b"").send().await.fails(400, "MissingRequestBodyError");
    for rules in ["<Rule/>", &rule("a", "", "<Other/>"), &rule("a", "<Prefix>a</Prefix><And/>", &expires(1))] {
        put(raw, rules).await.fails_saying(400, "MalformedXML", MALFORMED);
    }
    let dated = "<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>";
    put(raw, &rule("a", "", dated))
        .await
        .refuses_argument("Date", "'Date' must be at midnight GMT")
        .has("ArgumentValue", "2030-01-01T01:00:00Z");
    let message = "'Days' for Expiration action must be a positive integer";
    put(raw, &rule("a", "", &expires(0))).await.refuses_argument("Days", message).has("ArgumentValue", "0");
    let twice = rule("a", "", &expires(1)).repeat(2);
    let message = "Rule ID must be unique. Found same ID for more than one rule";
    put(raw, &twice).await.refuses_argument("ID", message);
    let message = "At least one action needs to be specified in a rule";
    put(raw, &rule("a", "", "")).await.fails_saying(400, "InvalidRequest", message);
    fixture.stop().await;
}

#[tokio::test]
async fn objects_say_when_they_expire() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/dated/old", "x").await.is(200).has_header(EXPIRATION, None);
    let on = |date: &str| format!("<Expiration><Date>{date}</Date></Expiration>");
    let tag = "<And><Prefix>t/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And>";
    let rules = [
        rule("the \"second\" rule", "<Prefix>dated/</Prefix>", &on("2040-01-02T00:00:00Z")),
        rule("first", "<Prefix>dated/first/</Prefix>", &on("2040-01-01T00:00:00Z")),
        rule("same", "<Prefix>dated/first/</Prefix>", &on("2040-01-01T00:00:00Z")),
        rule("tagged", tag, &on("2040-01-03T00:00:00Z")),
        rule(
            "large",
            "<And><Prefix>s/</Prefix><ObjectSizeGreaterThan>3</ObjectSizeGreaterThan></And>",
            &on("2040-01-04T00:00:00Z"),
        ),
        rule(
            "marker",
            "<Prefix>m/</Prefix>",
            "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        ),
        rule("off", "<Prefix>off/</Prefix>", &expires(1)).replace("Enabled", "Disabled"),
    ];
    put(raw, &rules.concat()).await.is(200);
    let second = expiry("Mon, 02 Jan 2040 00:00:00 GMT", "the %22second%22 rule");
    let first = expiry("Sun, 01 Jan 2040 00:00:00 GMT", "first");
    let third = expiry("Tue, 03 Jan 2040 00:00:00 GMT", "tagged");
    // Objects that were there before count too.
    raw.get("/bucket/dated/old").await.is(200).has_header(EXPIRATION, Some(&second));
    raw.head("/bucket/dated/old").await.is(200).has_header(EXPIRATION, Some(&second));
    let put_object = raw.put("/bucket/dated/first/k", "x").await.is(200).has_header(EXPIRATION, Some(&first));
    raw.head("/bucket/dated/first/k").await.is(200).has_header(EXPIRATION, Some(&first));
    let ranged = raw.request("GET", "/bucket/dated/first/k").header("range", "bytes=0-0").send().await;
    ranged.is(206).has_header(EXPIRATION, Some(&first));
    // Not if a version is named, be it the current one.
    let version = format!("/bucket/dated/first/k?versionId={}", put_object.version());
    raw.get(&version).await.is(200).has_header(EXPIRATION, None);
    raw.head(&version).await.is(200).has_header(EXPIRATION, None);
    // Tags and sizes.
    raw.put("/bucket/t/plain", "x").await.is(200).has_header(EXPIRATION, None);
    let tagged = raw.request("PUT", "/bucket/t/tagged").header("x-amz-tagging", "k=v&l=w").body("x").send().await;
    tagged.is(200).has_header(EXPIRATION, Some(&third));
    raw.head("/bucket/t/tagged").await.is(200).has_header(EXPIRATION, Some(&third));
    raw.put("/bucket/s/small", "123").await.is(200).has_header(EXPIRATION, None);
    let large = expiry("Wed, 04 Jan 2040 00:00:00 GMT", "large");
    raw.put("/bucket/s/large", "1234").await.is(200).has_header(EXPIRATION, Some(&large));
    // Copies, with the source's tags or their own.
    let copy = |target: &str| raw.request("PUT", target).header("x-amz-copy-source", "bucket/t/tagged");
    copy("/bucket/t/copy").send().await.is(200).has_header(EXPIRATION, Some(&third));
    let plain = copy("/bucket/t/copy").header("x-amz-tagging-directive", "REPLACE").send().await;
    plain.is(200).has_header(EXPIRATION, None);
    copy("/bucket/dated/copy").send().await.is(200).has_header(EXPIRATION, Some(&second));
    for key in ["m/k", "off/k", "other"] {
        raw.put(&format!("/bucket/{key}"), "x").await.is(200).has_header(EXPIRATION, None);
        raw.head(&format!("/bucket/{key}")).await.is(200).has_header(EXPIRATION, None);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn days_are_counted_from_the_last_modification() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    put(raw, &rule("days", "", &expires(3))).await.is(200);
    raw.put("/bucket/key", "x").await.is(200);
    let answer = raw.head("/bucket/key").await.is(200);
    let text = answer.header(EXPIRATION).expect("an expiration");
    let date = text.strip_prefix("expiry-date=\"").and_then(|rest| rest.strip_suffix("\", rule-id=\"days\""));
    let modified = days(answer.header("last-modified").expect("a date"));
    let expires = days(date.unwrap_or_else(|| panic!("{text}")));
    // Three days, and up to the next midnight: the fraction of the third of a day is gone.
    assert_eq!(expires, (modified + 3.0).ceil(), "{text}");
    fixture.stop().await;
}

/// Days since 1970.
fn days(date: &str) -> f64 {
    use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
    DateTime::from_str(date, DateTimeFormat::HttpDate).expect("an HTTP date").as_secs_f64() / 86_400.0
}

#[tokio::test]
async fn uploads_say_when_they_are_aborted() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let abort = |days: u32| {
        format!(
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload>"
        )
    };
    let on = "<Expiration><Date>2040-01-01T00:00:00Z</Date></Expiration>";
    let rules = [
        rule("slow", "<Prefix>a/</Prefix>", &format!("{}{on}", abort(7))),
        rule("fast", "<Prefix>a/b</Prefix>", &abort(2)),
    ];
    put(raw, &rules.concat()).await.is(200);
    for (key, rule) in [("a/b", "fast"), ("a/c", "slow")] {
        let created = raw.post(&format!("/bucket/{key}?uploads"), "").await.is(200);
        let date = created.header("x-amz-abort-date").expect("a date").to_owned();
        assert!(date.ends_with("00:00:00 GMT"), "{date}");
        let id = created.has_header("x-amz-abort-rule-id", Some(rule)).element("UploadId").expect("an id");
        let target = format!("/bucket/{key}?uploadId={id}");
        let expected = [("x-amz-abort-date", date.as_str()), ("x-amz-abort-rule-id", rule)];
        raw.get(&target).await.is(200).has_headers(&expected);
        raw.get(&format!("{target}&max-parts=0")).await.is(200).has_headers(&expected);
        let etag = raw.put(&format!("{target}&partNumber=1"), "x").await.is(200).etag();
        let parts = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let expires = expiry("Sun, 01 Jan 2040 00:00:00 GMT", "slow");
        for _ in 0..2 {
            let done = raw.request("POST", &target).body(document.clone()).send().await;
            done.is(200).has_header(EXPIRATION, Some(&expires));
        }
    }
    let created = raw.post("/bucket/other?uploads", "").await.is(200);
    created.has_header("x-amz-abort-date", None).has_header("x-amz-abort-rule-id", None);
    fixture.stop().await;
}
