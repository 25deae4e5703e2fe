//! A walk over all chunks of a body, in order, one manifest page in memory at a time.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::index::record::{Body, ChunkRef, Content, ContentForm, PartEntry, Record};
use crate::index::{Family, key};
use crate::stamp::Stamp;
use crate::store::Inner;

/// Manifest pages under one id that are still to be read.
struct Pages {
    id: Stamp,
    next: u32,
    end: u32,
}

impl Pages {
    fn new(id: Stamp, count: usize) -> Pages {
        Pages { id, next: 0, end: u32::try_from(count).expect("there are few pages") }
    }

    /// Reads the next page.
    async fn read<R: Record>(&mut self, inner: &Inner) -> Result<Option<R>> {
        if self.next == self.end {
            return Ok(None);
        }
        let page = inner.index.record(Family::Manifest, key::page(self.id, self.next)).await?;
        self.next += 1;
        let place = || hex::encode(self.id.to_bytes());
        page.map(Some).ok_or_else(|| Error::Corrupt { what: "manifest (missing)", place: place() })
    }
}

/// What is left of a body. The body is held by the caller, so that its pages stay.
pub(super) struct Walk {
    inner: Arc<Inner>,
    parts: Pages,
    contents: std::vec::IntoIter<Content>,
    /// The content of the chunks, and those of its pages that are still to come.
    pages: Pages,
    chunks: std::vec::IntoIter<ChunkRef>,
    /// The bytes that lie in the index, as far as the walk came.
    pub(super) inline_bytes: u64,
}

impl Walk {
    pub(super) fn new(inner: &Arc<Inner>, body: &Body) -> Walk {
        let (parts, contents) = match body {
            Body::Single(content) => (Pages::new(content.id, 0), vec![content.clone()]),
            Body::Parts { table, pages, .. } => (Pages::new(*table, pages.len()), Vec::new()),
        };
        Walk {
            inner: Arc::clone(inner),
            pages: Pages::new(parts.id, 0),
            parts,
            contents: contents.into_iter(),
            chunks: Vec::new().into_iter(),
            inline_bytes: 0,
        }
    }

    /// The next chunk, and the content that it belongs to.
    pub(super) async fn next(&mut self) -> Result<Option<(ChunkRef, Stamp)>> {
        loop {
            if let Some(chunk) = self.chunks.next() {
                return Ok(Some((chunk, self.pages.id)));
            }
            if let Some(chunks) = self.pages.read::<Vec<ChunkRef>>(&self.inner).await? {
                self.chunks = chunks.into_iter();
            } else if let Some(content) = self.contents.next() {
                self.enter(content);
            } else if let Some(parts) = self.parts.read::<Vec<PartEntry>>(&self.inner).await? {
                self.contents = parts.into_iter().map(|part| part.content).collect::<Vec<_>>().into_iter();
            } else {
                return Ok(None);
            }
        }
    }

    fn enter(&mut self, content: Content) {
        self.pages = Pages::new(content.id, 0);
        match content.form {
            ContentForm::Empty => {}
            ContentForm::Inline => self.inline_bytes += content.bytes,
            ContentForm::Chunks(chunks) => self.chunks = chunks.into_iter(),
            ContentForm::Pages(starts) => self.pages = Pages::new(content.id, starts.len()),
        }
    }
}
