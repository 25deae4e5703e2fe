//! Seals the secrets that the directory stores or hands out: AES-256-GCM under keys derived from the store's.
//!
//! A sealed text is `nonce (12) | ciphertext | tag (16)`. What it belongs to, such as the id of its access key, is
//! authenticated with it, so that it opens nowhere else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::directory::DirectoryError;

const TAG_BYTES: usize = 16;

/// A key of 32 bytes.
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// What the directory seals with; each key has one purpose.
pub struct DirectoryKeys {
    /// Seals the secrets of access keys.
    pub secrets: KeyBytes,
    /// Seals the tokens of sessions.
    pub tokens: KeyBytes,
}

/// Seals with one key.
pub struct Sealer(RandomizedNonceKey);

impl Sealer {
    /// With that key.
    pub fn new(key: &KeyBytes) -> Result<Sealer, DirectoryError> {
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map(Sealer).map_err(|_| DirectoryError::Cipher)
    }

    /// Seals `plain` for `place`.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, DirectoryError> {
        // With room for the tag: a vector that grows would leave its old bytes behind.
        let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + TAG_BYTES));
        text.extend_from_slice(plain);
        let nonce =
            self.0.seal_in_place_append_tag(Aad::from(place), &mut *text).map_err(|_| DirectoryError::Cipher)?;
        Ok([nonce.as_ref(), text.as_slice()].concat())
    }

    /// Opens what was sealed for `place`; `None` for anything else.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(place), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::Sealer;

    #[test]
    fn opens_in_its_place_only() {
        let sealer = Sealer::new(&Zeroizing::new([7; 32])).unwrap();
        let other = Sealer::new(&Zeroizing::new([8; 32])).unwrap();
        let sealed = sealer.seal("key", b"secret").unwrap();
        assert_eq!(sealer.open("key", &sealed).unwrap().as_slice(), b"secret");
        assert!(sealer.open("other", &sealed).is_none() && other.open("key", &sealed).is_none());
        assert_ne!(sealer.seal("key", b"secret").unwrap(), sealed, "each time with another nonce");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open("key", &changed).is_none(), "{index}");
            assert!(sealer.open("key", &sealed[..index]).is_none(), "{index}");
        }
        let empty = sealer.seal("", b"").unwrap();
        assert!(sealer.open("", &empty).unwrap().is_empty());
    }
}
