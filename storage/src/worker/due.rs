//! The worker that does what has become due: expirations, transitions, tier moves, the end of restored copies, the
//! abort of uploads. The queue is the `due` family; what its rows mean is in `timer`, what is done in `evaluate`.
//!
//! A round goes through the rows of the past in order, page by page, from where the last one ended. A page is read, and
//! evaluated into one batch, on a blocking thread, while the batches of the pages before it are being committed. A batch deletes the rows that it has dealt with in the same moment in which it does what they ask for, so
//! dying at any time loses nothing and does nothing twice. Rows of the future wait, also if the clock was set back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::index::key::{DueKind, DueRow, Older, due_from, split_due};
use crate::index::{Batch, Family, Rows, Step};
use crate::list::following;
use crate::stamp::Timestamp;
use crate::store::Inner;
use crate::worker::budget::ROW_BYTES;
use crate::worker::evaluator::{Cause, Evaluated, Evaluator, Gathered};
use crate::worker::progress::{Progress, Workers};
use crate::worker::waiting::count_rows;
use crate::worker::{Next, Rounds, reindex, to_its_end};

/// Rows that are evaluated into one batch: bounds what others wait for while its keys are locked.
const ROWS_PER_PAGE: usize = 500;
/// Batches that are committed at once, so that they share a sync while the next page is evaluated.
const COMMITS_MAX: usize = 3;
/// Pages of one round, after which other work of this worker gets its turn.
const PAGES_PER_ROUND: usize = 200;
/// Rows that an evaluation reads or changes, about: what it costs of the budget.
const ROWS_PER_EVALUATION: u64 = 4;
/// How long a row that says "now" may take until a scan sees it, with a margin. So rows from longer before the begin of
/// a look through the queue that left none behind are gone, but for those of [`FULL_EVERY`].
const LATE: Duration = Duration::from_secs(10);
/// Every so many times the queue is looked through from its beginning: for rows that the clock put there when it was
/// set back. All other times begin where rows can be, and not among the remains of those deleted before.
const FULL_EVERY: u64 = 64;
/// How long and how often [`evaluate`] waits for what somebody else holds.
const RETRY_EVERY: Duration = Duration::from_millis(5);
const RETRIES_MAX: u32 = 1000;

/// What the worker keeps between rounds, and tells.
pub(crate) struct DueWorker {
    state: Mutex<State>,
    pub(super) lifecycle: Arc<Progress>,
    pub(super) reindex: Arc<Progress>,
}

impl DueWorker {
    pub(crate) fn new(workers: &Workers) -> DueWorker {
        let (lifecycle, reindex) = (workers.register("lifecycle"), workers.register("reindex"));
        DueWorker { state: Mutex::default(), lifecycle, reindex }
    }

    /// Waits for the round under way.
    pub(crate) async fn wait(&self) {
        drop(self.state.lock().await);
    }
}

#[derive(Default)]
struct State {
    versions: Queue,
    uploads: Queue,
}

/// How far one kind of rows was looked through.
#[derive(Default)]
struct Queue {
    /// Where a round goes on, if the last one did not come to the end.
    from: Option<Vec<u8>>,
    /// When the present look through began.
    began: Timestamp,
    /// When the last one that left nothing behind began.
    cleared: Option<Timestamp>,
    /// Rows that the present look through left behind.
    left: u64,
    looks: u64,
}

/// What a round came to.
#[derive(Default)]
struct Round {
    done: Evaluated,
    /// Rows dealt with, and rows that somebody else kept from it.
    rows: u64,
    deferred: u64,
    /// Whether it went on from where the last one ended, so that it has not seen what that one left behind.
    resumed: bool,
    /// Whether there are rows that it did not come to.
    more: bool,
}

/// Runs a round every so often, until the store is closed or gone.
pub(crate) fn spawn(inner: Weak<Inner>, every: Duration) {
    Rounds { name: "a round of lifecycle work", first: Duration::ZERO, every }.spawn(inner, turn);
}

/// One round of due rows and some pages of re-indexing.
async fn turn(inner: Arc<Inner>) -> Result<Next> {
    let outcome = look(&inner).await;
    if let Err(error) = &outcome {
        inner.due.lifecycle.fail(inner.clock.now(), error);
    }
    outcome
}

async fn look(inner: &Arc<Inner>) -> Result<Next> {
    let mut state = inner.due.state.lock().await;
    let more_rows = round(inner, &mut state).await?.more;
    let more_pages = reindex::some(inner).await?;
    Ok(if more_rows || more_pages { Next::Now } else { Next::Later })
}

/// Does all that is due now, and sets the timers of buckets whose rules have changed, to its end.
pub(crate) async fn evaluate(inner: &Arc<Inner>) -> Result<Evaluated> {
    let inner = Arc::clone(inner);
    to_its_end(async move {
        let mut state = inner.due.state.lock().await;
        // Batches of a round that was cut off, with its task, may be on their way.
        inner.index.commit(Batch::making_room()).await?;
        *state = State::default();
        let (mut done, mut retries) = (Evaluated::default(), 0);
        loop {
            let more_pages = reindex::some(&inner).await?;
            let round = round(&inner, &mut state).await?;
            done.add(round.done);
            if round.rows == 0 && round.deferred > 0 && retries < RETRIES_MAX {
                retries += 1;
                tokio::time::sleep(RETRY_EVERY).await;
            } else if round.rows == 0 && !round.resumed && !more_pages {
                return Ok(done);
            }
        }
    })
    .await
}

async fn round(inner: &Arc<Inner>, state: &mut State) -> Result<Round> {
    let now = inner.clock.now();
    let mut total = Round::default();
    total.resumed |= state.versions.begin(DueKind::Version, now);
    total.resumed |= state.uploads.begin(DueKind::Upload, now);
    tell_waiting(inner, state, now).await?;
    for (kind, queue) in [(DueKind::Version, &mut state.versions), (DueKind::Upload, &mut state.uploads)] {
        inner.due.lifecycle.begin();
        let outcome = look_through(inner, kind, queue, now, &mut total).await;
        inner.due.lifecycle.end(inner.clock.now());
        outcome?;
    }
    tell_waiting(inner, state, now).await?;
    if total.done != Evaluated::default() {
        tracing::info!(done = ?total.done, "did what was due");
    }
    Ok(total)
}

/// Tells how many rows are due: those that the present looks through have left behind, and those before them.
async fn tell_waiting(inner: &Inner, state: &State, now: Timestamp) -> Result<()> {
    let queues = [(DueKind::Version, &state.versions), (DueKind::Upload, &state.uploads)];
    let before = queues.iter().filter_map(|(kind, queue)| Some((queue.from.clone()?, after(*kind, now))));
    let ranges: Vec<_> = before.collect();
    let found = inner.index.read(move |rows| count_rows(rows, Family::Due, &ranges)).await?;
    inner.due.lifecycle.set_backlog(found.and(state.versions.left + state.uploads.left));
    Ok(())
}

/// Where the rows of a kind end that are due at a moment.
fn after(kind: DueKind, now: Timestamp) -> Vec<u8> {
    due_from(kind, Timestamp::from_nanos(now.as_nanos().saturating_add(1)))
}

/// Goes through the rows of a kind up to `now`, or some pages of them.
async fn look_through(
    inner: &Arc<Inner>,
    kind: DueKind,
    queue: &mut Queue,
    now: Timestamp,
    total: &mut Round,
) -> Result<()> {
    let to = after(kind, now);
    let Some(mut from) = queue.from.take() else { return Ok(()) };
    let mut commits = JoinSet::new();
    for _ in 0..PAGES_PER_ROUND {
        inner.check_writable()?;
        let to = to.clone();
        let Page { rows, last, unreadable } = inner.index.read(move |rows| read(rows, &from, &to)).await?;
        remove_unreadable(inner, unreadable).await?;
        let Some(last) = last else {
            while let Some(committed) = commits.join_next().await {
                count(inner, committed, total)?;
            }
            queue.end();
            return Ok(());
        };
        // All waiting comes before the evaluation, which locks keys.
        let looked_at = rows.len() as u64;
        inner.budget.spend(looked_at * ROWS_PER_EVALUATION * ROW_BYTES).await;
        while commits.len() >= COMMITS_MAX {
            if let Some(committed) = commits.join_next().await {
                count(inner, committed, total)?;
            }
        }
        let Gathered { batch, done, deferred, withheld } = {
            let inner = Arc::clone(inner);
            blocking(move || gather(&inner, rows, now)).await??
        };
        let deferred = deferred.len() as u64;
        queue.left += deferred + withheld;
        total.deferred += deferred;
        from = following(last);
        let inner = Arc::clone(inner);
        commits.spawn(async move { inner.index.commit(batch).await.map(|()| (looked_at - deferred - withheld, done)) });
    }
    while let Some(committed) = commits.join_next().await {
        count(inner, committed, total)?;
    }
    queue.from = Some(from);
    total.more = true;
    Ok(())
}

/// Counts what a commit did.
fn count(
    inner: &Inner,
    committed: std::result::Result<Result<(u64, Evaluated)>, tokio::task::JoinError>,
    total: &mut Round,
) -> Result<()> {
    let (rows, done) = committed.map_err(|_| Error::Closed)??;
    inner.due.lifecycle.add(rows, rows * ROWS_PER_EVALUATION * ROW_BYTES);
    total.rows += rows;
    total.done.add(done);
    Ok(())
}

impl Queue {
    /// Begins a look through the whole queue, unless one is to go on: then returns `true`.
    fn begin(&mut self, kind: DueKind, now: Timestamp) -> bool {
        if self.from.is_some() {
            return true;
        }
        (self.began, self.left) = (now, 0);
        self.looks += 1;
        let floor = match self.cleared.filter(|&cleared| cleared <= now) {
            Some(cleared) if !self.looks.is_multiple_of(FULL_EVERY) => {
                cleared.as_nanos().saturating_sub(LATE.as_nanos() as u64)
            }
            _ => 0,
        };
        self.from = Some(due_from(kind, Timestamp::from_nanos(floor)));
        false
    }

    fn end(&mut self) {
        if self.left == 0 {
            self.cleared = Some(self.began);
        }
    }
}

/// Evaluates what the rows name. Blocking.
fn gather(inner: &Inner, rows: Vec<(DueRow, Older)>, now: Timestamp) -> Result<Gathered> {
    // Much of what is due removes something.
    let mut evaluator = Evaluator::new(inner, now, Batch::making_room());
    for (row, older) in rows {
        let at = row.at;
        evaluator.look(row, Cause::Due(at, older))?;
    }
    Ok(evaluator.finish())
}

/// Some rows, in order.
#[derive(Default)]
struct Page {
    rows: Vec<(DueRow, Older)>,
    /// The last one as it is stored; `None` if there are none.
    last: Option<Vec<u8>>,
    /// Those that cannot be read.
    unreadable: Vec<Vec<u8>>,
}

/// Removes rows that nobody can make anything of, so that they do not come up again and again. The versions that they
/// spoke of keep their records.
async fn remove_unreadable(inner: &Inner, rows: Vec<Vec<u8>>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::making_room();
    for row in rows {
        tracing::error!(row = hex::encode(&row), "a due row cannot be read and is removed");
        batch.delete(Family::Due, row);
    }
    inner.index.commit(batch).await
}

fn read(rows: &Rows<'_>, from: &[u8], to: &[u8]) -> Result<Page> {
    let mut page = Page::default();
    rows.scan(Family::Due, from, to, |row, value| {
        match split_due(row).zip(Older::decode(value)) {
            Some(split) => page.rows.push(split),
            None => page.unreadable.push(row.to_vec()),
        }
        page.last = Some(row.to_vec());
        Ok(if page.rows.len() < ROWS_PER_PAGE { Step::Next } else { Step::Stop })
    })?;
    Ok(page)
}
