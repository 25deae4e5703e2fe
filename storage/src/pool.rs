//! Pools: the forms in which blobs are stored, and which of them a storage class wants.

use serde::{Deserialize, Serialize};

/// A form of storage. Each has segments of its own, placed and encoded as `blob` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Pool {
    /// As it came; survives the loss of a zone where there are two or more.
    Hot,
    /// Compressed in frames that can be read apart; placed as `Hot`.
    Cool,
    /// Compressed as `Cool`, in exactly one zone.
    OneZone,
    /// Strongly compressed, in large segments over all zones.
    Archive,
}

impl Pool {
    /// Every pool, in the order in which a reader prefers them.
    pub const ALL: [Pool; 4] = [Pool::Hot, Pool::Cool, Pool::OneZone, Pool::Archive];

    /// The number by which stored bytes name the pool.
    pub const fn number(self) -> u8 {
        match self {
            Pool::Hot => 0,
            Pool::Cool => 1,
            Pool::OneZone => 2,
            Pool::Archive => 3,
        }
    }

    /// The pool of that number.
    pub fn from_number(number: u8) -> Option<Pool> {
        Pool::ALL.into_iter().find(|pool| pool.number() == number)
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Pool::Hot => "hot",
            Pool::Cool => "cool",
            Pool::OneZone => "onezone",
            Pool::Archive => "archive",
        }
    }
}

/// A set of pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct PoolSet(u8);

impl PoolSet {
    /// No pool.
    pub const EMPTY: PoolSet = PoolSet(0);
    /// The pool that everything enters.
    pub const HOT: PoolSet = PoolSet::of(Pool::Hot);

    /// One pool.
    pub const fn of(pool: Pool) -> PoolSet {
        PoolSet(1 << pool.number())
    }

    /// This set and one more.
    #[must_use]
    pub const fn with(self, pool: Pool) -> PoolSet {
        PoolSet(self.0 | 1 << pool.number())
    }

    /// Whatever is in either.
    #[must_use]
    pub const fn union(self, other: PoolSet) -> PoolSet {
        PoolSet(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: PoolSet) -> PoolSet {
        PoolSet(self.0 & !other.0)
    }

    /// Whether the pool is in the set.
    pub const fn contains(self, pool: Pool) -> bool {
        self.0 & (1 << pool.number()) != 0
    }

    /// Whether there is no pool in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The pools of the set, in the order in which a reader prefers them.
    pub fn iter(self) -> impl Iterator<Item = Pool> {
        Pool::ALL.into_iter().filter(move |&pool| self.contains(pool))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pool, PoolSet};

    #[test]
    fn numbers_read_back() {
        for pool in Pool::ALL {
            assert_eq!(Pool::from_number(pool.number()), Some(pool));
        }
        assert_eq!(Pool::from_number(4), None);
    }

    #[test]
    fn sets() {
        let set = PoolSet::HOT.with(Pool::Archive);
        assert!(set.contains(Pool::Hot) && set.contains(Pool::Archive) && !set.contains(Pool::Cool));
        assert_eq!(set.iter().collect::<Vec<_>>(), [Pool::Hot, Pool::Archive]);
        assert_eq!(set.without(PoolSet::HOT), PoolSet::of(Pool::Archive));
        assert_eq!(PoolSet::EMPTY.union(PoolSet::HOT), PoolSet::HOT);
        assert!(PoolSet::HOT.without(set).is_empty());
    }
}
