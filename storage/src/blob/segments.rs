//! The segments of a store: which there are, and the descriptors to read them. `create` brings new ones into use,
//! `zones` follows the coming and going of zones, `rebuild` replaces shards.
//!
//! A process appends only to segments that it made itself: whatever is there at open is sealed, torn ends included.
//!
//! Removing a segment removes its shards one after the other. Dying in between, or a zone that is lost meanwhile,
//! leaves some of them; they are found as a segment in which nothing is live, which the collector removes again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use crate::blob::known::Known;
use crate::blob::layout::{BLOCK_BYTES, Placement, SegmentHeader};
use crate::blob::segment::Segment;
use crate::blob::shard_name::{SegmentName, ShardName};
use crate::blob::shards::{Opener, ReadShards, Sound};
use crate::blob::{ReadError, ReadResult, SegmentInfo, TroubleCallback};
use crate::cipher::Keys;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fs::{DiskFile, blocking, open_files_max};
use crate::pool::Pool;
use crate::room::Rooms;
use crate::sync::atomic::AtomicU64;
use crate::sync::{Mutex, MutexGuard};
use crate::zone::{Damage, Stray, Trouble, Zone, ZoneId, ZoneState};

const OPEN: &str = "open segment";
const REMOVE: &str = "remove segment";

/// All segments of a store.
pub struct SegmentSet {
    /// The size at which a segment takes no more records, in bytes.
    pub(super) segment_bytes: u64,
    pub(super) store_id: [u8; 16],
    pub(super) clock: Arc<dyn Clock>,
    /// With which records are sealed.
    pub(super) keys: Arc<Keys>,
    pub(super) on_trouble: TroubleCallback,
    /// The id of the next segment.
    pub(super) next: AtomicU64,
    pub(super) state: Mutex<State>,
    pub(super) rooms: Rooms,
    /// Held by whoever removes, takes back or replaces shards, so that each sees what the one before has done. Taken
    /// before `state`.
    pub(super) changes: Mutex<()>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) zones: BTreeMap<ZoneId, ZoneEntry>,
    pub(super) known: BTreeMap<u64, Known>,
    pub(super) strays: BTreeSet<Stray>,
    /// Shards being rebuilt, by segment.
    pub(super) rebuilding: BTreeSet<(u64, usize)>,
    /// Counts segments that were made, to spread them.
    pub(super) turn: usize,
    open: HashMap<u64, Open>,
    /// Counts lookups, to tell which descriptor was used last.
    lookups: u64,
}

pub(super) struct ZoneEntry {
    pub(super) zone: Arc<Zone>,
    pub(super) state: ZoneState,
}

impl State {
    /// The zones of a segment's shards, as far as they can be reached.
    pub(super) fn zones_of(&self, known: &Known) -> Vec<Option<Arc<Zone>>> {
        let zone = |id: &ZoneId| Some(self.zones.get(id)?.zone.clone());
        known.homes.iter().map(|home| home.as_ref().and_then(zone)).collect()
    }

    /// The zones that take new segments.
    pub(super) fn active(&self) -> Vec<Arc<Zone>> {
        let active = self.zones.values().filter(|entry| entry.state == ZoneState::Active);
        active.map(|entry| entry.zone.clone()).collect()
    }

    /// The zones that can be reached.
    pub(super) fn reachable(&self) -> Vec<Arc<Zone>> {
        let reachable = self.zones.values().filter(|entry| entry.state != ZoneState::Lost);
        reachable.map(|entry| entry.zone.clone()).collect()
    }

    /// Lets the next reader open a segment anew.
    pub(super) fn forget_open(&mut self, segment: u64) {
        self.open.remove(&segment);
    }
}

struct Open {
    file: Arc<ReadFile>,
    /// How many descriptors it may have.
    files: usize,
    used: u64,
}

/// A segment opened for reading. It stays readable after the segment was removed.
pub struct ReadFile {
    /// The descriptor.
    pub file: Arc<dyn DiskFile>,
    /// The file's name, for messages.
    name: String,
}

impl ReadFile {
    /// For bytes that are not in a file of one segment.
    pub fn named(file: Arc<dyn DiskFile>, name: String) -> ReadFile {
        ReadFile { file, name }
    }

    /// How messages name a place in this file.
    pub fn place(&self, offset: u64) -> String {
        format!("{} at {offset}", self.name)
    }
}

impl SegmentSet {
    /// Reserves bytes in the segment of `slot`, which is replaced by a new one when it takes no more.
    pub async fn reserve(
        self: &Arc<SegmentSet>,
        pool: Pool,
        slot: &mut Option<Arc<Segment>>,
        bytes: u64,
    ) -> Result<u64> {
        loop {
            if let Some(offset) = slot.as_ref().and_then(|segment| segment.reserve(bytes)) {
                return Ok(offset);
            }
            let set = self.clone();
            *slot = Some(blocking(move || set.create(pool)).await??);
        }
    }

    /// As [`SegmentSet::reserve`], for threads that may block.
    pub fn reserve_blocking(
        &self,
        pool: Pool,
        slot: &mut Option<Arc<Segment>>,
        bytes: u64,
    ) -> Result<(Arc<Segment>, u64)> {
        loop {
            if let Some(segment) = &*slot
                && let Some(offset) = segment.reserve(bytes)
            {
                return Ok((segment.clone(), offset));
            }
            *slot = Some(self.create(pool)?);
        }
    }

    /// What there is, by id.
    pub fn list(&self) -> Vec<SegmentInfo> {
        self.state().known.values().map(Known::info).collect()
    }

    /// The shards to rebuild, by segment.
    pub fn damaged(&self) -> Vec<Damage> {
        self.state().known.values().flat_map(Known::damage).collect()
    }

    /// Lets no segment take more records.
    pub fn close_all(&self) {
        self.state().known.values().for_each(|known| known.space.close());
    }

    /// Removes a sealed segment; see `Blobs::remove_segment`. Blocks the thread.
    pub fn remove(&self, segment: u64) -> Result<u64> {
        let _alone = self.changes();
        let (name, zones, bytes, notes, reachable) = {
            let state = self.state();
            let Some(known) = state.known.get(&segment) else { return Ok(0) };
            if !known.space.is_sealed() {
                return Err(Error::Conflict);
            }
            (known.name, state.zones_of(known), known.info().physical_bytes, notes(known), state.reachable())
        };
        let mut first_error = None;
        for (shard, zone) in zones.iter().enumerate() {
            let Some(zone) = zone else { continue };
            let path = zone.directory.join(name.shard(shard).file_name());
            match zone.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.trouble(zone.id, Some(segment), REMOVE, &error);
                    first_error = first_error.or(Some(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        if let Some(error) = first_error {
            return Err(Error::io(REMOVE, error));
        }
        remove_notes(&reachable, &notes);
        let mut state = self.state();
        state.known.remove(&segment);
        state.open.remove(&segment);
        drop(state);
        let touched: BTreeMap<ZoneId, &Arc<Zone>> = zones.iter().flatten().map(|zone| (zone.id, zone)).collect();
        let mut outcome = Ok(bytes);
        for zone in touched.into_values() {
            match zone.disk.sync_directory(&zone.directory) {
                Ok(()) => {}
                // The zone is away, which nobody has noticed yet. If the shard comes back with it, nothing names it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.trouble(zone.id, Some(segment), REMOVE, &error);
                }
                Err(error) => outcome = Err(Error::io(REMOVE, error)),
            }
        }
        outcome
    }

    /// The files of a segment's shards that may be used; none if there is no such segment.
    pub fn known_paths(&self, segment: u64) -> Vec<PathBuf> {
        let state = self.state();
        let Some(known) = state.known.get(&segment) else { return Vec::new() };
        let zones = state.zones_of(known);
        let path = |shard: usize| Some(zones[shard].as_ref()?.directory.join(known.name.shard(shard).file_name()));
        known.usable().into_iter().filter_map(path).collect()
    }

    /// Whether enough shards may be used of the segment of a placement.
    pub fn is_readable(&self, placement: &Placement) -> bool {
        let state = self.state();
        let known = state.known.get(&placement.segment);
        let known = known.filter(|known| known.name.generation == placement.generation);
        known.is_some_and(|known| known.usable().len() >= known.name.layout.needed())
    }

    /// The segment of a placement, opened for reading.
    pub async fn read_file(self: &Arc<SegmentSet>, placement: &Placement) -> ReadResult<Arc<ReadFile>> {
        let segment = placement.segment;
        if let Some(file) = self.opened(placement)? {
            return Ok(file);
        }
        let set = self.clone();
        blocking(move || set.open_file(segment)).await?
    }

    /// The open descriptor if there is one. `Err(Moved)` if the place has ceased to exist.
    fn opened(&self, placement: &Placement) -> ReadResult<Option<Arc<ReadFile>>> {
        let mut state = self.state();
        state.lookups += 1;
        let lookups = state.lookups;
        let Some(known) = state.known.get(&placement.segment) else { return Err(ReadError::Moved) };
        if known.name.generation != placement.generation {
            return Err(ReadError::Moved);
        }
        Ok(state.open.get_mut(&placement.segment).map(|open| {
            open.used = lookups;
            open.file.clone()
        }))
    }

    fn open_file(&self, segment: u64) -> ReadResult<Arc<ReadFile>> {
        let (opener, homes) = {
            let state = self.state();
            let known = state.known.get(&segment).ok_or(ReadError::Moved)?;
            (self.opener(&state, known), known.homes.clone())
        };
        let (name, sound) = (opener.name, opener.sound.clone());
        let too_few = || Error::Corrupt { what: "segment (too few shards)", place: name.shown() };
        let file = ReadShards::open(name.layout, sound, Box::new(opener))?.ok_or_else(too_few)?;
        let opened = Arc::new(ReadFile { file: Arc::new(file), name: name.shown() });
        self.keep_open(segment, opened.clone(), &homes);
        Ok(opened)
    }

    /// Who opens the shards of a segment as they are now.
    pub(super) fn opener(&self, state: &State, known: &Known) -> ShardOpener {
        ShardOpener {
            name: known.name,
            zones: state.zones_of(known),
            sound: known.sound.clone(),
            store_id: self.store_id,
            on_trouble: self.on_trouble.clone(),
        }
    }

    fn keep_open(&self, segment: u64, file: Arc<ReadFile>, homes: &[Option<ZoneId>]) {
        let mut state = self.state();
        // If it was removed or lost a shard meanwhile, keeping the descriptor would keep its space on disk.
        let Some(known) = state.known.get(&segment).filter(|known| known.homes == homes) else { return };
        let files = known.homes.len();
        while !state.open.is_empty()
            && state.open.values().map(|open| open.files).sum::<usize>() + files > open_files_max()
        {
            let oldest = state.open.iter().min_by_key(|(_, open)| open.used).map(|(segment, _)| *segment);
            oldest.and_then(|oldest| state.open.remove(&oldest));
        }
        let used = state.lookups;
        state.open.insert(segment, Open { file, files, used });
    }

    /// Tells that a call in a zone failed.
    pub(super) fn trouble(&self, zone: ZoneId, segment: Option<u64>, action: &str, error: &io::Error) {
        (self.on_trouble)(Trouble { zone, segment, error: format!("{action}: {error}") });
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of all notes that there may be of stale shards of a segment.
fn notes(known: &Known) -> Vec<String> {
    let homes = known.homes.iter().enumerate().filter_map(|(shard, home)| Some((shard as u8, (*home)?)));
    let unsound = homes.filter(|&(shard, _)| !known.sound.has(usize::from(shard)));
    let stale: BTreeSet<(u8, ZoneId)> = known.stale.iter().copied().chain(unsound).collect();
    stale.into_iter().map(|(shard, zone)| known.name.shard(usize::from(shard)).stale_name(zone)).collect()
}

/// Removes notes wherever they are. Best effort: one that stays makes a shard be rebuilt that is whole.
pub(super) fn remove_notes(zones: &[Arc<Zone>], notes: &[String]) {
    for zone in zones {
        for note in notes {
            let _ = zone.disk.remove(&zone.directory.join(note));
        }
    }
}

/// Opens the shards of one segment.
pub(super) struct ShardOpener {
    pub(super) name: SegmentName,
    pub(super) zones: Vec<Option<Arc<Zone>>>,
    sound: Arc<Sound>,
    store_id: [u8; 16],
    on_trouble: TroubleCallback,
}

impl ShardOpener {
    /// The header of a file, if it is that of the shard.
    pub(super) fn header(&self, file: &dyn DiskFile, name: ShardName) -> Result<SegmentHeader> {
        let mut block = [0; BLOCK_BYTES];
        file.read_at(&mut block, 0).map_err(|error| Error::io(OPEN, error))?;
        check_header(&block, name, self.store_id)
    }

    fn open_checked(&self, shard: usize) -> ReadResult<Arc<dyn DiskFile>> {
        let zone = self.zones[shard].as_ref().ok_or(ReadError::Moved)?;
        let name = self.name.shard(shard);
        let file = zone.disk.open(&zone.directory.join(name.file_name())).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::Moved,
            _ => ReadError::Engine(Error::io(OPEN, error)),
        })?;
        self.header(&*file, name)?;
        Ok(file)
    }

    fn tell(&self, shard: usize, error: String) {
        if let Some(zone) = &self.zones[shard] {
            (self.on_trouble)(Trouble { zone: zone.id, segment: Some(self.name.segment), error });
        }
    }
}

/// Checks the first block of a file against what it should be.
pub(super) fn check_header(block: &[u8; BLOCK_BYTES], name: ShardName, store_id: [u8; 16]) -> Result<SegmentHeader> {
    let place = || format!("{} at 0", name.file_name());
    let header = SegmentHeader::decode(block).map_err(|fault| fault.at(place()))?;
    // The zone is not compared: files may have been copied from there to here.
    if (header.name, header.store_id) != (name, store_id) {
        return Err(Error::Corrupt { what: "segment header", place: place() });
    }
    Ok(header)
}

impl Opener for ShardOpener {
    fn open(&self, shard: usize) -> ReadResult<Arc<dyn DiskFile>> {
        let opened = self.open_checked(shard);
        let Err(error) = &opened else { return opened };
        let is_alone = self.zones.len() == 1;
        // That an only file is gone, which the collector may just have removed, its reader is told.
        if !(is_alone && matches!(error, ReadError::Moved)) {
            self.tell(shard, format!("{OPEN}: {error}"));
        }
        // A file that is gone, or is another one, comes back by being rebuilt, or with its zone.
        if !is_alone && matches!(error, ReadError::Moved | ReadError::Engine(Error::Corrupt { .. })) {
            self.sound.give_up(shard);
        }
        opened
    }

    fn failed(&self, shard: usize, error: &io::Error) {
        self.tell(shard, format!("read segment: {error}"));
    }
}
