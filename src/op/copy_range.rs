//! `x-amz-copy-source-range`: which bytes of a source become a part. Pure.

use std::ops::Range;

use http::HeaderMap;

use crate::error::S3Error;

const NAME: &str = "x-amz-copy-source-range";

/// A range of bytes, both ends included, before the source's size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyRange {
    first: u64,
    last: u64,
}

impl CopyRange {
    /// Reads the header. Unlike `Range`, it needs both ends and is never ignored.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<CopyRange>, S3Error> {
        let Some(value) = headers.get(NAME) else { return Ok(None) };
        let text = String::from_utf8_lossy(value.as_bytes());
        CopyRange::parse(&text).map(Some).ok_or_else(|| {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last \
                           are the zero-based offsets of the first and last bytes to copy";
            S3Error::invalid_argument(message, NAME, text)
        })
    }

    fn parse(text: &str) -> Option<CopyRange> {
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse().ok(),
            false => None,
        };
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let range = CopyRange { first: number(first)?, last: number(last)? };
        (range.first <= range.last).then_some(range)
    }

    /// The bytes of a source of `size` bytes.
    pub fn within(self, size: u64) -> Result<Range<u64>, S3Error> {
        if self.first >= size {
            return Err(S3Error::invalid_request("The specified copy range is invalid for the source object size"));
        }
        if self.last >= size {
            let message = format!("Range specified is not valid for source object of size: {size}");
            return Err(S3Error::invalid_argument(message, NAME, format!("bytes={}-{}", self.first, self.last)));
        }
        Ok(self.first..self.last + 1)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{CopyRange, NAME};

    #[test]
    fn ranges_of_ten_bytes() {
        fn check(value: &'static str, expected: Result<std::ops::Range<u64>, (&str, &str)>) {
            let mut headers = HeaderMap::new();
            headers.insert(NAME, HeaderValue::from_static(value));
            let found = CopyRange::from_headers(&headers).and_then(|range| range.expect("it is there").within(10));
            let found = found.as_ref().map_err(|error| (error.code, error.message.as_ref()));
            assert_eq!(found, expected.as_ref().map_err(|&fault| fault), "{value}");
        }
        check("bytes=0-8", Ok(0..9));
        check("bytes=9-9", Ok(9..10));
        check("bytes=0-9", Ok(0..10));
        let form = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are \
                    the zero-based offsets of the first and last bytes to copy";
        for value in [
            "",
            "0-8",
            "bytes=",
            "bytes=-",
            "bytes=1-",
            "bytes=-2",
            "bytes=1-0",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "bytes=0--1",
            "bytes=0-18446744073709551616",
            "Bytes=0-1",
            "bytes= 0-1",
        ] {
            check(value, Err(("InvalidArgument", form)));
        }
        let beyond = "Range specified is not valid for source object of size: 10";
        check("bytes=0-10", Err(("InvalidArgument", beyond)));
        check("bytes=0-100", Err(("InvalidArgument", beyond)));
        check("bytes=0-18446744073709551615", Err(("InvalidArgument", beyond)));
        let outside = "The specified copy range is invalid for the source object size";
        check("bytes=10-10", Err(("InvalidRequest", outside)));
        check("bytes=100-200", Err(("InvalidRequest", outside)));
    }

    #[test]
    fn absent() {
        assert_eq!(CopyRange::from_headers(&HeaderMap::new()).expect("no header"), None);
    }
}
