//! Checkpoint: a consistent, openable copy of the store beside it, while it goes on serving.
//!
//! 1. Segments are kept from being removed, for as long as this takes.
//! 2. The index is checkpointed. Bytes are synced before they are named, so all that this index names is on disk.
//! 3. In the copy of the index the data directory is the only zone.
//! 4. Every shard there is by now gets a second name in the copy's data directory, or is copied there from the disk of
//!    another zone. Segments only ever grow, and a store that opens never writes to the segments that it finds, so
//!    neither side disturbs the other. A store of several zones is read from its copy with all of its redundancy, until
//!    the healer of the copy writes the segments anew for one zone, or for those that it is opened with.
//! 5. The data keys are copied, wrapped as they are: the copy opens with the same master key.
//! 6. The copy, until here under another name, is synced and renamed.
//!
//! All of it runs in a task of its own: dropping the call leaves neither a part of a copy nor segments unguarded.
//! Dying before 6 leaves a directory `<name>.partial-<random>`, which nothing refers to and anybody may delete.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::directory::{index_in, segments_in, write_format};
use crate::error::{Error, Result};
use crate::fs;
use crate::store::Inner;
use crate::worker::to_its_end;

const ACTION: &str = "write a checkpoint";

/// Writes the copy to `directory`, which must not exist.
pub(crate) async fn checkpoint(inner: &Arc<Inner>, directory: &Path) -> Result<()> {
    to_its_end(guarded(Arc::clone(inner), directory.to_path_buf())).await
}

async fn guarded(inner: Arc<Inner>, directory: PathBuf) -> Result<()> {
    inner.check_writable()?;
    let partial = partial_path(&directory, inner.entropy.next_u64())?;
    let _segments_stay = inner.collector.segments.lock().await;
    let outcome = write_copy(&inner, &partial, &directory).await;
    if outcome.is_err() {
        // Best effort: what stays is named as what it is.
        let _ = fs::blocking(move || std::fs::remove_dir_all(&partial)).await;
    }
    outcome
}

fn partial_path(directory: &Path, random: u64) -> Result<PathBuf> {
    let refused = |kind| Error::io(ACTION, io::Error::from(kind));
    let mut name = directory.file_name().ok_or_else(|| refused(io::ErrorKind::InvalidInput))?.to_owned();
    if directory.symlink_metadata().is_ok() {
        return Err(refused(io::ErrorKind::AlreadyExists));
    }
    name.push(format!(".partial-{random:016x}"));
    Ok(directory.with_file_name(name))
}

async fn write_copy(inner: &Arc<Inner>, partial: &Path, directory: &Path) -> Result<()> {
    let copy = {
        let (inner, partial) = (Arc::clone(inner), partial.to_path_buf());
        fs::blocking(move || copy_index(&inner, &partial))
    };
    copy.await??;
    // Files of a copy had better not grow any more; what is named lies in them already.
    inner.blobs.seal_active().await?;
    let (inner, partial, directory) = (Arc::clone(inner), partial.to_path_buf(), directory.to_path_buf());
    fs::blocking(move || {
        link_segments(&inner, &partial)?;
        fs::rename_directory(&partial, &directory)
    })
    .await?
}

fn copy_index(inner: &Inner, partial: &Path) -> Result<()> {
    fs::create_directories(partial)?;
    write_format(partial, inner.directory.store_id, inner.keys.seals())?;
    inner.copy_index(&index_in(partial))
}

fn link_segments(inner: &Inner, partial: &Path) -> Result<()> {
    let segments = segments_in(partial);
    fs::create_directories(&segments)?;
    for info in inner.blobs.segments() {
        let missing = || Error::Corrupt { what: "segment (missing)", place: format!("segment {}", info.id) };
        let shards = inner.blobs.segment_paths(info.id);
        if shards.len() < usize::from(info.layout.data) {
            return Err(missing());
        }
        // The shards of all zones have names of their own, so they lie side by side in the copy's only zone.
        for path in shards {
            let name = path.file_name().ok_or_else(missing)?;
            fs::link_or_copy(&path, &segments.join(name))?;
        }
    }
    // Last, so that it has every key that anything in the copy was sealed with.
    inner.keys.copy_to(partial)?;
    fs::sync_directory(&segments)?;
    fs::sync_directory(partial)
}
