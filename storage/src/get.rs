//! Read path: a version is found in the index, and its bytes come verified, piece by piece.
//!
//! No lock is taken. A reader enters its epoch before it looks at the index, so that the collector keeps every blob
//! and manifest page that it may find, and leaves it when the body that it found is registered as held. Which version
//! it is, what is known about it and, where they live in the index, its bytes are read as of one moment.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::blob::{BlobId, ChunkReader, Placement, ReadError};
use crate::bucket::Bucket;
use crate::cipher::DataKey;
use crate::error::{Entity, Error, Result};
use crate::get_sealed::SealedRange;
use crate::index::record::{Body, Content, ContentForm, ObjectRecord, Record as _, StoredBlob};
use crate::index::{Family, inline, key};
use crate::locks::{Held, Reader};
use crate::lookup::{Found, Sought};
use crate::lost::may_be_lost;
use crate::name::{BucketName, ObjectKey};
use crate::object::{ObjectInfo, ObjectPart, StorageClass, VersionSelector};
use crate::plan::{Piece, Plan};
use crate::pool::{Pool, PoolSet};
use crate::residence::Residence;
use crate::residence_change::VersionName;
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::store::{Inner, Store};
use crate::tiering::{Tier, is_monitored};
use crate::worker::Foreground;
use crate::zone::ZoneState;

/// How often chunks may be found moved in one read. The collector moves a chunk at most once a pass, so a read that
/// meets this many has met a segment that is lost.
const MOVES_MAX: u32 = 1000;

/// An object version opened for reading. As long as it or a reader made from it lives, its bytes stay, even when the
/// version is overwritten or deleted meanwhile.
pub struct OpenObject {
    pub(crate) inner: Arc<Inner>,
    /// Keeps the body from being collected.
    pub(crate) held: Arc<Held>,
    pub(crate) info: ObjectInfo,
    pub(crate) body: Body,
    /// The pools in which the version may want its chunks.
    pub(crate) pools: PoolSet,
    /// What is stored of an object that lives in the index.
    pub(crate) inline: Option<Bytes>,
    /// The data key, if it was given.
    key: Option<DataKey>,
    /// Set if reads decide about its tier.
    accessed: Option<Accessed>,
    /// Set if it is told when its bytes turn out to be damaged.
    loses: Option<VersionName>,
}

/// Under what accesses of a version are noted.
struct Accessed {
    bucket: u64,
    key: ObjectKey,
    stamp: Stamp,
}

impl OpenObject {
    /// What is known about the version.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Gives the data key of a version that is sealed, for what is read from now on. Does no harm to others.
    pub fn unseal(&mut self, key: &DataKey) {
        self.key = Some(key.clone());
    }

    /// The part at `position` (1 to n, counted in the finished object). For an object written at once, position 1 is
    /// the whole object. `None` if there are fewer.
    pub async fn part(&self, position: u16) -> Result<Option<ObjectPart>> {
        if self.info.parts_count == 0 && position == 1 {
            let checksum = self.info.checksum.clone();
            return Ok(Some(ObjectPart { number: 1, offset: 0, size: self.info.size, checksum }));
        }
        if position == 0 || position > self.info.parts_count {
            return Ok(None);
        }
        self.plan().part_at(position).await.map(Some)
    }

    /// The parts with numbers above `after`, at most `max`, and whether there are more. Empty for an object written
    /// at once.
    pub async fn parts(&self, after: u16, max: usize) -> Result<(Vec<ObjectPart>, bool)> {
        if self.info.parts_count == 0 {
            return Ok((Vec::new(), false));
        }
        self.plan().parts_after(after, max).await
    }

    /// Reads a range of bytes, which counts as an access. The range must lie within the object.
    pub fn read(&self, range: Range<u64>) -> ObjectReader {
        assert!(range.start <= range.end && range.end <= self.info.size, "the range lies within the object");
        self.note_access();
        ObjectReader {
            inner: Arc::clone(&self.inner),
            _held: Arc::clone(&self.held),
            plan: self.plan(),
            inline: self.inline.clone(),
            left: range,
            pools: self.pools,
            key: self.key.clone(),
            sealed: None,
            archived: (!self.info.readable).then_some((self.info.class, self.info.tier)),
            chunk: None,
            moved: 0,
            loses: self.loses.clone(),
            _foreground: self.inner.budget.foreground(),
        }
    }

    /// Notes an access where it decides about the tier. One that is refused does not count.
    pub(crate) fn note_access(&self) {
        if let Some(Accessed { bucket, key, stamp }) = self.accessed.as_ref().filter(|_| self.info.readable) {
            self.inner.accesses.record(*bucket, key, *stamp, self.inner.clock.now());
        }
    }

    /// `Err(Archived)` if the bytes have to be restored before they can be read.
    pub(crate) fn check_readable(&self) -> Result<()> {
        let ObjectInfo { class, tier, readable, .. } = self.info;
        if readable { Ok(()) } else { Err(Error::Archived { class, tier }) }
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan::new(self.inner.index.clone(), self.body.clone())
    }
}

/// A verified stream of an object's bytes.
pub struct ObjectReader {
    inner: Arc<Inner>,
    _held: Arc<Held>,
    plan: Plan,
    inline: Option<Bytes>,
    /// What was not handed out yet.
    left: Range<u64>,
    /// Where the chunks are looked for first.
    pools: PoolSet,
    /// Set if the bytes must not be read.
    archived: Option<(StorageClass, Tier)>,
    chunk: Option<ChunkReader>,
    /// The data key, if it was given.
    key: Option<DataKey>,
    /// The sealed content being read.
    sealed: Option<SealedRange>,
    /// How often a chunk was found moved.
    moved: u32,
    /// Set if it is to be told that the bytes are damaged.
    loses: Option<VersionName>,
    _foreground: Foreground,
}

impl ObjectReader {
    /// The next bytes, or `None` at the end. Bytes are handed out only after their hash was checked.
    ///
    /// `Err(Corrupt)` means that stored bytes do not match their hash, `Err(ZoneAway)` that they do not while a zone is lost
    /// which may have better ones, `Err(Archived)` that they have to be restored
    /// first, `Err(Sealed)` that they are sealed and no data key was given, `Err(WrongKey)` that it is not the one.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let read = self.read().await;
        if matches!(read, Err(Error::Corrupt { .. })) {
            if self.inner.has_lost_zone() {
                return Err(Error::ZoneAway);
            }
            if let Some(name) = self.loses.take() {
                self.inner.tell_lost(&name).await;
            }
        }
        read
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        if let Some((class, tier)) = self.archived {
            return Err(Error::Archived { class, tier });
        }
        if self.left.is_empty() {
            return Ok(None);
        }
        if let Some(inline) = self.inline.as_ref().filter(|_| !self.plan.is_sealed_content()) {
            let range = position(self.left.start)..position(self.left.end);
            self.left.start = self.left.end;
            return Ok(Some(inline.slice(range)));
        }
        loop {
            if let Some(bytes) = self.next_sealed().await? {
                return Ok(Some(self.advance(bytes)));
            }
            if self.chunk.is_none() {
                let piece = self.plan.piece(self.left.clone()).await?;
                if let Some(bytes) = self.open_piece(piece).await? {
                    return Ok(Some(self.advance(bytes)));
                }
            } else if let Some(bytes) = self.next_of_chunk().await? {
                return Ok(Some(self.advance(bytes)));
            }
        }
    }

    /// The next bytes of the open chunk. `None` if it has none any more, or was found moved: its segment was rewritten
    /// meanwhile, so its place has to be looked up again, to go on from where we are.
    async fn next_of_chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(chunk) = &mut self.chunk else { return Ok(None) };
        match chunk.next().await {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            Ok(None) => {}
            Err(ReadError::Moved) => {
                self.moved += 1;
                if self.moved > MOVES_MAX {
                    return Err(Error::Corrupt { what: "segment (missing)", place: format!("{:?}", self.left) });
                }
            }
            Err(ReadError::Engine(error)) => return Err(error),
        }
        self.chunk = None;
        Ok(None)
    }

    fn advance(&mut self, bytes: Bytes) -> Bytes {
        self.left.start += u64::try_from(bytes.len()).expect("a length in memory fits 64 bits");
        bytes
    }

    /// Opens the chunk of a piece, or the sealed content; returns its bytes if they live in the index.
    async fn open_piece(&mut self, piece: Piece) -> Result<Option<Bytes>> {
        match piece {
            Piece::Sealed { content, range } => {
                let key = self.key.as_ref().ok_or(Error::Sealed)?;
                self.sealed = Some(SealedRange::new(key, content, range)?);
                Ok(None)
            }
            Piece::Inline { content, range } => {
                let bytes = self.inner.inline(content.id).await?.ok_or_else(|| missing("inline bytes", content.id))?;
                Ok(Some(whole(bytes, &content)?.slice(range)))
            }
            Piece::Blob { blob, range } => {
                let (_, placement) = self.inner.placement(&blob, self.pools).await?;
                self.chunk = Some(self.inner.blobs.reader(&blob, &placement, range));
                Ok(None)
            }
        }
    }

    /// The next bytes of what is stored of a content, from an offset up to an end.
    async fn next_stored(&mut self, content: &Content, range: Range<u64>) -> Result<Bytes> {
        if let Some(inline) = &self.inline {
            return Ok(inline.slice(position(range.start)..position(range.end)));
        }
        loop {
            if self.chunk.is_none() {
                let piece = self.plan.stored_piece(content, range.start, range.end - range.start).await?;
                if let Some(bytes) = self.open_piece(piece).await? {
                    return Ok(bytes);
                }
            }
            if let Some(bytes) = self.next_of_chunk().await? {
                return Ok(bytes);
            }
        }
    }

    /// The bytes of the next piece of the sealed content that is being read, if one is.
    async fn next_sealed(&mut self) -> Result<Option<Bytes>> {
        while let Some(sealed) = &mut self.sealed {
            let Some(wanted) = sealed.wanted() else {
                let bytes = sealed.open()?;
                if sealed.is_empty() {
                    (self.sealed, self.chunk) = (None, None);
                }
                return Ok(Some(bytes));
            };
            let content = Arc::clone(&sealed.content);
            let bytes = self.next_stored(&content, wanted).await?;
            if let Some(sealed) = &mut self.sealed {
                sealed.take(bytes);
            }
        }
        Ok(None)
    }

    /// All bytes that are left. For small objects: the caller bounds the memory.
    pub async fn collect(mut self) -> Result<Bytes> {
        let mut all = bytes::BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if all.is_empty() && self.left.is_empty() {
                return Ok(bytes);
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }
}

impl Store {
    /// Opens a version of a key.
    ///
    /// `Err(NotFound(Bucket | Key | Version))` as it says; `Err(DeleteMarker)` if the version found is a marker.
    pub async fn object(&self, bucket: &BucketName, key: &ObjectKey, version: VersionSelector) -> Result<OpenObject> {
        let reader = self.inner.readers.enter();
        loop {
            let known = self.bucket(bucket).await?;
            match self.object_in(&reader, &known, key, version).await {
                // Versioning may have been enabled since, and the key may have got a marker.
                Err(Error::NotFound(_)) if !known.was_versioned() && self.bucket(bucket).await?.was_versioned() => {}
                opened => return opened,
            }
        }
    }

    async fn object_in(
        &self,
        reader: &Reader,
        bucket: &Bucket,
        key: &ObjectKey,
        version: VersionSelector,
    ) -> Result<OpenObject> {
        let sought = Sought { bucket: bucket.id, versioned: bucket.was_versioned(), key: key.clone(), version };
        let found = self.inner.index.at_once(move |rows| sought.look_up(rows)).await?;
        let missing = if version == VersionSelector::Current { Entity::Key } else { Entity::Version };
        let found = found.ok_or(Error::NotFound(missing))?;
        let stamp = found.stamp;
        let loses = found.record.object.as_ref().is_some_and(|object| may_be_lost(object.residence.class));
        let loses = loses.then(|| VersionName { bucket: bucket.id, key: key.as_str().to_owned(), stamp });
        let opened = self.open_version(reader, bucket, found, version);
        // Small bytes are read at once.
        if let (Err(Error::Corrupt { .. }), Some(name)) = (&opened, &loses) {
            self.inner.tell_lost(name).await;
        }
        let mut open = opened?;
        open.loses = loses;
        let tiered = open.info.class == StorageClass::IntelligentTiering;
        open.accessed =
            (tiered && is_monitored(open.info.size)).then(|| Accessed { bucket: bucket.id, key: key.clone(), stamp });
        Ok(open)
    }

    /// Opens a version that was found.
    fn open_version(
        &self,
        reader: &Reader,
        bucket: &Bucket,
        found: Found,
        version: VersionSelector,
    ) -> Result<OpenObject> {
        let Found { stamp, record, inline } = found;
        let version_id = if record.null { VersionId::Null } else { VersionId::Stamp(stamp) };
        let Some(object) = record.object else {
            let by_id = version != VersionSelector::Current;
            return Err(Error::DeleteMarker { version_id, modified: stamp.time, by_id });
        };
        let inline = match &object.body {
            Body::Single(content) if content.form == ContentForm::Inline => {
                let value = inline.ok_or_else(|| missing("inline bytes", content.id))?;
                Some(whole(inline::decode(&self.inner.keys, content.id, value)?, content)?)
            }
            _ => None,
        };
        let pools = object.residence.pools;
        let (info, body) = split(object, stamp, version_id, bucket, self.inner.clock.now());
        let (inner, held) = (Arc::clone(&self.inner), Arc::new(reader.hold(body.id())));
        Ok(OpenObject { inner, held, info, body, pools, inline, key: None, accessed: None, loses: None })
    }
}

impl Inner {
    /// Where a blob is that something readable refers to, looked for in `pools` first. A blob that is brought from one
    /// pool to another is in at least one of them at every moment.
    pub(crate) async fn placement(&self, blob: &BlobId, pools: PoolSet) -> Result<(Pool, Placement)> {
        for pool in pools.iter() {
            let row = key::stored_blob(&StoredBlob { id: *blob, pool });
            if let Some(placement) = self.index.record(Family::Blob, row).await? {
                return Ok((pool, placement));
            }
        }
        // It left those pools since they were read.
        let missing = || Error::Corrupt { what: "blob row (missing)", place: hex::encode(blob.0) };
        self.find_blob(blob).await?.ok_or_else(missing)
    }

    /// As `placement`, of a blob that the caller has pinned, if the zones that can be reached are enough to read it.
    pub(crate) async fn readable_placement(&self, blob: &BlobId, pools: PoolSet) -> Result<(Pool, Placement)> {
        let mut before = None;
        loop {
            let found = self.placement(blob, pools).await?;
            if self.blobs.is_readable(&found.1) {
                return Ok(found);
            }
            // Unless its segment was just rewritten, it has the same place again.
            if before.replace(found) == Some(found) {
                let lost = Error::Corrupt { what: "segment (too few shards)", place: hex::encode(blob.0) };
                return Err(if self.has_lost_zone() { Error::ZoneAway } else { lost });
            }
        }
    }

    /// Whether a zone is lost, so that what cannot be read may come back with it.
    pub(crate) fn has_lost_zone(&self) -> bool {
        self.blobs.zones().iter().any(|zone| zone.state == ZoneState::Lost)
    }

    /// Where a blob is, in whatever pool. All its rows are seen as of one moment.
    pub(crate) async fn find_blob(&self, blob: &BlobId) -> Result<Option<(Pool, Placement)>> {
        let from = blob.0.to_vec();
        let found =
            self.index.read(move |rows| rows.first(Family::Blob, &from, &key::after_prefix(from.clone()))).await?;
        let Some((row, value)) = found else { return Ok(None) };
        let pool =
            row.last().and_then(|&number| Pool::from_number(number)).ok_or_else(|| key::corrupt("blob row", &row))?;
        Ok(Some((pool, Placement::decode(&value)?)))
    }

    /// Reads a range of a blob that the caller has pinned, wherever it is by now.
    pub(crate) async fn read_blob(&self, blob: &BlobId, range: Range<u32>) -> Result<Vec<Bytes>> {
        for _ in 0..=MOVES_MAX {
            let (_, placement) = self.placement(blob, PoolSet::EMPTY).await?;
            let mut reader = self.blobs.reader(blob, &placement, range.clone());
            let mut found = Vec::new();
            loop {
                match reader.next().await {
                    Ok(Some(bytes)) => found.push(bytes),
                    Ok(None) => return Ok(found),
                    Err(ReadError::Moved) => break,
                    Err(ReadError::Engine(error)) => return Err(error),
                }
            }
        }
        Err(Error::Corrupt { what: "segment (missing)", place: hex::encode(blob.0) })
    }

    /// The small bytes of a content.
    pub(crate) async fn inline(&self, content: Stamp) -> Result<Option<Bytes>> {
        let value = self.index.get(Family::Inline, content.to_bytes().to_vec()).await?;
        value.map(|value| inline::decode(&self.keys, content, value)).transpose()
    }
}

fn split(
    object: ObjectRecord,
    stamp: Stamp,
    version_id: VersionId,
    bucket: &Bucket,
    now: Timestamp,
) -> (ObjectInfo, Body) {
    let readable = object.residence.is_readable(now);
    let Residence { class, tier, restore, .. } = object.residence;
    let parts_count = match &object.body {
        Body::Single(_) => 0,
        Body::Parts { count, .. } => *count,
    };
    let info = ObjectInfo {
        version_id,
        size: object.size,
        etag: object.etag,
        modified: stamp.time,
        class,
        tier,
        restore: restore.filter(|restore| restore.is_told(now)),
        readable,
        checksum: object.checksum,
        metadata: object.metadata,
        tags: object.tags,
        parts_count,
        bucket_versioned: bucket.was_versioned(),
        protection: object.protection,
        replication: object.replication,
        stamp,
    };
    (info, object.body)
}

/// What is stored of a small content, if it is as much as the content says.
pub(crate) fn whole(bytes: Bytes, content: &Content) -> Result<Bytes> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length == content.stored_bytes()) {
        return Ok(bytes);
    }
    Err(missing("inline bytes (wrong length)", content.id))
}

fn missing(what: &'static str, content: Stamp) -> Error {
    Error::Corrupt { what, place: hex::encode(content.to_bytes()) }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("an object in the index is small")
}
