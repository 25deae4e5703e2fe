//! Who asks: keys that change or end, temporary credentials, other services, presigned URLs that were tampered with.

use std::time::Duration;

use crate::people::{People, account, call, encoded, user};
use crate::support::{Fixture, Raw, now};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn keys_end_at_once() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let (root, bob) = (&fixture.raw, &people.allowed);
    bob.get("/bucket").await.is(200);
    let status = async |status: &str| {
        let form = format!("Action=UpdateAccessKey&UserName=allowed&AccessKeyId={}&Status={status}", bob.access_key);
        call(root, "iam", &form).await.is(200);
    };
    status("Inactive").await;
    bob.get("/bucket").await.fails(403, "InvalidAccessKeyId").has("AWSAccessKeyId", &bob.access_key);
    status("Active").await;
    bob.get("/bucket").await.is(200);
    // A wrong signature of a key that exists looks as ever; of one that does not, as nobody's.
    let guesser = Raw { secret_key: "guessed".to_owned(), ..bob.clone() };
    guesser.get("/bucket").await.fails(403, "SignatureDoesNotMatch");
    let form = format!("Action=DeleteAccessKey&UserName=allowed&AccessKeyId={}", bob.access_key);
    call(root, "iam", &form).await.is(200);
    bob.get("/bucket").await.fails(403, "InvalidAccessKeyId");
    guesser.get("/bucket").await.fails(403, "InvalidAccessKeyId");

    let (id, other) = account(root, "another").await;
    other.get("/").await.is(200);
    root.request("POST", &format!("/-/admin/v1/accounts/disable?id={id}")).send().await.is(200);
    other.get("/").await.fails(403, "InvalidAccessKeyId");
    root.request("POST", &format!("/-/admin/v1/accounts/enable?id={id}")).send().await.is(200);
    other.get("/").await.is(200);
    root.request("POST", &format!("/-/admin/v1/accounts/rotate-keys?id={id}")).send().await.is(200);
    other.get("/").await.fails(403, "InvalidAccessKeyId");
    fixture.stop().await;
}

#[tokio::test]
async fn temporary_credentials_need_their_token() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let (root, bob) = (&fixture.raw, &people.allowed);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}"#;
    let form = format!("Action=CreateRole&RoleName=reader&AssumeRolePolicyDocument={}", encoded(trust));
    call(root, "iam", &form).await.is(200);
    let reads = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"}]}"#;
    let form = format!("Action=PutRolePolicy&RoleName=reader&PolicyName=p&PolicyDocument={}", encoded(reads));
    call(root, "iam", &form).await.is(200);
    people.allow("allowed", r#""Action":["s3:*","sts:*"],"Resource":"*""#).await;
    let role = encoded("arn:aws:iam::000000000000:role/reader");
    let form = format!("Action=AssumeRole&RoleArn={role}&RoleSessionName=session&Version=2011-06-15");
    let made = call(bob, "sts", &form).await.is(200);
    let text = |name: &str| made.element(name).expect("credentials");
    let session = Raw {
        access_key: text("AccessKeyId"),
        secret_key: text("SecretAccessKey"),
        token: Some(text("SessionToken")),
        ..bob.clone()
    };
    session.get("/bucket").await.is(200);
    session.put("/bucket/key", "x").await.fails(403, "AccessDenied");
    session.request("GET", "/bucket").presigned(HOUR).send().await.is(200);
    Raw { token: None, ..session.clone() }.get("/bucket").await.fails(403, "InvalidAccessKeyId");
    Raw { token: Some("nonsense".to_owned()), ..session.clone() }.get("/bucket").await.fails(400, "InvalidToken");
    // A token is bound to its key.
    Raw { token: session.token.clone(), ..bob.clone() }.get("/bucket").await.fails(400, "InvalidToken");
    Raw { secret_key: "guessed".to_owned(), ..session }.get("/bucket").await.fails(403, "SignatureDoesNotMatch");
    fixture.stop().await;
}

#[tokio::test]
async fn services_have_errors_of_their_own() {
    let fixture = Fixture::start().await;
    let raw = &fixture.raw;
    let stranger = Raw { access_key: "AKIDSTRANGER".to_owned(), ..raw.clone() };
    let guesser = Raw { secret_key: "guessed".to_owned(), ..raw.clone() };
    for service in ["iam", "sts"] {
        let refused = call(&stranger, service, "Action=GetCallerIdentity").await.is(403);
        assert_eq!(refused.element("Code").as_deref(), Some("InvalidClientTokenId"), "{}", refused.text());
        let refused = call(&guesser, service, "Action=GetCallerIdentity").await.is(403);
        assert_eq!(refused.element("Code").as_deref(), Some("SignatureDoesNotMatch"), "{}", refused.text());
    }
    call(raw, "sts", "Action=GetCallerIdentity&Version=2011-06-15").await.is(200).has("Account", "000000000000");
    let refused = call(&stranger, "kms", "{}").await.is(400);
    assert!(refused.text().contains("UnrecognizedClientException"), "{}", refused.text());
    // A signature for one service is none for another.
    let mut request = raw.request("POST", "/").service("iam").body("Action=ListUsers").build();
    let value = request.headers()["authorization"].to_str().expect("text").replace("/iam/", "/sts/");
    request.headers_mut().insert("authorization", value.parse().expect("a value"));
    let refused = raw.send(request).await.is(403);
    assert_eq!(refused.element("Code").as_deref(), Some("SignatureDoesNotMatch"), "{}", refused.text());
    let form = ("content-type", "application/x-www-form-urlencoded");
    let refused = raw.request("POST", "/").headers(&[form]).body("Action=ListUsers").unsigned().send().await.is(403);
    assert_eq!(refused.element("Code").as_deref(), Some("MissingAuthenticationToken"), "{}", refused.text());
    fixture.stop().await;
}

#[tokio::test]
async fn presigned_urls_are_for_what_they_say() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let bob = &people.allowed;
    bob.put("/bucket/key", "content").await.is(200);
    let get = || bob.request("GET", "/bucket/key").presigned(HOUR);
    get().send().await.is(200).has_body("content");
    let change = async |edit: &dyn Fn(&mut http::Request<http_body_util::Full<bytes::Bytes>>)| {
        let mut request = get().build();
        edit(&mut request);
        bob.send(request).await
    };
    let mismatch = "SignatureDoesNotMatch";
    change(&|request| *request.method_mut() = http::Method::DELETE).await.fails(403, mismatch);
    change(&|request| *request.method_mut() = http::Method::PUT).await.fails(403, mismatch);
    let target = |request: &mut http::Request<_>, from: &str, to: &str| {
        *request.uri_mut() = request.uri().to_string().replace(from, to).parse().expect("a URI");
    };
    change(&|request| target(request, "key?", "other?")).await.fails(403, mismatch);
    change(&|request| target(request, "key?", "key?tagging&")).await.fails(403, mismatch);
    change(&|request| target(request, "key?", "key?versionId=null&")).await.fails(403, mismatch);
    change(&|request| target(request, "key?", "key?response-content-type=a%2Fb&")).await.fails(403, mismatch);
    change(&|request| target(request, "Expires=3600", "Expires=36000")).await.fails(403, mismatch);
    change(&|request| target(request, &bob.access_key, &fixture.raw.access_key)).await.fails(403, mismatch);
    change(&|request| drop(request.headers_mut().insert("host", "other:9000".parse().expect("a host"))))
        .await
        .fails(403, mismatch);
    let added = change(&|request| drop(request.headers_mut().insert("x-amz-acl", "private".parse().expect("a value"))));
    added.await.fails(403, "AccessDenied").has("HeadersNotSigned", "x-amz-acl");
    get().at(now() - 2 * HOUR).send().await.fails(403, "AccessDenied");
    // A URL is worth what its signer may at the moment that it is used.
    let kept = get().build();
    people.allow("allowed", r#""Action":"s3:PutObject","Resource":"*""#).await;
    bob.send(kept).await.fails(403, "AccessDenied");
    fixture.stop().await;
}

#[tokio::test]
async fn anonymous_callers_cannot_choose_headers() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let target = "/bucket/key?response-content-type=text%2Fhtml";
    let refused = raw.request("GET", target).unsigned().send().await;
    let message = "Request specific response headers cannot be used for anonymous GET requests.";
    refused.fails_saying(400, "InvalidRequest", message);
    let bob = user(raw, "bob").await;
    bob.get(target).await.fails(403, "AccessDenied");
    fixture.stop().await;
}
