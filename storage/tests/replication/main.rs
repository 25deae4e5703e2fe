//! Replication as the engine sees it: what is queued, what a version's status is, how replicas take their places, and that
//! two buckets that replicate to each other end up the same.

mod convergence;
mod events;
mod known;
mod queues;
mod replicas;
#[path = "../shared/sound.rs"]
mod sound;
mod support;
