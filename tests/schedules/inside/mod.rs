//! The parts of the engine that threads meet at, each by itself, as cases for schedules. They are built into the engine, whose own they are.

mod commit;
mod epochs;
mod lanes;
mod pins;
mod stripes;

pub use commit::commit;
pub use epochs::epochs;
pub use lanes::lanes;
pub use pins::pins;
pub use stripes::stripes;

pub use crate::sync::{Flaw, plant};
