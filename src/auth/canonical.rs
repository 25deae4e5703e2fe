//! The canonical request: the text that client and server must both arrive at before they sign.
//!
//! ```text
//! METHOD \n encoded path \n sorted encoded query \n (name:value\n for each signed header) \n signed names \n hash
//! ```
//!
//! S3 differs from other services in its path: it is encoded once and never normalized.

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

use super::ALGORITHM;
use crate::request::Query;

/// Everything but the unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same, with `/` kept between the segments.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The one query parameter that cannot be signed.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// A canonical request; bytes, because header values need not be UTF-8.
pub(super) struct CanonicalRequest(Vec<u8>);

impl CanonicalRequest {
    /// Builds the text from what was received. `signed_headers` is the list as the client sent it.
    pub(super) fn new(parts: &Parts, query: &Query, signed_headers: &str, payload_hash: &str) -> CanonicalRequest {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(parts.method.as_str().as_bytes());
        out.push(b'\n');
        push_path(&mut out, parts.uri.path());
        out.push(b'\n');
        push_query(&mut out, query);
        out.push(b'\n');
        for name in signed_headers.split(';') {
            out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
            out.push(b':');
            push_header(&mut out, parts, name);
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(signed_headers.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(payload_hash.as_bytes());
        CanonicalRequest(out)
    }

    /// The text that is signed in the end.
    pub(super) fn string_to_sign(&self, time: &str, scope: &str) -> String {
        format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(&self.0)))
    }

    /// The request as text for the error.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The exact bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Clients differ in which characters they escape, so the path is decoded and encoded by S3's rule.
fn push_path(out: &mut Vec<u8>, raw: &str) {
    let decoded: Vec<u8> = percent_decode_str(raw).collect();
    push_encoded(out, &decoded, PATH);
}

fn push_query(out: &mut Vec<u8>, query: &Query) {
    let encode = |text: &str| percent_encode(text.as_bytes(), QUERY).to_string();
    let mut pairs: Vec<(String, String)> = query
        .0
        .iter()
        .filter(|(name, _)| name != SIGNATURE_PARAMETER)
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
    }
}

/// Appends the values of a header, trimmed, inner runs of spaces as one, several values joined by commas. A header
/// that was signed but did not arrive counts as empty.
fn push_header(out: &mut Vec<u8>, parts: &Parts, name: &str) {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return };
    if name == http::header::HOST && !parts.headers.contains_key(&name) {
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        out.extend_from_slice(authority.as_bytes());
        return;
    }
    push_values(out, &parts.headers, &name);
}

fn push_values(out: &mut Vec<u8>, headers: &HeaderMap, name: &HeaderName) {
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let words = value.as_bytes().split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
}

fn push_encoded(out: &mut Vec<u8>, bytes: &[u8], set: &'static AsciiSet) {
    for piece in percent_encode(bytes, set) {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::CanonicalRequest;
    use crate::address::parse_query;

    #[test]
    fn canonical_requests() {
        fn check(uri: &str, signed: &str, expected: &str) {
            let request = Request::builder()
                .method("PUT")
                .uri(uri)
                .header("Host", "h:9000")
                .header("x-amz-meta-a", "  one   two\t three ")
                .header("x-amz-meta-b", "1")
                .header("x-amz-meta-b", " 2 ")
                .body(())
                .expect("a valid request");
            let parts = request.into_parts().0;
            let query = parse_query(parts.uri.query().unwrap_or_default()).expect("a valid query");
            assert_eq!(CanonicalRequest::new(&parts, &query, signed, "HASH").text(), expected, "{uri}");
        }
        check("/b/k", "host", "PUT\n/b/k\n\nhost:h:9000\n\nhost\nHASH");
        check(
            "/b//a/../%7Eu+(x)%2b%c3%bc!",
            "host",
            "PUT\n/b//a/../~u%2B%28x%29%2B%C3%BC%21\n\nhost:h:9000\n\nhost\nHASH",
        );
        check(
            "/?b=2&a&b=1&X-Amz-Signature=s&a-b=%2f&c=x+y%2b&B=0",
            "host",
            "PUT\n/\nB=0&a=&a-b=%2F&b=1&b=2&c=x%20y%2B\nhost:h:9000\n\nhost\nHASH",
        );
        check(
            "/",
            "host;x-amz-meta-a;x-amz-meta-b;x-none",
            "PUT\n/\n\nhost:h:9000\nx-amz-meta-a:one two three\nx-amz-meta-b:1,2\nx-none:\n\nhost;x-amz-meta-a;x-amz-meta-b;x-none\nHASH",
        );
    }
}
