//! The mover: brings the chunks of versions to where they belong, and finishes restores.
//!
//! Whoever changes how a version is to be kept leaves a due row with the change; the mover compares what the version's
//! record says with where its chunks are (`Residence::at`), and does what is missing. It needs no memory of what was
//! meant: a row is deleted with the commit that settles its version, and doing any of it twice is harmless. Rows of
//! restores are served before the others, each kind in order of time.
//!
//! Small objects are settled many at a time (`settle_small`); large ones in tasks of their own (`settle_large`), a few
//! at once and from as many buckets as there are, so that neither one object nor one bucket keeps the rest waiting.
//! A version that somebody else is changing is left for later in the same pass; one that cannot be read is put off, by
//! a row of a later time. A restore that is put off because of damage is tried once more, and then it ends, so that another
//! one can be asked for. Once the disk refused to take more, a pass goes on with what only takes bytes away, which may
//! be what makes room.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::index::key::{DueKind, DueRow};
use crate::index::record::{Record as _, VersionRecord};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::list::following;
use crate::residence_change::VersionName;
use crate::stamp::Timestamp;
use crate::store::Inner;
use crate::worker::background::Background;
use crate::worker::budget::Budget;
use crate::worker::progress::{Progress, Workers};
use crate::worker::settle_job::{Job, Tally};
use crate::worker::settle_large::settle_large;
use crate::worker::settle_small::{SMALL_BYTES_MAX, settle_group, small_chunks};
use crate::worker::waiting::count_rows;
use crate::worker::{ROW_BYTES, to_its_end};

/// Rows that are read at once, and small versions that share a commit.
const GROUP_ROWS: usize = 64;
/// Large versions of a queue that are under way at once: each has a chunk or two in memory. Restores do not wait for
/// transitions, which may pause for requests.
const LARGE_MAX: usize = 4;
/// Large versions of a queue that are known and wait; more are left in it.
const WAITING_MAX: usize = 256;
/// Versions put off that the log tells of within [`TOLD_TIME`]; of the others it tells how many there were.
const TOLD_MAX: u64 = 10;
const TOLD_TIME: Duration = Duration::from_secs(60);
/// When a version that could not be read is tried again.
pub(super) const POSTPONED: Duration = Duration::from_secs(10 * 60);
/// How long a pass that waits for large versions does not look for further rows, unless it is woken.
const LOOK_FOR_NEW: Duration = Duration::from_secs(1);
/// Rows that are new are not much older than this: when they are looked for, the queues are not read from their starts.
const NEW: Duration = Duration::from_secs(10);
/// How often such a pass reads the queues from their starts all the same, for what it left behind.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How often a pass counts what is due, beside its begin and its end.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// From a wish to the pass that it causes: the batch with the wish becomes durable, and others come along.
const GATHER: Duration = Duration::from_millis(20);

/// What the mover keeps.
pub(crate) struct Mover {
    pass: Mutex<()>,
    wake: Arc<Notify>,
    pub(super) background: Background,
    settling: Arc<Progress>,
    restoring: Arc<Progress>,
    pub(super) told: Told,
}

/// How often the log tells of versions that are put off: a lost disk may put off all of them.
#[derive(Default)]
pub(super) struct Told(StdMutex<Option<(Instant, u64)>>);

impl Told {
    /// Counts a version, and says whether to tell of it.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = told.get_or_insert((now, 0));
        if now.saturating_duration_since(*since) >= TOLD_TIME {
            let untold = count.saturating_sub(TOLD_MAX);
            if untold > 0 {
                tracing::error!(versions = untold, "further versions were put off, as those told of before");
            }
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= TOLD_MAX
    }
}

impl Mover {
    pub(crate) fn start(workers: &Workers, budget: &Arc<Budget>) -> Result<Mover> {
        Ok(Mover {
            pass: Mutex::default(),
            wake: Arc::default(),
            background: Background::start(Arc::clone(budget))?,
            settling: workers.register("settle"),
            restoring: workers.register("restore"),
            told: Told::default(),
        })
    }

    /// Tells that there is, or will be in a moment, a row to look at.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for the pass under way, which ends early when the store is closed.
    pub(crate) async fn wait(&self) {
        self.background.close();
        self.wake();
        drop(self.pass.lock().await);
    }

    pub(super) fn progress(&self, kind: DueKind) -> &Progress {
        if kind == DueKind::Restore { &self.restoring } else { &self.settling }
    }
}

/// Runs a pass every so often, and when the mover is woken, until the store is closed or gone.
pub(crate) fn spawn(inner: &Arc<Inner>, every: Duration) {
    let wake = Arc::clone(&inner.mover.wake);
    let inner: Weak<Inner> = Arc::downgrade(inner);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = wake.notified() => tokio::time::sleep(GATHER.min(every)).await,
                () = tokio::time::sleep(every) => {}
            }
            let Some(inner) = inner.upgrade() else { return };
            match tokio::spawn(pass(Arc::clone(&inner))).await {
                Ok(Ok(_)) => {}
                // Closed, or refusing writes until it is opened anew.
                _ if inner.check_writable().is_err() => return,
                Ok(Err(error)) => {
                    inner.mover.settling.fail(inner.clock.now(), &error);
                    tracing::error!(%error, "a pass of the mover failed; the next one goes on");
                }
                Err(error) => tracing::error!(%error, "a pass of the mover did not end; the next one goes on"),
            }
        }
    });
}

/// Settles everything that is due and returns how many versions were changed.
pub(crate) async fn settle(inner: &Arc<Inner>) -> Result<u64> {
    to_its_end(pass(Arc::clone(inner))).await
}

async fn pass(inner: Arc<Inner>) -> Result<u64> {
    let _only_one = inner.mover.pass.lock().await;
    inner.check_writable()?;
    // A pass whose task was cut off, with its runtime, may have left a batch on its way.
    inner.index.commit(Batch::making_room()).await?;
    let mut pass = Pass::new(&inner);
    QUEUES.into_iter().for_each(|kind| inner.mover.progress(kind).begin());
    let outcome = match pass.count_due().await {
        Ok(()) => pass.run().await,
        Err(error) => Err(error),
    };
    // They see for themselves whether the store is closing.
    while let Some(ended) = pass.large.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "the settling of a version did not end; the next pass goes on");
        }
    }
    let counted = pass.count_due().await;
    let now = inner.clock.now();
    QUEUES.into_iter().for_each(|kind| inner.mover.progress(kind).end(now));
    outcome.and(counted).map(|()| pass.settled)
}

/// The queues, in the order in which they are served.
const QUEUES: [DueKind; 2] = [DueKind::Restore, DueKind::Settle];

struct Pass<'a> {
    inner: &'a Arc<Inner>,
    /// Where each queue is read on: what is before was dealt with, or left for the next round.
    cursors: [Vec<u8>; QUEUES.len()],
    /// When they are read from their starts again.
    look_again: Instant,
    /// When what is due is counted next, and from where on: what is before was found to be gone.
    count_again: Instant,
    uncounted: [Vec<u8>; QUEUES.len()],
    large: JoinSet<(DueKind, VersionName, Result<Tally>)>,
    /// Large versions that wait.
    waiting: VecDeque<Job>,
    /// Large versions that wait, are under way, or were left in this round.
    busy: HashSet<VersionName>,
    /// Those under way, by queue and bucket.
    under_way: BTreeMap<(DueKind, u64), usize>,
    settled: u64,
    /// Of this round: whether rows were left behind, and whether any were dealt with.
    left: bool,
    dealt: bool,
    /// Whether the disk refused to take more.
    refused: bool,
}

impl<'a> Pass<'a> {
    fn new(inner: &'a Arc<Inner>) -> Pass<'a> {
        let mut pass = Pass {
            inner,
            cursors: Default::default(),
            look_again: Instant::now(),
            count_again: Instant::now(),
            uncounted: QUEUES.map(|kind| key::due_from(kind, Timestamp::default())),
            large: JoinSet::new(),
            waiting: VecDeque::new(),
            busy: HashSet::new(),
            under_way: BTreeMap::new(),
            settled: 0,
            left: false,
            dealt: false,
            refused: false,
        };
        pass.rewind();
        pass
    }

    /// Begins a round: what was left behind is looked at again.
    fn begin_round(&mut self) {
        self.busy.clear();
        (self.left, self.dealt) = (false, false);
        self.rewind();
    }

    /// Reads the queues from their starts.
    fn rewind(&mut self) {
        self.cursors = QUEUES.map(|kind| key::due_from(kind, Timestamp::default()));
        self.look_again = Instant::now() + LOOK_AGAIN;
    }

    /// Reads on where rows may have come since, or from the starts if it is time for that. There may be far more rows
    /// of large versions than can wait in memory, so that to read all of them for every new one would be all it did.
    fn look_for_new(&mut self) {
        if Instant::now() >= self.look_again {
            return self.rewind();
        }
        let now = self.inner.clock.now().as_nanos();
        let new = Timestamp::from_nanos(now.saturating_sub(NEW.as_nanos() as u64));
        for (kind, cursor) in QUEUES.into_iter().zip(&mut self.cursors) {
            let from = key::due_from(kind, new);
            if from < *cursor {
                *cursor = from;
            }
        }
    }

    async fn run(&mut self) -> Result<()> {
        loop {
            self.inner.check_writable()?;
            self.start_large();
            if Instant::now() >= self.count_again {
                self.count_due().await?;
            }
            if let Some((kind, rows)) = self.next_rows().await? {
                self.take(kind, rows).await?;
                continue;
            }
            if self.large.is_empty() {
                // Without progress another round would find the same.
                if !(self.left && self.dealt) {
                    return Ok(());
                }
                self.begin_round();
                continue;
            }
            tokio::select! {
                Some(ended) = self.large.join_next() => self.end_large(ended)?,
                () = self.inner.mover.wake.notified() => self.look_for_new(),
                () = tokio::time::sleep(LOOK_FOR_NEW) => self.look_for_new(),
            }
        }
    }

    /// Where the rows of each queue end that are due now.
    fn ends(&self) -> [Vec<u8>; QUEUES.len()] {
        let after_now = Timestamp::from_nanos(self.inner.clock.now().as_nanos().saturating_add(1));
        QUEUES.map(|kind| key::due_from(kind, after_now))
    }

    /// Counts the rows that are due, whether they wait, are under way, or were left for another look.
    async fn count_due(&mut self) -> Result<()> {
        let ends = self.ends();
        for ((kind, from), to) in QUEUES.into_iter().zip(&mut self.uncounted).zip(ends) {
            let start = from.clone();
            let count = move |rows: &Rows<'_>| {
                let first = rows.first(Family::Due, &start, &to)?.map_or(start, |(row, _)| row);
                Ok((count_rows(rows, Family::Due, &[(first.clone(), to)])?, first))
            };
            let (waiting, first) = self.inner.index.read(count).await?;
            self.inner.mover.progress(kind).set_backlog(waiting);
            *from = first;
        }
        self.count_again = Instant::now() + COUNT_EVERY;
        Ok(())
    }

    /// The next rows that are due: of restores, if there are any.
    async fn next_rows(&mut self) -> Result<Option<(DueKind, Vec<Vec<u8>>)>> {
        let ends = self.ends();
        for ((kind, cursor), to) in QUEUES.into_iter().zip(&mut self.cursors).zip(ends) {
            let from = cursor.clone();
            if from >= to {
                continue;
            }
            let rows = self.inner.index.read(move |rows| some_rows(rows, &from, &to)).await?;
            if let Some(last) = rows.last() {
                *cursor = following(last.clone());
                return Ok(Some((kind, rows)));
            }
        }
        Ok(None)
    }

    /// Settles the small versions that the rows are about, and keeps the large ones for later.
    async fn take(&mut self, kind: DueKind, rows: Vec<Vec<u8>>) -> Result<()> {
        self.inner.budget.spend(ROW_BYTES * rows.len() as u64).await;
        let found = self.inner.index.read(move |reader| find_jobs(reader, kind, rows)).await?;
        if !found.useless.is_empty() {
            let mut batch = Batch::making_room();
            found.useless.into_iter().for_each(|row| batch.delete(Family::Due, row));
            let later = self.inner.clock.now().plus(POSTPONED);
            found.unreadable.iter().for_each(|name| batch.put_raw(Family::Due, name.due(kind, later), Vec::new()));
            self.inner.index.commit(batch).await?;
            self.dealt = true;
        }
        let mut group = Vec::new();
        let mut group_bytes = 0;
        for job in found.jobs {
            if self.busy.contains(&job.name) || (self.refused && self.takes_bytes(&job)) {
                self.left = true;
            } else if small_chunks(&job.object.body).is_some() {
                if !group.is_empty() && group_bytes + job.object.size > self.inner.budget.write_bytes(SMALL_BYTES_MAX) {
                    self.settle_group(kind, std::mem::take(&mut group)).await?;
                    group_bytes = 0;
                }
                group_bytes += job.object.size;
                group.push(job);
            } else if self.waiting.iter().filter(|waiting| waiting.kind == kind).count() < WAITING_MAX {
                self.busy.insert(job.name.clone());
                self.waiting.push_back(job);
            } else {
                self.left = true;
            }
        }
        self.settle_group(kind, group).await
    }

    async fn settle_group(&mut self, kind: DueKind, group: Vec<Job>) -> Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let tally = settle_group(self.inner, group).await?;
        self.count(kind, &tally);
        Ok(())
    }

    /// Whether chunks of a version are wanted in further pools.
    fn takes_bytes(&self, job: &Job) -> bool {
        let residence = &job.object.residence;
        let after = residence.at(self.inner.clock.now(), &self.inner.calendar);
        !after.pools.without(residence.pools).is_empty()
    }

    fn count(&mut self, kind: DueKind, tally: &Tally) {
        self.inner.mover.progress(kind).add(tally.settled, tally.bytes);
        self.settled += tally.settled;
        self.left |= tally.left > 0;
        self.dealt |= tally.dealt > 0;
        if let Some(error) = &tally.refused {
            self.inner.mover.progress(kind).fail(self.inner.clock.now(), error);
            if !std::mem::replace(&mut self.refused, true) {
                tracing::error!(%error, "the mover finds no room; it goes on with what takes none");
            }
            // They are found again when there is room.
            let mut waiting = std::mem::take(&mut self.waiting);
            let before = waiting.len();
            waiting.retain(|job| !self.takes_bytes(job));
            self.left |= waiting.len() < before;
            self.waiting = waiting;
        }
    }

    /// Starts waiting versions, the next one always of a bucket with the fewest under way.
    fn start_large(&mut self) {
        while let Some(job) = self.next_large().and_then(|place| self.waiting.remove(place)) {
            *self.under_way.entry((job.kind, job.name.bucket)).or_default() += 1;
            let inner = Arc::clone(self.inner);
            self.large.spawn(async move {
                let (kind, name) = (job.kind, job.name.clone());
                (kind, name, settle_large(inner, job).await)
            });
        }
    }

    /// The place of the waiting version to start, if any may be started.
    fn next_large(&self) -> Option<usize> {
        let of_queue = |kind| self.under_way.iter().filter(move |((of, _), _)| *of == kind).map(|(_, count)| count);
        let has_room = QUEUES.map(|kind| (kind, of_queue(kind).sum::<usize>() < LARGE_MAX));
        let may_start = |job: &Job| has_room.contains(&(job.kind, true));
        let under_way = |job: &Job| self.under_way.get(&(job.kind, job.name.bucket)).copied().unwrap_or(0);
        let waiting = self.waiting.iter().enumerate().filter(|(_, job)| may_start(job));
        waiting.min_by_key(|(_, job)| under_way(job)).map(|(place, _)| place)
    }

    fn end_large(
        &mut self,
        ended: std::result::Result<(DueKind, VersionName, Result<Tally>), tokio::task::JoinError>,
    ) -> Result<()> {
        let (kind, name, outcome) = ended.map_err(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Error::Closed,
        })?;
        if let Entry::Occupied(mut count) = self.under_way.entry((kind, name.bucket)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        let tally = outcome?;
        if tally.left == 0 {
            self.busy.remove(&name);
        }
        self.count(kind, &tally);
        Ok(())
    }
}

fn some_rows(rows: &Rows<'_>, from: &[u8], to: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    rows.scan(Family::Due, from, to, |row, _| {
        found.push(row.to_vec());
        Ok(if found.len() < GROUP_ROWS { Step::Next } else { Step::Stop })
    })?;
    Ok(found)
}

/// What due rows are about.
#[derive(Default)]
struct Found {
    jobs: Vec<Job>,
    /// Rows of versions that are gone, or cannot be read.
    useless: Vec<Vec<u8>>,
    /// Versions of which the records cannot be read. They are put off.
    unreadable: Vec<VersionName>,
}

/// Reads the versions that rows are about, each once.
fn find_jobs(reader: &Rows<'_>, kind: DueKind, rows: Vec<Vec<u8>>) -> Result<Found> {
    let mut found = Found::default();
    let mut places: HashMap<VersionName, usize> = HashMap::new();
    for row in rows {
        let Some(DueRow { bucket, key, stamp, .. }) = key::split_due(&row) else {
            tracing::error!(error = %key::corrupt("due row", &row), "a wish to settle a version is dropped");
            found.useless.push(row);
            continue;
        };
        let name = VersionName { bucket, key, stamp };
        if let Some(&place) = places.get(&name) {
            found.jobs[place].rows.push(row);
            continue;
        }
        // Versions never come back, so what is gone is gone for good.
        let Some(value) = reader.get(Family::Version, &name.row())? else {
            found.useless.push(row);
            continue;
        };
        match VersionRecord::decode(&value).map(|record| record.object) {
            Ok(Some(object)) => {
                places.insert(name.clone(), found.jobs.len());
                found.jobs.push(Job { kind, name, rows: vec![row], object });
            }
            Ok(None) => found.useless.push(row),
            Err(error) => {
                tracing::error!(%error, bucket, key = name.key, "a version cannot be settled; it is put off");
                found.useless.push(row);
                found.unreadable.push(name);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{TOLD_MAX, TOLD_TIME, Told};

    #[test]
    fn the_log_tells_of_some_versions_a_minute() {
        let (told, start) = (Told::default(), Instant::now());
        let told_of = |after| (0..1000).filter(|_| told.take(start + after)).count() as u64;
        assert_eq!(told_of(Duration::ZERO), TOLD_MAX);
        assert_eq!(told_of(TOLD_TIME / 2), 0);
        assert_eq!(told_of(TOLD_TIME), TOLD_MAX);
    }
}
