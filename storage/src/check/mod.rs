//! The check of a store that nobody has open: whether every row, reference, counter and segment agrees with the others.
//!
//! Nothing is written. Memory is bounded however much is stored: families are walked through side by side, single rows are
//! looked up, and what is in another order is compared by sums (`claims`). The order:
//!
//! 1. `segments`: zones and shards are there; every place has a chunk and lies in a segment; live bytes; with
//!    [`CheckDepth::Content`] every record is read from every shard.
//! 2. `blobs`: every chunk that has a place is referred to.
//! 3. `buckets`, `versions`, `contents`: what each bucket, key, version, upload and garbage row says is so, and everything
//!    that a content needs is there. What it needs is claimed.
//! 4. `owned`: every row that could be claimed was.
//! 5. `queues`, `timers`, `others`: what is left.

mod blobs;
mod buckets;
mod claims;
mod contents;
mod finding;
mod garbage;
mod others;
mod owned;
mod queues;
mod segments;
#[cfg(test)]
mod tests;
mod timers;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::blob::{Blobs, BlobsOptions};
use crate::cipher::{Keys, MasterKey};
use crate::clock::SystemClock;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::index::record::{Record, StoredBlob};
use crate::index::{Family, ReadIndex, Rows};
use crate::zone::Trouble;
use crate::zones::{self, Places, ZoneOptions};
use claims::Claims;

pub use finding::{Finding, FindingKind};

/// Rows between two reports of progress.
const ROWS_PER_REPORT: u64 = 1024;
/// Chunks that cannot be read and of which the objects are named; of further ones only the records are.
const LOST_MAX: usize = 100_000;

/// Which store to check, and how thoroughly.
#[derive(Clone)]
pub struct CheckOptions {
    /// The data directory.
    pub directory: PathBuf,
    /// Where its zones are, if elsewhere than when it was last open.
    pub zones: Vec<ZoneOptions>,
    /// The master key; `None` for a store without.
    pub master_key: Option<MasterKey>,
    /// Memory for the index's blocks, in bytes.
    pub cache_bytes: usize,
    /// What to read.
    pub depth: CheckDepth,
}

/// What a check reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// The index, the headers of segments, and the heads of records.
    Index,
    /// All of every record too, from every shard, verified against its BLAKE3.
    Content,
}

/// What a check is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckStep {
    /// Segments and the records in them; counted in bytes with [`CheckDepth::Content`], else in records.
    Segments,
    /// Chunks and what refers to them.
    Blobs,
    /// Versions, uploads and garbage; for a second time if something belongs to nobody.
    Versions,
    /// References and other rows that belong to versions.
    Owned,
    /// Tasks of queues.
    Queues,
    /// Timers.
    Timers,
    /// All other rows.
    Others,
}

impl CheckStep {
    /// What it is called, in one or two words.
    pub const fn name(self) -> &'static str {
        match self {
            CheckStep::Segments => "segments",
            CheckStep::Blobs => "chunks",
            CheckStep::Versions => "versions",
            CheckStep::Owned => "references",
            CheckStep::Queues => "queues",
            CheckStep::Timers => "timers",
            CheckStep::Others => "other rows",
        }
    }
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckProgress {
    /// What it is at.
    pub step: CheckStep,
    /// How much of it is done.
    pub done: u64,
    /// How much there is, about.
    pub total: u64,
}

/// Who is told, on the thread that checks.
pub trait CheckObserver {
    /// Something was found.
    fn found(&mut self, finding: &Finding);
    /// The check came further.
    fn progress(&mut self, progress: CheckProgress);
}

/// What a check looked at and found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Buckets.
    pub buckets: u64,
    /// Versions and delete markers.
    pub versions: u64,
    /// Open uploads.
    pub uploads: u64,
    /// Stored chunks, each counted once for each pool that has it.
    pub blobs: u64,
    /// References to them.
    pub references: u64,
    /// Segments.
    pub segments: u64,
    /// What was read of segments, in bytes.
    pub bytes_read: u64,
    /// What waits for the collector: rows of garbage.
    pub garbage: u64,
    /// Timers of what is gone, which do no harm.
    pub stale_timers: u64,
    /// How often each kind of finding was made.
    pub findings: BTreeMap<FindingKind, u64>,
}

impl CheckReport {
    /// How many faults were found.
    pub fn faults(&self) -> u64 {
        self.findings.iter().filter(|(kind, _)| kind.is_fault()).map(|(_, count)| count).sum()
    }
}

/// Checks a store that nobody has open; the directory is locked meanwhile. Blocks the thread, for as long as it takes to read
/// the index, and with [`CheckDepth::Content`] everything.
///
/// `Ok` says what was found, faults or none. `Err(Locked)` if a server has the store, `Err(MasterKeyMissing)` or
/// `Err(MasterKeyWrong)` without its key, `Err(Io)` if there is no store or no zone of it can be read, `Err(Index)` if RocksDB
/// cannot read the index: then it could not be checked.
pub fn check(options: &CheckOptions, observer: &mut dyn CheckObserver) -> Result<CheckReport> {
    let directory = Directory::open_to_read(&options.directory)?;
    let keys = Arc::new(directory.keys_to_read(options.master_key.as_ref())?);
    let index = ReadIndex::open(&directory.index(), options.cache_bytes)?;
    let rows = index.rows();
    let Places { there, lost } = zones::places(&rows, &options.zones, directory.path(), directory.store_id)?;
    let blobs = Blobs::open_to_read(BlobsOptions {
        zones: there,
        // What cannot be read is a finding.
        on_trouble: Arc::new(|_: Trouble| {}),
        segment_bytes: 0,
        write_buffers_max: 1,
        store_id: directory.store_id,
        clock: Arc::new(SystemClock),
        keys: Arc::clone(&keys),
        next_segment: 1,
    })?;
    let mut check = Check {
        rows,
        blobs: &blobs,
        keys: &keys,
        depth: options.depth,
        observer,
        report: CheckReport::default(),
        claims: Claims::new(),
        lost: BTreeSet::new(),
        lost_segments: BTreeSet::new(),
        unreadable_owner: false,
        muted: false,
        position: (CheckStep::Segments, 0, 0),
    };
    if let Some(missing) = index.missing() {
        check.find(FindingKind::ChangesMissing, "log of the index", missing);
    }
    check.run(&lost)?;
    Ok(check.report)
}

/// A check under way.
struct Check<'a> {
    rows: Rows<'a>,
    blobs: &'a Blobs,
    keys: &'a Keys,
    depth: CheckDepth,
    observer: &'a mut dyn CheckObserver,
    report: CheckReport,
    claims: Claims,
    /// Chunks of which the records cannot be read.
    lost: BTreeSet<StoredBlob>,
    /// Segments that cannot be read, with the generation that was looked for.
    lost_segments: BTreeSet<u64>,
    /// Whether a row could not be read that may claim others, so that it is not known what belongs to nobody.
    unreadable_owner: bool,
    /// Set while something is walked through once more: it was told of already.
    muted: bool,
    position: (CheckStep, u64, u64),
}

impl Check<'_> {
    fn run(&mut self, lost_zones: &[(String, String)]) -> Result<()> {
        self.segments(lost_zones)?;
        self.referenced_blobs()?;
        self.begin(CheckStep::Versions, &[Family::Version, Family::Upload, Family::Garbage])?;
        self.owners()?;
        self.bucket_rows()?;
        self.owned()?;
        self.queues()?;
        self.timers()?;
        self.others()
    }

    /// Walks through everything that claims rows.
    fn owners(&mut self) -> Result<()> {
        let removed = self.garbage()?;
        self.buckets(&removed)
    }

    /// Tells of something.
    fn find(&mut self, kind: FindingKind, place: impl Into<String>, detail: impl Into<String>) {
        if self.muted {
            return;
        }
        *self.report.findings.entry(kind).or_default() += 1;
        self.observer.found(&Finding { kind, place: place.into(), detail: detail.into() });
    }

    /// Tells of a row that cannot be read.
    fn unreadable(&mut self, family: Family, row: &[u8], reason: &Error) {
        self.find(FindingKind::RowUnreadable, shown_row(family, row), reason.to_string());
    }

    /// Reads a record, or tells that it cannot be.
    fn decode<R: Record>(&mut self, family: Family, row: &[u8], value: &[u8]) -> Option<R> {
        R::decode(value).inspect_err(|error| self.unreadable(family, row, error)).ok()
    }

    /// Begins a step over families.
    fn begin(&mut self, step: CheckStep, families: &[Family]) -> Result<()> {
        let mut total = 0;
        for &family in families {
            total += self.rows.estimate(family)?;
        }
        self.position = (step, 0, total);
        self.tell();
        Ok(())
    }

    /// Counts what was done of the step.
    fn advance(&mut self, done: u64) {
        let (_, before, _) = self.position;
        self.position.1 += done;
        if before / ROWS_PER_REPORT != self.position.1 / ROWS_PER_REPORT {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let (step, done, total) = self.position;
        self.observer.progress(CheckProgress { step, done, total: total.max(done) });
    }
}

/// How a row is named.
fn shown_row(family: Family, row: &[u8]) -> String {
    format!("row {} of {}", hex::encode(row), family.name())
}

/// How an object's version is named, or an upload.
fn shown_object(bucket: &str, key: &str, what: &str) -> String {
    format!("{bucket}/{key} ({what})")
}
