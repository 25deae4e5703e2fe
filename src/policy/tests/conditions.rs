//! Every operator and every key: with a value that fits, one that does not, none, and several.

use std::net::IpAddr;

use strata_storage::Timestamp;

use super::super::key::{Kind, Presence, Shape};
use super::super::{ConditionKey, KeyValue, Policy, PolicyKind};
use super::{ACCOUNT, Keys, alice, allows, ask_with, denies, identity, parse, text, texts};

const OBJECT: &str = "arn:aws:s3:::bucket/key";

/// Whether an Allow with this condition allows a request that says `value` to `key`; a Deny must then deny as well.
fn holds(operator: &str, key: &str, wanted: &str, value: Option<KeyValue<'static>>) -> bool {
    let rest = format!(r#","Condition":{{"{operator}":{{"{key}":{wanted}}}}}"#);
    let keys = Keys(value.into_iter().map(|value| (key.to_owned(), value)).collect());
    let allowed = allows(ask_with(&identity("Allow", &rest), &alice(), "s3:GetObject", OBJECT, &keys));
    let denied = denies(ask_with(&identity("Deny", &rest), &alice(), "s3:GetObject", OBJECT, &keys));
    assert_eq!(allowed, denied, "{operator} {key} {wanted}");
    allowed
}

fn ip(address: &str) -> KeyValue<'static> {
    KeyValue::Ip(address.parse::<IpAddr>().expect("the test gives an address"))
}

fn date(seconds: u64) -> KeyValue<'static> {
    KeyValue::Date(Timestamp::from_secs(seconds))
}

#[test]
fn every_operator() {
    // 2026-01-02T03:04:05Z
    const MOMENT: u64 = 1_767_323_045;
    fn check(operator: &str, key: &str, wanted: &str, fitting: KeyValue<'static>, other: KeyValue<'static>) {
        let is_negated = operator.contains("Not");
        let label = format!("{operator} {key} {wanted}");
        assert_eq!(holds(operator, key, wanted, Some(fitting.clone())), !is_negated, "{label}: fitting");
        assert_eq!(holds(operator, key, wanted, Some(other.clone())), is_negated, "{label}: other");
        assert_eq!(holds(operator, key, wanted, None), is_negated, "{label}: absent");
        let if_exists = format!("{operator}IfExists");
        assert_eq!(holds(&if_exists, key, wanted, Some(fitting.clone())), !is_negated, "{label}: IfExists, fitting");
        assert_eq!(holds(&if_exists, key, wanted, Some(other.clone())), is_negated, "{label}: IfExists, other");
        assert!(holds(&if_exists, key, wanted, None), "{label}: IfExists, absent");
        let any = format!("ForAnyValue:{operator}");
        assert_eq!(holds(&any, key, wanted, Some(fitting.clone())), !is_negated, "{label}: any, fitting");
        assert!(!holds(&any, key, wanted, None), "{label}: any, absent");
        let all = format!("ForAllValues:{operator}");
        assert_eq!(holds(&all, key, wanted, Some(other)), is_negated, "{label}: all, other");
        assert!(holds(&all, key, wanted, None), "{label}: all, absent");
        assert!(holds(&format!("{any}IfExists"), key, wanted, None), "{label}: any, IfExists, absent");
        assert!(holds(&format!("{all}IfExists"), key, wanted, None), "{label}: all, IfExists, absent");
        if !wanted.starts_with('[') {
            assert_eq!(holds(operator, key, &format!("[{wanted}]"), Some(fitting)), !is_negated, "{label}: array");
        }
    }
    for operator in ["StringEquals", "StringNotEquals"] {
        check(operator, "s3:prefix", r#""home/""#, text("home/"), text("Home/"));
        check(operator, "s3:prefix", r#"["a","home/"]"#, text("home/"), text("home/x"));
        check(operator, "s3:prefix", r#""a*""#, text("a*"), text("ab"));
        check(operator, "s3:prefix", r#""""#, text(""), text("a"));
        check(operator, "aws:SecureTransport", "true", KeyValue::Bool(true), KeyValue::Bool(false));
        check(operator, "s3:max-keys", "10", KeyValue::Number(10), KeyValue::Number(11));
        check(operator, "aws:SourceIp", r#""10.0.0.1""#, ip("::ffff:10.0.0.1"), ip("10.0.0.2"));
        check(operator, "aws:CurrentTime", r#""2026-01-02T03:04:05Z""#, date(MOMENT), date(MOMENT + 1));
    }
    for operator in ["StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"] {
        check(operator, "s3:prefix", r#""home/ä""#, text("HOME/Ä"), text("HOME/A"));
        check(operator, "s3:prefix", r#""home/""#, text("HOME/"), text("HOMES"));
        check(operator, "s3:prefix", r#""a*""#, text("A*"), text("ab"));
    }
    for operator in ["StringLike", "StringNotLike"] {
        check(operator, "s3:prefix", r#""home/*""#, text("home/"), text("homes"));
        check(operator, "s3:prefix", r#""a?c""#, text("aäc"), text("ac"));
        check(operator, "s3:prefix", r#"["x","*b*"]"#, text("abc"), text("ac"));
        check(operator, "s3:prefix", r#""a${*}""#, text("a*"), text("ab"));
    }
    for operator in ["NumericEquals", "NumericNotEquals"] {
        check(operator, "s3:max-keys", r#""10""#, KeyValue::Number(10), KeyValue::Number(-10));
        check(operator, "s3:max-keys", "10", text("10.0"), text("ten"));
        check(operator, "s3:TlsVersion", r#"["1.2","1.3"]"#, text("1.3"), text("1.1"));
    }
    check("NumericLessThan", "s3:max-keys", r#""10""#, KeyValue::Number(9), KeyValue::Number(10));
    check("NumericLessThanEquals", "s3:max-keys", r#""10""#, KeyValue::Number(10), KeyValue::Number(11));
    check("NumericGreaterThan", "s3:max-keys", r#""-1.5""#, KeyValue::Number(-1), KeyValue::Number(-2));
    check("NumericGreaterThanEquals", "s3:TlsVersion", r#""1.2""#, text("1.20"), text("1.1"));
    for operator in ["DateEquals", "DateNotEquals"] {
        check(operator, "aws:CurrentTime", r#""2026-01-02T03:04:05Z""#, date(MOMENT), date(MOMENT + 1));
        check(operator, "aws:EpochTime", "1767323045", KeyValue::Number(1_767_323_045), KeyValue::Number(-1));
    }
    check("DateLessThan", "aws:CurrentTime", r#""2026-01-02T03:04:05Z""#, date(MOMENT - 1), date(MOMENT));
    check("DateLessThanEquals", "aws:CurrentTime", r#""2026-01-02T04:04:05+01:00""#, date(MOMENT), date(MOMENT + 1));
    check("DateGreaterThan", "aws:CurrentTime", r#""2026-01-02""#, date(MOMENT), date(MOMENT - 86_400));
    check("DateGreaterThanEquals", "aws:TokenIssueTime", r#""1767323045""#, date(MOMENT), date(MOMENT - 1));
    check("Bool", "aws:SecureTransport", r#""true""#, KeyValue::Bool(true), KeyValue::Bool(false));
    check("Bool", "aws:SecureTransport", "false", text("False"), text("no"));
    check("BinaryEquals", "s3:prefix", r#""QUJD""#, text("QUJD"), text("QUJE"));
    for operator in ["IpAddress", "NotIpAddress"] {
        check(operator, "aws:SourceIp", r#""203.0.113.0/24""#, ip("203.0.113.7"), ip("203.0.114.7"));
        check(operator, "aws:SourceIp", r#""203.0.113.7""#, ip("::ffff:203.0.113.7"), ip("203.0.113.8"));
        check(operator, "aws:SourceIp", r#""203.0.113.9/24""#, ip("203.0.113.7"), ip("2001:db8::1"));
        check(operator, "aws:SourceIp", r#"["10.0.0.0/8","2001:db8::/32"]"#, ip("2001:db8::1"), ip("2001:db9::1"));
        check(operator, "aws:SourceIp", r#""::ffff:10.0.0.0/104""#, ip("10.1.2.3"), ip("11.1.2.3"));
        check(operator, "aws:SourceIp", r#""0.0.0.0/0""#, ip("1.2.3.4"), ip("2001:db8::1"));
    }
    for operator in ["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"] {
        let role = |account: &str| text(&format!("arn:aws:iam::{account}:role/a/b"));
        check(operator, "aws:PrincipalArn", r#""arn:aws:iam::*:role/a/*""#, role(ACCOUNT), text("arn:aws:iam::x"));
        check(operator, "aws:PrincipalArn", r#""arn:aws:iam::111122223333:role/?/b""#, role(ACCOUNT), role("1"));
        // A wildcard does not reach over a colon, but in the last part.
        let topic = text("arn:aws:sns:eu-central-1:111122223333:a:b");
        check(operator, "aws:SourceArn", r#""arn:aws:sns:*:*:a*""#, topic.clone(), text("no arn"));
        check(operator, "aws:SourceArn", r#""arn:aws:sns:*::b""#, text("arn:aws:sns:eu::b"), topic);
    }
}

#[test]
fn presence() {
    fn check(wanted: &str, value: Option<KeyValue<'static>>, expected: bool) {
        assert_eq!(holds("Null", "aws:TagKeys", wanted, value), expected, "{wanted}");
    }
    check("true", None, true);
    check(r#""true""#, Some(texts(&[])), true);
    check("true", Some(texts(&["a"])), false);
    check(r#""false""#, None, false);
    check("false", Some(texts(&["a"])), true);
    check(r#"["true","false"]"#, None, true);
}

#[test]
fn several_values() {
    fn check(operator: &str, wanted: &str, values: &[&str], expected: bool) {
        assert_eq!(
            holds(operator, "aws:TagKeys", wanted, Some(texts(values))),
            expected,
            "{operator} {wanted} {values:?}"
        );
    }
    check("ForAllValues:StringEquals", r#"["a","b"]"#, &["a"], true);
    check("ForAllValues:StringEquals", r#"["a","b"]"#, &["b", "a"], true);
    check("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "c"], false);
    check("ForAllValues:StringEquals", r#"["a","b"]"#, &[], true);
    check("ForAnyValue:StringEquals", r#"["a","b"]"#, &["a", "c"], true);
    check("ForAnyValue:StringEquals", r#"["a","b"]"#, &["c"], false);
    check("ForAnyValue:StringEquals", r#"["a","b"]"#, &[], false);
    check("ForAnyValue:StringEqualsIfExists", r#"["a","b"]"#, &[], true);
    check("ForAllValues:StringNotEquals", r#"["a","b"]"#, &["c", "d"], true);
    check("ForAllValues:StringNotEquals", r#"["a","b"]"#, &["c", "a"], false);
    check("ForAnyValue:StringNotEquals", r#"["a","b"]"#, &["c", "a"], true);
    check("ForAnyValue:StringNotEquals", r#"["a","b"]"#, &["b", "a"], false);
    check("ForAnyValue:StringLike", r#""team-*""#, &["x", "team-1"], true);
    check("ForAllValues:StringLike", r#""team-*""#, &["x", "team-1"], false);
    check("ForAllValues:StringEqualsIgnoreCase", r#""A""#, &["a", "A"], true);
    check("ForAnyValue:NumericLessThan", "5", &["9", "4"], true);
    check("ForAllValues:NumericLessThan", "5", &["9", "4"], false);
}

/// Without a quantifier an Allow needs all of several values, and a Deny one.
#[test]
fn several_values_for_operators_of_one() {
    let rest = r#","Condition":{"StringEquals":{"aws:TagKeys":"a"}}"#;
    let keys = Keys(vec![("aws:TagKeys".to_owned(), texts(&["a", "b"]))]);
    assert!(!allows(ask_with(&identity("Allow", rest), &alice(), "s3:GetObject", OBJECT, &keys)));
    assert!(denies(ask_with(&identity("Deny", rest), &alice(), "s3:GetObject", OBJECT, &keys)));
}

#[test]
fn conditions_of_a_statement_are_all_needed() {
    let rest =
        r#","Condition":{"StringEquals":{"s3:prefix":"a","s3:delimiter":"/"},"Bool":{"aws:SecureTransport":"true"}}"#;
    let policy = identity("Allow", rest);
    let all = [("s3:prefix", text("a")), ("s3:delimiter", text("/")), ("aws:SecureTransport", KeyValue::Bool(true))];
    for missing in 0..=all.len() {
        let told = all.iter().enumerate().filter(|(index, _)| *index != missing);
        let keys = Keys(told.map(|(_, (key, value))| ((*key).to_owned(), value.clone())).collect());
        let allowed = allows(ask_with(&policy, &alice(), "s3:ListBucket", "arn:aws:s3:::bucket", &keys));
        assert_eq!(allowed, missing == all.len(), "without condition {missing}");
    }
}

#[test]
fn names_of_keys_ignore_case() {
    assert!(holds("StringEquals", "S3:PREFIX", r#""a""#, Some(text("a"))));
    assert!(holds("StringEquals", "AWS:userId", r#""a""#, Some(text("a"))));
    assert!(holds("StringEquals", "s3:existingObjectTag/Team", r#""a""#, Some(text("a"))));
    let policy = identity("Allow", r#","Condition":{"StringEquals":{"s3:ExistingObjectTag/Team":"a"}}"#);
    let keys = Keys(vec![("s3:ExistingObjectTag/team".to_owned(), text("a"))]);
    assert!(allows(ask_with(&policy, &alice(), "s3:GetObject", OBJECT, &keys)));
}

/// A value of `kind`, as a policy writes it and as a request says it, the operator for it, and another value.
fn sample(kind: Kind) -> (&'static str, &'static str, KeyValue<'static>, KeyValue<'static>) {
    match kind {
        Kind::Text => ("StringEquals", "one", text("one"), text("other")),
        Kind::Arn => {
            ("ArnLike", "arn:aws:iam::111122223333:role/*", text("arn:aws:iam::111122223333:role/a"), text("a"))
        }
        Kind::Number => ("NumericEquals", "3", KeyValue::Number(3), KeyValue::Number(4)),
        Kind::Date => ("DateEquals", "2026-01-02T03:04:05Z", date(1_767_323_045), date(0)),
        Kind::Bool => ("Bool", "true", KeyValue::Bool(true), KeyValue::Bool(false)),
        Kind::Ip => ("IpAddress", "10.0.0.0/8", ip("10.1.2.3"), ip("11.1.2.3")),
    }
}

#[test]
fn every_key() {
    for key in ConditionKey::all().filter(|key| *key != ConditionKey::Claim) {
        let separator = if key == ConditionKey::KmsEncryptionContext { ":" } else { "/" };
        let name = match key.shape() {
            Shape::Named => format!("{}{separator}Team", key.name()),
            _ => key.name().to_owned(),
        };
        let (operator, wanted, fitting, other) = sample(key.kind());
        let wanted = format!("\"{wanted}\"");
        assert_eq!(ConditionKey::named(&name.to_uppercase()).map(|(key, _)| key), Some(key), "{name}");
        if key.presence() == Presence::Never {
            continue;
        }
        for (operator, value, expected) in [
            (operator.to_owned(), Some(fitting.clone()), true),
            (operator.to_owned(), Some(other.clone()), false),
            (operator.to_owned(), None, false),
            (format!("{operator}IfExists"), None, true),
            (format!("{operator}IfExists"), Some(other), false),
            (format!("ForAllValues:{operator}"), None, true),
            (format!("ForAnyValue:{operator}"), None, false),
            (format!("ForAnyValue:{operator}"), Some(fitting), true),
        ] {
            assert_eq!(holds(&operator, &name, &wanted, value), expected, "{operator} {name}");
        }
        assert!(holds("Null", &name, "true", None) && !holds("Null", &name, "false", None), "{name}");
        let policy = identity("Allow", &format!(r#","Condition":{{"{operator}":{{"{name}":{wanted}}}}}"#));
        assert!(policy.mentions(key), "{name}");
        assert!(!ConditionKey::all().any(|another| another != key && policy.mentions(another)), "{name}");
    }
}

/// A key that no request has may neither keep a Deny from denying nor leave an Allow without its limit.
#[test]
fn keys_that_are_never_present() {
    fn check(effect: &str, operator: &str, key: &str, wanted: &str, is_accepted: bool) {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{{"{operator}":{{"{key}":"{wanted}"}}}}}}}}"#
        );
        let policy = Policy::parse(text.as_bytes(), &PolicyKind::Identity);
        match policy {
            Ok(_) => assert!(is_accepted, "{text}"),
            Err(fault) => {
                assert!(!is_accepted, "{text}");
                assert_eq!(fault.message, "Policy has an invalid condition key");
            }
        }
    }
    for key in ConditionKey::all().filter(|key| key.presence() == Presence::Never) {
        let (operator, wanted, ..) = sample(key.kind());
        check("Deny", operator, key.name(), wanted, false);
        check("Allow", operator, key.name(), wanted, true);
        check("Deny", &format!("{operator}IfExists"), key.name(), wanted, true);
        check("Allow", &format!("{operator}IfExists"), key.name(), wanted, false);
        check("Deny", &format!("ForAllValues:{operator}"), key.name(), wanted, true);
        check("Allow", &format!("ForAllValues:{operator}"), key.name(), wanted, false);
        check("Deny", &format!("ForAnyValue:{operator}"), key.name(), wanted, false);
        check("Deny", "Null", key.name(), "true", true);
        check("Deny", "Null", key.name(), "false", false);
        check("Allow", "Null", key.name(), "true", false);
    }
    check("Deny", "StringNotEquals", "aws:PrincipalOrgID", "o-1", true);
    check("Allow", "StringNotEquals", "aws:SourceOwner", "000000000001", false);
    check("Deny", "StringEquals", "aws:SourceVpc", "vpc-1", true);
}

#[test]
fn claims_of_identity_providers() {
    let trust = |key: &str| {
        let provider = "arn:aws:iam::111122223333:oidc-provider/id.example.com/realms/x";
        format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"Federated":"{provider}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringEquals":{{"{key}":"one"}}}}}}}}"#
        )
    };
    let policy = parse(&trust("id.example.com/realms/x:aud"), &PolicyKind::Trust);
    let provider = "arn:aws:iam::111122223333:oidc-provider/id.example.com/realms/x".to_owned();
    let asks = super::Principal::Federated { provider };
    for (value, expected) in [("one", true), ("two", false)] {
        let keys = Keys(vec![("id.example.com/realms/x:aud".to_owned(), text(value))]);
        let decision = ask_with(&policy, &asks, "sts:AssumeRoleWithWebIdentity", "*", &keys);
        assert_eq!(allows(decision), expected, "{value}");
    }
    assert!(!allows(ask_with(&policy, &asks, "sts:AssumeRoleWithWebIdentity", "*", &Keys(Vec::new()))));
    assert!(!allows(ask_with(&policy, &alice(), "sts:AssumeRoleWithWebIdentity", "*", &Keys(Vec::new()))));
    for key in ["other.example.com:aud", "id.example.com:aud", "id.example.com/realms/x:", "aud"] {
        assert!(Policy::parse(trust(key).as_bytes(), &PolicyKind::Trust).is_err(), "{key}");
    }
}
