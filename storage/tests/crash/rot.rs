//! Bits that flip at rest, in a store that was closed: no read ever answers with other bytes, and no key vanishes
//! unnoticed. Where a zone has the same bytes, reads answer as if nothing had happened.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use strata_storage::{ManualClock, Store};

use crate::image::Image;
use crate::machine::{Machine, runtime};
use crate::runs;
use crate::shown::{Fault, shown, verify};
use crate::story::{Story, tell};

/// What is hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Content.
    Segments,
    /// RocksDB's files, and the small ones beside it.
    Index,
}

fn is_in(path: &Path, place: Where) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let in_copy = path.starts_with("copy");
    let in_segments = path.iter().any(|part| part == "segments");
    // RocksDB's own diary, and what it takes no decision from.
    let unread = name.starts_with("LOG") || name.starts_with("OPTIONS") || name == "IDENTITY" || name == "LOCK";
    !in_copy && !unread && in_segments == (place == Where::Segments)
}

/// Flips a bit of a drawn file, and tells of which and where.
fn flip(image: &mut Image, place: Where, draws: &mut StdRng) -> String {
    let mut files: Vec<_> = image.files().filter(|(path, bytes)| is_in(path, place) && !bytes.is_empty()).collect();
    let chosen = draws.random_range(0..files.len());
    let (path, bytes) = &mut files[chosen];
    let at = draws.random_range(0..bytes.len());
    let bit = draws.random_range(0..8);
    Arc::make_mut(bytes)[at] ^= 1 << bit;
    format!("{} at {at} of {}, bit {bit}", path.display(), bytes.len())
}

/// Compares what the store still answers. Errors are answers too, unless everything `must` be readable.
async fn look(story: &Story, store: &Store, must: bool) -> Result<bool, Fault> {
    let expected = &story.steps.last().expect("there are steps").after;
    match shown(store).await {
        Ok(found) if found == *expected => {}
        Ok(found) => {
            let wrong = expected.keys().find(|row| found.get(*row) != expected.get(*row));
            return Err(format!("{wrong:?} of {} rows is shown otherwise, of {}", expected.len(), found.len()));
        }
        Err(_) if !must => return Ok(false),
        Err(fault) => return Err(fault),
    }
    match verify(store, &story.contents).await {
        Ok(()) => Ok(true),
        Err(fault) if must || fault.contains("other bytes") => Err(fault),
        Err(_) => Ok(false),
    }
}

/// Hurts the story's store and opens it. `Ok` tells whether everything was still readable.
fn check(story: &Story, place: Where, seed: u64) -> Result<bool, Fault> {
    let mut draws = StdRng::seed_from_u64(seed);
    let mut image = story.end.clone();
    let hurt = flip(&mut image, place, &mut draws);
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    image.write(directory.path());
    let clock = Arc::new(ManualClock::new(story.steps.last().expect("there are steps").now));
    // All pools have the bytes of each zone in another one too, with three of them, but for those of one zone only.
    let must = place == Where::Segments && story.machine.zones > 1;
    runtime().block_on(async {
        let looked = match story.machine.open(directory.path(), &clock, seed).await {
            Ok(store) => look(story, &store, must).await,
            Err(_) if place == Where::Index => Ok(false),
            Err(error) => Err(format!("open: {error}")),
        };
        looked.map_err(|fault| format!("{hurt}: {fault}"))
    })
}

fn check_many(place: Where, count: usize) {
    let run = runs::begin();
    let begun = Instant::now();
    let (mut seed, mut readable, mut hurt) = (run.seed, 0, 0);
    loop {
        for (zones, sealed) in [(1, true), (3, false)] {
            let story = tell(seed, Machine { zones, sealed }, 30);
            for number in 0..count as u64 {
                match check(&story, place, seed + number) {
                    Ok(all) => readable += usize::from(all),
                    Err(fault) => panic!("STRATA_CRASH_SEED={seed}, {zones} zones: {fault}"),
                }
                hurt += 1;
            }
        }
        seed += 1;
        if run.minutes.is_none_or(|minutes| begun.elapsed() >= Duration::from_secs(minutes * 60)) {
            break;
        }
    }
    println!("{hurt} stores with a flipped bit, of which {readable} were readable altogether");
}

#[test]
fn bits_that_flip_in_segments_are_never_read() {
    check_many(Where::Segments, 15);
}

#[test]
fn bits_that_flip_in_the_index_are_never_believed() {
    check_many(Where::Index, 25);
}
