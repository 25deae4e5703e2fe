//! Crash states: stories are cut short at many points, in many ways, and the store that is left is opened.
//!
//! What was acknowledged before the cut is there byte for byte; the step under way happened wholly or not at all; there
//! is nothing else. The store then takes writes, and collects, without losing anything; also if it crashes once more
//! while it is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use strata_storage::{Clock as _, ManualClock, NewBucket, PutObject, Store, Timestamp};

use crate::disk::Disk;
use crate::habit::Habit;
use crate::image::Image;
use crate::machine::{Machine, START, bucket, content, key, runtime};
use crate::recorder::record;
use crate::runs;
use crate::shown::{Contents, Fault, Shown, current, failed, is_between, shown, verify};
use crate::story::{Step, Story, tell};

/// How the step is called that makes a copy.
const COPIED: &str = "Checkpoint";
/// Crash states of one story.
const STATES: usize = 60;

/// What a store must show after a crash.
struct Expected<'a> {
    /// What was acknowledged.
    before: &'a Shown,
    /// With the step under way done.
    after: &'a Shown,
    /// Whether that step happens as a whole.
    whole: bool,
    /// The time of the crash.
    now: Timestamp,
    contents: &'a Contents,
    /// What a copy of the store shows, if one was acknowledged, and when.
    copy: Option<(&'a Shown, Timestamp)>,
}

/// Which points of a story are looked at.
fn points(story: &Story, draws: &mut StdRng, count: usize) -> Vec<usize> {
    let syncs: Vec<usize> = (0..story.log.len()).filter(|&at| story.log[at].is_sync()).collect();
    let mut points: Vec<usize> = (0..count)
        .map(|_| match draws.random_range(0..10) {
            // Just before a sync, or just after it.
            0..6 => syncs[draws.random_range(0..syncs.len())] + usize::from(draws.random_bool(0.5)),
            // Just after something was acknowledged.
            6..8 => story.steps[draws.random_range(0..story.steps.len())].done,
            _ => draws.random_range(0..=story.log.len()),
        })
        .collect();
    points.sort_unstable();
    points
}

fn expected<'a>(story: &'a Story, at: usize, nothing: &'a Shown) -> (Expected<'a>, &'a str) {
    let acknowledged: Option<&Step> = story.steps.iter().rfind(|step| step.done <= at);
    let under_way = story.steps.iter().find(|step| step.begun < at && at < step.done);
    let before = acknowledged.map_or(nothing, |step| &step.after);
    let after = under_way.map_or(before, |step| &step.after);
    let now = under_way.or(acknowledged).map_or(START, |step| step.now);
    let whole = under_way.is_none_or(|step| step.whole);
    let what = under_way.map_or("nothing", |step| &step.what);
    let copy = story.steps.iter().find(|step| step.what == COPIED && step.done <= at);
    let copy = copy.map(|step| (&step.after, step.now));
    (Expected { before, after, whole, now, contents: &story.contents, copy }, what)
}

/// Looks at the store below `root` as a crash has left it, and goes on using it. `seed` is for its randomness.
async fn look(story: &Story, root: &Path, expected: &Expected<'_>, seed: u64) -> Result<(), Fault> {
    let clock = Arc::new(ManualClock::new(expected.now));
    let store = story.machine.open(root, &clock, seed).await.map_err(failed("open"))?;
    let found = shown(&store).await?;
    is_between(&found, expected.before, expected.after, expected.whole)?;
    verify(&store, expected.contents).await?;
    clock.set(clock.now().plus(Duration::from_secs(1)));
    if found.is_empty() {
        store.create_bucket(&bucket(), NewBucket::default()).await.map_err(failed("create bucket"))?;
    }
    go_on(&store, &shown(&store).await?, expected.contents).await?;
    store.close().await.map_err(failed("close"))?;
    match expected.copy {
        // A copy costs as much time as the store itself.
        Some((shows, now)) if seed.is_multiple_of(3) => look_at_copy(story, root, shows, now, seed).await,
        _ => Ok(()),
    }
}

async fn look_at_copy(story: &Story, root: &Path, shows: &Shown, now: Timestamp, seed: u64) -> Result<(), Fault> {
    let clock = Arc::new(ManualClock::new(now));
    let copy = story.machine.open_copy(root, &clock, seed).await.map_err(failed("open the copy"))?;
    is_between(&shown(&copy).await?, shows, shows, true).map_err(|fault| format!("in the copy: {fault}"))?;
    verify(&copy, &story.contents).await.map_err(|fault| format!("in the copy: {fault}"))?;
    copy.close().await.map_err(failed("close the copy"))
}

/// Writes to a store that has come back, and has it collect.
async fn go_on(store: &Store, found: &Shown, contents: &Contents) -> Result<(), Fault> {
    let mut contents = contents.clone();
    for (name, bytes) in [("new/small", 10), ("new/large", 150_000)] {
        let bytes = content(99, bytes);
        let staged = store.stage_bytes(bytes.clone()).await.map_err(failed("stage"))?;
        let written = store.put(PutObject::new(bucket(), key(name), staged)).await.map_err(failed("put"))?;
        contents.insert(written.etag.to_string(), Arc::new(bytes.clone()));
        if current(store, name).await.map_err(failed("read back"))? != Some(bytes) {
            return Err(format!("{name} is not what was just written"));
        }
    }
    store.collect().await.map_err(failed("collect"))?;
    let mut shown = shown(store).await?;
    shown.retain(|row, _| !row.starts_with("new/"));
    is_between(&shown, found, found, true).map_err(|fault| format!("after a collection: {fault}"))?;
    verify(store, &contents).await.map_err(|fault| format!("after a collection: {fault}"))
}

/// Opens what a crash has left while recording, and crashes again at a drawn point of that.
fn crash_again(story: &Story, image: &Image, expected: &Expected<'_>, seed: u64) -> Result<(), Fault> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    image.write(directory.path());
    let log = {
        let recording = record(directory.path(), image, None);
        runtime().block_on(look(story, directory.path(), expected, seed))?;
        recording.log()
    };
    let mut draws = StdRng::seed_from_u64(seed);
    // Most happens after the open; so half of the points are in its first part.
    let end = if draws.random_bool(0.5) { log.len() } else { log.len() / 3 };
    let at = draws.random_range(0..=end);
    let mut disk = Disk::of(image);
    log[..at].iter().for_each(|entry| disk.apply(entry));
    let image = disk.crash(&mut Habit::drawn(seed + 1, at));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    image.write(directory.path());
    let again = async {
        let clock = Arc::new(ManualClock::new(expected.now));
        let store = story.machine.open(directory.path(), &clock, seed + 1).await.map_err(failed("open"))?;
        let mut found = shown(&store).await?;
        // The first look has added to it.
        found.retain(|row, _| !row.starts_with("new/") && (row != "bucket" || !expected.before.is_empty()));
        is_between(&found, expected.before, expected.after, expected.whole)?;
        let mut contents = expected.contents.clone();
        for bytes in [content(99, 10), content(99, 150_000)] {
            let staged = store.stage_bytes(bytes.clone()).await.map_err(failed("stage"))?;
            contents.insert(staged.etag().to_string(), Arc::new(bytes));
        }
        verify(&store, &contents).await?;
        store.close().await.map_err(failed("close"))
    };
    runtime().block_on(again).map_err(|fault| format!("at its second crash, at {at} of {}: {fault}", log.len()))
}

/// Checks what a crash at one point of a story leaves.
pub fn check_at(story: &Story, at: usize, habit: &mut Habit) -> Result<(), Fault> {
    let mut disk = Disk::of(&Image::default());
    story.log[..at].iter().for_each(|entry| disk.apply(entry));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    disk.crash(habit).write(directory.path());
    let nothing = Shown::new();
    runtime().block_on(look(story, directory.path(), &expected(story, at, &nothing).0, 1000))
}

/// Checks so many crash states of a story.
fn check(story: &Story, seed: u64, count: usize) -> Vec<Fault> {
    let mut draws = StdRng::seed_from_u64(seed);
    let (mut disk, mut replayed, mut faults) = (Disk::of(&Image::default()), 0, Vec::new());
    for at in points(story, &mut draws, count) {
        story.log[replayed..at].iter().for_each(|entry| disk.apply(entry));
        replayed = at;
        let seed = draws.random::<u64>() >> 1;
        let image = disk.crash(&mut Habit::drawn(seed, at));
        let nothing = Shown::new();
        let (expected, under_way) = expected(story, at, &nothing);
        let outcome = if seed.is_multiple_of(4) {
            crash_again(story, &image, &expected, seed)
        } else {
            let directory = tempfile::tempdir().expect("a temporary directory can be made");
            image.write(directory.path());
            runtime().block_on(look(story, directory.path(), &expected, seed))
        };
        if let Err(fault) = outcome {
            let habit = Habit::drawn(seed, at);
            faults.push(format!("crash at {at} of {}, during {under_way}, {habit:?}: {fault}", story.log.len()));
        }
    }
    faults
}

/// `STRATA_CRASH_SEED` repeats the stories of a run, which prints its seed; `STRATA_CRASH_MINUTES` has it go on with
/// further seeds for so long.
#[test]
fn what_was_acknowledged_survives_every_crash() {
    let run = runs::begin();
    let (begun, mut seed, mut states) = (Instant::now(), run.seed, 0);
    loop {
        for (zones, sealed) in [(1, true), (3, false)] {
            let story = tell(seed, Machine { zones, sealed }, 40);
            let faults = check(&story, seed, STATES);
            states += STATES;
            println!("{zones} zones: {} entries in the log, {} steps", story.log.len(), story.steps.len());
            assert!(faults.is_empty(), "STRATA_CRASH_SEED={seed}: {} faults: {}", faults.len(), faults.join("\n"));
        }
        if run.minutes.is_none_or(|minutes| begun.elapsed() >= Duration::from_secs(minutes * 60)) {
            break;
        }
        seed += 1;
    }
    println!("{states} crash states");
}
