//! Which server a command asks, and as whom: by the settings that the server itself reads, or by flags and the
//! environment variables of S3 clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::cli::{AskArgs, CliError};
use crate::config::{Config, Sources};
use crate::credentials::{Credentials, Secret};
use crate::outbound::Trust;

/// The environment variable of the AWS clients that names a file of authorities.
const CA_BUNDLE_VARIABLE: &str = "AWS_CA_BUNDLE";

/// A server, and whose requests it accepts.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `http://host:port` or `https://host:port`
    pub endpoint: String,
    /// Which certificates are believed.
    pub trust: Trust,
    /// The region to sign for.
    pub region: String,
    /// The credentials to sign with.
    pub credentials: Credentials,
}

impl Connection {
    /// The server that the arguments and the environment mean.
    pub fn find(args: &AskArgs) -> Result<Connection, CliError> {
        let mut sources = Sources::of_process(args.config.clone()).map_err(CliError::Usage)?;
        for (flag, name, value) in [("--data", "data", &args.data), ("--region", "region", &args.region)] {
            sources.flags.extend(value.clone().map(|value| (flag.to_owned(), name.to_owned(), value)));
        }
        let config = Config::load(&sources)?;
        let (endpoint, trust) = match (&args.endpoint, config.tls.config()) {
            (Some(url), _) => (checked(url)?, Trust::of_url(url, authorities())),
            (None, Some(tls)) => (endpoint_of("https", config.listen)?, Trust::Certificate(tls.certificate)),
            (None, None) => (endpoint_of("http", config.listen)?, Trust::Nobody),
        };
        // Whoever names a server by its URL may have no access to its files.
        let credentials = match (&args.endpoint, of_environment()) {
            (Some(_), Some(credentials)) => credentials,
            // The root key of one server is no business of another's; whoever names both says that they belong together.
            (Some(_), None) if args.data.is_none() && !is_served_by(&endpoint, config.listen) => {
                let message = format!(
                    "{endpoint} is not where the configured server listens ({}), so requests to it are not signed with \
                     that server's root key; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name its data \
                     directory with --data",
                    config.listen
                );
                return Err(CliError::Usage(message));
            }
            _ => of_server(&config)?,
        };
        Ok(Connection { endpoint, trust, region: config.region, credentials })
    }
}

/// The file of authorities that the environment names.
fn authorities() -> Option<PathBuf> {
    std::env::var_os(CA_BUNDLE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn of_environment() -> Option<Credentials> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let secret_key = Secret::new(variable("AWS_SECRET_ACCESS_KEY")?);
    Some(Credentials { access_key: variable("AWS_ACCESS_KEY_ID")?, secret_key })
}

/// A URL without a trailing slash.
fn checked(url: &str) -> Result<String, CliError> {
    let url = url.trim_end_matches('/');
    match url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) {
        Some(authority) if !authority.is_empty() && !authority.contains(['/', '?', '#', '@']) => Ok(url.to_owned()),
        _ => {
            Err(CliError::Usage(format!("--endpoint {url:?} is not of the form http://HOST:PORT or https://HOST:PORT")))
        }
    }
}

/// Where a server that listens on that address is reached from this machine.
fn endpoint_of(scheme: &str, listen: SocketAddr) -> Result<String, CliError> {
    let mut address = listen;
    if address.port() == 0 {
        return Err(CliError::Usage("the server listens on any free port; name its URL with --endpoint".to_owned()));
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(format!("{scheme}://{address}"))
}

/// Whether a URL leads to a server of this machine that listens on that address, as far as the URL tells.
fn is_served_by(endpoint: &str, listen: SocketAddr) -> bool {
    let authority = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let named = match authority.strip_prefix("localhost") {
        Some(port) => format!("127.0.0.1{port}"),
        None => authority.to_owned(),
    };
    // Port 80 may go without saying.
    let address = named.parse().ok().or_else(|| named.parse().ok().map(|ip| SocketAddr::new(ip, 80)));
    let Some(address): Option<SocketAddr> = address else { return false };
    let has_host = match address.ip() {
        ip if ip.is_loopback() => listen.ip().is_loopback() || listen.ip().is_unspecified(),
        ip => ip == listen.ip(),
    };
    // A server on any free port tells which one only in its log.
    has_host && (address.port() == listen.port() || listen.port() == 0)
}

/// The credentials of a server that has been started before: the configured ones, or those kept in its data directory.
/// None are made: a command that looked in the wrong directory must leave nothing there.
fn of_server(config: &Config) -> Result<Credentials, CliError> {
    let Some((credentials, _)) = Credentials::present(&config.root, &config.data)? else {
        let message = format!(
            "there are no root credentials in {}; start the server with `strata serve` first, name its data directory \
             with --data, or give --endpoint and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            config.data.display()
        );
        return Err(CliError::Usage(message));
    };
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::{checked, endpoint_of, is_served_by};

    #[test]
    fn endpoints() {
        fn check(listen: &str, expected: Option<&str>) {
            assert_eq!(endpoint_of("http", listen.parse().unwrap()).ok().as_deref(), expected, "{listen}");
        }
        check("127.0.0.1:9000", Some("http://127.0.0.1:9000"));
        check("0.0.0.0:9000", Some("http://127.0.0.1:9000"));
        check("[::]:9000", Some("http://[::1]:9000"));
        check("10.0.0.7:80", Some("http://10.0.0.7:80"));
        check("127.0.0.1:0", None);
    }

    #[test]
    fn a_root_key_is_for_its_own_server() {
        fn check(endpoint: &str, listen: &str, expected: bool) {
            assert_eq!(is_served_by(endpoint, listen.parse().unwrap()), expected, "{endpoint} {listen}");
        }
        check("http://127.0.0.1:9000", "127.0.0.1:9000", true);
        check("http://localhost:9000", "127.0.0.1:9000", true);
        check("http://localhost:9000", "0.0.0.0:9000", true);
        check("http://[::1]:9000", "[::]:9000", true);
        check("http://127.0.0.1:4000", "127.0.0.1:0", true);
        check("http://10.0.0.7", "10.0.0.7:80", true);
        check("http://127.0.0.1:9001", "127.0.0.1:9000", false);
        check("http://10.0.0.8:9000", "127.0.0.1:9000", false);
        check("http://10.0.0.8:9000", "0.0.0.0:9000", false);
        check("http://localhost.example.com:9000", "127.0.0.1:9000", false);
        check("http://example.com:9000", "127.0.0.1:0", false);
    }

    #[test]
    fn urls() {
        assert_eq!(checked("http://host:9000/").unwrap(), "http://host:9000");
        assert_eq!(checked("https://host").unwrap(), "https://host");
        for url in ["ftp://host", "host:9000", "https://", "http://", "http://host/path", ""] {
            assert!(checked(url).is_err(), "{url}");
        }
    }
}
