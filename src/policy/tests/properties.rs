//! What holds for every policy: more Denies never allow more, more Allows never allow less, text reads back, nothing panics.

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::super::pattern::{self, PatternSet};
use super::super::variable::{self, Substitution, Syntax, Wildcards};
use super::super::{KeyValue, NoKeys, Policy, PolicyKind, Principal};
use super::{
    ACCOUNT, ALICE_ID, Keys, OTHER, ROLE_ID, alice, allows, ask_with, bucket_kind, denies, parse, root, session, text,
    texts,
};

fn one_of(choices: Vec<String>) -> impl Strategy<Value = String> {
    proptest::sample::select(choices)
}

fn owned(choices: &[&str]) -> Vec<String> {
    choices.iter().map(|choice| (*choice).to_owned()).collect()
}

fn principal_element() -> impl Strategy<Value = String> {
    let names = vec![
        r#""*""#.to_owned(),
        r#"{"AWS":"*"}"#.to_owned(),
        format!(r#"{{"AWS":"{ACCOUNT}"}}"#),
        format!(r#"{{"AWS":["{OTHER}","{ALICE_ID}"],"Service":"logging.s3.amazonaws.com"}}"#),
        format!(r#"{{"AWS":["{ACCOUNT}","{ROLE_ID}","{ROLE_ID}:now"]}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:user/team/alice"}}"#),
    ];
    (one_of(owned(&["Principal", "NotPrincipal"])), one_of(names))
        .prop_map(|(name, value)| format!(r#""{name}":{value}"#))
}

fn condition_element() -> impl Strategy<Value = String> {
    let operators = owned(&[
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringNotLikeIfExists",
        "ForAnyValue:StringLike",
        "ForAllValues:StringEquals",
        "StringEqualsIgnoreCase",
        "NumericLessThan",
    ]);
    let keys = owned(&["s3:prefix", "s3:delimiter", "aws:TagKeys", "aws:PrincipalTag/team", "s3:max-keys"]);
    let values = owned(&["1", "2"]);
    let texts = owned(&["1", "a", "a*", "${aws:username}", "${aws:username, 'a'}", "", "*"]);
    let condition = (one_of(operators), one_of(keys), proptest::collection::vec(one_of(texts), 1..3), one_of(values));
    condition.prop_map(|(operator, key, texts, number)| {
        let values = if operator.starts_with("Numeric") { vec![number] } else { texts };
        let values: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        format!(r#","Condition":{{"{operator}":{{"{key}":[{}]}}}}"#, values.join(","))
    })
}

fn statement(effects: &'static [&'static str]) -> impl Strategy<Value = String> {
    let actions = owned(&[
        r#""Action":"s3:*""#,
        r#""Action":"s3:Get*""#,
        r#""Action":["s3:GetObject","s3:PutObject"]"#,
        r#""NotAction":"s3:GetObject""#,
    ]);
    let resources = owned(&[
        r#""Resource":"arn:aws:s3:::bucket/*""#,
        r#""Resource":["arn:aws:s3:::bucket/a*","arn:aws:s3:::bucket/?/*b"]"#,
        r#""Resource":"arn:aws:s3:::bucket/${aws:username}/*""#,
        r#""NotResource":["arn:aws:s3:::bucket/a","arn:aws:s3:::bucket/${aws:username}"]"#,
    ]);
    let condition = prop_oneof![Just(String::new()), condition_element()];
    (one_of(owned(effects)), principal_element(), one_of(actions), one_of(resources), condition).prop_map(
        |(effect, principal, action, resource, condition)| {
            format!(r#"{{"Effect":"{effect}",{principal},{action},{resource}{condition}}}"#)
        },
    )
}

fn policy(statements: &[String]) -> Policy {
    parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(",")), &bucket_kind())
}

#[derive(Debug, Clone)]
struct Asked {
    principal: Principal,
    action: String,
    resource: String,
    keys: Vec<(String, KeyValue<'static>)>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let principals = vec![Principal::Anonymous, root(), alice(), session()];
    let resources = owned(&["a", "ab", "alice/x", "x/yb", "", "b/b"]);
    let keys = vec![
        ("s3:prefix".to_owned(), text("a")),
        ("s3:delimiter".to_owned(), text("abc")),
        ("aws:TagKeys".to_owned(), texts(&["a", "1"])),
        ("aws:PrincipalTag/team".to_owned(), text("A")),
        ("s3:max-keys".to_owned(), KeyValue::Number(1)),
        ("aws:username".to_owned(), text("alice")),
    ];
    let keys = proptest::sample::subsequence(keys, 0..=6);
    let actions = owned(&["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]);
    (proptest::sample::select(principals), one_of(actions), one_of(resources), keys).prop_map(
        |(principal, action, key, keys)| Asked {
            principal,
            action,
            resource: format!("arn:aws:s3:::bucket/{key}"),
            keys,
        },
    )
}

fn decide(policy: &Policy, asked: &Asked) -> super::Decision {
    ask_with(policy, &asked.principal, &asked.action, &asked.resource, &Keys(asked.keys.clone()))
}

/// The obvious matcher, which may take for ever.
fn matches_naively(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, rest) => rest.is_none(),
        (Some(('*', after)), None) => matches_naively(after, text),
        (Some(('*', after)), Some((_, rest))) => matches_naively(after, text) || matches_naively(pattern, rest),
        (Some(_), None) => false,
        (Some((expected, after)), Some((found, rest))) => {
            (*expected == '?' || expected == found) && matches_naively(after, rest)
        }
    }
}

const WILD: Syntax = Syntax { wildcards: Wildcards::Special, variables: Substitution::Variables };

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn another_deny_never_allows_more(
        statements in proptest::collection::vec(statement(&["Allow", "Deny"]), 1..5),
        denying in statement(&["Deny"]),
        asked in asked(),
    ) {
        let before = decide(&policy(&statements), &asked);
        let after = decide(&policy(&[statements, vec![denying]].concat()), &asked);
        prop_assert!(allows(before) || !allows(after));
        prop_assert!(!denies(before) || denies(after));
    }

    #[test]
    fn another_allow_never_allows_less(
        statements in proptest::collection::vec(statement(&["Allow", "Deny"]), 1..5),
        allowing in statement(&["Allow"]),
        asked in asked(),
    ) {
        let before = decide(&policy(&statements), &asked);
        let after = decide(&policy(&[statements, vec![allowing]].concat()), &asked);
        prop_assert!(!allows(before) || allows(after));
        prop_assert_eq!(denies(before), denies(after));
    }

    #[test]
    fn the_order_of_statements_makes_no_difference(
        statements in proptest::collection::vec(statement(&["Allow", "Deny"]), 1..6),
        asked in asked(),
    ) {
        let forward = decide(&policy(&statements), &asked);
        let backward = decide(&policy(&statements.into_iter().rev().collect::<Vec<_>>()), &asked);
        prop_assert_eq!((allows(forward), denies(forward)), (allows(backward), denies(backward)));
    }

    #[test]
    fn text_reads_as_the_same_policy(
        statements in proptest::collection::vec(statement(&["Allow", "Deny"]), 1..5),
        asked in asked(),
    ) {
        let first = policy(&statements);
        let again = parse(&first.text(), &bucket_kind());
        prop_assert_eq!(first.text(), again.text());
        prop_assert_eq!(decide(&first, &asked), decide(&again, &asked));
        prop_assert_eq!(first.is_public(), again.is_public());
    }

    #[test]
    fn a_policy_that_allows_strangers_is_public(
        statements in proptest::collection::vec(statement(&["Allow", "Deny"]), 1..5),
        asked in asked(),
    ) {
        let policy = policy(&statements);
        let asked = Asked { principal: Principal::Anonymous, ..asked };
        prop_assert!(!allows(decide(&policy, &asked)) || policy.is_public());
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in [bucket_kind(), PolicyKind::Identity, PolicyKind::Trust] {
            drop(Policy::parse(&bytes, &kind));
        }
    }

    /// Bytes that are nearly a policy get further than any bytes do.
    #[test]
    fn damaged_policies_never_panic(
        statement in statement(&["Allow", "Deny"]),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        asked in asked(),
    ) {
        let mut bytes = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#).into_bytes();
        for (index, byte) in damage {
            let place = index.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(policy) = Policy::parse(&bytes, &bucket_kind()) {
            decide(&policy, &asked);
            prop_assert_eq!(parse(&policy.text(), &bucket_kind()).text(), policy.text());
        }
    }

    #[test]
    fn matching_agrees_with_the_obvious(pattern in "[ab?*ä]{0,9}", text in "[abä]{0,9}") {
        let parts = variable::parts(&pattern, WILD).expect("there are no variables");
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = matches_naively(&characters(&pattern), &characters(&text));
        let pieces = pattern::fixed(&parts).expect("there are no variables");
        prop_assert_eq!(pattern::matches(&pieces, &text), expected);
        prop_assert_eq!(PatternSet::new(vec![parts]).matches(&text, &NoKeys), expected);
    }

    #[test]
    fn sets_agree_with_their_members(patterns in proptest::collection::vec("[ab?*]{0,5}", 0..8), text in "[ab]{0,6}") {
        let parts = patterns.iter().map(|pattern| variable::parts(pattern, WILD).expect("there are no variables"));
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = patterns.iter().any(|pattern| matches_naively(&characters(pattern), &characters(&text)));
        prop_assert_eq!(PatternSet::new(parts.collect()).matches(&text, &NoKeys), expected);
    }

    #[test]
    fn variables_never_panic(text in "[a${},' *:w]{0,24}") {
        drop(variable::parts(&text, WILD));
    }
}
