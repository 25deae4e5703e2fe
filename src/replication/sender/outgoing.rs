//! What a replica's headers say. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use strata_storage::{
    ChecksumAlgorithm, ChecksumKind, Destination, Encryption, LegalHold, ObjectInfo, ReplicationRule, Retention,
    StorageClass, Tag,
};

use super::endpoint::Endpoint;
use crate::replication::replica::{Head, REPLICA};
use crate::{checksum_headers, lock_headers, metadata_headers, time};

const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
const TAGGING: HeaderName = HeaderName::from_static("x-amz-tagging");
const ENCRYPTION: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const ENCRYPTION_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
const ALGORITHM: HeaderName = HeaderName::from_static("x-amz-checksum-algorithm");
const TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
const RETAIN_UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
const LEGAL_HOLD: HeaderName = HeaderName::from_static("x-amz-object-lock-legal-hold");
/// The largest access control list that goes in a header, in bytes.
const ACL_BYTES_MAX: usize = 2 << 10;

/// A header's value; what no header can carry is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What a replica says of itself to a Strata.
pub fn head(info: &ObjectInfo, rule: &ReplicationRule) -> Head {
    let null = info.version_id == strata_storage::VersionId::Null;
    let acl = info.protection.owner.acl.clone().filter(|_| !rule.destination.owner_override);
    Head {
        replica: strata_storage::Replica {
            version: info.stamp,
            null,
            changes: info.replication.changes,
            imported: false,
        },
        acl: acl.filter(|acl| acl.len() <= ACL_BYTES_MAX),
        lock: info.protection.lock,
        metadata: None,
    }
}

/// The headers with which an object, or an upload of it, begins.
pub fn of_object(endpoint: &Endpoint, info: &ObjectInfo, rule: &ReplicationRule, with_tags: bool) -> HeaderMap {
    let Destination { class, kms_key, .. } = &rule.destination;
    let (carried, unsaid) = match metadata_headers::carried(&info.metadata) {
        Ok(headers) => (headers, None),
        // The head carries all of it then, in the place of these.
        Err(_) if endpoint.is_strata() => (HeaderMap::new(), Some(info.metadata.clone())),
        Err(headers) => (headers, None),
    };
    let mut headers = carried;
    let class = class.unwrap_or(info.class);
    if class != StorageClass::Standard {
        set(&mut headers, STORAGE_CLASS, class.name());
    }
    if with_tags && !info.tags.is_empty() {
        set(&mut headers, TAGGING, &tagging(&info.tags));
    }
    if let Encryption::Kms(kms) = &info.protection.encryption {
        set(&mut headers, ENCRYPTION, if kms.dual { "aws:kms:dsse" } else { "aws:kms" });
        if let Some(key) = kms_key {
            set(&mut headers, ENCRYPTION_KEY, key);
        }
    }
    if endpoint.is_strata() {
        let head = Head { metadata: unsaid, ..head(info, rule) };
        set(&mut headers, REPLICA, &head.encode());
    } else {
        set_lock(&mut headers, info);
    }
    headers
}

fn set_lock(headers: &mut HeaderMap, info: &ObjectInfo) {
    let lock = info.protection.lock;
    if let Some(Retention { mode, until }) = lock.retention {
        set(headers, MODE, lock_headers::mode_name(mode));
        set(headers, RETAIN_UNTIL, &time::iso8601(until));
    }
    if lock.legal_hold == Some(LegalHold::On) {
        set(headers, LEGAL_HOLD, lock_headers::hold_name(LegalHold::On));
    }
}

/// The digests of an object that is sent at once: they are checked where it arrives.
pub fn set_digests(headers: &mut HeaderMap, info: &ObjectInfo) {
    if let Some(checksum) = info.checksum.as_ref().filter(|checksum| checksum.kind == ChecksumKind::FullObject) {
        let name = checksum_headers::header_name(checksum.algorithm);
        set(headers, name, &checksum_headers::text(checksum, 0));
    }
    if info.parts_count == 0 && !info.protection.encryption.is_sealed() {
        set(headers, CONTENT_MD5, &STANDARD.encode(info.etag.digest));
    }
}

/// What an upload says of the checksum that it will have.
pub fn set_algorithm(headers: &mut HeaderMap, info: &ObjectInfo) {
    if let Some(checksum) = &info.checksum {
        set(headers, ALGORITHM, checksum.algorithm.name());
        set(headers, TYPE, checksum_headers::kind_name(checksum.kind));
    }
}

/// The same of the whole, when it is complete.
pub fn set_checksum(headers: &mut HeaderMap, info: &ObjectInfo) {
    if let Some(checksum) = &info.checksum {
        let name = checksum_headers::header_name(checksum.algorithm);
        set(headers, name, &checksum_headers::text(checksum, info.parts_count));
        set(headers, TYPE, checksum_headers::kind_name(checksum.kind));
    }
}

/// The checksum that objects have where nobody asks for another one, if it is this one's.
pub fn default_checksum(info: &ObjectInfo) -> Option<String> {
    let checksum = info.checksum.as_ref()?;
    let is_default = checksum.algorithm == ChecksumAlgorithm::Crc64Nvme && checksum.kind == ChecksumKind::FullObject;
    is_default.then(|| checksum_headers::text(checksum, 0))
}

/// The replica header alone.
pub fn of_replica(head: &Head) -> HeaderMap {
    let mut headers = HeaderMap::new();
    set(&mut headers, REPLICA, &head.encode());
    headers
}

/// The headers of a document: its type and digest.
pub fn of_document(document: &[u8], mut headers: HeaderMap) -> HeaderMap {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    let name = checksum_headers::header_name(ChecksumAlgorithm::Sha256);
    set(&mut headers, name, &STANDARD.encode(Sha256::digest(document)));
    headers
}

fn tagging(tags: &[Tag]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = tags.iter().map(|tag| format!("{}={}", encode(&tag.key), encode(&tag.value))).collect();
    pairs.join("&")
}
