//! How a segment comes into use: in which zones, and in what order.
//!
//! For every shard, side by side: exclusive creation, header, sync, sync of the directory. Only then is a record placed
//! in the segment, so a record that was acknowledged never lies in a file whose name may vanish. Dying before the last
//! step leaves files without records, which the collector finds empty and removes.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::blob::TroubleCallback;
use crate::blob::buffer::AlignedBuffer;
use crate::blob::known::Known;
use crate::blob::layout::{BLOCK_BYTES, SegmentHeader};
use crate::blob::segment::{Segment, Space};
use crate::blob::segments::SegmentSet;
use crate::blob::shard_name::SegmentName;
use crate::blob::shards::{Keeper, Pace, Sound, WriteShards, on_shards};
use crate::blob::stripe::Layout;
use crate::error::{Error, Result, is_full_disk, is_out_of_files};
use crate::fs::DiskFile;
use crate::pool::Pool;
use crate::sync::atomic::Ordering;
use crate::zone::{Trouble, Zone, ZoneId, ZoneState};

/// Ids are not reused, so every segment is in its first life.
const GENERATION: u32 = 1;
const CREATE: &str = "create segment";

/// Why a segment was not made.
enum Failed {
    /// Other zones may do.
    Zones(Vec<ZoneId>, io::Error),
    /// No other try would help.
    Altogether(Error),
}

impl SegmentSet {
    /// Brings a new segment into use. Blocks the thread.
    pub fn create(&self, pool: Pool) -> Result<Arc<Segment>> {
        let mut failed = BTreeSet::new();
        let mut last_error = io::Error::other("no zone takes new segments");
        loop {
            let (layout, zones) = self.places(pool, &failed);
            if zones.is_empty() {
                return Err(Error::io(CREATE, last_error));
            }
            match self.create_in(pool, layout, &zones) {
                Ok(segment) => return Ok(segment),
                Err(Failed::Altogether(error)) => return Err(error),
                Err(Failed::Zones(zones, error)) => {
                    failed.extend(zones);
                    last_error = error;
                }
            }
        }
    }

    /// Whether enough zones have room for a segment of that pool.
    pub fn has_room(&self, pool: Pool) -> bool {
        let zones = self.state().active();
        // Without any zone it is not room that is missing; the write will tell.
        zones.is_empty() || Layout::choose_with_room(pool, zones.len(), self.count_with_room(&zones)).is_some()
    }

    /// Whether the zones that the next segment may go to would each have room for removals after so many bytes more.
    pub fn spares(&self, pool: Pool, bytes: u64) -> bool {
        let (layout, zones) = self.eligible(pool, self.state().active());
        let shard_bytes = layout.shard_bytes(bytes);
        // One that does not tell fails by itself if it is full.
        zones.iter().all(|zone| zone.disk.room(&zone.directory).map_or(true, |room| room.spares(shard_bytes)))
    }

    /// How many of the zones that take new segments have room.
    pub fn zones_with_room(&self) -> usize {
        let zones = self.state().active();
        self.count_with_room(&zones)
    }

    fn count_with_room(&self, zones: &[Arc<Zone>]) -> usize {
        zones.iter().filter(|zone| self.rooms.takes_more(zone)).count()
    }

    /// The layout of the next segment, and the zone of each of its shards.
    fn places(&self, pool: Pool, failed: &BTreeSet<ZoneId>) -> (Layout, Vec<Arc<Zone>>) {
        let (mut zones, turn) = {
            let mut state = self.state();
            state.turn = state.turn.wrapping_add(1);
            (state.active(), state.turn)
        };
        zones.retain(|zone| !failed.contains(&zone.id));
        let (layout, zones) = self.eligible(pool, zones);
        let free_bytes = |zone: &Arc<Zone>| match zones.len() == layout.shards() {
            true => 0,
            false => self.rooms.of(zone).map_or(0, |room| room.free_bytes) / self.segment_bytes.max(1),
        };
        let free: Vec<u64> = zones.iter().map(free_bytes).collect();
        let chosen = choose(&free, layout.shards(), turn);
        (layout, chosen.into_iter().map(|zone| zones[zone].clone()).collect())
    }

    /// Those of the zones that a segment of the pool may go to, and how it would be laid out.
    fn eligible(&self, pool: Pool, zones: Vec<Arc<Zone>>) -> (Layout, Vec<Arc<Zone>>) {
        let with_room: Vec<Arc<Zone>> = zones.iter().filter(|zone| self.rooms.takes_more(zone)).cloned().collect();
        match Layout::choose_with_room(pool, zones.len(), with_room.len()) {
            Some(layout) => (layout, with_room),
            // No bodies are taken in; but the collector must write to give space back.
            None => (Layout::choose(pool, zones.len()), zones),
        }
    }

    fn create_in(&self, pool: Pool, layout: Layout, zones: &[Arc<Zone>]) -> std::result::Result<Arc<Segment>, Failed> {
        let segment = self.next.fetch_add(1, Ordering::SeqCst);
        let name = SegmentName { segment, generation: GENERATION, pool, layout };
        let created_ns = self.clock.now().as_nanos();
        let shards: Vec<usize> = (0..zones.len()).collect();
        let made = on_shards(&shards, Pace::Together, |shard| {
            let name = name.shard(shard);
            let header = SegmentHeader { name, created_ns, store_id: self.store_id, zone: zones[shard].id };
            create_file(&zones[shard], &header)
        });
        let (mut files, mut errors) = (Vec::with_capacity(zones.len()), Vec::new());
        for (shard, outcome) in made {
            match outcome {
                Ok(file) => files.push(file),
                Err(error) => errors.push((zones[shard].id, error)),
            }
        }
        if !errors.is_empty() {
            remove_files(name, zones);
            return Err(self.failed(segment, errors));
        }
        let sound = Arc::new(Sound::of(shards.into_iter()));
        let space = Arc::new(Space::open(self.segment_bytes));
        let keeper =
            WriteKeeper { name, zones: zones.to_vec(), space: space.clone(), on_trouble: self.on_trouble.clone() };
        let file = Arc::new(WriteShards::new(layout, files, sound.clone(), Box::new(keeper)));
        let made = Arc::new(Segment::new(name, file, space.clone()));
        let ids: Vec<ZoneId> = zones.iter().map(|zone| zone.id).collect();
        let gone = {
            let mut state = self.state();
            let is_gone = |id: &ZoneId| state.zones.get(id).is_none_or(|entry| entry.state != ZoneState::Active);
            let gone: Vec<ZoneId> = ids.iter().copied().filter(is_gone).collect();
            if gone.is_empty() {
                state.known.insert(segment, Known::made(name, space, &ids, sound));
                return Ok(made);
            }
            gone
        };
        remove_files(name, zones);
        Err(Failed::Zones(gone, io::Error::other("a zone was taken out of use")))
    }

    fn failed(&self, segment: u64, errors: Vec<(ZoneId, io::Error)>) -> Failed {
        let mut failed = Vec::new();
        let mut last_error = io::Error::other("no zone takes new segments");
        for (zone, error) in errors {
            // Neither of them is the zone's own trouble.
            if is_full_disk(&error) || is_out_of_files(&error) {
                return Failed::Altogether(Error::io(CREATE, error));
            }
            self.trouble(zone, Some(segment), CREATE, &error);
            failed.push(zone);
            last_error = error;
        }
        Failed::Zones(failed, last_error)
    }
}

fn create_file(zone: &Zone, header: &SegmentHeader) -> io::Result<Arc<dyn DiskFile>> {
    let mut block = AlignedBuffer::new(BLOCK_BYTES);
    header.encode(&mut block);
    let file = zone.disk.create_new(&zone.directory.join(header.name.file_name()))?;
    file.write_at(&block, 0)?;
    file.sync_data()?;
    zone.disk.sync_directory(&zone.directory)?;
    Ok(file)
}

/// Best effort: files without records that stay are garbage of the next open.
fn remove_files(name: SegmentName, zones: &[Arc<Zone>]) {
    for (shard, zone) in zones.iter().enumerate() {
        let _ = zone.disk.remove(&zone.directory.join(name.shard(shard).file_name()));
    }
}

/// Chooses `count` of the places: those with the most room, and in turn among those that have equally much. Their
/// order, which says where parity lies, is that of the turn.
fn choose(free: &[u64], count: usize, turn: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..free.len()).collect();
    order.rotate_left(turn % free.len().max(1));
    let mut best = order.clone();
    best.sort_by_key(|&place| std::cmp::Reverse(free[place]));
    best.truncate(count);
    order.retain(|place| best.contains(place));
    order
}

/// Looks after the shards of a segment that this process writes.
struct WriteKeeper {
    name: SegmentName,
    zones: Vec<Arc<Zone>>,
    space: Arc<Space>,
    on_trouble: TroubleCallback,
}

impl WriteKeeper {
    fn note(&self, zone: &Zone, note: &str) -> io::Result<()> {
        let path: PathBuf = zone.directory.join(note);
        match zone.disk.create_new(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(_) | Err(_) => {}
        }
        zone.disk.sync_directory(&zone.directory)
    }
}

impl Keeper for WriteKeeper {
    fn failed(&self, shard: usize, error: &io::Error) {
        let error = format!("write segment: {error}");
        (self.on_trouble)(Trouble { zone: self.zones[shard].id, segment: Some(self.name.segment), error });
    }

    fn note_stale(&self, shard: usize, sound: &Sound) -> io::Result<()> {
        // What comes next had better go to a segment that has all of its shards.
        self.space.close();
        let note = self.name.shard(shard).stale_name(self.zones[shard].id);
        let mut noted = Err(io::Error::other("no zone is left for a note"));
        for other in (0..self.zones.len()).filter(|&other| sound.has(other)) {
            match self.note(&self.zones[other], &note) {
                Ok(()) => noted = Ok(()),
                Err(error) => {
                    self.failed(other, &error);
                    noted = noted.or(Err(error));
                }
            }
        }
        noted
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn places_are_chosen_by_room_and_in_turn() {
        fn check(free: &[u64], count: usize, turn: usize, expected: &[usize]) {
            assert_eq!(choose(free, count, turn), expected, "{free:?}, {count}, {turn}");
        }
        check(&[5], 1, 7, &[0]);
        check(&[5, 5, 5], 1, 0, &[0]);
        check(&[5, 5, 5], 1, 1, &[1]);
        check(&[5, 5, 5], 2, 2, &[2, 0]);
        check(&[5, 9, 5], 1, 2, &[1]);
        check(&[5, 9, 5], 2, 2, &[2, 1]);
        check(&[5, 9, 5], 2, 0, &[0, 1]);
        check(&[0, 0, 0, 0], 4, 3, &[3, 0, 1, 2]);
        check(&[], 0, 3, &[]);
    }
}
