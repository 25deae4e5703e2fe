//! Content that is known already: named by the hashes of its chunks, it is staged without being sent.
//!
//! Who names a chunk need not have it. So this is for those only who may read everything that the store holds: whether a
//! chunk is known, and then what it holds, would be told to anybody else.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::blob::BlobId;
use crate::checksum::{Digests, Hasher};
use crate::error::Result;
use crate::get::OpenObject;
use crate::index::record::ChunkRef;
use crate::plan::Piece;
use crate::stage::{ChunkList, INLINE_BYTES_MAX, Staged, StagedForm};
use crate::store::Store;

/// A piece of content: a range of what a hash names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownChunk {
    /// The BLAKE3 of the whole that the piece is taken from.
    pub blob: [u8; 32],
    /// Where in it the piece begins, in bytes.
    pub offset: u32,
    /// How long it is, in bytes.
    pub bytes: u32,
}

impl OpenObject {
    /// The chunks of a range, at most `max`; `None` if they are more, or some of it has no name: small bytes, and what is
    /// sealed with a key of its own.
    pub async fn chunks(&self, mut range: Range<u64>, max: usize) -> Result<Option<Vec<KnownChunk>>> {
        let mut plan = self.plan();
        let mut found = Vec::new();
        while !range.is_empty() {
            let piece = plan.piece(range.clone()).await?;
            range.start += piece.bytes();
            let Piece::Blob { blob, range } = piece else { return Ok(None) };
            if found.len() == max {
                return Ok(None);
            }
            found.push(KnownChunk { blob: blob.0, offset: range.start, bytes: range.end - range.start });
        }
        Ok(Some(found))
    }
}

impl Store {
    /// Stages content by the names of its chunks, if the store has all of them: they are read for their digests, and no byte
    /// is written. `Ok(None)` if one is not known, or the whole is too small to have names.
    pub async fn stage_known(&self, chunks: &[KnownChunk], digests: Digests) -> Result<Option<Staged>> {
        self.inner.check_takes_bytes()?;
        let size = chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum();
        if size <= INLINE_BYTES_MAX {
            return Ok(None);
        }
        let writer = self.inner.writers.enter();
        let (mut list, mut hasher) = (ChunkList::default(), Hasher::new(digests));
        for KnownChunk { blob, offset, bytes } in chunks {
            let chunk = ChunkRef { blob: BlobId(*blob), offset: *offset, bytes: *bytes };
            if !list.add_known(&self.inner, chunk).await? {
                return Ok(None);
            }
            let Some(end) = offset.checked_add(*bytes) else { return Ok(None) };
            for piece in self.inner.read_blob(&chunk.blob, *offset..end).await? {
                hasher.update(&piece);
            }
        }
        let (md5, checksums) = hasher.finish();
        let form = StagedForm::Chunks(list.finish(&self.inner.blobs).await?);
        Ok(Some(Staged { id: self.inner.stamp(), size, md5, checksums, form, seal: None, writer }))
    }
}
