//! Signed requests to a running server: whatever their queries, headers and bodies say, nothing panics and nothing is an
//! internal error.
//!
//! The input is `operation query \xFF header: value \n header: value \xFF body`, of which the operation is one byte.
#![no_main]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use strata::{Config, Server};

const OPERATIONS: [(&str, &str); 48] = [
    ("GET", "/"),
    ("GET", "/fuzzed"),
    ("GET", "/fuzzed?list-type=2"),
    ("GET", "/fuzzed?versions"),
    ("GET", "/fuzzed?uploads"),
    ("POST", "/fuzzed?delete"),
    ("PUT", "/fuzzed?acl"),
    ("PUT", "/fuzzed?analytics"),
    ("PUT", "/fuzzed?cors"),
    ("PUT", "/fuzzed?encryption"),
    ("PUT", "/fuzzed?intelligent-tiering"),
    ("PUT", "/fuzzed?lifecycle"),
    ("PUT", "/fuzzed?logging"),
    ("PUT", "/fuzzed?notification"),
    ("PUT", "/fuzzed?object-lock"),
    ("PUT", "/fuzzed?ownershipControls"),
    ("PUT", "/fuzzed?policy"),
    ("PUT", "/fuzzed?publicAccessBlock"),
    ("PUT", "/fuzzed?replication"),
    ("PUT", "/fuzzed?tagging"),
    ("PUT", "/fuzzed?versioning"),
    ("PUT", "/fuzzed?website"),
    ("PUT", "/other-bucket"),
    ("DELETE", "/other-bucket"),
    ("PUT", "/fuzzed/key"),
    ("GET", "/fuzzed/key"),
    ("HEAD", "/fuzzed/key"),
    ("DELETE", "/fuzzed/key"),
    ("PUT", "/fuzzed/key?acl"),
    ("PUT", "/fuzzed/key?tagging"),
    ("PUT", "/fuzzed/key?retention"),
    ("PUT", "/fuzzed/key?legal-hold"),
    ("GET", "/fuzzed/key?attributes"),
    ("POST", "/fuzzed/key?restore"),
    ("POST", "/fuzzed/key?uploads"),
    ("POST", "/fuzzed/key?select&select-type=2"),
    ("POST", "/fuzzed/key?uploadId=AAAA"),
    ("GET", "/fuzzed/key?uploadId=AAAA"),
    ("PUT", "/fuzzed/key?partNumber=1&uploadId=AAAA"),
    ("POST", "/fuzzed"),
    ("OPTIONS", "/fuzzed/key"),
    ("GET", "/fuzzed?policyStatus"),
    ("GET", "/fuzzed?location"),
    ("PUT", "/fuzzed?accelerate"),
    ("PUT", "/fuzzed?requestPayment"),
    ("PUT", "/fuzzed?inventory"),
    ("PUT", "/fuzzed?metrics"),
    ("GET", "/fuzzed/key?torrent"),
];

struct Peer {
    address: SocketAddr,
    credentials: Credentials,
    region: String,
    connection: Option<BufReader<TcpStream>>,
    _server: (tokio::runtime::Runtime, Server, tempfile::TempDir),
}

static PEER: LazyLock<Mutex<Peer>> = LazyLock::new(|| Mutex::new(Peer::start()));

impl Peer {
    fn start() -> Peer {
        let directory = tempfile::tempdir().expect("a directory");
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config { data: directory.path().to_owned(), listen, ..Config::default() };
        let region = config.region.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let server = runtime.block_on(Server::start(config)).expect("a server");
        let root = server.credentials();
        let credentials = Credentials::new(&root.access_key, root.secret_key.expose(), None, None, "fuzz");
        let address = server.address();
        let mut peer = Peer { address, credentials, region, connection: None, _server: (runtime, server, directory) };
        assert_eq!(peer.ask("PUT", "/fuzzed", &[], b""), 200);
        assert_eq!(peer.ask("PUT", "/fuzzed/key", &[], b"content"), 200);
        peer
    }

    /// Sends a request, signed but for the headers given, and returns the status of the answer; 0 if there is none.
    fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let host = self.address.to_string();
        let url = format!("http://{host}{target}");
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .expect("complete")
            .into();
        let hash = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        let Ok(signable) =
            SignableRequest::new(method, &url, [hash].into_iter(), SignableBody::UnsignedPayload)
        else {
            return 0;
        };
        let Ok(signed) = sign(signable, &params) else { return 0 };
        let (instructions, _) = signed.into_parts();
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in instructions.headers().chain([hash]).chain(headers.iter().copied()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        for _ in 0..2 {
            if self.connection.is_none() {
                self.connection = Some(BufReader::new(TcpStream::connect(self.address).expect("it listens")));
            }
            match self.exchange(method, text.as_bytes(), body) {
                Some(status) => return status,
                // It was closed, perhaps after the answer before.
                None => self.connection = None,
            }
        }
        0
    }

    fn exchange(&mut self, method: &str, head: &[u8], body: &[u8]) -> Option<u16> {
        let stream = self.connection.as_mut()?;
        stream.get_mut().write_all(head).ok()?;
        stream.get_mut().write_all(body).ok()?;
        let (mut status, mut length, mut chunked, mut line) = (None, 0, false, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let lower = line.trim_end().to_ascii_lowercase();
            if status.is_none() {
                status = Some(lower.split(' ').nth(1)?.parse::<u16>().ok()?);
            } else if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            } else if lower.starts_with("transfer-encoding:") {
                chunked = true;
            } else if lower.is_empty() {
                break;
            }
        }
        let has_body = method != "HEAD" && !matches!(status, Some(204 | 304));
        while has_body && chunked {
            line.clear();
            stream.read_line(&mut line).ok()?;
            let size = u64::from_str_radix(line.trim_end(), 16).ok()?;
            std::io::copy(&mut stream.by_ref().take(size + 2), &mut std::io::sink()).ok()?;
            if size == 0 {
                break;
            }
        }
        if has_body && !chunked {
            std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink()).ok()?;
        }
        status
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((operation, rest)) = bytes.split_first() else { return };
    let mut parts = rest.splitn(3, |byte| *byte == 0xFF);
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default().to_owned();
    let (query, headers) = (text(), text());
    let body = parts.next().unwrap_or_default();
    let (method, path) = OPERATIONS[usize::from(*operation) % OPERATIONS.len()];
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'\\' | b'^');
    if !query.bytes().all(is_plain) {
        return;
    }
    let separator = if query.is_empty() { "" } else if path.contains('?') { "&" } else { "?" };
    let target = format!("{path}{separator}{query}");
    let framing = ["content-length", "transfer-encoding", "host", "authorization", "connection", "expect", "upgrade"];
    let is_sent = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let headers: Vec<(&str, &str)> = headers
        .split('\n')
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| is_sent(name) && !framing.contains(&name.to_ascii_lowercase().as_str()))
        .filter(|(_, value)| !value.chars().any(char::is_control))
        .collect();
    let status = PEER.lock().expect("no panic before").ask(method, &target, &headers, body);
    assert_ne!(status, 500, "{method} {target} is an internal error");
});
