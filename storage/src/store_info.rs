//! What a store is: its identity, where it lies, how much room there is.

use std::path::PathBuf;

use crate::error::Result;
use crate::fs::blocking;
use crate::store::Store;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// Its id, in hex: what tells its files from those of another store.
    pub id: String,
    /// The directories over which its bytes are spread.
    pub zones: Vec<ZoneInfo>,
    /// Files of object data.
    pub segments: u64,
    /// Their sizes, in bytes.
    pub segment_bytes: u64,
}

/// A directory that holds object data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneInfo {
    /// Where it is.
    pub directory: PathBuf,
    /// What may still be used of its file system, in bytes.
    pub free_bytes: u64,
    /// The size of its file system, in bytes.
    pub total_bytes: u64,
}

impl Store {
    /// What the store is, and how much room it has. Costs a look at the file system.
    pub async fn info(&self) -> Result<StoreInfo> {
        let inner = self.inner.clone();
        blocking(move || {
            let room = inner.directory.room()?;
            let segments = inner.blobs.segments();
            Ok(StoreInfo {
                id: hex::encode(inner.directory.store_id),
                zones: vec![ZoneInfo {
                    directory: inner.directory.path().to_owned(),
                    free_bytes: room.free_bytes,
                    total_bytes: room.total_bytes,
                }],
                segments: segments.len() as u64,
                segment_bytes: segments.iter().map(|segment| segment.bytes).sum(),
            })
        })
        .await?
    }
}
