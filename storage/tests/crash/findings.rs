//! Crashes after which a store once lacked something, or could not be opened, as short as they could be made.

use std::sync::Arc;

use strata_storage::{Error, FindingKind, ManualClock, Versioning};

use crate::deeds::Deed;
use crate::disk::Disk;
use crate::faults;
use crate::habit::Habit;
use crate::image::Image;
use crate::log::Entry;
use crate::machine::{Machine, START, data_in, runtime};
use crate::recorder::{Failure, Plan};
use crate::sound::{assert_sound, faults as faults_of};
use crate::states::check_at;
use crate::story::{Story, tell_of};

const ONE: Machine = Machine { zones: 1, sealed: true };
const THREE: Machine = Machine { zones: 3, sealed: false };

fn two_writes(machine: Machine) -> Story {
    let put = |key, seed| Deed::Put { key, bytes: 100, seed };
    tell_of(machine, &[Deed::CreateBucket, Deed::SetVersioning(Versioning::Enabled), put("hot/1", 1), put("hot/2", 2)])
}

/// With zones of their own nobody synced the data directory after RocksDB had made the index in it.
#[test]
fn the_name_of_the_index_is_durable() {
    for machine in [ONE, THREE] {
        let story = two_writes(machine);
        for step in &story.steps {
            check_at(&story, step.done, &mut Habit::drops_all()).expect(&step.what);
        }
    }
}

/// Zones were in the list before they were made, and so awaited for good; and what was left of a mark that was being
/// written was taken for somebody else's file.
#[test]
fn zones_that_were_being_made_are_made() {
    let story = two_writes(THREE);
    let is_in_zone = |at: &usize| match &story.log[*at] {
        Entry::Create { at, .. } => ["z0", "z1", "z2", "segments", "ZONE.new"].iter().any(|name| at.name == *name),
        Entry::Rename { to, .. } => to.name == "ZONE",
        _ => false,
    };
    for at in (0..story.steps[0].done).filter(is_in_zone) {
        check_at(&story, at + 1, &mut Habit::keeps_all()).unwrap_or_else(|fault| panic!("at {at}: {fault}"));
    }
}

/// An open made a directory and failed to sync its name; the next one found it, and took the name for durable.
#[test]
fn directories_of_a_failed_open_are_synced_by_the_next() {
    for call in (1..40).step_by(2) {
        let plan = Plan { call, failure: Failure::Broken, for_good: false };
        faults::check(ONE, Some(plan)).unwrap_or_else(|fault| panic!("{plan:?}: {fault}"));
    }
}

/// RocksDB takes a log with a flipped bit for one that a crash cut short, and opens without what follows.
#[test]
fn a_bit_that_flips_in_the_log_of_a_killed_store_is_told() {
    let story = two_writes(ONE);
    let mut disk = Disk::of(&Image::default());
    let killed = story.steps.last().expect("there are steps").done;
    story.log[..killed].iter().for_each(|entry| disk.apply(entry));
    let mut image = disk.crash(&mut Habit::keeps_all());
    let before = tempfile::tempdir().expect("a temporary directory can be made");
    image.write(before.path());
    assert_sound(&data_in(before.path()), Vec::new(), ONE.master_key());
    let is_log = |path: &std::path::Path| path.extension().is_some_and(|extension| extension == "log");
    let (_, log) = image.files().find(|(path, bytes)| is_log(path) && !bytes.is_empty()).expect("there is a log");
    let middle = log.len() / 2;
    Arc::make_mut(log)[middle] ^= 1;
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    image.write(directory.path());
    let found = faults_of(&data_in(directory.path()), Vec::new(), ONE.master_key());
    assert!(found.iter().any(|finding| finding.kind == FindingKind::ChangesMissing), "{found:#?}");
    let clock = Arc::new(ManualClock::new(START));
    // Twice: what the first open leaves of the log must not make the second one believe it.
    for open in 100..102 {
        let opened = runtime().block_on(ONE.open(directory.path(), &clock, open));
        let error = opened.err().expect("what was acknowledged is missing");
        assert!(matches!(error, Error::Corrupt { .. } | Error::Index { .. }), "{error}");
    }
}
