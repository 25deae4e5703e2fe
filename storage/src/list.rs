//! ListObjects: a scan of visible objects, folded by a pure pager that says where to go next.

use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ChecksumSummary, ETag, StorageClass};
use crate::stamp::Timestamp;
use crate::store::Store;

/// Which keys to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Only keys with this prefix.
    pub prefix: String,
    /// Groups keys that share the text from the prefix to the first delimiter after it. Empty means none.
    pub delimiter: String,
    /// Only keys, and common prefixes, after this text; a common prefix that is equal to it or a prefix of it is
    /// skipped whole.
    pub after: String,
    /// At most this many keys and common prefixes, up to 1,000.
    pub max: usize,
}

/// One visible object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its key.
    pub key: ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// `Last-Modified`
    pub modified: Timestamp,
    /// Storage class.
    pub class: StorageClass,
    /// Its checksum's algorithm and kind.
    pub checksum: Option<ChecksumSummary>,
}

/// One page, in UTF-8 byte order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The objects.
    pub entries: Vec<ListEntry>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// If there is more: the last key or common prefix of this page, to be given as `after`.
    pub next: Option<String>,
}

impl Store {
    /// Lists visible objects. The cost is that of the page, whatever the bucket holds.
    pub async fn list(&self, bucket: &BucketName, query: ListQuery) -> Result<ListPage> {
        todo!()
    }
}
