//! A full disk: from one call on every write fails for want of room, and then there is room again.
//!
//! Meanwhile the store reads what it has, and refuses. Afterwards it takes writes by itself, without being opened anew,
//! unless it was the log that could not be written. A crash at any point of it loses nothing and leaves nothing half done.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use strata_storage::{Error, ManualClock, NewBucket, StorageClass, Store};

use crate::disk::Disk;
use crate::faults::{Belief, delete, look, put};
use crate::habit::Habit;
use crate::image::Image;
use crate::machine::{Machine, START, bucket, content, copy_in, runtime};
use crate::recorder::{Failure, Plan, Recording, record};
use crate::runs;
use crate::shown::Fault;

/// RocksDB looks for room every 5 s.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);
const LOOKS_EVERY: Duration = Duration::from_millis(20);
/// Crash states of one history.
const STATES: usize = 16;

/// An attempt, with the length of the log before and after it, and what was to be believed then.
struct Step {
    begun: usize,
    done: usize,
    after: Belief,
}

struct Teller<'a> {
    store: Store,
    recording: &'a Recording,
    steps: Vec<Step>,
    belief: Belief,
}

impl Teller<'_> {
    async fn put(&mut self, name: &'static str, seed: u64, bytes: usize) -> Result<(), String> {
        let (begun, bytes) = (self.recording.at(), content(seed, bytes));
        let outcome = put(&self.store, name, bytes.clone(), StorageClass::Standard).await;
        self.note(begun, name, Some(bytes), outcome)
    }

    async fn delete(&mut self, name: &'static str) -> Result<(), String> {
        let begun = self.recording.at();
        let outcome = delete(&self.store, name).await;
        self.note(begun, name, None, outcome)
    }

    fn note(
        &mut self,
        begun: usize,
        name: &'static str,
        attempted: Option<Vec<u8>>,
        outcome: Result<(), Error>,
    ) -> Result<(), String> {
        let told = outcome.as_ref().copied().map_err(ToString::to_string);
        self.belief.note(name, attempted, outcome);
        self.steps.push(Step { begun, done: self.recording.at(), after: self.belief.clone() });
        told
    }
}

/// When the disk is full.
#[derive(Debug, Clone, Copy)]
struct Full {
    /// From this call on.
    call: u64,
    /// Whether RocksDB writes out what memory holds first.
    writes_out: bool,
}

/// Fills the disk, and makes room again. Returns the steps, and whether the store had to be opened anew.
async fn history(machine: Machine, root: &Path, full: Full, recording: &Recording) -> Result<(Vec<Step>, bool), Fault> {
    let clock = Arc::new(ManualClock::new(START));
    let failed = |what: &str, error: String| format!("{what}: {error}");
    let store = machine.open(root, &clock, 0).await.map_err(|error| failed("open", error.to_string()))?;
    let made = store.create_bucket(&bucket(), NewBucket::default()).await;
    made.map_err(|error| failed("create bucket", error.to_string()))?;
    let mut teller = Teller { store, recording, steps: Vec::new(), belief: Belief::default() };
    for (name, seed, bytes) in [("small", 1, 100), ("medium", 2, 70_000), ("gone", 3, 200)] {
        teller.put(name, seed, bytes).await.map_err(|error| failed(name, error))?;
    }
    recording.plan(Plan { call: full.call, failure: Failure::Full, for_good: true });
    if full.writes_out {
        // It begins with that, and fails.
        let _ = teller.store.checkpoint(&copy_in(root)).await;
    }
    // Enough to reach the call; what fails is noted.
    for round in 0..3 {
        let _ = teller.put("small", 10 + round, 100).await;
        let _ = teller.put("new", 20 + round, 300).await;
        let _ = teller.put("medium", 30 + round, 60_000).await;
        let _ = teller.delete("gone").await;
        teller.belief.check(&teller.store, true).await.map_err(|fault| failed("while it is full", fault))?;
    }
    let refused = teller.put("new", 50, 10).await;
    if refused.is_ok() {
        return Err("a full disk takes writes".to_owned());
    }
    recording.repair();
    let deadline = Instant::now() + RECOVERS_WITHIN;
    let is_poisoned = loop {
        match teller.put("new", 51, 10).await {
            Ok(()) => break false,
            Err(error) if error == Error::Poisoned.to_string() => break true,
            Err(error) if Instant::now() >= deadline => return Err(failed("it does not recover", error)),
            Err(_) => tokio::time::sleep(LOOKS_EVERY).await,
        }
    };
    if is_poisoned {
        let Teller { store, .. } = teller;
        drop(store);
        let reopened = machine.open(root, &clock, 1).await;
        teller = Teller { store: reopened.map_err(|error| failed("open again", error.to_string()))?, ..teller };
    }
    for (name, seed, bytes) in [("small", 60, 120), ("medium", 61, 90_000)] {
        teller.put(name, seed, bytes).await.map_err(|error| failed(name, error))?;
    }
    teller.delete("gone").await.map_err(|error| failed("delete", error))?;
    teller.store.collect().await.map_err(|error| failed("collect", error.to_string()))?;
    teller.belief.check(&teller.store, true).await?;
    Ok((teller.steps, is_poisoned))
}

/// What may be there after a crash at that place in the log.
fn believed(steps: &[Step], at: usize) -> Belief {
    let done = steps.iter().rfind(|step| step.done <= at).map(|step| step.after.clone()).unwrap_or_default();
    let under_way = steps.iter().find(|step| step.begun < at && at < step.done);
    under_way.map_or(done.clone(), |step| done.or(&step.after))
}

/// Returns whether the store had to be opened anew.
fn check(machine: Machine, full: Full, seed: u64) -> Result<bool, Fault> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (steps, is_poisoned, log) = {
        let recording = record(directory.path(), &Image::default(), None);
        let (steps, is_poisoned) = runtime().block_on(history(machine, directory.path(), full, &recording))?;
        (steps, is_poisoned, recording.log())
    };
    let mut draws = StdRng::seed_from_u64(seed);
    let first = steps[2].done;
    let mut points: Vec<usize> = (0..STATES).map(|_| draws.random_range(first..=log.len())).collect();
    points.sort_unstable();
    let (mut disk, mut replayed) = (Disk::of(&Image::default()), 0);
    for at in points {
        log[replayed..at].iter().for_each(|entry| disk.apply(entry));
        replayed = at;
        let habit = Habit::drawn(draws.random::<u64>(), at);
        let image = disk.crash(&mut habit.clone());
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        image.write(directory.path());
        look(machine, directory.path(), &believed(&steps, at), 100)
            .map_err(|fault| format!("after a crash at {at} of {} with {habit:?}: {fault}", log.len()))?;
    }
    Ok(is_poisoned)
}

#[test]
fn writes_come_back_when_there_is_room_again() {
    let run = runs::begin();
    let machines = [Machine { zones: 1, sealed: true }, Machine { zones: 3, sealed: false }];
    let mut draws = StdRng::seed_from_u64(run.seed);
    // The first call is the log's write, the second its sync: after these only opening anew helps. What others meet is
    // drawn; with a checkpoint before, RocksDB may meet it while it writes a table.
    let mut cases = vec![(0, 1, false, Some(true)), (0, 2, false, Some(true))];
    let more = run.minutes.map_or(2, |minutes| usize::try_from(minutes).unwrap_or(usize::MAX).saturating_mul(4));
    cases
        .extend((0..more).map(|_| (draws.random_range(0..2), draws.random_range(3..40), draws.random_bool(0.5), None)));
    for (machine, call, writes_out, poisons) in cases {
        let full = Full { call, writes_out };
        match check(machines[machine], full, run.seed) {
            Ok(poisoned) => assert!(poisons.is_none_or(|poisons| poisons == poisoned), "{full:?}: {poisoned}"),
            Err(fault) => panic!("STRATA_CRASH_SEED={} {:?} {full:?}: {fault}", run.seed, machines[machine]),
        }
    }
}
