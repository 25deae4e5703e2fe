//! Log lines: where they go, and the one line that each request leaves.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use strata_storage::ObjectKey;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogSettings};

/// Writes the process's log to standard error from now on. Only the first call counts.
pub fn start(settings: &LogSettings) {
    let builder = tracing_subscriber::fmt()
        // Changes are recorded at any level, unless a directive names the audit log itself.
        .with_env_filter(EnvFilter::new(format!("strata::audit=info,{}", settings.level)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Embedding programs may have a log of their own already, which then wins.
    let _first = match settings.format {
        LogFormat::Text => builder.finish().with(filter_fn(is_ours)).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().with(filter_fn(is_ours)).try_init(),
    };
}

/// Whether a line may be in the log at any level. Clients of message brokers write passwords at the level trace, and what
/// matters of the rest comes back to us as errors.
fn is_ours(line: &Metadata<'_>) -> bool {
    let clients = ["async_nats", "lapin", "redis", "rskafka"];
    let name = line.target().split("::").next().unwrap_or_default();
    !clients.contains(&name)
}

/// The line of one request. It is written when it is dropped: once the answer was sent, or given up.
///
/// It names no header and no query parameter, so neither keys nor signatures can get into the log.
pub struct RequestLine {
    /// The request's id.
    pub request_id: String,
    /// The address of the connection.
    pub remote: SocketAddr,
    /// The client's address, which a proxy may have told.
    pub source: IpAddr,
    /// The HTTP method.
    pub method: http::Method,
    /// S3's name of the operation; empty if none was recognized.
    pub operation: &'static str,
    /// The bucket; empty if there is none.
    pub bucket: String,
    /// The object key.
    pub key: Option<ObjectKey>,
    /// The answer's status; 0 if the client left before there was one.
    pub status: u16,
    /// S3's error code; empty for success.
    pub code: &'static str,
    /// Bytes of the request body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were handed to the connection.
    pub bytes_out: u64,
    /// Whether the whole answer was handed to the connection.
    pub complete: bool,
    begun: Instant,
    every_request: bool,
}

impl RequestLine {
    /// A line to be filled in, or `None` if nobody would see it.
    pub fn begin(
        every_request: bool,
        request_id: &str,
        remote: SocketAddr,
        method: &http::Method,
    ) -> Option<Box<RequestLine>> {
        let wanted = match every_request {
            true => tracing::enabled!(target: "strata::request", Level::INFO),
            false => tracing::enabled!(target: "strata::request", Level::DEBUG),
        };
        wanted.then(|| {
            Box::new(RequestLine {
                request_id: request_id.to_owned(),
                remote,
                source: remote.ip(),
                method: method.clone(),
                operation: "",
                bucket: String::new(),
                key: None,
                status: 0,
                code: "",
                bytes_in: 0,
                bytes_out: 0,
                complete: false,
                begun: Instant::now(),
                every_request,
            })
        })
    }
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "strata::request",
                    $level,
                    request_id = self.request_id,
                    remote = %self.remote,
                    source = %self.source,
                    method = %self.method,
                    operation = self.operation,
                    bucket = self.bucket,
                    key = self.key.as_ref().map_or("", ObjectKey::as_str),
                    status = self.status,
                    code = self.code,
                    bytes_in = self.bytes_in,
                    bytes_out = self.bytes_out,
                    complete = self.complete,
                    duration_ms = self.begun.elapsed().as_secs_f64() * 1e3,
                )
            };
        }
        match self.every_request {
            true => line!(Level::INFO),
            false => line!(Level::DEBUG),
        }
    }
}
