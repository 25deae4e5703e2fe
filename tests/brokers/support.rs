//! Messages to deliver, what became of them, and certificates to do it under.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use strata::events::target::{Deliveries, DeliveryError, Message};
use strata_storage::Timestamp;

/// A message of that number about the key.
pub fn message(number: usize, key: &str) -> Message {
    message_of_bytes(number, key, 64)
}

/// The same, whose document has about as many bytes.
pub fn message_of_bytes(number: usize, key: &str, bytes: usize) -> Message {
    Message {
        id: format!("id-{number:04}"),
        bucket: "bucket".to_owned(),
        key: key.to_owned(),
        event_name: "ObjectCreated:Put".to_owned(),
        time: Timestamp::from_secs(1_790_848_800),
        body: format!(r#"{{"number":{number},"fill":"{}"}}"#, "x".repeat(bytes)).into(),
    }
}

/// Messages numbered from `first`, about three keys in turn.
pub fn messages(first: usize, count: usize) -> Vec<Message> {
    (first..first + count).map(|number| message(number, ["a", "b/ü", "c"][number % 3])).collect()
}

/// The ids of messages.
pub fn ids(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.id.clone()).collect()
}

/// Fails unless everything was delivered.
pub fn delivered(outcomes: Deliveries) {
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

/// Fails unless every outcome says that the target cannot be used now.
pub fn unavailable(outcomes: Deliveries) {
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(DeliveryError::Unavailable(_)))), "{outcomes:?}");
}

/// `+` for delivered, `?` for unavailable, `-` for rejected.
pub fn signs(outcomes: &Deliveries) -> String {
    let sign = |outcome: &Result<(), DeliveryError>| match outcome {
        Ok(()) => '+',
        Err(DeliveryError::Unavailable(_)) => '?',
        Err(DeliveryError::Rejected(_)) => '-',
    };
    outcomes.iter().map(sign).collect()
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A server's certificate for `localhost`, and who signed it; all in PEM form.
pub struct Certificates {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The server's.
    pub certificate: PathBuf,
    /// The server's key.
    pub private_key: PathBuf,
}

impl Certificates {
    /// Makes them in `directory`.
    pub fn make(directory: &Path) -> Certificates {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = certificate.signed_by(&key, &authority).expect("a certificate");
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        Certificates {
            authority: write("authority.pem", authority.pem()),
            certificate: write("certificate.pem", certificate.pem()),
            private_key: write("key.pem", key.serialize_pem()),
        }
    }
}
