//! Keys: the signing keys derived from secrets, and a bounded cache of those.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use subtle::ConstantTimeEq as _;

use super::credential::{Credential, Service};
use crate::credentials::Secret;

/// How many signing keys are kept: those that the callers of the last moments used. A miss costs some microseconds.
const KEYS_MAX: usize = 256;

/// A key for one day, region and service. It is never printed.
#[derive(Clone, Copy)]
pub(super) struct SigningKey([u8; 32]);

impl SigningKey {
    /// Whether `signature` (lower-case hex) is this key's signature of `text`, in constant time.
    pub(super) fn verifies(&self, text: &str, signature: &str) -> bool {
        self.sign(text).as_bytes().ct_eq(signature.as_bytes()).into()
    }

    /// This key's signature of `text`, in lower-case hex.
    pub(super) fn sign(&self, text: &str) -> String {
        calculate_signature(self.0, text.as_bytes())
    }

    fn derive(secret: &Secret, credential: &Credential<'_>) -> SigningKey {
        let day = UNIX_EPOCH + Duration::from_secs(credential.day.as_secs());
        let derived = generate_signing_key(secret.expose(), day, credential.region, credential.service.name());
        SigningKey(derived.as_ref().try_into().expect("an HMAC-SHA256 has 32 bytes"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Signing keys by all that they are derived from, the most recently used last. The secret is part of it, so that an
/// access key which was given another secret, or removed and made anew, finds nothing of what it was.
#[derive(Default)]
pub(super) struct SigningKeys(Mutex<Vec<Entry>>);

struct Entry {
    secret: Secret,
    date: String,
    region: String,
    service: Service,
    key: SigningKey,
}

impl SigningKeys {
    /// The key that `secret` makes for the day, region and service of a credential.
    pub(super) fn key(&self, secret: &Secret, credential: &Credential<'_>) -> SigningKey {
        let wanted = |entry: &Entry| {
            entry.date == credential.date
                && entry.service == credential.service
                && entry.region == credential.region
                && bool::from(entry.secret.expose().as_bytes().ct_eq(secret.expose().as_bytes()))
        };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = entries.iter().rposition(wanted) {
            let key = entries[at].key;
            entries[at..].rotate_left(1);
            return key;
        }
        let key = SigningKey::derive(secret, credential);
        if entries.len() == KEYS_MAX {
            entries.remove(0);
        }
        entries.push(Entry {
            secret: secret.clone(),
            date: credential.date.to_owned(),
            region: credential.region.to_owned(),
            service: credential.service,
            key,
        });
        key
    }
}

#[cfg(test)]
mod tests {
    use super::super::credential::{Credential, Form};
    use super::{KEYS_MAX, Secret, SigningKeys};

    #[test]
    fn another_secret_or_service_is_another_key() {
        let keys = SigningKeys::default();
        let credential = |service: &str| format!("AK/20260102/us-east-1/{service}/aws4_request");
        let (s3, iam) = (credential("s3"), credential("iam"));
        let [s3, iam] =
            [&s3, &iam].map(|text| Credential::parse(text, Form::Header, "us-east-1").expect("well formed"));
        let secret = |text: &str| Secret::new(text.to_owned());
        let old = keys.key(&secret("old"), &s3);
        assert_ne!(keys.key(&secret("new"), &s3).0, old.0);
        assert_ne!(keys.key(&secret("old"), &iam).0, old.0);
        assert_eq!(keys.key(&secret("old"), &s3).0, old.0);
    }

    #[test]
    fn the_cache_is_bounded_and_right() {
        let secret = Secret::new("secret".to_owned());
        let keys = SigningKeys::default();
        for round in 0..3 {
            for year in 1970..1970 + KEYS_MAX + 8 {
                let text = format!("AK/{year}0102/us-east-1/s3/aws4_request");
                let credential = Credential::parse(&text, Form::Header, "us-east-1").expect("well formed");
                let fresh = SigningKeys::default().key(&secret, &credential);
                assert_eq!(keys.key(&secret, &credential).0, fresh.0, "{round} {text}");
            }
            assert_eq!(keys.0.lock().expect("not poisoned").len(), KEYS_MAX);
        }
    }
}
