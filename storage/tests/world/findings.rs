//! Histories in which engine and model once differed, as short as they could be made.

use strata_storage::{
    Expiration, Filter, FilterForm, Lifecycle, NoncurrentExpiration, NoncurrentTransition, Rule, Status, StorageClass,
    Timestamp, TransitionMinimum, Versioning, When,
};

use crate::histories::{Setting, check, check_in};
use crate::locked::Locking;
use crate::ops::{Content, Op};
use crate::replicas::Arrival;

/// A rule for all objects that does nothing yet.
fn rule() -> Rule {
    Rule {
        id: "rule".into(),
        status: Status::Enabled,
        filter: Filter { prefix: None, tags: Vec::new(), size_over: None, size_under: None, form: FilterForm::Empty },
        transitions: Vec::new(),
        expiration: None,
        noncurrent_transitions: Vec::new(),
        noncurrent_expiration: None,
        abort_days: None,
    }
}

fn only(rule: Rule) -> Op {
    Op::SetLifecycle(Some(Lifecycle { rules: vec![rule], minimum: TransitionMinimum::AllStorageClasses128K }))
}

/// The workers had not run since the version before, and the timer of the version that came was due at once: it took the
/// place of the row that says that older versions are concerned.
#[test]
fn versions_that_wait_for_newer_ones_move_when_one_is_put_in_that_is_due_itself() {
    let small = || put(Content::Noise(1_000, 0), StorageClass::Standard);
    let expiration = Some(Expiration::When(When::Date(Timestamp::from_secs(1_699_920_000))));
    let noncurrent = NoncurrentTransition { days: 2, class: StorageClass::Glacier, newer: Some(2) };
    let lifecycle = Lifecycle {
        rules: vec![Rule { expiration, noncurrent_transitions: vec![noncurrent], ..rule() }],
        minimum: TransitionMinimum::VariesByStorageClass,
    };
    let arrival = Arrival::Version { key: 0, content: Some(Content::Noise(1_000, 0)), minutes: 2, null: false };
    check(
        1,
        &[
            Op::SetVersioning(Versioning::Enabled),
            small(),
            Op::Days(11),
            Op::SetLifecycle(Some(lifecycle)),
            Op::Days(3),
            small(),
            Op::Arrive(arrival),
        ],
    );
}

fn put(content: Content, class: StorageClass) -> Op {
    Op::Put { key: 0, content, class, tags: Vec::new() }
}

/// The oldest version waited without a timer for a newer noncurrent one, and two came before the workers ran.
#[test]
fn versions_that_wait_for_newer_ones_expire_when_several_come_at_once() {
    let small = || put(Content::Noise(1_000, 0), StorageClass::Standard);
    let noncurrent_expiration = Some(NoncurrentExpiration { days: 1, newer: Some(1) });
    check(
        1,
        &[
            Op::SetVersioning(Versioning::Enabled),
            small(),
            only(Rule { noncurrent_expiration, ..rule() }),
            small(),
            Op::Days(1),
            small(),
            small(),
            Op::Days(1),
        ],
    );
}

/// The rules made it due at once, as did the access: what had to be done after the marker was due at the same moment, and
/// the row that was dealt with was the one that says so.
#[test]
fn a_version_that_expires_in_the_moment_of_its_way_up_keeps_its_timer() {
    let setting = Setting { zones: 1, locked: true };
    let expiration = Some(Expiration::When(When::Days(1)));
    check_in(
        setting,
        &[
            put(Content::Text(133_000), StorageClass::IntelligentTiering),
            Op::Days(83),
            Op::Read { place: 0, part: false },
            only(Rule { expiration, ..rule() }),
        ],
    );
}

/// The end of a hold asked for a look of its own, which came after the one that covered the version, and took the move that
/// was due at the same midnight for overdue.
#[test]
fn a_version_takes_one_action_a_day_however_often_it_is_looked_at() {
    let noncurrent = NoncurrentTransition { days: 0, class: StorageClass::Glacier, newer: None };
    let filter = Filter { size_under: Some(131_072), form: FilterForm::Single, ..rule().filter };
    let expiration = Some(Expiration::When(When::Date(Timestamp::from_secs(1_699_920_000))));
    check_in(
        Setting { zones: 1, locked: true },
        &[
            only(Rule { filter, expiration, noncurrent_transitions: vec![noncurrent], ..rule() }),
            Op::Hours(1),
            put(Content::Noise(1_000, 0), StorageClass::Standard),
            Op::Lock(Locking::Hold { key: 0, place: 0, on: false }),
            Op::Hours(20),
        ],
    );
}
