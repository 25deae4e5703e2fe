//! The server's certificate: read at the start, and again when its files change or on request.
//!
//! A handshake takes what is current at its time; connections keep what they began with. Files that cannot be used
//! never replace a certificate that can, so a half-finished replacement costs a line in the log and no client. With a
//! new certificate no session of the former one is resumed, as it may have been replaced for being stolen. Data before
//! the end of a handshake is never accepted: it could be replayed.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::connection::Phase;
use crate::config::{TlsConfig, TlsVersion};

/// What clients may choose from, best first.
pub const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
/// What HTTP/2 is called in a handshake.
pub const HTTP_2: &[u8] = b"h2";

/// How often the files are looked at: those who replace certificates do so days before they end.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Far more than a chain of certificates takes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// By other users; and by the group, except for reading: keys are often shared with a group such as ssl-cert.
const FORBIDDEN_MODE: u32 = 0o027;

/// The certificate in force.
pub struct Tls {
    config: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

/// What the files held when they were last looked at.
struct Seen {
    /// Of what is in force.
    digest: Digest,
    /// Why the files could not be used, if so: said once, not every time.
    complaint: Option<String>,
}

type Digest = [u8; 32];

/// What a look at the files led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// They hold what is in force already.
    Unchanged,
    /// New connections get another certificate.
    Replaced,
}

/// Why a certificate cannot be used. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Too many may read or write the private key.
    #[error(
        "the private key {path} can be read by other users, or written by its group; run: chmod 640 {path}",
        path = .0.display()
    )]
    Exposed(PathBuf),
    /// There is no certificate in the file.
    #[error("{path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path = .0.display())]
    NoCertificate(PathBuf),
    /// There is no private key in the file.
    #[error(
        "{path} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----); one that is encrypted with a password \
         must be decrypted first", path = .0.display()
    )]
    NoPrivateKey(PathBuf),
    /// The two do not belong together, or are of an unknown kind.
    #[error(
        "the certificate {certificate} cannot be used with the private key {private_key}: {source}; the first \
         certificate in the file must be the server's own, followed by those that sign it",
        certificate = .certificate.display(), private_key = .private_key.display()
    )]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        private_key: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads the files.
    pub fn open(config: TlsConfig) -> Result<Tls, TlsError> {
        let (digest, current) = read(&config)?.into_server_config(&config)?;
        let seen = Mutex::new(Seen { digest, complaint: None });
        Ok(Tls { config, current: RwLock::new(current), seen })
    }

    /// What answers the next handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Reads the files again. On `Err` the former certificate stays in force. Blocks for as long as two small files
    /// take to be read.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let pem = read(&self.config)?;
        if pem.digest() == seen.digest {
            seen.complaint = None;
            return Ok(Reload::Unchanged);
        }
        let (digest, config) = pem.into_server_config(&self.config)?;
        *seen = Seen { digest, complaint: None };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(Reload::Replaced)
    }

    /// Looks at the files again and again while the server serves.
    pub async fn watch(self: Arc<Tls>, mut phase: watch::Receiver<Phase>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            }
            let tls = Arc::clone(&self);
            // A panic was reported when it happened; the next look is as good.
            let _looked = tokio::task::spawn_blocking(move || tls.look()).await;
        }
    }

    fn look(&self) {
        match self.reload() {
            Ok(Reload::Unchanged) => {}
            Ok(Reload::Replaced) => tracing::info!("new connections get the certificate that replaced the former one"),
            Err(error) => {
                let complaint = error.to_string();
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.complaint.as_ref() != Some(&complaint) {
                    tracing::warn!(%error, "the changed certificate cannot be used; the former one stays in force");
                    seen.complaint = Some(complaint);
                }
            }
        }
    }
}

/// The bytes of both files.
struct Pem {
    certificate: Vec<u8>,
    private_key: Zeroizing<Vec<u8>>,
}

impl Pem {
    fn digest(&self) -> Digest {
        let certificate = Sha256::digest(&self.certificate);
        Sha256::new().chain_update(certificate).chain_update(&*self.private_key).finalize().into()
    }

    fn into_server_config(self, config: &TlsConfig) -> Result<(Digest, Arc<ServerConfig>), TlsError> {
        let digest = self.digest();
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate(config.certificate.clone()))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(config.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.private_key)
            .map_err(|_| TlsError::NoPrivateKey(config.private_key.clone()))?;
        let server_config = server_config(config.minimum_version, chain, key).map_err(|source| TlsError::Unusable {
            certificate: config.certificate.clone(),
            private_key: config.private_key.clone(),
            source,
        })?;
        Ok((digest, Arc::new(server_config)))
    }
}

fn server_config(
    minimum: TlsVersion,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[_] = match minimum {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Clients keep their own sessions, sealed, so that resuming needs no memory here.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

fn read(config: &TlsConfig) -> Result<Pem, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Unreadable { path, source }
    };
    let mut certificate = Vec::new();
    let file = File::open(&config.certificate).map_err(unreadable(&config.certificate))?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut certificate).map_err(unreadable(&config.certificate))?;

    let path = &config.private_key;
    let file = File::open(path).map_err(unreadable(path))?;
    // Of the open file, so that it is the one that is read.
    let metadata = file.metadata().map_err(unreadable(path))?;
    if metadata.permissions().mode() & FORBIDDEN_MODE != 0 {
        return Err(TlsError::Exposed(path.clone()));
    }
    // At its full size from the start: a buffer that grew would leave copies behind that nobody wipes.
    let size = usize::try_from(metadata.len().min(FILE_BYTES_MAX)).unwrap_or_default();
    let mut private_key = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(FILE_BYTES_MAX).read_to_end(&mut private_key).map_err(unreadable(path))?;
    Ok(Pem { certificate, private_key })
}
