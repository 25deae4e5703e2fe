//! Strata's front end: S3 over HTTP on top of `strata-storage`.
//!
//! A request's path: `server` accepts it, `service` gives it an id and a time limit, `address` and `route` name its
//! operation, `auth` says who asks, `op` runs it against the engine, `error` turns failures into S3's answers.
//! The front end touches no file of the store and no index.

// Settings and start-up.
pub mod config;
pub mod cost;
pub mod credentials;
mod directory;
pub mod log;
pub mod master_key;
pub mod server;

// Who may do what.
pub mod policy;

// What is said of the store itself.
pub mod admin;
mod backup;
pub mod cli;

// One request.
mod abuse;
mod access_log;
mod acl;
mod address;
mod audit;
mod auth;
mod authorize;
mod body;
mod checksum_headers;
mod conditions;
mod control;
mod cors;
mod document_room;
mod encryption;
mod error;
pub mod events;
#[cfg(fuzzing)]
pub mod fuzzing;
mod iam;
mod identity;
mod incoming;
mod kms;
mod lifecycle_headers;
mod lock_headers;
mod metadata_headers;
mod metering;
mod op;
mod origin;
mod outbound;
mod owners;
mod patience;
mod protection_headers;
mod public_access_block;
mod query_api;
mod query_headers;
mod range;
pub mod replication;
mod request;
mod response;
mod route;
mod service;
mod sts;
mod tagging;
mod time;
mod upload_turns;
mod xml;

pub use config::{Config, NewBucketEncryption};
pub use server::{Server, ServerError};
