//! Replication configurations: what is stored, shown and refused; where destinations are; what a replica refuses.

use std::sync::Arc;

use strata::config::{RegionSettings, UrlStyle};
use strata::credentials::{Credentials, Secret};
use strata_storage::SystemClock;
use tokio::net::TcpListener;

use crate::people::{People, call, encoded};
use crate::support::{Answer, Fixture, Raw};

/// The role's ARN.
pub const ROLE: &str = "arn:aws:iam::000000000000:role/replication";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const UNVERSIONED: &str = "Destination bucket must have versioning enabled.";

/// The role of the configurations.
pub async fn make_role(root: &Raw) {
    make_role_trusting(root, "replication", TRUST).await;
}

async fn make_role_trusting(root: &Raw, name: &str, trust: &str) {
    let form = format!("Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}", encoded(trust));
    call(root, "iam", &form).await.is(200);
}

/// A server with the role and with versioned buckets.
pub async fn fixture(buckets: &[&str]) -> Fixture {
    with_regions(buckets, Vec::new()).await
}

/// The same that can replicate to other stores.
pub async fn with_regions(buckets: &[&str], regions: Vec<RegionSettings>) -> Fixture {
    let fixture = Fixture::start_with(|config| config.regions = regions, Arc::new(SystemClock)).await;
    for bucket in buckets {
        fixture.raw.put(&format!("/{bucket}"), "").await.is(200);
        fixture.set_versioning(bucket, "Enabled").await;
    }
    make_role(&fixture.raw).await;
    fixture
}

/// The server as a region of another.
pub fn region(raw: &Raw, buckets: &[&str]) -> RegionSettings {
    RegionSettings {
        name: "site-b".to_owned(),
        endpoint: format!("http://{}", raw.authority).parse().expect("a URL"),
        signing_region: raw.region.clone(),
        credentials: Credentials {
            access_key: raw.access_key.clone(),
            secret_key: Secret::new(raw.secret_key.clone()),
        },
        ca_file: None,
        buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
        style: UrlStyle::Path,
    }
}

/// Sets a rule for everything, with time control or without.
pub async fn configure_timed(raw: &Raw, bucket: &str, destination: &str, is_timed: bool) {
    let minutes = "<Minutes>15</Minutes>";
    let timed = format!(
        "<ReplicationTime><Status>Enabled</Status><Time>{minutes}</Time></ReplicationTime>\
         <Metrics><Status>Enabled</Status><EventThreshold>{minutes}</EventThreshold></Metrics>"
    );
    let timed = if is_timed { timed } else { String::new() };
    let document = configuration(ROLE, &(to(destination) + &timed));
    put(raw, &format!("/{bucket}?replication"), document).await.is(200);
}

/// A configuration with one rule for everything.
pub fn configuration(role: &str, destination: &str) -> String {
    format!(
        "<ReplicationConfiguration><Role>{role}</Role><Rule><ID>all</ID><Priority>1</Priority><Filter></Filter>\
         <Status>Enabled</Status><Destination>{destination}</Destination><DeleteMarkerReplication>\
         <Status>Enabled</Status></DeleteMarkerReplication></Rule></ReplicationConfiguration>"
    )
}

/// The element of a destination that names its bucket.
pub fn to(bucket: &str) -> String {
    format!("<Bucket>arn:aws:s3:::{bucket}</Bucket>")
}

/// Puts a document.
pub async fn put(raw: &Raw, target: &str, document: String) -> Answer {
    raw.request("PUT", target).md5_of(document.as_bytes()).body(document).send().await
}

/// Sets a rule for everything.
pub async fn configure(raw: &Raw, bucket: &str, destination: &str) -> Answer {
    put(raw, &format!("/{bucket}?replication"), configuration(ROLE, &to(destination))).await
}

#[tokio::test]
async fn configurations_come_and_go() {
    let fixture = fixture(&["bucket", "copies"]).await;
    let raw = &fixture.raw;
    let message = "The replication configuration was not found";
    let code = "ReplicationConfigurationNotFoundError";
    raw.get("/bucket?replication").await.fails_saying(404, code, message).has("BucketName", "bucket");
    configure(raw, "bucket", "copies").await.is(200).has_body("");
    let shown = raw.get("/bucket?replication").await.is(200).text();
    let inside = configuration(ROLE, &to("copies"));
    let inside = inside.strip_prefix("<ReplicationConfiguration>").expect("a root");
    assert!(
        shown.ends_with(&format!(
            "<ReplicationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}"
        ))
    );
    // Rules get ids; one that is as it was keeps its own.
    let document = configuration(ROLE, &to("copies")).replace("<ID>all</ID>", "");
    put(raw, "/bucket?replication", document.clone()).await.is(200);
    raw.get("/bucket?replication").await.is(200).has("ID", "all");
    raw.delete("/bucket?replication").await.is(204);
    put(raw, "/bucket?replication", document).await.is(200);
    let id = raw.get("/bucket?replication").await.is(200).element("ID").expect("an id");
    assert_eq!(id.len(), 48, "{id}");
    // A token was needed once.
    let document = configuration(ROLE, &to("copies"));
    let draft = raw.request("PUT", "/bucket?replication").header("x-amz-bucket-object-lock-token", "x");
    draft.md5_of(document.as_bytes()).body(document).send().await.is(200);

    let fixture = fixture.restart().await;
    let raw = &fixture.raw;
    raw.get("/bucket?replication").await.is(200).has("ID", "all");
    raw.delete("/bucket?replication").await.is(204).has_body("");
    raw.delete("/bucket?replication").await.is(204);
    raw.get("/bucket?replication").await.fails(404, code);
    raw.get("/missing?replication").await.fails(404, "NoSuchBucket");
    raw.delete("/missing?replication").await.fails(404, "NoSuchBucket");
    configure(raw, "missing", "copies").await.fails(404, "NoSuchBucket");
    raw.request("POST", "/bucket?replication").send().await.fails(405, "MethodNotAllowed");
    fixture.stop().await;
}

#[tokio::test]
async fn documents_are_checked() {
    let fixture = fixture(&["bucket", "copies"]).await;
    let raw = &fixture.raw;
    let document = configuration(ROLE, &to("copies"));
    raw.put("/bucket?replication", document.clone()).await.fails(400, "InvalidRequest");
    raw.post("/bucket?replication", "").await.fails(405, "MethodNotAllowed");
    put(raw, "/bucket?replication", String::new()).await.fails(400, "MissingRequestBodyError");
    put(raw, "/bucket?replication", "<x/>".to_owned()).await.fails(400, "MalformedXML");
    let none = format!("<ReplicationConfiguration><Role>{ROLE}</Role></ReplicationConfiguration>");
    put(raw, "/bucket?replication", none).await.fails(400, "MalformedXML");
    let huge = format!("{document}<!-- {} -->", "x".repeat(2 << 20));
    let answer = put(raw, "/bucket?replication", huge).await;
    assert_eq!(answer.status.as_u16(), 400, "{}", answer.text());
    let existing = "<ExistingObjectReplication><Status>Enabled</Status></ExistingObjectReplication><Destination>";
    let existing = document.replace("<Destination>", existing);
    let message =
        "ExistingObjectReplication is not supported; `strata replication resync BUCKET` sends existing objects.";
    put(raw, "/bucket?replication", existing).await.fails_saying(400, "InvalidRequest", message);
    raw.get("/bucket?replication").await.is(404);
    fixture.stop().await;
}

#[tokio::test]
async fn both_buckets_are_versioned_and_stay_so() {
    let fixture = fixture(&["bucket", "copies"]).await;
    let raw = &fixture.raw;
    raw.put("/plain", "").await.is(200);
    let message = "Versioning must be 'Enabled' on the bucket to apply a replication configuration";
    configure(raw, "plain", "copies").await.fails_saying(400, "InvalidRequest", message);
    for missing in ["plain", "nowhere"] {
        configure(raw, "bucket", missing).await.fails_saying(400, "InvalidRequest", UNVERSIONED);
    }
    fixture.set_versioning("copies", "Suspended").await;
    configure(raw, "bucket", "copies").await.fails_saying(400, "InvalidRequest", UNVERSIONED);
    fixture.set_versioning("copies", "Enabled").await;
    let message = "The source and the destination bucket cannot be the same.";
    configure(raw, "bucket", "bucket").await.fails_saying(400, "InvalidRequest", message);
    configure(raw, "bucket", "copies").await.is(200);
    let suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let message = "A replication configuration is present on this bucket, so you cannot change the versioning state. To \
                   change the versioning state, first delete the replication configuration.";
    raw.put("/bucket?versioning", suspend).await.fails_saying(409, "InvalidBucketState", message);
    // The destination's can be suspended; sending fails then.
    raw.put("/copies?versioning", suspend).await.is(200);
    raw.delete("/bucket?replication").await.is(204);
    raw.put("/bucket?versioning", suspend).await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn locked_buckets_need_locked_destinations() {
    let fixture = fixture(&["copies"]).await;
    let raw = &fixture.raw;
    for bucket in ["locked", "vault"] {
        let draft = raw.request("PUT", &format!("/{bucket}")).header("x-amz-bucket-object-lock-enabled", "true");
        draft.send().await.is(200);
    }
    configure(raw, "locked", "copies").await.fails(400, "InvalidRequest");
    configure(raw, "locked", "vault").await.is(200);
    configure(raw, "copies", "vault").await.is(200);
    let suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let message = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.";
    raw.put("/locked?versioning", suspend).await.fails_saying(409, "InvalidBucketState", message);
    fixture.stop().await;
}

#[tokio::test]
async fn roles_exist_and_trust_the_service() {
    let fixture = fixture(&["bucket", "copies"]).await;
    let raw = &fixture.raw;
    make_role_trusting(raw, "stranger", &TRUST.replace("\"Service\":\"s3.", "\"Service\":\"ec2.")).await;
    let elsewhere =
        TRUST.replace("\"Action\"", r#""Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::other"}},"Action""#);
    make_role_trusting(raw, "elsewhere", &elsewhere).await;
    make_role_trusting(raw, "here", &elsewhere.replace(":::other", ":::bucket")).await;
    let with = async |role: &str| put(raw, "/bucket?replication", configuration(role, &to("copies"))).await;
    for role in ["", "replication", "arn:aws:iam::000000000000:user/root", "arn:aws:iam::000000000001:role/r"] {
        with(role).await.fails(400, "InvalidArgument").has("ArgumentName", "Role");
    }
    with("arn:aws:iam::000000000000:role/missing").await.fails_saying(400, "InvalidRequest", "The role does not exist");
    with("arn:aws:iam::000000000000:role/x/replication").await.fails(400, "InvalidRequest");
    let message = "The trust policy of the role must allow the service s3.amazonaws.com sts:AssumeRole";
    for role in ["stranger", "elsewhere"] {
        let answer = with(&format!("arn:aws:iam::000000000000:role/{role}")).await;
        answer.fails_saying(400, "InvalidRequest", message);
    }
    with("arn:aws:iam::000000000000:role/here").await.is(200);
    with(ROLE).await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn callers_may_pass_the_role() {
    let fixture = fixture(&["bucket", "copies"]).await;
    let people = People::of(&fixture).await;
    let (raw, bob) = (&fixture.raw, &people.denied);
    let allow = async |statement: &str| people.allow(&people.denied_name, statement).await;
    configure(bob, "bucket", "copies").await.fails(403, "AccessDenied");
    allow(r#""Action":["s3:PutReplicationConfiguration","s3:GetReplicationConfiguration"],"Resource":"*""#).await;
    configure(bob, "bucket", "copies").await.fails(403, "AccessDenied");
    // Nor does he learn which roles there are.
    let other = configuration("arn:aws:iam::000000000000:role/missing", &to("copies"));
    put(bob, "/bucket?replication", other).await.fails(403, "AccessDenied");
    let pass = |service: &str| {
        format!(
            r#""Action":["s3:PutReplicationConfiguration","iam:PassRole"],"Resource":"*","Condition":{{"StringEqualsIfExists":{{"iam:PassedToService":"{service}"}}}}"#
        )
    };
    allow(&pass("ec2.amazonaws.com")).await;
    configure(bob, "bucket", "copies").await.fails(403, "AccessDenied");
    allow(&pass("s3.amazonaws.com")).await;
    configure(bob, "bucket", "copies").await.is(200);
    bob.get("/bucket?replication").await.fails(403, "AccessDenied");
    bob.delete("/bucket?replication").await.is(204);
    // Another account cannot pass a role of this one, whatever the bucket's policy says.
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{}"}},"Action":"s3:*","Resource":"arn:aws:s3:::bucket"}}]}}"#,
        people.other_account
    );
    raw.put("/bucket?policy", policy).await.is(204);
    people.other.get("/bucket?replication").await.fails(404, "ReplicationConfigurationNotFoundError");
    configure(&people.other, "bucket", "copies").await.fails(403, "AccessDenied");
    fixture.stop().await;
}

#[tokio::test]
async fn accounts_own_their_destinations() {
    let fixture = fixture(&["bucket"]).await;
    let people = People::of(&fixture).await;
    people.other.put("/theirs", "").await.is(200);
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    people.other.put("/theirs?versioning", versioning).await.is(200);
    let to_account = async |account: &str| {
        let destination = format!("{}<Account>{account}</Account>", to("theirs"));
        put(&fixture.raw, "/bucket?replication", configuration(ROLE, &destination)).await
    };
    to_account(&people.other_account).await.is(200);
    to_account("000000000000").await.fails(400, "InvalidArgument").has("ArgumentName", "Account");
    fixture.stop().await;
}

#[tokio::test]
async fn destinations_are_in_other_stores() {
    let far = fixture(&["bucket", "far", "hidden"]).await;
    far.raw.put("/plain", "").await.is(200);
    let near = with_regions(&["bucket", "near"], vec![region(&far.raw, &["bucket", "near", "far*", "plain"])]).await;
    let raw = &near.raw;
    configure(raw, "bucket", "far").await.is(200);
    // Both stores may call a bucket the same.
    configure(raw, "bucket", "bucket").await.is(200);
    configure(raw, "bucket", "near").await.is(200);
    for bucket in ["plain", "hidden", "far-away"] {
        configure(raw, "bucket", bucket).await.fails_saying(400, "InvalidRequest", UNVERSIONED);
    }
    let to_account = async |account: &str| {
        let destination = format!("{}<Account>{account}</Account>", to("far"));
        put(raw, "/bucket?replication", configuration(ROLE, &destination)).await
    };
    to_account("000000000000").await.is(200);
    to_account("000000000001").await.fails(400, "InvalidArgument").has("ArgumentName", "Account");
    let draft = raw.request("PUT", "/locked").header("x-amz-bucket-object-lock-enabled", "true");
    draft.send().await.is(200);
    configure(raw, "locked", "far").await.fails(400, "InvalidRequest");
    let draft = far.raw.request("PUT", "/far-vault").header("x-amz-bucket-object-lock-enabled", "true");
    draft.send().await.is(200);
    configure(raw, "locked", "far-vault").await.is(200);
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn a_region_that_does_not_answer_is_named() {
    let far = fixture(&["far"]).await;
    let mut stranger = region(&far.raw, &[]);
    stranger.credentials.secret_key = Secret::new("guessed-wrong".to_owned());
    let mut gone = region(&far.raw, &["gone"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    (gone.name, gone.endpoint) = ("site-c".to_owned(), format!("http://{address}").parse().expect("a URL"));
    let near = with_regions(&["bucket", "near"], vec![gone, stranger]).await;
    let message = "The destination bucket cannot be looked for: the region site-c cannot be reached.";
    configure(&near.raw, "bucket", "gone").await.fails_saying(400, "InvalidRequest", message);
    let message = "The destination bucket cannot be looked at: the region site-b answers 403 SignatureDoesNotMatch.";
    configure(&near.raw, "bucket", "far").await.fails_saying(400, "InvalidRequest", message);
    let mut elsewhere = region(&far.raw, &[]);
    elsewhere.signing_region = "eu-north-7".to_owned();
    let third = with_regions(&["bucket"], vec![elsewhere]).await;
    let message = format!(
        "The destination bucket cannot be looked at: the region site-b answers 400 AuthorizationHeaderMalformed; \
         requests to it have to be signed for {}.",
        far.raw.region
    );
    configure(&third.raw, "bucket", "far").await.fails_saying(400, "InvalidRequest", &message);
    third.stop().await;
    // What is here is found without asking anybody.
    configure(&near.raw, "bucket", "near").await.is(200);
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn replicas_refuse_changes_of_clients() {
    let fixture = Fixture::start_with(|config| config.replication.read_only = true, Arc::new(SystemClock)).await;
    let raw = &fixture.raw;
    raw.put("/bucket", "").await.is(200);
    fixture.set_versioning("bucket", "Enabled").await;
    let message = "This store is a replica: its objects are changed by replication only.";
    raw.put("/bucket/key", "x").await.fails_saying(403, "AccessDenied", message);
    raw.delete("/bucket/key").await.fails_saying(403, "AccessDenied", message);
    let list = "<Delete><Object><Key>key</Key></Object></Delete>";
    raw.post("/bucket?delete", list).await.fails_saying(403, "AccessDenied", message);
    raw.post("/bucket/key?uploads", "").await.fails_saying(403, "AccessDenied", message);
    // Strangers do not learn what it is.
    raw.request("PUT", "/bucket/key").unsigned().send().await.fails_saying(403, "AccessDenied", "Access Denied");
    raw.get("/bucket").await.is(200);
    raw.get("/bucket/key").await.fails(404, "NoSuchKey");
    raw.delete("/bucket").await.is(204);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_left_to_do_for_a_bucket_goes_with_it() {
    let fixture = fixture(&["photos", "copies"]).await;
    put(&fixture.raw, "/photos?replication", configuration(ROLE, &to("copies"))).await.is(200);
    assert_eq!(fixture.store().queues().await.expect("queues").len(), 1);
    fixture.raw.delete("/photos").await.is(204);
    let forgotten = async {
        while !fixture.store().queues().await.expect("queues").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), forgotten).await.expect("it is forgotten");
}
