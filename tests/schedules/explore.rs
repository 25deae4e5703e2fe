//! Runs a case under many schedules, and says how many; plants flaws, and wants them found.
//!
//! Half of the schedules are drawn at random at every step, half by priorities that change now and then (PCT), which is
//! the better way to what takes few changes at the right places. They are the same ones every time, so that only a change
//! can make a case fail, but for STRATA_SCHEDULES_SECONDS, which has it go on for so long, with new ones, as many as that
//! takes. STRATA_SCHEDULES_SEED repeats such a run.

use std::cell::Cell;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use strata_storage::schedules::{Flaw, plant};

/// The seed of runs that are not asked to go on.
const SEED: u64 = 1;
/// The stack of a task, in bytes: calls of RocksDB are made on it.
const STACK_BYTES: usize = 1 << 20;
/// A schedule of so many steps goes round in circles.
const STEPS_MAX: usize = 200_000;
/// How often priorities change in a schedule, and one more.
const PCT_DEPTH: usize = 4;

/// No schedule of the case fails.
pub fn holds(name: &str, schedules: usize, case: impl Fn() + Clone + Send + Sync + 'static) {
    let (seed, began, seconds) = (seed(), Instant::now(), number("STRATA_SCHEDULES_SECONDS"));
    say(&format!("{name}: from seed {seed}"));
    let time = seconds.map(|seconds| Duration::from_secs(seconds.div_ceil(2)));
    let run = explore(seed, time.map_or(schedules, |_| usize::MAX), time, case);
    say(&format!("{name}: {run} schedules in {:.1} s", began.elapsed().as_secs_f64()));
}

/// With the flaw some schedule of the case fails.
pub fn finds(name: &str, flaw: Flaw, schedules: usize, case: impl Fn() + Clone + Send + Sync + 'static) {
    let (seed, began, begun) = (seed(), Instant::now(), Arc::new(AtomicUsize::new(0)));
    let counted = {
        let begun = Arc::clone(&begun);
        move || {
            begun.fetch_add(1, Ordering::SeqCst);
            case();
        }
    };
    plant(Some(flaw));
    let outcome = catch_unwind(AssertUnwindSafe(|| explore(seed, schedules, None, counted)));
    plant(None);
    let (begun, seconds) = (begun.load(Ordering::SeqCst), began.elapsed().as_secs_f64());
    assert!(outcome.is_err(), "{name}: {flaw:?} was not found in {begun} schedules from seed {seed}");
    say(&format!("{name}: {flaw:?} was found by schedule {begun} in {seconds:.1} s, seed {seed}"));
}

/// Runs something once, as the scheduler happens to.
pub fn once(deeds: impl Fn() + Send + Sync + 'static) {
    run(RandomScheduler::new_from_seed(1, 1), None, deeds);
}

/// Returns how many schedules were run.
fn explore(
    seed: u64,
    schedules: usize,
    time: Option<Duration>,
    case: impl Fn() + Clone + Send + Sync + 'static,
) -> usize {
    run(PctScheduler::new_from_seed(seed, PCT_DEPTH, schedules / 2), time, case.clone())
        + run(RandomScheduler::new_from_seed(seed, schedules - schedules / 2), time, case)
}

fn run(scheduler: impl Scheduler + 'static, time: Option<Duration>, case: impl Fn() + Send + Sync + 'static) -> usize {
    let ticks = std::env::var("SHUTTLE_INTERVAL_TICKS");
    assert_eq!(ticks.as_deref(), Ok("0"), "run it within tests/schedules, whose .cargo/config.toml says so");
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_time = time;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    Runner::new(Focused(scheduler), config).run(case)
}

thread_local! {
    static FOCUS: Cell<bool> = const { Cell::new(true) };
}

/// Says whether schedules are about what comes now, as they are at first. What they are not about goes on in turns, so that
/// no change of priorities is wasted on it.
pub fn focus(on: bool) {
    FOCUS.set(on);
}

/// A scheduler that decides where the focus is.
struct Focused<S>(S);

impl<S: Scheduler> Scheduler for Focused<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        focus(true);
        self.0.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        if FOCUS.get() {
            return self.0.next_task(runnable, current, is_yielding);
        }
        let tasks = || runnable.iter().map(|task| task.id());
        let goes_on = tasks().find(|&task| Some(task) == current && !is_yielding);
        let number = |task: TaskId| usize::from(task);
        let after = |task: &TaskId| current.is_none_or(|current| number(*task) > number(current));
        goes_on
            .or_else(|| tasks().filter(after).min_by_key(|&task| number(task)))
            .or_else(|| tasks().min_by_key(|&task| number(task)))
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

fn seed() -> u64 {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(SEED, |since| since.as_nanos() as u64);
    let fresh = || number("STRATA_SCHEDULES_SECONDS").map_or(SEED, |_| drawn());
    number("STRATA_SCHEDULES_SEED").unwrap_or_else(fresh)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Past the test harness, which keeps what is printed to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
