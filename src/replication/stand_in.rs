//! What tests put in the place of another store: its settings, and requests as they arrive there.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::config::{RegionSettings, UrlStyle};
use crate::credentials::{Credentials, Secret};

/// A region `other` at that endpoint.
pub(crate) fn settings(endpoint: &str, style: UrlStyle, secret: &str) -> RegionSettings {
    RegionSettings {
        name: "other".to_owned(),
        endpoint: endpoint.parse().expect("a URL"),
        signing_region: "us-east-1".to_owned(),
        credentials: Credentials { access_key: "AKID".to_owned(), secret_key: Secret::new(secret.to_owned()) },
        ca_file: None,
        buckets: Vec::new(),
        style,
    }
}

/// The head of the next request, in lines, and as many bytes of its body as it announces.
pub(crate) async fn receive(stream: &mut TcpStream) -> (Vec<String>, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.expect("a request");
        assert!(count > 0, "the connection ended");
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head: Vec<String> = String::from_utf8_lossy(&bytes[..end]).lines().map(str::to_owned).collect();
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if bytes.len() - end - 4 >= length {
            return (head, bytes[end + 4..].to_vec());
        }
    }
}
