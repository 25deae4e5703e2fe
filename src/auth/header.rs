//! Signatures in the `Authorization` header, with the time and payload hash in headers of their own.

use http::{HeaderMap, HeaderValue};

use super::credential::{Credential, Form, Service, header_malformed};
use super::{ALGORITHM, ALGORITHM_ASYMMETRIC, Claim, Validity, asymmetric_not_implemented, unsupported_mechanism};
use crate::error::S3Error;
use crate::time::{amz_date, parse_amz_date, parse_http_date};

/// Reads what a request with an `Authorization` header claims.
pub(super) fn claim<'a>(
    authorization: &'a HeaderValue,
    headers: &'a HeaderMap,
    region: &str,
) -> Result<Claim<'a>, S3Error> {
    let text = text_of(authorization)?;
    let components = Components::parse(text)?;
    let credential = Credential::parse(components.credential, Form::Header, region)?;
    let time = sent_time(headers)
        .and_then(|text| parse_amz_date(text).or_else(|| parse_http_date(text)))
        .ok_or_else(|| S3Error::access_denied("AWS authentication requires a valid Date or x-amz-date header"))?;
    credential.check_date(&amz_date(time), Form::Header)?;
    let payload_hash = headers.get("x-amz-content-sha256").map(|hash| hash.to_str().unwrap_or_default());
    // The other services hash the body that they receive.
    if payload_hash.is_none() && credential.service == Service::S3 {
        return Err(S3Error::invalid_request("Missing required header for this request: x-amz-content-sha256"));
    }
    Ok(Claim {
        credential,
        signed_headers: components.signed_headers,
        signature: components.signature,
        time,
        payload_hash: payload_hash.unwrap_or_default(),
        validity: Validity::Around,
    })
}

/// The time of the request as its client wrote it.
pub(super) fn request_time(headers: &HeaderMap) -> String {
    sent_time(headers).unwrap_or_default().to_owned()
}

/// `x-amz-date` wins over `Date`, which libraries fill in by themselves; it has only one form.
fn sent_time(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("x-amz-date").iter();
    match (values.next(), values.next()) {
        (None, _) => headers.get(http::header::DATE)?.to_str().ok(),
        (Some(value), None) => value.to_str().ok().filter(|text| parse_amz_date(text).is_some()),
        (Some(_), Some(_)) => None,
    }
}

fn text_of(authorization: &HeaderValue) -> Result<&str, S3Error> {
    authorization.to_str().map_err(|_| header_malformed("the header must be ASCII."))
}

struct Components<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Components<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=.., SignedHeaders=.., Signature=..`, in any order, spaces optional.
    fn parse(text: &'a str) -> Result<Components<'a>, S3Error> {
        let Some((algorithm, rest)) = text.trim().split_once(' ') else {
            return Err(S3Error::invalid_argument(
                "Authorization header is invalid -- one and only one ' ' (space) required",
                "Authorization",
                text,
            ));
        };
        match algorithm {
            ALGORITHM => {}
            ALGORITHM_ASYMMETRIC => return Err(asymmetric_not_implemented("Authorization")),
            "AWS" => return Err(unsupported_mechanism()),
            _ => return Err(S3Error::invalid_argument("Unsupported Authorization Type", "Authorization", text)),
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for component in rest.split(',').map(str::trim) {
            let malformed = || header_malformed(&format!("the authorization component \"{component}\" is malformed."));
            let (name, value) = component.split_once('=').ok_or_else(malformed)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(malformed()),
            };
            if place.replace(value).is_some() {
                return Err(malformed());
            }
        }
        match (credential, signed_headers, signature) {
            (Some(credential), Some(signed_headers), Some(signature)) => {
                Ok(Components { credential, signed_headers, signature })
            }
            _ => Err(header_malformed(
                "the authorization header requires three components: Credential, SignedHeaders, and Signature.",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Components;

    #[test]
    fn well_formed() {
        for text in [
            "AWS4-HMAC-SHA256 Credential=c, SignedHeaders=a;b, Signature=s",
            "AWS4-HMAC-SHA256 Credential=c,SignedHeaders=a;b,Signature=s",
            "AWS4-HMAC-SHA256  Signature=s ,  Credential=c,SignedHeaders=a;b",
        ] {
            let found = Components::parse(text).expect(text);
            assert_eq!((found.credential, found.signed_headers, found.signature), ("c", "a;b", "s"), "{text}");
        }
    }

    #[test]
    fn faults() {
        fn check(text: &str, code: &str, message: &str) {
            let error = Components::parse(text).map(|_| ()).expect_err(text);
            assert_eq!(error.code, code, "{text}");
            assert!(error.message.contains(message), "{text}: {}", error.message);
        }
        check("", "InvalidArgument", "one and only one ' ' (space) required");
        check("AWS4-HMAC-SHA256", "InvalidArgument", "one and only one ' ' (space) required");
        check("Bearer abc", "InvalidArgument", "Unsupported Authorization Type");
        check("AWS AK:sig=", "InvalidRequest", "Please use AWS4-HMAC-SHA256.");
        check("AWS4-ECDSA-P256-SHA256 Credential=c", "NotImplemented", "AWS4-ECDSA-P256-SHA256");
        let malformed = "AuthorizationHeaderMalformed";
        check("AWS4-HMAC-SHA256 x", malformed, "component \"x\" is malformed.");
        check("AWS4-HMAC-SHA256 Credential=c, SignedHeaders=a", malformed, "requires three components");
        check("AWS4-HMAC-SHA256 Credential=c, SignedHeaders=a, Signature=s, More=x", malformed, "\"More=x\"");
        check(
            "AWS4-HMAC-SHA256 Credential=c, Credential=d, SignedHeaders=a, Signature=s",
            malformed,
            "\"Credential=d\"",
        );
    }
}
