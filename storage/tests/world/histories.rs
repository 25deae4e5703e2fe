//! The test itself: draws histories, and shrinks those in which engine and model differ.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::model::Seen;
use crate::ops::{Op, ops, ops_with_zones};
use crate::run::Run;

/// The most steps of a history.
const STEPS_MAX: usize = 40;

/// Has engine and model live through a history; returns what time did to it.
pub fn check(zones: usize, history: &[Op]) -> Seen {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut run = Run::new(zones).await;
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

/// Checks random histories over so many zones, and prints what time did in all of them.
///
/// `STRATA_WORLD_CASES` sets the number of histories, for longer runs; `STRATA_WORLD_SEED` repeats the ones of a run,
/// which prints its seed.
fn check_random(cases: u32, zones: impl Strategy<Value = usize>, steps: impl Strategy<Value = Op>) {
    let seed = number("STRATA_WORLD_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("STRATA_WORLD_SEED={seed}");
    let config = Config {
        cases: number("STRATA_WORLD_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(cases),
        max_shrink_iters: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let seen = RefCell::new(Seen::new());
    let outcome = TestRunner::new(config).run(&(zones, vec(steps, 1..=STEPS_MAX)), |(zones, history)| {
        for (what, times) in check(zones, &history) {
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
    check_random(100, Just(1), ops());
}

#[test]
fn random_histories_with_zones_that_go_and_come_match_the_model() {
    check_random(50, 2..=4_usize, ops_with_zones());
}
