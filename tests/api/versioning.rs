//! Versions and delete markers: states of a bucket, what writes, reads and deletes do in each, ListObjectVersions.

use crate::support::{Answer, Fixture, Raw, elements};

const MARKER_METHOD: &str = "The specified method is not allowed against this resource.";

#[tokio::test]
async fn states() {
    async fn check(raw: &Raw, inside: &str, expected: Result<&str, (u16, &str)>) {
        let document = format!("<VersioningConfiguration>{inside}</VersioningConfiguration>");
        let answer = raw.put("/bucket?versioning", document).await;
        match expected {
            Ok(status) => {
                answer.is(200).has_body("");
                raw.get("/bucket?versioning").await.is(200).has("Status", status);
            }
            Err((status, code)) => {
                answer.fails(status, code);
            }
        }
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.get("/bucket?versioning").await.is(200).lacks("Status").lacks("MfaDelete");
    let malformed = Err((400, "MalformedXML"));
    for status in ["enabled", "ENABLED", " Enabled", "Disabled"] {
        check(raw, &format!("<Status>{status}</Status>"), malformed).await;
    }
    check(raw, "<Status>Enabled</Status><Status>Enabled</Status>", malformed).await;
    check(raw, "<Status>Enabled</Status><Other/>", malformed).await;
    check(raw, "<Status>Enabled</Status><MfaDelete>enabled</MfaDelete>", malformed).await;
    let illegal = Err((400, "IllegalVersioningConfigurationException"));
    check(raw, "", illegal).await;
    check(raw, "<Status/>", illegal).await;
    raw.put("/bucket?versioning", "<VersioningConfiguration/>").await.fails_saying(
        400,
        "IllegalVersioningConfigurationException",
        "The Versioning element must be specified",
    );
    raw.put("/bucket?versioning", "").await.fails_saying(400, "MissingRequestBodyError", "Request Body is empty");
    let long =
        format!("<VersioningConfiguration><Status>Enabled</Status>{}</VersioningConfiguration>", " ".repeat(1024));
    raw.put("/bucket?versioning", long)
        .await
        .fails(400, "MaxMessageLengthExceeded")
        .has("MaxMessageLengthBytes", "1024");
    raw.get("/bucket?versioning").await.is(200).lacks("Status");
    check(raw, "<Status>Suspended</Status>", Ok("Suspended")).await;
    check(raw, "<Status>Enabled</Status><MfaDelete/>", Ok("Enabled")).await;
    check(raw, "<Status>Enabled</Status>", Ok("Enabled")).await;
    raw.put("/bucket?versioning", "<x><Status>Suspended</Status></x>").await.is(200);
    raw.get("/missing?versioning").await.fails(404, "NoSuchBucket");
    raw.put("/missing?versioning", "<x><Status>Suspended</Status></x>").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn version_ids() {
    async fn check(raw: &Raw, target: &str, message: &str) {
        for method in ["GET", "DELETE"] {
            raw.request(method, target).send().await.refuses_argument("versionId", message);
        }
        raw.head(target).await.is(400).has_body("");
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "x").await.is(200);
    let invalid = "Invalid version id specified";
    let empty = "Version id cannot be the empty string";
    for state in [None, Some("Enabled"), Some("Suspended")] {
        if let Some(state) = state {
            fixture.set_versioning("bucket", state).await;
        }
        for key in ["key", "missing"] {
            check(raw, &format!("/bucket/{key}?versionId=abc"), invalid).await;
            check(raw, &format!("/bucket/{key}?versionId=abcdefghijklmnopqrstuvwxyz012345"), invalid).await;
            check(raw, &format!("/bucket/{key}?versionId="), empty).await;
            check(raw, &format!("/bucket/{key}?versionId"), empty).await;
            raw.get(&format!("/bucket/{key}?tagging&versionId=abc")).await.refuses_argument("versionId", invalid);
        }
    }
    raw.get("/missing/key?versionId=abc").await.fails(404, "NoSuchBucket");
    let copy = |source: &'static str| raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", source);
    copy("/bucket/key?versionId=abc").send().await.fails_saying(400, "InvalidRequest", "Invalid Request");
    copy("/bucket/key?versionId=").send().await.fails(400, "InvalidArgument");
    fixture.stop().await;
}

#[tokio::test]
async fn unversioned() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "x").await.is(200).has_header("x-amz-version-id", None);
    raw.get("/bucket/key").await.is(200).has_header("x-amz-version-id", None);
    raw.get("/bucket/key?versionId=null").await.is(200).has_header("x-amz-version-id", None).has_body("x");
    raw.get("/bucket/key?tagging").await.is(200).has_header("x-amz-version-id", None);
    raw.get("/bucket/missing?versionId=null")
        .await
        .fails(404, "NoSuchVersion")
        .has("Key", "missing")
        .has("VersionId", "null");
    let versions = raw.get("/bucket?versions").await.is(200).has("VersionId", "null").has("IsLatest", "true");
    versions.has("StorageClass", "STANDARD").has("Size", "1");
    raw.delete("/bucket/key")
        .await
        .is(204)
        .has_header("x-amz-version-id", None)
        .has_header("x-amz-delete-marker", None);
    raw.get("/bucket?versions").await.is(200).lacks("Version").lacks("DeleteMarker");
    raw.put("/bucket/key", "x").await.is(200);
    raw.delete("/bucket/key?versionId=null").await.is(204);
    raw.get("/bucket/key").await.fails(404, "NoSuchKey");
    fixture.stop().await;
}

#[tokio::test]
async fn enabled() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "zero").await.is(200);
    fixture.set_versioning("bucket", "Enabled").await;
    raw.get("/bucket/key").await.is(200).has_header("x-amz-version-id", Some("null"));
    let one = raw.put("/bucket/key", "one").await.is(200).version();
    let two = raw.put("/bucket/key", "two").await.is(200).version();
    assert_eq!((one.len(), one == two), (32, false));
    raw.get("/bucket/key").await.is(200).has_header("x-amz-version-id", Some(&two)).has_body("two");
    for (version, content) in [("null", "zero"), (&one, "one"), (&two, "two")] {
        let target = format!("/bucket/key?versionId={version}");
        raw.get(&target).await.is(200).has_header("x-amz-version-id", Some(version)).has_body(content);
        raw.head(&target).await.is(200).has_header("x-amz-version-id", Some(version));
    }

    // A marker hides the key.
    let deleted = raw.delete("/bucket/key").await.is(204).has_header("x-amz-delete-marker", Some("true"));
    let marker = deleted.version();
    let headers = [("x-amz-delete-marker", "true"), ("x-amz-version-id", marker.as_str())];
    raw.get("/bucket/key").await.fails(404, "NoSuchKey").has("Key", "key").has_headers(&headers);
    raw.head("/bucket/key").await.is(404).has_headers(&headers).has_body("");
    raw.get("/bucket").await.is(200).lacks("Contents");
    let by_id = format!("/bucket/key?versionId={marker}");
    let answer = raw.get(&by_id).await.fails_saying(405, "MethodNotAllowed", MARKER_METHOD);
    let answer = answer.has("Method", "GET").has("ResourceType", "DeleteMarker").has_headers(&headers);
    assert!(answer.has_header("allow", Some("DELETE")).header("last-modified").is_some());
    let answer = raw.head(&by_id).await.is(405).has_headers(&headers).has_header("allow", Some("DELETE"));
    assert!(answer.header("last-modified").is_some());
    let another = raw.delete("/bucket/key").await.is(204).version();
    assert_ne!(another, marker);

    // Removing the markers brings the key back; removing versions goes on down.
    for version in [&another, &marker] {
        let target = format!("/bucket/key?versionId={version}");
        raw.delete(&target)
            .await
            .is(204)
            .has_headers(&[("x-amz-delete-marker", "true"), ("x-amz-version-id", version)]);
    }
    for (version, next) in [(&two, "one"), (&one, "zero")] {
        let answer = raw.delete(&format!("/bucket/key?versionId={version}")).await.is(204);
        answer.has_header("x-amz-version-id", Some(version)).has_header("x-amz-delete-marker", None);
        raw.get("/bucket/key").await.is(200).has_body(next);
    }
    raw.get(&format!("/bucket/key?versionId={two}"))
        .await
        .fails_saying(404, "NoSuchVersion", "The specified version does not exist.")
        .has("Key", "key")
        .has("VersionId", &two);
    raw.delete(&format!("/bucket/key?versionId={two}")).await.is(204).has_header("x-amz-version-id", Some(&two));
    raw.delete("/bucket/key?versionId=null").await.is(204).has_header("x-amz-version-id", Some("null"));
    raw.delete("/bucket/key?versionId=null").await.is(204).has_header("x-amz-version-id", Some("null"));
    raw.get("/bucket?versions").await.is(200).lacks("Version").lacks("DeleteMarker");
    // A key that never was gets a marker, too.
    raw.delete("/bucket/never").await.is(204).has_header("x-amz-delete-marker", Some("true"));
    fixture.stop().await;
}

#[tokio::test]
async fn suspended() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let one = raw.put("/bucket/key", "one").await.is(200).version();
    fixture.set_versioning("bucket", "Suspended").await;
    raw.put("/bucket/key", "two").await.is(200).has_header("x-amz-version-id", None);
    raw.put("/bucket/key", "three").await.is(200).has_header("x-amz-version-id", None);
    raw.get("/bucket/key").await.is(200).has_header("x-amz-version-id", Some("null")).has_body("three");
    raw.get(&format!("/bucket/key?versionId={one}")).await.is(200).has_body("one");
    assert_eq!(raw.get("/bucket?versions").await.is(200).elements("VersionId"), ["null", &one]);
    let headers = [("x-amz-delete-marker", "true"), ("x-amz-version-id", "null")];
    for _ in 0..2 {
        raw.delete("/bucket/key").await.is(204).has_headers(&headers);
        assert_eq!(raw.get("/bucket?versions").await.is(200).elements("VersionId"), ["null", &one]);
    }
    raw.get("/bucket/key").await.fails(404, "NoSuchKey").has_headers(&headers);
    raw.delete("/bucket/key?versionId=null").await.is(204).has_headers(&headers);
    raw.get("/bucket/key").await.is(200).has_body("one");
    raw.delete("/bucket/key?versionId=null").await.is(204).has_header("x-amz-delete-marker", None);
    fixture.stop().await;
}

#[tokio::test]
async fn tags_and_copies_of_versions() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let tagging = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    let one = raw.put("/bucket/key", "one").await.is(200).version();
    let two = raw.put("/bucket/key", "two").await.is(200).version();
    let by_id = format!("/bucket/key?tagging&versionId={one}");
    raw.put(&by_id, tagging).await.is(200).has_header("x-amz-version-id", Some(&one));
    raw.get(&by_id).await.is(200).has_header("x-amz-version-id", Some(&one)).has("Key", "k");
    raw.get("/bucket/key?tagging").await.is(200).has_header("x-amz-version-id", Some(&two)).lacks("Tag");
    raw.delete(&by_id).await.is(204).has_header("x-amz-version-id", Some(&one));
    let copy = |source: String| raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", &source);
    let copied = copy(format!("/bucket/key?versionId={one}")).send().await.is(200);
    assert_eq!(copied.header("x-amz-copy-source-version-id"), Some(one.as_str()));
    raw.get(&format!("/bucket/copy?versionId={}", copied.version())).await.is(200).has_body("one");
    // An old version onto its own key is how it is restored.
    let request =
        raw.request("PUT", "/bucket/key").header("x-amz-copy-source", &format!("/bucket/key?versionId={one}"));
    request.send().await.is(200);
    raw.get("/bucket/key").await.is(200).has_body("one");

    let marker = raw.delete("/bucket/key").await.is(204).version();
    let allow = ("allow", "DELETE");
    raw.put("/bucket/key?tagging", tagging)
        .await
        .fails(405, "MethodNotAllowed")
        .has("Method", "PUT")
        .has("ResourceType", "DeleteMarker")
        .has_headers(&[allow])
        .has_header("x-amz-version-id", None);
    raw.put(&format!("/bucket/key?tagging&versionId={marker}"), tagging)
        .await
        .fails(405, "MethodNotAllowed")
        .has_headers(&[allow, ("x-amz-delete-marker", "true"), ("x-amz-version-id", &marker)]);
    let unread = raw.get("/bucket/key?tagging").await.fails(405, "MethodNotAllowed");
    unread.has("Method", "GET").has("ResourceType", "DeleteMarker").has_headers(&[allow]);
    copy("/bucket/key".to_owned())
        .send()
        .await
        .fails(404, "NoSuchKey")
        .has_headers(&[("x-amz-delete-marker", "true"), ("x-amz-version-id", &marker)]);
    let message = "The source of a copy request may not specifically refer to a delete marker by version id.";
    copy(format!("/bucket/key?versionId={marker}")).send().await.fails_saying(400, "InvalidRequest", message);
    fixture.stop().await;
}

#[tokio::test]
async fn writes_accept_no_version_id() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let version = raw.put("/bucket/key", "x").await.is(200).version();
    let upload = raw.post("/bucket/key?uploads", "").await.is(200).element("UploadId").expect("an id");
    raw.put(&format!("/bucket/key?partNumber=1&uploadId={upload}&versionId={version}"), "x")
        .await
        .refuses_argument("versionId", "This operation does not accept a version-id.");
    fixture.stop().await;
}

/// What a list shows: `key:version` with `*` behind the latest and `-` before markers, and its common prefixes.
fn shown(answer: &Answer, names: &[(&str, String)]) -> Vec<String> {
    let text = answer.text().replace("<DeleteMarker>", "<Version><IsMarker>-</IsMarker>");
    let text = text.replace("</DeleteMarker>", "</Version>");
    let one = |entry: &str, name: &str| elements(entry, name).into_iter().next().unwrap_or_default();
    let entries = elements(&text, "Version").into_iter().map(|entry| {
        let version = one(&entry, "VersionId");
        let name = names.iter().find(|(_, id)| *id == version).map_or(version.as_str(), |(name, _)| name);
        let latest = if one(&entry, "IsLatest") == "true" { "*" } else { "" };
        format!("{}{}:{name}{latest}", one(&entry, "IsMarker"), one(&entry, "Key"))
    });
    let prefixes = elements(&text, "CommonPrefixes").into_iter().map(|entry| one(&entry, "Prefix"));
    entries.chain(prefixes).collect()
}

#[tokio::test]
async fn lists() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/a", "0").await.is(200);
    fixture.set_versioning("bucket", "Enabled").await;
    let mut names = Vec::new();
    for (name, key) in [("1", "a"), ("2", "a"), ("3", "b/1"), ("4", "c"), ("5", "b/2")] {
        names.push((name, raw.put(&format!("/bucket/{key}"), "x").await.is(200).version()));
    }
    names.push(("m", raw.delete("/bucket/a").await.is(204).version()));
    names.push(("n", raw.delete("/bucket/d").await.is(204).version()));
    let id = |wanted: &str| names.iter().find(|(name, _)| *name == wanted).expect("a name").1.clone();
    let get = async |query: &str| raw.get(&format!("/bucket?versions{query}")).await.is(200);
    let check = async |query: &str, expected: &[&str]| {
        let answer = get(query).await;
        assert_eq!(shown(&answer, &names), expected, "{query}");
        answer
    };
    let all = ["-a:m*", "a:2", "a:1", "a:null", "b/1:3*", "b/2:5*", "c:4*", "-d:n*"];
    check("", &all).await.has("IsTruncated", "false").lacks("NextKeyMarker");
    check("&prefix=b", &["b/1:3*", "b/2:5*"]).await;
    check("&delimiter=%2F", &["-a:m*", "a:2", "a:1", "a:null", "c:4*", "-d:n*", "b/"]).await;
    let page = check("&max-keys=2", &["-a:m*", "a:2"]).await.has("IsTruncated", "true").has("MaxKeys", "2");
    page.has("NextKeyMarker", "a").has("NextVersionIdMarker", &id("2"));
    check(&format!("&key-marker=a&version-id-marker={}", id("2")), &all[2..]).await;
    check("&key-marker=a", &all[4..]).await;
    check("&key-marker=a&version-id-marker=null", &all[4..]).await;
    check("&key-marker=b%2F1&version-id-marker=null", &all[5..]).await;
    check("&key-marker=aa", &all[4..]).await;
    check(&format!("&key-marker=&version-id-marker={}", id("2")), &all).await;
    let page = check("&delimiter=%2F&max-keys=5", &["-a:m*", "a:2", "a:1", "a:null", "b/"]).await;
    page.has("NextKeyMarker", "b/").lacks("NextVersionIdMarker");
    check("&delimiter=%2F&key-marker=b%2F", &["c:4*", "-d:n*"]).await;
    check("&max-keys=0", &[]).await.has("IsTruncated", "false");
    check("&max-keys=", &all).await;
    get("&max-keys=2147483647").await.has("MaxKeys", "2147483647");
    // Every page size comes to the same.
    for size in 1..=8 {
        let mut found = Vec::new();
        let mut query = format!("&max-keys={size}");
        loop {
            let page = get(&query).await;
            found.extend(shown(&page, &names));
            let Some(key) = page.element("NextKeyMarker") else { break };
            let version = page.element("NextVersionIdMarker").expect("a version");
            query = format!("&max-keys={size}&key-marker={}&version-id-marker={version}", key.replace('/', "%2F"));
        }
        assert_eq!(found, all, "{size}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn faults_of_lists() {
    async fn check(raw: &Raw, query: &str, name: &str, message: &str) {
        raw.get(&format!("/bucket?versions&{query}")).await.refuses_argument(name, message);
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let range = "Provided max-keys not an integer or within integer range";
    check(raw, "max-keys=-1", "max-keys", "max-keys cannot be negative").await;
    check(raw, "max-keys=x", "max-keys", range).await;
    check(raw, "max-keys=2147483648", "max-keys", range).await;
    let without = "A version-id marker cannot be specified without a key marker.";
    check(raw, "version-id-marker=null", "version-id-marker", without).await;
    let empty = "A version-id marker cannot be empty.";
    check(raw, "key-marker=&version-id-marker=", "version-id-marker", empty).await;
    check(raw, "key-marker=a&version-id-marker=", "version-id-marker", empty).await;
    check(raw, "key-marker=a&version-id-marker=abc", "version-id-marker", "Invalid version id specified").await;
    check(raw, "encoding-type=", "encoding-type", "Invalid Encoding Method specified in Request").await;
    let null = "Value must be a sequence of Unicode characters and cannot include Null.";
    check(raw, "prefix=%00", "prefix", null).await;
    check(raw, "key-marker=%00", "key-marker", null).await;
    // The order of the checks.
    check(raw, "max-keys=x&version-id-marker=abc&encoding-type=&prefix=%00", "max-keys", range).await;
    check(raw, "version-id-marker=abc&encoding-type=&prefix=%00", "version-id-marker", without).await;
    check(raw, "encoding-type=&prefix=%00", "encoding-type", "Invalid Encoding Method specified in Request").await;
    raw.get("/missing?versions").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn many_deletes_while_suspended() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let version = raw.put("/bucket/key", "x").await.is(200).version();
    fixture.set_versioning("bucket", "Suspended").await;
    let deleted = raw.post("/bucket?delete", "<Delete><Object><Key>key</Key></Object></Delete>").await.is(200);
    deleted.has("DeleteMarker", "true").has("DeleteMarkerVersionId", "null").lacks("VersionId");
    assert_eq!(raw.get("/bucket?versions").await.is(200).elements("VersionId"), ["null", &version]);
    let named = "<Delete><Object><Key>key</Key><VersionId>null</VersionId></Object></Delete>";
    let deleted = raw.post("/bucket?delete", named).await.is(200);
    deleted.has("VersionId", "null").has("DeleteMarker", "true").has("DeleteMarkerVersionId", "null");
    raw.get("/bucket/key").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn encoded_lists() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/a%20b/c", "x").await.is(200);
    raw.delete("/bucket/%C3%BC").await.is(204);
    let list = raw.get("/bucket?versions&encoding-type=url").await.is(200).has("EncodingType", "url");
    assert_eq!(list.elements("Key"), ["a+b/c", "%C3%BC"]);
    let list = raw.get("/bucket?versions&encoding-type=url&delimiter=%2F&key-marker=a%20a&prefix=a%20").await.is(200);
    let list = list.has("KeyMarker", "a+a").has("Prefix", "a+").has("Delimiter", "/");
    assert_eq!(elements(&list.text(), "CommonPrefixes"), ["<Prefix>a+b/</Prefix>"]);
    fixture.stop().await;
}
