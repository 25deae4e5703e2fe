//! Values of the index. The only reader and writer of their bytes.
//!
//! A value is one format byte, then the record in postcard's encoding. A record that changes gets a new format byte
//! and a struct that knows its predecessor; see `decode`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::blob::{BlobId, Placement};
use crate::bucket::{Bucket, BucketRules};
use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use crate::cipher::{ContentSalt, sealed_bytes};
use crate::error::{Error, Result};
use crate::object::{ChecksumSummary, ETag, Metadata, StorageClass, Tag};
use crate::pool::{Pool, PoolSet};
use crate::protection::Protection;
use crate::queue::{QueueName, TaskRecord, UploadedRecord};
use crate::replication::ReplicationState;
use crate::residence::{Residence, Restore};
use crate::stamp::{Stamp, Timestamp};

/// The format byte of every record. Formats 1 and 2 were never released.
const FORMAT: u8 = 3;

/// The most chunk references that a record holds itself; more go to manifest pages.
pub(crate) const CHUNKS_INLINE_MAX: usize = 16;
/// Chunk references in one manifest page: about 40 KiB.
pub(crate) const CHUNKS_PER_PAGE: usize = 1000;
/// Parts in one manifest page: at most about 50 KiB.
pub(crate) const PARTS_PER_PAGE: usize = 64;

/// A blob in one pool: what has a place, and what references count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct StoredBlob {
    pub(crate) id: BlobId,
    pub(crate) pool: Pool,
}

/// A piece of an object: a range of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkRef {
    pub(crate) blob: BlobId,
    /// Where the piece begins within the blob; not 0 only in copies of ranges.
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

/// Where the bytes of an object, or of one part, are. The id names inline rows, manifest pages and references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) id: Stamp,
    /// The size of the plain content.
    pub(crate) bytes: u64,
    pub(crate) form: ContentForm,
    /// Set if it is sealed with a data key of its own; then the form is that of the sealed bytes.
    pub(crate) seal: Option<ContentSalt>,
}

impl Content {
    /// The size of what is stored, in bytes.
    pub(crate) fn stored_bytes(&self) -> u64 {
        if self.seal.is_some() { sealed_bytes(self.bytes) } else { self.bytes }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ContentForm {
    /// No bytes.
    Empty,
    /// In the inline family, under the content's id.
    Inline,
    /// In these chunks, one after another.
    Chunks(Vec<ChunkRef>),
    /// In the chunks of manifest pages; the offset at which each page begins.
    Pages(Vec<u64>),
}

/// The bytes of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Written at once.
    Single(Content),
    /// A completed upload: parts in manifest pages under `table`; the offset at which each page begins.
    Parts { table: Stamp, count: u16, pages: Vec<u64> },
}

/// A value of the version family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    /// Whether its id is `null`.
    pub(crate) null: bool,
    /// When it is to be looked at, if ever: a row of the due family says the same.
    pub(crate) due: Option<Timestamp>,
    /// What it holds; a delete marker holds nothing.
    pub(crate) object: Option<ObjectRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    pub(crate) size: u64,
    pub(crate) etag: ETag,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) metadata: Metadata,
    pub(crate) tags: Vec<Tag>,
    pub(crate) body: Body,
    pub(crate) residence: Residence,
    pub(crate) protection: Protection,
    pub(crate) replication: ReplicationState,
}

impl ObjectRecord {
    pub(crate) fn checksum_summary(&self) -> Option<ChecksumSummary> {
        self.checksum.as_ref().map(|checksum| ChecksumSummary { algorithm: checksum.algorithm, kind: checksum.kind })
    }
}

/// A value of the current family: what ListObjects shows, and which version it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CurrentRecord {
    pub(crate) stamp: Stamp,
    pub(crate) null: bool,
    pub(crate) size: u64,
    pub(crate) etag: ETag,
    pub(crate) class: StorageClass,
    pub(crate) restore: Option<Restore>,
    pub(crate) checksum: Option<ChecksumSummary>,
    pub(crate) owner: AccountId,
}

impl CurrentRecord {
    pub(crate) fn of(stamp: Stamp, null: bool, object: &ObjectRecord) -> CurrentRecord {
        CurrentRecord {
            stamp,
            null,
            size: object.size,
            etag: object.etag,
            class: object.residence.class,
            restore: object.residence.restore,
            checksum: object.checksum_summary(),
            owner: object.protection.owner.account,
        }
    }
}

/// A value of the upload family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) class: StorageClass,
    pub(crate) metadata: Metadata,
    pub(crate) tags: Vec<Tag>,
    pub(crate) checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// Whether the key had a visible object at initiation, which tells a later delete from a key that never was.
    pub(crate) key_existed: bool,
    pub(crate) protection: Protection,
    /// Who began it.
    pub(crate) initiator: String,
    /// The sizes of its parts, in bytes.
    pub(crate) part_bytes: u64,
}

/// A value of the part family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    /// The digest of its entity tag.
    pub(crate) digest: [u8; 16],
    pub(crate) modified: Timestamp,
    /// The checksum to report for the part.
    pub(crate) checksum: Option<Checksum>,
    /// The checksum from which the object's is made: of the upload's algorithm, else CRC64NVME.
    pub(crate) object_checksum: Checksum,
    pub(crate) content: Content,
    /// The pools in which its chunks may be wanted.
    pub(crate) pools: PoolSet,
}

/// One part of a completed object, in a manifest page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartEntry {
    pub(crate) number: u16,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) content: Content,
}

/// A value of the completed family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompletedRecord {
    pub(crate) bucket: u64,
    pub(crate) key: String,
    pub(crate) finished: Timestamp,
    /// BLAKE3 over the requested part list, so that only the same request gets the same answer.
    pub(crate) request: [u8; 32],
    /// Whether the answer carries a version id.
    pub(crate) versioned: bool,
    pub(crate) etag: ETag,
    pub(crate) checksum: Option<Checksum>,
}

impl Body {
    /// What no other body has: the stamp under which its references, or its pages, are found.
    pub(crate) fn id(&self) -> Stamp {
        match self {
            Body::Single(content) => content.id,
            Body::Parts { table, .. } => *table,
        }
    }
}

/// A value of the garbage family: what nothing names any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Garbage {
    /// The bytes of a removed version, and the pools in which it may want them.
    Body(Body, PoolSet),
    /// The bytes of a replaced or unused part, and the same.
    Content(Content, PoolSet),
    /// All parts of an ended upload.
    Upload(Stamp),
    /// All uploads of a removed bucket.
    Bucket(u64),
}

/// A record with a format of its own.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// What the record is called in errors.
    const NAME: &'static str;

    /// The stored bytes.
    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("records hold only types that postcard encodes, into memory")
    }

    /// Reads stored bytes, and all of them.
    fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt = |place: String| Error::Corrupt { what: Self::NAME, place };
        let (format, rest) = bytes.split_first().ok_or_else(|| corrupt("an empty value".to_owned()))?;
        if *format != FORMAT {
            return Err(corrupt(format!("a value of unknown format {format}")));
        }
        match postcard::take_from_bytes(rest) {
            Ok((record, [])) => Ok(record),
            Ok((_, rest)) => Err(corrupt(format!("a value with {} bytes too many", rest.len()))),
            Err(error) => Err(corrupt(error.to_string())),
        }
    }
}

impl Record for Bucket {
    const NAME: &'static str = "bucket record";
}
impl Record for BucketRules {
    const NAME: &'static str = "bucket rules record";
}
impl Record for VersionRecord {
    const NAME: &'static str = "version record";
}
impl Record for CurrentRecord {
    const NAME: &'static str = "current record";
}
impl Record for Stamp {
    const NAME: &'static str = "stamp";
}
impl Record for Timestamp {
    const NAME: &'static str = "time of access";
}
impl Record for UploadRecord {
    const NAME: &'static str = "upload record";
}
impl Record for PartRecord {
    const NAME: &'static str = "part record";
}
impl Record for CompletedRecord {
    const NAME: &'static str = "completed upload record";
}
impl Record for Garbage {
    const NAME: &'static str = "garbage record";
}
impl Record for Placement {
    const NAME: &'static str = "placement";
}
impl Record for StoredBlob {
    const NAME: &'static str = "blob in a pool";
}
impl Record for TaskRecord {
    const NAME: &'static str = "task record";
}
impl Record for UploadedRecord {
    const NAME: &'static str = "record of an upload elsewhere";
}
impl Record for QueueName {
    const NAME: &'static str = "queue name";
}
impl Record for Vec<ChunkRef> {
    const NAME: &'static str = "manifest page";
}
impl Record for Vec<PartEntry> {
    const NAME: &'static str = "part page";
}

#[cfg(test)]
mod tests {
    use super::{Body, Content, ContentForm, CurrentRecord, ObjectRecord, Record, UploadedRecord, VersionRecord};
    use crate::object::{ETag, Metadata, StorageClass};
    use crate::pool::PoolSet;
    use crate::protection::Protection;
    use crate::replication::ReplicationState;
    use crate::residence::Residence;
    use crate::stamp::{Stamp, Timestamp};

    fn sample() -> VersionRecord {
        let id = Stamp { time: Timestamp::from_nanos(5), random: 6 };
        VersionRecord {
            null: true,
            due: None,
            object: Some(ObjectRecord {
                size: 4,
                etag: ETag::single([1; 16]),
                checksum: None,
                metadata: Metadata { user: vec![("a".into(), "b".into())], ..Metadata::default() },
                tags: Vec::new(),
                body: Body::Single(Content { id, bytes: 4, form: ContentForm::Inline, seal: None }),
                residence: Residence::new(StorageClass::Standard, Timestamp::from_nanos(7), PoolSet::EMPTY, 4),
                protection: Protection::default(),
                replication: ReplicationState::default(),
            }),
        }
    }

    /// The stored bytes of format 3. A change here is a change of the format.
    #[test]
    fn golden_bytes() {
        let record = sample();
        let bytes = record.encode();
        let expected = [
            "03",                               // format
            "01",                               // null
            "00",                               // never due
            "01",                               // an object
            "04",                               // size
            "01010101010101010101010101010101", // digest
            "00",                               // parts
            "00",                               // no checksum
            "00000000000000",                   // no system metadata
            "01016101620000",                   // one user entry, no tags, a single body
            "0506",                             // content id
            "040100",                           // bytes, inline, not sealed
            "0000070004",                       // class, tier, since, no pools, stored bytes
            "00",                               // no restore
            "0000",                             // owner, no list of grants
            "0000",                             // no retention, no hold
            "00",                               // the store's encryption
            "00000000000000",                   // no replica, never sent, no tasks, nothing changed
        ];
        assert_eq!(hex::encode(&bytes), expected.concat());
        assert_eq!(VersionRecord::decode(&bytes).expect("it was just encoded"), record);
        let object = record.object.expect("the sample is an object");
        let current = CurrentRecord::of(Stamp { time: Timestamp::from_nanos(9), random: 1 }, false, &object);
        assert_eq!(CurrentRecord::decode(&current.encode()).expect("it was just encoded"), current);
    }

    #[test]
    fn golden_bytes_of_uploads_elsewhere() {
        let record = UploadedRecord { id: "id".to_owned() };
        assert_eq!(hex::encode(record.encode()), "03026964");
        assert_eq!(UploadedRecord::decode(&record.encode()).expect("it was just encoded"), record);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let bytes = sample().encode();
        assert!(VersionRecord::decode(&[]).is_err());
        assert!(VersionRecord::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(VersionRecord::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(VersionRecord::decode(&[&[9], &bytes[1..]].concat()).is_err());
    }
}
