//! What fuzzers give to the readers that requests reach only with a right signature, or in many pieces. Everything else they
//! reach through a server.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use strata_storage::ETag;
use tokio::runtime::{Builder, Runtime};

use crate::auth::{ChunkSigner, PayloadAuth};
use crate::body::{Body, Transport};
use crate::replication::replica;
use crate::{range, tagging, time};

/// What waiting for bytes needs, though all of them are there.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime can be made"));

/// A body in aws-chunked framing: however its bytes arrive, the same comes of it.
pub fn body(bytes: &[u8]) {
    let [form, piece, decoded, rest @ ..] = bytes else { return };
    let _entered = RUNTIME.enter();
    let at_once = read(*form, u64::from(*decoded), rest, rest.len().max(1));
    let in_pieces = read(*form, u64::from(*decoded), rest, usize::from(*piece % 16) + 1);
    assert_eq!(at_once, in_pieces);
    if let Ok(data) = at_once {
        assert_eq!(data.len(), usize::from(*decoded), "a body has its length");
    }
}

fn read(form: u8, decoded: u64, bytes: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    let mut headers = HeaderMap::new();
    headers.insert("content-encoding", HeaderValue::from_static("aws-chunked"));
    headers.insert("content-length", HeaderValue::from(bytes.len()));
    headers.insert("x-amz-decoded-content-length", HeaderValue::from(decoded));
    let payload = match form % 3 {
        0 => PayloadAuth::StreamingUnsignedTrailer,
        1 => PayloadAuth::StreamingSigned { signer: ChunkSigner::example(), trailer: false },
        _ => PayloadAuth::StreamingSigned { signer: ChunkSigner::example(), trailer: true },
    };
    if form % 3 != 1 {
        headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
    }
    let frames: Vec<Result<_, Infallible>> =
        bytes.chunks(piece).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let frames = StreamBody::new(stream::iter(frames)).map_err(|never| match never {}).boxed();
    let mut body = Body::new(Transport::from(frames), &headers, payload, Duration::from_mins(1))
        .map_err(|error| error.code.to_owned())?;
    let mut data = Vec::new();
    // All of it is there, so nothing has to be waited for.
    while let Some(bytes) =
        body.next().now_or_never().expect("all bytes are there").map_err(|error| error.code.to_owned())?
    {
        data.extend_from_slice(&bytes);
    }
    Ok(data)
}

/// Values of headers and parameters.
pub fn value(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for moment in [time::parse_http_date(text), time::parse_amz_date(text), time::parse_iso8601(text)] {
        moment.map(time::iso8601);
    }
    range::resolve(text, 1 << 20);
    ETag::parse(text);
    let _ = tagging::from_header(text);
    if let Some(head) = replica::Head::parse(text) {
        assert_eq!(replica::Head::parse(&head.encode()), Some(head), "a replica's head reads as it was written");
    }
}
