//! ListParts and ListMultipartUploads: pages over part and upload rows.

use crate::error::{Entity, Error, Result};
use crate::index::record::{PartRecord, Record as _, UploadRecord};
use crate::index::{Family, Rows, Step, key};
use crate::list::{Next, Pager, Scope, Start, following};
use crate::multipart::{PartInfo, UploadInfo};
use crate::name::{BucketName, ObjectKey};
use crate::stamp::{Stamp, UploadId};
use crate::store::Store;

/// The most parts on one page, which bounds its memory.
const PARTS_MAX: usize = 1000;

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
    /// Only keys after this one, or, with `upload_marker`, also later uploads of this key; a common prefix that is
    /// equal to it or a prefix of it is skipped whole.
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
    ///
    /// `Err(NotFound(Upload))` if it is not open, or belongs to another key.
    pub async fn list_parts(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: UploadId,
        after: u16,
        max: usize,
    ) -> Result<PartsPage> {
        let bucket = self.bucket(bucket).await?.id;
        let upload = key::upload(bucket, key.as_str(), id.0);
        self.inner.index.read(move |rows| parts_page(rows, &upload, id, after, max)).await
    }

    /// Lists open uploads. The cost is that of the page.
    pub async fn list_uploads(&self, bucket: &BucketName, query: UploadsQuery) -> Result<UploadsPage> {
        let bucket = self.bucket(bucket).await?.id;
        self.inner.index.read(move |rows| uploads_page(rows, bucket, &query)).await
    }
}

fn parts_page(rows: &Rows<'_>, upload: &[u8], id: UploadId, after: u16, max: usize) -> Result<PartsPage> {
    let max = max.min(PARTS_MAX);
    let mut parts = Vec::new();
    let mut truncated = false;
    let to = key::after_prefix(id.0.to_bytes().to_vec());
    rows.scan(Family::Part, &following(key::part(id.0, after)), &to, |row, value| {
        if parts.len() == max {
            truncated = max > 0;
            return Ok(Step::Stop);
        }
        let number = key::part_number(row).ok_or_else(|| key::corrupt("part row", row))?;
        parts.push(PartInfo::of(number, PartRecord::decode(value)?));
        Ok(Step::Next)
    })?;
    // The upload is looked up last: if it is still open, the parts seen are those of an open upload.
    let upload: UploadRecord = rows.record(Family::Upload, upload)?.ok_or(Error::NotFound(Entity::Upload))?;
    Ok(PartsPage { upload: UploadInfo::of(id.0, upload), parts, truncated })
}

fn uploads_page(rows: &Rows<'_>, bucket: u64, query: &UploadsQuery) -> Result<UploadsPage> {
    let scope = Scope { prefix: &query.prefix, delimiter: &query.delimiter };
    let mut pager = Pager::new(scope, query.max);
    let mut uploads = Vec::new();
    let start = scope.start(&query.key_marker);
    let from = match (start, query.upload_marker) {
        (Start::After(key), Some(marker)) => following(key::upload(bucket, key, marker.0)),
        _ => start.escaped_row(bucket),
    };
    let to = key::after_prefix(key::escaped_prefix(bucket, &query.prefix));
    rows.scan(Family::Upload, &from, &to, |row, value| {
        let (key, stamp): (String, Stamp) = key::split_upload(row).ok_or_else(|| key::corrupt("upload row", row))?;
        Ok(match pager.offer(&key) {
            Next::Take => {
                let key = ObjectKey::parse(&key).map_err(|_| key::corrupt("upload row", row))?;
                uploads.push(UploadEntry { key, upload: UploadInfo::of(stamp, UploadRecord::decode(value)?) });
                Step::Next
            }
            Next::SkipPast(prefix) => Step::Seek(key::after_prefix(key::escaped_prefix(bucket, prefix))),
            Next::Stop => Step::Stop,
        })
    })?;
    let next = last(&uploads, &pager);
    Ok(UploadsPage { uploads, truncated: pager.truncated, common_prefixes: pager.common_prefixes, next })
}

/// The end of a page: its last upload, or its last common prefix if that comes later.
fn last(uploads: &[UploadEntry], pager: &Pager<'_>) -> Option<(String, Option<UploadId>)> {
    let key = uploads.last().map(|entry| (entry.key.as_str(), Some(entry.upload.id)));
    let prefix = pager.last_prefix().map(|prefix| (prefix, None));
    key.into_iter().chain(prefix).max_by_key(|item| item.0).map(|(text, id)| (text.to_owned(), id))
}
