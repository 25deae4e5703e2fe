//! Headers that describe an object: read from writes, refused where they can't be honoured, written into answers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use strata_storage::{Metadata, StorageClass};

use crate::error::S3Error;
use crate::response::Response;

mod encoded_word;

/// The headers of an object's system metadata.
pub const SYSTEM_HEADERS: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
];
/// The most bytes of user metadata, names and values together.
const USER_BYTES_MAX: usize = 2048;
/// The longest website redirect location, in characters.
const REDIRECT_CHARS_MAX: usize = 2048;
const USER_PREFIX: &str = "x-amz-meta-";
/// The type of what has none.
const DEFAULT_TYPE: &str = "binary/octet-stream";
const REDIRECT: HeaderName = HeaderName::from_static("x-amz-website-redirect-location");
const MISSING: HeaderName = HeaderName::from_static("x-amz-missing-meta");

/// System and user metadata of a write.
///
/// S3 reads header bytes as ISO 8859-1, and decodes RFC 2047 words in user metadata.
pub fn metadata(headers: &HeaderMap) -> Result<Metadata, S3Error> {
    let mut user = Vec::new();
    let mut user_bytes = 0;
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix(USER_PREFIX) else { continue };
        let Some(value) = joined(headers, name.as_str(), ",") else { continue };
        // One character is one byte of the header here. That the prefix is not counted is unconfirmed.
        user_bytes += short.len() + value.chars().count();
        user.push((short.to_owned(), encoded_word::decode(&value)));
    }
    if user_bytes > USER_BYTES_MAX {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "MetadataTooLarge", message)
            .with("Size", user_bytes.to_string())
            .with("MaxSizeAllowed", USER_BYTES_MAX.to_string()));
    }
    let system = |name: HeaderName| joined(headers, name.as_str(), ", ").filter(|value| !value.is_empty());
    Ok(Metadata {
        content_type: system(header::CONTENT_TYPE),
        cache_control: system(header::CACHE_CONTROL),
        content_disposition: system(header::CONTENT_DISPOSITION),
        content_encoding: system(header::CONTENT_ENCODING).and_then(|value| without_framing(&value)),
        content_language: system(header::CONTENT_LANGUAGE),
        expires: system(header::EXPIRES),
        website_redirect: website_redirect(headers)?,
        user,
    })
}

/// `x-amz-website-redirect-location`, which copies never take from their source.
pub fn website_redirect(headers: &HeaderMap) -> Result<Option<String>, S3Error> {
    let Some(location) = joined(headers, REDIRECT.as_str(), ",").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let refused = |message: &'static str| S3Error::new(StatusCode::BAD_REQUEST, "InvalidRedirectLocation", message);
    if !["/", "http://", "https://"].iter().any(|prefix| location.starts_with(prefix)) {
        return Err(refused("The website redirect location must have a prefix of 'http://' or 'https://' or '/'."));
    }
    if location.chars().count() > REDIRECT_CHARS_MAX {
        return Err(refused("The length of website redirect location cannot exceed 2,048 characters."));
    }
    Ok(Some(location))
}

/// Sets the headers of an object's metadata, as GetObject and HeadObject answer them.
pub fn set_headers(response: &mut Response, metadata: &Metadata) {
    let content_type = metadata.content_type.as_deref().unwrap_or(DEFAULT_TYPE);
    response.set(header::CONTENT_TYPE, header_bytes(content_type));
    for (name, value) in [
        (header::CACHE_CONTROL, &metadata.cache_control),
        (header::CONTENT_DISPOSITION, &metadata.content_disposition),
        (header::CONTENT_ENCODING, &metadata.content_encoding),
        (header::CONTENT_LANGUAGE, &metadata.content_language),
        (header::EXPIRES, &metadata.expires),
        (REDIRECT, &metadata.website_redirect),
    ] {
        if let Some(value) = value {
            response.set(name, header_bytes(value));
        }
    }
    let mut missing = 0_usize;
    for (name, value) in &metadata.user {
        let name = HeaderName::from_bytes(format!("{USER_PREFIX}{name}").as_bytes());
        let value = encoded_word::encode(value).and_then(|value| HeaderValue::from_str(&value).ok());
        match (name, value) {
            (Ok(name), Some(value)) => {
                response.headers.insert(name, value);
            }
            _ => missing += 1,
        }
    }
    if missing > 0 {
        response.set(MISSING, missing.to_string());
    }
}

/// The headers that carry an object's metadata in a request. `Err` holds those that carry what they can, if they cannot carry
/// all: control characters, which forms and RFC 2047 words bring, or text beyond ISO 8859-1 in other than user metadata.
pub fn carried(metadata: &Metadata) -> Result<HeaderMap, HeaderMap> {
    let mut described = Response::empty(StatusCode::OK);
    set_headers(&mut described, metadata);
    let mut headers = described.headers;
    let mut read = self::metadata(&headers);
    headers.remove(MISSING);
    let mut sent = metadata.clone();
    sent.content_type.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
    for metadata in read.iter_mut().chain([&mut sent]) {
        metadata.user.sort_unstable();
    }
    // White space at the ends is lost on the way.
    let is_whole = headers.values().all(|value| value.as_bytes().trim_ascii() == value.as_bytes());
    if is_whole && read.is_ok_and(|read| read == sent) { Ok(headers) } else { Err(headers) }
}

/// The class that a write asks for; STANDARD if it names none.
///
/// S3's answer to classes that belong to other kinds of buckets or to data outside of buckets is confirmed for
/// `OUTPOSTS` only; all of them are answered like it, as any unknown name is.
pub fn storage_class(headers: &HeaderMap) -> Result<StorageClass, S3Error> {
    let Some(requested) = joined(headers, "x-amz-storage-class", ",") else { return Ok(StorageClass::Standard) };
    StorageClass::parse(&requested).ok_or_else(|| {
        let message = "The storage class you specified is not valid";
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidStorageClass", message).with("StorageClassRequested", requested)
    })
}

/// Refuses headers of writes that ask for what is not offered: appends.
pub fn refuse_unsupported(headers: &HeaderMap) -> Result<(), S3Error> {
    for name in headers.keys().map(HeaderName::as_str) {
        let unsupported = name == "x-amz-write-offset-bytes";
        if unsupported {
            return Err(not_implemented(name));
        }
    }
    Ok(())
}

/// 501 for a header that asks for what is not offered.
pub fn not_implemented(header: &str) -> S3Error {
    S3Error::not_implemented("A header you provided implies functionality that is not implemented")
        .with("Header", header)
}

/// All lines of a header as one text, every byte a character.
fn joined(headers: &HeaderMap, name: &str, separator: &str) -> Option<String> {
    let mut lines = headers.get_all(name).iter();
    let mut text = latin1(lines.next()?);
    for line in lines {
        text.push_str(separator);
        text.push_str(&latin1(line));
    }
    Some(text)
}

fn latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|&byte| char::from(byte)).collect()
}

/// The bytes that `latin1` read; a text that never was a header goes out as UTF-8.
fn header_bytes(text: &str) -> Vec<u8> {
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    bytes.unwrap_or_else(|_| text.as_bytes().to_vec())
}

/// A content encoding without `aws-chunked`, which belongs to the transfer; `None` if nothing is left.
fn without_framing(encoding: &str) -> Option<String> {
    let framing = |coding: &str| coding.trim().eq_ignore_ascii_case("aws-chunked");
    if !encoding.split(',').any(framing) {
        return Some(encoding.to_owned());
    }
    let left: Vec<&str> = encoding
        .split(',')
        .filter(|coding| !framing(coding))
        .map(str::trim)
        .filter(|coding| !coding.is_empty())
        .collect();
    (!left.is_empty()).then(|| left.join(","))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use strata_storage::{Metadata, StorageClass};

    use super::{carried, metadata, refuse_unsupported, set_headers, storage_class};
    use crate::response::Response;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for &(name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("a header value"));
        }
        map
    }

    /// What comes back for headers sent with a write.
    fn round_trip(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut response = Response::empty(StatusCode::OK);
        set_headers(&mut response, &metadata(&headers(pairs)).expect("acceptable headers"));
        response.headers
    }

    #[test]
    fn system_metadata_comes_back_byte_by_byte() {
        let sent: [(&'static str, &[u8]); 7] = [
            ("content-type", b"text/plain; charset=utf-8"),
            ("cache-control", b"no-cache"),
            ("content-disposition", "attachment; filename=\"ü.txt\"".as_bytes()),
            ("content-encoding", b"gzip"),
            ("content-language", b"de"),
            ("expires", b"whenever"),
            ("x-amz-website-redirect-location", b"/other"),
        ];
        assert_eq!(round_trip(&sent), headers(&sent));
        assert_eq!(round_trip(&[]), headers(&[("content-type", b"binary/octet-stream")]));
    }

    #[test]
    fn framing_is_no_encoding() {
        fn check(sent: &[u8], expected: Option<&str>) {
            let found = metadata(&headers(&[("content-encoding", sent)])).expect("acceptable headers");
            assert_eq!(found.content_encoding.as_deref(), expected);
        }
        check(b"aws-chunked", None);
        check(b"AWS-Chunked,", None);
        check(b"aws-chunked,gzip", Some("gzip"));
        check(b"gzip, aws-chunked, br", Some("gzip,br"));
        check(b"gzip, br", Some("gzip, br"));
        check(b"", None);
    }

    #[test]
    fn user_metadata_follows_rfc_2047() {
        fn check(sent: &[u8], expected: &str) {
            assert_eq!(round_trip(&[("x-amz-meta-a", sent)])["x-amz-meta-a"], expected);
        }
        check(b"plain value", "plain value");
        check(b"", "");
        // The example of the User Guide: UTF-8 sent as it is, taken for ISO 8859-1.
        check("ÄMÄZÕÑ S3".as_bytes(), "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=");
        check(b"=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?=", "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?=");
        check(b"=?UTF-8?Q?plain_value?=", "plain value");
    }

    #[test]
    fn what_headers_cannot_carry_is_counted() {
        let found = round_trip(&[("x-amz-meta-a", b"=?UTF-8?Q?=07?="), ("x-amz-meta-b", b"fine")]);
        assert_eq!(found["x-amz-missing-meta"], "1");
        assert!(!found.contains_key("x-amz-meta-a"));
        assert_eq!(found["x-amz-meta-b"], "fine");
    }

    #[test]
    fn what_headers_cannot_carry_is_known() {
        fn check(content_type: Option<&str>, user: &[(&str, &str)], carries: bool) {
            let content_type = content_type.map(str::to_owned);
            let user = user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let found = carried(&Metadata { content_type, user, ..Metadata::default() });
            assert_eq!(found.is_ok(), carries, "{found:?}");
            let (Ok(headers) | Err(headers)) = found;
            assert!(!headers.contains_key("x-amz-missing-meta"));
        }
        check(None, &[], true);
        check(Some("text/plain; a=\"\u{fc}\""), &[("b", "1"), ("a", "\u{4e2d}")], true);
        check(None, &[("a", "=?UTF-8?Q?a?=")], false);
        check(Some("text/\u{4e2d}"), &[], false);
        check(Some("text/\u{7}"), &[], false);
        check(None, &[("a", "1"), ("b", "\u{7}")], false);
        check(None, &[("a", " b ")], false);
    }

    #[test]
    fn repeated_user_metadata_is_joined_in_order() {
        let sent = headers(&[("x-amz-meta-b", b"1"), ("x-amz-meta-a", b"2"), ("x-amz-meta-b", b"3")]);
        let user = metadata(&sent).expect("acceptable headers").user;
        assert_eq!(user, [("b".to_owned(), "1,3".to_owned()), ("a".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn user_metadata_is_limited() {
        let value = vec![b'v'; 2047];
        assert!(metadata(&headers(&[("x-amz-meta-a", &value)])).is_ok());
        let error = metadata(&headers(&[("x-amz-meta-ab", &value)])).expect_err("one byte too many");
        assert_eq!(error.code, "MetadataTooLarge");
        assert_eq!(error.fields, [("Size", "2049".to_owned()), ("MaxSizeAllowed", "2048".to_owned())]);
    }

    #[test]
    fn redirects_are_checked() {
        fn check(location: &[u8], valid: bool) {
            let found = metadata(&headers(&[("x-amz-website-redirect-location", location)]));
            let expected = if valid { None } else { Some("InvalidRedirectLocation") };
            assert_eq!(found.err().map(|error| error.code), expected);
        }
        check(b"/a", true);
        check(b"http://example.com/", true);
        check(b"https://example.com/", true);
        check(b"ftp://example.com/", false);
        check(b"a", false);
        check(format!("/{}", "a".repeat(2048)).as_bytes(), false);
    }

    #[test]
    fn classes_of_ordinary_buckets_are_offered() {
        fn check(name: &str, expected: Result<StorageClass, &str>) {
            let found = storage_class(&headers(&[("x-amz-storage-class", name.as_bytes())]));
            assert_eq!(found.map_err(|error| error.code), expected, "{name}");
        }
        for class in StorageClass::ALL {
            check(class.name(), Ok(class));
        }
        for name in ["EXPRESS_ONEZONE", "OUTPOSTS", "SNOW", "FSX_OPENZFS", "FSX_ONTAP", "AWS_BACKUP_WARM"] {
            check(name, Err("InvalidStorageClass"));
        }
        for name in ["AWS_BACKUP_LOW_COST_WARM", "standard", "Glacier", " GLACIER", "STANDARD,GLACIER", "COLD", ""] {
            check(name, Err("InvalidStorageClass"));
        }
        assert_eq!(storage_class(&HeaderMap::new()).expect("the default"), StorageClass::Standard);
        let two = [("x-amz-storage-class", &b"STANDARD"[..]), ("x-amz-storage-class", b"GLACIER")];
        let error = storage_class(&headers(&two)).expect_err("one class was asked for twice");
        assert_eq!(error.fields, [("StorageClassRequested", "STANDARD,GLACIER".to_owned())]);
    }

    #[test]
    fn unsupported_headers_are_refused() {
        fn check(name: &'static str, value: &[u8], expected: Option<&str>) {
            let found = refuse_unsupported(&headers(&[(name, value)]));
            assert_eq!(found.err().map(|error| error.code), expected, "{name}");
        }
        check("x-amz-server-side-encryption", b"AES256", None);
        check("x-amz-write-offset-bytes", b"0", Some("NotImplemented"));
        check("x-amz-request-payer", b"requester", None);
        check("x-amz-mfa", b"serial 123456", None);
    }
}
