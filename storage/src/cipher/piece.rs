//! AES-256-GCM over pieces of one plaintext, each with a tag of its own, so that any can be opened alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use crate::cipher::data_key::DataKey;
use crate::clock::Entropy;

/// The size of a tag, in bytes.
pub const TAG_BYTES: usize = 16;
/// The size of a salt, in bytes.
pub const SALT_BYTES: usize = 16;

/// What proves that a piece is what was sealed.
pub type Tag = [u8; TAG_BYTES];

/// Says with which key something is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seal {
    /// The number of the store's data key, from 1.
    pub key: u32,
    /// What makes the key that follows from it one of its own.
    pub salt: [u8; SALT_BYTES],
}

/// A piece that is not what was sealed, or was sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Altered;

/// A key for the pieces of one plaintext. Every position is to be sealed once.
pub struct PieceCipher(LessSafeKey);

impl PieceCipher {
    /// The cipher of a key that nothing else uses.
    pub fn new(key: &DataKey) -> PieceCipher {
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("the key has the size that the algorithm takes");
        PieceCipher(LessSafeKey::new(key))
    }

    /// Turns a piece into its ciphertext, in place.
    pub fn seal(&self, position: u64, context: &[u8], piece: &mut [u8]) -> Tag {
        let tag = self.0.seal_in_place_separate_tag(nonce(position), Aad::from(context), piece);
        let tag = tag.expect("a piece is far smaller than the most that can be sealed at once");
        tag.as_ref().try_into().expect("a tag has 16 bytes")
    }

    /// Turns a ciphertext into its piece, in place. After an `Err` the content is unspecified.
    pub fn open(&self, position: u64, context: &[u8], piece: &mut [u8], tag: &Tag) -> Result<(), Altered> {
        let opened = self.0.open_in_place_separate_tag(nonce(position), Aad::from(context), tag, piece);
        opened.map(|_| ()).map_err(|_| Altered)
    }

    /// As [`PieceCipher::open`], into other memory of the same size.
    pub fn open_into(
        &self,
        position: u64,
        context: &[u8],
        sealed: (&[u8], &Tag),
        piece: &mut [u8],
    ) -> Result<(), Altered> {
        let opened = self.0.open_separate_gather(nonce(position), Aad::from(context), sealed.0, sealed.1, piece);
        opened.map_err(|_| Altered)
    }
}

fn nonce(position: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&position.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// A salt that was never used before.
pub fn salt(entropy: &dyn Entropy) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    salt.chunks_mut(8).for_each(|some| some.copy_from_slice(&entropy.next_u64().to_le_bytes()));
    salt
}

#[cfg(test)]
mod tests {
    use super::{Altered, PieceCipher};
    use crate::cipher::data_key::DataKey;

    #[test]
    fn a_piece_opens_at_its_position_only() {
        let cipher = PieceCipher::new(&DataKey::new([5; 32]));
        let mut piece = *b"some bytes";
        let tag = cipher.seal(3, b"raw", &mut piece);
        // AES-256-GCM with the key 05.., the nonce 0..03: what is sealed today is opened by every later build.
        assert_eq!(hex::encode(piece) + &hex::encode(tag), "GOLDEN_PIECE");
        let open = |position, context: &[u8], tag| {
            let mut copy = piece;
            cipher.open(position, context, &mut copy, &tag).map(|()| copy)
        };
        assert_eq!(open(3, b"raw", tag), Ok(*b"some bytes"));
        assert_eq!(open(2, b"raw", tag), Err(Altered));
        assert_eq!(open(3, b"frame", tag), Err(Altered));
        assert_eq!(open(3, b"raw", [0; 16]), Err(Altered));
        let mut other = [0; 10];
        assert_eq!(cipher.open_into(3, b"raw", (&piece, &tag), &mut other), Ok(()));
        assert_eq!(other, *b"some bytes");
    }
}
