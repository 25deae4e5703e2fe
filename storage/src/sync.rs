//! What threads and tasks meet at: std's primitives, or those of a scheduler that decides at each of them who goes on.
//!
//! `tests/schedules` builds this crate with `cfg(shuttle)`, and with shuttle's tokio in place of tokio. Then every lock,
//! atomic, channel and thread that comes from here or from tokio is such a place, and so is every [`step`]. What is locked
//! only for a moment, without a step within, may be std's own: nobody can meet there.

#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::thread;

#[cfg(not(shuttle))]
pub(crate) use std::hash::RandomState;

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock, atomic};
#[cfg(shuttle)]
pub(crate) use shuttle::thread;
/// The same in every run, so that a schedule can be repeated.
#[cfg(shuttle)]
pub(crate) type RandomState = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// For those who are told of changes, outside the engine; tokio's own, whoever schedules.
#[cfg(not(shuttle))]
pub use tokio::sync::{broadcast, watch};
#[cfg(shuttle)]
pub use unscheduled_tokio::sync::{broadcast, watch};

/// Faults that a test plants, to see that it would find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Pins keep nothing.
    PinsKeepNothing,
    /// Whoever waits for the end of a collection is not told.
    ClaimsEndSilently,
    /// The locks of keys exclude nobody.
    KeysUnlocked,
    /// The locks of uploads exclude nobody.
    UploadsUnlocked,
    /// Epochs pass while their readers and writers are there, and what they hold counts for nothing.
    EpochsPass,
    /// Guards are released before their batch is durable.
    GuardsLeaveEarly,
    /// A batch that is refused is told of as if it were written.
    RefusalsUntold,
    /// Blobs are repointed wherever they are by now.
    MovesUnlooked,
    /// What a body has gathered is taken before there is room for it.
    PiecesTakenEarly,
}

#[cfg(not(shuttle))]
mod ways {
    use super::Flaw;

    /// A read or write of what is shared and has no lock of its own: rows of the index.
    #[inline(always)]
    pub(crate) fn step() {}

    /// Whether a test has planted a flaw.
    #[inline(always)]
    pub(crate) const fn planted(_: Flaw) -> bool {
        false
    }
}

#[cfg(shuttle)]
mod ways {
    use std::cell::Cell;

    use super::{Flaw, atomic::AtomicBool, atomic::Ordering};

    std::thread_local! {
        // All tasks of a schedule run on one thread, which is the test's own.
        static PLANTED: Cell<Option<Flaw>> = const { Cell::new(None) };
    }

    /// A read or write of what is shared and has no lock of its own: rows of the index.
    pub(crate) fn step() {
        // Any operation on an atomic lets the scheduler decide.
        AtomicBool::new(false).load(Ordering::SeqCst);
    }

    /// Whether a test has planted a flaw.
    pub(crate) fn planted(flaw: Flaw) -> bool {
        PLANTED.get() == Some(flaw)
    }

    /// Plants a flaw in whatever the calling thread runs from now on, or none.
    pub fn plant(flaw: Option<Flaw>) {
        PLANTED.set(flaw);
    }
}

#[cfg(shuttle)]
pub use ways::plant;
pub(crate) use ways::{planted, step};
