//! Histories in which engine and model once differed, as short as they could be made.

use strata_storage::{
    Filter, FilterForm, Lifecycle, NoncurrentExpiration, Rule, Status, StorageClass, TransitionMinimum, Versioning,
};

use crate::histories::check;
use crate::ops::{Content, Op};

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
