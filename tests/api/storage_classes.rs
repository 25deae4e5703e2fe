//! Storage classes: which may be asked for, where they are reported, and what cannot be done with archived objects.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ObjectAttributes, StorageClass};

use crate::support::{Fixture, Raw, Sdk, elements};

const CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

/// Classes of other kinds of buckets, of data outside of buckets, and texts that are no class.
const OTHERS: [&str; 12] = [
    "EXPRESS_ONEZONE",
    "OUTPOSTS",
    "SNOW",
    "FSX_OPENZFS",
    "FSX_ONTAP",
    "AWS_BACKUP_WARM",
    "AWS_BACKUP_LOW_COST_WARM",
    "standard",
    "Glacier",
    "GLACIER,GLACIER",
    "COLD",
    "",
];

/// Enough that the content is not kept in the index.
const SIZE: usize = 100_000;

fn is_archived(class: &str) -> bool {
    matches!(class, "GLACIER" | "DEEP_ARCHIVE")
}

/// What GetObject and HeadObject say of a class.
fn told(class: &str) -> Option<&str> {
    Some(class).filter(|&class| class != "STANDARD")
}

async fn put(s3: &Sdk, key: &str, class: &str) {
    let request = s3.put_object().bucket("bucket").key(key).body(ByteStream::from(vec![7; SIZE]));
    request.storage_class(StorageClass::from(class)).send().await.expect("an object");
}

#[tokio::test]
async fn every_class_is_reported() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    for class in CLASSES {
        put(&fixture.s3, "key", class).await;
        objects_report(&fixture.s3, "key", class).await;
        listings_report(&fixture.s3, "key", class).await;
        if !is_archived(class) {
            let content = fixture.s3.get_object().bucket("bucket").key("key").send().await.expect("the object");
            assert_eq!(content.storage_class().map(StorageClass::as_str), told(class));
            assert_eq!(content.body.collect().await.expect("the content").into_bytes(), vec![7; SIZE]);
        }
    }
    fixture.stop().await;
}

async fn objects_report(s3: &Sdk, key: &str, class: &str) {
    let head = s3.head_object().bucket("bucket").key(key).send().await.expect("the object");
    assert_eq!(head.storage_class().map(StorageClass::as_str), told(class));
    assert_eq!((head.restore(), head.archive_status()), (None, None));
    let attributes = s3.get_object_attributes().bucket("bucket").key(key);
    let attributes = attributes.object_attributes(ObjectAttributes::StorageClass).send().await.expect("attributes");
    assert_eq!(attributes.storage_class().map(StorageClass::as_str), Some(class));
}

async fn listings_report(s3: &Sdk, key: &str, class: &str) {
    let first = s3.list_objects().bucket("bucket").prefix(key).send().await.expect("a list");
    let found: Vec<_> = first.contents().iter().map(|entry| entry.storage_class().expect("a class").as_str()).collect();
    assert_eq!(found, [class]);
    let second = s3.list_objects_v2().bucket("bucket").prefix(key).send().await.expect("a list");
    let found: Vec<_> =
        second.contents().iter().map(|entry| entry.storage_class().expect("a class").as_str()).collect();
    assert_eq!(found, [class]);
    let versions = s3.list_object_versions().bucket("bucket").prefix(key).send().await.expect("a list");
    let newest = versions.versions().first().expect("a version");
    assert_eq!(newest.storage_class().expect("a class").as_str(), class);
}

#[tokio::test]
async fn a_copy_has_its_own_class() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    put(s3, "source", "STANDARD_IA").await;
    let copy = || s3.copy_object().bucket("bucket").key("copy").copy_source("bucket/source");
    copy().send().await.expect("a copy");
    objects_report(s3, "copy", "STANDARD").await;
    for class in CLASSES {
        copy().storage_class(StorageClass::from(class)).send().await.expect("a copy");
        objects_report(s3, "copy", class).await;
    }
    objects_report(s3, "source", "STANDARD_IA").await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_copy_onto_itself_changes_the_class() {
    let fixture = Fixture::with_bucket("bucket").await;
    let (s3, raw) = (&fixture.s3, &fixture.raw);
    put(s3, "key", "GLACIER_IR").await;
    let onto_itself = |class: &str| {
        let copy = s3.copy_object().bucket("bucket").key("key").copy_source("bucket/key");
        copy.storage_class(StorageClass::from(class)).send()
    };
    // The class that it has already counts as a change; that no class means STANDARD does not.
    let plain = raw.request("PUT", "/bucket/key").header("x-amz-copy-source", "/bucket/key").send().await;
    plain.fails(400, "InvalidRequest");
    for class in ["GLACIER_IR", "ONEZONE_IA", "STANDARD", "DEEP_ARCHIVE"] {
        onto_itself(class).await.expect("a copy");
        objects_report(s3, "key", class).await;
    }
    let message = "Operation is not valid for the source object's storage class";
    let error = onto_itself("STANDARD").await.expect_err("it is archived now").into_service_error();
    assert_eq!((error.meta().code(), error.meta().message()), (Some("InvalidObjectState"), Some(message)));
    fixture.stop().await;
}

#[tokio::test]
async fn the_class_of_an_upload_is_fixed_when_it_is_created() {
    let fixture = Fixture::with_bucket("bucket").await;
    for class in CLASSES {
        upload(&fixture.s3, class).await;
        objects_report(&fixture.s3, "parts", class).await;
        listings_report(&fixture.s3, "parts", class).await;
    }
    let id = fixture.raw.post("/bucket/plain?uploads", "").await.is(200).element("UploadId").expect("an id");
    fixture.raw.get(&format!("/bucket/plain?uploadId={id}")).await.is(200).has("StorageClass", "STANDARD");
    fixture.stop().await;
}

async fn upload(s3: &Sdk, class: &str) {
    let new = s3.create_multipart_upload().bucket("bucket").key("parts").storage_class(StorageClass::from(class));
    let id = new.send().await.expect("an upload").upload_id().expect("an id").to_owned();
    let part = s3.upload_part().bucket("bucket").key("parts").upload_id(&id).part_number(1);
    let part = part.body(ByteStream::from(vec![7; SIZE])).send().await.expect("a part");
    let uploads = s3.list_multipart_uploads().bucket("bucket").send().await.expect("a list");
    let found: Vec<_> =
        uploads.uploads().iter().map(|found| found.storage_class().expect("a class").as_str()).collect();
    assert_eq!(found, [class]);
    let parts = s3.list_parts().bucket("bucket").key("parts").upload_id(&id).send().await.expect("a list");
    assert_eq!(parts.storage_class().expect("a class").as_str(), class);
    let part = CompletedPart::builder().part_number(1).e_tag(part.e_tag().expect("an ETag")).build();
    let complete = s3.complete_multipart_upload().bucket("bucket").key("parts").upload_id(id);
    let complete = complete.multipart_upload(CompletedMultipartUpload::builder().parts(part).build());
    complete.send().await.expect("an object");
}

#[tokio::test]
async fn other_classes_are_refused() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/source", "x").await.is(200);
    let message = "The storage class you specified is not valid";
    for class in OTHERS {
        let named = ("x-amz-storage-class", class);
        let put = raw.request("PUT", "/bucket/key").headers(&[named]).body("x");
        let copy = raw.request("PUT", "/bucket/key").headers(&[named, ("x-amz-copy-source", "/bucket/source")]);
        let create = raw.request("POST", "/bucket/key?uploads").headers(&[named]);
        for request in [put, copy, create] {
            let answer = request.send().await.fails_saying(400, "InvalidStorageClass", message);
            answer.has("StorageClassRequested", class);
        }
    }
    raw.head("/bucket/key").await.is(404);
    assert_eq!(raw.get("/bucket?uploads").await.is(200).elements("Upload"), Vec::<String>::new());
    fixture.stop().await;
}

#[tokio::test]
async fn archived_objects_are_not_read() {
    async fn check(raw: &Raw, target: &str, headers: &[(&str, &str)], class: &str) {
        let answer = raw.request("GET", target).headers(headers).send().await.fails(403, "InvalidObjectState");
        let names = ["Code", "Message", "StorageClass", "Resource", "RequestId", "HostId"];
        let message = "The operation is not valid for the object's storage class";
        let resource = "/bucket/key";
        let (request_id, host_id) = (answer.header("x-amz-request-id"), answer.header("x-amz-id-2"));
        let texts = [Some("InvalidObjectState"), Some(message), Some(class), Some(resource), request_id, host_id];
        let inside: String =
            names.iter().zip(texts).map(|(name, text)| format!("<{name}>{}</{name}>", text.expect("a text"))).collect();
        let expected = format!("<Error>{inside}</Error>");
        assert!(answer.text().ends_with(&expected), "{target} {headers:?}: {} instead of {expected}", answer.text());
    }
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    for class in ["GLACIER", "DEEP_ARCHIVE"] {
        let put = raw.request("PUT", "/bucket/key").header("x-amz-storage-class", class).body(vec![7; SIZE]);
        let put = put.send().await.is(200);
        let etag = put.header("etag").expect("an ETag");
        check(raw, "/bucket/key", &[], class).await;
        check(raw, &format!("/bucket/key?versionId={}", put.version()), &[], class).await;
        check(raw, "/bucket/key?partNumber=1", &[], class).await;
        for range in ["bytes=0-1", "bytes=900000-", "bytes=-0"] {
            check(raw, "/bucket/key", &[("range", range)], class).await;
        }
        // Neither condition would lead to the content.
        check(raw, "/bucket/key", &[("if-none-match", etag)], class).await;
        check(raw, "/bucket/key", &[("if-match", "\"other\"")], class).await;
    }
    // What is wrong with the request itself, or not there, is said first.
    raw.get("/bucket/key?partNumber=0").await.fails(400, "InvalidArgument");
    raw.delete("/bucket/key").await.is(204);
    raw.get("/bucket/key").await.fails(404, "NoSuchKey");
    fixture.stop().await;
}

#[tokio::test]
async fn archived_objects_are_no_sources() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let message = "Operation is not valid for the source object's storage class";
    let source = ("x-amz-copy-source", "/bucket/key");
    raw.request("PUT", "/bucket/key").header("x-amz-storage-class", "GLACIER").body("x").send().await.is(200);
    let copy = |target: &str, headers: &[(&str, &str)]| raw.request("PUT", target).headers(&[source]).headers(headers);
    for headers in [&[][..], &[("x-amz-storage-class", "STANDARD")], &[("x-amz-copy-source-if-match", "\"other\"")]] {
        let refused = copy("/bucket/copy", headers).send().await.fails_saying(403, "InvalidObjectState", message);
        refused.has("StorageClass", "GLACIER");
    }
    let id = raw.post("/bucket/parts?uploads", "").await.is(200).element("UploadId").expect("an id");
    let part = format!("/bucket/parts?partNumber=1&uploadId={id}");
    copy(&part, &[]).send().await.fails_saying(403, "InvalidObjectState", message);
    copy(&part, &[("x-amz-copy-source-range", "bytes=0-0")]).send().await.fails(403, "InvalidObjectState");
    fixture.stop().await;
}

#[tokio::test]
async fn archived_objects_keep_their_attributes() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let put =
        |body: &'static str| raw.request("PUT", "/bucket/key").header("x-amz-storage-class", "GLACIER").body(body);
    let etag = put("first").send().await.is(200).etag();
    raw.head("/bucket/key").await.is(200).has_headers(&[("x-amz-storage-class", "GLACIER"), ("content-length", "5")]);
    raw.request("HEAD", "/bucket/key").header("range", "bytes=1-2").send().await.is(206);
    raw.request("HEAD", "/bucket/key").header("if-none-match", &format!("\"{etag}\"")).send().await.is(304);
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    raw.put("/bucket/key?tagging", tags).await.is(200);
    raw.get("/bucket/key?tagging").await.is(200).has("Key", "a");
    let attributes = raw.request("GET", "/bucket/key?attributes").header("x-amz-object-attributes", "ObjectSize,ETag");
    attributes.send().await.is(200).has("ObjectSize", "5").has("ETag", &etag);
    let listed = raw.get("/bucket?list-type=2").await.is(200);
    let entry = elements(&listed.text(), "Contents").remove(0);
    assert_eq!(elements(&entry, "StorageClass"), ["GLACIER"]);
    put("second").send().await.is(200);
    raw.put("/bucket/key", "third").await.is(200);
    raw.get("/bucket/key").await.is(200).has_body("third");
    put("fourth").send().await.is(200);
    raw.delete("/bucket/key").await.is(204);
    fixture.stop().await;
}
