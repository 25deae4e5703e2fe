//! Tasks that are being written: who reads a queue in the order of its stamps must not pass them, for they are not there
//! yet, but will be. And who waits for tasks is told of those that came to its own queue, and of no others.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use crate::queue::QueueId;
use crate::stamp::Stamp;
use crate::sync::{Mutex, MutexGuard, watch};

/// What is being written to queues, and who waits for it.
pub(crate) struct Arrivals {
    /// The queues that something is being written to, or that somebody waits for.
    queues: Mutex<HashMap<QueueId, Arrival>>,
}

/// One queue.
#[derive(Default)]
struct Arrival {
    /// The first stamp of each batch that is not durable yet.
    open: BTreeSet<Stamp>,
    /// Counts batches with tasks that became durable, or failed.
    ended: watch::Sender<u64>,
}

impl Arrivals {
    pub(crate) fn new() -> Arc<Arrivals> {
        Arc::new(Arrivals { queues: Mutex::default() })
    }

    /// Makes a stamp for a task, and keeps readers of its queue before it until `arriving` is dropped. Stamps made later
    /// are later, so a batch enters each of its queues once.
    pub(crate) fn enter(
        self: &Arc<Arrivals>,
        queue: QueueId,
        stamp: impl FnOnce() -> Stamp,
        arriving: &mut Option<Arriving>,
    ) -> Stamp {
        let arriving = arriving.get_or_insert_with(|| Arriving { arrivals: Arc::clone(self), entered: Vec::new() });
        if arriving.entered.iter().any(|(entered, _)| *entered == queue) {
            return stamp();
        }
        let mut queues = self.lock();
        let stamp = stamp();
        queues.entry(queue).or_default().open.insert(stamp);
        arriving.entered.push((queue, stamp));
        stamp
    }

    /// Tasks of a queue before it are all there. `now` makes a stamp: tasks that begin to be written from now on are after
    /// it.
    pub(crate) fn horizon(&self, queue: QueueId, now: impl FnOnce() -> Stamp) -> Stamp {
        let queues = self.lock();
        queues.get(&queue).and_then(|arrival| arrival.open.first().copied()).unwrap_or_else(now)
    }

    /// Changes when further tasks of a queue may have become visible.
    pub(crate) fn subscribe(&self, queue: QueueId) -> watch::Receiver<u64> {
        self.lock().entry(queue).or_default().ended.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueId, Arrival>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps readers before the tasks of a batch until it is dropped.
pub(crate) struct Arriving {
    arrivals: Arc<Arrivals>,
    entered: Vec<(QueueId, Stamp)>,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let mut queues = self.arrivals.lock();
        for (queue, stamp) in &self.entered {
            let Some(arrival) = queues.get_mut(queue) else { continue };
            arrival.open.remove(stamp);
            arrival.ended.send_modify(|count| *count = count.wrapping_add(1));
            if arrival.open.is_empty() && arrival.ended.receiver_count() == 0 {
                queues.remove(queue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arrivals;
    use crate::queue::QueueId;
    use crate::stamp::{Stamp, Timestamp};

    const ONE: QueueId = QueueId(1);
    const OTHER: QueueId = QueueId(2);

    fn stamp(nanos: u64) -> Stamp {
        Stamp { time: Timestamp::from_nanos(nanos), random: 0 }
    }

    #[test]
    fn readers_stay_before_the_oldest_task_of_their_queue_that_is_being_written() {
        let arrivals = Arrivals::new();
        let mut ended = arrivals.subscribe(ONE);
        assert_eq!(arrivals.horizon(ONE, || stamp(1)), stamp(1));
        let (mut first, mut second) = (None, None);
        arrivals.enter(ONE, || stamp(1), &mut first);
        arrivals.enter(ONE, || stamp(2), &mut second);
        assert_eq!(arrivals.enter(ONE, || stamp(3), &mut second), stamp(3));
        assert_eq!(arrivals.horizon(ONE, || stamp(4)), stamp(1));
        assert_eq!(arrivals.horizon(OTHER, || stamp(4)), stamp(4));
        drop(first);
        assert_eq!(arrivals.horizon(ONE, || stamp(4)), stamp(2));
        assert!(ended.has_changed().expect("it lives"));
        ended.mark_unchanged();
        drop(second);
        assert_eq!(arrivals.horizon(ONE, || stamp(4)), stamp(4));
        assert!(ended.has_changed().expect("it lives"));
    }

    #[test]
    fn a_batch_tells_the_queues_that_it_wrote_to_and_no_others() {
        let arrivals = Arrivals::new();
        let (one, other) = (arrivals.subscribe(ONE), arrivals.subscribe(OTHER));
        let mut batch = None;
        arrivals.enter(ONE, || stamp(1), &mut batch);
        drop(batch.take());
        assert!(one.has_changed().expect("it lives") && !other.has_changed().expect("it lives"));
        arrivals.enter(ONE, || stamp(2), &mut batch);
        arrivals.enter(OTHER, || stamp(3), &mut batch);
        drop(batch);
        assert!(other.has_changed().expect("it lives"));
    }

    #[test]
    fn nothing_is_kept_of_queues_that_nobody_reads() {
        let arrivals = Arrivals::new();
        let (read, mut batch) = (arrivals.subscribe(ONE), None);
        arrivals.enter(ONE, || stamp(1), &mut batch);
        arrivals.enter(OTHER, || stamp(2), &mut batch);
        drop(batch.take());
        assert_eq!(arrivals.lock().keys().collect::<Vec<_>>(), [&ONE]);
        drop(read);
        arrivals.enter(ONE, || stamp(3), &mut batch);
        drop(batch);
        assert!(arrivals.lock().is_empty());
    }
}
