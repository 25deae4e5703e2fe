//! What runs by itself: the collector, which gives space back, and the checkpoint, which it must not disturb.

use crate::error::{Error, Result};

mod checkpoint;
mod collect;
mod release;
mod segments;
#[cfg(test)]
mod tests;

pub(crate) use checkpoint::checkpoint;
pub(crate) use collect::{Collector, collect, spawn};

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
