//! Conditional requests: what the `If-*` headers ask, and what S3 answers when it does not hold.

use http::HeaderMap;
use strata_storage::{DeleteCondition, ETag, Entity, Error, ObjectInfo, ObjectKey, Timestamp, WriteCondition};

use crate::error::S3Error;
use crate::metadata_headers::not_implemented;
use crate::time;

const IF_MATCH: &str = "If-Match";
const IF_NONE_MATCH: &str = "If-None-Match";
const IF_MODIFIED_SINCE: &str = "If-Modified-Since";
const IF_UNMODIFIED_SINCE: &str = "If-Unmodified-Since";

/// What the conditions of a read come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// They hold, or there are none.
    Proceed,
    /// The client's copy is current: 304.
    NotModified,
    /// The condition of this name does not hold: 412.
    Failed(&'static str),
}

/// The condition of a write, or S3's refusal of what writes don't accept.
pub fn write_condition(headers: &HeaderMap) -> Result<WriteCondition, S3Error> {
    refuse_dates(headers)?;
    match (text(headers, IF_MATCH)?, text(headers, IF_NONE_MATCH)?) {
        (None, None) => Ok(WriteCondition::None),
        (Some(_), Some(_)) => Err(several("If-Match,If-None-Match")),
        (None, Some(value)) if value == "*" => Ok(WriteCondition::IfAbsent),
        (None, Some(_)) => Err(value_refused(IF_NONE_MATCH)),
        (Some(value), None) if value == "*" => Err(value_refused(IF_MATCH)),
        (Some(value), None) => Ok(WriteCondition::IfMatch(ETag::parse(&value))),
    }
}

/// The condition of a delete, or S3's refusal of what general purpose buckets don't accept.
pub fn delete_condition(headers: &HeaderMap) -> Result<DeleteCondition, S3Error> {
    refuse_dates(headers)?;
    for name in [IF_NONE_MATCH, "x-amz-if-match-last-modified-time", "x-amz-if-match-size"] {
        if headers.contains_key(name) {
            return Err(not_implemented(name));
        }
    }
    Ok(text(headers, IF_MATCH)?.map_or(DeleteCondition::None, |value| etag_condition(&value)))
}

/// The condition that an ETag sets for a delete: a value, or `*` for any.
pub fn etag_condition(value: &str) -> DeleteCondition {
    match value {
        "*" => DeleteCondition::IfPresent,
        value => DeleteCondition::IfMatch(ETag::parse(value)),
    }
}

/// Weighs the conditions of GetObject and HeadObject.
pub fn evaluate_read(headers: &HeaderMap, info: &ObjectInfo, now: Timestamp) -> Outcome {
    let names = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE];
    match evaluate(headers, names, info, now) {
        Outcome::Failed(IF_NONE_MATCH | IF_MODIFIED_SINCE) => Outcome::NotModified,
        outcome => outcome,
    }
}

/// Weighs the conditions that a copy sets for its source, where nothing is ever just "not modified".
pub fn evaluate_copy_source(headers: &HeaderMap, info: &ObjectInfo, now: Timestamp) -> Outcome {
    let names = [
        "x-amz-copy-source-If-Match",
        "x-amz-copy-source-If-Unmodified-Since",
        "x-amz-copy-source-If-None-Match",
        "x-amz-copy-source-If-Modified-Since",
    ];
    evaluate(headers, names, info, now)
}

/// Whether a `Range` counts: without `If-Range`, or when it names this very state of the object.
pub fn if_range_holds(headers: &HeaderMap, info: &ObjectInfo) -> bool {
    let Some(value) = headers.get("if-range") else { return true };
    let Ok(value) = value.to_str() else { return false };
    match time::parse_http_date(value) {
        Some(date) => date.as_secs() == info.modified.as_secs(),
        None => ETag::parse(value.trim()) == Some(info.etag),
    }
}

/// What a write answers when the engine refused it.
pub fn write_error(error: Error, condition: &WriteCondition, key: &ObjectKey) -> S3Error {
    let name = match condition {
        WriteCondition::IfAbsent => IF_NONE_MATCH,
        WriteCondition::IfMatch(_) | WriteCondition::None => IF_MATCH,
    };
    conditional_error(error, name, key)
}

/// What a delete answers when the engine refused it.
pub fn delete_error(error: Error, key: &ObjectKey) -> S3Error {
    conditional_error(error, IF_MATCH, key)
}

fn conditional_error(error: Error, name: &'static str, key: &ObjectKey) -> S3Error {
    match error {
        Error::Precondition => S3Error::precondition_failed(name),
        Error::Conflict => S3Error::from(Error::Conflict).with("Condition", name).with("Key", key.as_str()),
        Error::NotFound(Entity::Key) => S3Error::no_such_key(key.as_str()),
        other => S3Error::from(other),
    }
}

/// The names are those of if-match, if-unmodified-since, if-none-match, if-modified-since. The second is looked at
/// only without the first, the fourth only without the third.
fn evaluate(headers: &HeaderMap, names: [&'static str; 4], info: &ObjectInfo, now: Timestamp) -> Outcome {
    let [if_match, if_unmodified_since, if_none_match, if_modified_since] = names;
    let modified_secs = info.modified.as_secs();
    // A date that is none is as good as absent.
    let date_secs = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        time::parse_http_date(value).map(Timestamp::as_secs)
    };
    if headers.contains_key(if_match) {
        if !names_etag(headers, if_match, info.etag) {
            return Outcome::Failed(if_match);
        }
    } else if date_secs(if_unmodified_since).is_some_and(|date| modified_secs > date) {
        return Outcome::Failed(if_unmodified_since);
    }
    if headers.contains_key(if_none_match) {
        if names_etag(headers, if_none_match, info.etag) {
            return Outcome::Failed(if_none_match);
        }
    } else if date_secs(if_modified_since).is_some_and(|date| date <= now.as_secs() && modified_secs <= date) {
        return Outcome::Failed(if_modified_since);
    }
    Outcome::Proceed
}

/// Whether the list of ETags in a header has this one; `*` stands for any.
fn names_etag(headers: &HeaderMap, name: &str, etag: ETag) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|item| {
        // S3's ETags are strong; a client or cache on the way may have weakened one.
        item == "*" || ETag::parse(item.strip_prefix("W/").unwrap_or(item)) == Some(etag)
    })
}

/// A header that may come once.
fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, S3Error> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => Ok(Some(String::from_utf8_lossy(line.as_bytes()).trim().to_owned())),
        (Some(_), Some(_)) => Err(several(name)),
    }
}

fn refuse_dates(headers: &HeaderMap) -> Result<(), S3Error> {
    match [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE].into_iter().find(|&name| headers.contains_key(name)) {
        Some(name) => Err(not_implemented(name)),
        None => Ok(()),
    }
}

fn several(names: &str) -> S3Error {
    not_implemented(names).with("additionalMessage", "Multiple conditional request headers present in the request")
}

fn value_refused(name: &str) -> S3Error {
    let message = format!("We don't accept the provided value of {name} header for this API");
    not_implemented(name).with("additionalMessage", message)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use strata_storage::{
        DeleteCondition, ETag, Entity, Error, Metadata, ObjectInfo, ObjectKey, StorageClass, Timestamp, VersionId,
        WriteCondition,
    };

    use super::{
        Outcome, delete_condition, evaluate_copy_source, evaluate_read, if_range_holds, write_condition, write_error,
    };

    const SAME: &str = "\"00000000000000000000000000000000\"";
    const OTHER: &str = "\"11111111111111111111111111111111\"";
    const BEFORE: &str = "Fri, 13 Feb 2009 23:31:29 GMT";
    const EQUAL: &str = "Fri, 13 Feb 2009 23:31:30 GMT";
    const AFTER: &str = "Fri, 13 Feb 2009 23:31:31 GMT";
    const FUTURE: &str = "Fri, 13 Feb 2099 23:31:30 GMT";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            map.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        map
    }

    fn info() -> ObjectInfo {
        ObjectInfo {
            version_id: VersionId::Null,
            size: 0,
            etag: ETag::single([0; 16]),
            modified: Timestamp::from_nanos(1_234_567_890_500_000_000),
            class: StorageClass::Standard,
            tier: strata_storage::Tier::Frequent,
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

    #[test]
    fn reads() {
        fn check(pairs: &[(&str, &str)], expected: Outcome) {
            let now = Timestamp::from_secs(2_000_000_000);
            assert_eq!(evaluate_read(&headers(pairs), &info(), now), expected, "{pairs:?}");
        }
        check(&[], Outcome::Proceed);
        check(&[("if-match", SAME)], Outcome::Proceed);
        check(&[("if-match", SAME.trim_matches('"'))], Outcome::Proceed);
        check(&[("if-match", "*")], Outcome::Proceed);
        check(&[("if-match", &format!("{OTHER}, {SAME}"))], Outcome::Proceed);
        check(&[("if-match", OTHER)], Outcome::Failed("If-Match"));
        check(&[("if-match", "abc")], Outcome::Failed("If-Match"));
        check(&[("if-match", SAME), ("if-unmodified-since", BEFORE)], Outcome::Proceed);
        check(&[("if-unmodified-since", BEFORE)], Outcome::Failed("If-Unmodified-Since"));
        check(&[("if-unmodified-since", EQUAL)], Outcome::Proceed);
        check(&[("if-unmodified-since", "soon")], Outcome::Proceed);
        check(&[("if-none-match", SAME)], Outcome::NotModified);
        check(&[("if-none-match", &format!("W/{SAME}"))], Outcome::NotModified);
        check(&[("if-none-match", "*")], Outcome::NotModified);
        check(&[("if-none-match", SAME), ("if-modified-since", BEFORE)], Outcome::NotModified);
        check(&[("if-none-match", OTHER)], Outcome::Proceed);
        check(&[("if-none-match", OTHER), ("if-modified-since", AFTER)], Outcome::Proceed);
        check(&[("if-modified-since", BEFORE)], Outcome::Proceed);
        check(&[("if-modified-since", EQUAL)], Outcome::NotModified);
        check(&[("if-modified-since", AFTER)], Outcome::NotModified);
        check(&[("if-modified-since", FUTURE)], Outcome::Proceed);
        check(&[("if-match", OTHER), ("if-none-match", SAME)], Outcome::Failed("If-Match"));
    }

    #[test]
    fn copy_sources() {
        fn check(pairs: &[(&str, &str)], expected: Outcome) {
            let pairs: Vec<(String, &str)> =
                pairs.iter().map(|(name, value)| (format!("x-amz-copy-source-{name}"), *value)).collect();
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let now = Timestamp::from_secs(2_000_000_000);
            assert_eq!(evaluate_copy_source(&headers(&pairs), &info(), now), expected, "{pairs:?}");
        }
        check(&[("if-match", "*")], Outcome::Proceed);
        check(&[("if-match", OTHER)], Outcome::Failed("x-amz-copy-source-If-Match"));
        check(&[("if-match", SAME), ("if-unmodified-since", BEFORE)], Outcome::Proceed);
        check(&[("if-unmodified-since", BEFORE)], Outcome::Failed("x-amz-copy-source-If-Unmodified-Since"));
        check(&[("if-none-match", SAME)], Outcome::Failed("x-amz-copy-source-If-None-Match"));
        check(
            &[("if-none-match", SAME), ("if-modified-since", BEFORE)],
            Outcome::Failed("x-amz-copy-source-If-None-Match"),
        );
        check(&[("if-modified-since", AFTER)], Outcome::Failed("x-amz-copy-source-If-Modified-Since"));
        check(&[("if-modified-since", FUTURE)], Outcome::Proceed);
    }

    #[test]
    fn ranges() {
        fn check(value: &str, expected: bool) {
            assert_eq!(if_range_holds(&headers(&[("if-range", value)]), &info()), expected, "{value}");
        }
        check(SAME, true);
        check(OTHER, false);
        check(&format!("W/{SAME}"), false);
        check(EQUAL, true);
        check(AFTER, false);
        assert!(if_range_holds(&HeaderMap::new(), &info()));
    }

    #[test]
    fn writes() {
        fn check(pairs: &[(&str, &str)], expected: Result<WriteCondition, &str>) {
            let found = write_condition(&headers(pairs));
            let found = found.map_err(|error| error.fields.last().expect("a field").1.clone());
            assert_eq!(found, expected.map_err(str::to_owned), "{pairs:?}");
        }
        check(&[], Ok(WriteCondition::None));
        check(&[("if-none-match", "*")], Ok(WriteCondition::IfAbsent));
        check(&[("if-match", SAME)], Ok(WriteCondition::IfMatch(Some(ETag::single([0; 16])))));
        check(&[("if-match", "abc")], Ok(WriteCondition::IfMatch(None)));
        let refused = "We don't accept the provided value of If-None-Match header for this API";
        check(&[("if-none-match", SAME)], Err(refused));
        check(&[("if-none-match", "")], Err(refused));
        check(&[("if-match", "*")], Err("We don't accept the provided value of If-Match header for this API"));
        let several = "Multiple conditional request headers present in the request";
        check(&[("if-match", SAME), ("if-none-match", "*")], Err(several));
        check(&[("if-match", SAME), ("if-match", OTHER)], Err(several));
        check(&[("if-modified-since", BEFORE)], Err("If-Modified-Since"));
        check(&[("if-unmodified-since", BEFORE)], Err("If-Unmodified-Since"));
    }

    #[test]
    fn deletes() {
        fn check(pairs: &[(&str, &str)], expected: Result<DeleteCondition, &str>) {
            let found = delete_condition(&headers(pairs)).map_err(|error| error.code);
            assert_eq!(found, expected, "{pairs:?}");
        }
        check(&[], Ok(DeleteCondition::None));
        check(&[("if-match", "*")], Ok(DeleteCondition::IfPresent));
        check(&[("if-match", SAME)], Ok(DeleteCondition::IfMatch(Some(ETag::single([0; 16])))));
        check(&[("if-match", "abc")], Ok(DeleteCondition::IfMatch(None)));
        check(&[("if-none-match", "*")], Err("NotImplemented"));
        check(&[("x-amz-if-match-size", "1")], Err("NotImplemented"));
        check(&[("x-amz-if-match-last-modified-time", BEFORE)], Err("NotImplemented"));
    }

    #[test]
    fn refused_writes() {
        fn check(error: Error, condition: &WriteCondition, expected: (u16, &str, &[(&'static str, &str)])) {
            let key = ObjectKey::parse("k").expect("a valid key");
            let found = write_error(error, condition, &key);
            let fields: Vec<_> = expected.2.iter().map(|&(name, value)| (name, value.to_owned())).collect();
            assert_eq!((found.status.as_u16(), found.code, found.fields), (expected.0, expected.1, fields));
        }
        let equal = WriteCondition::IfMatch(None);
        check(
            Error::Precondition,
            &WriteCondition::IfAbsent,
            (412, "PreconditionFailed", &[("Condition", "If-None-Match")]),
        );
        check(Error::Precondition, &equal, (412, "PreconditionFailed", &[("Condition", "If-Match")]));
        check(
            Error::Conflict,
            &WriteCondition::IfAbsent,
            (409, "ConditionalRequestConflict", &[("Condition", "If-None-Match"), ("Key", "k")]),
        );
        check(Error::NotFound(Entity::Key), &equal, (404, "NoSuchKey", &[("Key", "k")]));
    }
}
