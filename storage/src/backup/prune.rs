//! Removing old backups. The order:
//!
//! 1. The repository is locked, so that no backup comes to rely on what is about to go.
//! 2. What the backups that stay name is read, and what unfinished ones have. If any of it cannot be read, nothing is
//!    removed.
//! 3. The snapshots that go are removed, the oldest first.
//! 4. Files that nothing names are removed.
//!
//! Dying anywhere leaves files that nothing names, which the next pruning removes, and the lock. A pack stays while any of
//! its records is named.

use std::collections::HashSet;
use std::sync::Arc;

use super::files::{Files, Hash, Hold, List, hash_of};
use super::pack::PackId;
use super::repository::{Repository, UNWRITTEN};
use crate::clock::Entropy;
use crate::error::{Error, Result};
use crate::stamp::Timestamp;

/// After so many files it is looked again whether the repository is still locked.
const REMOVED_AT_ONCE: u64 = 64;

/// What was removed, and what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Backups that were removed.
    pub removed: u64,
    /// Backups that are left.
    pub kept: u64,
    /// Files that were removed, beside those of the backups themselves.
    pub files: u64,
    /// Their sizes in bytes.
    pub bytes: u64,
}

/// What stays.
#[derive(Default)]
struct Named {
    packs: HashSet<PackId>,
    hashes: HashSet<Hash>,
}

/// Removes all backups but the newest `keep`, at least one, and every file that no backup names. If all of these lack
/// records, the newest that lacks none stays too.
///
/// `Err(Backup)` if it is no repository, or no backup is found in it, or somebody else changes it, also if the lock was taken away meanwhile. `Err(Corrupt)` if what stays cannot be read; then
/// nothing was removed.
pub async fn prune_backups(
    repository: Arc<dyn Repository>,
    keep: usize,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Pruned> {
    let files = Files::new(repository);
    let store_id = files.store_id().await?;
    let hold = files.lock("prune", &store_id, now, entropy).await?;
    let pruned = prune(&files, &hold, keep.max(1)).await;
    let unlocked = files.unlock(&hold).await;
    let pruned = pruned?;
    unlocked.map(|()| pruned)
}

/// Takes back the lock of somebody who is not at work any more. Whoever calls answers for that.
pub async fn unlock_repository(repository: Arc<dyn Repository>) -> Result<()> {
    let files = Files::new(repository);
    files.store_id().await?;
    files.force_unlock().await
}

async fn prune(files: &Files, hold: &Hold, keep: usize) -> Result<Pruned> {
    let mut going = files.snapshots().await?;
    if going.is_empty() {
        let message =
            format!("there is no finished backup in {}, so that nothing would stay; nothing is removed", files.place());
        return Err(Error::Backup(message));
    }
    let mut staying = going.split_off(going.len().saturating_sub(keep));
    if let Some(whole) = newest_whole(files, &going, &staying).await? {
        staying.insert(0, going.remove(whole));
    }
    let named = named(files, &staying).await?;
    let mut pruned = Pruned { removed: going.len() as u64, kept: staying.len() as u64, ..Pruned::default() };
    files.check(hold).await?;
    for id in &going {
        files.remove_snapshot(id).await?;
    }
    for file in files.all().await? {
        if is_named(&file.name, &named) {
            continue;
        }
        // A backup may have begun meanwhile that relies on it.
        if pruned.files.is_multiple_of(REMOVED_AT_ONCE) {
            files.check(hold).await?;
        }
        files.remove(&file.name).await?;
        pruned.files += 1;
        pruned.bytes = pruned.bytes.saturating_add(file.bytes);
    }
    Ok(pruned)
}

/// Which of those that would go is the newest that lacks nothing, if every one that stays does.
async fn newest_whole(files: &Files, going: &[String], staying: &[String]) -> Result<Option<usize>> {
    for id in staying.iter().rev() {
        if files.snapshot(id).await?.lost_records == 0 {
            return Ok(None);
        }
    }
    for (at, id) in going.iter().enumerate().rev() {
        match files.snapshot(id).await {
            Ok(snapshot) if snapshot.lost_records == 0 => return Ok(Some(at)),
            Ok(_) | Err(Error::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn named(files: &Files, staying: &[String]) -> Result<Named> {
    let mut named = Named::default();
    for id in staying {
        let snapshot = files.snapshot(id).await?;
        for piece in snapshot.index.iter().flat_map(|file| &file.pieces) {
            named.hashes.insert(hash_of(piece)?);
        }
        for list in &snapshot.lists {
            let list = List::named(list)?;
            // Backups share most of their lists.
            if named.hashes.insert(list.hash) {
                named.packs.extend(files.list(&list).await?.into_iter().map(|(_, pack)| pack));
            }
        }
    }
    for (list, _) in files.unfinished().await? {
        match files.list(&list).await {
            Ok(entries) => named.packs.extend(entries.into_iter().map(|(_, pack)| pack)),
            // Nobody relies on it.
            Err(Error::Corrupt { .. }) => files.remove(&list.name).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(named)
}

/// Whether a file stays: because it is named, or because it is not one that a backup has made.
fn is_named(name: &str, named: &Named) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.ends_with(UNWRITTEN) {
        return false;
    }
    let (mut pack, mut hash) = (PackId::default(), Hash::default());
    match (hex::decode_to_slice(last, &mut pack), hex::decode_to_slice(last, &mut hash)) {
        (Ok(()), _) => named.packs.contains(&pack),
        (_, Ok(())) => named.hashes.contains(&hash),
        _ => true,
    }
}
