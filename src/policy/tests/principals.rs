//! Whom statements name, and whom they leave out.

use super::super::{Decision, Grant, PolicyKind, Principal};
use super::{ACCOUNT, ALICE_ID, OTHER, ROLE_ID, alice, ask, bucket_kind, parse, root, session};

/// How a statement with this principal element speaks about a principal: None if it does not.
fn grant(effect: &str, element: &str, principal: &Principal) -> Option<Grant> {
    let text = format!(
        r#"{{"Statement":{{"Effect":"{effect}",{element},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}}}}"#
    );
    match ask(&parse(&text, &bucket_kind()), principal, "s3:GetObject", "arn:aws:s3:::bucket/k") {
        Decision::Allow { grant, .. } => Some(grant),
        // Whom a Deny names makes no difference.
        Decision::Deny { .. } => Some(Grant::Everyone),
        Decision::Silent => None,
    }
}

fn service() -> Principal {
    Principal::Service { name: "logging.s3.amazonaws.com".to_owned() }
}

fn stranger() -> Principal {
    let account = OTHER.to_owned();
    let arn = format!("arn:aws:iam::{OTHER}:user/team/alice");
    Principal::User { account, arn, id: "AIDASTRANGERSTRANGER0".to_owned() }
}

/// A user who bears the name of one who is gone.
fn namesake() -> Principal {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/team/alice");
    Principal::User { account: ACCOUNT.to_owned(), arn, id: "AIDANAMESAKENAMESAKE0".to_owned() }
}

/// Whoever a federated user acts for, its own name grants it most, and the name of its user what an identity policy would.
#[test]
fn federated_users() {
    let arn = format!("arn:aws:sts::{ACCOUNT}:federated-user/eve");
    let of_alice = Some((format!("arn:aws:iam::{ACCOUNT}:user/team/alice"), ALICE_ID.to_owned()));
    let eve = |user| Principal::FederatedUser { account: ACCOUNT.to_owned(), arn: arn.clone(), user };
    let check = |name: &str, by_alice: Option<Grant>, by_root: Option<Grant>| {
        let element = format!(r#""Principal":{{"AWS":"{name}"}}"#);
        assert_eq!(grant("Allow", &element, &eve(of_alice.clone())), by_alice, "{name}");
        assert_eq!(grant("Allow", &element, &eve(None)), by_root, "{name}");
    };
    check(&arn, Some(Grant::Session), Some(Grant::Session));
    check(ALICE_ID, Some(Grant::Role), None);
    check(ACCOUNT, Some(Grant::Account), Some(Grant::Account));
    check("*", Some(Grant::Everyone), Some(Grant::Everyone));
    check(&format!("arn:aws:sts::{ACCOUNT}:federated-user/adam"), None, None);
    // To be excepted from a Deny it must be listed with its user and the account.
    let spares = |names: &str| grant("Deny", &format!(r#""NotPrincipal":{{"AWS":[{names}]}}"#), &eve(of_alice.clone()));
    assert!(spares(&format!(r#""{arn}","{ALICE_ID}""#)).is_some());
    assert!(spares(&format!(r#""{arn}","{ALICE_ID}","{ACCOUNT}""#)).is_none());
}

#[test]
fn listed() {
    fn check(element: &str, expected: [Option<Grant>; 6]) {
        let asked = [Principal::Anonymous, root(), alice(), session(), stranger(), service()];
        for (principal, expected) in asked.iter().zip(expected) {
            let element = format!(r#""Principal":{element}"#);
            assert_eq!(grant("Allow", &element, principal), expected, "{element} {principal:?}");
            let denied = grant("Deny", &element, principal).is_some();
            assert_eq!(denied, expected.is_some(), "Deny {element} {principal:?}");
        }
    }
    let (account, all) = (Some(Grant::Account), Some(Grant::Everyone));
    let (user, role, session) = (Some(Grant::User), Some(Grant::Role), Some(Grant::Session));
    check(r#""*""#, [all; 6]);
    check(r#"{"AWS":"*"}"#, [all; 6]);
    check(&format!(r#"{{"AWS":"{ACCOUNT}"}}"#), [None, account, account, account, None, None]);
    check(&format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}"#), [None, account, account, account, None, None]);
    check(&format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:user/team/alice"}}"#), [None, None, user, None, None, None]);
    check(&format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:user/alice"}}"#), [None; 6]);
    check(&format!(r#"{{"AWS":"{ALICE_ID}"}}"#), [None, None, user, None, None, None]);
    check(&format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:role/team/reader"}}"#), [None, None, None, role, None, None]);
    check(&format!(r#"{{"AWS":"{ROLE_ID}"}}"#), [None, None, None, role, None, None]);
    check(&format!(r#"{{"AWS":"{ROLE_ID}:now"}}"#), [None, None, None, session, None, None]);
    check(&format!(r#"{{"AWS":"{ROLE_ID}:later"}}"#), [None; 6]);
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/now");
    check(&format!(r#"{{"AWS":"{arn}"}}"#), [None, None, None, session, None, None]);
    check(&format!(r#"{{"AWS":["{ACCOUNT}","{ALICE_ID}"]}}"#), [None, account, user, account, None, None]);
    check(&format!(r#"{{"AWS":["*","{ALICE_ID}"]}}"#), [all, all, user, all, all, all]);
    check(r#"{"Service":"logging.s3.amazonaws.com"}"#, [None, None, None, None, None, user]);
    check(r#"{"Service":"other.amazonaws.com"}"#, [None; 6]);
    check(
        &format!(r#"{{"AWS":"{OTHER}","Service":"logging.s3.amazonaws.com"}}"#),
        [None, None, None, None, account, user],
    );
}

/// An identity provider's people are strangers: only their provider's name lets them in, and everybody's Deny is theirs too.
#[test]
fn people_of_identity_providers() {
    let provider = "arn:aws:iam::111122223333:oidc-provider/id.example.com".to_owned();
    let element = format!(r#"{{"Federated":"{provider}"}}"#);
    let asks = Principal::Federated { provider };
    let check = |effect: &str, element: &str, expected: Decision| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}","Principal":{element},"Action":"sts:AssumeRoleWithWebIdentity"}}}}"#
        );
        let policy = parse(&text, &PolicyKind::Trust);
        assert_eq!(ask(&policy, &asks, "sts:AssumeRoleWithWebIdentity", "*"), expected, "{text}");
    };
    check("Allow", &element, Decision::Allow { statement: 0, grant: Grant::User });
    check("Allow", r#""*""#, Decision::Silent);
    check("Allow", r#"{"AWS":"*"}"#, Decision::Silent);
    check("Allow", r#"{"Federated":"arn:aws:iam::111122223333:oidc-provider/other.example.com"}"#, Decision::Silent);
    check("Deny", &element, Decision::Deny { statement: 0 });
    check("Deny", r#""*""#, Decision::Deny { statement: 0 });
}

#[test]
fn a_namesake_gains_nothing_from_a_bound_policy() {
    assert_eq!(grant("Allow", &format!(r#""Principal":{{"AWS":"{ALICE_ID}"}}"#), &namesake()), None);
}

/// Before it is bound, a canonical user is nobody to an Allow and may be anybody to a Deny.
#[test]
fn unbound_canonical_users() {
    let element = format!(r#"{{"CanonicalUser":"{}"}}"#, "0123456789abcdef".repeat(4));
    for principal in [Principal::Anonymous, alice(), root(), service()] {
        assert_eq!(grant("Allow", &format!(r#""Principal":{element}"#), &principal), None);
        assert!(grant("Deny", &format!(r#""Principal":{element}"#), &principal).is_some());
        assert_eq!(grant("Allow", &format!(r#""NotPrincipal":{element}"#), &principal), None);
        assert!(grant("Deny", &format!(r#""NotPrincipal":{element}"#), &principal).is_some());
    }
}

#[test]
fn all_but_those_listed() {
    fn check(effect: &str, element: &str, expected: [bool; 6]) {
        let asked = [Principal::Anonymous, root(), alice(), session(), stranger(), service()];
        for (principal, expected) in asked.iter().zip(expected) {
            let element = format!(r#""NotPrincipal":{element}"#);
            let expected = expected.then_some(Grant::Everyone);
            assert_eq!(grant(effect, &element, principal), expected, "{effect} {element} {principal:?}");
        }
    }
    let user = format!(r#"{{"AWS":"{ALICE_ID}"}}"#);
    check("Allow", &user, [true, true, false, true, true, true]);
    // A user whose account is not listed is denied with it.
    check("Deny", &user, [true; 6]);
    let both = format!(r#"{{"AWS":["{ALICE_ID}","{ACCOUNT}"]}}"#);
    check("Allow", &both, [true, false, false, false, true, true]);
    check("Deny", &both, [true, false, false, true, true, true]);
    let account = format!(r#"{{"AWS":"{ACCOUNT}"}}"#);
    check("Deny", &account, [true, false, true, true, true, true]);
    let role = format!(r#"{{"AWS":["{ACCOUNT}","{ROLE_ID}"]}}"#);
    check("Deny", &role, [true, false, true, true, true, true]);
    let session = format!(r#"{{"AWS":["{ACCOUNT}","{ROLE_ID}","{ROLE_ID}:now"]}}"#);
    check("Deny", &session, [true, false, true, false, true, true]);
    check("Allow", r#"{"Service":"logging.s3.amazonaws.com"}"#, [true, true, true, true, true, false]);
    check("Deny", r#"{"Service":"logging.s3.amazonaws.com"}"#, [true, true, true, true, true, false]);
    check("Allow", r#""*""#, [false; 6]);
    check("Deny", r#""*""#, [false; 6]);
}

#[test]
fn the_strongest_grant_counts() {
    let text = format!(
        r#"{{"Statement":[
            {{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}},
            {{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}},
            {{"Effect":"Allow","Principal":{{"AWS":"{ROLE_ID}"}},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}},
            {{"Effect":"Allow","Principal":{{"AWS":["{ROLE_ID}:now","{ALICE_ID}"]}},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}}
        ]}}"#
    );
    let policy = parse(&text, &bucket_kind());
    for (principal, statement, grant) in [
        (alice(), 3, Grant::User),
        (session(), 3, Grant::Session),
        (root(), 1, Grant::Everyone),
        (Principal::Anonymous, 1, Grant::Everyone),
    ] {
        let decision = ask(&policy, &principal, "s3:GetObject", "arn:aws:s3:::bucket/k");
        assert_eq!(decision, Decision::Allow { statement, grant }, "{principal:?}");
    }
}
