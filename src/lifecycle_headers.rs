//! What answers say of lifecycle rules in advance: when an object expires, when an upload is aborted, by which rule.

use http::HeaderName;
use strata_storage::{Bucket, Calendar, Subject, Timestamp};

use crate::response::Response;
use crate::time;

/// The header of objects that expire.
pub const EXPIRATION: HeaderName = HeaderName::from_static("x-amz-expiration");
const ABORT_DATE: HeaderName = HeaderName::from_static("x-amz-abort-date");
const ABORT_RULE_ID: HeaderName = HeaderName::from_static("x-amz-abort-rule-id");

/// `expiry-date="..", rule-id=".."`, or `None` for an object that no rule expires.
pub fn expiration(bucket: &Bucket, object: &Subject<'_>, calendar: &Calendar) -> Option<String> {
    let (date, rule) = bucket.lifecycle.as_ref()?.expiration(object, calendar)?;
    Some(format!("expiry-date=\"{}\", rule-id=\"{}\"", time::http_date(date), header_text(rule)))
}

/// Sets `x-amz-abort-date` and `x-amz-abort-rule-id` if a rule aborts uploads of this key.
pub fn set_abort(response: &mut Response, bucket: &Bucket, calendar: &Calendar, upload: (&str, Timestamp)) {
    let (key, initiated) = upload;
    let found = bucket.lifecycle.as_ref().and_then(|lifecycle| lifecycle.abort(key, initiated, calendar));
    if let Some((date, rule)) = found {
        response.set(ABORT_DATE, time::http_date(date));
        response.set(ABORT_RULE_ID, header_text(rule));
    }
}

/// A rule's id, raw as S3 sends it, except for what a header, or a text in quotes, cannot carry: that is
/// percent-encoded.
fn header_text(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for &byte in id.as_bytes() {
        match byte {
            b'"' | 0..=0x1f | 0x7f.. => text.push_str(percent_encoding::percent_encode_byte(byte)),
            _ => text.push(char::from(byte)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::header_text;

    #[test]
    fn ids_in_headers() {
        fn check(id: &str, expected: &str) {
            assert_eq!(header_text(id), expected);
        }
        check("Rule for testfile.txt", "Rule for testfile.txt");
        check("a/b=c+d%20", "a/b=c+d%20");
        check("say \"hi\"\n", "say %22hi%22%0A");
        check("ü\u{7f}", "%C3%BC%7F");
    }
}
