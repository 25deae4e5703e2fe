//! HTTP/2 as clients see it: hosts, bodies that nobody takes, streams that stall, requests that break its rules.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::support::Raw;
use crate::tls::Encrypted;

const H2: &[&[u8]] = &[b"h2"];
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

type Request = http::Request<Full<Bytes>>;

/// A connection, and the task that drives it.
async fn connect(encrypted: &Encrypted, window: u32) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(encrypted.connect(H2).await);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (requests, connection) = builder.handshake(stream).await.expect("a connection");
    (requests, tokio::spawn(connection))
}

/// A signed request without `Host`: HTTP/2 has an authority instead.
fn without_host(mut request: Request) -> Request {
    request.headers_mut().remove("host");
    request
}

async fn answer(requests: &mut SendRequest<Full<Bytes>>, request: Request) -> (u16, Bytes) {
    let response = requests.send_request(request).await.expect("an answer");
    (response.status().as_u16(), response.into_body().collect().await.expect("a body").to_bytes())
}

async fn bucket(raw: &Raw, requests: &mut SendRequest<Full<Bytes>>) {
    assert_eq!(answer(requests, without_host(raw.request("PUT", "/bucket").build())).await.0, 200);
}

#[tokio::test]
async fn the_authority_is_the_host_that_was_signed() {
    let encrypted = Encrypted::start().await;
    let raw = &encrypted.raw;
    let (mut requests, _driver) = connect(&encrypted, 1 << 20).await;
    bucket(raw, &mut requests).await;
    assert_eq!(answer(&mut requests, raw.request("GET", "/bucket").build()).await.0, 200, "both, and the same");
    let mut two = raw.request("GET", "/bucket").build();
    two.headers_mut().insert("host", http::HeaderValue::from_static("bucket.localhost"));
    let (status, body) = answer(&mut requests, two).await;
    assert_eq!(status, 400, "{body:?}");
    let mut other = without_host(raw.request("GET", "/bucket").build());
    *other.uri_mut() = "http://other.localhost/bucket".parse().expect("a URL");
    assert_eq!(answer(&mut requests, other).await.0, 403, "the signature covers the authority");
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let encrypted = Encrypted::start().await;
    let raw = &encrypted.raw;
    let (mut requests, _driver) = connect(&encrypted, 1 << 20).await;
    bucket(raw, &mut requests).await;
    let uploads = (0..40_u8).map(|number| {
        let (mut requests, raw) = (requests.clone(), raw.clone());
        tokio::spawn(async move {
            let target = format!("/bucket/{number}");
            let content = vec![number; 400_000];
            let put = raw.request("PUT", &target).body(content.clone()).build();
            assert_eq!(answer(&mut requests, put).await.0, 200);
            let (status, body) = answer(&mut requests, raw.request("GET", &target).build()).await;
            assert!(status == 200 && body == content);
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_body_that_nobody_takes_costs_no_connection() {
    let encrypted = Encrypted::start().await;
    let raw = &encrypted.raw;
    let (mut requests, _driver) = connect(&encrypted, 1 << 20).await;
    for _ in 0..3 {
        let put = raw.request("PUT", "/missing/key").body(vec![b'x'; 5_000_000]).build();
        let (status, body) = answer(&mut requests, put).await;
        assert!(status == 404 && body.windows(12).any(|word| word == b"NoSuchBucket"));
    }
    bucket(raw, &mut requests).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_given_up() {
    let encrypted = Encrypted::start_with(|config| config.limits.idle_seconds = 1).await;
    let raw = &encrypted.raw;
    let (mut requests, _driver) = connect(&encrypted, 1000).await;
    bucket(raw, &mut requests).await;
    let content = vec![b'x'; 3_000_000];
    assert_eq!(answer(&mut requests, raw.request("PUT", "/bucket/key").body(content).build()).await.0, 200);
    let response = requests.send_request(raw.request("GET", "/bucket/key").build()).await.expect("an answer");
    // Other streams are served while this one stalls, and the connection is not idle for it.
    let mut body = response.into_body();
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        assert_eq!(answer(&mut requests, raw.request("HEAD", "/bucket").build()).await.0, 200);
    }
    let mut read = 0;
    let end = loop {
        match tokio::time::timeout(PATIENCE, body.frame()).await.expect("an end in time") {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
            end => break end,
        }
    };
    assert!(end.is_some_and(|end| end.is_err()) && read < 3_000_000, "{read}");
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let encrypted = Encrypted::start_with(|config| config.limits.idle_seconds = 1).await;
    let (mut requests, driver) = connect(&encrypted, 1 << 20).await;
    bucket(&encrypted.raw, &mut requests).await;
    tokio::time::timeout(PATIENCE, driver).await.expect("an end in time").expect("no panic").expect("an orderly end");
    // One that never says anything, not even HTTP/2's first words.
    let mut silent = encrypted.connect(H2).await;
    let mut bytes = Vec::new();
    let _end = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut bytes)).await.expect("an end in time");
}

#[tokio::test]
async fn a_stopping_server_lets_streams_finish() {
    let encrypted = Encrypted::start().await;
    let raw = encrypted.raw.clone();
    let (mut requests, _driver) = connect(&encrypted, 1 << 20).await;
    bucket(&raw, &mut requests).await;
    let put = raw.request("PUT", "/bucket/key").body(vec![b'x'; 20_000_000]).build();
    let sending = requests.send_request(put);
    // Once a later stream is answered, the server knows of this one.
    answer(&mut requests, raw.request("HEAD", "/bucket").build()).await;
    let stopping = tokio::spawn(encrypted.server.shutdown());
    assert_eq!(sending.await.expect("an answer").status(), 200);
    tokio::time::timeout(PATIENCE, stopping).await.expect("an end in time").expect("no panic").expect("an orderly end");
}

/// A frame as RFC 9113 draws it.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A list of headers, written out one by one.
fn headers(list: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for text in list.iter().flat_map(|(name, value)| [(0, name), (1, value)]) {
        if text.0 == 0 {
            block.push(0);
        }
        block.push(u8::try_from(text.1.len()).expect("a short text"));
        block.extend(text.1.as_bytes());
    }
    block
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END: u8 = 5;

/// Sends one request of those headers, and gives the first frame that says what became of it.
async fn verdict(encrypted: &Encrypted, list: &[(&str, &str)], body: Option<&[u8]>) -> u8 {
    let mut stream = encrypted.connect(H2).await;
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(SETTINGS, 0, 0, &[]));
    sent.extend(frame(HEADERS, if body.is_some() { 4 } else { END }, 1, &headers(list)));
    sent.extend(body.map(|body| frame(0, 1, 1, body)).unwrap_or_default());
    stream.write_all(&sent).await.expect("a server that reads");
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return GOAWAY;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.expect("a whole frame");
        if [HEADERS, RST_STREAM, GOAWAY].contains(&head[3]) {
            return head[3];
        }
    }
}

#[tokio::test]
async fn requests_that_break_the_rules_are_refused() {
    const GOOD: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/-/health/live")];
    let encrypted = Encrypted::start().await;
    assert_eq!(verdict(&encrypted, &GOOD, None).await, HEADERS);
    let more = |extra: (&'static str, &'static str)| GOOD.into_iter().chain([extra]).collect::<Vec<_>>();
    for list in [
        GOOD[..3].to_vec(),
        GOOD[1..].to_vec(),
        more((":method", "PUT")),
        more((":path", "/smuggled")),
        more((":authority", "other")),
        more((":unknown", "x")),
        [("x-first", "1")].into_iter().chain(GOOD).collect(),
        more(("connection", "close")),
        more(("transfer-encoding", "chunked")),
        more(("upgrade", "websocket")),
        more(("te", "chunked")),
        more(("X-Upper", "x")),
        more(("x-injected", "a\r\nx-other: b")),
        more(("x-injected\r\nx-other", "b")),
        more(("x-nul", "a\0b")),
    ] {
        let found = verdict(&encrypted, &list, None).await;
        assert!([RST_STREAM, GOAWAY].contains(&found), "{list:?}: {found}");
    }
    // A length that is not the body's.
    let mut put = more(("content-length", "3"));
    put[0].1 = "PUT";
    assert!([RST_STREAM, GOAWAY, HEADERS].contains(&verdict(&encrypted, &put, Some(b"longer")).await));
    assert_eq!(verdict(&encrypted, &GOOD, None).await, HEADERS);
}
