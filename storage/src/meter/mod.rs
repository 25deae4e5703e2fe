//! The meter: what happened in each bucket, month by month, that has a price beside storage itself.
//!
//! Requests, transitions, restores and retrievals are noted in memory (`notes`) and added to the index every minute, and
//! when the store is closed (`ledger`); a crash loses the last minute. Charges for early deletion are added by the batch
//! that deletes, so they are as exact as the deletion. A month is a calendar month in UTC: what is noted in its last
//! minute may be counted in the next.

mod ledger;
mod notes;

use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};

use crate::index::Batch;
use crate::index::record::ObjectRecord;
use crate::name::BucketName;
use crate::object::StorageClass;
use crate::residence::RestoreSpeed;
use crate::stamp::Timestamp;
use crate::store::Inner;
use crate::usage::{LEAST_BILLED_BYTES, has_least_size};

pub(crate) use ledger::{flush, spawn};
pub use notes::Meter;

/// The two kinds of requests by price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// PUT, COPY, POST and LIST.
    Write,
    /// GET, HEAD and all others that are not free.
    Read,
}

/// What one counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Metered {
    Writes,
    Reads,
    Transitions,
    Restores(RestoreSpeed),
    RestoredBytes(RestoreSpeed),
    RetrievedBytes,
    EarlyDeleteByteDays,
}

impl Metered {
    const ALL: [Metered; 11] = [
        Metered::Writes,
        Metered::Reads,
        Metered::Transitions,
        Metered::Restores(RestoreSpeed::Bulk),
        Metered::Restores(RestoreSpeed::Standard),
        Metered::Restores(RestoreSpeed::Expedited),
        Metered::RestoredBytes(RestoreSpeed::Bulk),
        Metered::RestoredBytes(RestoreSpeed::Standard),
        Metered::RestoredBytes(RestoreSpeed::Expedited),
        Metered::RetrievedBytes,
        Metered::EarlyDeleteByteDays,
    ];

    /// The number by which stored bytes name the counter: its place in the list.
    pub(crate) fn number(self) -> u8 {
        let place = Metered::ALL.into_iter().position(|metered| metered == self);
        u8::try_from(place.expect("the list is complete")).expect("the list is short")
    }

    /// The counter of that number.
    pub(crate) fn from_number(number: u8) -> Option<Metered> {
        Metered::ALL.get(usize::from(number)).copied()
    }
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MeterKey {
    /// The bucket's id.
    pub(crate) bucket: u64,
    pub(crate) month: Month,
    pub(crate) class: StorageClass,
    pub(crate) metered: Metered,
}

/// A calendar month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month(u32);

impl Month {
    /// The month in which a moment lies.
    pub fn of(moment: Timestamp) -> Month {
        let date: DateTime<Utc> = moment.to_datetime();
        Month(u32::try_from(date.year()).unwrap_or(0) * 12 + date.month0())
    }

    /// Its year and its number, 1 to 12.
    pub fn year_and_month(self) -> (u32, u32) {
        (self.0 / 12, self.0 % 12 + 1)
    }

    /// Months since the year 0: what stored bytes name it by.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn from_number(number: u32) -> Month {
        Month(number)
    }
}

/// What happened in one month to the objects of one class in one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// PUT, COPY, POST and LIST requests.
    pub writes: i64,
    /// GET and other requests.
    pub reads: i64,
    /// Lifecycle transitions into the class.
    pub transitions: i64,
    /// Restores asked for, by [`RestoreSpeed`]: bulk, standard, expedited.
    pub restores: [i64; 3],
    /// The bytes of the objects restored, likewise.
    pub restored_bytes: [i64; 3],
    /// Bytes read from a class that charges for it.
    pub retrieved_bytes: i64,
    /// Bytes that left the class too early, each times the days that were missing.
    pub early_delete_byte_days: i64,
}

impl Activity {
    fn counter(&mut self, metered: Metered) -> &mut i64 {
        match metered {
            Metered::Writes => &mut self.writes,
            Metered::Reads => &mut self.reads,
            Metered::Transitions => &mut self.transitions,
            Metered::Restores(speed) => &mut self.restores[speed as usize],
            Metered::RestoredBytes(speed) => &mut self.restored_bytes[speed as usize],
            Metered::RetrievedBytes => &mut self.retrieved_bytes,
            Metered::EarlyDeleteByteDays => &mut self.early_delete_byte_days,
        }
    }
}

/// The activity of one class in one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketActivity {
    /// The bucket.
    pub bucket: BucketName,
    /// The class.
    pub class: StorageClass,
    /// What happened.
    pub activity: Activity,
}

impl Inner {
    /// Adds to `batch` the charge for an object that leaves its class now, deleted, replaced or moved, if it does so
    /// too early. The record is that of before.
    pub(crate) fn charge_early_delete(&self, bucket: u64, object: &ObjectRecord, batch: &mut Batch) {
        let (class, now) = (object.residence.class, self.clock.now());
        let held = now.since(object.residence.since);
        let byte_days = early_delete_byte_days(object.size, class, held, self.calendar.day());
        batch
            .meter(MeterKey { bucket, month: Month::of(now), class, metered: Metered::EarlyDeleteByteDays }, byte_days);
    }
}

/// The days for which an object of a class is paid for at least.
pub const fn least_days(class: StorageClass) -> u32 {
    match class {
        StorageClass::Standard | StorageClass::ReducedRedundancy | StorageClass::IntelligentTiering => 0,
        StorageClass::StandardIa | StorageClass::OnezoneIa => 30,
        StorageClass::GlacierIr | StorageClass::Glacier => 90,
        StorageClass::DeepArchive => 180,
    }
}

/// The billed size of an object times the days that it still is to be paid for, after having been in the class for
/// `held`. Started days are not charged twice: only what is left of the least duration counts, to the second.
pub fn early_delete_byte_days(size: u64, class: StorageClass, held: Duration, day: Duration) -> u64 {
    let least = day.saturating_mul(least_days(class)).as_nanos();
    let left = least.saturating_sub(held.as_nanos());
    let billed = if has_least_size(class) { size.max(LEAST_BILLED_BYTES) } else { size };
    let byte_days = u128::from(billed).saturating_mul(left).div_ceil(day.as_nanos().max(1));
    u64::try_from(byte_days).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Metered, Month, early_delete_byte_days};
    use crate::object::StorageClass;
    use crate::stamp::Timestamp;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn counters_have_numbers() {
        for metered in Metered::ALL {
            assert_eq!(Metered::from_number(metered.number()), Some(metered));
        }
        assert_eq!(Metered::from_number(11), None);
    }

    #[test]
    fn months() {
        fn check(seconds: u64, expected: (u32, u32)) {
            assert_eq!(Month::of(Timestamp::from_secs(seconds)).year_and_month(), expected, "{seconds}");
        }
        check(0, (1970, 1));
        check(31 * 86_400 - 1, (1970, 1));
        check(31 * 86_400, (1970, 2));
        check(1_785_542_399, (2026, 7));
        check(1_785_542_400, (2026, 8));
        check(1_798_761_599, (2026, 12));
    }

    #[test]
    fn what_leaves_early_is_paid_for_to_the_end() {
        fn check(class: StorageClass, size: u64, held: Duration, expected: u64) {
            assert_eq!(early_delete_byte_days(size, class, held, DAY), expected, "{class:?} {size} {held:?}");
        }
        check(StorageClass::Standard, 1 << 30, Duration::ZERO, 0);
        check(StorageClass::IntelligentTiering, 1 << 30, Duration::ZERO, 0);
        check(StorageClass::StandardIa, 1 << 20, DAY * 10, 20 << 20);
        check(StorageClass::StandardIa, 1 << 20, DAY * 30, 0);
        check(StorageClass::StandardIa, 1 << 20, DAY * 31, 0);
        // Small objects are billed as 128 KiB where the class has a least size, and as they are elsewhere.
        check(StorageClass::OnezoneIa, 1000, Duration::ZERO, 30 * 131_072);
        check(StorageClass::GlacierIr, 1000, DAY * 89, 131_072);
        check(StorageClass::Glacier, 1000, DAY * 60, 30_000);
        check(StorageClass::DeepArchive, 1000, DAY * 5, 175_000);
        check(StorageClass::Glacier, 1000, DAY * 89 + DAY / 2, 500);
        // A compressed day is a day.
        let second = Duration::from_secs(1);
        assert_eq!(early_delete_byte_days(1000, StorageClass::Glacier, second * 80, second), 10_000);
    }
}
