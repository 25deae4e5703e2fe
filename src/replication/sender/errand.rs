//! A task on its way through its attempts: how often it failed, in whose trouble, and what follows. Pure.
//!
//! What fails while others of its queue arrive is in trouble of its own: it waits by itself, and ends put aside. What fails
//! while nothing arrives says that the destination is away: it is tried again for as long as that takes.

use std::time::Duration;

use strata_storage::{Task, TaskOutcome};

use super::fault::{Fault, VERSION_NOT_FOUND};
use super::gate::{WAIT_MAX, WAIT_MIN};
use super::multipart::Progress;
use super::time_control::Tracked;

/// How often is tried what fails for good.
const LASTING_MAX: u32 = 3;
/// How often is tried what others pass by.
const PASSED_MAX: u32 = 10;
/// How often is tried what may only be early: for some six minutes. What it waits for set out to all stores at once.
const EARLY_MAX: u32 = 25;

/// A task with what its attempts left.
pub struct Errand {
    /// The task.
    pub task: Task,
    /// What of it is at the destination.
    pub progress: Progress,
    /// What its attempts came to.
    pub tried: Tried,
    /// What time control knows of it.
    pub tracked: Tracked,
}

impl Errand {
    /// One that was not tried yet.
    pub fn new(task: Task) -> Errand {
        Errand { task, progress: Progress::default(), tried: Tried::default(), tracked: Tracked::default() }
    }
}

/// What the attempts of a task came to.
#[derive(Debug, Default)]
pub struct Tried {
    /// All of them.
    attempts: u32,
    /// Those that said that nothing will help.
    lasting: u32,
    /// Those that failed for reasons that pass, while others arrived.
    passed: u32,
    /// Those that found no version to change.
    early: u32,
    /// How many tasks of the queue had arrived when it last failed, or else began.
    arrived: Option<u64>,
}

/// What follows a failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The whole queue waits.
    AllWait,
    /// It waits by itself for that long; whether its destination is to be looked for anew.
    Waits { wait: Duration, look_again: bool },
    /// It ends.
    Ends(TaskOutcome),
}

impl Tried {
    /// An attempt begins, when so many tasks of the queue have arrived.
    pub fn begin(&mut self, arrived: u64) {
        self.attempts += 1;
        self.arrived.get_or_insert(arrived);
    }

    /// It brought some of the content there: a large object gets through bad times piece by piece.
    pub fn advanced(&mut self) {
        self.passed = 0;
    }

    /// The attempt failed, when so many tasks of the queue have arrived.
    pub fn failed(&mut self, fault: Fault, arrived: u64) -> Next {
        let others_arrive = self.arrived.replace(arrived).is_some_and(|before| before < arrived);
        let (reason, count, most, look_again) = match fault {
            Fault::Gone => return Next::Ends(TaskOutcome::Dropped),
            Fault::Passing(_) if !others_arrive => return Next::AllWait,
            Fault::Passing(reason) => (reason, &mut self.passed, PASSED_MAX, false),
            Fault::Source(reason) => (reason, &mut self.lasting, LASTING_MAX, false),
            Fault::Lasting(reason) => (reason, &mut self.lasting, LASTING_MAX, true),
            Fault::Early => (VERSION_NOT_FOUND.to_owned(), &mut self.early, EARLY_MAX, false),
        };
        *count += 1;
        if *count == most {
            return Next::Ends(TaskOutcome::PutAside { reason, attempts: self.attempts });
        }
        let wait = WAIT_MIN.saturating_mul(1 << (*count - 1)).min(WAIT_MAX);
        Next::Waits { wait, look_again }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strata_storage::TaskOutcome;

    use super::{Next, Tried};
    use crate::replication::sender::fault::Fault;

    fn passing() -> Fault {
        Fault::Passing("500".to_owned())
    }

    fn waits(millis: u64, look_again: bool) -> Next {
        Next::Waits { wait: Duration::from_millis(millis), look_again }
    }

    fn aside(reason: &str, attempts: u32) -> Next {
        Next::Ends(TaskOutcome::PutAside { reason: reason.to_owned(), attempts })
    }

    #[test]
    fn a_destination_that_is_away_is_waited_for() {
        let mut tried = Tried::default();
        for _ in 0..1000 {
            tried.begin(7);
            assert_eq!(tried.failed(passing(), 7), Next::AllWait);
        }
    }

    #[test]
    fn what_others_pass_by_is_put_aside() {
        let (mut tried, mut found) = (Tried::default(), Vec::new());
        for arrived in 0..10 {
            tried.begin(arrived);
            // Each time it fails, so does it once more with nothing arriving.
            found.push(tried.failed(passing(), arrived + 1));
            tried.begin(arrived + 1);
            if arrived < 9 {
                assert_eq!(tried.failed(passing(), arrived + 1), Next::AllWait);
            }
        }
        let expected = [200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000].map(|wait| waits(wait, false));
        assert_eq!(found[..9], expected);
        assert_eq!(found[9], aside("500", 19));
    }

    #[test]
    fn what_gets_on_is_not_given_up() {
        let mut tried = Tried::default();
        for arrived in 0..1000 {
            tried.begin(arrived);
            tried.advanced();
            assert_eq!(tried.failed(passing(), arrived + 1), waits(200, false));
        }
    }

    #[test]
    fn what_is_early_has_minutes() {
        let (mut tried, mut waited) = (Tried::default(), Duration::ZERO);
        for _ in 1..25 {
            tried.begin(0);
            let Next::Waits { wait, look_again: false } = tried.failed(Fault::Early, 0) else { panic!("it waits") };
            waited += wait;
        }
        assert_eq!(waited.as_secs(), 365);
        tried.begin(0);
        assert_eq!(tried.failed(Fault::Early, 0), aside("DstVersionNotFound", 25));
    }

    #[test]
    fn what_nothing_helps_is_put_aside_soon() {
        fn check(fault: Fault, reason: &str, look_again: bool) {
            let mut tried = Tried::default();
            let mut fail = || {
                tried.begin(0);
                tried.failed(fault.clone(), 0)
            };
            assert_eq!((fail(), fail()), (waits(200, look_again), waits(400, look_again)));
            assert_eq!(fail(), aside(reason, 3));
        }
        check(Fault::Lasting("DstBucketNotFound".to_owned()), "DstBucketNotFound", true);
        check(Fault::Source("damaged".to_owned()), "damaged", false);
        assert_eq!(Tried::default().failed(Fault::Gone, 0), Next::Ends(TaskOutcome::Dropped));
    }
}
