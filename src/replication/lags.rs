//! How long what arrived lately was on its way, per queue: from the change to the end of its task.
//!
//! Times are counted in buckets, a sixteenth of their lower bound wide, in slices of ten seconds, the last six of which count.
//! So memory is the same however much arrives: some 16 KiB for each queue that sent something within the minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strata_storage::{QueueName, Timestamp};

/// What is counted together, in seconds.
const SLICE_SECS: u64 = 10;
/// Slices that count; the last of them is not over.
const SLICES: usize = 6;
/// Buckets of one power of two.
const STEPS: u64 = 16;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2^42 µs, 50 days; what is longer counts as that, but for the longest, which is exact.
const BUCKETS: usize = (STEPS as usize) * (42 - STEP_BITS as usize + 1);

/// Times of all queues; one per server, cheap to clone.
#[derive(Clone, Default)]
pub struct Lags(Arc<Mutex<BTreeMap<QueueName, [Slice; SLICES]>>>);

/// How long what arrived within the last minute was on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// How much arrived.
    pub arrived: u64,
    /// Half of it was not longer on its way, to a sixteenth.
    pub p50: Duration,
    /// 99 of 100 were not longer on their way, to a sixteenth.
    pub p99: Duration,
    /// The longest, exact.
    pub max: Duration,
}

/// What arrived within ten seconds.
#[derive(Clone, Default)]
struct Slice {
    /// Which ten seconds since the epoch.
    number: u64,
    /// How much arrived by its time; empty if nothing did.
    counts: Vec<u32>,
    max_us: u64,
}

impl Lags {
    /// Counts what was changed at `changed` and arrived at `now`.
    pub fn note(&self, queue: &QueueName, changed: Timestamp, now: Timestamp) {
        let us = u64::try_from(now.since(changed).as_micros()).unwrap_or(u64::MAX);
        let number = now.as_secs() / SLICE_SECS;
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !queues.contains_key(queue) {
            // Those that are silent, or gone, make room for those that come.
            queues.retain(|_, slices| slices.iter().any(|slice| slice.counts_at(number)));
        }
        let slices = queues.entry(queue.clone()).or_default();
        slices[number as usize % SLICES].add(number, us);
    }

    /// What arrived from a queue within the minute before `now`, if anything did.
    pub fn of(&self, queue: &QueueName, now: Timestamp) -> Option<Lag> {
        let number = now.as_secs() / SLICE_SECS;
        let mut sum = Slice::default();
        {
            let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queues.get(queue)?.iter().filter(|slice| slice.counts_at(number)).for_each(|slice| sum.merge(slice));
        }
        let arrived = sum.counts.iter().map(|&count| u64::from(count)).sum();
        let quantile = |percent| Duration::from_micros(sum.quantile_us(arrived, percent));
        let max = Duration::from_micros(sum.max_us);
        (arrived > 0).then(|| Lag { arrived, p50: quantile(50), p99: quantile(99), max })
    }
}

impl Slice {
    /// Whether it is one of those that count in the slice `number`.
    fn counts_at(&self, number: u64) -> bool {
        !self.counts.is_empty() && self.number <= number && number - self.number < SLICES as u64
    }

    fn add(&mut self, number: u64, us: u64) {
        if self.number != number || self.counts.is_empty() {
            self.counts.clear();
            self.counts.resize(BUCKETS, 0);
            (self.number, self.max_us) = (number, 0);
        }
        let count = &mut self.counts[bucket(us)];
        *count = count.saturating_add(1);
        self.max_us = self.max_us.max(us);
    }

    fn merge(&mut self, other: &Slice) {
        self.counts.resize(BUCKETS, 0);
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.max_us = self.max_us.max(other.max_us);
    }

    /// The time that so many of a hundred did not exceed.
    fn quantile_us(&self, arrived: u64, percent: u64) -> u64 {
        let rank = (arrived * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return upper_us(bucket).min(self.max_us);
            }
        }
        self.max_us
    }
}

/// The bucket of a time: one for each of the first 16 µs, then 16 for each power of two.
fn bucket(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let octave = us.ilog2() - STEP_BITS;
    let step = (us >> octave) - STEPS;
    (((u64::from(octave) + 1) * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper_us(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match octave {
        0 => step,
        _ => ((STEPS + step + 1) << (octave - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strata_storage::{QueueName, Timestamp};

    use super::{BUCKETS, Lag, Lags, bucket, upper_us};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn queue(destination: &str) -> QueueName {
        QueueName::Replication { bucket: 1, destination: destination.to_owned() }
    }

    fn at(ms: u64) -> Timestamp {
        NOW.plus(Duration::from_millis(ms))
    }

    #[test]
    fn every_time_has_its_bucket() {
        for us in (0..100_000).chain([1 << 20, (1 << 41) - 1, 1 << 41, (1 << 42) - 1]) {
            let upper = upper_us(bucket(us));
            assert!(upper >= us && upper - us <= us / 16, "{us} in {}, up to {upper}", bucket(us));
        }
        assert!((0..BUCKETS).all(|number| bucket(upper_us(number)) == number));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_arrived_within_a_minute_counts() {
        let (lags, queue) = (Lags::default(), queue("a"));
        assert_eq!(lags.of(&queue, NOW), None);
        for ms in 1..=100 {
            lags.note(&queue, NOW, at(ms));
        }
        let Lag { arrived, p50, p99, max } = lags.of(&queue, at(100)).expect("they arrived");
        assert_eq!((arrived, max), (100, Duration::from_millis(100)));
        let near = |found: Duration, ms: u64| (ms * 1000..=ms * 1063).contains(&(found.as_micros() as u64));
        assert!(near(p50, 50) && near(p99, 99), "{p50:?} {p99:?}");
        // One more, late, and half a minute later; then the first ones do not count any more, and at last it does not.
        lags.note(&queue, NOW, at(30_000));
        assert_eq!(lags.of(&queue, at(30_000)).map(|lag| (lag.arrived, lag.max.as_secs())), Some((101, 30)));
        assert_eq!(lags.of(&queue, at(60_000)).map(|lag| (lag.arrived, lag.p50.as_secs())), Some((1, 30)));
        assert_eq!(lags.of(&queue, at(90_000)), None);
        // The slice of the first ones is used again.
        lags.note(&queue, at(119_000), at(120_000));
        assert_eq!(lags.of(&queue, at(120_000)).map(|lag| (lag.arrived, lag.max.as_secs())), Some((1, 1)));
        // A clock that was set back.
        assert_eq!(lags.of(&queue, NOW), None);
    }

    #[test]
    fn queues_that_are_silent_take_no_memory() {
        let lags = Lags::default();
        for number in 0..100 {
            lags.note(&queue(&number.to_string()), NOW, at(number * 10_000));
        }
        assert_eq!(lags.0.lock().expect("nobody panicked").len(), 6);
        assert!(lags.of(&queue("99"), at(990_000)).is_some());
    }
}
