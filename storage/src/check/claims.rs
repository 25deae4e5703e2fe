//! Claims: which rows belong to a content or an upload, compared with the rows that there are, in bounded memory.
//!
//! Contents name their rows, and no row names its content's version, so this is a join of two large sets in different
//! orders. Each row falls into one of many partitions by its owner; a partition keeps the sum of hashes of the rows that are
//! claimed less that of the rows found. Where all rows are claimed once the sum is zero. Only partitions where it is not
//! are looked into, with their rows in memory.

use std::collections::{BTreeSet, HashMap};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::index::Family;

/// Partitions: one holds a few hundred rows of a store with a million small objects.
const PARTITIONS: usize = 1 << 16;
/// Partitions that are looked into; differences in further ones are only counted.
const LOOKED_INTO_MAX: usize = 64;

/// The families of rows that an owner claims, and where in their keys its id is.
pub(super) const OWNED: [(Family, usize); 4] =
    [(Family::Reference, 33), (Family::Inline, 0), (Family::Manifest, 0), (Family::Part, 0)];

/// The rows claimed so far.
pub(super) enum Claims {
    /// Sums, by partition.
    Sums(Vec<u128>),
    /// How often each row of some partitions was claimed, by its hash.
    Rows { partitions: BTreeSet<usize>, claimed: HashMap<u128, u32> },
}

impl Claims {
    /// None.
    pub(super) fn new() -> Claims {
        Claims::Sums(vec![0; PARTITIONS])
    }

    /// Counts a row as claimed. Returns whether it was claimed before, as far as that is known.
    pub(super) fn claim(&mut self, family: Family, row: &[u8]) -> bool {
        let Some(partition) = partition(family, row) else { return false };
        match self {
            Claims::Sums(sums) => {
                sums[partition] = sums[partition].wrapping_add(hash(family, row));
                false
            }
            Claims::Rows { partitions, claimed } if partitions.contains(&partition) => {
                let count = claimed.entry(hash(family, row)).or_default();
                *count += 1;
                *count > 1
            }
            Claims::Rows { .. } => false,
        }
    }

    /// Takes a row that is there. Returns whether it is known that nobody claims it.
    pub(super) fn found(&mut self, family: Family, row: &[u8]) -> bool {
        let Some(partition) = partition(family, row) else { return true };
        match self {
            Claims::Sums(sums) => {
                sums[partition] = sums[partition].wrapping_sub(hash(family, row));
                false
            }
            Claims::Rows { partitions, claimed } => {
                partitions.contains(&partition) && !claimed.contains_key(&hash(family, row))
            }
        }
    }

    /// After all claims and all rows: what to look into, and how many differing partitions are left out of it. `None` if
    /// claims and rows are the same.
    pub(super) fn differing(&self) -> Option<(Claims, usize)> {
        let Claims::Sums(sums) = self else { return None };
        let differing: Vec<usize> = (0..PARTITIONS).filter(|&partition| sums[partition] != 0).collect();
        if differing.is_empty() {
            return None;
        }
        let left_out = differing.len().saturating_sub(LOOKED_INTO_MAX);
        let partitions = differing.into_iter().take(LOOKED_INTO_MAX).collect();
        Some((Claims::Rows { partitions, claimed: HashMap::new() }, left_out))
    }
}

/// The partition of a row; `None` if it is too short to have an owner.
fn partition(family: Family, row: &[u8]) -> Option<usize> {
    let (_, at) = OWNED.into_iter().find(|(owned, _)| *owned == family)?;
    let owner = row.get(at..at + 16)?;
    usize::try_from(xxh3_64(owner) % PARTITIONS as u64).ok()
}

fn hash(family: Family, row: &[u8]) -> u128 {
    xxh3_128(&[&[family as u8][..], row].concat())
}

#[cfg(test)]
mod tests {
    use super::Claims;
    use crate::index::Family;

    #[test]
    fn only_differences_are_looked_into() {
        let row = |owner: u8| [vec![owner; 16], vec![0, 0, 0, owner]].concat();
        let mut claims = Claims::new();
        for owner in 0..100 {
            claims.claim(Family::Manifest, &row(owner));
            claims.found(Family::Manifest, &row(owner));
        }
        assert!(claims.differing().is_none());
        claims.claim(Family::Manifest, &row(7));
        claims.found(Family::Manifest, &row(200));
        let (mut some, left_out) = claims.differing().unwrap();
        assert_eq!(left_out, 0);
        assert!(!some.claim(Family::Manifest, &row(7)));
        assert!(some.claim(Family::Manifest, &row(7)), "twice");
        assert!(!some.found(Family::Manifest, &row(7)));
        assert!(some.found(Family::Manifest, &row(200)));
        assert!(!some.found(Family::Manifest, &row(9)), "its partition is in order");
    }
}
