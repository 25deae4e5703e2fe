//! CompleteMultipartUpload: parts become a version, by moving rows; no byte of the object is touched.
//!
//! The order of the steps:
//!
//! 1. Under the locks of bucket, upload and key the part rows are read and compared with the request.
//! 2. One synced batch writes the manifest pages and the version, removes the upload with its parts, and keeps the
//!    answer. References stay as they are: they belong to the contents of the parts, which move unchanged.
//!
//! Dying before 2 is durable leaves the upload open; after it, a repeated request finds the answer. Abort and further
//! parts wait for the upload's lock and then find no upload. Parts that were not listed, and the version that is
//! superseded, are left to `worker::collect`, and so are answers older than a day.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bucket::Bucket;
use crate::checksum::{self, Checksum, ChecksumAlgorithm, ChecksumKind, Digests, Hasher};
use crate::error::{Entity, Error, Result};
use crate::event::EventKind;
use crate::index::record::{
    Body, CompletedRecord, Content, CurrentRecord, Garbage, ObjectRecord, PARTS_PER_PAGE, PartEntry, PartRecord,
    Record as _, UploadRecord,
};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::{ETag, WriteCondition};
use crate::pool::PoolSet;
use crate::put::Origin;
use crate::replica::Replica;
use crate::replication::ReplicationState;
use crate::residence::Residence;
use crate::stamp::{Stamp, Timestamp, UploadId, VersionId};
use crate::store::{Inner, Store};
use crate::usage::{Usage, part_key};

/// How long a finished upload answers a repeated request.
pub(crate) const ANSWER_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The most that 10,000 parts of 5 GiB hold, in bytes.
const OBJECT_BYTES_MAX: u64 = 10_000 * (5 << 30);

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
    /// Set if it is a version of another bucket. If that is there already, the upload is dropped.
    pub replica: Option<Replica>,
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
        let CompleteUpload { bucket: name, key, id: UploadId(upload), parts, size, checksum, condition, replica } =
            request;
        let inner = &self.inner;
        let mut batch = Batch::new();
        batch.hold(inner.locks.bucket_shared(name.as_str()).await);
        let bucket = self.bucket(&name).await?;
        batch.hold(inner.locks.upload(upload).await);
        batch.hold(inner.locks.key(bucket.id, key.as_str()).await);

        let request_hash = hash_request(&parts);
        let row = key::upload(bucket.id, key.as_str(), upload);
        let Some(record) = inner.index.record::<UploadRecord>(Family::Upload, row.clone()).await? else {
            let mut repeated = repeated_answer(inner, &bucket, &key, upload, request_hash).await?;
            if let Some(replica) = replica {
                repeated.version_id = Some(replica.version_id());
            }
            return Ok(repeated);
        };
        let (algorithm, part_bytes_min) = (record.checksum, inner.part_bytes_min);
        let assembly = inner
            .index
            .read(move |rows| assemble(algorithm, &parts, uploaded_parts(rows, upload)?, part_bytes_min))
            .await?;
        assembly.check(size, checksum.as_ref())?;
        let current = inner.current(bucket.id, &key).await?;
        let deleted_since = current.is_none() && inner.was_deleted_since(&bucket, &key, upload, &record).await?;
        check_condition(&condition, upload, current.as_ref(), deleted_since)?;

        batch.delete(Family::Upload, row);
        if let Some(replica) = &replica
            && !inner.wants_replica(&bucket, &key, replica).await?
        {
            batch.count(part_key(bucket.id), Usage::parts(record.part_bytes).negated());
            inner.release(Garbage::Upload(upload), &mut batch);
            inner.index.commit(batch).await?;
            let version_id = Some(replica.version_id());
            return Ok(CompletedUpload { version_id, etag: assembly.etag, checksum: Some(assembly.checksum) });
        }
        let origin = Origin { created: EventKind::CreatedUpload, asked: self.asked(), replica };
        let answer = Answer { bucket: &bucket, key: &key, upload, request_hash, origin };
        let class = record.class;
        let completed = inner.finish_upload(answer, record, assembly, &mut batch).await?;
        inner.reserve(&bucket, &mut batch).await?;
        inner.index.commit(batch).await?;
        inner.meter.write_request(bucket.id, class);
        Ok(completed)
    }
}

/// To which request an upload's result belongs.
struct Answer<'a> {
    bucket: &'a Bucket,
    key: &'a ObjectKey,
    upload: Stamp,
    request_hash: [u8; 32],
    origin: Origin<'a>,
}

impl Inner {
    /// Whether a visible object of the key was deleted after the upload began; the caller saw that there is none now.
    /// An object that was both made and deleted meanwhile, without a marker, leaves no trace.
    async fn was_deleted_since(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        upload: Stamp,
        record: &UploadRecord,
    ) -> Result<bool> {
        Ok(record.key_existed || self.newest(bucket, key).await?.is_some_and(|newest| newest.stamp > upload))
    }

    /// Adds to `batch` all that finishing an upload changes but the removal of the upload row.
    async fn finish_upload(
        &self,
        answer: Answer<'_>,
        record: UploadRecord,
        assembly: Assembly,
        batch: &mut Batch,
    ) -> Result<CompletedUpload> {
        let Answer { bucket, key, upload, request_hash, origin } = answer;
        let Assembly { size, etag, checksum, listed, pools, unlisted } = assembly;
        batch.count(part_key(bucket.id), Usage::parts(record.part_bytes).negated());
        for &number in unlisted.keys().chain(listed.iter().map(|part| &part.number)) {
            batch.delete(Family::Part, key::part(upload, number));
        }
        for content in unlisted.into_values() {
            self.release(Garbage::Content(content.0, content.1), batch);
        }
        let object = ObjectRecord {
            size,
            etag,
            checksum: Some(checksum.clone()),
            metadata: record.metadata,
            tags: record.tags,
            body: write_pages(self.stamp(), &listed, batch),
            residence: Residence::new(record.class, Timestamp::default(), pools, size),
            protection: record.protection,
            replication: ReplicationState::default(),
        };
        let at = origin.replica.map_or(upload, |replica| replica.version);
        let written = self.install(bucket, key, Some(at), object, &origin, batch).await?;
        let completed = CompletedRecord {
            bucket: bucket.id,
            key: key.as_str().to_owned(),
            finished: self.clock.now(),
            request: request_hash,
            versioned: written.version_id.is_some(),
            etag,
            checksum: Some(checksum.clone()),
        };
        batch.put(Family::Completed, upload.to_bytes().to_vec(), &completed);
        Ok(CompletedUpload { version_id: written.version_id, etag, checksum: Some(checksum) })
    }
}

/// The answer that the same request got before.
async fn repeated_answer(
    inner: &Inner,
    bucket: &Bucket,
    key: &ObjectKey,
    upload: Stamp,
    request_hash: [u8; 32],
) -> Result<CompletedUpload> {
    let row = upload.to_bytes().to_vec();
    let completed = inner.index.record::<CompletedRecord>(Family::Completed, row).await?.filter(|completed| {
        completed.bucket == bucket.id
            && completed.key == key.as_str()
            && completed.request == request_hash
            && inner.clock.now().since(completed.finished) < ANSWER_KEPT
    });
    let completed = completed.ok_or(Error::NotFound(Entity::Upload))?;
    Ok(CompletedUpload {
        version_id: completed.versioned.then_some(VersionId::Stamp(upload)),
        etag: completed.etag,
        checksum: completed.checksum,
    })
}

/// A name for the list of parts. Each text is preceded by its length, so that no two lists have the same bytes.
fn hash_request(parts: &[CompletedPart]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let etag = part.etag.trim_matches('"').as_bytes();
        hasher.update(&part.number.to_be_bytes());
        for text in [Some(etag), part.checksum.as_deref()] {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hasher.update(&length.to_be_bytes());
            hasher.update(text.unwrap_or_default());
        }
    }
    *hasher.finalize().as_bytes()
}

/// The parts of an upload: at most 10,000, since that is the highest number.
fn uploaded_parts(rows: &Rows<'_>, upload: Stamp) -> Result<BTreeMap<u16, PartRecord>> {
    let mut parts = BTreeMap::new();
    let from = upload.to_bytes().to_vec();
    rows.scan(Family::Part, &from, &key::after_prefix(from.clone()), |row, value| {
        let number = key::part_number(row).ok_or_else(|| key::corrupt("part row", row))?;
        parts.insert(number, PartRecord::decode(value)?);
        Ok(Step::Next)
    })?;
    Ok(parts)
}

/// The object that the listed parts make.
#[derive(Debug)]
struct Assembly {
    size: u64,
    etag: ETag,
    checksum: Checksum,
    listed: Vec<PartEntry>,
    /// The pools in which the listed parts may want their chunks.
    pools: PoolSet,
    /// The parts that the request leaves out.
    unlisted: BTreeMap<u16, (Content, PoolSet)>,
}

/// Puts an object together from those parts of an upload that the request lists, in S3's order of checks.
fn assemble(
    algorithm: Option<(ChecksumAlgorithm, ChecksumKind)>,
    request: &[CompletedPart],
    mut uploaded: BTreeMap<u16, PartRecord>,
    part_bytes_min: u64,
) -> Result<Assembly> {
    let mut listed = Vec::with_capacity(request.len());
    for wanted in request {
        let part = uploaded.remove(&wanted.number).filter(|part| matches_request(part, wanted));
        let invalid = || Error::InvalidPart { number: wanted.number, etag: wanted.etag.clone() };
        listed.push((wanted.number, part.ok_or_else(invalid)?));
    }
    let all_but_last = listed.len().saturating_sub(1);
    if let Some((number, part)) = listed[..all_but_last].iter().find(|(_, part)| part.content.bytes < part_bytes_min) {
        let etag = ETag::single(part.digest);
        return Err(Error::PartTooSmall { number: *number, size: part.content.bytes, least: part_bytes_min, etag });
    }
    // Parts are bounded by their staging, so the sum of 10,000 cannot overflow; input decides neither.
    let size = listed.iter().fold(0_u64, |size, (_, part)| size.saturating_add(part.content.bytes));
    if size > OBJECT_BYTES_MAX {
        return Err(Error::TooLarge { size, most: OBJECT_BYTES_MAX });
    }
    let (algorithm, kind) = algorithm.unwrap_or((ChecksumAlgorithm::Crc64Nvme, ChecksumKind::FullObject));
    let checksum = object_checksum(algorithm, kind, &listed).ok_or_else(|| Error::Corrupt {
        what: "checksums of parts",
        place: format!("an upload with {} parts listed", listed.len()),
    })?;
    let etag = object_etag(&listed);
    let entry = |(number, part): (u16, PartRecord)| PartEntry {
        number,
        checksum: (kind == ChecksumKind::Composite).then_some(part.object_checksum),
        content: part.content,
    };
    Ok(Assembly {
        size,
        etag,
        checksum,
        pools: listed.iter().fold(PoolSet::EMPTY, |pools, (_, part)| pools.union(part.pools)),
        listed: listed.into_iter().map(entry).collect(),
        unlisted: uploaded.into_iter().map(|(number, part)| (number, (part.content, part.pools))).collect(),
    })
}

/// Whether a part is the one that the request lists. The checksum listed may be that of the upload's algorithm, or, if
/// the upload has none, the one that came with the part.
fn matches_request(part: &PartRecord, wanted: &CompletedPart) -> bool {
    let known = [Some(&part.object_checksum), part.checksum.as_ref()];
    let is_known = |value: &Vec<u8>| known.iter().flatten().any(|checksum| checksum.value == *value);
    ETag::parse(&wanted.etag) == Some(ETag::single(part.digest)) && wanted.checksum.as_ref().is_none_or(is_known)
}

/// The MD5 of the digests of the parts, which are their MD5s unless they are sealed, and their number.
fn object_etag(parts: &[(u16, PartRecord)]) -> ETag {
    let mut hasher = Hasher::new(Digests::NONE);
    for (_, part) in parts {
        hasher.update(&part.digest);
    }
    ETag { digest: hasher.finish().0, parts: u16::try_from(parts.len()).expect("part numbers are distinct u16s") }
}

/// The checksum of the whole; `None` if a part's is of another algorithm, or there are no parts.
fn object_checksum(algorithm: ChecksumAlgorithm, kind: ChecksumKind, parts: &[(u16, PartRecord)]) -> Option<Checksum> {
    let fits = |part: &PartRecord| {
        part.object_checksum.algorithm == algorithm && part.object_checksum.value.len() == algorithm.value_bytes()
    };
    if !parts.iter().all(|(_, part)| fits(part)) {
        return None;
    }
    match kind {
        ChecksumKind::Composite => {
            let values = parts.iter().map(|(_, part)| part.object_checksum.value.as_slice());
            Some(checksum::composite(algorithm, values))
        }
        ChecksumKind::FullObject if !algorithm.combines() => None,
        ChecksumKind::FullObject => {
            let values = parts.iter().map(|(_, part)| (part.object_checksum.value.clone(), part.content.bytes));
            let (value, _) = values.reduce(|(first, before), (second, bytes)| {
                (checksum::combine(algorithm, &first, &second, bytes), before.saturating_add(bytes))
            })?;
            Some(Checksum { algorithm, kind, value })
        }
    }
}

impl Assembly {
    /// Compares the object with what the client says of it.
    fn check(&self, size: Option<u64>, checksum: Option<&Checksum>) -> Result<()> {
        if let Some(expected) = size.filter(|&expected| expected != self.size) {
            return Err(Error::SizeMismatch { expected, actual: self.size });
        }
        let equal = |given: &Checksum| given.algorithm == self.checksum.algorithm && given.value == self.checksum.value;
        if checksum.is_none_or(equal) { Ok(()) } else { Err(Error::ChecksumMismatch) }
    }
}

/// Adds the manifest pages that list the parts.
fn write_pages(table: Stamp, parts: &[PartEntry], batch: &mut Batch) -> Body {
    let mut pages = Vec::new();
    let mut offset = 0;
    for (number, page) in (0..).zip(parts.chunks(PARTS_PER_PAGE)) {
        pages.push(offset);
        offset += page.iter().map(|part| part.content.bytes).sum::<u64>();
        batch.put(Family::Manifest, key::page(table, number), &page.to_vec());
    }
    Body::Parts { table, count: u16::try_from(parts.len()).expect("part numbers are distinct u16s"), pages }
}

/// Whether Complete may make the object visible, given the visible one. What happened to the key after the upload
/// began is a conflict even where the condition holds now: the client decided on a state before it.
fn check_condition(
    condition: &WriteCondition,
    upload: Stamp,
    current: Option<&CurrentRecord>,
    deleted_since: bool,
) -> Result<()> {
    match (condition, current) {
        (WriteCondition::None, _) => Ok(()),
        (WriteCondition::IfAbsent, Some(_)) => Err(Error::Precondition),
        (WriteCondition::IfAbsent, None) if deleted_since => Err(Error::Conflict),
        (WriteCondition::IfAbsent, None) => Ok(()),
        (WriteCondition::IfMatch(_), None) => Err(Error::NotFound(Entity::Key)),
        (WriteCondition::IfMatch(etag), Some(current)) if *etag != Some(current.etag) => Err(Error::Precondition),
        (WriteCondition::IfMatch(_), Some(current)) if current.stamp > upload => Err(Error::Conflict),
        (WriteCondition::IfMatch(_), Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Assembly, CompletedPart, OBJECT_BYTES_MAX, assemble, check_condition, hash_request};
    use crate::account::AccountId;
    use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, Digests, Hasher};
    use crate::error::{Entity, Error, Result};
    use crate::index::record::{Content, ContentForm, CurrentRecord, PartRecord};
    use crate::object::{ETag, StorageClass, WriteCondition};
    use crate::pool::PoolSet;
    use crate::stamp::{Stamp, Timestamp};

    const LEAST: u64 = 4;
    type Algorithm = Option<(ChecksumAlgorithm, ChecksumKind)>;

    fn stamp(time: u64) -> Stamp {
        Stamp { time: Timestamp::from_nanos(time), random: 0 }
    }

    fn digests(bytes: &[u8], algorithm: ChecksumAlgorithm) -> ([u8; 16], Checksum) {
        let mut hasher = Hasher::new(Digests::NONE.with(algorithm));
        hasher.update(bytes);
        let (md5, mut checksums) = hasher.finish();
        (md5, checksums.remove(0))
    }

    fn part(bytes: &[u8], algorithm: ChecksumAlgorithm) -> PartRecord {
        let (md5, object_checksum) = digests(bytes, algorithm);
        let content = Content { id: stamp(1), bytes: bytes.len() as u64, form: ContentForm::Inline, seal: None };
        PartRecord {
            digest: md5,
            modified: Timestamp::default(),
            checksum: None,
            object_checksum,
            content,
            pools: PoolSet::EMPTY,
        }
    }

    fn wanted(number: u16, bytes: &[u8]) -> CompletedPart {
        let etag = format!("\"{}\"", ETag::single(digests(bytes, ChecksumAlgorithm::Crc32).0));
        CompletedPart { number, etag, checksum: None }
    }

    /// Completes an upload of the parts 1 "12345", 3 "67", 7 "89".
    fn complete(algorithm: Algorithm, request: &[CompletedPart]) -> Result<Assembly> {
        let of_parts = algorithm.map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm);
        let parts: [(u16, &[u8]); 3] = [(1, b"12345"), (3, b"67"), (7, b"89")];
        let uploaded: BTreeMap<u16, PartRecord> =
            parts.map(|(number, bytes)| (number, part(bytes, of_parts))).into_iter().collect();
        assemble(algorithm, request, uploaded, LEAST)
    }

    #[test]
    fn objects_are_assembled() {
        let full = ChecksumKind::FullObject;
        for algorithm in [None, Some((ChecksumAlgorithm::Crc32, full)), Some((ChecksumAlgorithm::Crc32c, full))] {
            let object = complete(algorithm, &[wanted(1, b"12345"), wanted(7, b"89")]).expect("the parts fit");
            let of_whole = algorithm.map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm);
            assert_eq!(object.checksum, digests(b"1234589", of_whole).1);
            assert_eq!((object.size, object.etag.parts, object.listed.len()), (7, 2, 2));
            assert!(object.listed.iter().all(|part| part.checksum.is_none()));
            assert_eq!(object.unlisted.keys().copied().collect::<Vec<_>>(), [3]);
        }
    }

    #[test]
    fn composites_are_made_of_the_parts_checksums() {
        let sha256 = ChecksumAlgorithm::Sha256;
        let request = [wanted(1, b"12345"), wanted(3, b"67")];
        let object = complete(Some((sha256, ChecksumKind::Composite)), &request).expect("the parts fit");
        let values = [digests(b"12345", sha256).1.value, digests(b"67", sha256).1.value].concat();
        assert_eq!(object.checksum.value, digests(&values, sha256).1.value);
        assert_eq!(object.checksum.kind, ChecksumKind::Composite);
        assert_eq!(object.listed[1].checksum, Some(digests(b"67", sha256).1));
        let md5s = [digests(b"12345", sha256).0, digests(b"67", sha256).0].concat();
        assert_eq!(object.etag, ETag { digest: digests(&md5s, sha256).0, parts: 2 });
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        fn check(request: &[CompletedPart], expected: &str) {
            let error = complete(None, request).expect_err(expected);
            assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        }
        check(&[wanted(2, b"12345")], "InvalidPart { number: 2");
        check(&[wanted(1, b"other")], "InvalidPart { number: 1");
        check(&[wanted(1, b"12345"), wanted(1, b"12345")], "InvalidPart { number: 1");
        let checksum = Some(digests(b"12345", ChecksumAlgorithm::Sha256).1.value);
        check(&[CompletedPart { checksum, ..wanted(1, b"12345") }], "InvalidPart { number: 1");
        check(&[wanted(3, b"67"), wanted(7, b"89")], "PartTooSmall { number: 3, size: 2, least: 4");
        check(&[], "Corrupt");
        let checksum = Some(digests(b"12345", ChecksumAlgorithm::Crc64Nvme).1.value);
        complete(None, &[CompletedPart { checksum, ..wanted(1, b"12345") }]).expect("the checksum is the part's");
    }

    #[test]
    fn sizes_and_checksums_said_are_compared() {
        let object = complete(None, &[wanted(1, b"12345")]).expect("the part fits");
        let right = object.checksum.clone();
        assert!(object.check(None, None).is_ok());
        assert!(object.check(Some(5), Some(&right)).is_ok());
        assert!(matches!(object.check(Some(6), None), Err(Error::SizeMismatch { expected: 6, actual: 5 })));
        let wrong = Checksum { value: vec![0; 8], ..right };
        assert!(matches!(object.check(None, Some(&wrong)), Err(Error::ChecksumMismatch)));
        assert_eq!(OBJECT_BYTES_MAX, 53_687_091_200_000);
    }

    #[test]
    fn conditions() {
        let etag = ETag::single([1; 16]);
        let object = |time| CurrentRecord {
            stamp: stamp(time),
            null: false,
            size: 0,
            etag,
            class: StorageClass::Standard,
            restore: None,
            checksum: None,
            owner: AccountId::ROOT,
        };
        let check = |condition: &WriteCondition, current: Option<u64>, deleted_since| {
            check_condition(condition, stamp(5), current.map(object).as_ref(), deleted_since)
        };
        let absent = &WriteCondition::IfAbsent;
        assert!(check(absent, None, false).is_ok());
        assert!(matches!(check(absent, None, true), Err(Error::Conflict)));
        assert!(matches!(check(absent, Some(4), false), Err(Error::Precondition)));
        assert!(matches!(check(absent, Some(6), false), Err(Error::Precondition)));
        let same = &WriteCondition::IfMatch(Some(etag));
        assert!(check(same, Some(4), false).is_ok());
        assert!(matches!(check(same, Some(6), false), Err(Error::Conflict)));
        assert!(matches!(check(same, None, true), Err(Error::NotFound(Entity::Key))));
        let other = &WriteCondition::IfMatch(Some(ETag::single([2; 16])));
        assert!(matches!(check(other, Some(6), false), Err(Error::Precondition)));
        assert!(check(&WriteCondition::None, Some(6), true).is_ok());
    }

    #[test]
    fn only_equal_lists_hash_alike() {
        let list = [wanted(1, b"12345"), wanted(3, b"67")];
        let mut unquoted = list.clone();
        unquoted[0].etag = unquoted[0].etag.trim_matches('"').to_owned();
        assert_eq!(hash_request(&list), hash_request(&unquoted));
        assert_ne!(hash_request(&list), hash_request(&list[..1]));
        let mut with_checksum = list.clone();
        with_checksum[1].checksum = Some(Vec::new());
        assert_ne!(hash_request(&list), hash_request(&with_checksum));
    }
}
