//! The meter's rows in the index: written every minute, and read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::error::{Entity, Error, Result};
use crate::index::{Batch, Family, Step, key};
use crate::meter::notes::Shard;
use crate::meter::{Activity, BucketActivity, Meter, MeterKey, Metered, Month};
use crate::name::BucketName;
use crate::object::StorageClass;
use crate::store::{Inner, Store};
use crate::worker::{Next, Rounds};

/// How often the meter is written out.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Rows that one batch of a flush changes.
const ROWS_PER_BATCH: usize = 1000;

/// What the numbers of a bucket's requests count.
const KINDS: [Metered; 3] = [Metered::Writes, Metered::Reads, Metered::RetrievedBytes];

/// What was metered in a month, by the bucket's id and class.
type Sums = BTreeMap<(u64, StorageClass), Activity>;

/// Writes the meter out every minute, until the store is closed or gone.
pub(crate) fn spawn(inner: Weak<Inner>) {
    Rounds { name: "the storing of counted requests", first: FLUSH_EVERY, every: FLUSH_EVERY }
        .spawn(inner, |inner| async move { flush(&inner).await.map(|()| Next::Later) });
}

/// Adds all that was noted to the index.
///
/// A bucket that is being changed keeps its counts for the next flush; those of a bucket that is gone are forgotten.
/// The shared locks travel with the batch, so that no row is left behind by a bucket that is removed meanwhile.
pub(crate) async fn flush(inner: &Arc<Inner>) -> Result<()> {
    let _flushing = inner.meter.flushing.lock().await;
    // What was noted stays noted while commits are refused, as on a full disk.
    inner.index.commit(Batch::new()).await?;
    let store = Store::of(Arc::clone(inner));
    let Shard { requests, counters } = inner.meter.take();
    let month = Month::of(inner.clock.now());
    let mut batch = Batch::new();
    for (name, requests) in requests {
        let Some(guard) = inner.locks.try_bucket_shared(name.as_str()) else {
            inner.meter.put_back(&name, &requests);
            continue;
        };
        let bucket = match store.bucket(&name).await {
            Ok(bucket) => bucket.id,
            Err(Error::NotFound(Entity::Bucket)) => continue,
            Err(error) => return Err(error),
        };
        batch.hold(guard);
        for class in StorageClass::ALL {
            for (metered, count) in KINDS.into_iter().zip(requests[class as usize]) {
                batch.meter(MeterKey { bucket, month, class, metered }, count);
            }
        }
        commit_full(inner, &mut batch).await?;
    }
    let mut by_bucket: BTreeMap<u64, Vec<(StorageClass, Metered, u64)>> = BTreeMap::new();
    for ((bucket, class, metered), count) in counters {
        by_bucket.entry(bucket).or_default().push((class, metered, count));
    }
    for (bucket, counts) in by_bucket {
        let Some(name) = store.bucket_name(bucket).await? else { continue };
        let Some(guard) = inner.locks.try_bucket_shared(name.as_str()) else {
            counts.iter().for_each(|&(class, metered, count)| inner.meter.add(bucket, class, metered, count));
            continue;
        };
        // Only under the lock is it certain that the bucket is still the one of that name.
        if store.bucket_name(bucket).await?.is_none() {
            continue;
        }
        batch.hold(guard);
        for (class, metered, count) in counts {
            batch.meter(MeterKey { bucket, month, class, metered }, count);
        }
        commit_full(inner, &mut batch).await?;
    }
    if batch.changes.is_empty() { Ok(()) } else { inner.index.commit(batch).await }
}

fn add(sums: &mut Sums, bucket: u64, class: StorageClass, metered: Metered, count: u64) {
    if count > 0 {
        *sums.entry((bucket, class)).or_default().counter(metered) += i64::try_from(count).unwrap_or(i64::MAX);
    }
}

/// Commits a batch that has become large, and begins the next.
async fn commit_full(inner: &Inner, batch: &mut Batch) -> Result<()> {
    if batch.changes.len() < ROWS_PER_BATCH { Ok(()) } else { inner.index.commit(std::mem::take(batch)).await }
}

impl Store {
    /// What was noted and not stored yet.
    async fn noted(&self, wanted: Option<&BucketName>) -> Result<Sums> {
        let Shard { requests, counters } = self.inner.meter.noted();
        let mut sums = Sums::new();
        for (name, requests) in requests {
            if wanted.is_some_and(|wanted| *wanted != name) {
                continue;
            }
            let bucket = match self.bucket(&name).await {
                Ok(bucket) => bucket.id,
                Err(Error::NotFound(Entity::Bucket)) => continue,
                Err(error) => return Err(error),
            };
            for class in StorageClass::ALL {
                for (metered, count) in KINDS.into_iter().zip(requests[class as usize]) {
                    add(&mut sums, bucket, class, metered, count);
                }
            }
        }
        let wanted = match wanted {
            Some(name) => Some(self.bucket(name).await?.id),
            None => None,
        };
        for ((bucket, class, metered), count) in counters {
            if wanted.is_none_or(|wanted| wanted == bucket) {
                add(&mut sums, bucket, class, metered, count);
            }
        }
        Ok(sums)
    }

    /// Where what has a price is noted.
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// What was metered in a month, in one bucket or in all, by bucket and class. What was noted a moment ago is
    /// among it, whether or not there is room to store it. `Err(NotFound(Bucket))` if the bucket named is not there.
    pub async fn activity(&self, bucket: Option<&BucketName>, month: Month) -> Result<Vec<BucketActivity>> {
        match flush(&self.inner).await {
            // To ask needs no room.
            Ok(()) | Err(Error::NoSpace { .. } | Error::Poisoned | Error::Closed) => {}
            Err(error) => return Err(error),
        }
        let (from, to) = self.counter_rows(bucket).await?;
        // While it is held nothing goes from what is noted to the rows.
        let _flushing = self.inner.meter.flushing.lock().await;
        let mut sums = if month == Month::of(self.inner.clock.now()) { self.noted(bucket).await? } else { Sums::new() };
        let sums = self.inner.index.read(move |rows| {
            rows.scan(Family::Meter, &from, &to, |row, value| {
                let found = key::split_meter(row).ok_or_else(|| key::corrupt("meter row", row))?;
                if found.month == month {
                    let [count] = key::counters(value).ok_or_else(|| key::corrupt("meter row", row))?;
                    *sums.entry((found.bucket, found.class)).or_default().counter(found.metered) += count;
                }
                Ok(Step::Next)
            })?;
            Ok(sums)
        });
        let mut found = Vec::new();
        for ((id, class), activity) in sums.await? {
            if let Some(bucket) = self.bucket_name(id).await? {
                found.push(BucketActivity { bucket, class, activity });
            }
        }
        Ok(found)
    }
}
