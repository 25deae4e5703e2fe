//! Tasks that are being written: who reads a queue in the order of its stamps must not pass them, for they are not there
//! yet, but will be.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::stamp::Stamp;

/// The stamps of tasks whose batches are not durable yet.
pub(crate) struct Arrivals {
    open: Mutex<BTreeSet<Stamp>>,
    /// Counts batches with tasks that became durable, or failed.
    ended: watch::Sender<u64>,
}

impl Arrivals {
    pub(crate) fn new() -> Arc<Arrivals> {
        Arc::new(Arrivals { open: Mutex::default(), ended: watch::Sender::new(0) })
    }

    /// Makes a stamp for a task, and keeps readers before it until the guard is dropped. Stamps made later under the same
    /// guard are later, so one guard serves a batch.
    pub(crate) fn enter(self: &Arc<Arrivals>, stamp: impl FnOnce() -> Stamp) -> (Stamp, Arriving) {
        let mut open = self.lock();
        let stamp = stamp();
        open.insert(stamp);
        (stamp, Arriving { arrivals: Arc::clone(self), stamp })
    }

    /// Tasks before it are all there. `now` makes a stamp: tasks that begin to be written from now on are after it.
    pub(crate) fn horizon(&self, now: impl FnOnce() -> Stamp) -> Stamp {
        let open = self.lock();
        open.first().copied().unwrap_or_else(now)
    }

    /// Changes when further tasks may have become visible.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Stamp>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps readers before a task until it is dropped.
pub(crate) struct Arriving {
    arrivals: Arc<Arrivals>,
    stamp: Stamp,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.arrivals.lock().remove(&self.stamp);
        self.arrivals.ended.send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::Arrivals;
    use crate::stamp::{Stamp, Timestamp};

    fn stamp(nanos: u64) -> Stamp {
        Stamp { time: Timestamp::from_nanos(nanos), random: 0 }
    }

    #[test]
    fn readers_stay_before_the_oldest_task_that_is_being_written() {
        let arrivals = Arrivals::new();
        let mut ended = arrivals.subscribe();
        assert_eq!(arrivals.horizon(|| stamp(1)), stamp(1));
        let (_, first) = arrivals.enter(|| stamp(1));
        let (_, second) = arrivals.enter(|| stamp(2));
        assert_eq!(arrivals.horizon(|| stamp(3)), stamp(1));
        drop(first);
        assert_eq!(arrivals.horizon(|| stamp(3)), stamp(2));
        assert!(ended.has_changed().expect("it lives"));
        ended.mark_unchanged();
        drop(second);
        assert_eq!(arrivals.horizon(|| stamp(3)), stamp(3));
        assert!(ended.has_changed().expect("it lives"));
    }
}
