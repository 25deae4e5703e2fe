//! Storage classes from the outside: objects come to where their class wants them, restores bring them back, and
//! nothing is lost or left over on the way.

mod audit;
#[path = "../shared/entropy.rs"]
mod entropy;
mod lost;
mod restore;
mod settle;
#[path = "../shared/sound.rs"]
mod sound;
mod support;
