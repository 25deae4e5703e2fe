//! What the targets that are message brokers have in common: how they are reached, and how long a call may take.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::DeliveryError;
use crate::outbound::Trust;

/// Messages of one call: some hundred KiB of events.
pub const BATCH_MAX: usize = 128;
/// The most bytes of bodies that are on their way at once.
pub const RUN_BYTES_MAX: usize = 1 << 20;

/// How long one call may take, unless the settings say otherwise.
pub fn timeout_default() -> Duration {
    Duration::from_secs(10)
}

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The host's name or address; of IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `host:port` or `[host]:port`. A URL is refused: it might hold a password, and addresses are shown.
    pub fn parse(text: &str) -> Result<Address, String> {
        let shown = if text.contains('@') { "***" } else { text };
        let wrong = || format!("{shown:?} is not an address such as broker.example.com:5672");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
        let port = port.parse().ok().filter(|port| *port > 0 && is_host).ok_or_else(wrong)?;
        Ok(Address { host: host.to_owned(), port })
    }

    /// Reads a list of them, one at least.
    pub fn parse_all(texts: &[String]) -> Result<Vec<Address>, String> {
        if texts.is_empty() {
            return Err("addresses must name at least one broker".to_owned());
        }
        texts.iter().map(|text| Address::parse(text)).collect()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Address { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A connection as the client libraries use it, encrypted or not.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to `address`. Not bounded in time.
pub async fn connect(address: &Address) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Encrypts a connection to `address`, if it is to be. Not bounded in time.
pub async fn secure(
    stream: TcpStream,
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
) -> io::Result<Box<dyn Connection>> {
    let Some(config) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
}

/// How to shake hands with a broker; `None` without `tls`. `ca_file` names the authorities to believe instead of those that
/// the machine trusts.
pub fn client_config(tls: bool, ca_file: Option<&Path>) -> Result<Option<Arc<ClientConfig>>, String> {
    let trust = match (tls, ca_file) {
        (false, None) => return Ok(None),
        (false, Some(_)) => return Err("ca_file needs tls = true".to_owned()),
        (true, None) => Trust::Machine,
        (true, Some(path)) => Trust::Authorities(path.to_owned()),
    };
    let config = trust.client_config().map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(config)))
}

/// Runs `work`, for at most `timeout`.
pub async fn in_time<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    let late = |_| Err(DeliveryError::Unavailable(format!("no answer within {} s", timeout.as_secs_f64())));
    tokio::time::timeout(timeout, work).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16)>) {
        let parsed = Address::parse(text).ok();
        let expected = expected.map(|(host, port)| Address { host: host.to_owned(), port });
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[test]
    fn addresses_are_hosts_with_ports() {
        check("localhost:6379", Some(("localhost", 6379)));
        check("[::1]:4222", Some(("::1", 4222)));
        for wrong in ["localhost", ":1", "host:0", "host:70000", "nats://host:4222", "user:pass@host:1", "a/b:1"] {
            check(wrong, None);
        }
        assert_eq!(Address::parse("[::1]:4222").unwrap().to_string(), "[::1]:4222");
        assert!(!Address::parse("user:secret@host:1").unwrap_err().contains("secret"));
        assert!(Address::parse_all(&[]).is_err());
    }

    #[test]
    fn authorities_need_encryption() {
        assert!(client_config(false, None).unwrap().is_none());
        assert!(client_config(false, Some(Path::new("/ca.pem"))).unwrap_err().contains("tls = true"));
        assert!(client_config(true, Some(Path::new("/does/not/exist"))).unwrap_err().contains("/does/not/exist"));
    }
}
