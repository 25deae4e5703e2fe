//! CopyObject: a stored object becomes the newest version of another key, or of its own with other attributes.

use http::{HeaderMap, HeaderName};
use strata_storage::{
    Checksum, ChecksumAlgorithm, CopyStage, DataKey, Digests, EventKind, Metadata, ObjectInfo, OpenObject, Protection,
    PutObject, StorageClass, Subject, Tag, Written,
};

use crate::authorize::{self, Resource};
use crate::encryption::{self, Sealing};
use crate::error::S3Error;
use crate::op::keep_alive::{Finished, keep_alive};
use crate::op::put_object::header_tags;
use crate::op::target::{VERSION_ID, refuse_version};
use crate::request::{Context, Request};
use crate::response::Response;
use crate::{checksum_headers, conditions, lifecycle_headers, metadata_headers, protection_headers, time, xml};

use crate::op::copy_source::{CopySource, Flavour, OpenSource, open_source, read_error};

/// The header that names the version copied.
pub const SOURCE_VERSION_ID: HeaderName = HeaderName::from_static("x-amz-copy-source-version-id");

/// The largest source of one copy: 5 GiB.
const SOURCE_BYTES_MAX: u64 = 5 << 30;

/// Where the copy's metadata or tags come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Copy,
    Replace,
}

/// Runs the operation. Everything that can be refused at once is refused before the answer may begin.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let bucket = request.bucket()?.clone();
    let key = request.key()?.clone();
    let headers = &request.headers;
    refuse_version(&request)?;
    let found = ctx.store.bucket(&bucket).await?;
    let class = metadata_headers::storage_class(headers)?;
    let Sealing { encryption, key: seal } = encryption::sealing(ctx, &request, &bucket, &found, &key).await?;
    let protection = protection_headers::protection(ctx, &found, &request).await?;
    let protection = Protection { encryption: encryption.clone(), ..protection };
    if headers.contains_key("x-amz-copy-source-range") {
        return Err(metadata_headers::not_implemented("x-amz-copy-source-range"));
    }
    let condition = conditions::write_condition(headers)?;
    let metadata_directive = directive(headers, "x-amz-metadata-directive", "Unknown metadata directive.")?;
    let tagging_directive = directive(headers, "x-amz-tagging-directive", "Unknown tagging directive.")?;
    let requested = checksum_headers::requested_algorithm(headers)?;

    let OpenSource { source, object, asking } = open_source(ctx, &request, Flavour::CopyObject).await?;
    let info = object.info();
    check_size(info.size)?;
    let changes = metadata_directive == Directive::Replace
        || ["x-amz-storage-class", "x-amz-website-redirect-location"].iter().any(|name| headers.contains_key(*name))
        || names_encryption(headers);
    if source.bucket == bucket && source.key == key && !changes && !restores(&source, info) {
        return Err(S3Error::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    ctx.store.check_room_for_object(&bucket, &key, info.size).await?;
    if tagging_directive == Directive::Copy && !info.tags.is_empty() {
        let read = if source.version.is_some() { "s3:GetObjectVersionTagging" } else { "s3:GetObjectTagging" };
        authorize::require_of(ctx, &asking, read, source.resource()).await?;
        authorize::require(ctx, &request, "s3:PutObjectTagging", Resource::Object(&bucket, &key, None)).await?;
    }
    ctx.store.meter().retrieval(&source.bucket, info.class, info.size);
    let metadata = copied_metadata(headers, metadata_directive, info)?;
    let tags = copied_tags(headers, tagging_directive, info)?;
    let algorithm = requested
        .unwrap_or_else(|| info.checksum.as_ref().map_or(ChecksumAlgorithm::Crc64Nvme, |checksum| checksum.algorithm));
    let source_version = info.bucket_versioned.then(|| info.version_id.to_string());

    let refused = condition.clone();
    let is_concealed = authorize::conceals_absence(ctx, &request, &condition).await?;
    let store = request.store(ctx);
    let mut response = keep_alive(&request.name, async move {
        let (staged, checksum) = stage(&store, &object, class, algorithm, seal).await?;
        let (size, kept, kept_tags) = (staged.size(), checksum.clone(), tags.clone());
        let put = PutObject {
            bucket,
            key: key.clone(),
            staged,
            class,
            metadata,
            tags,
            checksum: kept,
            protection,
            condition,
            created: EventKind::CreatedCopy,
            replica: None,
        };
        let written = store.put(put).await.map_err(|error| {
            let error = conditions::write_error(error, &refused, &key);
            if is_concealed { authorize::concealed(error) } else { error }
        })?;
        let mut finished = Finished::new(document(&written, checksum.as_ref()));
        let copied = Subject::current(key.as_str(), size, &kept_tags, written.modified);
        if let Some(text) = lifecycle_headers::expiration(&found, &copied, &store.calendar()) {
            finished = finished.with_header(lifecycle_headers::EXPIRATION, &text);
        }
        Ok(match written.version_id {
            Some(version_id) => finished.with_header(VERSION_ID, &version_id.to_string()),
            None => finished,
        })
    })
    .await?;
    encryption::set_headers_of_write(&mut response, &encryption);
    if let Some(version_id) = source_version {
        response.set(SOURCE_VERSION_ID, version_id);
    }
    Ok(response)
}

/// Whether a copy says how it is to be encrypted. As with the class, that counts as a change even if it says what the
/// source has already.
fn names_encryption(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-amz-server-side-encryption"))
}

async fn stage(
    store: &strata_storage::Store,
    object: &OpenObject,
    class: StorageClass,
    algorithm: ChecksumAlgorithm,
    seal: Option<DataKey>,
) -> Result<(strata_storage::Staged, Option<Checksum>), S3Error> {
    let options = CopyStage { range: None, class, digests: Digests::NONE.with(algorithm), seal };
    // A restored copy may expire between the look at it and its reading.
    let staged = store.stage_copy(object, options).await.map_err(read_error)?;
    let checksum = staged.checksum(algorithm).cloned();
    Ok((staged, checksum))
}

fn directive(headers: &HeaderMap, name: &'static str, refusal: &'static str) -> Result<Directive, S3Error> {
    match headers.get(name).map(|value| value.as_bytes()) {
        None | Some(b"COPY") => Ok(Directive::Copy),
        Some(b"REPLACE") => Ok(Directive::Replace),
        Some(other) => Err(S3Error::invalid_argument(refusal, name, String::from_utf8_lossy(other))),
    }
}

fn check_size(size: u64) -> Result<(), S3Error> {
    if size <= SOURCE_BYTES_MAX {
        return Ok(());
    }
    Err(S3Error::invalid_request(format!(
        "The specified copy source is larger than the maximum allowable size for a copy source: {SOURCE_BYTES_MAX}"
    )))
}

/// Whether the copy names a version of a versioned bucket, and so may make that one current again without changing
/// it. S3's rule for the version that is current already is unconfirmed; it is copied too.
fn restores(source: &CopySource, info: &ObjectInfo) -> bool {
    source.version.is_some() && info.bucket_versioned
}

/// The metadata of the copy. The redirect location is never the source's.
fn copied_metadata(headers: &HeaderMap, directive: Directive, info: &ObjectInfo) -> Result<Metadata, S3Error> {
    match directive {
        Directive::Copy => {
            Ok(Metadata { website_redirect: metadata_headers::website_redirect(headers)?, ..info.metadata.clone() })
        }
        Directive::Replace => metadata_headers::metadata(headers),
    }
}

fn copied_tags(headers: &HeaderMap, directive: Directive, info: &ObjectInfo) -> Result<Vec<Tag>, S3Error> {
    match directive {
        Directive::Copy => Ok(info.tags.clone()),
        Directive::Replace => header_tags(headers),
    }
}

fn document(written: &Written, checksum: Option<&Checksum>) -> String {
    let mut writer = xml::Writer::new("CopyObjectResult");
    writer.element("LastModified", time::iso8601(written.modified)).element("ETag", format!("\"{}\"", written.etag));
    if let Some(checksum) = checksum {
        writer
            .element(checksum_headers::element_name(checksum.algorithm), checksum_headers::text(checksum, 0))
            .element("ChecksumType", checksum_headers::kind_name(checksum.kind));
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use strata_storage::{
        BucketName, Checksum, ChecksumAlgorithm, ETag, Metadata, ObjectInfo, ObjectKey, StorageClass, Tag, Timestamp,
        VersionId, Written,
    };

    use super::{
        CopySource, Directive, SOURCE_BYTES_MAX, check_size, copied_metadata, copied_tags, directive, document,
        restores,
    };

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn info() -> ObjectInfo {
        let metadata = Metadata {
            content_type: Some("text/plain".to_owned()),
            website_redirect: Some("/old".to_owned()),
            ..Metadata::default()
        };
        ObjectInfo {
            version_id: VersionId::Null,
            size: 0,
            etag: ETag::single([0; 16]),
            modified: Timestamp::from_secs(1_234_567_890),
            class: StorageClass::Standard,
            tier: strata_storage::Tier::Frequent,
            restore: None,
            readable: true,
            checksum: None,
            metadata,
            tags: vec![Tag { key: "a".to_owned(), value: "1".to_owned() }],
            parts_count: 0,
            bucket_versioned: true,
            protection: strata_storage::Protection::default(),
            replication: strata_storage::ReplicationState::default(),
            stamp: strata_storage::Stamp::from_bytes([0; 16]),
        }
    }

    #[test]
    fn directives_are_two_words() {
        fn check(value: &'static str, expected: Option<Directive>) {
            let found = directive(&headers(&[("x-amz-metadata-directive", value)]), "x-amz-metadata-directive", "no");
            assert_eq!(found.ok(), expected, "{value}");
        }
        check("COPY", Some(Directive::Copy));
        check("REPLACE", Some(Directive::Replace));
        check("replace", None);
        check("", None);
        assert_eq!(directive(&HeaderMap::new(), "x-amz-tagging-directive", "no").ok(), Some(Directive::Copy));
    }

    #[test]
    fn attributes_are_copied_or_replaced() {
        let sent = headers(&[
            ("content-type", "text/html"),
            ("x-amz-website-redirect-location", "/new"),
            ("x-amz-tagging", "b=2"),
        ]);
        let copied = copied_metadata(&sent, Directive::Copy, &info()).expect("acceptable headers");
        assert_eq!(copied.content_type.as_deref(), Some("text/plain"));
        assert_eq!(copied.website_redirect.as_deref(), Some("/new"));
        let replaced = copied_metadata(&sent, Directive::Replace, &info()).expect("acceptable headers");
        assert_eq!(replaced.content_type.as_deref(), Some("text/html"));
        let bare = copied_metadata(&HeaderMap::new(), Directive::Copy, &info()).expect("no headers");
        assert_eq!(bare.website_redirect, None);
        assert_eq!(copied_tags(&sent, Directive::Copy, &info()).expect("tags")[0].key, "a");
        assert_eq!(copied_tags(&sent, Directive::Replace, &info()).expect("tags")[0].key, "b");
    }

    #[test]
    fn old_versions_can_be_restored() {
        fn check(version: Option<VersionId>, bucket_versioned: bool, expected: bool) {
            let bucket = BucketName::parse("bucket").expect("a valid name");
            let source = CopySource { bucket, key: ObjectKey::parse("key").expect("a valid key"), version };
            assert_eq!(restores(&source, &ObjectInfo { bucket_versioned, ..info() }), expected);
        }
        check(None, true, false);
        check(Some(VersionId::Null), false, false);
        check(Some(VersionId::Null), true, true);
    }

    #[test]
    fn sources_are_limited() {
        assert!(check_size(SOURCE_BYTES_MAX).is_ok());
        let error = check_size(SOURCE_BYTES_MAX + 1).expect_err("one byte too many");
        assert!(error.message.ends_with("copy source: 5368709120"));
    }

    #[test]
    fn results_show_the_copy() {
        let written = Written {
            version_id: None,
            etag: ETag::single([0; 16]),
            modified: Timestamp::from_nanos(1_234_567_890_123_000_000),
        };
        let found = document(&written, Some(&Checksum::of(ChecksumAlgorithm::Crc32, b"123456789")));
        assert!(found.ends_with(
            "<LastModified>2009-02-13T23:31:30.123Z</LastModified>\
             <ETag>&quot;00000000000000000000000000000000&quot;</ETag><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32>\
             <ChecksumType>FULL_OBJECT</ChecksumType></CopyObjectResult>"
        ));
    }
}
