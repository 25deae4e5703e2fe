//! The budget of background work: how many bytes it may read and write a second, less while requests are served.
//!
//! Everything that runs by itself asks here before it uses the disk, so that transitions, restores, healing and
//! collection share one allowance, first come, first served.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::watch;

/// While requests are served, background work gets one part in this many of its allowance.
const BUSY_PARTS: u64 = 8;
/// For so long after a request the next one is expected.
const BUSY_FOR: Duration = Duration::from_millis(250);
/// The most that is written at once while requests are served, in bytes: a request's sync waits for what the disk was
/// given before it.
const BUSY_WRITE_BYTES: u64 = 1 << 20;
/// How far ahead of its allowance work may run, which lets short bursts go at once.
const BURST: Duration = Duration::from_millis(100);
/// What looking at one row, or changing it, counts for, in bytes.
pub(crate) const ROW_BYTES: u64 = 512;

/// The shared allowance.
pub(crate) struct Budget {
    bytes_per_second: AtomicU64,
    foreground: AtomicUsize,
    opened: Instant,
    /// When the last request ended, in milliseconds since then; 0 if there was none.
    served_ms: AtomicU64,
    /// When all that was granted so far will have been earned.
    earned_at: Mutex<Option<Instant>>,
    /// Whether nobody has to wait any more, since the store is closing.
    closed: watch::Sender<bool>,
}

/// A request that is being served.
pub(crate) struct Foreground(Arc<Budget>);

impl Budget {
    /// An allowance of that many bytes a second.
    pub(crate) fn new(bytes_per_second: u64) -> Budget {
        Budget {
            bytes_per_second: AtomicU64::new(bytes_per_second.max(1)),
            foreground: AtomicUsize::new(0),
            opened: Instant::now(),
            served_ms: AtomicU64::new(0),
            earned_at: Mutex::new(None),
            closed: watch::Sender::new(false),
        }
    }

    /// Ends all waiting: the store is closing, and waits for what is under way.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Whether the store is closing.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Counts a request as being served until the guard is dropped.
    pub(crate) fn foreground(self: &Arc<Budget>) -> Foreground {
        self.foreground.fetch_add(1, Ordering::Relaxed);
        Foreground(Arc::clone(self))
    }

    /// The most to write at once, given what it would be if nobody else used the disk, in bytes.
    pub(crate) fn write_bytes(&self, most: u64) -> u64 {
        if self.is_busy(Instant::now()) { most.min(BUSY_WRITE_BYTES) } else { most }
    }

    /// Whether requests are being served, or were a moment ago.
    pub(crate) fn is_serving(&self) -> bool {
        self.is_busy(Instant::now())
    }

    fn is_busy(&self, now: Instant) -> bool {
        let served_ms = self.served_ms.load(Ordering::Relaxed);
        let since = now.saturating_duration_since(self.opened + Duration::from_millis(served_ms));
        self.foreground.load(Ordering::Relaxed) > 0 || (served_ms > 0 && since < BUSY_FOR)
    }

    /// Waits until that many more bytes may be read or written, or the store is closing, which whoever has more to do had
    /// better look for then. A dropped future has spent them all the same.
    pub(crate) async fn spend(&self, bytes: u64) {
        let wait = self.grant(bytes, Instant::now());
        if wait.is_zero() {
            return;
        }
        let mut closed = self.closed.subscribe();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }

    /// Takes the bytes from the allowance and returns how long to wait for them.
    fn grant(&self, bytes: u64, now: Instant) -> Duration {
        let mut rate = self.bytes_per_second.load(Ordering::Relaxed);
        if self.is_busy(now) {
            rate = (rate / BUSY_PARTS).max(1);
        }
        let cost = Duration::from_nanos(
            u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX),
        );
        let mut earned_at = self.earned_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = earned_at.map_or(now, |earned_at| earned_at.max(now));
        let end = start + cost;
        *earned_at = Some(end);
        end.saturating_duration_since(now + BURST)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let since_opened = self.0.opened.elapsed().as_millis();
        self.0.served_ms.store(u64::try_from(since_opened).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
        self.0.foreground.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Budget;

    #[tokio::test]
    async fn nobody_waits_when_the_store_is_closing() {
        let budget = Arc::new(Budget::new(1));
        let spending = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.spend(1 << 20).await }
        });
        tokio::task::yield_now().await;
        assert!(!spending.is_finished() && !budget.is_closed());
        budget.close();
        let spent = async {
            spending.await.unwrap();
            budget.spend(1 << 20).await;
        };
        tokio::time::timeout(Duration::from_mins(1), spent).await.expect("it would take days");
        assert!(budget.is_closed());
    }

    #[test]
    fn an_allowance_is_shared_and_shrinks_while_requests_are_served() {
        let budget = Arc::new(Budget::new(1000));
        let now = Instant::now();
        assert_eq!(budget.grant(100, now), Duration::ZERO, "a burst");
        assert_eq!(budget.grant(1000, now), Duration::from_secs(1));
        let later = now + Duration::from_secs(10);
        let serving = budget.foreground();
        assert_eq!(budget.grant(1000, later), Duration::from_millis(7900));
        drop(serving);
        assert_eq!(budget.grant(1000, later), Duration::from_millis(8900));
    }
}
