//! What a dispatcher has read of a queue and not done with: which messages go next, and what follows from their deliveries.
//! Pure; moments are passed in.
//!
//! Messages of one bucket and key, a *lane*, go in order: while one is on its way, or waits for another attempt after the
//! target refused it, none of its lane goes. Other lanes are not kept up by it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use strata_storage::{Stamp, Task, TaskOutcome, Timestamp, Work};
use tokio::time::Instant;

use super::target::{Deliveries, DeliveryError};

/// The most tasks in memory for a target, ended ones that are not committed yet among them.
pub const TASKS_MAX: usize = 512;

/// Tasks that were read.
#[derive(Default)]
pub struct Window {
    entries: BTreeMap<Stamp, Entry>,
    /// Lanes of which messages are on their way, with their number.
    busy: HashMap<u64, usize>,
    /// Lanes whose first message was refused, and until when they wait.
    held: HashMap<u64, Instant>,
    hasher: RandomState,
}

struct Entry {
    task: Task,
    /// Two keys may share a lane, which only makes one wait for the other.
    lane: u64,
    refusals: u32,
    state: State,
}

enum State {
    Waiting,
    Sent,
    /// It is done with, but the store does not know.
    Ended(TaskOutcome),
}

/// What a target's settings say of messages that it does not take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often a message is sent again that was refused.
    pub retries: u32,
    /// How long its lane waits before the first of these; twice as long before each further one.
    pub delay: Duration,
}

/// What came of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// How many messages the target took.
    pub delivered: usize,
    /// Why it took none any more: it is away, or busy.
    pub unavailable: Option<String>,
    /// What it refused, for the log.
    pub refused: Option<String>,
}

impl Window {
    /// How many more tasks it takes.
    pub fn room(&self) -> usize {
        TASKS_MAX.saturating_sub(self.entries.len())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a task unless it is there.
    pub fn add(&mut self, task: Task) {
        let lane = match &task.work {
            Work::Event(event) => self.hasher.hash_one((&event.bucket, &event.key)),
            Work::Replicate(_) => 0,
        };
        let stamp = task.stamp;
        self.entries.entry(stamp).or_insert(Entry { task, lane, refusals: 0, state: State::Waiting });
    }

    /// Up to `max` tasks that may go now, in order. They are on their way from now on, until [`Window::called`].
    pub fn next(&mut self, max: usize, now: Instant) -> Vec<Task> {
        self.held.retain(|_, until| *until > now);
        let mut tasks: Vec<Task> = Vec::new();
        for entry in self.entries.values_mut() {
            if tasks.len() == max {
                break;
            }
            let may_go = matches!(entry.state, State::Waiting)
                && !self.busy.contains_key(&entry.lane)
                && !self.held.contains_key(&entry.lane);
            if may_go {
                entry.state = State::Sent;
                tasks.push(entry.task.clone());
            }
        }
        for lane in tasks.iter().filter_map(|task| self.entries.get(&task.stamp)).map(|entry| entry.lane) {
            *self.busy.entry(lane).or_default() += 1;
        }
        tasks
    }

    /// When a lane that is held may go on; `None` if none is.
    pub fn next_attempt(&self) -> Option<Instant> {
        self.held.values().min().copied()
    }

    /// Takes what came of a call with these tasks. What was refused too often ends as `failed` says.
    pub fn called(
        &mut self,
        stamps: &[Stamp],
        deliveries: Deliveries,
        patience: Patience,
        now: Instant,
        failed: impl Fn(String, u32) -> TaskOutcome,
    ) -> Called {
        let mut called = Called::default();
        let mut behind = Vec::new();
        // A target that says too little has not taken the rest.
        let missing = || Err(DeliveryError::Unavailable("the target said nothing of the message".to_owned()));
        let deliveries = deliveries.into_iter().chain(std::iter::repeat_with(missing));
        for (stamp, delivery) in stamps.iter().zip(deliveries) {
            let Some(entry) = self.entries.get_mut(stamp) else { continue };
            let lane = entry.lane;
            if let Some(count) = self.busy.get_mut(&lane) {
                *count -= 1;
                if *count == 0 {
                    self.busy.remove(&lane);
                }
            }
            entry.state = State::Waiting;
            match delivery {
                Ok(()) => {
                    called.delivered += 1;
                    entry.state = State::Ended(TaskOutcome::Done);
                }
                // It was not sent, since one before it has failed.
                Err(_) if behind.contains(&lane) => {}
                Err(DeliveryError::Unavailable(reason)) => {
                    behind.push(lane);
                    called.unavailable = Some(reason);
                }
                Err(DeliveryError::Rejected(reason)) => {
                    behind.push(lane);
                    entry.refusals += 1;
                    if entry.refusals > patience.retries {
                        entry.state = State::Ended(failed(reason.clone(), entry.refusals));
                    } else {
                        let doublings = (entry.refusals - 1).min(16);
                        self.held.insert(lane, now + patience.delay * (1 << doublings));
                    }
                    called.refused = Some(reason);
                }
            }
        }
        called
    }

    /// Ends tasks that wait and came before `oldest`.
    pub fn expire(&mut self, oldest: Timestamp, failed: impl Fn(u32) -> TaskOutcome) -> usize {
        let mut count = 0;
        for (stamp, entry) in &mut self.entries {
            if stamp.time >= oldest {
                break;
            }
            if matches!(entry.state, State::Waiting) {
                entry.state = State::Ended(failed(entry.refusals));
                count += 1;
            }
        }
        count
    }

    /// Ends up to `max` of the oldest tasks that wait, as dropped.
    pub fn drop_oldest(&mut self, max: usize) -> usize {
        let waiting = self.entries.values_mut().filter(|entry| matches!(entry.state, State::Waiting));
        let mut count = 0;
        for entry in waiting.take(max) {
            entry.state = State::Ended(TaskOutcome::Dropped);
            count += 1;
        }
        count
    }

    /// How much has ended and is not forgotten.
    pub fn ended_count(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry.state, State::Ended(_))).count()
    }

    /// All that has ended and is not forgotten.
    pub fn ended(&self) -> Vec<(Task, TaskOutcome)> {
        let ended = |entry: &Entry| match &entry.state {
            State::Ended(outcome) => Some((entry.task.clone(), outcome.clone())),
            State::Waiting | State::Sent => None,
        };
        self.entries.values().filter_map(ended).collect()
    }

    /// Forgets tasks that the store knows to have ended.
    pub fn forget(&mut self, stamps: &[Stamp]) {
        for stamp in stamps {
            self.entries.remove(stamp);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strata_storage::{AccountId, Event, EventDetails, EventKind, Stamp, Task, TaskOutcome, Timestamp, Work};
    use tokio::time::Instant;

    use super::{Called, Patience, Window};
    use crate::events::target::DeliveryError;

    const PATIENCE: Patience = Patience { retries: 2, delay: Duration::from_secs(1) };

    fn stamp(second: u64) -> Stamp {
        Stamp { time: Timestamp::from_secs(second), random: 0 }
    }

    fn window(keys: &[&str]) -> Window {
        let mut window = Window::default();
        for (second, key) in (1..).zip(keys) {
            let event = Event {
                kind: EventKind::CreatedPut,
                time: Timestamp::from_secs(second),
                bucket: "bucket".to_owned(),
                owner: AccountId::ROOT,
                key: (*key).to_owned(),
                size: None,
                etag: None,
                version_id: None,
                configuration: "id".to_owned(),
                asked: None,
                details: EventDetails::None,
                moved: None,
            };
            window.add(Task { stamp: stamp(second), work: Work::Event(Box::new(event)) });
        }
        window
    }

    fn next(window: &mut Window, max: usize, now: Instant) -> Vec<u64> {
        window.next(max, now).iter().map(|task| task.stamp.time.as_secs()).collect()
    }

    fn call(window: &mut Window, results: &[(u64, Result<(), DeliveryError>)], now: Instant) -> Called {
        let stamps: Vec<_> = results.iter().map(|(second, _)| stamp(*second)).collect();
        let deliveries = results.iter().map(|(_, result)| result.clone()).collect();
        let aside = |reason, attempts| TaskOutcome::PutAside { reason, attempts };
        window.called(&stamps, deliveries, PATIENCE, now, aside)
    }

    fn ended(window: &Window) -> Vec<(u64, TaskOutcome)> {
        window.ended().into_iter().map(|(task, outcome)| (task.stamp.time.as_secs(), outcome)).collect()
    }

    fn refused() -> Result<(), DeliveryError> {
        Err(DeliveryError::Rejected("bad".to_owned()))
    }

    fn away() -> Result<(), DeliveryError> {
        Err(DeliveryError::Unavailable("away".to_owned()))
    }

    #[test]
    fn a_key_on_its_way_waits_and_others_go() {
        let (mut window, now) = (window(&["a", "a", "b", "a", "c"]), Instant::now());
        assert_eq!(next(&mut window, 2, now), [1, 2]);
        assert_eq!(next(&mut window, 10, now), [3, 5]);
        assert_eq!(next(&mut window, 10, now), [0; 0]);
        assert_eq!(call(&mut window, &[(1, Ok(())), (2, Ok(()))], now).delivered, 2);
        assert_eq!(next(&mut window, 10, now), [4]);
        assert_eq!(ended(&window), [(1, TaskOutcome::Done), (2, TaskOutcome::Done)]);
        window.forget(&[stamp(1), stamp(2)]);
        assert_eq!((window.ended_count(), window.room()), (0, super::TASKS_MAX - 3));
    }

    #[test]
    fn a_refused_message_is_sent_again_later_and_then_put_aside() {
        let (mut window, mut now) = (window(&["a", "a", "b"]), Instant::now());
        for (attempt, wait) in [(1, 1), (2, 2)] {
            let sent = next(&mut window, 10, now);
            assert!(sent.starts_with(&[1, 2]), "attempt {attempt}: {sent:?}");
            let results: Vec<_> = sent
                .iter()
                .map(|second| {
                    (
                        *second,
                        if *second == 1 {
                            refused()
                        } else if *second == 2 {
                            away()
                        } else {
                            Ok(())
                        },
                    )
                })
                .collect();
            let called = call(&mut window, &results, now);
            // What was behind it was not sent, which says nothing of the target.
            assert_eq!((called.unavailable, called.refused.as_deref()), (None, Some("bad")));
            assert_eq!(window.next_attempt(), Some(now + Duration::from_secs(wait)));
            assert_eq!(next(&mut window, 10, now), [0; 0]);
            now += Duration::from_secs(wait);
        }
        assert_eq!(next(&mut window, 1, now), [1]);
        call(&mut window, &[(1, refused())], now);
        assert_eq!(next(&mut window, 10, now), [2]);
        let aside = TaskOutcome::PutAside { reason: "bad".to_owned(), attempts: 3 };
        assert_eq!(ended(&window), [(1, aside), (3, TaskOutcome::Done)]);
    }

    #[test]
    fn a_target_that_is_away_costs_no_attempts() {
        let (mut window, now) = (window(&["a", "b"]), Instant::now());
        for _ in 0..10 {
            assert_eq!(next(&mut window, 10, now), [1, 2]);
            let called = call(&mut window, &[(1, away()), (2, away())], now);
            assert_eq!(called, Called { delivered: 0, unavailable: Some("away".to_owned()), refused: None });
        }
        assert_eq!(window.ended_count(), 0);
        // Too short an answer means the same.
        assert_eq!(next(&mut window, 10, now), [1, 2]);
        let aside = |reason, attempts| TaskOutcome::PutAside { reason, attempts };
        let called = window.called(&[stamp(1), stamp(2)], vec![Ok(())], PATIENCE, now, aside);
        assert!(called.delivered == 1 && called.unavailable.is_some());
        assert_eq!(next(&mut window, 10, now), [2]);
    }

    #[test]
    fn what_is_too_old_or_too_much_ends() {
        let (mut window, now) = (window(&["a", "b", "c", "d"]), Instant::now());
        assert_eq!(next(&mut window, 1, now), [1]);
        let aside = |attempts| TaskOutcome::PutAside { reason: "old".to_owned(), attempts };
        assert_eq!(window.expire(Timestamp::from_secs(3), aside), 1);
        assert_eq!(window.drop_oldest(1), 1);
        assert_eq!(ended(&window), [(2, aside(0)), (3, TaskOutcome::Dropped)]);
        assert_eq!(next(&mut window, 10, now), [4]);
        assert_eq!(window.drop_oldest(10), 0);
        assert!(!window.is_empty());
    }
}
