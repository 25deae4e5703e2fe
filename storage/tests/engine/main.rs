//! The engine from the outside: its promises against a reference model, under races, and across reopening.

mod analytics;
mod clocks;
#[path = "../shared/entropy.rs"]
mod entropy;
mod model;
mod preview;
mod quota;
mod races;
mod reopen;
mod room;
#[path = "../shared/sound.rs"]
mod sound;
mod support;
mod usage;
