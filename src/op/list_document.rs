//! The pieces that the documents of list operations share.

use http::HeaderName;
use strata_storage::{Bucket, ChecksumSummary, ListEntry};

use crate::checksum_headers;
use crate::op::list_parameters::Encoding;
use crate::request::Owner;
use crate::response::Response;
use crate::time;
use crate::xml::Writer;

/// Writes `<Owner>`; S3 no longer names owners otherwise than by their id.
pub fn owner(writer: &mut Writer, owner: &Owner) {
    writer.open("Owner").element("ID", &owner.id).close();
}

/// Writes `<Initiator>`.
pub fn initiator(writer: &mut Writer, owner: &Owner) {
    writer.open("Initiator").element("ID", &owner.id).element("DisplayName", &owner.display_name).close();
}

/// Writes `<ChecksumAlgorithm>` and `<ChecksumType>`, if there is a checksum.
pub fn checksum_summary(writer: &mut Writer, summary: Option<ChecksumSummary>) {
    if let Some(ChecksumSummary { algorithm, kind }) = summary {
        writer.element("ChecksumAlgorithm", algorithm.name());
        writer.element("ChecksumType", checksum_headers::kind_name(kind));
    }
}

/// Writes `<Contents>` of one object; `owner` only where the list names owners.
pub fn object(writer: &mut Writer, entry: &ListEntry, encoding: Encoding, owner: Option<&Owner>) {
    writer.open("Contents");
    writer.element("Key", encoding.apply(entry.key.as_str()));
    writer.element("LastModified", time::iso8601(entry.modified));
    writer.element("ETag", format!("\"{}\"", entry.etag));
    checksum_summary(writer, entry.checksum);
    writer.element("Size", entry.size.to_string());
    if let Some(named) = owner {
        self::owner(writer, named);
    }
    writer.element("StorageClass", entry.class.name()).close();
}

/// Writes `<Delimiter>` and `<EncodingType>` if the request had them.
pub fn delimiter_and_encoding(writer: &mut Writer, delimiter: &str, encoding: Encoding) {
    if !delimiter.is_empty() {
        writer.element("Delimiter", encoding.apply(delimiter));
    }
    if encoding == Encoding::Url {
        writer.element("EncodingType", "url");
    }
}

/// Writes the common prefixes, each in an element of its own.
pub fn common_prefixes(writer: &mut Writer, prefixes: &[String], encoding: Encoding) {
    for prefix in prefixes {
        writer.open("CommonPrefixes").element("Prefix", encoding.apply(prefix)).close();
    }
}

/// The text of a boolean.
pub const fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The answer with the finished document and the bucket's region.
pub fn answer(writer: Writer, bucket: &Bucket) -> Response {
    let mut response = Response::xml(writer.finish());
    response.set(HeaderName::from_static("x-amz-bucket-region"), &bucket.region);
    response
}
