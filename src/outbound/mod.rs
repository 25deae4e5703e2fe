//! Requests that this program sends to others: one client of HTTP and HTTPS, bounded in time and size.
//!
//! Connections are kept and used again. Redirects are not followed: whoever configures a URL names the place itself.

mod signing;
mod trust;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub use signing::Signer;
pub use trust::{Trust, TrustError};

/// How long a connection that nobody uses is kept.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How many of those are kept to one server.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// What a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long connecting may take.
    pub connect: Duration,
    /// How long all of it may take, from the first byte sent to the last one received.
    pub call: Duration,
    /// The largest answer that is read.
    pub answer_bytes: usize,
}

/// A client of any server of HTTP.
pub struct HttpClient {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    bounds: Bounds,
}

/// What a server answered, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer within {:.3} s", .0.as_secs_f64())]
    Late(Duration),
    /// The answer broke off, or is larger than allowed.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

impl HttpClient {
    /// A client that believes whom `trust` says. `Err` if that cannot be known.
    pub fn new(trust: &Trust, bounds: Bounds) -> Result<HttpClient, TrustError> {
        let http = pool(trust, bounds.connect, IDLE_CONNECTIONS_MAX)?;
        Ok(HttpClient { http, bounds })
    }

    /// Sends a request and reads its answer. Dropping the future may leave the request done all the same.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, OutboundError> {
        let exchange = async { self.read(self.begin(request).await?).await };
        let timely = tokio::time::timeout(self.bounds.call, exchange).await;
        timely.unwrap_or(Err(OutboundError::Late(self.bounds.call)))
    }

    /// Sends a request whose answer may go on for ever, and gives its lines if it is a 200; the whole answer if it is not.
    pub async fn follow(&self, request: Request<Bytes>) -> Result<Result<Lines, Answer>, OutboundError> {
        let timely = tokio::time::timeout(self.bounds.call, self.begin(request)).await;
        let answer = timely.unwrap_or(Err(OutboundError::Late(self.bounds.call)))?;
        if answer.status() != StatusCode::OK {
            return Ok(Err(self.read(answer).await?));
        }
        let (begun, line_bytes_max) = (BytesMut::new(), self.bounds.answer_bytes);
        Ok(Ok(Lines { body: answer.into_body(), begun, line_bytes_max }))
    }

    async fn begin(&self, request: Request<Bytes>) -> Result<Response<Incoming>, OutboundError> {
        let answer = self.http.request(request.map(Full::new)).await;
        answer.map_err(|error| OutboundError::Unreachable(root_cause(&error)))
    }

    async fn read(&self, answer: Response<Incoming>) -> Result<Answer, OutboundError> {
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, self.bounds.answer_bytes).collect().await;
        let body = body.map_err(|error| OutboundError::Unreadable(root_cause(&*error)))?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }
}

/// An answer that is still coming.
pub struct Lines {
    body: Incoming,
    begun: BytesMut,
    line_bytes_max: usize,
}

impl Lines {
    /// The next line without its end; `None` at the end of the answer. It takes as long as the server does.
    pub async fn next(&mut self) -> Result<Option<Bytes>, OutboundError> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line = self.begun.split_to(end + 1).freeze();
                return Ok(Some(line.slice(..end)));
            }
            if self.begun.len() > self.line_bytes_max {
                return Err(OutboundError::Unreadable("a line is too long".to_owned()));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| OutboundError::Unreadable(root_cause(&error)))?;
            self.begun.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
    }
}

/// Connections of HTTP/1.1 that are kept and used again: up to `idle_max` of those that nobody uses.
pub fn pool<B>(
    trust: &Trust,
    connect: Duration,
    idle_max: usize,
) -> Result<legacy::Client<HttpsConnector<HttpConnector>, B>, TrustError>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let tls = trust.client_config()?;
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(idle_max)
        .build(connector))
}

/// The innermost reason, which tells most.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests;
