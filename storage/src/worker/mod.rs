//! What runs by itself: the collector, which gives space back, the checkpoint, which it must not disturb, and what all
//! workers share: one budget, and a place to tell of their progress.

use crate::error::{Error, Result};

mod analyze;
mod budget;
mod checkpoint;
mod collect;
mod progress;
mod release;
mod segments;
#[cfg(test)]
mod tests;

pub(crate) use analyze::{Reads, spawn as spawn_analyses};
pub(crate) use budget::{Budget, Foreground, ROW_BYTES};
pub(crate) use checkpoint::checkpoint;
pub(crate) use collect::{Collector, collect, spawn};
pub use progress::WorkerStatus;
pub(crate) use progress::{Progress, Workers};

/// Runs work to its end, with the locks that it holds, even if whoever asked for it goes away.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(Error::Closed),
        },
    }
}
