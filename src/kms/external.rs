//! Another key management service that speaks KMS's API: AWS itself, or one of those compatible with it.
//!
//! Calls are signed with the credentials of the configuration, bounded in time and size, and tried once more where the
//! service says that it is busy. What it answers is not logged.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use strata_storage::Clock;
use zeroize::Zeroizing;

use super::context::EncryptionContext;
use super::error::KmsError;
use super::store::DataKeyPair;
use crate::credentials::Credentials;

/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 << 10;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A client of the service.
pub struct External {
    endpoint: String,
    region: String,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl External {
    /// Calls the service at `endpoint` (`https://host[:port]`). `Err` tells why there can be no secure connections.
    pub fn new(
        endpoint: String,
        region: String,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
    ) -> Result<External, std::io::Error> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(External { endpoint, region, credentials, clock, client })
    }

    /// The region that calls are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The ARN of the key of that name. The service decides what names mean; an ARN stands for itself.
    pub async fn arn(&self, name: &str) -> Result<String, KmsError> {
        if name.starts_with("arn:") && name.contains(":key/") {
            return Ok(name.to_owned());
        }
        let answer = self.call("DescribeKey", &json!({"KeyId": name})).await?;
        text(&answer["KeyMetadata"]["Arn"])
    }

    /// A data key of 32 bytes.
    pub async fn generate(&self, arn: &str, context: &EncryptionContext) -> Result<DataKeyPair, KmsError> {
        let asked = json!({"KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": context});
        let answer = self.call("GenerateDataKey", &asked).await?;
        let plain = Zeroizing::new(decode(&answer["Plaintext"])?);
        Ok(DataKeyPair { plain, wrapped: decode(&answer["CiphertextBlob"])? })
    }

    /// What the key encrypted.
    pub async fn decrypt(
        &self,
        arn: &str,
        context: &EncryptionContext,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let asked = json!({"KeyId": arn, "CiphertextBlob": STANDARD.encode(ciphertext), "EncryptionContext": context});
        let answer = self.call("Decrypt", &asked).await?;
        Ok(Zeroizing::new(decode(&answer["Plaintext"])?))
    }

    async fn call(&self, operation: &str, asked: &Value) -> Result<Value, KmsError> {
        let body = Bytes::from(asked.to_string());
        let mut outcome = self.call_once(operation, body.clone()).await;
        if matches!(&outcome, Err(error) if is_transient(error)) {
            outcome = self.call_once(operation, body).await;
        }
        outcome
    }

    async fn call_once(&self, operation: &str, body: Bytes) -> Result<Value, KmsError> {
        let request = self.signed(operation, body)?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(unreachable)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(unreachable)?;
            Ok::<_, KmsError>((status, body.to_bytes()))
        };
        let timely = tokio::time::timeout(CALL_MAX, exchange).await;
        let (status, body) = timely.map_err(|_| unreachable("no answer within 5 s"))??;
        let document: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status == StatusCode::OK {
            return Ok(document);
        }
        let code = document["__type"].as_str().unwrap_or("KMSInternalException");
        let code = code.rsplit('#').next().unwrap_or(code).to_owned();
        let message = document["message"].as_str().or(document["Message"].as_str()).unwrap_or_default().to_owned();
        Err(KmsError { code: code.into(), message })
    }

    fn signed(&self, operation: &str, body: Bytes) -> Result<Request<Full<Bytes>>, KmsError> {
        let target = format!("TrentService.{operation}");
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", target.as_str())];
        let Credentials { access_key, secret_key } = &self.credentials;
        let identity = SigningCredentials::new(access_key, secret_key.expose(), None, None, "configuration").into();
        let now = UNIX_EPOCH + Duration::from_nanos(self.clock.now().as_nanos());
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("kms")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(KmsError::internal)?;
        let uri = format!("{}/", self.endpoint.trim_end_matches('/'));
        let signable = SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(&body))
            .map_err(KmsError::internal)?;
        let (instructions, _) = sign(signable, &parameters.into()).map_err(KmsError::internal)?.into_parts();
        let mut request = Request::post(&uri).body(Full::new(body)).map_err(KmsError::internal)?;
        for (name, value) in headers {
            request.headers_mut().insert(name, value.parse().map_err(KmsError::internal)?);
        }
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

fn is_transient(error: &KmsError) -> bool {
    matches!(
        error.code.as_ref(),
        "ThrottlingException" | "DependencyTimeoutException" | "KMSInternalException" | "ServiceUnavailable"
    )
}

fn unreachable(reason: impl std::fmt::Display) -> KmsError {
    tracing::warn!(%reason, "the key management service cannot be reached");
    KmsError::new("DependencyTimeoutException", "The key management service cannot be reached.")
}

fn text(value: &Value) -> Result<String, KmsError> {
    value.as_str().map(str::to_owned).ok_or_else(|| KmsError::internal("the service's answer lacks an element"))
}

fn decode(value: &Value) -> Result<Vec<u8>, KmsError> {
    STANDARD.decode(text(value)?).map_err(|_| KmsError::internal("the service's answer is not base64"))
}
