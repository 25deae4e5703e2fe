//! Random histories in a bucket with Object Lock: whatever is done, on whatever day and across restarts, a version that
//! is held stays, whole, and compliance is never lessened.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::TestRunner;
use strata_storage::{
    BucketChange, Clock as _, DeleteObject, Governance, Hold, LegalHold, Lock, ObjectLock, PutObject, Retention,
    RetentionChange, RetentionMode, RetentionPeriod, StorageClass, Timestamp, VersionId, VersionSelector, Versioning,
};

use crate::sound::assert_sound;
use crate::support::{Fixture, bucket, expire, expire_noncurrent, key, transition_noncurrent};

const KEYS: [&str; 2] = ["a", "b"];
const DAY: u64 = 86_400_000_000_000;

#[derive(Debug, Clone)]
enum Op {
    Put {
        key: usize,
        lock: Option<(bool, u64)>,
        hold: bool,
    },
    Delete {
        key: usize,
    },
    DeleteVersion {
        place: usize,
        bypass: bool,
    },
    Retain {
        place: usize,
        retention: Option<(bool, u64)>,
        bypass: bool,
    },
    Hold {
        place: usize,
        on: bool,
    },
    Default(Option<(bool, u32)>),
    /// Moves the clock by so many half days, also back.
    Move(i64),
    Evaluate,
    Collect,
    Reopen,
    /// What a locked bucket refuses.
    Break,
}

fn ops() -> impl Strategy<Value = Op> {
    let (key, place) = (0..KEYS.len(), 0..8_usize);
    let lock = || proptest::option::of((any::<bool>(), 1..12_u64));
    prop_oneof![
        6 => (key.clone(), lock(), proptest::bool::weighted(0.15)).prop_map(|(key, lock, hold)| Op::Put { key, lock, hold }),
        3 => key.prop_map(|key| Op::Delete { key }),
        6 => (place.clone(), any::<bool>()).prop_map(|(place, bypass)| Op::DeleteVersion { place, bypass }),
        4 => (place.clone(), lock(), any::<bool>())
            .prop_map(|(place, retention, bypass)| Op::Retain { place, retention, bypass }),
        2 => (place, any::<bool>()).prop_map(|(place, on)| Op::Hold { place, on }),
        1 => proptest::option::of((any::<bool>(), 1..5_u32)).prop_map(Op::Default),
        4 => (-2..9_i64).prop_map(Op::Move),
        4 => any::<()>().prop_map(|()| Op::Evaluate),
        1 => any::<()>().prop_map(|()| Op::Collect),
        1 => any::<()>().prop_map(|()| Op::Reopen),
        1 => any::<()>().prop_map(|()| Op::Break),
    ]
}

fn mode(compliance: bool) -> RetentionMode {
    if compliance { RetentionMode::Compliance } else { RetentionMode::Governance }
}

/// The object versions there are, with what the lock and the first byte of each say.
type Seen = BTreeMap<(String, String), (VersionId, Lock, u8)>;

async fn look(fixture: &Fixture) -> Seen {
    let mut seen = Seen::new();
    for entry in fixture.entries().await {
        if entry.object.is_none() {
            continue;
        }
        let selector = VersionSelector::Id(entry.version_id);
        let object = fixture.store.object(&bucket(), &entry.key, selector).await.expect("it is listed");
        let lock = object.info().protection.lock;
        let first = match object.info().readable {
            true => object.read(0..object.info().size).collect().await.expect("it is whole")[0],
            // It was archived; its bytes are looked after elsewhere.
            false => u8::MAX,
        };
        seen.insert((entry.key.as_str().to_owned(), entry.version_id.to_string()), (entry.version_id, lock, first));
    }
    seen
}

/// What must hold of two states with one operation at `now` between them.
fn compare(before: &Seen, after: &Seen, now: Timestamp, governance: Governance) {
    for (name, (_, lock, first)) in before {
        let hold = lock.hold(now).filter(|hold| !hold.yields(governance));
        let Some((_, changed, byte)) = after.get(name) else {
            assert_eq!(hold, None, "{name:?} is gone at {now:?} in spite of {lock:?}");
            continue;
        };
        assert!(byte == first || *byte == u8::MAX, "{name:?} has other bytes");
        if let (Some(Hold::Retained(RetentionMode::Compliance)), Some(retention)) = (hold, lock.retention) {
            let kept = changed.retention.is_some_and(|it| it.mode == retention.mode && it.until >= retention.until);
            assert!(kept, "{lock:?} became {changed:?} at {now:?}");
        }
    }
}

/// Does it and returns whether governance was bypassed.
async fn apply(fixture: &Fixture, op: &Op, seen: &Seen, number: u8) -> Governance {
    let (store, now) = (&fixture.store, fixture.clock.now());
    let until = |days: u64| Timestamp::from_nanos(now.as_nanos() + days * DAY / 2);
    let retention = |asked: Option<(bool, u64)>| {
        asked.map(|(compliance, days)| Retention { mode: mode(compliance), until: until(days) })
    };
    let bypassed = |bypass: bool| if bypass { Governance::Bypassed } else { Governance::Binding };
    let version = |place: usize| seen.iter().nth(place).map(|((name, _), (id, ..))| (key(name), *id));
    match *op {
        Op::Put { key: at, lock, hold } => {
            let staged = store.stage_bytes(vec![number; 200_000]).await.expect("it is staged");
            let mut request = PutObject::new(bucket(), key(KEYS[at]), staged);
            request.protection.lock = Lock { retention: retention(lock), legal_hold: hold.then_some(LegalHold::On) };
            store.put(request).await.expect("it is put");
        }
        Op::Delete { key: at } => fixture.remove(KEYS[at], None).await,
        Op::DeleteVersion { place, bypass } => {
            let Some((key, id)) = version(place) else { return Governance::Binding };
            let (version, governance) = (Some(id), bypassed(bypass));
            let condition = Default::default();
            // It may be locked.
            let _ = store.delete(DeleteObject { bucket: bucket(), key, version, condition, governance }).await;
            return governance;
        }
        Op::Retain { place, retention: asked, bypass } => {
            let Some((key, id)) = version(place) else { return Governance::Binding };
            let change = RetentionChange { retention: retention(asked), governance: bypassed(bypass) };
            let _ = store.set_retention(&bucket(), &key, VersionSelector::Id(id), change).await;
        }
        Op::Hold { place, on } => {
            let Some((key, id)) = version(place) else { return Governance::Binding };
            let hold = if on { LegalHold::On } else { LegalHold::Off };
            store.set_legal_hold(&bucket(), &key, VersionSelector::Id(id), hold).await.expect("it is listed");
        }
        Op::Default(default) => {
            let default = default.map(|(compliance, days)| (mode(compliance), RetentionPeriod::Days(days)));
            let change = BucketChange::ObjectLock(ObjectLock { default });
            store.change_bucket(&bucket(), change).await.expect("it is versioned");
        }
        Op::Move(half_days) => {
            let nanos = now.as_nanos().saturating_add_signed(half_days * (DAY / 2) as i64);
            fixture.clock.set(Timestamp::from_nanos(nanos));
        }
        Op::Evaluate => drop(store.evaluate().await.expect("what is due is done")),
        Op::Collect => drop(store.collect().await.expect("garbage is collected")),
        Op::Reopen => {}
        Op::Break => {
            let change = BucketChange::Versioning(Versioning::Suspended);
            store.change_bucket(&bucket(), change).await.expect_err("it stays versioned");
            // It may be empty, but in these histories never is for good.
            if !seen.is_empty() {
                store.delete_bucket(&bucket()).await.expect_err("it is not empty");
            }
        }
    }
    Governance::Binding
}

async fn run(history: &[Op]) {
    let mut fixture = Fixture::new(Versioning::Enabled).await;
    let change = BucketChange::ObjectLock(ObjectLock::default());
    fixture.store.change_bucket(&bucket(), change).await.expect("it is versioned");
    let rules = [expire(2), expire_noncurrent(1, None), transition_noncurrent(1, StorageClass::GlacierIr, None)];
    fixture.set_rules(&rules).await;
    let mut seen = look(&fixture).await;
    for (number, op) in (0..).zip(history) {
        let now = fixture.clock.now();
        let governance = apply(&fixture, op, &seen, number).await;
        if let Op::Reopen = op {
            fixture = fixture.reopen().await;
        }
        let after = look(&fixture).await;
        compare(&seen, &after, now, governance);
        seen = after;
    }
    let Fixture { directory, store, .. } = fixture;
    drop(store);
    assert_sound(directory.path(), Vec::new(), None);
}

#[test]
fn what_is_held_is_never_lost() {
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&vec(ops(), 1..60), |history| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime can be made").block_on(run(&history));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
