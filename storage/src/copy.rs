//! Copies: existing bytes staged once more, by reference where their digests are known, else after reading them.
//!
//! Where neither is sealed with a data key of its own, no byte of a blob is written. Otherwise the bytes are read, opened, sealed with
//! the copy's key and stored as those of any body are. So are those that only one zone has, unless the copy is to be in one zone too:
//! what is acknowledged survives what its class says.
//!
//! The source's reader keeps its blobs while they are pinned; the pins travel with the
//! batch that will name them again, so no collection comes between.

use std::ops::Range;

use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, Digests, Hasher};
use crate::cipher::DataKey;
use crate::error::{Error, Result};
use crate::get::{OpenObject, whole};
use crate::index::record::ChunkRef;
use crate::object::StorageClass;
use crate::plan::Piece;
use crate::pool::{Pool, PoolSet};
use crate::residence::home;
use crate::stage::{ChunkList, CopyStage, INLINE_BYTES_MAX, StageOptions, Staged, StagedForm};
use crate::store::Store;
use crate::tiering::Tier;

impl Store {
    /// Stages bytes of a stored object, to be put or to become a part. A source that is sealed must have been unsealed.
    /// If neither it nor the copy is sealed with a data key of its own, nor brought from one zone into several, no bytes are
    /// written, and they are read only where a digest of exactly these bytes is not known yet (the MD5 of a multipart
    /// object, of a range, or a checksum that the source lacks). The range must lie within the object.
    ///
    /// `Err` as of reading, also if no bytes are read but their zones are known to be away or to have lost them.
    pub async fn stage_copy(&self, source: &OpenObject, options: CopyStage) -> Result<Staged> {
        self.inner.check_takes_bytes()?;
        source.check_readable()?;
        source.note_access();
        let CopyStage { range, class, digests, seal } = options;
        let range = range.unwrap_or(0..source.info.size);
        if seal.is_some() || source.info.protection.encryption.is_sealed() {
            return self.restage(source, range, (digests, seal)).await;
        }
        let writer = self.inner.writers.enter();
        let size = range.end - range.start;
        let form = if size <= INLINE_BYTES_MAX {
            StagedForm::Inline(source.read(range.clone()).collect().await?)
        } else {
            match self.refer(source, range.clone(), class).await? {
                Some(chunks) => StagedForm::Chunks(chunks.finish(&self.inner.blobs).await?),
                None => return self.restage(source, range, (digests, None)).await,
            }
        };
        let (md5, checksums) = match known_digests(source, &range, digests) {
            Some(known) => known,
            None => hash(source, range, digests).await?,
        };
        Ok(Staged { id: self.inner.stamp(), size, md5, checksums, form, seal: None, writer })
    }

    /// Reads the bytes and stages them as a body.
    async fn restage(
        &self,
        source: &OpenObject,
        range: Range<u64>,
        (digests, seal): (Digests, Option<DataKey>),
    ) -> Result<Staged> {
        let mut stage = self.stage(StageOptions { size: Some(range.end - range.start), digests, seal });
        let mut bytes = source.read(range);
        while let Some(piece) = bytes.next().await? {
            stage.write(piece).await?;
        }
        stage.finish().await
    }

    /// The chunks of a copy of that class where they are. `None` if one is only in one zone, which is too few for it.
    async fn refer(
        &self,
        source: &OpenObject,
        mut range: Range<u64>,
        class: StorageClass,
    ) -> Result<Option<ChunkList>> {
        let is_spread = home(class, Tier::Frequent) != Pool::OneZone;
        let pools = if is_spread { source.pools.without(PoolSet::of(Pool::OneZone)) } else { source.pools };
        let mut plan = source.plan();
        let mut chunks = ChunkList::default();
        while !range.is_empty() {
            let piece = plan.piece(range.clone()).await?;
            range.start += piece.bytes();
            match piece {
                Piece::Blob { blob, range } => {
                    let chunk = ChunkRef { blob, offset: range.start, bytes: range.end - range.start };
                    if chunks.add_stored(&self.inner, chunk, pools).await? == Pool::OneZone && is_spread {
                        return Ok(None);
                    }
                }
                Piece::Sealed { .. } => return Err(Error::Sealed),
                // The small last part of a multipart object: within a longer copy its bytes become a blob.
                Piece::Inline { content, range } => {
                    let bytes = self.inner.inline(content.id).await?;
                    let place = || hex::encode(content.id.to_bytes());
                    let bytes = bytes.ok_or_else(|| Error::Corrupt { what: "inline bytes", place: place() })?;
                    chunks.add_small(&self.inner, whole(bytes, &content)?.slice(range)).await?;
                }
            }
        }
        Ok(Some(chunks))
    }
}

/// The digests of the whole of an object written at once, if all that are wanted are known.
fn known_digests(source: &OpenObject, range: &Range<u64>, wanted: Digests) -> Option<([u8; 16], Vec<Checksum>)> {
    if *range != (0..source.info.size) || source.info.parts_count > 0 {
        return None;
    }
    let known = source.info.checksum.iter().filter(|checksum| checksum.kind == ChecksumKind::FullObject);
    let checksums: Vec<Checksum> = known.filter(|checksum| wanted.contains(checksum.algorithm)).cloned().collect();
    let is_known = |algorithm| checksums.iter().any(|checksum| checksum.algorithm == algorithm);
    let mut missing = ChecksumAlgorithm::ALL.into_iter().filter(|&algorithm| wanted.contains(algorithm));
    missing.all(is_known).then_some((source.info.etag.digest, checksums))
}

impl OpenObject {
    /// The MD5 of a range, which is read for that. The range must lie within the object. Errors are those of reading.
    pub async fn md5_of(&self, range: Range<u64>) -> Result<[u8; 16]> {
        match known_digests(self, &range, Digests::NONE) {
            Some((md5, _)) if !self.info.protection.encryption.is_sealed() => Ok(md5),
            _ => Ok(hash(self, range, Digests::NONE).await?.0),
        }
    }
}

async fn hash(source: &OpenObject, range: Range<u64>, wanted: Digests) -> Result<([u8; 16], Vec<Checksum>)> {
    let mut hasher = Hasher::new(wanted);
    let mut bytes = source.read(range);
    while let Some(piece) = bytes.next().await? {
        hasher.update(&piece);
    }
    Ok(hasher.finish())
}
