//! What a request names: bucket and key, from the path or the host, and the decoded query parameters.
//!
//! Everything is percent-decoded exactly once and never normalized: `.`, `..` and `//` are ordinary parts of a key.

use std::borrow::Cow;
use std::net::IpAddr;

use http::StatusCode;
use strata_storage::{BucketName, NameError, ObjectKey};

use crate::error::S3Error;
use crate::request::Query;

/// The longest key, as the error tells it.
const KEY_BYTES_MAX: usize = 1024;

/// The host that always takes virtual-hosted requests: `BUCKET.localhost` resolves everywhere.
const LOCAL_DOMAIN: &str = "localhost";

/// The bucket and key that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket's name as text, not yet checked: see [`bucket_name`].
    pub bucket: Option<String>,
    /// The object key.
    pub key: Option<ObjectKey>,
    /// Whether the bucket was named by the host.
    pub virtual_hosted: bool,
}

/// Finds the bucket and key of a request to `host` (with or without a port) for `raw_path` (still percent-encoded, no
/// query). `domains` are the names of this server under which `BUCKET.DOMAIN` addresses a bucket; every other host
/// name, and every IP address, means path-style.
pub fn resolve(host: &str, raw_path: &str, domains: &[String]) -> Result<Address, S3Error> {
    let path = raw_path.strip_prefix('/').ok_or_else(invalid_uri)?;
    if let Some(bucket) = bucket_of_host(host, domains) {
        return Ok(Address { bucket: Some(bucket), key: key(path)?, virtual_hosted: true });
    }
    let (bucket, rest) = path.split_once('/').unwrap_or((path, ""));
    let bucket = if path.is_empty() { None } else { Some(decode(bucket.as_bytes())?.into_owned()) };
    Ok(Address { bucket, key: key(rest)?, virtual_hosted: false })
}

/// Checks a bucket's name: 400 `InvalidBucketName` if it breaks the rules.
pub fn bucket_name(text: &str) -> Result<BucketName, S3Error> {
    BucketName::parse(text).map_err(|_| {
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidBucketName", "The specified bucket is not valid.")
            .with("BucketName", text)
    })
}

/// Decodes a query string (without the `?`). A `+` is a space.
pub fn parse_query(raw: &str) -> Result<Query, S3Error> {
    let mut pairs = Vec::new();
    for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        pairs.push((decode_form(name)?, decode_form(value)?));
    }
    Ok(Query(pairs))
}

/// The bucket that a host names, lower-cased as host names are compared; `None` means path-style.
fn bucket_of_host(host: &str, domains: &[String]) -> Option<String> {
    let host = without_port(host);
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut bucket: Option<&str> = None;
    for domain in domains.iter().map(String::as_str).chain([LOCAL_DOMAIN]) {
        let domain = domain.to_ascii_lowercase();
        if host == domain {
            return None;
        }
        let prefix = host.strip_suffix(&domain).and_then(|rest| rest.strip_suffix('.'));
        // Of two domains where one contains the other, the longer leaves the shorter bucket.
        bucket = match (bucket, prefix) {
            (Some(found), Some(prefix)) if found.len() <= prefix.len() => Some(found),
            (found, None) => found,
            (_, prefix) => prefix,
        };
    }
    bucket.map(str::to_owned)
}

fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn key(raw: &str) -> Result<Option<ObjectKey>, S3Error> {
    object_key(&decode(raw.as_bytes())?)
}

/// Checks a key: 400 `KeyTooLongError` if it is; `None` for the empty text, which is no key.
pub fn object_key(text: &str) -> Result<Option<ObjectKey>, S3Error> {
    match ObjectKey::parse(text) {
        Ok(key) => Ok(Some(key)),
        Err(NameError::KeyTooLong(length)) => {
            Err(S3Error::new(StatusCode::BAD_REQUEST, "KeyTooLongError", "Your key is too long")
                .with("Size", length.to_string())
                .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string()))
        }
        Err(NameError::EmptyKey | NameError::InvalidBucket) => Ok(None),
    }
}

fn decode_form(raw: &str) -> Result<String, S3Error> {
    let spaced = if raw.contains('+') { Cow::Owned(raw.replace('+', " ")) } else { Cow::Borrowed(raw) };
    Ok(decode(spaced.as_bytes())?.into_owned())
}

/// Decodes percent escapes once; an escape that is none, or bytes that are not UTF-8, refuse the request.
fn decode(raw: &[u8]) -> Result<Cow<'_, str>, S3Error> {
    let is_hex = |at: usize| raw.get(at).is_some_and(u8::is_ascii_hexdigit);
    let escapes = raw.iter().enumerate().filter(|&(_, &byte)| byte == b'%');
    for (at, _) in escapes {
        if !is_hex(at + 1) || !is_hex(at + 2) {
            return Err(invalid_uri());
        }
    }
    percent_encoding::percent_decode(raw).decode_utf8().map_err(|_| invalid_uri())
}

fn invalid_uri() -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidURI", "Couldn't parse the specified URI.")
}

#[cfg(test)]
mod tests {
    use super::{Address, bucket_name, parse_query, resolve};

    fn domains() -> Vec<String> {
        vec!["Example.com".to_owned(), "s3.example.com".to_owned()]
    }

    fn parts(address: &Address) -> (Option<&str>, Option<&str>, bool) {
        (address.bucket.as_deref(), address.key.as_ref().map(|key| key.as_str()), address.virtual_hosted)
    }

    #[test]
    fn hosts() {
        fn check(host: &str, bucket: Option<&str>) {
            let address = resolve(host, "/", &domains()).expect(host);
            assert_eq!(parts(&address), (bucket, None, bucket.is_some()), "{host}");
        }
        check("photos.localhost", Some("photos"));
        check("photos.localhost:9000", Some("photos"));
        check("Photos.LocalHost.:9000", Some("photos"));
        check("photos.example.com", Some("photos"));
        check("photos.s3.example.com", Some("photos"));
        check("a.b.example.com", Some("a.b"));
        check(".localhost", Some(""));
        for host in [
            "",
            "localhost",
            "localhost:9000",
            "example.com",
            "s3.example.com:80",
            "127.0.0.1:9000",
            "[::1]:9000",
            "10.0.0.1",
            "photos.example.org",
            "photosexample.com",
        ] {
            check(host, None);
        }
    }

    #[test]
    fn paths() {
        fn check(path: &str, expected: (Option<&str>, Option<&str>)) {
            let address = resolve("127.0.0.1", path, &domains()).expect(path);
            assert_eq!(parts(&address), (expected.0, expected.1, false), "{path}");
        }
        check("/", (None, None));
        check("/photos", (Some("photos"), None));
        check("/photos/", (Some("photos"), None));
        check("/photos//", (Some("photos"), Some("/")));
        check("/photos/a/../b//c/.", (Some("photos"), Some("a/../b//c/.")));
        check("/photos/a+b%2Bc%20d%2525", (Some("photos"), Some("a+b+c d%25")));
        check("/photos/%C3%BC/ü", (Some("photos"), Some("ü/ü")));
        check("/photos%2Fkey", (Some("photos/key"), None));
        check("//key", (Some(""), Some("key")));

        let hosted = resolve("photos.localhost", "/photos/a", &[]).expect("a valid address");
        assert_eq!(parts(&hosted), (Some("photos"), Some("photos/a"), true));
    }

    #[test]
    fn refused_paths() {
        fn check(path: &str, code: &str) {
            assert_eq!(resolve("127.0.0.1", path, &[]).expect_err(path).code, code, "{path}");
        }
        for path in ["", "*", "photos", "/b/%", "/b/%4", "/b/%zz", "/b/%+1", "/b/%ff", "/%ff/k"] {
            check(path, "InvalidURI");
        }
        check(&format!("/b/{}", "k".repeat(1025)), "KeyTooLongError");
        check(&format!("/b/{}", "%C3%BC".repeat(513)), "KeyTooLongError");
        assert!(resolve("127.0.0.1", &format!("/b/{}", "%C3%BC".repeat(512)), &[]).is_ok());
    }

    #[test]
    fn bucket_names() {
        assert_eq!(bucket_name("photos").expect("valid").as_str(), "photos");
        let error = bucket_name("Photos_").expect_err("invalid");
        assert_eq!((error.code, &error.fields[..]), ("InvalidBucketName", &[("BucketName", "Photos_".to_owned())][..]));
    }

    #[test]
    fn queries() {
        fn check(raw: &str, expected: &[(&str, &str)]) {
            let query = parse_query(raw).expect(raw);
            let found: Vec<(&str, &str)> = query.0.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            assert_eq!(found, expected, "{raw}");
        }
        check("", &[]);
        check("acl", &[("acl", "")]);
        check("&&b=2&a=1&b=3&", &[("b", "2"), ("a", "1"), ("b", "3")]);
        check("prefix=a+b%2Bc%20d=e&%61=%C3%BC", &[("prefix", "a b+c d=e"), ("a", "ü")]);
        for raw in ["a=%", "a=%f", "%fg=1", "a=%ff"] {
            assert_eq!(parse_query(raw).expect_err(raw).code, "InvalidURI", "{raw}");
        }
    }
}
