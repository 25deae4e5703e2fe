//! Patience with a client: it may make the server wait for some time, and the time begins anew with every so many bytes.
//!
//! Without the second half a client that sends a byte now and then, or takes one, would keep what its request holds for
//! as long as it likes.

use std::time::{Duration, Instant};

/// What a client must send or take while the server waits for it, on average: less than the slowest lines carry.
const BYTES_PER_SECOND_MIN: u128 = 1 << 10;

/// The patience with one client, or with one body.
pub struct Patience {
    whole: Duration,
    waited: Duration,
    bytes: u64,
    since: Option<Instant>,
}

impl Patience {
    /// So much, for every KiB a second of it.
    pub fn new(whole: Duration) -> Patience {
        Patience { whole, waited: Duration::ZERO, bytes: 0, since: None }
    }

    /// The server begins to wait, or goes on to. Returns how much longer it does.
    pub fn wait(&mut self, now: Instant) -> Duration {
        let since = *self.since.get_or_insert(now);
        self.whole.saturating_sub(self.waited + now.saturating_duration_since(since))
    }

    /// The client sent or took some bytes, none of them if it only said that it is there.
    pub fn moved(&mut self, bytes: u64, now: Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.bytes += bytes;
        if u128::from(self.bytes) * 1000 >= BYTES_PER_SECOND_MIN * self.whole.as_millis() {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Patience;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_waiting_counts_and_bytes_renew_it() {
        let mut now = Instant::now();
        let mut patience = Patience::new(60 * SECOND);
        assert_eq!(patience.wait(now), 60 * SECOND);
        now += 40 * SECOND;
        assert_eq!(patience.wait(now), 20 * SECOND);
        patience.moved(1, now);
        // Time in which the server does not wait is not the client's.
        now += 100 * SECOND;
        assert_eq!(patience.wait(now), 20 * SECOND);
        now += 5 * SECOND;
        patience.moved((60 << 10) - 2, now);
        assert_eq!(patience.wait(now), 15 * SECOND);
        patience.moved(1, now);
        assert_eq!(patience.wait(now), 60 * SECOND);
        now += 70 * SECOND;
        assert_eq!(patience.wait(now), Duration::ZERO);
    }
}
