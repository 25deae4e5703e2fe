//! The sender: does what the queues of replication hold.
//!
//! A task per queue, which is one source bucket and one destination. It reads the queue in windows, works on many keys at once
//! and on each in the order of its changes. `transfer` brings one version, or what changed of it, to the destination; then
//! the engine ends the task in one batch with the version's status.
//!
//! 1. Read tasks; 2. send; 3. end the task. Dying between 2 and 3 sends it again, which the destination recognises by the
//!    version's id, or, if it is no Strata, stores as one more version.
//!
//! What fails for a reason that may pass is tried again; meanwhile its version is `PENDING`. While nothing arrives, the
//! whole queue tries, ever more seldom, for as long as it takes. What goes on failing while others arrive, and what fails
//! for good, is put aside after some attempts, `FAILED`, until somebody asks for it again.

mod endpoint;
mod errand;
mod fault;
mod gate;
mod grant;
mod lanes;
mod limiter;
mod multipart;
mod outgoing;
mod queue;
mod source;
mod transfer;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use strata_storage::{Clock, QueueName};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::request::Context;

use limiter::Limiter;

/// How often it is looked for queues that are new, where nothing tells of one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the queues' tasks share.
pub struct Sender {
    context: Arc<Context>,
    clock: Arc<dyn Clock>,
    /// Versions that may be on their way at once.
    turns: Arc<Semaphore>,
    limiter: Limiter,
}

impl Sender {
    /// A sender that has not begun.
    pub fn new(context: Arc<Context>, clock: Arc<dyn Clock>) -> Arc<Sender> {
        let settings = &context.config.replication;
        let turns = Arc::new(Semaphore::new(settings.concurrency));
        let limiter = Limiter::new(settings.bytes_per_second);
        Arc::new(Sender { clock, turns, limiter, context })
    }

    /// Sends until the future is dropped. What is on its way then will be sent again.
    pub async fn run(self: Arc<Self>) {
        let mut came = self.context.store.tasks_came();
        let (mut known, mut workers) = (HashSet::new(), JoinSet::new());
        loop {
            match self.context.store.queues().await {
                Ok(queues) => {
                    for name in queues.into_iter().map(|queue| queue.name) {
                        if matches!(name, QueueName::Replication { .. }) && known.insert(name.clone()) {
                            workers.spawn(queue::run(Arc::clone(&self), name));
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "the queues of replication cannot be read; this is tried again"),
            }
            tokio::select! {
                Some(ended) = workers.join_next() => match ended {
                    // Its bucket is gone. One of that name would be another queue.
                    Ok(name) => drop(known.remove(&name)),
                    Err(error) => tracing::error!(%error, "a queue of replication stopped"),
                },
                _ = came.changed() => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}
