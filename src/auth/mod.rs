//! Signature Version 4: who signed a request, and how its body is to be checked.
//!
//! The order of the checks: the form of what was sent, the credential's scope, the access key, the time, which
//! headers were signed, and the signature itself. Nothing here reads the body.

mod canonical;
mod chunk_signer;
mod credential;
mod form;
mod header;
mod key;
mod payload;
mod presigned;

use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use strata_storage::Timestamp;

use crate::credentials::Secret;
use crate::error::S3Error;
use crate::request::Query;
use crate::time::{amz_date, iso8601_second};

use canonical::CanonicalRequest;
use credential::Credential;
use key::SigningKeys;

pub use chunk_signer::ChunkSigner;
pub use form::FormSignature;
pub use payload::PayloadAuth;

/// How far the clocks of client and server may differ.
const SKEW_MAX: Duration = Duration::from_mins(15);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const ALGORITHM_ASYMMETRIC: &str = "AWS4-ECDSA-P256-SHA256";

/// Checks signatures for one region and one pair of keys; one per server.
pub struct Authenticator {
    region: String,
    access_key: String,
    secret: Secret,
    keys: SigningKeys,
}

/// What a request says about its signature, parsed but not believed.
struct Claim<'a> {
    credential: Credential<'a>,
    signed_headers: &'a str,
    signature: &'a str,
    time: Timestamp,
    payload_hash: &'a str,
    validity: Validity,
}

/// When a signature holds.
#[derive(Clone, Copy)]
enum Validity {
    /// Around its time: signed in a header.
    Around,
    /// From its time on, this long: presigned.
    For(Duration),
}

impl Authenticator {
    /// Accepts requests signed with `secret_key` for `region`.
    pub fn new(region: String, access_key: String, secret_key: Secret) -> Authenticator {
        Authenticator { region, access_key, secret: secret_key, keys: SigningKeys::default() }
    }

    /// Checks who signed the request, and says how its body is to be checked. `query` is the decoded query of the
    /// same request.
    ///
    /// Refuses what is not signed at all: there is no anonymous access.
    pub fn authenticate(&self, parts: &Parts, query: &Query, now: Timestamp) -> Result<PayloadAuth, S3Error> {
        let claim = self.claim(&parts.headers, query)?;
        let credential = &claim.credential;
        if credential.access_key != self.access_key {
            return Err(unknown_access_key(credential.access_key));
        }
        refuse_session_token(&parts.headers, query)?;
        check_time(&claim, &parts.headers, now)?;
        let kind = payload::Kind::parse(claim.payload_hash)?;
        check_signed_headers(&parts.headers, claim.signed_headers)?;

        let key = self.keys.key(&self.secret, credential);
        let canonical = CanonicalRequest::new(parts, query, claim.signed_headers, claim.payload_hash);
        let string_to_sign = canonical.string_to_sign(&amz_date(claim.time), &credential.scope());
        if !key.verifies(&string_to_sign, claim.signature) {
            return Err(mismatch(credential.access_key, &string_to_sign, claim.signature)
                .with("CanonicalRequest", canonical.text())
                .with("CanonicalRequestBytes", spaced_hex(canonical.bytes())));
        }
        let signer = || ChunkSigner::new(key, credential, claim.time, claim.signature);
        Ok(kind.payload(signer))
    }

    fn claim<'a>(&self, headers: &'a HeaderMap, query: &'a Query) -> Result<Claim<'a>, S3Error> {
        let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
        let in_query = presigned::is_presigned(query);
        let in_query_v2 = query.contains("AWSAccessKeyId") || query.contains("Signature");
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(one_mechanism_only()),
            (Some(_), None) if in_query || in_query_v2 => Err(one_mechanism_only()),
            (Some(value), None) => header::claim(value, headers, &self.region),
            (None, _) if in_query && in_query_v2 => Err(one_mechanism_only()),
            (None, _) if in_query => presigned::claim(headers, query, &self.region),
            (None, _) if in_query_v2 => Err(unsupported_mechanism()),
            (None, _) => Err(S3Error::access_denied("Access Denied")),
        }
    }
}

/// Temporary credentials are not issued by this server, so no token can be valid.
fn refuse_session_token(headers: &HeaderMap, query: &Query) -> Result<(), S3Error> {
    let sent = headers.get("x-amz-security-token").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match sent.or_else(|| query.get("X-Amz-Security-Token").map(str::to_owned)) {
        None => Ok(()),
        Some(token) => Err(S3Error::new(
            StatusCode::BAD_REQUEST,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        )
        .with("Token-0", token)),
    }
}

fn check_time(claim: &Claim<'_>, headers: &HeaderMap, now: Timestamp) -> Result<(), S3Error> {
    match claim.validity {
        Validity::Around => {
            if now.since(claim.time).max(claim.time.since(now)) <= SKEW_MAX {
                return Ok(());
            }
            Err(S3Error::new(
                StatusCode::FORBIDDEN,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            )
            .with("RequestTime", header::request_time(headers))
            .with("ServerTime", iso8601_second(now))
            .with("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string()))
        }
        Validity::For(span) => {
            let end = claim.time.plus(span);
            if claim.time.since(now) > SKEW_MAX {
                // Unconfirmed: the fields; the code and message are those that users quote.
                return Err(S3Error::access_denied("Request is not valid yet")
                    .with("X-Amz-Date", amz_date(claim.time))
                    .with("ServerTime", iso8601_second(now)));
            }
            if now > end {
                return Err(S3Error::access_denied("Request has expired")
                    .with("X-Amz-Expires", span.as_secs().to_string())
                    .with("Expires", iso8601_second(end))
                    .with("ServerTime", iso8601_second(now)));
            }
            Ok(())
        }
    }
}

/// `host` and every `x-amz-*` header sent must be covered by the signature, or somebody on the way could have added
/// it. `Content-Type` is not demanded: S3 names it among the signed headers, yet clients leave it out.
fn check_signed_headers(headers: &HeaderMap, signed: &str) -> Result<(), S3Error> {
    let is_signed = |name: &str| signed.split(';').any(|listed| listed.eq_ignore_ascii_case(name));
    let amz = headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    let missing: Vec<&str> = ["host"].into_iter().chain(amz).filter(|name| !is_signed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(S3Error::access_denied("There were headers present in the request which were not signed")
        .with("HeadersNotSigned", missing.join(", ")))
}

fn unknown_access_key(access_key: &str) -> S3Error {
    S3Error::new(
        StatusCode::FORBIDDEN,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    )
    .with("AWSAccessKeyId", access_key)
}

fn mismatch(access_key: &str, string_to_sign: &str, provided: &str) -> S3Error {
    S3Error::new(
        StatusCode::FORBIDDEN,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing \
         method.",
    )
    .with("AWSAccessKeyId", access_key)
    .with("StringToSign", string_to_sign)
    .with("SignatureProvided", provided)
    .with("StringToSignBytes", spaced_hex(string_to_sign.as_bytes()))
}

/// `41 57 53 34`: bytes as S3 shows them to those who debug their signature.
fn spaced_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(&hex::encode([*byte]));
    }
    text
}

fn one_mechanism_only() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter \
         or the Authorization header should be specified",
    )
}

fn unsupported_mechanism() -> S3Error {
    S3Error::invalid_request(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

/// Signatures with elliptic curves serve multi-region access points, which this server has none of.
fn asymmetric_not_implemented(place: &'static str) -> S3Error {
    S3Error::not_implemented("AWS4-ECDSA-P256-SHA256 signatures are not implemented. Please use AWS4-HMAC-SHA256.")
        .with("Header", place)
}

#[cfg(test)]
mod tests;
