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

/// What becomes of a task.
enum Fate {
    Ended(Task, TaskOutcome),
    TakenUp { aside: AsideTask, drop_it: bool },
}

impl Fate {
    fn work(&self) -> &Work {
        match self {
            Fate::Ended(task, _) => &task.work,
            Fate::TakenUp { aside, .. } => &aside.task.work,
        }
    }

    /// Changes the counts in the version's record.
    fn count(&self, state: &mut ReplicationState) {
        match self {
            Fate::Ended(..) => state.pending = state.pending.saturating_sub(1),
            Fate::TakenUp { .. } => state.failed = state.failed.saturating_sub(1),
        }
        match self {
            Fate::Ended(_, TaskOutcome::Done) => {}
            Fate::Ended(_, TaskOutcome::PutAside { .. }) => state.failed = state.failed.saturating_add(1),
            Fate::TakenUp { drop_it: false, .. } => state.pending = state.pending.saturating_add(1),
            Fate::Ended(_, TaskOutcome::Dropped | TaskOutcome::Moved { .. }) | Fate::TakenUp { drop_it: true, .. } => {
                state.give_up();
            }
        }
    }
}

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
        self.commit_replicating(queue, Fate::Ended(task, outcome)).await.map(drop)
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

    /// Makes a task that was put aside wait again, behind all others, or forgets it if `drop_it`. `Ok(false)` if it is not put
    /// aside any more.
    pub async fn retry_replication(&self, queue: QueueId, aside: AsideTask, drop_it: bool) -> Result<bool> {
        self.commit_replicating(queue, Fate::TakenUp { aside, drop_it }).await
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

    /// Commits what becomes of a task, and with it the counts in the version's record. `Ok(false)` if it was put aside, and is
    /// not any more.
    async fn commit_replicating(&self, queue: QueueId, fate: Fate) -> Result<bool> {
        let Work::Replicate(replicate) = fate.work().clone() else { return Ok(false) };
        let inner = &self.inner;
        let mut batch = Batch::making_room();
        let place = self.bucket_by_id(replicate.bucket).await?.zip(ObjectKey::parse(&replicate.key).ok());
        if let Some((bucket, key)) = &place {
            batch.hold(inner.locks.bucket_shared(&bucket.name).await);
            batch.hold(inner.locks.key(bucket.id, key.as_str()).await);
        }
        if let Fate::TakenUp { aside, .. } = &fate {
            let row = key::task(queue, TaskState::Aside, aside.task.stamp);
            if inner.index.get(Family::Task, row).await?.is_none() {
                return Ok(false);
            }
        }
        if let Some((bucket, key)) = &place {
            self.count_in_version(bucket, key, (queue, &fate, &replicate), &mut batch).await?;
            if let Fate::Ended(_, TaskOutcome::PutAside { reason, .. }) = &fate {
                let failure = Some(reason.clone());
                self.announce_replication(bucket, EventKind::ReplicationFailed, &replicate, failure, &mut batch);
            }
        }
        match fate {
            Fate::Ended(task, outcome) => inner.end_task(queue, task, outcome, &mut batch),
            Fate::TakenUp { aside, drop_it } => inner.take_up(queue, aside, drop_it, &mut batch),
        }
        inner.index.commit(batch).await?;
        Ok(true)
    }

    /// Adds to `batch` what a task's fate changes in its version's record. What arrived in a queue needs nothing of what was put
    /// aside there for the same: an object arrives with all that was changed of it.
    async fn count_in_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        (queue, fate, replicate): (QueueId, &Fate, &Replicate),
        batch: &mut Batch,
    ) -> Result<()> {
        let inner = &self.inner;
        let row = key::version(bucket.id, key.as_str(), replicate.version);
        let record = inner.index.record::<VersionRecord>(Family::Version, row.clone()).await?;
        let Some(mut record) = record else { return Ok(()) };
        if let Some(object) = &mut record.object {
            fate.count(&mut object.replication);
        }
        let may_be_aside = record.object.as_ref().is_none_or(|object| object.replication.failed > 0);
        if may_be_aside && matches!(fate, Fate::Ended(_, TaskOutcome::Done)) {
            for aside in self.tasks_aside_of(queue, key, replicate.version_id()).await? {
                let Work::Replicate(other) = &aside.task.work else { continue };
                let has_arrived = replicate.part == ReplicatedPart::Object || replicate.part == other.part;
                if other.version != replicate.version || !has_arrived {
                    continue;
                }
                inner.take_up(queue, aside, true, batch);
                if let Some(object) = &mut record.object {
                    object.replication.failed = object.replication.failed.saturating_sub(1);
                }
            }
        }
        if record.object.as_ref().is_some_and(|object| !object.replication.is_under_way()) {
            // Rules left it alone until now.
            inner.wake(bucket, key, replicate.version, batch);
        }
        batch.put(Family::Version, row, &record);
        Ok(())
    }
}
