//! SigV4 for the generator: unsigned payloads, three signed headers, a key that is derived once a day.

use std::io::Write as _;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

/// Whom to sign for, and the host that the signature covers.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `host:port`
    pub authority: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Region.
    pub region: String,
}

/// Writes signed request heads.
pub struct Signer {
    endpoint: Endpoint,
    second: i64,
    timestamp: String,
    scope: String,
    day: String,
    key: Vec<u8>,
    canonical: Vec<u8>,
    to_sign: Vec<u8>,
}

impl Signer {
    /// A signer for one connection.
    pub fn new(endpoint: &Endpoint) -> Signer {
        Signer {
            endpoint: endpoint.clone(),
            second: i64::MIN,
            timestamp: String::new(),
            scope: String::new(),
            day: String::new(),
            key: Vec::new(),
            canonical: Vec::with_capacity(512),
            to_sign: Vec::with_capacity(256),
        }
    }

    /// Appends request line and headers. `path` and `query` come in the canonical form of SigV4 and are sent so.
    pub fn write_head(&mut self, out: &mut Vec<u8>, method: &str, path: &str, query: &str, body_bytes: Option<u64>) {
        self.refresh();
        let host = &self.endpoint.authority;
        let timestamp = &self.timestamp;
        self.canonical.clear();
        push(
            &mut self.canonical,
            format_args!(
                "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n\
                 x-amz-date:{timestamp}\n\nhost;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD"
            ),
        );
        let hash = Sha256::digest(&self.canonical);
        let mut hash_text = [0; 64];
        hex::encode_to_slice(hash, &mut hash_text).expect("32 bytes are 64 digits");
        self.to_sign.clear();
        push(&mut self.to_sign, format_args!("AWS4-HMAC-SHA256\n{timestamp}\n{}\n", self.scope));
        self.to_sign.extend_from_slice(&hash_text);
        let signature = aws_sigv4::sign::v4::calculate_signature(&self.key, &self.to_sign);
        let mark = if query.is_empty() { "" } else { "?" };
        push(
            out,
            format_args!(
                "{method} {path}{mark}{query} HTTP/1.1\r\nhost: {host}\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n\
                 x-amz-date: {timestamp}\r\nauthorization: AWS4-HMAC-SHA256 Credential={}/{}, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n",
                self.endpoint.access_key, self.scope
            ),
        );
        match body_bytes {
            Some(bytes) => push(out, format_args!("content-length: {bytes}\r\n\r\n")),
            None => out.extend_from_slice(b"\r\n"),
        }
    }

    /// Follows the clock: the timestamp changes with the second, the key with the day.
    fn refresh(&mut self) {
        let now = wall_clock();
        let moment = DateTime::<Utc>::from(now);
        if moment.timestamp() == self.second {
            return;
        }
        self.second = moment.timestamp();
        self.timestamp = moment.format("%Y%m%dT%H%M%SZ").to_string();
        if self.timestamp[..8] != self.day {
            self.day = self.timestamp[..8].to_owned();
            self.scope = format!("{}/{}/s3/aws4_request", self.day, self.endpoint.region);
            let Endpoint { secret_key, region, .. } = &self.endpoint;
            let key = aws_sigv4::sign::v4::generate_signing_key(secret_key, now, region, "s3");
            self.key = key.as_ref().to_vec();
        }
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

/// The machine's time: an endpoint accepts no other.
#[expect(clippy::disallowed_methods, reason = "signatures carry the real time, and nothing here is replayed")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}
