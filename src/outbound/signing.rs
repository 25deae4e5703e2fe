//! Signature V4 of requests that this program sends.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
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
        let headers: Result<Vec<(&str, &str)>, _> =
            request.headers().iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?))).collect();
        let headers = headers.map_err(|error: http::header::ToStrError| fault(&error))?;
        let uri = request.uri().to_string();
        let body = SignableBody::Bytes(request.body());
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
        }
        settings
    }
}
