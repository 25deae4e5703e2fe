//! Keys of 32 bytes, wiped when they are dropped, and small secrets sealed with them.
//!
//! ```text
//! sealed secret   form u8, 1 · salt [16] · ciphertext · tag [16]
//! ```
//!
//! The salt is a keyed hash of the secret and its context, not random: sealing the same again gives the same bytes and
//! tells nothing more, and two secrets never share a salt.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::cipher::piece::{PieceCipher, SALT_BYTES, TAG_BYTES};
use crate::clock::Entropy;
use crate::error::{Error, Result};

const FORM: u8 = 1;
const SALT_END: usize = 1 + SALT_BYTES;

/// The key that wraps the store's data keys; it is kept outside of the store.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// The key of these bytes.
    pub fn new(bytes: [u8; 32]) -> MasterKey {
        MasterKey(bytes)
    }

    /// A key that nobody has had before.
    pub fn random(entropy: &dyn Entropy) -> MasterKey {
        MasterKey(random(entropy))
    }

    /// The bytes, for whoever keeps them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What tells this key from others and says nothing else about it.
    pub(super) fn id(&self, store_id: &[u8; 16]) -> [u8; 8] {
        let hash = derive(&self.0, "master key id", store_id);
        *hash.first_chunk().expect("a hash has 32 bytes")
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// A key that seals content, or other keys and secrets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// The key of these bytes.
    pub fn new(bytes: [u8; 32]) -> DataKey {
        DataKey(bytes)
    }

    /// A key that nobody has had before.
    pub fn random(entropy: &dyn Entropy) -> DataKey {
        DataKey(random(entropy))
    }

    /// The bytes, for whoever wraps them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key sealed with another one, bound to a context: 65 bytes.
    pub fn wrap(&self, with: &[u8; 32], context: &[u8]) -> Vec<u8> {
        seal(with, &self.0, context)
    }

    /// The key that was wrapped. `Err(WrongKey)` with another key or context, or if the bytes were altered;
    /// `Err(Corrupt)` if nothing wrapped has that form.
    pub fn unwrap(wrapped: &[u8], with: &[u8; 32], context: &[u8]) -> Result<DataKey> {
        let bytes = open(with, wrapped, context)?;
        match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(DataKey(bytes)),
            Err(_) => Err(malformed()),
        }
    }

    /// Seals a small secret, bound to a context: 33 bytes more.
    pub fn seal(&self, secret: &[u8], context: &[u8]) -> Vec<u8> {
        seal(&self.0, secret, context)
    }

    /// The secret that was sealed. Errors as [`DataKey::unwrap`].
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        open(&self.0, sealed, context)
    }

    /// The key for one purpose that follows from this one.
    pub(crate) fn derive(&self, purpose: &str, salt: &[u8]) -> DataKey {
        DataKey(*derive(&self.0, purpose, salt))
    }

    /// 16 bytes that depend on the key and on `bytes`, and tell nothing about either.
    pub(crate) fn digest(&self, purpose: &str, bytes: &[u8]) -> [u8; 16] {
        *derive(&self.0, purpose, bytes).first_chunk().expect("a hash has 32 bytes")
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

fn random(entropy: &dyn Entropy) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.chunks_mut(8).for_each(|some| some.copy_from_slice(&entropy.next_u64().to_le_bytes()));
    bytes
}

/// A keyed hash. The purpose is preceded by its length, so that no two pairs of purpose and bytes are the same input.
fn derive(key: &[u8; 32], purpose: &str, bytes: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&(purpose.len() as u64).to_le_bytes()).update(purpose.as_bytes()).update(bytes);
    Zeroizing::new(*hasher.finalize().as_bytes())
}

fn secret_cipher(key: &[u8; 32], salt: &[u8]) -> PieceCipher {
    PieceCipher::new(&DataKey(*derive(key, "secret", salt)))
}

fn seal(key: &[u8; 32], secret: &[u8], context: &[u8]) -> Vec<u8> {
    let mut input = Zeroizing::new(Vec::with_capacity(8 + context.len() + secret.len()));
    input.extend_from_slice(&(context.len() as u64).to_le_bytes());
    input.extend_from_slice(context);
    input.extend_from_slice(secret);
    let hash = derive(key, "salt of a secret", &input);
    let mut sealed = Vec::with_capacity(SALT_END + secret.len() + TAG_BYTES);
    sealed.push(FORM);
    sealed.extend_from_slice(&hash[..SALT_BYTES]);
    sealed.extend_from_slice(secret);
    let tag = secret_cipher(key, &hash[..SALT_BYTES]).seal(0, context, &mut sealed[SALT_END..]);
    sealed.extend_from_slice(&tag);
    sealed
}

fn open(key: &[u8; 32], sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let (front, rest) = sealed.split_at_checked(SALT_END).ok_or_else(malformed)?;
    let (secret, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(malformed)?;
    if front[0] != FORM {
        return Err(malformed());
    }
    let mut secret = Zeroizing::new(secret.to_vec());
    match secret_cipher(key, &front[1..]).open(0, context, &mut secret, tag) {
        Ok(()) => Ok(secret),
        Err(_) => Err(Error::WrongKey),
    }
}

fn malformed() -> Error {
    Error::Corrupt { what: "sealed secret", place: "a value that was given".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{DataKey, MasterKey};
    use crate::clock::SeededEntropy;
    use crate::error::Error;

    #[test]
    fn secrets_open_with_their_key_and_context_only() {
        let entropy = SeededEntropy::new(1);
        let (key, other) = (DataKey::random(&entropy), DataKey::random(&entropy));
        for secret in [&b""[..], b"x", &[7; 1000]] {
            let sealed = key.seal(secret, b"context");
            assert_eq!(sealed.len(), secret.len() + 33);
            assert_eq!(sealed, key.seal(secret, b"context"));
            assert_ne!(sealed[1..17], key.seal(secret, b"contexT")[1..17]);
            assert_eq!(key.open(&sealed, b"context").unwrap().as_slice(), secret);
            assert!(matches!(other.open(&sealed, b"context"), Err(Error::WrongKey)));
            assert!(matches!(key.open(&sealed, b"other"), Err(Error::WrongKey)));
            for at in 0..sealed.len() {
                let mut altered = sealed.clone();
                altered[at] ^= 1;
                assert!(key.open(&altered, b"context").is_err(), "byte {at}");
            }
            assert!(matches!(key.open(&sealed[..32], b"context"), Err(Error::Corrupt { .. } | Error::WrongKey)));
        }
        assert!(matches!(key.open(&[], b""), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn keys_are_wrapped_and_never_shown() {
        let key = DataKey::new([9; 32]);
        let wrapped = key.wrap(&[1; 32], b"of an object");
        assert_eq!(wrapped.len(), 65);
        assert_eq!(DataKey::unwrap(&wrapped, &[1; 32], b"of an object").unwrap().expose(), key.expose());
        assert!(matches!(DataKey::unwrap(&wrapped, &[2; 32], b"of an object"), Err(Error::WrongKey)));
        assert!(matches!(DataKey::unwrap(&key.seal(b"short", b""), key.expose(), b""), Err(Error::Corrupt { .. })));
        assert_eq!(format!("{key:?} {:?}", MasterKey::new([3; 32])), "DataKey MasterKey");
    }

    /// A change here makes stored keys unreadable.
    #[test]
    fn golden_bytes() {
        let wrapped = DataKey::new([9; 32]).wrap(&[1; 32], b"context");
        assert_eq!(
            hex::encode(&wrapped),
            "01166d2c0674144fb8adc0cf2b8b76a8f048072306ab36e007069182126c3254079b8a3e2c8e22108f3b8c7db135a627be93b23eaa3e5ae43a7d55f86ae8afe3bc"
        );
    }
}
