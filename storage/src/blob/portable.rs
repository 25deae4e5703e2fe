//! Records outside of segments, as a backup keeps them: laid out as in a segment, sealed anew, and placed nowhere.
//!
//! The head of such a record says that it lies at the first place of segment 0, which no segment has for its id.

use std::sync::Arc;

use crate::blob::batch::{Prepared, lay_out};
use crate::blob::examine::verified;
use crate::blob::hash::BlobId;
use crate::blob::layout::{BLOCK_BYTES, HEAD_BYTES, Placement, decode_head};
use crate::cipher::Keys;
use crate::error::{Error, Result};

const SEGMENT: u64 = 0;
const GENERATION: u32 = 0;
const OFFSET: u64 = BLOCK_BYTES as u64;

/// The bytes of a record, sealed as what is written to segments is.
pub fn export(keys: &Keys, record: &Prepared) -> Vec<u8> {
    let (seal, cipher) = keys.begin().unzip();
    let placement = Placement { segment: SEGMENT, generation: GENERATION, offset: OFFSET, ..record.nowhere(seal) };
    let mut bytes = vec![0; placement.record_bytes() as usize];
    lay_out(&mut bytes, record, &placement, cipher);
    bytes
}

/// The record in such bytes, verified against its name.
pub fn import(keys: &Arc<Keys>, id: &BlobId, bytes: &[u8]) -> Result<Prepared> {
    let corrupt = || Error::Corrupt { what: "record of a backup", place: id.to_string() };
    let head: &[u8; HEAD_BYTES] = bytes.first_chunk().ok_or_else(corrupt)?;
    let placement = decode_head(head).map_err(|fault| fault.at(id.to_string()))?;
    let is_nowhere = (placement.segment, placement.generation, placement.offset) == (SEGMENT, GENERATION, OFFSET);
    if !is_nowhere || placement.record_bytes() != bytes.len() as u64 {
        return Err(corrupt());
    }
    if let Some(seal) = &placement.seal {
        // Told apart from damage: the key may be missing.
        keys.cipher(seal)?;
    }
    verified(keys, id, &placement, bytes.to_vec()).ok_or_else(corrupt)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{export, import};
    use crate::blob::{Blobs, Form};
    use crate::cipher::{Expected, Keys, MasterKey};
    use crate::clock::SeededEntropy;
    use crate::pool::Pool;

    #[test]
    fn records_come_back_as_they_were_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(3));
        let master = MasterKey::new([1; 32]);
        let sealing = Keys::open(directory.path(), [9; 16], Some(&master), Expected::PresentOrAbsent, entropy).unwrap();
        let (plain, sealing) = (Arc::new(Keys::none()), Arc::new(sealing));
        for (keys, bytes, pool) in
            [(&plain, 5000, Pool::Hot), (&sealing, 200_000, Pool::Hot), (&sealing, 3 << 20, Pool::Cool)]
        {
            let content: Vec<u8> = (0..bytes).map(|at: u32| (at / 64) as u8).collect();
            let (id, table) = Blobs::hash(&content);
            let record = Blobs::prepare(id, &content, table, Form::of(pool), &mut || {});
            let mut exported = export(keys, &record);
            let imported = import(keys, &id, &exported).unwrap();
            assert_eq!((imported.plain_bytes, &imported.stored), (bytes, &record.stored));
            for at in [0, 70, exported.len() / 2, exported.len() - 1] {
                exported[at] ^= 1;
                assert!(import(keys, &id, &exported).is_err(), "byte {at}");
                exported[at] ^= 1;
            }
            assert!(import(keys, &id, &exported[..exported.len() - 1]).is_err());
        }
    }
}
