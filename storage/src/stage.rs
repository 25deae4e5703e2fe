//! Staging: a body becomes durable bytes that nothing names yet.
//!
//! The order of the steps is what this file is for. The process may die between any two:
//!
//! 1. Write: pieces are hashed, sealed if the body has a data key of its own, and written to segments as they arrive; up
//!    to 4 KiB stay in memory.
//! 2. Finish: the last piece is written, the segments reach stable storage, the digests are known.
//! 3. Somebody else commits an index batch that names the bytes (`put`, `multipart`).
//!
//! Dying, failing or dropping a stage before 3 leaves unnamed bytes, which `worker::collect` reclaims with their
//! segment. Nothing on this path deletes. A blob is pinned before it is looked up, and until the batch is durable,
//! so a blob that is found cannot be collected before the new reference to it counts.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::blob::{BlobId, Blobs, LargeWriter, Placement, StreamHint, Ticket};
use crate::checksum::{Checksum, ChecksumAlgorithm, Digests, Sums};
use crate::cipher::{ContentSalt, DataKey, Keys, Sealer, salt, sealed_bytes};
use crate::error::{Error, Result};
use crate::index::record::{CHUNKS_INLINE_MAX, CHUNKS_PER_PAGE, ChunkRef, Content, ContentForm, StoredBlob};
use crate::index::{Batch, Family, inline, key};
use crate::lanes::LaneMd5;
use crate::locks::{Pin, Reader};
use crate::object::{ETag, StorageClass};
use crate::pool::{Pool, PoolSet};
use crate::stamp::Stamp;
use crate::store::{Inner, Store};
use crate::worker::Foreground;

/// Bodies up to this size live in the index, where they cost one sync instead of two.
pub(crate) const INLINE_BYTES_MAX: u64 = 4 << 10;
/// Chunks up to this size are gathered in memory and share a group's write; larger ones are written as they arrive.
pub(crate) const SMALL_CHUNK_BYTES_MAX: u64 = 1 << 20;
/// The size of every chunk of a large body but the last.
pub(crate) const CHUNK_BYTES: u64 = 8 << 20;

/// So many bytes are taken between two looks at the room, and a piece that is larger: the most that a body goes beyond what
/// may be used of a disk.
const LOOKED_EVERY_BYTES: u64 = 4 << 20;

/// What the digest of a sealed body's entity tag is derived for.
const ETAG: &str = "entity tag";

/// How a body will arrive.
#[derive(Debug, Clone, Default)]
pub struct StageOptions {
    /// The exact length in bytes if it is known, which lets large bodies go to the disk in large pieces.
    /// Writing more or less than this is `Err(SizeMismatch)`.
    pub size: Option<u64>,
    /// The checksums to compute besides MD5.
    pub digests: Digests,
    /// The data key to seal the body with, if it is to have one of its own. Sizes and digests stay those of the plain
    /// body; the entity tag does not.
    pub seal: Option<DataKey>,
}

/// A body on its way in. Dropping it forgets the bytes.
pub struct Stage {
    inner: Arc<Inner>,
    expected: Option<u64>,
    /// The size of what is to be stored, if it is known.
    expected_stored: Option<u64>,
    md5: LaneMd5,
    sums: Sums,
    seal: Option<BodySeal>,
    hint: StreamHint,
    size: u64,
    /// How many bytes more are taken before the next look at the room.
    fit: u64,
    open: OpenChunk,
    chunks: ChunkList,
    /// Keeps the segments that are written to until the bytes are named or forgotten.
    writer: Reader,
    _foreground: Foreground,
}

/// How a body is sealed.
struct BodySeal {
    key: DataKey,
    salt: ContentSalt,
    sealer: Sealer,
}

/// The chunk that is being filled.
enum OpenChunk {
    Small(BytesMut),
    Large { writer: Box<LargeWriter>, left: u64 },
}

impl Store {
    /// Begins to take in a body.
    pub fn stage(&self, options: StageOptions) -> Stage {
        let StageOptions { size, digests, seal } = options;
        let seal = seal.map(|key| {
            let salt = ContentSalt(salt(&*self.inner.entropy));
            BodySeal { sealer: Sealer::new(&key, &salt), key, salt }
        });
        let expected_stored = size.map(|size| if seal.is_some() { sealed_bytes(size) } else { size });
        Stage {
            inner: Arc::clone(&self.inner),
            expected: size,
            expected_stored,
            md5: LaneMd5::new(),
            sums: Sums::new(digests),
            seal,
            hint: StreamHint::new(expected_stored),
            size: 0,
            fit: 0,
            open: OpenChunk::Small(BytesMut::new()),
            chunks: ChunkList::default(),
            writer: self.inner.writers.enter(),
            _foreground: self.inner.budget.foreground(),
        }
    }

    /// Stages bytes that are in memory, with a CRC64NVME.
    pub async fn stage_bytes(&self, bytes: impl Into<Bytes>) -> Result<Staged> {
        let bytes = bytes.into();
        let size = u64::try_from(bytes.len()).expect("a length in memory fits 64 bits");
        let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
        let mut stage = self.stage(StageOptions { size: Some(size), digests, seal: None });
        stage.write(bytes).await?;
        stage.finish().await
    }
}

impl Stage {
    /// Takes the next bytes of the body, waiting when the disk is behind.
    ///
    /// `Err` means that the disk refused, or that more bytes came than were announced; the stage is of no more use.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let size = self.size + length(&bytes);
        if let Some(expected) = self.expected.filter(|&expected| size > expected) {
            return Err(Error::SizeMismatch { expected, actual: size });
        }
        self.check_takes(length(&bytes))?;
        self.sums.update(&bytes);
        self.size = size;
        self.md5.update(&self.inner.lanes, bytes.clone()).await?;
        let mut left = bytes;
        while let Some(seal) = &mut self.seal {
            let (sealed, rest) = seal.sealer.take(left);
            if let Some(sealed) = sealed {
                self.store(sealed).await?;
            }
            if rest.is_empty() {
                return Ok(());
            }
            left = rest;
        }
        self.store(left).await
    }

    /// Refuses bytes that there is no room for, as of a moment ago: to ask for it is a call for each zone.
    fn check_takes(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.fit {
            self.inner.check_takes_bytes()?;
            self.fit = bytes.max(LOOKED_EVERY_BYTES);
        }
        self.fit -= bytes;
        self.inner.check_writable()
    }

    /// Puts bytes, sealed if they are to be, into chunks.
    async fn store(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.fill(bytes).await?;
        }
        Ok(())
    }

    /// Puts as many bytes into the open chunk as it takes, and returns the rest.
    async fn fill(&mut self, mut bytes: Bytes) -> Result<Bytes> {
        if let OpenChunk::Small(gathered) = &self.open
            && gathered.is_empty()
        {
            self.open = self.begin_chunk().await?;
        }
        match &mut self.open {
            OpenChunk::Small(gathered) => {
                let room = to_usize(SMALL_CHUNK_BYTES_MAX) - gathered.len();
                gathered.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
                if gathered.len() == to_usize(SMALL_CHUNK_BYTES_MAX) {
                    self.end_chunk().await?;
                }
            }
            OpenChunk::Large { writer, left } => {
                let piece = bytes.split_to(to_usize((*left).min(length(&bytes))));
                *left -= length(&piece);
                writer.write(piece).await?;
                if *left == 0 {
                    self.end_chunk().await?;
                }
            }
        }
        Ok(bytes)
    }

    /// Opens the chunk at the present position: a large one if its size is known to be large.
    async fn begin_chunk(&mut self) -> Result<OpenChunk> {
        let left = self.expected_stored.map_or(0, |expected| expected - self.chunks.bytes);
        let chunk = left.min(CHUNK_BYTES);
        if chunk <= SMALL_CHUNK_BYTES_MAX {
            return Ok(OpenChunk::Small(BytesMut::with_capacity(to_usize(chunk))));
        }
        let writer = Box::new(self.inner.blobs.begin_large(Pool::Hot, chunk, &self.hint).await?);
        Ok(OpenChunk::Large { writer, left: chunk })
    }

    async fn end_chunk(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.open, OpenChunk::Small(BytesMut::new())) {
            OpenChunk::Small(bytes) if bytes.is_empty() => Ok(()),
            OpenChunk::Small(bytes) => self.chunks.add_small(&self.inner, bytes.freeze()).await,
            OpenChunk::Large { writer, .. } => {
                let (blob, placement, ticket) = writer.finish().await?;
                self.chunks.add_written(&self.inner, blob, placement, ticket).await
            }
        }
    }

    /// Ends the body. `Ok` means that its bytes are on stable storage; nothing names them yet.
    pub async fn finish(mut self) -> Result<Staged> {
        if let Some(expected) = self.expected.filter(|&expected| expected != self.size) {
            return Err(Error::SizeMismatch { expected, actual: self.size });
        }
        // Empty bodies come here without a write, and their rows take room too.
        self.inner.check_takes_bytes()?;
        self.md5.end(&self.inner.lanes).await?;
        let mut seal = None;
        if let Some(BodySeal { key, salt, sealer }) = self.seal.take() {
            if let Some(sealed) = sealer.finish() {
                self.store(sealed).await?;
            }
            seal = Some((key, salt));
        }
        let form = match std::mem::replace(&mut self.open, OpenChunk::Small(BytesMut::new())) {
            OpenChunk::Small(bytes) if self.size <= INLINE_BYTES_MAX => StagedForm::Inline(bytes.freeze()),
            open => {
                self.open = open;
                self.end_chunk().await?;
                StagedForm::Chunks(self.chunks.finish(&self.inner.blobs).await?)
            }
        };
        let md5 = self.md5.finish().await?;
        let checksums = self.sums.finish(md5);
        let seal = seal.map(|(key, salt)| StagedSeal { salt, digest: key.digest(ETAG, &md5) });
        let id = self.inner.stamp();
        Ok(Staged { id, size: self.size, md5, checksums, form, seal, writer: self.writer })
    }
}

/// The chunks staged so far.
#[derive(Default)]
pub(crate) struct ChunkList {
    staged: StagedChunks,
    known: HashMap<BlobId, Pool>,
    tickets: Vec<Ticket>,
    bytes: u64,
}

/// Chunks in order with their pools, the places of those that are new, and the pins that keep all of them.
#[derive(Default)]
pub(crate) struct StagedChunks {
    chunks: Vec<ChunkRef>,
    pools: Vec<Pool>,
    new: Vec<(BlobId, Placement)>,
    pins: Vec<Pin>,
}

impl ChunkList {
    /// Writes a chunk that is in memory, unless the store has it.
    pub(crate) async fn add_small(&mut self, inner: &Inner, bytes: Bytes) -> Result<()> {
        let (blob, table) = Blobs::hash(&bytes);
        let size = u32::try_from(bytes.len()).expect("a small chunk has at most 1 MiB");
        if !self.is_stored(inner, blob).await? {
            let placement = inner.blobs.append(Pool::Hot, blob, vec![bytes], table).await?;
            self.staged.new.push((blob, placement));
        }
        self.push(ChunkRef { blob, offset: 0, bytes: size }, Pool::Hot);
        Ok(())
    }

    /// Takes a chunk that was written already. If the store has it, its bytes are left as garbage.
    async fn add_written(&mut self, inner: &Inner, blob: BlobId, placement: Placement, ticket: Ticket) -> Result<()> {
        if !self.is_stored(inner, blob).await? {
            self.staged.new.push((blob, placement));
            self.tickets.push(ticket);
        }
        self.push(ChunkRef { blob, offset: 0, bytes: placement.plain_bytes }, Pool::Hot);
        Ok(())
    }

    /// Takes a range of a blob that the caller's open object keeps alive, in the pool where it is, which is returned.
    /// `Err` if it is known that it cannot be read there.
    pub(crate) async fn add_stored(&mut self, inner: &Inner, chunk: ChunkRef, pools: PoolSet) -> Result<Pool> {
        let pool = match self.known.get(&chunk.blob) {
            Some(pool) => *pool,
            None => {
                // Pinned first: from now on the blob leaves no pool where the look finds it.
                self.staged.pins.push(inner.pins.pin(chunk.blob).await);
                let (found, _) = inner.readable_placement(&chunk.blob, pools).await?;
                self.known.insert(chunk.blob, found);
                found
            }
        };
        self.push(chunk, pool);
        Ok(pool)
    }

    /// Takes a range of a blob that may not be there. `Ok(false)` if it is not, or only where it cannot be read at once, or
    /// where one zone has it: it is to be as safe as if it had been sent.
    pub(crate) async fn add_known(&mut self, inner: &Inner, chunk: ChunkRef) -> Result<bool> {
        if !self.known.contains_key(&chunk.blob) {
            // Pinned first, as above.
            self.staged.pins.push(inner.pins.pin(chunk.blob).await);
        }
        let end = u64::from(chunk.offset) + u64::from(chunk.bytes);
        match inner.find_blob(&chunk.blob).await? {
            Some((pool, placement))
                if matches!(pool, Pool::Hot | Pool::Cool)
                    && chunk.bytes > 0
                    && end <= u64::from(placement.plain_bytes) =>
            {
                self.known.insert(chunk.blob, pool);
                self.push(chunk, pool);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn push(&mut self, chunk: ChunkRef, pool: Pool) {
        self.bytes += u64::from(chunk.bytes);
        self.staged.chunks.push(chunk);
        self.staged.pools.push(pool);
    }

    /// Pins a blob, then says whether it has a place in the hot pool already: in the index, or earlier in this body.
    async fn is_stored(&mut self, inner: &Inner, blob: BlobId) -> Result<bool> {
        if self.known.insert(blob, Pool::Hot) == Some(Pool::Hot) {
            return Ok(true);
        }
        self.staged.pins.push(inner.pins.pin(blob).await);
        let row = key::stored_blob(&StoredBlob { id: blob, pool: Pool::Hot });
        Ok(inner.index.get(Family::Blob, row).await?.is_some())
    }

    /// Waits until every chunk is on stable storage.
    pub(crate) async fn finish(self, blobs: &Blobs) -> Result<StagedChunks> {
        if !self.tickets.is_empty() {
            blobs.sync(self.tickets).await?;
        }
        Ok(self.staged)
    }
}

/// How to stage a copy of stored bytes.
#[derive(Debug, Clone, Default)]
pub struct CopyStage {
    /// The bytes of the source to take; `None` for all.
    pub range: Option<std::ops::Range<u64>>,
    /// The class that the copy is put with, or the upload's whose part it becomes.
    pub class: StorageClass,
    /// The checksums wanted. Those that the source has for exactly these bytes are taken over; for others the bytes
    /// are read and hashed.
    pub digests: Digests,
    /// The data key to seal the copy with, if it is to have one of its own.
    pub seal: Option<DataKey>,
}

/// Durable bytes that nothing names yet, with their digests. Dropping it forgets them.
pub struct Staged {
    pub(crate) id: Stamp,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) form: StagedForm,
    pub(crate) seal: Option<StagedSeal>,
    pub(crate) writer: Reader,
}

/// How staged bytes are sealed with a data key of their own.
pub(crate) struct StagedSeal {
    salt: ContentSalt,
    /// What the entity tag has in place of the MD5.
    digest: [u8; 16],
}

pub(crate) enum StagedForm {
    Inline(Bytes),
    Chunks(StagedChunks),
}

impl Staged {
    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The MD5 of the bytes, as they were before they were sealed.
    pub fn md5(&self) -> [u8; 16] {
        self.md5
    }

    /// The entity tag: the MD5, or, of sealed bytes, what follows from it and their key, which tells nothing of them.
    pub fn etag(&self) -> ETag {
        ETag::single(self.seal.as_ref().map_or(self.md5, |seal| seal.digest))
    }

    /// Whether they are sealed with a data key of their own.
    pub fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// The full-object checksum of that algorithm, if it was asked for.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<&Checksum> {
        self.checksums.iter().find(|checksum| checksum.algorithm == algorithm)
    }

    /// Adds to `batch` what makes the bytes belong to the content returned, and hands it the pins. The set says in
    /// which pools the content wants its chunks.
    pub(crate) fn attach(self, keys: &Keys, batch: &mut Batch) -> (Content, PoolSet) {
        let mut pools = PoolSet::EMPTY;
        let form = match self.form {
            StagedForm::Inline(bytes) if bytes.is_empty() => ContentForm::Empty,
            StagedForm::Inline(bytes) => {
                batch.put_raw(Family::Inline, self.id.to_bytes().to_vec(), inline::encode(keys, self.id, &bytes));
                ContentForm::Inline
            }
            StagedForm::Chunks(staged) => {
                batch.hold(self.writer);
                pools = staged.pools.iter().fold(pools, |pools, &pool| pools.with(pool));
                staged.attach(self.id, batch)
            }
        };
        (Content { id: self.id, bytes: self.size, form, seal: self.seal.map(|seal| seal.salt) }, pools)
    }
}

impl StagedChunks {
    fn attach(self, id: Stamp, batch: &mut Batch) -> ContentForm {
        for (blob, placement) in self.new {
            batch.add_blob(StoredBlob { id: blob, pool: Pool::Hot }, placement);
        }
        for (chunk, &pool) in self.chunks.iter().zip(&self.pools) {
            let blob = StoredBlob { id: chunk.blob, pool };
            batch.put_raw(Family::Reference, key::reference(&blob, id), Vec::new());
        }
        for pin in self.pins {
            batch.hold(pin);
        }
        if self.chunks.len() <= CHUNKS_INLINE_MAX {
            return ContentForm::Chunks(self.chunks);
        }
        let mut starts = Vec::new();
        let mut offset = 0;
        for (number, page) in (0..).zip(self.chunks.chunks(CHUNKS_PER_PAGE)) {
            starts.push(offset);
            offset += page.iter().map(|chunk| u64::from(chunk.bytes)).sum::<u64>();
            batch.put(Family::Manifest, key::page(id, number), &page.to_vec());
        }
        ContentForm::Pages(starts)
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits 64 bits")
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("chunks are far smaller than the address space")
}
