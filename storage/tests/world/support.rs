//! The engine that the histories run against: a store in a temporary directory, with a clock that stands still.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::entropy::entropy;
use md5::{Digest as _, Md5};
use strata_storage::{
    BackupOptions, BucketName, DirectoryRepository, ETag, Error, ManualClock, MasterKey, NewBucket, ObjectKey,
    OpenOptions, RestoreOptions, Store, Timestamp, ZoneOptions, restore,
};
use tempfile::TempDir;

use crate::ops::Content;
use crate::sound::assert_sound;

/// A day, in nanoseconds.
pub const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;
/// When every history begins: 14 November 2023, 22:13:20 UTC.
pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Where a zone is while it is out of the engine's sight.
const ASIDE: &str = "aside";
/// Where checkpoints go.
const COPY: &str = "copy";

/// The stages of the workers: accesses, evaluation, settling, collection, healing.
pub const STAGES: usize = 5;

/// A store that can be closed and opened again.
pub struct World {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
    /// How many zones it has; with one, the data directory is it.
    zones: usize,
    /// How often it was given another master key.
    rotations: u8,
}

/// The master key after so many rotations.
fn master_key(rotations: u8) -> MasterKey {
    MasterKey::new([1 + rotations; 32])
}

fn options(directory: &Path, clock: &Arc<ManualClock>, zones: usize, rotations: u8) -> OpenOptions {
    let mut options = OpenOptions::new(directory.join("data"));
    options.clock = Arc::clone(clock) as Arc<dyn strata_storage::Clock>;
    options.entropy = entropy();
    options.segment_bytes = 2 << 20;
    options.master_key = Some(master_key(rotations));
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    options.collect_every = None;
    options.settle_every = None;
    options.heal_every = None;
    options.evaluate_every = None;
    options.background_bytes_per_second = 1 << 40;
    if zones > 1 {
        let zone = |number| {
            let name = format!("z{number}");
            ZoneOptions { directory: directory.join(&name), name }
        };
        options.zones = (0..zones).map(zone).collect();
    }
    options
}

impl World {
    /// A store with one bucket.
    pub async fn new(zones: usize, locked: bool) -> World {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(ManualClock::new(START));
        let store = Store::open(options(directory.path(), &clock, zones, 0)).await.expect("a new store opens");
        let new = NewBucket { object_lock: locked, ..NewBucket::default() };
        store.create_bucket(&bucket(), new).await.expect("a new bucket can be made");
        World { directory, clock, store, zones, rotations: 0 }
    }

    /// Gives the store another master key, with which it is to be opened from now on.
    pub async fn rotate_key(&mut self) {
        self.rotations += 1;
        self.store.rotate_master_key(master_key(self.rotations)).await.expect("the key can be replaced");
    }

    /// Writes a checkpoint and opens it: the data directory is its only zone.
    pub async fn write_copy(&self) -> Store {
        let copy = self.directory.path().join(COPY);
        self.store.checkpoint(&copy).await.expect("a checkpoint is written");
        let mut options = options(self.directory.path(), &self.clock, 1, self.rotations);
        (options.directory, options.entropy) = (copy, entropy());
        Store::open(options).await.expect("the copy opens")
    }

    /// Closes a checkpoint and removes it.
    pub async fn forget_copy(&self, copy: Store) {
        copy.close().await.expect("it closes");
        drop(copy);
        std::fs::remove_dir_all(self.directory.path().join(COPY)).expect("a directory can be removed");
    }

    /// Closes the store and opens it again.
    pub async fn reopen(self) -> World {
        self.store.close().await.expect("it closes");
        self.clock.advance(Duration::from_secs(1));
        self.crash().await
    }

    /// Drops the store as if the process had died, looks whether it is sound, and opens it again.
    pub async fn crash_and_check(self) -> World {
        let World { directory, clock, store, zones, rotations } = self;
        let OpenOptions { directory: data, zones: places, master_key, .. } =
            options(directory.path(), &clock, zones, rotations);
        drop(store);
        assert_sound(&data, places, master_key);
        let store = Store::open(options(directory.path(), &clock, zones, rotations)).await.expect("it opens again");
        World { directory, clock, store, zones, rotations }
    }

    /// Makes a backup in the history's repository, removes the store, and makes one of the backup in its place.
    pub async fn made_of_backup(self) -> World {
        let World { directory, clock, store, zones, rotations } = self;
        store.flush_accesses().await.expect("accesses are stored");
        let repository = Arc::new(DirectoryRepository::new(directory.path().join("repository")));
        let made = store.backup(repository.clone(), BackupOptions::default()).await.expect("a backup begins");
        assert_eq!((made.error, made.lost_records), (None, 0));
        store.close().await.expect("it closes");
        drop(store);
        let OpenOptions { directory: data, zones: places, master_key, .. } =
            options(directory.path(), &clock, zones, rotations);
        for place in places.iter().map(|zone| &zone.directory).chain([&data]) {
            while std::fs::remove_dir_all(place).is_err() {
                // A task of the last one is not gone yet.
                tokio::task::yield_now().await;
            }
        }
        let its_zones = places.clone();
        let options_of = |master_key| RestoreOptions { zones: its_zones, master_key, ..RestoreOptions::new(&data) };
        let restored = restore(repository, &options_of(master_key), &mut |_| {}).await.expect("it is restored");
        assert_eq!((Some(restored.snapshot), restored.lost_records), (made.snapshot, 0));
        let world = World {
            store: Store::open(options(directory.path(), &clock, zones, rotations))
                .await
                .expect("what was restored opens"),
            directory,
            clock,
            zones,
            rotations,
        };
        world.crash_and_check().await
    }

    /// Drops the store as if the process had died, and opens it again.
    pub async fn crash(self) -> World {
        let World { directory, clock, store, zones, rotations } = self;
        drop(store);
        loop {
            match Store::open(options(directory.path(), &clock, zones, rotations)).await {
                Ok(store) => return World { directory, clock, store, zones, rotations },
                // A task of the last one is not gone yet.
                Err(Error::Locked) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn zone(&self, zone: usize) -> PathBuf {
        self.directory.path().join(format!("z{zone}"))
    }

    /// Puts a zone out of the engine's sight.
    pub fn lose_zone(&self, zone: usize) {
        std::fs::rename(self.zone(zone), self.directory.path().join(ASIDE)).expect("a directory can be renamed");
    }

    /// Puts it back, or an empty directory in its place.
    pub fn return_zone(&self, zone: usize, empty: bool) {
        let aside = self.directory.path().join(ASIDE);
        if empty {
            std::fs::remove_dir_all(&aside).expect("a directory can be removed");
            std::fs::create_dir(self.zone(zone)).expect("a directory can be made");
        } else {
            std::fs::rename(&aside, self.zone(zone)).expect("a directory can be renamed");
        }
    }

    /// Collects. A zone that went unnoticed may fail a pass that removes segments; once it is known to be lost, none.
    async fn collect(&self) {
        self.store.collect().await.expect("collection succeeds");
    }

    /// Has all background work done that is due now, or the first of its stages.
    pub async fn work(&self, stages: usize) {
        for stage in 0..stages {
            match stage {
                0 => self.store.flush_accesses().await.expect("accesses are stored"),
                1 => drop(self.store.evaluate().await.expect("evaluation succeeds")),
                2 => drop(self.store.settle().await.expect("settling succeeds")),
                3 => self.collect().await,
                _ => drop(self.store.heal().await.expect("healing succeeds")),
            }
        }
    }
}

pub fn bucket() -> BucketName {
    BucketName::parse("bucket").expect("a valid name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

impl Content {
    /// Its bytes.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Content::Text(bytes) => b"It was a dark and stormy night. ".iter().copied().cycle().take(bytes).collect(),
            Content::Noise(bytes, seed) => {
                let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                let next = || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    u8::try_from(state >> 56).expect("eight bits are left")
                };
                std::iter::repeat_with(next).take(bytes).collect()
            }
        }
    }
}

pub fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// The entity tag of an object of these parts, as S3 makes it.
pub fn multipart_etag(parts: &[ETag]) -> ETag {
    let digests: Vec<u8> = parts.iter().flat_map(|part| part.digest).collect();
    ETag { digest: md5(&digests), parts: u16::try_from(parts.len()).expect("there are few parts") }
}
