//! The zones of a store: which there are, whether they can be reached, and what comes and goes while it is open.
//!
//! A zone that cannot be reached is lost: reads and writes go on without it, and it is awaited. When it is back, or an
//! empty directory is in its place, it is taken into use again and `worker::heal` rebuilds what it lacks. A zone that is
//! drained takes nothing new; what is in it goes to the others, and then it is forgotten. A lost zone can only be given up,
//! which has to be said.
//!
//! A zone is made, then marked, then in the list, and only then used. Dying before it is in the list leaves a marked directory
//! that the next open with the same settings takes, or the same call once more: the number and the name are the same then.
//! A zone that is empty is forgotten by one batch for both lists, and then its mark is removed. Dying between leaves a mark
//! that no list knows: whoever adds the directory takes it over.

mod apart;
mod drained;
mod looking;
mod marker;
mod registry;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use registry::Registry;
pub use registry::ZoneOptions;

use crate::directory::forget_token;
use crate::error::{Error, Result};
use crate::fs::{SystemDisk, blocking, create_directories, is_mount_point};
use crate::index::{Batch, Family, Index, Rows, Step, key};
use crate::room::{Room, SystemGauge};
use crate::store::{Inner, Store};
use crate::zone::{Zone, ZoneId, ZoneState};
use apart::{on_one_disk, refuse_nested};
use drained::Drained;
use marker::{Found, Mark, SEGMENTS};
use registry::{Purpose, ZoneEntry};

/// The row of the list.
const LIST: &[u8] = b"zones";
/// The row of the names of those that were drained, if there are any.
const DRAINED: &[u8] = b"zones drained";
/// The cache of an index that is opened to write one row, in bytes.
const COPY_CACHE_BYTES: usize = 1 << 20;

/// Why nothing is known of a zone.
const OUT_OF_FILES: &str = "too many files are open";

/// What a store says of one of its zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneStatus {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// What it is used for now.
    pub state: ZoneState,
    /// Why it is lost, if it is.
    pub reason: Option<String>,
    /// How many segments have a shard in it.
    pub segments: u64,
    /// The size of these shards, in bytes.
    pub bytes: u64,
    /// The room in its file system, if it can be reached.
    pub room: Option<Room>,
    /// The names of the zones that share its disk, with its own, if any do.
    pub disk_shared_by: Option<String>,
}

/// The zones of an open store.
pub(crate) struct Zones {
    store_id: [u8; 16],
    /// The data directory, as an absolute path.
    data: PathBuf,
    state: Mutex<State>,
    /// Held while the list is changed, from reading it until the change is durable.
    changes: tokio::sync::Mutex<()>,
    /// Held while zones are looked at, or forgotten; before `changes`.
    looks: tokio::sync::Mutex<()>,
    /// How many looks found something else than the one before.
    news: AtomicU64,
}

#[derive(Default)]
struct State {
    registry: Registry,
    drained: Drained,
    /// Why zones are lost.
    reasons: Vec<(ZoneId, String)>,
}

/// The zones that a store is opened with.
pub(crate) struct Opened {
    pub(crate) zones: Zones,
    /// For the blob layer.
    pub(crate) places: Vec<Zone>,
    /// Those of them that are to be emptied.
    pub(crate) draining: Vec<ZoneId>,
    /// Whether a zone that was known is empty now. Should its disk come back, so do segments that nobody knows of.
    pub(crate) replaced: bool,
}

/// Reads the list, merges the settings into it, and marks what is new. Blocking.
///
/// `Err(Zone)` if a directory in the settings is another zone, or not empty, or if none of the zones in the list is there.
pub(crate) fn open(index: &Index, options: &[ZoneOptions], data: &Path, store_id: [u8; 16]) -> Result<Opened> {
    let opened = open_with(index, options, data, store_id, look)?;
    for entry in &opened.zones.state().registry.zones {
        // A restore that died right after its end has left it, and one that is begun again must not come back for it.
        if let Err(error) = forget_token(&entry.directory) {
            tracing::warn!(%error, zone = entry.name, "what a restore has left in a zone is still there");
        }
    }
    for (_, zones) in on_one_disk(opened.zones.state().registry.zones.iter()) {
        tracing::warn!(zones, "these zones are on one disk: they are lost together");
    }
    Ok(opened)
}

fn open_with(
    index: &Index,
    options: &[ZoneOptions],
    data: &Path,
    store_id: [u8; 16],
    look: fn(&Mark, &ZoneEntry) -> Found,
) -> Result<Opened> {
    let data = absolute(data)?;
    let drained = index.rows().record::<Drained>(Family::Meta, DRAINED)?.unwrap_or_default();
    let options = drained.without(options.iter().cloned().map(placed).collect::<Result<_>>()?);
    let stored = index.rows().record::<Registry>(Family::Meta, LIST)?;
    let known = stored.clone().map(|known| known.resolved(&data));
    let is_new =
        |entry: &ZoneEntry| known.as_ref().is_none_or(|known| !known.zones.iter().any(|zone| zone.id == entry.id));
    let mut registry = known.clone().unwrap_or_default().merged(&options, &data)?;
    for entry in &mut registry.zones {
        if is_new(entry) || mark_of(entry, store_id).look(&entry.directory) == Found::Zone {
            entry.mounted = is_mount_point(&entry.directory);
        }
    }

    let looks: Vec<Found> = registry.zones.iter().map(|entry| look(&mark_of(entry, store_id), entry)).collect();
    let found: Vec<(&ZoneEntry, Found)> = registry.zones.iter().zip(looks).collect();
    refuse_others(&found, &data)?;
    for entry in registry.zones.iter().filter(|entry| is_new(entry)) {
        refuse_nested(&registry, entry, &data)?;
    }
    refuse_if_all_are_away(found.iter().filter(|(entry, _)| !is_new(entry)), &data)?;
    let (mut reasons, mut replaced) = (Vec::new(), false);
    for (entry, found) in found {
        match found {
            Found::Zone => {}
            Found::Nothing if entry.directory != data && !is_new(entry) => {
                reasons.push((entry.id, "the directory is missing or cannot be read".to_owned()));
            }
            found => {
                replaced |= found == Found::Empty && !is_new(entry);
                take_into_use(&mark_of(entry, store_id), entry)?;
            }
        }
    }
    // Only now: a zone that is in the list is missed when it is not there, and dying before would leave one that never was.
    let list = registry.clone().stored(&data);
    if stored.as_ref() != Some(&list) {
        // A further zone is what a full disk may need.
        let mut batch = Batch::making_room();
        batch.put(Family::Meta, LIST.to_vec(), &list);
        index.commit_blocking(batch)?;
    }
    let places = registry.zones.iter().map(place).collect();
    let to_be_emptied = registry.zones.iter().filter(|entry| entry.purpose != Purpose::Used);
    let draining = to_be_emptied.map(|entry| entry.id).collect();
    let state = Mutex::new(State { registry, drained, reasons });
    Ok(Opened {
        zones: Zones {
            store_id,
            data,
            state,
            changes: tokio::sync::Mutex::default(),
            looks: tokio::sync::Mutex::default(),
            news: AtomicU64::new(0),
        },
        places,
        draining,
        replaced,
    })
}

/// `Err(Zone)` if a directory is something else than the zone it should be, or cannot be looked at. A data directory holds more
/// than a zone.
fn refuse_others(found: &[(&ZoneEntry, Found)], data: &Path) -> Result<()> {
    for (entry, found) in found {
        match found {
            Found::Unknown => return Err(Error::Zone(format!("cannot look at zone {:?}: {OUT_OF_FILES}", entry.name))),
            Found::Other(what) if entry.directory != data => {
                let directory = entry.directory.display();
                return Err(Error::Zone(format!("{directory} cannot be zone {:?}: it is {what}", entry.name)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// `Err(Zone)` if there are zones in the list, and none of them is where it should be: their disks are not mounted, or the
/// settings name other places. Empty directories are no replaced disks then: nothing could be read, and what is written
/// there would be lost again once the zones are back.
fn refuse_if_all_are_away<'f>(known: impl Iterator<Item = &'f (&'f ZoneEntry, Found)>, data: &Path) -> Result<()> {
    let mut away = Vec::new();
    for (entry, found) in known {
        let what = match found {
            Found::Empty if entry.directory != data => "is empty",
            Found::Nothing if entry.directory != data => "is missing, is not mounted or cannot be read",
            _ => return Ok(()),
        };
        away.push(format!("{:?}, as its directory {} {what}", entry.name, entry.directory.display()));
    }
    match away.is_empty() {
        true => Ok(()),
        false => Err(Error::Zone(format!(
            "none of the store's zones is there: {}. Mount their disks, or name their directories in `zones`. Only if the \
             disks are gone for good: make a new store of a backup with `strata restore`",
            away.join("; ")
        ))),
    }
}

/// As [`open`], for an index that was brought here without the zones that it lists: they are forgotten, and the settings
/// say which there are. Blocking.
pub(crate) fn open_anew(index: &Index, options: &[ZoneOptions], data: &Path, store_id: [u8; 16]) -> Result<Opened> {
    let known = index.rows().record::<Registry>(Family::Meta, LIST)?.unwrap_or_default();
    let mut batch = Batch::new();
    batch.put(Family::Meta, LIST.to_vec(), &known.emptied());
    batch.delete(Family::Meta, DRAINED.to_vec());
    index.commit_blocking(batch)?;
    open_with(index, options, data, store_id, |mark, entry| mark.look_to_restore(&entry.directory))
}

/// The zones of a store that is only looked at.
pub(crate) struct Places {
    /// Those that are there, for the blob layer.
    pub(crate) there: Vec<Zone>,
    /// The names of those that are not, and why.
    pub(crate) lost: Vec<(String, String)>,
}

/// Reads the list and looks where its zones are, by the settings if they name them. Nothing is written. Blocking.
pub(crate) fn places(rows: &Rows<'_>, options: &[ZoneOptions], data: &Path, store_id: [u8; 16]) -> Result<Places> {
    let data = absolute(data)?;
    let options: Vec<ZoneOptions> = options.iter().cloned().map(placed).collect::<Result<_>>()?;
    let mut registry = rows.record::<Registry>(Family::Meta, LIST)?.unwrap_or_default().resolved(&data);
    for zone in &mut registry.zones {
        if let Some(named) = options.iter().find(|named| named.name == zone.name) {
            zone.directory.clone_from(&named.directory);
        }
    }
    let mut places = Places { there: Vec::new(), lost: Vec::new() };
    for entry in &registry.zones {
        match look(&mark_of(entry, store_id), entry) {
            Found::Zone => places.there.push(place(entry)),
            Found::Other(what) => places.lost.push((entry.name.clone(), format!("the directory is {what}"))),
            Found::Empty => places.lost.push((entry.name.clone(), "the directory is empty".to_owned())),
            Found::Unknown => places.lost.push((entry.name.clone(), OUT_OF_FILES.to_owned())),
            Found::Nothing => {
                places.lost.push((entry.name.clone(), "the directory is missing or cannot be read".to_owned()));
            }
        }
    }
    Ok(places)
}

/// Paths are compared, and outlive the working directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io("name a zone's directory", error))
}

fn placed(options: ZoneOptions) -> Result<ZoneOptions> {
    Ok(ZoneOptions { directory: absolute(&options.directory)?, ..options })
}

/// Looks what is where a zone should be. The empty directory that is left when a disk is not mounted is no new disk: what
/// is written there would fill another one, and vanish when the zone's own is back. Blocking.
fn look(mark: &Mark, entry: &ZoneEntry) -> Found {
    match mark.look(&entry.directory) {
        Found::Empty if entry.mounted && !is_mount_point(&entry.directory) => Found::Nothing,
        found => found,
    }
}

fn mark_of(entry: &ZoneEntry, store_id: [u8; 16]) -> Mark {
    Mark { store_id, id: entry.id, name: entry.name.clone() }
}

fn place(entry: &ZoneEntry) -> Zone {
    let directory = entry.directory.join(SEGMENTS);
    Zone { id: entry.id, name: entry.name.clone(), directory, disk: Arc::new(SystemDisk) }
}

impl Zones {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both lists as they are, to be changed and committed by whoever holds `changes`.
    fn lists(&self) -> (Registry, Drained) {
        let state = self.state();
        (state.registry.clone(), state.drained.clone())
    }

    /// Keeps why a zone is lost, or that it is not. Returns whether that is news.
    fn set_reason(&self, id: ZoneId, reason: Option<String>) -> bool {
        let mut state = self.state();
        let before = state.reasons.iter().find(|(zone, _)| *zone == id).map(|(_, reason)| reason.clone());
        state.reasons.retain(|(zone, _)| *zone != id);
        state.reasons.extend(reason.clone().map(|reason| (id, reason)));
        before != reason
    }

    /// Counts what is found when zones are looked at: if it is as it was, so are they.
    pub(crate) fn news(&self) -> u64 {
        self.news.load(Ordering::SeqCst)
    }

    /// Waits for the look under way.
    pub(crate) async fn wait(&self) {
        drop(self.looks.lock().await);
    }

    /// How many lost zones are expected to come back.
    pub(crate) fn awaited(&self, inner: &Inner) -> usize {
        let state = self.state();
        let lost = inner.blobs.zones().into_iter().filter(|zone| zone.state == ZoneState::Lost);
        let is_used =
            |id: ZoneId| state.registry.zones.iter().any(|zone| zone.id == id && zone.purpose == Purpose::Used);
        lost.filter(|zone| is_used(zone.id)).count()
    }
}

/// Bytes that no zone has any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostBytes {
    /// The segments concerned.
    pub segments: u64,
    /// What the index still names in them, in bytes.
    pub bytes: u64,
}

impl Store {
    /// What is lost as the zones are now: named by the index, and in too few zones to be read. It comes back with its
    /// zones, if they come back. Looks at every segment there is, but at no object.
    pub async fn lost_bytes(&self) -> Result<LostBytes> {
        let readable: std::collections::BTreeSet<u64> =
            self.inner.blobs.segments().iter().filter(|info| info.is_readable()).map(|info| info.id).collect();
        let count = move |rows: &Rows<'_>| {
            let mut lost = LostBytes { segments: 0, bytes: 0 };
            rows.scan(Family::Segment, &[], &[], |row, value| {
                let id = row.try_into().map(u64::from_be_bytes).map_err(|_| key::corrupt("segment row", row))?;
                let live = value.try_into().map(i64::from_le_bytes).map_err(|_| key::corrupt("segment row", row))?;
                if live > 0 && !readable.contains(&id) {
                    lost.segments += 1;
                    lost.bytes = lost.bytes.saturating_add(live.unsigned_abs());
                }
                Ok(Step::Next)
            })?;
            Ok(lost)
        };
        self.inner.index.read(count).await
    }

    /// The zones and how they are.
    pub fn zones(&self) -> Vec<ZoneStatus> {
        let infos = self.inner.blobs.zones();
        let state = self.inner.zones.state();
        let is_there =
            |entry: &&ZoneEntry| infos.iter().any(|info| info.id == entry.id && info.state != ZoneState::Lost);
        let shared = on_one_disk(state.registry.zones.iter().filter(is_there));
        let status = |entry: &ZoneEntry| {
            let info = infos.iter().find(|info| info.id == entry.id);
            let reason = state.reasons.iter().find(|(id, _)| *id == entry.id).map(|(_, reason)| reason.clone());
            ZoneStatus {
                name: entry.name.clone(),
                directory: entry.directory.clone(),
                state: info.map_or(ZoneState::Lost, |info| info.state),
                reason,
                segments: info.map_or(0, |info| info.segments),
                bytes: info.map_or(0, |info| info.bytes),
                room: self.inner.blobs.room(entry.id),
                disk_shared_by: shared.iter().find(|(ids, _)| ids.contains(&entry.id)).map(|(_, names)| names.clone()),
            }
        };
        state.registry.zones.iter().map(status).collect()
    }

    /// The names of the zones that are lost. Unlike [`Store::zones`], it looks at no file system.
    pub fn lost_zones(&self) -> Vec<String> {
        let infos = self.inner.blobs.zones();
        let is_lost = |id| infos.iter().all(|info| info.id != id || info.state == ZoneState::Lost);
        let state = self.inner.zones.state();
        state.registry.zones.iter().filter(|entry| is_lost(entry.id)).map(|entry| entry.name.clone()).collect()
    }

    /// Adds a zone while the store is open. New segments use it at once; what is there is spread anew in the background.
    ///
    /// `Err(Zone)` if the name or the directory is in use, or the directory is not empty or cannot be made or written to.
    pub async fn add_zone(&self, options: ZoneOptions) -> Result<()> {
        self.inner.check_writable()?;
        let options = placed(options)?;
        let zones = &self.inner.zones;
        let _alone = zones.changes.lock().await;
        let (mut registry, mut drained) = zones.lists();
        registry.add(&options.name, &options.directory)?;
        drained.remove(&options.name);
        let entry = registry.named(&options.name)?;
        entry.mounted = is_mount_point(&options.directory);
        let entry = entry.clone();
        let (mark, zone) = (mark_of(&entry, zones.store_id), place(&entry));
        let (known, data) = (registry.clone(), zones.data.clone());
        let is_listed = {
            let ids: Vec<ZoneId> = registry.zones.iter().map(|zone| zone.id).collect();
            move |id| ids.contains(&id)
        };
        blocking(move || {
            refuse_nested(&known, &entry, &data)?;
            match mark.look(&entry.directory) {
                Found::Other(what) if !mark.is_left_behind(&entry.directory, is_listed) => {
                    Err(Error::Zone(format!("{} is {what}", entry.directory.display())))
                }
                _ => take_into_use(&mark, &entry).map_err(|error| {
                    Error::Zone(format!("{} cannot be made a zone: {error}", entry.directory.display()))
                }),
            }
        })
        .await??;
        self.inner.commit_zones(registry, drained).await?;
        self.inner.blobs.add_zone(zone).await
    }

    /// Empties a zone in the background, and then forgets it. Asking twice is harmless.
    ///
    /// `Err(Zone)` if there is none of that name, if it is lost, or if no other zone is left that is used.
    pub async fn drain_zone(&self, name: &str) -> Result<()> {
        self.change_purpose(name, Purpose::Drained).await
    }

    /// Forgets a zone that is lost with what is in it, for good. Asking twice is harmless.
    ///
    /// `Err(Zone)` if there is none of that name, if it is not lost, or if no other zone is left that is used.
    pub async fn give_up_zone(&self, name: &str) -> Result<()> {
        self.change_purpose(name, Purpose::GivenUp).await
    }

    async fn change_purpose(&self, name: &str, purpose: Purpose) -> Result<()> {
        self.inner.check_writable()?;
        let LostBytes { segments, bytes } = self.lost_bytes().await?;
        let zones = &self.inner.zones;
        let _alone = zones.changes.lock().await;
        let (mut registry, drained) = zones.lists();
        let states = self.inner.blobs.zones();
        let is_lost = |id| states.iter().any(|zone| zone.id == id && zone.state == ZoneState::Lost);
        let entry = registry.named(name)?;
        let id = entry.id;
        match (purpose, is_lost(id)) {
            (Purpose::Drained, true) if entry.purpose != Purpose::GivenUp => {
                return Err(Error::Zone(format!(
                    "the zone {name:?} is lost, and can only be given up, for good, with what only it has; of the whole store \
                     {bytes} bytes in {segments} segments cannot be read now. Bring it back, or drain it with --give-up"
                )));
            }
            (Purpose::GivenUp, false) => {
                return Err(Error::Zone(format!("the zone {name:?} is not lost: drain it without giving it up")));
            }
            (_, true) => entry.purpose = Purpose::GivenUp,
            (_, false) => entry.purpose = Purpose::Drained,
        }
        let is_active = |id| states.iter().any(|zone| zone.id == id && zone.state == ZoneState::Active);
        if !registry.zones.iter().any(|zone| zone.purpose == Purpose::Used && is_active(zone.id)) {
            return Err(Error::Zone(format!("the zone {name:?} is the last one in use; add another one first")));
        }
        self.inner.commit_zones(registry, drained).await?;
        if is_active(id) {
            self.inner.blobs.set_zone_state(id, ZoneState::Draining).await?;
        }
        self.inner.healer.tell_waiting(&self.inner);
        Ok(())
    }
}

/// Makes the directory of a zone's segments, then marks the zone: one that has its mark is complete. Blocking.
fn take_into_use(mark: &Mark, entry: &ZoneEntry) -> Result<()> {
    create_directories(&entry.directory.join(SEGMENTS))?;
    mark.claim(&entry.directory)
}

impl Inner {
    /// Copies the index to `directory`, with a list that says that the shards of all zones lie in the data directory of
    /// the copy. Blocking; for threads that may block.
    pub(crate) fn copy_index(&self, directory: &Path) -> Result<()> {
        let _stays = self.zones.changes.blocking_lock();
        self.index.checkpoint(directory)?;
        let (registry, none_drained) = {
            let state = self.zones.state();
            (state.registry.clone(), state.drained.is_empty())
        };
        if registry.is_alone(&self.zones.data) && none_drained {
            return Ok(());
        }
        let copy = Index::open(directory, COPY_CACHE_BYTES, Arc::new(SystemGauge))?;
        let mut batch = Batch::new();
        if !registry.is_alone(&self.zones.data) {
            batch.put(Family::Meta, LIST.to_vec(), &registry.gathered()?);
        }
        batch.delete(Family::Meta, DRAINED.to_vec());
        copy.commit_blocking(batch)
    }

    /// Makes changed lists durable, and then the present ones. The caller holds `changes`.
    async fn commit_zones(&self, registry: Registry, drained: Drained) -> Result<()> {
        let mut batch = Batch::making_room();
        batch.put(Family::Meta, LIST.to_vec(), &registry.clone().stored(&self.zones.data));
        match drained.is_empty() {
            true => batch.delete(Family::Meta, DRAINED.to_vec()),
            false => batch.put(Family::Meta, DRAINED.to_vec(), &drained),
        };
        self.index.commit(batch).await?;
        let mut state = self.zones.state();
        (state.registry, state.drained) = (registry, drained);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::registry::{Purpose, ZoneEntry};
    use super::{Found, look, mark_of};
    use crate::fs::is_mount_point;
    use crate::zone::ZoneId;

    #[test]
    fn an_empty_mount_point_is_not_a_new_disk() {
        let directory = tempfile::tempdir().unwrap();
        assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(directory.path()));
        for (mounted, expected) in [(false, Found::Empty), (true, Found::Nothing)] {
            let (id, name) = (ZoneId(1), "a".to_owned());
            let entry = ZoneEntry { id, name, directory: directory.path().into(), purpose: Purpose::Used, mounted };
            assert_eq!(look(&mark_of(&entry, [7; 16]), &entry), expected);
        }
    }
}
