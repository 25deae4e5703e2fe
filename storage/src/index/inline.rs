//! Values of the inline family: the bytes of small contents, sealed with the store's keys if it has any.
//!
//! ```text
//! value   form u8 · ...
//!          form 0: the bytes · form 1: data key u32, little-endian · salt [16] · sealed bytes · tag [16]
//! ```
//!
//! A sealed value is bound to the id of its content: under another row it does not open.

use bytes::{Bytes, BytesMut};

use crate::cipher::{Keys, Seal, TAG_BYTES};
use crate::error::{Error, Result};
use crate::stamp::Stamp;

const PLAIN: u8 = 0;
const SEALED: u8 = 1;
/// Form, data key and salt.
const FRONT_BYTES: usize = 1 + 4 + 16;

/// The value that holds the bytes of a content.
pub(crate) fn encode(keys: &Keys, id: Stamp, bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(FRONT_BYTES + bytes.len() + TAG_BYTES);
    let Some((Seal { key, salt }, cipher)) = keys.begin() else {
        value.push(PLAIN);
        value.extend_from_slice(bytes);
        return value;
    };
    value.push(SEALED);
    value.extend_from_slice(&key.to_le_bytes());
    value.extend_from_slice(&salt);
    value.extend_from_slice(bytes);
    let tag = cipher.seal(0, &id.to_bytes(), &mut value[FRONT_BYTES..]);
    value.extend_from_slice(&tag);
    value
}

/// The bytes that a value holds. `Err(Corrupt)` if it is not one of that content.
pub(crate) fn decode(keys: &Keys, id: Stamp, value: Vec<u8>) -> Result<Bytes> {
    let corrupt = || Error::Corrupt { what: "inline bytes", place: hex::encode(id.to_bytes()) };
    match value.first() {
        Some(&PLAIN) => Ok(Bytes::from(value).slice(1..)),
        Some(&SEALED) => {
            let (front, rest) = value.split_first_chunk::<FRONT_BYTES>().ok_or_else(corrupt)?;
            let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(corrupt)?;
            let key = u32::from_le_bytes([front[1], front[2], front[3], front[4]]);
            let salt = *front.last_chunk().expect("the front ends with the salt");
            let mut bytes = BytesMut::from(sealed);
            let opened = keys.cipher(&Seal { key, salt })?.open(0, &id.to_bytes(), &mut bytes, tag);
            opened.map(|()| bytes.freeze()).map_err(|_| corrupt())
        }
        _ => Err(corrupt()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{decode, encode};
    use crate::cipher::{Expected, Keys, MasterKey};
    use crate::clock::SeededEntropy;
    use crate::stamp::{Stamp, Timestamp};

    fn id(random: u64) -> Stamp {
        Stamp { time: Timestamp::from_nanos(5), random }
    }

    #[test]
    fn values_read_back_and_tell_damage() {
        let directory = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(3));
        let master = MasterKey::new([1; 32]);
        let keys = Keys::open(directory.path(), [0; 16], Some(&master), Expected::PresentOrAbsent, entropy).unwrap();
        for bytes in [&b"x"[..], b"some bytes", &[9; 4096]] {
            let plain = encode(&Keys::none(), id(1), bytes);
            assert_eq!(plain, [&[0], bytes].concat());
            assert_eq!(decode(&keys, id(1), plain).unwrap(), bytes);
            let sealed = encode(&keys, id(1), bytes);
            assert_eq!(sealed.len(), bytes.len() + 37);
            assert_ne!(sealed, encode(&keys, id(1), bytes), "each has a salt of its own");
            assert_eq!(decode(&keys, id(1), sealed.clone()).unwrap(), bytes);
            assert!(decode(&keys, id(2), sealed.clone()).is_err());
            for at in 1..sealed.len() {
                let mut altered = sealed.clone();
                altered[at] ^= 1;
                assert!(decode(&keys, id(1), altered).is_err(), "byte {at}");
            }
            assert!(decode(&keys, id(1), sealed[..36].to_vec()).is_err());
        }
        assert!(decode(&keys, id(1), Vec::new()).is_err());
        assert!(decode(&keys, id(1), vec![2, 0]).is_err());
    }
}
