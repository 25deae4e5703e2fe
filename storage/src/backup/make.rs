//! Making a backup. The order is what this file is for; the process may die between any two steps:
//!
//! 1. What the last snapshot, and backups that did not end, have in packs that are still there goes into a table, unless
//!    it may be sealed with data keys that this store does not have.
//! 2. The moment is taken (`moment`): from now on nothing that it names is dropped before it is copied.
//! 3. Chunks that the table lacks are read, in the order in which they lie on the disk, verified against their names,
//!    sealed anew and gathered in packs. A pack is durable before the table, and a file under `unfinished/`, name it.
//! 4. The index's copy is read as a whole, so that damage is not kept as a backup; its chunks are listed with their
//!    packs, and lists and pieces of the index's files that the repository lacks are sent.
//! 5. The repository must still be locked by this backup. The snapshot names all of it: now the backup is there. What is
//!    under `unfinished/` is removed.
//!
//! Dying before 5 leaves files that no snapshot names: packs are used by the next backup, and what it does not use goes
//! with the next pruning. A chunk that cannot be read in any pool is left where an earlier backup has it. If none does, it
//! is left out, counted, and told of; the backup is incomplete then, and the versions it belongs to are as unreadable in the restored store as they are here.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::files::{Files, Hash, Hold, INDEX, LISTS, List};
use super::moment::{AtWork, Moment, Named, Table, begin_table};
use super::pack::{ListWriter, PackId, PackWriter};
use super::snapshot::{IndexFile, Snapshot, time_of};
use super::{Told, moment};
use crate::blob::Placement;
use crate::cipher::{Keys, salt};
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::index::record::{Record as _, StoredBlob};
use crate::index::{Family, Step, key};
use crate::stamp::Timestamp;
use crate::store::Inner;
use crate::worker::{ROW_BYTES, read_somewhere};

/// What is read of the index between two looks at the budget, in bytes.
const READ_BYTES: u64 = 4 << 20;
/// The most of a file of the index that is sent at once, in bytes.
const PIECE_BYTES: u64 = 32 << 20;

/// A backup under way.
pub(super) struct Job {
    pub(super) inner: Arc<Inner>,
    pub(super) files: Files,
    pub(super) hold: Hold,
    pub(super) told: Arc<Told>,
    /// Whether to send everything, whatever the repository has.
    pub(super) full: bool,
}

/// What the repository has already, by hash.
#[derive(Default)]
struct Present {
    lists: HashSet<Hash>,
    index: HashSet<Hash>,
}

/// Makes a backup and returns the id of its snapshot. What it holds of the data directory, `at_work` tells, also after the
/// future was dropped.
pub(super) async fn make(job: &Job, at_work: AtWork) -> Result<String> {
    let Job { inner, files, told, .. } = job;
    let data = inner.directory.path().to_path_buf();
    let table = blocking(move || begin_table(&data, at_work)).await??;
    let mut present = Present { lists: files.hashes(LISTS).await?, index: files.hashes(INDEX).await? };
    let (table, taken_least) = fill(job, table, &mut present).await?;
    let taken = inner.clock.now().max(taken_least);
    let moment = Moment::begin(inner, table).await?;
    let (at, path) = (Arc::clone(&moment), moment.directory.clone());
    let (index_files, live_bytes) = blocking(move || Ok::<_, Error>((files_in(&path)?, at.live_bytes()?))).await??;
    let index_bytes: u64 = index_files.iter().map(|(_, bytes)| bytes).sum();
    told.update(|status| status.total_bytes = live_bytes + index_bytes);

    let mut snapshot = Snapshot::new(&inner.directory.store_id, taken);
    snapshot.lost_records = copy(job, &moment, taken).await?;
    inner.backups.hold(None);
    read_all(inner, &moment).await?;
    write_lists(job, &moment, &present, &mut snapshot).await?;
    for (name, bytes) in index_files {
        let pieces = send_file(job, &moment.directory.join(&name), bytes, &mut present.index).await?;
        snapshot.index.push(IndexFile { name, bytes, pieces });
    }
    // Last, so that it has every key that anything was sealed with.
    snapshot.keys = inner.keys.text();
    snapshot.data_key = inner.keys.newest_name();
    snapshot.sent_bytes = told.status().sent_bytes;
    // What it builds upon may have been pruned by whoever has the lock now.
    files.check(&job.hold).await?;
    let (id, bytes) = files.put_snapshot(&snapshot).await?;
    told.update(|status| status.sent_bytes += bytes);
    if let Err(error) = forget_unfinished(files).await {
        tracing::warn!(%error, "what says which packs were unfinished could not be removed; the next backup does it");
    }
    Ok(id)
}

/// Fills the table with what the repository has, and returns the earliest time that the next snapshot can have.
///
/// What cannot be read there is taken for missing: it is sent anew.
async fn fill(job: &Job, table: Table, present: &mut Present) -> Result<(Table, Timestamp)> {
    let files = &job.files;
    let (lists, taken) = built_upon(job).await?;
    if job.full {
        present.lists.clear();
        present.index.clear();
        return Ok((table, taken));
    }
    let packs = files.packs().await?;
    let table = Arc::new(table);
    for list in lists {
        if !note_list(files, &list, &packs, &table).await? {
            present.lists.remove(&list.hash);
        }
    }
    Ok((Arc::into_inner(table).expect("every other use of it has ended"), taken))
}

/// The lists of the newest backup that can be built upon, and of those that did not end; and the earliest time that the next
/// snapshot can have.
///
/// A store that was made of an older backup does not have the data keys that came after it: what is sealed with those
/// cannot be read here, nor in what is restored of a backup from here.
async fn built_upon(job: &Job) -> Result<(Vec<List>, Timestamp)> {
    let (files, keys) = (&job.files, &job.inner.keys);
    let mut lists = Vec::new();
    let after = |taken: Timestamp| taken.plus(Duration::from_millis(1));
    let mut taken = Timestamp::default();
    for id in files.snapshots().await?.iter().rev() {
        match files.snapshot(id).await {
            Ok(snapshot) => {
                taken = taken.max(after(snapshot.taken()));
                if is_readable(&snapshot, keys) {
                    lists = snapshot.lists.iter().map(|list| List::named(list)).collect::<Result<_>>()?;
                    break;
                }
                tracing::warn!(id, "a backup has data keys that this store does not have; it is not built upon");
            }
            Err(error @ Error::Corrupt { .. }) => {
                tracing::warn!(%error, id, "a backup cannot be read; it is not built upon");
                taken = taken.max(after(time_of(id).unwrap_or_default()));
            }
            Err(error) => return Err(error),
        }
    }
    let unfinished = files.unfinished().await?.into_iter();
    lists.extend(unfinished.filter(|(_, key)| key.as_ref().is_none_or(|key| keys.knows(key))).map(|(list, _)| list));
    Ok((lists, taken))
}

fn is_readable(snapshot: &Snapshot, keys: &Keys) -> bool {
    snapshot.keys.is_none() || snapshot.data_key.as_ref().is_some_and(|key| keys.knows(key))
}

/// What the repository has of chunks that the store cannot read any more: in packs of any backup.
struct Spare<'a> {
    job: &'a Job,
    moment: &'a Arc<Moment>,
    /// Once one was asked for.
    table: Option<Arc<Table>>,
}

impl Spare<'_> {
    /// Looks for a chunk that cannot be read here, and notes where it is, or that there is no use in keeping it.
    async fn has(&mut self, blob: StoredBlob) -> Result<bool> {
        let table = match &self.table {
            Some(table) => Arc::clone(table),
            None => Arc::clone(self.table.insert(self.fill().await?)),
        };
        let moment = Arc::clone(self.moment);
        let look = move || {
            let found = table.get(&blob)?;
            match &found {
                Some(pack) => moment.note(&[blob], pack)?,
                None => moment.give_up(&blob)?,
            }
            Ok::<_, Error>(found)
        };
        let found = blocking(look).await??;
        match found {
            Some(pack) => tracing::warn!(blob = %blob.id, pack = hex::encode(pack), "an earlier backup has the chunk"),
            None => tracing::error!(blob = %blob.id, "a chunk that cannot be read is in no backup"),
        }
        Ok(found.is_some())
    }

    /// What all backups have in packs that are still there, where the newest of them has it.
    async fn fill(&self) -> Result<Arc<Table>> {
        let files = &self.job.files;
        let moment = Arc::clone(self.moment);
        let table = Arc::new(blocking(move || moment.spare_table()).await??);
        let (packs, mut seen) = (files.packs().await?, HashSet::new());
        for id in files.snapshots().await?.iter() {
            let lists = match files.snapshot(id).await {
                Ok(snapshot) if is_readable(&snapshot, &self.job.inner.keys) => snapshot.lists,
                Ok(_) | Err(Error::Corrupt { .. }) => continue,
                Err(error) => return Err(error),
            };
            for list in lists {
                let list = List::named(&list)?;
                if seen.insert(list.hash) {
                    note_list(files, &list, &packs, &table).await?;
                }
            }
        }
        Ok(table)
    }
}

/// Fills a table with what a list names, as far as the packs are still there. `false` if the list cannot be read.
async fn note_list(files: &Files, list: &List, packs: &HashMap<PackId, u64>, table: &Arc<Table>) -> Result<bool> {
    let entries = match files.list(list).await {
        Ok(entries) => entries,
        Err(error @ Error::Corrupt { .. }) => {
            tracing::warn!(%error, "a list of a backup cannot be read; what it names is sent anew");
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let known = entries.into_iter().filter(|(_, pack)| packs.contains_key(pack));
    let known: Vec<_> = known.map(|(blob, pack)| (key::stored_blob(&blob), pack)).collect();
    let table = Arc::clone(table);
    blocking(move || table.put(known)).await?.map(|()| true)
}

/// Copies the chunks that the repository lacks, and returns how many could not be read.
async fn copy(job: &Job, moment: &Arc<Moment>, taken: Timestamp) -> Result<u64> {
    let (inner, told) = (&job.inner, &job.told);
    let mut packs = Packs { job, moment, taken, open: None, sending: JoinSet::new() };
    let mut spare = Spare { job, moment, table: None };
    let (mut from, mut lost) = (Vec::new(), 0);
    loop {
        let (at, start) = (Arc::clone(moment), from);
        let Some(group) = blocking(move || at.group(&start)).await?? else { break };
        from = group.next;
        let bytes: u64 = group.chunks.iter().map(|chunk| chunk.place.record_bytes()).sum();
        let records = group.chunks.len() as u64;
        let wanted: Vec<Named> = group.chunks.into_iter().filter(|chunk| !chunk.copied).collect();
        let wanted_bytes: u64 = wanted.iter().map(|chunk| chunk.place.record_bytes()).sum();
        inner.budget.spend(wanted_bytes + records * ROW_BYTES).await;
        inner.backups.progress.add(wanted.len() as u64, wanted_bytes);
        for (blob, record) in read(inner, wanted).await? {
            match record {
                Some(record) => packs.add(blob, &record).await?,
                None => lost += u64::from(!spare.has(blob).await?),
            }
        }
        told.update(|status| {
            status.done_bytes += bytes;
            status.records += records;
            status.lost_records = lost;
            inner.backups.progress.set_backlog(status.total_bytes.saturating_sub(status.done_bytes));
        });
    }
    packs.finish().await?;
    Ok(lost)
}

/// Reads chunks, several at once, and seals them; in the order in which they were given. `None` for one that is lost.
async fn read(inner: &Arc<Inner>, chunks: Vec<Named>) -> Result<Vec<(StoredBlob, Option<Vec<u8>>)>> {
    let mut reading = JoinSet::new();
    for (position, Named { blob, place, .. }) in chunks.into_iter().enumerate() {
        let inner = Arc::clone(inner);
        reading.spawn(async move { Ok::<_, Error>((position, blob, read_one(&inner, blob, place).await?)) });
    }
    let mut read = Vec::with_capacity(reading.len());
    while let Some(outcome) = reading.join_next().await {
        read.push(joined(outcome)??);
    }
    read.sort_by_key(|(position, ..)| *position);
    Ok(read.into_iter().map(|(_, blob, record)| (blob, record)).collect())
}

async fn read_one(inner: &Inner, blob: StoredBlob, place: Placement) -> Result<Option<Vec<u8>>> {
    match read_somewhere(inner, blob, place).await {
        Ok(prepared) => {
            let blobs = inner.blobs.clone();
            blocking(move || Some(blobs.export(&prepared))).await
        }
        Err(Error::Closed) => Err(Error::Closed),
        Err(error) => {
            let (segment, offset) = (place.segment, place.offset);
            tracing::error!(%error, blob = %blob.id, segment, offset, "a chunk cannot be read");
            Ok(None)
        }
    }
}

fn joined<T>(outcome: std::result::Result<T, tokio::task::JoinError>) -> Result<T> {
    outcome.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_cancelled) => Error::Closed,
    })
}

/// A name that no other pack has: nothing is ever written over one, not even by a store whose randomness came back.
fn new_id(taken: Timestamp, first: &StoredBlob, salt: [u8; 16]) -> PackId {
    let all = [&taken.as_nanos().to_le_bytes()[..], &key::stored_blob(first), &salt].concat();
    *blake3::hash(&all).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// The pack that is being filled, and the one before it on its way.
struct Packs<'a> {
    job: &'a Job,
    moment: &'a Arc<Moment>,
    taken: Timestamp,
    open: Option<PackWriter>,
    /// At most one.
    sending: JoinSet<Result<()>>,
}

impl Packs<'_> {
    async fn add(&mut self, blob: StoredBlob, record: &[u8]) -> Result<()> {
        let entropy = &*self.job.inner.entropy;
        let open = self.open.get_or_insert_with(|| PackWriter::new(new_id(self.taken, &blob, salt(entropy))));
        open.add(blob, record);
        if open.is_full() { self.send().await } else { Ok(()) }
    }

    /// Sends what is open, once the one before is there.
    async fn send(&mut self) -> Result<()> {
        self.wait().await?;
        let Some(pack) = self.open.take() else { return Ok(()) };
        let (files, told, moment) = (self.job.files.clone(), Arc::clone(&self.job.told), Arc::clone(self.moment));
        let inner = Arc::clone(&self.job.inner);
        // Everything in it is sealed by now.
        let data_key = inner.keys.newest_name();
        self.sending.spawn(async move {
            let (id, blobs) = (pack.id, pack.blobs.clone());
            let bytes = Bytes::from(blocking(move || pack.finish()).await?);
            let size = bytes.len() as u64;
            inner.budget.spend(size).await;
            drop(inner);
            files.put_pack(&id, bytes).await?;
            let mut list = ListWriter::new();
            blobs.iter().for_each(|blob| _ = list.add(blob, &id));
            let list = Bytes::from(list.finish().unwrap_or_default());
            let list_bytes = list.len() as u64;
            files.put_unfinished(data_key.as_deref(), list).await?;
            told.update(|status| {
                status.sent_bytes += size + list_bytes;
                status.sent_records += blobs.len() as u64;
            });
            blocking(move || moment.note(&blobs, &id)).await?
        });
        Ok(())
    }

    async fn wait(&mut self) -> Result<()> {
        while let Some(outcome) = self.sending.join_next().await {
            joined(outcome)??;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        self.send().await?;
        self.wait().await
    }
}

/// Reads every row, which verifies the checksums of the index's files.
async fn read_all(inner: &Inner, moment: &Arc<Moment>) -> Result<()> {
    for family in Family::ALL {
        let mut from = Some(Vec::new());
        while let Some(start) = from {
            let at = Arc::clone(moment);
            let (bytes, next) = blocking(move || at.read_some(family, &start, READ_BYTES)).await??;
            inner.budget.spend(bytes).await;
            from = next;
        }
    }
    Ok(())
}

/// A list, and what it says.
struct Listed {
    bytes: Option<Vec<u8>>,
    next: Option<Vec<u8>>,
    records: u64,
    record_bytes: u64,
}

/// Lists which chunk is in which pack, in the order of their names.
async fn write_lists(job: &Job, moment: &Arc<Moment>, present: &Present, snapshot: &mut Snapshot) -> Result<()> {
    let mut from = Some(Vec::new());
    while let Some(start) = from {
        let at = Arc::clone(moment);
        let listed = blocking(move || list_from(&at, &start)).await??;
        from = listed.next;
        job.inner.budget.spend(listed.records * ROW_BYTES).await;
        snapshot.records += listed.records;
        snapshot.record_bytes += listed.record_bytes;
        let Some(bytes) = listed.bytes else { continue };
        let hash = *blake3::hash(&bytes).as_bytes();
        if !present.lists.contains(&hash) {
            job.told.update(|status| status.sent_bytes += bytes.len() as u64);
            job.files.put_hashed(LISTS, &hash, bytes.into()).await?;
        }
        snapshot.lists.push(hex::encode(hash));
    }
    Ok(())
}

/// Blocking.
fn list_from(moment: &Moment, from: &[u8]) -> Result<Listed> {
    let mut list = ListWriter::new();
    let mut listed = Listed { bytes: None, next: None, records: 0, record_bytes: 0 };
    moment.rows().scan(Family::Blob, from, &[], |row, value| {
        let blob = key::split_stored_blob(row).ok_or_else(|| key::corrupt("blob row", row))?;
        let missing = || Error::Corrupt { what: "placement row (missing)", place: blob.id.to_string() };
        let Some(pack) = moment.pack(&blob)?.ok_or_else(missing)? else { return Ok(Step::Next) };
        listed.records += 1;
        listed.record_bytes += Placement::decode(value)?.record_bytes();
        if list.add(&blob, &pack) {
            listed.next = Some(crate::list::following(row.to_vec()));
            return Ok(Step::Stop);
        }
        Ok(Step::Next)
    })?;
    listed.bytes = list.finish();
    Ok(listed)
}

/// The files of the copy of the index that belong to it, with their sizes. Blocking.
fn files_in(directory: &Path) -> Result<Vec<(String, u64)>> {
    let list = || {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // What RocksDB says of itself, and its lock.
            if !name.starts_with("LOG") && name != "LOCK" {
                files.push((name, entry.metadata()?.len()));
            }
        }
        files.sort();
        Ok(files)
    };
    list().map_err(|error| Error::io("list the files of the index", error))
}

/// Sends the pieces of a file that the repository lacks, and returns their names.
async fn send_file(job: &Job, path: &Path, size: u64, present: &mut HashSet<Hash>) -> Result<Vec<String>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let length = PIECE_BYTES.min(size - at);
        job.inner.budget.spend(length).await;
        let path = path.to_path_buf();
        let (bytes, hash) = blocking(move || {
            let bytes = moment::read_piece(&path, at, length)?;
            let hash = *blake3::hash(&bytes).as_bytes();
            Ok::<_, Error>((bytes, hash))
        })
        .await??;
        if present.insert(hash) {
            job.inner.budget.spend(length).await;
            job.files.put_hashed(INDEX, &hash, bytes.into()).await?;
            job.told.update(|status| status.sent_bytes += length);
        }
        job.told.update(|status| status.done_bytes += length);
        pieces.push(hex::encode(hash));
        at += length;
    }
    Ok(pieces)
}

async fn forget_unfinished(files: &Files) -> Result<()> {
    for (list, _) in files.unfinished().await? {
        files.remove(&list.name).await?;
    }
    Ok(())
}
