//! What background work says of itself: what it does, how much it did, what is left, what went wrong last.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::stamp::Timestamp;
use crate::worker::waiting::Waiting;

/// The least time over which a rate is told.
const RATE_TIME_MIN: Duration = Duration::from_secs(10);

/// What one worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// What it does, in one word.
    pub name: &'static str,
    /// Whether it is at work now.
    pub running: bool,
    /// What it did since the store was opened: versions, rows, segments, as the worker counts.
    pub done: u64,
    /// How much it does a minute: since somebody last asked, or rather longer, so that it is at least ten seconds.
    pub done_per_minute: u64,
    /// The bytes it read and wrote since the store was opened.
    pub bytes: u64,
    /// What is due and not done, as counted when its last round began or ended, or while a long one goes on: due rows of
    /// `lifecycle`, `settle` and `restore`, rows of garbage of `collect`, buckets of `reindex`, segments and shards of `heal`,
    /// segments of `scrub`, days of `analytics`, and bytes of `backup`. What is due later does not count.
    pub backlog: u64,
    /// Whether counting ended there, after 10,000 rows: there is more.
    pub backlog_capped: bool,
    /// When it last finished a round of work.
    pub last_run: Option<Timestamp>,
    /// What went wrong last, and when.
    pub last_error: Option<(Timestamp, String)>,
}

/// The workers of a store.
#[derive(Default)]
pub(crate) struct Workers(Mutex<Vec<Arc<Progress>>>);

impl Workers {
    /// Adds a worker.
    pub(crate) fn register(&self, name: &'static str) -> Arc<Progress> {
        let progress = Arc::new(Progress::new(name));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&progress));
        progress
    }

    /// What all of them say, in the order in which they were added.
    pub(crate) fn statuses(&self) -> Vec<WorkerStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|progress| progress.status()).collect()
    }
}

/// The counters of one worker.
pub(crate) struct Progress {
    name: &'static str,
    running: AtomicBool,
    done: AtomicU64,
    bytes: AtomicU64,
    last: Mutex<Last>,
    /// Two earlier moments, with what was done by then; the older one first.
    marks: Mutex<[(Instant, u64); 2]>,
}

#[derive(Default)]
struct Last {
    backlog: Waiting,
    run: Option<Timestamp>,
    error: Option<(Timestamp, String)>,
}

impl Progress {
    fn new(name: &'static str) -> Progress {
        Progress {
            name,
            running: AtomicBool::new(false),
            done: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last: Mutex::default(),
            marks: Mutex::new([(Instant::now(), 0); 2]),
        }
    }

    /// A round of work begins.
    pub(crate) fn begin(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    /// A round of work ends.
    pub(crate) fn end(&self, now: Timestamp) {
        self.running.store(false, Ordering::Relaxed);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).run = Some(now);
    }

    /// Counts work done.
    pub(crate) fn add(&self, done: u64, bytes: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Tells what is waiting.
    pub(crate) fn set_backlog(&self, backlog: impl Into<Waiting>) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).backlog = backlog.into();
    }

    /// Keeps what went wrong, for whoever asks.
    pub(crate) fn fail(&self, now: Timestamp, error: &dyn fmt::Display) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).error = Some((now, error.to_string()));
    }

    /// What is done a minute since the older of two moments. Once the younger one is old enough, it takes its place.
    fn done_per_minute(&self, done: u64, now: Instant) -> u64 {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = marks[0];
        if now.saturating_duration_since(marks[1].0) >= RATE_TIME_MIN {
            *marks = [marks[1], (now, done)];
        }
        let millis = now.saturating_duration_since(since).max(RATE_TIME_MIN).as_millis();
        let rate = u128::from(done.saturating_sub(before)) * 60_000 / millis;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn status(&self) -> WorkerStatus {
        let done = self.done.load(Ordering::Relaxed);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        WorkerStatus {
            name: self.name,
            running: self.running.load(Ordering::Relaxed),
            done,
            done_per_minute: self.done_per_minute(done, Instant::now()),
            bytes: self.bytes.load(Ordering::Relaxed),
            backlog: last.backlog.count,
            backlog_capped: last.backlog.is_capped,
            last_run: last.run,
            last_error: last.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Progress;

    #[test]
    fn rates_are_of_late() {
        let progress = Progress::new("work");
        let start = Instant::now();
        let check = |seconds: u64, done: u64, expected: u64| {
            let found = progress.done_per_minute(done, start + Duration::from_secs(seconds));
            assert!(found.abs_diff(expected) <= 1, "{found} instead of {expected} after {seconds} s");
        };
        check(1, 10, 60);
        check(20, 100, 300);
        check(40, 200, 300);
        // Nothing was done since: the rate falls as time goes by.
        check(60, 200, 150);
        check(80, 200, 0);
    }
}
