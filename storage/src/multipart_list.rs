//! ListParts and ListMultipartUploads: pages over part and upload rows.

use crate::error::Result;
use crate::multipart::{PartInfo, UploadInfo};
use crate::name::{BucketName, ObjectKey};
use crate::stamp::UploadId;
use crate::store::Store;

/// One page of parts, ascending by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsPage {
    /// The upload.
    pub upload: UploadInfo,
    /// The parts.
    pub parts: Vec<PartInfo>,
    /// Whether there are more.
    pub truncated: bool,
}

/// Which uploads to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadsQuery {
    /// Only keys with this prefix.
    pub prefix: String,
    /// Groups keys as in ListObjects. Empty means none.
    pub delimiter: String,
    /// Only keys after this one, or, with `upload_marker`, also later uploads of this key.
    pub key_marker: String,
    /// Counts only together with `key_marker`.
    pub upload_marker: Option<UploadId>,
    /// At most this many uploads and common prefixes, up to 1,000.
    pub max: usize,
}

/// One open upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEntry {
    /// Its key.
    pub key: ObjectKey,
    /// What is known of it.
    pub upload: UploadInfo,
}

/// One page: keys ascending, within a key by initiation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadsPage {
    /// The uploads.
    pub uploads: Vec<UploadEntry>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// Whether there is more.
    pub truncated: bool,
    /// The key and upload of the last entry, or a common prefix without an upload, also when not truncated; `None`
    /// if the page is empty.
    pub next: Option<(String, Option<UploadId>)>,
}

impl Store {
    /// Lists the parts of an open upload with numbers above `after`, at most `max`.
    pub async fn list_parts(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: UploadId,
        after: u16,
        max: usize,
    ) -> Result<PartsPage> {
        todo!()
    }

    /// Lists open uploads. The cost is that of the page.
    pub async fn list_uploads(&self, bucket: &BucketName, query: UploadsQuery) -> Result<UploadsPage> {
        todo!()
    }
}
