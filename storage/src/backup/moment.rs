//! The moment that a backup is of: a copy of the index as it was, and what keeps the bytes that it names.
//!
//! ```text
//! <data>/backup/index    the copy: hard links to RocksDB's files
//! <data>/backup/copied   which chunks the repository has, and in which pack
//! <data>/backup/spare    the same of all backups, once a chunk cannot be read here
//! ```
//!
//! While a backup copies, what is deleted is kept until it is copied, chunk by chunk: who would drop the last reference to
//! a chunk (`worker::release`, `worker::narrow`) asks here first. Everything else goes on. Chunks move between segments
//! and are found where they are by now; segments are rewritten and removed. What came after the moment is not held.
//!
//! Dying leaves the directory, which the next open removes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::pack::PackId;
use crate::blob::{BlobId, Placement};
use crate::error::{Error, Result};
use crate::fs::{blocking, create_directories};
use crate::index::record::{Record as _, StoredBlob};
use crate::index::{Family, ReadIndex, Rows, Scratch, Step, key};
use crate::list::following;
use crate::store::Inner;

/// Memory for blocks of the copy of the index, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// Chunks that are looked at together, and of these, those that are read: so many, or so many bytes.
const GROUP_CHUNKS: usize = 1024;
const GROUP_WANTED: usize = 64;
const GROUP_BYTES: u64 = 8 << 20;

/// As long as one lives, somebody may be at work in the directory, even if the backup was given up.
pub(super) type AtWork = mpsc::Sender<()>;

/// Which chunks the repository has.
pub(super) struct Table {
    rows: Scratch,
    at_work: AtWork,
}

impl Table {
    /// Says in which packs chunks are. Blocking.
    pub(super) fn put(&self, chunks: impl IntoIterator<Item = (Vec<u8>, PackId)>) -> Result<()> {
        self.rows.put(chunks)
    }

    /// The pack that a chunk is in. Blocking.
    pub(super) fn get(&self, blob: &StoredBlob) -> Result<Option<PackId>> {
        let found = self.rows.get(&key::stored_blob(blob))?;
        Ok(found.and_then(|pack| pack.try_into().ok()))
    }
}

/// The copy of the index, and how far the repository has what it names.
pub(crate) struct Moment {
    index: ReadIndex,
    copied: Table,
    /// Where the files of the copy are.
    pub(super) directory: PathBuf,
}

/// A chunk of the moment.
pub(super) struct Named {
    pub(super) blob: StoredBlob,
    pub(super) place: Placement,
    /// Whether the repository has it.
    pub(super) copied: bool,
}

/// Some chunks of the moment, side by side on the disk, and where the next ones begin.
pub(super) struct Group {
    pub(super) chunks: Vec<Named>,
    pub(super) next: Vec<u8>,
}

impl Moment {
    /// Which packs hold what of the moment is still to be said. From this call on, what the index names is kept.
    ///
    /// Drops of chunks are durable or not begun while it runs, because it holds the lock of those who delete references.
    pub(super) async fn begin(inner: &Arc<Inner>, copied: Table) -> Result<Arc<Moment>> {
        let _nothing_is_dropped = inner.collector.keep_references().await;
        let directory = moment_in(inner.directory.path()).join("index");
        let (store, path, at_work) = (Arc::clone(inner), directory.clone(), copied.at_work.clone());
        let index = blocking(move || {
            let _at_work = at_work;
            store.index.checkpoint(&path)?;
            ReadIndex::open(&path, CACHE_BYTES)
        });
        let moment = Arc::new(Moment { index: index.await??, copied, directory });
        inner.backups.hold(Some(Arc::clone(&moment)));
        Ok(moment)
    }

    /// The rows of the copy.
    pub(super) fn rows(&self) -> Rows<'_> {
        self.index.rows()
    }

    /// A further table, empty. There is one at most. Blocking.
    pub(super) fn spare_table(&self) -> Result<Table> {
        let rows = Scratch::make(&self.directory.with_file_name("spare"))?;
        Ok(Table { rows, at_work: self.copied.at_work.clone() })
    }

    /// What the records in use add up to, in bytes. Blocking.
    pub(super) fn live_bytes(&self) -> Result<u64> {
        let mut sum = 0_u64;
        self.rows().scan(Family::Segment, &[], &[], |_, value| {
            let [live] = key::counters(value).unwrap_or([0]);
            sum = sum.saturating_add(u64::try_from(live).unwrap_or(0));
            Ok(Step::Next)
        })?;
        Ok(sum)
    }

    /// The next chunks in the order in which they lie on the disk, a bounded number of them. `None` at the end. Blocking.
    pub(super) fn group(&self, from: &[u8]) -> Result<Option<Group>> {
        let (mut chunks, mut next, mut wanted, mut bytes) = (Vec::new(), from.to_vec(), 0, 0);
        self.rows().scan(Family::Placement, from, &[], |row, value| {
            next = following(row.to_vec());
            let blob = StoredBlob::decode(value)?;
            let copied = self.pack(&blob)?.is_some();
            let place: Option<Placement> = self.rows().record(Family::Blob, &key::stored_blob(&blob))?;
            let missing = || Error::Corrupt { what: "blob row (missing)", place: blob.id.to_string() };
            let place = place.ok_or_else(missing)?;
            if !copied {
                wanted += 1;
                bytes += place.record_bytes();
            }
            chunks.push(Named { blob, place, copied });
            let takes_more = chunks.len() < GROUP_CHUNKS && wanted < GROUP_WANTED && bytes < GROUP_BYTES;
            Ok(if takes_more { Step::Next } else { Step::Stop })
        })?;
        Ok((!chunks.is_empty()).then_some(Group { chunks, next }))
    }

    /// Reads about so many bytes of a family's rows, which verifies them, and says how many and where to go on. Blocking.
    pub(super) fn read_some(&self, family: Family, from: &[u8], most: u64) -> Result<(u64, Option<Vec<u8>>)> {
        let (mut bytes, mut next) = (0, None);
        let mut rows = self.rows().cursor(family, from, &[]);
        while let Some((row, value)) = rows.row()? {
            bytes += (row.len() + value.len()) as u64;
            if bytes >= most {
                next = Some(following(row.to_vec()));
                break;
            }
            rows.advance();
        }
        Ok((bytes, next))
    }

    /// Notes in which pack chunks are, durably. Blocking.
    pub(super) fn note(&self, blobs: &[StoredBlob], pack: &PackId) -> Result<()> {
        self.copied.rows.put(blobs.iter().map(|blob| (key::stored_blob(blob), pack)))
    }

    /// Notes that a chunk cannot be read: there is no use in keeping it. Blocking.
    pub(super) fn give_up(&self, blob: &StoredBlob) -> Result<()> {
        self.copied.rows.put([(key::stored_blob(blob), [])])
    }

    /// Where a chunk is: in a pack, or nowhere if it cannot be read. `None` if it is still to be copied. Blocking.
    pub(super) fn pack(&self, blob: &StoredBlob) -> Result<Option<Option<PackId>>> {
        let found = self.copied.rows.get(&key::stored_blob(blob))?;
        Ok(found.map(|pack| pack.try_into().ok()))
    }

    /// Whether the backup still needs a chunk. Blocking.
    fn needs(&self, blob: &StoredBlob) -> Result<bool> {
        let row = key::stored_blob(blob);
        Ok(self.rows().get(Family::Blob, &row)?.is_some() && self.copied.rows.get(&row)?.is_none())
    }
}

impl Inner {
    /// Those of `blobs` that must not be dropped, because a backup has still to copy them. Whoever asks holds the lock of
    /// those who delete references until the drop is durable, so that no backup begins in between.
    pub(crate) async fn needed_by_backup(&self, blobs: &[StoredBlob]) -> Result<BTreeSet<BlobId>> {
        let Some(moment) = self.backups.held() else { return Ok(BTreeSet::new()) };
        let blobs = blobs.to_vec();
        blocking(move || {
            let mut needed = BTreeSet::new();
            for blob in blobs {
                if moment.needs(&blob)? {
                    needed.insert(blob.id);
                }
            }
            Ok(needed)
        })
        .await?
    }
}

/// Makes the table of what the repository has, in place of what an earlier backup may have left. Blocking.
pub(super) fn begin_table(data: &Path, at_work: AtWork) -> Result<Table> {
    forget_moment(data)?;
    let directory = moment_in(data);
    create_directories(&directory)?;
    Ok(Table { rows: Scratch::make(&directory.join("copied"))?, at_work })
}

/// Removes what a backup has left in a data directory. Blocking.
pub(crate) fn forget_moment(data: &Path) -> Result<()> {
    match std::fs::remove_dir_all(moment_in(data)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|error| Error::io("remove what a backup has left", error)),
    }
}

fn moment_in(data: &Path) -> PathBuf {
    data.join("backup")
}

/// Reads a piece of a file of the copy. Blocking.
pub(super) fn read_piece(path: &Path, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let mut piece = vec![0; usize::try_from(bytes).expect("a piece fits into memory")];
    let read = std::fs::File::open(path).and_then(|file| file.read_exact_at(&mut piece, offset));
    read.map(|()| piece).map_err(|error| Error::io("read a file of the index", error))
}
