//! One run: threads full of workers, a warm-up, a measured time, and the sum of what they saw.
//!
//! Each thread has a scheduler of its own and shares nothing with the others but three counters, so the client needs
//! few of the cores it shares with the server. The load is closed, in that a connection sends its next request when the
//! last one was answered, unless a rate is given: then `pace` plans the requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use crate::content::{Random, mix};
use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::pace::Pace;
use crate::sign::{Endpoint, wall_clock};
use crate::worker::{Done, Plan, Step, Worker};

/// A step that takes longer counts as an error, so that no run hangs.
const STEP_LIMIT: Duration = Duration::from_secs(120);
/// Between two attempts to reach an endpoint that refuses.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// Distinct error messages that are kept.
const MESSAGES_MAX: usize = 5;

/// The measured time of a run that ends when its work is used up.
pub const UNTIL_DONE: Duration = Duration::from_secs(86_400);

/// How hard and how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, each with one request in flight.
    pub connections: u32,
    /// Client threads.
    pub threads: u32,
    /// Unmeasured time.
    pub warm_up: Duration,
    /// Measured time.
    pub duration: Duration,
    /// The most requests.
    pub total: u64,
    /// Requests a second of an open load; `None` is a closed one.
    pub rate: Option<f64>,
}

impl Load {
    /// Until the work is used up.
    pub fn until_done(connections: u32, threads: u32) -> Load {
        Load { connections, threads, warm_up: Duration::ZERO, duration: UNTIL_DONE, total: u64::MAX, rate: None }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Measured time.
    pub elapsed: Duration,
    /// Object bytes moved.
    pub bytes: u64,
    /// Failed requests; none of them is in the latencies.
    pub errors: u64,
    /// Latencies of all requests.
    pub latency: Histogram,
    /// Latencies by request.
    pub by_operation: BTreeMap<&'static str, Histogram>,
    /// The first distinct error messages.
    pub messages: Vec<String>,
    /// When the last request ended, and whether the work was used up before the time.
    last: Option<Instant>,
    exhausted: bool,
}

impl Outcome {
    /// Counts one finished request.
    pub fn add(&mut self, done: &Done) {
        self.bytes += done.bytes;
        self.latency.record(done.latency);
        self.by_operation.entry(done.operation).or_default().record(done.latency);
    }

    /// Counts one failed request.
    pub fn add_failure(&mut self, failure: &Failure) {
        self.errors += 1;
        self.keep_message(failure.to_string());
    }

    /// Adds another worker's or thread's counts; the measured time stays.
    pub fn merge(&mut self, other: Outcome) {
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
        for (operation, histogram) in &other.by_operation {
            self.by_operation.entry(operation).or_default().merge(histogram);
        }
        other.messages.into_iter().for_each(|message| self.keep_message(message));
        self.last = self.last.max(other.last);
        self.exhausted |= other.exhausted;
    }

    fn keep_message(&mut self, message: String) {
        if self.messages.len() < MESSAGES_MAX && !self.messages.contains(&message) {
            self.messages.push(message);
        }
    }

    /// Finished requests a second.
    pub fn operations_per_second(&self) -> f64 {
        self.latency.count() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Millions of object bytes a second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

struct Shared {
    pace: Option<Arc<Pace>>,
    measured_from: Instant,
    end: Instant,
    /// Requests that may still be begun.
    left: AtomicU64,
    operations: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
}

impl Shared {
    /// Takes one of the requests that may still be begun.
    fn begin_one(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// Runs `plan` against `endpoint`; `label` opens the progress lines.
pub fn run(label: &str, plan: &Plan, endpoint: &Endpoint, load: Load) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let measured_from = begun + load.warm_up;
    let pace = load
        .rate
        .map(|rate| Pace::begin(rate, load.warm_up + load.duration, plan.requests().min(load.total), load.connections));
    let shared = Arc::new(Shared {
        pace,
        measured_from,
        end: measured_from + load.duration,
        left: AtomicU64::new(load.total),
        operations: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        errors: AtomicU64::new(0),
    });
    let plan = Arc::new(plan.clone());
    let serial = Arc::new(AtomicU64::new(0));
    let mut seeds = Random::new(run_seed());
    let threads = load.threads.clamp(1, load.connections);
    let (send, finished) = mpsc::channel();
    for thread in 0..threads {
        let share = load.connections / threads + u32::from(thread < load.connections % threads);
        let workers: Vec<Worker> =
            (0..share).map(|_| Worker::new(plan.clone(), endpoint, serial.clone(), seeds.next())).collect();
        let (shared, send) = (shared.clone(), send.clone());
        // A closed channel means that the run was given up.
        std::thread::spawn(move || drop(send.send(drive(&shared, workers))));
    }
    drop(send);
    let mut outcome = Outcome::default();
    let mut progress = Progress { label, begun, operations: 0, bytes: 0 };
    let mut next_line = begun + Duration::from_secs(1);
    loop {
        match finished.recv_timeout(next_line.saturating_duration_since(Instant::now())) {
            Ok(of_thread) => outcome.merge(of_thread?),
            Err(RecvTimeoutError::Timeout) => {
                progress.line(&shared);
                next_line += Duration::from_secs(1);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Some(left) = shared.pace.as_ref().map(|pace| pace.left_over()).filter(|&left| left > 0) {
        outcome.errors += left;
        outcome.keep_message(format!("{left} planned requests were not begun in time"));
    }
    outcome.elapsed = match outcome.last {
        Some(last) if outcome.exhausted => last.duration_since(measured_from),
        _ => load.duration,
    };
    Ok(outcome)
}

struct Progress<'a> {
    label: &'a str,
    begun: Instant,
    operations: u64,
    bytes: u64,
}

impl Progress<'_> {
    fn line(&mut self, shared: &Shared) {
        let operations = shared.operations.load(Ordering::Relaxed);
        let bytes = shared.bytes.load(Ordering::Relaxed);
        let phase = if Instant::now() < shared.measured_from { " (warm-up)" } else { "" };
        eprintln!(
            "{:>4} s  {}{phase}: {} ops/s, {:.1} MB/s, {} errors",
            self.begun.elapsed().as_secs(),
            self.label,
            operations - self.operations,
            (bytes - self.bytes) as f64 / 1e6,
            shared.errors.load(Ordering::Relaxed),
        );
        (self.operations, self.bytes) = (operations, bytes);
    }
}

/// One thread: all its workers to the end of the run.
fn drive(shared: &Arc<Shared>, workers: Vec<Worker>) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start a client thread"))?;
    LocalSet::new().block_on(&runtime, async {
        let mut tasks = JoinSet::new();
        for worker in workers {
            tasks.spawn_local(work(shared.clone(), worker));
        }
        let mut outcome = Outcome::default();
        while let Some(finished) = tasks.join_next().await {
            outcome.merge(finished.expect("workers neither panic nor are aborted"));
        }
        Ok(outcome)
    })
}

async fn work(shared: Arc<Shared>, mut worker: Worker) -> Outcome {
    let mut outcome = Outcome::default();
    while Instant::now() < shared.end {
        let planned = match &shared.pace {
            Some(pace) => match pace.turn().await {
                Some(planned) => Some(planned),
                None => {
                    outcome.exhausted = true;
                    break;
                }
            },
            None if shared.begin_one() => None,
            None => {
                outcome.exhausted = true;
                break;
            }
        };
        let step = match tokio::time::timeout(STEP_LIMIT, worker.step()).await {
            Ok(step) => step,
            Err(_) => Err(Failure::Io { action: "wait for an answer", source: std::io::ErrorKind::TimedOut.into() }),
        };
        let now = Instant::now();
        // A planned request counts by its plan: what an endpoint is late with must not fall out at the end.
        let measured = (shared.measured_from..=shared.end).contains(&planned.unwrap_or(now));
        match step {
            Ok(Step::Exhausted) => {
                outcome.exhausted = true;
                break;
            }
            Ok(Step::Done(mut done)) => {
                if let Some(planned) = planned {
                    done.latency = now.saturating_duration_since(planned);
                }
                shared.operations.fetch_add(1, Ordering::Relaxed);
                shared.bytes.fetch_add(done.bytes, Ordering::Relaxed);
                if measured {
                    outcome.add(&done);
                    outcome.last = Some(now);
                }
            }
            Err(failure) => {
                shared.errors.fetch_add(1, Ordering::Relaxed);
                // Errors of the warm-up count too: an endpoint that fails then is not a working one.
                outcome.add_failure(&failure);
                if matches!(failure, Failure::Io { .. }) {
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        }
    }
    outcome
}

/// Creates the buckets.
pub fn create_buckets(plan: &Plan, endpoint: &Endpoint) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start a client thread"))?;
    let mut worker = Worker::new(Arc::new(plan.clone()), endpoint, Arc::default(), run_seed());
    runtime.block_on(worker.create_buckets())
}

/// Differs from run to run, so that no run stores what an earlier one has stored.
pub fn run_seed() -> u64 {
    let since_epoch = wall_clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    mix(since_epoch.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(40))
}
