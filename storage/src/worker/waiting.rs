//! How much waits for a worker: rows of the index are counted up to a bound, so that a long queue costs no more to count
//! than one of that length.

use crate::error::Result;
use crate::index::{Family, Rows, Step};

/// Rows of a queue that are counted; of more it is only said that there are more. Counting these takes milliseconds.
pub(crate) const COUNTED_MAX: u64 = 10_000;

/// What waits for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waiting {
    /// So much at least.
    pub(crate) count: u64,
    /// Whether there is more.
    pub(crate) is_capped: bool,
}

impl Waiting {
    /// This and so much more.
    pub(crate) fn and(self, count: u64) -> Waiting {
        Waiting { count: self.count.saturating_add(count), ..self }
    }
}

impl From<u64> for Waiting {
    fn from(count: u64) -> Waiting {
        Waiting { count, is_capped: false }
    }
}

/// Counts the rows of some ranges, each from its begin to its end (exclusive; empty means the family's end).
pub(super) fn count_rows(rows: &Rows<'_>, family: Family, ranges: &[(Vec<u8>, Vec<u8>)]) -> Result<Waiting> {
    let mut count = 0;
    // The clock may have been set back to before where a range begins.
    for (from, to) in ranges.iter().filter(|(from, to)| to.is_empty() || from < to) {
        rows.scan(family, from, to, |_, _| {
            count += 1;
            Ok(if count > COUNTED_MAX { Step::Stop } else { Step::Next })
        })?;
        if count > COUNTED_MAX {
            return Ok(Waiting { count: COUNTED_MAX, is_capped: true });
        }
    }
    Ok(Waiting::from(count))
}
