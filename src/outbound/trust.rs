//! Which certificates are believed to be those of the server that is asked.
//!
//! A server that was found by its settings shows the certificate that these name, byte by byte: whoever signed it, and
//! whatever it is called, the names in it are seldom those that the machine itself goes by. A server that was named by
//! its URL is believed as any other: by the authorities that the machine trusts, or those in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Which certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// None: the connection is not encrypted.
    Nobody,
    /// Those signed by an authority that the machine trusts.
    Machine,
    /// Those signed by an authority in this file.
    Authorities(PathBuf),
    /// The first one in this file, and no other.
    Certificate(PathBuf),
}

/// Why it cannot be known whom to believe. The message says which file is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read as certificates.
    #[error("{path} cannot be read as certificates in PEM form: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The machine's trusted authorities are nowhere to be found.
    #[error("the machine's trusted authorities cannot be read: {0}")]
    Machine(std::io::Error),
    /// There is no TLS at all.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// Of a server that was named by its URL; by the authorities in a file, if there is one.
    pub fn of_url(url: &str, authorities: Option<PathBuf>) -> Trust {
        if !url.starts_with("https://") {
            return Trust::Nobody;
        }
        authorities.map_or(Trust::Machine, Trust::Authorities)
    }

    /// How to shake hands. `Err` if a file cannot be used.
    pub fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let config = match self {
            Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
            Trust::Machine => builder.with_native_roots().map_err(TrustError::Machine)?.with_no_client_auth(),
            Trust::Authorities(path) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(path)?);
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Trust::Certificate(path) => {
                let certificate = certificates(path)?.swap_remove(0);
                let verifier = Arc::new(Pinned { certificate, provider });
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
        };
        Ok(config)
    }
}

/// The certificates of a file: at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |reason: String| TrustError::File { path: path.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| match error {
        pem::Error::Io(error) => unreadable(error.to_string()),
        other => unreadable(other.to_string()),
    })?;
    if found.is_empty() { Err(unreadable("it holds none".to_owned())) } else { Ok(found) }
}

/// Believes one certificate. The handshake still proves that the server has its key.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
