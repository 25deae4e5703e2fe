//! Lifecycle rules, tiering and re-indexing at work: days pass by moving the clock.

mod expiration;
mod noncurrent;
mod reindex;
mod support;
mod tiering;
mod transition;
mod uploads;
