//! Trailers of aws-chunked bodies: headers that follow the data, announced in `x-amz-trailer`.

use std::fmt::Write as _;

use http::HeaderMap;
use strata_storage::ChecksumAlgorithm;

use super::fault;
use crate::error::S3Error;

const ANNOUNCEMENT: &str = "x-amz-trailer";
const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// The trailers of one body: which must come, and which have.
#[derive(Debug, Default)]
pub(super) struct Trailers {
    announced: Vec<String>,
    received: Vec<(String, String)>,
}

impl Trailers {
    /// Reads the announcement. Only checksums may come in a trailer, so their number is bounded.
    pub(super) fn announced_in(headers: &HeaderMap) -> Result<Trailers, S3Error> {
        let mut announced: Vec<String> = Vec::new();
        for value in headers.get_all(ANNOUNCEMENT) {
            let text = value.to_str().unwrap_or("?").to_ascii_lowercase();
            for name in text.split(',').map(str::trim) {
                if !is_checksum(name) || announced.iter().any(|known| known == name) {
                    return Err(S3Error::invalid_request(
                        "The value specified in the x-amz-trailer header is not supported",
                    ));
                }
                announced.push(name.to_owned());
            }
        }
        Ok(Trailers { announced, received: Vec::new() })
    }

    /// A received value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.received.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Takes a trailer that must have been announced and not have come before.
    pub(super) fn accept(&mut self, name: &str, value: &str) -> Result<(), S3Error> {
        if !self.announced.iter().any(|known| known == name) || self.get(name).is_some() {
            return Err(fault::malformed_trailer());
        }
        self.received.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Checks that everything announced has come.
    pub(super) fn check_complete(&self) -> Result<(), S3Error> {
        if self.received.len() == self.announced.len() { Ok(()) } else { Err(fault::malformed_trailer()) }
    }

    /// `name:value\n` for each trailer, sorted: what the trailer's signature covers.
    pub(super) fn canonical(&self) -> String {
        let mut sorted: Vec<&(String, String)> = self.received.iter().collect();
        sorted.sort_unstable();
        sorted.iter().fold(String::new(), |mut text, (name, value)| {
            writeln!(text, "{name}:{value}").expect("a string takes any text");
            text
        })
    }
}

/// A trailer may only be announced for a body that can carry one.
pub(super) fn refuse_announcement(headers: &HeaderMap) -> Result<(), S3Error> {
    if !headers.contains_key(ANNOUNCEMENT) {
        return Ok(());
    }
    // Unconfirmed: S3's words for it.
    Err(S3Error::invalid_request("The x-amz-trailer header needs an x-amz-content-sha256 that ends in -TRAILER"))
}

/// Splits `name: value`; the name in lower case.
pub(super) fn parse_line(line: &[u8]) -> Result<(String, &str), S3Error> {
    let text = std::str::from_utf8(line).map_err(|_| fault::malformed_trailer())?;
    let (name, value) = text.split_once(':').ok_or_else(fault::malformed_trailer)?;
    let blank = [' ', '\t'];
    Ok((name.trim_matches(blank).to_ascii_lowercase(), value.trim_matches(blank)))
}

fn is_checksum(name: &str) -> bool {
    name.strip_prefix(CHECKSUM_PREFIX).is_some_and(|algorithm| {
        ChecksumAlgorithm::ALL.iter().any(|known| known.name().eq_ignore_ascii_case(algorithm))
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::Trailers;

    fn announced(values: &[&'static str]) -> Result<Trailers, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-amz-trailer", HeaderValue::from_static(value));
        }
        Trailers::announced_in(&headers).map_err(|error| error.code)
    }

    #[test]
    fn announcements() {
        fn check(values: &[&'static str], expected: Result<&[&str], &str>) {
            let found = announced(values);
            let found = found.as_ref().map(|trailers| trailers.announced.clone()).map_err(|code| *code);
            assert_eq!(
                found,
                expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
                "{values:?}"
            );
        }
        check(&[], Ok(&[]));
        check(&["x-amz-checksum-crc32"], Ok(&["x-amz-checksum-crc32"]));
        check(
            &["X-Amz-Checksum-CRC64NVME , x-amz-checksum-sha1"],
            Ok(&["x-amz-checksum-crc64nvme", "x-amz-checksum-sha1"]),
        );
        for value in
            ["", "x-amz-meta-a", "x-amz-checksum-crc33", "x-amz-checksum-sha1,x-amz-checksum-sha1", "content-md5"]
        {
            check(&[value], Err("InvalidRequest"));
        }
    }

    #[test]
    fn only_what_was_announced_comes_once() {
        let mut trailers = announced(&["x-amz-checksum-sha1,x-amz-checksum-crc32"]).expect("valid");
        trailers.accept("x-amz-checksum-sha1", "b").expect("announced");
        assert!(trailers.accept("x-amz-checksum-sha1", "b").is_err());
        assert!(trailers.accept("x-amz-checksum-sha256", "b").is_err());
        assert!(trailers.check_complete().is_err());
        trailers.accept("x-amz-checksum-crc32", "a").expect("announced");
        assert!(trailers.check_complete().is_ok());
        assert_eq!(trailers.canonical(), "x-amz-checksum-crc32:a\nx-amz-checksum-sha1:b\n");
    }
}
