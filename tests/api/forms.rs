//! PostObject: what browsers send with a form, and what they get to see.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::time::{Duration, SystemTime};

use crate::support::{Answer, Fixture, Raw};

/// A form with a policy that permits all of its fields, unless the policy is given.
struct Draft {
    fields: Vec<(String, String)>,
    conditions: Vec<String>,
    file: (String, Vec<u8>),
}

fn form(key: &str) -> Draft {
    Draft { fields: Vec::new(), conditions: Vec::new(), file: ("photo.jpg".to_owned(), b"content".to_vec()) }
        .field("key", key)
}

impl Draft {
    fn field(mut self, name: &str, value: &str) -> Draft {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn condition(mut self, condition: &str) -> Draft {
        self.conditions.push(condition.to_owned());
        self
    }

    fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Draft {
        self.file = (name.to_owned(), content.into());
        self
    }

    /// Signs a policy that names every field, besides the conditions given.
    fn signed(self, raw: &Raw) -> Draft {
        let since_epoch = Duration::from_nanos(raw.clock.now().as_nanos());
        let now = SystemTime::UNIX_EPOCH + since_epoch;
        let date: chrono::DateTime<chrono::Utc> = now.into();
        let (day, time) = (date.format("%Y%m%d").to_string(), date.format("%Y%m%dT%H%M%SZ").to_string());
        let credential = format!("{}/{day}/{}/s3/aws4_request", raw.access_key, raw.region);
        let mut draft = self
            .field("x-amz-algorithm", "AWS4-HMAC-SHA256")
            .field("x-amz-credential", &credential)
            .field("x-amz-date", &time);
        let mut conditions = draft.conditions.clone();
        conditions.push(r#"{"bucket": "bucket"}"#.to_owned());
        for (name, value) in &draft.fields {
            let (prefix, _) = value.split_once("${filename}").unwrap_or((value, ""));
            let value = prefix.replace('"', "\\\"");
            conditions.push(format!("[\"starts-with\", \"${name}\", \"{value}\"]"));
        }
        let expiration: chrono::DateTime<chrono::Utc> = (now + Duration::from_mins(5)).into();
        let expiration = expiration.format("%Y-%m-%dT%H:%M:%S.000Z");
        let policy =
            BASE64.encode(format!("{{\"expiration\":\"{expiration}\",\"conditions\":[{}]}}", conditions.join(",")));
        let key = generate_signing_key(&raw.secret_key, now, &raw.region, "s3");
        let signature = calculate_signature(key, policy.as_bytes());
        draft = draft.field("policy", &policy).field("x-amz-signature", &signature);
        draft
    }

    async fn post(self, raw: &Raw) -> Answer {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let part = format!("--line\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend(part.bytes());
        }
        let (name, content) = self.file;
        let head = format!(
            "--line\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        );
        body.extend(head.bytes());
        body.extend(content);
        body.extend(b"\r\n--line--\r\n");
        let request = raw.request("POST", "/bucket").header("content-type", "multipart/form-data; boundary=line");
        request.unsigned().body(body).send().await
    }
}

#[tokio::test]
async fn files_become_objects() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let draft = form("user/${filename}")
        .field("Content-Type", "image/jpeg")
        .field("Cache-Control", "no-cache")
        .field("x-amz-meta-place", "Zürich")
        .field("x-amz-storage-class", "STANDARD_IA")
        .field("tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>");
    let answer = draft.signed(raw).post(raw).await.is(204).has_body("");
    answer.has_header("location", Some(&format!("http://{}/bucket/user/photo.jpg", raw.host)));
    let get = raw.get("/bucket/user/photo.jpg").await.is(200).has_body("content");
    get.has_headers(&[
        ("content-type", "image/jpeg"),
        ("cache-control", "no-cache"),
        ("x-amz-meta-place", "=?UTF-8?Q?Z=C3=BCrich?="),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-tagging-count", "1"),
    ]);
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    form("large").file("large", large.clone()).signed(raw).post(raw).await.is(204);
    raw.get("/bucket/large").await.is(200).has_body(large);
    fixture.stop().await;
}

#[tokio::test]
async fn browsers_are_told_what_the_form_asks_for() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let raw = &fixture.raw;
    let created = form("a b").field("success_action_status", "201").signed(raw).post(raw).await.is(201);
    let etag = format!("\"{}\"", created.etag());
    created
        .has("Location", &format!("http://{}/bucket/a%20b", raw.host))
        .has("Bucket", "bucket")
        .has("Key", "a b")
        .has("ETag", &etag)
        .version();
    form("k").field("success_action_status", "200").signed(raw).post(raw).await.is(200).has_body("");
    form("k").field("success_action_status", "404").signed(raw).post(raw).await.is(204);
    let to = "http://example.com/done?from=form";
    let redirected = form("k").field("success_action_redirect", to).signed(raw).post(raw).await.is(303);
    let expected = format!("{to}&bucket=bucket&key=k&etag=%22{}%22", redirected.etag());
    redirected.has_header("location", Some(&expected));
    form("k").field("success_action_redirect", "javascript:x").signed(raw).post(raw).await.is(204);
    fixture.stop().await;
}

#[tokio::test]
async fn policies_bind_the_form() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let extra = form("k").signed(raw).field("x-amz-meta-a", "1").post(raw).await;
    extra.fails_saying(403, "AccessDenied", "Invalid according to Policy: Extra input fields: x-amz-meta-a");
    let failed = form("k").condition(r#"["eq", "$key", "other"]"#).signed(raw).post(raw).await;
    let message = r#"Invalid according to Policy: Policy Condition failed: ["eq", "$key", "other"]"#;
    failed.fails_saying(403, "AccessDenied", message);
    let range = r#"["content-length-range", 8, 10]"#;
    let small = form("k").condition(range).signed(raw).post(raw).await.fails(400, "EntityTooSmall");
    small.has("ProposedSize", "7").has("MinSizeAllowed", "8");
    form("k").condition(range).file("f", "12345678").signed(raw).post(raw).await.is(204);
    let large = form("k").condition(range).file("f", "12345678901").signed(raw).post(raw).await;
    let message = "Your proposed upload exceeds the maximum allowed size";
    large.fails_saying(400, "EntityTooLarge", message).has("ProposedSize", "11").has("MaxSizeAllowed", "10");
    raw.get("/bucket/k").await.is(200).has_body("12345678");
    fixture.stop().await;
}

#[tokio::test]
async fn senders_are_checked() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    form("k").post(raw).await.fails(403, "AccessDenied");
    let required = |name: &str| {
        format!(
            "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
        )
    };
    let unsigned = form("k").field("policy", "e30=").post(raw).await;
    unsigned.refuses_argument("X-Amz-Signature", &required("X-Amz-Signature"));
    let mut keyless = form("k").signed(raw);
    keyless.fields.remove(0);
    keyless.post(raw).await.refuses_argument("key", &required("key"));
    let mut nameless = form("k");
    nameless.fields.clear();
    nameless.signed(raw).post(raw).await.refuses_argument("key", &required("key"));
    let stranger = Raw { access_key: "nobody".to_owned(), ..raw.clone() };
    form("k").signed(&stranger).post(raw).await.fails(403, "InvalidAccessKeyId");
    let forger = Raw { secret_key: "another secret".to_owned(), ..raw.clone() };
    form("k")
        .signed(&forger)
        .post(raw)
        .await
        .fails(403, "SignatureDoesNotMatch")
        .has("AWSAccessKeyId", &raw.access_key);
    let abroad = Raw { region: "eu-west-1".to_owned(), ..raw.clone() };
    form("k").signed(&abroad).post(raw).await.fails(400, "AuthorizationQueryParametersError");
    raw.head("/bucket/k").await.is(404);
    fixture.stop().await;
}

#[tokio::test]
async fn what_put_object_refuses_is_refused() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let refused = form("k").field("acl", "public-read").signed(raw).post(raw).await;
    refused.fails(400, "AccessControlListNotSupported");
    let class = form("k").field("x-amz-storage-class", "COLD").signed(raw).post(raw).await;
    class.fails(400, "InvalidStorageClass");
    let digest = form("k").field("x-amz-checksum-crc32", "AAAAAA==").signed(raw).post(raw).await;
    digest.fails(400, "BadDigest");
    let long = "k".repeat(1025);
    form(&long).signed(raw).post(raw).await.fails(400, "KeyTooLongError");
    form("k")
        .field("x-amz-meta-a", &"x".repeat(21_000))
        .signed(raw)
        .post(raw)
        .await
        .fails(400, "MaxPostPreDataLengthExceededError");
    raw.head("/bucket/k").await.is(404);
    let sha1 = "BA8G/XdAkkeNRQd09bowxdp4rMg=";
    let right = form("k").field("acl", "private").field("x-amz-checksum-sha1", sha1).signed(raw).post(raw).await;
    right.is(204).has_header("x-amz-checksum-sha1", Some(sha1));
    fixture.stop().await;
}
