//! The loop of the workers that look every so often whether there is something to do.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::error::Result;
use crate::store::Inner;

/// When the round after this one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once: there is more to do.
    Now,
    /// When the time has passed.
    Later,
}

/// When rounds begin, and what they are called in the log.
pub(crate) struct Rounds {
    /// What a round does, such as "a collection".
    pub(crate) name: &'static str,
    /// Until the first one.
    pub(crate) first: Duration,
    /// From one to the next.
    pub(crate) every: Duration,
}

impl Rounds {
    /// Runs rounds, each in a task of its own, until the store is gone, closed, or refuses writes until it is opened
    /// anew. A round that fails or panics is logged, and the next one goes on.
    pub(crate) fn spawn<F>(self, inner: Weak<Inner>, round: impl Fn(Arc<Inner>) -> F + Send + 'static)
    where
        F: Future<Output = Result<Next>> + Send + 'static,
    {
        let Rounds { name, first, every } = self;
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval_at(Instant::now() + first, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                loop {
                    let Some(inner) = inner.upgrade() else { return };
                    match tokio::spawn(round(Arc::clone(&inner))).await {
                        Ok(Ok(Next::Now)) => continue,
                        Ok(Ok(Next::Later)) => {}
                        _ if inner.check_writable().is_err() => return,
                        Ok(Err(error)) => tracing::error!(%error, "{name} failed; the next one goes on"),
                        Err(error) => tracing::error!(%error, "{name} did not end; the next one goes on"),
                    }
                    break;
                }
            }
        });
    }
}
