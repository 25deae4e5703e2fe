//! Webhooks: messages are posted to a URL, signed with a secret that the receiver shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use serde::Deserialize;
use strata_storage::Clock;

use super::aws::{ANSWER_BYTES_MAX, check_url, connect_timeout_default, is_about_caller, is_unavailable, judge};
use super::concurrency::Concurrency;
use super::order::deliver_each;
use super::target::{Deliveries, DeliveryError, Message, Target};
use crate::config::{EventFormat, call_time};
use crate::credentials::Secret;
use crate::outbound::{Answer, Bounds, HttpClient, Trust};

/// The header that proves who sent a message, and when: `t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`.
const SIGNATURE: &str = "x-strata-signature";
/// The header that is the same at every attempt to deliver a message.
const MESSAGE_ID: &str = "x-strata-message-id";
const USER_AGENT: &str = concat!("Strata/", env!("CARGO_PKG_VERSION"));

/// The settings of a webhook.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where messages are posted to.
    pub url: String,
    /// What goes into `Authorization`: as it is if it holds a space, else as a bearer's token.
    pub token: Option<Secret>,
    /// What messages are signed with.
    pub secret: Option<Secret>,
    /// The file of the authorities that sign the server's certificate; those of the machine if it is left out.
    pub ca_file: Option<PathBuf>,
    /// How long one call may take.
    #[serde(default = "timeout_default", deserialize_with = "call_time")]
    pub timeout: Duration,
    /// How long connecting may take.
    #[serde(default = "connect_timeout_default", deserialize_with = "call_time")]
    pub connect_timeout: Duration,
    /// How many calls are made at once.
    #[serde(default)]
    pub concurrency: Concurrency,
}

fn timeout_default() -> Duration {
    Duration::from_secs(10)
}

/// A URL that messages are posted to.
pub struct Webhook {
    url: String,
    authorization: Option<HeaderValue>,
    key: Option<hmac::Key>,
    content_type: &'static str,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    concurrency: usize,
}

impl Webhook {
    /// The webhook that the settings name. `Err` says what is wrong with them.
    pub fn open(settings: &WebhookSettings, format: EventFormat, clock: &Arc<dyn Clock>) -> Result<Webhook, String> {
        check_url("url", &settings.url)?;
        let authorization = |token: &Secret| {
            let value = match token.expose().contains(' ') {
                true => HeaderValue::from_str(token.expose()),
                false => HeaderValue::from_str(&format!("Bearer {}", token.expose())),
            };
            let mut value = value.map_err(|_| "token must be a text that can stand in a header, without line ends")?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        let bounds =
            Bounds { connect: settings.connect_timeout, call: settings.timeout, answer_bytes: ANSWER_BYTES_MAX };
        let http = HttpClient::new(&Trust::of_url(&settings.url, settings.ca_file.clone()), bounds);
        Ok(Webhook {
            url: settings.url.clone(),
            authorization: settings.token.as_ref().map(authorization).transpose()?,
            key: settings.secret.as_ref().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())),
            content_type: match format {
                EventFormat::CloudEvents => "application/cloudevents+json; charset=utf-8",
                EventFormat::S3 | EventFormat::EventBridge => "application/json",
            },
            http: http.map_err(|error| format!("{error}; set ca_file to the authorities of the URL"))?,
            clock: Arc::clone(clock),
            concurrency: settings.concurrency.get(),
        })
    }

    async fn post(&self, message: &Message) -> Result<(), DeliveryError> {
        let mut request = self.request(Method::POST, message.body.clone())?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let id = HeaderValue::from_str(&message.id).map_err(|error| DeliveryError::Rejected(error.to_string()))?;
        headers.insert(MESSAGE_ID, id);
        if let Some(signature) = self.signature(&message.body) {
            headers.insert(SIGNATURE, signature);
        }
        judged(&self.send(request).await?)
    }

    /// The header over a body at this moment.
    fn signature(&self, body: &[u8]) -> Option<HeaderValue> {
        let time = self.clock.now().as_secs();
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        context.update(format!("{time}.").as_bytes());
        context.update(body);
        let header = format!("t={time},v1={}", hex::encode(context.sign()));
        HeaderValue::from_str(&header).ok()
    }

    fn request(&self, method: Method, body: Bytes) -> Result<Request<Bytes>, DeliveryError> {
        let request = Request::builder().method(method).uri(&self.url).header("user-agent", USER_AGENT).body(body);
        let mut request = request.map_err(|error| DeliveryError::Rejected(format!("it cannot be sent: {error}")))?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Answer, DeliveryError> {
        self.http.send(request).await.map_err(|error| DeliveryError::Unavailable(error.to_string()))
    }
}

/// What an answer says of the message.
fn judged(answer: &Answer) -> Result<(), DeliveryError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let reason = format!("status {}: redirects are not followed; set url to where they lead", status.as_u16());
        return Err(DeliveryError::Rejected(reason));
    }
    let later = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let later = later.map(|later| format!(", retry after {later}")).unwrap_or_default();
    Err(judge(is_unavailable(status) || is_about_caller(status), &format!("status {}{later}", status.as_u16())))
}

impl Target for Webhook {
    fn batch_max(&self) -> usize {
        self.concurrency
    }

    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries> {
        Box::pin(deliver_each(messages, self.concurrency, |message| self.post(message)))
    }

    /// Any answer will do that does not say "later": receivers need not know HEAD.
    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move {
            let status = self.send(self.request(Method::HEAD, Bytes::new())?).await?.status;
            // Whoever does not know HEAD may say so with 501.
            let is_there = !is_unavailable(status) || status == StatusCode::NOT_IMPLEMENTED;
            if is_there { Ok(()) } else { Err(judge(true, &format!("status {}", status.as_u16()))) }
        })
    }
}
