//! What a store is: its identity, where it lies, what its pools hold and what they survive.

use std::path::PathBuf;

use crate::blob::{Layout, SegmentInfo};
use crate::error::Result;
use crate::fs::blocking;
use crate::pool::Pool;
use crate::residence;
use crate::store::Store;
use crate::zone::ZoneState;
use crate::zones::ZoneStatus;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// Its id, in hex: what tells its files from those of another store.
    pub id: String,
    /// Where its index is. The index is on the disk of the data directory, and nowhere else.
    pub index: PathBuf,
    /// The zones over which its bytes are spread.
    pub zones: Vec<ZoneStatus>,
    /// How many of them take new segments.
    pub active_zones: usize,
    /// What each pool holds.
    pub pools: Vec<PoolStatus>,
}

/// What a pool holds, and how what it takes next is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// The pool.
    pub pool: Pool,
    /// The data shards of its next segment: 1 is a plain file.
    pub data: u8,
    /// The parity shards of its next segment: the loss of so many zones is survived.
    pub parity: u8,
    /// Its segments.
    pub segments: u64,
    /// Those of them that can be read, though shards are missing or damaged, or though they were laid out for fewer zones
    /// than are used, so that they survive less than what comes next.
    pub degraded_segments: u64,
    /// Those of them that cannot be read, because too few shards are left.
    pub lost_segments: u64,
    /// The sizes of the segments, with what is dead in them, in bytes.
    pub bytes: u64,
    /// The sizes of their shards, in bytes.
    pub physical_bytes: u64,
    /// The sizes of the object versions that belong in the pool, in bytes.
    pub object_bytes: i64,
    /// Their sizes as stored: compressed, before copies and deduplication, in bytes.
    pub stored_bytes: i64,
}

impl PoolStatus {
    fn empty(pool: Pool, active_zones: usize) -> PoolStatus {
        let Layout { data, parity } = Layout::choose(pool, active_zones);
        PoolStatus {
            pool,
            data,
            parity,
            segments: 0,
            degraded_segments: 0,
            lost_segments: 0,
            bytes: 0,
            physical_bytes: 0,
            object_bytes: 0,
            stored_bytes: 0,
        }
    }

    /// What so many bytes, as stored, take in the pool with copies and parity: as much more as its segments take, or its next
    /// one if it has none yet. An estimate: small objects in the index have neither.
    pub fn physical_bytes_of(&self, stored_bytes: i64) -> i64 {
        let (physical, plain) = match self.bytes {
            0 => (u64::from(self.data + self.parity), u64::from(self.data.max(1))),
            bytes => (self.physical_bytes, bytes),
        };
        (stored_bytes as f64 * physical as f64 / plain as f64).round() as i64
    }

    /// Adds a segment of a store that uses so many zones.
    fn add(&mut self, segment: &SegmentInfo, used_zones: usize) {
        self.segments += 1;
        match segment.is_readable() {
            true => self.degraded_segments += u64::from(is_degraded(segment, used_zones)),
            false => self.lost_segments += 1,
        }
        self.bytes += segment.bytes;
        self.physical_bytes += segment.physical_bytes;
    }
}

/// Whether something is missing of a segment that can be read, or it survives less than what a store writes anew that has
/// so many zones: those in use, and those that are awaited.
pub(crate) fn is_degraded(segment: &SegmentInfo, used_zones: usize) -> bool {
    let due = Layout::choose(segment.pool, used_zones);
    !segment.missing_shards.is_empty() || segment.layout.parity < due.parity
}

impl Store {
    /// What the store is, where it is, and what it holds. Looks at every segment there is, but at no object.
    pub async fn info(&self) -> Result<StoreInfo> {
        let store = self.clone();
        let zones = blocking(move || store.zones()).await?;
        let active_zones = zones.iter().filter(|zone| zone.state == ZoneState::Active).count();
        Ok(StoreInfo {
            id: hex::encode(self.inner.directory.store_id),
            index: self.inner.directory.index(),
            zones,
            active_zones,
            pools: self.pools().await?,
        })
    }

    /// What each pool holds. Looks at every segment there is, but at no object.
    pub async fn pools(&self) -> Result<Vec<PoolStatus>> {
        let zones = self.inner.blobs.zones();
        let active_zones = zones.iter().filter(|zone| zone.state == ZoneState::Active).count();
        let used_zones = active_zones + self.inner.zones.awaited(&self.inner);
        let mut pools = Pool::ALL.map(|pool| PoolStatus::empty(pool, active_zones));
        for segment in self.inner.blobs.segments() {
            pools[usize::from(segment.pool.number())].add(&segment, used_zones);
        }
        for row in self.usage(None).await? {
            let pool = &mut pools[usize::from(residence::home(row.class, row.tier).number())];
            pool.object_bytes += row.usage.bytes;
            pool.stored_bytes += row.usage.stored_bytes;
        }
        Ok(pools.to_vec())
    }
}
