//! Which task is next: many keys at once, each in the order of its changes. Pure.
//!
//! A task that failed gives its place under way to others, so that those which never succeed do not hold the queue.

use std::collections::{BTreeMap, HashMap, VecDeque};

use strata_storage::{Stamp, Task, Work};
use tokio::time::Instant;

use super::errand::Errand;

/// Tasks that were read and are not done.
#[derive(Default)]
pub struct Lanes {
    /// The keys that a task is under way for, with the tasks behind it.
    busy: HashMap<String, VecDeque<Task>>,
    /// Tasks that may begin.
    ready: VecDeque<Errand>,
    /// Tasks that wait by themselves, each until its time.
    waiting: BTreeMap<(Instant, Stamp), Errand>,
    /// Whether the last one that began had waited.
    had_waited: bool,
    held: usize,
    /// The last task that was read.
    last: Option<Stamp>,
}

impl Lanes {
    /// Takes in a task, later than all before.
    pub fn add(&mut self, task: Task) {
        self.last = Some(task.stamp);
        self.held += 1;
        let Work::Replicate(replicate) = &task.work else { return };
        match self.busy.get_mut(&replicate.key) {
            Some(behind) => behind.push_back(task),
            None => {
                self.busy.insert(replicate.key.clone(), VecDeque::new());
                self.ready.push_back(Errand::new(task));
            }
        }
    }

    /// A task that may begin. Its key is busy until [`Lanes::done`]. Those that waited and the others take turns.
    pub fn next(&mut self, now: Instant) -> Option<Errand> {
        let due = self.wakes_at().is_some_and(|at| at <= now);
        self.had_waited = due && (self.ready.is_empty() || !self.had_waited);
        match self.had_waited {
            true => self.waiting.pop_first().map(|(_, errand)| errand),
            false => self.ready.pop_front(),
        }
    }

    /// When the first of those that wait by themselves may begin.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// A task that was under way is to be tried again, after all others.
    pub fn again(&mut self, errand: Errand) {
        self.ready.push_back(errand);
    }

    /// A task that was under way is to be tried again at that time.
    pub fn later(&mut self, errand: Errand, at: Instant) {
        self.waiting.insert((at, errand.task.stamp), errand);
    }

    /// The task of a key that was under way is done with.
    pub fn done(&mut self, key: &str) {
        self.held -= 1;
        let Some(behind) = self.busy.get_mut(key) else { return };
        match behind.pop_front() {
            Some(task) => self.ready.push_back(Errand::new(task)),
            None => drop(self.busy.remove(key)),
        }
    }

    /// How many tasks are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Where reading goes on.
    pub fn last(&self) -> Option<Stamp> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strata_storage::{Replicate, ReplicatedPart, Stamp, Task, Timestamp, Work};
    use tokio::time::Instant;

    use super::Lanes;

    fn task(nanos: u64, key: &str) -> Task {
        let stamp = Stamp { time: Timestamp::from_nanos(nanos), random: 0 };
        let work = Replicate {
            bucket: 1,
            key: key.to_owned(),
            version: stamp,
            null: false,
            part: ReplicatedPart::Object,
            rule: String::new(),
            bytes: 0,
            requested: stamp.time,
        };
        Task { stamp, work: Work::Replicate(work) }
    }

    #[test]
    fn keys_go_side_by_side_and_each_in_order() {
        let mut lanes = Lanes::default();
        for (nanos, key) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
            lanes.add(task(nanos, key));
        }
        let now = Instant::now();
        let next = |lanes: &mut Lanes| lanes.next(now).map(|errand| errand.task);
        assert_eq!(next(&mut lanes), Some(task(1, "a")));
        assert_eq!((next(&mut lanes), next(&mut lanes)), (Some(task(3, "b")), None));
        lanes.done("a");
        assert_eq!(next(&mut lanes), Some(task(2, "a")));
        lanes.done("b");
        lanes.add(task(5, "b"));
        assert_eq!((next(&mut lanes), next(&mut lanes), lanes.held()), (Some(task(5, "b")), None, 3));
        lanes.done("a");
        assert_eq!(next(&mut lanes), Some(task(4, "a")));
        lanes.done("a");
        lanes.done("b");
        assert_eq!((lanes.held(), next(&mut lanes)), (0, None));
        assert_eq!(lanes.last(), Some(task(5, "b").stamp));
    }

    #[test]
    fn what_failed_gives_way() {
        let mut lanes = Lanes::default();
        for (nanos, key) in [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "a")] {
            lanes.add(task(nanos, key));
        }
        let now = Instant::now();
        let next = |lanes: &mut Lanes, now| lanes.next(now).map(|errand| errand.task.stamp.time.as_nanos());
        let first = lanes.next(now).expect("the first one");
        let second = lanes.next(now).expect("the second one");
        let soon = now + Duration::from_secs(1);
        lanes.later(first, soon);
        lanes.again(second);
        assert_eq!((lanes.wakes_at(), next(&mut lanes, now)), (Some(soon), Some(3)));
        // Its time has come: it goes before the others, which take the next turn.
        let first = lanes.next(soon).expect("the first one");
        assert_eq!(first.task, task(1, "a"));
        lanes.later(first, soon);
        assert_eq!((next(&mut lanes, soon), next(&mut lanes, soon)), (Some(4), Some(1)));
        assert_eq!((next(&mut lanes, soon), next(&mut lanes, soon)), (Some(2), None));
        // The later change of its key waits meanwhile.
        lanes.done("a");
        assert_eq!((next(&mut lanes, soon), lanes.held(), lanes.wakes_at()), (Some(5), 4, None));
    }
}
