//! Multipart uploads: from creation to completion, parts copied, lists, reading by part.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use crate::support::{Answer, Fixture, Raw, elements};

const PART_BYTES: usize = 5 << 20;

async fn create(raw: &Raw, key: &str) -> String {
    let answer = raw.post(&format!("/bucket/{key}?uploads"), "").await.is(200);
    answer.has("Bucket", "bucket").has("Key", key).element("UploadId").expect("an id")
}

async fn upload_part(raw: &Raw, key: &str, id: &str, number: u32, content: impl Into<bytes::Bytes>) -> String {
    raw.put(&format!("/bucket/{key}?partNumber={number}&uploadId={id}"), content).await.is(200).etag()
}

async fn complete(raw: &Raw, key: &str, id: &str, parts: &[(u32, &str)]) -> Answer {
    let target = format!("/bucket/{key}?uploadId={id}");
    raw.request("POST", &target).body(document(parts)).send().await
}

fn document(parts: &[(u32, &str)]) -> String {
    let part =
        |(number, etag): &(u32, &str)| format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>");
    let parts: String = parts.iter().map(part).collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

#[tokio::test]
async fn life_of_an_upload() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    let create = s3.create_multipart_upload().bucket("bucket").key("key").content_type("text/x").metadata("a", "b");
    let created = create.tagging("t=u").send().await.expect("an upload");
    let id = created.upload_id().expect("an id");
    let mut parts = CompletedMultipartUpload::builder();
    for (number, byte, size) in [(1, b'a', PART_BYTES), (2, b'b', PART_BYTES), (3, b'c', 7)] {
        let body = ByteStream::from(vec![byte; size]);
        let sent =
            s3.upload_part().bucket("bucket").key("key").upload_id(id).part_number(number).body(body).send().await;
        let sent = sent.expect("a part");
        parts = parts.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc32(sent.checksum_crc32)
                .build(),
        );
    }
    let listed = s3.list_parts().bucket("bucket").key("key").upload_id(id).send().await.expect("a list");
    assert_eq!(listed.parts().iter().filter_map(|part| part.part_number()).collect::<Vec<_>>(), [1, 2, 3]);
    let request = s3.complete_multipart_upload().bucket("bucket").key("key").upload_id(id);
    let done = request.multipart_upload(parts.build()).send().await.expect("a completion");
    assert!(done.e_tag().is_some_and(|etag| etag.ends_with("-3\"")), "{:?}", done.e_tag());
    let got = s3.get_object().bucket("bucket").key("key").send().await.expect("the object");
    assert_eq!((got.content_type(), got.tag_count(), got.e_tag()), (Some("text/x"), Some(1), done.e_tag()));
    assert_eq!(got.metadata().and_then(|metadata| metadata.get("a")).map(String::as_str), Some("b"));
    let body = got.body.collect().await.expect("a body").into_bytes();
    assert_eq!(body.len(), 2 * PART_BYTES + 7);
    assert!(body[PART_BYTES - 1] == b'a' && body[PART_BYTES] == b'b' && body[2 * PART_BYTES..] == *b"ccccccc");
    let error = s3.list_parts().bucket("bucket").key("key").upload_id(id).send().await.expect_err("no upload");
    assert_eq!(aws_sdk_s3::error::ProvideErrorMetadata::code(&error), Some("NoSuchUpload"));
    fixture.stop().await;
}

#[tokio::test]
async fn completions() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let id = create(raw, "key").await;
    let etag = upload_part(raw, "key", &id, 3, "three").await;
    let other = upload_part(raw, "key", &id, 5, "five").await;
    let wrong = "0123456789abcdef0123456789abcdef";
    let target = format!("/bucket/key?uploadId={id}");
    let post = async |body: &str| raw.request("POST", &target).body(body.to_owned()).send().await;
    complete(raw, "key", &id, &[(0, &etag)]).await.refuses_argument("PartNumber", "PartNumber must be >= 1");
    complete(raw, "key", &id, &[]).await.fails_saying(400, "InvalidRequest", "You must specify at least one part");
    for text in [
        "<",
        "<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><x/></CompleteMultipartUpload>",
    ] {
        post(text).await.fails(400, "MalformedXML");
    }
    let order = "The list of parts was not in ascending order. Parts must be ordered by part number.";
    for parts in [[(5, other.as_str()), (3, etag.as_str())], [(3, &etag), (3, &etag)]] {
        complete(raw, "key", &id, &parts).await.fails_saying(400, "InvalidPartOrder", order).has("UploadId", &id);
    }
    for parts in [[(3, wrong), (5, other.as_str())], [(3, &etag), (4, &other)]] {
        complete(raw, "key", &id, &parts).await.fails(400, "InvalidPart").has("UploadId", &id);
    }
    complete(raw, "key", &id, &[(4, &other)]).await.fails(400, "InvalidPart").has("PartNumber", "4");
    complete(raw, "key", &id, &[(3, &etag), (5, &other)])
        .await
        .fails_saying(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
        .has("ProposedSize", "5")
        .has("MinSizeAllowed", "5242880")
        .has("PartNumber", "3")
        .has("ETag", &etag);
    let message = "The provided 'x-amz-mp-object-size' header value 5 does not match what was computed: 4";
    let sized = |size: &str| raw.request("POST", &target).header("x-amz-mp-object-size", size);
    sized("5").body(document(&[(5, &other)])).send().await.fails_saying(400, "InvalidRequest", message);
    // Unlisted parts are dropped; the ETag counts the listed ones.
    let done = sized("4").body(document(&[(5, &other)])).send().await.is(200);
    let done = done.has("Bucket", "bucket").has("Key", "key").has("ChecksumType", "FULL_OBJECT");
    assert!(done.element("ETag").is_some_and(|etag| etag.ends_with("-1\"")));
    assert!(done.element("ChecksumCRC64NVME").is_some());
    assert_eq!(done.element("Location"), Some(format!("http://{}/bucket/key", raw.authority)));
    raw.get("/bucket/key").await.is(200).has_body("five");
    // Once more gives the same.
    let again = complete(raw, "key", &id, &[(5, &other)]).await.is(200);
    assert_eq!(again.element("ETag"), done.element("ETag"));
    raw.get(&target).await.fails(404, "NoSuchUpload").has("UploadId", &id);
    raw.delete(&target).await.fails(404, "NoSuchUpload");
    raw.put(&format!("{target}&partNumber=1"), "x").await.fails(404, "NoSuchUpload");
    fixture.stop().await;
}

#[tokio::test]
async fn uploads_that_are_not_there() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let id = create(raw, "key").await;
    let aborted = create(raw, "key").await;
    upload_part(raw, "key", &aborted, 1, "x").await;
    raw.delete(&format!("/bucket/key?uploadId={aborted}")).await.is(204).has_body("");
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                   aborted or completed.";
    for (key, id) in [("other", id.as_str()), ("key", "nonsense"), ("key", &aborted)] {
        let target = format!("/bucket/{key}?uploadId={id}");
        let check = |answer: Answer| answer.fails_saying(404, "NoSuchUpload", message).has("UploadId", id);
        check(raw.get(&target).await);
        check(raw.delete(&target).await);
        check(raw.put(&format!("{target}&partNumber=1"), "x").await);
        check(complete(raw, key, id, &[(1, "0123456789abcdef0123456789abcdef")]).await);
    }
    raw.get(&format!("/missing/key?uploadId={id}")).await.fails(404, "NoSuchBucket");
    raw.post("/missing/key?uploads", "").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn part_numbers() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let id = create(raw, "key").await;
    let message = "Part number must be an integer between 1 and 10000, inclusive";
    for number in ["0", "10001", "-1", "x", "1.5", ""] {
        let target = format!("/bucket/key?partNumber={number}&uploadId={id}");
        raw.put(&target, "x").await.refuses_argument("partNumber", message);
    }
    let first = upload_part(raw, "key", &id, 10_000, "one").await;
    let second = upload_part(raw, "key", &id, 10_000, "two").await;
    complete(raw, "key", &id, &[(10_000, &first)]).await.fails(400, "InvalidPart");
    complete(raw, "key", &id, &[(10_000, &second)]).await.is(200);
    raw.get("/bucket/key").await.is(200).has_body("two");
    fixture.stop().await;
}

#[tokio::test]
async fn parts_that_copy() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let old = raw.put("/bucket/source", "0123456789").await.is(200).version();
    raw.put("/bucket/source", "abcdefghij").await.is(200);
    let id = create(raw, "key").await;
    let target = format!("/bucket/key?partNumber=1&uploadId={id}");
    let copy = |source: &str| raw.request("PUT", &target).header("x-amz-copy-source", source);
    let range = |range: &str| copy("/bucket/source").header("x-amz-copy-source-range", range);
    range("bytes=0-8").send().await.is(200).has("ETag", "\"8aa99b1f439ff71293e95357bac6fd94\"");
    let form = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
                zero-based offsets of the first and last bytes to copy";
    for value in ["0-8", "bytes=1-", "bytes=-2", "bytes=1-0", "bytes=0-1,3-4"] {
        range(value).send().await.fails_saying(400, "InvalidArgument", form);
    }
    let beyond = "Range specified is not valid for source object of size: 10";
    range("bytes=0-100").send().await.fails_saying(400, "InvalidArgument", beyond);
    let outside = "The specified copy range is invalid for the source object size";
    range("bytes=100-200").send().await.fails_saying(400, "InvalidRequest", outside);
    copy("/bucket/source?versionId=abc")
        .send()
        .await
        .fails(400, "InvalidArgument")
        .has("ArgumentName", "x-amz-copy-source");
    copy("/bucket/missing").send().await.fails(404, "NoSuchKey");
    copy("/missing/source").send().await.fails(404, "NoSuchBucket");
    let copied = copy(&format!("/bucket/source?versionId={old}")).send().await.is(200);
    let copied = copied.has_header("x-amz-copy-source-version-id", Some(&old)).has_header("x-amz-version-id", None);
    assert!(copied.element("LastModified").is_some());
    let etag = copied.element("ETag").expect("an ETag");
    complete(raw, "key", &id, &[(1, etag.trim_matches('"'))]).await.is(200);
    raw.get("/bucket/key").await.is(200).has_body("0123456789");
    fixture.stop().await;
}

#[tokio::test]
async fn versions() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    // The upload that was begun last is current, whichever ends last.
    let (first, second) = (create(raw, "key").await, create(raw, "key").await);
    let mut versions = Vec::new();
    for (id, content) in [(&second, "second"), (&first, "first")] {
        let etag = upload_part(raw, "key", id, 1, content).await;
        versions.push(complete(raw, "key", id, &[(1, &etag)]).await.is(200).version());
    }
    raw.get("/bucket/key").await.is(200).has_body("second").has_header("x-amz-version-id", Some(&versions[0]));
    assert_eq!(raw.get("/bucket?versions").await.is(200).elements("VersionId"), versions);
    raw.delete("/bucket/key").await.is(204);
    let id = create(raw, "key").await;
    upload_part(raw, "key", &id, 1, "over a marker").await;
    fixture.stop().await;
}

#[tokio::test]
async fn lists_of_parts() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let id = create(raw, "key").await;
    let target = format!("/bucket/key?uploadId={id}");
    let empty =
        raw.get(&target).await.is(200).has("NextPartNumberMarker", "0").has("IsTruncated", "false").lacks("Part");
    let empty = empty.has("Bucket", "bucket").has("Key", "key").has("UploadId", &id).has("StorageClass", "STANDARD");
    let empty = empty.has("MaxParts", "1000").has("PartNumberMarker", "0");
    assert!(empty.element("Initiator").is_some() && empty.element("Owner").is_some());
    for number in [2, 4, 9] {
        upload_part(raw, "key", &id, number, "content").await;
    }
    let check = async |query: &str, numbers: &[&str], next: &str, truncated: &str| {
        let answer = raw.get(&format!("{target}{query}")).await.is(200);
        assert_eq!(answer.elements("PartNumber"), numbers, "{query}");
        answer.has("NextPartNumberMarker", next).has("IsTruncated", truncated)
    };
    let all = check("", &["2", "4", "9"], "9", "false").await;
    assert_eq!(all.elements("Size"), ["7", "7", "7"]);
    check("&max-parts=2", &["2", "4"], "4", "true").await;
    check("&max-parts=2&part-number-marker=4", &["9"], "9", "false").await;
    check("&part-number-marker=", &["2", "4", "9"], "9", "false").await;
    check("&part-number-marker=9", &[], "0", "false").await;
    fixture.stop().await;
}

#[tokio::test]
async fn lists_of_uploads() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let none = raw.get("/bucket?uploads").await.is(200).lacks("Upload").has("IsTruncated", "false");
    none.has("NextKeyMarker", "").has("NextUploadIdMarker", "");
    let mut ids = Vec::new();
    for key in ["a", "a", "b/1", "b/2", "c"] {
        ids.push(raw.post(&format!("/bucket/{key}?uploads"), "").await.is(200).element("UploadId").expect("an id"));
    }
    let check = async |query: &str, expected: &[usize], prefixes: &[&str]| {
        let answer = raw.get(&format!("/bucket?uploads{query}")).await.is(200);
        let found: Vec<usize> = answer
            .elements("UploadId")
            .iter()
            .map(|id| ids.iter().position(|known| known == id).expect("a known id"))
            .collect();
        let found_prefixes: Vec<String> =
            answer.elements("CommonPrefixes").iter().flat_map(|inside| elements(inside, "Prefix")).collect();
        assert_eq!(
            (found.as_slice(), found_prefixes),
            (expected, prefixes.iter().map(|&p| p.to_owned()).collect()),
            "{query}"
        );
        answer
    };
    let all = check("", &[0, 1, 2, 3, 4], &[]).await.has("NextKeyMarker", "c").has("NextUploadIdMarker", &ids[4]);
    assert_eq!(elements(&all.text(), "Key"), ["a", "a", "b/1", "b/2", "c"]);
    check("&prefix=b", &[2, 3], &[]).await;
    check("&delimiter=%2F", &[0, 1, 4], &["b/"]).await;
    let page = check("&max-uploads=1", &[0], &[]).await.has("IsTruncated", "true").has("MaxUploads", "1");
    page.has("NextKeyMarker", "a").has("NextUploadIdMarker", &ids[0]);
    check(&format!("&key-marker=a&upload-id-marker={}", ids[0]), &[1, 2, 3, 4], &[]).await;
    check("&key-marker=a", &[2, 3, 4], &[]).await;
    check(&format!("&upload-id-marker={}", ids[3]), &[0, 1, 2, 3, 4], &[]).await;
    check("&delimiter=%2F&key-marker=b%2F", &[4], &[]).await;
    raw.get("/missing?uploads").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn reading_by_part() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let id = create(raw, "key").await;
    let one = upload_part(raw, "key", &id, 1, vec![b'a'; PART_BYTES]).await;
    let two = upload_part(raw, "key", &id, 2, "tail").await;
    complete(raw, "key", &id, &[(1, &one), (2, &two)]).await.is(200);
    raw.put("/bucket/single", "12345678").await.is(200);
    let part = raw.get("/bucket/key?partNumber=2").await.is(206).has_body("tail");
    part.has_headers(&[("content-range", "bytes 5242880-5242883/5242884"), ("x-amz-mp-parts-count", "2")]);
    raw.head("/bucket/key?partNumber=1").await.is(206).has_header("content-length", Some("5242880"));
    let whole = raw.get("/bucket/single?partNumber=1").await.is(206).has_body("12345678");
    whole.has_header("content-range", Some("bytes 0-7/8")).has_header("x-amz-mp-parts-count", None);
    for (key, number, count) in [("key", "3", "2"), ("single", "2", "1")] {
        raw.get(&format!("/bucket/{key}?partNumber={number}"))
            .await
            .fails_saying(416, "InvalidPartNumber", "The requested partnumber is not satisfiable")
            .has("ActualPartCount", count)
            .has("PartNumberRequested", number);
    }
    let message = "Cannot specify both Range header and partNumber query parameter";
    let request = raw.request("GET", "/bucket/key?partNumber=1").header("range", "bytes=0-1");
    request.send().await.fails_saying(400, "InvalidRequest", message);
    raw.get("/bucket/key?partNumber=0").await.fails(400, "InvalidArgument");
    // A range over the seam, and a copy: one piece again.
    let seam = raw.request("GET", "/bucket/key").header("range", "bytes=5242878-5242881").send().await;
    seam.is(206).has_body("aata");
    let copied = raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "/bucket/key").send().await.is(200);
    assert!(copied.element("ETag").is_some_and(|etag| !etag.contains('-')));
    let attributes = raw.request("GET", "/bucket/key?attributes").header("x-amz-object-attributes", "ObjectParts,ETag");
    attributes.send().await.is(200).has("PartsCount", "2").lacks("Part");
    fixture.stop().await;
}

#[tokio::test]
async fn what_parts_cannot_have() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let id = create(raw, "key").await;
    let target = format!("/bucket/key?partNumber=1&uploadId={id}");
    let part = |name: &str, value: &str| raw.request("PUT", &target).header(name, value).body("x");
    part("x-amz-server-side-encryption", "AES256").send().await.fails_saying(
        400,
        "InvalidArgument",
        "x-amz-server-side-encryption header is not supported for this operation.",
    );
    part("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==").send().await.fails(400, "BadDigest");
    part("content-md5", "AA==").send().await.fails(400, "InvalidDigest");
    part("if-none-match", "*").send().await.fails(501, "NotImplemented");
    raw.get(&format!("/bucket/key?uploadId={id}")).await.is(200).lacks("Part");
    // Half of what names a part is neither a part nor an object.
    let numberless = raw.put(&format!("/bucket/key?uploadId={id}"), "x").await.fails(405, "MethodNotAllowed");
    numberless.has("ResourceType", "UPLOAD").has_header("allow", Some("DELETE, POST, GET"));
    let message = "This operation does not accept partNumber without uploadId";
    raw.put("/bucket/key?partNumber=1", "x").await.fails_saying(400, "InvalidArgument", message);
    raw.head("/bucket/key").await.is(404);
    fixture.stop().await;
}

#[tokio::test]
async fn buckets_with_uploads() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let ids = [create(raw, "a").await, create(raw, "a").await];
    upload_part(raw, "a", &ids[0], 1, "one").await;
    upload_part(raw, "a", &ids[1], 1, "two").await;
    raw.get("/bucket").await.is(200).lacks("Contents");
    raw.head("/bucket/a").await.is(404);
    raw.delete(&format!("/bucket/a?uploadId={}", ids[0])).await.is(204);
    assert_eq!(raw.get("/bucket?uploads").await.is(200).elements("UploadId"), [ids[1].clone()]);
    raw.post("/bucket/x%20y?uploads", "").await.is(200).has("Key", "x y");
    let encoded = raw.get("/bucket?uploads&encoding-type=url").await.is(200).has("EncodingType", "url");
    assert_eq!(elements(&encoded.text(), "Key"), ["a", "x+y"]);
    fixture.stop().await;
}

#[tokio::test]
async fn nobody_begins_an_upload_unsigned() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.request("PUT", "/open").header("x-amz-object-ownership", "ObjectWriter").send().await.is(200);
    raw.delete("/open?publicAccessBlock").await.is(204);
    raw.request("PUT", "/open?acl").header("x-amz-acl", "public-read-write").send().await.is(200);
    raw.request("PUT", "/open/key").body("content").unsigned().send().await.is(200);
    let message = "Anonymous users cannot initiate multipart uploads.  Please authenticate.";
    let begun = raw.request("POST", "/open/key?uploads").unsigned().send().await;
    begun.fails_saying(403, "AccessDenied", message);
    fixture.stop().await;
}
