//! Every operation once through the SDK: requests as it writes them, answers as it reads them.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, EncodingType,
    ObjectAttributes, ObjectStorageClass, Tag, Tagging, VersioningConfiguration,
};

use crate::support::{Fixture, Sdk};

fn tagging() -> Tagging {
    let tag = Tag::builder().key("k").value("v").build().expect("a tag");
    Tagging::builder().tag_set(tag).build().expect("tags")
}

async fn put(s3: &Sdk, key: &str, content: &'static [u8]) -> String {
    let put = s3.put_object().bucket("bucket").key(key).body(ByteStream::from_static(content)).send().await;
    put.expect("a write").version_id().expect("a version").to_owned()
}

#[tokio::test]
async fn documents_of_buckets() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let put = s3.put_bucket_versioning().bucket("bucket").versioning_configuration(versioning).send().await;
    put.expect("a state");
    let found = s3.get_bucket_versioning().bucket("bucket").send().await.expect("a state");
    assert_eq!((found.status(), found.mfa_delete()), (Some(&BucketVersioningStatus::Enabled), None));
    s3.put_bucket_tagging().bucket("bucket").tagging(tagging()).send().await.expect("tags");
    let found = s3.get_bucket_tagging().bucket("bucket").send().await.expect("tags");
    assert_eq!(found.tag_set(), tagging().tag_set());
    s3.delete_bucket_tagging().bucket("bucket").send().await.expect("no tags");
    let error = s3.get_bucket_tagging().bucket("bucket").send().await.expect_err("no tags");
    assert_eq!((error.code(), error.message()), (Some("NoSuchTagSet"), Some("The TagSet does not exist")));
    let error = s3.get_bucket_website().bucket("bucket").send().await.expect_err("nothing of the kind");
    assert_eq!(error.code(), Some("NoSuchWebsiteConfiguration"));
    fixture.stop().await;
}

#[tokio::test]
async fn tags_and_attributes() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let s3 = &fixture.s3;
    let version = put(s3, "key", b"content").await;
    let tagged = s3.put_object_tagging().bucket("bucket").key("key").tagging(tagging()).send().await.expect("tags");
    assert_eq!(tagged.version_id(), Some(version.as_str()));
    let found = s3.get_object_tagging().bucket("bucket").key("key").version_id(&version).send().await.expect("tags");
    assert_eq!(found.tag_set(), tagging().tag_set());
    s3.delete_object_tagging().bucket("bucket").key("key").send().await.expect("no tags");
    let attributes = s3.get_object_attributes().bucket("bucket").key("key");
    let attributes = attributes
        .object_attributes(ObjectAttributes::Checksum)
        .object_attributes(ObjectAttributes::StorageClass)
        .send()
        .await
        .expect("attributes");
    assert_eq!(attributes.version_id(), Some(version.as_str()));
    assert!(attributes.last_modified().is_some());
    let checksum = attributes.checksum().expect("a checksum");
    assert_eq!(checksum.checksum_type(), Some(&ChecksumType::FullObject));
    assert!(attributes.storage_class().is_some());
    fixture.stop().await;
}

#[tokio::test]
async fn lists_of_versions() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let s3 = &fixture.s3;
    let mut written = Vec::new();
    for content in [&b"one"[..], b"two"] {
        written.push(put(s3, "a b", content).await);
    }
    written.reverse();
    put(s3, "c", b"three").await;
    let deleted = s3.delete_object().bucket("bucket").key("c").send().await.expect("a marker");
    assert_eq!(deleted.delete_marker(), Some(true));
    let list =
        s3.list_object_versions().bucket("bucket").encoding_type(EncodingType::Url).send().await.expect("a list");
    let versions: Vec<_> = list.versions().iter().filter(|one| one.key() == Some("a+b")).collect();
    assert_eq!(versions.iter().filter_map(|one| one.version_id()).collect::<Vec<_>>(), written);
    assert_eq!(versions.iter().map(|one| one.is_latest()).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert!(versions.iter().all(|one| one.size() == Some(3) && one.last_modified().is_some() && one.owner().is_some()));
    let [marker] = list.delete_markers() else { panic!("{:?}", list.delete_markers()) };
    assert_eq!((marker.key(), marker.version_id()), (Some("c"), deleted.version_id()));
    assert_eq!((marker.is_latest(), list.is_truncated()), (Some(true), Some(false)));

    let mut pages = s3.list_objects_v2().bucket("bucket").max_keys(1).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        for entry in page.expect("a page").contents() {
            assert_eq!(entry.storage_class(), Some(&ObjectStorageClass::Standard));
            keys.push(entry.key().expect("a key").to_owned());
        }
    }
    assert_eq!(keys, ["a b"]);
    let list = s3.list_objects().bucket("bucket").send().await.expect("a list");
    assert_eq!(list.contents().len(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn uploads() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let s3 = &fixture.s3;
    put(s3, "source", b"0123456789").await;
    let create = s3.create_multipart_upload().bucket("bucket").key("key");
    let created = create.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.expect("an upload");
    assert_eq!(created.checksum_algorithm(), Some(&ChecksumAlgorithm::Sha256));
    let id = created.upload_id().expect("an id");
    let copy = s3.upload_part_copy().bucket("bucket").key("key").upload_id(id).part_number(1);
    let copied = copy.copy_source("bucket/source").copy_source_range("bytes=2-5").send().await.expect("a part");
    assert!(copied.copy_source_version_id().is_some());
    let part = copied.copy_part_result().expect("a result");
    assert!(part.e_tag().is_some() && part.last_modified().is_some() && part.checksum_sha256().is_some());

    let uploads = s3.list_multipart_uploads().bucket("bucket").send().await.expect("a list");
    let [upload] = uploads.uploads() else { panic!("{:?}", uploads.uploads()) };
    assert_eq!((upload.upload_id(), upload.key()), (Some(id), Some("key")));
    assert_eq!(upload.checksum_algorithm(), Some(&ChecksumAlgorithm::Sha256));
    assert!(upload.initiated().is_some() && upload.initiator().is_some() && upload.owner().is_some());
    let parts = s3.list_parts().bucket("bucket").key("key").upload_id(id).send().await.expect("a list");
    let [listed] = parts.parts() else { panic!("{:?}", parts.parts()) };
    assert_eq!((listed.part_number(), listed.size()), (Some(1), Some(4)));
    assert_eq!((listed.e_tag(), listed.checksum_sha256()), (part.e_tag(), part.checksum_sha256()));

    let part = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(part.e_tag().map(str::to_owned))
        .set_checksum_sha256(part.checksum_sha256().map(str::to_owned))
        .build();
    let request = s3.complete_multipart_upload().bucket("bucket").key("key").upload_id(id);
    let done = request.multipart_upload(CompletedMultipartUpload::builder().parts(part).build()).send().await;
    let done = done.expect("a completion");
    assert_eq!((done.bucket(), done.key()), (Some("bucket"), Some("key")));
    assert_eq!(done.checksum_type(), Some(&ChecksumType::Composite));
    assert!(done.version_id().is_some() && done.location().is_some_and(|place| place.ends_with("/bucket/key")));
    let got = s3.get_object().bucket("bucket").key("key").part_number(1).send().await.expect("the part");
    assert_eq!((got.parts_count(), got.content_range()), (Some(1), Some("bytes 0-3/4")));
    assert_eq!(got.body.collect().await.expect("a body").into_bytes(), "2345");

    let created = s3.create_multipart_upload().bucket("bucket").key("other").send().await.expect("an upload");
    let id = created.upload_id().expect("an id");
    s3.abort_multipart_upload().bucket("bucket").key("other").upload_id(id).send().await.expect("an end");
    let error = s3.abort_multipart_upload().bucket("bucket").key("other").upload_id(id).send().await;
    assert!(error.expect_err("no upload").into_service_error().is_no_such_upload());
    fixture.stop().await;
}

#[tokio::test]
async fn conditions() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    let put = || s3.put_object().bucket("bucket").key("key").body(ByteStream::from_static(b"x"));
    let etag = put().if_none_match("*").send().await.expect("a write").e_tag().expect("an ETag").to_owned();
    let error = put().if_none_match("*").send().await.expect_err("there is one");
    assert_eq!(error.code(), Some("PreconditionFailed"));
    put().if_match(&etag).send().await.expect("a write");
    let get = || s3.get_object().bucket("bucket").key("key");
    let error = get().if_none_match(&etag).send().await.expect_err("not modified");
    assert_eq!(error.raw_response().map(|response| response.status().as_u16()), Some(304));
    let got = get().range("bytes=0-0").send().await.expect("a byte");
    assert_eq!((got.content_range(), got.content_length()), (Some("bytes 0-0/1"), Some(1)));
    s3.delete_object().bucket("bucket").key("key").if_match(&etag).send().await.expect("a delete");
    fixture.stop().await;
}
