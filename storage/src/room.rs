//! Room on disks: how much there is, how much is kept free and for what, and how often zones are asked.
//!
//! What is free goes in this order: everything; no bytes of objects any more; no commits but those that add delete markers
//! or make room; none but those that make room; none.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::fs::{Disk as _, SystemDisk};
use crate::zone::{Zone, ZoneId};

/// Kept free on a file system, in bytes: room for the index to log deletions, to write out what it holds in memory, and
/// to merge its files, and for the collector to write anew what is left in segments. An index that meets a full disk
/// refuses every further commit, deletions among them.
const KEPT_FREE_BYTES: u64 = 512 << 20;
/// The most that is kept free of a small file system: one part in this many.
const KEPT_FREE_PARTS: u64 = 4;
/// Kept free of what is kept free, in bytes: below it only what makes room is committed, and what is written out or
/// rewritten must leave it.
const KEPT_FOR_REMOVALS_BYTES: u64 = 64 << 20;
/// The most of that on a small file system: one part in this many.
const KEPT_FOR_REMOVALS_PARTS: u64 = 16;
/// Kept free of that for what makes room, in bytes: below it no delete marker is added any more. A client that deletes
/// without naming versions only ever adds markers, and would use up what the collector needs.
const KEPT_FROM_MARKERS_BYTES: u64 = 32 << 20;
/// The most of that on a small file system: one part in this many.
const KEPT_FROM_MARKERS_PARTS: u64 = 24;
/// The last of it, in bytes: below it nothing is committed any more. RocksDB recovers from a full disk only once it has
/// room for a write buffer, so it had better not meet one; a refused commit has certainly not happened. One write of the
/// log has a little more than 4 MiB at most.
const KEPT_LAST_BYTES: u64 = 8 << 20;
/// The most of that on a small file system: one part in this many.
const KEPT_LAST_PARTS: u64 = 32;
/// So long a zone's answer is believed: far less than it takes to write what is kept free.
const BELIEVED: Duration = Duration::from_secs(1);

/// The room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What this process may still use, in bytes.
    pub free_bytes: u64,
    /// The size of the file system, in bytes.
    pub total_bytes: u64,
}

impl Room {
    /// Whether more may be stored without using up what is kept free.
    pub fn takes_more(self) -> bool {
        self.free_bytes >= KEPT_FREE_BYTES.min(self.total_bytes / KEPT_FREE_PARTS)
    }

    /// What the index on it may still log.
    pub(crate) fn commits(self) -> Commits {
        if self.spares(0) {
            Commits::All
        } else if self.takes_markers() {
            Commits::Covering
        } else if self.fits(0) {
            Commits::MakingRoom
        } else {
            Commits::None
        }
    }

    /// Whether so many bytes more leave what is kept last.
    pub(crate) fn fits(self, bytes: u64) -> bool {
        self.free_bytes >= self.kept_last().saturating_add(bytes)
    }

    fn takes_markers(self) -> bool {
        self.free_bytes >= KEPT_FROM_MARKERS_BYTES.min(self.total_bytes / KEPT_FROM_MARKERS_PARTS)
    }

    fn kept_last(self) -> u64 {
        KEPT_LAST_BYTES.min(self.total_bytes / KEPT_LAST_PARTS)
    }

    /// Whether so many bytes more leave what is kept for removals.
    pub(crate) fn spares(self, bytes: u64) -> bool {
        let kept = KEPT_FOR_REMOVALS_BYTES.min(self.total_bytes / KEPT_FOR_REMOVALS_PARTS);
        self.free_bytes >= kept.saturating_add(bytes)
    }
}

/// What is committed while there is so much room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commits {
    /// Everything.
    All,
    /// What covers something with a delete marker, and what makes room.
    Covering,
    /// What removes something, and what follows from that.
    MakingRoom,
    /// Nothing.
    None,
}

/// Says how much room there is where a store keeps its index. Who shares the disk with others may tell of less than there
/// is.
pub trait Gauge: Send + Sync + 'static {
    /// The room for a directory that is there. Asked before every commit, so it had better answer from memory.
    fn room(&self, directory: &Path) -> io::Result<Room>;
}

/// What the file system says.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemGauge;

impl Gauge for SystemGauge {
    fn room(&self, directory: &Path) -> io::Result<Room> {
        SystemDisk.room(directory)
    }
}

/// The room in zones, asked for when it is wanted, and not more often than once a second.
#[derive(Default)]
pub struct Rooms(Mutex<HashMap<ZoneId, Answer>>);

struct Answer {
    at: Instant,
    /// `None` if the zone did not say.
    room: Option<Room>,
}

impl Rooms {
    /// The room in a zone; `None` if it cannot be told. Local file systems answer from memory.
    pub fn of(&self, zone: &Zone) -> Option<Room> {
        self.of_at(zone, Instant::now())
    }

    /// Whether a zone takes more. One that does not tell fails by itself if it is full.
    pub fn takes_more(&self, zone: &Zone) -> bool {
        self.of(zone).is_none_or(Room::takes_more)
    }

    /// Asks again.
    #[cfg(test)]
    pub fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    fn of_at(&self, zone: &Zone, now: Instant) -> Option<Room> {
        let answers = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers().get(&zone.id).filter(|answer| now < answer.at + BELIEVED) {
            return answer.room;
        }
        // A disk that takes its time holds up no other zone.
        let room = zone.disk.room(&zone.directory).ok();
        answers().insert(zone.id, Answer { at: now, room });
        room
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Commits, Room, Rooms};
    use crate::fs::SystemDisk;
    use crate::zone::{Zone, ZoneId};

    #[test]
    fn some_room_is_kept_free() {
        fn check(free_mib: u64, total_mib: u64, expected: bool) {
            let room = Room { free_bytes: free_mib << 20, total_bytes: total_mib << 20 };
            assert_eq!(room.takes_more(), expected, "{room:?}");
        }
        check(512, 1 << 20, true);
        check(511, 1 << 20, false);
        check(25, 100, true);
        check(24, 100, false);
        check(0, 0, true);
    }

    #[test]
    fn commits_go_on_in_what_is_kept_free() {
        fn check(free_mib: u64, total_mib: u64, expected: Commits) {
            let room = Room { free_bytes: free_mib << 20, total_bytes: total_mib << 20 };
            assert_eq!(room.commits(), expected, "{room:?}");
        }
        check(64, 1 << 20, Commits::All);
        check(63, 1 << 20, Commits::Covering);
        check(32, 1 << 20, Commits::Covering);
        check(31, 1 << 20, Commits::MakingRoom);
        check(8, 1 << 20, Commits::MakingRoom);
        check(7, 1 << 20, Commits::None);
        check(10, 160, Commits::All);
        check(9, 160, Commits::Covering);
        check(7, 160, Commits::Covering);
        check(6, 160, Commits::MakingRoom);
        check(5, 160, Commits::MakingRoom);
        check(4, 160, Commits::None);
        check(0, 0, Commits::All);
    }

    #[test]
    fn what_is_written_leaves_room_for_removals() {
        let room = Room { free_bytes: 100 << 20, total_bytes: 1 << 40 };
        assert!(room.spares(36 << 20) && !room.spares((36 << 20) + 1) && !room.spares(u64::MAX));
    }

    #[test]
    fn answers_are_believed_for_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("zone");
        let zone = Zone { id: ZoneId(1), name: "a".to_owned(), directory: place.clone(), disk: Arc::new(SystemDisk) };
        let (rooms, start) = (Rooms::default(), Instant::now());
        assert_eq!(rooms.of_at(&zone, start), None);
        std::fs::create_dir(&place).unwrap();
        assert_eq!(rooms.of_at(&zone, start + Duration::from_millis(999)), None);
        assert!(rooms.of_at(&zone, start + Duration::from_secs(1)).is_some());
        std::fs::remove_dir(&place).unwrap();
        assert!(rooms.of_at(&zone, start + Duration::from_secs(1)).is_some());
        assert_eq!(rooms.of_at(&zone, start + Duration::from_secs(2)), None);
    }
}
