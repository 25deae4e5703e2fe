//! One line of an access log: S3's 27 fields, in its order.
//!
//! What clients choose can hold neither a space nor a line break outside quotes, nor a quote within: all of it is
//! percent-encoded, so that nobody can forge a field or a line.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use strata_storage::{AccountId, Timestamp};

use crate::auth::SigningPlace;
use crate::config::TlsVersion;
use crate::identity::Account;
use crate::request::RequestName;
use crate::time;

/// What stays as it is in keys and hosts.
const WORD: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':').remove(b'*');

/// What is encoded between quotes.
const QUOTED: &AsciiSet = &CONTROLS.add(b'"').add(b'\\');

/// Parameters of queries that let others do what the client may.
const SECRETS: [&str; 3] = ["x-amz-signature", "x-amz-security-token", "signature"];

/// What is known of one request. Absent values are written as `-`.
#[derive(Debug, Clone)]
pub struct Record {
    /// The owner of the bucket.
    pub owner: AccountId,
    /// The bucket.
    pub bucket: String,
    /// When the request arrived.
    pub time: Timestamp,
    /// From where.
    pub source: Option<IpAddr>,
    /// Who sent it: a canonical id for roots, else an ARN.
    pub requester: Option<String>,
    /// What its ids are.
    pub name: Arc<RequestName>,
    /// `REST.GET.OBJECT`, or `S3.EXPIRE.OBJECT` without a request
    pub operation: String,
    /// The key.
    pub key: Option<String>,
    /// The request line.
    pub line: Option<String>,
    /// The status.
    pub status: Option<u16>,
    /// The error's code, or empty.
    pub code: &'static str,
    /// Bytes of the answer's body that were sent.
    pub bytes_sent: u64,
    /// The size of the object, in bytes.
    pub object_bytes: Option<u64>,
    /// From the request's head to the end of the answer.
    pub total: Option<Duration>,
    /// From the end of the request to the answer's head.
    pub turn_around: Option<Duration>,
    /// `Referer`
    pub referer: Option<Vec<u8>>,
    /// `User-Agent`
    pub user_agent: Option<Vec<u8>>,
    /// The version that the request names.
    pub version: Option<String>,
    /// Where it was signed.
    pub signing: Option<SigningPlace>,
    /// The cipher suite of the connection.
    pub cipher: Option<&'static str>,
    /// `Host`
    pub host: Option<String>,
    /// The TLS version of the client's connection.
    pub tls: Option<TlsVersion>,
    /// The ARN of the access point.
    pub access_point: Option<String>,
    /// Whether only an access control list let the request pass.
    pub by_acl: bool,
}

impl Record {
    /// The line, with its end.
    pub fn line(&self) -> String {
        let mut out = String::with_capacity(512);
        out.push_str(&Account::canonical_id_of(self.owner));
        word(&mut out, Some(&self.bucket));
        out.extend([" [", &time::log_date(self.time), "]"]);
        plain(&mut out, self.source);
        word(&mut out, self.requester.as_deref());
        plain(&mut out, Some(&self.name.request_id));
        plain(&mut out, Some(&self.operation));
        word(&mut out, self.key.as_deref());
        let line = self.line.as_deref().map(redacted);
        quoted(&mut out, line.as_deref().map(str::as_bytes));
        plain(&mut out, self.status);
        plain(&mut out, Some(self.code).filter(|code| !code.is_empty()));
        plain(&mut out, Some(self.bytes_sent).filter(|&bytes| bytes > 0));
        plain(&mut out, self.object_bytes);
        plain(&mut out, self.total.map(|time| time.as_millis()));
        plain(&mut out, self.turn_around.map(|time| time.as_millis()));
        quoted(&mut out, self.referer.as_deref());
        quoted(&mut out, self.user_agent.as_deref());
        word(&mut out, self.version.as_deref());
        plain(&mut out, Some(&self.name.host_id).filter(|id| !id.is_empty()));
        plain(&mut out, self.signing.map(|_| "SigV4"));
        plain(&mut out, self.cipher);
        plain(&mut out, self.signing.and_then(auth_type));
        word(&mut out, self.host.as_deref());
        plain(&mut out, self.tls.map(|version| format!("TLSv{}", version.number())));
        word(&mut out, self.access_point.as_deref());
        plain(&mut out, self.by_acl.then_some("Yes"));
        // From which Region it came is not known.
        out.push_str(" -\n");
        out
    }
}

fn auth_type(place: SigningPlace) -> Option<&'static str> {
    match place {
        SigningPlace::Header => Some("AuthHeader"),
        SigningPlace::Query => Some("QueryString"),
        SigningPlace::Form => None,
    }
}

/// A value that no client chooses.
fn plain(out: &mut String, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => write!(out, " {value}").expect("a String takes any text"),
        None => out.push_str(" -"),
    }
}

fn word(out: &mut String, value: Option<&str>) {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => plain(out, Some(percent_encode(value.as_bytes(), WORD))),
        None => out.push_str(" -"),
    }
}

fn quoted(out: &mut String, value: Option<&[u8]>) {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => write!(out, " \"{}\"", percent_encode(value, QUOTED)).expect("a String takes any text"),
        None => out.push_str(" \"-\""),
    }
}

/// The request line without what a reader of the log could use to act as the client.
fn redacted(line: &str) -> String {
    let mut parts = line.split(' ');
    let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut out = format!("{method} ");
    match target.split_once('?') {
        None => out.push_str(target),
        Some((path, query)) => {
            out.extend([path, "?"]);
            for (position, pair) in query.split('&').enumerate() {
                let name = pair.split('=').next().unwrap_or_default();
                out.push_str(if position == 0 { "" } else { "&" });
                match is_secret(name) {
                    true => out.extend([name, "=<redacted>"]),
                    false => out.push_str(pair),
                }
            }
        }
    }
    for rest in parts {
        out.extend([" ", rest]);
    }
    out
}

fn is_secret(name: &str) -> bool {
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    SECRETS.contains(&&*name) || name.contains("customer-key")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use strata_storage::{AccountId, Timestamp};

    use super::{Record, redacted};
    use crate::auth::SigningPlace;
    use crate::config::TlsVersion;
    use crate::identity::Account;
    use crate::request::RequestName;

    fn record() -> Record {
        let name = RequestName { resource: String::new(), request_id: "ID".to_owned(), host_id: "HOST==".to_owned() };
        Record {
            owner: AccountId::ROOT,
            bucket: "bucket".to_owned(),
            time: Timestamp::from_secs(1_549_411_238),
            source: Some([192, 0, 2, 3].into()),
            requester: None,
            name: Arc::new(name),
            operation: "REST.GET.BUCKET".to_owned(),
            key: None,
            line: Some("GET /bucket HTTP/1.1".to_owned()),
            status: Some(200),
            code: "",
            bytes_sent: 0,
            object_bytes: None,
            total: None,
            turn_around: None,
            referer: None,
            user_agent: None,
            version: None,
            signing: None,
            cipher: None,
            host: None,
            tls: None,
            access_point: None,
            by_acl: false,
        }
    }

    /// The fields of a line, as those who read logs split it.
    fn fields(line: &str) -> Vec<String> {
        let (mut fields, mut closing) = (vec![String::new()], None);
        for character in line.strip_suffix('\n').expect("a whole line").chars() {
            match (character, closing) {
                (' ', None) => fields.push(String::new()),
                ('"', None) => closing = Some('"'),
                ('[', None) => closing = Some(']'),
                (character, Some(end)) if character == end => closing = None,
                (character, _) => fields.last_mut().expect("one field").push(character),
            }
        }
        fields
    }

    #[test]
    fn lines() {
        let owner = Account::canonical_id_of(AccountId::ROOT);
        let expected = format!(
            "{owner} bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 - ID REST.GET.BUCKET - \"GET /bucket HTTP/1.1\" 200 - - \
             - - - \"-\" \"-\" - HOST== - - - - - - - -\n"
        );
        assert_eq!(record().line(), expected);
        let full = Record {
            requester: Some("arn:aws:iam::000000000001:user/a".to_owned()),
            key: Some("a b/c\u{e4}".to_owned()),
            status: Some(404),
            code: "NoSuchKey",
            bytes_sent: 7,
            object_bytes: Some(0),
            total: Some(Duration::from_micros(1999)),
            turn_around: Some(Duration::ZERO),
            referer: Some(b"http://x/".to_vec()),
            user_agent: Some(b"curl/8 (x)".to_vec()),
            version: Some("null".to_owned()),
            signing: Some(SigningPlace::Query),
            cipher: Some("TLS_AES_128_GCM_SHA256"),
            host: Some("localhost:9000".to_owned()),
            tls: Some(TlsVersion::V1_3),
            access_point: Some("arn:aws:s3:r:000000000001:accesspoint/p".to_owned()),
            by_acl: true,
            ..record()
        };
        let rest = "arn:aws:iam::000000000001:user/a ID REST.GET.BUCKET a%20b/c%C3%A4 \"GET /bucket HTTP/1.1\" 404 NoSuchKey \
                    7 0 1 0 \"http://x/\" \"curl/8 (x)\" null HOST== SigV4 TLS_AES_128_GCM_SHA256 QueryString \
                    localhost:9000 TLSv1.3 arn:aws:s3:r:000000000001:accesspoint/p Yes -\n";
        assert!(full.line().ends_with(rest), "{}", full.line());
    }

    #[test]
    fn nobody_forges_a_line() {
        let texts =
            ["\"", "x\" 200 -", "\n", "a\r\nb", "\\", " ", "-", "\0\u{1b}[31m", "\u{2028}\u{85}", "[x] \"y\"", "]"];
        for text in texts {
            let bytes = Some(text.as_bytes().to_vec());
            let hostile = Record {
                requester: Some(text.to_owned()),
                key: Some(text.to_owned()),
                line: Some(format!("GET /{text} HTTP/1.1")),
                referer: bytes.clone(),
                user_agent: bytes,
                version: Some(text.to_owned()),
                host: Some(text.to_owned()),
                access_point: Some(text.to_owned()),
                ..record()
            };
            let line = hostile.line();
            assert_eq!(fields(&line).len(), 27, "{line}");
            assert!(line.is_ascii() && line.bytes().filter(u8::is_ascii_control).eq([b'\n']), "{line}");
        }
        let raw = Record { user_agent: Some(vec![0xff, b'"', 0x80]), ..record() };
        assert!(raw.line().contains(" \"%FF%22%80\" "));
    }

    #[test]
    fn signatures_and_keys_are_redacted() {
        fn check(line: &str, expected: &str) {
            assert_eq!(redacted(line), expected);
        }
        check("GET /b/k HTTP/1.1", "GET /b/k HTTP/1.1");
        check("GET /b?prefix=a&x HTTP/1.1", "GET /b?prefix=a&x HTTP/1.1");
        check("GET /b?x=1&X-Amz-Signature=ab HTTP/1.1", "GET /b?x=1&X-Amz-Signature=<redacted> HTTP/1.1");
        check("GET /b?X-Amz%2DSecurity-Token=ab HTTP/1.1", "GET /b?X-Amz%2DSecurity-Token=<redacted> HTTP/1.1");
        let customer = "x-amz-server-side-encryption-customer-key";
        check(&format!("GET /b?{customer}=a= HTTP/2.0"), &format!("GET /b?{customer}=<redacted> HTTP/2.0"));
    }
}
