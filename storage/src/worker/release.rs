//! Releasing garbage: a tree of rows is taken apart in bounded batches, leaves first.
//!
//! A batch deletes references and, in the same moment, drops the blobs that nothing else refers to. A row that leads to
//! others (a manifest page, an upload, the garbage row itself) is deleted only when all that it leads to is durably
//! gone, so nothing is ever lost sight of. What only a pinned blob belongs to, or one that a backup has still to copy, is kept, with all rows above it, and tried
//! again in the next pass. A blob that others refer to as well needs no claim, pinned or not, for it is not dropped: all
//! who delete references do so one after another, so the one seen is there until a later batch deletes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Result;
use crate::index::record::{
    Body, ChunkRef, Content, ContentForm, Garbage, PartEntry, PartRecord, Record as _, StoredBlob,
};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::list::following;
use crate::pool::PoolSet;
use crate::stamp::Stamp;
use crate::store::Inner;
use crate::worker::collect::ROWS_PER_BATCH;

/// Parts, or uploads, that are read at once.
const ROWS_PER_READ: usize = 100;

type Row = (Family, Vec<u8>);

/// What can be forgotten in one batch: references of contents, and the rows that go with them.
struct Unit {
    references: Vec<(StoredBlob, Stamp)>,
    rows: Vec<Row>,
}

/// Gathers what is to be forgotten, and forgets it batch by batch.
pub(super) struct Releaser<'a> {
    inner: &'a Arc<Inner>,
    units: Vec<Unit>,
    /// Rows that the units delete.
    gathered: usize,
    /// Units that had to be kept so far. A row above is kept if this grew meanwhile, be it for another's sake: the
    /// next pass finds out.
    kept: u64,
}

impl<'a> Releaser<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>) -> Releaser<'a> {
        Releaser { inner, units: Vec::new(), gathered: 0, kept: 0 }
    }

    /// Releases what a garbage row describes, and with it the row.
    pub(super) async fn garbage(&mut self, row: Vec<u8>, garbage: &Garbage) -> Result<()> {
        let row = Some((Family::Garbage, row));
        match garbage {
            Garbage::Content(content, pools) | Garbage::Body(Body::Single(content), pools) => {
                self.content(content, *pools, row).await
            }
            Garbage::Body(Body::Parts { table, pages, .. }, pools) => {
                self.part_pages(*table, pages.len(), *pools, row).await
            }
            Garbage::Upload(upload) => self.upload(*upload, row).await,
            Garbage::Bucket(bucket) => self.bucket(*bucket, row).await,
        }
    }

    /// Forgets what is gathered, and returns how much had to be kept in all.
    pub(super) async fn finish(mut self) -> Result<u64> {
        self.flush().await?;
        Ok(self.kept)
    }

    /// Releases a content, and with it the row above.
    async fn content(&mut self, content: &Content, pools: PoolSet, above: Option<Row>) -> Result<()> {
        match &content.form {
            ContentForm::Empty => self.add(Vec::new(), above).await,
            ContentForm::Inline => {
                let inline = (Family::Inline, content.id.to_bytes().to_vec());
                self.add(Vec::new(), std::iter::once(inline).chain(above)).await
            }
            ContentForm::Chunks(chunks) => self.add(references(chunks, content.id, pools), above).await,
            ContentForm::Pages(starts) => self.chunk_pages(content.id, starts.len(), pools, above).await,
        }
    }

    async fn chunk_pages(&mut self, content: Stamp, pages: usize, pools: PoolSet, above: Option<Row>) -> Result<()> {
        let kept = self.kept;
        for number in (0..).take(pages) {
            let page = key::page(content, number);
            let Some(chunks) = self.inner.index.record::<Vec<ChunkRef>>(Family::Manifest, page.clone()).await? else {
                continue;
            };
            let kept = self.kept;
            for some in chunks.chunks(ROWS_PER_BATCH) {
                self.add(references(some, content, pools), None).await?;
            }
            self.add_above(kept, Some((Family::Manifest, page))).await?;
        }
        self.add_above(kept, above).await
    }

    async fn part_pages(&mut self, table: Stamp, pages: usize, pools: PoolSet, above: Option<Row>) -> Result<()> {
        let kept = self.kept;
        for number in (0..).take(pages) {
            let page = key::page(table, number);
            let Some(parts) = self.inner.index.record::<Vec<PartEntry>>(Family::Manifest, page.clone()).await? else {
                continue;
            };
            let kept = self.kept;
            for part in &parts {
                self.content(&part.content, pools, None).await?;
            }
            self.add_above(kept, Some((Family::Manifest, page))).await?;
        }
        self.add_above(kept, above).await
    }

    /// Releases the parts of an ended upload: nobody adds any, since the upload's row is gone.
    async fn upload(&mut self, upload: Stamp, above: Option<Row>) -> Result<()> {
        let kept = self.kept;
        let mut from = upload.to_bytes().to_vec();
        let to = key::after_prefix(from.clone());
        loop {
            let parts = self.read_some(Family::Part, from, to.clone()).await?;
            let Some((last, _)) = parts.last() else { break };
            from = following(last.clone());
            for (row, value) in parts {
                let part = PartRecord::decode(&value)?;
                self.content(&part.content, part.pools, Some((Family::Part, row))).await?;
            }
        }
        self.add_above(kept, above).await
    }

    /// Releases the uploads of a removed bucket, whose id no other bucket gets.
    async fn bucket(&mut self, bucket: u64, above: Option<Row>) -> Result<()> {
        let kept = self.kept;
        let mut from = key::bucket_start(bucket);
        loop {
            let uploads = self.read_some(Family::Upload, from, key::bucket_end(bucket)).await?;
            let Some((last, _)) = uploads.last() else { break };
            from = following(last.clone());
            for (row, _) in uploads {
                let (_, upload) = key::split_upload(&row).ok_or_else(|| key::corrupt("upload row", &row))?;
                self.upload(upload, Some((Family::Upload, row))).await?;
            }
        }
        self.add_above(kept, above).await
    }

    async fn read_some(&self, family: Family, from: Vec<u8>, to: Vec<u8>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let read = move |rows: &Rows<'_>| {
            let mut found = Vec::new();
            rows.scan(family, &from, &to, |row, value| {
                found.push((row.to_vec(), value.to_vec()));
                Ok(if found.len() < ROWS_PER_READ { Step::Next } else { Step::Stop })
            })?;
            Ok(found)
        };
        self.inner.index.read(read).await
    }

    /// Deletes a row when all below it is durably gone, which is the case if nothing was kept since `kept` was taken.
    async fn add_above(&mut self, kept: u64, row: Option<Row>) -> Result<()> {
        self.flush().await?;
        if self.kept > kept { Ok(()) } else { self.add(Vec::new(), row).await }
    }

    async fn add(&mut self, references: Vec<(StoredBlob, Stamp)>, rows: impl IntoIterator<Item = Row>) -> Result<()> {
        let unit = Unit { references, rows: rows.into_iter().collect() };
        self.gathered += unit.references.len() + unit.rows.len();
        self.units.push(unit);
        if self.gathered >= ROWS_PER_BATCH { self.flush().await } else { Ok(()) }
    }

    /// Forgets the gathered units in one commit, but for those with a pinned blob that nothing else refers to.
    async fn flush(&mut self) -> Result<()> {
        let mut units = std::mem::take(&mut self.units);
        self.gathered = 0;
        if units.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::making_room();
        batch.hold(Arc::clone(&self.inner.collector.references).lock_owned().await);
        let leaving = all_references(&units);
        let blobs = leaving.iter().map(|&(blob, _)| blob).collect();
        let (mut claimed, mut pinned) = (BTreeSet::new(), BTreeSet::new());
        let mut claims = BTreeSet::new();
        let unused = self.inner.index.read(move |rows| unreferenced(rows, &leaving, blobs)).await?;
        let needed = self.inner.needed_by_backup(&unused).await?;
        for blob in unused {
            if needed.contains(&blob.id) {
                pinned.insert(blob);
                continue;
            }
            // A claim is on the blob in all its pools.
            if !claims.contains(&blob.id) {
                let Some(claim) = self.inner.pins.collect(blob.id) else {
                    pinned.insert(blob);
                    continue;
                };
                // The batch holds the claim until the drop is durable, even if this task is dropped.
                batch.hold(claim);
                claims.insert(blob.id);
            }
            claimed.insert(blob);
        }
        let gathered = units.len();
        units.retain(|unit| unit.references.iter().all(|(blob, _)| !pinned.contains(blob)));
        self.kept += (gathered - units.len()) as u64;

        let leaving = all_references(&units);
        for (blob, content) in &leaving {
            batch.delete(Family::Reference, key::reference(blob, *content));
        }
        // The look that decides comes after the claims: until then writes could add references.
        for blob in self.inner.index.read(move |rows| unreferenced(rows, &leaving, claimed)).await? {
            batch.drop_blob(blob);
        }
        for (family, row) in units.into_iter().flat_map(|unit| unit.rows) {
            batch.delete(family, row);
        }
        self.inner.index.commit(batch).await
    }
}

/// The references of a content in all pools in which it may want its chunks.
fn references(chunks: &[ChunkRef], content: Stamp, pools: PoolSet) -> Vec<(StoredBlob, Stamp)> {
    let in_pools = |chunk: &ChunkRef| {
        let id = chunk.blob;
        pools.iter().map(move |pool| (StoredBlob { id, pool }, content))
    };
    chunks.iter().flat_map(in_pools).collect()
}

fn all_references(units: &[Unit]) -> BTreeSet<(StoredBlob, Stamp)> {
    units.iter().flat_map(|unit| &unit.references).copied().collect()
}

/// Those of `blobs` that have no references but those that leave. One seek each, and a step per leaving reference.
pub(super) fn unreferenced(
    rows: &Rows<'_>,
    leaving: &BTreeSet<(StoredBlob, Stamp)>,
    blobs: BTreeSet<StoredBlob>,
) -> Result<Vec<StoredBlob>> {
    let leaving_rows: BTreeSet<Vec<u8>> =
        leaving.iter().map(|(blob, content)| key::reference(blob, *content)).collect();
    let mut found = Vec::new();
    for blob in blobs {
        let from = key::stored_blob(&blob);
        let mut used = false;
        rows.scan(Family::Reference, &from, &key::after_prefix(from.clone()), |row, _| {
            used = !leaving_rows.contains(row);
            Ok(if used { Step::Stop } else { Step::Next })
        })?;
        if !used {
            found.push(blob);
        }
    }
    Ok(found)
}
