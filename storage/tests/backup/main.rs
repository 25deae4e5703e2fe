//! Backups and what is made of them: everything comes back, only what is new is sent, nothing that is damaged is taken for
//! sound, and dying anywhere leaves what the next one goes on with.

mod damage;
mod interrupted;
mod keys;
mod lost;
mod places;
mod prune;
mod round_trip;
#[path = "../shared/sound.rs"]
mod sound;
mod support;
