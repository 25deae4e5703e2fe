//! The document of CompleteMultipartUpload: the list of parts, checked against itself and the upload. Pure.

use http::StatusCode;
use serde::Deserialize;
use strata_storage::{ChecksumAlgorithm, ChecksumKind, CompletedPart, Error};

use crate::checksum_headers;
use crate::error::S3Error;
use crate::op::upload::{PARTS_MAX, lower_name};
use crate::xml;

/// A part as the document lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPart {
    number: u16,
    /// Without quotes.
    etag: String,
    checksums: Vec<(ChecksumAlgorithm, String)>,
}

/// What an upload was created with, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The upload is open.
    With(Option<(ChecksumAlgorithm, ChecksumKind)>),
    /// It is not open, and may have been completed before: the engine compares the request with that one.
    Unknown,
}

/// Reads the list: at least one part, ascending numbers.
pub fn read(bytes: &[u8], upload_id: &str) -> Result<Vec<ListedPart>, S3Error> {
    if bytes.is_empty() {
        return Err(S3Error::malformed_xml());
    }
    let document: Document = xml::parse(bytes)?;
    if document.parts.is_empty() {
        return Err(S3Error::invalid_request("You must specify at least one part"));
    }
    let parts: Vec<ListedPart> = document.parts.into_iter().map(PartElement::listed).collect::<Result<_, _>>()?;
    if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(invalid_order(upload_id));
    }
    Ok(parts)
}

/// Checks the parts' checksums against what the upload was created with, and turns the list into the engine's.
pub fn completed(parts: Vec<ListedPart>, created: Created, upload_id: &str) -> Result<Vec<CompletedPart>, S3Error> {
    let composite = match created {
        Created::With(Some((algorithm, ChecksumKind::Composite))) => Some(algorithm),
        Created::With(_) | Created::Unknown => None,
    };
    if composite.is_some() && parts.iter().zip(1..).any(|(part, number)| part.number != number) {
        return Err(invalid_order(upload_id));
    }
    parts
        .into_iter()
        .map(|part| {
            if let Some(algorithm) = composite.filter(|&algorithm| !part.has(algorithm)) {
                return Err(S3Error::invalid_request(format!(
                    "The upload was created using a {} checksum. The complete request must include the checksum for \
                     each part. It was missing for part {} in the request.",
                    lower_name(Some(algorithm)),
                    part.number,
                )));
            }
            let checksum = part.checksum(created).ok_or_else(|| invalid_part(&part, upload_id))?;
            Ok(CompletedPart { number: part.number, etag: part.etag, checksum })
        })
        .collect()
}

impl ListedPart {
    fn has(&self, algorithm: ChecksumAlgorithm) -> bool {
        self.checksums.iter().any(|(found, _)| *found == algorithm)
    }

    /// The raw checksum to compare; `None` if what is listed can't be that of a part: several, a broken text, or
    /// another algorithm than the upload's.
    fn checksum(&self, created: Created) -> Option<Option<Vec<u8>>> {
        let [(algorithm, text)] = self.checksums.as_slice() else {
            return self.checksums.is_empty().then_some(None);
        };
        match created {
            Created::With(Some((expected, _))) if expected != *algorithm => None,
            Created::With(_) | Created::Unknown => checksum_headers::parse_text(*algorithm, text).map(Some),
        }
    }
}

fn invalid_order(upload_id: &str) -> S3Error {
    let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidPartOrder", message).with("UploadId", upload_id)
}

fn invalid_part(part: &ListedPart, upload_id: &str) -> S3Error {
    let mut error = S3Error::from(Error::InvalidPart { number: part.number, etag: part.etag.clone() });
    error.fields.insert(0, ("UploadId", upload_id.to_string()));
    error
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Part", default)]
    parts: Vec<PartElement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartElement {
    #[serde(rename = "PartNumber")]
    number: i64,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "ChecksumCRC32")]
    crc32: Option<String>,
    #[serde(rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(rename = "ChecksumSHA1")]
    sha1: Option<String>,
    #[serde(rename = "ChecksumSHA256")]
    sha256: Option<String>,
    #[serde(rename = "ChecksumSHA512")]
    sha512: Option<String>,
    #[serde(rename = "ChecksumMD5")]
    md5: Option<String>,
    #[serde(rename = "ChecksumXXHASH64")]
    xxhash64: Option<String>,
    #[serde(rename = "ChecksumXXHASH3")]
    xxhash3: Option<String>,
    #[serde(rename = "ChecksumXXHASH128")]
    xxhash128: Option<String>,
}

impl PartElement {
    fn listed(self) -> Result<ListedPart, S3Error> {
        if self.number < 1 {
            let value = self.number.to_string();
            return Err(S3Error::invalid_argument("PartNumber must be >= 1", "PartNumber", value));
        }
        let number = u16::try_from(self.number).ok().filter(|&number| number <= PARTS_MAX).ok_or_else(|| {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            S3Error::invalid_argument(message, "partNumber", self.number.to_string())
        })?;
        let checksums = [
            (ChecksumAlgorithm::Crc32, self.crc32),
            (ChecksumAlgorithm::Crc32c, self.crc32c),
            (ChecksumAlgorithm::Crc64Nvme, self.crc64nvme),
            (ChecksumAlgorithm::Sha1, self.sha1),
            (ChecksumAlgorithm::Sha256, self.sha256),
            (ChecksumAlgorithm::Sha512, self.sha512),
            (ChecksumAlgorithm::Md5, self.md5),
            (ChecksumAlgorithm::Xxhash64, self.xxhash64),
            (ChecksumAlgorithm::Xxhash3, self.xxhash3),
            (ChecksumAlgorithm::Xxhash128, self.xxhash128),
        ];
        // SDKs write elements without text for checksums that they do not have.
        let checksums = checksums
            .into_iter()
            .filter_map(|(algorithm, text)| Some((algorithm, text.filter(|text| !text.is_empty())?)))
            .collect();
        Ok(ListedPart { number, etag: self.etag.trim().trim_matches('"').to_string(), checksums })
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{ChecksumAlgorithm, ChecksumKind, CompletedPart};

    use super::{Created, completed, read};
    use crate::checksum_headers::element_name;

    const CRC32: &str = "<ChecksumCRC32>AAAAAQ==</ChecksumCRC32>";

    fn document(parts: &[(&str, &str)]) -> String {
        let part = |(number, more): &(&str, &str)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>&quot;e{number}&quot;</ETag>{more}</Part>")
        };
        format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.iter().map(part).collect::<String>())
    }

    #[test]
    fn lists() {
        fn check(text: &str, expected: Result<usize, (&str, &str)>) {
            let found = read(text.as_bytes(), "u").map(|parts| parts.len());
            let found = found.as_ref().map_err(|error| (error.code, error.fields.first().map_or("", |field| &field.1)));
            assert_eq!(found, expected.as_ref().map_err(|&fault| fault), "{text}");
        }
        check(&document(&[("1", ""), ("2", CRC32), ("10000", "")]), Ok(3));
        check("", Err(("MalformedXML", "")));
        check(&document(&[]), Err(("InvalidRequest", "")));
        check(&document(&[("0", "")]), Err(("InvalidArgument", "PartNumber")));
        check(&document(&[("-1", "")]), Err(("InvalidArgument", "PartNumber")));
        check(&document(&[("10001", "")]), Err(("InvalidArgument", "partNumber")));
        check(&document(&[("2", ""), ("1", "")]), Err(("InvalidPartOrder", "u")));
        check(&document(&[("1", ""), ("1", "")]), Err(("InvalidPartOrder", "u")));
        check(&document(&[("x", "")]), Err(("MalformedXML", "")));
        check(&document(&[("1", "<Other/>")]), Err(("MalformedXML", "")));
        check("<C><Part><PartNumber>1</PartNumber></Part></C>", Err(("MalformedXML", "")));
    }

    fn parts(parts: &[(&str, &str)], created: Created) -> Result<Vec<CompletedPart>, (&'static str, String)> {
        let listed = read(document(parts).as_bytes(), "u").expect("a valid list");
        completed(listed, created, "u").map_err(|error| (error.code, error.message.to_string()))
    }

    #[test]
    fn checksums_of_parts() {
        fn check(list: &[(&str, &str)], created: Created, expected: Result<Option<&[u8]>, &str>) {
            let found = parts(list, created).map_err(|(code, _)| code);
            let found = found.as_ref().map(|parts| parts[0].checksum.as_deref()).map_err(|code| *code);
            assert_eq!(found, expected, "{list:?} {created:?}");
        }
        let composite = Created::With(Some((ChecksumAlgorithm::Crc32, ChecksumKind::Composite)));
        let full = Created::With(Some((ChecksumAlgorithm::Crc32, ChecksumKind::FullObject)));
        let sha1 = Created::With(Some((ChecksumAlgorithm::Sha1, ChecksumKind::Composite)));
        let raw: Option<&[u8]> = Some(&[0, 0, 0, 1]);
        check(&[("1", CRC32), ("2", CRC32)], composite, Ok(raw));
        check(&[("1", CRC32), ("3", CRC32)], composite, Err("InvalidPartOrder"));
        check(&[("2", CRC32)], full, Ok(raw));
        check(&[("2", "")], full, Ok(None));
        check(&[("1", "<ChecksumCRC32/>")], full, Ok(None));
        check(&[("1", CRC32)], Created::With(None), Ok(raw));
        check(&[("1", CRC32)], Created::Unknown, Ok(raw));
        check(&[("1", CRC32)], sha1, Err("InvalidRequest"));
        check(&[("1", "<ChecksumCRC32>AAA=</ChecksumCRC32>")], composite, Err("InvalidPart"));
        check(&[("1", "<ChecksumCRC32C>AAAAAQ==</ChecksumCRC32C>")], full, Err("InvalidPart"));
        let two = format!("{CRC32}<ChecksumCRC32C>AAAAAQ==</ChecksumCRC32C>");
        check(&[("1", &two)], full, Err("InvalidPart"));
    }

    #[test]
    fn a_missing_checksum_is_named() {
        let composite = Created::With(Some((ChecksumAlgorithm::Crc32, ChecksumKind::Composite)));
        let (_, message) = parts(&[("1", CRC32), ("2", "")], composite).expect_err("part 2 has none");
        assert_eq!(
            message,
            "The upload was created using a crc32 checksum. The complete request must include the checksum for each \
             part. It was missing for part 2 in the request."
        );
    }

    #[test]
    fn etags_lose_their_quotes() {
        assert_eq!(parts(&[("1", "")], Created::Unknown).expect("a valid list")[0].etag, "e1");
    }

    #[test]
    fn every_checksum_element_is_known() {
        for algorithm in ChecksumAlgorithm::ALL {
            let name = element_name(algorithm);
            let listed = read(document(&[("1", &format!("<{name}>x</{name}>"))]).as_bytes(), "u").expect(name);
            assert!(listed[0].has(algorithm), "{name}");
        }
    }

    /// The longest list that a client may need to send, written with generous white space.
    #[test]
    fn the_longest_list_fits_the_default_limit() {
        let value = "A".repeat(88);
        let part = format!(
            "  <Part>\r\n    <PartNumber>10000</PartNumber>\r\n    <ETag>&quot;{}&quot;</ETag>\r\n    \
             <ChecksumSHA512>{value}</ChecksumSHA512>\r\n  </Part>\r\n",
            "0".repeat(32)
        );
        assert!(part.len() * 10_000 + 1000 < 4 << 20);
    }
}
