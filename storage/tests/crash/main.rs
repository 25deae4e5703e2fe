//! Crashes: everything that a store does to files, RocksDB's part too, is recorded call by call; then the power is cut at
//! any point of the record, what was not synced is dropped, torn or reordered, and the store is opened on what is left.

mod deeds;
mod disk;
mod faults;
mod file;
mod findings;
mod full;
mod habit;
mod hooks;
mod image;
mod log;
mod machine;
mod recorder;
mod rot;
mod runs;
mod shown;
#[path = "../shared/sound.rs"]
mod sound;
mod states;
mod story;
mod taken;
