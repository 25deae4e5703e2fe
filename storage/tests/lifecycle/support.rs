//! What the tests share: a store whose clock is moved by days, and short forms of rules.

use std::sync::Arc;

use crate::entropy::entropy;
use strata_storage::{
    BucketChange, BucketName, DeleteObject, Evaluated, Expiration, Filter, FilterForm, Lifecycle, ManualClock,
    NewBucket, NoncurrentExpiration, NoncurrentTransition, ObjectKey, OpenObject, OpenOptions, PutObject, Result, Rule,
    Status, StorageClass, Store, Tag, Timestamp, Transition, TransitionMinimum, VersionEntry, VersionId,
    VersionSelector, Versioning, VersionsQuery, When, Written,
};
use tempfile::TempDir;

/// The day 0 of the tests, in days since 1970.
const BEGIN: u64 = 20_000;
const DAY: u64 = 86_400;
/// The least size that is monitored, and that transitions by itself.
pub const LARGE: usize = 128 << 10;

pub struct Fixture {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
}

/// The time of day at which the tests write: 10:30.
pub fn morning(day: u64) -> Timestamp {
    Timestamp::from_secs((BEGIN + day) * DAY + 37_800)
}

pub fn midnight(day: u64) -> Timestamp {
    Timestamp::from_secs((BEGIN + day) * DAY)
}

pub fn options(directory: &TempDir, clock: &Arc<ManualClock>) -> OpenOptions {
    let mut options = OpenOptions::new(directory.path());
    options.clock = Arc::clone(clock) as Arc<dyn strata_storage::Clock>;
    options.entropy = entropy();
    options.segment_bytes = 4 << 20;
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    options.collect_every = None;
    options.evaluate_every = None;
    options
}

impl Fixture {
    /// A store with one bucket, on day 0.
    pub async fn new(versioning: Versioning) -> Fixture {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(ManualClock::new(morning(0)));
        let store = Store::open(options(&directory, &clock)).await.expect("a new store opens");
        store.create_bucket(&bucket(), NewBucket::default()).await.expect("a new bucket can be made");
        let fixture = Fixture { directory, clock, store };
        fixture.set_versioning(versioning).await;
        fixture
    }

    /// As [`Fixture::new`], with rules.
    pub async fn with(versioning: Versioning, rules: &[Rule]) -> Fixture {
        let fixture = Fixture::new(versioning).await;
        fixture.set_rules(rules).await;
        fixture.store.evaluate().await.expect("the rules are heard of");
        fixture
    }

    pub async fn set_versioning(&self, versioning: Versioning) {
        if versioning != Versioning::Unversioned {
            let change = BucketChange::Versioning(versioning);
            self.store.change_bucket(&bucket(), change).await.expect("it is versioned");
        }
    }

    pub async fn set_rules(&self, rules: &[Rule]) {
        let lifecycle = Lifecycle { rules: rules.to_vec(), minimum: TransitionMinimum::default() };
        let lifecycle = Some(lifecycle).filter(|lifecycle| !lifecycle.rules.is_empty());
        self.store.change_bucket(&bucket(), BucketChange::Lifecycle(lifecycle)).await.expect("the rules are set");
    }

    pub async fn reopen(self) -> Fixture {
        let Fixture { directory, clock, store } = self;
        store.close().await.expect("it closes");
        drop(store);
        let store = Store::open(options(&directory, &clock)).await.expect("it opens again");
        Fixture { directory, clock, store }
    }

    /// What is done when that day begins.
    pub async fn on(&self, day: u64) -> Evaluated {
        self.clock.set(midnight(day));
        self.store.evaluate().await.expect("what is due is done")
    }

    /// Writes an object at 10:30.
    pub async fn put(&self, day: u64, name: &str, size: usize) -> Written {
        self.put_as(day, name, size, StorageClass::Standard, &[]).await
    }

    pub async fn put_as(
        &self,
        day: u64,
        name: &str,
        size: usize,
        class: StorageClass,
        pairs: &[(&str, &str)],
    ) -> Written {
        self.clock.set(morning(day));
        let staged = self.store.stage_bytes(vec![7_u8; size]).await.expect("it is staged");
        let mut request = PutObject::new(bucket(), key(name), staged);
        request.class = class;
        request.tags = tags(pairs);
        self.store.put(request).await.expect("it is put")
    }

    /// Deletes without a version id, at 10:30.
    pub async fn delete(&self, day: u64, name: &str) {
        self.clock.set(morning(day));
        self.remove(name, None).await;
    }

    pub async fn remove(&self, name: &str, version: Option<VersionId>) {
        let request = DeleteObject {
            bucket: bucket(),
            key: key(name),
            version,
            condition: Default::default(),
            governance: Default::default(),
        };
        self.store.delete(request).await.expect("it is deleted");
    }

    pub async fn open(&self, name: &str) -> Result<OpenObject> {
        self.store.object(&bucket(), &key(name), VersionSelector::Current).await
    }

    /// Reads the current object, as a client would.
    pub async fn read(&self, name: &str) -> usize {
        let object = self.open(name).await.expect("it is there");
        object.read(0..object.info().size).collect().await.expect("it is whole").len()
    }

    /// The versions, newest first.
    pub async fn entries(&self) -> Vec<VersionEntry> {
        let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
        self.store.list_versions(&bucket(), query).await.expect("a list").entries
    }

    /// The versions as text, newest first: key, class or "marker", and "null" if that is the id.
    pub async fn versions(&self) -> Vec<String> {
        let text = |entry: VersionEntry| {
            let what = entry.object.map_or("marker", |object| object.class.name());
            let null = if entry.version_id == VersionId::Null { " null" } else { "" };
            format!("{} {what}{null}", entry.key)
        };
        self.entries().await.into_iter().map(text).collect()
    }
}

pub fn bucket() -> BucketName {
    BucketName::parse("bucket").expect("a valid name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

pub fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    pairs.iter().map(|(key, value)| Tag { key: key.to_string(), value: value.to_string() }).collect()
}

/// A rule in force for everything, without actions.
pub fn rule() -> Rule {
    let filter = Filter { prefix: None, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty };
    Rule {
        id: "rule".to_owned(),
        status: Status::Enabled,
        filter,
        transitions: vec![],
        expiration: None,
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    }
}

pub fn expire(days: u32) -> Rule {
    Rule { expiration: Some(Expiration::When(When::Days(days))), ..rule() }
}

pub fn expire_markers() -> Rule {
    Rule { expiration: Some(Expiration::DeleteMarker), ..rule() }
}

pub fn transition(steps: &[(u32, StorageClass)]) -> Rule {
    let transitions = steps.iter().map(|&(days, class)| Transition { when: When::Days(days), class }).collect();
    Rule { transitions, ..rule() }
}

pub fn expire_noncurrent(days: u32, newer: Option<u32>) -> Rule {
    Rule { noncurrent_expiration: Some(NoncurrentExpiration { days, newer }), ..rule() }
}

pub fn transition_noncurrent(days: u32, class: StorageClass, newer: Option<u32>) -> Rule {
    Rule { noncurrent_transitions: vec![NoncurrentTransition { days, class, newer }], ..rule() }
}

/// The rule for keys that begin like that.
pub fn under(prefix: &str, rule: Rule) -> Rule {
    let filter = Filter { prefix: Some(prefix.to_owned()), ..rule.filter };
    Rule { filter, ..rule }
}

/// The rule for objects with that tag.
pub fn tagged(key: &str, value: &str, rule: Rule) -> Rule {
    let filter = Filter { tags: tags(&[(key, value)]), ..rule.filter };
    Rule { filter, ..rule }
}

pub fn done(expired: u64, markers: u64, removed: u64) -> Evaluated {
    Evaluated { expired, markers, removed, ..Evaluated::default() }
}
