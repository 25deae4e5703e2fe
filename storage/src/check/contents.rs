//! Contents: that everything a body or a part needs is there. What is there is claimed.
//!
//! Of garbage some may be gone already: what is there is claimed, and nothing is missed.

use std::collections::HashSet;

use super::{Check, FindingKind};
use crate::blob::{BlobId, Placement};
use crate::error::Result;
use crate::index::record::{Body, ChunkRef, Content, ContentForm, PartEntry, Record, StoredBlob};
use crate::index::{Family, inline, key};
use crate::pool::PoolSet;
use crate::stamp::Stamp;

/// Pages of chunks that are kept apart by their names at once: a quarter of a million names in memory.
const PAGES_AT_ONCE: usize = 256;

/// Whose content it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    /// How it is named.
    pub(super) shown: &'a str,
    /// Whether it is garbage.
    pub(super) is_garbage: bool,
    /// The pools in which its chunks may be.
    pub(super) pools: PoolSet,
}

impl Check<'_> {
    /// Looks at the bytes of a version. Returns their size, if that is known.
    pub(super) fn body(&mut self, body: &Body, owner: Owner<'_>) -> Result<Option<u64>> {
        let (table, count, starts) = match body {
            Body::Single(content) => {
                self.content(content, owner)?;
                return Ok(Some(content.bytes));
            }
            Body::Parts { table, count, pages } => (*table, *count, pages),
        };
        let (mut parts, mut size) = (0_usize, Some(0_u64));
        for (number, &start) in (0..).zip(starts) {
            let Some(page) = self.page::<Vec<PartEntry>>(table, number, owner)? else {
                size = None;
                continue;
            };
            if size.is_some_and(|size| size != start) && !owner.is_garbage {
                self.find(
                    FindingKind::ContentRecord,
                    owner.shown,
                    format!("page {number} of its parts begins elsewhere"),
                );
            }
            parts += page.len();
            for entry in &page {
                size = size.map(|size| size.saturating_add(entry.content.bytes));
                self.content(&entry.content, owner)?;
            }
        }
        if size.is_some() && parts != usize::from(count) && !owner.is_garbage {
            self.find(FindingKind::ContentRecord, owner.shown, format!("it has {parts} parts instead of {count}"));
        }
        Ok(size)
    }

    /// Looks at one content.
    pub(super) fn content(&mut self, content: &Content, owner: Owner<'_>) -> Result<()> {
        let stored = match &content.form {
            ContentForm::Empty => Some(0),
            ContentForm::Inline => self.inline(content, owner)?,
            ContentForm::Chunks(chunks) => {
                let mut seen = HashSet::new();
                for chunk in chunks.iter().filter(|chunk| seen.insert(chunk.blob)) {
                    self.chunk(content.id, chunk, owner)?;
                }
                self.ranges(chunks, owner)?;
                Some(sum(chunks))
            }
            ContentForm::Pages(starts) => self.pages(content.id, starts, owner)?,
        };
        if stored.is_some_and(|stored| stored != content.stored_bytes()) && !owner.is_garbage {
            let detail = format!("{} bytes are stored instead of {}", stored.unwrap_or(0), content.stored_bytes());
            self.find(FindingKind::ContentRecord, owner.shown, detail);
        }
        Ok(())
    }

    /// The bytes in the index, opened. Returns how many there are, if they could be.
    fn inline(&mut self, content: &Content, owner: Owner<'_>) -> Result<Option<u64>> {
        let row = content.id.to_bytes();
        let Some(value) = self.rows.get(Family::Inline, &row)? else {
            self.missing(owner, "its bytes are not in the index");
            return Ok(None);
        };
        self.claim(Family::Inline, &row, owner);
        match inline::decode(self.keys, content.id, value) {
            Ok(bytes) => Ok(Some(bytes.len() as u64)),
            Err(error) => {
                self.unreadable(Family::Inline, &row, &error);
                Ok(None)
            }
        }
    }

    /// Walks through the pages of a large content, as often as it takes to tell chunks of one name from each other within
    /// bounded memory. Returns what the chunks add up to, if all pages are there.
    fn pages(&mut self, id: Stamp, starts: &[u64], owner: Owner<'_>) -> Result<Option<u64>> {
        let rounds = starts.len().div_ceil(PAGES_AT_ONCE).max(1);
        let mut size = Some(0_u64);
        for round in 0..rounds {
            let mut seen: HashSet<BlobId> = HashSet::new();
            for (number, &start) in (0..).zip(starts) {
                let page = if round == 0 {
                    self.page::<Vec<ChunkRef>>(id, number, owner)?
                } else {
                    // It was told of in the first round if it cannot be read.
                    self.rows
                        .get(Family::Manifest, &key::page(id, number))?
                        .and_then(|value| Record::decode(&value).ok())
                };
                let Some(chunks) = page else {
                    size = None;
                    continue;
                };
                for chunk in &chunks {
                    if usize::from(chunk.blob.0[0]) % rounds == round && seen.insert(chunk.blob) {
                        self.chunk(id, chunk, owner)?;
                    }
                }
                if round > 0 {
                    continue;
                }
                if size.is_some_and(|size| size != start) && !owner.is_garbage {
                    self.find(FindingKind::ContentRecord, owner.shown, format!("page {number} begins elsewhere"));
                }
                size = size.map(|size| size.saturating_add(sum(&chunks)));
                self.ranges(&chunks, owner)?;
            }
        }
        Ok(size)
    }

    /// A page of a manifest. `None` if it is missing or cannot be read.
    fn page<R: Record>(&mut self, id: Stamp, number: u32, owner: Owner<'_>) -> Result<Option<R>> {
        let row = key::page(id, number);
        let Some(value) = self.rows.get(Family::Manifest, &row)? else {
            self.missing(owner, &format!("page {number} of its manifest is missing"));
            // What it claimed is not known.
            self.unreadable_owner |= !owner.is_garbage;
            return Ok(None);
        };
        self.claim(Family::Manifest, &row, owner);
        let page = self.decode(Family::Manifest, &row, &value);
        self.unreadable_owner |= page.is_none();
        Ok(page)
    }

    /// Looks whether a chunk of a content is referred to, placed and readable.
    fn chunk(&mut self, content: Stamp, chunk: &ChunkRef, owner: Owner<'_>) -> Result<()> {
        let (mut referenced, mut placed, mut readable) = (false, false, false);
        for pool in owner.pools.iter() {
            let blob = StoredBlob { id: chunk.blob, pool };
            let reference = key::reference(&blob, content);
            if self.rows.get(Family::Reference, &reference)?.is_none() {
                continue;
            }
            referenced = true;
            self.claim(Family::Reference, &reference, owner);
            match self.rows.get(Family::Blob, &key::stored_blob(&blob))?.map(|value| Placement::decode(&value)) {
                Some(Ok(place)) => {
                    placed = true;
                    readable |= !self.lost.contains(&blob) && !self.lost_segments.contains(&place.segment);
                }
                // The walk through the chunks told of a row that cannot be read.
                Some(Err(_)) => (placed, readable) = (true, true),
                None if owner.is_garbage => {}
                None => {
                    let detail = format!("chunk {} has no place in {}", chunk.blob, pool.name());
                    self.find(FindingKind::BlobMissing, owner.shown, detail);
                }
            }
        }
        if owner.is_garbage {
            return Ok(());
        }
        if !referenced {
            let detail = format!("chunk {} is not referred to", chunk.blob);
            self.find(FindingKind::ReferenceMissing, owner.shown, detail);
        } else if placed && !readable {
            self.find(FindingKind::ContentLost, owner.shown, format!("chunk {} cannot be read", chunk.blob));
        }
        Ok(())
    }

    /// Looks whether pieces lie within their chunks.
    fn ranges(&mut self, chunks: &[ChunkRef], owner: Owner<'_>) -> Result<()> {
        for chunk in chunks.iter().filter(|_| !owner.is_garbage) {
            let end = u64::from(chunk.offset) + u64::from(chunk.bytes);
            for pool in owner.pools.iter() {
                let row = key::stored_blob(&StoredBlob { id: chunk.blob, pool });
                let place = self.rows.get(Family::Blob, &row)?.and_then(|value| Placement::decode(&value).ok());
                if chunk.bytes == 0 || place.is_some_and(|place| end > u64::from(place.plain_bytes)) {
                    let detail = format!("it takes {} bytes at {} of chunk {}", chunk.bytes, chunk.offset, chunk.blob);
                    self.find(FindingKind::ContentRecord, owner.shown, detail);
                    break;
                }
            }
        }
        Ok(())
    }

    fn missing(&mut self, owner: Owner<'_>, detail: &str) {
        if !owner.is_garbage {
            self.find(FindingKind::ContentRow, owner.shown, detail);
        }
    }

    /// Claims a row that is there.
    pub(super) fn claim(&mut self, family: Family, row: &[u8], owner: Owner<'_>) {
        if self.claims.claim(family, row) {
            // Only known when what differs is looked into, where all else is not told again.
            let muted = std::mem::replace(&mut self.muted, false);
            self.find(FindingKind::SharedContent, owner.shown, super::shown_row(family, row));
            self.muted = muted;
        }
    }
}

fn sum(chunks: &[ChunkRef]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
}
