//! What a decision costs: bucket policies of 20 KB, asked what they say. `cargo bench --bench policy -- [part of a name]`.
//!
//! Each case runs for a millisecond, two hundred times over. The fastest run is what the decision costs, the median tells
//! how much the machine was disturbed. The policies are as large as a bucket's policy may be.

use std::borrow::Cow;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use strata::policy::{
    Action, ConditionKey, ConditionKeys, Decision, KeyValue, Policy, PolicyKind, Principal, Question,
};

const RUN: Duration = Duration::from_millis(1);
const RUNS: usize = 200;
const POLICY_BYTES: usize = 20_000;
const GET: Action = Action::known("s3:GetObject");

/// A question to a policy, and the answer that it must get.
struct Case {
    name: &'static str,
    policy: Policy,
    principal: Principal,
    resource: String,
    expected: fn(&Decision) -> bool,
}

/// A request over TLS from one address.
struct Request;

impl ConditionKeys for Request {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        match (key, name) {
            (ConditionKey::AwsSecureTransport, _) => Some(KeyValue::Bool(true)),
            (ConditionKey::AwsSourceIp, _) => Some(KeyValue::Ip(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)))),
            (ConditionKey::AwsUsername, _) => Some(KeyValue::Text(Cow::Borrowed("user-0020"))),
            (ConditionKey::AwsPrincipalTag, Some("team")) => Some(KeyValue::Text(Cow::Borrowed("team-0020"))),
            (ConditionKey::AwsUserAgent, _) => {
                Some(KeyValue::Text(Cow::Borrowed("aws-sdk-rust/1.3.9 os/linux lang/rust")))
            }
            _ => None,
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds --bench; without it this is `cargo test`, where one decision is all there is to check.
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-')).map_or("", String::as_str);
    if cfg!(debug_assertions) {
        println!("debug build: these are not measurements");
    }
    println!(
        "| {:<38} | {:>6} | {:>8} | {:>9} | {:>8} |",
        "policy and question", "bytes", "best ns", "median ns", "parse us"
    );
    println!("|----------------------------------------|-------:|---------:|----------:|---------:|");
    for case in cases().iter().filter(|case| case.name.contains(wanted)) {
        let question = Question { principal: &case.principal, action: GET, resource: &case.resource, keys: &Request };
        let decision = case.policy.decide(&question);
        assert!((case.expected)(&decision), "{}: {decision:?}", case.name);
        if !is_measured {
            continue;
        }
        let (best_ns, median_ns) = measure(|| {
            black_box(case.policy.decide(black_box(&question)));
        });
        let text = case.policy.text();
        let (parse_ns, _) = measure(|| drop(black_box(parse(&text))));
        let (name, bytes, parse_us) = (case.name, text.len(), parse_ns / 1000.0);
        println!("| {name:<38} | {bytes:>6} | {best_ns:>8.0} | {median_ns:>9.0} | {parse_us:>8.0} |");
    }
}

/// The best and the median time of one call, in nanoseconds.
fn measure(mut work: impl FnMut()) -> (f64, f64) {
    let mut calls = 1;
    while time_of(&mut work, calls) * f64::from(calls) < RUN.as_nanos() as f64 / 2.0 {
        calls *= 2;
    }
    let mut times: Vec<f64> = (0..RUNS).map(|_| time_of(&mut work, calls)).collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[RUNS / 2])
}

fn time_of(work: &mut impl FnMut(), calls: u32) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| work());
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn cases() -> Vec<Case> {
    let is_allowed = |decision: &Decision| matches!(decision, Decision::Allow { .. });
    let is_denied = |decision: &Decision| matches!(decision, Decision::Deny { .. });
    let is_silent = |decision: &Decision| *decision == Decision::Silent;
    let object = |key: &str| format!("arn:aws:s3:::bucket/{key}");
    let case = |name, policy: &Policy, number, key: &str, expected| Case {
        name,
        policy: policy.clone(),
        principal: user(number),
        resource: object(key),
        expected,
    };
    let teams = teams();
    let long = "a".repeat(1000);
    vec![
        case("teams: allowed", &teams, 20, "team-0020/data/2026/01/02/part-00017.parquet", is_allowed),
        case("teams: denied by the last Deny", &teams, 20, "team-0020/secret/x", is_denied),
        case("teams: nobody's", &teams, 9_999, "team-0020/data/x", is_silent),
        case("one statement, all prefixes", &prefixes(), 1, "team-0700/x", is_silent),
        case("one statement, all prefixes, hit", &prefixes(), 1, "team-0200/x", is_allowed),
        case("one statement, all networks", &networks(), 1, "x", is_silent),
        case("one statement, all user agents", &agents(), 1, "x", is_silent),
        case("everybody, every condition tried", &conditions(), 1, "x", is_silent),
        case("every resource has a variable", &variables(), 1, "home/user-0020/x", is_silent),
        case("every resource has five stars", &stars("*a*b*c*d*", ""), 1, "some/ordinary/key.parquet", is_silent),
        case("hostile stars, key of 1000 bytes", &stars("*a*a*a*a?b", "*"), 1, &long, is_silent),
    ]
}

fn user(number: usize) -> Principal {
    Principal::User {
        account: "111122223333".to_owned(),
        arn: format!("arn:aws:iam::111122223333:user/user-{number:04}"),
        id: user_id(number),
    }
}

fn user_id(number: usize) -> String {
    format!("AIDA{number:017}")
}

fn parse(text: &str) -> Policy {
    let kind = PolicyKind::Bucket { bucket: "bucket".to_owned() };
    Policy::parse(text.as_bytes(), &kind).unwrap_or_else(|fault| panic!("{fault} {:?}", fault.detail))
}

/// A policy of as many statements as fit.
fn of_statements(statement: impl Fn(usize) -> String) -> Policy {
    let mut text = String::from(r#"{"Version":"2012-10-17","Statement":["#);
    for number in 0.. {
        let next = statement(number);
        if text.len() + next.len() > POLICY_BYTES {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        text.push_str(&next);
    }
    parse(&(text + "]}"))
}

/// One statement with as many values as fit between `before` and `after`.
fn of_values(before: &str, value: impl Fn(usize) -> String, after: &str) -> Policy {
    let mut values = String::new();
    for number in 0.. {
        let next = format!("\"{}\"", value(number));
        if before.len() + values.len() + next.len() + after.len() > POLICY_BYTES - 100 {
            break;
        }
        if number > 0 {
            values.push(',');
        }
        values.push_str(&next);
    }
    let principal = r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject""#;
    parse(&format!(r#"{{"Version":"2012-10-17","Statement":{{{principal},{before}[{values}]{after}}}}}"#))
}

/// What grows in practice: teams with their prefixes, some with conditions, under a few general Denies.
fn teams() -> Policy {
    of_statements(|number| {
        match number {
        0 => r#"{"Sid":"TlsOnly","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#.to_owned(),
        1 => r#"{"Sid":"KnownNetworks","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],"Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","198.51.100.0/24","203.0.113.0/24","10.0.0.0/8"]}}}"#.to_owned(),
        2 => r#"{"Sid":"Encrypted","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringNotEqualsIfExists":{"s3:x-amz-server-side-encryption":"aws:kms"}}}"#.to_owned(),
        3 => r#"{"Sid":"Secrets","Effect":"Deny","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::bucket/*/secret/*"}"#.to_owned(),
        _ => format!(
            r#"{{"Sid":"Team{number:04}","Effect":"Allow","Principal":{{"AWS":["{}","{}"]}},"Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":["arn:aws:s3:::bucket/team-{number:04}/*","arn:aws:s3:::bucket/shared/*"],"Condition":{{"StringEquals":{{"aws:PrincipalTag/team":"team-{number:04}"}}}}}}"#,
            user_id(number),
            user_id(number + 5000),
        ),
    }
    })
}

fn prefixes() -> Policy {
    of_values(r#""Resource":"#, |number| format!("arn:aws:s3:::bucket/team-{number:04}/*"), "")
}

fn networks() -> Policy {
    let before = r#""Resource":"arn:aws:s3:::bucket/*","Condition":{"IpAddress":{"aws:SourceIp":"#;
    of_values(before, |number| format!("203.{}.{}.0/24", number / 256, number % 256), "}}")
}

fn agents() -> Policy {
    let before = r#""Resource":"arn:aws:s3:::bucket/*","Condition":{"StringLike":{"aws:UserAgent":"#;
    of_values(before, |number| format!("*agent-{number:04}*"), "}}")
}

/// Statements for everybody on everything, each of which fails at its second condition only.
fn conditions() -> Policy {
    of_statements(|number| {
        format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{{"Bool":{{"aws:SecureTransport":"true"}},"IpAddress":{{"aws:SourceIp":"10.{number}.0.0/16"}}}}}}"#
        )
    })
}

fn variables() -> Policy {
    let pattern = |number| format!("arn:aws:s3:::bucket/home/${{aws:username}}/{number:04}/*");
    of_values(r#""Resource":"#, pattern, "")
}

fn stars(before: &'static str, after: &'static str) -> Policy {
    of_values(r#""Resource":"#, |number| format!("arn:aws:s3:::bucket/{before}{number:04}{after}"), "")
}
