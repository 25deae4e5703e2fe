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

/// Does some pages, one bucket after the other. Whether there is more to do at once.
pub(super) async fn some(inner: &Arc<Inner>) -> Result<bool> {
    let progress = &inner.due.reindex;
    let mut skip = None;
    for _ in 0..PAGES_MAX {
        inner.check_writable()?;
        let page = {
            let inner = Arc::clone(inner);
            blocking(move || page(&inner, skip)).await??
        };
        let (bucket, batch, rows) = match page {
            Page::None => return Ok(false),
            Page::Busy(bucket) => {
                skip = Some(bucket);
                continue;
            }
            Page::Some { bucket, batch, rows } => (bucket, batch, rows),
        };
        progress.begin();
        inner.budget.spend((rows + 1) * ROWS_PER_TIMER * ROW_BYTES).await;
        let outcome = inner.index.commit(batch).await;
        progress.end(inner.clock.now());
        if let Err(error) = outcome {
            progress.fail(inner.clock.now(), &error);
            return Err(error);
        }
        progress.add(rows, rows * ROWS_PER_TIMER * ROW_BYTES);
        tracing::debug!(bucket, rows, "timers were set anew");
    }
    Ok(true)
}

/// What there is to do next.
enum Page {
    None,
    /// Somebody changes this bucket right now.
    Busy(u64),
    Some {
        bucket: u64,
        batch: Batch,
        rows: u64,
    },
}

/// Gathers the next page of the first bucket after `skip`. Blocking.
fn page(inner: &Inner, skip: Option<u64>) -> Result<Page> {
    let rows = inner.index.rows();
    let first = skip.map_or_else(Vec::new, key::bucket_end);
    let Some((row, _)) = rows.first(Family::Reindex, &first, &[])? else { return Ok(Page::None) };
    let id = row.as_slice().try_into().map_err(|_| key::corrupt("reindex row", &row))?;
    let bucket = u64::from_be_bytes(id);
    let Some(name) = bucket_name(&rows, bucket)? else {
        let mut batch = Batch::new();
        forget(bucket, &mut batch);
        return Ok(Page::Some { bucket, batch, rows: 0 });
    };
    let Some(guard) = inner.locks.try_bucket_shared(name.as_str()) else { return Ok(Page::Busy(bucket)) };
    // Read again, now that no change of rules can come between.
    let Some(cursor) = rows.get(Family::Reindex, &row)? else { return Ok(Page::Busy(bucket)) };
    let now = inner.clock.now();
    let (found, next) = read(&rows, bucket, &cursor)?;
    let mut evaluator = Evaluator::new(inner, now);
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
    Ok(Page::Some { bucket, batch, rows: count })
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
