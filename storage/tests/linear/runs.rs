//! How long this suite goes on, and with what seed.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// How long it goes on unless it is asked to.
const SHORT: Duration = Duration::from_secs(20);

/// What a run of the suite was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Repeats what is drawn; who comes first is the machine's to say.
    pub seed: u64,
    /// For how long rounds are begun.
    pub lasts: Duration,
}

/// Reads `STRATA_LINEAR_SEED` and `STRATA_LINEAR_MINUTES`, and prints the seed.
pub fn begin() -> Asked {
    let seed = number("STRATA_LINEAR_SEED").unwrap_or_else(|| RandomState::new().hash_one(()) >> 1);
    println!("STRATA_LINEAR_SEED={seed}");
    let minutes = number("STRATA_LINEAR_MINUTES");
    Asked { seed, lasts: minutes.map_or(SHORT, |minutes| Duration::from_secs(minutes * 60)) }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}
