//! Storage-class analysis: reads are counted by the age of what is read, and once a day the objects of a bucket are
//! summed, for each of its configurations.
//!
//! A day of a configuration goes in this order:
//!
//! 1. Its objects are summed in pages, with the reads that were counted in memory since the last time.
//! 2. The report is put as an object into the bucket that the configuration names (`reports`).
//! 3. What the last days say, and that this day is done, is committed.
//!
//! Dying before 3 makes the report again, under the same key, without the reads that were in memory. A report that
//! cannot be put, as when the bucket is missing, is told as the worker's last error, and the day is done without it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};

use crate::analytics::{Analysis, AnalyticsConfiguration, DayUsage};
use crate::bucket::{Bucket, BucketQuery};
use crate::error::{Error, Result};
use crate::index::record::{ObjectRecord, Record, VersionRecord};
use crate::index::{Batch, Family, Step, key};
use crate::list::following;
use crate::name::{BucketName, ObjectKey};
use crate::object::ObjectInfo;
use crate::stamp::Timestamp;
use crate::store::{Inner, Store};
use crate::worker::ROW_BYTES;

/// Versions that are summed at once.
const VERSIONS_PER_PAGE: usize = 1000;
/// Buckets that are looked through at once.
const BUCKETS_PER_PAGE: usize = 1000;
/// Configurations whose reads are counted, at some 4 KiB; reads for others are not.
const CONFIGURATIONS_MAX: usize = 10_000;

/// Reads since the last report, by bucket and configuration.
#[derive(Default)]
pub(crate) struct Reads {
    /// Whether any bucket is analyzed, so that reads cost nothing where none is.
    is_wanted: AtomicBool,
    days: Mutex<HashMap<(u64, String), DayUsage>>,
    /// Held while days are done, so that none is done twice.
    pass: tokio::sync::Mutex<()>,
}

/// What is kept of a configuration from day to day.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AnalysisRecord {
    /// The midnight at which the last day was done.
    done: Timestamp,
    analysis: Analysis,
}

impl Record for AnalysisRecord {
    const NAME: &'static str = "analysis record";
}

/// What a walk over the configurations of all buckets is for.
#[derive(Clone, Copy)]
enum Doing {
    Count,
    /// Of so many.
    Report {
        over: u64,
    },
}

impl Reads {
    /// Somebody analyzes a bucket.
    pub(crate) fn want(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, String), DayUsage>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the reads of a configuration.
    fn take(&self, bucket: u64, configuration: &str, date: Timestamp) -> DayUsage {
        let found = self.lock().remove(&(bucket, configuration.to_owned()));
        let mut day = found.unwrap_or_else(|| DayUsage::new(date));
        day.date = date;
        day
    }
}

/// Looks every so often whether a day is over, until the store is closed or gone.
pub(crate) fn spawn(inner: Weak<Inner>, every: Duration) {
    tokio::spawn(async move {
        // At once: only then is it known whether reads are to be counted.
        let mut ticks = tokio::time::interval_at(Instant::now(), every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(inner) = inner.upgrade() else { return };
            if inner.check_writable().is_err() {
                return;
            }
            if let Err(error) = Store::of(inner).analyze().await {
                tracing::error!(%error, "a storage-class analysis failed; the next look goes on");
            }
        }
    });
}

impl Store {
    /// Counts the read of an object for the analyses of its bucket. Costs nothing while no bucket has any.
    pub async fn note_read(&self, bucket: &BucketName, key: &ObjectKey, info: &ObjectInfo, bytes: u64) {
        let reads = &self.inner.reads;
        if !reads.is_wanted.load(Ordering::Relaxed) {
            return;
        }
        // A bucket that cannot be read now loses a count.
        let Ok(bucket) = self.bucket(bucket).await else { return };
        let age = age_days(&self.inner, info.modified, self.inner.clock.now());
        let matches = |one: &&AnalyticsConfiguration| one.filter.matches(key.as_str(), &info.tags);
        let matching: Vec<&AnalyticsConfiguration> = bucket.analytics.iter().filter(matches).collect();
        if matching.is_empty() {
            return;
        }
        // Once for all of them: every read of the store meets at this lock.
        let mut days = reads.lock();
        for configuration in matching {
            let name = (bucket.id, configuration.id.clone());
            if days.len() < CONFIGURATIONS_MAX || days.contains_key(&name) {
                let day = days.entry(name).or_insert_with(|| DayUsage::new(Timestamp::default()));
                let usage = day.of(info.class, age, info.size);
                usage.get_requests = usage.get_requests.saturating_add(1);
                usage.bytes_retrieved = usage.bytes_retrieved.saturating_add(bytes);
            }
        }
    }

    /// Does the days that are over, of all configurations of all buckets; returns how many. A configuration's first day
    /// is the one after it was first seen.
    pub async fn analyze(&self) -> Result<u64> {
        let _pass = self.inner.reads.pass.lock().await;
        let progress = &self.inner.analytics;
        progress.begin();
        let outcome = self.analyze_all().await;
        let now = self.inner.clock.now();
        progress.end(now);
        match &outcome {
            Ok(done) => progress.add(*done, 0),
            Err(error) => progress.fail(now, error),
        }
        outcome
    }

    async fn analyze_all(&self) -> Result<u64> {
        let over = self.walk(Doing::Count).await?;
        self.inner.analytics.set_backlog(over);
        if over == 0 { Ok(0) } else { self.walk(Doing::Report { over }).await }
    }

    /// Counts the days that are over, or does them, and returns how many.
    async fn walk(&self, doing: Doing) -> Result<u64> {
        let mut found = 0;
        let mut after = None;
        loop {
            let query = BucketQuery { after, max: BUCKETS_PER_PAGE, ..BucketQuery::default() };
            let page = self.list_buckets(query).await?;
            for (name, _) in page.buckets {
                let bucket = match self.bucket(&name).await {
                    Ok(bucket) => bucket,
                    Err(Error::NotFound(_)) => continue,
                    Err(error) => return Err(error),
                };
                for configuration in &bucket.analytics {
                    self.inner.reads.want();
                    let Some(record) = self.day_over(&name, &bucket, configuration).await? else { continue };
                    found += 1;
                    if let Doing::Report { over } = doing {
                        self.analyze_one(&name, &bucket, configuration, record).await?;
                        self.inner.analytics.set_backlog(over.saturating_sub(found));
                    }
                }
            }
            let Some(next) = page.next else { return Ok(found) };
            after = Some(next);
        }
    }

    /// What is kept of a configuration, if its last day is over and not done. The first day of a new one begins.
    async fn day_over(
        &self,
        name: &BucketName,
        bucket: &Bucket,
        configuration: &AnalyticsConfiguration,
    ) -> Result<Option<AnalysisRecord>> {
        let midnight = self.inner.calendar.midnight_before(self.inner.clock.now());
        let row = key::analysis(bucket.id, &configuration.id);
        let Some(record) = self.inner.index.record::<AnalysisRecord>(Family::Meta, row.clone()).await? else {
            let record = AnalysisRecord { done: midnight, analysis: Analysis::default() };
            self.keep(name, bucket.id, row, &record).await?;
            return Ok(None);
        };
        Ok((record.done < midnight).then_some(record))
    }

    /// Does the last day of one configuration, which is over.
    async fn analyze_one(
        &self,
        name: &BucketName,
        bucket: &Bucket,
        configuration: &AnalyticsConfiguration,
        mut record: AnalysisRecord,
    ) -> Result<()> {
        let midnight = self.inner.calendar.midnight_before(self.inner.clock.now());
        let row = key::analysis(bucket.id, &configuration.id);
        let day = self.sum(bucket.id, configuration, midnight).await?;
        record.analysis.observe(&day);
        if let Some(export) = &configuration.export
            && let Err(error) = self.report(bucket, (configuration, export), (&day, &record.analysis)).await
        {
            let error = format!("bucket {name}, analytics configuration {}: {error}", configuration.id);
            tracing::warn!(error, "a report of a storage-class analysis cannot be put");
            self.inner.analytics.fail(self.inner.clock.now(), &error);
        }
        record.done = midnight;
        self.keep(name, bucket.id, row, &record).await
    }

    /// Sums the objects of a configuration, in pages and at the pace of background work, as of a midnight.
    async fn sum(&self, bucket: u64, configuration: &AnalyticsConfiguration, midnight: Timestamp) -> Result<DayUsage> {
        let inner = &self.inner;
        let yesterday = Timestamp::from_nanos(midnight.as_nanos().saturating_sub(1));
        let mut day = inner.reads.take(bucket, &configuration.id, inner.calendar.midnight_before(yesterday));
        let mut from = key::bucket_start(bucket);
        loop {
            inner.budget.spend(ROW_BYTES * VERSIONS_PER_PAGE as u64).await;
            let page = inner.index.read(move |rows| {
                let mut found = Vec::new();
                rows.scan(Family::Version, &from, &key::bucket_end(bucket), |row, value| {
                    found.push((row.to_vec(), VersionRecord::decode(value)?));
                    Ok(if found.len() < VERSIONS_PER_PAGE { Step::Next } else { Step::Stop })
                })?;
                Ok(found)
            });
            let page = page.await?;
            let Some((last, _)) = page.last() else { return Ok(day) };
            from = following(last.clone());
            for (row, record) in &page {
                let (key, stamp) = key::split_version(row).ok_or_else(|| key::corrupt("version row", row))?;
                let object = record.object.as_ref().filter(|_| stamp.time < midnight);
                let Some(object) = object.filter(|object| configuration.filter.matches(&key, &object.tags)) else {
                    continue;
                };
                add(&mut day, object, age_days(inner, stamp.time, midnight));
            }
        }
    }

    /// Commits what is kept of a configuration, unless its bucket is gone.
    async fn keep(&self, name: &BucketName, id: u64, row: Vec<u8>, record: &AnalysisRecord) -> Result<()> {
        let guard = self.inner.locks.bucket_shared(name.as_str()).await;
        match self.bucket(name).await {
            Ok(bucket) if bucket.id == id => {}
            Ok(_) | Err(Error::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut batch = Batch::new();
        batch.put(Family::Meta, row, record);
        batch.hold(guard);
        self.inner.index.commit(batch).await
    }
}

fn add(day: &mut DayUsage, object: &ObjectRecord, age_days: u64) {
    let usage = day.of(object.residence.class, age_days, object.size);
    usage.objects = usage.objects.saturating_add(1);
    usage.bytes = usage.bytes.saturating_add(object.size);
    if age_days == 0 {
        usage.bytes_uploaded = usage.bytes_uploaded.saturating_add(object.size);
    }
}

/// Whole days from `created` to `now`.
fn age_days(inner: &Arc<Inner>, created: Timestamp, now: Timestamp) -> u64 {
    let days = now.since(created).as_nanos() / inner.calendar.day().as_nanos().max(1);
    u64::try_from(days).unwrap_or(u64::MAX)
}
