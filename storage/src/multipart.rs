//! Multipart uploads: begun, filled with parts, aborted. Each change is one index batch under the upload's lock.

use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ETag, Metadata, StorageClass, Tag};
use crate::stage::Staged;
use crate::stamp::{Timestamp, UploadId};
use crate::store::Store;

/// How an upload, and the object that it will become, shall be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewUpload {
    /// The storage class.
    pub class: StorageClass,
    /// System and user metadata.
    pub metadata: Metadata,
    /// Tags.
    pub tags: Vec<Tag>,
    /// The checksum named at creation; `None` keeps a full-object CRC64NVME.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// An open upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    /// Its id; the time in it is the initiation.
    pub id: UploadId,
    /// When it was initiated.
    pub initiated: Timestamp,
    /// As given at creation.
    pub new: NewUpload,
}

/// A part that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// 1 to 10,000.
    pub number: u16,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was uploaded.
    pub modified: Timestamp,
    /// The part's checksum: of the upload's algorithm, or the one sent with the part.
    pub checksum: Option<Checksum>,
}

impl Store {
    /// Begins an upload. `Err(NotFound(Bucket))` if the bucket is gone.
    pub async fn create_upload(&self, bucket: &BucketName, key: &ObjectKey, new: NewUpload) -> Result<UploadId> {
        todo!()
    }

    /// What is known of an open upload. `Err(NotFound(Upload))` if it is not open, or belongs to another key.
    pub async fn upload(&self, bucket: &BucketName, key: &ObjectKey, id: UploadId) -> Result<UploadInfo> {
        todo!()
    }

    /// Makes staged bytes a part, replacing an earlier part of that number.
    ///
    /// `staged` must carry the checksum of the upload's algorithm, or CRC64NVME if it has none; `checksum` is the one
    /// to report for the part. `Err(NotFound(Upload))` if the upload ended meanwhile.
    pub async fn put_part(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: UploadId,
        number: u16,
        staged: Staged,
        checksum: Option<Checksum>,
    ) -> Result<PartInfo> {
        todo!()
    }

    /// Ends an upload and forgets its parts. `Err(NotFound(Upload))` if it is not open.
    pub async fn abort_upload(&self, bucket: &BucketName, key: &ObjectKey, id: UploadId) -> Result<()> {
        todo!()
    }
}
