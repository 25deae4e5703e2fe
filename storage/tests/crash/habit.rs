//! What a disk does with what was not synced when the power goes: drawn by a seed.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How one crash treats unsynced changes.
#[derive(Debug, Clone)]
pub struct Habit {
    manner: Manner,
    draws: StdRng,
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Everything had been written: only the process died.
    KeepsAll,
    /// Nothing had.
    DropsAll,
    /// All before this place in the log had been written, and nothing after it.
    KeepsUntil(usize),
    /// Each change, or page, had been written with this chance in a hundred, in whatever order; pages may be torn.
    Mixes(u32),
}

impl Habit {
    /// A disk that keeps all that it was given.
    pub fn keeps_all() -> Habit {
        Habit { manner: Manner::KeepsAll, draws: StdRng::seed_from_u64(0) }
    }

    /// A disk that keeps what was synced and nothing else.
    pub fn drops_all() -> Habit {
        Habit { manner: Manner::DropsAll, draws: StdRng::seed_from_u64(0) }
    }

    /// The habit that belongs to a seed, for a crash at that place in the log.
    pub fn drawn(seed: u64, at: usize) -> Habit {
        let mut draws = StdRng::seed_from_u64(seed);
        let manner = match draws.random_range(0..100) {
            0..10 => Manner::KeepsAll,
            10..30 => Manner::DropsAll,
            30..50 => Manner::KeepsUntil(draws.random_range(at.saturating_sub(200)..=at)),
            50..65 => Manner::Mixes(10),
            65..85 => Manner::Mixes(50),
            _ => Manner::Mixes(90),
        };
        Habit { manner, draws }
    }

    /// Whether a change of names, at that place in the log, had been written.
    pub fn keeps(&mut self, at: usize) -> bool {
        match self.manner {
            Manner::KeepsAll => true,
            Manner::DropsAll => false,
            Manner::KeepsUntil(until) => at < until,
            Manner::Mixes(percent) => self.draws.random_range(0..100) < percent,
        }
    }

    /// How many of the changes of a page, which are in order, had happened when it was written last.
    pub fn reached(&mut self, places: &[usize]) -> usize {
        match self.manner {
            Manner::KeepsAll => places.len(),
            Manner::DropsAll => 0,
            Manner::KeepsUntil(until) => places.iter().take_while(|&&at| at < until).count(),
            Manner::Mixes(percent) if self.draws.random_range(0..100) < percent => {
                // The latest is the likeliest: the others take a disk that was writing the page back just then.
                if self.draws.random_bool(0.7) { places.len() } else { self.draws.random_range(0..=places.len()) }
            }
            Manner::Mixes(_) => 0,
        }
    }

    /// Whether the page was being written when the power went.
    pub fn tears(&mut self) -> bool {
        matches!(self.manner, Manner::Mixes(_)) && self.draws.random_bool(0.2)
    }

    /// Whether this sector of such a page had been.
    pub fn tears_here(&mut self) -> bool {
        self.draws.random_bool(0.5)
    }
}
