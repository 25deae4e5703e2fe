//! A story: a random history of one store on the recorded disk, with what the store showed after each of its steps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use strata_storage::{Clock as _, ManualClock, Store, Timestamp};

use crate::deeds::{Deed, Uploads, draw};
use crate::disk::Disk;
use crate::habit::Habit;
use crate::image::Image;
use crate::log::Entry;
use crate::machine::{Machine, START, copy_in};
use crate::recorder::{Recording, record};
use crate::shown::{Contents, Shown, shown, verify};

/// A step of a story.
pub struct Step {
    /// What was done.
    pub what: String,
    /// The length of the log when it was asked for.
    pub begun: usize,
    /// The length of the log when it was acknowledged.
    pub done: usize,
    /// Whether it happens as a whole or not at all.
    pub whole: bool,
    /// What the store showed afterwards.
    pub after: Shown,
    /// When that was, by the store's clock.
    pub now: Timestamp,
}

/// A story that was told to its end.
pub struct Story {
    /// How its store is opened.
    pub machine: Machine,
    /// What happened to files.
    pub log: Vec<Entry>,
    /// What happened, in order. The first step is the first open.
    pub steps: Vec<Step>,
    /// All bytes that were ever written.
    pub contents: Contents,
    /// What was in the directory at the end.
    pub end: Image,
}

/// A story that is being told.
pub struct Teller {
    pub machine: Machine,
    pub clock: Arc<ManualClock>,
    /// Absent only while it is opened anew.
    open: Option<Store>,
    pub contents: Contents,
    pub uploads: Uploads,
    pub draws: StdRng,
    /// How often the store was opened: no two opens have the same randomness.
    pub opens: u64,
    /// Whether there is a copy.
    pub copied: bool,
}

/// Tells the story of a seed, of so many drawn steps, and checks that its log is complete.
pub fn tell(seed: u64, machine: Machine, steps: usize) -> Story {
    tell_plot(machine, Plot::Drawn { seed, steps })
}

/// Tells the story of these deeds.
pub fn tell_of(machine: Machine, deeds: &[Deed]) -> Story {
    tell_plot(machine, Plot::Given(deeds))
}

/// What a story is made of.
enum Plot<'a> {
    Drawn { seed: u64, steps: usize },
    Given(&'a [Deed]),
}

fn tell_plot(machine: Machine, plot: Plot<'_>) -> Story {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let recording = record(directory.path(), &Image::default(), None);
    let story = crate::machine::runtime().block_on(tell_on(directory.path(), &recording, machine, plot));
    let log = recording.log();
    drop(recording);
    let mut disk = Disk::of(&Image::default());
    log.iter().for_each(|entry| disk.apply(entry));
    let end = Image::read(directory.path());
    let missed = disk.crash(&mut Habit::keeps_all()).differences(&end);
    assert!(missed.is_empty(), "calls were not recorded: {missed:?}");
    let (steps, contents) = story;
    Story { machine, log, steps, contents, end }
}

async fn tell_on(root: &Path, recording: &Recording, machine: Machine, plot: Plot<'_>) -> (Vec<Step>, Contents) {
    let clock = Arc::new(ManualClock::new(START));
    let store = machine.open(root, &clock, 0).await.expect("a new store opens");
    let (seed, steps) = match plot {
        Plot::Drawn { seed, steps } => (seed, steps),
        Plot::Given(deeds) => (0, deeds.len()),
    };
    let (uploads, draws) = (Uploads::new(), StdRng::seed_from_u64(seed));
    let mut teller = Teller {
        machine,
        clock,
        open: Some(store),
        contents: Contents::new(),
        uploads,
        draws,
        opens: 1,
        copied: false,
    };
    let mut told = Vec::new();
    teller.note("open", 0, true, recording, &mut told).await;
    for number in 0..steps {
        let (now, begun) = (teller.clock.now(), recording.at());
        teller.clock.set(now.plus(Duration::from_secs(1)));
        let deed = match plot {
            Plot::Drawn { .. } => draw(number, &mut teller),
            Plot::Given(deeds) => deeds[number].clone(),
        };
        teller.act(&deed, root).await;
        let (what, whole) = (format!("{deed:?}"), deed.is_whole());
        teller.note(&what, begun, whole, recording, &mut told).await;
    }
    verify(teller.store(), &teller.contents).await.expect("the store is sound without any crash");
    teller.store().close().await.expect("it closes");
    (told, teller.contents)
}

impl Teller {
    async fn note(&self, what: &str, begun: usize, whole: bool, recording: &Recording, told: &mut Vec<Step>) {
        let done = recording.at();
        let after = shown(self.store()).await.expect("a sound store can be looked at");
        told.push(Step { what: what.to_owned(), begun, done, whole, after, now: self.clock.now() });
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.open.as_ref().expect("it is open")
    }

    /// Closes the store, or drops it as if the process had died, and opens it again.
    pub async fn reopen(&mut self, root: &Path, closes: bool) {
        if closes {
            self.store().close().await.expect("it closes");
        }
        self.opens += 1;
        drop(self.open.take());
        self.open = Some(self.machine.open(root, &self.clock, self.opens).await.expect("it opens again"));
    }

    /// Writes a checkpoint.
    pub async fn copy_store(&mut self, root: &Path) {
        self.store().checkpoint(&copy_in(root)).await.expect("a checkpoint is written");
        self.copied = true;
    }
}
