//! CompleteMultipartUpload: the listed parts become an object.

use futures_util::TryFutureExt as _;
use http::{HeaderMap, HeaderName};
use strata_storage::{
    Checksum, ChecksumAlgorithm, ChecksumKind, CompleteUpload, CompletedUpload, Entity, Error, Store, Subject,
    VersionSelector, WriteCondition,
};

use crate::authorize;
use crate::checksum_headers::{self, Need};
use crate::conditions;
use crate::encryption;
use crate::error::S3Error;
use crate::lifecycle_headers;
use crate::op::completed_parts::{self, Created};
use crate::op::create_multipart_upload;
use crate::op::keep_alive::{Finished, keep_alive};
use crate::op::target::{VERSION_ID, refuse_version};
use crate::op::upload::{self, Target};
use crate::replication::replica::Head;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml::Writer;

/// Answers `POST /bucket/key?uploadId=U`.
pub async fn run(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    refuse_version(&request)?;
    let target = upload::target(ctx, &request).await?;
    let condition = conditions::write_condition(&request.headers)?;
    let size = object_size(&request.headers)?;
    let bytes = request.body.collect(ctx.config.limits.xml_list_bytes).await?;
    check_document(&request, &bytes)?;
    let listed = completed_parts::read(&bytes, &target.id_text)?;
    let mut sealed = None;
    let mut lacks_key = false;
    let created = match ctx.store.upload(&target.bucket, &target.key, target.id).await {
        Ok(open) => {
            lacks_key = encryption::check_completion(ctx, &request, &open.new.protection.encryption)?;
            sealed = Some(open.new.protection.encryption);
            Created::With(open.new.checksum)
        }
        // A repeated completion finds its upload gone, and is answered as before.
        Err(Error::NotFound(Entity::Upload)) => Created::Unknown,
        Err(error) => return Err(upload::error(error, &target)),
    };
    check_kind(&request.headers, created)?;
    let parts_count = listed.len();
    let parts = completed_parts::completed(listed, created, &target.id_text)?;
    let complete = CompleteUpload {
        bucket: target.bucket.clone(),
        key: target.key.clone(),
        id: target.id,
        parts,
        size,
        checksum: object_checksum(&request.headers, created, parts_count)?,
        condition,
        replica: Head::of(&request.headers)?.map(|head| head.replica),
    };
    let location = format!("http://{}{}", request.host, request.raw_path);
    let is_concealed = authorize::conceals_absence(ctx, &request, &complete.condition).await?;
    let finished = finish(request.store(ctx), complete, target, location, lacks_key);
    let finished = finished.map_err(move |error| if is_concealed { authorize::concealed(error) } else { error });
    let mut response = keep_alive(&request.name, finished).await?;
    if let Some(sealed) = &sealed {
        encryption::set_headers(&mut response, sealed);
    }
    Ok(response)
}

/// The part that can take long. Who lacks the customer's key is not told the checksum.
async fn finish(
    store: Store,
    complete: CompleteUpload,
    target: Target,
    location: String,
    lacks_key: bool,
) -> Result<Finished, S3Error> {
    let (condition, checksum) = (complete.condition.clone(), complete.checksum.clone());
    let mut completed = store
        .complete_upload(complete)
        .await
        .map_err(|error| refusal(error, &target, &condition, checksum.as_ref()))?;
    if lacks_key {
        completed.checksum = None;
    }
    let mut finished = Finished::new(document(&completed, &target, &location));
    if let Some(text) = expiration(&store, &target).await {
        finished = finished.with_header(lifecycle_headers::EXPIRATION, &text);
    }
    Ok(match completed.version_id {
        Some(version_id) => finished.with_header(VERSION_ID, &version_id.to_string()),
        None => finished,
    })
}

/// When the object expires, if it is the current version: an upload initiated later may have ended before. The object
/// is stored by now, so a failure here only costs the header.
async fn expiration(store: &Store, target: &Target) -> Option<String> {
    let bucket = store.bucket(&target.bucket).await.ok()?;
    if !bucket.lifecycle.as_ref()?.concerns(target.key.as_str()) {
        return None;
    }
    let object = store.object(&target.bucket, &target.key, VersionSelector::Current).await.ok()?;
    let info = object.info();
    let subject = Subject::current(target.key.as_str(), info.size, &info.tags, info.modified);
    let text = lifecycle_headers::expiration(&bucket, &subject, &store.calendar())?;
    (info.modified == target.id.0.time).then_some(text)
}

/// What S3 answers when the engine refused the completion.
fn refusal(error: Error, target: &Target, condition: &WriteCondition, checksum: Option<&Checksum>) -> S3Error {
    match (error, checksum) {
        (Error::ChecksumMismatch, Some(Checksum { algorithm, kind, .. })) => {
            let name = upload::lower_name(Some(*algorithm));
            let mut error = S3Error::from(Error::ChecksumMismatch);
            error.message = match kind {
                ChecksumKind::FullObject => {
                    format!("The {name} you specified did not match the calculated checksum.")
                }
                ChecksumKind::Composite => {
                    format!("The {name} you specified for part 1 did not match what we received.")
                }
            }
            .into();
            error
        }
        (error @ Error::InvalidPart { .. }, _) => {
            let mut error = S3Error::from(error);
            error.fields.insert(0, ("UploadId", target.id_text.clone()));
            error
        }
        (error @ (Error::Precondition | Error::Conflict | Error::NotFound(Entity::Key)), _) => {
            conditions::write_error(error, condition, &target.key)
        }
        (error, _) => upload::error(error, target),
    }
}

/// Verifies the document's own digest. Here the checksum headers speak of the object, so only the MD5 is left.
fn check_document(request: &Request, bytes: &[u8]) -> Result<(), S3Error> {
    const MD5: &str = "content-md5";
    let headers: HeaderMap =
        request.headers.get(MD5).map(|value| (HeaderName::from_static(MD5), value.clone())).into_iter().collect();
    checksum_headers::require_for_document(&headers, &request.body, bytes, Need::Optional)
}

fn object_size(headers: &HeaderMap) -> Result<Option<u64>, S3Error> {
    let Some(value) = headers.get("x-amz-mp-object-size") else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let size = text.parse().ok();
    size.map(Some)
        .ok_or_else(|| S3Error::invalid_request(format!("Value for x-amz-mp-object-size header is invalid: '{text}'")))
}

/// `x-amz-checksum-type` must be that of the upload; an upload without an algorithm has none.
fn check_kind(headers: &HeaderMap, created: Created) -> Result<(), S3Error> {
    let Some(kind) = create_multipart_upload::kind(headers)? else { return Ok(()) };
    let created = match created {
        Created::Unknown => return Ok(()),
        Created::With(checksum) => checksum.map(|(_, kind)| kind),
    };
    if created == Some(kind) {
        return Ok(());
    }
    Err(S3Error::invalid_request(format!(
        "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
        created.map_or("null", checksum_headers::kind_name),
    )))
}

/// The object's checksum as the client expects it: base64, and for a composite the number of parts.
fn object_checksum(headers: &HeaderMap, created: Created, parts_count: usize) -> Result<Option<Checksum>, S3Error> {
    let mut sent = ChecksumAlgorithm::ALL
        .into_iter()
        .filter_map(|algorithm| headers.get(checksum_headers::header_name(algorithm)).map(|value| (algorithm, value)));
    let Some((algorithm, value)) = sent.next() else { return Ok(None) };
    if sent.next().is_some() {
        return Err(S3Error::invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    let text = value.to_str().unwrap_or_default();
    let (text, suffix) = text.split_once('-').map_or((text, None), |(text, suffix)| (text, Some(suffix)));
    let kind = match created {
        Created::With(Some((expected, _))) if expected != algorithm => {
            return Err(upload::algorithm_mismatch(Some(expected), algorithm));
        }
        Created::With(None) if algorithm != ChecksumAlgorithm::Crc64Nvme => {
            return Err(upload::algorithm_mismatch(None, algorithm));
        }
        Created::With(Some((_, kind))) => kind,
        Created::With(None) => ChecksumKind::FullObject,
        Created::Unknown if suffix.is_some() => ChecksumKind::Composite,
        Created::Unknown => ChecksumKind::FullObject,
    };
    // Unconfirmed: a composite value without its suffix is accepted.
    let fits = suffix.is_none_or(|count| kind == ChecksumKind::Composite && count == parts_count.to_string());
    let value = checksum_headers::parse_text(algorithm, text).filter(|_| fits).ok_or_else(|| {
        let name = checksum_headers::header_name(algorithm);
        S3Error::invalid_request(format!("Value for {name} header is invalid."))
    })?;
    Ok(Some(Checksum { algorithm, kind, value }))
}

fn document(completed: &CompletedUpload, target: &Target, location: &str) -> String {
    let mut writer = Writer::new("CompleteMultipartUploadResult");
    writer.element("Location", location);
    writer.element("Bucket", target.bucket.as_str());
    writer.element("Key", target.key.as_str());
    writer.element("ETag", format!("\"{}\"", completed.etag));
    if let Some(checksum) = &completed.checksum {
        let text = checksum_headers::text(checksum, completed.etag.parts);
        writer.element(checksum_headers::element_name(checksum.algorithm), text);
        writer.element("ChecksumType", checksum_headers::kind_name(checksum.kind));
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use strata_storage::{
        BucketName, Checksum, ChecksumAlgorithm, ChecksumKind, CompletedUpload, ETag, Error, ObjectKey, Stamp,
        Timestamp, UploadId, WriteCondition,
    };

    use super::{Created, Target, check_kind, document, object_checksum, object_size, refusal};

    const COMPOSITE: Created = Created::With(Some((ChecksumAlgorithm::Crc32, ChecksumKind::Composite)));
    const FULL: Created = Created::With(Some((ChecksumAlgorithm::Crc32, ChecksumKind::FullObject)));

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn target() -> Target {
        let id = UploadId(Stamp { time: Timestamp::from_secs(1), random: 0 });
        Target {
            bucket: BucketName::parse("abc").expect("a valid name"),
            key: ObjectKey::parse("k").expect("a valid key"),
            id,
            id_text: "u".to_string(),
        }
    }

    #[test]
    fn checksums_of_the_object() {
        fn check(value: &'static str, created: Created, expected: Result<ChecksumKind, &str>) {
            let found = object_checksum(&headers(&[("x-amz-checksum-crc32", value)]), created, 2);
            let found = found.map(|checksum| checksum.expect("it was sent").kind);
            let found = found.as_ref().map(|kind| *kind).map_err(|error| error.message.as_ref());
            assert_eq!(found, expected, "{value} {created:?}");
        }
        let invalid = "Value for x-amz-checksum-crc32 header is invalid.";
        check("AAAAAQ==", FULL, Ok(ChecksumKind::FullObject));
        check("AAAAAQ==-2", FULL, Err(invalid));
        check("AAAAAQ==-2", COMPOSITE, Ok(ChecksumKind::Composite));
        check("AAAAAQ==-3", COMPOSITE, Err(invalid));
        check("AAAAAQ==", COMPOSITE, Ok(ChecksumKind::Composite));
        check("AAA=", FULL, Err(invalid));
        check("AAAAAQ==-2", Created::Unknown, Ok(ChecksumKind::Composite));
        let mismatch = "Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc32";
        check("AAAAAQ==", Created::With(None), Err(mismatch));
        let other = Created::With(Some((ChecksumAlgorithm::Sha1, ChecksumKind::Composite)));
        let mismatch = "Checksum Type mismatch occurred, expected checksum Type: sha1, actual checksum Type: crc32";
        check("AAAAAQ==", other, Err(mismatch));
    }

    #[test]
    fn one_checksum_at_most() {
        assert_eq!(object_checksum(&HeaderMap::new(), FULL, 1).expect("none"), None);
        let two = headers(&[("x-amz-checksum-crc32", "AAAAAQ=="), ("x-amz-checksum-crc32c", "AAAAAQ==")]);
        assert_eq!(object_checksum(&two, FULL, 1).expect_err("two").code, "InvalidRequest");
    }

    #[test]
    fn checksum_types() {
        fn check(value: &'static str, created: Created, message: Option<&str>) {
            let error = check_kind(&headers(&[("x-amz-checksum-type", value)]), created).err();
            assert_eq!(error.as_ref().map(|error| error.message.as_ref()), message, "{value} {created:?}");
        }
        check("COMPOSITE", COMPOSITE, None);
        check("FULL_OBJECT", FULL, None);
        check("FULL_OBJECT", Created::Unknown, None);
        let words = |kind| {
            format!(
                "The upload was created using the {kind} checksum mode. The complete request must use the same \
                 checksum mode."
            )
        };
        check("FULL_OBJECT", COMPOSITE, Some(&words("COMPOSITE")));
        check("COMPOSITE", FULL, Some(&words("FULL_OBJECT")));
        check("COMPOSITE", Created::With(None), Some(&words("null")));
    }

    #[test]
    fn sizes() {
        fn check(value: &'static str, expected: Option<u64>) {
            assert_eq!(object_size(&headers(&[("x-amz-mp-object-size", value)])).ok().flatten(), expected, "{value}");
        }
        check("0", Some(0));
        check("53687091200000", Some(53_687_091_200_000));
        check("", None);
        check("-1", None);
        let error = object_size(&headers(&[("x-amz-mp-object-size", "x")])).expect_err("no number");
        assert_eq!(error.message, "Value for x-amz-mp-object-size header is invalid: 'x'");
    }

    #[test]
    fn refusals() {
        fn check(error: Error, checksum: Option<&Checksum>, expected: (u16, &str)) {
            let refused = refusal(error, &target(), &WriteCondition::IfAbsent, checksum);
            assert_eq!((refused.status.as_u16(), refused.code), expected);
        }
        let checksum = Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::FullObject, value: vec![] };
        check(Error::ChecksumMismatch, Some(&checksum), (400, "BadDigest"));
        check(Error::InvalidPart { number: 2, etag: "e".to_string() }, None, (400, "InvalidPart"));
        check(Error::Precondition, None, (412, "PreconditionFailed"));
        check(Error::Conflict, None, (409, "ConditionalRequestConflict"));
        let gone = refusal(Error::NotFound(strata_storage::Entity::Upload), &target(), &WriteCondition::None, None);
        assert_eq!((gone.code, gone.fields.as_slice()), ("NoSuchUpload", &[("UploadId", "u".to_string())][..]));
    }

    #[test]
    fn documents() {
        let checksum =
            Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::Composite, value: vec![0, 0, 0, 1] };
        let etag = ETag { digest: [0xab; 16], parts: 2 };
        let completed = CompletedUpload { version_id: None, etag, checksum: Some(checksum) };
        let text = document(&completed, &target(), "http://host:9000/abc/k");
        let expected = "<Location>http://host:9000/abc/k</Location><Bucket>abc</Bucket><Key>k</Key>\
                        <ETag>&quot;abababababababababababababababab-2&quot;</ETag>\
                        <ChecksumCRC32>AAAAAQ==-2</ChecksumCRC32><ChecksumType>COMPOSITE</ChecksumType>\
                        </CompleteMultipartUploadResult>";
        assert!(text.ends_with(expected), "{text}");
    }
}
