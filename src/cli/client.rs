//! Signed requests to the admin API.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use strata_storage::{Clock as _, SystemClock};

use crate::admin::ADMIN_PATH;
use crate::cli::CliError;
use crate::cli::connection::Connection;

/// How long it may take to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take. Pages of a preview wait for their share of background work.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(600);
/// The largest answer that is read, so that no server fills the memory. The largest page of a preview is some 40 MB.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Asks one server.
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    connection: Connection,
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
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIME_MAX));
        connector.enforce_http(false);
        let tls = connection.trust.client_config()?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        Ok(Client { http: legacy::Client::builder(TokioExecutor::new()).build(connector), connection })
    }

    /// Gets a topic.
    pub async fn get(&self, target: &str) -> Result<Bytes, CliError> {
        self.ask(Question { method: Method::GET, target: target.to_owned(), body: &[] }).await
    }

    /// Asks, and gives the body of a 200.
    pub async fn ask(&self, question: Question<'_>) -> Result<Bytes, CliError> {
        let endpoint = &self.connection.endpoint;
        tokio::time::timeout(ANSWER_TIME_MAX, self.answer(question)).await.unwrap_or_else(|_| {
            let reason = format!("no answer within {} s", ANSWER_TIME_MAX.as_secs());
            Err(CliError::Unreachable { endpoint: endpoint.clone(), reason })
        })
    }

    async fn answer(&self, question: Question<'_>) -> Result<Bytes, CliError> {
        let Connection { endpoint, .. } = &self.connection;
        let request = self.signed(&question)?;
        let unreachable = |reason: String| CliError::Unreachable { endpoint: endpoint.clone(), reason };
        let answer = self.http.request(request).await.map_err(|error| unreachable(root_cause(&error)))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| unreachable(error.to_string()))?
            .to_bytes();
        if parts.status == StatusCode::OK {
            return Ok(body);
        }
        Err(self.refusal(&body, &parts.headers))
    }

    fn signed(&self, question: &Question<'_>) -> Result<http::Request<Full<Bytes>>, CliError> {
        let Connection { endpoint, region, credentials, .. } = &self.connection;
        let unusable = |reason: String| CliError::Usage(format!("the request cannot be signed: {reason}"));
        let uri = format!("{endpoint}{ADMIN_PATH}{}", question.target);
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let secret_key = credentials.secret_key.expose();
        let identity = Credentials::new(&credentials.access_key, secret_key, None, None, "strata").into();
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(SystemClock.now().as_nanos());
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(time)
            .settings(settings)
            .build()
            .map_err(|error| unusable(error.to_string()))?
            .into();
        let host = endpoint.trim_start_matches("https://").trim_start_matches("http://");
        let headers = [("host", host)].into_iter();
        let body = SignableBody::Bytes(question.body);
        let signable = SignableRequest::new(question.method.as_str(), &uri, headers, body)
            .map_err(|error| unusable(error.to_string()))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| unusable(error.to_string()))?.into_parts();
        let mut request = http::Request::builder()
            .method(question.method.clone())
            .uri(&uri)
            .header("host", host)
            .body(Full::new(Bytes::copy_from_slice(question.body)))
            .map_err(|error| unusable(error.to_string()))?;
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unusable(error.to_string()))?;
            let value = HeaderValue::from_str(value).map_err(|error| unusable(error.to_string()))?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    /// What an error document says.
    fn refusal(&self, body: &[u8], headers: &HeaderMap) -> CliError {
        let endpoint = self.connection.endpoint.clone();
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

/// The innermost reason, which tells most.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
