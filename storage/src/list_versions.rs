//! ListObjectVersions: keys ascending, newest version first, markers among them.

use crate::account::AccountId;
use crate::error::Result;
use crate::index::record::{CurrentRecord, Record as _, VersionRecord};
use crate::index::{Family, Rows, Step, key};
use crate::list::{Next, Pager, Scope, Start, following};
use crate::name::{BucketName, ObjectKey};
use crate::object::{ChecksumSummary, ETag, StorageClass};
use crate::residence::Restore;
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::store::Store;

/// Which versions to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionsQuery {
    /// Only keys with this prefix.
    pub prefix: String,
    /// Groups keys as in ListObjects. Empty means none.
    pub delimiter: String,
    /// Start after all versions of this key; a common prefix that is equal to it or a prefix of it is skipped whole.
    /// Empty means the beginning.
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
    /// The restore under way, or the restored copy; an expired one may still be told of.
    pub restore: Option<Restore>,
    /// Its checksum's algorithm and kind.
    pub checksum: Option<ChecksumSummary>,
    /// The account that owns it.
    pub owner: AccountId,
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
        let bucket = self.bucket(bucket).await?.id;
        self.inner.index.read(move |rows| page(rows, bucket, &query)).await
    }
}

fn page(rows: &Rows<'_>, bucket: u64, query: &VersionsQuery) -> Result<VersionsPage> {
    let scope = Scope { prefix: &query.prefix, delimiter: &query.delimiter };
    let mut pager = Pager::new(scope, query.max);
    let mut entries: Vec<VersionEntry> = Vec::new();
    let start = scope.start(&query.key_marker);
    let resume = match (start, query.version_marker) {
        (Start::After(key), Some(marker)) => row_after(rows, bucket, key, marker)?,
        _ => None,
    };
    // A page that begins within a key looks at the key's newest row first: only if that comes before the page has the
    // page's first row a newer one.
    let from = if resume.is_some() { key::escaped(bucket, &query.key_marker) } else { start.escaped_row(bucket) };
    let mut newer = None;
    let to = key::after_prefix(key::escaped_prefix(bucket, &query.prefix));
    rows.scan(Family::Version, &from, &to, |row, value| {
        if let Some(resume) = resume.as_ref().filter(|resume| row < resume.as_slice()) {
            newer = Some(query.key_marker.clone());
            return Ok(Step::Seek(resume.clone()));
        }
        let (key, stamp) = key::split_version(row).ok_or_else(|| key::corrupt("version row", row))?;
        Ok(match pager.offer(&key) {
            Next::Take => {
                let latest = newer.as_deref() != Some(&key);
                let name = ObjectKey::parse(&key).map_err(|_| key::corrupt("version row", row))?;
                entries.push(entry(name, stamp, latest, VersionRecord::decode(value)?));
                newer = Some(key);
                Step::Next
            }
            Next::SkipPast(prefix) => Step::Seek(key::after_prefix(key::escaped_prefix(bucket, prefix))),
            Next::Stop => Step::Stop,
        })
    })?;
    let next = if pager.truncated { last(&entries, &pager) } else { None };
    Ok(VersionsPage { entries, common_prefixes: pager.common_prefixes, next })
}

/// The end of a page: its last version, or its last common prefix if that comes later.
fn last(entries: &[VersionEntry], pager: &Pager<'_>) -> Option<(String, Option<VersionId>)> {
    let key = entries.last().map(|entry| (entry.key.as_str(), Some(entry.version_id)));
    let prefix = pager.last_prefix().map(|prefix| (prefix, None));
    key.into_iter().chain(prefix).max_by_key(|item| item.0).map(|(text, id)| (text.to_owned(), id))
}

fn entry(key: ObjectKey, stamp: Stamp, latest: bool, record: VersionRecord) -> VersionEntry {
    VersionEntry {
        key,
        version_id: if record.null { VersionId::Null } else { VersionId::Stamp(stamp) },
        latest,
        modified: stamp.time,
        object: record.object.map(|object| VersionObject {
            size: object.size,
            etag: object.etag,
            class: object.residence.class,
            restore: object.residence.restore,
            checksum: object.checksum_summary(),
            owner: object.protection.owner.account,
        }),
    }
}

/// The row after the marker's version of `key`; `None` if the marker is `null` and the key has no null version.
fn row_after(rows: &Rows<'_>, bucket: u64, key: &str, marker: VersionId) -> Result<Option<Vec<u8>>> {
    let stamp = match marker {
        VersionId::Stamp(stamp) => Some(stamp),
        VersionId::Null => null_stamp(rows, bucket, key)?,
    };
    Ok(stamp.map(|stamp| following(key::version(bucket, key, stamp))))
}

fn null_stamp(rows: &Rows<'_>, bucket: u64, key: &str) -> Result<Option<Stamp>> {
    let row = key::object(bucket, key);
    if let Some(stamp) = rows.record::<Stamp>(Family::Null, &row)? {
        return Ok(Some(stamp));
    }
    let current = rows.record::<CurrentRecord>(Family::Current, &row)?;
    match current.filter(|current| current.null) {
        Some(current) => Ok(Some(current.stamp)),
        // A write may have hidden the null version between the two looks.
        None => rows.record(Family::Null, &row),
    }
}
