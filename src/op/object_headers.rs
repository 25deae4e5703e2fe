//! The headers that describe an object in the answers of GetObject and HeadObject.

use http::{HeaderName, HeaderValue, header};
use strata_storage::{ObjectInfo, StorageClass};

use crate::error::S3Error;
use crate::metadata_headers;
use crate::op::target::set_version;
use crate::request::Query;
use crate::response::Response;
use crate::time;

const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
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
    if !info.tags.is_empty() {
        response.set(TAGGING_COUNT, info.tags.len().to_string());
    }
}

/// Sets what tells one state of an object from another; all that a 304 says of it besides caching.
pub fn set_validators(response: &mut Response, info: &ObjectInfo) {
    response.set(header::ETAG, format!("\"{}\"", info.etag));
    response.set(header::LAST_MODIFIED, time::http_date(info.modified));
    set_version(response, info.bucket_versioned.then_some(info.version_id));
}

/// The headers that `response-*` parameters ask for. A value that no header can carry is refused.
pub fn overrides(query: &Query) -> Result<Vec<(HeaderName, HeaderValue)>, S3Error> {
    let mut headers = Vec::new();
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
    use strata_storage::{ETag, Metadata, ObjectInfo, StorageClass, Tag, Timestamp, VersionId};

    use super::{overrides, set};
    use crate::request::Query;
    use crate::response::Response;

    fn info() -> ObjectInfo {
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
            metadata: Metadata::default(),
            tags: Vec::new(),
            parts_count: 0,
            bucket_versioned: false,
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
    fn parameters_replace_headers() {
        let query = |name: &str, value: &str| Query(vec![(name.to_owned(), value.to_owned())]);
        let found = overrides(&query("response-expires", "never")).expect("a header value");
        assert_eq!(found, [(http::header::EXPIRES, "never".parse().expect("a header value"))]);
        assert_eq!(overrides(&query("response-date", "never")).expect("no override"), []);
        assert!(overrides(&query("response-expires", "a\r\nb: c")).is_err());
    }
}
