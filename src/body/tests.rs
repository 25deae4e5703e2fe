//! Bodies as the service builds them: lengths, hashes, time limits, and what happens to the connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use sha2::{Digest as _, Sha256};

use super::{Body, Transport};
use crate::auth::{ChunkSigner, PayloadAuth};
use crate::document_room::DocumentRoom;
use crate::error::S3Error;

const LONG: Duration = Duration::from_mins(1);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a valid value"))
    };
    pairs.iter().map(pair).collect()
}

/// A transport that gives these pieces and then ends, or hangs.
fn pieces(pieces: &[&'static str], hangs: bool) -> Transport {
    let frames: Vec<_> =
        pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
    let frames = stream::iter(frames);
    let body = if hangs {
        StreamBody::new(frames.chain(stream::pending())).map_err(|never| match never {}).boxed()
    } else {
        StreamBody::new(frames).map_err(|never| match never {}).boxed()
    };
    Transport::from(body)
}

fn plain(hash: Option<&str>) -> PayloadAuth {
    hash.map_or(PayloadAuth::Unsigned, |text| PayloadAuth::Sha256(Sha256::digest(text).into()))
}

async fn read(body: &mut Body) -> Result<String, S3Error> {
    let mut text = String::new();
    while let Some(data) = body.next().await? {
        text.push_str(std::str::from_utf8(&data).expect("ASCII"));
    }
    Ok(text)
}

#[tokio::test(start_paused = true)]
async fn bodies_take_as_much_room_as_they_may_have_bytes() {
    async fn check(body: impl Fn(&str) -> Body, free_bytes: usize, expected: Result<&str, &str>) {
        let room = Arc::new(DocumentRoom::new(10 << 10));
        let _others = room.take((10 << 10) - free_bytes).await.expect("there is room");
        let collected = body("text").with_room(&room).collect(9 << 10).await;
        let found = collected.as_ref().map(|bytes| &bytes[..]).map_err(|error| error.code);
        assert_eq!(found, expected.map(str::as_bytes), "{free_bytes}");
    }
    let declared = |text: &str| {
        let headers = headers(&[("content-length", &text.len().to_string())]);
        Body::new(Transport::from(Bytes::from(text.to_owned())), &headers, plain(None), LONG).expect("a body")
    };
    let absent =
        |_: &str| Body::new(Transport::from(Bytes::new()), &HeaderMap::new(), plain(None), LONG).expect("no body");
    let streamed = |text: &str| Body::streamed(Transport::from(Bytes::from(text.to_owned())), LONG);
    check(declared, 1 << 10, Ok("text")).await;
    check(declared, 0, Err("SlowDown")).await;
    check(absent, 0, Ok("")).await;
    check(streamed, 1 << 10, Err("SlowDown")).await;
    check(streamed, 9 << 10, Ok("text")).await;
}

#[tokio::test]
async fn plain_bodies() {
    async fn check(length: &str, sent: &[&'static str], hash: Option<&str>, expected: Result<&str, (&str, bool)>) {
        let declared = headers(&[("content-length", length)]);
        let mut body = Body::new(pieces(sent, false), &declared, plain(hash), LONG).expect("consistent headers");
        let found = read(&mut body).await.map_err(|error| (error.code, error.close));
        assert_eq!(found, expected.map(str::to_owned), "{length} {sent:?} {hash:?}");
        if let Err((code, _)) = expected {
            assert_eq!(body.next().await.expect_err("the error again").code, code);
        }
    }
    check("5", &["hello"], None, Ok("hello")).await;
    check("5", &["hel", "", "lo"], Some("hello"), Ok("hello")).await;
    check("0", &[], Some(""), Ok("")).await;
    check("6", &["hello"], None, Err(("IncompleteBody", false))).await;
    check("4", &["hello"], None, Err(("IncompleteBody", true))).await;
    check("5", &["hello"], Some("hallo"), Err(("XAmzContentSHA256Mismatch", true))).await;
}

#[tokio::test]
async fn a_wrong_hash_shows_before_the_last_bytes() {
    let declared = headers(&[("content-length", "5")]);
    let mut body =
        Body::new(pieces(&["hel", "lo"], false), &declared, plain(Some("hallo")), LONG).expect("consistent headers");
    assert_eq!(body.next().await.expect("the start").as_deref(), Some(&b"hel"[..]));
    let error = body.next().await.expect_err("the hash");
    let hash = |text: &str| hex::encode(Sha256::digest(text));
    assert_eq!(
        error.fields,
        [("ClientComputedContentSHA256", hash("hallo")), ("S3ComputedContentSHA256", hash("hello"))]
    );
}

#[test]
fn refused_before_reading() {
    fn check(pairs: &[(&'static str, &str)], payload: PayloadAuth, sent: &[&'static str], expected: (&str, bool)) {
        let error = Body::new(pieces(sent, true), &headers(pairs), payload, LONG).map(|_| ()).expect_err("a refusal");
        assert_eq!((error.code, error.close), expected, "{pairs:?}");
    }
    let streaming = || PayloadAuth::StreamingSigned { signer: ChunkSigner::example(), trailer: false };
    let length = ("content-length", "5");
    check(&[length], streaming(), &["x"], ("MissingContentLength", true));
    check(&[], PayloadAuth::StreamingUnsignedTrailer, &[], ("MissingContentLength", true));
    check(&[("transfer-encoding", "chunked")], PayloadAuth::Unsigned, &["x"], ("NotImplemented", true));
    check(&[("transfer-encoding", "gzip")], PayloadAuth::Unsigned, &["x"], ("NotImplemented", true));
    check(&[length, ("x-amz-trailer", "x-amz-checksum-sha1")], PayloadAuth::Unsigned, &["x"], ("InvalidRequest", true));
    check(&[length, ("x-amz-trailer", "x-amz-checksum-sha1")], streaming(), &["x"], ("InvalidRequest", true));
    let error = Body::new(Bytes::new(), &headers(&[]), plain(Some("x")), LONG).map(|_| ()).expect_err("a wrong hash");
    assert_eq!((error.code, error.close), ("XAmzContentSHA256Mismatch", false));
}

#[tokio::test]
async fn chunked_bodies() {
    let mut signer = ChunkSigner::example();
    let (first, last) = (signer.sign_chunk(b"hello"), signer.sign_chunk(b""));
    let text = format!("5;chunk-signature={first}\r\nhello\r\n0;chunk-signature={last}\r\n\r\n");
    let length = text.len().to_string();
    let declared = headers(&[("content-length", &length), ("x-amz-decoded-content-length", "5")]);
    let payload = PayloadAuth::StreamingSigned { signer: ChunkSigner::example(), trailer: false };
    let mut body = Body::new(Bytes::from(text), &declared, payload, LONG).expect("consistent headers");
    assert_eq!(body.length, Some(5));
    assert_eq!(read(&mut body).await.expect("valid"), "hello");
}

#[tokio::test]
async fn trailers_are_known_at_the_end() {
    let declared = headers(&[
        ("transfer-encoding", "chunked"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-sha1"),
    ]);
    let sent = pieces(&["5\r\nhello\r\n0\r\nx-amz-", "checksum-sha1:qvTGHdzF6KLavt4PO0gs2a6pQ00=\r\n\r\n"], false);
    let mut body = Body::new(sent, &declared, PayloadAuth::StreamingUnsignedTrailer, LONG).expect("consistent headers");
    assert_eq!(body.trailer("x-amz-checksum-sha1"), None);
    assert_eq!(read(&mut body).await.expect("valid"), "hello");
    assert_eq!(body.trailer("x-amz-checksum-sha1"), Some("qvTGHdzF6KLavt4PO0gs2a6pQ00="));
}

#[tokio::test]
async fn a_silent_connection_times_out() {
    let declared = headers(&[("content-length", "5")]);
    let soon = Duration::from_millis(1);
    let mut body = Body::new(pieces(&["hel"], true), &declared, plain(None), soon).expect("consistent headers");
    assert_eq!(body.next().await.expect("the start").as_deref(), Some(&b"hel"[..]));
    let error = body.next().await.expect_err("nothing came");
    assert_eq!((error.code, error.status.as_u16(), error.close), ("RequestTimeout", 400, true));
}

#[tokio::test]
async fn collecting_is_bounded() {
    async fn check(declared: bool, sent: &[&'static str], expected: Result<&'static str, &str>) {
        let total = sent.iter().map(|piece| piece.len()).sum::<usize>().to_string();
        let pairs = if declared {
            vec![("content-length", &total[..])]
        } else {
            vec![("transfer-encoding", "chunked"), ("x-amz-decoded-content-length", &total[..])]
        };
        let mut body = Body::new(pieces(sent, false), &headers(&pairs), plain(None), LONG).expect("consistent headers");
        let found = body.collect(5).await.map_err(|error| error.code);
        assert_eq!(found, expected.map(Bytes::from), "{sent:?}");
    }
    for declared in [true, false] {
        check(declared, &[], Ok("")).await;
        check(declared, &["hello"], Ok("hello")).await;
        check(declared, &["h", "el", "lo"], Ok("hello")).await;
        check(declared, &["hello!"], Err("MaxMessageLengthExceeded")).await;
        check(declared, &["hel", "lo!"], Err("MaxMessageLengthExceeded")).await;
    }
    let mut body = Body::from_bytes("hello!");
    let error = body.collect(5).await.expect_err("too long");
    assert_eq!((error.fields, error.close), (vec![("MaxMessageLengthBytes", "5".to_owned())], true));
}

#[tokio::test]
async fn empty_bodies() {
    let mut body = Body::new(Bytes::new(), &headers(&[]), plain(None), LONG).expect("consistent headers");
    assert_eq!(body.length, None);
    assert_eq!(body.require_length().expect_err("no length").status.as_u16(), 411);
    assert!(body.next().await.expect("no bytes").is_none());
}

/// Operations hold requests across awaits.
#[test]
fn bodies_move_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Body>();
}
