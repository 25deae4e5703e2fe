//! Looking at backups: which there are, and whether everything that one names is there as it was written. Needs no server,
//! no store and no master key; nothing is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::files::{Files, INDEX, List, hash_of, hashed_name, pack_name};
use super::pack::{PackId, read_pack};
use super::repository::Repository;
use super::snapshot::{Snapshot, sum};
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::stamp::Timestamp;

/// What is known of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupInfo {
    /// Its id. Ids are in the order of time.
    pub id: String,
    /// The moment that it is of; `None` if its snapshot cannot be read, and all else is 0 then.
    pub taken: Option<Timestamp>,
    /// Records in it.
    pub records: u64,
    /// Their sizes in bytes.
    pub record_bytes: u64,
    /// The size of the index in bytes.
    pub index_bytes: u64,
    /// What it added to the repository, in bytes.
    pub sent_bytes: u64,
    /// Records that could not be read when it was made.
    pub lost_records: u64,
}

/// How far something is that reads a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// What was read, in bytes.
    pub done_bytes: u64,
    /// What there is to read, in bytes.
    pub total_bytes: u64,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// The backup's id.
    pub snapshot: String,
    /// Files that it names.
    pub files: u64,
    /// What was read of them, in bytes.
    pub bytes: u64,
    /// Records that could not be read when it was made.
    pub lost_records: u64,
    /// The files that are missing or damaged, by their names in the repository.
    pub damaged: Vec<String>,
}

/// The backups of a repository, the oldest first. `Err(Backup)` if it is none.
pub async fn backups(repository: Arc<dyn Repository>) -> Result<Vec<BackupInfo>> {
    let files = Files::new(repository);
    files.store_id().await?;
    let mut infos = Vec::new();
    for id in files.snapshots().await? {
        infos.push(match files.snapshot(&id).await {
            Ok(snapshot) => info(id, &snapshot),
            Err(Error::Corrupt { .. }) => BackupInfo {
                id,
                taken: None,
                records: 0,
                record_bytes: 0,
                index_bytes: 0,
                sent_bytes: 0,
                lost_records: 0,
            },
            Err(error) => return Err(error),
        });
    }
    Ok(infos)
}

fn info(id: String, snapshot: &Snapshot) -> BackupInfo {
    BackupInfo {
        id,
        taken: Some(snapshot.taken()),
        records: snapshot.records,
        record_bytes: snapshot.record_bytes,
        index_bytes: snapshot.index_bytes(),
        sent_bytes: snapshot.sent_bytes,
        lost_records: snapshot.lost_records,
    }
}

/// A backup of a repository: the newest unless one is named. `Err(Backup)` if there is none, `Err(Corrupt)` if it cannot be
/// read, or is not of the repository's store.
pub(super) async fn find(files: &Files, id: Option<&str>) -> Result<(String, Snapshot)> {
    let store_id = files.store_id().await?;
    let id = match id {
        Some(id) => id.to_owned(),
        None => {
            let newest = files.snapshots().await?.pop();
            newest.ok_or_else(|| Error::Backup(format!("there is no finished backup in {}", files.place())))?
        }
    };
    let snapshot = files.snapshot(&id).await?;
    match snapshot.store_id() == Some(store_id) {
        true => Ok((id, snapshot)),
        false => {
            Err(Error::Corrupt { what: "repository file (of another store than its backups)", place: files.place() })
        }
    }
}

/// Reads all that a backup names, the newest one unless one is named, and tells what is not as it was written.
///
/// `Err` if the snapshot itself cannot be read, or the repository cannot be reached.
pub async fn verify_backup(
    repository: Arc<dyn Repository>,
    id: Option<&str>,
    progress: &mut (dyn FnMut(BackupProgress) + Send),
) -> Result<VerifyReport> {
    let files = Files::new(repository);
    let (id, snapshot) = find(&files, id).await?;
    let mut report = VerifyReport { snapshot: id, lost_records: snapshot.lost_records, ..VerifyReport::default() };
    let mut packs: BTreeSet<PackId> = BTreeSet::new();
    for list in &snapshot.lists {
        let list = List::named(list)?;
        report.files += 1;
        match files.list(&list).await {
            Ok(entries) => packs.extend(entries.into_iter().map(|(_, pack)| pack)),
            Err(error) => report.note(error, || list.name)?,
        }
    }
    let sizes = files.packs().await?;
    let pack_bytes = sum(packs.iter().filter_map(|pack| sizes.get(pack)).copied());
    let total_bytes = snapshot.index_bytes().saturating_add(pack_bytes);
    for piece in snapshot.index.iter().flat_map(|file| &file.pieces) {
        let hash = hash_of(piece)?;
        report.files += 1;
        match files.hashed(INDEX, &hash).await {
            Ok(bytes) => report.bytes += bytes.len() as u64,
            Err(error) => report.note(error, || hashed_name(INDEX, &hash))?,
        }
        progress(BackupProgress { done_bytes: report.bytes, total_bytes });
    }
    for id in packs {
        report.files += 1;
        match verify_pack(&files, id).await {
            Ok(bytes) => report.bytes += bytes,
            Err(error) => report.note(error, || pack_name(&id))?,
        }
        progress(BackupProgress { done_bytes: report.bytes, total_bytes });
    }
    Ok(report)
}

async fn verify_pack(files: &Files, id: PackId) -> Result<u64> {
    let bytes = files.pack(&id).await?;
    blocking(move || read_pack(&id, &bytes).map(|_| bytes.len() as u64)).await?
}

impl VerifyReport {
    /// Notes a file that is not as it was; every other error ends the verification.
    fn note(&mut self, error: Error, name: impl FnOnce() -> String) -> Result<()> {
        match error {
            Error::Corrupt { .. } | Error::UnknownFormat { .. } => {
                self.damaged.push(name());
                Ok(())
            }
            error => Err(error),
        }
    }
}
