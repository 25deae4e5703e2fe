//! The store that is exported from or imported into: requests about one bucket, tried again when that may help.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use strata_storage::SystemClock;

use super::TOGETHER;
use crate::cli::CliError;
use crate::cli::connection::Connection;
use crate::outbound::{Answer, Signer};
use crate::replication::replica::{KNOWN, REPLICA};
use crate::replication::{RegionBody, RegionClient, RegionError, RegionRequest};
use crate::xml;

/// How often a request is tried.
const TRIES: u32 = 6;
/// How long the first pause is; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(200);

/// One bucket of a store.
pub struct Place {
    client: RegionClient,
    endpoint: String,
    bucket: String,
}

/// A request that can be sent again.
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// The key; `None` for the bucket itself.
    pub key: Option<&'a str>,
    /// Parameters.
    pub query: Vec<(&'a str, &'a str)>,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Sending it twice would make two of what it makes: it is not sent again if nobody can tell what became of it.
    pub once: bool,
}

/// A body that is sent as it comes, once.
pub struct Streamed {
    /// The bytes.
    pub body: UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>,
    /// How many there are.
    pub bytes: u64,
}

/// What a store refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// S3's code, empty in answers to HEAD.
    pub code: String,
    /// Its message.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Refusal { status, code, message } = self;
        let text = format!("{} {code} {message}", status.as_u16());
        out.write_str(text.trim_end())
    }
}

impl<'a> Ask<'a> {
    /// A request without parameters, headers and body.
    pub fn new(method: Method, key: Option<&'a str>) -> Ask<'a> {
        Ask { method, key, ..Ask::default() }
    }

    /// With a parameter.
    pub fn with(mut self, name: &'a str, value: &'a str) -> Ask<'a> {
        self.query.push((name, value));
        self
    }

    /// With a document, and its digest.
    pub fn document(mut self, document: &str) -> Ask<'a> {
        const DIGEST: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
        let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, Sha256::digest(document));
        self.headers.extend(HeaderValue::from_str(&digest).ok().map(|value| (DIGEST, value)));
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        self.body = Bytes::copy_from_slice(document.as_bytes());
        self
    }
}

impl Place {
    /// The bucket at the other end of a connection.
    pub fn new(connection: Connection, bucket: &str) -> Result<Place, CliError> {
        let Connection { endpoint, trust, region, credentials } = connection;
        let unusable = |error: &dyn std::fmt::Display| CliError::Usage(error.to_string());
        let url: http::Uri = endpoint.parse().map_err(|error: http::uri::InvalidUri| unusable(&error))?;
        let signer = Signer { region, service: "s3", credentials, clock: Arc::new(SystemClock) };
        let client = RegionClient::trusting(&trust, &url, signer, TOGETHER).map_err(|error| unusable(&error))?;
        Ok(Place { client, endpoint, bucket: bucket.to_owned() })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        self.client.signing_region()
    }

    /// Sends a request until it is answered by something else than that it be tried again.
    pub async fn ask(&self, ask: &Ask<'_>) -> Result<Result<Answer, Refusal>, CliError> {
        let mut pause = PAUSE;
        for tried in 1.. {
            match self.client.send(self.request(ask)).await {
                Ok(answer) if answer.status.is_success() => return Ok(Ok(answer)),
                Ok(answer) if !helps_to_wait(answer.status, ask.once) || tried == TRIES => {
                    return Ok(Err(refusal(answer.status, &answer.body)));
                }
                Err(error) if tried == TRIES || ask.once || matches!(error, RegionError::Invalid(_)) => {
                    return Err(self.unreachable(&error));
                }
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(CliError::NotDone("a request was not tried".to_owned()))
    }

    /// The same where a refusal ends it all.
    pub async fn need(&self, ask: &Ask<'_>, what: &str) -> Result<Answer, CliError> {
        let answer = self.ask(ask).await?;
        answer.map_err(|refusal| CliError::NotDone(format!("cannot {what} {}: {refusal}", self.bucket)))
    }

    /// Sends a request for content, and gives the head of its answer and the body that is still to be read.
    pub async fn open(&self, ask: &Ask<'_>) -> Result<Result<(http::response::Parts, Incoming), Refusal>, CliError> {
        let mut pause = PAUSE;
        for tried in 1.. {
            match self.client.request(self.request(ask)).await {
                Ok(answer) if answer.status().is_success() => return Ok(Ok(answer.into_parts())),
                Ok(answer) if !helps_to_wait(answer.status(), ask.once) || tried == TRIES => {
                    let status = answer.status();
                    let read = http_body_util::Limited::new(answer.into_body(), 64 << 10);
                    let body = http_body_util::BodyExt::collect(read).await.map(|body| body.to_bytes());
                    return Ok(Err(refusal(status, &body.unwrap_or_default())));
                }
                Err(error) if tried == TRIES => return Err(self.unreachable(&error)),
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(CliError::NotDone("a request was not tried".to_owned()))
    }

    /// Sends a request with a body that cannot be sent twice. `Ok(None)` if the body broke off by itself.
    pub async fn stream(&self, ask: &Ask<'_>, streamed: Streamed) -> Result<Option<Result<Answer, Refusal>>, CliError> {
        let Streamed { body, bytes } = streamed;
        let body = RegionBody::Stream { body, bytes, sha256: None };
        match self.client.send(RegionRequest { body, ..self.request(ask) }).await {
            Ok(answer) if answer.status.is_success() => Ok(Some(Ok(answer))),
            Ok(answer) => Ok(Some(Err(refusal(answer.status, &answer.body)))),
            Err(RegionError::Source(_)) => Ok(None),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// Whether the bucket is a Strata's; `None` if there is no such bucket.
    pub async fn is_strata(&self) -> Result<Option<bool>, CliError> {
        let mut ask = Ask::new(Method::HEAD, None);
        ask.headers.insert(REPLICA, HeaderValue::from_static(KNOWN));
        match self.ask(&ask).await? {
            Ok(answer) => Ok(Some(answer.headers.get(&REPLICA).is_some_and(|value| value == KNOWN))),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Ok(None),
            Err(refusal) => Err(CliError::NotDone(format!("cannot look at {}: {refusal}", self.bucket))),
        }
    }

    fn request<'r>(&'r self, ask: &'r Ask<'_>) -> RegionRequest<'r> {
        let Ask { method, key, query, headers, body, .. } = ask;
        RegionRequest {
            method: method.clone(),
            bucket: &self.bucket,
            key: *key,
            query,
            headers: headers.clone(),
            body: if body.is_empty() { RegionBody::Empty } else { RegionBody::Bytes(body.clone()) },
        }
    }

    fn unreachable(&self, error: &RegionError) -> CliError {
        CliError::NotDone(format!("the store at {} does not answer: {error}", self.endpoint))
    }
}

/// Whether the same request may be answered otherwise later. Only a server that is too busy says that it has done nothing.
fn helps_to_wait(status: StatusCode, once: bool) -> bool {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => true,
        StatusCode::NOT_IMPLEMENTED => false,
        status => status.is_server_error() && !once,
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        code: String,
        #[serde(default)]
        message: String,
    }
    match xml::parse::<Document>(body) {
        Ok(Document { code, message }) => Refusal { status, code, message },
        Err(_) => Refusal { status, code: String::new(), message: String::new() },
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{helps_to_wait, refusal};

    #[test]
    fn what_may_have_been_done_is_not_done_twice() {
        assert!(helps_to_wait(StatusCode::SERVICE_UNAVAILABLE, true));
        assert!(helps_to_wait(StatusCode::INTERNAL_SERVER_ERROR, false));
        assert!(!helps_to_wait(StatusCode::INTERNAL_SERVER_ERROR, true));
        assert!(!helps_to_wait(StatusCode::NOT_IMPLEMENTED, false));
        assert!(!helps_to_wait(StatusCode::FORBIDDEN, false));
    }

    #[test]
    fn refusals_are_read() {
        let body = b"<Error><Code>NoSuchKey</Code><Message>It is gone.</Message><Key>a</Key></Error>";
        assert_eq!(refusal(StatusCode::NOT_FOUND, body).to_string(), "404 NoSuchKey It is gone.");
        assert_eq!(refusal(StatusCode::FORBIDDEN, b"").to_string(), "403");
    }
}
