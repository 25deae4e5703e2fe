//! Headers in the query: a presigned URL may carry `x-amz-*` headers as parameters, which mean the same.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::S3Error;
use crate::request::Query;

/// The parameters that belong to the signature of the URL itself.
const OF_SIGNATURE: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// The headers together with those in the query, or `None` if the query has none.
///
/// Signatures cover every parameter, so these are as good as signed headers. `Err` if a header and a parameter, or two
/// parameters, say different things of one name, or if a value cannot be a header's.
pub fn merged(headers: &HeaderMap, query: &Query) -> Result<Option<HeaderMap>, S3Error> {
    let mut merged: Option<HeaderMap> = None;
    for (parameter, value) in &query.0 {
        let is_header = parameter.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
        if !is_header || OF_SIGNATURE.iter().any(|name| parameter.eq_ignore_ascii_case(name)) {
            continue;
        }
        let refused = |message| S3Error::invalid_argument(message, parameter, value);
        let unusable = "Query parameter cannot be represented as an HTTP header";
        let name = HeaderName::from_bytes(parameter.as_bytes()).map_err(|_| refused(unusable))?;
        let sent = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused(unusable))?;
        let merged = merged.get_or_insert_with(|| headers.clone());
        if merged.get_all(&name).iter().any(|known| *known != sent) {
            return Err(refused("Query parameter and header of the same name must be the same"));
        }
        merged.insert(name, sent);
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::merged;
    use crate::address::parse_query;

    #[test]
    fn parameters_become_headers() {
        fn check(query: &str, expected: Result<Option<&[(&str, &str)]>, &str>) {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static("x-amz-acl"), HeaderValue::from_static("private"));
            let found = merged(&headers, &parse_query(query).expect("a valid query")).map_err(|error| error.code);
            let expected = expected.map(|pairs| {
                pairs.map(|pairs| {
                    let pair = |&(name, value): &(&str, &str)| (name.parse().expect(name), value.parse().expect(value));
                    pairs.iter().map(pair).collect::<HeaderMap>()
                })
            });
            assert_eq!(found, expected, "{query}");
        }
        const ACL: (&str, &str) = ("x-amz-acl", "private");
        check("", Ok(None));
        check("versionId=1&x-id=PutObject", Ok(None));
        check("X-Amz-Date=1&X-Amz-Expires=2&X-Amz-SignedHeaders=host&X-Amz-Signature=x", Ok(None));
        check("x-amz-meta-a=b%20c", Ok(Some(&[ACL, ("x-amz-meta-a", "b c")])));
        check("X-Amz-Meta-A=b&x-amz-tagging=a%3Db", Ok(Some(&[ACL, ("x-amz-meta-a", "b"), ("x-amz-tagging", "a=b")])));
        check("x-amz-acl=private", Ok(Some(&[ACL])));
        for query in ["x-amz-acl=public-read", "x-amz-meta-a=1&X-Amz-Meta-A=2", "x-amz-meta-a=%0A", "x-amz-%C3%BC=1"] {
            check(query, Err("InvalidArgument"));
        }
    }
}
