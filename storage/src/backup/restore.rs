//! Making a store of a backup, where there is none. The order; the process may die between any two steps:
//!
//! 1. The directory and those of the zones are found empty, and RESTORING is written to each: until the end no open takes
//!    the directory for a store, and a restore that is begun again removes what this one has left (`directory::restoring`).
//! 2. The data keys, and the index's files, each verified.
//! 3. The index is opened, with a list of zones of its own. Every pack is read and verified; each record of it that the
//!    index still places in a segment of the original is verified against its name, written to a new segment, synced, and
//!    its place committed.
//! 4. The index is written out. Nothing in it names a segment of the original any more.
//! 5. FORMAT is written, and RESTORING removed: now it is a store.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::files::{Files, INDEX, List, hash_of};
use super::pack::{PackId, read_pack};
use super::repository::Repository;
use super::snapshot::{Snapshot, sum};
use super::verify::{BackupProgress, find};
use crate::blob::{Blobs, BlobsOptions, IDS_SKIPPED, Placement, Prepared};
use crate::cipher::{Expected, KEYS_FILE, Keys, MasterKey};
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::directory::{begin_restore, end_restore, index_in};
use crate::error::{Error, Result};
use crate::fs::{self, DirectoryLock, blocking};
use crate::index::record::StoredBlob;
use crate::index::{Batch, Family, Index, Step, key};
use crate::pool::Pool;
use crate::room::SystemGauge;
use crate::store::next_segment;
use crate::zone::Trouble;
use crate::zones::{self, ZoneOptions};

/// Records that are written together, in bytes.
const GROUP_BYTES: usize = 8 << 20;
/// Rows that one commit deletes.
const ROWS_PER_BATCH: usize = 1000;

/// What to restore, and where.
#[derive(Clone)]
pub struct RestoreOptions {
    /// The backup; `None` for the newest.
    pub snapshot: Option<String>,
    /// The data directory, which must be missing or empty but for the files of these names.
    pub directory: PathBuf,
    /// Files that may be there already.
    pub may_hold: Vec<String>,
    /// The zones, missing or empty; none for the data directory alone. They need not be as they were.
    pub zones: Vec<ZoneOptions>,
    /// The master key that the store had; `None` for a store without.
    pub master_key: Option<MasterKey>,
    /// The size at which a segment takes no more records, in bytes.
    pub segment_bytes: u64,
    /// Memory for the index's blocks, in bytes.
    pub cache_bytes: usize,
    /// Whether to go on when files of the backup are damaged: what they held is lost then, and all else is restored.
    pub salvage: bool,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from. It must never repeat itself for the same store.
    pub entropy: Arc<dyn Entropy>,
}

impl RestoreOptions {
    /// The newest backup into that directory, of a store without a master key.
    pub fn new(directory: impl Into<PathBuf>) -> RestoreOptions {
        RestoreOptions {
            snapshot: None,
            directory: directory.into(),
            may_hold: Vec::new(),
            zones: Vec::new(),
            master_key: None,
            segment_bytes: 1 << 30,
            cache_bytes: 128 << 20,
            salvage: false,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// The backup's id.
    pub snapshot: String,
    /// Records that were written.
    pub records: u64,
    /// The packs and files of the index that were read, in bytes.
    pub bytes: u64,
    /// Chunks that the index names and that are not there: the backup did not have them, or they were damaged in it.
    pub lost_records: u64,
}

/// Makes a store of a backup.
///
/// `Ok` means that it can be opened, durably. After `Err` there is none, and the same call may be made again: `Err(Backup)`
/// if the directory or a zone is not empty, or there is no such backup, `Err(MasterKeyMissing)` or `Err(MasterKeyWrong)`
/// without the store's key, `Err(Corrupt)` if something in the repository is not as it was written.
pub async fn restore(
    repository: Arc<dyn Repository>,
    options: &RestoreOptions,
    progress: &mut (dyn FnMut(BackupProgress) + Send),
) -> Result<Restored> {
    let files = Files::new(repository);
    let (id, snapshot) = find(&files, options.snapshot.as_deref()).await?;
    let damaged = || Error::Corrupt { what: "snapshot", place: id.clone() };
    let store_id = snapshot.store_id().ok_or_else(damaged)?;
    if let Some(keys) = &snapshot.keys {
        Keys::check(keys, &store_id, options.master_key.as_ref().ok_or(Error::MasterKeyMissing)?)?;
    }
    let packs = packs_of(&files, &snapshot, options.salvage).await?;
    let sizes = files.packs().await?;
    let pack_bytes = sum(packs.iter().filter_map(|pack| sizes.get(pack)).copied());
    let total_bytes = snapshot.index_bytes().saturating_add(pack_bytes);
    let mut restore = Restore {
        files,
        restored: Restored { snapshot: id, ..Restored::default() },
        salvage: options.salvage,
        total_bytes,
        progress,
    };
    let its_options = options.clone();
    let (lock, zones) = blocking(move || clear(&its_options)).await??;
    let keys = restore.keys(options, &snapshot, store_id).await?;
    restore.index(&options.directory, &snapshot).await?;
    let target = Target::open(options.clone(), store_id, Arc::clone(&keys)).await?;
    restore.packs(&target, packs).await?;
    restore.restored.lost_records = target.finish().await?;
    if restore.restored.lost_records > snapshot.lost_records && !options.salvage {
        let place = format!("{} records", restore.restored.lost_records - snapshot.lost_records);
        return Err(Error::Corrupt { what: "backup (records are in none of its packs)", place });
    }
    let (directory, sealed) = (options.directory.clone(), keys.seals());
    blocking(move || end_restore(&directory, &zones, store_id, sealed)).await??;
    drop(lock);
    Ok(restore.restored)
}

/// The packs that a backup needs.
async fn packs_of(files: &Files, snapshot: &Snapshot, salvage: bool) -> Result<Vec<PackId>> {
    let mut packs = BTreeSet::new();
    for list in &snapshot.lists {
        match files.list(&List::named(list)?).await {
            Ok(entries) => packs.extend(entries.into_iter().map(|(_, pack)| pack)),
            // All packs there are have what it named, if any has.
            Err(Error::Corrupt { .. }) if salvage => packs.extend(files.packs().await?.into_keys()),
            Err(error) => return Err(error),
        }
    }
    Ok(packs.into_iter().collect())
}

/// Takes the directories for the restore, and says which zones they are. Blocking.
fn clear(options: &RestoreOptions) -> Result<(DirectoryLock, Vec<PathBuf>)> {
    fs::create_directories(&options.directory)?;
    let lock = fs::lock_directory(&options.directory)?;
    let absolute =
        |path: &PathBuf| std::path::absolute(path).map_err(|error| Error::io("name a zone's directory", error));
    let zones = options.zones.iter().map(|zone| absolute(&zone.directory)).collect::<Result<Vec<_>>>()?;
    begin_restore(&absolute(&options.directory)?, &options.may_hold, &zones, &*options.entropy)?;
    Ok((lock, zones))
}

/// A restore under way.
struct Restore<'a> {
    files: Files,
    restored: Restored,
    salvage: bool,
    total_bytes: u64,
    progress: &'a mut (dyn FnMut(BackupProgress) + Send),
}

impl Restore<'_> {
    fn advance(&mut self, bytes: u64) {
        self.restored.bytes += bytes;
        (self.progress)(BackupProgress { done_bytes: self.restored.bytes, total_bytes: self.total_bytes });
    }

    /// Writes the data keys and opens them.
    async fn keys(&self, options: &RestoreOptions, snapshot: &Snapshot, store_id: [u8; 16]) -> Result<Arc<Keys>> {
        let Some(text) = snapshot.keys.clone() else { return Ok(Arc::new(Keys::none())) };
        let (directory, master) = (options.directory.clone(), options.master_key.clone());
        let entropy = Arc::clone(&options.entropy);
        blocking(move || {
            fs::write_small_file(&directory.join(KEYS_FILE), text.as_bytes())?;
            Keys::open(&directory, store_id, master.as_ref(), Expected::Present, entropy).map(Arc::new)
        })
        .await?
    }

    /// Writes the files of the index.
    async fn index(&mut self, directory: &Path, snapshot: &Snapshot) -> Result<()> {
        let index = index_in(directory);
        let at = index.clone();
        blocking(move || fs::create_directories(&at)).await??;
        for file in &snapshot.index {
            let path = index.join(&file.name);
            let mut writer = blocking(move || make_file(&path)).await??;
            let mut written = 0;
            for piece in &file.pieces {
                let bytes = self.files.hashed(INDEX, &hash_of(piece)?).await?;
                let size = bytes.len() as u64;
                writer = blocking(move || append(writer, &bytes)).await??;
                self.advance(size);
                written += size;
            }
            if written != file.bytes {
                return Err(Error::Corrupt {
                    what: "snapshot (a file of the index has another size)",
                    place: file.name.clone(),
                });
            }
            blocking(move || writer.sync_all().map_err(|error| Error::io("sync a file of the index", error))).await??;
        }
        blocking(move || fs::sync_directory(&index)).await?
    }

    /// Writes the records of all packs to segments.
    async fn packs(&mut self, target: &Target, packs: Vec<PackId>) -> Result<()> {
        let files = self.files.clone();
        let fetch = |id: PackId| -> JoinHandle<Result<Bytes>> {
            let files = files.clone();
            tokio::spawn(async move { files.pack(&id).await })
        };
        let mut ids = packs.into_iter();
        let mut next = ids.next().map(|id| (id, fetch(id)));
        while let Some((id, fetching)) = next.take() {
            let fetched = fetching.await.map_err(|_| Error::Closed)?;
            // One is read ahead while this one is written.
            next = ids.next().map(|id| (id, fetch(id)));
            let wanted = match fetched {
                Ok(bytes) => target.wanted(id, bytes).await,
                Err(error) => Err(error),
            };
            match wanted {
                Ok(wanted) => {
                    let (records, bytes) = target.write(wanted).await?;
                    self.restored.records += records;
                    self.advance(bytes);
                }
                Err(error @ (Error::Corrupt { .. } | Error::UnknownFormat { .. })) if self.salvage => {
                    tracing::error!(%error, "a pack cannot be read; what it held is lost");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn make_file(path: &Path) -> Result<std::fs::File> {
    std::fs::File::create_new(path).map_err(|error| Error::io("write a file of the index", error))
}

fn append(mut file: std::fs::File, bytes: &[u8]) -> Result<std::fs::File> {
    let written = io::Write::write_all(&mut file, bytes);
    written.map(|()| file).map_err(|error| Error::io("write a file of the index", error))
}

/// The store that is being made.
struct Target {
    index: Index,
    blobs: Blobs,
    /// Segments of the original have lower ids.
    first_segment: u64,
    /// Whether to go on without records that are not as they were.
    salvage: bool,
}

/// Records of a pack that the store wants, where it places them as yet, and where they are in the pack.
struct Wanted {
    pack: Bytes,
    records: Vec<(StoredBlob, Placement, Range<usize>)>,
}

impl Target {
    async fn open(options: RestoreOptions, store_id: [u8; 16], keys: Arc<Keys>) -> Result<Target> {
        blocking(move || {
            let index = Index::open(&index_in(&options.directory), options.cache_bytes, Arc::new(SystemGauge))?;
            // The original may have gone on, so that its disks hold segments of ids that this index does not know.
            let first_segment = next_segment(&index)?.saturating_add(IDS_SKIPPED);
            let opened = zones::open_anew(&index, &options.zones, &options.directory, store_id)?;
            let blobs = Blobs::open(BlobsOptions {
                zones: opened.places,
                on_trouble: Arc::new(|Trouble { segment, error, .. }: Trouble| {
                    tracing::warn!(segment, error, "a call in a zone failed");
                }),
                segment_bytes: options.segment_bytes,
                write_buffers_max: 1,
                store_id,
                clock: options.clock,
                keys,
                next_segment: first_segment,
            })?;
            Ok(Target { index, blobs, first_segment, salvage: options.salvage })
        })
        .await?
    }

    /// Reads a pack and looks which of its records are wanted.
    async fn wanted(&self, id: PackId, pack: Bytes) -> Result<Wanted> {
        let first_segment = self.first_segment;
        let look = move |rows: &crate::index::Rows<'_>| {
            let mut records = Vec::new();
            for (blob, range) in read_pack(&id, &pack)? {
                let place: Option<Placement> = rows.record(Family::Blob, &key::stored_blob(&blob))?;
                if let Some(place) = place.filter(|place| place.segment < first_segment) {
                    records.push((blob, place, range));
                }
            }
            Ok(Wanted { pack, records })
        };
        self.index.read(look).await
    }

    /// Writes records to segments and commits their places. Returns how many, and the size of the pack.
    async fn write(&self, wanted: Wanted) -> Result<(u64, u64)> {
        let Wanted { pack, records } = wanted;
        let (mut count, mut at) = (0, 0);
        while at < records.len() {
            let (mut end, mut bytes) = (at, 0);
            while end < records.len() && (end == at || bytes < GROUP_BYTES) {
                bytes += records[end].2.len();
                end += 1;
            }
            let (blobs, pack, some) = (self.blobs.clone(), pack.clone(), records[at..end].to_vec());
            let salvage = self.salvage;
            let mut batch = Batch::new();
            for (pool, records) in blocking(move || import(&blobs, &pack, some, salvage)).await?? {
                count += records.len() as u64;
                let (from, records): (Vec<Placement>, Vec<Prepared>) = records.into_iter().unzip();
                let blobs: Vec<StoredBlob> = records.iter().map(|record| StoredBlob { id: record.id, pool }).collect();
                let to = self.blobs.write_batch(pool, records).await?;
                for ((blob, from), to) in blobs.into_iter().zip(from).zip(to) {
                    batch.move_blob(blob, from, to);
                }
            }
            self.index.commit(batch).await?;
            at = end;
        }
        Ok((count, pack.len() as u64))
    }

    /// Writes out the index, and returns how many records are still missing.
    async fn finish(self) -> Result<u64> {
        let Target { index, blobs, first_segment, .. } = self;
        let missing = index.read(move |rows| {
            let mut missing = 0;
            let until = key::placement(first_segment, 0);
            rows.scan(Family::Placement, &[], &until, |_, _| {
                missing += 1;
                Ok(Step::Next)
            })?;
            Ok(missing)
        });
        let missing: u64 = missing.await?;
        if missing == 0 {
            forget_segments(&index, first_segment).await?;
        }
        index.close().await;
        blocking(move || drop((index, blobs))).await?;
        Ok(missing)
    }
}

/// Reads records of a pack, verified against their names; those that are not as they were are left out of what is salvaged.
/// Blocking.
fn import(
    blobs: &Blobs,
    pack: &Bytes,
    records: Vec<(StoredBlob, Placement, Range<usize>)>,
    salvage: bool,
) -> Result<BTreeMap<Pool, Vec<(Placement, Prepared)>>> {
    let mut by_pool: BTreeMap<Pool, Vec<(Placement, Prepared)>> = BTreeMap::new();
    for (blob, from, range) in records {
        match blobs.import(&blob.id, &pack[range]) {
            Ok(prepared) => by_pool.entry(blob.pool).or_default().push((from, prepared)),
            Err(error @ (Error::Corrupt { .. } | Error::UnknownFormat { .. })) if salvage => {
                tracing::error!(%error, blob = %blob.id, "a record of a pack cannot be read; it is lost");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(by_pool)
}

/// Removes the counters of the original's segments, in which nothing is.
async fn forget_segments(index: &Index, until: u64) -> Result<()> {
    let rows = index.read(move |rows| {
        let mut found = Vec::new();
        rows.scan(Family::Segment, &[], &until.to_be_bytes(), |row, _| {
            found.push(row.to_vec());
            Ok(Step::Next)
        })?;
        Ok(found)
    });
    for rows in rows.await?.chunks(ROWS_PER_BATCH) {
        let mut batch = Batch::new();
        rows.iter().for_each(|row| batch.delete(Family::Segment, row.clone()));
        index.commit(batch).await?;
    }
    Ok(())
}
