//! What the operations on a multipart upload share: finding it, its errors, and the rules for its parts.

use http::HeaderMap;
use strata_storage::{
    BucketName, Checksum, ChecksumAlgorithm, Digests, Entity, Error, ObjectKey, PartInfo, UploadId, UploadInfo,
};

use crate::checksum_headers;
use crate::error::S3Error;
use crate::metadata_headers;
use crate::op::bucket;
use crate::request::{Context, Query, Request};
use crate::response::Response;

/// The highest part number.
pub const PARTS_MAX: u16 = 10_000;

/// The largest part, in bytes.
pub const PART_BYTES_MAX: u64 = 5 << 30;

/// The upload that a request means.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its bucket.
    pub bucket: BucketName,
    /// The key that it will become.
    pub key: ObjectKey,
    /// Its id.
    pub id: UploadId,
    /// The id as the client sent it.
    pub id_text: String,
}

/// Reads `uploadId`. An id that this server never made is as unknown as an old one, but a missing bucket comes first.
pub async fn target(ctx: &Context, request: &Request) -> Result<Target, S3Error> {
    let bucket = request.bucket()?.clone();
    let key = request.key()?.clone();
    let id_text = request.query.get("uploadId").unwrap_or_default().to_string();
    match UploadId::parse(&id_text) {
        Some(id) => Ok(Target { bucket, key, id, id_text }),
        None => {
            bucket::find(ctx, &bucket).await?;
            Err(S3Error::from(Error::NotFound(Entity::Upload)).with("UploadId", id_text))
        }
    }
}

/// The open upload, or `NoSuchUpload`.
pub async fn find(ctx: &Context, target: &Target) -> Result<UploadInfo, S3Error> {
    ctx.store.upload(&target.bucket, &target.key, target.id).await.map_err(|error| self::error(error, target))
}

/// The engine's error, with the upload or the bucket where S3 names it.
pub fn error(error: Error, target: &Target) -> S3Error {
    match error {
        Error::NotFound(Entity::Upload) => S3Error::from(error).with("UploadId", &target.id_text),
        other => bucket::error(other, &target.bucket),
    }
}

/// Reads `partNumber`.
pub fn part_number(query: &Query) -> Result<u16, S3Error> {
    let text = query.get("partNumber").unwrap_or_default();
    let number = text.parse().ok().filter(|number| (1..=PARTS_MAX).contains(number));
    number.ok_or_else(|| {
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        S3Error::invalid_argument(message, "partNumber", text)
    })
}

/// Refuses what no part can have: encryption of its own, but for a customer's key, which each part brings, a lock, or a
/// condition, which belongs to the completion.
pub fn refuse_for_part(headers: &HeaderMap) -> Result<(), S3Error> {
    const ENCRYPTION: &str = "x-amz-server-side-encryption";
    if let Some(value) = headers.get(ENCRYPTION) {
        let message = format!("{ENCRYPTION} header is not supported for this operation.");
        return Err(S3Error::invalid_argument(message, ENCRYPTION, String::from_utf8_lossy(value.as_bytes())));
    }
    refuse_conditions(headers)?;
    if let Some(name) = headers.keys().find(|name| name.as_str().starts_with("x-amz-object-lock-")) {
        return Err(metadata_headers::not_implemented(name.as_str()));
    }
    metadata_headers::refuse_unsupported(headers)
}

/// Refuses conditions on requests that create no object.
pub fn refuse_conditions(headers: &HeaderMap) -> Result<(), S3Error> {
    match ["If-Match", "If-None-Match"].into_iter().find(|&name| headers.contains_key(name)) {
        Some(name) => Err(metadata_headers::not_implemented(name)),
        None => Ok(()),
    }
}

/// The algorithm that every part of the upload must have a checksum of.
pub fn algorithm(upload: &UploadInfo) -> ChecksumAlgorithm {
    upload.new.checksum.map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm)
}

/// What to compute for a part besides what its client sent.
pub fn digests(upload: &UploadInfo) -> Digests {
    Digests::NONE.with(algorithm(upload))
}

/// Refuses a part's checksum of another algorithm than the upload was created with.
pub fn check_algorithm(upload: &UploadInfo, sent: Option<ChecksumAlgorithm>) -> Result<(), S3Error> {
    match (upload.new.checksum, sent) {
        (Some((expected, _)), Some(actual)) if expected != actual => Err(algorithm_mismatch(Some(expected), actual)),
        _ => Ok(()),
    }
}

/// S3's words for a checksum of the wrong algorithm.
pub fn algorithm_mismatch(expected: Option<ChecksumAlgorithm>, actual: ChecksumAlgorithm) -> S3Error {
    S3Error::invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        lower_name(expected),
        lower_name(Some(actual)),
    ))
}

/// An algorithm's name as messages have it.
pub fn lower_name(algorithm: Option<ChecksumAlgorithm>) -> String {
    algorithm.map_or("null", ChecksumAlgorithm::name).to_ascii_lowercase()
}

/// Sets the headers that describe an uploaded part.
pub fn set_part_headers(response: &mut Response, part: &PartInfo) {
    response.set(http::header::ETAG, format!("\"{}\"", part.etag));
    if let Some(checksum) = &part.checksum {
        response.set(checksum_headers::header_name(checksum.algorithm), part_text(checksum));
    }
}

/// The text of a part's checksum, which never has a count of parts.
pub fn part_text(checksum: &Checksum) -> String {
    checksum_headers::text(checksum, 0)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use strata_storage::{ChecksumAlgorithm, ChecksumKind, NewUpload, Stamp, Timestamp, UploadId, UploadInfo};

    use super::{check_algorithm, part_number, refuse_for_part};
    use crate::request::Query;

    #[test]
    fn part_numbers() {
        fn check(value: &str, expected: Option<u16>) {
            let query = Query(vec![("partNumber".to_string(), value.to_string())]);
            let found = part_number(&query);
            assert_eq!(found.as_ref().ok().copied(), expected, "{value}");
            if let Err(error) = found {
                assert_eq!(error.code, "InvalidArgument");
                assert_eq!(error.fields[0], ("ArgumentName", "partNumber".to_string()));
            }
        }
        check("1", Some(1));
        check("10000", Some(10_000));
        for value in ["", "0", "-1", "10001", "70000", "x", "1.0", " 1"] {
            check(value, None);
        }
        assert!(part_number(&Query::default()).is_err());
    }

    #[test]
    fn what_parts_cannot_have() {
        fn check(header: &'static str, expected: Option<&str>) {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(header), HeaderValue::from_static("AES256"));
            assert_eq!(refuse_for_part(&headers).err().map(|error| error.code), expected, "{header}");
        }
        check("content-type", None);
        check("x-amz-server-side-encryption", Some("InvalidArgument"));
        check("x-amz-server-side-encryption-customer-key", None);
        check("x-amz-object-lock-mode", Some("NotImplemented"));
        check("if-none-match", Some("NotImplemented"));
    }

    #[test]
    fn algorithms_of_parts() {
        fn check(upload: Option<ChecksumAlgorithm>, sent: Option<ChecksumAlgorithm>, message: Option<&str>) {
            let id = UploadId(Stamp { time: Timestamp::from_secs(1), random: 0 });
            let new = NewUpload {
                checksum: upload.map(|algorithm| (algorithm, ChecksumKind::Composite)),
                ..NewUpload::default()
            };
            let upload = UploadInfo { id, initiated: Timestamp::from_secs(1), new };
            let error = check_algorithm(&upload, sent).err();
            assert_eq!(error.as_ref().map(|error| error.message.as_ref()), message);
        }
        let (crc32, sha256) = (Some(ChecksumAlgorithm::Crc32), Some(ChecksumAlgorithm::Sha256));
        check(None, None, None);
        check(None, crc32, None);
        check(sha256, None, None);
        check(sha256, sha256, None);
        let message = "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32";
        check(sha256, crc32, Some(message));
    }
}
