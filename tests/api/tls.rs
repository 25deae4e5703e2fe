//! Encrypted connections: versions, protocols, certificates that change, clients that do not speak TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use strata::config::{Config, TlsVersion};
use strata::server::Reload;
use strata::{Server, ServerError};
use strata_storage::SystemClock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Answer, Raw};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
const HEALTH: &[u8] = b"GET /-/health/live HTTP/1.1\r\nHost: x\r\n\r\n";

/// A server with a certificate of its own.
pub struct Encrypted {
    pub raw: Raw,
    pub server: Server,
    pub certificate: CertificateDer<'static>,
    directory: TempDir,
}

impl Encrypted {
    pub async fn start() -> Encrypted {
        Encrypted::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Encrypted {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let certificate = issue(directory.path());
        let mut config = config(directory.path());
        change(&mut config);
        let server = Server::start(config).await.expect("a server");
        Encrypted { raw: Raw::new(&server, Arc::new(SystemClock)), server, certificate, directory }
    }

    /// A connection after its handshake.
    pub async fn connect(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut config = trusting(&self.certificate, BOTH);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        handshake(self.server.address(), config).await.expect("a handshake")
    }
}

fn config(directory: &Path) -> Config {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config { data: directory.join("data"), listen, ..Config::default() };
    config.tls.certificate = Some(directory.join("certificate.pem"));
    config.tls.private_key = Some(directory.join("key.pem"));
    config
}

/// Makes a certificate for this machine and puts it, with its key, where the server looks.
fn issue(directory: &Path) -> CertificateDer<'static> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = directory.join("key.pem");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a key file");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("a key file");
    std::fs::write(directory.join("certificate.pem"), made.cert.pem()).expect("a certificate file");
    made.cert.der().clone()
}

fn trusting(certificate: &CertificateDer<'static>, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that there are")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn handshake(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A client of one protocol.
fn client(config: ClientConfig, version: http::Version) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
    let connector = match version {
        http::Version::HTTP_2 => builder.enable_http2().build(),
        _ => builder.enable_http1().build(),
    };
    Client::builder(TokioExecutor::new()).http2_only(version == http::Version::HTTP_2).build(connector)
}

/// Sends a signed request as it was built, over TLS.
async fn send(
    client: &Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: http::Request<Full<Bytes>>,
) -> (Answer, http::Version) {
    let (mut parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    parts.uri = parts.uri.to_string().replacen("http://", "https://", 1).parse().expect("a URL");
    let response =
        client.request(http::Request::from_parts(parts, body)).await.unwrap_or_else(|e| panic!("{line}: {e:?}"));
    let version = response.version();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap_or_else(|e| panic!("{line}: {e:?}")).to_bytes();
    (Answer { status: parts.status, headers: parts.headers, body, request: line }, version)
}

#[tokio::test]
async fn every_version_with_every_protocol() {
    let encrypted = Encrypted::start().await;
    assert!(encrypted.server.endpoint().starts_with("https://"));
    let raw = &encrypted.raw;
    let content = vec![7; 3_000_000];
    for (number, tls) in [&TLS12, &TLS13].into_iter().enumerate() {
        for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
            let client = client(trusting(&encrypted.certificate, &[tls]), version);
            let bucket = format!("/bucket-{number}-{}", version == http::Version::HTTP_2);
            let (answer, used) = send(&client, raw.request("PUT", &bucket).build()).await;
            answer.is(200);
            assert_eq!(used, version);
            let put = raw.request("PUT", &format!("{bucket}/key")).body(content.clone()).build();
            send(&client, put).await.0.is(200);
            send(&client, raw.request("GET", &format!("{bucket}/key")).build()).await.0.is(200).has_body(&content);
            send(&client, raw.request("GET", &format!("{bucket}/no")).build()).await.0.fails(404, "NoSuchKey");
            send(&client, raw.request("HEAD", &format!("{bucket}/no")).build()).await.0.is(404).has_body("");
        }
    }
    encrypted.server.shutdown().await.expect("an orderly end");
}

#[tokio::test]
async fn protocols_are_agreed_on() {
    let encrypted = Encrypted::start().await;
    type Case<'a> = (&'a [&'a [u8]], Option<&'a [u8]>);
    let cases: [Case<'_>; 4] = [
        (&[b"h2", b"http/1.1"], Some(b"h2")),
        (&[b"http/1.1", b"h2"], Some(b"h2")),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ];
    for (offered, chosen) in cases {
        let stream = encrypted.connect(offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
    }
    let mut config = trusting(&encrypted.certificate, BOTH);
    config.alpn_protocols = vec![b"spdy/3".to_vec()];
    assert!(handshake(encrypted.server.address(), config).await.is_err());
}

#[tokio::test]
async fn old_versions_can_be_shut_out() {
    let encrypted = Encrypted::start_with(|config| config.tls.minimum_version = TlsVersion::V1_3).await;
    let address = encrypted.server.address();
    assert!(handshake(address, trusting(&encrypted.certificate, &[&TLS12])).await.is_err());
    assert!(handshake(address, trusting(&encrypted.certificate, &[&TLS13])).await.is_ok());
}

#[tokio::test]
async fn plain_http_is_told_what_to_do() {
    let encrypted = Encrypted::start().await;
    for sent in
        [HEALTH, b"PUT /bucket/key HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", b"PRI * HTTP/2.0\r\n\r\n"]
    {
        let answer = encrypted.raw.wire(sent).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("<Code>InvalidRequest</Code>") && answer.contains("https://"), "{answer}");
    }
    encrypted.server.shutdown().await.expect("an orderly end");
}

#[tokio::test]
async fn connections_say_that_they_end() {
    let encrypted = Encrypted::start().await;
    let mut stream = encrypted.connect(&[]).await;
    stream.write_all(b"GET /-/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("a server");
    let mut answer = String::new();
    // Without the closing message this fails with UnexpectedEof.
    stream.read_to_string(&mut answer).await.expect("an end that is meant");
    assert!(answer.ends_with("live\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_holds_up_nobody() {
    let encrypted = Encrypted::start_with(|config| config.limits.idle_seconds = 1).await;
    let mut silent = TcpStream::connect(encrypted.server.address()).await.expect("a connection");
    let mut halting = TcpStream::connect(encrypted.server.address()).await.expect("a connection");
    halting.write_all(&[0x16, 3, 1, 2, 0]).await.expect("a server that reads");
    let mut stream = encrypted.connect(&[]).await;
    stream.write_all(HEALTH).await.expect("a server that reads");
    assert!(stream.read_u8().await.is_ok());
    for stream in [&mut silent, &mut halting] {
        let mut rest = Vec::new();
        // The end may be a reset, as bytes were left unread.
        let _end = stream.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn handshakes_count_as_connections() {
    let encrypted = Encrypted::start_with(|config| config.limits.connections = 1).await;
    let silent = TcpStream::connect(encrypted.server.address()).await.expect("a connection");
    let (address, config) = (encrypted.server.address(), trusting(&encrypted.certificate, BOTH));
    let mut second = tokio::spawn(handshake(address, config));
    let waited = tokio::time::timeout(std::time::Duration::from_millis(200), &mut second).await;
    assert!(waited.is_err(), "the limit counts handshakes");
    drop(silent);
    second.await.expect("no panic").expect("a handshake, once there is room");
}

#[tokio::test]
async fn certificates_change_without_a_restart() {
    let mut encrypted = Encrypted::start().await;
    let address = encrypted.server.address();
    let former = encrypted.certificate.clone();
    let mut running = encrypted.connect(&[]).await;
    assert_eq!(encrypted.server.reload_certificate().await.expect("a certificate"), Reload::Unchanged);

    encrypted.certificate = issue(encrypted.directory.path());
    assert_eq!(encrypted.server.reload_certificate().await.expect("a certificate"), Reload::Replaced);
    assert!(handshake(address, trusting(&former, BOTH)).await.is_err());
    encrypted.connect(&[]).await;
    running.write_all(HEALTH).await.expect("a running connection");
    assert!(running.read_u8().await.is_ok(), "running connections go on");

    // Whatever is wrong with its successor, the one in force stays.
    let (certificate, key) =
        (encrypted.directory.path().join("certificate.pem"), encrypted.directory.path().join("key.pem"));
    let (good_certificate, good_key) = (std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap());
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    for (certificate_text, key_text, mode, said) in [
        ("", None, 0o600, "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", None, 0o600, "holds no certificate"),
        (other.cert.pem().as_str(), None, 0o600, "cannot be used with the private key"),
        (other.cert.pem().as_str(), Some("nothing"), 0o600, "holds no private key"),
        (other.cert.pem().as_str(), None, 0o644, "chmod 640"),
        (other.cert.pem().as_str(), None, 0o660, "chmod 640"),
    ] {
        std::fs::write(&certificate, certificate_text).unwrap();
        std::fs::write(&key, key_text.map_or(good_key.as_slice(), str::as_bytes)).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = encrypted.server.reload_certificate().await.expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
        encrypted.connect(&[]).await;
    }
    std::fs::remove_file(&certificate).unwrap();
    assert!(encrypted.server.reload_certificate().await.is_err());
    std::fs::write(&certificate, good_certificate).unwrap();
    std::fs::write(&key, good_key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(encrypted.server.reload_certificate().await.expect("a certificate"), Reload::Unchanged);
}

#[tokio::test]
async fn no_server_starts_without_a_usable_certificate() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for mode in [None, Some(0o604)] {
        if let Some(mode) = mode {
            issue(directory.path());
            let key = directory.path().join("key.pem");
            std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let error = Server::start(config(directory.path())).await.err().expect("a refusal");
        assert!(matches!(error, ServerError::Tls(_)), "{error}");
        assert!(!directory.path().join("data").exists(), "nothing was made");
    }
}
