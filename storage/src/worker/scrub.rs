//! Scrubbing: everything at rest is read in all its zones, verified, and written anew where it is damaged.
//!
//! A pass goes through the places in segments that nobody writes to any more, in the order in which they lie on the disk, a
//! group at a time within the budget: each is verified, and mended, by `records`. What is lost for good is told. Where the
//! pass is goes to a row, now and then.
//!
//! At the end the versions are found that lost chunks belong to (`scrub_losses`). Dying anywhere repeats a part of the pass.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::blob::SegmentInfo;
use crate::error::Result;
use crate::index::record::Record;
use crate::index::{Batch, Family, Rows, Step, key};
use crate::stamp::Timestamp;
use crate::store::{Inner, Store};
use crate::worker::records::{Found, Group, next_group};
use crate::worker::scrub_losses::{Losses, find_some};
use crate::worker::{Next, Progress, Rounds, Workers, to_its_end};

/// The row that says where the pass is, or how the last one ended.
const PLACE: &[u8] = b"scrub";
/// After so many bytes the place is stored: that much is read again after a crash.
const SAVED_BYTES: u64 = 256 << 20;
/// How often it is looked whether a pass is due, or was asked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a pass of scrubbing goes, or how the last one went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrubStatus {
    /// Whether one is under way.
    pub running: bool,
    /// When it began; `None` if there never was one.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// When the next one begins by itself, if there is a schedule.
    pub next: Option<Timestamp>,
    /// What there was to read when it began: the records in use, in bytes, each counted once however many zones have it.
    pub total_bytes: u64,
    /// What was read of that.
    pub done_bytes: u64,
    /// How much of that a second, since the store was opened or the pass began.
    pub bytes_per_second: u64,
    /// Records read.
    pub records: u64,
    /// Records that were damaged somewhere.
    pub damaged: u64,
    /// Of these, those that are whole again in all zones.
    pub repaired: u64,
    /// Of these, those that cannot be read any more.
    pub lost: u64,
    /// Segments that could not be read for want of zones that are away.
    pub skipped_segments: u64,
    /// The versions that lost records belong to, up to a thousand; found at the end of the pass.
    pub lost_versions: Vec<LostVersion>,
}

/// A version of which bytes are lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostVersion {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The version's id as clients know it.
    pub version: String,
}

/// The value of the row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct ScrubRecord {
    /// When the pass began; `None` if the row only remembers since when one is awaited.
    started: Option<Timestamp>,
    /// When it ended, or the waiting began; `None` while it is under way.
    finished: Option<Timestamp>,
    /// Where to go on: segment and offset.
    next: (u64, u64),
    /// Segments from this id on are younger than the pass.
    until: u64,
    total_bytes: u64,
    done_bytes: u64,
    records: u64,
    damaged: u64,
    repaired: u64,
    lost: u64,
    skipped_segments: u64,
    pub(super) losses: Losses,
}

impl Record for ScrubRecord {
    const NAME: &'static str = "scrub record";
}

impl ScrubRecord {
    fn is_running(&self) -> bool {
        self.started.is_some() && self.finished.is_none()
    }

    /// When the next pass begins.
    fn due(&self, every: Duration) -> Option<Timestamp> {
        Some(self.finished?.plus(every).max(self.started.unwrap_or_default().plus(every)))
    }
}

/// What the scrubber keeps between groups.
pub(crate) struct Scrubber {
    state: Mutex<State>,
    every: Option<Duration>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct State {
    /// The row, once it was read.
    record: Option<ScrubRecord>,
    /// What was read since the row was last stored, in bytes.
    unsaved_bytes: u64,
    /// When this process began with the pass, and what was done by then.
    here: Option<(Timestamp, u64)>,
}

impl Scrubber {
    pub(crate) fn new(workers: &Workers, every: Option<Duration>) -> Scrubber {
        Scrubber { state: Mutex::default(), every, progress: workers.register("scrub") }
    }

    /// Waits for the group under way, and stores the place. The store is closed for others.
    pub(crate) async fn stop(&self, inner: &Inner) -> Result<()> {
        let mut state = self.state.lock().await;
        if state.unsaved_bytes > 0 { save(inner, &mut state).await } else { Ok(()) }
    }
}

impl Store {
    /// Begins a pass of scrubbing, unless one is under way; it goes on by itself, also after the store is opened anew.
    pub async fn start_scrub(&self) -> Result<ScrubStatus> {
        let inner = &self.inner;
        inner.check_writable()?;
        let mut state = inner.scrubber.state.lock().await;
        load(inner, &mut state).await?;
        if !state.record.as_ref().is_some_and(ScrubRecord::is_running) {
            begin(inner, &mut state).await?;
        }
        Ok(status(inner, &state))
    }

    /// Begins a pass unless one is under way, and goes on with it to its end. Dropping the future leaves it to the worker.
    pub async fn scrub(&self) -> Result<ScrubStatus> {
        self.start_scrub().await?;
        while to_its_end(round(Arc::clone(&self.inner))).await? == Next::Now {}
        self.scrub_status().await
    }

    /// How scrubbing goes.
    pub async fn scrub_status(&self) -> Result<ScrubStatus> {
        let mut state = self.inner.scrubber.state.lock().await;
        load(&self.inner, &mut state).await?;
        Ok(status(&self.inner, &state))
    }
}

/// Looks every second whether a pass is due or asked for, and goes on with the one that is, until the store is closed or gone.
pub(crate) fn spawn(inner: Weak<Inner>) {
    Rounds { name: "scrubbing", first: LOOK_EVERY, every: LOOK_EVERY }.spawn(inner, round);
}

/// Reads the row, or writes the first one, from which on the first pass is awaited.
async fn load(inner: &Inner, state: &mut State) -> Result<()> {
    if state.record.is_some() {
        return Ok(());
    }
    let found = inner.index.record::<ScrubRecord>(Family::Meta, PLACE.to_vec()).await?;
    let is_new = found.is_none();
    state.record =
        Some(found.unwrap_or_else(|| ScrubRecord { finished: Some(inner.clock.now()), ..Default::default() }));
    if is_new && inner.scrubber.every.is_some() && inner.check_writable().is_ok() {
        save(inner, state).await?;
    }
    Ok(())
}

async fn save(inner: &Inner, state: &mut State) -> Result<()> {
    let Some(record) = &state.record else { return Ok(()) };
    let mut batch = Batch::new();
    batch.put(Family::Meta, PLACE.to_vec(), record);
    inner.index.commit(batch).await?;
    state.unsaved_bytes = 0;
    Ok(())
}

async fn begin(inner: &Inner, state: &mut State) -> Result<()> {
    let until = inner.blobs.segments().last().map_or(0, |info| info.id.saturating_add(1));
    let total_bytes = inner.index.read(move |rows| live_bytes(rows, until)).await?;
    let started = Some(inner.clock.now());
    state.record = Some(ScrubRecord { started, until, total_bytes, ..ScrubRecord::default() });
    tracing::info!(total_bytes, "scrubbing begins");
    save(inner, state).await
}

/// What the counters say is in the segments before that id, in bytes.
fn live_bytes(rows: &Rows<'_>, until: u64) -> Result<u64> {
    let mut sum = 0_u64;
    rows.scan(Family::Segment, &[], &until.to_be_bytes(), |_, value| {
        let [live] = key::counters(value).unwrap_or([0]);
        sum = sum.saturating_add(u64::try_from(live).unwrap_or(0));
        Ok(Step::Next)
    })?;
    Ok(sum)
}

fn status(inner: &Inner, state: &State) -> ScrubStatus {
    let Some(record) = &state.record else { return ScrubStatus::default() };
    let seconds = |since: Timestamp| inner.clock.now().since(since).as_secs().max(1);
    let rate = state.here.filter(|_| record.is_running());
    let rate = rate.map_or(0, |(since, before)| record.done_bytes.saturating_sub(before) / seconds(since));
    ScrubStatus {
        running: record.is_running(),
        started: record.started,
        finished: record.started.and(record.finished),
        next: inner.scrubber.every.and_then(|every| record.due(every)),
        total_bytes: record.total_bytes,
        done_bytes: record.done_bytes,
        bytes_per_second: rate,
        records: record.records,
        damaged: record.damaged,
        repaired: record.repaired,
        lost: record.lost,
        skipped_segments: record.skipped_segments,
        lost_versions: record.losses.versions.clone(),
    }
}

/// Goes on with the pass, or begins one if it is due: a group, and then whoever waits for the state has a turn.
pub(super) async fn round(inner: Arc<Inner>) -> Result<Next> {
    let scrubber = &inner.scrubber;
    let mut state = scrubber.state.lock().await;
    inner.check_writable()?;
    load(&inner, &mut state).await?;
    let now = inner.clock.now();
    let due = |record: &ScrubRecord| scrubber.every.and_then(|every| record.due(every)).is_some_and(|due| due <= now);
    match &state.record {
        Some(record) if record.is_running() => {}
        Some(record) if due(record) => begin(&inner, &mut state).await?,
        _ => return Ok(Next::Later),
    }
    scrubber.progress.begin();
    let outcome = go_on(&inner, &mut state).await;
    match &outcome {
        Ok(Next::Now) => {}
        Ok(Next::Later) => scrubber.progress.end(inner.clock.now()),
        Err(error) => {
            scrubber.progress.end(inner.clock.now());
            scrubber.progress.fail(inner.clock.now(), error);
        }
    }
    outcome
}

async fn go_on(inner: &Arc<Inner>, state: &mut State) -> Result<Next> {
    let Some(record) = &mut state.record else { return Ok(Next::Later) };
    state.here.get_or_insert((inner.clock.now(), record.done_bytes));
    let (from, until) = (record.next, record.until);
    let infos = inner.blobs.segments();
    let left = infos.iter().filter(|info| (from.0..until).contains(&info.id)).count();
    inner.scrubber.progress.set_backlog(left as u64);
    if let Some(group) = inner.index.read(move |rows| next_group(rows, from, until)).await? {
        let before = (record.done_bytes, record.damaged);
        let scrubbed = scrub(inner, record, group, &infos).await;
        state.unsaved_bytes += record.done_bytes.saturating_sub(before.0);
        if state.unsaved_bytes >= SAVED_BYTES || record.damaged > before.1 {
            save(inner, state).await?;
        }
        return scrubbed.map(|()| Next::Now);
    }
    record.next = (until, 0);
    if find_some(inner, &mut record.losses).await? == Next::Now {
        return Ok(Next::Now);
    }
    record.finished = Some(inner.clock.now());
    inner.scrubber.progress.set_backlog(0);
    let ScrubRecord { records, damaged, repaired, lost, skipped_segments, .. } = *record;
    tracing::info!(records, damaged, repaired, lost, skipped_segments, "scrubbing has come to its end");
    state.here = None;
    save(inner, state).await?;
    Ok(Next::Later)
}

async fn scrub(inner: &Arc<Inner>, record: &mut ScrubRecord, group: Group, infos: &[SegmentInfo]) -> Result<()> {
    let Some(info) = infos.iter().find(|info| info.id == group.segment).filter(|info| info.sealed) else {
        // It is being written, or was removed since.
        record.next = (group.segment + 1, 0);
        return Ok(());
    };
    if !info.is_readable() {
        record.skipped_segments += 1;
        record.next = (group.segment + 1, 0);
        return Ok(());
    }
    let read_bytes = group.read_bytes(info);
    inner.budget.spend(read_bytes).await;
    inner.check_open()?;
    let mut found = Found { next: record.next, ..Found::default() };
    let verified = group.verify(inner, &mut found).await;
    for &blob in &found.lost {
        record.losses.add(inner, blob).await?;
    }
    inner.scrubber.progress.add(found.records, read_bytes);
    record.records += found.records;
    record.damaged += found.damaged;
    record.repaired += found.repaired;
    record.lost += found.lost.len() as u64;
    record.done_bytes += found.bytes;
    record.next = found.next;
    verified
}
