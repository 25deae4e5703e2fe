//! What a version is sent with. Pure: from its properties to the headers of requests.
//!
//! To a Strata it goes by its id, as a replica goes: `x-amz-strata-replica` says id, time and lock. To others it is a new object
//! with the same description.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use strata_storage::{Changes, Lock, Replica, Retention, Stamp, Timestamp, VersionId};

use super::document::{CHECKSUM_PREFIX, Part, Properties};
use crate::replication::replica::{Head, REPLICA};
use crate::xml::Writer;
use crate::{checksum_headers, lock_headers, time};

const CHECKSUM_TYPE: &str = "x-amz-checksum-type";
const KMS: &str = "x-amz-server-side-encryption";

/// Where a version takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With its id and time, among the versions of its key.
    ById(Stamp),
    /// As the newest one.
    AsNew,
}

/// The stamp of a version. `None` if its id is not one of a Strata's, or its time cannot be read.
///
/// A `null` version's id does not tell its time. Listings do, to the millisecond, which is enough unless `before`, the version
/// before it, is of the same one: then it comes right after that.
pub fn stamp(properties: &Properties, before: Option<Stamp>) -> Option<Stamp> {
    match VersionId::parse(&properties.version_id)? {
        VersionId::Stamp(stamp) => Some(stamp),
        VersionId::Null => {
            let told = Stamp { time: time::parse_iso8601(&properties.modified)?, random: 0 };
            Some(match before.filter(|before| !told.is_newer(*before)) {
                Some(before) => {
                    Stamp { time: Timestamp::from_nanos(before.time.as_nanos().saturating_add(1)), random: 0 }
                }
                None => told,
            })
        }
    }
}

/// The headers with which a version begins. `Err` says what cannot be sent.
pub fn headers(properties: &Properties, way: Way, now: Timestamp) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &properties.headers {
        set(&mut headers, name, value)?;
    }
    for (name, value) in &properties.metadata {
        set(&mut headers, &format!("x-amz-meta-{name}"), value)?;
    }
    if !properties.tags.is_empty() {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs = properties.tags.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
        set(&mut headers, "x-amz-tagging", &pairs.collect::<Vec<_>>().join("&"))?;
    }
    let lock = lock(properties)?;
    match way {
        Way::ById(_) => headers.extend(replica(properties, way, lock)?),
        Way::AsNew => {
            // A time that has passed binds nobody, and would be refused.
            if let Some(Retention { mode, until }) = lock.retention.filter(|retention| retention.until > now) {
                set(&mut headers, "x-amz-object-lock-mode", lock_headers::mode_name(mode))?;
                set(&mut headers, "x-amz-object-lock-retain-until-date", &time::iso8601(until))?;
            }
            if let Some(hold) = lock.legal_hold {
                set(&mut headers, "x-amz-object-lock-legal-hold", lock_headers::hold_name(hold))?;
            }
        }
    }
    Ok(headers)
}

/// What a later request about the same version says of it.
pub fn about(properties: &Properties, way: Way) -> Result<HeaderMap, String> {
    replica(properties, way, Lock::default())
}

fn replica(properties: &Properties, way: Way, lock: Lock) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if let Way::ById(version) = way {
        let null = properties.version_id == "null";
        let replica = Replica { version, null, changes: Changes::default(), imported: true };
        set(&mut headers, REPLICA.as_str(), &Head { replica, acl: None, lock, metadata: None }.encode())?;
    }
    Ok(headers)
}

fn lock(properties: &Properties) -> Result<Lock, String> {
    let retention = match &properties.retention {
        None => None,
        Some(kept) => {
            let (mode, until) = (lock_headers::parse_mode(&kept.mode), time::parse_iso8601(&kept.until));
            let both = mode.zip(until).map(|(mode, until)| Retention { mode, until });
            Some(both.ok_or_else(|| format!("its retention is not understood: {} {}", kept.mode, kept.until))?)
        }
    };
    let legal_hold = match &properties.legal_hold {
        None => None,
        Some(text) => {
            let hold = lock_headers::parse_hold(text);
            Some(hold.ok_or_else(|| format!("its legal hold is not understood: {text}"))?)
        }
    };
    Ok(Lock { retention, legal_hold })
}

/// The digests of content that is sent at once.
pub fn set_digests(headers: &mut HeaderMap, properties: &Properties) -> Result<(), String> {
    set_checksums(headers, &properties.checksums)?;
    let digest = hex::decode(&properties.etag).ok().filter(|digest| digest.len() == 16);
    if let Some(digest) = digest.filter(|_| !is_sealed(properties)) {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
        set(headers, "content-md5", &text)?;
    }
    Ok(())
}

/// Checksums but for their kind.
pub fn set_checksums(
    headers: &mut HeaderMap,
    checksums: &std::collections::BTreeMap<String, String>,
) -> Result<(), String> {
    let values = checksums.iter().filter(|(name, _)| name.starts_with(CHECKSUM_PREFIX) && *name != CHECKSUM_TYPE);
    for (name, value) in values {
        set(headers, name, value)?;
    }
    Ok(())
}

/// What an upload says from its beginning of the checksum that it will have. `false` if it says nothing: to other stores
/// than a Strata every part then needs one.
pub fn set_algorithm(headers: &mut HeaderMap, properties: &Properties, way: Way) -> Result<bool, String> {
    let Some((name, _)) = properties.checksums.iter().find(|(name, _)| *name != CHECKSUM_TYPE) else {
        return Ok(false);
    };
    let is_told = matches!(way, Way::ById(_)) || properties.parts.iter().all(|part| part.checksums.contains_key(name));
    if is_told {
        let algorithm = name.strip_prefix(CHECKSUM_PREFIX).unwrap_or_default().to_ascii_uppercase();
        set(headers, "x-amz-checksum-algorithm", &algorithm)?;
        if let Some(kind) = properties.checksums.get(CHECKSUM_TYPE) {
            set(headers, CHECKSUM_TYPE, kind)?;
        }
    }
    Ok(is_told)
}

/// The same of the whole, when it is completed.
pub fn set_whole(headers: &mut HeaderMap, properties: &Properties) -> Result<(), String> {
    for (name, value) in &properties.checksums {
        set(headers, name, value)?;
    }
    Ok(())
}

/// The list of parts that completes an upload, with the entity tags that they got.
pub fn completion(parts: &[Part], etags: &[String]) -> String {
    let mut writer = Writer::new("CompleteMultipartUpload");
    for (position, (part, etag)) in parts.iter().zip(etags).enumerate() {
        writer.open("Part").element("PartNumber", (position + 1).to_string()).element("ETag", etag);
        for (name, value) in &part.checksums {
            let algorithm = name.strip_prefix(CHECKSUM_PREFIX).map(str::to_ascii_uppercase);
            let algorithm = algorithm.as_deref().and_then(checksum_headers::algorithm_from_name);
            if let Some(algorithm) = algorithm {
                writer.element(checksum_headers::element_name(algorithm), value);
            }
        }
        writer.close();
    }
    writer.finish()
}

/// Whether the entity tag is no hash of the content, and changes with the key that seals it.
pub fn is_sealed(properties: &Properties) -> bool {
    properties.headers.contains_key(KMS)
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let failed = || format!("no request can carry its {name}");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| failed())?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| failed())?;
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use strata_storage::{LegalHold, Stamp, Timestamp, VersionId};

    use super::super::document::{KeptUntil, Part, Properties};
    use super::{Way, completion, headers, set_algorithm, set_digests, stamp};
    use crate::replication::replica::{Head, REPLICA};

    fn at(nanos: u64) -> Stamp {
        Stamp { time: Timestamp::from_nanos(nanos), random: 7 }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn sample() -> Properties {
        Properties {
            key: "k".to_owned(),
            version_id: VersionId::Stamp(at(5)).to_string(),
            etag: "00000000000000000000000000000000".to_owned(),
            headers: map(&[("content-type", "text/plain")]),
            metadata: map(&[("a", "b")]),
            checksums: map(&[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-type", "FULL_OBJECT")]),
            tags: map(&[("t 1", "v&")]),
            retention: Some(KeptUntil { mode: "COMPLIANCE".to_owned(), until: "1970-01-01T00:00:09Z".to_owned() }),
            legal_hold: Some("ON".to_owned()),
            ..Properties::default()
        }
    }

    #[test]
    fn stamps_keep_the_order_of_versions() {
        let null = |modified: &str| Properties {
            version_id: "null".to_owned(),
            modified: modified.to_owned(),
            ..Properties::default()
        };
        assert_eq!(stamp(&sample(), None), Some(at(5)));
        let told = null("1970-01-01T00:00:00.002Z");
        assert_eq!(stamp(&told, None).map(|stamp| stamp.time), Some(Timestamp::from_nanos(2_000_000)));
        assert_eq!(stamp(&told, Some(at(1_999_999))), stamp(&told, None));
        let after = stamp(&told, Some(at(2_000_500))).expect("a stamp");
        assert_eq!((after.time, after.is_newer(at(2_000_500))), (Timestamp::from_nanos(2_000_501), true));
        assert_eq!(stamp(&Properties { version_id: "3HL4kqt".to_owned(), ..sample() }, None), None);
        assert_eq!(stamp(&null("yesterday"), None), None);
    }

    #[test]
    fn versions_go_by_their_ids_or_as_new_ones() {
        let text = |headers: &http::HeaderMap, name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let by_id = headers(&sample(), Way::ById(at(5)), at(1).time).expect("headers");
        let head = Head::parse(&text(&by_id, REPLICA.as_str()).expect("a head")).expect("a head");
        assert!(head.replica.imported && head.replica.version == at(5) && !head.replica.null);
        assert_eq!((head.lock.retention.is_some(), head.lock.legal_hold), (true, Some(LegalHold::On)));
        assert_eq!(text(&by_id, "x-amz-object-lock-mode"), None);
        assert_eq!(text(&by_id, "x-amz-tagging").as_deref(), Some("t%201=v%26"));
        let mut new = headers(&sample(), Way::AsNew, at(1).time).expect("headers");
        assert_eq!(text(&new, "x-amz-object-lock-mode").as_deref(), Some("COMPLIANCE"));
        assert_eq!((text(&new, "x-amz-meta-a").as_deref(), text(&new, REPLICA.as_str())), (Some("b"), None));
        set_digests(&mut new, &sample()).expect("digests");
        assert_eq!(text(&new, "x-amz-checksum-crc32").as_deref(), Some("AAAAAA=="));
        assert_eq!(text(&new, "content-md5").as_deref(), Some("AAAAAAAAAAAAAAAAAAAAAA=="));
        assert_eq!(text(&new, "x-amz-checksum-type"), None);
        let late = headers(&sample(), Way::AsNew, Timestamp::from_secs(10)).expect("headers");
        assert_eq!(text(&late, "x-amz-object-lock-mode"), None, "it has passed");
        let odd = Properties { legal_hold: Some("MAYBE".to_owned()), ..sample() };
        assert!(headers(&odd, Way::AsNew, at(1).time).expect_err("unknown").contains("MAYBE"));
    }

    #[test]
    fn uploads_say_which_checksum_they_have() {
        let part = |pairs: &[(&str, &str)]| Part { size: 1, checksums: map(pairs) };
        let parts = vec![part(&[("x-amz-checksum-crc32", "BBBBBB==")]), part(&[])];
        let properties = Properties { parts, ..sample() };
        let mut headers = http::HeaderMap::new();
        assert_eq!(set_algorithm(&mut headers, &properties, Way::AsNew), Ok(false));
        assert!(headers.is_empty());
        assert_eq!(set_algorithm(&mut headers, &properties, Way::ById(at(5))), Ok(true));
        assert_eq!(headers["x-amz-checksum-algorithm"], "CRC32");
        let document = completion(&properties.parts, &["\"a\"".to_owned(), "\"b\"".to_owned()]);
        assert!(document.contains("<PartNumber>2</PartNumber>"), "{document}");
        assert!(document.contains("<ChecksumCRC32>BBBBBB==</ChecksumCRC32>"), "{document}");
    }
}
