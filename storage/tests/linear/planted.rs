//! Stores with a flaw: each is found out, which shows that a store without any would not pass by chance.

use std::time::{Duration, Instant};

use crate::rounds::chapter;
use crate::runs::begin;
use crate::target::Flaw;

/// They are found out in seconds, mostly in the first rounds; this is for machines that have other things to do.
const FOUND_WITHIN: Duration = Duration::from_secs(300);

fn check(flaw: Flaw) {
    let (mut seed, begun) = (begin().seed, Instant::now());
    while begun.elapsed() < FOUND_WITHIN {
        if let Err(fault) = chapter(seed, flaw, begun + FOUND_WITHIN) {
            return println!("{flaw:?} was found out after {:?}: {fault}", begun.elapsed());
        }
        seed = seed.wrapping_add(1);
    }
    panic!("{flaw:?} was not found out");
}

#[test]
fn a_put_that_checks_its_condition_first_is_found_out() {
    check(Flaw::PutChecksFirst);
}

#[test]
fn a_complete_that_checks_its_condition_first_is_found_out() {
    check(Flaw::CompleteChecksFirst);
}

#[test]
fn a_delete_that_checks_its_condition_first_is_found_out() {
    check(Flaw::DeleteChecksFirst);
}

#[test]
fn reads_of_what_was_are_found_out() {
    check(Flaw::ReadsStale);
}

#[test]
fn overwriting_that_removes_first_is_found_out() {
    check(Flaw::RemovesFirst);
}

#[test]
fn writes_that_are_acknowledged_too_early_are_found_out() {
    check(Flaw::AnswersEarly);
}
