//! Tags as clients send and see them: in the `x-amz-tagging` header, in `Tagging` documents, with S3's limits.

use std::collections::HashSet;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use strata_storage::Tag;

use crate::error::S3Error;
use crate::xml;

/// The most tags that an object can have.
pub const OBJECT_TAGS_MAX: usize = 10;

const HEADER: &str = "x-amz-tagging";
const KEY_UNITS_MAX: usize = 128;
const VALUE_UNITS_MAX: usize = 256;

/// Reads the value of `x-amz-tagging`: query parameters, at most ten, names unique.
pub fn from_header(value: &str) -> Result<Vec<Tag>, S3Error> {
    let malformed = || {
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
                       without tag name duplicates.";
        S3Error::invalid_argument(message, HEADER, value)
    };
    let mut tags = Vec::new();
    for pair in value.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = decode(key).zip(decode(value)).ok_or_else(malformed)?;
        tags.push(Tag { key, value });
    }
    if repeated(&tags).is_some() || tags.iter().any(|tag| tag.key.is_empty()) {
        return Err(malformed());
    }
    check(&tags, OBJECT_TAGS_MAX)?;
    Ok(tags)
}

/// Reads a `Tagging` document of at most `most` tags: 10 for objects, 50 for buckets.
pub fn parse_document(bytes: &[u8], most: usize) -> Result<Vec<Tag>, S3Error> {
    let document: TaggingDocument = xml::parse(bytes)?;
    let tags = document.tag_set.tags.into_iter().map(|tag| Tag { key: tag.key, value: tag.value }).collect();
    checked(tags, most)
}

/// The same tags if something can have them all: keys that differ, within S3's limits, and at most `most`.
pub fn checked(tags: Vec<Tag>, most: usize) -> Result<Vec<Tag>, S3Error> {
    if let Some(key) = repeated(&tags) {
        return Err(invalid_tag("Cannot provide multiple Tags with the same key").with("TagKey", key));
    }
    check(&tags, most)?;
    Ok(tags)
}

/// Writes a `Tagging` document.
pub fn document(tags: &[Tag]) -> String {
    let mut writer = xml::Writer::new("Tagging");
    writer.open("TagSet");
    for tag in tags {
        writer.open("Tag").element("Key", &tag.key).element("Value", &tag.value).close();
    }
    writer.close();
    writer.finish()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaggingDocument {
    #[serde(rename = "TagSet")]
    tag_set: TagSetElement,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagSetElement {
    #[serde(rename = "Tag", default)]
    tags: Vec<TagElement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagElement {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Value")]
    value: String,
}

/// Decodes one name or value of a query string; `None` for a broken escape or what is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let escapes_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().filter(|_| escapes_whole).map(|text| text.into_owned())
}

/// A key that more than one of them has.
fn repeated(tags: &[Tag]) -> Option<&str> {
    let mut keys = HashSet::new();
    tags.iter().map(|tag| tag.key.as_str()).find(|key| !keys.insert(*key))
}

fn check(tags: &[Tag], most: usize) -> Result<(), S3Error> {
    if tags.len() > most {
        let holder = if most == OBJECT_TAGS_MAX { "Object" } else { "Bucket" };
        let message = format!("{holder} tags cannot be greater than {most}");
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "BadRequest", message));
    }
    for tag in tags {
        if most != OBJECT_TAGS_MAX && is_of_system(tag) {
            let message = "System tags cannot be added/updated by requester";
            return Err(invalid_tag(message).with("TagKey", &tag.key));
        }
        check_tag(tag)?;
    }
    Ok(())
}

/// Whether only AWS gives such tags.
fn is_of_system(tag: &Tag) -> bool {
    tag.key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

/// Refuses a tag whose key or value S3 does not allow.
pub fn check_tag(tag: &Tag) -> Result<(), S3Error> {
    if tag.key.is_empty() || !acceptable(&tag.key, KEY_UNITS_MAX) {
        return Err(invalid_tag("The TagKey you have provided is invalid").with("TagKey", &tag.key));
    }
    if is_of_system(tag) {
        return Err(invalid_tag("Your TagKey cannot be prefixed with aws:").with("TagKey", &tag.key));
    }
    if !acceptable(&tag.value, VALUE_UNITS_MAX) {
        return Err(invalid_tag("The TagValue you have provided is invalid")
            .with("TagKey", &tag.key)
            .with("TagValue", &tag.value));
    }
    Ok(())
}

/// S3 counts UTF-16 units, and allows letters, digits and separators of any script besides a few signs.
fn acceptable(text: &str, units_max: usize) -> bool {
    let allowed = |character: char| {
        character.is_alphanumeric()
            || (character.is_whitespace() && !character.is_control())
            || "+-=._:/@".contains(character)
    };
    text.encode_utf16().count() <= units_max && text.chars().all(allowed)
}

fn invalid_tag(message: &'static str) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidTag", message)
}

#[cfg(test)]
mod tests {
    use strata_storage::Tag;

    use super::{document, from_header, parse_document};

    fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
        pairs.iter().map(|&(key, value)| Tag { key: key.to_owned(), value: value.to_owned() }).collect()
    }

    #[test]
    fn the_header_is_a_query_string() {
        fn check(header: &str, expected: &[(&str, &str)]) {
            assert_eq!(from_header(header).expect("a valid header"), tags(expected), "{header}");
        }
        check("", &[]);
        check("a=1", &[("a", "1")]);
        check("a=1&b=&c", &[("a", "1"), ("b", ""), ("c", "")]);
        check("a+b=c%20d", &[("a b", "c d")]);
        check("k%3D=v=w", &[("k=", "v=w")]);
        check("%C3%BC=%C3%9F", &[("ü", "ß")]);
    }

    #[test]
    fn bad_headers_are_refused() {
        fn check(header: &str, code: &str) {
            assert_eq!(from_header(header).expect_err("a header to refuse").code, code, "{header}");
        }
        let many: Vec<String> = (0..11).map(|number| format!("k{number}=v")).collect();
        check("a=1&a=2", "InvalidArgument");
        check("a=%zz", "InvalidArgument");
        check("a=%2", "InvalidArgument");
        check("a=%ff", "InvalidArgument");
        check("=v", "InvalidArgument");
        check("a=1&=", "InvalidArgument");
        check("aws:a=1", "InvalidTag");
        check("AWS%3Aa=1", "InvalidTag");
        check("a%00=1", "InvalidTag");
        check("a=%3C", "InvalidTag");
        check(&format!("{}=1", "k".repeat(129)), "InvalidTag");
        check(&format!("k={}", "v".repeat(257)), "InvalidTag");
        check(&many.join("&"), "BadRequest");
    }

    #[test]
    fn documents_read_back() {
        fn check(expected: &[(&str, &str)]) {
            let written = document(&tags(expected));
            assert_eq!(parse_document(written.as_bytes(), 10).expect("a valid document"), tags(expected), "{written}");
        }
        check(&[]);
        check(&[("a", "1")]);
        check(&[("key", ""), ("other key", " spaced "), ("ü/@", "+-=._:")]);
    }

    #[test]
    fn bad_documents_are_refused() {
        fn check(set: &str, code: &str) {
            let document = format!("<Tagging><TagSet>{set}</TagSet></Tagging>");
            assert_eq!(parse_document(document.as_bytes(), 10).expect_err("a document to refuse").code, code, "{set}");
        }
        check("<Tag><Key>a</Key></Tag>", "MalformedXML");
        check("<Tag><Value>a</Value></Tag>", "MalformedXML");
        check("<Tag><Key>a</Key><Value>b</Value><More/></Tag>", "MalformedXML");
        check("<Label/>", "MalformedXML");
        check("<Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>a</Key><Value>c</Value></Tag>", "InvalidTag");
        check("<Tag><Key/><Value>b</Value></Tag>", "InvalidTag");
        check("<Tag><Key>aws:x</Key><Value>b</Value></Tag>", "InvalidTag");
        let many: String = (0..11).map(|number| format!("<Tag><Key>{number}</Key><Value/></Tag>")).collect();
        check(&many, "BadRequest");
        let bucket = format!("<Tagging><TagSet>{many}</TagSet></Tagging>");
        assert_eq!(parse_document(bucket.as_bytes(), 50).expect("50 are allowed").len(), 11);
    }
}
