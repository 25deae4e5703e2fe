//! How background work shares the processors with requests: it lets go after each piece for as long as it was in the way.
//!
//! A thread of low priority still takes a share of a busy machine, and what it leaves in the caches costs the requests
//! that follow. How long it had to wait for a processor tells how much the others want one: where one is idle it never
//! waits, and so never pauses; on a busy machine it works for a small part of the time. That part must be small, not its
//! share within it, because the slowest hundredth of the requests is what is felt.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::worker::budget::Budget;

/// The pause after a piece of work, as a multiple of how long it waited for a processor.
const PAUSE_PARTS: u32 = 16;
/// The longest pause: so work goes on, however busy the machine is.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// What the pauses depend on.
pub(crate) struct Pace {
    budget: Arc<Budget>,
    closing: Mutex<bool>,
    closed: Condvar,
}

impl Pace {
    pub(crate) fn new(budget: Arc<Budget>) -> Pace {
        Pace { budget, closing: Mutex::new(false), closed: Condvar::new() }
    }

    /// From now on nobody pauses: what is under way is awaited.
    pub(crate) fn close(&self) {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.closed.notify_all();
    }

    /// Begins work on the calling thread.
    pub(crate) fn begin(&self) -> Turn<'_> {
        Turn { pace: self, begun: Instant::now(), used: processor_time() }
    }

    fn pause(&self, pause: Duration) {
        let closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits for the guard again finds it closing, or the time over.
        drop(self.closed.wait_timeout_while(closing, pause, |closing| !*closing));
    }
}

/// A thread's work since its last pause.
pub(crate) struct Turn<'a> {
    pace: &'a Pace,
    begun: Instant,
    /// The thread's processor time by then.
    used: Duration,
}

impl Turn<'_> {
    /// Ends a piece of work, and blocks the thread for as long as the next one is to wait.
    pub(crate) fn end_piece(&mut self) {
        let used = processor_time().saturating_sub(self.used);
        let pause = pause(self.begun.elapsed(), used);
        if !pause.is_zero() && self.pace.budget.is_serving() {
            self.pace.pause(pause);
        }
        (self.begun, self.used) = (Instant::now(), processor_time());
    }
}

/// The pause after a piece of work that took so long, and so much of a processor's time.
fn pause(took: Duration, used: Duration) -> Duration {
    (took.saturating_sub(used) * PAUSE_PARTS).min(PAUSE_MAX)
}

/// What the calling thread has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Pace, pause};
    use crate::worker::budget::Budget;

    #[test]
    fn a_pause_follows_from_waiting_alone() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(100), ms(100)), Duration::ZERO, "the processor was free");
        assert_eq!(pause(ms(100), ms(101)), Duration::ZERO, "clocks differ");
        assert_eq!(pause(ms(150), ms(100)), ms(800));
        assert_eq!(pause(ms(60_000), ms(100)), ms(4000), "work goes on");
    }

    #[test]
    fn nobody_pauses_when_the_store_is_closing() {
        let budget = Arc::new(Budget::new(1));
        let _request = budget.foreground();
        let pace = Pace::new(budget);
        std::thread::scope(|scope| {
            let paused = scope.spawn(|| pace.pause(Duration::from_secs(3600)));
            pace.close();
            paused.join().unwrap();
        });
        pace.pause(Duration::from_secs(3600));
    }
}
