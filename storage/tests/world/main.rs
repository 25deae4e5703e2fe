//! Random histories of a bucket over years against a reference model of S3: versions, storage classes, lifecycle rules,
//! tiers, restores and uploads, with the engine's workers run as time passes.

mod drawn_rules;
mod findings;
mod histories;
mod model;
mod ops;
mod rules;
mod run;
#[path = "../shared/sound.rs"]
mod sound;
mod support;
mod verify;
mod zones;
