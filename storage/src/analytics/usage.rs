//! What one day's analysis counts: objects, bytes and requests by storage class and age.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::StorageClass;
use crate::stamp::Timestamp;
use crate::tiering::is_monitored;

/// The first day of each age group, and its name in reports.
const GROUPS: [(u64, &str); AgeGroup::COUNT] = [
    (0, "000-014"),
    (15, "015-029"),
    (30, "030-044"),
    (45, "045-059"),
    (60, "060-074"),
    (75, "075-089"),
    (90, "090-119"),
    (120, "120-149"),
    (150, "150-179"),
    (180, "180-364"),
    (365, "365-729"),
    (730, "730+"),
];

/// Objects of about the same age, in days since they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgeGroup(usize);

impl AgeGroup {
    /// How many groups there are.
    pub const COUNT: usize = 12;

    /// Every group, the youngest first.
    pub fn all() -> impl DoubleEndedIterator<Item = AgeGroup> {
        (0..AgeGroup::COUNT).map(AgeGroup)
    }

    /// The group of objects that are that many days old.
    pub fn of(age_days: u64) -> AgeGroup {
        AgeGroup(GROUPS.partition_point(|&(first, _)| first <= age_days).saturating_sub(1))
    }

    /// The age in days at which an object enters the group.
    pub fn first_day(self) -> u64 {
        GROUPS[self.0].0
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        GROUPS[self.0].1
    }

    /// Its position among all groups.
    pub(super) fn number(self) -> usize {
        self.0
    }
}

/// Sums over some objects and one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Objects at the end of the day.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Successful GET requests.
    pub get_requests: u64,
    /// Bytes sent in answer to them.
    pub bytes_retrieved: u64,
    /// Bytes written.
    pub bytes_uploaded: u64,
}

impl Usage {
    /// Both together; beyond `u64::MAX` a sum stays there.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            objects: self.objects.saturating_add(other.objects),
            bytes: self.bytes.saturating_add(other.bytes),
            get_requests: self.get_requests.saturating_add(other.get_requests),
            bytes_retrieved: self.bytes_retrieved.saturating_add(other.bytes_retrieved),
            bytes_uploaded: self.bytes_uploaded.saturating_add(other.bytes_uploaded),
        }
    }
}

/// The objects of one storage class, over one day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassUsage {
    groups: [Usage; AgeGroup::COUNT],
    /// Objects below 128 KiB, which no age group holds because moving them never pays.
    small: Usage,
}

impl ClassUsage {
    /// The sums of one age group.
    pub fn group(&self, group: AgeGroup) -> Usage {
        self.groups[group.number()]
    }

    /// The sums of all objects, small ones included.
    pub fn all(&self) -> Usage {
        self.groups.iter().fold(self.small, |sum, &group| sum.plus(group))
    }
}

/// One day, as seen by one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayUsage {
    /// The day, by any of its moments.
    pub date: Timestamp,
    classes: BTreeMap<StorageClass, ClassUsage>,
}

impl DayUsage {
    /// A day of which nothing is known yet.
    pub fn new(date: Timestamp) -> DayUsage {
        DayUsage { date, classes: BTreeMap::new() }
    }

    /// The sums to which an object of that class, age and size belongs.
    pub fn of(&mut self, class: StorageClass, age_days: u64, size: u64) -> &mut Usage {
        let usage = self.classes.entry(class).or_default();
        match is_monitored(size) {
            true => &mut usage.groups[AgeGroup::of(age_days).number()],
            false => &mut usage.small,
        }
    }

    /// What is known, by class.
    pub fn classes(&self) -> impl Iterator<Item = (StorageClass, &ClassUsage)> {
        self.classes.iter().map(|(&class, usage)| (class, usage))
    }

    /// What is known of one class.
    pub fn class(&self, class: StorageClass) -> Option<&ClassUsage> {
        self.classes.get(&class)
    }
}

#[cfg(test)]
mod tests {
    use super::{AgeGroup, DayUsage, Usage};
    use crate::object::StorageClass;
    use crate::stamp::Timestamp;

    #[test]
    fn ages_have_groups() {
        fn check(first: u64, last: u64, name: &str) {
            assert_eq!((AgeGroup::of(first).name(), AgeGroup::of(first).first_day()), (name, first));
            assert_eq!(AgeGroup::of(last).name(), name, "{last}");
        }
        check(0, 14, "000-014");
        check(15, 29, "015-029");
        check(30, 44, "030-044");
        check(45, 59, "045-059");
        check(60, 74, "060-074");
        check(75, 89, "075-089");
        check(90, 119, "090-119");
        check(120, 149, "120-149");
        check(150, 179, "150-179");
        check(180, 364, "180-364");
        check(365, 729, "365-729");
        check(730, u64::MAX, "730+");
        assert_eq!(AgeGroup::all().count(), 12);
    }

    #[test]
    fn small_objects_count_only_together() {
        let mut day = DayUsage::new(Timestamp::from_secs(0));
        for (age, size) in [(0, 131_072), (14, 200_000), (15, 131_071), (800, 131_072)] {
            let usage = day.of(StorageClass::Standard, age, size);
            usage.objects += 1;
            usage.bytes += size;
        }
        let standard = day.class(StorageClass::Standard).expect("it was counted");
        let objects: Vec<u64> = AgeGroup::all().map(|group| standard.group(group).objects).collect();
        assert_eq!(objects, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let all = Usage { objects: 4, bytes: 593_215, ..Usage::default() };
        assert_eq!(standard.all(), all);
        assert!(day.class(StorageClass::Glacier).is_none());
    }
}
