//! Bucket policies: what is stored, shown and refused. What they do, `matrix` says.

use crate::support::Fixture;

fn policy(effect: &str, principal: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{principal},"Action":"{action}","Resource":"{resource}"}}]}}"#
    )
}

const OBJECTS: &str = "arn:aws:s3:::bucket/*";

#[tokio::test]
async fn policies_come_and_go() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let message = "The bucket policy does not exist";
    raw.get("/bucket?policy").await.fails_saying(404, "NoSuchBucketPolicy", message).has("BucketName", "bucket");
    raw.get("/bucket?policyStatus").await.fails(404, "NoSuchBucketPolicy");
    let own = policy("Allow", r#"{"AWS":"000000000000"}"#, "s3:GetObject", OBJECTS);
    raw.put("/bucket?policy", own).await.is(204).has_body("");
    let shown = raw.get("/bucket?policy").await.is(200).has_header("content-type", Some("application/json"));
    assert!(shown.text().contains("arn:aws:iam::000000000000:root"), "{}", shown.text());
    raw.get("/bucket?policyStatus").await.is(200).has("IsPublic", "false");
    raw.delete("/bucket?policy").await.is(204);
    raw.delete("/bucket?policy").await.is(204);
    raw.get("/bucket?policy").await.fails(404, "NoSuchBucketPolicy");
    raw.get("/missing?policy").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn public_policies_are_blocked() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let public = policy("Allow", "\"*\"", "s3:GetObject", OBJECTS);
    raw.put("/bucket?policy", public.clone()).await.fails(403, "AccessDenied");
    let deny = policy("Deny", "\"*\"", "s3:GetObject", OBJECTS);
    raw.put("/bucket?policy", deny).await.is(204);
    raw.delete("/bucket?publicAccessBlock").await.is(204);
    raw.put("/bucket?policy", public).await.is(204);
    raw.get("/bucket?policyStatus").await.is(200).has("IsPublic", "true");
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_no_policy_is_refused() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let check = async |text: String, message: &str| {
        raw.put("/bucket?policy", text).await.fails_saying(400, "MalformedPolicy", message);
    };
    check("x".to_owned(), "Policies must be valid JSON and the first byte must be '{'").await;
    check("{\"Version\":\"2012-10-17\"}".to_owned(), "Missing required field Statement").await;
    let all = r#"{"AWS":"000000000000"}"#;
    let resource = "Policy has invalid resource";
    check(policy("Allow", all, "s3:GetObject", "arn:aws:s3:::other/*"), resource).await;
    check(policy("Allow", all, "s3:Fly", OBJECTS), "Policy has invalid action").await;
    let apply = "Action does not apply to any resource(s) in statement";
    check(policy("Allow", all, "s3:ListBucket", OBJECTS), apply).await;
    let nobody = r#"{"AWS":"arn:aws:iam::000000000000:user/nobody"}"#;
    check(policy("Allow", nobody, "s3:GetObject", OBJECTS), "Invalid principal in policy").await;
    raw.get("/bucket?policy").await.fails(404, "NoSuchBucketPolicy");
    fixture.stop().await;
}
