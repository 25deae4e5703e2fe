//! The headers that describe an object in the answers of GetObject and HeadObject.

use http::{HeaderName, HeaderValue, header};
use strata_storage::{ObjectInfo, Restore, StorageClass};

use crate::error::{S3Error, archive_tier_name};
use crate::metadata_headers;
use crate::op::target::set_version;
use crate::request::Query;
use crate::response::Response;
use crate::time;

const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
const RESTORE: HeaderName = HeaderName::from_static("x-amz-restore");
const RESTORE_REQUEST_DATE: HeaderName = HeaderName::from_static("x-amz-restore-request-date");
const ARCHIVE_STATUS: HeaderName = HeaderName::from_static("x-amz-archive-status");
const REPLICATION_STATUS: HeaderName = HeaderName::from_static("x-amz-replication-status");
const TAGGING_COUNT: HeaderName = HeaderName::from_static("x-amz-tagging-count");

/// The parameters that replace a header of the answer.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-content-type", header::CONTENT_TYPE),
    ("response-expires", header::EXPIRES),
];

/// Sets everything that does not depend on the bytes asked for.
pub fn set(response: &mut Response, info: &ObjectInfo) {
    metadata_headers::set_headers(response, &info.metadata);
    set_validators(response, info);
    response.set(header::ACCEPT_RANGES, "bytes");
    if info.class != StorageClass::Standard {
        response.set(STORAGE_CLASS, info.class.name());
    }
    if let Some(restore) = &info.restore {
        response.set(RESTORE, restore_text(restore));
    }
    if let Some(status) = info.replication.status() {
        response.set(REPLICATION_STATUS, status.name());
    }
    if !info.tags.is_empty() {
        response.set(TAGGING_COUNT, info.tags.len().to_string());
    }
}

/// Sets what only HeadObject says: in which archive tier an object of INTELLIGENT_TIERING is, and since when it is on
/// its way back.
pub fn set_archive(response: &mut Response, info: &ObjectInfo) {
    if info.class != StorageClass::IntelligentTiering {
        return;
    }
    if let Some(name) = archive_tier_name(info.tier) {
        response.set(ARCHIVE_STATUS, name);
    }
    if let Some(Restore::Ongoing { requested, .. }) = info.restore {
        response.set(RESTORE_REQUEST_DATE, time::http_date(requested));
    }
}

/// The value of `x-amz-restore`.
fn restore_text(restore: &Restore) -> String {
    match restore {
        Restore::Ongoing { .. } => "ongoing-request=\"true\"".to_owned(),
        Restore::Done { expires } => {
            format!("ongoing-request=\"false\", expiry-date=\"{}\"", time::http_date(*expires))
        }
    }
}

/// Sets what tells one state of an object from another; all that a 304 says of it besides caching.
pub fn set_validators(response: &mut Response, info: &ObjectInfo) {
    response.set(header::ETAG, format!("\"{}\"", info.etag));
    response.set(header::LAST_MODIFIED, time::http_date(info.modified));
    set_version(response, info.bucket_versioned.then_some(info.version_id));
}

/// The headers that `response-*` parameters ask for. A value that no header can carry is refused, and a header that cannot
/// be replaced.
pub fn overrides(query: &Query) -> Result<Vec<(HeaderName, HeaderValue)>, S3Error> {
    let mut headers = Vec::new();
    let is_unknown = |name: &str| name.starts_with("response-") && OVERRIDES.iter().all(|(known, _)| *known != name);
    if let Some((name, value)) = query.0.iter().find(|(name, _)| is_unknown(name)) {
        let message = format!(
            "{name} is not in the set of overridable response headers. Please refer to the S3 API documentation for a \
             complete list of overridable response headers."
        );
        return Err(S3Error::invalid_argument(message, name.as_str(), value.as_str()));
    }
    for (parameter, name) in OVERRIDES {
        let Some(value) = query.get(parameter) else { continue };
        let header = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            S3Error::invalid_argument("Header value cannot be represented in an HTTP header", parameter, value)
        })?;
        headers.push((name, header));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use strata_storage::{
        ETag, Metadata, ObjectInfo, Restore, RestoreSpeed, StorageClass, Tag, Tier, Timestamp, VersionId,
    };

    use super::{overrides, set, set_archive};
    use crate::request::Query;
    use crate::response::Response;

    fn info() -> ObjectInfo {
        ObjectInfo {
            version_id: VersionId::Null,
            size: 0,
            etag: ETag::single([0; 16]),
            modified: Timestamp::from_secs(1_234_567_890),
            class: StorageClass::Standard,
            tier: Tier::Frequent,
            restore: None,
            readable: true,
            checksum: None,
            metadata: Metadata::default(),
            tags: Vec::new(),
            parts_count: 0,
            bucket_versioned: false,
            protection: strata_storage::Protection::default(),
            replication: strata_storage::ReplicationState::default(),
            stamp: strata_storage::Stamp::from_bytes([0; 16]),
        }
    }

    fn names(info: &ObjectInfo) -> Vec<String> {
        let mut response = Response::empty(StatusCode::OK);
        set(&mut response, info);
        let mut names: Vec<String> = response.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_applies_is_said() {
        let always = ["accept-ranges", "content-type", "etag", "last-modified"];
        assert_eq!(names(&info()), always);
        let tags = vec![Tag { key: "a".to_owned(), value: String::new() }];
        let full = ObjectInfo { class: StorageClass::GlacierIr, bucket_versioned: true, tags, ..info() };
        let mut more = always.to_vec();
        more.extend(["x-amz-storage-class", "x-amz-tagging-count", "x-amz-version-id"]);
        assert_eq!(names(&full), more);
    }

    #[test]
    fn restores_and_tiers() {
        fn check(class: StorageClass, tier: Tier, restore: Option<Restore>, expected: [Option<&str>; 3]) {
            let mut response = Response::empty(StatusCode::OK);
            let info = ObjectInfo { class, tier, restore, ..info() };
            set(&mut response, &info);
            set_archive(&mut response, &info);
            let names = ["x-amz-restore", "x-amz-archive-status", "x-amz-restore-request-date"];
            let found = names.map(|name| response.headers.get(name).map(|value| value.to_str().expect("ASCII")));
            assert_eq!(found, expected, "{class:?} {tier:?} {restore:?}");
        }
        let requested = Timestamp::from_secs(1_605_226_800);
        let speed = RestoreSpeed::Standard;
        let ongoing = Some(Restore::Ongoing { requested, speed, days: Some(1), ready: requested });
        let done = Some(Restore::Done { expires: Timestamp::from_secs(1_356_048_000) });
        let (yes, date) = (Some("ongoing-request=\"true\""), Some("Fri, 13 Nov 2020 00:20:00 GMT"));
        let copy = Some("ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"");
        let tiering = StorageClass::IntelligentTiering;
        check(StorageClass::Glacier, Tier::Frequent, None, [None, None, None]);
        check(StorageClass::Glacier, Tier::Frequent, ongoing, [yes, None, None]);
        check(StorageClass::DeepArchive, Tier::Frequent, done, [copy, None, None]);
        for tier in [Tier::Frequent, Tier::Infrequent, Tier::ArchiveInstant] {
            check(tiering, tier, None, [None, None, None]);
        }
        check(tiering, Tier::Archive, None, [None, Some("ARCHIVE_ACCESS"), None]);
        check(tiering, Tier::DeepArchive, ongoing, [yes, Some("DEEP_ARCHIVE_ACCESS"), date]);
    }

    #[test]
    fn parameters_replace_headers() {
        let query = |name: &str, value: &str| Query(vec![(name.to_owned(), value.to_owned())]);
        let found = overrides(&query("response-expires", "never")).expect("a header value");
        assert_eq!(found, [(http::header::EXPIRES, "never".parse().expect("a header value"))]);
        let refused = overrides(&query("response-date", "never")).expect_err("no header that can be replaced");
        let fields = [("ArgumentName", "response-date".to_owned()), ("ArgumentValue", "never".to_owned())];
        assert_eq!((refused.code, refused.fields.as_slice()), ("InvalidArgument", &fields[..]));
        assert!(refused.message.starts_with("response-date is not in the set of overridable response headers."));
        assert!(overrides(&query("response-expires", "a\r\nb: c")).is_err());
    }
}
