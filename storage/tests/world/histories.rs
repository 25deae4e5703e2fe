//! The test itself: draws histories, and shrinks those in which engine and model differ.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::model::Seen;
use crate::ops::{Op, ops, ops_with_locks, ops_with_zones};
use crate::run::Run;

/// The most steps of a history.
const STEPS_MAX: usize = 50;
/// The seed of runs that are not asked to go on.
const SEED: u64 = 1;

/// Where a history takes place.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub zones: usize,
    /// Whether the bucket has Object Lock.
    pub locked: bool,
}

/// Has engine and model live through a history in a plain bucket.
pub fn check(zones: usize, history: &[Op]) -> Seen {
    check_in(Setting { zones, locked: false }, history)
}

/// Has engine and model live through a history; returns what time did to it.
pub fn check_in(setting: Setting, history: &[Op]) -> Seen {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut run = Run::new(setting).await;
        for op in history {
            run = run.step(op).await;
        }
        run.end().await
    })
}

/// The number that the variable holds, if it does.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Checks random histories, and prints what time did in all of them.
///
/// The histories are the same every time, so that only a change can make them fail. `STRATA_WORLD_MINUTES` goes on for so long with
/// new ones, which `STRATA_WORLD_SEED` repeats: a run prints its seeds.
fn check_random(cases: u32, settings: impl Strategy<Value = Setting>, steps: impl Strategy<Value = Op>) {
    let minutes = number("STRATA_WORLD_MINUTES");
    let fresh = || minutes.map_or(SEED, |_| RandomState::new().hash_one(()) >> 1);
    let mut seed = number("STRATA_WORLD_SEED").unwrap_or_else(fresh);
    let lasts = Duration::from_secs(minutes.unwrap_or(0) * 60);
    let (begun, drawn) = (Instant::now(), (settings, vec(steps, 1..=STEPS_MAX)));
    loop {
        check_seed(seed, cases, &drawn);
        if begun.elapsed() >= lasts {
            return;
        }
        seed = seed.wrapping_add(1);
    }
}

fn check_seed(seed: u64, cases: u32, drawn: &impl Strategy<Value = (Setting, Vec<Op>)>) {
    println!("STRATA_WORLD_SEED={seed}");
    let config = Config {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let seen = RefCell::new(Seen::new());
    let outcome = TestRunner::new(config).run(drawn, |(setting, history)| {
        for (what, times) in check_in(setting, &history) {
            *seen.borrow_mut().entry(what).or_default() += times;
        }
        Ok(())
    });
    println!("{:#?}", seen.borrow());
    if let Err(failure) = outcome {
        panic!("STRATA_WORLD_SEED={seed}: {failure}");
    }
}

#[test]
fn random_histories_match_the_model() {
    check_random(100, Just(Setting { zones: 1, locked: false }), ops());
}

#[test]
fn random_histories_of_a_bucket_with_locks_match_the_model() {
    check_random(60, Just(Setting { zones: 1, locked: true }), ops_with_locks());
}

#[test]
fn random_histories_with_zones_that_go_and_come_match_the_model() {
    let settings = (2..=4_usize).prop_map(|zones| Setting { zones, locked: false });
    check_random(50, settings, ops_with_zones());
}
