//! What runs by itself: the collector, which gives space back, and the checkpoint, which it must not disturb.

mod checkpoint;
mod collect;
mod release;
mod segments;

pub(crate) use checkpoint::checkpoint;
pub(crate) use collect::{Collector, collect, spawn};
