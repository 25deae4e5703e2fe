//! Tasks of replication: they end, are put aside, taken up and made anew together with the counts in the version's record,
//! under its key's lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::announce::Happening;
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::event::{EventDetails, EventKind, ReplicationDetails};
use crate::index::record::{Record as _, VersionRecord};
use crate::index::{Batch, Family, Step, key};
use crate::name::{BucketName, ObjectKey};
use crate::queue::{
    AsideTask, QueueId, QueueName, Replicate, ReplicatedPart, Task, TaskOutcome, TaskState, UploadedRecord, Work,
};
use crate::replication::{ReplicationRule, ReplicationState};
use crate::stamp::{Stamp, VersionId};
use crate::store::Store;

impl Replicate {
    /// What events call the operation.
    fn operation(&self) -> &'static str {
        match self.part {
            ReplicatedPart::Object => "OBJECT_PUT",
            ReplicatedPart::Marker => "OBJECT_DELETE",
            ReplicatedPart::Changes => "OBJECT_TAGGING",
        }
    }
}

/// A change of the counts in a version's record.
type Counting = fn(&mut ReplicationState);

impl Store {
    /// The bucket of that id with its name; `None` if it is gone. Tasks know buckets by their ids.
    pub async fn bucket_by_id(&self, id: u64) -> Result<Option<Arc<Bucket>>> {
        let Some(name) = self.bucket_name(id).await? else { return Ok(None) };
        match self.bucket(&name).await {
            Ok(bucket) => Ok(Some(bucket).filter(|bucket| bucket.id == id)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends a task of replication, which must have come from [`Store::tasks`] and not have been ended before. The version's
    /// status changes with it, and what failed is told to those who want events of it.
    pub async fn end_replication(&self, queue: QueueId, task: Task, outcome: TaskOutcome) -> Result<()> {
        let counting: Counting = match outcome {
            TaskOutcome::Done | TaskOutcome::Dropped | TaskOutcome::Moved { .. } => {
                |state| state.pending = state.pending.saturating_sub(1)
            }
            TaskOutcome::PutAside { .. } => |state| {
                state.pending = state.pending.saturating_sub(1);
                state.failed = state.failed.saturating_add(1);
            },
        };
        let failure = match &outcome {
            TaskOutcome::PutAside { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        let Work::Replicate(replicate) = &task.work else { return Ok(()) };
        let replicate = replicate.clone();
        let mut batch = Batch::making_room();
        self.inner.end_task(queue, task, outcome, &mut batch);
        self.commit_replicating(&replicate, counting, failure, batch).await
    }

    /// Keeps the id of the upload that a waiting task has begun at its destination, until the task ends: after a restart it
    /// goes on with that. `Ok` means that the id survives a power cut.
    pub async fn keep_upload(&self, queue: QueueId, task: Stamp, id: &str) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(Family::Task, key::task(queue, TaskState::Uploaded, task), &UploadedRecord { id: id.to_owned() });
        self.inner.index.commit(batch).await
    }

    /// The ids of uploads that were kept, by the stamps of their tasks: as many as were on their way at once.
    pub async fn kept_uploads(&self, queue: QueueId) -> Result<BTreeMap<Stamp, String>> {
        self.inner
            .index
            .read(move |rows| {
                let (prefix, mut found) = (key::tasks(queue, TaskState::Uploaded), BTreeMap::new());
                rows.scan(Family::Task, &prefix, &key::after_prefix(prefix.clone()), |row, value| {
                    let stamp = row.last_chunk::<16>().ok_or_else(|| key::corrupt("task row", row))?;
                    found.insert(Stamp::from_bytes(*stamp), UploadedRecord::decode(value)?.id);
                    Ok(Step::Next)
                })?;
                Ok(found)
            })
            .await
    }

    /// Makes a task that was put aside wait again, behind all others, or forgets it if `drop_it`.
    pub async fn retry_replication(&self, queue: QueueId, aside: AsideTask, drop_it: bool) -> Result<()> {
        let Work::Replicate(replicate) = &aside.task.work else { return Ok(()) };
        let replicate = replicate.clone();
        let counting: Counting = match drop_it {
            true => |state| state.failed = state.failed.saturating_sub(1),
            false => |state| {
                state.failed = state.failed.saturating_sub(1);
                state.pending = state.pending.saturating_add(1);
            },
        };
        let mut batch = Batch::making_room();
        self.inner.take_up(queue, aside, drop_it, &mut batch);
        self.commit_replicating(&replicate, counting, None, batch).await
    }

    /// Asks for a version to be sent by a rule, whatever was sent before and whatever the rule's filter says: how existing
    /// objects are replicated. `Ok(false)` if it is gone.
    pub async fn ask_replication(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionId,
        rule: &ReplicationRule,
    ) -> Result<bool> {
        let mut batch = Batch::new();
        batch.hold(self.inner.locks.bucket_shared(bucket.as_str()).await);
        let bucket = self.bucket(bucket).await?;
        batch.hold(self.inner.locks.key(bucket.id, key.as_str()).await);
        let newest = self.inner.newest(&bucket, key).await?;
        let Some(stamp) = self.inner.resolve(&bucket, key, version, newest.as_ref()).await? else { return Ok(false) };
        let row = key::version(bucket.id, key.as_str(), stamp);
        let Some(mut record) = self.inner.index.record::<VersionRecord>(Family::Version, row.clone()).await? else {
            return Ok(false);
        };
        let (part, bytes) = match &mut record.object {
            Some(object) => {
                object.replication.count(1);
                (ReplicatedPart::Object, object.size)
            }
            None => (ReplicatedPart::Marker, 0),
        };
        let work = Work::Replicate(Replicate {
            bucket: bucket.id,
            key: key.as_str().to_owned(),
            version: stamp,
            null: record.null,
            part,
            rule: rule.id.clone(),
            bytes,
            requested: self.inner.clock.now(),
        });
        let queue = QueueName::Replication { bucket: bucket.id, destination: rule.destination.bucket.clone() };
        self.inner.enqueue(queue.id(), work, &mut batch);
        batch.put(Family::Version, row, &record);
        self.inner.index.commit(batch).await?;
        Ok(true)
    }

    /// Says an event of replication to those who want it.
    pub async fn tell_replication(
        &self,
        kind: EventKind,
        replicate: &Replicate,
        failure: Option<String>,
    ) -> Result<()> {
        let Some(bucket) = self.bucket_by_id(replicate.bucket).await? else { return Ok(()) };
        let mut batch = Batch::new();
        self.announce_replication(&bucket, kind, replicate, failure, &mut batch);
        self.inner.index.commit(batch).await
    }

    fn announce_replication(
        &self,
        bucket: &Bucket,
        kind: EventKind,
        replicate: &Replicate,
        failure: Option<String>,
        batch: &mut Batch,
    ) {
        let rule = bucket.replication.as_ref().and_then(|replication| replication.rule(&replicate.rule));
        let details = ReplicationDetails {
            rule: replicate.rule.clone(),
            destination: rule.map(|rule| rule.destination.bucket.clone()).unwrap_or_default(),
            operation: replicate.operation().to_owned(),
            requested: replicate.requested,
            failure,
        };
        let happening = Happening::new(kind, &replicate.key, (replicate.version, replicate.null));
        self.inner.announce(bucket, &happening.details(EventDetails::Replication(details)), batch);
    }

    /// Commits what changes a task, and with it the counts in the version's record.
    async fn commit_replicating(
        &self,
        replicate: &Replicate,
        counting: Counting,
        failure: Option<String>,
        mut batch: Batch,
    ) -> Result<()> {
        let inner = &self.inner;
        let Some(bucket) = self.bucket_by_id(replicate.bucket).await? else { return inner.index.commit(batch).await };
        let Ok(key) = ObjectKey::parse(&replicate.key) else { return inner.index.commit(batch).await };
        batch.hold(inner.locks.bucket_shared(&bucket.name).await);
        batch.hold(inner.locks.key(bucket.id, key.as_str()).await);
        let row = key::version(bucket.id, key.as_str(), replicate.version);
        if let Some(mut record) = inner.index.record::<VersionRecord>(Family::Version, row.clone()).await? {
            if let Some(object) = &mut record.object {
                counting(&mut object.replication);
                if !object.replication.is_under_way() {
                    // Rules left it alone until now.
                    inner.wake(&bucket, &key, replicate.version, &mut batch);
                }
            }
            batch.put(Family::Version, row, &record);
        }
        if failure.is_some() {
            self.announce_replication(&bucket, EventKind::ReplicationFailed, replicate, failure, &mut batch);
        }
        inner.index.commit(batch).await
    }
}
