//! What the headers say about the body's length: on the wire, and once decoded.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName};

use super::fault;
use crate::error::S3Error;

const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");

/// The lengths that a request declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    content_length: Option<u64>,
    decoded_length: Option<u64>,
    chunked: bool,
}

impl Lengths {
    /// Reads the headers.
    pub(super) fn read(headers: &HeaderMap) -> Result<Lengths, S3Error> {
        Ok(Lengths {
            chunked: is_chunked(headers)?,
            content_length: number(headers, &CONTENT_LENGTH)?,
            decoded_length: number(headers, &DECODED_LENGTH).map_err(|_| fault::missing_content_length())?,
        })
    }

    /// The bytes on the wire; `None` if only their end will tell. A request that says nothing has no body.
    pub(super) fn wire(&self) -> Option<u64> {
        if self.chunked { None } else { Some(self.content_length.unwrap_or(0)) }
    }

    /// The length of a plain body; `None` if the request declares none.
    pub(super) fn plain(&self) -> Result<Option<u64>, S3Error> {
        match (self.chunked, self.decoded_length) {
            (true, None) => Err(fault::unknown_length()),
            (true, length) => Ok(length),
            // Framing that the payload's form does not announce would be stored as if it were content.
            (false, Some(length)) if self.content_length != Some(length) => Err(fault::incomplete_body()),
            (false, _) => Ok(self.content_length),
        }
    }

    /// The length of an aws-chunked body without its framing.
    pub(super) fn decoded(&self) -> Result<u64, S3Error> {
        if !self.chunked && self.content_length.is_none() {
            return Err(fault::missing_content_length());
        }
        self.decoded_length.ok_or_else(fault::missing_content_length)
    }
}

/// Whether HTTP's own chunked coding is used; every other coding but `identity` is refused.
fn is_chunked(headers: &HeaderMap) -> Result<bool, S3Error> {
    let mut chunked = false;
    for value in headers.get_all(TRANSFER_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        for coding in text.split(',').map(str::trim) {
            match coding {
                "" | "identity" => {}
                "chunked" => chunked = true,
                "gzip" | "x-gzip" | "deflate" | "compress" | "x-compress" => {
                    return Err(fault::unknown_length());
                }
                _ => return Err(S3Error::invalid_request("The Transfer-Encoding of the request is not valid")),
            }
        }
    }
    Ok(chunked)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, S3Error> {
    let mut found = None;
    for value in headers.get_all(name) {
        let text = value.to_str().unwrap_or_default().trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = if digits { text.parse::<u64>().ok() } else { None };
        if parsed.is_none() || found.is_some_and(|_| found != parsed) {
            return Err(S3Error::invalid_argument("The length is not a valid number", name.as_str(), text));
        }
        found = parsed;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::Lengths;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Lengths, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Lengths::read(&headers).map_err(|error| error.code)
    }

    #[test]
    fn transfer_encodings() {
        fn check(value: &'static str, expected: Result<bool, &str>) {
            assert_eq!(read(&[("transfer-encoding", value)]).map(|lengths| lengths.chunked), expected, "{value}");
        }
        check("", Ok(false));
        check("identity", Ok(false));
        check("chunked", Ok(true));
        check("Identity, Chunked", Ok(true));
        for value in ["gzip", "gzip, chunked", "deflate", "compress"] {
            check(value, Err("NotImplemented"));
        }
        check("fancy", Err("InvalidRequest"));
    }

    #[test]
    fn declared_lengths() {
        type Expected = (Option<u64>, Result<Option<u64>, &'static str>, Result<u64, &'static str>);
        fn check(pairs: &[(&'static str, &'static str)], expected: Expected) {
            let lengths = read(pairs).expect("readable headers");
            let plain = lengths.plain().map_err(|error| error.code);
            let decoded = lengths.decoded().map_err(|error| error.code);
            assert_eq!((lengths.wire(), plain, decoded), expected, "{pairs:?}");
        }
        const LENGTH: (&str, &str) = ("content-length", "10");
        const DECODED: (&str, &str) = ("x-amz-decoded-content-length", "5");
        const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");
        let missing = "MissingContentLength";
        check(&[], (Some(0), Ok(None), Err(missing)));
        check(&[LENGTH], (Some(10), Ok(Some(10)), Err(missing)));
        check(&[LENGTH, LENGTH, DECODED], (Some(10), Err("IncompleteBody"), Ok(5)));
        check(&[("content-length", "5"), DECODED], (Some(5), Ok(Some(5)), Ok(5)));
        check(&[DECODED], (Some(0), Err("IncompleteBody"), Err(missing)));
        check(&[CHUNKED], (None, Err("NotImplemented"), Err(missing)));
        check(&[CHUNKED, DECODED], (None, Ok(Some(5)), Ok(5)));
    }

    #[test]
    fn bad_numbers() {
        for value in ["", "+5", "-1", "x", "99999999999999999999", "1, 1"] {
            assert_eq!(read(&[("x-amz-decoded-content-length", value)]), Err("MissingContentLength"), "{value}");
        }
        assert_eq!(read(&[("content-length", "1"), ("content-length", "2")]), Err("InvalidArgument"));
    }
}
