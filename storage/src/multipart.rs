//! Multipart uploads: begun, filled with parts, aborted. Each change is one index batch under the upload's lock.
//!
//! A part's bytes are staged and synced before its row is committed. Dying in between leaves unnamed bytes; dying
//! after loses nothing. The bytes of replaced parts and aborted uploads are left to `worker::collect`.

use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use crate::error::{Entity, Error, Result};
use crate::index::key::DueKind;
use crate::index::record::{Garbage, PartRecord, UploadRecord};
use crate::index::{Batch, Family, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::{ETag, Metadata, StorageClass, Tag};
use crate::protection::{Lock, Protection};
use crate::stage::Staged;
use crate::stamp::{Stamp, Timestamp, UploadId};
use crate::store::Store;
use crate::usage::{Usage, part_key};

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
    /// Who owns it, what holds it, who has its key.
    pub protection: Protection,
    /// Who begins it, as its listing shall say.
    pub initiator: String,
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
    /// Begins an upload. `Err(NotFound(Bucket))` if the bucket is gone, `Err(NoObjectLock)` if it knows no locks and the
    /// object shall have one.
    pub async fn create_upload(&self, bucket: &BucketName, key: &ObjectKey, new: NewUpload) -> Result<UploadId> {
        let inner = &self.inner;
        inner.check_takes_bytes()?;
        let mut batch = Batch::new();
        batch.hold(inner.locks.bucket_shared(bucket.as_str()).await);
        let bucket = self.bucket(bucket).await?;
        if bucket.object_lock.is_none() && new.protection.lock != Lock::default() {
            return Err(Error::NoObjectLock);
        }
        batch.hold(inner.locks.key(bucket.id, key.as_str()).await);
        // Later than every version there is, even if the clock was set back: the upload takes its place by this time.
        let newest = inner.newest(&bucket, key).await?;
        let stamp = inner.stamp_after(newest.as_ref().map(|newest| newest.stamp.time));
        let record = UploadRecord {
            class: new.class,
            metadata: new.metadata,
            tags: new.tags,
            checksum: new.checksum,
            protection: new.protection,
            initiator: new.initiator,
            key_existed: newest.is_some_and(|newest| newest.visible.is_some()),
            part_bytes: 0,
        };
        batch.put(Family::Upload, key::upload(bucket.id, key.as_str(), stamp), &record);
        if let Some((at, _)) =
            bucket.lifecycle.as_ref().and_then(|rules| rules.abort(key.as_str(), stamp.time, &inner.calendar))
        {
            batch.put_due(DueKind::Upload, at, bucket.id, key, stamp);
        }
        inner.index.commit(batch).await?;
        Ok(UploadId(stamp))
    }

    /// What is known of an open upload. `Err(NotFound(Upload))` if it is not open, or belongs to another key.
    pub async fn upload(&self, bucket: &BucketName, key: &ObjectKey, id: UploadId) -> Result<UploadInfo> {
        let bucket = self.bucket(bucket).await?;
        Ok(UploadInfo::of(id.0, self.upload_record(bucket.id, key, id).await?))
    }

    /// Makes staged bytes a part, replacing an earlier part of that number.
    ///
    /// `staged` must carry the checksum of the upload's algorithm, or CRC64NVME if it has none; `checksum` is the one
    /// to report for the part. `Err(NotFound(Upload))` if the upload ended meanwhile, `Err(ChecksumMismatch)` if
    /// `staged` lacks the checksum, `Err(QuotaExceeded)` if there is no room for the part,
    /// `Err(SealMismatch)` if it is not sealed as the upload's encryption says.
    pub async fn put_part(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: UploadId,
        number: u16,
        staged: Staged,
        checksum: Option<Checksum>,
    ) -> Result<PartInfo> {
        let inner = &self.inner;
        let mut batch = Batch::new();
        batch.hold(inner.locks.bucket_shared(bucket.as_str()).await);
        let bucket = self.bucket(bucket).await?;
        batch.hold(inner.locks.upload(id.0).await);
        let mut upload = self.upload_record(bucket.id, key, id).await?;
        let row = key::part(id.0, number);
        if let Some(replaced) = inner.index.record::<PartRecord>(Family::Part, row.clone()).await? {
            upload.part_bytes = upload.part_bytes.saturating_sub(replaced.content.bytes);
            batch.count(part_key(bucket.id), Usage::parts(replaced.content.bytes).negated());
            inner.release(Garbage::Content(replaced.content, replaced.pools), &mut batch);
        }
        let algorithm = upload.checksum.map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm);
        if staged.is_sealed() != upload.protection.encryption.is_sealed() {
            return Err(Error::SealMismatch);
        }
        let digest = staged.etag().digest;
        let object_checksum = staged.checksum(algorithm).ok_or(Error::ChecksumMismatch)?.clone();
        let (content, pools) = staged.attach(&inner.keys, &mut batch);
        let part = PartRecord { digest, modified: inner.clock.now(), checksum, object_checksum, content, pools };
        batch.put(Family::Part, row, &part);
        upload.part_bytes = upload.part_bytes.saturating_add(part.content.bytes);
        batch.count(part_key(bucket.id), Usage::parts(part.content.bytes));
        batch.put(Family::Upload, key::upload(bucket.id, key.as_str(), id.0), &upload);
        inner.reserve(&bucket, &mut batch).await?;
        inner.index.commit(batch).await?;
        inner.meter.write_request(bucket.id, part_request_class(upload.class));
        Ok(PartInfo::of(number, part))
    }

    /// Ends an upload and forgets its parts. `Err(NotFound(Upload))` if it is not open.
    pub async fn abort_upload(&self, bucket: &BucketName, key: &ObjectKey, id: UploadId) -> Result<()> {
        let inner = &self.inner;
        let mut batch = Batch::making_room();
        batch.hold(inner.locks.bucket_shared(bucket.as_str()).await);
        let bucket = self.bucket(bucket).await?;
        batch.hold(inner.locks.upload(id.0).await);
        let upload = self.upload_record(bucket.id, key, id).await?;
        batch.delete(Family::Upload, key::upload(bucket.id, key.as_str(), id.0));
        batch.count(part_key(bucket.id), Usage::parts(upload.part_bytes).negated());
        inner.release(Garbage::Upload(id.0), &mut batch);
        inner.index.commit(batch).await
    }

    async fn upload_record(&self, bucket: u64, key: &ObjectKey, id: UploadId) -> Result<UploadRecord> {
        let row = key::upload(bucket, key.as_str(), id.0);
        self.inner.index.record(Family::Upload, row).await?.ok_or(Error::NotFound(Entity::Upload))
    }
}

/// The class at whose prices the parts of an upload are sent: those of an archived object are kept in STANDARD until it
/// is complete.
fn part_request_class(class: StorageClass) -> StorageClass {
    match class {
        StorageClass::Glacier | StorageClass::DeepArchive => StorageClass::Standard,
        class => class,
    }
}

impl UploadInfo {
    pub(crate) fn of(stamp: Stamp, record: UploadRecord) -> UploadInfo {
        let UploadRecord { class, metadata, tags, checksum, protection, initiator, .. } = record;
        UploadInfo {
            id: UploadId(stamp),
            initiated: stamp.time,
            new: NewUpload { class, metadata, tags, checksum, protection, initiator },
        }
    }
}

impl PartInfo {
    pub(crate) fn of(number: u16, record: PartRecord) -> PartInfo {
        PartInfo {
            number,
            size: record.content.bytes,
            etag: ETag::single(record.digest),
            modified: record.modified,
            checksum: record.checksum,
        }
    }
}
