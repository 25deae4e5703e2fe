//! Where the bytes of an object lie: parts, contents and chunks, found by offset, one manifest page at a time.

use std::ops::Range;

use crate::blob::BlobId;
use crate::error::{Error, Result};
use crate::index::record::{Body, ChunkRef, Content, ContentForm, PARTS_PER_PAGE, PartEntry, Record};
use crate::index::{Family, Index, key};
use crate::object::ObjectPart;
use crate::stamp::Stamp;

/// One piece of an object, in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A range of the bytes that the index holds for a content.
    Inline { content: Content, range: Range<usize> },
    /// A range of a blob's content.
    Blob { blob: BlobId, range: Range<u32> },
    /// A range of the plain bytes of a content that is sealed.
    Sealed { content: Content, range: Range<u64> },
}

impl Piece {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Piece::Inline { range, .. } => u64::try_from(range.len()).expect("small bytes fit 64 bits"),
            Piece::Blob { range, .. } => u64::from(range.end - range.start),
            Piece::Sealed { range, .. } => range.end - range.start,
        }
    }
}

/// Finds the places of an object's bytes, keeping the manifest pages last used.
pub(crate) struct Plan {
    index: Index,
    body: Body,
    parts: Option<(Stamp, u32, Vec<PartEntry>)>,
    chunks: Option<(Stamp, u32, Vec<ChunkRef>)>,
}

impl Plan {
    pub(crate) fn new(index: Index, body: Body) -> Plan {
        Plan { index, body, parts: None, chunks: None }
    }

    /// The piece that begins at `range.start`, cut at the end of the range. The range is not empty and lies within
    /// the object.
    pub(crate) async fn piece(&mut self, range: Range<u64>) -> Result<Piece> {
        let most = range.end - range.start;
        let (content, offset) = match &self.body {
            Body::Single(content) => (content.clone(), range.start),
            Body::Parts { table, pages, .. } => {
                let (table, page) = (*table, page_at(pages, range.start));
                let mut start = page_start(pages, page)?;
                let entries = self.part_page(table, page).await?;
                let mut found = None;
                for entry in entries {
                    let end = end_of(start, entry)?;
                    if range.start < end {
                        found = Some((entry.content.clone(), range.start - start));
                        break;
                    }
                    start = end;
                }
                found.ok_or_else(|| short("part page", table))?
            }
        };
        if content.seal.is_some() {
            let end = content.bytes.min(offset.saturating_add(most));
            return if offset < end {
                Ok(Piece::Sealed { content, range: offset..end })
            } else {
                Err(short("content", content.id))
            };
        }
        self.stored_piece(&content, offset, most).await
    }

    /// The piece of what is stored of a content at `offset`, at most `most` bytes.
    pub(crate) async fn stored_piece(&mut self, content: &Content, offset: u64, most: u64) -> Result<Piece> {
        match &content.form {
            ContentForm::Empty => Err(short("content", content.id)),
            ContentForm::Inline => {
                let end = content.stored_bytes().min(offset.saturating_add(most));
                let index = |at: u64| usize::try_from(at).expect("bytes in the index are few");
                Ok(Piece::Inline { content: content.clone(), range: index(offset)..index(end) })
            }
            ContentForm::Chunks(chunks) => cut(chunks, offset, most).ok_or_else(|| short("chunk list", content.id)),
            ContentForm::Pages(pages) => {
                let page = page_at(pages, offset);
                let start = page_start(pages, page)?;
                let chunks = self.chunk_page(content.id, page).await?;
                cut(chunks, offset - start, most).ok_or_else(|| short("manifest page", content.id))
            }
        }
    }

    /// Whether all of the object is one content that is sealed.
    pub(crate) fn is_sealed_content(&self) -> bool {
        matches!(&self.body, Body::Single(Content { seal: Some(_), .. }))
    }

    /// The part at `position`, from 1, which the object has.
    pub(crate) async fn part_at(&mut self, position: u16) -> Result<ObjectPart> {
        let Body::Parts { table, pages, .. } = &self.body else { return Err(Error::BadMarker) };
        let place = usize::from(position) - 1;
        let page = u32::try_from(place / PARTS_PER_PAGE).expect("a page number is small");
        let (table, mut offset) = (*table, page_start(pages, page)?);
        for (index, entry) in self.part_page(table, page).await?.iter().enumerate() {
            if index == place % PARTS_PER_PAGE {
                return Ok(object_part(entry, offset));
            }
            offset = end_of(offset, entry)?;
        }
        Err(short("part page", table))
    }

    /// The parts with numbers above `after`, at most `max`, and whether there are more.
    pub(crate) async fn parts_after(&mut self, after: u16, max: usize) -> Result<(Vec<ObjectPart>, bool)> {
        let Body::Parts { table, pages, .. } = &self.body else { return Ok((Vec::new(), false)) };
        let table = *table;
        let page_count = u32::try_from(pages.len()).expect("there are few pages");
        let mut found = Vec::new();
        let mut offset = 0;
        // Offsets are known by walking from the start; an object has at most 157 pages of parts.
        for page in 0..page_count {
            for entry in self.part_page(table, page).await? {
                if entry.number > after {
                    if found.len() == max {
                        return Ok((found, true));
                    }
                    found.push(object_part(entry, offset));
                }
                offset = end_of(offset, entry)?;
            }
        }
        Ok((found, false))
    }

    async fn part_page(&mut self, table: Stamp, page: u32) -> Result<&[PartEntry]> {
        if self.parts.as_ref().is_none_or(|(id, number, _)| (*id, *number) != (table, page)) {
            self.parts = Some((table, page, load(&self.index, table, page).await?));
        }
        Ok(self.parts.as_ref().map_or(&[], |(_, _, entries)| entries))
    }

    async fn chunk_page(&mut self, content: Stamp, page: u32) -> Result<&[ChunkRef]> {
        if self.chunks.as_ref().is_none_or(|(id, number, _)| (*id, *number) != (content, page)) {
            self.chunks = Some((content, page, load(&self.index, content, page).await?));
        }
        Ok(self.chunks.as_ref().map_or(&[], |(_, _, chunks)| chunks))
    }
}

async fn load<R: Record>(index: &Index, id: Stamp, page: u32) -> Result<R> {
    let row = index.record(Family::Manifest, key::page(id, page)).await?;
    row.ok_or_else(|| short("manifest", id))
}

/// Where a part that begins at `offset` ends.
fn end_of(offset: u64, entry: &PartEntry) -> Result<u64> {
    offset.checked_add(entry.content.bytes).ok_or_else(|| short("part page", entry.content.id))
}

fn object_part(entry: &PartEntry, offset: u64) -> ObjectPart {
    ObjectPart { number: entry.number, offset, size: entry.content.bytes, checksum: entry.checksum.clone() }
}

/// The page that holds `offset`, given where each page begins.
fn page_at(starts: &[u64], offset: u64) -> u32 {
    let page = starts.partition_point(|&start| start <= offset).saturating_sub(1);
    u32::try_from(page).expect("a page number is small")
}

fn page_start(starts: &[u64], page: u32) -> Result<u64> {
    let start = usize::try_from(page).ok().and_then(|page| starts.get(page));
    start.copied().ok_or_else(|| Error::Corrupt { what: "page directory", place: format!("page {page}") })
}

/// The piece of a list of chunks at `offset`, at most `most` bytes.
fn cut(chunks: &[ChunkRef], mut offset: u64, most: u64) -> Option<Piece> {
    for chunk in chunks {
        if offset < u64::from(chunk.bytes) {
            let skipped = u32::try_from(offset).ok()?;
            let bytes = u32::try_from(most.min(u64::from(chunk.bytes - skipped))).ok()?;
            let start = chunk.offset.checked_add(skipped)?;
            return Some(Piece::Blob { blob: chunk.blob, range: start..start.checked_add(bytes)? });
        }
        offset -= u64::from(chunk.bytes);
    }
    None
}

fn short(what: &'static str, id: Stamp) -> Error {
    Error::Corrupt { what, place: hex::encode(id.to_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::{Piece, cut, page_at};
    use crate::blob::BlobId;
    use crate::index::record::ChunkRef;

    #[test]
    fn pieces_are_cut_at_chunks_and_at_the_end() {
        let (a, b) = (BlobId([1; 32]), BlobId([2; 32]));
        let chunks = [ChunkRef { blob: a, offset: 0, bytes: 10 }, ChunkRef { blob: b, offset: 5, bytes: 10 }];
        let check = |offset, most, expected: Option<(BlobId, std::ops::Range<u32>)>| {
            let expected = expected.map(|(blob, range)| Piece::Blob { blob, range });
            assert_eq!(cut(&chunks, offset, most), expected, "{offset} {most}");
        };
        check(0, 100, Some((a, 0..10)));
        check(3, 4, Some((a, 3..7)));
        check(9, 4, Some((a, 9..10)));
        check(10, 4, Some((b, 5..9)));
        check(19, 4, Some((b, 14..15)));
        check(20, 4, None);
    }

    #[test]
    fn pages_by_offset() {
        for (offset, page) in [(0, 0), (9, 0), (10, 1), (29, 1), (30, 2), (1000, 2)] {
            assert_eq!(page_at(&[0, 10, 30], offset), page, "{offset}");
        }
    }
}
