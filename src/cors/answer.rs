//! The headers that tell a browser what a script of another origin may see, and the answer to its question beforehand.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Ask, Method, Rule, find};
use crate::error::S3Error;
use crate::response::Response;

/// Answers differ by these, which caches must know.
const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

const NOT_ALLOWED: &str = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of \
    Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the \
    resource's CORS spec.";

/// Answers `OPTIONS`. `rules` are those of the bucket, `resource_type` what the address names: `BUCKET` or `OBJECT`.
pub fn preflight(rules: &[Rule], headers: &HeaderMap, resource_type: &'static str) -> Result<Response, S3Error> {
    let origin = origin(headers)?;
    let method = text(headers, &ACCESS_CONTROL_REQUEST_METHOD);
    let Some(method) = method.filter(|method| Method::parse(method).is_some()) else {
        let sent = method.unwrap_or("null");
        return Err(bad_request(format!("Invalid Access-Control-Request-Method: {sent}")));
    };
    let requested = text(headers, &ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let ask = Ask {
        origin,
        method,
        headers: requested.split(',').map(str::trim).filter(|header| !header.is_empty()).collect(),
    };
    let (rule, pattern) = find(rules, &ask).ok_or_else(|| refused(NOT_ALLOWED, method, resource_type))?;
    let mut response = Response::empty(StatusCode::OK);
    set(&mut response.headers, rule, pattern, origin);
    if !ask.headers.is_empty() {
        response.set(ACCESS_CONTROL_ALLOW_HEADERS, ask.headers.join(", ").to_ascii_lowercase());
    }
    Ok(response)
}

/// The answer to `OPTIONS` of a bucket without rules, or of none, whatever the address names and whichever method is
/// asked for.
pub fn without_rules(message: &'static str, headers: &HeaderMap) -> S3Error {
    let method = text(headers, &ACCESS_CONTROL_REQUEST_METHOD).unwrap_or("OPTIONS");
    match origin(headers) {
        Ok(_) => refused(message, method, "BUCKET"),
        Err(error) => error,
    }
}

/// Adds to the answer of a request what lets a script of `origin` see it, if a rule allows the method.
pub fn actual(answer: &mut HeaderMap, rules: &[Rule], origin: &HeaderValue, method: &http::Method) {
    let Ok(origin) = origin.to_str() else { return };
    // What was asked before is not asked again: the headers have been sent.
    let ask = Ask { origin, method: method.as_str(), headers: Vec::new() };
    if let Some((rule, pattern)) = find(rules, &ask) {
        set(answer, rule, pattern, origin);
    }
}

fn set(answer: &mut HeaderMap, rule: &Rule, pattern: &str, origin: &str) {
    let mut insert = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.insert(name, value);
        }
    };
    if pattern == "*" {
        insert(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    } else {
        insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    let methods: Vec<&str> = rule.methods.iter().map(|method| method.name()).collect();
    insert(ACCESS_CONTROL_ALLOW_METHODS, &methods.join(", "));
    if !rule.exposed.is_empty() {
        insert(ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
    }
    if let Some(seconds) = rule.max_age_seconds {
        insert(ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
    insert(VARY, VARIES);
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn origin(headers: &HeaderMap) -> Result<&str, S3Error> {
    text(headers, &ORIGIN).ok_or_else(|| bad_request("Insufficient information. Origin request header needed."))
}

fn refused(message: &'static str, method: &str, resource_type: &'static str) -> S3Error {
    S3Error::new(StatusCode::FORBIDDEN, "AccessForbidden", message)
        .with("Method", method)
        .with("ResourceType", resource_type)
}

fn bad_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "BadRequest", message)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod};

    use super::super::{Method, Rule};
    use super::{actual, preflight};

    fn rules() -> Vec<Rule> {
        let rule = super::super::tests::rule;
        vec![
            Rule {
                exposed: vec!["ETag".to_owned(), "x-amz-id-2".to_owned()],
                max_age_seconds: Some(60),
                ..rule(&["http://*.a"], &[Method::Put, Method::Post], &["*"])
            },
            rule(&["*"], &[Method::Get], &[]),
        ]
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    const ORIGIN: &str = "origin";
    const METHOD: &str = "access-control-request-method";
    const HEADERS: &str = "access-control-request-headers";
    const VARY: (&str, &str) = ("vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");

    #[test]
    fn preflights_that_are_allowed() {
        fn check(sent: &[(&'static str, &'static str)], expected: &[(&'static str, &'static str)]) {
            let response = preflight(&rules(), &headers(sent), "OBJECT").expect("an allowed request");
            assert_eq!((response.status.as_u16(), response.headers), (200, headers(expected)), "{sent:?}");
        }
        check(
            &[(ORIGIN, "http://x.a"), (METHOD, "PUT"), (HEADERS, "Content-Type, x-amz-date")],
            &[
                ("access-control-allow-origin", "http://x.a"),
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-methods", "PUT, POST"),
                ("access-control-allow-headers", "content-type, x-amz-date"),
                ("access-control-expose-headers", "ETag, x-amz-id-2"),
                ("access-control-max-age", "60"),
                VARY,
            ],
        );
        check(
            &[(ORIGIN, "http://x.a"), (METHOD, "GET")],
            &[("access-control-allow-origin", "*"), ("access-control-allow-methods", "GET"), VARY],
        );
    }

    #[test]
    fn preflights_that_are_refused() {
        fn check(sent: &[(&'static str, &'static str)], code: &str, message: &str) {
            let Err(error) = preflight(&rules(), &headers(sent), "OBJECT") else { panic!("{sent:?} was allowed") };
            assert_eq!(error.code, code);
            assert!(error.message.starts_with(message), "{}", error.message);
        }
        let method = "Invalid Access-Control-Request-Method: ";
        check(&[], "BadRequest", "Insufficient information. Origin request header needed.");
        check(&[(ORIGIN, "http://b")], "BadRequest", &format!("{method}null"));
        check(&[(ORIGIN, "http://b"), (METHOD, "PATCH")], "BadRequest", &format!("{method}PATCH"));
        let put = [(ORIGIN, "http://b"), (METHOD, "PUT")];
        check(&put, "AccessForbidden", "CORSResponse: This CORS request is not allowed.");
        let with_header = [(ORIGIN, "http://b"), (METHOD, "GET"), (HEADERS, "x-amz-date")];
        check(&with_header, "AccessForbidden", "CORSResponse: This CORS request is not allowed.");
    }

    #[test]
    fn answers_tell_what_may_be_seen() {
        fn check(origin: &'static str, method: HttpMethod, expected: &[(&'static str, &'static str)]) {
            let mut answer = HeaderMap::new();
            actual(&mut answer, &rules(), &HeaderValue::from_static(origin), &method);
            assert_eq!(answer, headers(expected), "{origin} {method}");
        }
        check(
            "http://b",
            HttpMethod::GET,
            &[("access-control-allow-origin", "*"), ("access-control-allow-methods", "GET"), VARY],
        );
        check("http://b", HttpMethod::PUT, &[]);
    }
}
