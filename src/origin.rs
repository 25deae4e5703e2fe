//! Where a request came from and over what: by its connection, or by what a trusted proxy says of the client.
//!
//! Everybody can send the headers that proxies add, so they count only on connections from the networks that are
//! configured. Such a proxy must be unambiguous: a request whose headers cannot be read, or contradict each other, is
//! refused. It is not put down to the proxy, because rules about addresses often trust just that one. Which host a
//! client meant is never taken from a proxy's headers: the signature covers `Host`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::{Networks, TlsVersion};
use crate::error::S3Error;
use crate::policy::{ConditionKey, KeyValue};

const FORWARDED: HeaderName = http::header::FORWARDED;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request came from and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; an IPv4 address is never written as IPv6.
    pub source: IpAddr,
    /// Whether the client's own connection was encrypted.
    pub secure: bool,
    /// The TLS version of the client's own connection; `None` without TLS, and where a proxy ended it.
    pub tls_version: Option<TlsVersion>,
    /// The virtual private cloud that the address belongs to.
    pub vpc: Option<&'static str>,
    /// The endpoint of one that it belongs to.
    pub vpc_endpoint: Option<&'static str>,
}

/// What one kind of header says of the client.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claim {
    source: Option<IpAddr>,
    secure: Option<bool>,
}

impl Origin {
    /// Of a connection itself.
    pub fn of_connection(remote: SocketAddr, tls_version: Option<TlsVersion>) -> Origin {
        let (source, secure) = (remote.ip().to_canonical(), tls_version.is_some());
        Origin { source, secure, tls_version, vpc: None, vpc_endpoint: None }
    }

    /// The same, with what the settings say of its address.
    #[must_use]
    pub fn located(self, networks: &Networks) -> Origin {
        Origin { vpc: networks.vpc_of(self.source), vpc_endpoint: networks.endpoint_of(self.source), ..self }
    }

    /// What it says to a condition key; `None` for keys that it does not have, and those of other things.
    ///
    /// `aws:SourceIp` stays also where AWS has only `aws:VpcSourceIp`: a Deny of addresses is not to end because somebody
    /// calls them a network.
    pub fn condition(&self, key: ConditionKey) -> Option<KeyValue<'static>> {
        match key {
            ConditionKey::AwsSourceIp => Some(KeyValue::Ip(self.source)),
            ConditionKey::AwsVpcSourceIp => self.vpc.or(self.vpc_endpoint).map(|_| KeyValue::Ip(self.source)),
            ConditionKey::AwsSecureTransport => Some(KeyValue::Bool(self.secure)),
            ConditionKey::AwsSourceVpc => self.vpc.map(|id| KeyValue::Text(id.into())),
            ConditionKey::AwsSourceVpce => self.vpc_endpoint.map(|id| KeyValue::Text(id.into())),
            _ => None,
        }
    }

    /// Of a request with `headers` on this connection. `Err` if a proxy in one of the `trusted` networks sent it and
    /// its headers are ambiguous; what others say of themselves changes nothing.
    ///
    /// The source is the rightmost address that is not a trusted proxy's, since every proxy appends on the right. A
    /// proxy that says where a request came from, but not over what, leaves it insecure.
    pub fn forwarded(self, headers: &HeaderMap, trusted: &[IpNet]) -> Result<Origin, S3Error> {
        if !is_within(self.source, trusted) {
            return Ok(self);
        }
        let (standard, common) = (standard_claim(headers, trusted)?, common_claim(headers, trusted)?);
        let (Some(one), Some(other)) = (&standard, &common) else {
            return Ok(standard.or(common).map_or(self, |claim| self.claimed(&claim)));
        };
        let differ = one.source.zip(other.source).is_some_and(|(one, other)| one != other)
            || one.secure.zip(other.secure).is_some_and(|(one, other)| one != other);
        if differ {
            return Err(ambiguous("Forwarded and X-Forwarded-For"));
        }
        Ok(self.claimed(&Claim { source: one.source.or(other.source), secure: one.secure.or(other.secure) }))
    }

    fn claimed(self, claim: &Claim) -> Origin {
        let source = claim.source.unwrap_or(self.source);
        Origin { source, secure: claim.secure.unwrap_or(false), tls_version: None, ..self }
    }
}

fn is_within(address: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// What `X-Forwarded-For` and `X-Forwarded-Proto` say.
fn common_claim(headers: &HeaderMap, trusted: &[IpNet]) -> Result<Option<Claim>, S3Error> {
    let mut claim = Claim::default();
    for entry in entries(headers, &X_FORWARDED_FOR)?.iter().rev() {
        let address = address(entry).ok_or_else(|| ambiguous("X-Forwarded-For"))?;
        claim.source = Some(address);
        if !is_within(address, trusted) {
            break;
        }
    }
    // Of several schemes nobody knows which one is the client's.
    claim.secure = match &entries(headers, &X_FORWARDED_PROTO)?[..] {
        [] => None,
        [scheme] => Some(is_secure(scheme).ok_or_else(|| ambiguous("X-Forwarded-Proto"))?),
        _ => return Err(ambiguous("X-Forwarded-Proto")),
    };
    Ok((claim != Claim::default()).then_some(claim))
}

/// What `Forwarded` says, which is RFC 7239's.
fn standard_claim(headers: &HeaderMap, trusted: &[IpNet]) -> Result<Option<Claim>, S3Error> {
    let mut claim = None;
    for entry in entries(headers, &FORWARDED)?.iter().rev() {
        let hop = hop(entry).ok_or_else(|| ambiguous("Forwarded"))?;
        let known: &mut Claim = claim.get_or_insert_default();
        known.secure = hop.secure;
        // A proxy that does not say who asked it is as far as the way is known.
        let Some(address) = hop.source else { break };
        known.source = Some(address);
        if !is_within(address, trusted) {
            break;
        }
    }
    Ok(claim)
}

/// The entries of a list that may be spread over several headers, in order.
fn entries<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Vec<&'h str>, S3Error> {
    let mut found = Vec::new();
    for value in headers.get_all(name) {
        let entries = value.to_str().ok().and_then(|text| split(text, ',')).ok_or_else(|| ambiguous(name.as_str()))?;
        found.extend(entries);
    }
    Ok(found)
}

/// One element of `Forwarded`: `for=192.0.2.1;proto=https`. `None` if it does not follow the RFC, and for addresses
/// that it hides.
fn hop(element: &str) -> Option<Claim> {
    let mut claim = Claim::default();
    for pair in split(element, ';')? {
        let (name, value) = pair.split_once('=')?;
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = quoted.unwrap_or(value);
        // No address and no scheme needs an escape.
        if value.is_empty() || value.contains(['"', '\\']) {
            return None;
        }
        let twice = match name.to_ascii_lowercase().as_str() {
            "for" => claim.source.replace(address(value)?).is_some(),
            "proto" => claim.secure.replace(is_secure(value)?).is_some(),
            _ => false,
        };
        if twice {
            return None;
        }
    }
    Some(claim)
}

/// Splits where the separator is not quoted. `None` for open quotes and empty pieces.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let pieces: Vec<&str> = text
        .split(|character| {
            let was_escaped = is_escaped;
            is_escaped = is_quoted && !was_escaped && character == '\\';
            is_quoted ^= character == '"' && !was_escaped;
            !is_quoted && character == separator
        })
        .map(str::trim)
        .collect();
    (!is_quoted && pieces.iter().all(|piece| !piece.is_empty())).then_some(pieces)
}

/// An address as proxies write it: with or without port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

fn is_secure(scheme: &str) -> Option<bool> {
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

fn ambiguous(name: &str) -> S3Error {
    S3Error::invalid_request(format!(
        "A trusted proxy sent {name} in a form that leaves open where the request came from."
    ))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::Origin;
    use crate::config::TlsVersion;

    const PROXY: &str = "10.0.0.5:1234";

    fn origin(remote: &str, headers: &[(&'static str, &'static str)]) -> Result<Origin, &'static str> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let remote: SocketAddr = remote.parse().unwrap();
        Origin::of_connection(remote, Some(TlsVersion::V1_3)).forwarded(&map, &trusted).map_err(|error| error.code)
    }

    #[track_caller]
    fn check(remote: &str, headers: &[(&'static str, &'static str)], source: &str, secure: bool) {
        let found = origin(remote, headers).unwrap();
        assert_eq!((found.source, found.secure), (source.parse().unwrap(), secure), "{headers:?}");
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        let forged = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http"), ("forwarded", "for=127.0.0.1")];
        check("192.0.2.7:80", &forged, "192.0.2.7", true);
        check("192.0.2.7:80", &[("x-forwarded-for", "what?")], "192.0.2.7", true);
        check("[2001:db8::1]:80", &forged, "2001:db8::1", true);
        check("[::ffff:192.0.2.7]:80", &[], "192.0.2.7", true);
        assert_eq!(origin("192.0.2.7:80", &forged).unwrap().tls_version, Some(TlsVersion::V1_3));
    }

    #[test]
    fn what_a_proxy_says() {
        check(PROXY, &[], "10.0.0.5", true);
        check("[::ffff:10.0.0.5]:80", &[("x-forwarded-for", "192.0.2.1")], "192.0.2.1", false);
        check(PROXY, &[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "HTTPS")], "192.0.2.1", true);
        check(PROXY, &[("x-forwarded-proto", "http")], "10.0.0.5", false);
        // The client's own claims stand on the left of what the proxies appended.
        check(PROXY, &[("x-forwarded-for", "1.1.1.1, what?, 192.0.2.1, 10.1.1.1")], "192.0.2.1", false);
        check(PROXY, &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")], "192.0.2.1", false);
        check(PROXY, &[("x-forwarded-for", "10.2.2.2, 10.1.1.1")], "10.2.2.2", false);
        for text in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"] {
            check(PROXY, &[("x-forwarded-for", text)], "2001:db8::1", false);
        }
        check(PROXY, &[("x-forwarded-for", "192.0.2.1:80")], "192.0.2.1", false);
        check(PROXY, &[("x-forwarded-for", "::ffff:192.0.2.1")], "192.0.2.1", false);
        let found = origin(PROXY, &[("x-forwarded-proto", "https")]).unwrap();
        assert_eq!(found.tls_version, None, "the version is that of the proxy's own connection");
    }

    #[test]
    fn what_the_standard_header_says() {
        check(PROXY, &[("forwarded", "for=192.0.2.1;proto=https;by=10.0.0.5")], "192.0.2.1", true);
        check(PROXY, &[("forwarded", "For=\"[2001:db8::1]:4711\";Proto=http")], "2001:db8::1", false);
        check(PROXY, &[("forwarded", "for=1.1.1.1;proto=https, for=192.0.2.1;proto=http")], "192.0.2.1", false);
        check(PROXY, &[("forwarded", "for=192.0.2.1;proto=https, for=10.1.1.1;proto=http")], "192.0.2.1", true);
        check(PROXY, &[("forwarded", "proto=https")], "10.0.0.5", true);
        check(PROXY, &[("forwarded", "for=192.0.2.1;host=\"a,b;c\"")], "192.0.2.1", false);
        let agreeing = [("forwarded", "for=192.0.2.1;proto=https"), ("x-forwarded-for", "192.0.2.1")];
        check(PROXY, &agreeing, "192.0.2.1", true);
    }

    #[test]
    fn ambiguous_proxies_are_refused() {
        let cases: &[&[(&'static str, &'static str)]] = &[
            &[("x-forwarded-for", "")],
            &[("x-forwarded-for", "unknown")],
            &[("x-forwarded-for", "192.0.2.1, 999.1.1.1")],
            &[("x-forwarded-for", "192.0.2.1,")],
            &[("x-forwarded-for", "192.0.2.1 10.0.0.1")],
            &[("x-forwarded-proto", "https, http")],
            &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")],
            &[("x-forwarded-proto", "ftp")],
            &[("forwarded", "for=unknown")],
            &[("forwarded", "for=_hidden;proto=https")],
            &[("forwarded", "for=192.0.2.1;for=192.0.2.2")],
            &[("forwarded", "for=\"192.0.2.1")],
            &[("forwarded", "for=\"192.0.2.1\\\"\"")],
            &[("forwarded", "192.0.2.1")],
            &[("forwarded", "for=192.0.2.1;;proto=https")],
            &[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.2")],
            &[("forwarded", "for=192.0.2.1;proto=http"), ("x-forwarded-proto", "https")],
        ];
        for headers in cases {
            assert_eq!(origin(PROXY, headers), Err("InvalidRequest"), "{headers:?}");
        }
    }
}
