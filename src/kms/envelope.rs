//! Ciphertexts of the local key store: which key and which of its materials, then sealed bytes.
//!
//! ```text
//! 0 version 1 u8 · 1 key id [16] · 17 material u32 · 21 salt [16] · 37 sealed bytes · tag [16]
//! ```
//!
//! Each ciphertext has a key of its own, derived from the material and the salt, so the nonce can be constant. The
//! encryption context, the key id and the material's number are authenticated with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use super::error::KmsError;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 37;
const SALT: std::ops::Range<usize> = 21..37;

/// 32 bytes of key material; wiped when dropped.
pub type Material = Zeroizing<[u8; 32]>;

/// What a ciphertext says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The id of the key.
    pub key: [u8; 16],
    /// Which of the key's materials.
    pub material: u32,
}

/// Reads the head of a ciphertext.
pub fn head(ciphertext: &[u8]) -> Result<Head, KmsError> {
    let is_ours = ciphertext.len() >= HEAD_BYTES + AES_256_GCM.tag_len() && ciphertext[0] == VERSION;
    if !is_ours {
        return Err(KmsError::invalid_ciphertext());
    }
    let key = ciphertext[1..17].try_into().expect("16 bytes");
    let material = u32::from_be_bytes(ciphertext[17..21].try_into().expect("4 bytes"));
    Ok(Head { key, material })
}

/// Random material.
pub fn random() -> Result<Material, KmsError> {
    let mut material = Zeroizing::new([0; 32]);
    rand::fill(&mut material[..]).map_err(|_| KmsError::internal("the operating system gives no randomness"))?;
    Ok(material)
}

/// Seals bytes.
pub fn seal(head: Head, material: &[u8; 32], context: &str, plain: &[u8]) -> Result<Vec<u8>, KmsError> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| KmsError::internal("the operating system gives no randomness"))?;
    let mut sealed = vec![VERSION];
    sealed.extend(head.key);
    sealed.extend(head.material.to_be_bytes());
    sealed.extend(salt);
    let (key, nonce) = derive(material, &salt);
    let aad = authenticated(&sealed, context);
    let mut bytes = plain.to_vec();
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut bytes).map_err(|_| KmsError::internal("cannot seal"))?;
    sealed.extend(bytes);
    Ok(sealed)
}

/// Opens what was sealed with this material and context.
pub fn open(material: &[u8; 32], context: &str, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    head(ciphertext)?;
    let salt: [u8; 16] = ciphertext[SALT].try_into().expect("16 bytes");
    let (key, nonce) = derive(material, &salt);
    let aad = authenticated(&ciphertext[..HEAD_BYTES], context);
    let mut bytes = Zeroizing::new(ciphertext[HEAD_BYTES..].to_vec());
    let plain = key.open_in_place(nonce, Aad::from(aad), &mut bytes).map_err(|_| KmsError::invalid_ciphertext())?;
    let length = plain.len();
    bytes.truncate(length);
    Ok(bytes)
}

fn derive(material: &[u8; 32], salt: &[u8; 16]) -> (LessSafeKey, Nonce) {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, material), salt);
    let key = UnboundKey::new(&AES_256_GCM, derived.as_ref()).expect("an HMAC-SHA256 has 32 bytes");
    // One key for one message: see above.
    (LessSafeKey::new(key), Nonce::assume_unique_for_key([0; 12]))
}

fn authenticated(head: &[u8], context: &str) -> Vec<u8> {
    [head, context.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::{Head, head, open, seal};

    #[test]
    fn sealed_bytes_open_only_as_they_were_sealed() {
        let (material, named) = ([7; 32], Head { key: [1; 16], material: 3 });
        let sealed = seal(named, &material, "{}", b"plain").unwrap();
        assert_eq!(head(&sealed).unwrap(), named);
        assert_eq!(&open(&material, "{}", &sealed).unwrap()[..], b"plain");
        assert_ne!(seal(named, &material, "{}", b"plain").unwrap(), sealed);
        assert!(open(&[8; 32], "{}", &sealed).is_err());
        assert!(open(&material, "{\"a\":\"b\"}", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&material, "{}", &changed).is_err(), "byte {at}");
            assert!(open(&material, "{}", &sealed[..at]).is_err(), "first {at}");
        }
    }
}
