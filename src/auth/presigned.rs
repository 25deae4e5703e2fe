//! Signatures in the query string: presigned URLs.

use std::time::Duration;

use http::HeaderMap;

use super::credential::{Credential, Form, query_malformed};
use super::payload::UNSIGNED_PAYLOAD;
use super::{ALGORITHM, ALGORITHM_ASYMMETRIC, Claim, Validity, asymmetric_not_implemented};
use crate::error::S3Error;
use crate::request::Query;
use crate::time::parse_amz_date;

/// The parameters that every presigned URL has.
const REQUIRED: [&str; 6] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"];

/// The parameters that some have.
const OPTIONAL: [&str; 2] = ["X-Amz-Security-Token", "X-Amz-Content-Sha256"];

/// The longest life of a URL: the signing key behind it is valid for a week.
const EXPIRES_SECONDS_MAX: u64 = 604_800;

/// Whether the query claims a signature, complete or not.
pub(super) fn is_presigned(query: &Query) -> bool {
    query.0.iter().any(|(name, _)| REQUIRED.contains(&name.as_str()))
}

/// Reads what a presigned request claims.
pub(super) fn claim<'a>(headers: &'a HeaderMap, query: &'a Query, region: &str) -> Result<Claim<'a>, S3Error> {
    refuse_duplicates(query)?;
    let [algorithm, credential, signature, date, signed_headers, expires] = required(query)?;
    match algorithm {
        ALGORITHM => {}
        ALGORITHM_ASYMMETRIC => return Err(asymmetric_not_implemented("X-Amz-Algorithm")),
        _ => return Err(query_malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")),
    }
    let credential = Credential::parse(credential, Form::Query, region)?;
    let time = parse_amz_date(date)
        .ok_or_else(|| query_malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    credential.check_date(date, Form::Query)?;
    let validity = Validity::For(lifetime(expires)?);
    let payload_hash = payload_hash(headers, query)?;
    Ok(Claim { credential, signed_headers, signature, time, payload_hash, validity })
}

/// Of two values of one parameter, client and server might each mean another.
fn refuse_duplicates(query: &Query) -> Result<(), S3Error> {
    for name in REQUIRED.iter().chain(&OPTIONAL) {
        if query.0.iter().filter(|(found, _)| found == name).count() > 1 {
            return Err(query_malformed(format!("The query parameter {name} must be given only once")));
        }
    }
    Ok(())
}

fn required(query: &Query) -> Result<[&str; 6], S3Error> {
    let mut values = [""; 6];
    for (value, name) in values.iter_mut().zip(REQUIRED) {
        *value = query.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            query_malformed(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            )
        })?;
    }
    Ok(values)
}

fn lifetime(text: &str) -> Result<Duration, S3Error> {
    let negative = text.strip_prefix('-');
    let digits = negative.unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(query_malformed("X-Amz-Expires should be a number"));
    }
    if negative.is_some() {
        return Err(query_malformed("X-Amz-Expires must be non-negative"));
    }
    match digits.parse::<u64>() {
        // Unconfirmed: the words for zero, which S3 documents as below the smallest value.
        Ok(0) => Err(query_malformed("X-Amz-Expires must be at least 1 second")),
        Ok(seconds @ 1..=EXPIRES_SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err(query_malformed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
             604800 seconds",
        )),
    }
}

/// Some clients say in the query what others say in a header; without either the payload is not signed.
fn payload_hash<'a>(headers: &'a HeaderMap, query: &'a Query) -> Result<&'a str, S3Error> {
    let in_query = query.get("X-Amz-Content-Sha256");
    let in_header = headers.get("x-amz-content-sha256").map(|value| value.to_str().unwrap_or_default());
    match (in_query, in_header) {
        (Some(query), Some(header)) if query != header => Err(S3Error::invalid_argument(
            "The X-Amz-Content-Sha256 query parameter and the x-amz-content-sha256 header must be the same",
            "X-Amz-Content-Sha256",
            query,
        )),
        (Some(hash), _) | (None, Some(hash)) => Ok(hash),
        (None, None) => Ok(UNSIGNED_PAYLOAD),
    }
}
