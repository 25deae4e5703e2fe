//! Another key management service that speaks KMS's API: AWS itself, or one of those compatible with it.
//!
//! Calls are signed with the credentials of the configuration, bounded in time and size, and tried once more where the
//! service says that it is busy. What it answers is not logged.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use strata_storage::Clock;
use zeroize::Zeroizing;

use super::context::EncryptionContext;
use super::error::KmsError;
use super::store::DataKeyPair;
use crate::credentials::Credentials;
use crate::outbound::{Bounds, HttpClient, Signer, Trust, TrustError};

/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 << 10;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A client of the service.
pub struct External {
    url: String,
    signer: Signer,
    client: HttpClient,
}

impl External {
    /// Calls the service at `endpoint` (`https://host[:port]`). `Err` tells why there can be no secure connections.
    pub fn new(
        endpoint: &str,
        region: String,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
    ) -> Result<External, TrustError> {
        let bounds = Bounds { connect: CALL_MAX, call: CALL_MAX, answer_bytes: ANSWER_BYTES_MAX };
        let client = HttpClient::new(&Trust::of_url(endpoint, None), bounds)?;
        let signer = Signer { region, service: "kms", credentials, clock };
        Ok(External { url: format!("{}/", endpoint.trim_end_matches('/')), signer, client })
    }

    /// The region that calls are signed for.
    pub fn region(&self) -> &str {
        &self.signer.region
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
        let mut request = Request::post(&self.url)
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", format!("TrentService.{operation}"))
            .body(body)
            .map_err(KmsError::internal)?;
        self.signer.sign(&mut request).map_err(KmsError::internal)?;
        let answer = self.client.send(request).await.map_err(unreachable)?;
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if answer.status == StatusCode::OK {
            return Ok(document);
        }
        let code = document["__type"].as_str().unwrap_or("KMSInternalException");
        let code = code.rsplit('#').next().unwrap_or(code).to_owned();
        let message = document["message"].as_str().or(document["Message"].as_str()).unwrap_or_default().to_owned();
        Err(KmsError { code: code.into(), message })
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
