//! Access control lists, Object Ownership and Block Public Access: what can be set, what is refused, what is shown.

use http::StatusCode;

use crate::support::{Answer, Fixture, Raw};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

/// A server with a bucket whose lists count, and that blocks nothing.
async fn open_bucket() -> Fixture {
    let fixture = Fixture::start().await;
    let made = fixture.raw.request("PUT", "/bucket").header("x-amz-object-ownership", "ObjectWriter").send().await;
    made.is(200);
    fixture.raw.delete("/bucket?publicAccessBlock").await.is(204);
    fixture
}

async fn block(raw: &Raw, switches: &[&str]) {
    let switches: String = switches.iter().map(|name| format!("<{name}>true</{name}>")).collect();
    let document = format!("<PublicAccessBlockConfiguration>{switches}</PublicAccessBlockConfiguration>");
    raw.put("/bucket?publicAccessBlock", document).await.is(200);
}

async fn own(raw: &Raw, ownership: &str) -> Answer {
    let document =
        format!("<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>");
    raw.put("/bucket?ownershipControls", document).await
}

async fn with_acl(raw: &Raw, target: &str, acl: &str) -> Answer {
    raw.request("PUT", target).header("x-amz-acl", acl).send().await
}

/// The grants of an answer: `owner:FULL_CONTROL AllUsers:READ`.
fn grants(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let owner = answer.element("ID").expect("an owner");
    let shown = answer.elements("Grant").into_iter().map(|grant| {
        let permission = crate::support::elements(&grant, "Permission").remove(0);
        let grantee = match crate::support::elements(&grant, "URI").first() {
            Some(uri) => uri.rsplit('/').next().unwrap_or_default().to_owned(),
            None if grant.contains(&owner) => "owner".to_owned(),
            None => "other".to_owned(),
        };
        format!("{grantee}:{permission}")
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn buckets_have_lists() {
    let fixture = open_bucket().await;
    let raw = &fixture.raw;
    assert_eq!(grants(&raw.get("/bucket?acl").await), "owner:FULL_CONTROL");
    with_acl(raw, "/bucket?acl", "public-read-write").await.is(200);
    raw.request("PUT", "/bucket/of-nobody").unsigned().send().await.is(200);
    raw.request("POST", "/bucket/of-nobody?uploads").unsigned().send().await.fails(403, "AccessDenied");
    let all = "owner:FULL_CONTROL AllUsers:READ AllUsers:WRITE";
    assert_eq!(grants(&raw.get("/bucket?acl").await), all);
    let shown = raw.get("/bucket?acl").await;
    let document = shown.text().replace("<Permission>WRITE</Permission>", "<Permission>READ_ACP</Permission>");
    raw.put("/bucket?acl", document).await.is(200);
    assert_eq!(grants(&raw.get("/bucket?acl").await), "owner:FULL_CONTROL AllUsers:READ AllUsers:READ_ACP");
    let grant = format!("uri=\"{ALL_USERS}\", id=\"{}\"", shown.element("ID").expect("an owner"));
    raw.request("PUT", "/bucket?acl").header("x-amz-grant-write", &grant).send().await.is(200);
    assert_eq!(grants(&raw.get("/bucket?acl").await), "AllUsers:WRITE owner:WRITE");
    with_acl(raw, "/bucket?acl", "log-delivery-write").await.is(200);
    let log = "owner:FULL_CONTROL LogDelivery:WRITE LogDelivery:READ_ACP";
    assert_eq!(grants(&raw.get("/bucket?acl").await), log);
    fixture.stop().await;
}

#[tokio::test]
async fn requests_for_lists_are_checked() {
    let fixture = open_bucket().await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "x").await.is(200);
    for target in ["/bucket?acl", "/bucket/key?acl"] {
        raw.put(target, "").await.fails(400, "MissingSecurityHeader").has("MissingHeaderName", "x-amz-acl");
        raw.put(target, "<x").await.fails(400, "MalformedACLError");
        let both = raw.request("PUT", target).headers(&[("x-amz-acl", "private"), ("x-amz-grant-read", "id=1")]);
        let message = "Specifying both Canned ACLs and Header Grants is not allowed";
        both.send().await.fails_saying(400, "InvalidRequest", message);
        let body = raw.get(target).await.body;
        let content = raw.request("PUT", target).header("x-amz-acl", "private").body(body.clone()).send().await;
        content.fails(400, "UnexpectedContent");
        with_acl(raw, target, "open").await.refuses_argument("x-amz-acl", "");
        let grant = |value| raw.request("PUT", target).header("x-amz-grant-read", value).send();
        grant("id=12").await.refuses_argument("x-amz-grant-read", "Invalid id");
        grant("uri=everybody").await.refuses_argument("x-amz-grant-read", "Invalid group uri");
        grant("emailAddress=me@example.com").await.fails(405, "MethodNotAllowed");
        let stranger = String::from_utf8_lossy(&body).replacen("<ID>", "<ID>00", 1);
        raw.put(target, stranger).await.fails(400, "InvalidArgument");
        raw.put(target, body).await.is(200);
    }
    raw.get("/missing?acl").await.fails(404, "NoSuchBucket");
    raw.get("/bucket/missing?acl").await.fails(404, "NoSuchKey");
    fixture.stop().await;
}

#[tokio::test]
async fn versions_have_lists_of_their_own() {
    let fixture = open_bucket().await;
    fixture.set_versioning("bucket", "Enabled").await;
    let raw = &fixture.raw;
    let first = with_acl(raw, "/bucket/key", "public-read").await.is(200).version();
    let second = raw.put("/bucket/key", "x").await.is(200).version();
    let shown = |id: String| async move { grants(&raw.get(&format!("/bucket/key?acl&versionId={id}")).await) };
    assert_eq!(shown(first.clone()).await, "owner:FULL_CONTROL AllUsers:READ");
    assert_eq!(shown(second.clone()).await, "owner:FULL_CONTROL");
    with_acl(raw, "/bucket/key?acl", "authenticated-read").await.is(200);
    assert_eq!(shown(second.clone()).await, "owner:FULL_CONTROL AuthenticatedUsers:READ");
    with_acl(raw, &format!("/bucket/key?acl&versionId={first}"), "private").await.is(200);
    assert_eq!(shown(first).await, "owner:FULL_CONTROL");
    let marker = raw.delete("/bucket/key").await.is(204).version();
    raw.get("/bucket/key?acl").await.fails(404, "NoSuchKey");
    with_acl(raw, "/bucket/key?acl", "private").await.fails(405, "MethodNotAllowed");
    raw.get(&format!("/bucket/key?acl&versionId={marker}")).await.fails(405, "MethodNotAllowed");
    assert_eq!(shown(second).await, "owner:FULL_CONTROL AuthenticatedUsers:READ");
    fixture.stop().await;
}

#[tokio::test]
async fn every_way_to_write_takes_a_list() {
    let fixture = open_bucket().await;
    let raw = &fixture.raw;
    with_acl(raw, "/bucket/put", "public-read").await.is(200);
    let copy = raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "bucket/put");
    copy.header("x-amz-acl", "authenticated-read").send().await.is(200);
    let begin = raw.request("POST", "/bucket/parts?uploads").header("x-amz-acl", "public-read");
    let id = begin.send().await.is(200).element("UploadId").expect("an upload");
    let etag = raw.put(&format!("/bucket/parts?partNumber=1&uploadId={id}"), "x").await.is(200).etag();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    raw.request("POST", &format!("/bucket/parts?uploadId={id}")).body(list).send().await.is(200);
    assert_eq!(grants(&raw.get("/bucket/put?acl").await), "owner:FULL_CONTROL AllUsers:READ");
    assert_eq!(grants(&raw.get("/bucket/copy?acl").await), "owner:FULL_CONTROL AuthenticatedUsers:READ");
    assert_eq!(grants(&raw.get("/bucket/parts?acl").await), "owner:FULL_CONTROL AllUsers:READ");
    // The list is no part of what is copied.
    raw.request("PUT", "/bucket/again").header("x-amz-copy-source", "bucket/put").send().await.is(200);
    assert_eq!(grants(&raw.get("/bucket/again?acl").await), "owner:FULL_CONTROL");
    fixture.stop().await;
}

#[tokio::test]
async fn buckets_without_lists() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let message = "The bucket does not allow ACLs";
    raw.put("/bucket/key", "x").await.is(200);
    for target in ["/bucket?acl", "/bucket/key?acl", "/bucket/key"] {
        let not_supported = "AccessControlListNotSupported";
        with_acl(raw, target, "public-read").await.fails_saying(400, not_supported, message);
        with_acl(raw, target, "bucket-owner-read").await.fails_saying(400, not_supported, message);
        with_acl(raw, target, "bucket-owner-full-control").await.is(200);
        with_acl(raw, target, "private").await.is(200);
    }
    raw.put("/bucket?acl", raw.get("/bucket?acl").await.body).await.is(200);
    let grant = raw.request("PUT", "/bucket/key").header("x-amz-grant-read", "id=1");
    grant.send().await.fails_saying(400, "AccessControlListNotSupported", message);
    fixture.stop().await;
}

#[tokio::test]
async fn ownership_decides_whether_lists_count() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.get("/bucket?ownershipControls").await.is(200).has("ObjectOwnership", "BucketOwnerEnforced");
    raw.delete("/bucket?publicAccessBlock").await.is(204);
    own(raw, "ObjectWriter").await.is(200);
    with_acl(raw, "/bucket/key", "public-read").await.is(200);
    with_acl(raw, "/bucket?acl", "public-read").await.is(200);
    own(raw, "BucketOwnerEnforced").await.fails(400, "InvalidBucketAclWithObjectOwnership");
    with_acl(raw, "/bucket?acl", "private").await.is(200);
    own(raw, "BucketOwnerEnforced").await.is(200);
    assert_eq!(grants(&raw.get("/bucket/key?acl").await), "owner:FULL_CONTROL");
    own(raw, "BucketOwnerPreferred").await.is(200);
    assert_eq!(grants(&raw.get("/bucket/key?acl").await), "owner:FULL_CONTROL AllUsers:READ");
    own(raw, "Nobody").await.fails(400, "MalformedXML");
    raw.delete("/bucket?ownershipControls").await.is(204);
    raw.get("/bucket?ownershipControls").await.fails(404, "OwnershipControlsNotFoundError");
    assert_eq!(grants(&raw.get("/bucket/key?acl").await), "owner:FULL_CONTROL AllUsers:READ");
    fixture.stop().await;
}

#[tokio::test]
async fn public_access_is_blocked() {
    let fixture = open_bucket().await;
    let raw = &fixture.raw;
    raw.get("/bucket?publicAccessBlock").await.fails(404, "NoSuchPublicAccessBlockConfiguration");
    with_acl(raw, "/bucket/old", "public-read").await.is(200);
    block(raw, &["BlockPublicAcls"]).await;
    raw.get("/bucket?publicAccessBlock").await.is(200).has("BlockPublicAcls", "true").has("IgnorePublicAcls", "false");
    for target in ["/bucket?acl", "/bucket/old?acl", "/bucket/new"] {
        for acl in ["public-read", "public-read-write", "authenticated-read"] {
            with_acl(raw, target, acl).await.fails(403, "AccessDenied");
        }
        with_acl(raw, target, "private").await.is(200);
    }
    raw.delete("/bucket?publicAccessBlock").await.is(204);
    with_acl(raw, "/bucket/old?acl", "public-read").await.is(200);
    block(raw, &["IgnorePublicAcls"]).await;
    assert_eq!(grants(&raw.get("/bucket/old?acl").await), "owner:FULL_CONTROL");
    block(raw, &["RestrictPublicBuckets"]).await;
    assert_eq!(grants(&raw.get("/bucket/old?acl").await), "owner:FULL_CONTROL AllUsers:READ");
    let empty = raw.put("/bucket?publicAccessBlock", "<PublicAccessBlockConfiguration/>").await;
    empty.fails_saying(400, "InvalidRequest", "Must specify at least one configuration.");
    fixture.stop().await;
}

#[tokio::test]
async fn new_buckets_begin_as_the_settings_say() {
    const KEY: &str = "arn:aws:kms:us-east-1:000000000001:key/one";
    let fixture = Fixture::with_bucket("closed").await;
    let raw = &fixture.raw;
    raw.get("/closed?publicAccessBlock").await.is(200).has("RestrictPublicBuckets", "true");
    raw.get("/closed?ownershipControls").await.is(200).has("ObjectOwnership", "BucketOwnerEnforced");
    let encryption = raw.get("/closed?encryption").await.is(200);
    encryption.has("SSEAlgorithm", "AES256").has("EncryptionType", "SSE-C");
    let public = [("x-amz-acl", "public-read"), ("x-amz-object-ownership", "ObjectWriter")];
    let refused = raw.request("PUT", "/open").headers(&public).send().await;
    refused.fails(400, "InvalidBucketAclWithBlockPublicAccessError");
    raw.head("/open").await.is(404);
    fixture.stop().await;

    let change = |config: &mut strata::Config| {
        config.new_buckets.block_public_access = false;
        config.new_buckets.object_ownership = strata_storage::ObjectOwnership::BucketOwnerPreferred;
        config.new_buckets.encryption = strata::NewBucketEncryption::KmsKey(KEY.to_owned());
        config.new_buckets.block_sse_c = false;
    };
    let fixture = Fixture::start_with(change, std::sync::Arc::new(strata_storage::SystemClock)).await;
    let raw = &fixture.raw;
    with_acl(raw, "/bucket", "public-read").await.is(200);
    raw.get("/bucket?publicAccessBlock").await.fails(404, "NoSuchPublicAccessBlockConfiguration");
    raw.get("/bucket?ownershipControls").await.is(200).has("ObjectOwnership", "BucketOwnerPreferred");
    let encryption = raw.get("/bucket?encryption").await.is(200);
    let encryption =
        encryption.has("SSEAlgorithm", "aws:kms").has("KMSMasterKeyID", KEY).has("BucketKeyEnabled", "true");
    assert!(!encryption.text().contains("SSE-C"));
    assert_eq!(grants(&raw.get("/bucket?acl").await), "owner:FULL_CONTROL AllUsers:READ");
    fixture.stop().await;
}
