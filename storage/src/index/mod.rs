//! The metadata index: the only user of RocksDB. No RocksDB type but the error's source leaves it.
//!
//! One database with one write-ahead log. Every state change is one [`Batch`], made durable by the committer before
//! anybody hears of it. Point reads try memory first and go to the blocking pool only when the disk is needed; scans
//! always run there.

mod batch;
mod commit;
mod family;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod inline;
pub(crate) mod key;
pub(crate) mod record;
mod scratch;
mod watermark;

use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    Cache, DB, DBRawIterator, DBRecoveryMode, ErrorKind, FlushOptions, IteratorMode, Options, ReadOptions, ReadTier,
    Snapshot,
};

pub(crate) use batch::Batch;
pub(crate) use commit::Committer;
pub(crate) use family::Family;
pub(crate) use scratch::Scratch;

use crate::error::{Error, Result};
use crate::fs::{blocking, open_files_max, sync_parent};
use crate::quota::Ledger;
use crate::room::Gauge;
use crate::sync::step;
use record::Record;
use watermark::Watermark;

/// The size of RocksDB's write buffers together at which the largest is flushed, in bytes: with what is being flushed by
/// then it bounds memory and the log to replay at open.
const WRITE_BUFFERS_BYTES: usize = 96 << 20;
/// The most log that is kept before families are flushed, in bytes.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// What is written out is written so often: once by itself, and once more when it is merged with what is below.
const WRITTEN_TIMES: u64 = 2;

/// What a scan through all of a family reads ahead, in bytes.
const READAHEAD_BYTES: usize = 1 << 20;

/// The open index. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Index {
    db: Arc<DB>,
    committer: Arc<Committer>,
    ledger: Arc<Ledger>,
    gauge: Arc<dyn Gauge>,
}

impl Index {
    /// Opens or makes the database. Blocking.
    pub(crate) fn open(directory: &Path, cache_bytes: usize, gauge: Arc<dyn Gauge>) -> Result<Index> {
        let cache = Cache::new_hyper_clock_cache(cache_bytes, 0);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_paranoid_checks(true);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_recycle_log_file_num(4);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
        options.set_max_total_wal_size(LOG_BYTES_MAX);
        options.set_max_background_jobs(2);
        // Files are written out as they grow, so that syncs of the log do not wait for all of one. There is no rate limit:
        // flushes would keep to it as well, and then writes stop until they are done.
        options.set_bytes_per_sync(1 << 20);
        options.set_keep_log_file_num(4);
        options.set_stats_dump_period_sec(0);
        options.set_max_open_files(i32::try_from(open_files_max()).unwrap_or(i32::MAX));
        let families = Family::ALL.map(|family| family.descriptor(&cache));
        let db = DB::open_cf_descriptors(&options, directory, families)
            .map_err(|source| Error::Index { action: "open the index", source })?;
        // RocksDB syncs what is in its directory, and not the directory's own name. Always: whoever made it may have died.
        sync_parent(directory)?;
        let watermark = Watermark::open(directory, db.latest_sequence_number())?;
        let db = Arc::new(db);
        let ledger = Arc::new(Ledger::default());
        let committer =
            Arc::new(Committer::start(Arc::clone(&db), watermark, Arc::clone(&ledger), Arc::clone(&gauge))?);
        Ok(Index { db, committer, ledger, gauge })
    }

    /// Reads one row.
    pub(crate) async fn get(&self, family: Family, key: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        step();
        match self.db.get_cf_opt(handle(&self.db, family), &key, &options) {
            Ok(value) => Ok(value),
            Err(error) if error.kind() == ErrorKind::Incomplete => self.read(move |rows| rows.get(family, &key)).await,
            Err(source) => Err(Error::Index { action: "read a row", source }),
        }
    }

    /// Reads one record.
    pub(crate) async fn record<R: Record>(&self, family: Family, key: Vec<u8>) -> Result<Option<R>> {
        self.get(family, key).await?.map(|value| R::decode(&value)).transpose()
    }

    /// The first row from `from` to `to` (exclusive).
    pub(crate) async fn first(&self, family: Family, from: Vec<u8>, to: Vec<u8>) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        options.set_iterate_lower_bound(from.as_slice());
        options.set_iterate_upper_bound(to.as_slice());
        step();
        let found = {
            let mut rows = self.db.raw_iterator_cf_opt(handle(&self.db, family), options);
            rows.seek(&from);
            match rows.item() {
                Some((key, value)) => Ok(Some((key.to_vec(), value.to_vec()))),
                None => rows.status().map(|()| None),
            }
        };
        match found {
            Ok(found) => Ok(found),
            Err(error) if error.kind() == ErrorKind::Incomplete => {
                self.read(move |rows| rows.first(family, &from, &to)).await
            }
            Err(source) => Err(Error::Index { action: "read a row", source }),
        }
    }

    /// Runs `work`, whose reads all see the rows as of one moment: here if they are in memory, else it is run anew on the
    /// blocking pool.
    pub(crate) async fn at_once<T: Send + 'static>(
        &self,
        work: impl Fn(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let found = work(&Rows { db: &self.db, moment: Some(&self.db.snapshot()), in_memory: true });
        match found {
            Err(Error::Index { source, .. }) if source.kind() == ErrorKind::Incomplete => {
                let db = Arc::clone(&self.db);
                blocking(move || work(&Rows { moment: Some(&db.snapshot()), ..Rows::of(&db) })).await?
            }
            found => found,
        }
    }

    /// Blocking reads, for callers that may block.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::of(&self.db)
    }

    /// Runs `work`, which may scan and wait for the disk, on the blocking pool.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = Arc::clone(&self.db);
        blocking(move || work(&Rows::of(&db))).await?
    }

    /// The books of what has a quota.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Makes a batch visible and durable. Dropping the future does not stop it.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        self.committer.commit(batch).await
    }

    /// As [`Index::commit`], for threads that may block.
    pub(crate) fn commit_blocking(&self, batch: Batch) -> Result<()> {
        self.committer.commit_blocking(batch)
    }

    /// Whether a failed commit stopped all writes.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.committer.is_poisoned()
    }

    /// Waits for the commits under way and refuses further ones. Writes out what memory holds, so that the next open
    /// has no log to replay, and so that all that is at rest has checksums which tell damage from a crash.
    pub(crate) async fn close(&self) {
        self.committer.close().await;
        if self.is_poisoned() {
            return;
        }
        let written_out = self.read(|rows| {
            let families = Family::ALL.map(|family| handle(rows.db, family));
            let flushed = rows.db.flush_cfs_opt(&families, &FlushOptions::default());
            flushed.map_err(|source| Error::Index { action: "write out the index", source })
        });
        if let Err(error) = written_out.await {
            tracing::warn!(%error, "the index could not be written out; the next start replays its log");
        }
    }

    /// Writes out what memory holds, family by family, as far as there is room, so that RocksDB merges deletions away with
    /// what they delete. Otherwise they wait until that memory fills up, which it cannot while writes are refused; and what
    /// memory holds would have to be written out when there is even less room.
    pub(crate) async fn write_out(&self) -> Result<()> {
        let gauge = Arc::clone(&self.gauge);
        self.read(move |rows| {
            for family in Family::ALL {
                let bytes = bytes_in_memory(rows.db, family)?;
                let room = gauge.room(rows.db.path());
                if bytes > 0 && room.is_ok_and(|room| room.fits(bytes.saturating_mul(WRITTEN_TIMES))) {
                    let flushed = rows.db.flush_cf(handle(rows.db, family));
                    flushed.map_err(|source| Error::Index { action: "write out the index", source })?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Writes an openable copy of the database to `directory`, which must not exist. Blocking.
    pub(crate) fn checkpoint(&self, directory: &Path) -> Result<()> {
        rocksdb::checkpoint::Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(directory))
            .map_err(|source| Error::Index { action: "write a checkpoint of the index", source })
    }
}

/// What writing out a family takes at most, but for the little that each table has; nothing if it has no changes.
fn bytes_in_memory(db: &DB, family: Family) -> Result<u64> {
    let property = |name: &str| {
        let found = db.property_int_value_cf(handle(db, family), name);
        Ok(found.map_err(|source| Error::Index { action: "look at memory", source })?.unwrap_or(0))
    };
    match property("rocksdb.num-entries-active-mem-table")? {
        0 => Ok(0),
        _ => property("rocksdb.cur-size-active-mem-table"),
    }
}

/// The index of a store that nobody has open, for reading only.
pub(crate) struct ReadIndex {
    db: DB,
    missing: Option<String>,
}

impl ReadIndex {
    /// Opens the database without writing to its directory: what its log holds is read into memory. Blocking.
    pub(crate) fn open(directory: &Path, cache_bytes: usize) -> Result<ReadIndex> {
        let cache = Cache::new_hyper_clock_cache(cache_bytes, 0);
        let mut options = Options::default();
        options.set_paranoid_checks(true);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        // As it was written: told otherwise, RocksDB wants to forget the logs that it tracks, and dies of being read-only.
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_max_open_files(512);
        let families = Family::ALL.map(|family| family.descriptor(&cache));
        let db = DB::open_cf_descriptors_read_only(&options, directory, families, false)
            .map_err(|source| Error::Index { action: "open the index for reading", source })?;
        let missing = watermark::missing(directory, db.latest_sequence_number())?;
        Ok(ReadIndex { db, missing })
    }

    /// Which acknowledged changes its log has lost, if any.
    pub(crate) fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Its rows.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::of(&self.db)
    }
}

/// Blocking reads of rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    db: &'a DB,
    /// As of when; without it each read sees the rows as they are then.
    moment: Option<&'a Snapshot<'a>>,
    /// Fails with `Incomplete` rather than wait for the disk.
    in_memory: bool,
}

/// What a scan should do after a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Go on with the following row.
    Next,
    /// Go on with the first row at or after this key.
    Seek(Vec<u8>),
    /// Enough.
    Stop,
}

/// A place in a scan that its holder moves on, for walking through several families at once. What it reads is not kept
/// in the cache.
pub(crate) struct Cursor<'a> {
    rows: DBRawIterator<'a>,
}

impl Cursor<'_> {
    /// The row here; `None` at the end.
    pub(crate) fn row(&self) -> Result<Option<(&[u8], &[u8])>> {
        match self.rows.item() {
            Some(row) => Ok(Some(row)),
            None => self.rows.status().map(|()| None).map_err(|source| Error::Index { action: "scan rows", source }),
        }
    }

    /// Goes on to the next row. The cursor is at one.
    pub(crate) fn advance(&mut self) {
        self.rows.next();
    }
}

impl<'a> Rows<'a> {
    fn of(db: &'a DB) -> Rows<'a> {
        Rows { db, moment: None, in_memory: false }
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if let Some(moment) = self.moment {
            options.set_snapshot(moment);
        }
        if self.in_memory {
            options.set_read_tier(ReadTier::BlockCache);
        }
        options
    }

    /// A cursor at the first row from `from` to `to` (exclusive; empty means the family's end).
    pub(crate) fn cursor(&self, family: Family, from: &[u8], to: &[u8]) -> Cursor<'a> {
        let mut options = self.options();
        if !to.is_empty() {
            options.set_iterate_upper_bound(to);
        }
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_BYTES);
        let mut rows = self.db.raw_iterator_cf_opt(handle(self.db, family), options);
        rows.seek(from);
        Cursor { rows }
    }

    /// About how many rows a family has.
    pub(crate) fn estimate(&self, family: Family) -> Result<u64> {
        let found = self.db.property_int_value_cf(handle(self.db, family), "rocksdb.estimate-num-keys");
        Ok(found.map_err(|source| Error::Index { action: "count rows", source })?.unwrap_or(0))
    }
}

impl Rows<'_> {
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>> {
        step();
        let found = self.db.get_cf_opt(handle(self.db, family), key, &self.options());
        found.map_err(|source| Error::Index { action: "read a row", source })
    }

    pub(crate) fn record<R: Record>(&self, family: Family, key: &[u8]) -> Result<Option<R>> {
        self.get(family, key)?.map(|value| R::decode(&value)).transpose()
    }

    /// Offers the rows from `from` to `to` (exclusive; empty means the family's end) in order, as of one moment, until
    /// `visit` stops the scan.
    pub(crate) fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<Step>,
    ) -> Result<()> {
        let mut options = self.options();
        if !to.is_empty() {
            options.set_iterate_upper_bound(to);
        }
        options.set_iterate_lower_bound(from);
        step();
        let mut rows = self.db.raw_iterator_cf_opt(handle(self.db, family), options);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            match visit(key, value)? {
                Step::Next => rows.next(),
                Step::Seek(target) => rows.seek(target),
                Step::Stop => return Ok(()),
            }
        }
        rows.status().map_err(|source| Error::Index { action: "scan rows", source })
    }

    /// Offers the rows from `from` to `to` (exclusive, not empty) in descending order, as of one moment, until `visit`
    /// says [`Step::Stop`]; any other step goes on with the row before.
    pub(crate) fn scan_back(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<Step>,
    ) -> Result<()> {
        let mut options = self.options();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        step();
        let mut rows = self.db.raw_iterator_cf_opt(handle(self.db, family), options);
        rows.seek_to_last();
        while let Some((key, value)) = rows.item() {
            if visit(key, value)? == Step::Stop {
                return Ok(());
            }
            rows.prev();
        }
        rows.status().map_err(|source| Error::Index { action: "scan rows", source })
    }

    /// The first row from `from` to `to` (exclusive).
    pub(crate) fn first(&self, family: Family, from: &[u8], to: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut found = None;
        self.scan(family, from, to, |key, value| {
            found = Some((key.to_vec(), value.to_vec()));
            Ok(Step::Stop)
        })?;
        Ok(found)
    }

    /// The last row of a family; for counters taken from the greatest key.
    pub(crate) fn last(&self, family: Family) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut rows = self.db.iterator_cf_opt(handle(self.db, family), self.options(), IteratorMode::End);
        match rows.next() {
            None => Ok(None),
            Some(Ok((key, value))) => Ok(Some((key.into_vec(), value.into_vec()))),
            Some(Err(source)) => Err(Error::Index { action: "read the last row", source }),
        }
    }
}

fn handle(db: &DB, family: Family) -> &rocksdb::ColumnFamily {
    db.cf_handle(family.name()).expect("every family is opened with the database")
}
