//! Sets over closed tables: one bit for each action, or for each condition key.

/// A set of small numbers below `64 * WORDS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Bits<WORDS> {
    /// The set of nothing.
    pub const EMPTY: Bits<WORDS> = Bits([0; WORDS]);

    /// Adds `index`, which must be below `64 * WORDS`.
    pub fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    /// Whether `index` is in the set.
    pub fn contains(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Whether everything in this set is also in `other`.
    pub fn is_within(&self, other: &Bits<WORDS>) -> bool {
        self.0.iter().zip(other.0).all(|(word, theirs)| word & !theirs == 0)
    }

    /// Adds everything that is in `other`.
    pub fn extend(&mut self, other: &Bits<WORDS>) {
        for (word, theirs) in self.0.iter_mut().zip(other.0) {
            *word |= theirs;
        }
    }

    /// Everything that is not in this set, also what no table names.
    pub fn complement(&self) -> Bits<WORDS> {
        Bits(self.0.map(|word| !word))
    }
}
