//! What is a policy and what is not, and how it is shown.

use super::super::{Policy, PolicyKind, PrincipalName};
use super::{ALICE_ID, ROLE_ID, bucket_kind, parse};

const STATEMENT: &str =
    r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#;

fn fault(text: &str, kind: &PolicyKind) -> String {
    match Policy::parse(text.as_bytes(), kind) {
        Ok(_) => "none".to_owned(),
        Err(fault) => fault.message.into_owned(),
    }
}

fn access_point() -> PolicyKind {
    PolicyKind::AccessPoint { arn: "arn:aws:s3:eu-central-1:111122223333:accesspoint/door".to_owned() }
}

fn key() -> PolicyKind {
    PolicyKind::Key { arn: "arn:aws:kms:eu-central-1:111122223333:key/1".to_owned() }
}

#[test]
fn documents() {
    fn check(text: &str, expected: &str) {
        assert_eq!(fault(text, &bucket_kind()), expected, "{text}");
    }
    let not_json = "Policies must be valid JSON and the first byte must be '{'";
    for text in ["", " {}", "[]", "null", "{", "{\"Version\":", "{}x", "\u{feff}{}", "{'a':1}", "{\"a\":1,}"] {
        check(text, not_json);
    }
    check("{}", "Missing required field Statement");
    check(r#"{"Version":"2012-10-17"}"#, "Missing required field Statement");
    check(r#"{"Statement":[]}"#, "Could not parse the policy: Statement is empty!");
    check(r#"{"Statement":["a"]}"#, "Statement must be an object");
    check(r#"{"Statement":null}"#, "Statement must be an object");
    check(&format!(r#"{{"Statement":{{{STATEMENT}}}}}"#), "none");
    check(&format!(r#"{{"Statement":[{{{STATEMENT}}},{{{STATEMENT}}}]}}"#), "none");
    check(&format!(r#"{{"Version":"2008-10-17","Id":"x","Statement":{{{STATEMENT}}}}}"#), "none");
    let version = "The policy must contain a valid version string";
    for wrong in [r#""2012-10-18""#, "2012", "null", r#"["2012-10-17"]"#, r#""""#] {
        check(&format!(r#"{{"Version":{wrong},"Statement":{{{STATEMENT}}}}}"#), version);
    }
    check(&format!(r#"{{"Id":1,"Statement":{{{STATEMENT}}}}}"#), "Id must be a string");
    check(&format!(r#"{{"Statement":{{{STATEMENT}}},"Extra":1}}"#), "Unknown field Extra");
    check(&format!(r#"{{"statement":{{{STATEMENT}}}}}"#), "Unknown field statement");
    check(&format!(r#"{{"Id":"a","Id":"a","Statement":{{{STATEMENT}}}}}"#), "Policy has a duplicate field");
    check(&format!(r#"{{"Statement":{{{STATEMENT},"Effect":"Deny"}}}}"#), "Policy has a duplicate field");
    let twice = r#""Condition":{"StringEquals":{"s3:prefix":"a","s3:prefix":"b"}}"#;
    check(&format!(r#"{{"Statement":{{{STATEMENT},{twice}}}}}"#), "Policy has a duplicate field");
    let nested = format!("{{\"Statement\":{}{}}}", "[".repeat(200), "]".repeat(200));
    check(&nested, not_json);
}

#[test]
fn statements_of_buckets() {
    fn check(from: &str, to: &str, expected: &str) {
        assert!(STATEMENT.contains(from), "{from}");
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{{{}}}]}}"#, STATEMENT.replace(from, to));
        assert_eq!(fault(&text, &bucket_kind()), expected, "{text}");
    }
    let action = r#""Action":"s3:GetObject","#;
    let principal = r#""Principal":"*","#;
    let resource = r#","Resource":"arn:aws:s3:::bucket/*""#;
    check(r#""Effect":"Allow","#, "", "Missing required field Effect");
    check(principal, "", "Missing required field Principal");
    check(action, "", "Missing required field Action");
    check(resource, "", "Missing required field Resource");
    check("Allow", "allow", "Invalid effect: allow");
    check(r#""Allow""#, "true", "Invalid effect");
    check(r#""Effect""#, r#""Sid":1,"Effect""#, "Sid must be a string");
    check(r#""Effect""#, r#""Sid":"any text","Effect""#, "none");
    check(r#""Effect""#, r#""Effects":1,"Effect""#, "Unknown field Effects");
    check(action, r#""Action":[],"#, "Missing required field Action");
    check(action, r#""Action":[1],"#, "Missing required field Action");
    check(action, r#""Action":"s3:*","NotAction":"s3:*","#, "Statement must not contain both Action and NotAction");
    let both = "Statement must not contain both Principal and NotPrincipal";
    check(principal, r#""Principal":"*","NotPrincipal":"*","#, both);
    let both = "Statement must not contain both Resource and NotResource";
    check(resource, r#","Resource":"arn:aws:s3:::bucket","NotResource":"arn:aws:s3:::bucket""#, both);
    for wrong in
        ["GetObject", "s3:Get Object", "s3:", ":GetObject", "s3:GetObjekt", "ec2:*", "s*:GetObject", "iam:*", ""]
    {
        check("s3:GetObject", wrong, "Policy has invalid action");
    }
    for right in ["*", "s3:*", "S3:getobject", "s3:Get*", "s3:?etObject", "s3:*Object", "*:*"] {
        let expected = if right == "*:*" { "Policy has invalid action" } else { "none" };
        check("s3:GetObject", right, expected);
    }
    check(r#""s3:GetObject""#, r#"["s3:GetObject","s3:Nothing"]"#, "Policy has invalid action");
    for wrong in [
        "*",
        "bucket/*",
        "arn:aws:s3:::other/*",
        "arn:aws:s3:::buckets/*",
        "arn:aws:s3:::buck*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::bucket?/x",
        "arn:aws:s3:eu-central-1::bucket/*",
        "arn:aws-cn:s3:::bucket/*",
        "arn:aws:s3:::bucket/${aws:username",
        "arn:aws:s3:::bucket/${unknown}",
        "arn:aws:s3:::bucket/${}",
        "arn:aws:s3:::bucket/${aws:TagKeys}",
        "arn:aws:s3:::bucket/${aws:PrincipalOrgID}",
        "arn:aws:s3:::bucket/${aws:username, x}",
        "",
    ] {
        check("arn:aws:s3:::bucket/*", wrong, "Policy has invalid resource");
    }
    for right in [
        "arn:aws:s3:::bucket/a/${aws:username}/*",
        "arn:aws:s3:::bucket*",
        "arn:aws:s3:::bucket/${aws:username, 'x y'}?",
    ] {
        check("arn:aws:s3:::bucket/*", right, "none");
    }
    check(r#""arn:aws:s3:::bucket/*""#, r#"["arn:aws:s3:::bucket/*","*"]"#, "Policy has invalid resource");
    let applies = "Action does not apply to any resource(s) in statement";
    check("/*", "", applies);
    check("s3:GetObject", "s3:ListBucket", applies);
    check("s3:GetObject", "s3:ListAllMyBuckets", applies);
    check("s3:GetObject", "s3:CreateAccessPoint", applies);
    check(r#""s3:GetObject""#, r#"["s3:GetObject","s3:ListBucket"]"#, applies);
    check(
        "s3:GetObject\",\"Resource\":\"arn:aws:s3:::bucket/*",
        "s3:ListBucket\",\"Resource\":\"arn:aws:s3:::bucket*",
        "none",
    );
    check(r#""arn:aws:s3:::bucket/*""#, r#"["arn:aws:s3:::bucket/*","arn:aws:s3:::bucket"]"#, "none");
    check(action, r#""NotAction":"s3:DeleteBucket","#, "none");
}

#[test]
fn principals_and_conditions_of_buckets() {
    fn check(element: &str, expected: &str) {
        let statement = match element.starts_with(r#""Condition""#) {
            true => format!("{STATEMENT},{element}"),
            false => STATEMENT.replace(r#""Principal":"*""#, element),
        };
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{{{statement}}}]}}"#);
        assert_eq!(fault(&text, &bucket_kind()), expected, "{text}");
    }
    for right in [
        r#"{"AWS":"*"}"#,
        r#"{"AWS":"111122223333"}"#,
        r#"{"AWS":["arn:aws:iam::111122223333:root","AIDAALICEALICEALICE00","AROAROLEROLEROLEROLE0:now"]}"#,
        r#"{"AWS":"arn:aws:iam::111122223333:user/a/b","Service":"logging.s3.amazonaws.com"}"#,
        r#"{"AWS":"arn:aws:iam::111122223333:role/r"}"#,
        r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/r/s"}"#,
        r#"{"AWS":"arn:aws:sts::111122223333:federated-user/f"}"#,
        r#"{"CanonicalUser":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}"#,
    ] {
        check(&format!(r#""Principal":{right}"#), "none");
        check(&format!(r#""NotPrincipal":{right}"#), "none");
    }
    for wrong in [
        r#""alice""#,
        r#"["*"]"#,
        "{}",
        "null",
        r#"{"AWS":[]}"#,
        r#"{"AWS":111122223333}"#,
        r#"{"AWS":"1111222233334"}"#,
        r#"{"AWS":"arn:aws:iam::111122223333:user/*"}"#,
        r#"{"AWS":"arn:aws:iam::111122223333:user/a?"}"#,
        r#"{"AWS":"arn:aws:iam::*:root"}"#,
        r#"{"AWS":"arn:aws:iam::111122223333:user/"}"#,
        r#"{"AWS":"arn:aws:iam::111122223333:group/g"}"#,
        r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/r"}"#,
        r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/r/*"}"#,
        r#"{"AWS":"arn:aws:sts::111122223333:federated-user/a/b"}"#,
        r#"{"AWS":"arn:aws-cn:iam::111122223333:root"}"#,
        r#"{"AWS":"AIDA"}"#,
        r#"{"Service":"*"}"#,
        r#"{"Service":"s3"}"#,
        r#"{"Federated":"accounts.example.com"}"#,
        r#"{"CanonicalUser":"abc"}"#,
        r#"{"CanonicalUser":"*"}"#,
        r#"{"User":"a"}"#,
    ] {
        check(&format!(r#""Principal":{wrong}"#), "Invalid principal in policy");
    }
    let condition = |operators: &str| format!(r#""Condition":{operators}"#);
    check(&condition("{}"), "none");
    for wrong in [
        "[]",
        "null",
        r#"{"StringEquals":{}}"#,
        r#"{"StringEquals":"a"}"#,
        r#"{"StringEquals":{"s3:prefix":[]}}"#,
        r#"{"StringEquals":{"s3:prefix":null}}"#,
        r#"{"StringEquals":{"s3:prefix":{"a":"b"}}}"#,
    ] {
        check(&condition(wrong), "Policy has an invalid condition");
    }
    for wrong in [
        "Equals",
        "stringequals",
        "ForSomeValues:StringEquals",
        "NullIfExists",
        "ForAnyValue:Null",
        "StringEqualsIfExistsIfExists",
        "NotBool",
        "",
    ] {
        check(
            &condition(&format!(r#"{{"{wrong}":{{"s3:prefix":"a"}}}}"#)),
            &format!("Invalid Condition type : {wrong}"),
        );
    }
    for wrong in [
        "prefix",
        "s3:nothing",
        "aws:",
        "s3:ExistingObjectTag",
        "s3:ExistingObjectTag/",
        "s3:prefix/a",
        "ec2:Region",
        "kms:ViaService",
        "sts:ExternalId",
        "claim",
        "",
    ] {
        check(&condition(&format!(r#"{{"StringEquals":{{"{wrong}":"a"}}}}"#)), "Policy has an invalid condition key");
    }
    for (operator, key) in [
        ("IpAddress", "s3:max-keys"),
        ("NumericEquals", "aws:SourceIp"),
        ("Bool", "aws:SourceIp"),
        ("DateEquals", "s3:max-keys"),
        ("ArnLike", "aws:SecureTransport"),
        ("BinaryEquals", "aws:SourceIp"),
    ] {
        check(&condition(&format!(r#"{{"{operator}":{{"{key}":"1"}}}}"#)), "Policy has an invalid condition key");
    }
    for (operator, key, value) in [
        ("NumericLessThan", "s3:prefix", "ten"),
        ("NumericLessThan", "s3:max-keys", "1e3"),
        ("NumericLessThan", "s3:max-keys", ""),
        ("NumericLessThan", "s3:max-keys", "."),
        ("NumericLessThan", "s3:max-keys", "1.0000000001"),
        ("NumericLessThan", "s3:max-keys", "9999999999999999999"),
        ("DateLessThan", "aws:CurrentTime", "tomorrow"),
        ("DateLessThan", "aws:CurrentTime", "2026"),
        ("Bool", "aws:SecureTransport", "yes"),
        ("Null", "s3:prefix", "absent"),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/33"),
        ("IpAddress", "aws:SourceIp", "10.*"),
        ("IpAddress", "aws:SourceIp", "${aws:SourceIp}"),
        ("BinaryEquals", "s3:prefix", "%"),
        ("ArnLike", "aws:SourceArn", "arn:aws:s3:*"),
        ("ArnEquals", "aws:SourceArn", "bucket"),
        ("StringEquals", "s3:prefix", "${aws:username"),
        ("StringEquals", "s3:prefix", "${nothing}"),
    ] {
        check(
            &condition(&format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#)),
            "Policy has an invalid condition value",
        );
    }
}

#[test]
fn other_kinds() {
    fn check(kind: &PolicyKind, statement: &str, expected: &str) {
        let text = format!(r#" {{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{statement}}}}}"#);
        let text = if *kind == access_point() { text.trim_start() } else { &text };
        assert_eq!(fault(text, kind), expected, "{statement}");
    }
    for kind in [PolicyKind::Identity, PolicyKind::Session] {
        check(&kind, r#""Action":"*","Resource":"*""#, "none");
        check(
            &kind,
            r#""Action":["s3:GetObject","ec2:Run*"],"Resource":["arn:aws:s3:::*","arn:aws:ec2:*:*:instance/*"]"#,
            "none",
        );
        check(&kind, r#""Action":"s3:NoSuchThing","Resource":"*""#, "none");
        check(&kind, r#""Action":"GetObject","Resource":"*""#, "Policy has invalid action");
        check(&kind, r#""Action":"*","Resource":"bucket""#, "Policy has invalid resource");
        check(&kind, r#""Action":"*","Resource":"arn:aws:s3:*""#, "Policy has invalid resource");
        check(&kind, r#""Action":"*","Resource":"arn:minio:s3:::a""#, "Policy has invalid resource");
        check(&kind, r#""Action":"*""#, "Policy statement must contain resources.");
        check(&kind, r#""Action":"*","Resource":[]"#, "Policy statement must contain resources.");
        check(&kind, r#""Resource":"*""#, "Policy statement must contain actions.");
        check(
            &kind,
            r#""Principal":"*","Action":"*","Resource":"*""#,
            "Policy document should not specify a principal.",
        );
        check(
            &kind,
            r#""Action":"*","Resource":"*","Condition":{"Bool":{"ec2:x":"true"}}"#,
            "Policy has an invalid condition key",
        );
    }
    assert_eq!(fault("[]", &PolicyKind::Identity), "Syntax errors in policy.");
    let actions = "AssumeRole policy may only specify STS AssumeRole actions.";
    for (action, expected) in [
        ("sts:AssumeRole", "none"),
        ("sts:AssumeRoleWithWebIdentity", "none"),
        ("sts:TagSession", "none"),
        ("sts:*", actions),
        ("*", actions),
        ("s3:GetObject", actions),
        ("sts:GetCallerIdentity", actions),
        ("sts:Nothing", actions),
        ("ec2:Any", actions),
    ] {
        check(&PolicyKind::Trust, &format!(r#""Principal":{{"AWS":"111122223333"}},"Action":"{action}""#), expected);
    }
    check(&PolicyKind::Trust, r#""Principal":"*","NotAction":"sts:TagSession""#, actions);
    check(&PolicyKind::Trust, r#""Action":"sts:AssumeRole""#, "Missing required field Principal");
    check(
        &PolicyKind::Trust,
        r#""Principal":"*","Action":"sts:AssumeRole","Resource":"*""#,
        "Has prohibited field Resource",
    );
    let door = "arn:aws:s3:eu-central-1:111122223333:accesspoint/door";
    for (action, resource, expected) in [
        ("s3:GetObject", format!("{door}/object/*"), "none"),
        ("s3:ListBucket", door.to_owned(), "none"),
        ("s3:GetObject", door.to_owned(), "Action does not apply to any resource(s) in statement"),
        ("s3:GetObject", format!("{door}s/object/*"), "Policy has invalid resource"),
        ("s3:GetObject", format!("{door}/*"), "Policy has invalid resource"),
        ("s3:GetObject", "arn:aws:s3:::bucket/*".to_owned(), "Policy has invalid resource"),
        ("s3:GetObject", "*".to_owned(), "Policy has invalid resource"),
    ] {
        check(&access_point(), &format!(r#""Principal":"*","Action":"{action}","Resource":"{resource}""#), expected);
    }
    check(&key(), r#""Principal":"*","Action":"kms:*","Resource":"*""#, "none");
    check(
        &key(),
        r#""Principal":"*","Action":"kms:Decrypt","Resource":"arn:aws:kms:eu-central-1:111122223333:key/1""#,
        "none",
    );
    check(
        &key(),
        r#""Principal":"*","Action":"kms:Decrypt","Resource":"arn:aws:kms:eu-central-1:111122223333:key/2""#,
        "Policy has invalid resource",
    );
    check(&key(), r#""Principal":"*","Action":"s3:*","Resource":"*""#, "Policy has invalid action");
    check(
        &key(),
        r#""Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:aws:s3:arn":"a"}}"#,
        "none",
    );
}

#[test]
fn ids_of_statements_are_unique() {
    let text = format!(r#"{{"Statement":[{{"Sid":"a",{STATEMENT}}},{{"Sid":"a",{STATEMENT}}}]}}"#);
    assert_eq!(fault(&text, &bucket_kind()), "Statement IDs (SID) in a single policy must be unique.");
    let text = format!(r#"{{"Statement":[{{"Sid":"a",{STATEMENT}}},{{{STATEMENT}}}]}}"#);
    let policy = parse(&text, &bucket_kind());
    assert_eq!(policy.statement_id(0), Some("a"));
    assert_eq!(policy.statement_id(1), None);
    assert_eq!(policy.statement_id(2), None);
}

#[test]
fn sizes_count_the_normal_form() {
    let text = |filler: usize| {
        format!(r#"{{"Version":"2012-10-17","Id":"{}","Statement":[{{{STATEMENT}}}]}}"#, "x".repeat(filler))
    };
    let rest = text(0).len();
    let message = "Normalized policy document exceeds the maximum allowed size of 20480 bytes";
    assert_eq!(fault(&text(20_480 - rest), &bucket_kind()), "none");
    assert_eq!(fault(&text(20_481 - rest), &bucket_kind()), message);
    let spaced = text(20_480 - rest).replace(',', "\n\t ,  ");
    assert_eq!(fault(&spaced, &bucket_kind()), "none");
    let endless = format!("{{{}}}", " ".repeat(300_000));
    assert!(fault(&endless, &bucket_kind()).starts_with("Policies must be valid JSON"));
}

#[test]
fn shown_form() {
    let text = r#"{ "Statement": { "Resource": ["arn:aws:s3:::bucket/*"], "Action": ["s3:GetObject", "s3:PutObject"],
        "Principal": {"AWS": ["111122223333"]}, "Effect": "Allow", "Sid": "a\"b\u0001",
        "Condition": {"NumericLessThan": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": true}} } }"#;
    let expected = concat!(
        r#"{"Version":"2008-10-17","Statement":[{"Sid":"a\"b\u0001","Effect":"Allow","#,
        r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["s3:GetObject","s3:PutObject"],"#,
        r#""Resource":"arn:aws:s3:::bucket/*","#,
        r#""Condition":{"NumericLessThan":{"s3:max-keys":"10"},"Bool":{"aws:SecureTransport":"true"}}}]}"#,
    );
    let policy = parse(text, &bucket_kind());
    assert_eq!(policy.text(), expected);
    assert_eq!(parse(expected, &bucket_kind()).text(), expected);
}

#[test]
fn names_are_bound_to_ids() {
    let canonical = "0123456789abcdef".repeat(4);
    let principals = format!(
        r#"{{"AWS":["arn:aws:iam::111122223333:user/team/alice","arn:aws:iam::111122223333:role/team/reader",
            "arn:aws:sts::111122223333:assumed-role/reader/now","444455556666"],
            "Service":"logging.s3.amazonaws.com","CanonicalUser":"{canonical}"}}"#
    );
    let text = format!(r#"{{"Statement":{{{}}}}}"#, STATEMENT.replace(r#""*""#, &principals));
    let resolve = |name: &PrincipalName| match name {
        PrincipalName::User { .. } => Some(ALICE_ID.to_owned()),
        PrincipalName::Role { .. } | PrincipalName::Session { .. } => Some(ROLE_ID.to_owned()),
        PrincipalName::CanonicalUser(_) => Some("777788889999".to_owned()),
        PrincipalName::Account(account) => Some(account.clone()),
        PrincipalName::Service(_) | PrincipalName::UniqueId(_) | PrincipalName::FederatedUser { .. } => {
            Some(String::new())
        }
        PrincipalName::Federated(_) => None,
    };
    let bound = parse(&text, &bucket_kind()).bind(&resolve).expect("everybody exists");
    let expected = format!(
        r#""Principal":{{"AWS":["{ALICE_ID}","{ROLE_ID}","{ROLE_ID}:now","arn:aws:iam::444455556666:root","arn:aws:iam::777788889999:root"],"Service":"logging.s3.amazonaws.com"}}"#
    );
    assert!(bound.text().contains(&expected), "{}", bound.text());
    let stored = parse(&bound.text(), &bucket_kind());
    assert_eq!(stored.text(), bound.text());
    assert_eq!(stored.bind(&resolve).map(|policy| policy.text()), Ok(bound.text()));
    let arn_of = |id: &str| (id == ROLE_ID).then(|| "arn:aws:iam::111122223333:role/team/reader".to_owned());
    let shown = bound.shown(&arn_of);
    let expected = format!(
        r#"["{ALICE_ID}","arn:aws:iam::111122223333:role/team/reader","arn:aws:sts::111122223333:assumed-role/reader/now","#
    );
    assert!(shown.contains(&expected), "{shown}");
    let nobody = parse(&text, &bucket_kind()).bind(&|_| None).map(|_| ());
    assert_eq!(nobody.map_err(|fault| fault.message.into_owned()), Err("Invalid principal in policy".to_owned()));
    // An answer that is no unique id must not end up in a policy.
    assert!(parse(&text, &bucket_kind()).bind(&|_| Some("*".to_owned())).is_err());
}
