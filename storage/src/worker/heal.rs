//! Healing: what zones lack is rebuilt from the others, and what is spread otherwise than it should be is written anew.
//!
//! A round does, in this order:
//!
//! 1. Look at the zones (`zones`): some may be lost, back, or replaced by an empty directory. Between rounds, and while one
//!    lasts, somebody else looks: what needs a second zone that is lost is said to be away, and not to be damaged. What
//!    was found changes what there is to do, so step 2 begins anew then.
//! 2. Rebuild missing and damaged shards of sealed segments, one after another, each in a zone that has no other shard
//!    of its segment. As many missing shards as there are zones that are expected back are left to those. Before that,
//!    every record in use of the segment is verified in all zones that have it, and written elsewhere if it is damaged in
//!    one: what a shard is rebuilt from is sound wherever somebody will read it. What came of that is kept for a while, so
//!    that a shard which cannot be rebuilt does not have its segment read again and again.
//! 3. Have the collector write segments anew that lie in zones being drained, or are spread over fewer or more zones than
//!    there are now.
//!
//! Dying anywhere leaves what the next round finds the same way. A rebuilt shard counts when it is whole and synced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::blob::{Layout, SegmentInfo};
use crate::error::{Error, Result};
use crate::stamp::Timestamp;
use crate::store::{Inner, Store};
use crate::worker::progress::{Progress, Workers};
use crate::worker::records::{Found, next_group};
use crate::worker::{self, Next, Rounds, to_its_end};
use crate::zone::{Damage, ZoneId, ZoneInfo, ZoneState};

/// For so long it is believed that the records of a segment are sound.
const SOUND_FOR: Duration = Duration::from_hours(24);
/// For so long a segment is left alone of which a damaged record could not be written anew.
const UNSOUND_FOR: Duration = Duration::from_mins(10);
/// Segments of which it is kept how they were found.
const VERIFIED_MAX: usize = 10_000;

/// What a round of healing did and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Healed {
    /// Shards that were rebuilt.
    pub shards: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// Segments that were written anew for the zones that there are now.
    pub rewritten: u64,
    /// Shards that are still missing or damaged: their zones are awaited, or there is none to take them.
    pub waiting: u64,
}

/// What the healer keeps between rounds.
pub(crate) struct Healer {
    /// Held by a round.
    round: tokio::sync::Mutex<State>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct State {
    /// The segments being written that are wanted to end, which may take as long as a body takes to arrive: each is
    /// asked for once, since that ends all others too.
    ending: BTreeSet<u64>,
    verified: Verified,
    /// What was healed since the last report.
    total: Healed,
}

/// How the segments were found that still lack shards.
#[derive(Default)]
struct Verified(BTreeMap<u64, Verdict>);

struct Verdict {
    at: Timestamp,
    /// Where its shards were, and which were missing: others were not read.
    places: (Vec<ZoneId>, Vec<u8>),
    is_sound: bool,
}

impl Verified {
    /// Whether the records of a segment were found sound, if that was lately, and where its shards are now.
    fn of(&self, segment: &SegmentInfo, now: Timestamp) -> Option<bool> {
        let verdict = self.0.get(&segment.id)?;
        let believed = if verdict.is_sound { SOUND_FOR } else { UNSOUND_FOR };
        let is_same = verdict.places.0 == segment.zones && verdict.places.1 == segment.missing_shards;
        (is_same && now.since(verdict.at) < believed).then_some(verdict.is_sound)
    }

    fn keep(&mut self, segment: &SegmentInfo, at: Timestamp, is_sound: bool) {
        if self.0.len() < VERIFIED_MAX || self.0.contains_key(&segment.id) {
            let places = (segment.zones.clone(), segment.missing_shards.clone());
            self.0.insert(segment.id, Verdict { at, places, is_sound });
        }
    }
}

impl Healer {
    pub(crate) fn new(workers: &Workers) -> Healer {
        Healer { round: tokio::sync::Mutex::default(), progress: workers.register("heal") }
    }

    /// Tells what there is to do, before a round has looked: a zone is to be drained.
    pub(crate) fn tell_waiting(&self, inner: &Inner) {
        self.progress.set_backlog(inner.blobs.damaged().len() as u64 + misfits_left(inner));
    }

    /// Waits for the round under way.
    pub(crate) async fn wait(&self) {
        drop(self.round.lock().await);
    }
}

impl Store {
    /// Looks at the zones and heals what can be healed now. Returns when nothing is left to do.
    pub async fn heal(&self) -> Result<Healed> {
        let mut total = Healed::default();
        loop {
            let healed = to_its_end(round(Arc::clone(&self.inner))).await?;
            total.shards += healed.shards;
            total.bytes += healed.bytes;
            total.rewritten += healed.rewritten;
            total.waiting = healed.waiting;
            if healed.shards == 0 && healed.rewritten == 0 {
                return Ok(total);
            }
        }
    }
}

/// Runs a round every so often, and beside it looks at the zones as often, until the store is closed or gone.
pub(crate) fn spawn_healer(inner: Weak<Inner>, every: Duration) {
    Rounds { name: "a look at the zones", first: every, every }.spawn(inner.clone(), |inner| async move {
        inner.look_at_zones().await?;
        Ok(Next::Later)
    });
    Rounds { name: "a round of healing", first: every, every }
        .spawn(inner, |inner| async move { round(inner).await.map(|_| Next::Later) });
}

/// Adds a round to what was healed since the last report, and reports at the end.
fn report(total: &mut Healed, healed: Healed) {
    total.shards += healed.shards;
    total.bytes += healed.bytes;
    total.rewritten += healed.rewritten;
    let at_work = healed.shards > 0 || healed.rewritten > 0;
    if !at_work && (total.shards > 0 || total.rewritten > 0) {
        let Healed { shards, bytes, rewritten, .. } = *total;
        tracing::info!(shards, bytes, rewritten, waiting = healed.waiting, "healing has come to its end");
        *total = Healed::default();
    }
}

async fn round(inner: Arc<Inner>) -> Result<Healed> {
    let mut state = inner.healer.round.lock().await;
    inner.check_writable()?;
    inner.look_at_zones().await?;
    inner.forget_empty_zones().await?;
    let progress = Arc::clone(&inner.healer.progress);
    progress.begin();
    let outcome = heal(&inner, &progress, &mut state).await;
    progress.end(inner.clock.now());
    match &outcome {
        Ok(healed) => report(&mut state.total, *healed),
        Err(error) => progress.fail(inner.clock.now(), error),
    }
    outcome
}

async fn heal(inner: &Arc<Inner>, progress: &Progress, state: &mut State) -> Result<Healed> {
    let mut healed = Healed::default();
    while !rebuild_all(inner, progress, &mut state.verified, &mut healed).await? {}
    let misfits = Misfits::now(inner).find(inner);
    progress.set_backlog(healed.waiting + misfits_left(inner));
    if healed.waiting == 0 && inner.blobs.segments().iter().all(SegmentInfo::is_readable) {
        // Everything is whole without these, so they are of no use any more.
        for stray in inner.blobs.strays() {
            inner.check_writable()?;
            inner.blobs.remove_stray(stray).await?;
        }
    }
    if inner.zones.awaited(inner) == 0 {
        let left = rewrite_misfits(inner, &misfits, &mut state.ending).await?;
        healed.rewritten = (misfits.len() as u64).saturating_sub(left);
        progress.set_backlog(healed.waiting + left);
    }
    Ok(healed)
}

/// Rebuilds the shards that can be. Returns whether it came to the end: not if zones are found to be otherwise meanwhile.
async fn rebuild_all(
    inner: &Arc<Inner>,
    progress: &Progress,
    verified: &mut Verified,
    healed: &mut Healed,
) -> Result<bool> {
    let (news, awaited) = (inner.zones.news(), inner.zones.awaited(inner));
    healed.waiting = 0;
    let (infos, zones) = (inner.blobs.segments(), inner.blobs.zones());
    let damaged = inner.blobs.damaged();
    let misfits = misfits_left(inner);
    let mut left = damaged.len() as u64;
    let segments: BTreeSet<u64> = damaged.iter().map(|damage| damage.segment).collect();
    verified.0.retain(|id, _| segments.contains(id));
    for (damage, after) in damaged.iter().zip(damaged.iter().skip(1).map(Some).chain([None])) {
        inner.check_writable()?;
        if inner.zones.news() != news {
            return Ok(false);
        }
        progress.set_backlog(left + misfits);
        let info = infos.iter().find(|info| info.id == damage.segment);
        let target = info.and_then(|info| Some((info, target(inner, info, *damage, &zones, awaited)?)));
        let Some((info, zone)) = target else {
            healed.waiting += 1;
            continue;
        };
        match rebuild(inner, info, *damage, zone, verified).await {
            Ok(bytes) => {
                healed.shards += 1;
                healed.bytes += bytes;
                progress.add(1, bytes);
                left -= 1;
                if after.is_none_or(|after| after.segment != damage.segment) {
                    verified.0.remove(&damage.segment);
                }
            }
            Err(Error::Closed) => return Err(Error::Closed),
            // Others may be rebuilt all the same.
            Err(error) => {
                let (segment, shard) = (damage.segment, damage.shard);
                tracing::error!(%error, segment, shard, "a shard cannot be rebuilt");
                progress.fail(inner.clock.now(), &error);
                healed.waiting += 1;
            }
        }
    }
    Ok(true)
}

/// Where a missing shard of a segment should be rebuilt: in the active zone without one that holds the least, or in the
/// place of its own file that is of no use. `None` if there is no such zone with room for it, or if the missing shards are
/// expected to come back with their zones.
fn target(inner: &Inner, info: &SegmentInfo, damage: Damage, zones: &[ZoneInfo], awaited: usize) -> Option<ZoneId> {
    if info.missing_shards.len() <= awaited {
        return None;
    }
    let bytes = info.layout.shard_bytes(info.bytes);
    let is_free = |id| damage.home == Some(id) || !info.zones.contains(&id);
    // One that does not tell fails by itself if it is full.
    let has_room = |id| inner.blobs.room(id).is_none_or(|room| room.spares(bytes));
    let vacant = |zone: &&ZoneInfo| zone.state == ZoneState::Active && is_free(zone.id) && has_room(zone.id);
    zones.iter().filter(vacant).min_by_key(|zone| zone.bytes).map(|zone| zone.id)
}

/// Rebuilds a shard and returns the bytes written. The segment is verified first, unless it was lately.
async fn rebuild(
    inner: &Arc<Inner>,
    segment: &SegmentInfo,
    damage: Damage,
    zone: ZoneId,
    verified: &mut Verified,
) -> Result<u64> {
    let is_sound = match verified.of(segment, inner.clock.now()) {
        Some(is_sound) => is_sound,
        None => {
            let is_sound = verify(inner, segment).await?;
            verified.keep(segment, inner.clock.now(), is_sound);
            is_sound
        }
    };
    if !is_sound {
        let place = format!("segment {}, where it could not be written anew", segment.id);
        return Err(Error::Corrupt { what: "record", place });
    }
    // The segment must not be removed meanwhile.
    let _segments_stay = inner.collector.keep_segments().await;
    let (budget, runtime) = (Arc::clone(&inner.budget), tokio::runtime::Handle::current());
    let spend = move |bytes| {
        runtime.block_on(budget.spend(bytes));
        if budget.is_closed() { Err(Error::Closed) } else { Ok(()) }
    };
    inner.blobs.rebuild_shard(damage.segment, damage.shard, zone, spend).await
}

/// Reads all records in use of a segment in all zones that have it, and writes anew what is damaged. Returns whether nothing
/// is left that is damaged and could be read. What nobody has any more the next pass of scrubbing tells of, and so does
/// whoever reads it.
async fn verify(inner: &Arc<Inner>, segment: &SegmentInfo) -> Result<bool> {
    let (mut next, end) = ((segment.id, 0), segment.id + 1);
    let mut found = Found::default();
    while let Some(group) = inner.index.read(move |rows| next_group(rows, next, end)).await? {
        next = group.next;
        inner.budget.spend(group.read_bytes(segment)).await;
        inner.check_writable()?;
        group.verify(inner, &mut found).await?;
    }
    Ok(found.damaged <= found.repaired + found.lost.len() as u64)
}

/// Has the collector write segments anew that are in drained zones or not spread as they would be now. Returns how many
/// are left.
async fn rewrite_misfits(inner: &Arc<Inner>, misfits: &[SegmentInfo], ending: &mut BTreeSet<u64>) -> Result<u64> {
    if misfits.is_empty() {
        return Ok(0);
    }
    // What is still being written there has to end first.
    let open = misfits.iter().filter(|info| !info.sealed).map(|info| info.id).collect();
    if !BTreeSet::is_subset(&open, ending) {
        inner.blobs.seal_active().await?;
    }
    *ending = open;
    worker::collect(inner).await?;
    Ok(Misfits::now(inner).find(inner).len() as u64)
}

/// How many segments are to be written anew; while zones are awaited, those in zones being drained, which wait for that.
fn misfits_left(inner: &Inner) -> u64 {
    let (misfits, zones) = (Misfits::now(inner), inner.blobs.zones());
    let is_drained = |id| zones.iter().any(|zone| zone.id == id && zone.state == ZoneState::Draining);
    let is_left = |info: &&SegmentInfo| match misfits.zones {
        Some(_) => misfits.fits_not(info),
        None => info.zones.iter().any(|&id| is_drained(id)),
    };
    inner.blobs.segments().iter().filter(is_left).count() as u64
}

/// Tells the segments that would be spread otherwise if they were written now.
pub(super) struct Misfits {
    /// `None` while zones are awaited: then everything stays as it is.
    zones: Option<Vec<ZoneInfo>>,
    /// How many zones have room: what lies in fewer than there are because others are full stays so until they have room.
    with_room: usize,
}

impl Misfits {
    /// As the zones are now.
    pub(super) fn now(inner: &Inner) -> Misfits {
        let is_settled = inner.zones.awaited(inner) == 0;
        let with_room = inner.blobs.zones_with_room();
        Misfits { zones: is_settled.then(|| inner.blobs.zones()), with_room }
    }

    /// Whether the segment would be spread otherwise.
    pub(super) fn fits_not(&self, info: &SegmentInfo) -> bool {
        let Some(zones) = &self.zones else { return false };
        let in_state = |state| zones.iter().filter(move |zone| zone.state == state);
        let drained = in_state(ZoneState::Draining).any(|zone| info.zones.contains(&zone.id));
        let active = in_state(ZoneState::Active).count();
        let now = Layout::choose_with_room(info.pool, active, self.with_room);
        drained || ![Some(Layout::choose(info.pool, active)), now].contains(&Some(info.layout))
    }

    fn find(&self, inner: &Inner) -> Vec<SegmentInfo> {
        inner.blobs.segments().into_iter().filter(|info| self.fits_not(info)).collect()
    }
}
