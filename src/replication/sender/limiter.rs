//! How many bytes may leave a second: who wants to send takes its turn in time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How far the limit may be anticipated after a pause.
const BURST: Duration = Duration::from_millis(100);

/// What leaves at once lasts for that part of a second, but is no smaller than this, in bytes: those who share a low limit
/// take turns so often that no connection is silent for long.
const PIECES_A_SECOND: u64 = 64;
const PIECE_BYTES_MIN: usize = 4096;

/// A limit, or none.
pub struct Limiter {
    bytes_per_second: Option<u64>,
    /// When the bytes taken so far will have left.
    free_at: Mutex<Option<Instant>>,
}

impl Limiter {
    /// Of so many bytes a second; `None` is no limit.
    pub fn new(bytes_per_second: Option<u64>) -> Limiter {
        Limiter { bytes_per_second, free_at: Mutex::new(None) }
    }

    /// The most that should leave at once, in bytes.
    pub fn piece_bytes(&self) -> usize {
        self.bytes_per_second.map_or(usize::MAX, |limit| {
            usize::try_from(limit / PIECES_A_SECOND).unwrap_or(usize::MAX).max(PIECE_BYTES_MIN)
        })
    }

    /// Waits until `bytes` more may leave.
    pub async fn take(&self, bytes: usize) {
        if let Some(limit) = self.bytes_per_second {
            tokio::time::sleep_until(self.turn(bytes, limit, Instant::now())).await;
        }
    }

    /// When `bytes` may leave that are asked for now.
    fn turn(&self, bytes: usize, limit: u64, now: Instant) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free_at.map_or(now, |at| at.max(now.checked_sub(BURST).unwrap_or(now)));
        *free_at = Some(at + Duration::from_secs_f64(bytes as f64 / limit as f64));
        at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Limiter;

    #[test]
    fn bytes_leave_at_their_rate() {
        let (limiter, now) = (Limiter::new(Some(1000)), Instant::now());
        let turn = |at: Duration| limiter.turn(500, 1000, now + at) - now;
        assert_eq!(turn(Duration::ZERO), Duration::ZERO);
        assert_eq!(turn(Duration::ZERO), Duration::from_millis(500));
        assert_eq!(turn(Duration::ZERO), Duration::from_secs(1));
        // After a pause a little may leave at once.
        assert_eq!(turn(Duration::from_secs(9)), Duration::from_millis(8900));
        assert_eq!(turn(Duration::from_secs(9)), Duration::from_millis(9400));
    }
}
