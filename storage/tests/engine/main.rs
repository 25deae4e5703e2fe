//! The engine from the outside: its promises against a reference model, under races, and across reopening.

mod analytics;
mod model;
mod preview;
mod quota;
mod races;
mod reopen;
mod support;
mod usage;
