//! HTTP itself: bodies that nobody reads, `Expect`, lengths, transfer encodings, documents as sent.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Fixture, Raw};

/// The head of a signed request as it goes over the wire, with more headers that are not signed.
fn head(raw: &Raw, method: &str, target: &str, more: &str) -> String {
    head_of(&raw.request(method, target).payload("UNSIGNED-PAYLOAD").build(), more)
}

fn head_of<B>(request: &http::Request<B>, more: &str) -> String {
    let target = request.uri().path_and_query().expect("a path");
    let mut text = format!("{} {target} HTTP/1.1\r\n", request.method());
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().expect("a header of ASCII")));
    }
    format!("{text}{more}\r\n")
}

/// Reads from a connection until that text has come; gives all that was read.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
        let count = read.expect("an answer in time").expect("an answer");
        assert_ne!(count, 0, "no {wanted:?} in {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn bodies_that_nobody_reads() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    for size in [10, 100_000, 5_000_000] {
        raw.put("/bucket/key", "content").await.is(200);
        for (method, target, status) in [
            ("GET", "/bucket/key", 200),
            ("HEAD", "/bucket/key", 200),
            ("GET", "/bucket", 200),
            ("GET", "/bucket/missing", 404),
            ("PUT", "/missing/key", 404),
            ("DELETE", "/bucket/key", 204),
        ] {
            let request = raw.request(method, target).payload("UNSIGNED-PAYLOAD").body(vec![b'x'; size]);
            request.send().await.is(status);
        }
    }
    fixture.stop().await;
}

/// One connection serves on after a body that nobody read.
#[tokio::test]
async fn connections_stay_in_step() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", "content").await.is(200);
    let mut stream = TcpStream::connect(&raw.authority).await.expect("a connection");
    let body = "GET /stolen HTTP/1.1\r\n\r\n";
    let length = format!("content-length: {}\r\n", body.len());
    for (method, target, status) in [
        ("GET", "/bucket/key", "200 OK"),
        ("GET", "/bucket/no", "404 Not Found"),
        ("DELETE", "/bucket/no", "204 No Content"),
    ] {
        let text = head(raw, method, target, &length) + body;
        stream.write_all(text.as_bytes()).await.expect("a server that reads");
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        let rest = match status {
            "200 OK" => "content",
            "404 Not Found" => "</Error>",
            _ => "",
        };
        if !answer.contains(rest) {
            read_until(&mut stream, rest).await;
        }
    }
    drop(stream);
    fixture.stop().await;
}

#[tokio::test]
async fn clients_that_wait() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let expect = "content-length: 7\r\nexpect: 100-continue\r\n";
    let mut stream = TcpStream::connect(&raw.authority).await.expect("a connection");
    stream.write_all(head(raw, "PUT", "/bucket/key", expect).as_bytes()).await.expect("a server that reads");
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"content").await.expect("a server that reads");
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    raw.get("/bucket/key").await.is(200).has_body("content");

    // What the head alone can break is refused before the body is asked for.
    for (target, code) in [("/missing/key", "NoSuchBucket"), ("/bucket/key?annotation", "NotImplemented")] {
        let answer = raw.wire(head(raw, "PUT", target, expect)).await;
        assert!(!answer.contains("100 Continue") && answer.contains(code), "{answer}");
    }
    let large = format!("content-length: {}\r\nexpect: 100-continue\r\n", (5_u64 << 30) + 1);
    let answer = raw.wire(head(raw, "PUT", "/bucket/key", &large)).await;
    assert!(!answer.contains("100 Continue") && answer.contains("EntityTooLarge"), "{answer}");
    fixture.stop().await;
}

#[tokio::test]
async fn lengths() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let close = "connection: close\r\n";
    let answer = raw.wire(head(raw, "PUT", "/bucket/key", close)).await;
    assert!(answer.starts_with("HTTP/1.1 411 ") && answer.contains("<Code>MissingContentLength</Code>"), "{answer}");
    let chunked = format!("transfer-encoding: chunked\r\n{close}");
    let answer = raw.wire(head(raw, "PUT", "/bucket/key", &chunked) + "1\r\nx\r\n0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 501 ") && answer.contains("<Header>Transfer-Encoding</Header>"), "{answer}");
    // HTTP's own chunks are fine around those of AWS, which tell the length.
    let request = raw
        .request("PUT", "/bucket/chunked")
        .header("x-amz-decoded-content-length", "9")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let body = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let text = head_of(&request.build(), &chunked);
    let answer = raw.wire(format!("{text}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    raw.get("/bucket/chunked").await.is(200).has_body("123456789");
    // Fewer bytes than promised.
    let mut stream = TcpStream::connect(&raw.authority).await.expect("a connection");
    let text = head(raw, "PUT", "/bucket/key", "content-length: 100\r\n") + "too short";
    stream.write_all(text.as_bytes()).await.expect("a server that reads");
    stream.shutdown().await.expect("half a connection");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.is_empty() || answer.contains("<Code>IncompleteBody</Code>"), "{answer}");
    raw.head("/bucket/key").await.is(404);
    // Codings that S3 does not take.
    for coding in ["gzip", "deflate", "nonsense"] {
        let answer =
            raw.wire(head(raw, "PUT", "/bucket/key", &format!("transfer-encoding: {coding}\r\n{close}"))).await;
        let status = answer.split(' ').nth(1).expect("a status").to_owned();
        assert!(["400", "501"].contains(&status.as_str()) && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    raw.head("/bucket/key").await.is(404);
    fixture.stop().await;
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let mut seen = std::collections::HashSet::new();
    for target in ["/", "/bucket", "/bucket/missing", "/bucket?location"] {
        for method in ["GET", "HEAD"] {
            let answer = raw.request(method, target).send().await;
            assert!(answer.header("x-amz-id-2").is_some_and(|id| !id.is_empty()), "{method} {target}");
            assert!(seen.insert(answer.header("x-amz-request-id").expect("an id").to_owned()));
            assert!(answer.header("date").is_some() && answer.header("server").is_some());
        }
    }
    fixture.stop().await;
}

#[tokio::test]
async fn hosts() {
    let fixture = Fixture::with_bucket("bucket").await;
    let port = fixture.raw.authority.rsplit_once(':').expect("a port").1;
    let named = |name: &str| Raw { host: format!("{name}:{port}"), ..fixture.raw.clone() };
    // `localhost` always is a domain of buckets.
    let raw = named("bucket.localhost");
    raw.put("/key", "content").await.is(200);
    raw.get("/key").await.is(200).has_body("content");
    raw.get("/?list-type=2").await.is(200).has("Key", "key");
    raw.get("/bucket/key").await.fails(404, "NoSuchKey").has("Key", "bucket/key");
    named("missing.localhost").get("/key").await.fails(404, "NoSuchBucket").has("BucketName", "missing");
    let id = raw.post("/big?uploads", "").await.is(200).element("UploadId").expect("an id");
    let etag = raw.put(&format!("/big?partNumber=1&uploadId={id}"), "x").await.is(200).etag();
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let document = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
    let done = raw.post(&format!("/big?uploadId={id}"), document).await.is(200);
    done.has("Location", &format!("http://bucket.localhost:{port}/big"));
    // Any other host means the path.
    named("localhost").get("/bucket/key").await.is(200);
    named("bucket.example.com").get("/bucket/key").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn documents_are_bounded() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    for target in ["/bucket?tagging", "/bucket?delete", "/bucket/key?tagging"] {
        let method = if target.ends_with("delete") { "POST" } else { "PUT" };
        let body = vec![b' '; 9 << 20];
        let answer = raw.request(method, target).md5_of(&body).body(body).send().await;
        let answer = answer.fails(400, "MaxMessageLengthExceeded");
        assert!(answer.element("MaxMessageLengthBytes").is_some());
        let doctype = "<!DOCTYPE x [<!ENTITY a 'b'>]><Tagging><TagSet/></Tagging>";
        raw.request(method, target).md5_of(doctype.as_bytes()).body(doctype).send().await.fails(400, "MalformedXML");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn methods_that_resources_lack() {
    async fn check(raw: &Raw, method: &str, target: &str) {
        let answer = raw.request(method, target).send().await.fails(405, "MethodNotAllowed").has("Method", method);
        assert!(answer.element("ResourceType").is_some() && answer.header("allow").is_some());
    }
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    check(raw, "POST", "/").await;
    check(raw, "DELETE", "/").await;
    check(raw, "PATCH", "/bucket").await;
    check(raw, "PATCH", "/bucket/key").await;
    check(raw, "POST", "/bucket/key").await;
    fixture.stop().await;
}
