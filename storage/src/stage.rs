//! Staging: a body becomes durable bytes that nothing names yet.
//!
//! The order of the steps is what this file is for. The process may die between any two:
//!
//! 1. Write: pieces are hashed and written to segments as they arrive; up to 4 KiB stay in memory.
//! 2. Finish: the last piece is written, the segments reach stable storage, the digests are known.
//! 3. Somebody else commits an index batch that names the bytes (`put`, `multipart`).
//!
//! Dying, failing or dropping a stage before 3 leaves unnamed bytes, which `worker::collect` reclaims with their
//! segment. Nothing on this path deletes.

use bytes::Bytes;

use crate::checksum::{Checksum, ChecksumAlgorithm, Digests};
use crate::error::Result;

/// How a body will arrive.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageOptions {
    /// The exact length in bytes if it is known, which lets large bodies have segments of their own.
    /// Writing more or less than this is the caller's error to report; the stage does not check it.
    pub size: Option<u64>,
    /// The checksums to compute besides MD5.
    pub digests: Digests,
}

/// A body on its way in. Dropping it forgets the bytes.
pub struct Stage {}

impl Stage {
    /// Takes the next bytes of the body, waiting when the disk is behind.
    ///
    /// `Err` means that the disk refused; the stage is of no more use.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        todo!()
    }

    /// Ends the body. `Ok` means that its bytes are on stable storage; nothing names them yet.
    pub async fn finish(self) -> Result<Staged> {
        todo!()
    }
}

/// How to stage a copy of stored bytes.
#[derive(Debug, Clone, Default)]
pub struct CopyStage {
    /// The bytes of the source to take; `None` for all.
    pub range: Option<std::ops::Range<u64>>,
    /// The checksums wanted. Those that the source has for exactly these bytes are taken over; for others the bytes
    /// are read and hashed.
    pub digests: Digests,
}

/// Durable bytes that nothing names yet, with their digests. Dropping it forgets them.
pub struct Staged {}

impl Staged {
    /// The size in bytes.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// The MD5 of the bytes.
    pub fn md5(&self) -> [u8; 16] {
        todo!()
    }

    /// The full-object checksum of that algorithm, if it was asked for.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<&Checksum> {
        todo!()
    }
}
