//! CreateMultipartUpload: everything about the object but its bytes is settled here.

use http::{HeaderMap, HeaderName};
use strata_storage::{ChecksumAlgorithm, ChecksumKind, NewUpload, Protection, UploadId};

use crate::checksum_headers;
use crate::encryption;
use crate::error::S3Error;
use crate::lifecycle_headers;
use crate::metadata_headers;
use crate::op::put_object::header_tags;
use crate::op::target::refuse_version;
use crate::op::{bucket, upload};
use crate::protection_headers;
use crate::replication::replica::Head;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml::Writer;

const TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");

/// Answers `POST /bucket/key?uploads`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let (bucket, key) = (request.bucket()?, request.key()?);
    if request.caller.account_id().is_none() {
        let message = "Anonymous users cannot initiate multipart uploads.  Please authenticate.";
        return Err(S3Error::access_denied(message));
    }
    refuse_version(&request)?;
    upload::refuse_conditions(&request.headers)?;
    let found = bucket::find(ctx, bucket).await?;
    let sealing = encryption::sealing(ctx, &request, bucket, &found, key).await?;
    let protection = protection_headers::protection(ctx, &found, &request).await?;
    let protection = Protection { encryption: sealing.encryption, ..protection };
    let encryption = protection.encryption.clone();
    let new = NewUpload {
        class: metadata_headers::storage_class(&request.headers)?,
        metadata: Head::metadata(&request.headers)?,
        tags: header_tags(&request.headers)?,
        checksum: checksum(&request.headers)?,
        protection,
        initiator: request.caller.arn(),
    };
    let chosen = new.checksum;
    let id = ctx.store.create_upload(bucket, key, new).await.map_err(|error| bucket::error(error, bucket))?;
    let mut response = Response::xml(document(bucket.as_str(), key.as_str(), id));
    encryption::set_headers_of_write(&mut response, &encryption);
    if let Some((algorithm, kind)) = chosen {
        response.set(HeaderName::from_static("x-amz-checksum-algorithm"), algorithm.name());
        response.set(TYPE, checksum_headers::kind_name(kind));
    }
    lifecycle_headers::set_abort(&mut response, &found, &ctx.store.calendar(), (key.as_str(), id.0.time));
    Ok(response)
}

/// The checksum that the upload shall have.
fn checksum(headers: &HeaderMap) -> Result<Option<(ChecksumAlgorithm, ChecksumKind)>, S3Error> {
    let algorithm = checksum_headers::requested_algorithm(headers)?;
    let kind = kind(headers)?;
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(S3Error::invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let kind = kind.unwrap_or(match algorithm {
        ChecksumAlgorithm::Crc64Nvme => ChecksumKind::FullObject,
        _ => ChecksumKind::Composite,
    });
    let offered = match kind {
        ChecksumKind::FullObject => algorithm.combines(),
        ChecksumKind::Composite => algorithm != ChecksumAlgorithm::Crc64Nvme,
    };
    if !offered {
        return Err(S3Error::invalid_request(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            checksum_headers::kind_name(kind),
            upload::lower_name(Some(algorithm)),
        )));
    }
    Ok(Some((algorithm, kind)))
}

/// Reads `x-amz-checksum-type`.
pub fn kind(headers: &HeaderMap) -> Result<Option<ChecksumKind>, S3Error> {
    match headers.get(TYPE).map(http::HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"COMPOSITE") => Ok(Some(ChecksumKind::Composite)),
        Some(b"FULL_OBJECT") => Ok(Some(ChecksumKind::FullObject)),
        Some(_) => Err(S3Error::invalid_request("Value for x-amz-checksum-type header is invalid.")),
    }
}

fn document(bucket: &str, key: &str, id: UploadId) -> String {
    let mut writer = Writer::new("InitiateMultipartUploadResult");
    writer.element("Bucket", bucket).element("Key", key).element("UploadId", id.to_string());
    writer.finish()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use strata_storage::{ChecksumAlgorithm, ChecksumKind};

    use super::checksum;

    fn headers(algorithm: &'static str, kind: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        headers
    }

    #[test]
    fn checksums() {
        fn check(algorithm: &'static str, kind: &'static str, expected: Option<(ChecksumAlgorithm, ChecksumKind)>) {
            assert_eq!(checksum(&headers(algorithm, kind)).expect(algorithm), expected, "{algorithm} {kind}");
        }
        check("", "", None);
        check("CRC32", "", Some((ChecksumAlgorithm::Crc32, ChecksumKind::Composite)));
        check("CRC32", "FULL_OBJECT", Some((ChecksumAlgorithm::Crc32, ChecksumKind::FullObject)));
        check("CRC64NVME", "", Some((ChecksumAlgorithm::Crc64Nvme, ChecksumKind::FullObject)));
        check("SHA256", "COMPOSITE", Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite)));
        check("XXHASH128", "", Some((ChecksumAlgorithm::Xxhash128, ChecksumKind::Composite)));
    }

    #[test]
    fn faults() {
        fn check(algorithm: &'static str, kind: &'static str, message: &str) {
            let error = checksum(&headers(algorithm, kind)).expect_err(algorithm);
            assert_eq!((error.code, error.message.as_ref()), ("InvalidRequest", message));
        }
        check(
            "",
            "COMPOSITE",
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        );
        check(
            "CRC64NVME",
            "COMPOSITE",
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
        );
        check("SHA1", "FULL_OBJECT", "The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm.");
        check("CRC32", "WHOLE", "Value for x-amz-checksum-type header is invalid.");
        assert_eq!(checksum(&headers("CRC16", "")).expect_err("unknown").code, "InvalidRequest");
    }
}
