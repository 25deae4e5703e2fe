//! The dispatchers of all targets: started with the server, and stopped before the store is closed.

use std::collections::BTreeSet;

use strata_storage::{Error, QueueName, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::dispatch::{Dispatcher, Route, Surroundings};
use super::targets::Targets;

/// What runs.
pub struct Dispatchers {
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Dispatchers {
    /// Starts one for each target. Queues of targets that are not configured any more are kept, and told of in the log.
    pub fn start(around: &Surroundings, targets: &Targets) -> Dispatchers {
        let stop = watch::Sender::new(false);
        let routes: Vec<Route> = targets.iter().map(Route::of).collect();
        let known = routes.iter().map(|route| route.arn.clone()).collect();
        tokio::spawn(tell_of_others(around.store.clone(), known));
        let start = |route| tokio::spawn(Dispatcher::new(around.clone(), route).run(stop.subscribe()));
        let running = routes.into_iter().map(start).collect();
        Dispatchers { stop, running }
    }

    /// Stops them: what is under way may end, nothing new is begun.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for running in self.running {
            // A panic was reported when it happened; what its target did not get is delivered after the next start.
            let _ended = running.await;
        }
    }
}

async fn tell_of_others(store: Store, known: BTreeSet<String>) {
    match others(&store, &known).await {
        Ok(others) => {
            for (target, waiting) in others {
                tracing::warn!(target_arn = target, waiting, "events wait for a target that is not configured");
            }
        }
        Err(error) => tracing::error!(%error, "the queues of events cannot be read"),
    }
}

async fn others(store: &Store, known: &BTreeSet<String>) -> Result<Vec<(String, u64)>, Error> {
    let others = store.queues().await?.into_iter().filter_map(|queue| match queue.name {
        QueueName::Events { target } if !known.contains(&target) && queue.backlog.waiting > 0 => {
            Some((target, queue.backlog.waiting))
        }
        _ => None,
    });
    Ok(others.collect())
}
