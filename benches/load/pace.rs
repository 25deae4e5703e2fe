//! Open load: requests are planned at a steady rate, whether or not the endpoint keeps up, and each is timed from its plan.
//!
//! A thread of its own gives out turns, since the timers of the connections' schedulers are a millisecond coarse. A request
//! that waits for a free connection is late already, and its latency says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// The plan of a run.
pub struct Pace {
    begun: Instant,
    /// Requests a second.
    rate: f64,
    /// How many are planned.
    requests: u64,
    /// How many have been begun.
    taken: AtomicU64,
    turns: Semaphore,
}

impl Pace {
    /// Begins: `rate` requests a second for `lasting`, but `most` at most, for so many connections.
    pub fn begin(rate: f64, lasting: Duration, most: u64, connections: u32) -> Arc<Pace> {
        let requests = ((lasting.as_secs_f64() * rate) as u64).min(most);
        let (taken, turns) = (AtomicU64::new(0), Semaphore::new(0));
        let pace = Arc::new(Pace { begun: Instant::now(), rate, requests, taken, turns });
        let of_thread = Arc::clone(&pace);
        std::thread::spawn(move || of_thread.give_turns(connections));
        pace
    }

    /// When the next request is planned, once its time has come; `None` after the last one.
    pub async fn turn(&self) -> Option<Instant> {
        self.turns.acquire().await.ok()?.forget();
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        (number < self.requests).then(|| self.planned(number))
    }

    /// How many planned requests were never begun, as no connection was free until the end.
    pub fn left_over(&self) -> u64 {
        self.requests.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    fn planned(&self, number: u64) -> Instant {
        self.begun + Duration::from_secs_f64(number as f64 / self.rate)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a thread of its own that keeps time more finely than tokio's timers"
    )]
    fn give_turns(&self, connections: u32) {
        let mut given = 0;
        while given < self.requests {
            std::thread::sleep(self.planned(given).saturating_duration_since(Instant::now()));
            let due = (self.begun.elapsed().as_secs_f64() * self.rate) as u64 + 1;
            let more = due.min(self.requests).saturating_sub(given);
            self.turns.add_permits(more as usize);
            given += more;
        }
        // Those who wait for a turn learn that there is none.
        self.turns.add_permits(connections as usize);
    }
}
