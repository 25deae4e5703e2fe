//! The dispatchers of all targets: started with the server, and stopped before the store is closed.

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use strata_storage::{Error, QueueName, Store};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::dispatch::{Dispatcher, Route, Surroundings};
use super::target::{Deliveries, DeliveryError, Message, Target};
use super::targets::Targets;
use crate::config::{EventFormat, backlog_default, max_age_default};

/// What runs.
pub struct Dispatchers {
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Dispatchers {
    /// Starts one for each target, and one for each queue whose target is not configured any more.
    pub fn start(around: &Surroundings, targets: &Targets) -> Dispatchers {
        let stop = watch::Sender::new(false);
        let routes: Vec<Route> = targets.iter().map(Route::of).collect();
        let known = routes.iter().map(|route| route.arn.clone()).collect();
        let others = tokio::spawn(keep_others(around.clone(), known, stop.subscribe()));
        let start = |route| tokio::spawn(Dispatcher::new(around.clone(), route).run(stop.subscribe()));
        let running = routes.into_iter().map(start).chain([others]).collect();
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

/// Keeps queues without a target within the default limits of age and size, for as long as buckets fill them, until
/// `stop` says so.
async fn keep_others(around: Surroundings, mut known: BTreeSet<String>, mut stop: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    loop {
        match others(&around.store, &known).await {
            Ok(others) => {
                for (target, waiting) in others {
                    tracing::warn!(target_arn = target, waiting, "events wait for a target that is not configured");
                    running.spawn(Dispatcher::new(around.clone(), absent(target.clone())).run(stop.clone()));
                    known.insert(target);
                }
            }
            Err(error) => tracing::error!(%error, "the queues of events cannot be read"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(around.pace.others) => {}
        }
    }
    while running.join_next().await.is_some() {}
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

fn absent(arn: String) -> Route {
    Route {
        arn,
        target: Arc::new(Absent),
        format: EventFormat::S3,
        max_age: max_age_default(),
        retries: 0,
        backlog_bytes: backlog_default(),
        on_failure: None,
    }
}

/// In the place of a target that is not configured: it is away.
struct Absent;

impl Target for Absent {
    fn batch_max(&self) -> usize {
        1
    }

    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries> {
        Box::pin(ready(messages.iter().map(|_| Err(not_configured())).collect()))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(ready(Err(not_configured())))
    }
}

fn not_configured() -> DeliveryError {
    DeliveryError::Unavailable("it is not configured".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use strata_storage::{
        BucketChange, BucketName, Clock, EventKinds, ManualClock, NewBucket, NotificationRule, ObjectKey, OpenOptions,
        PutObject, QueueName, Store, Timestamp,
    };
    use tokio::sync::watch;

    use super::{Surroundings, keep_others, max_age_default};
    use crate::events::dispatch::Pace;
    use crate::events::health::Healths;

    /// Its events are too old at last, as those of a target that is away.
    #[tokio::test]
    async fn what_waits_for_nobody_does_not_wait_for_ever() {
        let arn = "arn:aws:sqs:us-east-1:000000000000:gone";
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_790_848_800)));
        let options = OpenOptions { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..OpenOptions::new(directory.path()) };
        let store = Store::open(options).await.expect("a store");
        let (bucket, key) = (BucketName::parse("bucket").expect("a name"), ObjectKey::parse("a").expect("a key"));
        store.create_bucket(&bucket, NewBucket::default()).await.expect("a bucket");
        let rule = NotificationRule {
            id: "id".to_owned(),
            target: arn.to_owned(),
            kinds: EventKinds::all(),
            prefix: String::new(),
            suffix: String::new(),
        };
        let rules = BucketChange::Notifications { rules: vec![rule], document: None };
        store.change_bucket(&bucket, rules).await.expect("rules");

        let short = Duration::from_millis(2);
        let pace = Pace {
            away_min: short,
            away_max: short,
            refused: short,
            commit: short,
            read: short,
            look: short,
            others: short,
        };
        let (healths, region) = (Healths::default(), "r".to_owned());
        let around = Surroundings {
            store: store.clone(),
            region,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            healths: healths.clone(),
            pace,
        };
        let stop = watch::Sender::new(false);
        let keeping = tokio::spawn(keep_others(around, BTreeSet::new(), stop.subscribe()));
        // The queue comes after the start.
        let staged = store.stage_bytes("x").await.expect("staged");
        store.put(PutObject::new(bucket, key, staged)).await.expect("written");
        let queue = QueueName::Events { target: arn.to_owned() }.id();
        while healths.of(arn).last_error.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(store.backlog(queue).await.expect("counters").waiting, 1);
        clock.advance(max_age_default() + Duration::from_secs(1));
        while store.backlog(queue).await.expect("counters").waiting > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(store.backlog(queue).await.expect("counters").aside, 1);
        stop.send_replace(true);
        keeping.await.expect("it ends");
    }
}
