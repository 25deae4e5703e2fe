//! Random histories of a bucket over years against a reference model of S3: versions, storage classes, lifecycle rules,
//! tiers, restores and uploads, conditions, quotas, locks, replicas, checkpoints and new keys, with the engine's workers run as
//! time passes. Events and replication rules, analytics, previews and the adding of zones have suites of their own.

mod conditional;
mod drawn_rules;
#[path = "../shared/entropy.rs"]
mod entropy;
mod findings;
mod histories;
mod limits;
mod locked;
mod model;
mod ops;
mod parts;
mod replicas;
mod rules;
mod run;
#[path = "../shared/sound.rs"]
mod sound;
mod support;
mod upkeep;
mod verify;
mod zones;
