//! Checksums: every algorithm in headers and trailers, in parts and whole objects.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm as Sdk, ChecksumMode, ChecksumType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use strata_storage::{Checksum, ChecksumAlgorithm};

use crate::support::{Answer, Fixture, Raw, elements};

const PART_BYTES: usize = 5 << 20;
const DIGITS: &str = "123456789";

/// Algorithm, content and its published checksum.
const KNOWN: [(&str, &str, &str); 10] = [
    ("crc32", DIGITS, "y/Q5Jg=="),
    ("crc32c", DIGITS, "4waSgw=="),
    ("crc64nvme", DIGITS, "rosUhgp5mIg="),
    ("sha1", DIGITS, "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ("sha256", DIGITS, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ("sha512", DIGITS, "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ=="),
    ("md5", DIGITS, "JfnnlDI7RTiF9RgfG2JNCw=="),
    ("xxhash64", DIGITS, "jLhB20DmroM="),
    ("xxhash3", "", "LQaABTjTlMI="),
    ("xxhash128", "", "maoG0wFHmNhgAcMkRo1Jfw=="),
];

fn header(algorithm: &str) -> String {
    format!("x-amz-checksum-{algorithm}")
}

fn element(algorithm: &str) -> String {
    format!("Checksum{}", algorithm.to_ascii_uppercase())
}

fn raw_checksum(algorithm: &str, content: &[u8]) -> Vec<u8> {
    let found = ChecksumAlgorithm::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(algorithm));
    Checksum::of(found.expect("a known algorithm"), content).value
}

fn checksum(algorithm: &str, content: &[u8]) -> String {
    BASE64.encode(raw_checksum(algorithm, content))
}

/// Another value of the same length.
fn other(value: &str) -> String {
    let mut bytes = BASE64.decode(value).expect("base64");
    bytes[0] ^= 1;
    BASE64.encode(bytes)
}

/// A body in chunks without signatures, with a trailer.
async fn put_with_trailer(raw: &Raw, target: &str, content: &str, name: &str, value: &str) -> Answer {
    let chunk = if content.is_empty() { String::new() } else { format!("{:x}\r\n{content}\r\n", content.len()) };
    raw.request("PUT", target)
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", &content.len().to_string())
        .header("x-amz-trailer", name)
        .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .body(format!("{chunk}0\r\n{name}:{value}\r\n\r\n"))
        .send()
        .await
}

#[tokio::test]
async fn single_writes() {
    async fn check_read(raw: &Raw, algorithm: &str, value: &str, content: &str) {
        let name = header(algorithm);
        raw.get("/bucket/key").await.is(200).has_header(&name, None).has_header("x-amz-checksum-type", None);
        for method in ["GET", "HEAD"] {
            let request = raw.request(method, "/bucket/key").header("x-amz-checksum-mode", "ENABLED");
            let answer = request.send().await.is(200).has_body(if method == "GET" { content } else { "" });
            answer.has_headers(&[(&name, value), ("x-amz-checksum-type", "FULL_OBJECT")]);
        }
        let attributes = raw.request("GET", "/bucket/key?attributes").header("x-amz-object-attributes", "Checksum");
        attributes.send().await.is(200).has(&element(algorithm), value).has("ChecksumType", "FULL_OBJECT");
        let list = raw.get("/bucket").await.is(200);
        list.has("ChecksumAlgorithm", &algorithm.to_ascii_uppercase()).has("ChecksumType", "FULL_OBJECT");
        raw.delete("/bucket/key").await.is(204);
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    for (algorithm, content, value) in KNOWN {
        let name = header(algorithm);
        let put = async |value: &str| raw.request("PUT", "/bucket/key").header(&name, value).body(content).send().await;
        let mismatch =
            format!("The {} you specified did not match the calculated checksum.", algorithm.to_ascii_uppercase());
        put(&other(value)).await.fails_saying(400, "BadDigest", &mismatch);
        let invalid = format!("Value for {name} header is invalid.");
        for bad in ["", "AA==", "not base64", &value[1..]] {
            put(bad).await.fails_saying(400, "InvalidRequest", &invalid);
        }
        raw.head("/bucket/key").await.is(404);
        put(value).await.is(200).has_headers(&[(&name, value), ("x-amz-checksum-type", "FULL_OBJECT")]);
        check_read(raw, algorithm, value, content).await;

        put_with_trailer(raw, "/bucket/key", content, &name, &other(value)).await.fails_saying(
            400,
            "BadDigest",
            &mismatch,
        );
        raw.head("/bucket/key").await.is(404);
        put_with_trailer(raw, "/bucket/key", content, &name, value).await.is(200).has_header(&name, Some(value));
        raw.head("/bucket/key").await.is(200).has_header("content-encoding", None);
        check_read(raw, algorithm, value, content).await;
    }
    // Without any, there is one all the same.
    raw.put("/bucket/key", DIGITS).await.is(200).has_header("x-amz-checksum-crc64nvme", Some("rosUhgp5mIg="));
    check_read(raw, "crc64nvme", "rosUhgp5mIg=", DIGITS).await;
    fixture.stop().await;
}

#[tokio::test]
async fn through_the_sdk() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    for algorithm in [Sdk::Crc32, Sdk::Crc32C, Sdk::Crc64Nvme, Sdk::Sha1, Sdk::Sha256] {
        let put = s3.put_object().bucket("bucket").key("key").checksum_algorithm(algorithm.clone());
        let put = put.body(ByteStream::from(content.clone())).send().await.expect("a write");
        assert_eq!(put.checksum_type(), Some(&ChecksumType::FullObject), "{algorithm:?}");
        let got = s3.get_object().bucket("bucket").key("key").checksum_mode(ChecksumMode::Enabled).send().await;
        let got = got.expect("the object");
        let expected = checksum(algorithm.as_str(), &content);
        let named = match algorithm {
            Sdk::Crc32 => got.checksum_crc32(),
            Sdk::Crc32C => got.checksum_crc32_c(),
            Sdk::Crc64Nvme => got.checksum_crc64_nvme(),
            Sdk::Sha1 => got.checksum_sha1(),
            _ => got.checksum_sha256(),
        };
        assert_eq!(named, Some(expected.as_str()), "{algorithm:?}");
        // The SDK verifies what it reads.
        assert_eq!(got.body.collect().await.expect("a body that verifies").into_bytes(), content);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn faults() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let put = |headers: &[(&str, &str)]| raw.request("PUT", "/bucket/key").headers(headers).body(DIGITS);
    let several = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
    let request = put(&[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")]);
    request.send().await.fails_saying(400, "InvalidRequest", several);
    put(&[("x-amz-checksum-nonsense", "y/Q5Jg==")]).send().await.fails(400, "InvalidRequest");
    put(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")]).send().await.is(200);
    let wrong = put(&[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")]).send().await.fails(400, "BadDigest");
    assert!(wrong.element("ExpectedDigest").is_some() && wrong.element("CalculatedDigest").is_some());
    for value in ["", "JfnnlDI7RTiF9RgfG2JN", "nonsense"] {
        put(&[("content-md5", value)]).send().await.fails(400, "InvalidDigest");
    }
    // A range has no checksum.
    let range = raw.request("GET", "/bucket/key").header("range", "bytes=0-1").header("x-amz-checksum-mode", "ENABLED");
    range.send().await.is(206).has_header("x-amz-checksum-crc64nvme", None).has_header("x-amz-checksum-type", None);
    fixture.stop().await;
}

#[tokio::test]
async fn copies() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let copy = |headers: &[(&str, &str)]| {
        raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "/bucket/key").headers(headers)
    };
    for (algorithm, content, value) in KNOWN {
        raw.request("PUT", "/bucket/key").header(&header(algorithm), value).body(content).send().await.is(200);
        let copied = copy(&[]).send().await.is(200);
        copied.has(&element(algorithm), value).has("ChecksumType", "FULL_OBJECT");
        let changed = copy(&[("x-amz-checksum-algorithm", "SHA1")]).send().await.is(200);
        changed.has("ChecksumSHA1", &checksum("sha1", content.as_bytes()));
    }
    let answer = copy(&[("x-amz-checksum-algorithm", "NONSENSE")]).send().await.fails(400, "InvalidRequest");
    assert!(answer.text().contains("Checksum algorithm provided is unsupported."));
    fixture.stop().await;
}

/// An upload with two parts, sent with their checksums.
struct Upload {
    id: String,
    algorithm: &'static str,
    parts: Vec<(String, String)>,
}

impl Upload {
    async fn of_two_parts(raw: &Raw, algorithm: &'static str, kind: Option<&str>, content: &[u8]) -> Upload {
        let mut create = raw.request("POST", "/bucket/big?uploads");
        create = create.header("x-amz-checksum-algorithm", &algorithm.to_ascii_uppercase());
        if let Some(kind) = kind {
            create = create.header("x-amz-checksum-type", kind);
        }
        let created = create.send().await.is(200);
        created.headers.get("x-amz-checksum-algorithm").expect("the algorithm");
        let id = created.element("UploadId").expect("an id");
        let mut parts = Vec::new();
        for (index, part) in [&content[..PART_BYTES], &content[PART_BYTES..]].into_iter().enumerate() {
            let value = checksum(algorithm, part);
            let target = format!("/bucket/big?partNumber={}&uploadId={id}", index + 1);
            let request = raw.request("PUT", &target).header(&header(algorithm), &value).body(part.to_vec());
            let answer = request.send().await.is(200).has_header(&header(algorithm), Some(&value));
            parts.push((answer.etag(), value));
        }
        Upload { id, algorithm, parts }
    }

    async fn complete(&self, raw: &Raw, with_parts: bool, headers: &[(&str, &str)]) -> Answer {
        let name = element(self.algorithm);
        let parts = self.parts.iter().enumerate().map(|(index, (etag, value))| {
            let value = if with_parts { format!("<{name}>{value}</{name}>") } else { String::new() };
            format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag>{value}</Part>", index + 1)
        });
        let document = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.collect::<String>());
        raw.request("POST", &format!("/bucket/big?uploadId={}", self.id)).headers(headers).body(document).send().await
    }
}

fn two_parts() -> Vec<u8> {
    (0..PART_BYTES as u32 + 1000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn composite_uploads() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let content = two_parts();
    for (algorithm, ..) in KNOWN.into_iter().filter(|(name, ..)| *name != "crc64nvme") {
        // Composite is what all of them are by default.
        let kind = (algorithm == "crc32").then_some("COMPOSITE");
        let upload = Upload::of_two_parts(raw, algorithm, kind, &content).await;
        let missing = format!(
            "The upload was created using a {algorithm} checksum. The complete request must include the checksum for \
             each part. It was missing for part 1 in the request."
        );
        upload.complete(raw, false, &[]).await.fails_saying(400, "InvalidRequest", &missing);
        let other_kind = "The upload was created using the COMPOSITE checksum mode. The complete request must use the \
                          same checksum mode.";
        upload.complete(raw, true, &[("x-amz-checksum-type", "FULL_OBJECT")]).await.fails_saying(
            400,
            "InvalidRequest",
            other_kind,
        );
        let wrong = Upload {
            id: upload.id.clone(),
            algorithm,
            parts: upload.parts.iter().map(|(etag, value)| (etag.clone(), other(value))).collect(),
        };
        wrong.complete(raw, true, &[]).await.fails(400, "InvalidPart");

        let mut all = raw_checksum(algorithm, &content[..PART_BYTES]);
        all.extend(raw_checksum(algorithm, &content[PART_BYTES..]));
        let expected = format!("{}-2", checksum(algorithm, &all));
        let done = upload.complete(raw, true, &[("x-amz-checksum-type", "COMPOSITE")]).await.is(200);
        done.has(&element(algorithm), &expected).has("ChecksumType", "COMPOSITE");
        let head = raw.request("HEAD", "/bucket/big").header("x-amz-checksum-mode", "ENABLED").send().await.is(200);
        head.has_headers(&[(&header(algorithm), &expected), ("x-amz-checksum-type", "COMPOSITE")]);
        let part = raw.request("GET", "/bucket/big?partNumber=2").header("x-amz-checksum-mode", "ENABLED").send().await;
        part.is(206).has_header(&header(algorithm), Some(&upload.parts[1].1)).has_body(&content[PART_BYTES..]);
        let attributes = raw.request("GET", "/bucket/big?attributes");
        let attributes = attributes.header("x-amz-object-attributes", "ObjectParts,Checksum").send().await.is(200);
        assert_eq!(attributes.elements("PartNumber"), ["1", "2"]);
        let parts = attributes.element("ObjectParts").expect("parts");
        let values: Vec<&String> = upload.parts.iter().map(|(_, value)| value).collect();
        assert_eq!(elements(&parts, &element(algorithm)).iter().collect::<Vec<_>>(), values);
        attributes.has("PartsCount", "2").has("ChecksumType", "COMPOSITE");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn full_object_uploads() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let content = two_parts();
    for (algorithm, kind) in [("crc64nvme", None), ("crc32", Some("FULL_OBJECT")), ("crc32c", Some("FULL_OBJECT"))] {
        let expected = checksum(algorithm, &content);
        let upload = Upload::of_two_parts(raw, algorithm, kind, &content).await;
        let mismatch = format!("The {algorithm} you specified did not match the calculated checksum.");
        upload.complete(raw, true, &[(&header(algorithm), &other(&expected))]).await.fails_saying(
            400,
            "BadDigest",
            &mismatch,
        );
        let headers = [("x-amz-checksum-type", "FULL_OBJECT"), (&header(algorithm), expected.as_str())];
        let done = upload.complete(raw, false, &headers).await.is(200);
        done.has(&element(algorithm), &expected).has("ChecksumType", "FULL_OBJECT");
        let got = raw.request("GET", "/bucket/big").header("x-amz-checksum-mode", "ENABLED").send().await.is(200);
        got.has_headers(&[(&header(algorithm), &expected), ("x-amz-checksum-type", "FULL_OBJECT")]).has_body(&content);
        let attributes = raw.request("GET", "/bucket/big?attributes");
        let attributes = attributes.header("x-amz-object-attributes", "ObjectParts,Checksum").send().await.is(200);
        attributes.has("PartsCount", "2").lacks("Part").has("ChecksumType", "FULL_OBJECT");
    }
    // Without an algorithm, whatever the parts carried.
    let id = raw.post("/bucket/big?uploads", "").await.is(200).element("UploadId").expect("an id");
    let target = format!("/bucket/big?partNumber=1&uploadId={id}");
    let sent = raw.request("PUT", &target).header("x-amz-checksum-crc32", "y/Q5Jg==").body(DIGITS).send().await.is(200);
    let upload = Upload { id, algorithm: "crc64nvme", parts: vec![(sent.etag(), String::new())] };
    let mode =
        "The upload was created using the null checksum mode. The complete request must use the same checksum mode.";
    upload.complete(raw, false, &[("x-amz-checksum-type", "COMPOSITE")]).await.fails_saying(
        400,
        "InvalidRequest",
        mode,
    );
    let done = upload.complete(raw, false, &[]).await.is(200);
    done.has("ChecksumCRC64NVME", "rosUhgp5mIg=").has("ChecksumType", "FULL_OBJECT");
    fixture.stop().await;
}

#[tokio::test]
async fn faults_of_uploads() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let create = |headers: &[(&str, &str)]| raw.request("POST", "/bucket/key?uploads").headers(headers);
    let alone = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.";
    create(&[("x-amz-checksum-type", "COMPOSITE")]).send().await.fails_saying(400, "InvalidRequest", alone);
    for (algorithm, kind) in [
        ("crc64nvme", "COMPOSITE"),
        ("sha1", "FULL_OBJECT"),
        ("sha256", "FULL_OBJECT"),
        ("sha512", "FULL_OBJECT"),
        ("md5", "FULL_OBJECT"),
        ("xxhash3", "FULL_OBJECT"),
        ("xxhash64", "FULL_OBJECT"),
        ("xxhash128", "FULL_OBJECT"),
    ] {
        let message = format!("The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.");
        let request =
            create(&[("x-amz-checksum-algorithm", &algorithm.to_ascii_uppercase()), ("x-amz-checksum-type", kind)]);
        request.send().await.fails_saying(400, "InvalidRequest", &message);
    }
    let unknown = create(&[("x-amz-checksum-algorithm", "NONSENSE")]).send().await.fails(400, "InvalidRequest");
    assert!(
        unknown
            .text()
            .contains("Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256")
    );

    let created = create(&[("x-amz-checksum-algorithm", "SHA256")]).send().await.is(200);
    let created = created.has_headers(&[("x-amz-checksum-algorithm", "SHA256"), ("x-amz-checksum-type", "COMPOSITE")]);
    let id = created.element("UploadId").expect("an id");
    let target = format!("/bucket/key?partNumber=1&uploadId={id}");
    let part = |headers: &[(&str, &str)]| raw.request("PUT", &target).headers(headers).body(DIGITS);
    let mismatch = "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32";
    part(&[("x-amz-checksum-crc32", "y/Q5Jg==")]).send().await.fails_saying(400, "InvalidRequest", mismatch);
    let several = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
    part(&[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")]).send().await.fails_saying(
        400,
        "InvalidRequest",
        several,
    );
    let wrong = "The SHA256 you specified did not match the calculated checksum.";
    part(&[("x-amz-checksum-sha256", &other(KNOWN[4].2))]).send().await.fails_saying(400, "BadDigest", wrong);
    part(&[("x-amz-checksum-sha256", "AA==")]).send().await.fails_saying(
        400,
        "InvalidRequest",
        "Value for x-amz-checksum-sha256 header is invalid.",
    );
    put_with_trailer(raw, &target, DIGITS, "x-amz-checksum-sha256", KNOWN[4].2).await.is(200);
    let listed = raw.get(&format!("/bucket/key?uploadId={id}")).await.is(200);
    listed.has("ChecksumAlgorithm", "SHA256").has("ChecksumType", "COMPOSITE").has("ChecksumSHA256", KNOWN[4].2);
    let listed = raw.get("/bucket?uploads").await.is(200);
    listed.has("ChecksumAlgorithm", "SHA256").has("ChecksumType", "COMPOSITE");
    fixture.stop().await;
}
