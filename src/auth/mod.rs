//! Signature Version 4: who signed a request, for which service, and how its body is to be checked.
//!
//! The order of the checks: the form of what was sent, the credential's scope, the session token, the time, which
//! headers were signed, the signature, and the access key itself. An access key that is not known goes the same way as a
//! known one, with a secret that nobody has, and is refused at the end: how long an answer takes tells nobody which
//! keys exist.

mod canonical;
mod chunk_signer;
mod credential;
mod header;
mod key;
mod payload;
mod presigned;

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};
use strata_storage::Timestamp;

use crate::credentials::Secret;
use crate::directory::{Directory, Found, TokenFault};
use crate::error::S3Error;
use crate::identity::Identity;
use crate::request::Query;
use crate::time::{amz_date, iso8601_second};

use canonical::CanonicalRequest;
use credential::Credential;
use key::SigningKeys;

pub use chunk_signer::ChunkSigner;
pub use credential::Service;
pub use payload::PayloadAuth;

/// How far the clocks of client and server may differ.
const SKEW_MAX: Duration = Duration::from_mins(15);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const ALGORITHM_ASYMMETRIC: &str = "AWS4-ECDSA-P256-SHA256";

/// Checks signatures for one region; one per server.
pub struct Authenticator {
    region: String,
    directory: Directory,
    keys: SigningKeys,
    /// Stands in for the secrets of access keys that are not known.
    nobodys: Secret,
}

/// A request whose signature holds, or that has none.
#[derive(Debug)]
pub struct Authenticated {
    /// Who sent it.
    pub identity: Arc<Identity>,
    /// How its body is to be checked.
    pub payload: PayloadAuth,
    /// How it was signed; `None` for anonymous requests.
    pub signing: Option<Signing>,
}

/// How a request was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signing {
    /// Where the signature is.
    pub place: SigningPlace,
    /// When it was made.
    pub time: Timestamp,
}

/// Where a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningPlace {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL.
    Query,
    /// In the fields of a form.
    Form,
}

/// What is known of a body when its request's signature is checked.
#[derive(Debug, Clone, Copy)]
pub enum Sent<'a> {
    /// What the request announces in `x-amz-content-sha256`, as S3 has it.
    Announced,
    /// The whole body, which the signatures of all other services cover.
    Whole(&'a [u8]),
}

/// What a request says about its signature, parsed but not believed.
struct Claim<'a> {
    credential: Credential<'a>,
    signed_headers: &'a str,
    signature: &'a str,
    time: Timestamp,
    /// Empty if nothing was announced.
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

/// The service that a request's signature is for, before anything of it is checked; `None` if it says nothing that can
/// be understood.
pub fn claimed_service(headers: &HeaderMap, query: &Query) -> Option<Service> {
    let credential = match headers.get(http::header::AUTHORIZATION) {
        Some(value) => value.to_str().ok()?.split_once("Credential=")?.1.split([',', ' ']).next()?,
        None => query.get("X-Amz-Credential")?,
    };
    Service::parse(credential.split('/').nth(3)?)
}

impl Authenticator {
    /// Accepts requests signed for `region` with the access keys of `directory`. `nobodys` is any secret that nobody
    /// has.
    pub fn new(region: String, directory: Directory, nobodys: Secret) -> Authenticator {
        Authenticator { region, directory, keys: SigningKeys::default(), nobodys }
    }

    /// Checks who signed the request, and says how its body is to be checked. `query` is the decoded query of the
    /// same request.
    ///
    /// A request to S3 without any signature is of an anonymous caller; what that one may is not said here.
    pub fn authenticate(
        &self,
        parts: &Parts,
        query: &Query,
        sent: Sent<'_>,
        now: Timestamp,
    ) -> Result<Authenticated, S3Error> {
        let Some(claim) = self.claim(&parts.headers, query)? else { return anonymous(&parts.headers, sent) };
        let service = claim.credential.service;
        if matches!(sent, Sent::Announced) != (service == Service::S3) {
            return Err(S3Error::internal("a request was routed to another service than it was signed for"));
        }
        let access_key = claim.credential.access_key;
        let found = self.find(&parts.headers, query, access_key, now)?;
        let secret = found.as_ref().map_or(&self.nobodys, |found| &found.secret);
        let verified = self.verify(parts, query, &claim, sent, (secret, now));
        let Some(found) = found else { return Err(unknown_access_key(access_key)) };
        let payload = verified?;
        if found.identity.issued.is_none() {
            self.directory.note_key_used(access_key, service.name(), &self.region, now);
        }
        let place = match claim.validity {
            Validity::Around => SigningPlace::Header,
            Validity::For(_) => SigningPlace::Query,
        };
        let signing = Some(Signing { place, time: claim.time });
        Ok(Authenticated { identity: found.identity, payload, signing })
    }

    /// Whose access key it is. `None` if nobody's, or if that one may not use it.
    fn find(
        &self,
        headers: &HeaderMap,
        query: &Query,
        access_key: &str,
        now: Timestamp,
    ) -> Result<Option<Found>, S3Error> {
        let in_header = headers.get("x-amz-security-token").map(|value| String::from_utf8_lossy(value.as_bytes()));
        let token = in_header.as_deref().or_else(|| query.get("X-Amz-Security-Token"));
        let found = match token {
            None => self.directory.snapshot().access_key(access_key),
            Some(token) => match self.directory.session(token, access_key, now) {
                Ok(found) => Some(found),
                Err(TokenFault::Ended) => None,
                Err(TokenFault::Expired) => {
                    let message = "The provided token has expired.";
                    return Err(S3Error::new(StatusCode::BAD_REQUEST, "ExpiredToken", message).with("Token-0", token));
                }
                Err(TokenFault::Invalid) => {
                    let message = "The provided token is malformed or otherwise invalid.";
                    return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidToken", message).with("Token-0", token));
                }
            },
        };
        let is_usable =
            |found: &Found| found.active && found.identity.account.as_ref().is_some_and(|account| !account.disabled);
        Ok(found.filter(is_usable))
    }

    /// Whether the signature is the one that this secret makes at this time.
    fn verify(
        &self,
        parts: &Parts,
        query: &Query,
        claim: &Claim<'_>,
        sent: Sent<'_>,
        (secret, now): (&Secret, Timestamp),
    ) -> Result<PayloadAuth, S3Error> {
        check_time(claim, &parts.headers, now)?;
        let hash = match sent {
            Sent::Announced => None,
            Sent::Whole(body) => Some(hex::encode(Sha256::digest(body))),
        };
        let hash = hash.as_deref().unwrap_or(claim.payload_hash);
        let kind = payload::Kind::parse(hash)?;
        check_signed_headers(&parts.headers, claim.signed_headers)?;

        let credential = &claim.credential;
        let key = self.keys.key(secret, credential);
        let canonical = CanonicalRequest::new(parts, query, claim.signed_headers, hash);
        let string_to_sign = canonical.string_to_sign(&amz_date(claim.time), &credential.scope());
        if !key.verifies(&string_to_sign, claim.signature) {
            return Err(mismatch(credential.access_key, &string_to_sign, claim.signature)
                .with("CanonicalRequest", canonical.text())
                .with("CanonicalRequestBytes", spaced_hex(canonical.bytes())));
        }
        let signer = || ChunkSigner::new(key, credential, claim.time, claim.signature);
        Ok(kind.payload(signer))
    }

    /// `None` for a request without any signature.
    fn claim<'a>(&self, headers: &'a HeaderMap, query: &'a Query) -> Result<Option<Claim<'a>>, S3Error> {
        let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
        let in_query = presigned::is_presigned(query);
        let in_query_v2 = query.contains("AWSAccessKeyId") || query.contains("Signature");
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(one_mechanism_only()),
            (Some(_), None) if in_query || in_query_v2 => Err(one_mechanism_only()),
            (Some(value), None) => header::claim(value, headers, &self.region).map(Some),
            (None, _) if in_query && in_query_v2 => Err(one_mechanism_only()),
            (None, _) if in_query => presigned::claim(headers, query, &self.region).map(Some),
            (None, _) if in_query_v2 => Err(unsupported_mechanism()),
            (None, _) => Ok(None),
        }
    }
}

/// A request without a signature. A token without one is no credential either.
fn anonymous(headers: &HeaderMap, sent: Sent<'_>) -> Result<Authenticated, S3Error> {
    if matches!(sent, Sent::Whole(_)) || headers.contains_key("x-amz-security-token") {
        return Err(S3Error::access_denied("Access Denied"));
    }
    let payload = match headers.get("x-amz-content-sha256") {
        None => PayloadAuth::Unsigned,
        Some(hash) => payload::Kind::parse(hash.to_str().unwrap_or_default())?.unsigned()?,
    };
    Ok(Authenticated { identity: Arc::new(Identity::anonymous()), payload, signing: None })
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
