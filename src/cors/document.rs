//! `CORSConfiguration` documents, both ways.

use serde::Deserialize;

use super::{Method, Rule};
use crate::error::S3Error;
use crate::xml::{self, Writer};

const RULES_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "CORSRule", default)]
    rules: Vec<RuleElement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleElement {
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "AllowedOrigin", default)]
    origins: Vec<String>,
    #[serde(rename = "AllowedMethod", default)]
    methods: Vec<String>,
    #[serde(rename = "AllowedHeader", default)]
    headers: Vec<String>,
    #[serde(rename = "ExposeHeader", default)]
    exposed: Vec<String>,
    #[serde(rename = "MaxAgeSeconds")]
    max_age_seconds: Option<u32>,
}

/// Reads and validates a document.
pub fn parse(bytes: &[u8]) -> Result<Vec<Rule>, S3Error> {
    let document: Document = xml::parse(bytes)?;
    if document.rules.is_empty() {
        return Err(S3Error::malformed_xml());
    }
    if document.rules.len() > RULES_MAX {
        return Err(S3Error::invalid_request(format!(
            "The number of CORS rules should not exceed allowed limit of {RULES_MAX} rules."
        )));
    }
    document.rules.into_iter().map(rule).collect()
}

fn rule(element: RuleElement) -> Result<Rule, S3Error> {
    let RuleElement { id, origins, methods, headers, exposed, max_age_seconds } = element;
    if origins.is_empty() || methods.is_empty() {
        return Err(S3Error::malformed_xml());
    }
    if id.as_ref().is_some_and(|id| id.chars().count() > ID_CHARS_MAX) {
        return Err(S3Error::invalid_request(format!(
            "The ID of a CORS rule has more than {ID_CHARS_MAX} characters."
        )));
    }
    for (element, patterns) in [("AllowedOrigin", &origins), ("AllowedHeader", &headers)] {
        if let Some(pattern) = patterns.iter().find(|pattern| pattern.matches('*').count() > 1) {
            return Err(S3Error::invalid_request(format!(
                "{element} \"{pattern}\" can not have more than one wildcard."
            )));
        }
    }
    if let Some(header) = exposed.iter().find(|header| header.contains('*')) {
        return Err(S3Error::invalid_request(format!(
            "ExposeHeader \"{header}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
        )));
    }
    let methods: Result<Vec<Method>, S3Error> = methods.iter().map(|name| method(name)).collect();
    Ok(Rule { id, origins, methods: methods?, headers, exposed, max_age_seconds })
}

fn method(name: &str) -> Result<Method, S3Error> {
    Method::parse(name).ok_or_else(|| {
        S3Error::invalid_request(format!("Found unsupported HTTP method in CORS config. Unsupported method is {name}"))
    })
}

/// Writes a document.
pub fn write(rules: &[Rule]) -> String {
    let mut writer = Writer::new("CORSConfiguration");
    for rule in rules {
        writer.open("CORSRule");
        if let Some(id) = &rule.id {
            writer.element("ID", id);
        }
        for origin in &rule.origins {
            writer.element("AllowedOrigin", origin);
        }
        for method in &rule.methods {
            writer.element("AllowedMethod", method.name());
        }
        for header in &rule.headers {
            writer.element("AllowedHeader", header);
        }
        for header in &rule.exposed {
            writer.element("ExposeHeader", header);
        }
        if let Some(seconds) = rule.max_age_seconds {
            writer.element("MaxAgeSeconds", seconds.to_string());
        }
        writer.close();
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::{RULES_MAX, parse, write};

    const MINIMAL: &str = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>";

    fn document(rules: &[&str]) -> String {
        let rules: String = rules.iter().map(|rule| format!("<CORSRule>{rule}</CORSRule>")).collect();
        format!("<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</CORSConfiguration>")
    }

    #[test]
    fn documents_read_back() {
        let full = "<ID>a</ID><AllowedOrigin>http://a</AllowedOrigin><AllowedOrigin>http://*.b</AllowedOrigin>\
                    <AllowedMethod>PUT</AllowedMethod><AllowedMethod>DELETE</AllowedMethod>\
                    <AllowedHeader>x-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
                    <MaxAgeSeconds>3000</MaxAgeSeconds>";
        let text = document(&[full, MINIMAL]);
        assert!(write(&parse(text.as_bytes()).expect("a valid document")).ends_with(&text));
        assert_eq!(parse(document(&[MINIMAL; RULES_MAX]).as_bytes()).expect("the most rules").len(), RULES_MAX);
    }

    #[test]
    fn faults() {
        fn check(rules: &[&str], code: &str, message: &str) {
            let error = parse(document(rules).as_bytes()).expect_err("a document to refuse");
            assert_eq!(error.code, code, "{rules:?}");
            assert!(error.message.starts_with(message), "{}", error.message);
        }
        let malformed = "MalformedXML";
        check(&[], malformed, "");
        check(&["<AllowedOrigin>*</AllowedOrigin>"], malformed, "");
        check(&["<AllowedMethod>GET</AllowedMethod>"], malformed, "");
        check(&[&format!("{MINIMAL}<MaxAgeSeconds>-1</MaxAgeSeconds>")], malformed, "");
        check(&[&format!("{MINIMAL}<Other/>")], malformed, "");
        let invalid = "InvalidRequest";
        let many = [MINIMAL; RULES_MAX + 1];
        check(&many, invalid, "The number of CORS rules should not exceed allowed limit of 100 rules.");
        let method = "Found unsupported HTTP method in CORS config. Unsupported method is ";
        for name in ["get", "PATCH", "OPTIONS", ""] {
            let rule = format!("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>{name}</AllowedMethod>");
            check(&[MINIMAL, &rule], invalid, &format!("{method}{name}"));
        }
        let origin = MINIMAL.replace('*', "http://*.*");
        check(&[&origin], invalid, "AllowedOrigin \"http://*.*\" can not have more than one wildcard.");
        let header = format!("{MINIMAL}<AllowedHeader>*-*</AllowedHeader>");
        check(&[&header], invalid, "AllowedHeader \"*-*\" can not have more than one wildcard.");
        check(&[&format!("{MINIMAL}<ExposeHeader>*</ExposeHeader>")], invalid, "ExposeHeader \"*\" contains wildcard.");
        check(&[&format!("{MINIMAL}<ID>{}</ID>", "a".repeat(256))], invalid, "The ID of a CORS rule");
    }
}
