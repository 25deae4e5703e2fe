//! Requests as they arrive at a store that is none, and how long is waited for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use strata_storage::{ManualClock, SystemClock, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{RegionBody, RegionClient, RegionError, RegionRequest};
use crate::Server;
use crate::config::{Config, RootSettings, UrlStyle};
use crate::credentials::Secret;
use crate::replication::stand_in::{receive, settings};

fn client(endpoint: &str, style: UrlStyle) -> RegionClient {
    let settings = settings(endpoint, style, "secret");
    // 24 November 2023.
    let clock = Arc::new(ManualClock::new(Timestamp::from_nanos(1_700_784_000_000_000_000)));
    RegionClient::new(&settings, 4, clock).expect("no certificates are needed")
}

fn streamed(pieces: Vec<Result<&'static str, &'static str>>) -> UnsyncBoxBody<Bytes, super::BodyError> {
    let frame = |piece: Result<&'static str, &'static str>| match piece {
        Ok(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
        Err(reason) => Err(reason.into()),
    };
    UnsyncBoxBody::new(StreamBody::new(stream::iter(pieces.into_iter().map(frame))))
}

#[test]
fn urls() {
    fn check(style: UrlStyle, key: Option<&str>, query: &[(&str, &str)], expected: &str) {
        let request = RegionRequest { query, ..RegionRequest::new(Method::GET, "bucket", key) };
        assert_eq!(client("https://host:9/", style).url(&request), expected);
    }
    check(UrlStyle::Path, None, &[], "https://host:9/bucket");
    check(UrlStyle::Virtual, None, &[("versioning", "")], "https://bucket.host:9/?versioning=");
    check(UrlStyle::Path, Some("a//b/../c d?ü+~"), &[], "https://host:9/bucket/a//b/../c%20d%3F%C3%BC%2B~");
    check(UrlStyle::Virtual, Some("/a"), &[("a", "b&/"), ("c", "+")], "https://bucket.host:9//a?a=b%26%2F&c=%2B");
}

#[tokio::test]
async fn connections_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = client(&format!("http://{}", listener.local_addr().expect("an address")), UrlStyle::Path);
    let store = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("one connection");
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(receive(&mut stream).await);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("a reader");
        }
        seen
    });
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-meta-a", HeaderValue::from_bytes("ü".as_bytes()).expect("a value"));
    let put =
        |body| RegionRequest { body, headers: headers.clone(), ..RegionRequest::new(Method::PUT, "b", Some("k")) };
    let body = streamed(vec![Ok("str"), Ok("eam")]);
    for body in
        [RegionBody::Empty, RegionBody::Bytes("bytes".into()), RegionBody::Stream { body, bytes: 6, sha256: None }]
    {
        let answer = client.send(put(body)).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"ok"[..]));
    }
    let seen = store.await.expect("the store");
    let bodies: Vec<&[u8]> = seen.iter().map(|(_, body)| &body[..]).collect();
    assert_eq!(bodies, [&b""[..], b"bytes", b"stream"]);
    let hashes = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9",
        "UNSIGNED-PAYLOAD",
    ];
    for ((head, _), hash) in seen.iter().zip(hashes) {
        assert_eq!(head[0], "PUT /b/k HTTP/1.1");
        assert!(head.contains(&format!("x-amz-content-sha256: {hash}")), "{head:?}");
        let scope = "AKID/20231124/us-east-1/s3/aws4_request";
        assert!(head.iter().any(|line| line.starts_with("authorization:") && line.contains(scope)), "{head:?}");
    }
}

#[tokio::test]
async fn silence_ends_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let client = client(&endpoint, UrlStyle::Path).silent_for(Duration::from_millis(50));
    let request = || RegionRequest::new(Method::GET, "b", None);
    let held = tokio::spawn(async move {
        let (first, _) = listener.accept().await.expect("a connection");
        let (mut second, _) = listener.accept().await.expect("another one");
        receive(&mut second).await;
        second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await.expect("a reader");
        (first, second)
    });
    assert!(matches!(client.send(request()).await, Err(RegionError::Silent(_))));
    assert!(matches!(client.send(request()).await, Err(RegionError::Silent(_))));
    drop(held.await.expect("the store"));
}

#[tokio::test]
async fn faults_have_a_side() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let reader = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut sink = Vec::new();
        // Until the sender gives up.
        let _ended = stream.read_to_end(&mut sink).await;
    });
    let client = client(&endpoint, UrlStyle::Path);
    let body = RegionBody::Stream { body: streamed(vec![Ok("a"), Err("disk")]), bytes: 9, sha256: None };
    let put = RegionRequest { body, ..RegionRequest::new(Method::PUT, "b", Some("k")) };
    assert!(matches!(client.send(put).await, Err(RegionError::Source(reason)) if reason == "disk"));
    reader.await.expect("the store");
    // Nobody listens there any more.
    let refused = client.send(RegionRequest::new(Method::GET, "b", None)).await;
    assert!(matches!(refused, Err(RegionError::Unreachable(_))), "{:?}", refused.err());
}

#[tokio::test]
async fn stores_believe_the_signature() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let root =
        RootSettings { access_key: Some("AKID".to_owned()), secret_key: Some(Secret::new("secret-secret".to_owned())) };
    let config = Config { data: directory.path().to_owned(), listen, root, ..Config::default() };
    let server = Server::start(config).await.expect("a server");
    let settings = settings(&server.endpoint(), UrlStyle::Path, "secret-secret");
    let client = RegionClient::new(&settings, 4, Arc::new(SystemClock)).expect("no certificates are needed");
    let made = client.send(RegionRequest::new(Method::PUT, "bucket", None)).await.expect("an answer");
    assert_eq!(made.status, 200);
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-amz-meta-a", "ü"), ("x-amz-meta-b", "a  b"), ("content-type", "text/plain; a=\"b\"")] {
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    let key = Some("/a//b/../c d?%25ü+~*'()&=;");
    for query in [&[][..], &[("x-id", "Put Object+&")]] {
        let body = RegionBody::Stream { body: streamed(vec![Ok("con"), Ok("tent")]), bytes: 7, sha256: None };
        let request =
            RegionRequest { method: Method::PUT, bucket: "bucket", key, query, headers: headers.clone(), body };
        let put = client.send(request).await.expect("an answer");
        assert_eq!(put.status, 200, "{}", String::from_utf8_lossy(&put.body));
    }
    let get = client.send(RegionRequest::new(Method::GET, "bucket", key)).await.expect("an answer");
    assert_eq!((get.status.as_u16(), &*get.body), (200, &b"content"[..]));
    let query = [("prefix", "/a//b/../c d?%25ü+~*'()&=;"), ("list-type", "2")];
    let list = RegionRequest { query: &query, ..RegionRequest::new(Method::GET, "bucket", None) };
    let list = client.send(list).await.expect("an answer");
    assert!(String::from_utf8_lossy(&list.body).contains("<KeyCount>1</KeyCount>"), "{list:?}");
    drop(client);
    server.shutdown().await.expect("an orderly end");
}
