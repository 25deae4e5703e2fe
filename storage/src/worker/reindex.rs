//! Re-indexing: sets the timers of a bucket's versions and uploads anew after its rules have changed.
//!
//! A row of the `reindex` family names the bucket and where to go on; empty is the beginning. It is written in the
//! batch that changes the rules, so it is there if and only if the rules are, and a further change begins anew. Each
//! page moves it on in the batch that sets the page's timers, and the last one deletes it: dying at any time repeats at
//! most what had no effect yet. The bucket is held shared over a page, so no change of rules comes between.
//!
//! A page acts on nothing itself: what is due at once gets a timer of now. What somebody else holds is woken, which
//! needs no lock.

use std::sync::Arc;

use crate::error::Result;
use crate::fs::blocking;
use crate::index::key::{DueKind, DueRow};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::list::following;
use crate::name::ObjectKey;
use crate::stamp::Timestamp;
use crate::store::Inner;
use crate::worker::budget::ROW_BYTES;
use crate::worker::evaluator::{Cause, Evaluator, Gathered, bucket_name};
use crate::worker::waiting::count_rows;

/// Versions or uploads that one batch sets the timers of.
const ROWS_PER_PAGE: usize = 1000;
/// Pages before other work gets its turn.
const PAGES_MAX: usize = 16;
/// Rows that setting one timer reads or changes, about.
const ROWS_PER_TIMER: u64 = 3;

/// The families walked through, in this order; the first byte of a cursor is the position here.
const WALKS: [(Family, DueKind); 2] = [(Family::Version, DueKind::Version), (Family::Upload, DueKind::Upload)];

/// Asks for a bucket's timers to be set anew.
pub(crate) fn ask(bucket: u64, batch: &mut Batch) {
    batch.put_raw(Family::Reindex, bucket.to_be_bytes().to_vec(), Vec::new());
}

/// Forgets a bucket that is removed.
pub(crate) fn forget(bucket: u64, batch: &mut Batch) {
    batch.delete(Family::Reindex, bucket.to_be_bytes().to_vec());
}

/// Does some pages, one bucket after the other, and tells how many buckets are left. Whether there is more to do at once.
pub(super) async fn some(inner: &Arc<Inner>) -> Result<bool> {
    tell_waiting(inner).await?;
    let more = pages(inner).await?;
    tell_waiting(inner).await?;
    Ok(more)
}

async fn tell_waiting(inner: &Inner) -> Result<()> {
    let all = (Vec::new(), Vec::new());
    let waiting = inner.index.read(move |rows| count_rows(rows, Family::Reindex, &[all])).await?;
    inner.due.reindex.set_backlog(waiting);
    Ok(())
}

async fn pages(inner: &Arc<Inner>) -> Result<bool> {
    let progress = &inner.due.reindex;
    let mut from = Vec::new();
    for _ in 0..PAGES_MAX {
        inner.check_writable()?;
        let asked = std::mem::take(&mut from);
        let Some((row, _)) = inner.index.read(move |rows| rows.first(Family::Reindex, &asked, &[])).await? else {
            return Ok(false);
        };
        let id = row.as_slice().try_into().map_err(|_| key::corrupt("reindex row", &row))?;
        let bucket = u64::from_be_bytes(id);
        // All waiting comes before the page, which locks keys.
        progress.begin();
        inner.budget.spend(ROWS_PER_PAGE as u64 * ROWS_PER_TIMER * ROW_BYTES).await;
        let set = set_some(inner, bucket).await;
        progress.end(inner.clock.now());
        match set {
            Ok(Some(rows)) => progress.add(rows, rows * ROWS_PER_TIMER * ROW_BYTES),
            // Somebody changes the bucket right now: the others first.
            Ok(None) => from = key::bucket_end(bucket),
            Err(error) => {
                progress.fail(inner.clock.now(), &error);
                return Err(error);
            }
        }
    }
    Ok(true)
}

/// Sets the timers of the next page of a bucket, and returns how many rows it has; `None` if somebody has the bucket.
async fn set_some(inner: &Arc<Inner>, bucket: u64) -> Result<Option<u64>> {
    let page = {
        let inner = Arc::clone(inner);
        blocking(move || page(&inner, bucket)).await??
    };
    let Some((batch, rows)) = page else { return Ok(None) };
    inner.index.commit(batch).await?;
    Ok(Some(rows))
}

/// Gathers the next page of a bucket. Blocking.
fn page(inner: &Inner, bucket: u64) -> Result<Option<(Batch, u64)>> {
    let (rows, row) = (inner.index.rows(), bucket.to_be_bytes().to_vec());
    let Some(name) = bucket_name(&rows, bucket)? else {
        let mut batch = Batch::new();
        forget(bucket, &mut batch);
        return Ok(Some((batch, 0)));
    };
    let Some(guard) = inner.locks.try_bucket_shared(name.as_str()) else { return Ok(None) };
    let Some(cursor) = rows.get(Family::Reindex, &row)? else { return Ok(None) };
    let now = inner.clock.now();
    let (found, next) = read(&rows, bucket, &cursor)?;
    let mut evaluator = Evaluator::new(inner, now, Batch::new());
    let count = found.len() as u64;
    for row in found {
        evaluator.look(row, Cause::Reindex)?;
    }
    let Gathered { mut batch, deferred, .. } = evaluator.finish();
    for row in deferred {
        if let Ok(key) = ObjectKey::parse(&row.key) {
            batch.put_due(row.kind, now, bucket, &key, row.stamp);
        }
    }
    match next {
        Some(cursor) => batch.put_raw(Family::Reindex, row, cursor),
        None => forget(bucket, &mut batch),
    }
    batch.hold(guard);
    Ok(Some((batch, count)))
}

/// The rows from the cursor on, and where to go on after them; `None` if they are the last.
fn read(rows: &Rows<'_>, bucket: u64, cursor: &[u8]) -> Result<(Vec<DueRow>, Option<Vec<u8>>)> {
    let (walk, from) = cursor.split_first().map_or((0, &[][..]), |(walk, from)| (usize::from(*walk), from));
    let Some(&(family, kind)) = WALKS.get(walk) else { return Ok((Vec::new(), None)) };
    let start = key::bucket_start(bucket);
    let from = if from.is_empty() { start.as_slice() } else { from };
    let (mut found, mut last) = (Vec::new(), None);
    rows.scan(family, from, &key::bucket_end(bucket), |row, _| {
        let split = if kind == DueKind::Version { key::split_version(row) } else { key::split_upload(row) };
        let (key, stamp) = split.ok_or_else(|| key::corrupt("version or upload row", row))?;
        found.push(DueRow { kind, at: Timestamp::default(), bucket, key, stamp });
        if found.len() < ROWS_PER_PAGE {
            return Ok(Step::Next);
        }
        last = Some(row.to_vec());
        Ok(Step::Stop)
    })?;
    let walk = u8::try_from(walk).expect("there are few walks");
    let next = match last {
        Some(last) => [&[walk], following(last).as_slice()].concat(),
        None => vec![walk + 1],
    };
    let ended = usize::from(next[0]) >= WALKS.len();
    Ok((found, (!ended).then_some(next)))
}
