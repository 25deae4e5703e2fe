//! The store: opened once per data directory, shared by everything that serves from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::bucket::{Bucket, BucketChange, BucketPage, BucketQuery, NewBucket};
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::error::Result;
use crate::name::BucketName;
use crate::stage::{Stage, StageOptions, Staged};

/// How to open a store. Every field has a sensible default.
#[derive(Clone)]
pub struct OpenOptions {
    /// The data directory; made if it is missing.
    pub directory: PathBuf,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// The size at which a segment is sealed, in bytes. Default 1 GiB.
    pub segment_bytes: u64,
    /// RocksDB's block cache, in bytes. Default 128 MiB.
    pub cache_bytes: usize,
    /// How often unreferenced bytes are collected; `None` only when [`Store::collect`] is called. Default 30 s.
    pub collect_every: Option<Duration>,
}

impl OpenOptions {
    /// The defaults, for `directory`.
    pub fn new(directory: impl AsRef<Path>) -> OpenOptions {
        OpenOptions {
            directory: directory.as_ref().to_path_buf(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            segment_bytes: 1 << 30,
            cache_bytes: 128 << 20,
            collect_every: Some(Duration::from_secs(30)),
        }
    }
}

/// What a store says of its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreStatus {
    /// Reads and writes are served.
    Ready,
    /// A sync failed: reads are served, writes are refused until the store is reopened.
    ReadOnly,
}

/// An open store. Clones share it; it closes when the last clone is dropped.
#[derive(Clone)]
pub struct Store {}

impl Store {
    /// Opens the data directory, making it if it is missing.
    ///
    /// `Err(Locked)` if another process has it, `Err(UnknownFormat)` if a newer build wrote it.
    pub async fn open(options: OpenOptions) -> Result<Store> {
        todo!()
    }

    /// Whether writes are served.
    pub fn status(&self) -> StoreStatus {
        todo!()
    }

    /// Waits for work on the way to the disk and releases the data directory. Further calls give `Err(Closed)`.
    pub async fn close(&self) -> Result<()> {
        todo!()
    }

    /// Begins to take in a body.
    pub fn stage(&self, options: StageOptions) -> Stage {
        todo!()
    }

    /// Stages bytes that are in memory, with a CRC64NVME.
    pub async fn stage_bytes(&self, bytes: impl Into<Bytes>) -> Result<Staged> {
        todo!()
    }

    /// Releases the bytes of what was deleted or overwritten, and rewrites segments that are mostly dead. One pass;
    /// returns the number of bytes freed on disk.
    pub async fn collect(&self) -> Result<u64> {
        todo!()
    }

    /// Writes a consistent, openable copy of the store to `directory`, which must not exist yet; segments are hard
    /// links where the file system allows. Serving goes on meanwhile.
    pub async fn checkpoint(&self, directory: &Path) -> Result<()> {
        todo!()
    }

    /// Makes a bucket. `Err(BucketExists)` if there is one of that name.
    pub async fn create_bucket(&self, name: &BucketName, new: NewBucket) -> Result<Arc<Bucket>> {
        todo!()
    }

    /// The bucket of that name, or `Err(NotFound(Bucket))`.
    pub async fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>> {
        todo!()
    }

    /// Changes a bucket. `Err(BucketState)` if its state forbids the change.
    pub async fn change_bucket(&self, name: &BucketName, change: BucketChange) -> Result<()> {
        todo!()
    }

    /// Removes an empty bucket; its open uploads vanish with it. `Err(BucketNotEmpty)` if any version is left.
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        todo!()
    }

    /// Lists buckets by name.
    pub async fn list_buckets(&self, query: BucketQuery) -> Result<BucketPage> {
        todo!()
    }
}
