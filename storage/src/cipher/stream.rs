//! Sealed contents: a body encrypted with a data key of its own, before it is cut into chunks.
//!
//! ```text
//! sealed content   piece 0 · tag [16] · piece 1 · tag [16] · ...     64 KiB of plain content a piece, the last one what is left
//! ```
//!
//! The key follows from the data key and the content's salt, so that parts of one upload may share a data key. Whether a
//! piece is the last one is bound to it: a content cannot be cut short at a piece.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::cipher::data_key::DataKey;
use crate::cipher::piece::{Altered, PieceCipher, SALT_BYTES, TAG_BYTES};

/// The plain content of a piece, in bytes. The last piece may have less.
pub const STREAM_PIECE_BYTES: usize = 64 << 10;
/// The size of a piece that is not the last one, as it is stored, in bytes.
pub const SEALED_PIECE_BYTES: usize = STREAM_PIECE_BYTES + TAG_BYTES;

const PURPOSE: &str = "sealed content";
const MORE: &[u8] = b"sealed content: more follows";
const LAST: &[u8] = b"sealed content: the last piece";

/// What makes the key of a sealed content one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentSalt(pub [u8; SALT_BYTES]);

/// The size of a sealed content of that many plain bytes.
pub fn sealed_bytes(plain_bytes: u64) -> u64 {
    plain_bytes + plain_bytes.div_ceil(STREAM_PIECE_BYTES as u64) * TAG_BYTES as u64
}

/// Seals a content that arrives.
pub struct Sealer {
    cipher: PieceCipher,
    /// What is kept back: a piece is sealed when it is known whether more follows.
    open: BytesMut,
    position: u64,
}

impl Sealer {
    /// Begins a content, whose salt must be one that was never used.
    pub fn new(key: &DataKey, salt: &ContentSalt) -> Sealer {
        Sealer { cipher: cipher(key, salt), open: BytesMut::new(), position: 0 }
    }

    /// Takes bytes, up to the end of the piece after the one that is sealed; returns that one, and what was not taken.
    pub fn take(&mut self, mut bytes: Bytes) -> (Option<Bytes>, Bytes) {
        let sealed = (self.open.len() == STREAM_PIECE_BYTES && !bytes.is_empty()).then(|| self.seal(MORE));
        let room = STREAM_PIECE_BYTES - self.open.len();
        if self.open.capacity() == 0 {
            self.open.reserve(if bytes.len() < room { bytes.len() + TAG_BYTES } else { SEALED_PIECE_BYTES });
        }
        self.open.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
        (sealed, bytes)
    }

    /// Ends the content with its last piece; `None` if it is empty.
    pub fn finish(mut self) -> Option<Bytes> {
        (!self.open.is_empty()).then(|| self.seal(LAST))
    }

    fn seal(&mut self, place: &[u8]) -> Bytes {
        let mut piece = std::mem::take(&mut self.open);
        let tag = self.cipher.seal(self.position, place, &mut piece);
        self.position += 1;
        piece.extend_from_slice(&tag);
        piece.freeze()
    }
}

/// Opens pieces of a sealed content.
pub struct Opener {
    cipher: PieceCipher,
    plain_bytes: u64,
}

impl Opener {
    /// For a content of that many plain bytes.
    pub fn new(key: &DataKey, salt: &ContentSalt, plain_bytes: u64) -> Opener {
        Opener { cipher: cipher(key, salt), plain_bytes }
    }

    /// The size of the piece at that position as it is stored; 0 behind the last one.
    pub fn sealed_piece_bytes(&self, position: u64) -> usize {
        let left = self.plain_bytes.saturating_sub(position.saturating_mul(STREAM_PIECE_BYTES as u64));
        match usize::try_from(left) {
            Ok(0) => 0,
            Ok(left) => left.min(STREAM_PIECE_BYTES) + TAG_BYTES,
            Err(_) => SEALED_PIECE_BYTES,
        }
    }

    /// Opens the piece at that position, which with its tag has the size that it is stored with.
    pub fn open(&self, position: u64, sealed: &[u8]) -> Result<Vec<u8>, Altered> {
        let (piece, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Altered)?;
        let is_last = (position + 1).saturating_mul(STREAM_PIECE_BYTES as u64) >= self.plain_bytes;
        let mut plain = vec![0; piece.len()];
        self.cipher.open_into(position, if is_last { LAST } else { MORE }, (piece, tag), &mut plain)?;
        Ok(plain)
    }
}

fn cipher(key: &DataKey, salt: &ContentSalt) -> PieceCipher {
    PieceCipher::new(&key.derive(PURPOSE, &salt.0))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{ContentSalt, Opener, SEALED_PIECE_BYTES, STREAM_PIECE_BYTES, Sealer, sealed_bytes};
    use crate::cipher::data_key::DataKey;
    use crate::cipher::piece::Altered;

    fn seal(content: &[u8], step: usize) -> Vec<u8> {
        let mut sealer = Sealer::new(&DataKey::new([1; 32]), &ContentSalt([2; 16]));
        let mut sealed = Vec::new();
        for some in content.chunks(step) {
            let mut left = Bytes::copy_from_slice(some);
            while !left.is_empty() {
                let (piece, rest) = sealer.take(left);
                sealed.extend(piece.into_iter().flatten());
                left = rest;
            }
        }
        sealed.extend(sealer.finish().into_iter().flatten());
        sealed
    }

    fn open(sealed: &[u8], plain_bytes: usize) -> Result<Vec<u8>, Altered> {
        let opener = Opener::new(&DataKey::new([1; 32]), &ContentSalt([2; 16]), plain_bytes as u64);
        let mut plain = Vec::new();
        for (position, piece) in (0..).zip(sealed.chunks(SEALED_PIECE_BYTES)) {
            assert_eq!(opener.sealed_piece_bytes(position), piece.len());
            plain.extend(opener.open(position, piece)?);
        }
        Ok(plain)
    }

    #[test]
    fn contents_open_whatever_way_they_arrived() {
        for bytes in [0, 1, STREAM_PIECE_BYTES - 1, STREAM_PIECE_BYTES, STREAM_PIECE_BYTES + 1, 3 * STREAM_PIECE_BYTES]
        {
            let content: Vec<u8> = (0..bytes).map(|i| (i * 7) as u8).collect();
            let sealed = seal(&content, STREAM_PIECE_BYTES);
            assert_eq!(sealed.len() as u64, sealed_bytes(bytes as u64));
            assert_eq!(seal(&content, 1000), sealed);
            assert_eq!(seal(&content, 200_000), sealed);
            assert_eq!(open(&sealed, bytes).unwrap(), content);
        }
    }

    #[test]
    fn contents_cannot_be_cut_lengthened_or_reordered() {
        let content = vec![3; 3 * STREAM_PIECE_BYTES];
        let sealed = seal(&content, 10_000);
        assert!(open(&sealed[..2 * SEALED_PIECE_BYTES], 2 * STREAM_PIECE_BYTES).is_err());
        let swapped = [&sealed[SEALED_PIECE_BYTES..2 * SEALED_PIECE_BYTES], &sealed[..SEALED_PIECE_BYTES]].concat();
        assert!(open(&swapped, 3 * STREAM_PIECE_BYTES).is_err());
        let other = Opener::new(&DataKey::new([1; 32]), &ContentSalt([3; 16]), content.len() as u64);
        assert_eq!(other.open(0, &sealed[..SEALED_PIECE_BYTES]), Err(Altered));
    }
}
