//! Room on the disk: new bytes are refused while some is left, because the index needs it to delete anything.
//!
//! Segments and the index share a disk. If bodies took the last byte of it, RocksDB could not write its log, and
//! nothing could be deleted any more. So bodies stop at a reserve; deletes, aborts and the collector go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fs;
use crate::stamp::Timestamp;

/// How long a look at the disk counts. What arrives meanwhile is far less than the reserve.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Watches the free bytes of the data directory's disk.
pub(crate) struct Room {
    directory: PathBuf,
    reserve_bytes: u64,
    clock: Arc<dyn Clock>,
    looked_nanos: AtomicU64,
    free_bytes: AtomicU64,
}

impl Room {
    pub(crate) fn new(directory: PathBuf, reserve_bytes: u64, clock: Arc<dyn Clock>) -> Room {
        let (looked_nanos, free_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Room { directory, reserve_bytes, clock, looked_nanos, free_bytes }
    }

    /// `Err(NoSpace)` if the disk has less than the reserve left.
    pub(crate) fn check(&self) -> Result<()> {
        let now = self.clock.now();
        let looked = Timestamp::from_nanos(self.looked_nanos.load(Ordering::Acquire));
        // A clock that was set back must not keep an old figure in force.
        if looked.as_nanos() == 0 || now < looked || now.since(looked) >= LOOK_EVERY {
            self.free_bytes.store(fs::free_bytes(&self.directory)?, Ordering::Release);
            self.looked_nanos.store(now.as_nanos(), Ordering::Release);
        }
        if self.free_bytes.load(Ordering::Acquire) < self.reserve_bytes {
            return Err(Error::NoSpace { action: "take in a body without using up the reserve" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Room;
    use crate::clock::{Clock, ManualClock};
    use crate::error::Error;
    use crate::stamp::Timestamp;

    #[test]
    fn bodies_are_refused_below_the_reserve() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1)));
        let room = |reserve| {
            let clock = Arc::clone(&clock) as Arc<dyn Clock>;
            Room::new(directory.path().to_path_buf(), reserve, clock)
        };
        assert!(room(1).check().is_ok());
        let full = room(u64::MAX);
        assert!(matches!(full.check(), Err(Error::NoSpace { .. })));
        clock.advance(Duration::from_secs(1));
        assert!(matches!(full.check(), Err(Error::NoSpace { .. })));
    }
}
