//! Which of the APIs on the one port a request is for, and how each of them words its errors.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::address::Address;
use crate::auth::{self, Service};
use crate::control;
use crate::error::S3Error;
use crate::query_api::QueryApi;
use crate::request::{Query, RequestName};
use crate::response::{Payload, Response};

/// One of the APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Buckets and objects.
    S3,
    /// Access points, and settings of accounts.
    Control,
    /// Users, groups, roles, policies.
    Iam,
    /// Temporary credentials.
    Sts,
    /// Keys.
    Kms,
}

impl Api {
    /// The API that a request is for: what its signature is scoped to says it. A form that nobody signed is for STS, where
    /// those come who have only the token of an identity provider.
    pub fn of(parts: &Parts, query: &Query, address: &Address) -> Api {
        match auth::claimed_service(&parts.headers, query) {
            Some(Service::Iam) => Api::Iam,
            Some(Service::Sts) => Api::Sts,
            Some(Service::Kms) => Api::Kms,
            Some(Service::S3) if control::is_addressed(parts) => Api::Control,
            Some(Service::S3) => Api::S3,
            None if address.bucket.is_none() && parts.method == Method::POST && is_form(parts) => Api::Sts,
            None => Api::S3,
        }
    }

    /// The name, for the log.
    pub fn name(self) -> &'static str {
        match self {
            Api::S3 => "S3",
            Api::Control => "S3Control",
            Api::Iam => "IAM",
            Api::Sts => "STS",
            Api::Kms => "KMS",
        }
    }

    /// The answer to a request that fails.
    pub fn refusal(self, error: &S3Error, name: &RequestName) -> Response {
        match self {
            Api::S3 => Response::error(error, name),
            Api::Control => control::refusal(error, name),
            Api::Iam => QueryApi::Iam.refusal(error, name),
            Api::Sts => QueryApi::Sts.refusal(error, name),
            Api::Kms => json_refusal(error, name),
        }
    }
}

fn is_form(parts: &Parts) -> bool {
    let value = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

/// The error as APIs in JSON have it, whose words for the same faults are others.
fn json_refusal(error: &S3Error, name: &RequestName) -> Response {
    let (status, code) = match error.code {
        "InvalidAccessKeyId" | "InvalidToken" => (StatusCode::BAD_REQUEST, "UnrecognizedClientException"),
        "SignatureDoesNotMatch" | "RequestTimeTooSkewed" => (StatusCode::BAD_REQUEST, "InvalidSignatureException"),
        "ExpiredToken" => (StatusCode::BAD_REQUEST, "ExpiredTokenException"),
        "AuthorizationHeaderMalformed" => (StatusCode::BAD_REQUEST, "IncompleteSignatureException"),
        "AccessDenied" => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
        code => (error.status, code),
    };
    let document = serde_json::json!({ "__type": code, "message": error.message });
    let mut response = Response::empty(status);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    response.set(HeaderName::from_static("x-amzn-requestid"), &name.request_id);
    response.body = Payload::Bytes(document.to_string().into());
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::Api;
    use crate::address::{parse_query, resolve};

    #[test]
    fn signatures_choose_the_api() {
        fn check(line: &str, headers: &[(&str, &str)], expected: Api) {
            let (method, target) = line.split_once(' ').expect("method and target");
            let mut request = Request::builder().method(method).uri(target);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).expect("a valid request").into_parts();
            let query = parse_query(parts.uri.query().unwrap_or_default()).expect("a valid query");
            let address = resolve("localhost", parts.uri.path(), &[]).expect("a valid address");
            assert_eq!(Api::of(&parts, &query, &address), expected, "{line} {headers:?}");
        }
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let control = "/v20180820/accesspoint/door";
        let signed = |service: &str| {
            format!("AWS4-HMAC-SHA256 Credential=AK/20260102/us-east-1/{service}/aws4_request, SignedHeaders=host")
        };
        for (service, expected) in [("iam", Api::Iam), ("sts", Api::Sts), ("kms", Api::Kms), ("s3", Api::S3)] {
            check("POST /", &[form, ("authorization", &signed(service))], expected);
        }
        check("GET /b/k?X-Amz-Credential=AK%2F20260102%2Fus-east-1%2Fsts%2Faws4_request", &[], Api::Sts);
        let account = ("x-amz-account-id", "000000000001");
        check(&format!("PUT {control}"), &[("authorization", &signed("s3")), account], Api::Control);
        check(&format!("PUT {control}"), &[("authorization", &signed("s3"))], Api::S3);
        check(&format!("PUT {control}"), &[account], Api::S3);
        check("POST /", &[form], Api::Sts);
        check("POST /bucket", &[form], Api::S3);
        check("POST /", &[("content-type", "multipart/form-data")], Api::S3);
        check("GET /", &[form], Api::S3);
        check("GET /", &[("authorization", "nonsense")], Api::S3);
    }
}
