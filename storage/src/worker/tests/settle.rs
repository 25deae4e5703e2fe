//! The mover between its steps: what a crash leaves, what others hold, what cannot be read.

use std::sync::Arc;
use std::time::Duration;

use super::super::settle_job::Job;
use super::super::settle_large::Large;
use crate::blob::Placement;
use crate::clock::ManualClock;
use crate::delete::DeleteObject;
use crate::error::Error;
use crate::index::key::DueKind;
use crate::index::record::{Body, ContentForm, ObjectRecord, Record, StoredBlob, VersionRecord};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::multipart::NewUpload;
use crate::multipart_complete::{CompleteUpload, CompletedPart};
use crate::name::{BucketName, ObjectKey};
use crate::object::{StorageClass, VersionSelector, WriteCondition};
use crate::pool::{Pool, PoolSet};
use crate::put::PutObject;
use crate::residence::{Residence, Restore, RestoreSpeed};
use crate::residence_change::VersionName;
use crate::restore::{RestoreOutcome, RestoreRequest};
use crate::stamp::Timestamp;
use crate::store::{OpenOptions, Store};
use crate::tiering::Tier;

struct Fixture {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
}

fn bucket() -> BucketName {
    BucketName::parse("photos").unwrap()
}

fn object_key() -> ObjectKey {
    ObjectKey::parse("photo").unwrap()
}

/// Compressible bytes.
fn content(seed: u8) -> Vec<u8> {
    (0..100_000_u32).map(|at| seed ^ (at >> 8) as u8).collect()
}

impl Fixture {
    async fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1000)));
        let store = Fixture::open(&directory, &clock).await;
        store.create_bucket(&bucket(), Default::default()).await.unwrap();
        Fixture { directory, clock, store }
    }

    async fn open(directory: &tempfile::TempDir, clock: &Arc<ManualClock>) -> Store {
        let mut options = OpenOptions::new(directory.path().join("data"));
        options.segment_bytes = 1 << 20;
        options.part_bytes_min = 1;
        (options.collect_every, options.settle_every) = (None, None);
        options.clock = Arc::clone(clock) as Arc<dyn crate::clock::Clock>;
        options.lifecycle_day = Duration::from_secs(100);
        Store::open(options).await.unwrap()
    }

    /// As after a crash: nothing is said to the store before it goes.
    async fn crash(self) -> Fixture {
        let Fixture { directory, clock, store } = self;
        drop(store);
        let store = Fixture::open(&directory, &clock).await;
        Fixture { directory, clock, store }
    }

    async fn put(&self, class: StorageClass, content: Vec<u8>) {
        let mut request = PutObject::new(bucket(), object_key(), self.store.stage_bytes(content).await.unwrap());
        request.class = class;
        self.store.put(request).await.unwrap();
    }

    /// Three parts, of which two are equal.
    async fn multipart(&self, class: StorageClass) -> Vec<u8> {
        let (bucket, key) = (bucket(), object_key());
        let new = NewUpload { class, ..NewUpload::default() };
        let id = self.store.create_upload(&bucket, &key, new).await.unwrap();
        let contents = [content(1), content(2), content(1)];
        let mut parts = Vec::new();
        for (number, content) in (1..).zip(&contents) {
            let staged = self.store.stage_bytes(content.clone()).await.unwrap();
            let part = self.store.put_part(&bucket, &key, id, number, staged, None).await.unwrap();
            parts.push(CompletedPart { number, etag: part.etag.to_string(), checksum: None });
        }
        let condition = WriteCondition::None;
        let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
        self.store.complete_upload(request).await.unwrap();
        contents.concat()
    }

    async fn read(&self) -> Vec<u8> {
        let object = self.store.object(&bucket(), &object_key(), VersionSelector::Current).await.unwrap();
        object.read(0..object.info().size).collect().await.unwrap().to_vec()
    }

    async fn name(&self) -> VersionName {
        let bucket = self.store.bucket(&bucket()).await.unwrap();
        let stamp = self.store.inner.newest(&bucket, &object_key()).await.unwrap().unwrap().stamp;
        VersionName { bucket: bucket.id, key: object_key().as_str().to_owned(), stamp }
    }

    async fn record(&self) -> VersionRecord {
        self.store.inner.index.record(Family::Version, self.name().await.row()).await.unwrap().unwrap()
    }

    async fn object(&self) -> ObjectRecord {
        self.record().await.object.unwrap()
    }

    /// The job that a due row makes.
    async fn job(&self) -> Job {
        let rows = self.rows(Family::Due).await;
        Job { kind: DueKind::Settle, name: self.name().await, rows, object: self.object().await }
    }

    async fn rows(&self, family: Family) -> Vec<Vec<u8>> {
        let read = move |rows: &Rows<'_>| {
            let mut found = Vec::new();
            rows.scan(family, &[], &[], |row, _| {
                found.push(row.to_vec());
                Ok(Step::Next)
            })?;
            Ok(found)
        };
        self.store.inner.index.read(read).await.unwrap()
    }

    /// Collects garbage and checks that what has a place is referred to, and the other way round.
    async fn audit(&self, expected: [usize; 4]) {
        for _ in 0..2 {
            self.store.collect().await.unwrap();
        }
        let blobs = self.rows(Family::Blob).await;
        let mut referred: Vec<Vec<u8>> =
            self.rows(Family::Reference).await.into_iter().map(|row| row[..33].to_vec()).collect();
        referred.dedup();
        assert_eq!(blobs, referred);
        assert_eq!(self.rows(Family::Placement).await.len(), blobs.len());
        let in_pool = |pool: Pool| blobs.iter().filter(|row| row[32] == pool.number()).count();
        assert_eq!(Pool::ALL.map(in_pool), expected, "{:?}", Pool::ALL);
    }

    async fn change(&self, residence: Residence) {
        let mut batch = Batch::new();
        let name = self.name().await;
        batch.put_raw(Family::Due, name.due(DueKind::Settle, self.store.inner.clock.now()), Vec::new());
        self.store.inner.put_residence(&name, self.record().await, residence, &mut batch).await.unwrap();
        self.store.inner.index.commit(batch).await.unwrap();
    }
}

/// How far a large version comes before the crash.
const STEPS: usize = 5;

async fn take_steps(large: &mut Large, steps: usize) {
    let outcome = async {
        for step in 0..steps {
            match step {
                0 => large.begin().await?,
                1 => _ = large.widen_all().await?,
                2 => large.flip().await?,
                3 => large.narrow_all(PoolSet::HOT).await?,
                _ => large.finish().await?,
            }
        }
        Ok::<_, super::super::settle_large::Stop>(())
    };
    assert!(outcome.await.is_ok());
}

#[tokio::test]
async fn a_crash_between_any_two_steps_of_a_large_version_is_made_good() {
    for steps in 0..=STEPS {
        let mut fixture = Fixture::new().await;
        let content = fixture.multipart(StorageClass::StandardIa).await;
        let mut large = Large::new(Arc::clone(&fixture.store.inner), fixture.job().await);
        take_steps(&mut large, steps).await;
        drop(large);
        fixture = fixture.crash().await;
        assert!(fixture.read().await == content, "after {steps} steps");
        let settled = fixture.store.settle().await.unwrap();
        assert_eq!(settled, u64::from(steps < STEPS), "after {steps} steps");
        assert!(fixture.read().await == content, "after {steps} steps");
        assert_eq!(fixture.object().await.residence.pools, PoolSet::of(Pool::Cool));
        assert!(fixture.rows(Family::Due).await.is_empty());
        fixture.audit([0, 2, 0, 0]).await;
    }
}

#[tokio::test]
async fn a_large_version_deleted_between_any_two_steps_leaves_nothing() {
    for steps in 0..=STEPS {
        let fixture = Fixture::new().await;
        fixture.multipart(StorageClass::StandardIa).await;
        let mut large = Large::new(Arc::clone(&fixture.store.inner), fixture.job().await);
        take_steps(&mut large, steps).await;
        let request = DeleteObject {
            bucket: bucket(),
            key: object_key(),
            version: None,
            condition: Default::default(),
            governance: Default::default(),
        };
        fixture.store.delete(request).await.unwrap();
        if steps < STEPS {
            assert!(large.begin().await.is_err(), "after {steps} steps");
        }
        drop(large);
        fixture.store.settle().await.unwrap();
        assert!(fixture.rows(Family::Due).await.is_empty());
        fixture.audit([0; 4]).await;
    }
}

#[tokio::test]
async fn a_version_that_changes_class_between_any_two_steps_goes_where_it_belongs_then() {
    for steps in 0..=STEPS {
        let fixture = Fixture::new().await;
        let content = fixture.multipart(StorageClass::StandardIa).await;
        let mut large = Large::new(Arc::clone(&fixture.store.inner), fixture.job().await);
        take_steps(&mut large, steps).await;
        let residence = fixture.object().await.residence;
        fixture.change(Residence { class: StorageClass::OnezoneIa, ..residence }).await;
        assert!(large.begin().await.is_err(), "after {steps} steps");
        drop(large);
        assert_eq!(fixture.store.settle().await.unwrap(), 1);
        assert!(fixture.read().await == content, "after {steps} steps");
        fixture.audit([0, 0, 2, 0]).await;
    }
}

#[tokio::test]
async fn what_somebody_relies_on_is_kept_until_they_are_done() {
    for parts in [false, true] {
        let fixture = Fixture::new().await;
        match parts {
            true => _ = fixture.multipart(StorageClass::StandardIa).await,
            false => fixture.put(StorageClass::StandardIa, content(1)).await,
        }
        let pinned = crate::blob::Blobs::hash(&content(1)).0;
        let pin = fixture.store.inner.pins.pin(pinned).await;
        fixture.store.settle().await.unwrap();
        let both = PoolSet::HOT.with(Pool::Cool);
        assert_eq!(fixture.object().await.residence.pools, both);
        let hot = key::stored_blob(&StoredBlob { id: pinned, pool: Pool::Hot });
        assert!(fixture.store.inner.index.get(Family::Blob, hot).await.unwrap().is_some());
        assert_eq!(fixture.rows(Family::Due).await.len(), 1);
        drop(pin);
        assert_eq!(fixture.store.settle().await.unwrap(), 1);
        assert!(fixture.rows(Family::Due).await.is_empty());
        fixture.audit(if parts { [0, 2, 0, 0] } else { [0, 1, 0, 0] }).await;
    }
}

#[tokio::test]
async fn the_stored_size_is_told_in_the_record_and_in_the_usage() {
    for parts in [false, true] {
        let fixture = Fixture::new().await;
        match parts {
            true => _ = fixture.multipart(StorageClass::Glacier).await,
            false => fixture.put(StorageClass::Glacier, content(1)).await,
        }
        let before = fixture.object().await;
        assert_eq!(before.residence.stored_bytes, before.size);
        fixture.store.settle().await.unwrap();
        let after = fixture.object().await;
        assert!(after.residence.stored_bytes < before.size / 10);
        let (counted, usage) = after.usage(fixture.name().await.bucket);
        let counters = fixture.store.inner.index.get(Family::Usage, key::usage(counted)).await.unwrap().unwrap();
        let counters: Vec<i64> =
            counters.chunks(8).map(|number| i64::from_le_bytes(number.try_into().unwrap())).collect();
        assert_eq!(counters, usage.to_array());
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_read_is_put_off_and_others_are_not() {
    let fixture = Fixture::new().await;
    fixture.put(StorageClass::StandardIa, content(1)).await;
    let Body::Single(damaged) = fixture.object().await.body else { panic!("it was written at once") };
    let ContentForm::Chunks(chunks) = damaged.form else { panic!("it is of chunks") };
    let row = key::stored_blob(&StoredBlob { id: chunks[0].blob, pool: Pool::Hot });
    let place: Placement = fixture.store.inner.index.record(Family::Blob, row.clone()).await.unwrap().unwrap();
    let mut batch = Batch::new();
    let elsewhere = Placement { offset: place.offset + 64, ..place };
    batch.put_raw(Family::Blob, row.clone(), elsewhere.encode());
    fixture.store.inner.index.commit(batch).await.unwrap();

    let other = ObjectKey::parse("other").unwrap();
    let mut request = PutObject::new(bucket(), other.clone(), fixture.store.stage_bytes(content(2)).await.unwrap());
    request.class = StorageClass::StandardIa;
    fixture.store.put(request).await.unwrap();
    assert_eq!(fixture.store.settle().await.unwrap(), 1);
    let due = fixture.rows(Family::Due).await;
    assert_eq!(due, [fixture.name().await.due(DueKind::Settle, Timestamp::from_secs(1600))]);
    let status = fixture.store.workers().into_iter().find(|worker| worker.name == "settle").unwrap();
    assert!(status.last_error.is_some() && status.done == 1);

    let mut batch = Batch::new();
    batch.put_raw(Family::Blob, row, place.encode());
    fixture.store.inner.index.commit(batch).await.unwrap();
    fixture.clock.advance(Duration::from_secs(600));
    assert_eq!(fixture.store.settle().await.unwrap(), 1);
    assert!(fixture.read().await == content(1));
}

#[tokio::test]
async fn a_tiered_object_is_restored_for_good() {
    for tier in [Tier::Archive, Tier::DeepArchive] {
        let mut fixture = Fixture::new().await;
        let content = fixture.multipart(StorageClass::IntelligentTiering).await;
        let residence = fixture.object().await.residence;
        fixture.change(Residence { tier, ..residence }).await;
        assert_eq!(fixture.store.settle().await.unwrap(), 1);
        fixture.audit([0, 0, 0, 2]).await;
        let ask = |days| {
            let (version, speed) = (VersionSelector::Current, Some(RestoreSpeed::Bulk));
            RestoreRequest { bucket: bucket(), key: object_key(), version, days, speed }
        };
        let refused = fixture.store.restore(ask(Some(1))).await;
        assert!(matches!(refused, Err(Error::RestoreDays(_))));
        assert_eq!(fixture.store.restore(ask(None)).await.unwrap(), RestoreOutcome::Started);
        assert!(matches!(fixture.object().await.residence.restore, Some(Restore::Ongoing { days: None, .. })));
        fixture.clock.advance(Duration::from_secs(48 * 3600));
        fixture = fixture.crash().await;
        assert_eq!(fixture.store.settle().await.unwrap(), 1);
        assert!(fixture.read().await == content);
        let residence = fixture.object().await.residence;
        assert_eq!((residence.tier, residence.restore), (Tier::Frequent, None));
        assert_eq!(residence.since, Timestamp::from_secs(1000 + 48 * 3600));
        assert!(matches!(fixture.store.restore(ask(None)).await, Err(Error::NotArchived { .. })));
        fixture.audit([2, 0, 0, 0]).await;
    }
}

#[tokio::test]
async fn the_timer_of_a_copy_is_set_unless_there_is_an_earlier_one() {
    let fixture = Fixture::new().await;
    fixture.put(StorageClass::Glacier, content(1)).await;
    let at = Timestamp::from_secs;
    let copy = |expires| Residence::new(StorageClass::Glacier, at(1), PoolSet::HOT, 1).restored_until(at(expires));
    for (expires, due) in [(5000, 5000), (6000, 5000), (4000, 4000)] {
        fixture.change(copy(expires)).await;
        assert_eq!(fixture.record().await.due, Some(at(due)), "{expires}");
        let name = fixture.name().await;
        let timers: Vec<Vec<u8>> = fixture.rows(Family::Due).await.into_iter().filter(|row| row[0] == 0).collect();
        assert_eq!(timers, [name.due(DueKind::Version, at(due))], "{expires}");
    }
}

impl Residence {
    fn restored_until(self, expires: Timestamp) -> Residence {
        Residence { restore: Some(Restore::Done { expires }), ..self }
    }
}
