//! One queue: its tasks are read in windows, done side by side, and ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strata_storage::{Bucket, BucketName, ObjectKey, QueueName, Replicate, Stamp, Store, Task, TaskOutcome, Work};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Sender;
use super::endpoint::Endpoint;
use super::errand::{Errand, Next};
use super::fault::Fault;
use super::gate::{self, Gate};
use super::grant::Grants;
use super::lanes::Lanes;
use super::multipart::Progress;
use super::resume;
use super::source::Source;
use super::transfer::Transfer;
use super::wanted;

/// Tasks that are held in memory. If as many as these never succeed, the queue does not see those behind them.
const WINDOW: usize = 4096;
/// Tasks that are read at once.
const PAGE: usize = 512;
/// The least time between two looks at the queue: what comes meanwhile is read together.
const READ_EVERY: Duration = Duration::from_millis(2);
/// How long a destination is taken for what it was found to be.
const FOUND_FOR: Duration = Duration::from_secs(60);
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
    /// How many tasks have arrived.
    arrived: AtomicU64,
    grants: Grants,
    /// The uploads of tasks that were begun before the last start, until the tasks are tried.
    uploads: Mutex<BTreeMap<Stamp, String>>,
    endpoint: RwLock<Option<Kept>>,
}

/// A destination as it was found.
struct Kept {
    endpoint: Endpoint,
    /// When it is to be looked for anew.
    until: Instant,
    /// Of which state of the source bucket's rules.
    revision: u64,
}

impl Kept {
    fn is_of(&self, source: &Bucket) -> bool {
        Instant::now() < self.until && self.revision == source.revision
    }
}

/// What became of an attempt.
enum Attended {
    /// The task of that key has ended.
    Ended(String),
    /// It is to be tried again, after the others.
    Again(Errand),
    /// It is to be tried again after that time.
    Later(Errand, Duration),
}

/// What is asked of the destination about a task.
enum Doing<'a> {
    /// To take what it is about.
    Send(&'a mut Progress),
    /// To abort the upload that it began.
    Abort(&'a str),
}

/// Does what is in a queue of a bucket.
pub async fn run(sender: Arc<Sender>, name: QueueName, source: Arc<Bucket>) {
    let QueueName::Replication { bucket, destination } = name.clone() else { return };
    let Ok(source) = BucketName::parse(&source.name) else { return };
    let (gate, endpoint, grants) = (Gate::default(), RwLock::default(), Grants::default());
    let (arrived, uploads) = (AtomicU64::new(0), Mutex::default());
    let queue = Queue { sender, name, bucket, source, destination, gate, arrived, grants, uploads, endpoint };
    Arc::new(queue).work().await;
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
        self.take_up_uploads().await;
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
            while under_way.len() < self.concurrency()
                && let Some(errand) = lanes.next(Instant::now())
            {
                under_way.spawn(Arc::clone(&self).attend(errand));
            }
            // Only where there is room for it.
            let wakes_at = lanes.wakes_at().filter(|_| under_way.len() < self.concurrency());
            tokio::select! {
                Some(done) = under_way.join_next() => match done {
                    Ok(Some(Attended::Ended(key))) => {
                        lanes.done(&key);
                        if lanes.held() == 0 {
                            // Nothing is held up any more, whatever became of it.
                            self.sender.context.troubles.clear(&self.name);
                        }
                    }
                    Ok(Some(Attended::Again(errand))) => lanes.again(errand),
                    Ok(Some(Attended::Later(errand, wait))) => lanes.later(errand, Instant::now() + wait),
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
                () = tokio::time::sleep_until(wakes_at.unwrap_or(next_read)), if wakes_at.is_some() => {}
            }
        }
    }

    /// Finds what was begun before the last start.
    async fn take_up_uploads(&self) {
        loop {
            match self.sender.context.store.kept_uploads(self.name.id()).await {
                Ok(found) => return *self.uploads.lock().unwrap_or_else(PoisonError::into_inner) = found,
                Err(error) => tracing::warn!(%error, "a queue of replication cannot be read; this is tried again"),
            }
            tokio::time::sleep(STORE_WAIT).await;
        }
    }

    /// Reads a page of tasks. Whether there are more.
    async fn read(&self, lanes: &mut Lanes) -> Result<bool, strata_storage::Error> {
        let tasks = self.sender.context.store.tasks(self.name.id(), lanes.last(), PAGE).await?;
        let is_full = tasks.len() == PAGE;
        tasks.into_iter().for_each(|task| lanes.add(task));
        Ok(is_full)
    }

    /// Versions of the queue that may be on their way at once.
    fn concurrency(&self) -> usize {
        self.sender.context.config.replication.concurrency
    }

    /// Tries a task, when its turn has come, and ends it if there is no more to try. Nothing if the sender ends.
    async fn attend(self: Arc<Self>, mut errand: Errand) -> Option<Attended> {
        let Work::Replicate(replicate) = &errand.task.work else { return Some(Attended::Ended(String::new())) };
        let mut replicate = replicate.clone();
        let begun = self.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&errand.task.stamp);
        if let Some(upload) = begun {
            errand.progress = Progress::of_kept(upload);
        }
        match self.source_and_rule(&replicate).await {
            // There is nothing to wait for.
            Err(Fault::Gone) => {}
            Err(_) => self.gate.pass().await,
            Ok((_, rule)) => {
                self.gate.pass().await;
                replicate.rule = rule;
            }
        }
        errand.tracked.begin(&self.sender, &self.source, &replicate).await;
        let sent_before = errand.progress.parts_sent();
        let attempt = {
            let _turn = self.sender.turns.acquire().await.ok()?;
            errand.tried.begin(self.arrived.load(Ordering::Relaxed));
            self.attempt(&replicate, errand.task.stamp, Doing::Send(&mut errand.progress)).await
        };
        if errand.progress.parts_sent() > sent_before {
            errand.tried.advanced();
        }
        let outcome = match attempt {
            Ok(()) => {
                self.arrived.fetch_add(1, Ordering::Relaxed);
                self.gate.open();
                self.sender.context.troubles.clear(&self.name);
                errand.tracked.arrived(&self.sender, &replicate).await;
                TaskOutcome::Done
            }
            Err(fault) => match self.failed(&replicate, &mut errand, fault).await {
                Next::Ends(outcome) => outcome,
                Next::AllWait => return Some(Attended::Again(errand)),
                Next::Waits { wait, .. } => {
                    let wait = wait.mul_f64(gate::jitter(&*self.sender.context.entropy));
                    return Some(Attended::Later(errand, wait));
                }
            },
        };
        let is_done = matches!(outcome, TaskOutcome::Done);
        if let Some(upload) = errand.progress.upload() {
            // Nothing will complete it. Where it cannot be aborted, the destination's lifecycle rules end it.
            if let Err(error) = self.attempt(&replicate, errand.task.stamp, Doing::Abort(upload)).await {
                tracing::info!(%error, key = replicate.key, "an upload is left open at a destination of replication");
            }
        }
        self.end(errand.task, outcome).await;
        if is_done {
            self.sender.context.lags.note(&self.name, replicate.requested, self.sender.clock.now());
        }
        Some(Attended::Ended(replicate.key))
    }

    /// Says what follows a failed attempt, and does of it what concerns the others.
    async fn failed(&self, replicate: &Replicate, errand: &mut Errand, fault: Fault) -> Next {
        let reason = fault.to_string();
        let is_passing = matches!(fault, Fault::Passing(_));
        let mut next = errand.tried.failed(fault, self.arrived.load(Ordering::Relaxed));
        if matches!(next, Next::Ends(TaskOutcome::PutAside { .. }))
            && wanted::is_gone(&self.sender.context.store, &self.source, replicate).await
        {
            // Nobody can help a version that is not there any more.
            next = Next::Ends(TaskOutcome::Dropped);
        }
        match &next {
            Next::AllWait => {
                self.sender.context.troubles.note(&self.name, reason);
                *self.endpoint.write().await = None;
                self.gate.close(&*self.sender.context.entropy);
            }
            Next::Waits { look_again: true, .. } => *self.endpoint.write().await = None,
            Next::Waits { .. } | Next::Ends(_) => {}
        }
        match &next {
            Next::Ends(TaskOutcome::Dropped) => errand.tracked.dropped(&self.sender, replicate).await,
            _ if is_passing => errand.tracked.failed(&self.sender, replicate).await,
            _ => {}
        }
        next
    }

    /// Ends a task, however long that takes.
    async fn end(&self, task: Task, outcome: TaskOutcome) {
        let store = &self.sender.context.store;
        while let Err(error) = store.end_replication(self.name.id(), task.clone(), outcome.clone()).await {
            tracing::warn!(%error, "a task of replication cannot be ended; this is tried again");
            tokio::time::sleep(STORE_WAIT).await;
        }
    }

    async fn attempt(&self, replicate: &Replicate, task: Stamp, doing: Doing<'_>) -> Result<(), Fault> {
        let (bucket, rule) = self.source_and_rule(replicate).await?;
        let (snapshot, now) = (self.sender.context.directory.snapshot(), self.sender.clock.now());
        let source = &Source::new(self.grants.of(&bucket, &snapshot, &rule, now)?, now);
        let endpoint = &self.endpoint(&bucket).await?;
        let key = &ObjectKey::parse(&replicate.key).map_err(|error| Fault::Lasting(error.to_string()))?;
        let (sender, queue) = (&self.sender, self.name.id());
        let transfer = Transfer { sender, source, endpoint, replicate, key, queue, task };
        match doing {
            Doing::Send(progress) => transfer.run(progress).await,
            Doing::Abort(upload) => resume::abort(&transfer, upload).await,
        }
    }

    /// The source bucket as it is, and the id of the rule by which it sends that. `Err(Gone)` if there is none.
    async fn source_and_rule(&self, replicate: &Replicate) -> Result<(Arc<Bucket>, String), Fault> {
        let store = &self.sender.context.store;
        let bucket = match store.bucket(&self.source).await {
            Ok(bucket) if bucket.id == self.bucket => bucket,
            Ok(_) | Err(strata_storage::Error::NotFound(_)) => return Err(Fault::Gone),
            Err(error) => return Err(Fault::Passing(error.to_string())),
        };
        let rule = wanted::rule(store, &bucket, &self.destination, replicate).await?;
        Ok((bucket, rule))
    }

    /// The destination, looked for now and then, and when the source's rules were set anew.
    async fn endpoint(&self, source: &Bucket) -> Result<Endpoint, Fault> {
        if let Some(kept) = self.endpoint.read().await.as_ref().filter(|kept| kept.is_of(source)) {
            return Ok(kept.endpoint.clone());
        }
        let mut kept = self.endpoint.write().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_of(source)) {
            return Ok(kept.endpoint.clone());
        }
        let found = self.sender.context.destinations.resolve(source, &self.destination).await?;
        let endpoint = Endpoint::of(found).await?;
        let until = Instant::now() + FOUND_FOR;
        *kept = Some(Kept { endpoint: endpoint.clone(), until, revision: source.revision });
        Ok(endpoint)
    }
}
