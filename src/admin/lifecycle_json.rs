//! Lifecycle rules in the JSON that `aws s3api get-bucket-lifecycle-configuration` prints and
//! `put-bucket-lifecycle-configuration` takes. They become the XML that aws-cli would send of them, so that what reads
//! and validates requests does so here as well. What that JSON does not have is refused.

use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use crate::error::S3Error;
use crate::op::bucket_lifecycle;
use crate::xml::Writer;

/// What a member holds.
enum Kind {
    Text,
    Whole,
    Flag,
    Object(&'static [Member]),
    /// Objects, each of which becomes an element of this name.
    List(&'static str, &'static [Member]),
}

type Member = (&'static str, Kind);

const DOCUMENT: &[Member] = &[("Rules", Kind::List("Rule", RULE)), (MINIMUM, Kind::Text)];
/// Stands beside the rules, and is a header of the request.
const MINIMUM: &str = "TransitionDefaultMinimumObjectSize";
const RULE: &[Member] = &[
    ("ID", Kind::Text),
    ("Filter", Kind::Object(FILTER)),
    ("Prefix", Kind::Text),
    ("Status", Kind::Text),
    ("Transitions", Kind::List("Transition", TRANSITION)),
    ("Expiration", Kind::Object(EXPIRATION)),
    ("NoncurrentVersionTransitions", Kind::List("NoncurrentVersionTransition", NONCURRENT)),
    ("NoncurrentVersionExpiration", Kind::Object(NONCURRENT)),
    ("AbortIncompleteMultipartUpload", Kind::Object(&[("DaysAfterInitiation", Kind::Whole)])),
];
const TAG: &[Member] = &[("Key", Kind::Text), ("Value", Kind::Text)];
const FILTER: &[Member] = &[
    ("Prefix", Kind::Text),
    ("Tag", Kind::Object(TAG)),
    ("ObjectSizeGreaterThan", Kind::Whole),
    ("ObjectSizeLessThan", Kind::Whole),
    ("And", Kind::Object(AND)),
];
const AND: &[Member] = &[
    ("Prefix", Kind::Text),
    ("Tags", Kind::List("Tag", TAG)),
    ("ObjectSizeGreaterThan", Kind::Whole),
    ("ObjectSizeLessThan", Kind::Whole),
];
const TRANSITION: &[Member] = &[("Days", Kind::Whole), ("Date", Kind::Text), ("StorageClass", Kind::Text)];
const EXPIRATION: &[Member] = &[("Days", Kind::Whole), ("Date", Kind::Text), ("ExpiredObjectDeleteMarker", Kind::Flag)];
const NONCURRENT: &[Member] =
    &[("NoncurrentDays", Kind::Whole), ("NewerNoncurrentVersions", Kind::Whole), ("StorageClass", Kind::Text)];

/// Whether a body is JSON: no XML document begins as that does.
pub fn is_json(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// Whether a body is rules in JSON, and no question that brings them with prices.
pub fn has_rules(body: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(body).is_ok_and(|members| members.contains_key("Rules"))
}

/// The XML document. What is a header of the request goes to `headers`.
pub fn to_xml(json: &[u8], headers: &mut HeaderMap) -> Result<String, S3Error> {
    let document = serde_json::from_slice::<Map<String, Value>>(json);
    let mut document = document.map_err(|error| refused(&format!("the rules are no JSON of rules: {error}")))?;
    if let Some(minimum) = document.remove(MINIMUM) {
        let minimum = minimum.as_str().and_then(|text| HeaderValue::from_str(text).ok());
        headers.insert(bucket_lifecycle::MINIMUM, minimum.ok_or_else(|| misfit(MINIMUM))?);
    }
    let mut writer = Writer::new("LifecycleConfiguration");
    write(&mut writer, "the document", &document, DOCUMENT)?;
    Ok(writer.finish())
}

fn write(writer: &mut Writer, name: &str, found: &Map<String, Value>, known: &[Member]) -> Result<(), S3Error> {
    for (member, value) in found {
        let Some((_, kind)) = known.iter().find(|(known, _)| known == member) else {
            return Err(refused(&format!("{name} has no member {member:?}")));
        };
        match (kind, value) {
            (Kind::Text, Value::String(text)) => _ = writer.element(member, text),
            (Kind::Whole, Value::Number(number)) if number.is_i64() => _ = writer.element(member, number.to_string()),
            (Kind::Flag, Value::Bool(flag)) => _ = writer.element(member, flag.to_string()),
            (Kind::Object(known), Value::Object(found)) => write_object(writer, member, found, known)?,
            (Kind::List(element, known), Value::Array(list)) => {
                for found in list {
                    let found = found.as_object().ok_or_else(|| misfit(member))?;
                    write_object(writer, element, found, known)?;
                }
            }
            _ => return Err(misfit(member)),
        }
    }
    Ok(())
}

fn write_object(writer: &mut Writer, name: &str, found: &Map<String, Value>, known: &[Member]) -> Result<(), S3Error> {
    writer.open(name);
    write(writer, name, found, known)?;
    writer.close();
    Ok(())
}

fn misfit(member: &str) -> S3Error {
    refused(&format!("{member:?} is of another type"))
}

fn refused(what: &str) -> S3Error {
    S3Error::invalid_request(format!(
        "The rules are neither XML nor what aws s3api get-bucket-lifecycle-configuration prints: {what}"
    ))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{has_rules, is_json, to_xml};
    use crate::op::bucket_lifecycle::MINIMUM;

    /// Every member that there is.
    const RULES: &str = r#" {
        "TransitionDefaultMinimumObjectSize": "varies_by_storage_class",
        "Rules": [
            {"ID": "all <1>", "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": ""}],
             "ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 10}}, "Status": "Enabled",
             "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Date": "2030-01-01T00:00:00+00:00", "StorageClass": "GLACIER"}],
             "Expiration": {"ExpiredObjectDeleteMarker": true},
             "NoncurrentVersionTransitions": [{"NoncurrentDays": 30, "NewerNoncurrentVersions": 2, "StorageClass": "GLACIER"}],
             "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
             "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
            {"Prefix": "", "Status": "Disabled"}
        ]
    }"#;

    #[test]
    fn every_member_becomes_an_element() {
        assert!(is_json(RULES.as_bytes()) && has_rules(RULES.as_bytes()));
        assert!(!is_json(b"<a/>") && !has_rules(br#"{"rules": "", "prices": ""}"#));
        let mut headers = HeaderMap::new();
        let xml = to_xml(RULES.as_bytes(), &mut headers).unwrap();
        assert_eq!(headers[MINIMUM], "varies_by_storage_class");
        for (element, times) in [
            ("<Rule>", 2),
            ("<ID>all &lt;1&gt;</ID>", 1),
            ("<Tag>", 2),
            ("<Transition>", 2),
            ("<Date>2030-01-01T00:00:00+00:00</Date>", 1),
            ("<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>", 1),
            ("<NoncurrentVersionTransition>", 1),
            ("<NoncurrentDays>", 2),
            ("<DaysAfterInitiation>7</DaysAfterInitiation>", 1),
            ("<Prefix></Prefix>", 1),
        ] {
            assert_eq!(xml.matches(element).count(), times, "{element} in {xml}");
        }
        assert!(!xml.contains("TransitionDefault"));
    }

    #[test]
    fn what_it_does_not_have_is_refused() {
        fn check(json: &str, expected: &str) {
            let error = to_xml(json.as_bytes(), &mut HeaderMap::new()).unwrap_err();
            assert_eq!(error.code, "InvalidRequest");
            assert!(error.message.contains(expected), "{json}: {}", error.message);
        }
        check("{", "no JSON");
        check(r#"{"Rules": [{"Sttus": "Enabled"}]}"#, "Rule has no member \"Sttus\"");
        check(r#"{"Rules": [], "rules": []}"#, "the document has no member \"rules\"");
        check(r#"{"Rules": [1]}"#, "\"Rules\" is of another type");
        check(r#"{"Rules": [{"Expiration": {"Days": "3"}}]}"#, "\"Days\" is of another type");
        check(r#"{"Rules": [{"Expiration": {"Days": 1.5}}]}"#, "\"Days\" is of another type");
        check(r#"{"Rules": [{"Filter": null}]}"#, "\"Filter\" is of another type");
        check(r#"{"TransitionDefaultMinimumObjectSize": 3, "Rules": []}"#, "another type");
    }
}
