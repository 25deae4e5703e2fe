//! One version to be settled, and what came of those that were: done, left, put off, or given up.

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::index::key::{self, DueKind};
use crate::index::record::{ObjectRecord, VersionRecord};
use crate::index::{Batch, Family};
use crate::lost::may_be_lost;
use crate::residence::Restore;
use crate::residence_change::VersionName;
use crate::store::Inner;
use crate::worker::evaluator::bucket_name;
use crate::worker::settle::POSTPONED;

/// A version to be settled, as it was when it was found.
pub(super) struct Job {
    pub(super) kind: DueKind,
    pub(super) name: VersionName,
    /// The due rows that ask for it.
    pub(super) rows: Vec<Vec<u8>>,
    pub(super) object: ObjectRecord,
}

impl Job {
    /// Whether its restore is to end if that error is in its way: bytes that are damaged were so when it was tried
    /// before, which its row tells, and no zone that is lost may have them.
    pub(super) fn is_hopeless(&self, inner: &Inner, error: &Error) -> bool {
        let Some(Restore::Ongoing { ready, .. }) = self.object.residence.restore else { return false };
        let was_put_off = |row: &Vec<u8>| key::split_due(row).is_some_and(|row| row.at > ready);
        let is_restore = self.kind == DueKind::Restore && self.rows.iter().any(was_put_off);
        is_restore && matches!(error, Error::Corrupt { .. }) && !inner.has_lost_zone()
    }
}

/// What came of some jobs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Versions that were changed, and are where they belong.
    pub(super) settled: u64,
    /// Due rows that are gone.
    pub(super) dealt: u64,
    /// Versions that are to be looked at again.
    pub(super) left: u64,
    /// What was read and written, in bytes.
    pub(super) bytes: u64,
    /// Why the disk took no more.
    pub(super) refused: Option<Error>,
    /// Versions whose bytes are damaged.
    pub(super) damaged: Vec<VersionName>,
}

impl Tally {
    /// Adds to `batch` that nothing is left to do for a job.
    pub(super) fn done(&mut self, job: &Job, batch: &mut Batch) {
        job.rows.iter().for_each(|row| batch.delete(Family::Due, row.clone()));
        self.dealt += job.rows.len() as u64;
    }

    /// Adds to `batch` that a job is put off, because its version cannot be read.
    pub(super) async fn postpone(&mut self, inner: &Inner, job: &Job, error: &Error, batch: &mut Batch) -> Result<()> {
        self.tell(inner, job, error, "a version cannot be brought to where it belongs; it is put off").await?;
        let now = inner.clock.now();
        self.done(job, batch);
        batch.put_raw(Family::Due, job.name.due(job.kind, now.plus(POSTPONED)), Vec::new());
        if may_be_lost(job.object.residence.class) {
            self.damaged.push(job.name.clone());
        }
        Ok(())
    }

    /// Adds to `batch` that the restore of a job ends without a copy, because its bytes are damaged. The caller holds the
    /// key's lock and has read the record under it.
    pub(super) async fn give_up(
        &mut self,
        inner: &Inner,
        job: &Job,
        record: VersionRecord,
        error: &Error,
        batch: &mut Batch,
    ) -> Result<()> {
        self.tell(inner, job, error, "the bytes of an archived version are damaged; its restore ends without a copy")
            .await?;
        self.done(job, batch);
        inner.end_restore(&job.name, record, batch).await
    }

    /// Tells of a version that cannot be read.
    async fn tell(&self, inner: &Inner, job: &Job, error: &Error, what: &str) -> Result<()> {
        let VersionName { bucket, key, .. } = &job.name;
        let id = *bucket;
        let bucket = inner.index.read(move |rows| bucket_name(rows, id)).await?;
        let bucket = bucket.map_or_else(|| id.to_string(), |name| name.as_str().to_owned());
        if inner.mover.told.take(Instant::now()) {
            tracing::error!(%error, bucket, key, "{what}");
        }
        let error = format!("bucket {bucket}, key {key}: {what}: {error}");
        inner.mover.progress(job.kind).fail(inner.clock.now(), &error);
        Ok(())
    }

    /// Tells of what turned out to be damaged. The caller holds no locks any more.
    pub(super) async fn tell_lost(&self, inner: &Inner) {
        for name in &self.damaged {
            inner.tell_lost(name).await;
        }
    }
}
