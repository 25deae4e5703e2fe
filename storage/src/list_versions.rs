//! ListObjectVersions: keys ascending, newest version first, markers among them.

use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ChecksumSummary, ETag, StorageClass};
use crate::stamp::{Timestamp, VersionId};
use crate::store::Store;

/// Which versions to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionsQuery {
    /// Only keys with this prefix.
    pub prefix: String,
    /// Groups keys as in ListObjects. Empty means none.
    pub delimiter: String,
    /// Start after all versions of this key, or after a common prefix equal to it. Empty means the beginning.
    pub key_marker: String,
    /// With `key_marker`: start after this version within that key; an id that the key does not have orders by its
    /// own time; `Null` without a null version goes on after the whole key.
    pub version_marker: Option<VersionId>,
    /// At most this many versions, markers and common prefixes, up to 1,000.
    pub max: usize,
}

/// One version or delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionEntry {
    /// Its key.
    pub key: ObjectKey,
    /// Its id.
    pub version_id: VersionId,
    /// Whether it is the newest of its key.
    pub latest: bool,
    /// `Last-Modified`
    pub modified: Timestamp,
    /// What an object has and a delete marker lacks.
    pub object: Option<VersionObject>,
}

/// The part of a version entry that delete markers lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionObject {
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// Storage class.
    pub class: StorageClass,
    /// Its checksum's algorithm and kind.
    pub checksum: Option<ChecksumSummary>,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionsPage {
    /// Versions and markers in list order.
    pub entries: Vec<VersionEntry>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// If there is more: the key and version of the last entry, or a common prefix without a version.
    pub next: Option<(String, Option<VersionId>)>,
}

impl Store {
    /// Lists versions and delete markers. The cost is that of the page.
    pub async fn list_versions(&self, bucket: &BucketName, query: VersionsQuery) -> Result<VersionsPage> {
        todo!()
    }
}
