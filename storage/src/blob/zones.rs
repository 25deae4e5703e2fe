//! The zones of a store's segments: what is found in them at open, and how they come and go while it is open.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::blob::BlobsOptions;
use crate::blob::known::{Known, ShardFile, Stale};
use crate::blob::layout::BLOCK_BYTES;
use crate::blob::segments::{SegmentSet, State, ZoneEntry, check_header, remove_notes};
use crate::blob::shard_name::{Entry, SegmentName, ShardName, parse};
use crate::error::{Error, Result};
use crate::room::{Room, Rooms};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::zone::{Stray, Trouble, Zone, ZoneId, ZoneInfo, ZoneState};

const SCAN: &str = "read segment directory";
/// If a zone is lost at open, nobody knows the highest id in it. This many segments are certainly not in use there.
pub const IDS_SKIPPED: u64 = 1 << 32;

/// What is in a zone.
#[derive(Default)]
struct Listing {
    shards: Vec<(SegmentName, ShardFile)>,
    /// Shards, each as the file in some zone, of which it is said here that they miss writes.
    stale: Vec<(ShardName, ZoneId)>,
    /// Shards that were half rebuilt.
    halves: Vec<PathBuf>,
}

/// What segments are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFor {
    /// To store and to serve.
    Use,
    /// To be looked at: nothing is written or removed.
    Inspection,
}

impl SegmentSet {
    /// Finds the segments of all zones. Reads names and sizes only.
    ///
    /// The directory of an only zone is made if it is missing. Where there are several, one that cannot be listed, or is
    /// missing, is lost: its disk may not be mounted. `Err` if all are.
    pub fn open(options: BlobsOptions, purpose: OpenFor) -> Result<SegmentSet> {
        let BlobsOptions { zones, segment_bytes, store_id, clock, keys, next_segment, on_trouble, .. } = options;
        if let [only] = &zones[..]
            && purpose == OpenFor::Use
        {
            make_directory(only)?;
        }
        let mut state = State::default();
        let (mut listings, mut lost) = (Vec::new(), None);
        for zone in zones {
            let zone = Arc::new(zone);
            let found = match list_for(&zone, purpose) {
                Ok(listing) => {
                    listings.push((zone.clone(), listing));
                    ZoneState::Active
                }
                Err(error @ Error::Corrupt { .. }) => return Err(error),
                Err(error) => {
                    on_trouble(Trouble { zone: zone.id, segment: None, error: error.to_string() });
                    lost = Some(error);
                    ZoneState::Lost
                }
            };
            let before = state.zones.insert(zone.id, ZoneEntry { zone, state: found });
            assert!(before.is_none(), "every zone has a number of its own");
        }
        let skipped = match lost {
            Some(error) if listings.is_empty() => return Err(error),
            Some(_) => IDS_SKIPPED,
            None if purpose == OpenFor::Use => {
                remove_forgotten_notes(&listings);
                0
            }
            None => 0,
        };
        put_together(&mut state, &listings)?;
        let above = state.known.last_key_value().map_or(1, |(segment, _)| segment.saturating_add(1));
        let next = AtomicU64::new(next_segment.max(above).saturating_add(skipped));
        let (state, rooms, changes) = (Mutex::new(state), Rooms::default(), Mutex::default());
        Ok(SegmentSet { segment_bytes, store_id, clock, keys, on_trouble, next, state, rooms, changes })
    }

    /// The zones, by number. Looks at every segment.
    pub fn zones(&self) -> Vec<ZoneInfo> {
        let state = self.state();
        let mut counts: BTreeMap<ZoneId, (u64, u64)> = BTreeMap::new();
        for known in state.known.values() {
            let mut seen = BTreeSet::new();
            for &zone in known.homes.iter().flatten() {
                let (segments, bytes) = counts.entry(zone).or_default();
                *segments += u64::from(seen.insert(zone));
                *bytes += known.shard_bytes();
            }
        }
        let info = |entry: &ZoneEntry| {
            let Zone { id, name, directory, .. } = &*entry.zone;
            let (segments, bytes) = counts.get(id).copied().unwrap_or_default();
            ZoneInfo { id: *id, name: name.clone(), directory: directory.clone(), state: entry.state, segments, bytes }
        };
        state.zones.values().map(info).collect()
    }

    /// Puts another disk under a zone.
    #[cfg(test)]
    pub fn set_disk(&self, id: ZoneId, disk: impl crate::fs::Disk) {
        let mut state = self.state();
        let entry = state.zones.get_mut(&id).unwrap();
        let Zone { name, directory, .. } = (*entry.zone).clone();
        entry.zone = Arc::new(Zone { id, name, directory, disk: Arc::new(disk) });
        self.rooms.forget();
    }

    /// The room in a zone; `None` if it cannot be reached.
    pub fn room(&self, id: ZoneId) -> Option<Room> {
        let zone = {
            let state = self.state();
            state.zones.get(&id).filter(|entry| entry.state != ZoneState::Lost)?.zone.clone()
        };
        self.rooms.of(&zone)
    }

    /// Takes a zone into use that was not known. Blocks the thread.
    pub fn add_zone(&self, zone: Zone) -> Result<()> {
        let _alone = self.changes();
        let id = zone.id;
        let entry = ZoneEntry { zone: Arc::new(zone), state: ZoneState::Lost };
        {
            let mut state = self.state();
            if state.zones.contains_key(&id) {
                return Err(Error::Conflict);
            }
            state.zones.insert(id, entry);
        }
        let taken = self.take_back(id, ZoneState::Active);
        if taken.is_err() {
            self.state().zones.remove(&id);
        }
        taken
    }

    /// Changes what a zone is used for; see `Blobs::set_zone_state`. Blocks the thread.
    pub fn set_zone_state(&self, id: ZoneId, to: ZoneState) -> Result<()> {
        let _alone = self.changes();
        let from = self.state().zones.get(&id).map(|entry| entry.state).ok_or_else(no_such_zone)?;
        match (from, to) {
            (ZoneState::Lost, ZoneState::Lost) => Ok(()),
            (ZoneState::Lost, to) => self.take_back(id, to),
            (_, ZoneState::Lost) => {
                self.lose(id);
                Ok(())
            }
            (_, to) => {
                let mut state = self.state();
                state.zones.get_mut(&id).ok_or_else(no_such_zone)?.state = to;
                if to == ZoneState::Draining {
                    let within = state.known.values().filter(|known| known.homes.contains(&Some(id)));
                    within.for_each(|known| known.space.close());
                }
                Ok(())
            }
        }
    }

    /// Forgets a zone. Blocks the thread.
    pub fn forget_zone(&self, id: ZoneId) {
        let _alone = self.changes();
        self.lose(id);
        self.state().zones.remove(&id);
    }

    /// Files that have no use because another one has their place.
    pub fn strays(&self) -> Vec<Stray> {
        self.state().strays.iter().cloned().collect()
    }

    /// Removes such a file. Blocks the thread.
    pub fn remove_stray(&self, stray: &Stray) -> Result<()> {
        const ACTION: &str = "remove a stray file";
        let _alone = self.changes();
        let zone = {
            let state = self.state();
            let entry = state.zones.get(&stray.zone).filter(|entry| entry.state != ZoneState::Lost);
            match entry {
                Some(entry) if state.strays.contains(stray) => entry.zone.clone(),
                _ => return Ok(()),
            }
        };
        match zone.disk.remove(&zone.directory.join(&stray.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(ACTION, error)),
            Ok(()) | Err(_) => {}
        }
        zone.disk.sync_directory(&zone.directory).map_err(|error| Error::io(ACTION, error))?;
        self.state().strays.remove(stray);
        Ok(())
    }

    /// Forgets what is in a zone, and its descriptors.
    fn lose(&self, id: ZoneId) {
        let mut state = self.state();
        if let Some(entry) = state.zones.get_mut(&id) {
            entry.state = ZoneState::Lost;
        }
        let within = state.known.iter_mut().filter(|(_, known)| known.homes.contains(&Some(id)));
        let mut touched = Vec::new();
        for (&segment, known) in within {
            known.lose(id);
            touched.push(segment);
        }
        touched.into_iter().for_each(|segment| state.forget_open(segment));
        state.strays.retain(|stray| stray.zone != id);
    }

    /// Takes back what is in a zone that was lost, or new. `changes` is held.
    fn take_back(&self, id: ZoneId, to: ZoneState) -> Result<()> {
        let zone = self.state().zones.get(&id).map(|entry| entry.zone.clone()).ok_or_else(no_such_zone)?;
        let Listing { shards, stale, .. } = list_for(&zone, OpenFor::Use)?;
        let mut segments: BTreeMap<u64, Returned> = BTreeMap::new();
        for (name, file) in shards {
            let returned = segments.entry(name.segment).or_insert_with(|| Returned::new(name));
            if returned.name != name {
                self.add_stray(name, file);
                continue;
            }
            if let Err(error) = self.check_shard(&zone, name.shard(usize::from(file.shard))) {
                self.tell(id, Some(name.segment), &error);
                returned.stale.insert((file.shard, id));
            }
            returned.files.push(file);
        }
        for (name, zone) in stale {
            if let Some(returned) = segments.get_mut(&name.of.segment).filter(|returned| returned.name == name.of) {
                returned.stale.insert((name.shard, zone));
            }
        }
        for returned in segments.values_mut() {
            self.add_others(returned);
        }
        let above = segments.last_key_value().map_or(0, |(segment, _)| segment.saturating_add(1));
        self.next.fetch_max(above, Ordering::SeqCst);
        for returned in segments.into_values() {
            self.join(id, returned);
        }
        if let Some(entry) = self.state().zones.get_mut(&id) {
            entry.state = to;
        }
        Ok(())
    }

    /// Adds what is known of a segment's other shards.
    fn add_others(&self, returned: &mut Returned) {
        let (zones, sound, stale) = {
            let state = self.state();
            let Some(known) = state.known.get(&returned.name.segment).filter(|known| known.name == returned.name)
            else {
                return;
            };
            (state.zones_of(known), known.sound.clone(), known.stale.clone())
        };
        returned.stale.extend(stale);
        for (shard, zone) in zones.into_iter().enumerate() {
            let Some(zone) = zone else { continue };
            let name = returned.name.shard(shard);
            let bytes = match zone.disk.len(&zone.directory.join(name.file_name())) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.trouble(zone.id, Some(returned.name.segment), SCAN, &error);
                    continue;
                }
            };
            // Whether it is short was decided without the shards that came back; the rest is not in its length.
            if sound.is_stale(shard) || (!sound.has(shard) && self.check_shard(&zone, name).is_err()) {
                returned.stale.insert((name.shard, zone.id));
            }
            returned.files.push(ShardFile { shard: name.shard, zone: zone.id, bytes });
        }
    }

    /// Joins what came back with what is known.
    fn join(&self, id: ZoneId, returned: Returned) {
        let Returned { name, files, stale } = returned;
        let spare = {
            let mut state = self.state();
            state.forget_open(name.segment);
            match state.known.get_mut(&name.segment) {
                Some(known) if known.name != name => files,
                // It is still being written, without these shards.
                Some(known) if !known.space.is_sealed() => {
                    known.stale.extend(stale);
                    for file in files.iter().filter(|file| file.zone == id) {
                        known.homes[usize::from(file.shard)].get_or_insert(id);
                    }
                    Vec::new()
                }
                _ => {
                    let (known, spare) = Known::found(name, &files, stale);
                    state.known.insert(name.segment, known);
                    spare
                }
            }
        };
        spare.into_iter().for_each(|file| self.add_stray(name, file));
    }

    fn check_shard(&self, zone: &Zone, name: ShardName) -> Result<()> {
        let mut block = [0; BLOCK_BYTES];
        let read = |error| Error::io("read segment header", error);
        let file = zone.disk.open(&zone.directory.join(name.file_name())).map_err(read)?;
        file.read_at(&mut block, 0).map_err(read)?;
        check_header(&block, name, self.store_id)?;
        Ok(())
    }

    fn tell(&self, zone: ZoneId, segment: Option<u64>, error: &Error) {
        (self.on_trouble)(Trouble { zone, segment, error: error.to_string() });
    }

    pub(super) fn add_stray(&self, name: SegmentName, file: ShardFile) {
        self.state().strays.insert(stray(name, file));
    }
}

/// A segment of which shards came back.
struct Returned {
    name: SegmentName,
    files: Vec<ShardFile>,
    stale: Stale,
}

impl Returned {
    fn new(name: SegmentName) -> Returned {
        Returned { name, files: Vec::new(), stale: Stale::new() }
    }
}

fn stray(name: SegmentName, file: ShardFile) -> Stray {
    Stray { zone: file.zone, name: name.shard(usize::from(file.shard)).file_name(), bytes: file.bytes }
}

fn no_such_zone() -> Error {
    Error::io("find the zone", io::ErrorKind::NotFound.into())
}

fn make_directory(zone: &Zone) -> Result<()> {
    let made = match zone.disk.read_dir(&zone.directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => zone.disk.create_dir_all(&zone.directory),
        // Whatever else is wrong, listing it tells.
        _ => Ok(()),
    };
    // Also if it was there: whoever made it may have died before this.
    let parent = zone.directory.parent().unwrap_or(&zone.directory);
    made.and_then(|()| zone.disk.sync_directory(parent)).map_err(|error| Error::io("create segment directory", error))
}

/// What is in a zone's directory; for use, shards that were half rebuilt are removed.
fn list_for(zone: &Zone, purpose: OpenFor) -> Result<Listing> {
    let listing = list(zone)?;
    if purpose == OpenFor::Use {
        for half in &listing.halves {
            zone.disk.remove(half).map_err(|error| Error::io("remove half a shard", error))?;
        }
    }
    Ok(listing)
}

/// What is in a zone's directory.
fn list(zone: &Zone) -> Result<Listing> {
    let mut listing = Listing::default();
    // A name that is not text cannot be a segment's: it is left alone as other strange names are.
    let names = zone.disk.read_dir(&zone.directory).map_err(|error| Error::io(SCAN, error))?;
    for name in names.into_iter().filter_map(|name| name.into_string().ok()) {
        let path = zone.directory.join(&name);
        match parse(&name) {
            Entry::Shard(ShardName { of, shard }) => {
                let bytes = zone.disk.len(&path).map_err(|error| Error::io(SCAN, error))?;
                listing.shards.push((of, ShardFile { shard, zone: zone.id, bytes }));
            }
            Entry::Rebuild => listing.halves.push(path),
            Entry::Stale(name, zone) => listing.stale.push((name, zone)),
            Entry::Misnamed => return Err(Error::Corrupt { what: "segment name", place: path.display().to_string() }),
            Entry::Foreign => {}
        }
    }
    Ok(listing)
}

/// Makes segments of the files that were found.
fn put_together(state: &mut State, listings: &[(Arc<Zone>, Listing)]) -> Result<()> {
    let mut segments: BTreeMap<u64, (SegmentName, Vec<ShardFile>)> = BTreeMap::new();
    for (zone, listing) in listings {
        for &(name, file) in &listing.shards {
            let (other, files) = segments.entry(name.segment).or_insert((name, Vec::new()));
            if *other != name {
                let path = zone.directory.join(name.shard(usize::from(file.shard)).file_name());
                return Err(Error::Corrupt { what: "segment name", place: path.display().to_string() });
            }
            files.push(file);
        }
    }
    let notes: BTreeSet<(u64, u8, ZoneId)> = listings
        .iter()
        .flat_map(|(_, listing)| &listing.stale)
        .filter(|(name, _)| segments.get(&name.of.segment).is_some_and(|(of, _)| *of == name.of))
        .map(|(name, zone)| (name.of.segment, name.shard, *zone))
        .collect();
    for (segment, (name, files)) in segments {
        let last = (segment, u8::MAX, ZoneId(u16::MAX));
        let stale = notes.range((segment, 0, ZoneId(0))..=last).map(|&(_, shard, zone)| (shard, zone)).collect();
        let (known, spare) = Known::found(name, &files, stale);
        state.known.insert(segment, known);
        state.strays.extend(spare.into_iter().map(|file| stray(name, file)));
    }
    Ok(())
}

/// Removes notes of segments that are in no zone any more.
fn remove_forgotten_notes(listings: &[(Arc<Zone>, Listing)]) {
    let shards = listings.iter().flat_map(|(_, listing)| &listing.shards);
    let segments: BTreeSet<u64> = shards.map(|(name, _)| name.segment).collect();
    for (zone, listing) in listings {
        let forgotten = listing.stale.iter().filter(|(name, _)| !segments.contains(&name.of.segment));
        let notes: Vec<String> = forgotten.map(|(name, zone)| name.stale_name(*zone)).collect();
        remove_notes(std::slice::from_ref(zone), &notes);
    }
}
