//! The policy of a form: until when it holds, what its fields may say, and how long its file may be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use serde_json::Value;
use strata_storage::Timestamp;

use super::fields::Fields;
use crate::error::S3Error;
use crate::time::parse_iso8601;

/// How long the file may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LengthRange {
    /// At least this.
    pub least: u64,
    /// At most this.
    pub most: u64,
}

impl Default for LengthRange {
    fn default() -> LengthRange {
        LengthRange { least: 0, most: u64::MAX }
    }
}

/// A policy as its signer wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
    /// How long the file may be.
    pub lengths: LengthRange,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    /// The field, in lower case.
    field: String,
    operator: Operator,
    value: String,
    /// As errors show it.
    shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    StartsWith,
}

impl Policy {
    /// Reads the base64 text of a policy field.
    pub fn parse(text: &str) -> Result<Policy, S3Error> {
        let compact: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        let json = BASE64.decode(compact).map_err(|_| invalid("Invalid Base64 encoding."))?;
        let document: Value = serde_json::from_slice(&json).map_err(|_| invalid("Invalid JSON."))?;
        let Value::Object(document) = document else { return Err(invalid("Invalid JSON.")) };
        let expiration = document.get("expiration").ok_or_else(|| invalid("Policy missing expiration."))?;
        let expiration = expiration.as_str().and_then(parse_iso8601).ok_or_else(|| {
            invalid(&format!("Invalid 'expiration' value: '{}'", expiration.as_str().unwrap_or_default()))
        })?;
        let conditions = document.get("conditions").ok_or_else(|| invalid("Policy missing conditions."))?;
        let conditions = conditions.as_array().ok_or_else(|| invalid("Invalid 'conditions' value: must be a List."))?;
        if let Some(name) = document.keys().find(|name| *name != "expiration" && *name != "conditions") {
            return Err(invalid(&format!("Unexpected: '{name}'")));
        }
        let mut policy = Policy { expiration, conditions: Vec::new(), lengths: LengthRange::default() };
        for condition in conditions {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> Result<(), S3Error> {
        match condition {
            Value::Object(pairs) => {
                for (name, value) in pairs {
                    let value = value.as_str().ok_or_else(|| malformed_condition(condition))?;
                    self.conditions.push(Condition::new(Operator::Equals, name, value));
                }
                Ok(())
            }
            Value::Array(parts) => self.add_triple(condition, parts),
            _ => Err(malformed_condition(condition)),
        }
    }

    fn add_triple(&mut self, condition: &Value, parts: &[Value]) -> Result<(), S3Error> {
        let malformed = || malformed_condition(condition);
        let [operator, first, second] = parts else { return Err(malformed()) };
        let operator = match operator.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("eq") => Operator::Equals,
            Some("starts-with") => Operator::StartsWith,
            Some("content-length-range") => {
                let (least, most) = length(first).zip(length(second)).ok_or_else(malformed)?;
                // Two ranges hold together, as all conditions do.
                self.lengths.least = self.lengths.least.max(least);
                self.lengths.most = self.lengths.most.min(most);
                return Ok(());
            }
            _ => return Err(malformed()),
        };
        let (name, value) = first.as_str().zip(second.as_str()).ok_or_else(malformed)?;
        let name = name.strip_prefix('$').ok_or_else(malformed)?;
        self.conditions.push(Condition::new(operator, name, value));
        Ok(())
    }

    /// Whether it permits a form with these fields for `bucket` now.
    pub fn check(&self, fields: &Fields, bucket: &str, now: Timestamp) -> Result<(), S3Error> {
        if self.expiration < now {
            return Err(denied("Policy expired."));
        }
        for condition in &self.conditions {
            let sent = match condition.field.as_str() {
                "bucket" => Some(bucket),
                name => fields.get(name),
            };
            if !sent.is_some_and(|sent| condition.holds(sent)) {
                return Err(denied(&format!("Policy Condition failed: {}", condition.shown)));
            }
        }
        // A field of that name is no address: the request's own bucket counts.
        if fields.get("bucket").is_some_and(|named| named != bucket) {
            return Err(denied("Policy Condition failed: the form names another bucket than its address"));
        }
        let is_met = |name: &str| self.conditions.iter().any(|condition| condition.field == name);
        let extra: Vec<&str> =
            fields.iter().map(|(name, _)| name).filter(|name| needs_condition(name) && !is_met(name)).collect();
        if extra.is_empty() { Ok(()) } else { Err(denied(&format!("Extra input fields: {}", extra.join(", ")))) }
    }
}

impl Condition {
    fn new(operator: Operator, name: &str, value: &str) -> Condition {
        let word = match operator {
            Operator::Equals => "eq",
            Operator::StartsWith => "starts-with",
        };
        let quote = |text: &str| Value::from(text).to_string();
        let shown = format!("[{}, {}, {}]", quote(word), quote(&format!("${name}")), quote(value));
        Condition { field: name.to_ascii_lowercase(), operator, value: value.to_owned(), shown }
    }

    fn holds(&self, sent: &str) -> bool {
        match self.operator {
            Operator::Equals => self.value == sent,
            // A list of content types must begin so in all its parts.
            Operator::StartsWith if self.field == "content-type" => {
                sent.split(',').all(|part| part.trim_start().starts_with(&self.value))
            }
            Operator::StartsWith => sent.starts_with(&self.value),
        }
    }
}

/// What a policy need not speak of.
fn needs_condition(name: &str) -> bool {
    !matches!(name, "x-amz-signature" | "file" | "policy") && !name.starts_with("x-ignore-")
}

fn length(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn invalid(reason: &str) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidPolicyDocument", format!("Invalid Policy: {reason}"))
}

fn malformed_condition(condition: &Value) -> S3Error {
    invalid(&format!("Invalid Condition: {condition}"))
}

fn denied(reason: &str) -> S3Error {
    S3Error::access_denied(format!("Invalid according to Policy: {reason}"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use strata_storage::Timestamp;

    use super::{Fields, LengthRange, Policy};
    use crate::error::S3Error;

    /// 2026-10-01
    const NOW: u64 = 1_790_812_800;

    fn parse(json: &str) -> Result<Policy, S3Error> {
        Policy::parse(&BASE64.encode(json))
    }

    fn with_conditions(conditions: &str) -> String {
        format!("{{\"expiration\": \"2026-10-03T12:00:00.000Z\", \"conditions\": {conditions}}}")
    }

    #[test]
    fn conditions_hold_or_deny() {
        fn check(conditions: &str, fields: &[(&str, &str)], expected: Option<&str>) {
            let policy = parse(&with_conditions(conditions)).expect(conditions);
            let mut sent = Fields::default();
            for (name, value) in fields {
                sent.add(name, (*value).to_owned()).expect("names that differ");
            }
            let found = policy.check(&sent, "bucket", Timestamp::from_secs(NOW));
            let found = found.err().map(|error| (error.code, error.message.into_owned()));
            let expected = expected.map(|reason| ("AccessDenied", format!("Invalid according to Policy: {reason}")));
            assert_eq!(found, expected, "{conditions} {fields:?}");
        }
        check("[]", &[], None);
        check(r#"[{"bucket": "bucket"}]"#, &[], None);
        check(r#"[{"bucket": "other"}]"#, &[], Some(r#"Policy Condition failed: ["eq", "$bucket", "other"]"#));
        check(
            r#"[{"bucket": "bucket"}]"#,
            &[("bucket", "other")],
            Some("Policy Condition failed: the form names another bucket than its address"),
        );
        check(r#"[["eq", "$Key", "a"]]"#, &[("key", "a")], None);
        let failed = Some(r#"Policy Condition failed: ["eq", "$Key", "a"]"#);
        check(r#"[["eq", "$Key", "a"]]"#, &[("key", "A")], failed);
        check(r#"[["eq", "$Key", "a"]]"#, &[], failed);
        check(r#"[["starts-with", "$key", "user/"]]"#, &[("key", "user/x")], None);
        check(r#"[["starts-with", "$key", ""]]"#, &[("key", "anything")], None);
        let failed = Some(r#"Policy Condition failed: ["starts-with", "$key", "user/"]"#);
        check(r#"[["starts-with", "$key", "user/"]]"#, &[("key", "x")], failed);
        check(r#"[["starts-with", "$Content-Type", "image/"]]"#, &[("content-type", "image/a, image/b")], None);
        let failed = Some(r#"Policy Condition failed: ["starts-with", "$Content-Type", "image/"]"#);
        check(r#"[["starts-with", "$Content-Type", "image/"]]"#, &[("content-type", "image/a,text/b")], failed);
        let free = [("x-amz-signature", "s"), ("policy", "p"), ("x-ignore-a", "1")];
        check("[]", &free, None);
        check("[]", &[("x-amz-meta-a", "1"), ("acl", "private")], Some("Extra input fields: x-amz-meta-a, acl"));
    }

    #[test]
    fn policies_expire() {
        let policy = parse(&with_conditions("[]")).expect("a policy");
        let check = |now| policy.check(&Fields::default(), "bucket", Timestamp::from_secs(now));
        assert!(check(NOW + 216_000).is_ok());
        let error = check(NOW + 216_001).expect_err("a policy that is over");
        assert_eq!((error.status.as_u16(), error.code), (403, "AccessDenied"));
        assert_eq!(error.message, "Invalid according to Policy: Policy expired.");
    }

    #[test]
    fn lengths() {
        fn check(conditions: &str, least: u64, most: u64) {
            let policy = parse(&with_conditions(conditions)).expect(conditions);
            assert_eq!(policy.lengths, LengthRange { least, most });
        }
        check("[]", 0, u64::MAX);
        check(r#"[["content-length-range", 1, 10]]"#, 1, 10);
        check(r#"[["content-length-range", "1", "10"], ["content-length-range", 0, 5]]"#, 1, 5);
    }

    #[test]
    fn faults() {
        fn check(json: &str, reason: &str) {
            let error = parse(json).expect_err(json);
            assert_eq!((error.status.as_u16(), error.code), (400, "InvalidPolicyDocument"), "{json}");
            assert!(error.message.starts_with(&format!("Invalid Policy: {reason}")), "{}", error.message);
        }
        check("", "Invalid JSON.");
        check("[]", "Invalid JSON.");
        check("{\"conditions\": []}", "Policy missing expiration.");
        check("{\"expiration\": \"soon\", \"conditions\": []}", "Invalid 'expiration' value: 'soon'");
        check("{\"expiration\": \"2026-10-03T12:00:00Z\"}", "Policy missing conditions.");
        check(&with_conditions("{}"), "Invalid 'conditions' value: must be a List.");
        for condition in [
            "1",
            "[]",
            r#"["eq", "$key"]"#,
            r#"["eq", "key", "a"]"#,
            r#"["like", "$key", "a"]"#,
            r#"["eq", "$key", 1]"#,
            r#"{"key": 1}"#,
            r#"["content-length-range", "a", 1]"#,
            r#"["content-length-range", -1, 1]"#,
        ] {
            check(&with_conditions(&format!("[{condition}]")), "Invalid Condition: ");
        }
        assert_eq!(Policy::parse("%").expect_err("no base64").message, "Invalid Policy: Invalid Base64 encoding.");
    }
}
