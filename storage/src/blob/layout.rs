//! The bytes of a segment: the only place that writes and reads them. Integers are little-endian.
//!
//! How they lie in several files, its shards, `stripe` says; each of these has a header of its own.
//!
//! ```text
//! segment  header, 4 KiB · records and zeros
//!
//! header    0 magic "StrataSg" · 8 format u32 · 12 generation u32 · 16 segment u64 · 24 created, ns since 1970 u64
//!          32 store id [16] · 48 pool u8 · 49 data shards u8 · 50 parity shards u8 · 51 shard u8 · 52 zone u16
//!          54 zeros · 4092 crc32c of all before
//!
//! record   head, 64 B · data · tail { table · tags · trailer, 64 B } · zeros up to a multiple of 64 B or 4 KiB
//!          data is the content itself, or frames as `codec` draws them if that makes it smaller; sealed or not
//!
//! head      0 magic "StrH" · 4 format u16 · 6 codec u8 · 7 cipher u8 · 8 plain bytes u32 · 12 stored bytes u32
//!            codec 0: raw, stored bytes equal plain bytes · codec 1: zstd frames, stored bytes are fewer
//!            cipher 0: none, no data key and no salt · cipher 1: AES-256-GCM, data keys count from 1
//!          16 data key u32 · 20 generation u32 · 24 segment u64 · 32 offset of this head u64 · 40 salt [16] · 56 zeros
//!          60 crc32c of all before
//! table    a BLAKE3 chaining value [32] for each 64 KiB of plain content; absent for content of up to 64 KiB
//! tags     of a sealed record a tag [16] for each 64 KiB of raw content, or for each frame
//! trailer   0 magic "StrT" · 4 blob id [32] · 36 table entries u32 · 40 tags u32 · 44 zeros
//!          60 crc32c of the head without its own checksum, the table, the tags and all before
//! ```
//!
//! The pieces of raw content, or the frames, are sealed in place and one by one, the nonce being their number; the directory
//! in front of the frames is left as it is. The key follows from the data key and the salt, so a record is sealed
//! anew, with another salt, whenever it is written anew.
//!
//! Records start at multiples of 64 B, those with more content than [`SMALL_BYTES_MAX`] at multiples of 4 KiB, and so do
//! groups of small ones that were written together, up to a multiple of the stripe. What lies between records is zeros or
//! abandoned writes; nothing names it.
//!
//! There is no footer. A record tells its own name, place and lengths, so a footer could only repeat what a walk over
//! the heads finds, would have to be written at the one moment when nobody waits for a write (sealing), and would be
//! absent after a crash anyway. A segment is sealed simply by nobody appending to it.
//!
//! The plain content is covered by the BLAKE3 values, compressed or not, sealed or not; the head names its own place, so that a record which is misplaced,
//! or left from an earlier life of the file, never verifies.

use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};
use serde::{Deserialize, Serialize};

use crate::blob::codec::FRAME_BYTES;
use crate::blob::hash::{BlobId, PIECE_BYTES, PieceTable, table_entries};
use crate::blob::shard_name::{SegmentName, ShardName};
use crate::blob::stripe::Layout;
use crate::cipher::{Seal, TAG_BYTES, Tag};
use crate::error::Error;
use crate::pool::Pool;
use crate::zone::ZoneId;

/// The size of a segment's header, and the unit in which segments grow, in bytes.
pub const BLOCK_BYTES: usize = 4096;
/// The unit in which small records are placed, in bytes.
pub const SLOT_BYTES: usize = 64;
/// The size of a record's head, in bytes.
pub const HEAD_BYTES: usize = 64;
/// The size of a record's trailer, in bytes.
pub const TRAILER_BYTES: usize = 64;
/// The most content of a chunk, in bytes.
pub const CHUNK_BYTES_MAX: usize = 8 << 20;
/// The most content of a chunk that is appended in a group, in bytes.
pub const SMALL_BYTES_MAX: usize = 1 << 20;

const SEGMENT_FORMAT: u32 = 2;
const RECORD_FORMAT: u16 = 2;
const SEGMENT_MAGIC: &[u8; 8] = b"StrataSg";
const HEAD_MAGIC: &[u8; 4] = b"StrH";
const TRAILER_MAGIC: &[u8; 4] = b"StrT";
const VALUE_BYTES: usize = 32;
const CODEC_RAW: u8 = 0;
const CODEC_FRAMES: u8 = 1;
const CIPHER_NONE: u8 = 0;
const CIPHER_AES_256_GCM: u8 = 1;

/// Where a chunk lies: what the index keeps for each blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// The segment's id.
    pub segment: u64,
    /// The segment's generation.
    pub generation: u32,
    /// Where in the segment the record starts, in bytes.
    pub offset: u64,
    /// The size of the content in bytes.
    pub plain_bytes: u32,
    /// The size of the content as it is stored, in bytes: fewer if it is compressed.
    pub stored_bytes: u32,
    /// With which key it is sealed; `None` if it is not.
    pub seal: Option<Seal>,
}

impl Placement {
    /// The size of the whole record in bytes, with its head, tail and padding.
    pub fn record_bytes(&self) -> u64 {
        let unit = if self.plain_bytes as usize > SMALL_BYTES_MAX { BLOCK_BYTES } else { SLOT_BYTES };
        let bytes = HEAD_BYTES + self.stored_bytes as usize + self.tail_bytes();
        bytes.next_multiple_of(unit) as u64
    }

    /// The size of the record's tail in bytes.
    pub fn tail_bytes(&self) -> usize {
        table_entries(self.plain_bytes as usize) * VALUE_BYTES + self.tags() * TAG_BYTES + TRAILER_BYTES
    }

    /// How many tags the record has: one for each piece that was sealed.
    pub fn tags(&self) -> usize {
        let sealed_at_once = if self.is_compressed() { FRAME_BYTES } else { PIECE_BYTES };
        self.seal.map_or(0, |_| (self.plain_bytes as usize).div_ceil(sealed_at_once))
    }

    /// Whether the record holds compressed frames instead of the content itself.
    pub fn is_compressed(&self) -> bool {
        self.stored_bytes < self.plain_bytes
    }

    /// Checks what a placement must fulfil before anything is computed from it.
    pub fn check(&self) -> Result<(), Fault> {
        let within = (1..=CHUNK_BYTES_MAX).contains(&(self.plain_bytes as usize));
        let placed = self.offset >= BLOCK_BYTES as u64 && self.offset.is_multiple_of(SLOT_BYTES as u64);
        let stored = (1..=self.plain_bytes).contains(&self.stored_bytes);
        let sealed = self.seal.is_none_or(|seal| seal.key > 0);
        match within && placed && self.offset <= i64::MAX as u64 / 2 && stored && sealed {
            true => Ok(()),
            false => Err(Fault::Corrupt("placement")),
        }
    }
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They are not what was written; the text names the part.
    Corrupt(&'static str),
    /// They have a format, codec or cipher that this build does not know.
    Unknown {
        /// The number found.
        found: u32,
        /// The newest number known.
        known: u32,
    },
}

impl Fault {
    /// The engine's error for a fault at that place.
    pub fn at(self, place: String) -> Error {
        match self {
            Fault::Corrupt(what) => Error::Corrupt { what, place },
            Fault::Unknown { found, known } => Error::UnknownFormat { found, known },
        }
    }
}

/// What a shard of a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which segment and shard it is.
    pub name: ShardName,
    /// When the segment was made, in nanoseconds since 1970.
    pub created_ns: u64,
    /// The store it belongs to.
    pub store_id: [u8; 16],
    /// The zone that it was written in.
    pub zone: ZoneId,
}

impl SegmentHeader {
    /// Writes the header into the first block of a file, which must be zeros.
    pub fn encode(&self, block: &mut [u8]) {
        block[..8].copy_from_slice(SEGMENT_MAGIC);
        block[8..12].copy_from_slice(&SEGMENT_FORMAT.to_le_bytes());
        let SegmentName { segment, generation, pool, layout } = self.name.of;
        block[12..16].copy_from_slice(&generation.to_le_bytes());
        block[16..24].copy_from_slice(&segment.to_le_bytes());
        block[24..32].copy_from_slice(&self.created_ns.to_le_bytes());
        block[32..48].copy_from_slice(&self.store_id);
        block[48..52].copy_from_slice(&[pool.number(), layout.data, layout.parity, self.name.shard]);
        block[52..54].copy_from_slice(&self.zone.0.to_le_bytes());
        let sum = crc32_iscsi(&block[..BLOCK_BYTES - 4]);
        block[BLOCK_BYTES - 4..BLOCK_BYTES].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads the first block of a file.
    pub fn decode(block: &[u8; BLOCK_BYTES]) -> Result<SegmentHeader, Fault> {
        const FAULT: Fault = Fault::Corrupt("segment header");
        if block[..8] != SEGMENT_MAGIC[..] || u32_at(block, BLOCK_BYTES - 4) != crc32_iscsi(&block[..BLOCK_BYTES - 4]) {
            return Err(FAULT);
        }
        known(u32_at(block, 8), SEGMENT_FORMAT)?;
        let layout = Layout { data: block[49], parity: block[50] };
        if !is_zero(&block[54..BLOCK_BYTES - 4]) || layout.data == 0 || usize::from(block[51]) >= layout.shards() {
            return Err(FAULT);
        }
        let pool = Pool::from_number(block[48]).ok_or(FAULT)?;
        let of = SegmentName { segment: u64_at(block, 16), generation: u32_at(block, 12), pool, layout };
        Ok(SegmentHeader {
            name: ShardName { of, shard: block[51] },
            created_ns: u64_at(block, 24),
            store_id: block[32..48].try_into().expect("the range has 16 bytes"),
            zone: ZoneId(u16::from_le_bytes([block[52], block[53]])),
        })
    }
}

/// The head of the record at that place.
pub fn encode_head(placement: &Placement) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(HEAD_MAGIC);
    head[4..6].copy_from_slice(&RECORD_FORMAT.to_le_bytes());
    head[6] = if placement.is_compressed() { CODEC_FRAMES } else { CODEC_RAW };
    head[8..12].copy_from_slice(&placement.plain_bytes.to_le_bytes());
    head[12..16].copy_from_slice(&placement.stored_bytes.to_le_bytes());
    if let Some(Seal { key, salt }) = &placement.seal {
        head[7] = CIPHER_AES_256_GCM;
        head[16..20].copy_from_slice(&key.to_le_bytes());
        head[40..56].copy_from_slice(salt);
    }
    head[20..24].copy_from_slice(&placement.generation.to_le_bytes());
    head[24..32].copy_from_slice(&placement.segment.to_le_bytes());
    head[32..40].copy_from_slice(&placement.offset.to_le_bytes());
    let sum = crc32_iscsi(&head[..60]);
    head[60..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Reads a head: where the record says that it lies.
pub fn decode_head(head: &[u8; HEAD_BYTES]) -> Result<Placement, Fault> {
    const FAULT: Fault = Fault::Corrupt("record head");
    if head[..4] != HEAD_MAGIC[..] || u32_at(head, 60) != crc32_iscsi(&head[..60]) {
        return Err(FAULT);
    }
    known(u32::from(u16::from_le_bytes([head[4], head[5]])), u32::from(RECORD_FORMAT))?;
    for (found, known) in [(head[6], CODEC_FRAMES), (head[7], CIPHER_AES_256_GCM)] {
        if found > known {
            return Err(Fault::Unknown { found: u32::from(found), known: u32::from(known) });
        }
    }
    let salt = head[40..56].try_into().expect("the range has 16 bytes");
    let placement = Placement {
        segment: u64_at(head, 24),
        generation: u32_at(head, 20),
        offset: u64_at(head, 32),
        plain_bytes: u32_at(head, 8),
        stored_bytes: u32_at(head, 12),
        seal: (head[7] != CIPHER_NONE).then(|| Seal { key: u32_at(head, 16), salt }),
    };
    placement.check().map_err(|_| FAULT)?;
    // Whatever the fields do not say, codec and reserved bytes among them, must be as this build writes it.
    if *head == encode_head(&placement) { Ok(placement) } else { Err(FAULT) }
}

/// What the tail of a record tells beside the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordTail {
    /// The table of the plain content's pieces.
    pub table: PieceTable,
    /// The tags of what was sealed, in order; none if nothing was.
    pub tags: Vec<Tag>,
}

/// The tail of a record with that head.
pub fn encode_tail(head: &[u8; HEAD_BYTES], id: &BlobId, table: &PieceTable, tags: &[Tag]) -> Vec<u8> {
    let mut tail = Vec::with_capacity(table.values().len() * VALUE_BYTES + tags.len() * TAG_BYTES + TRAILER_BYTES);
    table.values().iter().for_each(|value| tail.extend_from_slice(value));
    tags.iter().for_each(|tag| tail.extend_from_slice(tag));
    tail.extend_from_slice(TRAILER_MAGIC);
    tail.extend_from_slice(&id.0);
    tail.extend_from_slice(&(table.values().len() as u32).to_le_bytes());
    tail.extend_from_slice(&(tags.len() as u32).to_le_bytes());
    tail.extend_from_slice(&[0; 16]);
    let sum = frame_sum(head, &tail);
    tail.extend_from_slice(&sum.to_le_bytes());
    tail
}

/// Checks a record's head and tail (with its padding) against the place and the name that the index has for it, and
/// returns what the tail tells; the table is thereby known to belong to the name.
pub fn check_frame(
    head: &[u8; HEAD_BYTES],
    tail: &[u8],
    id: &BlobId,
    placement: &Placement,
) -> Result<RecordTail, Fault> {
    const FAULT: Fault = Fault::Corrupt("record tail");
    if decode_head(head)? != *placement {
        return Err(Fault::Corrupt("record head"));
    }
    let (tail, named) = decode_tail(head, tail, placement)?;
    if named != *id || tail.table.root().is_some_and(|root| root != *id) {
        return Err(FAULT);
    }
    Ok(tail)
}

/// Reads the tail (with its padding) of the record that has this head.
fn decode_tail(head: &[u8; HEAD_BYTES], tail: &[u8], placement: &Placement) -> Result<(RecordTail, BlobId), Fault> {
    const FAULT: Fault = Fault::Corrupt("record tail");
    let (entries, tag_count) = (table_entries(placement.plain_bytes as usize), placement.tags());
    let (table, rest) = tail.split_at_checked(entries * VALUE_BYTES).ok_or(FAULT)?;
    let (tags, rest) = rest.split_at_checked(tag_count * TAG_BYTES).ok_or(FAULT)?;
    let (trailer, padding) = rest.split_at_checked(TRAILER_BYTES).ok_or(FAULT)?;
    let sound = trailer[..4] == TRAILER_MAGIC[..]
        && u32_at(trailer, 60) == frame_sum(head, &tail[..table.len() + tags.len() + 60])
        && u32_at(trailer, 36) as usize == entries
        && u32_at(trailer, 40) as usize == tag_count
        && is_zero(&trailer[44..60])
        && is_zero(padding);
    if !sound {
        return Err(FAULT);
    }
    let id = BlobId(trailer[4..36].try_into().expect("the range has 32 bytes"));
    let (values, _) = table.as_chunks::<VALUE_BYTES>();
    let (tags, _) = tags.as_chunks::<TAG_BYTES>();
    Ok((RecordTail { table: PieceTable::new(values.to_vec()), tags: tags.to_vec() }, id))
}

/// The checksum in a trailer: over the head, the table, the tags and the trailer up to the checksum.
fn frame_sum(head: &[u8; HEAD_BYTES], tail: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    // Without the head's own checksum: a CRC over bytes and their CRC is the same whatever the bytes are.
    digest.update(&head[..60]);
    digest.update(tail);
    u32::try_from(digest.finalize()).expect("a CRC of 32 bits")
}

fn known(found: u32, known: u32) -> Result<(), Fault> {
    if found == known { Ok(()) } else { Err(Fault::Unknown { found, known }) }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the range has 4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the range has 8 bytes"))
}
