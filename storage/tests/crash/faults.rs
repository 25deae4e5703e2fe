//! Failing calls: the n-th call of a history fails, one of RocksDB's or one of the engine's, and the history goes on.
//!
//! What was acknowledged is there afterwards, in the directory as it is and in what a crash leaves of it; what was
//! refused may be there or not. Nothing hangs, nothing has other bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use strata_storage::{
    CompleteUpload, CompletedPart, CopyStage, DeleteObject, Error, ManualClock, NewBucket, NewUpload, PutObject,
    StorageClass, Store, VersionSelector, WriteCondition,
};

use crate::disk::Disk;
use crate::habit::Habit;
use crate::image::Image;
use crate::machine::{Machine, START, bucket, content, copy_in, key, runtime};
use crate::recorder::{Call, Failure, Plan, Recording, record};
use crate::runs;
use crate::shown::{Fault, current, failed};

/// No history takes a tenth of that.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// What each key may hold: one thing once that was acknowledged, more after a refusal.
#[derive(Default, Clone)]
pub struct Belief(BTreeMap<&'static str, Vec<Option<Vec<u8>>>>);

impl Belief {
    /// Takes note of what became of an attempt to give a key a content, or none.
    pub fn note(&mut self, name: &'static str, attempted: Option<Vec<u8>>, outcome: Result<(), Error>) {
        let may_be = self.0.entry(name).or_insert_with(|| vec![None]);
        match outcome {
            Ok(()) => *may_be = vec![attempted],
            Err(_) => may_be.push(attempted),
        }
    }

    /// The content of a key, if there is no doubt about it.
    fn certain(&self, name: &str) -> Option<Vec<u8>> {
        match &self.0.get(name)?[..] {
            [Some(bytes)] => Some(bytes.clone()),
            _ => None,
        }
    }

    /// What a store may have that was about to go from this to `after`.
    pub fn or(&self, after: &Belief) -> Belief {
        let mut either = self.clone();
        for (name, may_be) in &after.0 {
            either.0.entry(name).or_insert_with(|| vec![None]).extend(may_be.iter().cloned());
        }
        either
    }

    /// Compares with what a store has. Errors are faults if it `must` answer.
    pub async fn check(&self, store: &Store, must: bool) -> Result<(), Fault> {
        for (name, may_be) in &self.0 {
            match current(store, name).await {
                Ok(found) if may_be.contains(&found) => {}
                Ok(found) => {
                    let shown =
                        |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| (bytes.len(), bytes.first().copied()));
                    let may_be: Vec<_> = may_be.iter().map(shown).collect();
                    return Err(format!("{name} is {:?}, not one of {may_be:?}", shown(&found)));
                }
                Err(error) if must => return Err(format!("{name}: {error}")),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Stores an object.
pub async fn put(store: &Store, name: &str, bytes: Vec<u8>, class: StorageClass) -> Result<(), Error> {
    let staged = store.stage_bytes(bytes).await?;
    store.put(PutObject { class, ..PutObject::new(bucket(), key(name), staged) }).await.map(drop)
}

async fn copy_object(store: &Store, from: &str, to: &str) -> Result<(), Error> {
    let source = store.object(&bucket(), &key(from), VersionSelector::Current).await?;
    let staged = store.stage_copy(&source, CopyStage::default()).await?;
    store.put(PutObject::new(bucket(), key(to), staged)).await.map(drop)
}

async fn upload(store: &Store, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let id = store.create_upload(&bucket(), &key(name), NewUpload::default()).await?;
    let mut parts = Vec::new();
    for (bytes, number) in bytes.chunks(bytes.len() / 2 + 1).zip(1..) {
        let staged = store.stage_bytes(bytes.to_vec()).await?;
        let etag = store.put_part(&bucket(), &key(name), id, number, staged, None).await?.etag.to_string();
        parts.push(CompletedPart { number, etag, checksum: None });
    }
    let (bucket, key, condition) = (bucket(), key(name), WriteCondition::None);
    let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
    store.complete_upload(request).await.map(drop)
}

/// Deletes an object.
pub async fn delete(store: &Store, name: &str) -> Result<(), Error> {
    let (condition, governance) = (Default::default(), Default::default());
    let request = DeleteObject { bucket: bucket(), key: key(name), version: None, condition, governance };
    store.delete(request).await.map(drop)
}

/// The first part of the history, up to where the store is opened anew. Background work may fail as it likes.
async fn live(store: &Store, copy: Option<&Path>, belief: &mut Belief) {
    let standard = StorageClass::Standard;
    let _ = store.create_bucket(&bucket(), NewBucket::default()).await;
    for (name, seed, bytes) in [("small", 1, 100), ("medium", 2, 70_000), ("large", 3, 1_200_000), ("medium", 4, 9_000)]
    {
        let bytes = content(seed, bytes);
        belief.note(name, Some(bytes.clone()), put(store, name, bytes, standard).await);
    }
    let bytes = content(5, 200_000);
    belief.note("cool", Some(bytes.clone()), put(store, "cool", bytes, StorageClass::StandardIa).await);
    let bytes = content(6, 150_000);
    belief.note("parts", Some(bytes.clone()), upload(store, "parts", &bytes).await);
    if let Some(bytes) = belief.certain("medium") {
        belief.note("copied", Some(bytes), copy_object(store, "medium", "copied").await);
    }
    belief.note("small", None, delete(store, "small").await);
    let _ = store.settle().await;
    if let Some(copy) = copy {
        let _ = store.checkpoint(copy).await;
    }
    let bytes = content(7, 80_000);
    belief.note("large", Some(bytes.clone()), put(store, "large", bytes, standard).await);
    let _ = store.collect().await;
}

/// The whole history. If the store cannot be opened, the disk is repaired, and it is opened on what that has left.
async fn history(
    machine: Machine,
    root: &Path,
    copy: Option<&Path>,
    recording: &Recording,
) -> (Belief, Result<(), Fault>) {
    let (clock, mut belief) = (Arc::new(ManualClock::new(START)), Belief::default());
    for open in 0..3 {
        let store = match machine.open(root, &clock, open).await {
            Ok(store) => store,
            Err(_) => {
                recording.repair();
                match machine.open(root, &clock, open + 10).await {
                    Ok(store) => store,
                    Err(error) => return (belief, Err(format!("open after a failed open: {error}"))),
                }
            }
        };
        if open == 0 {
            live(&store, copy, &mut belief).await;
        }
        let name = ["once", "twice", "thrice"][open as usize];
        let bytes = content(10 + open, 50_000);
        belief.note(name, Some(bytes.clone()), put(&store, name, bytes, StorageClass::Standard).await);
        let _ = store.collect().await;
        if let Err(fault) = belief.check(&store, false).await {
            return (belief, Err(format!("while it fails: {fault}")));
        }
        if open == 1 {
            let _ = store.close().await;
        }
        clock.advance(Duration::from_secs(1));
    }
    (belief, Ok(()))
}

/// Opens what is there and compares.
pub fn look(machine: Machine, root: &Path, belief: &Belief, seed: u64) -> Result<(), Fault> {
    let clock = Arc::new(ManualClock::new(START));
    clock.advance(Duration::from_secs(60));
    runtime().block_on(async {
        let store = machine.open(root, &clock, seed).await.map_err(failed("open"))?;
        belief.check(&store, true).await?;
        match store.create_bucket(&bucket(), NewBucket::default()).await {
            Ok(_) | Err(Error::BucketExists) => {}
            Err(error) => return Err(format!("create bucket: {error}")),
        }
        put(&store, "afterwards", vec![1; 100_000], StorageClass::Standard).await.map_err(failed("put"))?;
        store.collect().await.map_err(failed("collect"))?;
        belief.check(&store, true).await.map_err(|fault| format!("after a collection: {fault}"))?;
        if store.recount(&bucket()).await.map_err(failed("recount"))?.is_empty() {
            return store.close().await.map_err(failed("close"));
        }
        Err("counters differ from a recount".to_owned())
    })
}

/// Runs the history with calls that fail. Returns how many calls there were, and what the first that failed was for.
pub fn check(machine: Machine, plan: Option<Plan>) -> Result<(u64, Option<Call>), Fault> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let root = directory.path();
    let recording = record(root, &Image::default(), plan);
    // Without a copy: to write one syncs the directory that holds all, which hides who else should have done that.
    let copy = Some(copy_in(root)).filter(|_| plan.is_none_or(|plan| plan.call.is_multiple_of(2)));
    let lived = history(machine, root, copy.as_deref(), &recording);
    let lived = async { tokio::time::timeout(HANGS_AFTER, lived).await };
    let lived = runtime().block_on(lived);
    let (belief, lived) = lived.map_err(|_| "it hangs".to_owned())?;
    lived?;
    let told = (recording.calls(), recording.failed());
    let log = recording.log();
    recording.repair();
    drop(recording);
    let mut disk = Disk::of(&Image::default());
    log.iter().for_each(|entry| disk.apply(entry));
    look(machine, root, &belief, 100).map_err(|fault| format!("opened again: {fault}"))?;
    let seed = plan.map_or(0, |plan| plan.call);
    for mut habit in [Habit::drops_all(), Habit::drawn(seed, log.len())] {
        let image = disk.crash(&mut habit);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        image.write(directory.path());
        let looked = look(machine, directory.path(), &belief, 101);
        looked.map_err(|fault| format!("after a crash with {habit:?}: {fault}"))?;
    }
    Ok(told)
}

/// Every way to fail.
const WAYS: [(Failure, bool); 7] = [
    (Failure::Broken, false),
    (Failure::Broken, true),
    (Failure::Full, false),
    (Failure::Full, true),
    (Failure::Short, false),
    (Failure::Descriptors, false),
    (Failure::Descriptors, true),
];

/// `STRATA_CRASH_SEED` repeats a run; with `STRATA_CRASH_MINUTES` every call fails in every way, for at most so long.
#[test]
fn what_was_acknowledged_survives_calls_that_fail() {
    let run = runs::begin();
    let machines = [Machine { zones: 1, sealed: true }, Machine { zones: 3, sealed: false }];
    let (mut failures, begun) = (BTreeMap::<String, usize>::new(), Instant::now());
    let calls = machines.map(|machine| check(machine, None).expect("nothing fails").0);
    let mut draws = StdRng::seed_from_u64(run.seed);
    let drawn = (0..24).map(|_| {
        let machine = draws.random_range(0..2);
        (machine, draws.random_range(1..=calls[machine]), WAYS[draws.random_range(0..WAYS.len())])
    });
    let all = (0..machines.len()).flat_map(|machine| (1..=calls[machine]).map(move |call| (machine, call)));
    let all = all.flat_map(|(machine, call)| WAYS.map(|way| (machine, call, way)));
    let mut cases: Vec<_> = if run.minutes.is_some() { all.collect() } else { drawn.collect() };
    cases.shuffle(&mut draws);
    for (machine, call, (failure, for_good)) in cases {
        if run.minutes.is_some_and(|minutes| begun.elapsed() >= Duration::from_secs(minutes * 60)) {
            break;
        }
        let plan = Plan { call, failure, for_good };
        match check(machines[machine], Some(plan)) {
            Ok((_, Some(call))) => *failures.entry(format!("{call:?} {failure:?}")).or_default() += 1,
            Ok((_, None)) => {}
            Err(fault) => panic!("STRATA_CRASH_SEED={} {:?} {plan:?}: {fault}", run.seed, machines[machine]),
        }
    }
    println!("{calls:?} calls; failed: {failures:#?}");
}
