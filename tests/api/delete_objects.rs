//! DeleteObjects: many deletes in one request.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::support::{Answer, Fixture, Raw, elements};

async fn delete(raw: &Raw, inside: &str) -> Answer {
    raw.post("/bucket?delete", format!("<Delete>{inside}</Delete>")).await
}

#[tokio::test]
async fn through_the_sdk() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let (raw, s3) = (&fixture.raw, &fixture.s3);
    let version = raw.put("/bucket/a", "x").await.is(200).version();
    let entry = |key: &str, version: Option<&str>| {
        ObjectIdentifier::builder().key(key).set_version_id(version.map(str::to_owned)).build().expect("an entry")
    };
    let list =
        Delete::builder().objects(entry("a", None)).objects(entry("a", Some(&version))).objects(entry("b", None));
    let list = list.build().expect("a list");
    let deleted = s3.delete_objects().bucket("bucket").delete(list).send().await.expect("deletes");
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (3, 0));
    let markers = deleted.deleted().iter().filter(|one| one.delete_marker() == Some(true));
    assert!(markers.clone().all(|one| one.delete_marker_version_id().is_some() && one.version_id().is_none()));
    assert_eq!(markers.count(), 2);
    let list = Delete::builder().objects(entry("a", None)).quiet(true).build().expect("a list");
    let deleted = s3.delete_objects().bucket("bucket").delete(list).send().await.expect("deletes");
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (0, 0));
    fixture.stop().await;
}

#[tokio::test]
async fn results() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let one = raw.put("/bucket/a", "x").await.is(200).version();
    let answer = delete(raw, "<Object><Key>a</Key><VersionId>abc</VersionId></Object>").await.is(200);
    answer.has("Code", "NoSuchVersion").has("Key", "a").has("VersionId", "abc").lacks("Deleted");
    // An id of another key.
    let answer = delete(raw, &format!("<Object><Key>b</Key><VersionId>{one}</VersionId></Object>")).await.is(200);
    answer.has("VersionId", &one).lacks("Error").lacks("DeleteMarker");
    // Equal entries are done once.
    let twice = "<Object><Key>a</Key></Object>".repeat(2);
    let answer = delete(raw, &twice).await.is(200);
    assert_eq!(answer.elements("Deleted").len(), 1);
    let marker = answer.element("DeleteMarkerVersionId").expect("a marker");
    answer.has("DeleteMarker", "true").lacks("VersionId");
    let answer = delete(raw, &format!("<Object><Key>a</Key><VersionId>{marker}</VersionId></Object>")).await.is(200);
    answer.has("VersionId", &marker).has("DeleteMarker", "true").has("DeleteMarkerVersionId", &marker);
    raw.get("/bucket/a").await.is(200);
    // A key by itself and the same with its version are two.
    let both = format!("<Object><Key>a</Key></Object><Object><Key>a</Key><VersionId>{one}</VersionId></Object>");
    assert_eq!(delete(raw, &both).await.is(200).elements("Deleted").len(), 2);
    let quiet = delete(raw, "<Quiet>true</Quiet><Object><Key>x</Key></Object>").await.is(200);
    quiet.lacks("Deleted").lacks("Error");
    // The order of the elements does not matter.
    let mixed = "<Object><Key>x</Key></Object><Quiet>true</Quiet><Object><Key>y</Key></Object>";
    delete(raw, mixed).await.is(200).lacks("Deleted").lacks("Error");
    let mixed =
        "<Object><Key>x</Key></Object><Quiet>false</Quiet><Object><VersionId>null</VersionId><Key>y</Key></Object>";
    assert_eq!(delete(raw, mixed).await.is(200).elements("Deleted").len(), 2);
    fixture.stop().await;
}

#[tokio::test]
async fn conditions() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let etag = raw.put("/bucket/a", "x").await.is(200).etag();
    let check = async |etag: &str, key: &str, code: Option<&str>| {
        let answer = delete(raw, &format!("<Object><Key>{key}</Key><ETag>{etag}</ETag></Object>")).await.is(200);
        assert_eq!(answer.element("Code").as_deref(), code, "{etag} {key}");
    };
    check("\"0123456789abcdef0123456789abcdef\"", "a", Some("PreconditionFailed")).await;
    check("*", "missing", Some("NoSuchKey")).await;
    check(&etag, "missing", Some("NoSuchKey")).await;
    check(&etag, "a", None).await;
    raw.get("/bucket/a").await.fails(404, "NoSuchKey");
    raw.put("/bucket/a", "x").await.is(200);
    check("*", "a", None).await;
    raw.get("/bucket/a").await.fails(404, "NoSuchKey");
    fixture.stop().await;
}

#[tokio::test]
async fn documents() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let many = |count: usize| (0..count).map(|n| format!("<Object><Key>{n}</Key></Object>")).collect::<String>();
    assert_eq!(delete(raw, &many(1000)).await.is(200).elements("Deleted").len(), 1000);
    delete(raw, &many(1001)).await.fails(400, "MalformedXML");
    for inside in ["", "<Object/>", "<Object><Key/></Object>", "<Other/>", "<Object><Key>a</Key><Other/></Object>", "<"]
    {
        delete(raw, inside).await.fails(400, "MalformedXML");
    }
    let document = "<Delete><Object><Key>a</Key></Object></Delete>";
    raw.request("POST", "/bucket?delete").body(document).send().await.fails(400, "InvalidRequest");
    raw.request("POST", "/bucket?delete")
        .header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")
        .body(document)
        .send()
        .await
        .fails(400, "BadDigest");
    raw.request("POST", "/bucket?delete")
        .header("content-md5", "AA")
        .body(document)
        .send()
        .await
        .fails(400, "InvalidDigest");
    raw.request("POST", "/bucket?delete")
        .header("x-amz-checksum-crc32", "AAAAAA==")
        .body(document)
        .send()
        .await
        .fails(400, "BadDigest");
    raw.post("/missing?delete", document).await.fails(404, "NoSuchBucket");
    let odd = "<Object><Key>a&lt;&#1;&amp;é</Key></Object>";
    let answer = delete(raw, odd).await.is(200);
    assert_eq!(elements(&answer.text(), "Key"), ["a<&#x1;&é"]);
    fixture.stop().await;
}
