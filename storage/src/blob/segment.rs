//! One segment that this process writes: its free end, and the syncs that its writers share.
//!
//! A failed write or sync poisons the segment: it takes no more records, and its descriptor is never synced again,
//! because after a failed sync a second one may report success for bytes that were lost. Only a full disk is
//! forgiven where nothing was synced: the bytes are not acknowledged and their place may be written once more.

use std::sync::{Arc, PoisonError};

use crate::blob::layout::BLOCK_BYTES;
use crate::blob::shard_name::SegmentName;
use crate::blob::stripe::Layout;
use crate::error::{Error, Result};
use crate::fs::{DiskFile, blocking};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

const WRITE: &str = "write segment";
const SYNC: &str = "sync segment";

/// A segment being written. It is sealed when the last handle is dropped.
pub struct Segment {
    /// The segment's id.
    pub id: u64,
    /// The segment's generation.
    pub generation: u32,
    /// The unit of reservations: its stripes.
    pub layout: Layout,
    file: Arc<dyn DiskFile>,
    space: Arc<Space>,
    /// How many writers have finished writing. Each compares its number with `synced`.
    written: AtomicU64,
    /// The number up to which writes are on stable storage; held while a sync runs.
    synced: Arc<tokio::sync::Mutex<u64>>,
}

/// How much of a segment is in use.
pub struct Space(Mutex<SpaceState>);

struct SpaceState {
    end: u64,
    limit: u64,
    closed: bool,
    poisoned: bool,
    sealed: bool,
}

impl Space {
    /// The space of a segment that holds its header only and takes records up to `limit` bytes.
    pub fn open(limit: u64) -> Space {
        let end = BLOCK_BYTES as u64;
        Space(Mutex::new(SpaceState { end, limit, closed: false, poisoned: false, sealed: false }))
    }

    /// The space of a segment that an earlier process left.
    pub fn sealed(end: u64) -> Space {
        Space(Mutex::new(SpaceState { end, limit: 0, closed: true, poisoned: false, sealed: true }))
    }

    /// Takes no more records. What was reserved may still be written.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// The bytes in use, reserved ones included.
    pub fn bytes(&self) -> u64 {
        self.state().end
    }

    /// Whether nobody writes to the segment any more.
    pub fn is_sealed(&self) -> bool {
        self.state().sealed
    }

    fn poison(&self) {
        let mut state = self.state();
        state.closed = true;
        state.poisoned = true;
    }

    fn state(&self) -> MutexGuard<'_, SpaceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    /// A segment whose header is on stable storage, under a name that is too.
    pub fn new(name: SegmentName, file: Arc<dyn DiskFile>, space: Arc<Space>) -> Segment {
        let SegmentName { segment: id, generation, layout, .. } = name;
        Segment { id, generation, layout, file, space, written: AtomicU64::new(0), synced: Arc::default() }
    }

    /// Reserves whole stripes at the end and returns where they start; `None` if the segment takes no more.
    /// A segment without records takes one of any size.
    pub fn reserve(&self, bytes: u64) -> Option<u64> {
        let mut state = self.space.state();
        let start = state.end;
        let end = start + bytes.next_multiple_of(self.layout.stripe_bytes() as u64);
        if state.closed || (end > state.limit && start > BLOCK_BYTES as u64) {
            return None;
        }
        state.end = end;
        Some(start)
    }

    /// Gives back the end of what was reserved, which is of use only while nothing was reserved after it.
    pub fn give_back(&self, from: u64, to: u64) {
        let mut state = self.space.state();
        if state.end == to {
            state.end = from;
        }
    }

    /// Writes to whole stripes that were reserved. Blocks the thread.
    pub fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let written = self.file.write_at(bytes, offset).map_err(|error| Error::io(WRITE, error));
        if let Err(error) = &written
            && !matches!(error, Error::NoSpace { .. })
        {
            self.space.poison();
        }
        written
    }

    /// Makes all finished writes survive a crash. Blocks the thread; only one such call may run at a time.
    pub fn sync(&self) -> Result<()> {
        if self.space.state().poisoned {
            let source = std::io::Error::other("an earlier write or sync of this segment failed");
            return Err(Error::Io { action: SYNC, source });
        }
        let synced = self.file.sync_data().map_err(|error| Error::io(SYNC, error));
        if synced.is_err() {
            self.space.poison();
        }
        synced
    }

    /// Counts a writer whose writes have all returned; the number is for [`Segment::sync_shared`].
    pub fn finish_write(&self) -> u64 {
        self.written.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Waits until the writer of that number is on stable storage, sharing one sync with all who wait meanwhile.
    pub async fn sync_shared(self: &Arc<Segment>, number: u64) -> Result<()> {
        let mut synced = self.synced.clone().lock_owned().await;
        if *synced >= number {
            return Ok(());
        }
        let segment = self.clone();
        // The guard moves along, so that a caller who goes away does not let a second sync start beside this one:
        // a failure is reported once per descriptor, and the other would take the loss for a success.
        blocking(move || {
            let covered = segment.written.load(Ordering::SeqCst);
            segment.sync()?;
            *synced = covered;
            Ok(())
        })
        .await?
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let mut state = self.space.state();
        state.closed = true;
        state.sealed = true;
    }
}

/// An error for each of several callers whose write shared one fate.
pub fn same_error(error: &Error) -> Error {
    match error {
        Error::NoSpace { action } => Error::NoSpace { action },
        Error::Io { action, source } => {
            let code = source.raw_os_error();
            let source =
                code.map_or_else(|| std::io::Error::other(source.to_string()), std::io::Error::from_raw_os_error);
            Error::Io { action, source }
        }
        _ => Error::Poisoned,
    }
}
