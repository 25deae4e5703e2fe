//! Object Lock over the wire: configurations, retentions, legal holds, and what locked versions answer.

use std::time::Duration;

use crate::support::{Answer, Fixture, Raw};

const PROTECTED: &str = "Access Denied because object protected by object lock.";
const MISSING: &str = "Bucket is missing Object Lock Configuration";
const BYPASS: &str = "x-amz-bypass-governance-retention";
const MODE: &str = "x-amz-object-lock-mode";
const DATE: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";
/// A day after the clock of the tests.
const TOMORROW: &str = "2026-10-02T10:00:00.000Z";
const LATER: &str = "2026-10-03T10:00:00.000Z";

/// Sends a document with its MD5.
async fn put(raw: &Raw, target: &str, document: impl Into<String>) -> Answer {
    let document = document.into();
    raw.request("PUT", target).md5_of(document.as_bytes()).body(document).send().await
}

async fn locked_bucket() -> (Fixture, std::sync::Arc<strata_storage::ManualClock>) {
    let (fixture, clock) = Fixture::with_clock("plain", |_| {}).await;
    let made = fixture.raw.request("PUT", "/bucket").header("x-amz-bucket-object-lock-enabled", "true");
    made.send().await.is(200);
    (fixture, clock)
}

fn retention(mode: &str, date: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{date}</RetainUntilDate></Retention>")
}

fn hold(status: &str) -> String {
    format!("<LegalHold><Status>{status}</Status></LegalHold>")
}

fn configuration(rule: &str) -> String {
    format!("<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>")
}

/// Writes an object with these headers and returns its version id.
async fn write(raw: &Raw, target: &str, headers: &[(&str, &str)]) -> String {
    raw.request("PUT", target).headers(headers).md5_of(b"x").body("x").send().await.is(200).version()
}

#[tokio::test]
async fn configurations() {
    let (fixture, _clock) = locked_bucket().await;
    let raw = &fixture.raw;
    raw.get("/bucket?object-lock").await.is(200).has("ObjectLockEnabled", "Enabled").lacks("Rule");
    raw.get("/bucket?versioning").await.is(200).has("Status", "Enabled");
    raw.put("/bucket?versioning", "<x><Status>Suspended</Status></x>").await.fails_saying(
        409,
        "InvalidBucketState",
        "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
    );
    let rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule>";
    put(raw, "/bucket?object-lock", configuration(rule)).await.is(200).has_body("");
    raw.get("/bucket?object-lock").await.is(200).has("Mode", "GOVERNANCE").has("Days", "30");
    let rule = "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>2</Years></DefaultRetention></Rule>";
    put(raw, "/bucket?object-lock", configuration(rule)).await.is(200);
    raw.get("/bucket?object-lock").await.is(200).has("Mode", "COMPLIANCE").has("Years", "2").lacks("Days");
    put(raw, "/bucket?object-lock", configuration("")).await.is(200);
    raw.get("/bucket?object-lock").await.is(200).lacks("Rule");
    raw.put("/bucket?object-lock", configuration("")).await.fails(400, "InvalidRequest");
    put(raw, "/bucket?object-lock", "<ObjectLockConfiguration/>").await.fails(400, "MalformedXML");
    let zero = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>0</Days></DefaultRetention></Rule>";
    put(raw, "/bucket?object-lock", configuration(zero)).await.fails(400, "InvalidArgument");
    // A bucket of before.
    raw.get("/plain?object-lock").await.fails_saying(
        404,
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket",
    );
    put(raw, "/plain?object-lock", configuration("")).await.fails(409, "InvalidBucketState");
    fixture.set_versioning("plain", "Enabled").await;
    put(raw, "/plain?object-lock", configuration("")).await.is(200);
    raw.get("/plain?object-lock").await.is(200).has("ObjectLockEnabled", "Enabled");
    raw.get("/missing?object-lock").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn headers_of_writes_and_reads() {
    let (fixture, _clock) = locked_bucket().await;
    let raw = &fixture.raw;
    let all = [(MODE, "GOVERNANCE"), (DATE, "2026-10-02T12:00:00+02:00"), (HOLD, "ON")];
    write(raw, "/bucket/key", &all).await;
    let shown = [(MODE, "GOVERNANCE"), (DATE, TOMORROW), (HOLD, "ON")];
    raw.head("/bucket/key").await.is(200).has_headers(&shown);
    raw.get("/bucket/key").await.is(200).has_headers(&shown).has_body("x");
    let put = |headers: &'static [(&'static str, &'static str)]| {
        raw.request("PUT", "/bucket/key").headers(headers).body("x").send()
    };
    put(&[(HOLD, "ON")]).await.fails_saying(
        400,
        "InvalidRequest",
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
    );
    put(&[(HOLD, "OFF"), ("x-amz-checksum-crc32", "jNwWgw==")]).await.is(200);
    raw.head("/bucket/key").await.is(200).has_header(HOLD, Some("OFF")).has_header(MODE, None);
    put(&[(MODE, "GOVERNANCE")]).await.fails(400, "InvalidArgument");
    put(&[(DATE, LATER)]).await.fails(400, "InvalidArgument");
    put(&[(MODE, "GOVERNANCE"), (DATE, "2026-10-01T10:00:00Z")]).await.fails_saying(
        400,
        "InvalidArgument",
        "The retain until date must be in the future!",
    );
    let plain = raw.request("PUT", "/plain/key").header(HOLD, "ON").md5_of(b"x").body("x");
    plain.send().await.fails_saying(400, "InvalidRequest", MISSING);
    // A copy has what its headers say, and nothing of its source's.
    let copy = |target: &'static str| {
        raw.request("PUT", target).header("x-amz-copy-source", "/bucket/key").header("x-amz-storage-class", "STANDARD")
    };
    write(raw, "/bucket/key", &all).await;
    copy("/bucket/copy").send().await.is(200);
    raw.head("/bucket/copy").await.is(200).has_header(MODE, None).has_header(HOLD, None);
    copy("/bucket/copy").header(HOLD, "ON").send().await.is(200);
    raw.head("/bucket/copy").await.is(200).has_header(HOLD, Some("ON"));
    // An upload's object has what its creation said.
    let begun = raw.request("POST", "/bucket/upload?uploads").headers(&[(MODE, "COMPLIANCE"), (DATE, LATER)]);
    let id = begun.send().await.is(200).element("UploadId").expect("an id");
    let part = raw.put(&format!("/bucket/upload?partNumber=1&uploadId={id}"), "x").await.is(200).etag();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part></CompleteMultipartUpload>"
    );
    raw.post(&format!("/bucket/upload?uploadId={id}"), parts).await.is(200);
    raw.head("/bucket/upload").await.is(200).has_headers(&[(MODE, "COMPLIANCE"), (DATE, LATER)]);
    fixture.stop().await;
}

#[tokio::test]
async fn default_retentions() {
    let (fixture, clock) = locked_bucket().await;
    let raw = &fixture.raw;
    let rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>";
    put(raw, "/bucket?object-lock", configuration(rule)).await.is(200);
    raw.put("/bucket/key", "x").await.fails(400, "InvalidRequest");
    let version = write(raw, "/bucket/key", &[]).await;
    raw.head("/bucket/key").await.is(200).has_headers(&[(MODE, "GOVERNANCE"), (DATE, TOMORROW)]);
    let target = format!("/bucket/key?versionId={version}");
    raw.delete(&target).await.fails(403, "AccessDenied");
    clock.advance(Duration::from_secs(86_401));
    raw.delete(&target).await.is(204);
    fixture.stop().await;
}

#[tokio::test]
async fn locked_versions_stay() {
    let (fixture, clock) = locked_bucket().await;
    let raw = &fixture.raw;
    let bypassing = |target: String| async move { raw.request("DELETE", &target).header(BYPASS, "true").send().await };
    for (headers, yields) in [
        (&[(MODE, "GOVERNANCE"), (DATE, TOMORROW)][..], true),
        (&[(MODE, "COMPLIANCE"), (DATE, TOMORROW)][..], false),
        (&[(HOLD, "ON")][..], false),
    ] {
        let version = write(raw, "/bucket/key", headers).await;
        let target = format!("/bucket/key?versionId={version}");
        raw.delete(&target).await.fails_saying(403, "AccessDenied", PROTECTED);
        // Without a version a marker covers it, and nothing is lost.
        let marker = raw.delete("/bucket/key").await.is(204).has_header("x-amz-delete-marker", Some("true")).version();
        raw.get(&target).await.is(200).has_body("x");
        raw.delete(&format!("/bucket/key?versionId={marker}")).await.is(204);
        let document = format!("<Delete><Object><Key>key</Key><VersionId>{version}</VersionId></Object></Delete>");
        let many = |bypass: &'static str| {
            raw.request("POST", "/bucket?delete")
                .header(BYPASS, bypass)
                .md5_of(document.as_bytes())
                .body(document.clone())
        };
        many("false").send().await.is(200).has("Code", "AccessDenied").has("Message", PROTECTED).lacks("Deleted");
        match yields {
            true => drop(many("true").send().await.is(200).lacks("Error").has("VersionId", &version)),
            false => {
                many("true").send().await.is(200).has("Code", "AccessDenied");
                bypassing(target.clone()).await.fails_saying(403, "AccessDenied", PROTECTED);
                raw.get(&target).await.is(200).has_body("x");
            }
        }
    }
    let version = write(raw, "/bucket/key", &[(MODE, "GOVERNANCE"), (DATE, TOMORROW)]).await;
    bypassing(format!("/bucket/key?versionId={version}")).await.is(204);
    raw.request("DELETE", "/bucket/key?versionId=null")
        .header(BYPASS, "yes")
        .send()
        .await
        .fails(400, "InvalidArgument");
    clock.advance(Duration::from_secs(86_401));
    raw.delete("/bucket").await.fails(409, "BucketNotEmpty");
    fixture.stop().await;
}

#[tokio::test]
async fn retentions() {
    let (fixture, clock) = locked_bucket().await;
    let raw = &fixture.raw;
    let version = write(raw, "/bucket/key", &[]).await;
    let target = "/bucket/key?retention";
    raw.get(target).await.fails_saying(
        404,
        "NoSuchObjectLockConfiguration",
        "The specified object does not have a ObjectLock configuration",
    );
    let set = put(raw, target, retention("GOVERNANCE", TOMORROW)).await.is(200).has_body("");
    assert_eq!(set.version(), version);
    raw.get(target).await.is(200).has("Mode", "GOVERNANCE").has("RetainUntilDate", TOMORROW);
    put(raw, target, retention("GOVERNANCE", LATER)).await.is(200);
    for lessened in [retention("GOVERNANCE", TOMORROW), retention("COMPLIANCE", LATER), "<Retention/>".to_owned()] {
        put(raw, target, lessened).await.fails_saying(403, "AccessDenied", PROTECTED);
    }
    let shorter = retention("GOVERNANCE", TOMORROW);
    let bypass = raw.request("PUT", target).header(BYPASS, "true").md5_of(shorter.as_bytes()).body(shorter);
    bypass.send().await.is(200);
    let none = "<Retention/>";
    raw.request("PUT", target).header(BYPASS, "true").md5_of(none.as_bytes()).body(none).send().await.is(200);
    raw.get(target).await.fails(404, "NoSuchObjectLockConfiguration");
    put(raw, target, retention("COMPLIANCE", TOMORROW)).await.is(200);
    put(raw, target, retention("COMPLIANCE", LATER)).await.is(200);
    for lessened in [retention("COMPLIANCE", TOMORROW), retention("GOVERNANCE", LATER), none.to_owned()] {
        let bypass = raw.request("PUT", target).header(BYPASS, "true").md5_of(lessened.as_bytes()).body(lessened);
        bypass.send().await.fails_saying(403, "AccessDenied", PROTECTED);
    }
    put(raw, target, retention("COMPLIANCE", "2026-10-01T09:00:00Z")).await.fails(400, "InvalidArgument");
    put(raw, target, "<Retention><Mode>COMPLIANCE</Mode></Retention>").await.fails(400, "MalformedXML");
    raw.put(target, retention("COMPLIANCE", LATER)).await.fails(400, "InvalidRequest");
    clock.advance(Duration::from_secs(3 * 86_400));
    raw.delete(&format!("/bucket/key?versionId={version}")).await.is(204);
    fixture.stop().await;
}

#[tokio::test]
async fn what_has_no_lock() {
    let (fixture, _clock) = locked_bucket().await;
    let raw = &fixture.raw;
    raw.put("/plain/key", "x").await.is(200);
    for name in ["retention", "legal-hold"] {
        let document = if name == "retention" { retention("GOVERNANCE", LATER) } else { hold("ON") };
        raw.get(&format!("/plain/key?{name}")).await.fails_saying(400, "InvalidRequest", MISSING);
        put(raw, &format!("/plain/key?{name}"), document.clone()).await.fails_saying(400, "InvalidRequest", MISSING);
        raw.get(&format!("/bucket/missing?{name}")).await.fails(404, "NoSuchKey");
        put(raw, &format!("/bucket/missing?{name}"), document.clone()).await.fails(404, "NoSuchKey");
        put(raw, &format!("/missing/key?{name}"), document.clone()).await.fails(404, "NoSuchBucket");
        raw.put("/bucket/gone", "x").await.is(200);
        let marker = raw.delete("/bucket/gone").await.is(204).version();
        put(raw, &format!("/bucket/gone?{name}"), document.clone()).await.fails(405, "MethodNotAllowed");
        let by_id = format!("/bucket/gone?{name}&versionId={marker}");
        put(raw, &by_id, document).await.fails(405, "MethodNotAllowed").has_header("x-amz-delete-marker", Some("true"));
    }
    fixture.stop().await;
}

#[tokio::test]
async fn legal_holds() {
    let (fixture, _clock) = locked_bucket().await;
    let raw = &fixture.raw;
    let version = write(raw, "/bucket/key", &[]).await;
    let target = "/bucket/key?legal-hold";
    raw.get(target).await.fails(404, "NoSuchObjectLockConfiguration");
    for status in ["ON", "OFF", "ON"] {
        let set = put(raw, target, hold(status)).await.is(200);
        assert_eq!(set.version(), version);
        raw.get(target).await.is(200).has("Status", status);
        raw.head("/bucket/key").await.is(200).has_header(HOLD, Some(status));
    }
    raw.delete(&format!("/bucket/key?versionId={version}")).await.fails_saying(403, "AccessDenied", PROTECTED);
    put(raw, target, hold("on")).await.fails(400, "MalformedXML");
    put(raw, target, "<LegalHold/>").await.fails(400, "MalformedXML");
    put(raw, &format!("{target}&versionId={version}"), hold("OFF")).await.is(200);
    raw.delete(&format!("/bucket/key?versionId={version}")).await.is(204);
    fixture.stop().await;
}
