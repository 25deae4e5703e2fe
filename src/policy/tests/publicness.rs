//! Which policies are public.

use super::{ACCOUNT, bucket_kind, parse};

/// Whether an Allow with this principal element and these conditions is public.
fn is_public(principal: &str, conditions: &str) -> bool {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{conditions}}}}}"#
    );
    parse(&text, &bucket_kind()).is_public()
}

#[test]
fn principals() {
    fn check(element: &str, expected: bool) {
        assert_eq!(is_public(element, "{}"), expected, "{element}");
    }
    check(r#""Principal":"*""#, true);
    check(r#""Principal":{"AWS":"*"}"#, true);
    check(&format!(r#""Principal":{{"AWS":["{ACCOUNT}","*"]}}"#), true);
    check(&format!(r#""Principal":{{"AWS":"{ACCOUNT}"}}"#), false);
    check(&format!(r#""Principal":{{"AWS":["{ACCOUNT}","arn:aws:iam::{ACCOUNT}:user/a"]}}"#), false);
    check(r#""Principal":{"Service":"logging.s3.amazonaws.com"}"#, false);
    check(&format!(r#""NotPrincipal":{{"AWS":"{ACCOUNT}"}}"#), true);
}

#[test]
fn conditions() {
    fn check(operator: &str, key: &str, values: &str, expected: bool) {
        let conditions = format!(r#"{{"{operator}":{{"{key}":{values}}}}}"#);
        assert_eq!(is_public(r#""Principal":"*""#, &conditions), expected, "{conditions}");
    }
    for (networks, expected) in [
        (r#""203.0.113.0/24""#, false),
        (r#""203.0.113.5""#, false),
        (r#""11.0.0.0/8""#, false),
        (r#""11.0.0.0/7""#, true),
        (r#""0.0.0.0/0""#, true),
        (r#"["203.0.113.0/24","0.0.0.0/0"]"#, true),
        (r#"["0.0.0.0/1","128.0.0.0/1"]"#, true),
        (r#""10.0.0.0/8""#, false),
        (r#""172.16.0.0/12""#, false),
        (r#""192.168.0.0/16""#, false),
        (r#""8.0.0.0/6""#, true),
        (r#""2001:db8::/32""#, false),
        (r#""2001:db8::/31""#, true),
        (r#""::/0""#, true),
        (r#""::ffff:0.0.0.0/96""#, true),
        (r#""fc00::/7""#, false),
        (r#""fc00::/6""#, true),
    ] {
        check("IpAddress", "aws:SourceIp", networks, expected);
        check("NotIpAddress", "aws:SourceIp", networks, true);
        check("IpAddressIfExists", "aws:SourceIp", networks, true);
        check("ForAllValues:IpAddress", "aws:SourceIp", networks, true);
        check("ForAnyValue:IpAddress", "aws:SourceIp", networks, expected);
    }
    for (key, fixed) in [
        ("aws:SourceAccount", "111122223333"),
        ("aws:SourceArn", "arn:aws:s3:::source"),
        ("aws:SourceOwner", "111122223333"),
        ("aws:SourceVpc", "vpc-1"),
        ("aws:SourceVpce", "vpce-1"),
        ("aws:userid", "AROAROLEROLEROLEROLE0:now"),
        ("aws:PrincipalOrgID", "o-1"),
        ("aws:PrincipalAccount", "111122223333"),
        ("aws:PrincipalArn", "arn:aws:iam::111122223333:role/a"),
        ("s3:DataAccessPointAccount", "111122223333"),
        ("s3:DataAccessPointArn", "arn:aws:s3:eu-central-1:111122223333:accesspoint/door"),
        ("AWS:SOURCEACCOUNT", "111122223333"),
    ] {
        for operator in ["StringEquals", "StringEqualsIgnoreCase", "StringLike", "ForAnyValue:StringEquals"] {
            check(operator, key, &format!(r#""{fixed}""#), false);
            check(operator, key, &format!(r#"["{fixed}","{fixed}x"]"#), false);
            check(operator, key, &format!(r#"["{fixed}","*"]"#), true);
            check(operator, key, &format!(r#""{fixed}?""#), true);
            check(operator, key, &format!(r#""{fixed}${{aws:username}}""#), true);
        }
        if !["aws:SourceVpc", "aws:SourceVpce", "aws:SourceOwner", "aws:PrincipalOrgID"].contains(&key) {
            check("StringNotEquals", key, &format!(r#""{fixed}""#), true);
            check("StringEqualsIfExists", key, &format!(r#""{fixed}""#), true);
            check("ForAllValues:StringEquals", key, &format!(r#""{fixed}""#), true);
            check("Null", key, r#""false""#, true);
        }
    }
    check("ArnLike", "aws:SourceArn", r#""arn:aws:s3:::source""#, false);
    check("ArnLike", "aws:SourceArn", r#""arn:aws:s3:::*""#, true);
    check("ArnNotLike", "aws:SourceArn", r#""arn:aws:s3:::source""#, true);
    check("StringLike", "aws:userid", r#""AROAROLEROLEROLEROLE0:*""#, true);
    for (arn, expected) in [
        ("arn:aws:s3:eu-central-1:111122223333:accesspoint/*", false),
        ("arn:aws:s3:eu-central-1:111122223333:accesspoint/a-?", false),
        ("arn:aws:s3:*:111122223333:accesspoint/*", true),
        ("arn:aws:s3:eu-central-1:*:accesspoint/*", true),
        ("arn:aws:s3:eu-central-1:111122223333:*", true),
        ("arn:aws:s3:eu-central-1:111122223333:accesspoint/${aws:username}", true),
    ] {
        for operator in ["StringLike", "ArnLike"] {
            check(operator, "s3:DataAccessPointArn", &format!(r#""{arn}""#), expected);
        }
    }
    // Keys that anybody can set to anything.
    check("StringEquals", "aws:Referer", r#""https://example.com""#, true);
    check("StringEquals", "aws:UserAgent", r#""secret""#, true);
    check("StringEquals", "s3:prefix", r#""a""#, true);
    check("Bool", "aws:SecureTransport", r#""true""#, true);
    check("StringEquals", "aws:PrincipalTag/team", r#""a""#, true);
    check("StringEquals", "aws:SourceIp", r#""203.0.113.5""#, true);
}

#[test]
fn one_public_statement_is_enough() {
    let open = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}"#;
    let closed = open.replace(r#""*","Action""#, r#"{"AWS":"111122223333"},"Action""#);
    let denying = open.replace("Allow", "Deny");
    let check = |statements: &[&str], expected: bool| {
        let text = format!(r#"{{"Statement":[{}]}}"#, statements.join(","));
        assert_eq!(parse(&text, &bucket_kind()).is_public(), expected, "{text}");
    };
    check(&[open], true);
    check(&[&closed], false);
    check(&[&denying], false);
    check(&[&denying, &closed], false);
    check(&[&closed, open], true);
    check(&[open, &denying], true);
}

#[test]
fn one_limiting_condition_is_enough() {
    let conditions = r#"{"StringLike":{"s3:prefix":"*"},"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#;
    assert!(!is_public(r#""Principal":"*""#, conditions));
    assert!(!is_public(r#""NotPrincipal":{"AWS":"111122223333"}"#, conditions));
}
