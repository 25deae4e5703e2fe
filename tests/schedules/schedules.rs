//! The engine under schedules that are chosen, not met: `make schedules`.
//!
//! The whole store runs on one thread, and at every lock, channel, atomic and row of the index a scheduler decides who
//! goes on. Each race is a test; beside most of them another plants the fault that it is about, which
//! must be found.

mod explore;
mod fixture;

/// A race of the whole engine: a test that it holds, and one for each flaw that it must find.
macro_rules! race {
    ($race:ident $(, $test:ident: $flaw:ident)*) => {
        mod $race {
            #[test]
            fn holds() {
                crate::explore::holds(stringify!($race), crate::RACE_SCHEDULES, super::$race());
            }
            $(#[test]
            fn $test() {
                let flaw = strata_storage::schedules::Flaw::$flaw;
                crate::explore::finds(stringify!($race), flaw, crate::RACE_SCHEDULES_MAX, super::$race());
            })*
        }
    };
}

/// The same for a part of the engine, of which schedules cost little.
macro_rules! part {
    ($part:ident, $schedules:expr $(, $test:ident: $flaw:ident)*) => {
        mod $part {
            use strata_storage::schedules;

            #[test]
            fn holds() {
                crate::explore::holds(stringify!($part), $schedules, schedules::$part);
            }
            $(#[test]
            fn $test() {
                crate::explore::finds(stringify!($part), schedules::Flaw::$flaw, $schedules, schedules::$part);
            })*
        }
    };
}

/// Schedules of a race of the whole engine, and the most that a planted flaw may take.
const RACE_SCHEDULES: usize = 100;
const RACE_SCHEDULES_MAX: usize = 1000;

mod parts {
    part!(pins, 2000, finds_pins_that_keep_nothing: PinsKeepNothing, finds_claims_that_end_silently: ClaimsEndSilently);
    part!(stripes, 2000, finds_keys_without_locks: KeysUnlocked, finds_uploads_without_locks: UploadsUnlocked);
    part!(epochs, 2000, finds_epochs_that_pass: EpochsPass);
    part!(lanes, 500, finds_pieces_taken_early: PiecesTakenEarly);
    part!(commit, 300, finds_guards_that_leave_early: GuardsLeaveEarly, finds_refusals_untold: RefusalsUntold);
}
mod races;
mod residence;
