//! How long the tests of this suite go on, and with what seed.

use std::hash::{BuildHasher as _, RandomState};

/// The seed of short runs.
const SEED: u64 = 1;

/// What a run of the suite was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Repeats what is drawn.
    pub seed: u64,
    /// How long each test goes on; `None` for the short run.
    pub minutes: Option<u64>,
}

/// Reads `STRATA_CRASH_SEED` and `STRATA_CRASH_MINUTES`, and prints the seed: the same one for every short run, so that only
/// a change can make it fail.
pub fn begin() -> Asked {
    let minutes = number("STRATA_CRASH_MINUTES");
    let fresh = || minutes.map_or(SEED, |_| RandomState::new().hash_one(()) >> 1);
    let seed = number("STRATA_CRASH_SEED").unwrap_or_else(fresh);
    println!("STRATA_CRASH_SEED={seed}");
    Asked { seed, minutes }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}
