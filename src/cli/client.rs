//! Signed requests to the admin API.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use strata_storage::SystemClock;

use crate::admin::ADMIN_PATH;
use crate::cli::CliError;
use crate::cli::connection::Connection;
use crate::outbound::{Bounds, HttpClient, OutboundError, Signer};

/// How long it may take to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take. Pages of a preview wait for their share of background work.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(600);
/// The largest answer that is read, so that no server fills the memory. The largest page of a preview is some 40 MB.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Asks one server.
pub struct Client {
    http: HttpClient,
    signer: Signer,
    endpoint: String,
}

/// One question.
pub struct Question<'a> {
    /// The method.
    pub method: Method,
    /// The topic, with its query.
    pub target: String,
    /// The body.
    pub body: &'a [u8],
}

impl Client {
    /// For that server. `Err` if its certificate could not be told from another.
    pub fn new(connection: Connection) -> Result<Client, CliError> {
        let Connection { endpoint, trust, region, credentials } = connection;
        let bounds = Bounds { connect: CONNECT_TIME_MAX, call: ANSWER_TIME_MAX, answer_bytes: ANSWER_BYTES_MAX };
        let http = HttpClient::new(&trust, bounds).map_err(|error| CliError::Usage(error.to_string()))?;
        let signer = Signer { region, service: "s3", credentials, clock: Arc::new(SystemClock) };
        Ok(Client { http, signer, endpoint })
    }

    /// Gets a topic.
    pub async fn get(&self, target: &str) -> Result<Bytes, CliError> {
        self.ask(Question { method: Method::GET, target: target.to_owned(), body: &[] }).await
    }

    /// Asks, and gives the body of a 200.
    pub async fn ask(&self, question: Question<'_>) -> Result<Bytes, CliError> {
        let answer = self.http.send(self.signed(question)?).await.map_err(|error| self.unreachable(&error))?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        Err(self.refusal(&answer.body, &answer.headers))
    }

    /// Gets a topic whose answer goes on, and gives each of its lines to `take` as it comes.
    pub async fn follow(
        &self,
        target: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let question = Question { method: Method::GET, target: target.to_owned(), body: &[] };
        let answer = self.http.follow(self.signed(question)?).await.map_err(|error| self.unreachable(&error))?;
        let mut lines = answer.map_err(|answer| self.refusal(&answer.body, &answer.headers))?;
        let lost = |error: OutboundError| CliError::Lost { endpoint: self.endpoint.clone(), reason: error.to_string() };
        while let Some(line) = lines.next().await.map_err(lost)? {
            take(&line)?;
        }
        Ok(())
    }

    fn signed(&self, question: Question<'_>) -> Result<Request<Bytes>, CliError> {
        let unusable = |reason: String| CliError::Usage(format!("the request cannot be made: {reason}"));
        let mut request = Request::builder()
            .method(question.method)
            .uri(format!("{}{ADMIN_PATH}{}", self.endpoint, question.target))
            .body(Bytes::copy_from_slice(question.body))
            .map_err(|error| unusable(error.to_string()))?;
        self.signer.sign(&mut request).map_err(|error| unusable(error.to_string()))?;
        Ok(request)
    }

    fn unreachable(&self, error: &OutboundError) -> CliError {
        CliError::Unreachable { endpoint: self.endpoint.clone(), reason: error.to_string() }
    }

    /// What an error document says.
    fn refusal(&self, body: &[u8], headers: &HeaderMap) -> CliError {
        let endpoint = self.endpoint.clone();
        let is_ours = headers.get("server").is_some_and(|server| server == "Strata");
        let document = std::str::from_utf8(body).ok().and_then(|text| quick_xml::de::from_str(text).ok());
        match document {
            Some(ErrorDocument { code, .. })
                if ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"].contains(&code.as_str()) =>
            {
                CliError::Forbidden { endpoint, code }
            }
            Some(ErrorDocument { code, message }) if is_ours => CliError::Refused { code, message },
            _ => CliError::Answer(endpoint),
        }
    }
}

/// The part of an error document that people read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorDocument {
    code: String,
    message: String,
}

/// Reads an answer.
pub fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, CliError> {
    serde_json::from_slice(answer).map_err(|error| CliError::Answer(format!("the server ({error})")))
}
