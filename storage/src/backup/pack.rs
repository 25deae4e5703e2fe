//! The bytes of packs and lists: the only place that writes and reads them. Pure: no I/O. Integers are little-endian.
//!
//! ```text
//! pack     "StrataPk" · format u32 · pack id [16] · records · BLAKE3 [32] of all before
//! record   blob id [32] · pool u8 · bytes u32 · as `blob::portable` draws it
//!
//! list     "StrataLs" · format u32 · entries
//! entry    blob id [32] · pool u8 · pack id [16]
//! ```
//!
//! A pack is named by random bits, given before it is full, so that lists can name it while it grows. A list is named by
//! the BLAKE3 of its bytes.

use std::ops::Range;

use crate::blob::BlobId;
use crate::error::{Error, Result};
use crate::index::record::StoredBlob;
use crate::pool::Pool;

/// What a pack is named by.
pub(super) type PackId = [u8; 16];

/// A pack takes no more records once it has this size, in bytes. Two are in memory while a backup is made.
pub(super) const PACK_BYTES: usize = 32 << 20;

const FORMAT: u32 = 1;
const PACK_MAGIC: &[u8; 8] = b"StrataPk";
const LIST_MAGIC: &[u8; 8] = b"StrataLs";
const START_BYTES: usize = 12;
/// Where the records of a pack begin.
const RECORDS_START: usize = START_BYTES + 16;
const SUM_BYTES: usize = 32;
const NAME_BYTES: usize = 33;
const RECORD_START_BYTES: usize = NAME_BYTES + 4;
const ENTRY_BYTES: usize = NAME_BYTES + 16;
/// A list ends with an entry whose id begins with so many zero bits, so that what is the same in two backups is the same
/// in their lists; on average after 4096 entries.
const END_BITS: u32 = 12;
/// The most entries of a list, whatever their ids.
const ENTRIES_MAX: usize = 1 << 18;

/// A pack that is being filled.
pub(super) struct PackWriter {
    /// Its name.
    pub(super) id: PackId,
    /// What is in it, in order.
    pub(super) blobs: Vec<StoredBlob>,
    bytes: Vec<u8>,
}

impl PackWriter {
    /// An empty one.
    pub(super) fn new(id: PackId) -> PackWriter {
        let mut bytes = start(PACK_MAGIC);
        bytes.extend_from_slice(&id);
        PackWriter { id, blobs: Vec::new(), bytes }
    }

    /// Adds a record.
    pub(super) fn add(&mut self, blob: StoredBlob, record: &[u8]) {
        self.bytes.extend_from_slice(&name(&blob));
        let bytes = u32::try_from(record.len()).expect("a record has some 8 MiB at most");
        self.bytes.extend_from_slice(&bytes.to_le_bytes());
        self.bytes.extend_from_slice(record);
        self.blobs.push(blob);
    }

    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_BYTES
    }

    /// All of its bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let sum = blake3::hash(&self.bytes);
        self.bytes.extend_from_slice(sum.as_bytes());
        self.bytes
    }
}

/// The records of a pack, whose bytes are what was written: where each is in them.
pub(super) fn read_pack(id: &PackId, bytes: &[u8]) -> Result<Vec<(StoredBlob, Range<usize>)>> {
    let damaged = || Error::Corrupt { what: "pack", place: hex::encode(id) };
    let (body, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or_else(damaged)?;
    if blake3::hash(body) != *sum {
        return Err(damaged());
    }
    check_start(PACK_MAGIC, body)?.ok_or_else(damaged)?;
    if body.get(START_BYTES..RECORDS_START) != Some(id) {
        return Err(damaged());
    }
    let (mut records, mut at) = (Vec::new(), RECORDS_START);
    while at < body.len() {
        let begin = body.get(at..at + RECORD_START_BYTES).ok_or_else(damaged)?;
        let (blob, length) = begin.split_at(NAME_BYTES);
        let length = u32::from_le_bytes(length.try_into().expect("four bytes are left")) as usize;
        let record = at + RECORD_START_BYTES..at + RECORD_START_BYTES + length;
        if record.end > body.len() {
            return Err(damaged());
        }
        at = record.end;
        records.push((blob_of(blob).ok_or_else(damaged)?, record));
    }
    Ok(records)
}

/// A list that is being filled.
pub(super) struct ListWriter {
    bytes: Vec<u8>,
    entries: usize,
}

impl ListWriter {
    /// An empty one.
    pub(super) fn new() -> ListWriter {
        ListWriter { bytes: start(LIST_MAGIC), entries: 0 }
    }

    /// Adds an entry, and says whether the list ends with it.
    pub(super) fn add(&mut self, blob: &StoredBlob, pack: &PackId) -> bool {
        self.bytes.extend_from_slice(&name(blob));
        self.bytes.extend_from_slice(pack);
        self.entries += 1;
        let head = u32::from_be_bytes(*blob.id.0.first_chunk().expect("an id has 32 bytes"));
        head.leading_zeros() >= END_BITS || self.entries >= ENTRIES_MAX
    }

    /// All of its bytes; `None` if there are no entries.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (self.entries > 0).then_some(self.bytes)
    }
}

/// The entries of a list, whose bytes are known to be what was written.
pub(super) fn read_list(bytes: &[u8]) -> Result<Vec<(StoredBlob, PackId)>> {
    let damaged = || Error::Corrupt { what: "list of a backup", place: blake3::hash(bytes).to_string() };
    check_start(LIST_MAGIC, bytes)?.ok_or_else(damaged)?;
    let (entries, rest) = bytes[START_BYTES..].as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    let entry = |entry: &[u8; ENTRY_BYTES]| {
        let (blob, pack) = entry.split_at(NAME_BYTES);
        Some((blob_of(blob)?, pack.try_into().ok()?))
    };
    entries.iter().map(|bytes| entry(bytes).ok_or_else(damaged)).collect()
}

fn start(magic: &[u8; 8]) -> Vec<u8> {
    [&magic[..], &FORMAT.to_le_bytes()].concat()
}

/// `None` if the bytes begin otherwise.
fn check_start(magic: &[u8; 8], bytes: &[u8]) -> Result<Option<()>> {
    let Some((found, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let Some(format) = rest.first_chunk::<4>().filter(|_| found == magic) else { return Ok(None) };
    match u32::from_le_bytes(*format) {
        FORMAT => Ok(Some(())),
        found => Err(Error::UnknownFormat { found, known: FORMAT }),
    }
}

fn name(blob: &StoredBlob) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    name[..32].copy_from_slice(&blob.id.0);
    name[32] = blob.pool.number();
    name
}

fn blob_of(name: &[u8]) -> Option<StoredBlob> {
    let (id, pool) = name.split_first_chunk::<32>()?;
    Some(StoredBlob { id: BlobId(*id), pool: Pool::from_number(*pool.first()?)? })
}

#[cfg(test)]
mod tests {
    use super::{ListWriter, PackWriter, read_list, read_pack};
    use crate::blob::BlobId;
    use crate::index::record::StoredBlob;
    use crate::pool::Pool;

    fn blob(byte: u8, pool: Pool) -> StoredBlob {
        StoredBlob { id: BlobId([byte; 32]), pool }
    }

    #[test]
    fn packs_tell_of_every_bit() {
        let mut pack = PackWriter::new([7; 16]);
        pack.add(blob(1, Pool::Hot), b"first");
        pack.add(blob(2, Pool::Archive), b"second");
        assert!(!pack.is_full());
        let mut bytes = pack.finish();
        // Format 1: what is written today is read by every later build.
        let expected = concat!("53747261746150", "6b01000000");
        assert_eq!(hex::encode(&bytes[..12]), expected);
        assert_eq!(hex::encode(&bytes[28 + 32..28 + 42]), "00050000006669727374");
        assert!(read_pack(&[8; 16], &bytes).is_err(), "it is another pack");
        let records = read_pack(&[7; 16], &bytes).unwrap();
        let found: Vec<_> = records.iter().map(|(blob, range)| (*blob, &bytes[range.clone()])).collect();
        assert_eq!(found, [(blob(1, Pool::Hot), &b"first"[..]), (blob(2, Pool::Archive), &b"second"[..])]);
        for at in 0..bytes.len() {
            bytes[at] ^= 4;
            assert!(read_pack(&[7; 16], &bytes).is_err(), "byte {at}");
            bytes[at] ^= 4;
            assert!(read_pack(&[7; 16], &bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn lists_end_where_the_ids_say() {
        let mut list = ListWriter::new();
        assert!(!list.add(&blob(1, Pool::Hot), &[3; 16]));
        assert!(list.add(&blob(0, Pool::Cool), &[4; 16]));
        let bytes = list.finish().unwrap();
        assert_eq!(read_list(&bytes).unwrap(), [(blob(1, Pool::Hot), [3; 16]), (blob(0, Pool::Cool), [4; 16])]);
        assert!(read_list(&bytes[..bytes.len() - 1]).is_err());
        assert!(ListWriter::new().finish().is_none());
    }
}
