//! How long the tests of this suite go on, and with what seed.

use std::hash::{BuildHasher as _, RandomState};

/// What a run of the suite was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Repeats what is drawn.
    pub seed: u64,
    /// How long each test goes on; `None` for the short run.
    pub minutes: Option<u64>,
}

/// Reads `STRATA_CRASH_SEED` and `STRATA_CRASH_MINUTES`, and prints the seed.
pub fn begin() -> Asked {
    let seed = number("STRATA_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(()) >> 1);
    println!("STRATA_CRASH_SEED={seed}");
    Asked { seed, minutes: number("STRATA_CRASH_MINUTES") }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}
