//! Linearizability: many tasks do everything to a few keys at once, on a real store, and what each was answered is checked
//! against one order of all calls that explains it.
//!
//! A round is a bucket of its own: `client` does what is drawn and notes each call in the `history` of its key, `search`
//! looks for an order in which `spec`, a key as S3 has it, gives the same answers. Keys are independent, so each history is
//! searched by itself, and a round ends with nobody at work, so none is long. `planted` has wrong stores found out.

mod client;
mod history;
mod judged;
mod known;
mod machine;
mod mix;
mod pages;
mod planted;
mod rounds;
mod runs;
mod search;
#[path = "../shared/sound.rs"]
mod sound;
mod spec;
mod target;
