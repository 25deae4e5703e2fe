//! Random histories under rules, and what must hold of the index after each: counters, pointers and timers agree with
//! the versions, and no version that has something due was forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bucket::{BucketChange, NewBucket, Versioning};
use crate::clock::{ManualClock, SeededEntropy};
use crate::delete::DeleteObject;
use crate::index::key::{self, DueKind};
use crate::index::record::{CurrentRecord, Record as _, VersionRecord};
use crate::index::{Family, Rows, Step};
use crate::lifecycle::{
    Expiration, Filter, FilterForm, Lifecycle, NoncurrentExpiration, NoncurrentTransition, Rule, Status, Transition,
    TransitionMinimum, When,
};
use crate::multipart::NewUpload;
use crate::multipart_complete::{CompleteUpload, CompletedPart};
use crate::name::{BucketName, ObjectKey};
use crate::object::{StorageClass, Tag, VersionSelector};
use crate::put::PutObject;
use crate::stamp::{Stamp, Timestamp, UploadId, VersionId};
use crate::store::{OpenOptions, Store};
use crate::usage::{Usage, marker_key};
use crate::worker::Evaluated;

const DAY: u64 = 86_400;

struct World {
    _directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
    bucket: BucketName,
    state: u64,
    uploads: Vec<(ObjectKey, UploadId)>,
}

/// One rule of every kind, each about small objects too.
fn rules() -> Lifecycle {
    let rule = |id: &str, prefix: &str| Rule {
        id: id.to_owned(),
        status: Status::Enabled,
        filter: Filter {
            prefix: Some(prefix.to_owned()),
            tags: vec![],
            size_over: Some(0),
            size_under: None,
            form: FilterForm::And,
        },
        transitions: vec![],
        expiration: None,
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    };
    let glacier = Transition { when: When::Days(2), class: StorageClass::Glacier };
    let deep = NoncurrentTransition { days: 1, class: StorageClass::DeepArchive, newer: Some(1) };
    let mut tagged = rule("tagged", "");
    tagged.filter.tags = vec![Tag { key: "t".into(), value: "1".into() }];
    let mut markers = rule("markers", "");
    markers.filter.size_over = None;
    let rules = vec![
        Rule { transitions: vec![glacier], ..rule("glacier", "a") },
        Rule { noncurrent_transitions: vec![deep], ..rule("deep", "") },
        Rule { noncurrent_expiration: Some(NoncurrentExpiration { days: 3, newer: Some(2) }), ..rule("kept", "b") },
        Rule { noncurrent_expiration: Some(NoncurrentExpiration { days: 9, newer: None }), ..rule("gone", "") },
        Rule { expiration: Some(Expiration::When(When::Days(5))), ..rule("end", "c") },
        Rule { expiration: Some(Expiration::When(When::Days(4))), ..tagged },
        Rule { expiration: Some(Expiration::DeleteMarker), abort_days: Some(3), ..markers },
    ];
    Lifecycle { rules, minimum: TransitionMinimum::default() }
}

impl World {
    async fn new(seed: u64, versioning: Versioning) -> World {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(20_000 * DAY + 7)));
        let mut options = OpenOptions::new(directory.path().join("data"));
        options.clock = clock.clone();
        options.entropy = Arc::new(SeededEntropy::new(seed));
        options.part_bytes_min = 1;
        (options.collect_every, options.evaluate_every) = (None, None);
        let store = Store::open(options).await.unwrap();
        let bucket = BucketName::parse("bucket").unwrap();
        store.create_bucket(&bucket, NewBucket::default()).await.unwrap();
        let world = World { _directory: directory, clock, store, bucket, state: seed | 1, uploads: Vec::new() };
        world.set_rules().await;
        if versioning != Versioning::Unversioned {
            world.set_versioning(Versioning::Enabled).await;
        }
        world.set_versioning(versioning).await;
        world
    }

    fn next(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 20) % below
    }

    async fn set_rules(&self) {
        self.store.change_bucket(&self.bucket, BucketChange::Lifecycle(Some(rules()))).await.unwrap();
    }

    async fn set_versioning(&self, versioning: Versioning) {
        if versioning != Versioning::Unversioned {
            self.store.change_bucket(&self.bucket, BucketChange::Versioning(versioning)).await.unwrap();
        }
    }

    fn key(&mut self) -> ObjectKey {
        ObjectKey::parse(["a", "b", "c", "bc"][self.next(4) as usize]).unwrap()
    }

    /// The versions of the bucket.
    fn versions(&self) -> Vec<(String, Stamp, VersionRecord)> {
        let mut found = Vec::new();
        let visit = |row: &[u8], value: &[u8]| {
            let (key, stamp) = key::split_version(row).unwrap();
            found.push((key, stamp, VersionRecord::decode(value)?));
            Ok(Step::Next)
        };
        self.store.inner.index.rows().scan(Family::Version, &[], &[], visit).unwrap();
        found
    }

    async fn act(&mut self) {
        let (bucket, key) = (self.bucket.clone(), self.key());
        match self.next(12) {
            0..4 => {
                let staged = self.store.stage_bytes(vec![1_u8; 10]).await.unwrap();
                let tags = (0..self.next(2)).map(|_| Tag { key: "t".into(), value: "1".into() }).collect();
                self.store.put(PutObject { tags, ..PutObject::new(bucket, key, staged) }).await.unwrap();
            }
            4 => self.remove(key, None).await,
            5 => {
                let versions = self.versions();
                if !versions.is_empty() {
                    let (key, stamp, record) = &versions[self.next(versions.len() as u64) as usize];
                    let id = if record.null { VersionId::Null } else { VersionId::Stamp(*stamp) };
                    self.remove(ObjectKey::parse(key).unwrap(), Some(id)).await;
                }
            }
            6 => {
                let tags = vec![Tag { key: "t".into(), value: self.next(2).to_string() }];
                // There may be nothing to tag.
                let _ = self.store.set_tags(&bucket, &key, VersionSelector::Current, tags).await;
            }
            7 => {
                let id = self.store.create_upload(&bucket, &key, NewUpload::default()).await.unwrap();
                self.uploads.push((key, id));
            }
            8 => self.complete().await,
            _ => {
                let secs = self.next(2 * DAY);
                self.clock.advance(std::time::Duration::from_secs(secs));
                self.store.evaluate().await.unwrap();
            }
        }
    }

    async fn remove(&self, key: ObjectKey, version: Option<VersionId>) {
        let bucket = self.bucket.clone();
        self.store
            .delete(DeleteObject {
                bucket,
                key,
                version,
                condition: Default::default(),
                governance: Default::default(),
            })
            .await
            .unwrap();
    }

    async fn complete(&mut self) {
        let Some((key, id)) = self.uploads.pop() else { return };
        let bucket = self.bucket.clone();
        let staged = self.store.stage_bytes(vec![2_u8; 20]).await.unwrap();
        // It may have been aborted.
        let Ok(part) = self.store.put_part(&bucket, &key, id, 1, staged, None).await else { return };
        let parts = vec![CompletedPart { number: 1, etag: part.etag.to_string(), checksum: None }];
        let condition = Default::default();
        let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
        self.store.complete_upload(request).await.unwrap();
    }

    /// What must hold at any time.
    fn check(&self, bucket: u64) {
        let (rows, versions) = (self.store.inner.index.rows(), self.versions());
        let mut expected = BTreeMap::<_, [i64; Usage::FIELDS]>::new();
        let mut newest = BTreeMap::new();
        for (key, stamp, record) in &versions {
            newest.entry(key).or_insert((*stamp, record));
            let (counted, usage) = match &record.object {
                Some(object) => object.usage(bucket),
                None => (marker_key(bucket), Usage::marker(key)),
            };
            let sums = expected.entry(counted).or_default();
            sums.iter_mut().zip(usage.to_array()).for_each(|(sum, number)| *sum += number);
            if let Some(due) = record.due {
                let row = key::due(DueKind::Version, due, bucket, key, *stamp);
                assert!(rows.get(Family::Due, &row).unwrap().is_some(), "{key} has a timer without a row");
            }
        }
        expected.retain(|_, sums| *sums != [0; Usage::FIELDS]);
        assert_eq!(usage(&rows), expected.into_iter().map(|(at, sums)| (key::usage(at), sums)).collect());
        for (key, (stamp, record)) in newest {
            let row = key::object(bucket, key);
            let expected = record.object.as_ref().map(|object| CurrentRecord::of(stamp, record.null, object));
            assert_eq!(rows.record::<CurrentRecord>(Family::Current, &row).unwrap(), expected, "{key}");
            let null = versions.iter().find(|(other, _, record)| other == key && record.null).map(|found| found.1);
            let named = rows.record::<Stamp>(Family::Null, &row).unwrap();
            let is_current = expected.is_some_and(|current| current.null);
            assert_eq!(named, null.filter(|_| !is_current), "{key}");
        }
    }

    /// Every timer that should be there is: setting all of them anew makes nothing due.
    async fn check_timers(&self) {
        // What waits because something was done on the same day is done.
        let mut quiet = 0;
        while quiet < 2 {
            self.clock.advance(std::time::Duration::from_secs(DAY));
            let done = self.store.evaluate().await.unwrap();
            quiet = if done == Evaluated::default() { quiet + 1 } else { 0 };
        }
        self.set_rules().await;
        assert_eq!(self.store.evaluate().await.unwrap(), Evaluated::default());
    }
}

fn usage(rows: &Rows<'_>) -> BTreeMap<Vec<u8>, [i64; Usage::FIELDS]> {
    let mut found = BTreeMap::new();
    let visit = |row: &[u8], value: &[u8]| {
        let numbers = value.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect::<Vec<_>>();
        found.insert(row.to_vec(), numbers.try_into().unwrap());
        Ok(Step::Next)
    };
    rows.scan(Family::Usage, &[], &[], visit).unwrap();
    found.retain(|_, sums| *sums != [0; Usage::FIELDS]);
    found
}

#[tokio::test]
async fn random_histories() {
    for seed in 1..=3_u64 {
        for versioning in [Versioning::Unversioned, Versioning::Enabled, Versioning::Suspended] {
            let mut world = World::new(seed * 7919, versioning).await;
            let bucket = world.store.bucket(&world.bucket).await.unwrap().id;
            for step in 0..120 {
                world.act().await;
                if versioning != Versioning::Unversioned && step % 40 == 39 {
                    let state = [Versioning::Enabled, Versioning::Suspended][world.next(2) as usize];
                    world.set_versioning(state).await;
                }
                world.check(bucket);
            }
            world.check_timers().await;
            world.check(bucket);
        }
    }
}
