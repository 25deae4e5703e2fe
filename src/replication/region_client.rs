//! Requests to another store: S3's URLs, signed, with bodies that are streamed.
//!
//! Connections are kept and used again, as many as requests are under way at once. A request is given up when nothing moves in
//! either direction for a while, however long it takes as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use strata_storage::Clock;

use crate::config::{RegionSettings, UrlStyle};
use crate::outbound::{Answer, Signer, Trust, TrustError, pool, root_cause};

/// How long connecting may take, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long nothing may move. Completing a large upload is the longest that a store is silent.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The largest answer that is read: a page of a listing, with the longest keys.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Everything but the unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, with `/` kept between the segments.
const PATH: &AsciiSet = &QUERY.remove(b'/');

type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A client of one store.
pub struct RegionClient {
    http: legacy::Client<HttpsConnector<HttpConnector>, Moving>,
    signer: Signer,
    scheme: String,
    authority: String,
    style: UrlStyle,
    silence_max: Duration,
}

/// One request.
pub struct RegionRequest<'a> {
    /// The method.
    pub method: Method,
    /// The bucket.
    pub bucket: &'a str,
    /// The key, as it is; `None` for the bucket itself.
    pub key: Option<&'a str>,
    /// Parameters, as they are; an empty value for one without.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers beside those of the signature and the length.
    pub headers: HeaderMap,
    /// The body.
    pub body: RegionBody,
}

/// What a request carries.
pub enum RegionBody {
    /// Nothing.
    Empty,
    /// Bytes that the signature covers.
    Bytes(Bytes),
    /// A stream.
    Stream {
        /// The bytes as they come.
        body: UnsyncBoxBody<Bytes, BodyError>,
        /// How many there are.
        bytes: u64,
        /// Their SHA-256 in hex, if it is known and the signature is to cover it.
        sha256: Option<String>,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// No connection, or it broke. Later it may work.
    #[error("{0}")]
    Unreachable(String),
    /// Nothing moved for too long. Later it may work.
    #[error("nothing came or went for {} s", .0.as_secs())]
    Silent(Duration),
    /// The answer broke off, or is larger than allowed.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The body that was to be sent broke off here.
    #[error("the body to be sent broke off: {0}")]
    Source(String),
    /// The request is no valid one. It will not work later.
    #[error("the request cannot be made: {0}")]
    Invalid(String),
}

impl RegionRequest<'_> {
    /// A request without parameters, headers and body.
    pub fn new<'a>(method: Method, bucket: &'a str, key: Option<&'a str>) -> RegionRequest<'a> {
        RegionRequest { method, bucket, key, query: &[], headers: HeaderMap::new(), body: RegionBody::Empty }
    }
}

impl RegionClient {
    /// A client that keeps up to `connections` of them. `Err` if it cannot be known whose certificates to believe.
    pub fn new(
        settings: &RegionSettings,
        connections: usize,
        clock: Arc<dyn Clock>,
    ) -> Result<RegionClient, TrustError> {
        let trust = Trust::of_url(&settings.endpoint.to_string(), settings.ca_file.clone());
        let signer = Signer {
            region: settings.signing_region.clone(),
            service: "s3",
            credentials: settings.credentials.clone(),
            clock,
        };
        let client = RegionClient::trusting(&trust, &settings.endpoint, signer, connections)?;
        Ok(RegionClient { style: settings.style, ..client })
    }

    /// The same of a store that is named by its URL alone, with buckets in paths.
    pub fn trusting(
        trust: &Trust,
        endpoint: &http::Uri,
        signer: Signer,
        connections: usize,
    ) -> Result<RegionClient, TrustError> {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        Ok(RegionClient {
            http: pool(trust, CONNECT_MAX, connections)?,
            signer,
            scheme: text(endpoint.scheme_str()),
            authority: text(endpoint.authority().map(http::uri::Authority::as_str)),
            style: UrlStyle::Path,
            silence_max: SILENCE_MAX,
        })
    }

    /// The region that requests are signed for.
    pub fn signing_region(&self) -> &str {
        &self.signer.region
    }

    /// The same that waits otherwise long for something to move.
    #[cfg(test)]
    fn silent_for(self, silence_max: Duration) -> RegionClient {
        RegionClient { silence_max, ..self }
    }

    /// Sends a request and reads its whole answer, whatever its status. Dropping the future may leave the request done all
    /// the same.
    pub async fn send(&self, request: RegionRequest<'_>) -> Result<Answer, RegionError> {
        let (parts, body) = self.request(request).await?.into_parts();
        let body = tokio::time::timeout(self.silence_max, Limited::new(body, ANSWER_BYTES_MAX).collect());
        let body = body.await.map_err(|_| RegionError::Silent(self.silence_max))?;
        let body = body.map_err(|error| RegionError::Unreadable(root_cause(&*error)))?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }

    /// Sends a request, and gives the head of its answer with a body that is still to be read. The connection is used again
    /// once it was read to its end.
    pub async fn request(&self, request: RegionRequest<'_>) -> Result<Response<Incoming>, RegionError> {
        let moved = Arc::new(AtomicU64::new(0));
        let signed = self.signed(request, Arc::clone(&moved))?;
        let mut answer = std::pin::pin!(self.http.request(signed));
        let mut seen = 0;
        loop {
            match tokio::time::timeout(self.silence_max, &mut answer).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(fault(&error)),
                Err(_) => {}
            }
            let now = moved.load(Ordering::Relaxed);
            if now == seen {
                return Err(RegionError::Silent(self.silence_max));
            }
            seen = now;
        }
    }

    fn signed(&self, request: RegionRequest<'_>, moved: Arc<AtomicU64>) -> Result<Request<Moving>, RegionError> {
        let url = self.url(&request);
        let (body, bytes, sha256) = match request.body {
            RegionBody::Empty => (boxed(Empty::new()), 0, Some(hex::encode(Sha256::digest([])))),
            RegionBody::Bytes(bytes) => {
                let (length, hash) = (bytes.len() as u64, hex::encode(Sha256::digest(&bytes)));
                (boxed(Full::new(bytes)), length, Some(hash))
            }
            RegionBody::Stream { body, bytes, sha256 } => (body, bytes, sha256),
        };
        let mut signed = Request::new(Moving { body, bytes, moved });
        *signed.method_mut() = request.method;
        *signed.uri_mut() = url.parse().map_err(|error: http::uri::InvalidUri| invalid(&error))?;
        *signed.headers_mut() = request.headers;
        if bytes > 0 || matches!(*signed.method(), Method::PUT | Method::POST) {
            signed.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        }
        self.signer.sign_head(&mut signed, sha256.as_deref()).map_err(|error| invalid(&error))?;
        Ok(signed)
    }

    fn url(&self, request: &RegionRequest<'_>) -> String {
        let RegionClient { scheme, authority, style, .. } = self;
        let bucket = request.bucket;
        let mut url = match style {
            UrlStyle::Path => format!("{scheme}://{authority}/{bucket}"),
            UrlStyle::Virtual => format!("{scheme}://{bucket}.{authority}"),
        };
        match request.key {
            Some(key) => url.extend(["/"].into_iter().chain(utf8_percent_encode(key, PATH))),
            None if *style == UrlStyle::Virtual => url.push('/'),
            None => {}
        }
        for (position, (name, value)) in request.query.iter().enumerate() {
            url.push(if position == 0 { '?' } else { '&' });
            url.extend(utf8_percent_encode(name, QUERY).chain(["="]).chain(utf8_percent_encode(value, QUERY)));
        }
        url
    }
}

fn boxed<B>(body: B) -> UnsyncBoxBody<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
{
    UnsyncBoxBody::new(body.map_err(|never| match never {}))
}

fn invalid(error: &dyn std::fmt::Display) -> RegionError {
    RegionError::Invalid(error.to_string())
}

fn fault(error: &legacy::Error) -> RegionError {
    let broke_off = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_user);
    match broke_off {
        true => RegionError::Source(root_cause(error)),
        false => RegionError::Unreachable(root_cause(error)),
    }
}

/// A body that tells whether it is being sent.
struct Moving {
    body: UnsyncBoxBody<Bytes, BodyError>,
    /// How long it is.
    bytes: u64,
    moved: Arc<AtomicU64>,
}

impl Body for Moving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.moved.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(ctx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}

#[cfg(test)]
mod tests;
