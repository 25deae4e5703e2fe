//! stub, replaced at the merge
use serde::{Deserialize, Serialize};
/// The name of a chunk: the BLAKE3 hash of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct BlobId(pub(crate) [u8; 32]);
/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub(crate) segment: u64,
    pub(crate) generation: u32,
    pub(crate) offset: u64,
    pub(crate) plain_bytes: u32,
    pub(crate) stored_bytes: u32,
}
impl Placement {
    pub(crate) fn record_bytes(&self) -> u64 {
        u64::from(self.stored_bytes)
    }
}
