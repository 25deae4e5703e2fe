//! Objects written, read, described and deleted; their metadata and tags.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{MetadataDirective, ObjectAttributes};

use crate::support::{Fixture, Raw};

#[tokio::test]
async fn life_of_an_object() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    let put = s3
        .put_object()
        .bucket("bucket")
        .key("a/b c")
        .content_type("text/plain")
        .metadata("name", "value")
        .body(ByteStream::from_static(b"hello"))
        .send()
        .await
        .expect("a write");
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(put.version_id(), None);
    let head = s3.head_object().bucket("bucket").key("a/b c").send().await.expect("the object");
    assert_eq!((head.content_length(), head.content_type()), (Some(5), Some("text/plain")));
    assert_eq!(head.metadata().and_then(|metadata| metadata.get("name")).map(String::as_str), Some("value"));
    assert_eq!((head.storage_class(), head.version_id()), (None, None));
    let got = s3.get_object().bucket("bucket").key("a/b c").send().await.expect("the object");
    assert_eq!((got.e_tag(), got.accept_ranges()), (put.e_tag(), Some("bytes")));
    assert_eq!(got.body.collect().await.expect("a body").into_bytes(), "hello");
    let copied = s3
        .copy_object()
        .copy_source("bucket/a%2Fb%20c")
        .bucket("bucket")
        .key("copy")
        .metadata_directive(MetadataDirective::Replace)
        .metadata("other", "thing")
        .send()
        .await
        .expect("a copy");
    assert_eq!(copied.copy_object_result().and_then(|result| result.e_tag()), put.e_tag());
    let head = s3.head_object().bucket("bucket").key("copy").send().await.expect("the copy");
    assert_eq!(head.content_type(), Some("binary/octet-stream"));
    assert_eq!(head.metadata().map(|metadata| metadata.len()), Some(1));
    s3.delete_object().bucket("bucket").key("a/b c").send().await.expect("a delete");
    s3.delete_object().bucket("bucket").key("a/b c").send().await.expect("nothing to delete");
    let error = s3.get_object().bucket("bucket").key("a/b c").send().await.expect_err("no object");
    assert!(error.into_service_error().is_no_such_key());
    fixture.stop().await;
}

#[tokio::test]
async fn sizes() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    // Around what engines treat as small, as a chunk, as a segment.
    for size in [0, 1, 1023, 65_535, 65_536, 1 << 20, (1 << 20) + 1, 9_000_001] {
        let content: Vec<u8> = (0..size).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let etag = raw.put("/bucket/key", content.clone()).await.is(200).etag();
        let got = raw.get("/bucket/key").await.is(200).has_body(&content);
        assert_eq!((got.etag(), got.header("content-length")), (etag, Some(size.to_string().as_str())));
        raw.head("/bucket/key").await.is(200).has_header("content-length", Some(&size.to_string())).has_body("");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn missing_things() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let no_key = "The specified key does not exist.";
    raw.get("/bucket/key")
        .await
        .fails_saying(404, "NoSuchKey", no_key)
        .has("Key", "key")
        .has("Resource", "/bucket/key");
    raw.get("/missing/key")
        .await
        .fails_saying(404, "NoSuchBucket", "The specified bucket does not exist")
        .has("BucketName", "missing");
    raw.put("/missing/key", "x").await.fails(404, "NoSuchBucket");
    raw.delete("/missing/key").await.fails(404, "NoSuchBucket");
    raw.delete("/bucket/key")
        .await
        .is(204)
        .has_header("x-amz-version-id", None)
        .has_header("x-amz-delete-marker", None);
    raw.get("/bucket/key?tagging").await.fails(404, "NoSuchKey");
    raw.request("GET", "/bucket/key?attributes")
        .header("x-amz-object-attributes", "ETag")
        .send()
        .await
        .fails(404, "NoSuchKey");
    raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "/bucket/key").send().await.fails(404, "NoSuchKey");
    raw.request("PUT", "/bucket/copy")
        .header("x-amz-copy-source", "/missing/key")
        .send()
        .await
        .fails(404, "NoSuchBucket")
        .has("BucketName", "missing");
    fixture.stop().await;
}

#[tokio::test]
async fn keys() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let longest = "k".repeat(1024);
    for key in ["a//b", "/a", "a/", ".", "a/../b", "%E2%82%AC", "a%2Bb%20c", "x", "%01", longest.as_str()] {
        let target = format!("/bucket/{key}");
        raw.put(&target, key.to_owned()).await.is(200);
        raw.get(&target).await.is(200).has_body(key);
    }
    assert_eq!(raw.get("/bucket").await.is(200).elements("Key").len(), 10);
    raw.put(&format!("/bucket/{}", "k".repeat(1025)), "")
        .await
        .fails_saying(400, "KeyTooLongError", "Your key is too long")
        .has("Size", "1025")
        .has("MaxSizeAllowed", "1024");
    fixture.stop().await;
}

#[tokio::test]
async fn metadata_comes_back() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/plain", "x").await.is(200);
    raw.head("/bucket/plain").await.has_header("content-type", Some("binary/octet-stream"));
    let headers = [
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=\"x\""),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-type", "text/html; charset=utf-8"),
        ("expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
        ("x-amz-website-redirect-location", "/other"),
        ("x-amz-meta-one", "1"),
        ("x-amz-meta-empty", ""),
    ];
    raw.request("PUT", "/bucket/key")
        .headers(&headers)
        .header("X-Amz-Meta-UPPER", "Case")
        .body("x")
        .send()
        .await
        .is(200);
    for answer in [raw.get("/bucket/key").await, raw.head("/bucket/key").await] {
        answer.is(200).has_headers(&headers).has_header("x-amz-meta-upper", Some("Case"));
    }
    let query = "response-content-type=a%2Fb&response-cache-control=c&response-content-disposition=d&\
                 response-content-encoding=e&response-content-language=l&response-expires=f";
    raw.get(&format!("/bucket/key?{query}")).await.is(200).has_headers(&[
        ("content-type", "a/b"),
        ("cache-control", "c"),
        ("content-disposition", "d"),
        ("content-encoding", "e"),
        ("content-language", "l"),
        ("expires", "f"),
    ]);
    // A copy keeps it all but the redirect.
    raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "bucket/key").send().await.is(200);
    raw.head("/bucket/copy")
        .await
        .is(200)
        .has_headers(&headers[..6])
        .has_headers(&headers[7..])
        .has_header("x-amz-website-redirect-location", None);
    fixture.stop().await;
}

#[tokio::test]
async fn metadata_is_bounded() {
    async fn check(raw: &Raw, bytes: usize, acceptable: bool) {
        let answer =
            raw.request("PUT", "/bucket/key").header("x-amz-meta-n", &"v".repeat(bytes - 1)).body("x").send().await;
        if acceptable {
            answer.is(200);
        } else {
            let message = "Your metadata headers exceed the maximum allowed metadata size";
            answer.fails_saying(400, "MetadataTooLarge", message).has("MaxSizeAllowed", "2048");
        }
    }
    let fixture = Fixture::with_bucket("bucket").await;
    check(&fixture.raw, 2048, true).await;
    check(&fixture.raw, 2049, false).await;
    fixture.stop().await;
}

#[tokio::test]
async fn what_no_object_can_have() {
    async fn check(raw: &Raw, header: (&str, &str), status: u16, code: &str) {
        for copy in [false, true] {
            let mut request = raw.request("PUT", "/bucket/new").header(header.0, header.1);
            if copy {
                request = request.header("x-amz-copy-source", "/bucket/old");
            }
            request.body(if copy { "" } else { "x" }).send().await.fails(status, code);
            raw.head("/bucket/new").await.is(404);
        }
        raw.request("POST", "/bucket/new?uploads").header(header.0, header.1).send().await.fails(status, code);
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/old", "old").await.is(200);
    check(raw, ("x-amz-storage-class", "OUTPOSTS"), 400, "InvalidStorageClass").await;
    check(raw, ("x-amz-storage-class", "standard"), 400, "InvalidStorageClass").await;
    check(raw, ("x-amz-storage-class", ""), 400, "InvalidStorageClass").await;
    check(raw, ("x-amz-acl", "public-read"), 400, "AccessControlListNotSupported").await;
    check(raw, ("x-amz-grant-read", "id=\"x\""), 400, "AccessControlListNotSupported").await;
    check(raw, ("x-amz-server-side-encryption", "aws:kms"), 400, "InvalidArgument").await;
    check(raw, ("x-amz-object-lock-legal-hold", "ON"), 400, "InvalidRequest").await;
    check(raw, ("x-amz-object-lock-mode", "COMPLIANCE"), 400, "InvalidArgument").await;
    let message = "The storage class you specified is not valid";
    raw.request("PUT", "/bucket/new")
        .header("x-amz-storage-class", "OUTPOSTS")
        .send()
        .await
        .fails_saying(400, "InvalidStorageClass", message)
        .has("StorageClassRequested", "OUTPOSTS");
    raw.request("PUT", "/bucket/new").header("x-amz-acl", "bucket-owner-full-control").send().await.is(200);
    raw.request("PUT", "/bucket/new").header("x-amz-storage-class", "STANDARD").send().await.is(200);
    raw.head("/bucket/new").await.is(200).has_header("x-amz-storage-class", None);
    fixture.stop().await;
}

#[tokio::test]
async fn tags_of_objects() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let set = |pairs: &[(&str, &str)]| {
        let tags: String =
            pairs.iter().map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")).collect();
        format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
    };
    let put = async |pairs: &[(&str, &str)]| {
        let document = set(pairs);
        raw.request("PUT", "/bucket/key?tagging").md5_of(document.as_bytes()).body(document).send().await
    };
    raw.request("PUT", "/bucket/key").header("x-amz-tagging", "a=1&b=x%20y&c").body("x").send().await.is(200);
    raw.head("/bucket/key").await.is(200).has_header("x-amz-tagging-count", Some("3"));
    let tags = raw.get("/bucket/key?tagging").await.is(200);
    assert_eq!(
        (tags.elements("Key"), tags.elements("Value")),
        (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], vec!["1".to_owned(), "x y".to_owned(), String::new()],)
    );
    put(&[("k", "v")]).await.is(200);
    let tags = raw.get("/bucket/key?tagging").await.is(200);
    assert_eq!(tags.elements("Key"), ["k"]);
    let twice = put(&[("k", "v"), ("k", "w")]).await;
    twice.fails_saying(400, "InvalidTag", "Cannot provide multiple Tags with the same key").has("TagKey", "k");
    put(&[("a*", "v")]).await.fails_saying(400, "InvalidTag", "The TagKey you have provided is invalid");
    put(&[("", "v")]).await.fails_saying(400, "InvalidTag", "The TagKey you have provided is invalid");
    put(&[("aws:a", "v")]).await.fails_saying(400, "InvalidTag", "Your TagKey cannot be prefixed with aws:");
    put(&[("a", "b*")]).await.fails_saying(400, "InvalidTag", "The TagValue you have provided is invalid");
    put(&[(&"k".repeat(128), &"v".repeat(256))]).await.is(200);
    put(&[(&"k".repeat(129), "v")]).await.fails(400, "InvalidTag");
    put(&[("k", &"v".repeat(257))]).await.fails(400, "InvalidTag");
    let names: Vec<String> = (0..11).map(|n| format!("k{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    put(&many[..10]).await.is(200);
    put(&many).await.fails_saying(400, "BadRequest", "Object tags cannot be greater than 10");
    let header = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without \
                  tag name duplicates.";
    for value in ["a=1&a=2", "a=%zz", "a=%FF"] {
        let answer = raw.request("PUT", "/bucket/key").header("x-amz-tagging", value).body("x").send().await;
        answer.refuses_argument("x-amz-tagging", header);
    }
    raw.delete("/bucket/key?tagging").await.is(204);
    assert_eq!(raw.get("/bucket/key?tagging").await.is(200).elements("Tag").len(), 0);
    raw.head("/bucket/key").await.has_header("x-amz-tagging-count", None);
    fixture.stop().await;
}

#[tokio::test]
async fn attributes() {
    let fixture = Fixture::with_bucket("bucket").await;
    let (raw, s3) = (&fixture.raw, &fixture.s3);
    raw.put("/bucket/key", "hello").await.is(200);
    let wanted = [ObjectAttributes::Etag, ObjectAttributes::Checksum, ObjectAttributes::ObjectSize];
    let mut request = s3.get_object_attributes().bucket("bucket").key("key");
    for attribute in wanted {
        request = request.object_attributes(attribute);
    }
    let found = request.send().await.expect("attributes");
    assert_eq!((found.e_tag(), found.object_size()), (Some("5d41402abc4b2a76b9719d911017c592"), Some(5)));
    assert!(found.checksum().and_then(|checksum| checksum.checksum_crc64_nvme()).is_some());
    assert_eq!((found.storage_class(), found.object_parts()), (None, None));
    raw.request("GET", "/bucket/key?attributes")
        .header("x-amz-object-attributes", "StorageClass,ObjectParts")
        .send()
        .await
        .is(200)
        .has("StorageClass", "STANDARD")
        .lacks("ObjectParts")
        .lacks("ETag");
    for value in ["", "Nonsense", "ETag,Nonsense"] {
        let request = raw.request("GET", "/bucket/key?attributes").header("x-amz-object-attributes", value);
        request.send().await.fails(400, "InvalidArgument");
    }
    raw.get("/bucket/key?attributes").await.fails(400, "InvalidArgument");
    fixture.stop().await;
}

#[tokio::test]
async fn ranges() {
    async fn check(raw: &Raw, range: &str, expected: Option<(&str, &str)>) {
        for method in ["GET", "HEAD"] {
            let answer = raw.request(method, "/bucket/key").header("range", range).send().await;
            let (status, body, content_range) = match expected {
                Some((body, positions)) => (206, body, Some(format!("bytes {positions}/10"))),
                None => (200, "0123456789", None),
            };
            let answer = answer.is(status).has_header("content-range", content_range.as_deref());
            let answer = answer.has_header("content-length", Some(&body.len().to_string()));
            answer.has_body(if method == "GET" { body } else { "" }).has_header("accept-ranges", Some("bytes"));
        }
    }
    async fn check_refused(raw: &Raw, key: &str, range: &str, size: &str) {
        raw.request("GET", &format!("/bucket/{key}"))
            .header("range", range)
            .send()
            .await
            .fails_saying(416, "InvalidRange", "The requested range is not satisfiable")
            .has("RangeRequested", range)
            .has("ActualObjectSize", size);
        raw.request("HEAD", &format!("/bucket/{key}")).header("range", range).send().await.is(416).has_body("");
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "0123456789").await.is(200);
    raw.put("/bucket/empty", "").await.is(200);
    check(raw, "bytes=0-8", Some(("012345678", "0-8"))).await;
    check(raw, "bytes=1-", Some(("123456789", "1-9"))).await;
    check(raw, "bytes=-2", Some(("89", "8-9"))).await;
    check(raw, "bytes=0-100", Some(("0123456789", "0-9"))).await;
    check(raw, "bytes=-15", Some(("0123456789", "0-9"))).await;
    check(raw, "bytes=9-9", Some(("9", "9-9"))).await;
    for ignored in ["bytes=1-0", "bytes=-", "bytes=-1-", "bytes=0--1", "bytes=0-1,3-4", "0-1", "chars=0-1", "bytes 0-1"]
    {
        check(raw, ignored, None).await;
    }
    for refused in ["bytes=100-200", "bytes=10-", "bytes=-0"] {
        check_refused(raw, "key", refused, "10").await;
    }
    for refused in ["bytes=0-", "bytes=0-0"] {
        check_refused(raw, "empty", refused, "0").await;
    }
    // What reads the end of files begins with their last bytes, and an empty file has none.
    let end = raw.request("GET", "/bucket/empty").header("range", "bytes=-8").send().await;
    end.is(200).has_body("").has_header("content-range", None);
    fixture.stop().await;
}

#[tokio::test]
async fn metadata_beyond_ascii() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    for word in ["=?UTF-8?B?w7w=?=", "=?UTF-8?Q?=C3=BC?="] {
        raw.request("PUT", "/bucket/key").header("x-amz-meta-n", word).body("x").send().await.is(200);
        let head = raw.head("/bucket/key").await.is(200);
        let value = head.header("x-amz-meta-n").expect("the metadata");
        assert!(value.starts_with("=?UTF-8?"), "{value}");
    }
    fixture.stop().await;
}
