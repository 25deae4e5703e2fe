//! Read path: a version is found in a snapshot of the index, and its bytes come verified, piece by piece.

use std::ops::Range;

use bytes::Bytes;

use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ObjectInfo, ObjectPart, VersionSelector};
use crate::store::Store;

/// An object version opened for reading. As long as it or a reader made from it lives, its bytes stay, even when the
/// version is overwritten or deleted meanwhile.
pub struct OpenObject {}

impl OpenObject {
    /// What is known about the version.
    pub fn info(&self) -> &ObjectInfo {
        todo!()
    }

    /// The part at `position` (1 to n, counted in the finished object). For an object written at once, position 1 is
    /// the whole object. `None` if there are fewer.
    pub async fn part(&self, position: u16) -> Result<Option<ObjectPart>> {
        todo!()
    }

    /// The parts with numbers above `after`, at most `max`, and whether there are more. Empty for an object written
    /// at once.
    pub async fn parts(&self, after: u16, max: usize) -> Result<(Vec<ObjectPart>, bool)> {
        todo!()
    }

    /// Reads a range of bytes. The range must lie within the object.
    pub fn read(&self, range: Range<u64>) -> ObjectReader {
        todo!()
    }
}

/// A verified stream of an object's bytes.
pub struct ObjectReader {}

impl ObjectReader {
    /// The next bytes, or `None` at the end. Bytes are handed out only after their hash was checked.
    ///
    /// `Err(Corrupt)` means that stored bytes do not match their hash.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        todo!()
    }

    /// All bytes that are left. For small objects: the caller bounds the memory.
    pub async fn collect(mut self) -> Result<Bytes> {
        let mut all = bytes::BytesMut::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }
}

impl Store {
    /// Opens a version of a key.
    ///
    /// `Err(NotFound(Bucket | Key | Version))` as it says; `Err(DeleteMarker)` if the version found is a marker.
    pub async fn object(&self, bucket: &BucketName, key: &ObjectKey, version: VersionSelector) -> Result<OpenObject> {
        todo!()
    }
}
