//! A store with a bucket that replicates, and a sender without a network.

use std::path::Path;
use std::sync::Arc;

use strata_storage::{
    Bucket, BucketChange, BucketName, Clock, ConfigurationFilter, DeleteCondition, DeleteObject, Destination, Error,
    Governance, ManualClock, NewBucket, ObjectKey, OpenOptions, PutObject, QueueName, Replica, ReplicaChanges,
    Replicate, ReplicatedPart, Replication, ReplicationForm, ReplicationRule, ReplicationStatus, SeededEntropy, Store,
    Tag, Task, TaskOutcome, Timestamp, VersionEntry, VersionSelector, Versioning, VersionsQuery, Work, Written,
};

pub const THERE: &str = "arn:aws:s3:::there";

pub struct Side {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub directory: tempfile::TempDir,
}

pub fn bucket() -> BucketName {
    BucketName::parse("photos").expect("a name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key")
}

pub fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned() }
}

pub fn rule(id: &str, destination: &str) -> ReplicationRule {
    ReplicationRule {
        id: id.to_owned(),
        form: ReplicationForm::Filter,
        priority: 1,
        enabled: true,
        filter: ConfigurationFilter::default(),
        kms_encrypted: None,
        replica_modifications: Some(true),
        delete_markers: Some(true),
        existing_objects: None,
        destination: Destination {
            bucket: destination.to_owned(),
            account: None,
            class: None,
            owner_override: false,
            kms_key: None,
            time_control: None,
            metrics: None,
        },
    }
}

async fn open(directory: &Path, clock: &Arc<ManualClock>, seed: u64) -> Store {
    let mut options = OpenOptions::new(directory);
    options.clock = Arc::clone(clock) as _;
    options.entropy = Arc::new(SeededEntropy::new(seed));
    (options.settle_every, options.collect_every, options.evaluate_every) = (None, None, None);
    Store::open(options).await.expect("a store")
}

impl Side {
    /// A store with a versioned bucket, at `seconds` by its own clock.
    pub async fn new(seed: u64, seconds: u64) -> Side {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(seconds)));
        let store = open(directory.path(), &clock, seed).await;
        store.create_bucket(&bucket(), NewBucket::default()).await.expect("a new bucket");
        store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Enabled)).await.expect("versioned");
        Side { store, clock, directory }
    }

    /// Closes the store and opens it again.
    pub async fn reopen(self) -> Side {
        let Side { store, clock, directory } = self;
        store.close().await.expect("closed");
        drop(store);
        let store = open(directory.path(), &clock, 2).await;
        Side { store, clock, directory }
    }

    pub async fn replicate(&self, rules: Vec<ReplicationRule>) {
        let replication = Replication { role: "role".to_owned(), rules };
        self.store.change_bucket(&bucket(), BucketChange::Replication(Some(replication))).await.expect("rules");
    }

    pub fn tick(&self) {
        self.clock.set(self.clock.now().plus(std::time::Duration::from_millis(1)));
    }

    pub async fn put(&self, name: &str, bytes: &str, tags: Vec<Tag>) -> Written {
        self.tick();
        let staged = self.store.stage_bytes(bytes.to_owned()).await.expect("staged");
        let put = PutObject { tags, ..PutObject::new(bucket(), key(name), staged) };
        self.store.put(put).await.expect("written")
    }

    pub async fn found(&self) -> Arc<Bucket> {
        self.store.bucket(&bucket()).await.expect("the bucket")
    }

    pub async fn queue(&self, destination: &str) -> QueueName {
        QueueName::Replication { bucket: self.found().await.id, destination: destination.to_owned() }
    }

    pub async fn tasks(&self, destination: &str) -> Vec<Task> {
        let queue = self.queue(destination).await;
        self.store.tasks(queue.id(), None, 1000).await.expect("tasks")
    }

    pub async fn end(&self, destination: &str, task: Task, outcome: TaskOutcome) {
        let queue = self.queue(destination).await;
        self.store.end_replication(queue.id(), task, outcome).await.expect("ended");
    }

    pub async fn status(&self, name: &str) -> Option<ReplicationStatus> {
        let object = self.store.object(&bucket(), &key(name), VersionSelector::Current).await.expect("the object");
        object.info().replication.status()
    }

    pub async fn versions(&self) -> Vec<VersionEntry> {
        let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
        let page = self.store.list_versions(&bucket(), query).await.expect("a page");
        page.entries
    }

    /// Makes a delete marker.
    pub async fn delete(&self, name: &str) {
        self.tick();
        let (condition, governance) = (DeleteCondition::None, Governance::Binding);
        let delete = DeleteObject { bucket: bucket(), key: key(name), version: None, condition, governance };
        self.store.delete(delete).await.expect("a marker");
    }

    /// Does all tasks to another store, in their order.
    pub async fn deliver_all(&self, to: &Side) {
        for task in self.tasks(THERE).await {
            let outcome = self.deliver(work(&task), to).await;
            self.end(THERE, task, outcome).await;
        }
    }

    /// Does a task to another store, as a sender would.
    pub async fn deliver(&self, replicate: &Replicate, to: &Side) -> TaskOutcome {
        let (name, id) = (key(&replicate.key), replicate.version_id());
        let (version, null) = (replicate.version, replicate.null);
        let done = match replicate.part {
            ReplicatedPart::Marker => {
                let replica = Replica { version, null, changes: Default::default(), imported: false };
                to.store.put_replica_marker(&bucket(), &name, replica).await.map(drop)
            }
            part => {
                let object = match self.store.object(&bucket(), &name, VersionSelector::Id(id)).await {
                    Ok(object) => object,
                    Err(Error::NotFound(_)) => return TaskOutcome::Dropped,
                    Err(error) => panic!("{error}"),
                };
                let info = object.info().clone();
                let changes = info.replication.changes;
                if part == ReplicatedPart::Changes {
                    let changes = ReplicaChanges {
                        tags: changes.tags.map(|at| (at, info.tags)),
                        acl: changes.acl.map(|at| (at, info.protection.owner.acl)),
                        lock: None,
                    };
                    to.store.change_replica(&bucket(), &name, id, changes).await.map(drop)
                } else {
                    let bytes = object.read(0..info.size).collect().await.expect("the bytes");
                    let staged = to.store.stage_bytes(bytes).await.expect("staged");
                    let replica = Some(Replica { version, null, changes, imported: false });
                    let put = PutObject { tags: info.tags, replica, ..PutObject::new(bucket(), name, staged) };
                    to.store.put(put).await.map(drop)
                }
            }
        };
        done.expect("the other store takes it");
        TaskOutcome::Done
    }
}

/// What a task of replication is about.
pub fn work(task: &Task) -> &Replicate {
    match &task.work {
        Work::Replicate(replicate) => replicate,
        Work::Event(_) => panic!("no event was asked for"),
    }
}
