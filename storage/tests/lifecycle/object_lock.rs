//! Object Lock: what each kind of lock refuses and allows, by every path that could remove a version, day by day.

use std::time::Duration;

use strata_storage::{
    BucketChange, BucketName, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyStage, DeleteObject, Digests,
    Error, Governance, LegalHold, Lock, NewBucket, NewUpload, ObjectLock, Protection, PutObject, Result, Retention,
    RetentionChange, RetentionMode, RetentionPeriod, StageOptions, StorageClass, Timestamp, VersionId, VersionSelector,
    Versioning, WriteCondition, Written,
};

use crate::support::{
    Fixture, LARGE, bucket, done, expire, expire_noncurrent, key, midnight, morning, transition_noncurrent,
};

use Governance::{Binding, Bypassed};
use RetentionMode::{Compliance, Governance as Governed};

/// A retention until 10:30 of that day.
fn until(mode: RetentionMode, day: u64) -> Lock {
    Lock { retention: Some(Retention { mode, until: morning(day) }), legal_hold: None }
}

fn held() -> Lock {
    Lock { retention: None, legal_hold: Some(LegalHold::On) }
}

/// The three kinds; retentions last until day 10.
fn kinds() -> [Lock; 3] {
    [until(Governed, 10), until(Compliance, 10), held()]
}

impl Fixture {
    /// A versioned bucket with Object Lock.
    async fn with_lock() -> Fixture {
        let fixture = Fixture::new(Versioning::Enabled).await;
        fixture.set_default(None).await;
        fixture
    }

    async fn set_default(&self, default: Option<(RetentionMode, RetentionPeriod)>) {
        let change = BucketChange::ObjectLock(ObjectLock { default });
        self.store.change_bucket(&bucket(), change).await.expect("it is versioned");
    }

    async fn put_locked(&self, day: u64, name: &str, lock: Lock) -> Written {
        self.clock.set(morning(day));
        let staged = self.store.stage_bytes(vec![7_u8; LARGE]).await.expect("it is staged");
        let mut request = PutObject::new(bucket(), key(name), staged);
        request.protection = Protection { lock, ..Protection::default() };
        self.store.put(request).await.expect("it is put")
    }

    async fn delete_version(&self, name: &str, version: VersionId, governance: Governance) -> Result<()> {
        let (key, condition) = (key(name), Default::default());
        let request = DeleteObject { bucket: bucket(), key, version: Some(version), condition, governance };
        self.store.delete(request).await.map(drop)
    }

    async fn retain(&self, name: &str, retention: Option<Retention>, governance: Governance) -> Result<()> {
        let change = RetentionChange { retention, governance };
        self.store.set_retention(&bucket(), &key(name), VersionSelector::Current, change).await.map(drop)
    }

    async fn lock_of(&self, name: &str) -> Lock {
        self.open(name).await.expect("it is there").info().protection.lock
    }

    /// Reads a version in full.
    async fn reads(&self, name: &str, version: VersionId) -> bool {
        match self.store.object(&bucket(), &key(name), VersionSelector::Id(version)).await {
            Ok(object) => object.read(0..object.info().size).collect().await.expect("it is whole").len() == LARGE,
            Err(Error::NotFound(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn id(written: &Written) -> VersionId {
    written.version_id.expect("the bucket is versioned")
}

/// With the end of the retention in whole seconds: it counts from the stamp, which is nanoseconds after the clock.
fn rounded(lock: Lock) -> Lock {
    let rounded = |it: Retention| Retention { until: Timestamp::from_secs(it.until.as_secs()), ..it };
    Lock { retention: lock.retention.map(rounded), ..lock }
}

fn is_locked<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::ObjectLocked { .. }))
}

#[tokio::test]
async fn versions_named_by_their_ids_stay() {
    for (lock, governance, refused) in [
        (until(Governed, 10), Binding, true),
        (until(Governed, 10), Bypassed, false),
        (until(Compliance, 10), Binding, true),
        (until(Compliance, 10), Bypassed, true),
        (held(), Binding, true),
        (held(), Bypassed, true),
        (Lock { legal_hold: Some(LegalHold::On), ..until(Governed, 10) }, Bypassed, true),
        (Lock { legal_hold: Some(LegalHold::Off), ..until(Governed, 10) }, Bypassed, false),
        (Lock::default(), Binding, false),
    ] {
        let fixture = Fixture::with_lock().await;
        let version = id(&fixture.put_locked(0, "a", lock).await);
        for noncurrent in [false, true] {
            if noncurrent {
                fixture.delete(1, "a").await;
            }
            let outcome = fixture.delete_version("a", version, governance).await;
            assert_eq!(is_locked(&outcome), refused, "{lock:?} {governance:?} {outcome:?}");
            assert_eq!(fixture.reads("a", version).await, refused, "{lock:?} {governance:?}");
        }
        // On the last moment of its retention it stays, and on the first one after it goes.
        fixture.clock.set(Timestamp::from_nanos(morning(10).as_nanos() - 1));
        let outcome = fixture.delete_version("a", version, governance).await;
        assert_eq!(is_locked(&outcome), refused);
        fixture.clock.set(morning(10));
        let outcome = fixture.delete_version("a", version, governance).await;
        assert_eq!(is_locked(&outcome), lock.legal_hold == Some(LegalHold::On), "{lock:?}");
    }
}

#[tokio::test]
async fn markers_and_new_versions_cover_what_is_locked() {
    for lock in kinds() {
        let fixture = Fixture::with_lock().await;
        let version = id(&fixture.put_locked(0, "a", lock).await);
        fixture.put(0, "a", 10).await;
        fixture.delete(0, "a").await;
        assert!(fixture.reads("a", version).await, "{lock:?}");
        assert_eq!(fixture.versions().await, ["a marker", "a STANDARD", "a STANDARD"]);
        // Markers and versions without a lock go as ever.
        let entries = fixture.entries().await;
        for entry in &entries[..2] {
            fixture.delete_version("a", entry.version_id, Binding).await.expect("it is free");
        }
        assert_eq!(fixture.read("a").await, LARGE);
        assert!(matches!(fixture.store.delete_bucket(&bucket()).await, Err(Error::BucketNotEmpty)));
        fixture.store.collect().await.expect("garbage is collected");
        let fixture = fixture.reopen().await;
        assert!(fixture.reads("a", version).await && fixture.lock_of("a").await == lock);
    }
}

#[tokio::test]
async fn rules_wait_for_the_end_of_a_retention() {
    for mode in [Governed, Compliance] {
        let fixture = Fixture::with_lock().await;
        fixture.set_rules(&[expire_noncurrent(1, None)]).await;
        fixture.put_locked(0, "a", until(mode, 10)).await;
        fixture.put_locked(0, "free", Lock::default()).await;
        fixture.delete(0, "a").await;
        fixture.delete(0, "free").await;
        assert_eq!(fixture.on(2).await, done(0, 0, 1));
        for day in 3..=10 {
            assert_eq!(fixture.on(day).await, done(0, 0, 0), "day {day}");
        }
        let fixture = fixture.reopen().await;
        fixture.clock.set(morning(10));
        assert_eq!(fixture.store.evaluate().await.expect("what is due is done"), done(0, 0, 1));
        assert_eq!(fixture.versions().await, ["a marker", "free marker"]);
    }
}

#[tokio::test]
async fn rules_wait_for_a_hold_to_be_taken_off() {
    let fixture = Fixture::with_lock().await;
    fixture.set_rules(&[expire_noncurrent(1, None)]).await;
    let version = id(&fixture.put_locked(0, "a", held()).await);
    fixture.delete(0, "a").await;
    for day in [2, 3, 400] {
        assert_eq!(fixture.on(day).await, done(0, 0, 0));
    }
    let selector = VersionSelector::Id(version);
    fixture.store.set_legal_hold(&bucket(), &key("a"), selector, LegalHold::Off).await.expect("it is taken off");
    assert_eq!(fixture.store.evaluate().await.expect("what is due is done"), done(0, 0, 1));
}

#[tokio::test]
async fn rules_hear_of_a_shorter_retention() {
    let fixture = Fixture::with_lock().await;
    fixture.set_rules(&[expire_noncurrent(1, None)]).await;
    let version = id(&fixture.put_locked(0, "a", until(Governed, 100)).await);
    fixture.delete(0, "a").await;
    assert_eq!(fixture.on(2).await, done(0, 0, 0));
    let change = RetentionChange { retention: None, governance: Bypassed };
    fixture.store.set_retention(&bucket(), &key("a"), VersionSelector::Id(version), change).await.expect("removed");
    assert_eq!(fixture.store.evaluate().await.expect("what is due is done"), done(0, 0, 1));
}

#[tokio::test]
async fn rules_cover_and_move_what_is_locked() {
    for lock in kinds() {
        let fixture = Fixture::with_lock().await;
        let rules = [expire(1), transition_noncurrent(3, StorageClass::Glacier, None), expire_noncurrent(3, None)];
        fixture.set_rules(&rules).await;
        let version = id(&fixture.put_locked(0, "a", lock).await);
        assert_eq!(fixture.on(2).await, done(0, 1, 0), "a marker covers it");
        // Its end and its transition are due together, of which the end would come first.
        assert_eq!(fixture.on(6).await.transitioned, 1, "{lock:?}");
        assert_eq!(fixture.versions().await, ["a marker", "a GLACIER"]);
        let object = fixture.store.object(&bucket(), &key("a"), VersionSelector::Id(version)).await;
        assert_eq!(object.expect("it is there").info().protection.lock, lock);
        // With the version goes the marker, which is alone then.
        assert_eq!(fixture.on(11).await.removed, if lock == held() { 0 } else { 2 }, "{lock:?}");
    }
}

#[tokio::test]
async fn retentions_change_one_way() {
    let fixture = Fixture::with_lock().await;
    let to = |mode, day| Some(Retention { mode, until: morning(day) });
    for mode in [Governed, Compliance] {
        fixture.put_locked(0, "a", until(mode, 10)).await;
        let mut present = until(mode, 10).retention;
        let lessened = [to(mode, 9), None, to(if mode == Governed { Compliance } else { Governed }, 20)];
        for wanted in lessened {
            assert!(is_locked(&fixture.retain("a", wanted, Binding).await), "{mode:?} to {wanted:?}");
            assert_eq!(fixture.lock_of("a").await.retention, present);
        }
        for day in [10, 11, 12] {
            fixture.retain("a", to(mode, day), Binding).await.expect("it is extended");
            present = to(mode, day);
            assert_eq!(fixture.lock_of("a").await.retention, present);
        }
        for wanted in lessened {
            let outcome = fixture.retain("a", wanted, Bypassed).await;
            assert_eq!(is_locked(&outcome), mode == Compliance, "{mode:?} to {wanted:?}");
            if mode == Governed {
                fixture.put_locked(0, "a", until(mode, 12)).await;
            }
        }
    }
    // Once it is over anything goes, but no end in the past.
    fixture.put_locked(0, "a", until(Compliance, 10)).await;
    fixture.clock.set(morning(10));
    assert!(matches!(fixture.retain("a", to(Governed, 10), Bypassed).await, Err(Error::RetentionOver)));
    fixture.retain("a", to(Governed, 11), Binding).await.expect("the old one is over");
    fixture.retain("a", None, Bypassed).await.expect("governance is bypassed");
    assert_eq!(fixture.lock_of("a").await, Lock::default());
}

#[tokio::test]
async fn holds_come_and_go_beside_retentions() {
    let fixture = Fixture::with_lock().await;
    let version = id(&fixture.put_locked(0, "a", until(Compliance, 10)).await);
    for hold in [LegalHold::On, LegalHold::Off, LegalHold::On] {
        let told = fixture.store.set_legal_hold(&bucket(), &key("a"), VersionSelector::Current, hold).await;
        assert_eq!(told.expect("it is there"), Some(version));
        assert_eq!(fixture.lock_of("a").await, Lock { legal_hold: Some(hold), ..until(Compliance, 10) });
    }
    fixture.clock.set(morning(11));
    assert!(is_locked(&fixture.delete_version("a", version, Bypassed).await));
}

#[tokio::test]
async fn a_clock_set_back_frees_nothing() {
    let fixture = Fixture::with_lock().await;
    fixture.set_default(Some((Compliance, RetentionPeriod::Days(1)))).await;
    let version = id(&fixture.put_locked(5, "a", Lock::default()).await);
    fixture.clock.set(morning(0));
    assert!(is_locked(&fixture.delete_version("a", version, Bypassed).await));
    // What is past by the stamps that were given is past.
    let wanted = Some(Retention { mode: Compliance, until: morning(1) });
    assert!(matches!(fixture.retain("a", wanted, Binding).await, Err(Error::RetentionOver)));
    // A version made now is retained by the clock that was ahead.
    let later = id(&fixture.put_locked(0, "a", Lock::default()).await);
    assert!(fixture.lock_of("a").await.retention.expect("the default").until > morning(6));
    fixture.clock.set(morning(2));
    assert!(is_locked(&fixture.delete_version("a", later, Bypassed).await));
}

#[tokio::test]
async fn default_retentions_are_for_writes_without_their_own() {
    let fixture = Fixture::with_lock().await;
    fixture.set_default(Some((Governed, RetentionPeriod::Days(7)))).await;
    fixture.put_locked(0, "a", Lock::default()).await;
    assert_eq!(rounded(fixture.lock_of("a").await), until(Governed, 7));
    fixture.put_locked(0, "a", held()).await;
    assert_eq!(rounded(fixture.lock_of("a").await), Lock { legal_hold: Some(LegalHold::On), ..until(Governed, 7) });
    fixture.put_locked(0, "a", until(Compliance, 1)).await;
    assert_eq!(rounded(fixture.lock_of("a").await), until(Compliance, 1));
    // A copy has the default of now, and nothing of its source's.
    fixture.clock.set(morning(2));
    let source = fixture.open("a").await.expect("it is there");
    let staged = fixture.store.stage_copy(&source, CopyStage::default()).await.expect("it is staged");
    fixture.store.put(PutObject::new(bucket(), key("copy"), staged)).await.expect("it is put");
    assert_eq!(rounded(fixture.lock_of("copy").await), until(Governed, 9));
    // An upload counts from its end, however long it took.
    complete(&fixture, "upload", Lock::default(), 30).await;
    assert_eq!(rounded(fixture.lock_of("upload").await), until(Governed, 37));
    complete(&fixture, "other", held(), 40).await;
    assert_eq!(
        rounded(fixture.lock_of("other").await),
        Lock { legal_hold: Some(LegalHold::On), ..until(Governed, 47) }
    );
    complete(&fixture, "own", until(Compliance, 50), 41).await;
    assert_eq!(rounded(fixture.lock_of("own").await), until(Compliance, 50));
    fixture.set_default(Some((Compliance, RetentionPeriod::Years(1)))).await;
    fixture.put_locked(60, "a", Lock::default()).await;
    let years = fixture.lock_of("a").await.retention.expect("the default").until;
    assert!(years >= morning(60 + 365) && years <= morning(60 + 366));
}

/// Begins an upload on the present day and completes it on another one.
async fn complete(fixture: &Fixture, name: &str, lock: Lock, day: u64) {
    let store = &fixture.store;
    let new = NewUpload { protection: Protection { lock, ..Protection::default() }, ..NewUpload::default() };
    let id = store.create_upload(&bucket(), &key(name), new).await.expect("it begins");
    let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
    let mut stage = store.stage(StageOptions { digests, ..StageOptions::default() });
    stage.write(vec![1_u8; 10].into()).await.expect("it is staged");
    let staged = stage.finish().await.expect("it is staged");
    let part = store.put_part(&bucket(), &key(name), id, 1, staged, None).await.expect("it is open");
    fixture.clock.set(morning(day));
    let parts = vec![CompletedPart { number: 1, etag: part.etag.to_string(), checksum: None }];
    let (key, condition) = (key(name), WriteCondition::None);
    let request =
        CompleteUpload { bucket: bucket(), key, id, parts, size: None, checksum: None, condition, replica: None };
    store.complete_upload(request).await.expect("it is completed");
}

#[tokio::test]
async fn buckets_keep_their_lock_and_their_versions() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    let name = bucket();
    let enable = || fixture.store.change_bucket(&name, BucketChange::ObjectLock(ObjectLock::default()));
    assert!(matches!(enable().await, Err(Error::BucketState(_))));
    fixture.put(0, "old", LARGE).await;
    fixture.set_versioning(Versioning::Suspended).await;
    assert!(matches!(enable().await, Err(Error::BucketState(_))));
    fixture.set_versioning(Versioning::Enabled).await;
    enable().await.expect("it is versioned");
    for versioning in [Versioning::Suspended, Versioning::Unversioned] {
        let change = BucketChange::Versioning(versioning);
        assert!(matches!(fixture.store.change_bucket(&bucket(), change).await, Err(Error::BucketState(_))));
    }
    // A version from before has the id `null`, and can be locked like any.
    fixture.retain("old", until(Compliance, 10).retention, Binding).await.expect("it is there");
    fixture.put(0, "old", 1).await;
    assert!(is_locked(&fixture.delete_version("old", VersionId::Null, Bypassed).await));
    assert!(fixture.reads("old", VersionId::Null).await);
    // One that is made with it is versioned from the first.
    let other = BucketName::parse("locked").expect("a valid name");
    let new = NewBucket { object_lock: true, ..NewBucket::default() };
    let made = fixture.store.create_bucket(&other, new).await.expect("the name is free");
    assert_eq!((made.versioning, made.object_lock), (Versioning::Enabled, Some(ObjectLock::default())));
}

#[tokio::test]
async fn what_cannot_be_locked() {
    let fixture = Fixture::new(Versioning::Enabled).await;
    fixture.put(0, "a", 1).await;
    let retention = until(Governed, 10).retention;
    assert!(matches!(fixture.retain("a", retention, Binding).await, Err(Error::NoObjectLock)));
    let past = Some(Retention { mode: Governed, until: midnight(0) });
    assert!(matches!(fixture.retain("a", past, Binding).await, Err(Error::NoObjectLock)));
    let store = &fixture.store;
    let hold = |name: &'static str| async move {
        store.set_legal_hold(&bucket(), &key(name), VersionSelector::Current, LegalHold::On).await
    };
    assert!(matches!(hold("a").await, Err(Error::NoObjectLock)));
    let staged = fixture.store.stage_bytes(vec![1_u8]).await.expect("it is staged");
    let mut put = PutObject::new(bucket(), key("b"), staged);
    put.protection.lock = held();
    assert!(matches!(fixture.store.put(put).await, Err(Error::NoObjectLock)));
    let protection = Protection { lock: held(), ..Protection::default() };
    let new = NewUpload { protection, ..NewUpload::default() };
    assert!(matches!(fixture.store.create_upload(&bucket(), &key("b"), new).await, Err(Error::NoObjectLock)));
    fixture.set_default(None).await;
    assert!(matches!(fixture.retain("a", past, Binding).await, Err(Error::RetentionOver)));
    fixture.clock.advance(Duration::from_secs(1));
    fixture.delete(1, "a").await;
    assert!(matches!(hold("a").await, Err(Error::DeleteMarker { by_id: false, .. })));
    assert!(matches!(fixture.retain("a", retention, Binding).await, Err(Error::DeleteMarker { .. })));
    assert!(matches!(hold("missing").await, Err(Error::NotFound(_))));
}
