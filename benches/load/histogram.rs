//! Latencies in fixed logarithmic buckets: recording costs one shift and one add, a quantile is off by 1.6 % at most.
//!
//! A value below 64 ns has a bucket of its own; above that each power of two is cut into 64 equal steps.

use std::time::Duration;

const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2^40 ns, 18 minutes; what is longer lands in the last bucket.
const BUCKETS: usize = (STEPS as usize) * (40 - STEP_BITS as usize + 1);

/// A count of latencies.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS], count: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(ns)] += 1;
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exact; zero when nothing was counted.
    pub fn max_ms(&self) -> f64 {
        self.max_ns as f64 / 1e6
    }

    /// The latency that the given share of the requests did not exceed; zero when nothing was counted.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_ns(index).min(self.max_ns) as f64 / 1e6;
            }
        }
        self.max_ms()
    }
}

fn bucket(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let octave = ns.ilog2() - STEP_BITS;
    let step = (ns >> octave) - STEPS;
    (((u64::from(octave) + 1) * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The largest value that falls into a bucket.
fn upper_ns(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let octave = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << octave) - 1
}

/// Asserts that every bucket holds the values it claims; part of the generator's self-check.
pub fn check() {
    for ns in (0..200).chain((7..40).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
        let index = bucket(ns);
        let below = if index == 0 { None } else { Some(upper_ns(index - 1)) };
        assert!(ns <= upper_ns(index) && below.is_none_or(|below| below < ns), "{ns} ns in bucket {index}");
    }
    let mut histogram = Histogram::default();
    for ms in 1..=1000 {
        histogram.record(Duration::from_millis(ms));
    }
    for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
        let found = histogram.quantile_ms(share);
        assert!((found / expected - 1.0).abs() < 0.02, "quantile {share}: {found} ms instead of {expected} ms");
    }
}
