//! Keys for SSE-KMS: a store of keys within this server that answers AWS KMS's API, or another service that does.
//!
//! Whoever has the data directory but not the master key has none of these keys: what is kept of them is sealed.

mod access;
mod api;
mod context;
mod envelope;
mod error;
mod external;
mod key;
mod service;
mod store;

#[cfg(test)]
mod tests;

pub use access::{KmsConditions, Usage};
pub use api::{KmsCall, answer};
pub use context::EncryptionContext;
pub use error::KmsError;
pub use external::External;
pub use service::KmsService;
pub use store::KeyStore;
