//! Rebuilding a shard from others: because it is missing, or damaged, or has to go to another zone.
//!
//! A shard that lacks nothing but its end, as a crash in the midst of writes leaves it, keeps what it has: what others
//! have there may be damaged, and then this is the last of it that is sound.
//!
//! The order is: the whole file under a name of its own, sync, rename, sync of the directory; from here on the shard
//! counts as present. Then the file that it replaces in another zone goes, and last the notes that it was stale. Dying
//! before the rename leaves a `.rebuild` file, which the next open removes; dying after it leaves a note, so that the
//! shard is rebuilt once more, or a second file of the shard, which the next open tells of as a stray.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blob::buffer::AlignedBuffer;
use crate::blob::known::ShardFile;
use crate::blob::layout::{BLOCK_BYTES, SegmentHeader};
use crate::blob::segments::{SegmentSet, ShardOpener, remove_notes};
use crate::blob::shard_name::ShardName;
use crate::blob::shards::{Opener, Pace, Sound, on_shards};
use crate::error::{Error, Result};
use crate::fs::DiskFile;
use crate::zone::{Zone, ZoneId, ZoneState};

/// How much of each shard is held in memory, in bytes.
const STEP_BYTES: u64 = 1 << 20;
const REBUILD: &str = "rebuild a shard";

/// What a rebuild needs to know.
struct Plan {
    name: ShardName,
    to: Arc<Zone>,
    opener: ShardOpener,
    /// The shards to read, those first that are to be tried first.
    sources: Vec<usize>,
    needed: usize,
    /// Whether there is a file of the shard that may lack its end, but misses no write.
    is_short: bool,
}

/// The sound beginning of the shard itself.
struct Beginning {
    file: Arc<dyn DiskFile>,
    bytes: u64,
}

/// Holds others off a shard.
struct Claim<'a> {
    segments: &'a SegmentSet,
    shard: (u64, usize),
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.segments.state().rebuilding.remove(&self.shard);
    }
}

impl SegmentSet {
    /// Rebuilds a shard in a zone; see `Blobs::rebuild_shard`. Blocks the thread.
    pub fn rebuild(
        &self,
        segment: u64,
        shard: u8,
        zone: ZoneId,
        budget: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<u64> {
        let shard = usize::from(shard);
        let plan = self.plan(segment, shard, zone)?;
        let _claim = Claim { segments: self, shard: (segment, shard) };
        let partial = plan.path(plan.name.rebuild_name());
        let finished = plan.write(&partial, budget).and_then(|bytes| {
            self.finish(&plan, &partial)?;
            Ok(bytes)
        });
        if finished.is_err() {
            // Best effort: what stays is removed at the next open.
            let _ = plan.to.disk.remove(&partial);
        }
        finished
    }

    /// Claims the shard. `Err(Conflict)` if it cannot be rebuilt at present.
    fn plan(&self, segment: u64, shard: usize, zone: ZoneId) -> Result<Plan> {
        let mut state = self.state();
        let to = state.zones.get(&zone).filter(|entry| entry.state == ZoneState::Active);
        let to = to.map(|entry| entry.zone.clone()).ok_or(Error::Conflict)?;
        let known = state.known.get(&segment).ok_or(Error::Conflict)?;
        let needed = known.name.layout.needed();
        let mut sources = known.usable();
        // The shard itself only if it takes it: it may be rebuilt because its bytes do not verify.
        sources.sort_by_key(|&source| source == shard);
        if sources.len() > needed {
            sources.retain(|&source| source != shard);
        }
        if !known.space.is_sealed() || shard >= known.homes.len() || sources.len() < needed {
            return Err(Error::Conflict);
        }
        let misses = |home| known.sound.is_stale(shard) || known.stale.contains(&(shard as u8, home));
        let is_short = !known.has(shard) && known.homes[shard].is_some_and(|home| !misses(home));
        let (name, opener) = (known.name.shard(shard), self.opener(&state, known));
        let plan = Plan { name, to, opener, sources, needed, is_short };
        if !state.rebuilding.insert((segment, shard)) {
            return Err(Error::Conflict);
        }
        Ok(plan)
    }

    /// Lets the finished file take its place.
    fn finish(&self, plan: &Plan, partial: &Path) -> Result<()> {
        let _alone = self.changes();
        let refused = |error| Error::io(REBUILD, error);
        let (segment, shard, to) = (plan.name.of.segment, usize::from(plan.name.shard), &plan.to);
        if !self.state().known.contains_key(&segment) {
            return Err(Error::Conflict);
        }
        to.disk.rename(partial, &plan.path(plan.name.file_name())).map_err(refused)?;
        to.disk.sync_directory(&to.directory).map_err(refused)?;
        let (old, reachable) = {
            let mut state = self.state();
            if state.zones.get(&to.id).is_none_or(|entry| entry.state == ZoneState::Lost) {
                return Err(Error::Conflict);
            }
            let Some(known) = state.known.get_mut(&segment) else { return Err(Error::Conflict) };
            let usable: BTreeSet<usize> = known.usable().into_iter().chain([shard]).collect();
            let sound = Sound::of(usable.into_iter());
            let stale = (0..known.homes.len()).filter(|&other| other != shard && known.sound.is_stale(other));
            stale.for_each(|other| sound.make_stale(other));
            let old = known.homes[shard].replace(to.id).filter(|&old| old != to.id);
            if known.sound.is_stale(shard) {
                known.stale.extend(old.map(|old| (plan.name.shard, old)));
            }
            // Another set than readers have who opened the file before: it stays as good for them as it was.
            known.sound = Arc::new(sound);
            known.stale.remove(&(plan.name.shard, to.id));
            state.forget_open(segment);
            (old.and_then(|old| state.zones.get(&old)).map(|entry| entry.zone.clone()), state.reachable())
        };
        let mut notes = vec![plan.name.stale_name(to.id)];
        if let Some(old) = old {
            match self.remove_replaced(plan, &old) {
                Ok(()) => notes.push(plan.name.stale_name(old.id)),
                Err(error) => {
                    self.trouble(old.id, Some(segment), "remove a shard that was replaced", &error);
                    self.add_stray(plan.name.of, ShardFile { shard: plan.name.shard, zone: old.id, bytes: 0 });
                }
            }
        }
        remove_notes(&reachable, &notes);
        Ok(())
    }

    fn remove_replaced(&self, plan: &Plan, old: &Zone) -> io::Result<()> {
        match old.disk.remove(&old.directory.join(plan.name.file_name())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        old.disk.sync_directory(&old.directory)?;
        if let Some(known) = self.state().known.get_mut(&plan.name.of.segment) {
            known.stale.remove(&(plan.name.shard, old.id));
        }
        Ok(())
    }
}

impl Plan {
    fn path(&self, name: String) -> PathBuf {
        self.to.directory.join(name)
    }

    /// Writes the whole shard and syncs it. Returns the bytes written.
    fn write(&self, partial: &Path, budget: &mut dyn FnMut(u64) -> Result<()>) -> Result<u64> {
        let refused = |error| Error::io(REBUILD, error);
        let mut sources = self.open_sources();
        let whole_bytes = self.whole_bytes(&sources)?;
        let mut block = AlignedBuffer::new(BLOCK_BYTES);
        self.header(&sources)?.encode(&mut block);
        match self.to.disk.remove(partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            Ok(()) | Err(_) => {}
        }
        let file = self.to.disk.create_new(partial).map_err(refused)?;
        file.write_at(&block, 0).map_err(refused)?;
        let beginning = self.beginning();
        let mut at = BLOCK_BYTES as u64;
        while at < whole_bytes {
            let ends = [beginning.as_ref().map_or(0, |beginning| beginning.bytes), whole_bytes];
            let end = ends.into_iter().find(|&end| end > at).unwrap_or(whole_bytes);
            let span = at..end.min(at + STEP_BYTES);
            budget((span.end - span.start) * (self.needed as u64 + 1))?;
            let bytes = match beginning.as_ref().and_then(|beginning| beginning.read(&span)) {
                Some(bytes) => bytes,
                None => self.step(&mut sources, &span)?,
            };
            file.write_at(&bytes, span.start).map_err(refused)?;
            at = span.end;
        }
        file.sync_data().map_err(refused)?;
        Ok(whole_bytes.max(BLOCK_BYTES as u64))
    }

    /// The shards that can be opened, in the order in which to try them.
    fn open_sources(&self) -> Vec<(usize, Arc<dyn DiskFile>)> {
        self.sources.iter().filter_map(|&shard| Some((shard, self.opener.open(shard).ok()?))).collect()
    }

    /// What there is of the shard, if that is to be kept.
    fn beginning(&self) -> Option<Beginning> {
        let shard = usize::from(self.name.shard);
        let zone = self.opener.zones[shard].as_ref().filter(|_| self.is_short)?;
        let file = self.opener.open(shard).ok()?;
        let bytes = zone.disk.len(&zone.directory.join(self.name.file_name())).ok()?;
        Some(Beginning { file, bytes: bytes - bytes % BLOCK_BYTES as u64 })
    }

    /// The header of the shard, with the time of the others'.
    fn header(&self, sources: &[(usize, Arc<dyn DiskFile>)]) -> Result<SegmentHeader> {
        let (shard, file) = sources.first().ok_or_else(too_few)?;
        let header = self.opener.header(&**file, self.name.of.shard(*shard))?;
        Ok(SegmentHeader { name: self.name, zone: self.to.id, ..header })
    }

    /// How long the shard is when it is whole, in blocks: what lies beyond was never acknowledged.
    fn whole_bytes(&self, sources: &[(usize, Arc<dyn DiskFile>)]) -> Result<u64> {
        let mut lengths = Vec::with_capacity(sources.len());
        for (shard, _) in sources {
            let zone = self.opener.zones[*shard].as_ref().ok_or_else(too_few)?;
            let path = zone.directory.join(self.name.of.shard(*shard).file_name());
            lengths.push(zone.disk.len(&path).map_err(|error| Error::io(REBUILD, error))?);
        }
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let bytes = lengths.get(self.needed - 1).ok_or_else(too_few)?;
        Ok(bytes.next_multiple_of(BLOCK_BYTES as u64))
    }

    /// A part of the shard, from as many sources as are needed. One that fails is not tried again.
    fn step(&self, sources: &mut Vec<(usize, Arc<dyn DiskFile>)>, span: &Range<u64>) -> Result<AlignedBuffer> {
        let wanted = (span.end - span.start) as usize;
        let mut shards: Vec<Option<Vec<u8>>> = vec![None; self.name.of.layout.shards()];
        loop {
            let chosen = &sources[..sources.len().min(self.needed)];
            let missing = (0..chosen.len()).filter(|&source| shards[chosen[source].0].is_none());
            let missing: Vec<usize> = missing.collect();
            if chosen.len() < self.needed {
                return Err(too_few());
            }
            if missing.is_empty() {
                return Ok(self.name.of.layout.restore(&mut shards, usize::from(self.name.shard)));
            }
            let mut failed = BTreeSet::new();
            let read = on_shards(&missing, Pace::Together, |source| {
                let mut bytes = vec![0; wanted];
                // A file that ends within its last block is continued with zeros.
                let filled = chosen[source].1.read_at(&mut bytes, span.start)?;
                if filled + BLOCK_BYTES > wanted { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            });
            for (source, outcome) in read {
                let shard = chosen[source].0;
                match outcome {
                    Ok(bytes) => shards[shard] = Some(bytes),
                    Err(error) => {
                        self.opener.failed(shard, &error);
                        failed.insert(shard);
                    }
                }
            }
            sources.retain(|(shard, _)| !failed.contains(shard));
        }
    }
}

impl Beginning {
    /// A part of the shard, if it lies in what there is and can be read.
    fn read(&self, span: &Range<u64>) -> Option<AlignedBuffer> {
        let mut bytes = AlignedBuffer::new((span.end - span.start) as usize);
        let filled =
            if span.end <= self.bytes { self.file.read_at(&mut bytes, span.start).ok()? } else { return None };
        (filled == bytes.len()).then_some(bytes)
    }
}

fn too_few() -> Error {
    Error::io(REBUILD, io::Error::other("too few shards can be read"))
}
