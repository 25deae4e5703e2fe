//! The collector: gives back the space of what was deleted, replaced or abandoned.
//!
//! A pass does, in this order:
//!
//! 1. Read the garbage rows, then end the readers' epoch. Whoever entered before may still find what the rows describe,
//!    so the rows wait until those readers have found it, or have gone.
//! 2. Release each row that no reader holds (`release`): delete its references, its inline bytes and manifest pages, drop the blobs that no
//!    other content uses, and delete the garbage row with or after the last of them.
//! 3. Forget the answers of uploads that finished more than a day ago.
//! 4. Remove segments without live blobs, and rewrite those that are mostly dead (`segments`); while bodies are refused for
//!    want of room, also those that are being written.
//!    When the index takes no commits at all for want of room, a pass does this alone, and only removes.
//! 5. If writes are refused for want of room, have the index write out what it holds in memory, which frees inline bytes.
//!
//! The process may die between any two commits. What was not reached has its garbage row still, and doing any of it
//! twice is harmless: deleting what is gone does nothing, and a blob is dropped only if nothing refers to it at that
//! moment, not because it was unused before.
//!
//! Why nothing in use is dropped:
//!
//! * A write that finds a blob (a dedup hit) pins it before it looks, until its reference is durable. The collector
//!   claims a blob only while nobody pins it, looks for references after the claim, and holds the claim until the drop
//!   is durable. So either the write's reference is seen, or the write's look comes after the drop.
//! * A write that adds a blob pins it as well. The committer takes batches in order: an addition after the drop gets
//!   the new place, one before it came with a reference.
//! * A reader that looks for a version keeps its epoch from passing; once it found one, it holds the body by name, and
//!   the body's garbage row waits, with the references that keep the blobs.
//! * A pass runs in a task of its own, so that a dropped call never stops it half-way, and begins when the committer has
//!   done all that came before: it never takes for present what an earlier pass is about to delete.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::index::record::{CompletedRecord, Garbage, Record as _};
use crate::index::{Batch, Family, Step};
use crate::list::following;
use crate::multipart_complete::ANSWER_KEPT;
use crate::stamp::Stamp;
use crate::store::Inner;
use crate::worker::release::Releaser;
use crate::worker::waiting::count_rows;
use crate::worker::{Next, Progress, Rounds, Workers, segments, to_its_end};

/// Garbage rows that wait for one epoch: their keys are kept in memory, 16 bytes each.
const ROUND_ROWS: usize = 65_536;
/// Rounds of one pass, so that a pass ends even if garbage arrives as fast as it is released.
const ROUNDS_MAX: usize = 16;
/// How long a pass waits for an epoch's readers, who only look something up. If that takes longer, the rows wait for a
/// later pass.
const READERS_AWAITED: Duration = Duration::from_millis(100);
const READERS_LOOKED_FOR_EVERY: Duration = Duration::from_millis(5);
/// Answers of finished uploads that one pass looks at.
const ANSWERS_PER_PASS: usize = 1000;
/// Rows that one commit deletes, to keep others from waiting for it.
pub(super) const ROWS_PER_BATCH: usize = 200;

/// What the collector keeps between passes.
pub(crate) struct Collector {
    pass: Mutex<State>,
    /// Held while segments vanish, and by whoever needs all of them to stay.
    pub(super) segments: Mutex<()>,
    /// Held by whoever deletes references, from the look for others until the batch is durable: two who saw each
    /// other's reference would both leave the blob in place.
    pub(super) references: Arc<Mutex<()>>,
    /// Counts garbage rows, and the bytes that were freed.
    progress: Arc<Progress>,
}

impl Collector {
    pub(crate) fn new(workers: &Workers) -> Collector {
        Collector {
            pass: Mutex::default(),
            segments: Mutex::default(),
            references: Arc::default(),
            progress: workers.register("collect"),
        }
    }

    /// Keeps every segment that there is while the guard lives.
    pub(crate) async fn keep_segments(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.segments.lock().await
    }

    /// Keeps every reference that there is while the guard lives, and with them the chunks.
    pub(crate) async fn keep_references(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.references.lock().await
    }

    /// Waits for the pass and the checkpoint under way.
    pub(crate) async fn wait(&self) {
        drop(self.pass.lock().await);
        drop(self.segments.lock().await);
    }
}

#[derive(Default)]
struct State {
    waiting: Option<Round>,
    answers_from: Vec<u8>,
    segments: segments::State,
}

/// Garbage rows that may be released when the readers of an epoch are gone.
struct Round {
    rows: Vec<Vec<u8>>,
    epoch: u64,
}

/// Runs a pass every so often, until the store is closed or gone.
pub(crate) fn spawn(inner: Weak<Inner>, every: Duration) {
    Rounds { name: "a collection", first: every, every }
        .spawn(inner, |inner| async move { pass(inner).await.map(|_| Next::Later) });
}

/// Runs one pass and returns the bytes freed on disk.
pub(crate) async fn collect(inner: &Arc<Inner>) -> Result<u64> {
    to_its_end(pass(Arc::clone(inner))).await
}

async fn pass(inner: Arc<Inner>) -> Result<u64> {
    let mut state = inner.collector.pass.lock().await;
    inner.check_writable()?;
    let progress = &inner.collector.progress;
    progress.begin();
    let outcome = async {
        tell_waiting(&inner).await?;
        let freed_bytes = collect_once(&inner, &mut state).await?;
        tell_waiting(&inner).await.map(|()| freed_bytes)
    };
    let outcome = outcome.await;
    let now = inner.clock.now();
    progress.end(now);
    if let Err(error) = &outcome {
        progress.fail(now, error);
    }
    outcome
}

/// Tells how many rows of garbage there are.
async fn tell_waiting(inner: &Inner) -> Result<()> {
    let all = (Vec::new(), Vec::new());
    let waiting = inner.index.read(move |rows| count_rows(rows, Family::Garbage, &[all])).await?;
    inner.collector.progress.set_backlog(waiting);
    Ok(())
}

async fn collect_once(inner: &Arc<Inner>, state: &mut State) -> Result<u64> {
    let released = match release_and_forget(inner, state).await {
        // Segments that are dead already take no commit to be removed, and may be what there is to be had.
        Err(error @ Error::NoSpace { .. }) => {
            tracing::debug!(%error, "garbage waits for room");
            0
        }
        released => released?,
    };
    let freed_bytes = segments::collect(inner, &mut state.segments).await?;
    inner.collector.progress.add(released, freed_bytes);
    if inner.check_room().is_err() {
        inner.index.write_out().await?;
    }
    if released > 0 || freed_bytes > 0 {
        tracing::info!(released, freed_bytes, "collected");
    }
    Ok(freed_bytes)
}

/// Returns the number of garbage rows released.
async fn release_and_forget(inner: &Arc<Inner>, state: &mut State) -> Result<u64> {
    // A pass whose task was cut off, with its runtime, may have left a batch on its way.
    inner.index.commit(Batch::making_room()).await?;
    let released = release_garbage(inner, state).await?;
    forget_answers(inner, state).await?;
    Ok(released)
}

/// Returns the number of garbage rows released.
async fn release_garbage(inner: &Arc<Inner>, state: &mut State) -> Result<u64> {
    let mut released = 0;
    let mut from = Vec::new();
    for _ in 0..ROUNDS_MAX {
        // Rows that waited since an earlier pass come first; newer ones may sort before them.
        let (round, awaited) = match state.waiting.take() {
            Some(round) => (round, true),
            None => (next_round(inner, from.clone()).await?, false),
        };
        let Some(last) = round.rows.last().cloned() else { break };
        if !readers_left(inner, round.epoch).await {
            tracing::debug!(rows = round.rows.len(), "garbage waits for readers");
            state.waiting = Some(round);
            break;
        }
        released += release(inner, round.rows).await?;
        if !awaited {
            from = following(last);
        }
    }
    Ok(released)
}

async fn next_round(inner: &Arc<Inner>, from: Vec<u8>) -> Result<Round> {
    let rows = inner
        .index
        .read(move |rows| {
            let mut found = Vec::new();
            rows.scan(Family::Garbage, &from, &[], |row, _| {
                found.push(row.to_vec());
                Ok(if found.len() < ROUND_ROWS { Step::Next } else { Step::Stop })
            })?;
            Ok(found)
        })
        .await?;
    // After the look: the rows are committed, so whoever enters from now on finds their versions gone.
    let epoch = inner.readers.advance();
    Ok(Round { rows, epoch })
}

async fn readers_left(inner: &Inner, epoch: u64) -> bool {
    let deadline = Instant::now() + READERS_AWAITED;
    loop {
        if inner.readers.passed(epoch) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(READERS_LOOKED_FOR_EVERY).await;
    }
}

async fn release(inner: &Arc<Inner>, rows: Vec<Vec<u8>>) -> Result<u64> {
    let mut releaser = Releaser::new(inner);
    let total = rows.len() as u64;
    let (mut unreadable, mut held) = (0, 0);
    for row in rows {
        let outcome = match inner.index.record::<Garbage>(Family::Garbage, row.clone()).await {
            Ok(Some(garbage)) if body(&garbage).is_some_and(|body| inner.readers.holds(body)) => {
                held += 1;
                Ok(())
            }
            Ok(Some(garbage)) => releaser.garbage(row, &garbage).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {}
            // What it describes cannot be found, so it stays, and all else goes on.
            Err(error @ Error::Corrupt { .. }) => {
                unreadable += 1;
                tracing::error!(%error, "garbage cannot be read and is kept");
            }
            Err(error) => return Err(error),
        }
    }
    let kept = releaser.finish().await?;
    if held > 0 {
        tracing::debug!(rows = held, "garbage is still being read");
    }
    Ok(total.saturating_sub(kept + unreadable + held))
}

/// What a reader of the garbage would hold; nobody reads an upload's parts before they are an object.
fn body(garbage: &Garbage) -> Option<Stamp> {
    match garbage {
        Garbage::Body(body, _) => Some(body.id()),
        Garbage::Content(..) | Garbage::Upload(_) | Garbage::Bucket(_) => None,
    }
}

/// Looks at a bounded number of answers, going on where the pass before ended.
async fn forget_answers(inner: &Arc<Inner>, state: &mut State) -> Result<()> {
    let from = std::mem::take(&mut state.answers_from);
    let now = inner.clock.now();
    let (expired, next) = inner
        .index
        .read(move |rows| {
            let (mut expired, mut next, mut looked_at) = (Vec::new(), Vec::new(), 0);
            rows.scan(Family::Completed, &from, &[], |row, value| {
                match CompletedRecord::decode(value) {
                    Ok(answer) if now.since(answer.finished) < ANSWER_KEPT => {}
                    Ok(_) => expired.push(row.to_vec()),
                    Err(error) => tracing::error!(%error, "an answer cannot be read and is kept"),
                }
                looked_at += 1;
                if looked_at < ANSWERS_PER_PASS {
                    return Ok(Step::Next);
                }
                next = following(row.to_vec());
                Ok(Step::Stop)
            })?;
            Ok((expired, next))
        })
        .await?;
    for rows in expired.chunks(ROWS_PER_BATCH) {
        let mut batch = Batch::making_room();
        rows.iter().for_each(|row| batch.delete(Family::Completed, row.clone()));
        inner.index.commit(batch).await?;
    }
    state.answers_from = next;
    Ok(())
}
