//! Buckets: creation, names, location, tags, deletion.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use crate::support::{Fixture, Raw};

#[tokio::test]
async fn life_of_a_bucket() {
    let fixture = Fixture::start().await;
    let s3 = &fixture.s3;
    let created = s3.create_bucket().bucket("first").send().await.expect("a bucket");
    assert_eq!(created.location(), Some("/first"));
    // The oldest region answers the same again.
    s3.create_bucket().bucket("first").send().await.expect("the same bucket");
    s3.create_bucket().bucket("second").send().await.expect("a bucket");
    let head = s3.head_bucket().bucket("first").send().await.expect("the bucket");
    assert_eq!(head.bucket_region(), Some("us-east-1"));
    let location = s3.get_bucket_location().bucket("first").send().await.expect("a location");
    assert_eq!(location.location_constraint().map(|constraint| constraint.as_str()), Some(""));
    let listed = s3.list_buckets().send().await.expect("a list");
    let names: Vec<_> = listed.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(listed.buckets().iter().all(|bucket| bucket.creation_date().is_some()));
    assert!(listed.owner().and_then(|owner| owner.id()).is_some());
    s3.delete_bucket().bucket("first").send().await.expect("an empty bucket");
    let error = s3.head_bucket().bucket("first").send().await.expect_err("no bucket");
    assert!(error.into_service_error().is_not_found());
    let error = s3.delete_bucket().bucket("first").send().await.expect_err("no bucket");
    assert_eq!(error.code(), Some("NoSuchBucket"));
    fixture.stop().await;
}

#[tokio::test]
async fn buckets_that_are_not_empty_stay() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let plain = "The bucket you tried to delete is not empty";
    let versioned = "The bucket you tried to delete is not empty. You must delete all versions in the bucket.";
    raw.put("/bucket/key", "content").await.is(200);
    raw.delete("/bucket").await.fails_saying(409, "BucketNotEmpty", plain).has("BucketName", "bucket");
    fixture.set_versioning("bucket", "Enabled").await;
    let marker = raw.delete("/bucket/key").await.is(204).version();
    raw.delete("/bucket").await.fails_saying(409, "BucketNotEmpty", versioned).has("BucketName", "bucket");
    raw.delete("/bucket/key?versionId=null").await.is(204);
    raw.delete("/bucket").await.fails_saying(409, "BucketNotEmpty", versioned);
    raw.delete(&format!("/bucket/key?versionId={marker}")).await.is(204);
    raw.delete("/bucket").await.is(204).has_body("");
    raw.delete("/bucket").await.fails(404, "NoSuchBucket").has("BucketName", "bucket");
    fixture.stop().await;
}

#[tokio::test]
async fn names() {
    async fn check(raw: &Raw, name: &str, acceptable: bool) {
        let answer = raw.put(&format!("/{name}"), "").await;
        if acceptable {
            answer.is(200);
        } else {
            answer.fails_saying(400, "InvalidBucketName", "The specified bucket is not valid.").has("BucketName", name);
        }
    }
    let fixture = Fixture::start().await;
    let raw = &fixture.raw;
    for name in ["abc", "a.b", "a-b", "1-2", "a.b-c.d", &"a".repeat(63)] {
        check(raw, name, true).await;
    }
    let refused = [
        "ab",
        "Abc",
        "a_b",
        ".ab",
        "ab.",
        "-ab",
        "ab-",
        "a..b",
        "192.168.5.4",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-abc",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
    ];
    for name in refused {
        check(raw, name, false).await;
    }
    check(raw, &"a".repeat(64), false).await;
    fixture.stop().await;
}

#[tokio::test]
async fn locations() {
    let fixture = Fixture::start().await;
    let (raw, s3) = (&fixture.raw, &fixture.s3);
    let configuration =
        CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::UsWest2).build();
    let created = s3.create_bucket().bucket("west").create_bucket_configuration(configuration).send().await;
    assert_eq!(created.expect_err("another region").code(), Some("IllegalLocationConstraintException"));
    let document = |inside: &str| format!("<CreateBucketConfiguration>{inside}</CreateBucketConfiguration>");
    raw.put("/east", document("<LocationConstraint>us-east-1</LocationConstraint>"))
        .await
        .fails(400, "InvalidLocationConstraint");
    raw.put("/east", document("<Nonsense/>")).await.fails(400, "MalformedXML");
    raw.put("/east", document("")).await.is(200).has_header("location", Some("/east"));
    let answer = raw.get("/east?location").await.is(200);
    assert!(answer.text().contains("<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></Location"));
    raw.get("/west?location").await.fails(404, "NoSuchBucket").has("BucketName", "west");
    fixture.stop().await;
}

#[tokio::test]
async fn heads() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.head("/bucket").await.is(200).has_header("x-amz-bucket-region", Some("us-east-1")).has_body("");
    let missing = raw.head("/missing").await.is(404).has_body("");
    assert!(missing.header("x-amz-request-id").is_some() && missing.header("x-amz-id-2").is_some());
    raw.head("/bucket/key").await.is(404).has_body("");
    raw.head("/missing/key").await.is(404).has_body("");
    fixture.stop().await;
}

#[tokio::test]
async fn lists_of_buckets() {
    let fixture = Fixture::start().await;
    let raw = &fixture.raw;
    for name in ["aaa", "aab", "bbb", "ccc"] {
        raw.put(&format!("/{name}"), "").await.is(200);
    }
    async fn check(raw: &Raw, query: &str, expected: &[&str]) -> Option<String> {
        let answer = raw.get(&format!("/{query}")).await.is(200);
        assert_eq!(answer.elements("Name"), expected, "{query}");
        answer.element("ContinuationToken")
    }
    check(raw, "", &["aaa", "aab", "bbb", "ccc"]).await;
    check(raw, "?prefix=aa", &["aaa", "aab"]).await;
    check(raw, "?prefix=x", &[]).await;
    check(raw, "?bucket-region=us-east-1&max-buckets=4", &["aaa", "aab", "bbb", "ccc"]).await;
    check(raw, "?bucket-region=eu-west-1", &[]).await;
    let token = check(raw, "?max-buckets=3", &["aaa", "aab", "bbb"]).await.expect("a token");
    let token = token.replace('=', "%3D").replace('/', "%2F").replace('+', "%2B");
    assert_eq!(check(raw, &format!("?max-buckets=3&continuation-token={token}"), &["ccc"]).await, None);
    for query in ["?max-buckets=0", "?max-buckets=10001", "?max-buckets=x", "?continuation-token=nonsense"] {
        raw.get(&format!("/{query}")).await.fails(400, "InvalidArgument");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn tags_of_buckets() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let set = |pairs: &[(String, String)]| {
        let tags: String =
            pairs.iter().map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")).collect();
        format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
    };
    let pairs = |count: usize| (0..count).map(|n| (format!("key{n}"), format!("value{n}"))).collect::<Vec<_>>();
    let put = async |document: String| {
        raw.request("PUT", "/bucket?tagging").md5_of(document.as_bytes()).body(document).send().await
    };
    raw.get("/bucket?tagging")
        .await
        .fails_saying(404, "NoSuchTagSet", "The TagSet does not exist")
        .has("BucketName", "bucket");
    put(set(&pairs(50))).await.is(204);
    assert_eq!(raw.get("/bucket?tagging").await.is(200).elements("Key").len(), 50);
    put(set(&pairs(51))).await.fails(400, "BadRequest");
    let system = "System tags cannot be added/updated by requester";
    put(set(&[("aws:a".to_owned(), "1".to_owned())]))
        .await
        .fails_saying(400, "InvalidTag", system)
        .has("TagKey", "aws:a");
    put(set(&pairs(1))).await.is(204);
    raw.get("/bucket?tagging").await.is(200).has("Key", "key0").has("Value", "value0");
    raw.delete("/bucket?tagging").await.is(204);
    raw.get("/bucket?tagging").await.fails(404, "NoSuchTagSet");
    raw.delete("/bucket?tagging").await.is(204);
    raw.get("/missing?tagging").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn what_a_new_bucket_cannot_have() {
    async fn check(raw: &Raw, header: (&str, &str), status: u16, code: &str) {
        raw.request("PUT", "/bucket").header(header.0, header.1).send().await.fails(status, code);
        raw.head("/bucket").await.is(404);
    }
    let fixture = Fixture::start().await;
    let raw = &fixture.raw;
    check(raw, ("x-amz-bucket-object-lock-enabled", "maybe"), 400, "InvalidArgument").await;
    check(raw, ("x-amz-object-ownership", "nobody"), 400, "InvalidArgument").await;
    check(raw, ("x-amz-acl", "public-read"), 400, "InvalidBucketAclWithObjectOwnership").await;
    raw.request("PUT", "/bucket").header("x-amz-acl", "private").send().await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn expected_owners() {
    async fn check(raw: &Raw, owner: &str, expected: Result<(), (u16, &str)>) {
        let answer = raw.request("GET", "/bucket?location").header("x-amz-expected-bucket-owner", owner).send().await;
        match expected {
            Ok(()) => answer.is(200),
            Err((status, code)) => answer.fails(status, code),
        };
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    check(raw, "999999999999", Err((403, "AccessDenied"))).await;
    for owner in ["me", "12345678901", "1234567890123"] {
        check(raw, owner, Err((400, "InvalidBucketOwnerAWSAccountID"))).await;
    }
    fixture.stop().await;
}
