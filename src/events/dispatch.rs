//! Dispatchers: one for each target, which brings the events of its queue there, in the order of their keys.
//!
//! 1. Read tasks of the queue, a window at a time.
//! 2. Send batches of them, several at once, of different keys.
//! 3. Commit how they ended, many in one batch.
//!
//! Dying before 3 leaves the tasks, and they are delivered again. A request waits for none of this: it only writes a task.
//! A target that is away is asked now and then, with one message; what comes meanwhile stays in the queue.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use strata_storage::{Clock, Error, QueueId, QueueName, Stamp, Store, Task, TaskOutcome, Timestamp, Work};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::health::Healths;
use super::message::message;
use super::target::{Deliveries, Message, Target};
use super::targets::Configured;
use super::window::{Patience, TASKS_MAX, Window};
use crate::config::{EventFormat, TargetSettings};

/// So many ends are committed without waiting for more.
const ENDS_MIN: usize = 128;
/// Tasks that are dropped at once.
const DROPPED_MAX: usize = 256;
/// Looks in a row at a queue that is too large.
const SHRINKS_MAX: usize = 64;
/// How long calls under way may take when the server stops.
const LAST_CALLS_TIME_MAX: Duration = Duration::from_secs(5);

/// How a target is served.
#[derive(Clone)]
pub struct Route {
    /// Its ARN.
    pub arn: String,
    /// The target.
    pub target: Arc<dyn Target>,
    /// The form of its messages.
    pub format: EventFormat,
    /// How long a message is tried to be delivered.
    pub max_age: Duration,
    /// How often a message is sent again that was refused.
    pub retries: u32,
    /// What may wait for it in the store, in bytes, with what was put aside.
    pub backlog_bytes: u64,
    /// The ARN of the target that gets what it did not take.
    pub on_failure: Option<String>,
}

impl Route {
    /// As the settings say.
    pub fn of(configured: &Configured) -> Route {
        let Configured { settings, target } = configured;
        let TargetSettings { arn, max_age, retries, backlog_bytes, format, on_failure, .. } = &**settings;
        Route {
            arn: arn.as_str().to_owned(),
            target: Arc::clone(target),
            format: *format,
            max_age: *max_age,
            retries: *retries,
            backlog_bytes: *backlog_bytes,
            on_failure: on_failure.as_ref().map(|arn| arn.as_str().to_owned()),
        }
    }
}

/// How fast things go.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a target that is away is left alone at first; twice as long after each further attempt.
    pub away_min: Duration,
    /// How long at most.
    pub away_max: Duration,
    /// How long a refused message waits at first.
    pub refused: Duration,
    /// How long an end may wait to be committed together with others.
    pub commit: Duration,
    /// The time between two reads that find less than there is room for.
    pub read: Duration,
    /// The time between two looks at the size of the queue.
    pub look: Duration,
    /// The time between two looks for queues that have no target.
    pub others: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            away_min: Duration::from_millis(500),
            away_max: Duration::from_secs(60),
            refused: Duration::from_secs(1),
            commit: Duration::from_millis(50),
            read: Duration::from_millis(10),
            look: Duration::from_secs(1),
            others: Duration::from_secs(60),
        }
    }
}

/// What all dispatchers work with.
#[derive(Clone)]
pub struct Surroundings {
    /// The store with the queues.
    pub store: Store,
    /// The store's region, as messages tell it.
    pub region: String,
    /// What ages are measured by.
    pub clock: Arc<dyn Clock>,
    /// How the targets are.
    pub healths: Healths,
    /// How fast things go.
    pub pace: Pace,
}

type Call = Pin<Box<dyn Future<Output = (Vec<Stamp>, Deliveries)> + Send>>;
type Commit = Pin<Box<dyn Future<Output = (Vec<Stamp>, Result<(), Error>)> + Send>>;

/// Brings events to one target.
pub struct Dispatcher {
    around: Surroundings,
    route: Route,
    queue: QueueId,
    window: Window,
    calls: FuturesUnordered<Call>,
    commit: Option<Commit>,
    /// When what has ended is committed at the latest.
    commit_due: Option<Instant>,
    /// No commit before it: one has failed.
    commit_from: Instant,
    /// Whether there may be tasks after the last one read, and no read before `read_from`.
    more: bool,
    read_from: Instant,
    after: Option<Stamp>,
    look_at: Instant,
    /// How often in a row the target was away, and until when it is left alone.
    failures: u32,
    resume: Option<Instant>,
    /// Whether it was said that the queue is too large.
    is_dropping: bool,
}

impl Dispatcher {
    /// For that target.
    pub fn new(around: Surroundings, route: Route) -> Dispatcher {
        let now = Instant::now();
        Dispatcher {
            queue: QueueName::Events { target: route.arn.clone() }.id(),
            around,
            route,
            window: Window::default(),
            calls: FuturesUnordered::new(),
            commit: None,
            commit_due: None,
            commit_from: now,
            more: true,
            read_from: now,
            after: None,
            look_at: now,
            failures: 0,
            resume: None,
            is_dropping: false,
        }
    }

    /// Goes on until `stop` says so. Dropping the future loses nothing but what was delivered and not committed, which is
    /// delivered again.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut came = self.around.store.tasks_came(self.queue);
        loop {
            let wake = match self.step().await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::error!(target_arn = %self.route.arn, %error, "events cannot be read or ended");
                    Instant::now() + self.around.pace.away_max
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some((stamps, deliveries)) = self.calls.next() => self.take(&stamps, deliveries),
                (stamps, result) = committed(&mut self.commit) => self.committed(&stamps, result),
                Ok(()) = came.changed(), if !self.more => self.more = true,
                () = sleep_until(wake) => {}
            }
        }
        self.finish().await;
    }

    /// Does all that can be done now, and says when there will be more.
    async fn step(&mut self) -> Result<Instant, Error> {
        let now = Instant::now();
        if now >= self.look_at {
            self.look().await?;
            self.look_at = now + self.around.pace.look;
        }
        self.resume = self.resume.filter(|resume| *resume > now);
        if self.resume.is_none() {
            if self.more && now >= self.read_from && self.window.room() >= TASKS_MAX / 2 {
                self.read().await?;
            }
            self.expire();
            self.send(now);
        }
        self.begin_commit(now);
        let read = (self.more && self.window.room() >= TASKS_MAX / 2).then_some(self.read_from);
        let attempt = self.window.next_attempt().filter(|_| self.calls.len() < self.calls_max());
        let waits = match self.resume {
            Some(resume) => [Some(resume), self.commit_due, None],
            None => [read, self.commit_due, attempt],
        };
        Ok(waits.into_iter().flatten().fold(self.look_at, Instant::min))
    }

    /// Reads as many tasks as there is room for.
    async fn read(&mut self) -> Result<(), Error> {
        loop {
            let room = self.window.room();
            if room == 0 {
                break;
            }
            let tasks = self.around.store.tasks(self.queue, self.after, room).await?;
            let is_all = tasks.len() < room;
            self.after = tasks.last().map(|task| task.stamp).or(self.after);
            for task in tasks {
                self.window.add(task);
            }
            if is_all {
                self.more = false;
                break;
            }
        }
        self.read_from = Instant::now() + self.around.pace.read;
        Ok(())
    }

    fn expire(&mut self) {
        let max_age = u64::try_from(self.route.max_age.as_nanos()).unwrap_or(u64::MAX);
        let oldest = Timestamp::from_nanos(self.around.clock.now().as_nanos().saturating_sub(max_age));
        let on_failure = self.route.on_failure.as_deref();
        let ended = self.window.expire(oldest, |attempts| failed(on_failure, "it is too old".to_owned(), attempts));
        if ended > 0 {
            tracing::warn!(target_arn = %self.route.arn, ended, "events were not delivered within max_age");
        }
    }

    /// Starts calls, as many as there may be.
    fn send(&mut self, now: Instant) {
        let batch = if self.failures == 0 { self.route.target.batch_max().max(1) } else { 1 };
        while self.calls.len() < self.calls_max() {
            let tasks = self.window.next(batch, now);
            if tasks.is_empty() {
                break;
            }
            self.calls.push(self.call(&tasks));
        }
    }

    /// A target that was away is asked with one message.
    fn calls_max(&self) -> usize {
        if self.failures == 0 { self.route.target.calls_max().max(1) } else { 1 }
    }

    fn call(&self, tasks: &[Task]) -> Call {
        let stamps = tasks.iter().map(|task| task.stamp).collect();
        let as_message = |task: &Task| match &task.work {
            Work::Event(event) => Some(message(event, task.stamp, self.route.format, &self.around.region)),
            Work::Replicate(_) => None,
        };
        let messages: Vec<Message> = tasks.iter().filter_map(as_message).collect();
        let target = Arc::clone(&self.route.target);
        Box::pin(async move { (stamps, target.deliver(&messages).await) })
    }

    /// Takes what came of a call.
    fn take(&mut self, stamps: &[Stamp], deliveries: Deliveries) {
        let now = Instant::now();
        let patience = Patience { retries: self.route.retries, delay: self.around.pace.refused };
        let on_failure = self.route.on_failure.as_deref();
        let called = self.window.called(stamps, deliveries, patience, now, |reason, attempts| {
            tracing::warn!(target_arn = %self.route.arn, reason, attempts, "a target of events refused one");
            failed(on_failure, reason, attempts)
        });
        let time = self.around.clock.now();
        let was_away = self.failures > 0;
        match &called.unavailable {
            Some(reason) => {
                if !was_away {
                    tracing::warn!(target_arn = %self.route.arn, reason, "a target of events takes none; it is tried again");
                }
                // Calls at once that fail are one failure.
                if self.resume.is_none() {
                    self.resume = Some(now + self.away());
                    self.failures = self.failures.saturating_add(1);
                }
            }
            None => {
                if was_away {
                    tracing::info!(target_arn = %self.route.arn, "a target of events takes them again");
                }
                self.failures = 0;
            }
        }
        let error = called.unavailable.clone().or(called.refused);
        self.around.healths.change(&self.route.arn, |health| {
            health.away_since = called.unavailable.map(|_| health.away_since.unwrap_or(time));
            if called.delivered > 0 {
                health.last_delivery = Some(time);
            }
            if let Some(error) = error {
                health.last_error = Some((time, error));
            }
        });
    }

    /// How long to leave the target alone. A part is random, so that not everybody comes back at once.
    fn away(&self) -> Duration {
        let Pace { away_min, away_max, .. } = self.around.pace;
        let whole = away_min.saturating_mul(1 << self.failures.min(16)).min(away_max);
        let random = self.around.store.entropy().next_u64() % 1024;
        whole.mul_f64(0.5 + random as f64 / 2048.0)
    }

    /// Commits what has ended, if it is time.
    fn begin_commit(&mut self, now: Instant) {
        let count = self.window.ended_count();
        if self.commit.is_some() || count == 0 {
            self.commit_due = None;
            return;
        }
        let due = self.commit_due.unwrap_or(now + self.around.pace.commit).max(self.commit_from);
        self.commit_due = Some(due);
        let is_time = now >= due || count >= ENDS_MIN || self.calls.is_empty();
        if !is_time || now < self.commit_from {
            return;
        }
        self.commit_due = None;
        let (store, queue, ended) = (self.around.store.clone(), self.queue, self.window.ended());
        let stamps = stamps(&ended);
        self.commit = Some(Box::pin(async move { (stamps, store.end_events(queue, ended).await) }));
    }

    fn committed(&mut self, stamps: &[Stamp], result: Result<(), Error>) {
        match result {
            Ok(()) => self.window.forget(stamps),
            Err(error) => {
                tracing::error!(target_arn = %self.route.arn, %error, "the ends of events cannot be stored");
                self.commit_from = Instant::now() + self.around.pace.away_max;
            }
        }
    }

    /// Looks at the size of the queue. If something waits that no read has found, the next one begins at the front.
    async fn look(&mut self) -> Result<(), Error> {
        let store = self.around.store.clone();
        for _ in 0..SHRINKS_MAX {
            let backlog = store.backlog(self.queue).await?;
            if backlog.waiting > 0 && self.window.is_empty() {
                (self.after, self.more) = (None, true);
            }
            if backlog.waiting_bytes + backlog.aside_bytes <= self.route.backlog_bytes {
                self.is_dropping = false;
                return Ok(());
            }
            if !self.is_dropping {
                self.is_dropping = true;
                let most = self.route.backlog_bytes;
                tracing::warn!(target_arn = %self.route.arn, most, "too much waits for a target of events; the oldest are dropped");
            }
            if self.commit.is_some() || !self.shrink().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Drops some of the oldest; `false` if there is nothing that could be.
    async fn shrink(&mut self) -> Result<bool, Error> {
        let store = self.around.store.clone();
        let aside = store.tasks_aside(self.queue, None, DROPPED_MAX).await?;
        if !aside.is_empty() {
            store.retry_events(self.queue, aside, true).await?;
            return Ok(true);
        }
        self.read().await?;
        if self.window.drop_oldest(DROPPED_MAX) == 0 {
            return Ok(false);
        }
        let ended = self.window.ended();
        let stamps = stamps(&ended);
        store.end_events(self.queue, ended).await?;
        self.window.forget(&stamps);
        Ok(true)
    }

    /// Lets calls under way end, and commits what has ended.
    async fn finish(mut self) {
        let calls = async {
            while let Some((stamps, deliveries)) = self.calls.next().await {
                self.take(&stamps, deliveries);
            }
        };
        if timeout(LAST_CALLS_TIME_MAX, calls).await.is_err() {
            tracing::warn!(target_arn = %self.route.arn, "calls under way are given up; their events are delivered again");
        }
        if let Some(commit) = self.commit.take() {
            let (stamps, result) = commit.await;
            self.committed(&stamps, result);
        }
        if let Err(error) = self.around.store.end_events(self.queue, self.window.ended()).await {
            tracing::warn!(target_arn = %self.route.arn, %error, "the last events will be delivered again");
        }
    }
}

/// How a message ends that the target does not take.
fn failed(on_failure: Option<&str>, reason: String, attempts: u32) -> TaskOutcome {
    match on_failure {
        Some(arn) => TaskOutcome::Moved { to: QueueName::Events { target: arn.to_owned() } },
        None => TaskOutcome::PutAside { reason, attempts },
    }
}

fn stamps(ended: &[(Task, TaskOutcome)]) -> Vec<Stamp> {
    ended.iter().map(|(task, _)| task.stamp).collect()
}

/// What came of the commit under way; never ready if there is none.
async fn committed(commit: &mut Option<Commit>) -> (Vec<Stamp>, Result<(), Error>) {
    let Some(running) = commit else { return std::future::pending().await };
    let done = running.await;
    *commit = None;
    done
}

#[cfg(test)]
mod tests;
