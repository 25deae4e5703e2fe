//! Randomness of the tests: another one each time that a store is opened, as real randomness is. If it came again, so would
//! stamps, with a clock that stands still meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strata_storage::{Entropy, SeededEntropy};

/// The next one.
pub fn entropy() -> Arc<dyn Entropy> {
    static OPENED: AtomicU64 = AtomicU64::new(1);
    Arc::new(SeededEntropy::new(OPENED.fetch_add(1, Ordering::Relaxed)))
}
