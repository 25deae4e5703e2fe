//! What several policies decide together.

use super::super::{Decision, Grant, Layer, Opinions, Outcome, Principal, Ruling, Source, combine};
use super::{ACCOUNT, OTHER, alice, root, session};

const SILENT: Decision = Decision::Silent;
const DENY: Decision = Decision::Deny { statement: 7 };
const YES: Decision = Decision::Allow { statement: 1, grant: Grant::User };

fn grants(grant: Grant) -> Decision {
    Decision::Allow { statement: 2, grant }
}

struct Case<'a> {
    principal: &'a Principal,
    owner: &'a str,
    identity: Decision,
    resource: Decision,
    session: Option<Decision>,
    boundary: Option<Decision>,
    ruling: Ruling,
}

impl Case<'_> {
    fn outcome(&self) -> Outcome {
        let Case { principal, owner, identity, resource, session, boundary, ruling } = *self;
        combine(&Opinions {
            principal,
            owner,
            identity: &[SILENT, identity],
            resource: &[resource],
            session,
            boundary,
            ruling,
        })
    }

    fn is_allowed(&self) -> bool {
        matches!(self.outcome(), Outcome::Allowed { .. })
    }
}

fn case<'a>(principal: &'a Principal, owner: &'a str, identity: Decision, resource: Decision) -> Case<'a> {
    Case { principal, owner, identity, resource, session: None, boundary: None, ruling: Ruling::Either }
}

#[test]
fn within_an_account() {
    fn check(principal: &Principal, identity: Decision, resource: Decision, expected: bool) {
        let case = case(principal, ACCOUNT, identity, resource);
        assert_eq!(case.is_allowed(), expected, "{principal:?} {identity:?} {resource:?}");
    }
    for principal in [alice(), session()] {
        check(&principal, SILENT, SILENT, false);
        check(&principal, YES, SILENT, true);
        check(&principal, SILENT, grants(Grant::Account), false);
        check(&principal, YES, grants(Grant::Account), true);
        check(&principal, SILENT, grants(Grant::Everyone), true);
        check(&principal, DENY, grants(Grant::Everyone), false);
        check(&principal, YES, DENY, false);
    }
    check(&alice(), SILENT, grants(Grant::User), true);
    check(&session(), SILENT, grants(Grant::Role), true);
    check(&session(), SILENT, grants(Grant::Session), true);
    check(&root(), SILENT, SILENT, true);
    check(&root(), SILENT, DENY, false);
    check(&root(), SILENT, grants(Grant::Account), true);
}

#[test]
fn across_accounts() {
    fn check(principal: &Principal, identity: Decision, resource: Decision, expected: bool) {
        for ruling in [Ruling::Either, Ruling::ResourceMust] {
            let case = Case { ruling, ..case(principal, OTHER, identity, resource) };
            assert_eq!(case.is_allowed(), expected, "{principal:?} {identity:?} {resource:?}");
        }
    }
    for principal in [alice(), session()] {
        check(&principal, YES, SILENT, false);
        check(&principal, SILENT, SILENT, false);
        for grant in [Grant::Account, Grant::Everyone, Grant::Role, Grant::User, Grant::Session] {
            check(&principal, SILENT, grants(grant), false);
            check(&principal, YES, grants(grant), true);
            check(&principal, DENY, grants(grant), false);
        }
        check(&principal, YES, DENY, false);
    }
    check(&root(), SILENT, SILENT, false);
    check(&root(), SILENT, grants(Grant::Account), true);
    check(&root(), SILENT, grants(Grant::Everyone), true);
}

#[test]
fn without_an_account() {
    let service = Principal::Service { name: "logging.s3.amazonaws.com".to_owned() };
    let federated = Principal::Federated { provider: "arn".to_owned() };
    for principal in [Principal::Anonymous, service, federated] {
        assert!(!case(&principal, ACCOUNT, SILENT, SILENT).is_allowed());
        assert!(case(&principal, ACCOUNT, SILENT, grants(Grant::Everyone)).is_allowed());
        assert!(case(&principal, ACCOUNT, SILENT, grants(Grant::User)).is_allowed());
        assert!(!case(&principal, ACCOUNT, SILENT, grants(Grant::Account)).is_allowed());
        assert!(!case(&principal, ACCOUNT, SILENT, DENY).is_allowed());
        // Nobody has policies of one's own without an account.
        assert!(!case(&principal, ACCOUNT, YES, SILENT).is_allowed());
    }
}

/// Which grants of a resource reach how far past a session policy and a boundary that do not allow.
#[test]
fn limits() {
    fn check(grant: Option<Grant>, [session_limits, boundary_limits]: [bool; 2]) {
        let principal = if grant == Some(Grant::User) { alice() } else { session() };
        for owner in [ACCOUNT, OTHER] {
            let (identity, resource) = match (grant, owner) {
                (None, ACCOUNT) => (YES, SILENT),
                (None, _) => (YES, grants(Grant::Account)),
                (Some(grant), ACCOUNT) => (SILENT, grants(grant)),
                (Some(grant), _) => (YES, grants(grant)),
            };
            // Across accounts the identity policies are needed, and limited.
            let is_limited = |limits: bool| limits || owner == OTHER;
            for (limit, passes) in [(None, true), (Some(YES), true), (Some(SILENT), false), (Some(DENY), false)] {
                let is_denied = limit == Some(DENY);
                let by_session = Case { session: limit, ..case(&principal, owner, identity, resource) };
                let expected = !is_denied && (passes || !is_limited(session_limits));
                assert_eq!(by_session.is_allowed(), expected, "{grant:?} {owner} session {limit:?}");
                let by_boundary = Case { boundary: limit, ..case(&principal, owner, identity, resource) };
                let expected = !is_denied && (passes || !is_limited(boundary_limits));
                assert_eq!(by_boundary.is_allowed(), expected, "{grant:?} {owner} boundary {limit:?}");
            }
        }
    }
    check(None, [true, true]);
    check(Some(Grant::Everyone), [true, true]);
    check(Some(Grant::Role), [true, true]);
    check(Some(Grant::User), [true, false]);
    check(Some(Grant::Session), [false, false]);
}

#[test]
fn a_boundary_alone_allows_nothing() {
    let principal = alice();
    let case = Case { session: Some(YES), boundary: Some(YES), ..case(&principal, ACCOUNT, SILENT, SILENT) };
    assert_eq!(case.outcome(), Outcome::ImplicitDeny { missing: Layer::Identity });
}

/// Keys and roles: their own policy must allow, at least by delegating to the account.
#[test]
fn resources_that_rule() {
    fn check(principal: &Principal, identity: Decision, resource: Decision, expected: bool) {
        let case = Case { ruling: Ruling::ResourceMust, ..case(principal, ACCOUNT, identity, resource) };
        assert_eq!(case.is_allowed(), expected, "{principal:?} {identity:?} {resource:?}");
    }
    check(&alice(), YES, SILENT, false);
    check(&alice(), YES, grants(Grant::Account), true);
    check(&alice(), SILENT, grants(Grant::Account), false);
    check(&alice(), SILENT, grants(Grant::User), true);
    check(&alice(), SILENT, grants(Grant::Everyone), true);
    check(&alice(), DENY, grants(Grant::User), false);
    check(&root(), SILENT, SILENT, false);
    check(&root(), SILENT, grants(Grant::Account), true);
}

#[test]
fn outcomes_say_which_policy_decided() {
    fn check(case: &Case<'_>, expected: Outcome) {
        assert_eq!(case.outcome(), expected);
    }
    let denied = |source| Outcome::ExplicitDeny { source, statement: 7 };
    let missing = |missing| Outcome::ImplicitDeny { missing };
    let (user, anonymous, root) = (alice(), Principal::Anonymous, root());
    let by = |source, statement| Outcome::Allowed { by: Some((source, statement)) };
    check(&case(&user, ACCOUNT, YES, SILENT), by(Source::Identity(1), 1));
    check(&case(&user, ACCOUNT, SILENT, grants(Grant::User)), by(Source::Resource(0), 2));
    check(&case(&user, OTHER, YES, grants(Grant::User)), by(Source::Resource(0), 2));
    check(&case(&root, ACCOUNT, SILENT, SILENT), Outcome::Allowed { by: None });
    check(&case(&user, ACCOUNT, DENY, YES), denied(Source::Identity(1)));
    check(&case(&user, ACCOUNT, YES, DENY), denied(Source::Resource(0)));
    check(&Case { session: Some(DENY), ..case(&user, ACCOUNT, YES, YES) }, denied(Source::Session));
    check(&Case { boundary: Some(DENY), ..case(&user, ACCOUNT, YES, YES) }, denied(Source::Boundary));
    check(&case(&user, ACCOUNT, SILENT, SILENT), missing(Layer::Identity));
    check(&case(&user, OTHER, SILENT, grants(Grant::User)), missing(Layer::Identity));
    check(&case(&user, OTHER, YES, SILENT), missing(Layer::Resource));
    check(&case(&anonymous, ACCOUNT, SILENT, SILENT), missing(Layer::Resource));
    check(&Case { session: Some(SILENT), ..case(&user, ACCOUNT, YES, SILENT) }, missing(Layer::Session));
    check(&Case { boundary: Some(SILENT), ..case(&user, ACCOUNT, YES, SILENT) }, missing(Layer::Boundary));
}
