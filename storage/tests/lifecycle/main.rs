//! Lifecycle rules, tiering and re-indexing at work: days pass by moving the clock.

mod clocks;
#[path = "../shared/entropy.rs"]
mod entropy;
mod expiration;
mod noncurrent;
mod object_lock;
mod object_lock_histories;
mod reindex;
#[path = "../shared/sound.rs"]
mod sound;
mod support;
mod tiering;
mod transition;
mod uploads;
