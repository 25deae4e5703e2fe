//! Signatures: in headers, in URLs, of chunked bodies, and what is refused.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::StorageClass;
use bytes::Bytes;
use http_body_util::Full;

use crate::support::{Answer, Fixture, Raw, now};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn refusals() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.request("GET", "/bucket/key").unsigned().send().await.fails_saying(403, "AccessDenied", "Access Denied");
    raw.request("GET", "/").unsigned().send().await.fails(403, "AccessDenied");
    let unseen = raw.request("HEAD", "/bucket").unsigned().send().await.is(403).has_body("");
    unseen.has_header("x-amz-bucket-region", Some(&raw.region));
    raw.request("HEAD", "/missing").unsigned().send().await.is(404).has_header("x-amz-bucket-region", None);

    let stranger = Raw { access_key: "AKIDSTRANGER".to_owned(), ..raw.clone() };
    stranger.get("/bucket").await.fails(403, "InvalidAccessKeyId").has("AWSAccessKeyId", "AKIDSTRANGER");
    let guesser = Raw { secret_key: "guessed".to_owned(), ..raw.clone() };
    guesser.head("/bucket").await.is(403).has_header("x-amz-bucket-region", Some(&raw.region));
    let answer = guesser.get("/bucket").await.fails(403, "SignatureDoesNotMatch");
    for element in [
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    ] {
        assert!(answer.element(element).is_some(), "{element}");
    }
    let abroad = Raw { region: "eu-west-1".to_owned(), ..raw.clone() };
    abroad.get("/bucket").await.fails(400, "AuthorizationHeaderMalformed").has("Region", "us-east-1");
    for time in [now() - 16 * HOUR / 60, now() + 16 * HOUR / 60] {
        let skewed = raw.request("GET", "/bucket").at(time).send().await.fails(403, "RequestTimeTooSkewed");
        let skewed = skewed.has("MaxAllowedSkewMilliseconds", "900000");
        assert!(skewed.element("RequestTime").is_some() && skewed.element("ServerTime").is_some());
    }
    raw.request("GET", "/bucket").at(now() - 14 * HOUR / 60).send().await.is(200);

    let mut request = raw.request("PUT", "/bucket/key").body("x").build();
    request.headers_mut().insert("x-amz-meta-added", "later".parse().expect("a value"));
    raw.send(request)
        .await
        .fails_saying(403, "AccessDenied", "There were headers present in the request which were not signed")
        .has("HeadersNotSigned", "x-amz-meta-added");
    let mut request = raw.request("GET", "/bucket").build();
    request.headers_mut().remove("x-amz-date");
    raw.send(request).await.fails(403, "AccessDenied");
    let mut request = raw.request("GET", "/bucket").build();
    request.headers_mut().insert("authorization", "AWS AKID:signature".parse().expect("a value"));
    let unsupported = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
    raw.send(request).await.fails_saying(400, "InvalidRequest", unsupported);
    fixture.stop().await;
}

#[tokio::test]
async fn payload_hashes() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.request("PUT", "/bucket/key").payload("UNSIGNED-PAYLOAD").body("x").send().await.is(200);
    let wrong = "0".repeat(64);
    raw.request("PUT", "/bucket/new").payload(&wrong).body("x").send().await.fails(400, "XAmzContentSHA256Mismatch");
    raw.request("PUT", "/bucket/new").payload("nonsense").body("x").send().await.fails(400, "InvalidArgument");
    raw.request("DELETE", "/bucket/key").payload(&wrong).send().await.fails(400, "XAmzContentSHA256Mismatch");
    raw.get("/bucket/key").await.is(200);
    raw.head("/bucket/new").await.is(404);
    fixture.stop().await;
}

#[tokio::test]
async fn presigned_by_hand() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "content").await.is(200);
    let get = |target: &str| raw.request("GET", target).presigned(HOUR);
    get("/bucket/key").send().await.is(200).has_body("content");
    let target = "/bucket/key?response-content-type=a%2Fb";
    get(target).send().await.is(200).has_header("content-type", Some("a/b"));
    let expired = get("/bucket/key").at(now() - 2 * HOUR).send().await;
    let expired = expired.fails_saying(403, "AccessDenied", "Request has expired").has("X-Amz-Expires", "3600");
    assert!(expired.element("Expires").is_some() && expired.element("ServerTime").is_some());
    raw.request("PUT", "/bucket/put").presigned(HOUR).body("by URL").send().await.is(200);
    raw.get("/bucket/put").await.is(200).has_body("by URL");

    // Changes after signing.
    let change = async |from: &str, to: &str| {
        let mut request = get("/bucket/key").build();
        let changed = request.uri().to_string().replace(from, to);
        assert_ne!(changed, request.uri().to_string(), "{from}");
        *request.uri_mut() = changed.parse().expect("a URI");
        raw.send(request).await
    };
    change("/bucket/key?", "/bucket/other?").await.fails(403, "SignatureDoesNotMatch");
    change("Expires=3600", "Expires=3601").await.fails(403, "SignatureDoesNotMatch");
    change("key?", "key?versionId=null&").await.fails(403, "SignatureDoesNotMatch");
    for (parameter, to) in [
        ("X-Amz-Expires=3600", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=x"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=3600&", ""),
        ("X-Amz-SignedHeaders=host&", ""),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=other"),
    ] {
        change(parameter, to).await.fails(400, "AuthorizationQueryParametersError");
    }
    let mut request = get("/bucket/key").build();
    request.headers_mut().insert("x-amz-meta-added", "later".parse().expect("a value"));
    raw.send(request).await.fails(403, "AccessDenied").has("HeadersNotSigned", "x-amz-meta-added");
    let mut request = get("/bucket/key").build();
    request.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 x".parse().expect("a value"));
    raw.send(request).await.fails(400, "InvalidArgument");
    let mut request = raw.request("PUT", "/bucket/put").presigned(HOUR).body("x").build();
    request.headers_mut().insert("content-type", "any/type".parse().expect("a value"));
    raw.send(request).await.is(200);
    raw.head("/bucket/put").await.is(200).has_header("content-type", Some("any/type"));
    fixture.stop().await;
}

/// Sends a URL that the SDK made, with the headers that it asks for.
async fn use_url(raw: &Raw, presigned: &aws_sdk_s3::presigning::PresignedRequest, body: &'static str) -> Answer {
    let mut request = http::Request::builder().method(presigned.method()).uri(presigned.uri());
    for (name, value) in presigned.headers() {
        request = request.header(name, value);
    }
    raw.send(request.body(Full::new(Bytes::from_static(body.as_bytes()))).expect("a request")).await
}

#[tokio::test]
async fn presigned_by_the_sdk() {
    let fixture = Fixture::with_bucket("bucket").await;
    let (raw, s3) = (&fixture.raw, &fixture.s3);
    let hour = || PresigningConfig::expires_in(HOUR).expect("a lifetime");
    let put = s3.put_object().bucket("bucket").key("a b").presigned(hour()).await.expect("a URL");
    use_url(raw, &put, "content").await.is(200);
    let put = s3.put_object().bucket("bucket").key("meta").metadata("k", "v").tagging("a=b");
    let put = put.storage_class(StorageClass::Standard).presigned(hour()).await.expect("a URL");
    use_url(raw, &put, "content").await.is(200);
    raw.head("/bucket/meta").await.is(200).has_headers(&[("x-amz-meta-k", "v"), ("x-amz-tagging-count", "1")]);
    let get = s3.get_object().bucket("bucket").key("a b").response_content_type("a/b").presigned(hour()).await;
    let got = use_url(raw, &get.expect("a URL"), "").await.is(200).has_body("content");
    got.has_header("content-type", Some("a/b"));
    let head = s3.head_object().bucket("bucket").key("a b").presigned(hour()).await.expect("a URL");
    use_url(raw, &head, "").await.is(200);
    let delete = s3.delete_object().bucket("bucket").key("a b").presigned(hour()).await.expect("a URL");
    use_url(raw, &delete, "").await.is(204);
    raw.head("/bucket/a%20b").await.is(404);
    fixture.stop().await;
}

/// Headers that clients put into the URLs they sign.
#[tokio::test]
async fn headers_in_urls() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let put = async |query: &str| {
        raw.request("PUT", &format!("/bucket/key?{query}")).presigned(HOUR).body("123456789").send().await
    };
    let query = "x-amz-meta-name=a%20value&X-Amz-Meta-Other=2&x-amz-tagging=a%3D1%26b%3D2&x-amz-storage-class=STANDARD&\
                 x-amz-checksum-crc32=y%2FQ5Jg%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject";
    put(query).await.is(200).has_header("x-amz-checksum-crc32", Some("y/Q5Jg=="));
    let head = raw.request("HEAD", "/bucket/key?x-amz-checksum-mode=ENABLED").presigned(HOUR).send().await.is(200);
    head.has_headers(&[
        ("x-amz-meta-name", "a value"),
        ("x-amz-meta-other", "2"),
        ("x-amz-tagging-count", "2"),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
    ]);
    put("x-amz-checksum-crc32=AAAAAA%3D%3D").await.fails(400, "BadDigest");
    put("x-amz-storage-class=OUTPOSTS").await.fails(400, "InvalidStorageClass");
    put("x-amz-acl=public-read").await.fails(400, "AccessControlListNotSupported");
    put("x-amz-server-side-encryption=aws:kms").await.fails(400, "InvalidArgument");
    put("x-amz-object-lock-mode=GOVERNANCE").await.fails(400, "InvalidArgument");
    put("x-amz-object-lock-legal-hold=ON").await.fails(400, "InvalidRequest");
    put("x-amz-expected-bucket-owner=999999999999").await.fails(403, "AccessDenied");
    put("x-amz-meta-n=a%0d%0ab").await.fails(400, "InvalidArgument");
    let copied = raw.request("PUT", "/bucket/copy?x-amz-copy-source=bucket%2Fkey").presigned(HOUR).send().await.is(200);
    assert!(copied.element("ETag").is_some());
    raw.get("/bucket/copy").await.is(200).has_body("123456789");
    // Also when the signature is in a header.
    raw.put("/bucket/key?x-amz-storage-class=OUTPOSTS", "x").await.fails(400, "InvalidStorageClass");
    // A header of the same name must say the same.
    let both = raw.request("PUT", "/bucket/both?x-amz-meta-a=1").presigned(HOUR);
    both.header("x-amz-meta-a", "1").body("x").send().await.is(200).has_header("x-amz-meta-a", None);
    let both = raw.request("PUT", "/bucket/both?x-amz-meta-a=1").presigned(HOUR);
    both.header("x-amz-meta-a", "2").body("x").send().await.fails(400, "InvalidArgument");
    fixture.stop().await;
}

#[tokio::test]
async fn streams_of_the_sdk() {
    let fixture = Fixture::with_bucket("bucket").await;
    let (raw, s3) = (&fixture.raw, &fixture.s3);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("file");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
    std::fs::write(&path, &content).expect("a file");
    // A body that is not in memory is sent in chunks, with its checksum behind it.
    let body = ByteStream::from_path(&path).await.expect("a stream");
    let put = s3.put_object().bucket("bucket").key("key").body(body).send().await.expect("a write");
    assert!(put.checksum_crc32().is_some() || put.checksum_crc64_nvme().is_some());
    raw.get("/bucket/key").await.is(200).has_body(&content).has_header("content-encoding", None);
    fixture.stop().await;
}

#[tokio::test]
async fn signed_chunks() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let first = "a".repeat(65_536);
    let send = async |damage: &str, second: &str, length: usize| {
        let mut request = raw
            .request("PUT", "/bucket/key")
            .header("content-encoding", "aws-chunked,gzip")
            .header("x-amz-decoded-content-length", &length.to_string())
            .payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            .build();
        let body = signed_body(raw, &request, &[&first, second, ""]);
        let body = if damage.is_empty() { body } else { body.replacen(damage, "!", 1) };
        *request.body_mut() = Full::new(Bytes::from(body));
        raw.send(request).await
    };
    send("", "second", first.len() + 6).await.is(200);
    let got = raw.get("/bucket/key").await.is(200).has_body(format!("{first}second"));
    got.has_header("content-encoding", Some("gzip"));
    raw.delete("/bucket/key").await.is(204);
    let answer = send("s", "second", first.len() + 6).await;
    assert!(answer.status.is_client_error(), "{}", answer.text());
    let answer = send("", "second", first.len() + 5).await;
    assert!(answer.status.is_client_error(), "{}", answer.text());
    raw.head("/bucket/key").await.is(404);
    fixture.stop().await;
}

/// The chunks, each with the signature that follows from the one before.
fn signed_body(raw: &Raw, request: &http::Request<Full<Bytes>>, chunks: &[&str]) -> String {
    use sha2::Digest as _;
    let text = |name: &str| request.headers()[name].to_str().expect("a header of ASCII");
    let (authorization, date) = (text("authorization"), text("x-amz-date"));
    let mut previous = authorization.rsplit_once("Signature=").expect("a signature").1.to_owned();
    let scope = format!("{}/{}/s3/aws4_request", &date[..8], raw.region);
    let key = aws_sigv4::sign::v4::generate_signing_key(&raw.secret_key, now(), &raw.region, "s3");
    let hash = |bytes: &[u8]| hex::encode(sha2::Sha256::digest(bytes));
    let mut body = String::new();
    for chunk in chunks {
        let to_sign =
            format!("AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{}\n{}", hash(b""), hash(chunk.as_bytes()));
        previous = aws_sigv4::sign::v4::calculate_signature(&key, to_sign.as_bytes());
        body.push_str(&format!("{:x};chunk-signature={previous}\r\n{chunk}\r\n", chunk.len()));
    }
    body
}
