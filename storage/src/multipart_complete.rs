//! CompleteMultipartUpload: parts become a version, by moving rows; no byte of the object is touched.

use crate::checksum::Checksum;
use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ETag, WriteCondition};
use crate::stamp::{UploadId, VersionId};
use crate::store::Store;

/// A part as the client lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// The part number.
    pub number: u16,
    /// The ETag as sent, quoted or not.
    pub etag: String,
    /// The raw checksum value if one was sent.
    pub checksum: Option<Vec<u8>>,
}

/// A request to complete an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub id: UploadId,
    /// The parts in ascending order of their numbers (the caller checked), at least one.
    pub parts: Vec<CompletedPart>,
    /// The object's size if the client said it.
    pub size: Option<u64>,
    /// The object's checksum if the client said it.
    pub checksum: Option<Checksum>,
    /// What must hold at commit.
    pub condition: WriteCondition,
}

/// The finished object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedUpload {
    /// Its version id; `None` unless the bucket's versioning is enabled.
    pub version_id: Option<VersionId>,
    /// Its entity tag.
    pub etag: ETag,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

impl Store {
    /// Turns an upload's parts into an object. Repeating a call that succeeded gives the same answer for a day, as
    /// long as it names the same parts.
    ///
    /// `Err(InvalidPart | PartTooSmall | SizeMismatch | ChecksumMismatch | TooLarge)`: the request does not fit the
    /// parts; the upload stays open. `Err(NotFound(Upload))`: it is not open. `Err(Precondition | Conflict |
    /// NotFound(Key))`: the condition did not hold, see S3's conditional writes.
    pub async fn complete_upload(&self, request: CompleteUpload) -> Result<CompletedUpload> {
        todo!()
    }
}
