//! Stored chunks and what refers to them, walked through side by side: both are in the order of the chunks.

use std::cmp::Ordering;

use super::{Check, CheckStep, FindingKind, shown_row};
use crate::blob::Placement;
use crate::error::Result;
use crate::index::record::{Record as _, StoredBlob};
use crate::index::{Cursor, Family, key};

/// What a chunk's row begins references with: `blob id | pool`.
const BLOB_ROW_BYTES: usize = 33;

impl Check<'_> {
    pub(super) fn referenced_blobs(&mut self) -> Result<()> {
        self.begin(CheckStep::Blobs, &[Family::Blob])?;
        let mut blobs = self.rows.cursor(Family::Blob, &[], &[]);
        let mut references = self.rows.cursor(Family::Reference, &[], &[]);
        while let Some((row, value)) = blobs.row()? {
            self.report.blobs += 1;
            if row.len() != BLOB_ROW_BYTES {
                self.unreadable(Family::Blob, row, &key::corrupt("blob row", row));
            } else if let Some(place) = self.decode::<Placement>(Family::Blob, row, value) {
                self.placed(row, &place)?;
            }
            if !is_referenced(row, &mut references)? {
                self.find(FindingKind::BlobUnreferenced, shown_row(Family::Blob, row), "nothing refers to it");
            }
            self.advance(1);
            blobs.advance();
        }
        Ok(())
    }

    /// The segment must know of the place.
    fn placed(&mut self, row: &[u8], place: &Placement) -> Result<()> {
        let found = self.rows.get(Family::Placement, &key::placement(place.segment, place.offset))?;
        let named = found.and_then(|value| StoredBlob::decode(&value).ok());
        if named.is_none_or(|named| key::stored_blob(&named) != row) {
            let detail = format!("segment {} does not know it at {}", place.segment, place.offset);
            self.find(FindingKind::PlacementRow, shown_row(Family::Blob, row), detail);
        }
        Ok(())
    }
}

/// Moves the references on to a chunk's, and says whether there is one.
fn is_referenced(blob: &[u8], references: &mut Cursor<'_>) -> Result<bool> {
    while let Some((reference, _)) = references.row()? {
        match reference[..reference.len().min(BLOB_ROW_BYTES)].cmp(blob) {
            Ordering::Less => references.advance(),
            Ordering::Equal => return Ok(true),
            Ordering::Greater => return Ok(false),
        }
    }
    Ok(false)
}
