//! What is done in stories: drawn from all that writes to a store, and done to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use strata_storage::{
    BucketChange, CompleteUpload, CompletedPart, ConfigurationFilter, CopyStage, DeleteCondition, DeleteObject,
    Destination, Error, EventKinds, Filter, FilterForm, Lifecycle, NewBucket, NewUpload, NotificationRule, PutObject,
    Replication, ReplicationForm, ReplicationRule, RestoreRequest, RestoreSpeed, Rule, Staged, Status, StorageClass,
    Tag, TaskOutcome, Transition, TransitionMinimum, UploadId, VersionSelector, Versioning, VersionsQuery, When, Work,
    WriteCondition,
};

use crate::machine::{bucket, content, key};
use crate::shown::tasks;
use crate::story::Teller;
use crate::taken::Taken;

/// Keys; the first letter decides what the lifecycle rules do with them.
pub const KEYS: [&str; 6] = ["cool/1", "cool/2", "cold/1", "hot/1", "hot/2", "hot/3"];
const SIZES: [usize; 6] = [0, 100, 4096, 4097, 70_000, 200_000];
/// More than what is written in groups.
const LARGEST: usize = 1_300_000;
const TARGET: &str = "arn:strata:events:::target";

/// An open upload: its key and the bytes of its parts.
pub type Uploads = BTreeMap<u128, (&'static str, UploadId, BTreeMap<u16, (CompletedPart, Vec<u8>)>)>;

/// Something that is done.
#[derive(Debug, Clone)]
pub enum Deed {
    CreateBucket,
    /// Turns versioning on, or suspends it, which a bucket that replicates refuses.
    SetVersioning(Versioning),
    Notify,
    Replicate,
    SetLifecycle,
    Put {
        key: &'static str,
        bytes: usize,
        seed: u64,
    },
    PutIfAbsent {
        key: &'static str,
        bytes: usize,
        seed: u64,
    },
    /// Several at once, to different keys.
    PutAll {
        bytes: usize,
        seed: u64,
    },
    Delete {
        key: &'static str,
    },
    DeleteOldest {
        key: &'static str,
    },
    Copy {
        from: &'static str,
        to: &'static str,
    },
    SetTags {
        key: &'static str,
        value: u64,
    },
    Restore {
        key: &'static str,
    },
    CreateUpload {
        key: &'static str,
    },
    PutPart {
        number: u16,
        bytes: usize,
        seed: u64,
    },
    Complete,
    Abort,
    /// Ends tasks that wait: one of replication, or all of events.
    Deliver,
    Take(Taken),
    Days(u32),
    Settle,
    Collect,
    Checkpoint,
    Reopen {
        closes: bool,
    },
}

impl Deed {
    /// Whether it happens as a whole or not at all.
    pub fn is_whole(&self) -> bool {
        !matches!(self, Deed::PutAll { .. } | Deed::Days(_) | Deed::Settle | Deed::Collect)
    }
}

/// The deed of that number; the first ones set the stage.
pub fn draw(number: usize, teller: &mut Teller) -> Deed {
    let copied = teller.copied;
    let draws = &mut teller.draws;
    let key = KEYS[draws.random_range(0..KEYS.len())];
    // The largest is rare: it costs most.
    let bytes = if draws.random_range(0..25) == 0 { LARGEST } else { SIZES[draws.random_range(0..SIZES.len())] };
    // Few seeds, so that contents come again and chunks are shared.
    let seed = draws.random_range(0..4);
    match (number, draws.random_range(0..100)) {
        (0, _) => Deed::CreateBucket,
        (1, _) => Deed::SetVersioning(Versioning::Enabled),
        (2, _) => Deed::Notify,
        (3, _) => Deed::SetLifecycle,
        // Half of the stories replicate; the others may suspend versioning.
        (4, 0..50) => Deed::Replicate,
        (_, 0..21) => Deed::Put { key, bytes, seed },
        (_, 21..23) => {
            Deed::SetVersioning(if draws.random_bool(0.5) { Versioning::Enabled } else { Versioning::Suspended })
        }
        (_, 23..28) => Deed::Take(crate::taken::draw(draws, bytes)),
        (_, 28..31) => Deed::PutIfAbsent { key, bytes, seed },
        (_, 31..37) => Deed::PutAll { bytes, seed },
        (_, 37..43) => Deed::Delete { key },
        (_, 43..50) => Deed::DeleteOldest { key },
        (_, 50..54) => Deed::Copy { from: key, to: KEYS[draws.random_range(0..KEYS.len())] },
        (_, 54..57) => Deed::SetTags { key, value: seed },
        (_, 57..59) => Deed::Restore { key },
        (_, 59..62) => Deed::CreateUpload { key },
        (_, 62..69) => Deed::PutPart { number: draws.random_range(1..4), bytes, seed },
        (_, 69..73) => Deed::Complete,
        (_, 73..75) => Deed::Abort,
        (_, 75..78) => Deed::Deliver,
        (_, 78..82) => Deed::Days(draws.random_range(1..40)),
        (_, 82..87) => Deed::Settle,
        (_, 87..92) => Deed::Collect,
        (_, 92..95) if !copied => Deed::Checkpoint,
        (_, _) => Deed::Reopen { closes: draws.random_bool(0.5) },
    }
}

impl Teller {
    /// Does it. What the store refuses for good reasons, as there being no such version, is no fault.
    pub async fn act(&mut self, deed: &Deed, root: &Path) {
        match deed.clone() {
            Deed::CreateBucket => {
                self.store().create_bucket(&bucket(), NewBucket::default()).await.expect("a new bucket");
            }
            Deed::SetVersioning(state) => {
                let change = BucketChange::Versioning(state);
                allowed(self.store().change_bucket(&bucket(), change).await);
            }
            Deed::Notify => self.change(notifications()).await,
            Deed::Replicate => self.change(replication()).await,
            Deed::SetLifecycle => self.change(BucketChange::Lifecycle(Some(lifecycle()))).await,
            Deed::Put { key, bytes, seed } => self.put(&[key], bytes, seed, WriteCondition::None).await,
            Deed::PutIfAbsent { key, bytes, seed } => self.put(&[key], bytes, seed, WriteCondition::IfAbsent).await,
            Deed::PutAll { bytes, seed } => self.put(&KEYS, bytes, seed, WriteCondition::None).await,
            Deed::Delete { key } => self.delete(key, None).await,
            Deed::DeleteOldest { key } => self.delete_oldest(key).await,
            Deed::Copy { from, to } => self.copy(from, to).await,
            Deed::SetTags { key: name, value } => {
                let tags = vec![Tag { key: "tag".to_owned(), value: value.to_string() }];
                allowed(self.store().set_tags(&bucket(), &key(name), VersionSelector::Current, tags).await.map(drop));
            }
            Deed::Restore { key: name } => {
                let (version, days, speed) = (VersionSelector::Current, Some(300), Some(RestoreSpeed::Standard));
                let request = RestoreRequest { bucket: bucket(), key: key(name), version, days, speed };
                allowed(self.store().restore(request).await.map(drop));
            }
            Deed::CreateUpload { .. } | Deed::PutPart { .. } | Deed::Complete | Deed::Abort => self.upload(deed).await,
            Deed::Deliver => self.deliver().await,
            Deed::Take(taken) => self.take(&taken).await,
            Deed::Days(days) => {
                self.clock.advance(Duration::from_secs(u64::from(days) * 86_400));
                self.store().evaluate().await.expect("evaluation succeeds");
            }
            Deed::Settle => drop(self.store().settle().await.expect("settling succeeds")),
            Deed::Collect => drop(self.store().collect().await.expect("collection succeeds")),
            Deed::Checkpoint => self.copy_store(root).await,
            Deed::Reopen { closes } => self.reopen(root, closes).await,
        }
    }

    async fn change(&self, change: BucketChange) {
        self.store().change_bucket(&bucket(), change).await.expect("the bucket can be changed");
    }

    async fn put(&mut self, keys: &[&'static str], bytes: usize, seed: u64, condition: WriteCondition) {
        let bytes: Vec<_> = (0..keys.len() as u64).map(|extra| content(seed + extra % 2, bytes)).collect();
        let write = |(name, bytes): (&&'static str, &Vec<u8>)| {
            let (store, name, bytes, condition) = (self.store().clone(), *name, bytes.clone(), condition.clone());
            tokio::spawn(async move {
                let staged = store.stage_bytes(bytes).await.expect("bytes are staged");
                store.put(PutObject { condition, ..PutObject::new(bucket(), key(name), staged) }).await
            })
        };
        let writes: Vec<_> = keys.iter().zip(&bytes).map(write).collect();
        for (write, bytes) in writes.into_iter().zip(bytes) {
            match write.await.expect("it does not panic") {
                Ok(written) => drop(self.contents.insert(written.etag.to_string(), Arc::new(bytes))),
                Err(error) => allowed(Err(error)),
            }
        }
    }

    async fn delete(&self, name: &str, version: Option<strata_storage::VersionId>) {
        let (condition, governance) = (DeleteCondition::None, Default::default());
        let request = DeleteObject { bucket: bucket(), key: key(name), version, condition, governance };
        self.store().delete(request).await.expect("deleting succeeds");
    }

    async fn delete_oldest(&self, name: &str) {
        let query = VersionsQuery { max: 1000, prefix: name.to_owned(), ..VersionsQuery::default() };
        let page = self.store().list_versions(&bucket(), query).await.expect("the listing succeeds");
        if let Some(oldest) = page.entries.last() {
            self.delete(name, Some(oldest.version_id)).await;
        }
    }

    async fn copy(&self, from: &str, to: &str) {
        let source = match self.store().object(&bucket(), &key(from), VersionSelector::Current).await {
            Ok(source) => source,
            Err(error) => return allowed(Err(error)),
        };
        match self.store().stage_copy(&source, CopyStage::default()).await {
            Ok(staged) => {
                let request = PutObject::new(bucket(), key(to), staged);
                self.store().put(request).await.expect("it is stored");
            }
            Err(error) => allowed(Err(error)),
        }
    }

    async fn upload(&mut self, deed: &Deed) {
        if let Deed::CreateUpload { key: name } = deed {
            let id = self.store().create_upload(&bucket(), &key(name), NewUpload::default()).await;
            let number = self.uploads.last_key_value().map_or(0, |(number, _)| number + 1);
            self.uploads.insert(number, (name, id.expect("an upload begins"), BTreeMap::new()));
            return;
        }
        if let Deed::PutPart { number, bytes, seed } = deed {
            let bytes = content(*seed, (*bytes).max(1));
            let staged = self.store().stage_bytes(bytes.clone()).await.expect("bytes are staged");
            return self.put_part(*number, bytes, staged).await;
        }
        let Some((_, (name, id, parts))) = self.uploads.pop_first() else { return };
        match deed {
            Deed::Complete if !parts.is_empty() => self.complete(name, id, &parts).await,
            _ => allowed(self.store().abort_upload(&bucket(), &key(name), id).await),
        }
    }

    /// Makes staged bytes a part of the oldest upload.
    pub async fn put_part(&mut self, part: u16, bytes: Vec<u8>, staged: Staged) {
        let Some((number, (name, id, mut parts))) = self.uploads.pop_first() else { return };
        match self.store().put_part(&bucket(), &key(name), id, part, staged, None).await {
            Ok(made) => {
                let listed = CompletedPart { number: part, etag: made.etag.to_string(), checksum: None };
                parts.insert(part, (listed, bytes));
                self.uploads.insert(number, (name, id, parts));
            }
            Err(error) => allowed(Err(error)),
        }
    }

    async fn complete(&mut self, name: &str, id: UploadId, parts: &BTreeMap<u16, (CompletedPart, Vec<u8>)>) {
        let request = CompleteUpload {
            bucket: bucket(),
            key: key(name),
            id,
            parts: parts.values().map(|(part, _)| part.clone()).collect(),
            size: None,
            checksum: None,
            condition: WriteCondition::None,
            replica: None,
        };
        match self.store().complete_upload(request).await {
            Ok(done) => {
                let bytes = parts.values().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
                self.contents.insert(done.etag.to_string(), Arc::new(bytes));
            }
            Err(error) => allowed(Err(error)),
        }
    }

    async fn deliver(&self) {
        let tasks = tasks(self.store()).await.expect("tasks can be read");
        let Some((queue, first)) = tasks.last().cloned() else { return };
        let id = queue.id();
        let ended = match first.work {
            Work::Replicate(_) => self.store().end_replication(id, first, TaskOutcome::Done).await,
            Work::Event(_) => {
                let of_queue = tasks.into_iter().filter(|(name, _)| *name == queue);
                let ended = of_queue.map(|(_, task)| (task, TaskOutcome::Done)).collect();
                self.store().end_events(id, ended).await
            }
        };
        ended.expect("tasks can be ended");
    }
}

/// Lets pass what a store may well refuse.
pub fn allowed(outcome: Result<(), Error>) {
    match outcome {
        Ok(()) | Err(Error::BucketState(_)) => {}
        Err(Error::NotFound(_) | Error::DeleteMarker { .. } | Error::Precondition) => {}
        Err(Error::Archived { .. } | Error::NotArchived { .. } | Error::RestoreInProgress) => {}
        Err(error) => panic!("{error}"),
    }
}

fn notifications() -> BucketChange {
    let rule = NotificationRule {
        id: "all".to_owned(),
        target: TARGET.to_owned(),
        kinds: EventKinds::all(),
        prefix: String::new(),
        suffix: String::new(),
    };
    BucketChange::Notifications { rules: vec![rule], document: None }
}

/// Sends what is `hot/` elsewhere; what waits to be sent is left alone by the lifecycle rules.
fn replication() -> BucketChange {
    let rule = ReplicationRule {
        id: "hot".to_owned(),
        form: ReplicationForm::Filter,
        priority: 1,
        enabled: true,
        filter: ConfigurationFilter { prefix: Some("hot/".to_owned()), tags: Vec::new() },
        kms_encrypted: None,
        replica_modifications: Some(true),
        delete_markers: Some(true),
        existing_objects: None,
        destination: Destination {
            bucket: "arn:aws:s3:::there".to_owned(),
            account: None,
            class: None,
            owner_override: false,
            kms_key: None,
            time_control: None,
            metrics: None,
        },
    };
    BucketChange::Replication(Some(Replication { role: "role".to_owned(), rules: vec![rule] }))
}

/// Moves what is `cool/` after 10 days, and what is `cold/` after 20.
fn lifecycle() -> Lifecycle {
    let rule = |prefix: &str, days, class| Rule {
        id: prefix.to_owned(),
        status: Status::Enabled,
        filter: Filter {
            prefix: Some(prefix.to_owned()),
            tags: Vec::new(),
            size_over: None,
            size_under: None,
            form: FilterForm::Single,
        },
        transitions: vec![Transition { when: When::Days(days), class }],
        expiration: None,
        noncurrent_transitions: Vec::new(),
        noncurrent_expiration: None,
        abort_days: Some(30),
    };
    let rules = vec![rule("cool/", 10, StorageClass::StandardIa), rule("cold/", 20, StorageClass::Glacier)];
    Lifecycle { rules, minimum: TransitionMinimum::AllStorageClasses128K }
}
