//! One queue: its tasks are read in windows, done side by side, and ended.

use std::sync::Arc;
use std::time::Duration;

use strata_storage::{Bucket, BucketName, EventKind, ObjectKey, QueueName, Replicate, Store, Task, TaskOutcome, Work};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Sender;
use super::endpoint::Endpoint;
use super::fault::Fault;
use super::gate::Gate;
use super::lanes::Lanes;
use super::multipart::Progress;
use super::source::Source;
use super::transfer::Transfer;

/// Tasks that are held in memory.
const WINDOW: usize = 4096;
/// Tasks that are read at once.
const PAGE: usize = 512;
/// The least time between two looks at the queue: what comes meanwhile is read together.
const READ_EVERY: Duration = Duration::from_millis(2);
/// How often what fails for good is tried.
const ATTEMPTS: u32 = 3;
/// How long a destination is taken for what it was found to be.
const FOUND_FOR: Duration = Duration::from_secs(60);
/// What time control promises.
const THRESHOLD: Duration = Duration::from_secs(15 * 60);
/// How long to wait after the store could not be read.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// What the tasks of a queue share.
struct Queue {
    sender: Arc<Sender>,
    name: QueueName,
    bucket: u64,
    /// The source bucket's name, which it keeps.
    source: BucketName,
    destination: String,
    gate: Gate,
    endpoint: RwLock<Option<(Endpoint, Instant)>>,
}

/// Does what is in a queue of a bucket.
pub async fn run(sender: Arc<Sender>, name: QueueName, source: Arc<Bucket>) {
    let QueueName::Replication { bucket, destination } = name.clone() else { return };
    let Ok(source) = BucketName::parse(&source.name) else { return };
    let (gate, endpoint) = (Gate::default(), RwLock::default());
    Arc::new(Queue { sender, name, bucket, source, destination, gate, endpoint }).work().await;
}

/// Drops what waits for a bucket that is gone, and its queue with it. Nobody else works on it.
pub async fn forget(store: &Store, name: &QueueName) -> Result<(), strata_storage::Error> {
    loop {
        let tasks = store.tasks(name.id(), None, PAGE).await?;
        if tasks.is_empty() {
            return store.forget_queue(name).await;
        }
        let dropped = tasks.into_iter().map(|task| (task, TaskOutcome::Dropped)).collect();
        store.end_events(name.id(), dropped).await?;
    }
}

impl Queue {
    async fn work(self: Arc<Self>) {
        let mut came = self.sender.context.store.tasks_came(self.name.id());
        let (mut lanes, mut under_way) = (Lanes::default(), JoinSet::new());
        // Whether there may be tasks that were not read, and when the next may be.
        let (mut more, mut next_read) = (true, Instant::now());
        loop {
            let has_room = lanes.held() + PAGE <= WINDOW;
            if more && has_room && Instant::now() >= next_read {
                came.mark_unchanged();
                let wait = match self.read(&mut lanes).await {
                    Ok(is_more) => {
                        more = is_more;
                        READ_EVERY
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a queue of replication cannot be read; this is tried again");
                        STORE_WAIT
                    }
                };
                next_read = Instant::now() + wait;
            }
            while under_way.len() < self.sender.context.config.replication.concurrency
                && let Some(task) = lanes.next()
            {
                under_way.spawn(Arc::clone(&self).finish(task));
            }
            tokio::select! {
                Some(done) = under_way.join_next() => match done {
                    Ok(Some(key)) => lanes.done(&key),
                    Ok(None) => return,
                    Err(error) => {
                        tracing::error!(%error, "a task of replication stopped; its queue begins anew");
                        return;
                    }
                },
                changed = came.changed(), if !more => match changed {
                    Ok(()) => more = true,
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(next_read), if more && has_room => {}
            }
        }
    }

    /// Reads a page of tasks. Whether there are more.
    async fn read(&self, lanes: &mut Lanes) -> Result<bool, strata_storage::Error> {
        let tasks = self.sender.context.store.tasks(self.name.id(), lanes.last(), PAGE).await?;
        let is_full = tasks.len() == PAGE;
        tasks.into_iter().for_each(|task| lanes.add(task));
        Ok(is_full)
    }

    /// Does a task however long it takes, and ends it. Gives its key, or nothing if the bucket is gone.
    async fn finish(self: Arc<Self>, task: Task) -> Option<String> {
        let Work::Replicate(replicate) = &task.work else { return Some(String::new()) };
        let replicate = replicate.clone();
        let outcome = self.outcome(&replicate).await?;
        let store = &self.sender.context.store;
        while let Err(error) = store.end_replication(self.name.id(), task.clone(), outcome.clone()).await {
            tracing::warn!(%error, "a task of replication cannot be ended; this is tried again");
            tokio::time::sleep(STORE_WAIT).await;
        }
        if matches!(outcome, TaskOutcome::Done) {
            self.sender.context.lags.note(&self.name, replicate.requested, self.sender.clock.now());
        }
        Some(replicate.key)
    }

    async fn outcome(&self, replicate: &Replicate) -> Option<TaskOutcome> {
        let (mut progress, mut attempts, mut told) = (Progress::default(), 0, false);
        loop {
            self.gate.pass().await;
            let attempt = {
                let _turn = self.sender.turns.acquire().await.ok()?;
                self.attempt(replicate, &mut progress).await
            };
            match attempt {
                Ok(()) => {
                    self.gate.open();
                    self.sender.context.troubles.clear(&self.name);
                    self.tell_lateness(replicate, EventKind::ReplicationAfterThreshold).await;
                    return Some(TaskOutcome::Done);
                }
                Err(Fault::Gone) => return Some(TaskOutcome::Dropped),
                Err(Fault::Passing(reason)) => {
                    self.sender.context.troubles.note(&self.name, reason);
                    *self.endpoint.write().await = None;
                    self.gate.close(&*self.sender.context.entropy);
                    if !told {
                        told = self.tell_lateness(replicate, EventKind::ReplicationMissedThreshold).await;
                    }
                }
                Err(Fault::Lasting(reason)) => {
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Some(TaskOutcome::PutAside { reason, attempts });
                    }
                    *self.endpoint.write().await = None;
                }
            }
        }
    }

    async fn attempt(&self, replicate: &Replicate, progress: &mut Progress) -> Result<(), Fault> {
        let store = &self.sender.context.store;
        let bucket = match store.bucket(&self.source).await {
            Ok(bucket) if bucket.id == self.bucket => bucket,
            Ok(_) | Err(strata_storage::Error::NotFound(_)) => return Err(Fault::Gone),
            Err(error) => return Err(Fault::Passing(error.to_string())),
        };
        let source = Source::of(&self.sender, &bucket, replicate)?;
        let endpoint = self.endpoint().await?;
        let key = ObjectKey::parse(&replicate.key).map_err(|error| Fault::Lasting(error.to_string()))?;
        let transfer = Transfer { sender: &self.sender, source: &source, endpoint: &endpoint, replicate, key: &key };
        transfer.run(progress).await
    }

    /// The destination, looked for now and then.
    async fn endpoint(&self) -> Result<Endpoint, Fault> {
        if let Some((endpoint, until)) = &*self.endpoint.read().await
            && Instant::now() < *until
        {
            return Ok(endpoint.clone());
        }
        let mut kept = self.endpoint.write().await;
        if let Some((endpoint, until)) = &*kept
            && Instant::now() < *until
        {
            return Ok(endpoint.clone());
        }
        let found = self.sender.context.destinations.resolve(&self.source, &self.destination).await?;
        let endpoint = Endpoint::of(found).await?;
        *kept = Some((endpoint.clone(), Instant::now() + FOUND_FOR));
        Ok(endpoint)
    }

    /// Tells of what took longer than time control promises, if the rule has it. Whether it did.
    async fn tell_lateness(&self, replicate: &Replicate, kind: EventKind) -> bool {
        if self.sender.clock.now().since(replicate.requested) < THRESHOLD {
            return false;
        }
        let store = &self.sender.context.store;
        let Ok(bucket) = store.bucket(&self.source).await else { return false };
        let rule = bucket.replication.as_ref().and_then(|replication| replication.rule(&replicate.rule));
        if rule.is_none_or(|rule| rule.destination.time_control != Some(true)) {
            return false;
        }
        if let Err(error) = store.tell_replication(kind, replicate, None).await {
            tracing::warn!(%error, "an event of replication is lost");
        }
        true
    }
}
