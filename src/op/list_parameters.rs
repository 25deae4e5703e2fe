//! The parameters that list operations share: page sizes, texts and `encoding-type`. Pure.

use std::borrow::Cow;

use http::HeaderMap;
use strata_storage::Timestamp;

use crate::error::S3Error;
use crate::request::Query;

/// The most entries on a page, and the number when none is asked for.
pub const PAGE_MAX: usize = 1000;

/// How many entries were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// The number as the client sent it, or the default.
    pub asked: u32,
    /// How many a page may hold.
    pub max: usize,
}

/// Reads `max-keys` and its kin: absent or empty means 1,000, more than 1,000 is cut.
pub fn page_size(query: &Query, name: &'static str) -> Result<PageSize, S3Error> {
    let asked = number(query, name)?.unwrap_or(1000);
    Ok(PageSize { asked, max: usize::try_from(asked).unwrap_or(PAGE_MAX).min(PAGE_MAX) })
}

/// Reads a parameter that is a number from 0 to 2147483647; `None` if it is absent or empty.
pub fn number(query: &Query, name: &'static str) -> Result<Option<u32>, S3Error> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse::<i32>() {
        Ok(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| S3Error::invalid_argument(format!("{name} cannot be negative"), name, text)),
        Err(_) => {
            let message = format!("Provided {name} not an integer or within integer range");
            Err(S3Error::invalid_argument(message, name, text))
        }
    }
}

/// Reads a text that is compared with keys; absent is empty. Keys hold no NUL, so such a text is a mistake.
pub fn text<'q>(query: &'q Query, name: &'static str) -> Result<&'q str, S3Error> {
    let text = query.get(name).unwrap_or_default();
    if text.contains('\0') {
        let message = "Value must be a sequence of Unicode characters and cannot include Null.";
        return Err(S3Error::invalid_argument(message, name, text));
    }
    Ok(text)
}

/// How an answer writes keys and what resembles them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are, with character references where XML needs them.
    Plain,
    /// `encoding-type=url`
    Url,
}

impl Encoding {
    /// Reads `encoding-type`.
    pub fn from_query(query: &Query) -> Result<Encoding, S3Error> {
        match query.get("encoding-type") {
            None => Ok(Encoding::Plain),
            Some("url") => Ok(Encoding::Url),
            Some(other) => {
                let message = "Invalid Encoding Method specified in Request";
                Err(S3Error::invalid_argument(message, "encoding-type", other))
            }
        }
    }

    /// The text as the answer carries it. S3 encodes like a form, but leaves `/` alone.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        let literal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*' | b'/');
        if self == Encoding::Plain || text.bytes().all(literal) {
            return Cow::Borrowed(text);
        }
        let mut encoded = String::with_capacity(text.len() * 3);
        for byte in text.bytes() {
            match byte {
                b' ' => encoded.push('+'),
                byte if literal(byte) => encoded.push(char::from(byte)),
                byte => encoded.push_str(percent_encoding::percent_encode_byte(byte)),
            }
        }
        Cow::Owned(encoded)
    }
}

/// Reads `x-amz-optional-object-attributes`. If it names the one attribute that there is, `RestoreStatus`, the list
/// tells of restores as of `now`: an entry may still have a copy that expired.
pub fn restores_told(headers: &HeaderMap, now: Timestamp) -> Result<Option<Timestamp>, S3Error> {
    const NAME: &str = "x-amz-optional-object-attributes";
    let mut told = None;
    for value in headers.get_all(NAME) {
        let value = String::from_utf8_lossy(value.as_bytes());
        if value.split(',').any(|attribute| attribute.trim() != "RestoreStatus") {
            // S3's message is unconfirmed; this is the one of GetObjectAttributes.
            return Err(S3Error::invalid_argument("Invalid attribute name specified.", NAME, value));
        }
        told = Some(now);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use strata_storage::Timestamp;

    use super::{Encoding, PageSize, number, page_size, restores_told, text};
    use crate::request::Query;

    fn query(name: &str, value: &str) -> Query {
        Query(vec![(name.to_string(), value.to_string())])
    }

    #[test]
    fn page_sizes() {
        fn check(value: &str, asked: u32, max: usize) {
            assert_eq!(
                page_size(&query("max-keys", value), "max-keys").expect(value),
                PageSize { asked, max },
                "{value}"
            );
        }
        check("", 1000, 1000);
        check("0", 0, 0);
        check("1", 1, 1);
        check("1000", 1000, 1000);
        check("1001", 1001, 1000);
        check("2147483647", 2_147_483_647, 1000);
        assert_eq!(page_size(&Query::default(), "max-keys").expect("absent").max, 1000);
    }

    #[test]
    fn bad_numbers() {
        fn check(value: &str, message: &str) {
            let error = number(&query("max-keys", value), "max-keys").expect_err(value);
            assert_eq!((error.code, error.message.as_ref()), ("InvalidArgument", message), "{value}");
            assert_eq!(error.fields[0], ("ArgumentName", "max-keys".to_string()));
        }
        check("-1", "max-keys cannot be negative");
        check("-2147483648", "max-keys cannot be negative");
        for value in ["x", "1.0", " 1", "2147483648", "-2147483649", "1e3", "0x1"] {
            check(value, "Provided max-keys not an integer or within integer range");
        }
    }

    #[test]
    fn texts_without_nul() {
        assert_eq!(text(&Query::default(), "prefix").expect("absent"), "");
        assert_eq!(text(&query("prefix", "a\u{1}"), "prefix").expect("control characters are fine"), "a\u{1}");
        assert_eq!(text(&query("prefix", "a\0"), "prefix").expect_err("NUL").code, "InvalidArgument");
    }

    #[test]
    fn url_encoding() {
        fn check(plain: &str, encoded: &str) {
            assert_eq!(Encoding::Url.apply(plain), encoded);
            assert_eq!(Encoding::Plain.apply(plain), plain);
        }
        check("", "");
        check("a/B-9_.*", "a/B-9_.*");
        check("a b+c", "a+b%2Bc");
        check("~'()!", "%7E%27%28%29%21");
        check("ü日\u{1}%", "%C3%BC%E6%97%A5%01%25");
    }

    #[test]
    fn encoding_types() {
        assert_eq!(Encoding::from_query(&Query::default()).expect("absent"), Encoding::Plain);
        assert_eq!(Encoding::from_query(&query("encoding-type", "url")).expect("url"), Encoding::Url);
        for value in ["", "URL", "base64"] {
            let error = Encoding::from_query(&query("encoding-type", value)).expect_err(value);
            assert_eq!(error.message, "Invalid Encoding Method specified in Request");
        }
    }

    #[test]
    fn optional_attributes() {
        fn check(value: &'static str, accepted: bool) {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-optional-object-attributes", HeaderValue::from_static(value));
            let expected = accepted.then_some(Some(NOW));
            assert_eq!(restores_told(&headers, NOW).ok(), expected, "{value}");
        }
        const NOW: Timestamp = Timestamp::from_secs(1);
        assert_eq!(restores_told(&HeaderMap::new(), NOW).expect("nothing is asked for"), None);
        check("RestoreStatus", true);
        check("RestoreStatus, RestoreStatus", true);
        check("", false);
        check("Owner", false);
        check("RestoreStatus,Owner", false);
        check("restorestatus", false);
    }
}
