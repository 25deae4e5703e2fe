//! The client against a server with TLS: whom it believes, and what it signs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Bounds, HttpClient, OutboundError, Trust, TrustError};

const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(10), call: Duration::from_secs(10), answer_bytes: 1 << 10 };

/// A server whose certificate signs itself; gives its URL and the file of the certificate.
async fn server(directory: &TempDir) -> (String, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, &pem).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _read = stream.read(&mut head).await;
            let _written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let _ended = stream.shutdown().await;
        }
    });
    (url, file)
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn certificates_are_believed_as_configured() {
    let directory = tempfile::tempdir().unwrap();
    let (url, file) = server(&directory).await;
    for trust in [Trust::of_url(&url, Some(file.clone())), Trust::Certificate(file.clone())] {
        let answer = HttpClient::new(&trust, BOUNDS).unwrap().send(get(&url)).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"ok"[..]));
    }
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&file, stranger.cert.pem()).unwrap();
    for trust in [Trust::Nobody, Trust::Authorities(file.clone()), Trust::Certificate(file.clone())] {
        let refused = HttpClient::new(&trust, BOUNDS).unwrap().send(get(&url)).await.unwrap_err();
        assert!(matches!(&refused, OutboundError::Unreachable(reason) if reason.contains("certificate")), "{refused}");
    }
}

#[test]
fn files_that_hold_no_certificates_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    for text in [None, Some(""), Some("nonsense"), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")]
    {
        text.into_iter().for_each(|text| std::fs::write(&file, text).unwrap());
        let error = HttpClient::new(&Trust::Authorities(file.clone()), BOUNDS).err().unwrap();
        assert!(matches!(error, TrustError::File { .. }) && error.to_string().contains("ca.pem"), "{text:?}: {error}");
    }
    assert_eq!(Trust::of_url("http://h", Some(file)), Trust::Nobody);
    assert_eq!(Trust::of_url("https://h", None), Trust::Machine);
}
