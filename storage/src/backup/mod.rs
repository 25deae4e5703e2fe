//! Backups: all of a store as of one moment, elsewhere; incremental, verified, made while the store serves.
//!
//! A *repository* (`repository`) holds immutable files; `files` says which. Chunks are in *packs* (`pack`) under their
//! names, sealed with the store's data keys: a chunk that moves between segments, zones or stores is not sent again. The
//! index is there as RocksDB's own files, which do not change either, in pieces under their hashes. A *snapshot* names all
//! that one backup consists of, and is written last.
//!
//! `make` makes one, of the `moment` that it keeps; `verify` reads one again; `prune` removes old ones; `restore` makes a
//! store of one. The last three need no running server.
//!
//! The master key is in no repository: a backup says no more to others than the disk did.
//!
//! Decided otherwise than one might expect: **a restored store keeps its id.** Its data keys are bound to it, and it is the
//! same store, at an earlier moment: its next backup goes on in the same repository, and the stores it replicates to know
//! it. Two of one id must not be given each other's zones, as of any store and its copy.

mod files;
mod make;
mod moment;
mod pack;
mod prune;
mod repository;
mod restore;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::stamp::Timestamp;
use crate::store::Store;
use crate::worker::{Progress, Workers};
use files::Files;
use make::Job;
use moment::Moment;

pub(crate) use moment::forget_moment;
pub use prune::{Pruned, prune_backups, unlock_repository};
pub use repository::{DirectoryRepository, Pending, Repository, RepositoryFile};
pub use restore::{RestoreOptions, Restored, restore};
pub use verify::{BackupInfo, BackupProgress, VerifyReport, backups, verify_backup};

/// How long the end of a backup may take when the store closes, for the repository to be told.
const UNLOCK_AWAITED: Duration = Duration::from_secs(5);

/// How a backup goes, or how the last one went since the store was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupStatus {
    /// Whether one is under way.
    pub running: bool,
    /// Where it goes.
    pub repository: Option<String>,
    /// When it began; `None` if there was none.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// What there is to back up, in bytes: records and the index.
    pub total_bytes: u64,
    /// What was looked at of that, sent or not.
    pub done_bytes: u64,
    /// Records looked at.
    pub records: u64,
    /// Records that were sent, because the repository did not have them.
    pub sent_records: u64,
    /// What was sent, in bytes.
    pub sent_bytes: u64,
    /// Records that cannot be read, and are in no backup.
    pub lost_records: u64,
    /// The backup's id, once it is made.
    pub snapshot: Option<String>,
    /// Why it was not made.
    pub error: Option<String>,
}

/// The status while it changes.
#[derive(Default)]
struct Told(Mutex<BackupStatus>);

impl Told {
    fn update(&self, change: impl FnOnce(&mut BackupStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn status(&self) -> BackupStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The backups of an open store.
pub(crate) struct Backups {
    /// Held while one is made.
    turn: Arc<tokio::sync::Mutex<()>>,
    told: Arc<Told>,
    /// The moment that is being copied.
    moment: RwLock<Option<Arc<Moment>>>,
    closing: Notify,
    progress: Arc<Progress>,
}

impl Backups {
    pub(crate) fn new(workers: &Workers) -> Backups {
        Backups {
            turn: Arc::default(),
            told: Arc::default(),
            moment: RwLock::default(),
            closing: Notify::new(),
            progress: workers.register("backup"),
        }
    }

    fn hold(&self, moment: Option<Arc<Moment>>) {
        *self.moment.write().unwrap_or_else(PoisonError::into_inner) = moment;
    }

    fn held(&self) -> Option<Arc<Moment>> {
        self.moment.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the backup under way, for the store is closing.
    pub(crate) async fn stop(&self) {
        self.closing.notify_one();
        drop(self.turn.lock().await);
    }
}

/// How to make a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupOptions {
    /// Sends everything, whatever the repository says that it has.
    pub full: bool,
}

impl Store {
    /// Begins a backup to a repository; it goes on by itself, within the budget of background work, and ends with the
    /// store.
    ///
    /// `Err(Backup)` if one is under way, if the repository is that of another store or no repository, or if somebody else
    /// changes it at present.
    pub async fn start_backup(&self, repository: Arc<dyn Repository>, options: BackupOptions) -> Result<BackupStatus> {
        let inner = &self.inner;
        inner.check_open()?;
        let turn = Arc::clone(&inner.backups.turn).try_lock_owned();
        let turn = turn.map_err(|_| Error::Backup("a backup is under way; there is one at a time".to_owned()))?;
        let files = Files::new(repository);
        let (store_id, now) = (inner.directory.store_id, inner.clock.now());
        files.claim(&store_id).await?;
        let hold = files.lock("backup", &store_id, now, &*inner.entropy).await?;
        let told = Arc::clone(&inner.backups.told);
        told.update(|status| {
            let repository = Some(files.place());
            *status = BackupStatus { repository, started: Some(now), ..BackupStatus::default() };
        });
        let job = Job { inner: Arc::clone(inner), files, hold, told, full: options.full };
        tokio::spawn(async move {
            run(job).await;
            drop(turn);
        });
        Ok(self.backup_status())
    }

    /// As [`Store::start_backup`], and waits for its end, which [`BackupStatus::snapshot`] tells. Dropping the future leaves
    /// it to itself.
    pub async fn backup(&self, repository: Arc<dyn Repository>, options: BackupOptions) -> Result<BackupStatus> {
        self.start_backup(repository, options).await?;
        drop(self.inner.backups.turn.lock().await);
        Ok(self.backup_status())
    }

    /// How the backup goes.
    pub fn backup_status(&self) -> BackupStatus {
        let backups = &self.inner.backups;
        BackupStatus { running: backups.turn.try_lock().is_err(), ..backups.told.status() }
    }
}

/// Makes a backup, and puts away what it took.
async fn run(job: Job) {
    let backups = &job.inner.backups;
    backups.progress.begin();
    tracing::info!(repository = job.files.place(), "a backup begins");
    let (at_work, mut ended) = tokio::sync::mpsc::channel(1);
    let outcome = tokio::select! {
        outcome = make::make(&job, at_work) => outcome,
        () = backups.closing.notified() => Err(Error::Closed),
    };
    backups.hold(None);
    // If it was given up, some of it may still run, on threads that nobody can stop.
    while ended.recv().await.is_some() {}
    let data = job.inner.directory.path().to_path_buf();
    if let Ok(Err(error)) = blocking(move || forget_moment(&data)).await {
        tracing::warn!(%error, "the copy of the index that a backup was made of is still there");
    }
    match tokio::time::timeout(UNLOCK_AWAITED, job.files.unlock(&job.hold)).await {
        Ok(Ok(())) => {}
        // The next backup of this store takes it over.
        _ => tracing::warn!(repository = job.files.place(), "the repository could not be told that the backup ended"),
    }
    let now = job.inner.clock.now();
    backups.progress.set_backlog(0);
    backups.progress.end(now);
    if let Err(error) = &outcome {
        tracing::error!(%error, "a backup failed");
        backups.progress.fail(now, error);
    }
    job.told.update(|status| {
        status.finished = Some(now);
        match outcome {
            Ok(id) => {
                let BackupStatus { sent_bytes, records, lost_records, .. } = *status;
                tracing::info!(id, records, sent_bytes, lost_records, "a backup is made");
                status.snapshot = Some(id);
            }
            Err(error) => status.error = Some(error.to_string()),
        }
    });
}
