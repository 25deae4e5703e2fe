//! Event notifications: what happened to objects, told to those whom the buckets' configurations name.
//!
//! Targets are named by the operator alone, in the settings. A bucket's configuration chooses among them by their ARNs, so
//! its owner cannot have the server talk to anything else.
//!
//! The engine writes an event into the queue of each target that wants it, together with the change. Dispatchers bring it
//! from there to the target.

// What buckets want to be told.
pub mod configuration;
pub mod destinations;
pub mod kinds;

// What they are told.
pub mod envelope;
pub mod message;
pub mod record;

// How it gets there.
pub mod dispatch;
pub mod dispatchers;
pub mod health;
pub mod window;

// What a target is, and which there are.
pub mod arn;
pub mod target;
pub mod targets;

// The targets.
pub mod event_bridge;
pub mod exec;
pub mod lambda;
pub mod sns;
pub mod sqs;
pub mod webhook;

// Message brokers, each behind a feature of its own.
#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "redis")]
pub mod redis;

// What several of them share.
pub mod aws;
mod batch;
#[cfg(any(feature = "amqp", feature = "kafka", feature = "nats", feature = "redis"))]
pub mod broker;
pub mod concurrency;
mod order;
mod program;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use tokio::sync::watch;

use health::Healths;
use targets::Targets;

/// What the server knows of events; cheap to clone.
#[derive(Clone)]
pub struct Events {
    /// Where they may be sent.
    pub targets: Targets,
    /// How the targets are.
    pub healths: Healths,
    /// Says when the server stops: answers that only follow what happens end then.
    pub ending: watch::Receiver<bool>,
}
