//! Stores when versions of INTELLIGENT_TIERING were last read, from what is noted in memory beside the read path.
//!
//! One batch stores the accesses of many versions, each under its key's lock, so that none is stored of a version that
//! is gone. A version in a tier that an access leads out of is woken in the same batch. What a crash takes away counts
//! as not read; what somebody else's lock keeps from being stored is noted again, for the next time.

use std::sync::Arc;
use std::time::Duration;

use crate::access::Access;
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::index::key::DueKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::locks::KeyLocks;
use crate::object::StorageClass;
use crate::store::Inner;
use crate::tiering::Tier;
use crate::worker::budget::ROW_BYTES;
use crate::worker::{Next, Rounds};

/// How often accesses are stored.
const EVERY: Duration = Duration::from_secs(60);
/// Accesses that are stored in one batch.
const ACCESSES_PER_BATCH: usize = 500;
/// Rows that storing one access reads or changes, about.
const ROWS_PER_ACCESS: u64 = 2;

/// Stores accesses every so often, until the store is closed or gone; at least four times a day.
pub(crate) fn spawn(inner: &Arc<Inner>) {
    let every = EVERY.min(inner.calendar.day() / 4).max(Duration::from_millis(10));
    Rounds { name: "the storing of accesses", first: every, every }
        .spawn(Arc::downgrade(inner), |inner| async move { flush(&inner).await.map(|()| Next::Later) });
}

/// Stores what was noted so far.
pub(crate) async fn flush(inner: &Arc<Inner>) -> Result<()> {
    // What was noted stays noted while commits are refused, as on a full disk.
    inner.index.commit(Batch::new()).await?;
    let accesses = inner.accesses.drain();
    for some in accesses.chunks(ACCESSES_PER_BATCH) {
        inner.check_writable()?;
        inner.budget.spend(some.len() as u64 * ROWS_PER_ACCESS * ROW_BYTES).await;
        let (inner_there, some) = (Arc::clone(inner), some.to_vec());
        let batch = blocking(move || gather(&inner_there, some)).await??;
        inner.index.commit(batch).await?;
    }
    Ok(())
}

/// Blocking.
fn gather(inner: &Inner, accesses: Vec<Access>) -> Result<Batch> {
    let (rows, now) = (inner.index.rows(), inner.clock.now());
    let (mut batch, mut keys) = (Batch::new(), KeyLocks::default());
    for access in accesses {
        let Access { bucket, key, stamp, last, .. } = access;
        if !inner.locks.try_key(&mut keys, bucket, key.as_str()) {
            inner.accesses.record(bucket, &key, stamp, last);
            continue;
        }
        let row = key::version(bucket, key.as_str(), stamp);
        let record = match rows.record::<VersionRecord>(Family::Version, &row) {
            Ok(record) => record,
            // The others' accesses count all the same.
            Err(error @ Error::Corrupt { .. }) => {
                tracing::error!(%error, bucket, key = key.as_str(), "the version that was read cannot be looked up");
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some(object) = record.and_then(|record| record.object) else { continue };
        if object.residence.class != StorageClass::IntelligentTiering {
            continue;
        }
        batch.put(Family::Access, stamp.to_bytes().to_vec(), &last);
        if object.residence.tier != Tier::Frequent {
            batch.put_due(DueKind::Version, now, bucket, &key, stamp);
        }
    }
    for guard in keys.into_guards() {
        batch.hold(guard);
    }
    Ok(batch)
}
