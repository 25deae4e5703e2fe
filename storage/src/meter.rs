//! The meter: what happened in each bucket, month by month, that has a price beside storage itself.
//!
//! Requests, transitions, restores and retrievals are noted in memory and added to the index every minute, and when the
//! store is closed; a crash loses the last minute. Charges for early deletion are added by the batch that deletes, so
//! they are as exact as the deletion. A month is a calendar month in UTC: what is noted in its last minute may be
//! counted in the next.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use tokio::time::{Instant, MissedTickBehavior};

use crate::error::{Entity, Error, Result};
use crate::index::record::ObjectRecord;
use crate::index::{Batch, Family, Step, key};
use crate::name::BucketName;
use crate::object::StorageClass;
use crate::residence::RestoreSpeed;
use crate::stamp::Timestamp;
use crate::store::{Inner, Store};
use crate::usage::{LEAST_BILLED_BYTES, has_least_size};

/// How often the meter is written out.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Parts of the memory, so that threads rarely meet at one lock.
const SHARDS: usize = 16;
/// Counters that one shard holds between flushes, 4 MiB or so; what exceeds it is not counted.
const COUNTERS_MAX: usize = 65_536;
/// Rows that one batch of a flush changes.
const ROWS_PER_BATCH: usize = 1000;

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

/// Notes what happens until it is written out. Noting takes some 30 ns and waits for nothing but a short lock.
#[derive(Default)]
pub struct Meter {
    shards: [Line; SHARDS],
    /// Held while counters are on their way to the index, so that a second flush finds them there.
    flushing: tokio::sync::Mutex<()>,
}

/// A shard in cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Line(Mutex<Shard>);

#[derive(Default)]
struct Shard {
    requests: HashMap<BucketName, Requests>,
    counters: HashMap<(u64, StorageClass, Metered), u64>,
}

/// The requests and retrieved bytes of one bucket by class.
type Requests = [[u64; 3]; StorageClass::ALL.len()];

impl Meter {
    /// Notes a request that was served.
    pub fn request(&self, bucket: &BucketName, class: StorageClass, kind: RequestKind) {
        let kind = match kind {
            RequestKind::Write => 0,
            RequestKind::Read => 1,
        };
        self.add_request(bucket, class, kind, 1);
    }

    /// Notes bytes that are read from a class. Only classes that charge for it are noted.
    pub fn retrieval(&self, bucket: &BucketName, class: StorageClass, bytes: u64) {
        if has_least_size(class) {
            self.add_request(bucket, class, 2, bytes);
        }
    }

    fn add_request(&self, bucket: &BucketName, class: StorageClass, kind: usize, count: u64) {
        let mut shard = self.shard();
        if let Some(requests) = shard.requests.get_mut(bucket) {
            requests[class as usize][kind] += count;
        } else if shard.requests.len() < COUNTERS_MAX {
            let mut requests = Requests::default();
            requests[class as usize][kind] = count;
            shard.requests.insert(bucket.clone(), requests);
        }
    }

    /// Notes an object that a lifecycle rule moved into a class.
    pub(crate) fn transition(&self, bucket: u64, class: StorageClass) {
        self.add(bucket, class, Metered::Transitions, 1);
    }

    /// Notes a restore of an object of that many bytes.
    pub(crate) fn restore(&self, bucket: u64, class: StorageClass, speed: RestoreSpeed, bytes: u64) {
        self.add(bucket, class, Metered::Restores(speed), 1);
        self.add(bucket, class, Metered::RestoredBytes(speed), bytes);
    }

    /// Notes a request of which only the engine knows the class.
    pub(crate) fn write_request(&self, bucket: u64, class: StorageClass) {
        self.add(bucket, class, Metered::Writes, 1);
    }

    fn add(&self, bucket: u64, class: StorageClass, metered: Metered, count: u64) {
        let mut shard = self.shard();
        let is_full = shard.counters.len() >= COUNTERS_MAX;
        match shard.counters.entry((bucket, class, metered)) {
            Entry::Occupied(mut entry) => *entry.get_mut() += count,
            Entry::Vacant(entry) if !is_full => *entry.insert(0) += count,
            Entry::Vacant(_) => {}
        }
    }

    /// The shard of the calling thread.
    fn shard(&self) -> MutexGuard<'_, Shard> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static SHARD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        lock(&self.shards[SHARD.get()])
    }

    /// Takes all that was noted.
    fn take(&self) -> Shard {
        let mut all = Shard::default();
        for line in &self.shards {
            let Shard { requests, counters } = std::mem::take(&mut *lock(line));
            for (bucket, found) in requests {
                let sums = all.requests.entry(bucket).or_default();
                sums.as_flattened_mut().iter_mut().zip(found.as_flattened()).for_each(|(sum, count)| *sum += count);
            }
            for (counter, count) in counters {
                *all.counters.entry(counter).or_default() += count;
            }
        }
        all
    }

    /// Notes again what could not be written out.
    fn put_back(&self, bucket: &BucketName, requests: &Requests) {
        for class in StorageClass::ALL {
            for (kind, &count) in requests[class as usize].iter().enumerate().filter(|(_, count)| **count > 0) {
                self.add_request(bucket, class, kind, count);
            }
        }
    }
}

fn lock(line: &Line) -> MutexGuard<'_, Shard> {
    line.0.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Writes the meter out every minute, until the store is closed or gone.
pub(crate) fn spawn(inner: Weak<Inner>) {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval_at(Instant::now() + FLUSH_EVERY, FLUSH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(inner) = inner.upgrade() else { return };
            match flush(&inner).await {
                Ok(()) => {}
                _ if inner.check_writable().is_err() => return,
                Err(error) => tracing::error!(%error, "counts of requests could not be written out"),
            }
        }
    });
}

/// Adds all that was noted to the index.
///
/// A bucket that is being changed keeps its counts for the next flush; those of a bucket that is gone are forgotten.
/// The shared locks travel with the batch, so that no row is left behind by a bucket that is removed meanwhile.
pub(crate) async fn flush(inner: &Arc<Inner>) -> Result<()> {
    let _flushing = inner.meter.flushing.lock().await;
    let store = Store { inner: Arc::clone(inner) };
    let Shard { requests, counters } = inner.meter.take();
    let month = Month::of(inner.clock.now());
    let mut batch = Batch::new();
    for (name, requests) in requests {
        let Some(guard) = inner.locks.try_bucket_shared(name.as_str()) else {
            inner.meter.put_back(&name, &requests);
            continue;
        };
        let bucket = match store.bucket(&name).await {
            Ok(bucket) => bucket.id,
            Err(Error::NotFound(Entity::Bucket)) => continue,
            Err(error) => return Err(error),
        };
        batch.hold(guard);
        for class in StorageClass::ALL {
            let kinds = [Metered::Writes, Metered::Reads, Metered::RetrievedBytes];
            for (metered, count) in kinds.into_iter().zip(requests[class as usize]) {
                batch.meter(MeterKey { bucket, month, class, metered }, count);
            }
        }
        commit_full(inner, &mut batch).await?;
    }
    let mut by_bucket: BTreeMap<u64, Vec<(StorageClass, Metered, u64)>> = BTreeMap::new();
    for ((bucket, class, metered), count) in counters {
        by_bucket.entry(bucket).or_default().push((class, metered, count));
    }
    for (bucket, counts) in by_bucket {
        let Some(name) = store.bucket_name(bucket).await? else { continue };
        let Some(guard) = inner.locks.try_bucket_shared(name.as_str()) else {
            counts.iter().for_each(|&(class, metered, count)| inner.meter.add(bucket, class, metered, count));
            continue;
        };
        // Only under the lock is it certain that the bucket is still the one of that name.
        if store.bucket_name(bucket).await?.is_none() {
            continue;
        }
        batch.hold(guard);
        for (class, metered, count) in counts {
            batch.meter(MeterKey { bucket, month, class, metered }, count);
        }
        commit_full(inner, &mut batch).await?;
    }
    if batch.changes.is_empty() { Ok(()) } else { inner.index.commit(batch).await }
}

/// Commits a batch that has become large, and begins the next.
async fn commit_full(inner: &Inner, batch: &mut Batch) -> Result<()> {
    if batch.changes.len() < ROWS_PER_BATCH { Ok(()) } else { inner.index.commit(std::mem::take(batch)).await }
}

impl Store {
    /// Where what has a price is noted.
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// What was metered in a month, in one bucket or in all, by bucket and class. What was noted a moment ago is
    /// among it. `Err(NotFound(Bucket))` if the bucket named is not there.
    pub async fn activity(&self, bucket: Option<&BucketName>, month: Month) -> Result<Vec<BucketActivity>> {
        if self.inner.check_writable().is_ok() {
            flush(&self.inner).await?;
        }
        let (from, to) = self.counter_rows(bucket).await?;
        let sums = self.inner.index.read(move |rows| {
            let mut sums: BTreeMap<(u64, StorageClass), Activity> = BTreeMap::new();
            rows.scan(Family::Meter, &from, &to, |row, value| {
                let found = key::split_meter(row).ok_or_else(|| key::corrupt("meter row", row))?;
                if found.month == month {
                    let [count] = key::counters(value).ok_or_else(|| key::corrupt("meter row", row))?;
                    *sums.entry((found.bucket, found.class)).or_default().counter(found.metered) = count;
                }
                Ok(Step::Next)
            })?;
            Ok(sums)
        });
        let mut found = Vec::new();
        for ((id, class), activity) in sums.await? {
            if let Some(bucket) = self.bucket_name(id).await? {
                found.push(BucketActivity { bucket, class, activity });
            }
        }
        Ok(found)
    }
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
