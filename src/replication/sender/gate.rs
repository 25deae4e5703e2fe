//! When a destination is tried again that was in trouble: all its tasks wait for the same moment.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use strata_storage::Entropy;
use tokio::time::Instant;

/// The first wait.
pub const WAIT_MIN: Duration = Duration::from_millis(200);
/// The longest: as long a destination that is there again may stay unnoticed.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// Open, or closed until a moment.
#[derive(Default)]
pub struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    until: Option<Instant>,
    /// How long it was last closed.
    wait: Duration,
}

impl Gate {
    /// Waits until it is open.
    pub async fn pass(&self) {
        loop {
            let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).until;
            match until.filter(|&until| until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    /// Something arrived: it is open, and the next trouble begins with a short wait.
    pub fn open(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Something failed: it is closed for twice as long as before, give or take a half, so that many senders do not come back
    /// together. What fails while it is closed was begun before, and says nothing new.
    pub fn close(&self, entropy: &dyn Entropy) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).close(Instant::now(), jitter(entropy));
    }
}

/// What a wait is multiplied by: one, give or take a half.
pub fn jitter(entropy: &dyn Entropy) -> f64 {
    0.5 + (entropy.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

impl State {
    fn close(&mut self, now: Instant, jitter: f64) {
        if self.until.is_some_and(|until| until > now) {
            return;
        }
        self.wait = (self.wait * 2).clamp(WAIT_MIN, WAIT_MAX);
        self.until = Some(now + self.wait.mul_f64(jitter));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strata_storage::SeededEntropy;
    use tokio::time::Instant;

    use super::{Gate, State};

    #[test]
    fn waits_double_up_to_a_bound() {
        let (mut state, mut now) = (State::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..10 {
            state.close(now, 1.0);
            // It is closed already.
            state.close(now, 7.0);
            let until = state.until.expect("it is closed");
            waits.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000, 20_000]);
        let jittered = State::default();
        let mut jittered = State { wait: Duration::from_millis(100), ..jittered };
        jittered.close(now, 0.5);
        assert_eq!(jittered.until, Some(now + Duration::from_millis(100)));
    }

    #[tokio::test]
    async fn what_arrives_opens_it() {
        let gate = Gate::default();
        gate.close(&SeededEntropy::new(1));
        gate.open();
        let before = Instant::now();
        gate.pass().await;
        assert!(before.elapsed() < Duration::from_millis(100));
    }
}
