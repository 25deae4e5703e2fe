//! What the targets that are message brokers have in common: how they are reached, how long a call may take, and when a
//! session is kept for the next call.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::order::Order;
use super::target::{Deliveries, DeliveryError, Message, Target};
use crate::config::call_time;
use crate::credentials::Secret;
use crate::outbound::Trust;

/// Messages of one call: some hundred KiB of events.
pub const BATCH_MAX: usize = 128;
/// The most bytes of bodies that are on their way at once.
pub const RUN_BYTES_MAX: usize = 1 << 20;

/// The settings that all brokers have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinkSettings {
    /// The user to sign in as.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Whether connections are encrypted.
    #[serde(default)]
    pub tls: bool,
    /// The file of the authorities to believe, in PEM form, instead of those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// How long one call may take.
    #[serde(default = "timeout_default", deserialize_with = "call_time")]
    pub timeout: Duration,
}

fn timeout_default() -> Duration {
    Duration::from_secs(10)
}

impl LinkSettings {
    /// The user and the password; `None` if nobody signs in. `Err` if one of them is missing.
    pub fn user(&self) -> Result<Option<(String, Secret)>, String> {
        match (self.username.clone(), self.password.clone()) {
            (None, None) => Ok(None),
            (Some(username), Some(password)) => Ok(Some((username, password))),
            _ => Err("username and password go together".to_owned()),
        }
    }
}

/// The way to a broker, with the session that the last call left.
pub struct Link<S> {
    /// How to shake hands; `None` if nothing is encrypted.
    pub tls: Option<Arc<ClientConfig>>,
    /// How long one call may take.
    pub timeout: Duration,
    session: Mutex<Option<S>>,
}

impl<S> Link<S> {
    /// Nothing is connected yet. `Err` says what is wrong with the settings.
    pub fn new(settings: &LinkSettings) -> Result<Link<S>, String> {
        Ok(Link { tls: client_config(settings)?, timeout: settings.timeout, session: Mutex::new(None) })
    }
}

/// What one kind of broker does in its own way. Whatever does this is a target.
pub trait Broker: Send + Sync {
    /// A connection that can be sent on.
    type Session: Send;

    /// The way to it.
    fn link(&self) -> &Link<Self::Session>;

    /// Connects and signs in.
    fn connect(&self) -> impl Future<Output = Result<Self::Session, DeliveryError>> + Send;

    /// Whether a session that was kept can be used again.
    fn is_open(_session: &Self::Session) -> bool {
        true
    }

    /// Sends what `order` offers, until that is nothing, and notes what became of it. `Err` tells why nothing more can be sent.
    fn send(
        &self,
        session: &mut Self::Session,
        order: &mut Order<'_>,
    ) -> impl Future<Output = Result<(), DeliveryError>> + Send;

    /// Whether that is there to which events would be sent.
    fn look(&self, session: Self::Session) -> impl Future<Output = Result<(), DeliveryError>> + Send;
}

impl<B: Broker> Target for B {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries> {
        Box::pin(async move {
            let mut order = Order::new(messages);
            if let Err(reason) = in_time(self.link().timeout, deliver(self, &mut order)).await {
                order.stop(reason);
            }
            order.deliveries()
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(in_time(self.link().timeout, async { self.look(self.connect().await?).await }))
    }
}

async fn deliver<B: Broker>(broker: &B, order: &mut Order<'_>) -> Result<(), DeliveryError> {
    let mut held = broker.link().session.lock().await;
    // Taken out, so that a call that fails or runs out of time leaves no session with answers still to come.
    let mut session = match held.take().filter(B::is_open) {
        Some(session) => session,
        None => broker.connect().await?,
    };
    broker.send(&mut session, order).await?;
    // After a failure, the next call begins with fresh knowledge of the broker.
    if !order.is_stopped() {
        *held = Some(session);
    }
    Ok(())
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

fn client_config(settings: &LinkSettings) -> Result<Option<Arc<ClientConfig>>, String> {
    let trust = match (settings.tls, &settings.ca_file) {
        (false, None) => return Ok(None),
        (false, Some(_)) => return Err("ca_file needs tls = true".to_owned()),
        (true, None) => Trust::Machine,
        (true, Some(path)) => Trust::Authorities(path.clone()),
    };
    let config = trust.client_config().map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(config)))
}

async fn in_time<T>(
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
        let settings = |text| client_config(&toml::from_str(text).unwrap());
        assert!(settings("").unwrap().is_none());
        assert!(settings("ca_file = '/ca.pem'").unwrap_err().contains("tls = true"));
        let missing = settings("tls = true\nca_file = '/does/not/exist'");
        assert!(missing.unwrap_err().contains("/does/not/exist"));
    }
}
