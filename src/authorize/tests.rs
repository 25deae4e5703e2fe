//! Decisions as a table: who asks, what each policy says, and what comes of it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use strata_storage::{
    AccountId, Bucket, BucketDocument, BucketName, ObjectKey, ObjectOwner, ObjectOwnership, Tag, Timestamp,
};

use super::asking::{Asking, Said};
use super::bucket_policies::BucketPolicy;
use super::judge::{Facts, Found, decide};
use super::resource::{Resource, Through};
use crate::acl::{Acl, CanonicalId, Grant, Grantee, Group, Permission, encode};
use crate::address::parse_query;
use crate::auth::{Signing, SigningPlace};
use crate::config::Networks;
use crate::identity::{Account, Identity, Who};
use crate::origin::Origin;
use crate::policy::{Action, Outcome, Policy, PolicyKind};
use crate::public_access_block::PublicAccessBlock;
use crate::route::Operation;

const NOW: u64 = 1_790_848_800;
const DOOR: &str = "arn:aws:s3:us-east-1:000000000001:accesspoint/door";

/// One question, which a test changes to what it is about.
struct Case {
    caller: Identity,
    operation: Operation,
    action: &'static str,
    key: Option<&'static str>,
    query: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    bucket: Bucket,
    policy: Option<String>,
    block: PublicAccessBlock,
    object: Option<Found>,
    said: Option<Said>,
    through: Option<Through>,
    secure: bool,
    networks: Networks,
}

fn account(number: u64) -> Arc<Account> {
    let id = AccountId::new(number).expect("an account");
    Arc::new(Account { id, canonical_id: Account::canonical_id_of(id), ..Account::root() })
}

fn root(number: u64) -> Identity {
    Identity::new(Some(account(number)), Who::Root)
}

fn user(number: u64, policies: &[&str]) -> Identity {
    let who = Who::User { path: "/".to_owned(), name: "bob".to_owned(), id: "AIDA00000000000000BOB".to_owned() };
    Identity {
        policies: policies.iter().map(|text| identity_policy(text)).collect(),
        ..Identity::new(Some(account(number)), who)
    }
}

fn session(number: u64, policies: &[&str]) -> Identity {
    let (path, name) = ("/".to_owned(), "reader".to_owned());
    let who = Who::Role { path, name, id: "AROA00000000000READER".to_owned(), session: "s".to_owned() };
    let issued = Some(Timestamp::from_secs(NOW - 60));
    let policies = policies.iter().map(|text| identity_policy(text)).collect();
    Identity { policies, issued, ..Identity::new(Some(account(number)), who) }
}

/// A policy of one statement, given without its braces.
fn statement(text: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{text}}}]}}"#)
}

fn identity_policy(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse(statement(text).as_bytes(), &PolicyKind::Identity).expect("an identity policy"))
}

const ALLOW_ALL: &str = r#""Effect":"Allow","Action":"s3:*","Resource":"*""#;
const DENY_GET: &str = r#""Effect":"Deny","Action":"s3:GetObject","Resource":"*""#;

/// A statement of a bucket policy about its objects.
fn objects(effect: &str, principal: &str, action: &str) -> String {
    statement(&format!(
        r#""Effect":"{effect}","Principal":{principal},"Action":"{action}","Resource":"arn:aws:s3:::bucket/*""#
    ))
}

/// One that allows everybody to get under a condition.
fn on_condition(condition: &str) -> String {
    statement(&format!(
        r#""Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject","s3:PutObjectTagging","s3:PutObjectRetention"],
           "Resource":"arn:aws:s3:::bucket/*","Condition":{condition}"#
    ))
}

impl Case {
    fn get(caller: Identity) -> Case {
        let owner = AccountId::new(1).expect("an account");
        let bucket = Bucket { owner, ownership: Some(ObjectOwnership::BucketOwnerEnforced), ..Bucket::default() };
        Case {
            caller,
            operation: Operation::GetObject,
            action: "s3:GetObject",
            key: Some("key"),
            query: "",
            headers: Vec::new(),
            bucket,
            policy: None,
            block: PublicAccessBlock::default(),
            object: None,
            said: None,
            through: None,
            secure: false,
            networks: Networks::new(vec![
                ("vpc-1".to_owned(), "10.0.0.0/8".parse().expect("a network")),
                ("vpce-1".to_owned(), "10.1.2.0/24".parse().expect("a network")),
            ]),
        }
    }

    fn with_policy(self, policy: String) -> Case {
        Case { policy: Some(policy), ..self }
    }

    fn outcome(self) -> Outcome {
        let name = BucketName::parse("bucket").expect("a valid name");
        let key = self.key.map(|key| ObjectKey::parse(key).expect("a valid key"));
        let policy = self.policy.map(|text| {
            let kind = PolicyKind::Bucket { bucket: "bucket".to_owned() };
            let policy = Policy::parse(text.as_bytes(), &kind).expect("a bucket policy");
            BucketPolicy { is_public: policy.is_public(), policy }
        });
        let header = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let signing = Signing { place: SigningPlace::Header, time: Timestamp::from_secs(NOW - 1) };
        let asking = Asking {
            signing: self.caller.account_id().map(|_| signing),
            caller: Arc::new(self.caller),
            origin: Origin { secure: self.secure, ..Origin::of_connection(([10, 1, 2, 3], 1).into(), None) }
                .located(&self.networks),
            operation: Some(self.operation),
            bucket: Some(name.clone()),
            headers: Arc::new(self.headers.iter().map(header).collect::<HeaderMap>()),
            query: Arc::new(parse_query(self.query).expect("a valid query")),
            now: Timestamp::from_secs(NOW),
            said: self.said.map(Arc::new),
            through: None,
        };
        let resource = match &key {
            Some(key) => Resource::Object(&name, key, None),
            None => Resource::Bucket(&name),
        };
        let facts = Facts {
            asking: &asking,
            action: Action::named(self.action).expect("an action"),
            resource,
            bucket: &self.bucket,
            policy: policy.as_ref(),
            block: self.block,
            object: self.object,
            through: self.through.as_ref(),
            region: "us-east-1",
        };
        decide(&facts).expect("a decision")
    }

    #[track_caller]
    fn is(self, allowed: bool) {
        let outcome = self.outcome();
        assert_eq!(matches!(outcome, Outcome::Allowed { .. }), allowed, "{outcome:?}");
    }
}

#[test]
fn within_one_account_either_side_allows() {
    let by_arn = r#"{"AWS":"AIDA00000000000000BOB"}"#;
    Case::get(root(1)).is(true);
    Case::get(user(1, &[])).is(false);
    Case::get(user(1, &[ALLOW_ALL])).is(true);
    Case::get(user(1, &[ALLOW_ALL, DENY_GET])).is(false);
    Case::get(user(1, &[])).with_policy(objects("Allow", by_arn, "s3:GetObject")).is(true);
    Case::get(user(1, &[])).with_policy(objects("Allow", r#"{"AWS":"000000000001"}"#, "s3:GetObject")).is(false);
    Case::get(user(1, &[ALLOW_ALL])).with_policy(objects("Deny", by_arn, "s3:GetObject")).is(false);
    Case::get(root(1)).with_policy(objects("Deny", "\"*\"", "s3:*")).is(false);
    Case::get(session(1, &[ALLOW_ALL])).is(true);
    Case::get(session(1, &[]))
        .with_policy(objects("Allow", r#"{"AWS":"AROA00000000000READER"}"#, "s3:GetObject"))
        .is(true);
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let everyone = || objects("Allow", "\"*\"", "s3:GetObject");
    Case::get(root(2)).is(false);
    Case::get(root(2)).with_policy(everyone()).is(true);
    Case::get(user(2, &[ALLOW_ALL])).is(false);
    Case::get(user(2, &[])).with_policy(everyone()).is(false);
    Case::get(user(2, &[ALLOW_ALL])).with_policy(everyone()).is(true);
    let one = || objects("Allow", r#"{"AWS":"000000000002"}"#, "s3:GetObject");
    Case::get(user(2, &[ALLOW_ALL])).with_policy(one()).is(true);
    Case::get(user(3, &[ALLOW_ALL])).with_policy(one()).is(false);
    // The root of the store is nobody special in the buckets of others.
    Case::get(root(0)).is(false);
}

#[test]
fn anonymous_callers_have_what_everybody_has() {
    let anonymous = || Case::get(Identity::anonymous());
    anonymous().is(false);
    anonymous().with_policy(objects("Allow", "\"*\"", "s3:GetObject")).is(true);
    anonymous().with_policy(objects("Allow", r#"{"AWS":"000000000002"}"#, "s3:GetObject")).is(false);
    anonymous().with_policy(objects("Allow", "\"*\"", "s3:PutObject")).is(false);
}

#[test]
fn sessions_and_boundaries_only_take_away() {
    let put = || identity_policy(r#""Effect":"Allow","Action":"s3:PutObject","Resource":"*""#);
    let get = || identity_policy(r#""Effect":"Allow","Action":"s3:GetObject","Resource":"*""#);
    let limited = |session: Option<Arc<Policy>>, boundary: Option<Arc<Policy>>| {
        let session = session.map(|policy| vec![policy]);
        Case::get(Identity { session, boundary, ..self::session(1, &[ALLOW_ALL]) })
    };
    limited(Some(get()), Some(get())).is(true);
    limited(Some(put()), None).is(false);
    limited(None, Some(put())).is(false);
    limited(Some(put()), None).with_policy(objects("Allow", "\"*\"", "s3:GetObject")).is(false);
}

#[test]
fn public_policies_can_be_restricted() {
    let restricted = |caller: Identity, policy: String| {
        let block = PublicAccessBlock { restrict_public_buckets: true, ..PublicAccessBlock::default() };
        Case { block, ..Case::get(caller).with_policy(policy) }
    };
    let everyone = || objects("Allow", "\"*\"", "s3:GetObject");
    restricted(Identity::anonymous(), everyone()).is(false);
    restricted(root(2), everyone()).is(false);
    restricted(user(1, &[]), everyone()).is(true);
    // A policy that is not public is not cut off; one public statement cuts off the others too.
    let two = r#"{"Sid":"a","Effect":"Allow","Principal":{"AWS":"000000000002"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}"#;
    let public =
        r#"{"Sid":"b","Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*"}"#;
    restricted(root(2), format!(r#"{{"Version":"2012-10-17","Statement":[{two}]}}"#)).is(true);
    restricted(root(2), format!(r#"{{"Version":"2012-10-17","Statement":[{two},{public}]}}"#)).is(false);
    // What it denies, it denies all the same.
    restricted(user(1, &[ALLOW_ALL]), objects("Deny", "\"*\"", "s3:GetObject")).is(false);
}

fn found(owner: u64, grants: Vec<Grant>) -> Option<Found> {
    let account = AccountId::new(owner).expect("an account");
    let acl = (!grants.is_empty()).then(|| encode(&Acl { owner: CanonicalId::of(account), grants })).flatten();
    Some(Found { owner: Some(ObjectOwner { account, acl }), tags: Vec::new() })
}

fn to(grantee: Grantee, permission: Permission) -> Vec<Grant> {
    vec![Grant { grantee, permission }]
}

#[test]
fn access_control_lists_grant_where_they_count() {
    let with = |caller: Identity, ownership: Option<ObjectOwnership>, grants: Vec<Grant>| {
        let mut case = Case { object: found(1, grants), ..Case::get(caller) };
        case.bucket.ownership = ownership;
        case
    };
    let writer = Some(ObjectOwnership::ObjectWriter);
    let enforced = Some(ObjectOwnership::BucketOwnerEnforced);
    let all_read = || to(Grantee::Group(Group::AllUsers), Permission::Read);
    let two_read =
        || to(Grantee::CanonicalUser(CanonicalId::of(AccountId::new(2).expect("an account"))), Permission::Read);
    with(Identity::anonymous(), writer, all_read()).is(true);
    with(Identity::anonymous(), None, all_read()).is(true);
    with(Identity::anonymous(), enforced, all_read()).is(false);
    with(Identity::anonymous(), writer, two_read()).is(false);
    with(root(2), writer, two_read()).is(true);
    with(user(2, &[]), writer, two_read()).is(false);
    with(user(2, &[ALLOW_ALL]), writer, two_read()).is(true);
    with(root(3), writer, two_read()).is(false);
    // A policy outweighs a list.
    with(root(2), writer, two_read()).with_policy(objects("Deny", "\"*\"", "s3:GetObject")).is(false);
    let ignored = PublicAccessBlock { ignore_public_acls: true, ..PublicAccessBlock::default() };
    Case { block: ignored, ..with(Identity::anonymous(), writer, all_read()) }.is(false);
    Case { block: ignored, ..with(root(2), writer, two_read()) }.is(true);

    let mut bucket = Case { key: None, action: "s3:ListBucket", ..Case::get(Identity::anonymous()) };
    bucket.bucket.ownership = writer;
    let list = Acl { owner: CanonicalId::of(bucket.bucket.owner), grants: all_read() };
    bucket.bucket.documents.insert(BucketDocument::Acl, encode(&list).expect("a list").into());
    bucket.is(true);
}

#[test]
fn objects_of_others_are_theirs() {
    let of_two = |caller: Identity, action: &'static str| {
        let mut case = Case { object: found(2, Vec::new()), action, ..Case::get(caller) };
        case.bucket.ownership = Some(ObjectOwnership::ObjectWriter);
        case
    };
    of_two(root(2), "s3:GetObject").is(true);
    of_two(root(1), "s3:GetObject").is(false);
    of_two(root(1), "s3:GetObjectAcl").is(false);
    // The bucket's owner cannot give them away, but can remove and deny.
    of_two(root(3), "s3:GetObject").with_policy(objects("Allow", "\"*\"", "s3:GetObject")).is(false);
    of_two(root(2), "s3:GetObject").with_policy(objects("Deny", "\"*\"", "s3:GetObject")).is(false);
    of_two(root(1), "s3:DeleteObject").is(true);
    // With lists off, everything is the bucket owner's.
    let mut enforced = of_two(root(1), "s3:GetObject");
    enforced.bucket.ownership = Some(ObjectOwnership::BucketOwnerEnforced);
    enforced.is(true);
}

#[test]
fn conditions_see_the_request() {
    let check = |condition: &str, change: fn(&mut Case), expected: bool| {
        let mut case = Case::get(user(1, &[])).with_policy(on_condition(condition));
        change(&mut case);
        let outcome = case.outcome();
        assert_eq!(matches!(outcome, Outcome::Allowed { .. }), expected, "{condition}: {outcome:?}");
    };
    let both = |condition: &str, change: fn(&mut Case)| {
        check(condition, |_| {}, false);
        check(condition, change, true);
    };
    check(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, |_| {}, true);
    check(r#"{"IpAddress":{"aws:SourceIp":"192.168.0.0/16"}}"#, |_| {}, false);
    check(r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#, |_| {}, true);
    check(r#"{"StringEquals":{"aws:SourceVpc":"vpc-2"}}"#, |_| {}, false);
    check(r#"{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#, |_| {}, true);
    check(r#"{"IpAddress":{"aws:VpcSourceIp":"10.1.0.0/16"}}"#, |_| {}, true);
    check(r#"{"Null":{"aws:SourceVpc":"true"}}"#, |_| {}, false);
    let outside = |case: &mut Case| case.networks = Networks::default();
    for key in ["aws:SourceVpc", "aws:SourceVpce", "aws:VpcSourceIp"] {
        check(&format!(r#"{{"Null":{{"{key}":"true"}}}}"#), outside, true);
    }
    both(r#"{"Bool":{"aws:SecureTransport":"true"}}"#, |case| case.secure = true);
    both(r#"{"StringEquals":{"aws:UserAgent":"me"}}"#, |case| case.headers.push(("user-agent", "me")));
    both(r#"{"StringLike":{"aws:Referer":"http://a/*"}}"#, |case| case.headers.push(("referer", "http://a/b")));
    check(r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#, |_| {}, true);
    check(
        r#"{"StringEquals":{"aws:username":"bob","aws:userid":"AIDA00000000000000BOB","aws:PrincipalType":"User"}}"#,
        |_| {},
        true,
    );
    check(r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::000000000001:user/bob"}}"#, |_| {}, true);
    check(
        r#"{"StringEquals":{"aws:PrincipalAccount":"000000000001","s3:ResourceAccount":"000000000001"}}"#,
        |_| {},
        true,
    );
    check(r#"{"StringEquals":{"s3:authType":"REST-HEADER","s3:signatureversion":"AWS4-HMAC-SHA256"}}"#, |_| {}, true);
    check(r#"{"NumericLessThan":{"s3:signatureAge":"1001"}}"#, |_| {}, true);
    check(r#"{"NumericLessThan":{"s3:signatureAge":"1000"}}"#, |_| {}, false);
    both(r#"{"StringEquals":{"aws:PrincipalTag/team":"red"}}"#, |case| {
        case.caller.tags = vec![("Team".to_owned(), "red".to_owned())];
    });
    both(r#"{"StringEquals":{"s3:ExistingObjectTag/class":"open"}}"#, |case| {
        let tags = vec![Tag { key: "class".to_owned(), value: "open".to_owned() }];
        case.object = Some(Found { owner: None, tags });
    });
    let put = |case: &mut Case| (case.operation, case.action) = (Operation::PutObject, "s3:PutObject");
    for (condition, header) in [
        (r#"{"StringEquals":{"s3:x-amz-acl":"private"}}"#, ("x-amz-acl", "private")),
        (r#"{"StringEquals":{"s3:x-amz-storage-class":"GLACIER"}}"#, ("x-amz-storage-class", "GLACIER")),
        (r#"{"StringEquals":{"s3:RequestObjectTag/a":"1"}}"#, ("x-amz-tagging", "a=1")),
        (
            r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]},"Null":{"s3:RequestObjectTagKeys":"false"}}"#,
            ("x-amz-tagging", "a=1"),
        ),
        (r#"{"StringEquals":{"s3:object-lock-mode":"GOVERNANCE"}}"#, ("x-amz-object-lock-mode", "GOVERNANCE")),
        (
            r#"{"StringLike":{"s3:x-amz-copy-source":"photos/a b*"}}"#,
            ("x-amz-copy-source", "/photos/a%20bc?versionId=1"),
        ),
        (r#"{"StringEquals":{"s3:if-none-match":"*"}}"#, ("if-none-match", "*")),
    ] {
        for (headers, expected) in [(Vec::new(), false), (vec![header], true)] {
            let mut case = Case { headers, ..Case::get(user(1, &[])).with_policy(on_condition(condition)) };
            put(&mut case);
            let outcome = case.outcome();
            assert_eq!(matches!(outcome, Outcome::Allowed { .. }), expected, "{condition}: {outcome:?}");
        }
    }
}

#[test]
fn listing_conditions_are_for_listings() {
    let policy = || {
        statement(
            r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket",
               "Condition":{"StringLike":{"s3:prefix":"home/*"},"NumericLessThanEquals":{"s3:max-keys":"10"}}"#,
        )
    };
    let list = |operation: Operation, query: &'static str| {
        let case = Case { key: None, action: "s3:ListBucket", operation, query, ..Case::get(user(1, &[])) };
        case.with_policy(policy())
    };
    list(Operation::ListObjectsV2, "list-type=2&prefix=home/a&max-keys=10").is(true);
    list(Operation::ListObjectsV2, "list-type=2&prefix=home/a&max-keys=11").is(false);
    list(Operation::ListObjectsV2, "list-type=2&prefix=home/a").is(false);
    list(Operation::ListObjectsV2, "list-type=2&prefix=other&max-keys=1").is(false);
    // Nobody finds out what is missing by adding parameters that mean nothing.
    list(Operation::GetObject, "prefix=home/a&max-keys=1").is(false);
}

#[test]
fn what_cannot_be_known_is_no_permission() {
    let denied = |condition: &str| {
        statement(&format!(
            r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{condition}"#
        ))
    };
    // The tags were not looked up, the document was not read.
    let tag = r#"{"StringEquals":{"s3:ExistingObjectTag/class":"secret"}}"#;
    Case::get(root(1)).with_policy(denied(tag)).is(false);
    Case { object: Some(Found::default()), ..Case::get(root(1)).with_policy(denied(tag)) }.is(true);
    let mode = r#"{"StringEquals":{"s3:object-lock-mode":"COMPLIANCE"}}"#;
    let retain = |said: Option<Said>| {
        let case = Case::get(root(1)).with_policy(denied(mode));
        Case { operation: Operation::PutObjectRetention, action: "s3:PutObjectRetention", said, ..case }
    };
    let said = |mode: &str| Some(Said { lock_mode: Some(mode.to_owned()), ..Said::default() });
    retain(None).is(false);
    retain(said("COMPLIANCE")).is(false);
    retain(said("GOVERNANCE")).is(true);
    // Tags that cannot be read.
    let tags = r#"{"StringEquals":{"s3:RequestObjectTag/a":"1"}}"#;
    let put = |value: &'static str| {
        let case = Case::get(root(1)).with_policy(denied(tags));
        let headers = vec![("x-amz-tagging", value)];
        Case { operation: Operation::PutObject, action: "s3:PutObject", headers, ..case }
    };
    put("a=2").is(true);
    put("a=1").is(false);
    put("a=2&a=1").is(false);
}

#[test]
fn access_points_are_a_second_lock() {
    let door = |policy: Option<&str>| Through {
        arn: DOOR.to_owned(),
        account: AccountId::new(1).expect("an account"),
        vpc: None,
        tags: Vec::new(),
        policy: policy.map(|text| {
            let kind = PolicyKind::AccessPoint { arn: DOOR.to_owned() };
            Arc::new(Policy::parse(statement(text).as_bytes(), &kind).expect("a policy of an access point"))
        }),
        restricts_public: false,
        ignores_public_acls: false,
    };
    let opens = format!(
        r#""Effect":"Allow","Principal":{{"AWS":"000000000002"}},"Action":"s3:GetObject","Resource":"{DOOR}/object/*""#
    );
    let shut = format!(r#""Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"{DOOR}/object/*""#);
    let delegates = || {
        statement(
            r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],
               "Condition":{"StringEquals":{"s3:DataAccessPointAccount":"000000000001"}}"#,
        )
    };
    let by = |caller: Identity, policy: Option<&str>| Case { through: Some(door(policy)), ..Case::get(caller) };
    by(root(1), None).is(true);
    by(root(1), Some(&shut)).is(false);
    by(user(1, &[ALLOW_ALL]), None).is(true);
    by(root(2), Some(&opens)).is(false);
    by(root(2), Some(&opens)).with_policy(delegates()).is(true);
    by(root(2), None).with_policy(delegates()).is(false);
    Case::get(root(2)).with_policy(delegates()).is(false);
    let own = format!(r#""Effect":"Allow","Action":"s3:GetObject","Resource":"{DOOR}/object/*""#);
    by(user(1, &[&own]), None).is(true);
}
