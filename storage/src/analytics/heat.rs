//! From which age on objects of `STANDARD` are read so little that `STANDARD_IA` is cheaper.
//!
//! The measure is the *access ratio* of an age group and all older ones: bytes read in the last 30 days over the bytes
//! stored on average meanwhile. It is cumulative because a lifecycle rule moves all that is older than its days.
//!
//! At S3's list prices a byte costs 0.0105 USD per GB and month less in `STANDARD_IA`, and reading it 0.01 USD per GB
//! more, so moving pays below a ratio of about one. S3 does not publish where it draws the line; here it is one half,
//! which leaves room for the higher prices of requests. The *observed age* is the first day of the youngest group, of
//! 30 days or more as a transition needs, whose ratio is below the line. It is *recommended* once it was the same on
//! 25 days in a row.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::analytics::usage::{AgeGroup, DayUsage};
use crate::object::StorageClass;

/// Days looked at together, and the least number of days before anything is said.
const WINDOW_DAYS: usize = 30;
/// Days on which the observed age must be the same before it is recommended.
const STABLE_DAYS: usize = 25;
/// The youngest age in days at which S3 lets a rule move objects to `STANDARD_IA`.
const TRANSITION_DAYS_MIN: u64 = 30;
/// A ratio below one to this is low.
const LOW_RATIO_DIVISOR: u128 = 2;

/// What the last days of one configuration say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Analysis {
    /// The heat of each age group, the latest day last.
    window: VecDeque<[Heat; AgeGroup::COUNT]>,
    /// The age observed on each day, the latest last.
    observed: VecDeque<Option<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Heat {
    stored_bytes: u64,
    retrieved_bytes: u64,
}

impl Analysis {
    /// Adds a day; call it once a day, in order.
    pub fn observe(&mut self, day: &DayUsage) {
        let mut heat = [Heat::default(); AgeGroup::COUNT];
        if let Some(usage) = day.class(StorageClass::Standard) {
            for group in AgeGroup::all() {
                let sums = usage.group(group);
                heat[group.number()] = Heat { stored_bytes: sums.bytes, retrieved_bytes: sums.bytes_retrieved };
            }
        }
        push(&mut self.window, heat, WINDOW_DAYS);
        let observed = self.quiet_age();
        push(&mut self.observed, observed, STABLE_DAYS);
    }

    /// The access ratio of the group and all older ones; `None` as long as they hold nothing.
    pub fn access_ratio(&self, group: AgeGroup) -> Option<f64> {
        let (stored, retrieved) = self.byte_days(group);
        let average = stored as f64 / self.window.len() as f64;
        (stored > 0).then(|| retrieved as f64 / average)
    }

    /// The age in days from which on objects are rarely read, as of the last day.
    pub fn observed_age(&self) -> Option<u64> {
        self.observed.back().copied().flatten()
    }

    /// The age in days at which objects should move to `STANDARD_IA`.
    pub fn recommended_age(&self) -> Option<u64> {
        let age = self.observed_age()?;
        let is_stable = self.observed.len() == STABLE_DAYS && self.observed.iter().all(|day| *day == Some(age));
        is_stable.then_some(age)
    }

    fn quiet_age(&self) -> Option<u64> {
        if self.window.len() < WINDOW_DAYS {
            return None;
        }
        let quiet = AgeGroup::all().filter(|group| group.first_day() >= TRANSITION_DAYS_MIN).find(|&group| {
            let (stored, retrieved) = self.byte_days(group);
            retrieved * LOW_RATIO_DIVISOR * (self.window.len() as u128) < stored
        });
        quiet.map(AgeGroup::first_day)
    }

    /// Bytes stored, summed over the days, and bytes retrieved, of the group and all older ones.
    fn byte_days(&self, group: AgeGroup) -> (u128, u128) {
        let heats = self.window.iter().flat_map(|day| &day[group.number()..]);
        heats.fold((0, 0), |(stored, retrieved), heat| {
            (stored + u128::from(heat.stored_bytes), retrieved + u128::from(heat.retrieved_bytes))
        })
    }
}

fn push<T>(days: &mut VecDeque<T>, day: T, most: usize) {
    if days.len() == most {
        days.pop_front();
    }
    days.push_back(day);
}

#[cfg(test)]
mod tests {
    use super::Analysis;
    use crate::analytics::usage::{AgeGroup, DayUsage};
    use crate::object::StorageClass;
    use crate::stamp::Timestamp;

    const MIB: u64 = 1 << 20;

    /// A day with objects of these ages, of 300 MiB each, of which so many MiB were read.
    fn day(objects: &[(u64, u64)]) -> DayUsage {
        let mut day = DayUsage::new(Timestamp::from_secs(0));
        for &(age, retrieved) in objects {
            let usage = day.of(StorageClass::Standard, age, 300 * MIB);
            usage.bytes += 300 * MIB;
            usage.bytes_retrieved += retrieved * MIB;
        }
        day
    }

    #[test]
    fn ages_are_recommended_once_they_are_stable() {
        let mut analysis = Analysis::default();
        let young_is_hot = day(&[(5, 300), (35, 300), (50, 4), (400, 0)]);
        for number in 1..=53 {
            analysis.observe(&young_is_hot);
            let observed = (number >= 30).then_some(45);
            assert_eq!((analysis.observed_age(), analysis.recommended_age()), (observed, None), "day {number}");
        }
        analysis.observe(&young_is_hot);
        assert_eq!((analysis.observed_age(), analysis.recommended_age()), (Some(45), Some(45)));
        let everything_is_hot = day(&[(5, 300), (35, 300), (50, 300), (400, 300)]);
        for _ in 0..30 {
            analysis.observe(&everything_is_hot);
        }
        assert_eq!((analysis.observed_age(), analysis.recommended_age()), (None, None));
    }

    /// Each day 300 MiB are stored; one half of them in 30 days are 5 MiB a day.
    #[test]
    fn the_line_is_one_half() {
        fn check(age: u64, retrieved: u64, expected: Option<u64>) {
            let mut analysis = Analysis::default();
            for _ in 0..30 {
                analysis.observe(&day(&[(age, retrieved)]));
            }
            assert_eq!(analysis.observed_age(), expected, "{age} {retrieved}");
        }
        check(30, 0, Some(30));
        check(30, 4, Some(30));
        check(30, 5, None);
        check(30, 6, None);
        check(731, 4, Some(30));
        // Nothing that could be moved.
        check(29, 0, None);
    }

    #[test]
    fn ratios_are_cumulative() {
        let mut analysis = Analysis::default();
        assert_eq!(analysis.access_ratio(AgeGroup::of(0)), None);
        analysis.observe(&day(&[(5, 600), (50, 30), (400, 0)]));
        assert_eq!(analysis.access_ratio(AgeGroup::of(0)), Some(0.7));
        assert_eq!(analysis.access_ratio(AgeGroup::of(15)), Some(0.05));
        assert_eq!(analysis.access_ratio(AgeGroup::of(365)), Some(0.0));
        assert_eq!(analysis.access_ratio(AgeGroup::of(730)), None);
        analysis.observe(&day(&[(5, 600), (50, 30), (400, 0)]));
        assert_eq!(analysis.access_ratio(AgeGroup::of(0)), Some(1.4));
    }

    #[test]
    fn other_classes_are_not_judged() {
        let mut analysis = Analysis::default();
        let mut day = DayUsage::new(Timestamp::from_secs(0));
        day.of(StorageClass::StandardIa, 50, 300 * MIB).bytes = 300 * MIB;
        for _ in 0..60 {
            analysis.observe(&day);
        }
        assert_eq!((analysis.observed_age(), analysis.access_ratio(AgeGroup::of(0))), (None, None));
    }
}
