//! How much a target does at once: a whole number within bounds.

use serde::Deserialize;

/// So that one target cannot take all the memory and connections there are.
const MAX: usize = 64;
/// Enough to hide the way there and back, and little enough for a small receiver.
const DEFAULT: usize = 4;

/// How many calls of a target are made at once, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "usize")]
pub struct Concurrency(usize);

impl Concurrency {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for Concurrency {
    fn default() -> Concurrency {
        Concurrency(DEFAULT)
    }
}

impl TryFrom<usize> for Concurrency {
    type Error = String;

    fn try_from(count: usize) -> Result<Concurrency, String> {
        match (1..=MAX).contains(&count) {
            true => Ok(Concurrency(count)),
            false => Err(format!("concurrency must be a whole number from 1 to {MAX}")),
        }
    }
}
