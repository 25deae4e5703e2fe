//! Actions, resources and variables: what a statement speaks about.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::super::pattern::{self, Part, PatternSet, Piece};
use super::super::variable::{self, Substitution, Syntax, Wildcards};
use super::super::{Action, NoKeys, PolicyKind};
use super::{Keys, alice, allows, ask, ask_with, bucket_kind, denies, parse, text, texts};

const WILD: Syntax = Syntax { wildcards: Wildcards::Special, variables: Substitution::Variables };

fn pieces(text: &str) -> Vec<Piece<'static>> {
    let parts = variable::parts(text, WILD).expect("the pattern is well-formed");
    pattern::fixed(&parts).expect("the pattern has no variables")
}

#[test]
fn patterns() {
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(pattern::matches(&pieces(pattern), text), expected, "{pattern} on {text}");
        let set = PatternSet::new(vec![variable::parts(pattern, WILD).expect("the pattern is well-formed")]);
        assert_eq!(set.matches(text, &NoKeys), expected, "{pattern} on {text}, in a set");
    }
    for (pattern, text) in [
        ("", ""),
        ("*", ""),
        ("*", "anything"),
        ("**", "anything"),
        ("a", "a"),
        ("a*", "a"),
        ("a*", "abc"),
        ("*c", "abc"),
        ("a*c", "ac"),
        ("a*c", "abcbc"),
        ("a*b*c", "aXbYbZc"),
        ("?", "ä"),
        ("?*", "ab"),
        ("*?", "ab"),
        ("a?c", "a*c"),
        ("*?b?*", "aabaa"),
        ("*ab", "aab"),
        ("*aab*", "aaab"),
        ("*a?b", "aaxb"),
        ("a${*}", "a*"),
        ("${?}${$}{x}", "?${x}"),
        ("$x", "$x"),
    ] {
        check(pattern, text, true);
    }
    for (pattern, text) in [
        ("", "a"),
        ("a", ""),
        ("a", "A"),
        ("a", "ab"),
        ("a*", "ba"),
        ("*c", "cb"),
        ("a*c", "abcb"),
        ("a*a", "a"),
        ("?", ""),
        ("?", "ab"),
        ("??", "ä"),
        ("*?", ""),
        ("*a?b", "axxb"),
        ("a${*}", "ab"),
    ] {
        check(pattern, text, false);
    }
}

/// A set answers as its members do one by one: the sorted parts must not lose any.
#[test]
fn sets_of_patterns() {
    let patterns = ["a/*", "a/b/*", "ab*", "b", "c/*", "c", "", "d?", "*e", "a", "a/b"];
    let parts = patterns.iter().map(|pattern| variable::parts(pattern, WILD).expect("well-formed")).collect();
    let set = PatternSet::new(parts);
    for text in
        ["", "a", "a/", "a/b", "a/b/c", "aa", "ab", "abc", "b", "ba", "c", "c/", "cc", "d", "dd", "e", "xe", "z"]
    {
        let expected = patterns.iter().any(|pattern| pattern::matches(&pieces(pattern), text));
        assert_eq!(set.matches(text, &NoKeys), expected, "{text}");
    }
}

#[test]
fn hostile_patterns_are_not_exponential() {
    let texts = ["a".repeat(1100), format!("{}b", "ab".repeat(550)), "aab".repeat(366)];
    let start = Instant::now();
    for pattern in ["*a*a*a*a*a*a*a*a*a*a*b", "*a?*a?*a?*a?*a?*a?*c", "*aaaaaaaaaaaab*c", "*?*?*?*?*?*?*?*?*c?"] {
        for text in &texts {
            assert!(!pattern::matches(&pieces(pattern), &format!("{text}x")));
        }
    }
    // Some hundred microseconds are expected. An exponential matcher would not end at all.
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn actions() {
    fn check(element: &str, action: &str, expected: bool) {
        let statement = format!(r#"{{"Statement":{{"Effect":"Allow",{element},"Resource":"*"}}}}"#);
        let policy = parse(&statement, &PolicyKind::Identity);
        assert_eq!(allows(ask(&policy, &alice(), action, "arn:aws:s3:::b/k")), expected, "{element} on {action}");
    }
    check(r#""Action":"*""#, "iam:CreateUser", true);
    check(r#""Action":"s3:*""#, "s3:GetObject", true);
    check(r#""Action":"s3:*""#, "iam:CreateUser", false);
    check(r#""Action":"s3:GetObject""#, "s3:GetObject", true);
    check(r#""Action":"s3:GetObject""#, "s3:GetObjectAcl", false);
    check(r#""Action":"S3:GETOBJECT""#, "s3:GetObject", true);
    check(r#""Action":"s3:Get*""#, "s3:GetObjectAcl", true);
    check(r#""Action":"s3:*Acl""#, "s3:GetObjectAcl", true);
    check(r#""Action":"s3:*Acl""#, "s3:GetObject", false);
    check(r#""Action":"s3:GetObject*""#, "s3:GetBucketAcl", false);
    check(r#""Action":"s3:?etObject""#, "s3:GetObject", true);
    check(r#""Action":["s3:PutObject","s3:GetObject"]"#, "s3:GetObject", true);
    check(r#""Action":"ec2:*""#, "s3:GetObject", false);
    check(r#""NotAction":"s3:GetObject""#, "s3:GetObject", false);
    check(r#""NotAction":"s3:GetObject""#, "s3:PutObject", true);
    check(r#""NotAction":"iam:*""#, "s3:PutObject", true);
    check(r#""NotAction":["iam:*","s3:*"]"#, "s3:PutObject", false);
    check(r#""NotAction":"ec2:*""#, "s3:PutObject", true);
}

#[test]
fn names_of_actions() {
    const GET: Action = Action::known("s3:GetObject");
    assert_eq!(Action::named("S3:getobject"), Some(GET));
    assert_eq!(GET.name(), "s3:GetObject");
    assert_eq!(Action::named("s3:*"), None);
    assert_eq!(Action::named(""), None);
    for action in Action::all() {
        assert_eq!(Action::named(action.name()), Some(action), "{} stands in the table once", action.name());
    }
}

#[test]
fn resources() {
    fn check(element: &str, resource: &str, expected: bool) {
        let statement =
            format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*",{element}}}}}"#);
        let policy = parse(&statement, &PolicyKind::Identity);
        let keys = Keys(vec![
            ("aws:username".to_owned(), text("alice")),
            ("aws:PrincipalTag/team".to_owned(), text("a*")),
            ("s3:prefix".to_owned(), texts(&["a", "b"])),
        ]);
        let decision = ask_with(&policy, &alice(), "s3:GetObject", resource, &keys);
        assert_eq!(allows(decision), expected, "{element} on {resource}");
    }
    for (element, resource, expected) in [
        (r#""*""#, "arn:aws:s3:::b/k", true),
        (r#""*""#, "*", true),
        (r#""arn:aws:s3:::b""#, "arn:aws:s3:::b", true),
        (r#""arn:aws:s3:::b""#, "arn:aws:s3:::b/k", false),
        (r#""arn:aws:s3:::b""#, "arn:aws:s3:::B", false),
        (r#""arn:aws:s3:::b/*""#, "arn:aws:s3:::b", false),
        (r#""arn:aws:s3:::b/*""#, "arn:aws:s3:::b/", true),
        (r#""arn:aws:s3:::b/*""#, "arn:aws:s3:::b/k/l:m", true),
        (r#""arn:aws:s3:::b*""#, "arn:aws:s3:::bc/k", true),
        (r#""arn:aws:s3:::b/*.jpg""#, "arn:aws:s3:::b/x/y.jpg", true),
        (r#""arn:aws:s3:::b/*.jpg""#, "arn:aws:s3:::b/x/y.jpeg", false),
        (r#""arn:aws:s3:::b/?""#, "arn:aws:s3:::b/xy", false),
        (r#""arn:aws:s3:*:*:b/*""#, "arn:aws:s3:::b/k", true),
        (r#""arn:*:s3:::b/*""#, "arn:aws:s3:::b/k", true),
        (r#""arn:aws:*:::b/*""#, "arn:aws:s3:::b/k", true),
        (r#""arn:aws:s3:*:b:c""#, "arn:aws:s3:a:x:b:c", false),
        (r#""arn:aws:*:*:*:*""#, "arn:aws:s3:::b/k", true),
        (r#""arn:aws:*:*:*:*""#, "*", false),
        (r#"["arn:aws:s3:::a/*","arn:aws:s3:::b/*"]"#, "arn:aws:s3:::b/k", true),
        (r#""arn:aws:s3:::b/${aws:username}/*""#, "arn:aws:s3:::b/alice/k", true),
        (r#""arn:aws:s3:::b/${aws:username}/*""#, "arn:aws:s3:::b/bob/k", false),
        (r#""arn:aws:s3:::b/${aws:USERNAME}""#, "arn:aws:s3:::b/alice", true),
        // Wildcards in values are ordinary characters.
        (r#""arn:aws:s3:::b/${aws:PrincipalTag/Team}/*""#, "arn:aws:s3:::b/a*/k", true),
        (r#""arn:aws:s3:::b/${aws:PrincipalTag/Team}/*""#, "arn:aws:s3:::b/ab/k", false),
        (r#""arn:aws:s3:::b/${aws:PrincipalTag/none}/*""#, "arn:aws:s3:::b//k", false),
        (r#""arn:aws:s3:::b/${aws:PrincipalTag/none, 'all'}/*""#, "arn:aws:s3:::b/all/k", true),
        (r#""arn:aws:s3:::b/${aws:PrincipalTag/none,'*'}/*""#, "arn:aws:s3:::b/x/k", false),
        (r#""arn:aws:s3:::b/${s3:prefix}*""#, "arn:aws:s3:::b/a", false),
        (r#""arn:aws:s3:::b/${*}""#, "arn:aws:s3:::b/k", false),
        (r#""arn:aws:s3:::b/${*}""#, "arn:aws:s3:::b/*", true),
        (r#""arn:aws:s3:::${aws:username}/${$}""#, "arn:aws:s3:::alice/$", true),
        (r#""arn:aws:s3::${aws:username}:b""#, "arn:aws:s3::alice:b", true),
    ] {
        check(&format!(r#""Resource":{element}"#), resource, expected);
        let has_a_value = !element.contains("none}") && !element.contains("s3:prefix");
        check(&format!(r#""NotResource":{element}"#), resource, !expected && has_a_value);
    }
}

#[test]
fn the_older_version_has_no_variables() {
    let policy = parse(
        r#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/${aws:username}"}}"#,
        &PolicyKind::Identity,
    );
    let keys = Keys(vec![("aws:username".to_owned(), text("alice"))]);
    assert!(!allows(ask_with(&policy, &alice(), "s3:GetObject", "arn:aws:s3:::b/alice", &keys)));
    assert!(allows(ask_with(&policy, &alice(), "s3:GetObject", "arn:aws:s3:::b/${aws:username}", &keys)));
}

/// A variable without a value makes the statement not match, whatever its effect and its operator.
#[test]
fn variables_without_a_value() {
    for (operator, value) in [
        ("StringEquals", "${aws:username}"),
        ("StringNotEquals", "${aws:username}"),
        ("StringEqualsIgnoreCase", "${aws:username}"),
        ("StringNotEqualsIgnoreCase", "${aws:username}"),
        ("StringNotLike", "${aws:username}*"),
        ("ForAllValues:StringNotEquals", "${aws:username}"),
        ("ArnNotLike", "arn:aws:s3:::${aws:username}"),
        ("ArnLike", "arn:aws:s3:::${aws:username}"),
    ] {
        for effect in ["Allow", "Deny"] {
            let condition = format!(r#","Condition":{{"{operator}":{{"s3:prefix":"{value}"}}}}"#);
            let policy = super::identity(effect, &condition);
            let mut told = vec![("s3:prefix".to_owned(), text("arn:aws:s3:::x"))];
            let ask = |told: &Vec<_>| {
                let keys = Keys(told.clone());
                let decision = ask_with(&policy, &alice(), "s3:ListBucket", "arn:aws:s3:::b", &keys);
                allows(decision) || denies(decision)
            };
            assert!(!ask(&told), "{effect} {operator} without the variable");
            told.push(("aws:username".to_owned(), text("alice")));
            assert_eq!(ask(&told), operator.contains("Not"), "{effect} {operator} with it");
            assert!(policy.mentions(super::ConditionKey::AwsUsername));
        }
    }
    // Another value of the list can still be the one.
    let policy = super::identity("Allow", r#","Condition":{"StringEquals":{"s3:prefix":["${aws:username}","all"]}}"#);
    let keys = Keys(vec![("s3:prefix".to_owned(), text("all"))]);
    assert!(allows(ask_with(&policy, &alice(), "s3:ListBucket", "arn:aws:s3:::b", &keys)));
}

#[test]
fn a_deny_outweighs() {
    let policy = parse(
        r#"{"Statement":[
            {"Sid":"all","Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]},
            {"Sid":"not-secret","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/secret/*"}]}"#,
        &bucket_kind(),
    );
    assert!(allows(ask(&policy, &alice(), "s3:GetObject", "arn:aws:s3:::bucket/open")));
    let denied = ask(&policy, &alice(), "s3:GetObject", "arn:aws:s3:::bucket/secret/x");
    assert_eq!(denied, super::Decision::Deny { statement: 1 });
    assert_eq!(policy.statement_id(1), Some("not-secret"));
    assert!(allows(ask(&policy, &alice(), "s3:PutObject", "arn:aws:s3:::bucket/secret/x")));
    assert_eq!(ask(&policy, &alice(), "s3:PutObject", "arn:aws:s3:::other/x"), super::Decision::Silent);
}

#[test]
fn parts_keep_their_order() {
    let parts = variable::parts("a*${aws:username}?${$}b", WILD).expect("well-formed");
    let fixed = |text: &str| Part::Fixed(Piece::Text(Cow::Owned(text.to_owned())));
    assert_eq!(parts[0], fixed("a"));
    assert_eq!(parts[1], Part::Fixed(Piece::Many));
    assert!(matches!(parts[2], Part::Variable(_)));
    assert_eq!(parts[3], Part::Fixed(Piece::One));
    assert_eq!(parts[4], fixed("$b"));
    assert_eq!(parts.len(), 5);
}
