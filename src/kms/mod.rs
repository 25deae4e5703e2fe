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

pub use access::{KmsConditions, Usage, authorize};
pub use api::{KmsCall, answer, refusal};
pub use context::EncryptionContext;
pub use error::KmsError;
pub use external::External;
pub use key::{Key, KeyState};
pub use service::KmsService;
pub use store::{DataKeyPair, KeyStore, NewKey};
