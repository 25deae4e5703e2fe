//! Widening: blobs come into a further pool, where nothing refers to them yet.
//!
//! The order is: pin a blob, look whether the pool has it, and only if not read it (verified against its name), bring
//! it into the pool's form and write it, synced. The pins stay with the caller until its batch names the places.
//! Dying, or dropping the future, leaves bytes that nothing names, which go with their segment; the caller keeps that
//! segment from being taken for settled by being a writer.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::blob::{BlobId, Blobs, Form, PieceTable, Placement, Prepared, ReadError};
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::index::record::StoredBlob;
use crate::index::{Batch, Family, Rows, key};
use crate::locks::Pin;
use crate::pool::{Pool, PoolSet};
use crate::store::Inner;
use crate::worker::pace::Turn;

/// The most content that is in memory at once, in bytes, not counting its stored form. One chunk always fits.
const RUN_BYTES_MAX: u64 = 16 << 20;
/// How often a blob may be found moved. The collector moves one at most once a pass, and reads are far shorter.
const MOVES_MAX: u32 = 100;

/// Blobs in the pools where they are wanted.
#[derive(Default)]
pub(super) struct Widened {
    /// Keep the blobs where they are.
    pub(super) pins: BTreeMap<BlobId, Pin>,
    /// Where the blobs are, those that were there before and those that were written.
    pub(super) places: HashMap<StoredBlob, Placement>,
    /// The blobs that were written: the index does not know their places yet.
    pub(super) written: HashSet<StoredBlob>,
    /// The blobs that could not be read.
    pub(super) unreadable: HashMap<BlobId, Error>,
    /// Why the disk took no more; then blobs may be missing in `places`.
    pub(super) refused: Option<Error>,
    /// What was read and written, in bytes.
    pub(super) bytes: u64,
}

impl Widened {
    /// Adds to `batch` the place of a blob that it is about to refer to.
    pub(super) fn place(&self, blob: StoredBlob, batch: &mut Batch) {
        if let Some(place) = self.places.get(&blob).filter(|_| self.written.contains(&blob)) {
            batch.add_blob(blob, *place);
        }
    }
}

/// A blob on its way.
struct Transfer {
    blob: StoredBlob,
    from: (Pool, Placement),
}

/// What was read of a blob.
enum Read {
    /// Its content, with the table that belongs to its name if that was at hand.
    Content(Bytes, Option<PieceTable>),
    /// Its stored form, which is that of the pool where it goes.
    Stored(Prepared),
}

/// Brings blobs into pools. For each is said in which pools to look for its bytes first.
///
/// `Ok` means that those in `places` are on stable storage, which are all but the unreadable ones if the disk did not
/// refuse any.
pub(super) async fn widen(inner: &Arc<Inner>, wanted: BTreeMap<StoredBlob, PoolSet>) -> Result<Widened> {
    let mut widened = Widened::default();
    for blob in wanted.keys() {
        if let Entry::Vacant(vacant) = widened.pins.entry(blob.id) {
            vacant.insert(inner.pins.pin(blob.id).await);
        }
    }
    let mut run = Vec::new();
    let mut run_bytes = 0;
    for (blob, found) in inner.index.read(move |rows| Ok(find_all(rows, wanted))).await? {
        match found {
            Ok((pool, place)) if pool == blob.pool => _ = widened.places.insert(blob, place),
            Ok(from) => {
                let bytes = u64::from(from.1.plain_bytes);
                if run_bytes + bytes > RUN_BYTES_MAX && !run.is_empty() {
                    widened.try_transfer(inner, std::mem::take(&mut run)).await?;
                    run_bytes = 0;
                }
                run_bytes += bytes;
                run.push(Transfer { blob, from });
            }
            Err(error @ Error::Corrupt { .. }) => _ = widened.unreadable.insert(blob.id, error),
            Err(error) => return Err(error),
        }
    }
    widened.try_transfer(inner, run).await?;
    Ok(widened)
}

impl Widened {
    /// Transfers blobs, until the disk refuses some.
    async fn try_transfer(&mut self, inner: &Arc<Inner>, run: Vec<Transfer>) -> Result<()> {
        if self.refused.is_some() {
            return Ok(());
        }
        match self.transfer(inner, run).await {
            Err(error @ (Error::NoSpace { .. } | Error::Io { .. })) => self.refused = Some(error),
            outcome => outcome?,
        }
        Ok(())
    }

    /// Reads, transforms and writes blobs that fit into memory together.
    async fn transfer(&mut self, inner: &Arc<Inner>, run: Vec<Transfer>) -> Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        inner.check_takes_bytes()?;
        let mut read = Vec::with_capacity(run.len());
        for Transfer { blob, from } in run {
            inner.budget.spend(u64::from(from.1.stored_bytes)).await;
            self.bytes += u64::from(from.1.stored_bytes);
            match read_blob(inner, blob, from).await {
                Ok(bytes) => read.push((blob, bytes)),
                Err(error) if matches!(error, Error::Closed) || error.is_out_of_files() => return Err(error),
                Err(error) => _ = self.unreadable.insert(blob.id, error),
            }
        }
        let mut by_pool: BTreeMap<Pool, Vec<Prepared>> = BTreeMap::new();
        for (blob, prepared) in prepare_all(inner, read).await? {
            by_pool.entry(blob.pool).or_default().push(prepared);
        }
        for (pool, records) in by_pool {
            let bytes = records.iter().map(|record| record.stored.len() as u64).sum();
            inner.budget.spend(bytes).await;
            self.bytes += bytes;
            let blobs: Vec<StoredBlob> = records.iter().map(|record| StoredBlob { id: record.id, pool }).collect();
            let places = inner.blobs.write_batch(pool, records).await?;
            self.written.extend(blobs.iter().copied());
            self.places.extend(blobs.into_iter().zip(places));
        }
        Ok(())
    }
}

/// A blob, and in which pool and where it was found.
type Found = (StoredBlob, Result<(Pool, Placement)>);

fn find_all(rows: &Rows<'_>, wanted: BTreeMap<StoredBlob, PoolSet>) -> Vec<Found> {
    let find = |(blob, first): (StoredBlob, PoolSet)| {
        let others = Pool::ALL.into_iter().filter(|pool| !first.contains(*pool));
        (blob, find(rows, blob.id, std::iter::once(blob.pool).chain(first.iter()).chain(others)))
    };
    wanted.into_iter().map(find).collect()
}

/// The first of the pools that has the blob.
fn find(rows: &Rows<'_>, id: BlobId, pools: impl Iterator<Item = Pool>) -> Result<(Pool, Placement)> {
    for pool in pools {
        if let Some(place) = rows.record(Family::Blob, &key::stored_blob(&StoredBlob { id, pool }))? {
            return Ok((pool, place));
        }
    }
    Err(Error::Corrupt { what: "blob row (missing)", place: hex::encode(id.0) })
}

/// Reads all of a blob, in the form that serves best. The blob is pinned, so it leaves no pool, but it may move in it.
async fn read_blob(inner: &Inner, blob: StoredBlob, from: (Pool, Placement)) -> Result<Read> {
    let (pool, mut place) = from;
    for _ in 0..MOVES_MAX {
        match read_at(inner, blob, pool, &place).await {
            Ok(read) => return Ok(read),
            Err(ReadError::Engine(error)) => return Err(error),
            Err(ReadError::Moved) => place = inner.placement(&blob.id, PoolSet::of(pool)).await?.1,
        }
    }
    Err(Error::Corrupt { what: "segment (missing)", place: format!("segment {}", place.segment) })
}

async fn read_at(
    inner: &Inner,
    blob: StoredBlob,
    from: Pool,
    place: &Placement,
) -> std::result::Result<Read, ReadError> {
    let keeps_form = Form::of(from) == Form::of(blob.pool);
    if keeps_form || !place.is_compressed() {
        let prepared = inner.blobs.stored(&blob.id, place).await?;
        return Ok(match keeps_form {
            true => Read::Stored(prepared),
            false => Read::Content(prepared.stored, Some(prepared.table)),
        });
    }
    let mut content = BytesMut::with_capacity(usize::try_from(place.plain_bytes).unwrap_or(0));
    let mut reader = inner.blobs.reader(&blob.id, place, 0..place.plain_bytes);
    while let Some(bytes) = reader.next().await? {
        content.extend_from_slice(&bytes);
    }
    Ok(Read::Content(content.freeze(), None))
}

/// Reads a blob where it is in some pool, verified, in the form in which its own pool has it.
pub(super) async fn read_as(inner: &Inner, blob: StoredBlob, from: (Pool, Placement)) -> Result<Prepared> {
    let read = read_blob(inner, blob, from).await?;
    let prepared = prepare_all(inner, vec![(blob, read)]).await?.pop();
    Ok(prepared.expect("one was given, so one comes back").1)
}

/// Reads a blob that leaves the store no sooner than this has ended: where it is said to be, else wherever else it is,
/// verified. The first error tells why it cannot be read anywhere.
pub(crate) async fn read_somewhere(inner: &Inner, blob: StoredBlob, place: Placement) -> Result<Prepared> {
    let first = match read_as(inner, blob, (blob.pool, place)).await {
        Err(error) if !matches!(error, Error::Closed) => error,
        read => return read,
    };
    for pool in Pool::ALL {
        let other = StoredBlob { id: blob.id, pool };
        let found: Option<Placement> = inner.index.record(Family::Blob, key::stored_blob(&other)).await?;
        let Some(elsewhere) = found.filter(|found| pool != blob.pool || *found != place) else { continue };
        match read_as(inner, blob, (pool, elsewhere)).await {
            Err(error) if !matches!(error, Error::Closed) => {}
            read => return read,
        }
    }
    Err(first)
}

/// Brings what was read into the forms in which it is to be stored. What is to be compressed waits for its turn; the
/// rest, such as restored copies, does not wait for that.
async fn prepare_all(inner: &Inner, read: Vec<(StoredBlob, Read)>) -> Result<Vec<(StoredBlob, Prepared)>> {
    let is_encoded = |(blob, read): &(StoredBlob, Read)| {
        matches!(read, Read::Content(..)) && matches!(Form::of(blob.pool), Form::Compressed(_))
    };
    let (encoded, others): (Vec<_>, Vec<_>) = read.into_iter().partition(is_encoded);
    let as_is = move || others.into_iter().map(|(blob, read)| (blob, prepare(blob, read, &mut || {}))).collect();
    let mut prepared: Vec<(StoredBlob, Prepared)> = blocking(as_is).await?;
    if !encoded.is_empty() {
        let encode = move |turn: &mut Turn<'_>| {
            let encode = |(blob, read)| (blob, prepare(blob, read, &mut || turn.end_piece()));
            encoded.into_iter().map(encode).collect::<Vec<_>>()
        };
        prepared.extend(inner.mover.background.run(encode).await?);
    }
    Ok(prepared)
}

/// Takes a processor for as long as it takes, but for what `pause` does after each frame.
fn prepare(blob: StoredBlob, read: Read, pause: &mut dyn FnMut()) -> Prepared {
    let (content, table) = match read {
        Read::Stored(prepared) => return prepared,
        Read::Content(content, table) => (content, table),
    };
    let table = table.unwrap_or_else(|| Blobs::hash(&content).1);
    match Form::of(blob.pool) {
        // As it is, without another copy of it.
        Form::Raw => {
            let plain_bytes = u32::try_from(content.len()).expect("a chunk has at most 8 MiB");
            Prepared { id: blob.id, table, plain_bytes, stored: content }
        }
        form => Blobs::prepare(blob.id, &content, table, form, pause),
    }
}
