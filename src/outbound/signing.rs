//! Signature V4 of requests that this program sends.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request};
use strata_storage::Clock;

use crate::credentials::Credentials;

/// Signs requests to one service.
pub struct Signer {
    /// The region to sign for.
    pub region: String,
    /// The service's name in signatures.
    pub service: &'static str,
    /// Whose key signs.
    pub credentials: Credentials,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// A request that cannot be signed, because it is no valid one.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub struct SigningFault(String);

impl Signer {
    /// Adds the signature over method, URL, all headers and the whole body. Nothing may be changed afterwards.
    pub fn sign(&self, request: &mut Request<Bytes>) -> Result<(), SigningFault> {
        let body = request.body().clone();
        self.sign_as(request, SignableBody::Bytes(&body))
    }

    /// The same where only the hash of the body is known, in hex, or nothing at all: then the body is not signed.
    pub fn sign_head<B>(&self, request: &mut Request<B>, sha256: Option<&str>) -> Result<(), SigningFault> {
        let body = match sha256 {
            Some(hash) => SignableBody::Precomputed(hash.to_owned()),
            None => SignableBody::UnsignedPayload,
        };
        self.sign_as(request, body)
    }

    fn sign_as<B>(&self, request: &mut Request<B>, body: SignableBody<'_>) -> Result<(), SigningFault> {
        let fault = |error: &dyn std::fmt::Display| SigningFault(error.to_string());
        // Said here, so that what is signed is what is sent.
        let authority = request.uri().authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority).map_err(|error| fault(&error))?;
        request.headers_mut().insert(HOST, host);
        let Credentials { access_key, secret_key } = &self.credentials;
        let identity = SigningCredentials::new(access_key, secret_key.expose(), None, None, "configuration").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_nanos(self.clock.now().as_nanos()))
            .settings(self.settings())
            .build()
            .map_err(|error| fault(&error))?
            .into();
        // Metadata may be any UTF-8.
        let headers: Result<Vec<(&str, &str)>, _> = request
            .headers()
            .iter()
            .map(|(name, value)| Ok((name.as_str(), std::str::from_utf8(value.as_bytes())?)))
            .collect();
        let headers = headers.map_err(|error: std::str::Utf8Error| fault(&error))?;
        let uri = request.uri().to_string();
        let signable = SignableRequest::new(request.method().as_str(), &uri, headers.into_iter(), body)
            .map_err(|error| fault(&error))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| fault(&error))?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }

    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            // S3 differs from other services in its path: it is encoded once and never normalized.
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        settings
    }
}
