//! Which task is next: many keys at once, each in the order of its changes. Pure.

use std::collections::{HashMap, VecDeque};

use strata_storage::{Stamp, Task, Work};

/// Tasks that were read and are not done.
#[derive(Default)]
pub struct Lanes {
    /// The keys that a task is under way for, with the tasks behind it.
    busy: HashMap<String, VecDeque<Task>>,
    /// Tasks that may begin.
    ready: VecDeque<Task>,
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
                self.ready.push_back(task);
            }
        }
    }

    /// A task that may begin. Its key is busy until [`Lanes::done`].
    pub fn next(&mut self) -> Option<Task> {
        self.ready.pop_front()
    }

    /// The task of a key that was under way is done with.
    pub fn done(&mut self, key: &str) {
        self.held -= 1;
        let Some(behind) = self.busy.get_mut(key) else { return };
        match behind.pop_front() {
            Some(task) => self.ready.push_back(task),
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
    use strata_storage::{Replicate, ReplicatedPart, Stamp, Task, Timestamp, Work};

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
        let mut next = || lanes.next().map(|task| task.stamp.time.as_nanos());
        assert_eq!((next(), next(), next()), (Some(1), Some(3), None));
        lanes.done("a");
        assert_eq!(lanes.next(), Some(task(2, "a")));
        lanes.done("b");
        lanes.add(task(5, "b"));
        assert_eq!((lanes.next(), lanes.next(), lanes.held()), (Some(task(5, "b")), None, 3));
        lanes.done("a");
        assert_eq!(lanes.next(), Some(task(4, "a")));
        lanes.done("a");
        lanes.done("b");
        assert_eq!((lanes.held(), lanes.next()), (0, None));
        assert_eq!(lanes.last(), Some(task(5, "b").stamp));
    }
}
