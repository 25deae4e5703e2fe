//! Names of chunks: BLAKE3 over pieces of 64 KiB, so that any piece can be checked against the name by itself.
//!
//! BLAKE3 is a tree. The chaining values of the pieces are the nodes of one of its levels; merged upwards they give
//! the root, which is the name. Content of one piece has no such level: its name is checked directly.

use std::fmt;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use serde::{Deserialize, Serialize};

/// The content that one chaining value stands for, in bytes. The last piece may be shorter.
pub const PIECE_BYTES: usize = 64 << 10;

/// A chunk's name: the BLAKE3 root hash of its plain content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId(pub [u8; 32]);

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

/// The chaining values of a chunk's pieces, in order; empty if the content is a single piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PieceTable(Vec<ChainingValue>);

impl PieceTable {
    /// The table of the given values.
    pub fn new(values: Vec<ChainingValue>) -> PieceTable {
        PieceTable(values)
    }

    /// The values in order.
    pub fn values(&self) -> &[ChainingValue] {
        &self.0
    }

    /// Whether these are pieces of the chunk of that name, from the one at `first` on. The table must be the name's.
    pub fn verifies(&self, id: &BlobId, first: usize, pieces: &[u8]) -> bool {
        match self.values() {
            [] => hash(pieces).0 == *id,
            values => pieces.chunks(PIECE_BYTES).enumerate().all(|(position, piece)| {
                let position = first + position;
                values.get(position) == Some(&piece_value(position, piece))
            }),
        }
    }

    /// The name that the values add up to; `None` if there are fewer than two.
    pub fn root(&self) -> Option<BlobId> {
        if self.0.len() < 2 {
            return None;
        }
        let (left, right) = halves(&self.0);
        Some(BlobId(*merge_subtrees_root(&merge(left), &merge(right), Mode::Hash).as_bytes()))
    }
}

/// The number of entries in the table of a chunk of that size.
pub fn table_entries(plain_bytes: usize) -> usize {
    if plain_bytes <= PIECE_BYTES { 0 } else { plain_bytes.div_ceil(PIECE_BYTES) }
}

/// The chaining value of the piece at that position in a chunk of several pieces.
pub fn piece_value(position: usize, piece: &[u8]) -> ChainingValue {
    piece_hasher(position).update(piece).finalize_non_root()
}

/// Names bytes that are in memory.
pub fn hash(content: &[u8]) -> (BlobId, PieceTable) {
    let mut hasher = PieceHasher::new();
    hasher.update(content);
    hasher.finish()
}

/// Names bytes as they arrive. Fastest when given whole pieces.
pub struct PieceHasher {
    closed: Vec<ChainingValue>,
    open: Hasher,
    open_bytes: usize,
}

impl PieceHasher {
    /// Begins a chunk.
    pub fn new() -> PieceHasher {
        PieceHasher { closed: Vec::new(), open: piece_hasher(0), open_bytes: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // A full piece is closed only when more follows: if it is the only one, its hash is the root.
            if self.open_bytes == PIECE_BYTES {
                self.closed.push(self.open.finalize_non_root());
                self.open = piece_hasher(self.closed.len());
                self.open_bytes = 0;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.open_bytes));
            self.open.update(now);
            self.open_bytes += now.len();
            bytes = rest;
        }
    }

    /// Ends the chunk.
    pub fn finish(mut self) -> (BlobId, PieceTable) {
        if self.closed.is_empty() {
            return (BlobId(*self.open.finalize().as_bytes()), PieceTable::default());
        }
        self.closed.push(self.open.finalize_non_root());
        let table = PieceTable(self.closed);
        (table.root().expect("the table has the closed pieces and the last one"), table)
    }
}

fn piece_hasher(position: usize) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset((position * PIECE_BYTES) as u64);
    hasher
}

/// Splits as BLAKE3 does: the left subtree is the largest complete one that leaves something to the right.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

fn merge(values: &[ChainingValue]) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = halves(values);
    merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
}

#[cfg(test)]
mod tests {
    use super::{PIECE_BYTES, PieceHasher, hash, piece_value, table_entries};

    #[test]
    fn names_are_plain_blake3() {
        let content: Vec<u8> = (0..(8 << 20) + 1_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for pieces in [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 127, 128] {
            for around in [-1_isize, 0, 1] {
                let Some(bytes) = (pieces * PIECE_BYTES).checked_add_signed(around) else { continue };
                let content = &content[..bytes];
                let (id, table) = hash(content);
                assert_eq!(id.0, *blake3::hash(content).as_bytes(), "{bytes} bytes");
                assert_eq!(table.values().len(), table_entries(bytes), "{bytes} bytes");
                for (position, value) in table.values().iter().enumerate() {
                    let end = ((position + 1) * PIECE_BYTES).min(bytes);
                    assert_eq!(*value, piece_value(position, &content[position * PIECE_BYTES..end]));
                }
                assert_eq!(table.root(), (!table.values().is_empty()).then_some(id));
            }
        }
    }

    #[test]
    fn the_way_bytes_arrive_does_not_matter() {
        let content = vec![7; 3 * PIECE_BYTES + 11];
        for step in [1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES] {
            let mut hasher = PieceHasher::new();
            content.chunks(step).for_each(|bytes| hasher.update(bytes));
            assert_eq!(hasher.finish(), hash(&content));
        }
    }
}
