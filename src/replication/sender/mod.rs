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
//! for good, is put aside after some attempts, `FAILED`, until somebody asks for it again. What no rule sends any more is dropped.

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
mod resume;
mod source;
mod time_control;
mod transfer;
mod wanted;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use strata_storage::{Clock, QueueName, QueueStatus};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use crate::request::Context;

pub use endpoint::is_strata;
use limiter::Limiter;

/// The least time between two looks at which queues there are.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the queues' tasks share.
pub struct Sender {
    context: Arc<Context>,
    clock: Arc<dyn Clock>,
    /// Versions that may be on their way at once.
    turns: Arc<Semaphore>,
    limiter: Arc<Limiter>,
}

impl Sender {
    /// A sender that has not begun.
    pub fn new(context: Arc<Context>, clock: Arc<dyn Clock>) -> Arc<Sender> {
        let settings = &context.config.replication;
        let turns = Arc::new(Semaphore::new(settings.concurrency));
        let limiter = Arc::new(Limiter::new(settings.bytes_per_second));
        Arc::new(Sender { clock, turns, limiter, context })
    }

    /// Sends until the future is dropped. What is on its way then will be sent again.
    pub async fn run(self: Arc<Self>) {
        let mut changed = self.context.store.buckets_changed();
        let mut workers = Workers::default();
        loop {
            changed.mark_unchanged();
            let again = self.look(&mut workers).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the queues of replication cannot be read; this is tried again");
                true
            });
            if !again {
                tokio::select! {
                    Some(ended) = workers.tasks.join_next() => if let Err(error) = ended && !error.is_cancelled() {
                        tracing::error!(%error, "a queue of replication stopped; it begins anew");
                    },
                    _ = changed.changed() => {}
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives each queue a worker, and forgets those of buckets that are gone. Whether to look again soon.
    async fn look(self: &Arc<Self>, workers: &mut Workers) -> Result<bool, strata_storage::Error> {
        let (store, mut again) = (&self.context.store, false);
        for QueueStatus { name, backlog, .. } in store.queues().await? {
            let QueueName::Replication { bucket, .. } = name else { continue };
            let worker = workers.by_queue.get(&name).filter(|worker| !worker.is_finished());
            match (store.bucket_by_id(bucket).await?, worker) {
                (Some(_), Some(_)) => {}
                (Some(source), None) => {
                    let worker = workers.tasks.spawn(queue::run(Arc::clone(self), name.clone(), source));
                    workers.by_queue.insert(name, worker);
                }
                // What is left of it finds no source, and is dropped.
                (None, Some(_)) if backlog.waiting > 0 => again = true,
                (None, worker) => {
                    worker.inspect(|worker| worker.abort());
                    queue::forget(store, &name).await?;
                    workers.by_queue.remove(&name);
                }
            }
        }
        Ok(again)
    }
}

/// The queues' tasks.
#[derive(Default)]
struct Workers {
    tasks: JoinSet<()>,
    by_queue: HashMap<QueueName, AbortHandle>,
}
