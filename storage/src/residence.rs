//! Residence: in which form an object is kept, which changes without a new version being made.

use serde::{Deserialize, Serialize};

use crate::lifecycle::Calendar;
use crate::object::StorageClass;
use crate::pool::{Pool, PoolSet};
use crate::stamp::Timestamp;
use crate::tiering::Tier;

/// How fast a restore shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum RestoreSpeed {
    /// `Bulk`: the slowest.
    Bulk,
    /// `Standard`
    #[default]
    Standard,
    /// `Expedited`: the fastest.
    Expedited,
}

/// What a restore of an archived object has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Restore {
    /// Asked for and not done.
    Ongoing {
        /// When it was asked for.
        requested: Timestamp,
        /// How fast.
        speed: RestoreSpeed,
        /// For how many days the copy shall stay; `None` for INTELLIGENT_TIERING, which moves the object for good.
        days: Option<u32>,
        /// When the copy may be made at the earliest.
        ready: Timestamp,
    },
    /// A copy can be read.
    Done {
        /// Until when.
        expires: Timestamp,
    },
}

impl Restore {
    /// Whether answers speak of it: of a copy only until it expires.
    pub(crate) fn is_told(&self, now: Timestamp) -> bool {
        match self {
            Restore::Ongoing { .. } => true,
            Restore::Done { expires } => now < *expires,
        }
    }
}

/// The part of an object's record that says how it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Residence {
    /// Its storage class.
    pub(crate) class: StorageClass,
    /// Its tier, if the class is INTELLIGENT_TIERING.
    pub(crate) tier: Tier,
    /// Since when it is in that class and tier, which charges for early deletion and tiers count from.
    pub(crate) since: Timestamp,
    /// The pools in which its chunks may be wanted; empty if it has none.
    pub(crate) pools: PoolSet,
    /// The size of its bytes as they are stored in the pool of its class, in bytes: after compression, before copies
    /// and deduplication. Before they arrive there, the size of the object.
    pub(crate) stored_bytes: u64,
    /// The restore asked for, or the copy that it made.
    pub(crate) restore: Option<Restore>,
}

impl Residence {
    /// A new object's.
    pub(crate) fn new(class: StorageClass, since: Timestamp, pools: PoolSet, bytes: u64) -> Residence {
        Residence { class, tier: Tier::Frequent, since, pools, stored_bytes: bytes, restore: None }
    }

    /// Whether the object can be read only from a restored copy.
    pub(crate) fn is_archived(&self) -> bool {
        is_archived(self.class, self.tier)
    }

    /// Whether there is a restored copy, also one that has expired and was not removed yet.
    pub(crate) fn has_copy(&self) -> bool {
        self.is_archived() && matches!(self.restore, Some(Restore::Done { .. }))
    }

    /// Whether the object can be read at that time.
    pub(crate) fn is_readable(&self, now: Timestamp) -> bool {
        !self.is_archived() || matches!(self.restore, Some(Restore::Done { expires }) if now < expires)
    }

    /// The pools in which its chunks belong at that time.
    pub(crate) fn wanted(&self, now: Timestamp) -> PoolSet {
        let home = PoolSet::of(home(self.class, self.tier));
        if self.is_archived() && self.is_readable(now) { home.with(Pool::Hot) } else { home }
    }

    /// What time makes of it: a restore whose time has come is done, a copy that has expired is gone, and the chunks are
    /// where they belong. A restore may be committed as done only when they are.
    pub(crate) fn at(&self, now: Timestamp, calendar: &Calendar) -> Residence {
        let mut after = self.clone();
        match self.restore {
            Some(Restore::Ongoing { ready, .. }) if ready <= now && self.class == StorageClass::IntelligentTiering => {
                after.restore = None;
                if self.tier.is_archive() {
                    (after.tier, after.since) = (Tier::Frequent, now);
                }
            }
            Some(Restore::Ongoing { ready, days, .. }) if ready <= now => {
                let expires = calendar.days_after(now, days.unwrap_or(1));
                after.restore = self.is_archived().then_some(Restore::Done { expires });
            }
            Some(Restore::Done { expires }) if expires <= now => after.restore = None,
            _ => {}
        }
        if !self.pools.is_empty() {
            after.pools = after.wanted(now);
        }
        after
    }

    /// Whether its chunks lie elsewhere than they belong.
    pub(crate) fn is_misplaced(&self, now: Timestamp) -> bool {
        !self.pools.is_empty() && self.pools != self.wanted(now)
    }
}

/// Whether objects of that class and tier can be read only from a restored copy.
pub(crate) fn is_archived(class: StorageClass, tier: Tier) -> bool {
    match class {
        StorageClass::Glacier | StorageClass::DeepArchive => true,
        StorageClass::IntelligentTiering => tier.is_archive(),
        _ => false,
    }
}

/// The pool where objects of that class and tier are kept.
pub fn home(class: StorageClass, tier: Tier) -> Pool {
    match class {
        StorageClass::Standard | StorageClass::ReducedRedundancy => Pool::Hot,
        StorageClass::StandardIa | StorageClass::GlacierIr => Pool::Cool,
        StorageClass::OnezoneIa => Pool::OneZone,
        StorageClass::Glacier | StorageClass::DeepArchive => Pool::Archive,
        StorageClass::IntelligentTiering => match tier {
            Tier::Frequent => Pool::Hot,
            Tier::Infrequent | Tier::ArchiveInstant => Pool::Cool,
            Tier::Archive | Tier::DeepArchive => Pool::Archive,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Residence, Restore, RestoreSpeed};
    use crate::lifecycle::Calendar;
    use crate::object::StorageClass;
    use crate::pool::{Pool, PoolSet};
    use crate::stamp::Timestamp;
    use crate::tiering::Tier;

    #[test]
    fn time_finishes_restores_and_ends_copies() {
        let at = Timestamp::from_secs;
        let calendar = Calendar::new(std::time::Duration::from_secs(10));
        let ongoing = |days| {
            let (speed, requested, ready) = (RestoreSpeed::Bulk, at(1), at(15));
            Some(Restore::Ongoing { requested, speed, days, ready })
        };
        let mut glacier = Residence::new(StorageClass::Glacier, at(1), PoolSet::of(Pool::Archive), 10);
        glacier.restore = ongoing(Some(2));
        assert_eq!(glacier.at(at(14), &calendar), glacier);
        let restored = glacier.at(at(15), &calendar);
        assert_eq!(restored.restore, Some(Restore::Done { expires: at(40) }));
        assert_eq!(restored.pools, PoolSet::of(Pool::Archive).with(Pool::Hot));
        assert_eq!(restored.at(at(39), &calendar), restored);
        assert_eq!(restored.at(at(40), &calendar), Residence { restore: None, ..glacier });

        let mut tiered = Residence::new(StorageClass::IntelligentTiering, at(1), PoolSet::of(Pool::Archive), 10);
        (tiered.tier, tiered.restore) = (Tier::DeepArchive, ongoing(None));
        let restored = tiered.at(at(20), &calendar);
        assert_eq!((restored.tier, restored.since, restored.restore), (Tier::Frequent, at(20), None));
        assert_eq!(restored.pools, PoolSet::HOT);
    }

    #[test]
    fn an_archived_object_is_read_from_its_copy_only() {
        let at = Timestamp::from_secs;
        let mut residence = Residence::new(StorageClass::Glacier, at(1), PoolSet::HOT, 10);
        assert!(!residence.is_readable(at(2)) && residence.is_misplaced(at(2)));
        residence.pools = PoolSet::of(Pool::Archive);
        assert!(!residence.is_misplaced(at(2)));
        residence.restore = Some(Restore::Done { expires: at(9) });
        assert!(residence.is_readable(at(8)) && !residence.is_readable(at(9)));
        assert_eq!(residence.wanted(at(8)), PoolSet::of(Pool::Archive).with(Pool::Hot));
        assert_eq!(residence.wanted(at(9)), PoolSet::of(Pool::Archive));
        let inline = Residence::new(StorageClass::StandardIa, at(1), PoolSet::EMPTY, 10);
        assert!(inline.is_readable(at(2)) && !inline.is_misplaced(at(2)));
    }
}
