//! What background work says of itself: what it does, how much it did, what is left, what went wrong last.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::stamp::Timestamp;

/// What one worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// What it does, in one word.
    pub name: &'static str,
    /// Whether it is at work now.
    pub running: bool,
    /// What it did since the store was opened: versions, rows, segments, as the worker counts.
    pub done: u64,
    /// The bytes it read and wrote since the store was opened.
    pub bytes: u64,
    /// What it knows to be waiting, as it last looked.
    pub backlog: u64,
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
    backlog: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
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
            backlog: AtomicU64::new(0),
            last: Mutex::default(),
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
    pub(crate) fn set_backlog(&self, backlog: u64) {
        self.backlog.store(backlog, Ordering::Relaxed);
    }

    /// Keeps what went wrong, for whoever asks.
    pub(crate) fn fail(&self, now: Timestamp, error: &Error) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).error = Some((now, error.to_string()));
    }

    fn status(&self) -> WorkerStatus {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        WorkerStatus {
            name: self.name,
            running: self.running.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            backlog: self.backlog.load(Ordering::Relaxed),
            last_run: last.run,
            last_error: last.error.clone(),
        }
    }
}
