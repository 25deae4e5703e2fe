//! Keys: the signing keys derived from the secret, and a small cache of those.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use subtle::ConstantTimeEq as _;

use super::credential::Credential;
use crate::credentials::Secret;

/// How many signing keys are kept: a key lives for the seven days a presigned URL may last, so a handful is in use.
const KEYS_MAX: usize = 64;

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
        let derived = generate_signing_key(secret.expose(), day, credential.region, credential.service);
        SigningKey(derived.as_ref().try_into().expect("an HMAC-SHA256 has 32 bytes"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Signing keys by access key, date and region, the most recently used last.
#[derive(Default)]
pub(super) struct SigningKeys(Mutex<Vec<Entry>>);

struct Entry {
    access_key: String,
    date: String,
    region: String,
    key: SigningKey,
}

impl SigningKeys {
    /// The key for a credential that is known to be of `secret`'s owner.
    pub(super) fn key(&self, secret: &Secret, credential: &Credential<'_>) -> SigningKey {
        let wanted = |entry: &Entry| {
            entry.date == credential.date
                && entry.region == credential.region
                && entry.access_key == credential.access_key
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
            access_key: credential.access_key.to_owned(),
            date: credential.date.to_owned(),
            region: credential.region.to_owned(),
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
