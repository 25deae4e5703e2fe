//! Ids of rules that were sent without one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use strata_storage::Entropy;

/// A new id: base64 of a random UUID's text, as S3 makes them.
pub fn generate(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&entropy.next_u64().to_be_bytes());
    bytes[8..].copy_from_slice(&entropy.next_u64().to_be_bytes());
    // Version 4, which is random, of the usual variant.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let uuid = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-");
    BASE64.encode(uuid)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use strata_storage::SeededEntropy;

    use super::{BASE64, generate};

    #[test]
    fn generated_ids() {
        let entropy = SeededEntropy::new(7);
        let ids = [generate(&entropy), generate(&entropy)];
        assert_ne!(ids[0], ids[1]);
        for id in ids {
            assert_eq!(id.len(), 48);
            let uuid = String::from_utf8(BASE64.decode(&id).unwrap()).unwrap();
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
    }
}
