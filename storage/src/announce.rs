//! What follows from a change elsewhere: events for those whom the bucket's notification rules name, versions for those
//! buckets that its replication rules name. Everything that changes versions says so here, in the batch of the change.
//!
//! A bucket without such rules pays for two looks at empty lists.

use crate::bucket::{Bucket, BucketRules};
use crate::error::Result;
use crate::event::{Event, EventDetails, EventKind};
use crate::index::record::ObjectRecord;
use crate::index::{Batch, Family, Rows};
use crate::object::ETag;
use crate::protection::Encryption;
use crate::queue::{QueueName, Replicate, ReplicatedPart, Work};
use crate::replication::{Candidate, ReplicationRule};
use crate::stamp::{Stamp, VersionId};
use crate::store::{AskedBy, Inner};

/// Something that happened to a version.
#[derive(Clone)]
pub(crate) struct Happening<'a> {
    pub(crate) kind: EventKind,
    pub(crate) key: &'a str,
    /// The version, and whether its id is `null`.
    pub(crate) version: (Stamp, bool),
    /// Size and entity tag, where events tell them.
    pub(crate) object: Option<(u64, ETag)>,
    pub(crate) asked: Option<&'a AskedBy>,
    pub(crate) details: EventDetails,
}

impl<'a> Happening<'a> {
    /// Of what is no object, or none any more, by nobody's request.
    pub(crate) fn new(kind: EventKind, key: &'a str, version: (Stamp, bool)) -> Happening<'a> {
        Happening { kind, key, version, object: None, asked: None, details: EventDetails::None }
    }

    /// The same of an object that is there.
    pub(crate) fn of(self, object: &ObjectRecord) -> Happening<'a> {
        Happening { object: Some((object.size, object.etag)), ..self }
    }

    /// The same by somebody's request.
    pub(crate) fn asked(self, asked: Option<&'a AskedBy>) -> Happening<'a> {
        Happening { asked, ..self }
    }

    /// The same with more to say.
    pub(crate) fn details(self, details: EventDetails) -> Happening<'a> {
        Happening { details, ..self }
    }
}

impl Inner {
    /// Adds to `batch` the events that tell of it.
    pub(crate) fn announce(&self, bucket: &Bucket, happening: &Happening<'_>, batch: &mut Batch) {
        for rule in bucket.notifications.iter().filter(|rule| rule.wants(happening.kind, happening.key)) {
            let event = self.event(bucket, happening, &rule.id);
            let queue = QueueName::Events { target: rule.target.clone() };
            self.enqueue(queue.id(), Work::Event(Box::new(event)), batch);
        }
        if self.listeners.are_there() {
            self.listeners.keep(self.event(bucket, happening, ""), &mut batch.untold);
        }
    }

    fn event(&self, bucket: &Bucket, happening: &Happening<'_>, configuration: &str) -> Event {
        let (stamp, null) = happening.version;
        let version_id = if null { VersionId::Null } else { VersionId::Stamp(stamp) };
        Event {
            kind: happening.kind,
            time: self.clock.now(),
            bucket: bucket.name.clone(),
            owner: bucket.owner,
            key: happening.key.to_owned(),
            size: happening.object.map(|(size, _)| size),
            etag: happening.object.map(|(_, etag)| etag),
            version_id: bucket.was_versioned().then_some(version_id),
            configuration: configuration.to_owned(),
            asked: happening.asked.map(|asked| asked()),
            details: happening.details.clone(),
            moved: None,
        }
    }

    /// As [`Inner::announce`], for work that knows its bucket by the id. Returns the bucket, if it is there.
    pub(crate) async fn announce_in(
        &self,
        bucket: u64,
        happening: &Happening<'_>,
        batch: &mut Batch,
    ) -> Result<Option<Bucket>> {
        let bucket = self.index.read(move |rows| bucket_by_id(rows, bucket)).await?;
        if let Some(bucket) = &bucket {
            self.announce(bucket, happening, batch);
        }
        Ok(bucket)
    }

    /// Adds to `batch` the tasks that bring a new object to other buckets, and counts them in its record.
    pub(crate) fn replicate_object(
        &self,
        bucket: &Bucket,
        key: &str,
        (version, null): (Stamp, bool),
        object: &mut ObjectRecord,
        batch: &mut Batch,
    ) {
        let Some(replication) = &bucket.replication else { return };
        let rules = replication.applying(candidate(key, object));
        for rule in &rules {
            let task = Task { key, version, null, part: ReplicatedPart::Object, bytes: object.size };
            self.replicate(bucket, rule, &task, batch);
        }
        object.replication.count(rules.len());
    }

    /// Adds to `batch` the tasks that bring a new delete marker to other buckets.
    pub(crate) fn replicate_marker(&self, bucket: &Bucket, key: &str, version: Stamp, null: bool, batch: &mut Batch) {
        let Some(replication) = &bucket.replication else { return };
        for rule in replication.for_marker(key) {
            let task = Task { key, version, null, part: ReplicatedPart::Marker, bytes: 0 };
            self.replicate(bucket, rule, &task, batch);
        }
    }

    /// Adds to `batch` the tasks that bring changed tags, access control lists and locks to where the version is already,
    /// and counts them in its record. Those of replicas travel only by rules that say so.
    pub(crate) fn replicate_changes(
        &self,
        bucket: &Bucket,
        key: &str,
        (version, null): (Stamp, bool),
        object: &mut ObjectRecord,
        batch: &mut Batch,
    ) {
        let Some(replication) = &bucket.replication else { return };
        let state = object.replication;
        let travels = |rule: &&ReplicationRule| match state.replica {
            true => rule.replica_modifications == Some(true),
            false => state.sent,
        };
        let rules: Vec<_> = replication.applying(candidate(key, object)).into_iter().filter(travels).collect();
        for rule in &rules {
            let task = Task { key, version, null, part: ReplicatedPart::Changes, bytes: 0 };
            self.replicate(bucket, rule, &task, batch);
        }
        object.replication.count(rules.len());
    }

    fn replicate(&self, bucket: &Bucket, rule: &ReplicationRule, task: &Task<'_>, batch: &mut Batch) {
        let work = Work::Replicate(Replicate {
            bucket: bucket.id,
            key: task.key.to_owned(),
            version: task.version,
            null: task.null,
            part: task.part,
            rule: rule.id.clone(),
            bytes: task.bytes,
            requested: self.clock.now(),
        });
        let queue = QueueName::Replication { bucket: bucket.id, destination: rule.destination.bucket.clone() };
        self.enqueue(queue.id(), work, batch);
    }
}

/// What is to be replicated, but for the rule.
struct Task<'a> {
    key: &'a str,
    version: Stamp,
    null: bool,
    part: ReplicatedPart,
    bytes: u64,
}

/// The bucket of that id, as committed; `None` if it is gone. Blocking.
pub(crate) fn bucket_by_id(rows: &Rows<'_>, id: u64) -> Result<Option<Bucket>> {
    let Some(name) = rows.get(Family::BucketName, &id.to_be_bytes())? else { return Ok(None) };
    let Some(mut bucket) = rows.record::<Bucket>(Family::Bucket, &name)? else { return Ok(None) };
    if let Some(rules) = rows.record::<BucketRules>(Family::BucketRules, &id.to_be_bytes())? {
        rules.put_into(&mut bucket);
    }
    Ok((bucket.id == id).then_some(bucket))
}

fn candidate<'a>(key: &'a str, object: &'a ObjectRecord) -> Candidate<'a> {
    let kms_encrypted = matches!(object.protection.encryption, Encryption::Kms(_));
    Candidate { key, tags: &object.tags, kms_encrypted }
}
