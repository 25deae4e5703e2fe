//! Documents: small named rows that the engine keeps for those who embed it and never reads: accounts, keys, policies.
//!
//! Several documents change in one synced batch: after a crash either all of a change is there or nothing.

use crate::error::{Error, Result};
use crate::index::{Batch, Family, Step};
use crate::store::Store;

/// The longest name, in bytes.
pub const DOCUMENT_NAME_BYTES_MAX: usize = 1024;
/// The largest document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// A document's new content; `None` removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentChange {
    /// Its name: 1 to [`DOCUMENT_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Its content, up to [`DOCUMENT_BYTES_MAX`] bytes.
    pub content: Option<Vec<u8>>,
}

impl Store {
    /// Up to `max` documents whose names begin with `prefix`, in the order of the names, after the name `after`.
    pub async fn documents(&self, prefix: &str, after: Option<&str>, max: usize) -> Result<Vec<(String, Vec<u8>)>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.inner
            .index
            .read(move |rows| {
                // The least name after another is that name and a zero byte.
                let from = after.map_or_else(|| prefix.clone().into_bytes(), |after| [after.as_bytes(), &[0]].concat());
                // No byte of UTF-8 is 0xff.
                let to = [prefix.as_bytes(), &[0xff]].concat();
                let mut found = Vec::new();
                rows.scan(Family::Document, &from, &to, |name, content| {
                    if found.len() == max {
                        return Ok(Step::Stop);
                    }
                    let name = String::from_utf8(name.to_vec())
                        .map_err(|_| Error::Corrupt { what: "document name", place: hex::encode(name) })?;
                    found.push((name, content.to_vec()));
                    Ok(Step::Next)
                })?;
                Ok(found)
            })
            .await
    }

    /// Writes and removes documents. `Ok` means that all of it survives a power cut; after any `Err` but `Io`, `Index`,
    /// `NoSpace` and `Poisoned` nothing has changed. Who reads before writing must keep others from writing meanwhile.
    pub async fn write_documents(&self, changes: Vec<DocumentChange>) -> Result<()> {
        let mut batch = Batch::new();
        for DocumentChange { name, content } in changes {
            let bytes = content.as_ref().map_or(0, Vec::len);
            if name.is_empty() || name.len() > DOCUMENT_NAME_BYTES_MAX || bytes > DOCUMENT_BYTES_MAX {
                return Err(Error::DocumentTooLarge);
            }
            match content {
                Some(content) => batch.put_raw(Family::Document, name.into_bytes(), content),
                None => batch.delete(Family::Document, name.into_bytes()),
            }
        }
        self.inner.index.commit(batch).await
    }
}
