//! Server-side encryption as requests ask for it: SSE-S3, SSE-KMS, DSSE-KMS and SSE-C.
//!
//! SSE-S3 is what the engine does with every byte anyway. For the others an object has a data key of its own, with which
//! the engine seals its content; this room finds out who wraps that key, makes it for writes, and brings it for reads.

mod answer;
mod asked;
mod customer;
mod default;
mod keyring;
mod reads;
mod writes;

pub use answer::{set_headers, set_headers_of_write};
pub use customer::Side;
pub use default::DefaultEncryption;
pub use keyring::Keyring;
pub use reads::{check_completion, check_head, part_key, refuse_on_read, unseal};
pub use writes::{Sealing, sealing};
