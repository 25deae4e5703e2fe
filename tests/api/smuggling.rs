//! Requests whose ends or heads can be read in two ways: each is refused or read in one, and what hides in it is never
//! taken for a request.

use crate::support::Fixture;

/// What an attacker wants the server to take for the next request. An answer to it would name it.
const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
/// A client's next request on the same connection, which says that it is the last.
const NEXT: &str = "GET /-/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Sends that, with the hidden request as or after the body, and checks how the answer begins and that nobody answered
/// what was hidden.
async fn check(fixture: &Fixture, sent: &str, status: &str) {
    let answer = fixture.raw.wire(sent).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:?}: {answer}");
    assert!(!answer.contains("/smuggled"), "{sent:?}: {answer}");
}

/// With a head that is refused, the connection ends: nobody knows where the next request begins.
async fn refused(fixture: &Fixture, sent: &str) {
    check(fixture, sent, "400").await;
    let answer = fixture.raw.wire(sent).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{sent:?}: {answer}");
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /bucket/key HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}{NEXT}")
}

#[tokio::test]
async fn two_lengths() {
    let fixture = Fixture::start().await;
    let both = format!("0\r\n\r\n{HIDDEN}");
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 300\r\nTransfer-Encoding: chunked\r\n",
    ] {
        // Chunked wins, as RFC 9112 has it, and the connection is not used again.
        check(&fixture, &post(headers, &both), "405").await;
        let answer = fixture.raw.wire(post(headers, &both)).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
    }
    for headers in [
        "Content-Length: 0\r\nContent-Length: 35\r\n",
        "Content-Length: 35\r\nContent-Length: 0\r\n",
        "Content-Length: 0, 35\r\n",
        "Content-Length: 35, 35\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: \r\n",
        "Content-Length: 0 5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding:\u{b}chunked\r\n",
    ] {
        refused(&fixture, &post(headers, HIDDEN)).await;
    }
    // The same length twice is one length.
    let twice = format!("Content-Length: {0}\r\nContent-Length: {0}\r\n", HIDDEN.len());
    check(&fixture, &post(&twice, HIDDEN), "405").await;
    fixture.stop().await;
}

#[tokio::test]
async fn chunked_bodies() {
    let fixture = Fixture::start().await;
    for body in [
        "0x1\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "1;a\n\r\nx\r\n0\r\n\r\n",
        "1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n",
        "1\rx\r\n0\r\n\r\n",
        "\r\n",
        "0\r\nContent-Length : 5\r\n\r\n",
    ] {
        check(&fixture, &post("Transfer-Encoding: chunked\r\n", &format!("{body}{HIDDEN}")), "405").await;
    }
    // What is well formed ends where it says, and the next request is read as such.
    for body in ["0\r\n\r\n", "5;name=value\r\nhello\r\n0\r\n\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\ntrailer: x\r\n\r\n"] {
        let answer = fixture.raw.wire(post("Transfer-Encoding: chunked\r\n", body)).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.ends_with("live\n"), "{body:?}: {answer}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn malformed_heads() {
    let fixture = Fixture::start().await;
    for header in [
        "X-Folded: a\r\n b\r\n",
        "X-Folded: a\r\n\tb\r\n",
        " Content-Length: 5\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
        "Content-Length\r\n",
        ": x\r\n",
        "X: a\rContent-Length: 5\r\n",
        "X: a\0b\r\n",
        "X\0: a\r\n",
        "X y: a\r\n",
        "Ünlaut: a\r\n",
        "X: a\u{7f}b\r\n",
    ] {
        refused(&fixture, &post(header, HIDDEN)).await;
    }
    for line in [
        "GET /a\0b HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET  /a HTTP/1.1",
        "GET /a HTTP/1.1 x",
        "GET /a\r HTTP/1.1",
        "GE\0T /a HTTP/1.1",
        "GET /a HTTP/2.0",
        "GET /a http/1.1",
    ] {
        refused(&fixture, &format!("{line}\r\nHost: x\r\n\r\n{HIDDEN}")).await;
    }
    let large = format!("X: {}\r\n", "x".repeat(40_000));
    check(&fixture, &post(&large, HIDDEN), "431").await;
    // Of two protocols, the older one knows no chunks.
    let old = format!("POST /bucket/key HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}");
    let answer = fixture.raw.wire(old).await;
    assert!(answer.contains(" 400 ") && !answer.contains("/smuggled"), "{answer}");
    fixture.stop().await;
}

#[tokio::test]
async fn two_hosts() {
    let fixture = Fixture::start().await;
    for head in [
        "GET http://private.localhost/key HTTP/1.1\r\nHost: public.localhost\r\n",
        "GET /key HTTP/1.1\r\nHost: public.localhost\r\nHost: private.localhost\r\n",
        "GET http://user@public.localhost/key HTTP/1.1\r\nHost: user@public.localhost\r\n",
    ] {
        let answer = fixture.raw.wire(format!("{head}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("<Code>InvalidRequest</Code>"), "{answer}");
    }
    // A tunnel is not opened either.
    let answer =
        fixture.raw.wire("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    fixture.stop().await;
}

/// Nothing that a query asks to be in the answer's head can begin another header.
#[tokio::test]
async fn headers_asked_for_in_the_query() {
    let fixture = Fixture::with_bucket("bucket").await;
    fixture.raw.put("/bucket/key", "content").await.is(200);
    for parameter in
        ["content-type", "content-disposition", "cache-control", "content-encoding", "content-language", "expires"]
    {
        for escaped in ["a%0d%0ax-evil:%201", "a%0ax-evil:%201", "a%0dx-evil:%201", "a%00b", "%0d%0a%0d%0aevil"] {
            let target = format!("/bucket/key?response-{parameter}={escaped}");
            let answer = fixture.raw.get(&target).await;
            assert!(answer.status.as_u16() < 500, "{target}: {}", answer.status);
            assert_eq!(answer.header("x-evil"), None, "{target}");
            let named = answer.headers.get(parameter).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
            assert!(!named.windows(4).any(|word| word == b"evil"), "{target}");
        }
    }
    fixture.stop().await;
}
