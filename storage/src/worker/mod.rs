//! What runs by itself: the collector, which gives space back, the checkpoint, which it must not disturb, the worker
//! that does what lifecycle and tiering make due, and what all workers share: one budget, and a place to tell of their
//! progress.

use crate::error::{Error, Result};

mod accesses;
mod analyze;
mod background;
mod budget;
mod checkpoint;
mod collect;
mod due;
#[cfg(test)]
mod due_tests;
mod evaluator;
mod heal;
#[cfg(test)]
mod heal_tests;
mod narrow;
mod pace;
mod progress;
mod records;
mod reindex;
mod release;
mod reports;
mod rounds;
mod scrub;
mod scrub_losses;
#[cfg(test)]
mod scrub_tests;
mod segments;
mod settle;
mod settle_job;
mod settle_large;
mod settle_small;
#[cfg(test)]
mod tests;
mod waiting;
#[cfg(test)]
mod waiting_tests;
mod walk;
mod widen;

pub(crate) use accesses::{flush as flush_accesses, spawn as spawn_accesses};
pub(crate) use analyze::{Reads, spawn as spawn_analyses};
pub(crate) use budget::{Budget, Foreground, ROW_BYTES};
pub(crate) use checkpoint::checkpoint;
pub(crate) use collect::{Collector, collect, spawn};
pub(crate) use due::{DueWorker, evaluate, spawn as spawn_due};
pub use evaluator::Evaluated;
pub use heal::Healed;
pub(crate) use heal::{Healer, spawn_healer};
pub use progress::WorkerStatus;
pub(crate) use progress::{Progress, Workers};
pub(crate) use reindex::{ask as ask_reindex, forget as forget_reindex};
pub use reports::{ReportRefusal, TakesReports};
pub(crate) use rounds::{Next, Rounds};
pub use scrub::{LostVersion, ScrubStatus};
pub(crate) use scrub::{Scrubber, spawn as spawn_scrubber};
pub(crate) use settle::{Mover, settle, spawn as spawn_mover};
pub(crate) use widen::read_somewhere;

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
