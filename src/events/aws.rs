//! What targets that speak an API of AWS share: where it is, signatures, and what its answers mean.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use strata_storage::Clock;

use super::arn::TargetArn;
use super::target::DeliveryError;
use crate::config::call_time;
use crate::credentials::{Credentials, Secret};
use crate::outbound::{Answer, Bounds, HttpClient, Signer, Trust};

/// The largest answer that is read: those of batches name each message.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of a refusal's text is kept.
const REASON_CHARS_MAX: usize = 300;
const JSON_1_0: &str = "application/x-amz-json-1.0";

/// Where an API is, and whose key signs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsSettings {
    /// `https://host[:port]`; that of AWS if it is left out.
    pub endpoint: Option<String>,
    /// The region to sign for; that of the target's ARN if it is left out.
    pub region: Option<String>,
    /// The access key id; without one, calls are not signed.
    pub access_key: Option<String>,
    /// The secret key.
    pub secret_key: Option<Secret>,
    /// The file of the authorities that sign the endpoint's certificate; those of the machine if it is left out.
    pub ca_file: Option<PathBuf>,
    /// How long one call may take.
    #[serde(default = "timeout_default", deserialize_with = "call_time")]
    pub timeout: Duration,
    /// How long connecting may take.
    #[serde(default = "connect_timeout_default", deserialize_with = "call_time")]
    pub connect_timeout: Duration,
}

/// 30 s.
pub fn timeout_default() -> Duration {
    Duration::from_secs(30)
}

/// 5 s.
pub fn connect_timeout_default() -> Duration {
    Duration::from_secs(5)
}

impl AwsSettings {
    /// The names of the settings.
    pub const NAMES: &[&str] =
        &["endpoint", "region", "access_key", "secret_key", "ca_file", "timeout", "connect_timeout"];
}

/// A client of one API.
pub struct AwsClient {
    endpoint: String,
    region: String,
    http: HttpClient,
    signer: Option<Signer>,
}

impl AwsClient {
    /// A client of the API of `service`. `Err` says what is wrong with the settings.
    pub fn open(
        settings: &AwsSettings,
        service: &'static str,
        arn: &TargetArn,
        clock: &Arc<dyn Clock>,
    ) -> Result<AwsClient, String> {
        let region = settings.region.clone().unwrap_or_else(|| arn.region().to_owned());
        let of_aws = || format!("https://{service}.{region}.amazonaws.com");
        let endpoint = settings.endpoint.clone().unwrap_or_else(of_aws);
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        check_url("endpoint", &endpoint)?;
        let credentials = match (settings.access_key.clone(), settings.secret_key.clone()) {
            (Some(access_key), Some(secret_key)) => Some(Credentials { access_key, secret_key }),
            (None, None) => None,
            _ => {
                return Err(
                    "set both access_key and secret_key (or secret_key_file, secret_key_env), or neither for an \
                            endpoint that asks for no signature"
                        .to_owned(),
                );
            }
        };
        let signer = credentials.map(|credentials| Signer {
            region: region.clone(),
            service,
            credentials,
            clock: Arc::clone(clock),
        });
        let bounds =
            Bounds { connect: settings.connect_timeout, call: settings.timeout, answer_bytes: ANSWER_BYTES_MAX };
        let http = HttpClient::new(&Trust::of_url(&endpoint, settings.ca_file.clone()), bounds);
        let http = http.map_err(|error| format!("{error}; set ca_file to the authorities of {endpoint}"))?;
        Ok(AwsClient { endpoint, region, http, signer })
    }

    /// The region that calls are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Makes a call of the JSON protocol, `target` being `Service.Operation`, and gives the answer's document.
    pub async fn call_json(&self, target: &str, document: &Value) -> Result<Value, DeliveryError> {
        let request = Request::post(format!("{}/", self.endpoint))
            .header("content-type", JSON_1_0)
            .header("x-amz-target", target)
            .body(Bytes::from(document.to_string()));
        let answer = self.send(request).await?;
        match answer.status.is_success() {
            true => serde_json::from_slice(&answer.body)
                .map_err(|_| DeliveryError::Unavailable("the answer is not JSON".to_owned())),
            false => Err(refusal(&answer)),
        }
    }

    /// Makes a call of the query protocol, and gives the answer's document.
    pub async fn call_form(&self, parameters: &[(String, String)]) -> Result<Bytes, DeliveryError> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let form = pairs.collect::<Vec<_>>().join("&");
        let request = Request::post(format!("{}/", self.endpoint))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(Bytes::from(form));
        let answer = self.send(request).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(refusal(&answer)) }
    }

    /// A URL of the API.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }

    /// Signs and sends a request. `Err` if it is not answered at all.
    pub async fn send(&self, request: http::Result<Request<Bytes>>) -> Result<Answer, DeliveryError> {
        let unsendable = |error: &dyn std::fmt::Display| DeliveryError::Rejected(format!("it cannot be sent: {error}"));
        let mut request = request.map_err(|error| unsendable(&error))?;
        if let Some(signer) = &self.signer {
            signer.sign(&mut request).map_err(|error| unsendable(&error))?;
        }
        let answer = self.http.send(request).await;
        answer.map_err(|error| DeliveryError::Unavailable(format!("{}: {error}", self.endpoint)))
    }
}

/// What an answer that is no success says of the message.
pub fn refusal(answer: &Answer) -> DeliveryError {
    let (code, message) = said(answer);
    let reason = format!("status {} {code} {message}", answer.status.as_u16());
    judge(is_unavailable(answer.status) || is_about_caller(answer.status) || is_transient(&code), &reason)
}

/// Whether a status is about the key or token that was sent. That says nothing about the message, meets all alike, and is
/// mended without them.
pub fn is_about_caller(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// A failure for that reason.
pub fn judge(is_unavailable: bool, reason: &str) -> DeliveryError {
    let reason: String = reason.trim_end().chars().take(REASON_CHARS_MAX).collect();
    if is_unavailable { DeliveryError::Unavailable(reason) } else { DeliveryError::Rejected(reason) }
}

/// Whether a status says that the same request may succeed later.
pub fn is_unavailable(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// Whether an error of that code may be over later, whatever the status it came with: the service is busy, or the function,
/// queue, topic or bus is not there yet, or not any more, which meets all messages alike.
pub fn is_transient(code: &str) -> bool {
    const PARTS: [&str; 8] = [
        "Throttl",
        "TooManyRequests",
        "SlowDown",
        "Internal",
        "ServiceUnavailable",
        "NotFound",
        "DoesNotExist",
        "NonExistentQueue",
    ];
    PARTS.iter().any(|part| code.contains(part))
}

/// Code and message of an error document: JSON, or the query protocol's XML.
fn said(answer: &Answer) -> (String, String) {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Said {
        code: String,
        #[serde(default)]
        message: String,
    }
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "Error")]
        error: Said,
    }
    let in_header = answer.headers.get("x-amzn-errortype").and_then(|code| code.to_str().ok());
    if let Ok(document) = serde_json::from_slice::<Value>(&answer.body) {
        let text = |names: [&str; 2]| names.into_iter().find_map(|name| document[name].as_str()).unwrap_or_default();
        let code = in_header.unwrap_or_else(|| text(["__type", "code"]));
        let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
        return (code.to_owned(), text(["message", "Message"]).to_owned());
    }
    let document = std::str::from_utf8(&answer.body).ok().and_then(|text| quick_xml::de::from_str(text).ok());
    match document {
        Some(Document { error: Said { code, message } }) => (code, message),
        None => (in_header.unwrap_or_default().to_owned(), String::new()),
    }
}

/// Whether a setting is a URL that requests can go to.
pub fn check_url(name: &str, url: &str) -> Result<(), String> {
    let uri: Option<Uri> = url.parse().ok();
    let is_sound = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
    });
    if is_sound { Ok(()) } else { Err(format!("{name} must be a URL such as https://host:port")) }
}
