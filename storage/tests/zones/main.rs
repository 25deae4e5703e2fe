//! Zones: what survives the loss of one, and how what is missing comes back.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should, also in what tests share")]

mod copies;
#[path = "../shared/entropy.rs"]
mod entropy;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use entropy::entropy;
use strata_storage::{
    BucketChange, BucketName, DeleteObject, Error, EventKind, ManualClock, MasterKey, NewBucket, NotificationRule,
    ObjectKey, OpenOptions, PutObject, QueueName, StorageClass, Store, Timestamp, VersionSelector, ZoneOptions,
    ZoneState,
};

/// A store over zones that are directories side by side.
struct World {
    root: tempfile::TempDir,
    store: Option<Store>,
    zones: Vec<&'static str>,
}

const BUCKET: &str = "things";
/// Sizes that take every path: in the index, appended in groups, written as they arrive.
const SIZES: [usize; 4] = [100, 50_000, 300_000, 9_000_000];

impl World {
    async fn new(zones: &[&'static str]) -> World {
        let mut world = World { root: tempfile::tempdir().unwrap(), store: None, zones: zones.to_vec() };
        world.reopen().await;
        let bucket = BucketName::parse(BUCKET).unwrap();
        world.store().create_bucket(&bucket, NewBucket::default()).await.unwrap();
        world
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn zone(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    async fn try_open(&self) -> Result<Store, Error> {
        let mut options = OpenOptions::new(self.data());
        options.clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        options.entropy = entropy();
        (options.collect_every, options.settle_every, options.evaluate_every, options.heal_every) =
            (None, None, None, None);
        options.segment_bytes = 4 << 20;
        options.master_key = Some(MasterKey::new([1; 32]));
        options.background_bytes_per_second = 1 << 40;
        let zone = |name: &&str| ZoneOptions { name: (*name).to_owned(), directory: self.zone(name) };
        options.zones = self.zones.iter().map(zone).collect();
        Store::open(options).await
    }

    async fn reopen(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().await.unwrap();
        }
        self.store = Some(self.try_open().await.unwrap());
    }

    async fn put(&self, prefix: &str, class: StorageClass) {
        for size in SIZES {
            let staged = self.store().stage_bytes(content(prefix, size)).await.unwrap();
            let (bucket, key) = (BucketName::parse(BUCKET).unwrap(), key(prefix, size));
            self.store().put(PutObject { class, ..PutObject::new(bucket, key, staged) }).await.unwrap();
        }
    }

    async fn read(&self, prefix: &str, size: usize) -> Result<Vec<u8>, Error> {
        let bucket = BucketName::parse(BUCKET).unwrap();
        let object = self.store().object(&bucket, &key(prefix, size), VersionSelector::Current).await?;
        Ok(object.read(0..object.info().size).collect().await?.to_vec())
    }

    /// Lets a copy take the store's place.
    async fn replace_by(&mut self, copy: &Path, zones: &[&'static str]) {
        if let Some(store) = self.store.take() {
            store.close().await.unwrap();
        }
        for place in self.zones.iter().map(|name| self.zone(name)).chain([self.data()]) {
            std::fs::remove_dir_all(place).unwrap();
        }
        std::fs::rename(copy, self.data()).unwrap();
        self.zones = zones.to_vec();
        self.reopen().await;
    }

    async fn check(&self, prefix: &str) {
        for size in SIZES {
            assert!(self.read(prefix, size).await.unwrap() == content(prefix, size), "{prefix} {size}");
        }
    }

    fn lose(&self, name: &str) {
        std::fs::remove_dir_all(self.zone(name)).unwrap();
    }

    fn state(&self, name: &str) -> Option<ZoneState> {
        self.store().zones().into_iter().find(|zone| zone.name == name).map(|zone| zone.state)
    }
}

fn key(prefix: &str, size: usize) -> ObjectKey {
    ObjectKey::parse(&format!("{prefix}/{size}")).unwrap()
}

/// Half of it can be compressed.
fn content(prefix: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![b'.'; size];
    let half = size / 2;
    blake3::Hasher::new().update(prefix.as_bytes()).finalize_xof().fill(&mut bytes[..half]);
    bytes
}

fn shards(zone: &Path) -> usize {
    std::fs::read_dir(zone.join("segments")).map_or(0, |entries| entries.count())
}

#[tokio::test]
async fn any_zone_may_be_lost_and_is_rebuilt() {
    for zones in [&["a", "b"][..], &["a", "b", "c"], &["a", "b", "c", "d"], &["a", "b", "c", "d", "e", "f"]] {
        let mut world = World::new(zones).await;
        for class in StorageClass::ALL {
            world.put(class.name(), class).await;
        }
        world.store().settle().await.unwrap();
        world.put("later", StorageClass::Standard).await;
        let redundant = StorageClass::ALL
            .map(StorageClass::name)
            .into_iter()
            .filter(|name| *name != StorageClass::OnezoneIa.name());
        let readable: Vec<&str> = redundant.filter(|name| !["GLACIER", "DEEP_ARCHIVE"].contains(name)).collect();
        for lost in zones {
            world.lose(lost);
            // Before anybody has noticed, and after.
            world.put(&format!("unnoticed {lost}"), StorageClass::Standard).await;
            world.store().heal().await.unwrap();
            assert_eq!(world.state(lost), Some(ZoneState::Lost));
            world.put(&format!("degraded {lost}"), StorageClass::StandardIa).await;
            for name in readable.iter().copied().chain(["later"]) {
                world.check(name).await;
            }
            if *lost == zones[0] {
                world.reopen().await;
                world.check("later").await;
            }
            std::fs::create_dir(world.zone(lost)).unwrap();
            world.store().heal().await.unwrap();
            assert_eq!(world.state(lost), Some(ZoneState::Active));
            assert!(shards(&world.zone(lost)) > 0, "{lost} of {zones:?}");
        }
        // Everything that was written meanwhile survives one loss more.
        world.store().settle().await.unwrap();
        world.store().heal().await.unwrap();
        world.lose(zones[0]);
        world.store().heal().await.unwrap();
        for lost in zones {
            world.check(&format!("unnoticed {lost}")).await;
            world.check(&format!("degraded {lost}")).await;
        }
    }
}

#[tokio::test]
async fn a_zone_that_is_away_for_a_while_misses_nothing() {
    let world = World::new(&["a", "b", "c"]).await;
    world.put("before", StorageClass::Standard).await;
    let aside = world.root.path().join("aside");
    std::fs::rename(world.zone("b"), &aside).unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("b"), Some(ZoneState::Lost));
    world.put("meanwhile", StorageClass::Standard).await;
    std::fs::rename(&aside, world.zone("b")).unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("b"), Some(ZoneState::Active));
    for lost in ["a", "c"] {
        let aside = world.root.path().join("aside");
        std::fs::rename(world.zone(lost), &aside).unwrap();
        world.store().heal().await.unwrap();
        world.check("before").await;
        world.check("meanwhile").await;
        std::fs::rename(&aside, world.zone(lost)).unwrap();
        world.store().heal().await.unwrap();
    }
}

#[tokio::test]
async fn one_zone_is_lost_with_its_zone_and_says_so() {
    let world = World::new(&["a", "b"]).await;
    world.put("one", StorageClass::OnezoneIa).await;
    world.store().settle().await.unwrap();
    world.store().collect().await.unwrap();
    world.store().collect().await.unwrap();
    assert_eq!(world.store().lost_bytes().await.unwrap().bytes, 0);
    for zone in ["a", "b"] {
        let aside = world.root.path().join("aside");
        std::fs::rename(world.zone(zone), &aside).unwrap();
        world.store().heal().await.unwrap();
        let lost = world.store().lost_bytes().await.unwrap();
        // Each object is in one of the zones; which one, differs.
        let mut unreadable = 0;
        for size in &SIZES[1..] {
            unreadable += usize::from(world.read("one", *size).await.is_err());
        }
        assert_eq!(unreadable > 0, lost.bytes > 0, "{zone}: {unreadable} objects, {lost:?}");
        std::fs::rename(&aside, world.zone(zone)).unwrap();
        world.store().heal().await.unwrap();
        world.check("one").await;
    }
}

#[tokio::test]
async fn objects_are_told_as_lost_when_their_zone_is_given_up() {
    let world = World::new(&["a", "b"]).await;
    let rule = NotificationRule {
        id: "lost".to_owned(),
        target: "target".to_owned(),
        kinds: [EventKind::LostObject].into_iter().collect(),
        prefix: String::new(),
        suffix: String::new(),
    };
    let rules = BucketChange::Notifications { rules: vec![rule], document: None };
    world.store().change_bucket(&BucketName::parse(BUCKET).unwrap(), rules).await.unwrap();
    let queue = QueueName::Events { target: "target".to_owned() }.id();
    let told = async || world.store().tasks(queue, None, 100).await.unwrap().len();
    let unreadable = async |prefix: &str| {
        let mut count = 0;
        for size in SIZES {
            count += usize::from(world.read(prefix, size).await.is_err());
        }
        count
    };
    // Which zone an object is in differs, so there are objects in both.
    for prefix in ["one", "two", "three"] {
        world.put(prefix, StorageClass::OnezoneIa).await;
    }
    world.store().settle().await.unwrap();
    world.store().collect().await.unwrap();
    world.store().collect().await.unwrap();
    world.store().add_zone(ZoneOptions { name: "c".to_owned(), directory: world.zone("c") }).await.unwrap();
    world.lose("b");
    world.store().heal().await.unwrap();
    let mut lost = 0;
    for prefix in ["one", "two", "three"] {
        lost += unreadable(prefix).await;
    }
    assert!(lost > 0);
    assert_eq!(told().await, 0, "the zone is awaited");
    world.store().give_up_zone("b").await.unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("b"), None);
    for _ in 0..2 {
        for prefix in ["one", "two", "three"] {
            unreadable(prefix).await;
        }
        assert_eq!(told().await, lost);
    }
}

#[tokio::test]
async fn zones_come_and_go_while_the_store_is_open() {
    let mut world = World::new(&[]).await;
    world.put("alone", StorageClass::Standard).await;
    for name in ["a", "b"] {
        world.store().add_zone(ZoneOptions { name: name.to_owned(), directory: world.zone(name) }).await.unwrap();
    }
    world.store().heal().await.unwrap();
    world.store().drain_zone("data").await.unwrap();
    world.put("spread", StorageClass::Standard).await;
    world.store().heal().await.unwrap();
    assert_eq!(world.state("data"), None, "it was emptied: {:?}", world.store().zones());
    world.reopen().await;
    world.check("alone").await;
    world.lose("a");
    world.store().heal().await.unwrap();
    world.check("alone").await;
    world.check("spread").await;
    // Given up, its shards go to another zone.
    world.store().add_zone(ZoneOptions { name: "c".to_owned(), directory: world.zone("c") }).await.unwrap();
    world.store().give_up_zone("a").await.unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("a"), None);
    world.lose("b");
    world.store().heal().await.unwrap();
    world.check("alone").await;
    world.check("spread").await;
    let last = world.store().drain_zone("c").await;
    assert!(matches!(last, Err(Error::Zone(_))), "{last:?}");
}

#[tokio::test]
async fn a_directory_that_is_something_else_is_refused() {
    let world = World::new(&["a", "b"]).await;
    let full = world.root.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("letter"), b"dear").unwrap();
    let add = |name: &str, directory: &Path| {
        let options = ZoneOptions { name: name.to_owned(), directory: directory.to_path_buf() };
        let store = world.store().clone();
        async move { store.add_zone(options).await }
    };
    assert!(matches!(add("c", &full).await, Err(Error::Zone(_))));
    assert!(matches!(add("a", &world.zone("c")).await, Err(Error::Zone(_))));
    assert!(matches!(add("c", &world.zone("a")).await, Err(Error::Zone(_))));
    for (directory, why) in [(full.join("letter"), "Not a directory"), ("/proc/x".into(), "proc")] {
        let refused = add("c", &directory).await;
        let Err(Error::Zone(reason)) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(&directory.display().to_string()) && reason.contains(why), "{reason}");
    }
    assert!(matches!(add("c", &world.zone("a").join("sub")).await, Err(Error::Zone(_))));
    assert!(matches!(add("c", world.root.path()).await, Err(Error::Zone(_))));
    let other = World::new(&["x", "y"]).await;
    assert!(matches!(add("c", &other.zone("x")).await, Err(Error::Zone(_))));
    assert!(matches!(world.store().drain_zone("nowhere").await, Err(Error::Zone(_))));
}

#[tokio::test]
async fn a_checkpoint_gathers_all_zones_in_one_directory() {
    for zones in [&[][..], &["a", "b"], &["a", "b", "c"], &["a", "b", "c", "d", "e", "f"]] {
        let mut world = World::new(zones).await;
        let classes = [StorageClass::Standard, StorageClass::StandardIa, StorageClass::OnezoneIa];
        for class in classes.into_iter().chain([StorageClass::Glacier]) {
            world.put(class.name(), class).await;
        }
        world.store().settle().await.unwrap();
        world.put("later", StorageClass::Standard).await;
        let copy = world.root.path().join("copy");
        world.store().checkpoint(&copy).await.unwrap();
        world.put("after", StorageClass::Standard).await;
        world.replace_by(&copy, &[]).await;
        let places: Vec<PathBuf> = world.store().zones().into_iter().map(|zone| zone.directory).collect();
        assert_eq!(places, [world.data()]);
        for step in ["opened", "healed", "reopened", "spread"] {
            match step {
                "healed" => drop(world.store().heal().await.unwrap()),
                "reopened" => world.reopen().await,
                "spread" => {
                    world.zones = vec!["x", "y"];
                    world.reopen().await;
                    world.store().heal().await.unwrap();
                    assert_eq!(world.state("data"), None, "{:?}", world.store().zones());
                }
                _ => {}
            }
            for name in classes.map(StorageClass::name).into_iter().chain(["later"]) {
                world.check(name).await;
            }
            assert!(world.read("after", SIZES[0]).await.is_err(), "{step}");
            assert_eq!(world.store().lost_bytes().await.unwrap().bytes, 0, "{step}");
        }
    }
}

#[tokio::test]
async fn a_checkpoint_needs_no_zone_that_is_lost() {
    let mut world = World::new(&["a", "b", "c"]).await;
    world.put("before", StorageClass::Standard).await;
    world.lose("b");
    world.store().heal().await.unwrap();
    world.put("meanwhile", StorageClass::StandardIa).await;
    let copy = world.root.path().join("copy");
    world.store().checkpoint(&copy).await.unwrap();
    std::fs::create_dir(world.zone("b")).unwrap();
    world.replace_by(&copy, &[]).await;
    world.check("before").await;
    world.store().heal().await.unwrap();
    world.reopen().await;
    world.check("before").await;
    world.check("meanwhile").await;
}

/// The names and sizes of the files in a zone.
fn files(zone: &Path) -> Vec<(std::ffi::OsString, u64)> {
    let entries = std::fs::read_dir(zone.join("segments")).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().len())).collect();
    files.sort();
    files
}

#[tokio::test]
async fn of_two_zones_one_that_was_away_is_made_whole_where_it_is() {
    let world = World::new(&["a", "b"]).await;
    world.put("before", StorageClass::Standard).await;
    let aside = world.root.path().join("aside");
    std::fs::rename(world.zone("b"), &aside).unwrap();
    world.store().heal().await.unwrap();
    std::fs::rename(&aside, world.zone("b")).unwrap();
    let healed = world.store().heal().await.unwrap();
    assert_eq!(healed.waiting, 0, "{healed:?}");
    world.lose("a");
    world.store().heal().await.unwrap();
    world.check("before").await;
}

#[tokio::test]
async fn a_zone_that_is_lost_while_it_is_emptied_is_awaited() {
    let world = World::new(&["a", "b"]).await;
    world.put("one", StorageClass::OnezoneIa).await;
    world.store().settle().await.unwrap();
    world.store().drain_zone("a").await.unwrap();
    let aside = world.root.path().join("aside");
    std::fs::rename(world.zone("a"), &aside).unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("a"), Some(ZoneState::Lost));
    std::fs::rename(&aside, world.zone("a")).unwrap();
    for _ in 0..3 {
        world.store().heal().await.unwrap();
    }
    assert_eq!(world.state("a"), None, "{:?}", world.store().info().await);
    world.check("one").await;
    // Lost, it is given up if that is asked for, and only then.
    world.store().add_zone(ZoneOptions { name: "c".to_owned(), directory: world.zone("c") }).await.unwrap();
    assert!(matches!(world.store().give_up_zone("b").await, Err(Error::Zone(_))), "it is there");
    world.lose("b");
    world.store().heal().await.unwrap();
    assert_eq!(world.state("b"), Some(ZoneState::Lost));
    let refused = world.store().drain_zone("b").await;
    let Err(Error::Zone(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("--give-up") && reason.contains(" bytes in "), "{reason}");
    world.store().heal().await.unwrap();
    assert_eq!(world.state("b"), Some(ZoneState::Lost), "it is awaited");
    world.store().give_up_zone("b").await.unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("b"), None);
}

#[tokio::test]
async fn a_data_directory_may_be_moved() {
    let mut world = World::new(&[]).await;
    world.put("one", StorageClass::Standard).await;
    let elsewhere = world.root.path().join("elsewhere");
    world.store.take().unwrap().close().await.unwrap();
    std::fs::rename(world.data(), &elsewhere).unwrap();
    std::fs::create_dir(world.data()).unwrap();
    world.replace_by(&elsewhere, &[]).await;
    world.check("one").await;
}

#[tokio::test]
async fn a_checkpoint_has_no_zone_in_common_with_its_origin() {
    for zones in [&[][..], &["a", "b", "c"]] {
        let mut world = World::new(zones).await;
        world.put("things", StorageClass::Standard).await;
        let copy = world.root.path().join("copy");
        world.store().checkpoint(&copy).await.unwrap();
        let homes = match zones {
            [] => vec![world.root.path().join("data")],
            _ => zones.iter().map(|zone| world.zone(zone)).collect(),
        };
        let before: Vec<_> = homes.iter().map(|home| files(home)).collect();
        let origin = world.store.take();
        let mut options = OpenOptions::new(&copy);
        options.master_key = Some(MasterKey::new([1; 32]));
        (options.collect_every, options.heal_every) = (None, None);
        world.store = Some(Store::open(options).await.unwrap());
        world.put("more", StorageClass::Standard).await;
        let bucket = BucketName::parse(BUCKET).unwrap();
        for size in SIZES {
            let (bucket, key) = (bucket.clone(), key("things", size));
            let request = DeleteObject {
                bucket,
                key,
                version: None,
                condition: Default::default(),
                governance: Default::default(),
            };
            world.store().delete(request).await.unwrap();
        }
        for _ in 0..3 {
            world.store().collect().await.unwrap();
        }
        assert_eq!(homes.iter().map(|home| files(home)).collect::<Vec<_>>(), before);
        world.check("more").await;
        world.store.take().unwrap().close().await.unwrap();
        world.store = origin;
        world.check("things").await;
    }
}

#[tokio::test]
async fn a_store_is_not_opened_without_any_of_its_zones() {
    for names in [&["a"][..], &["a", "b"]] {
        let mut world = World::new(names).await;
        world.put("things", StorageClass::Standard).await;
        world.store.take().unwrap().close().await.unwrap();
        let aside = |name: &str| world.root.path().join(format!("{name} aside"));
        names.iter().for_each(|name| std::fs::rename(world.zone(name), aside(name)).unwrap());
        let refused = async || {
            let Err(Error::Zone(reason)) = world.try_open().await else { panic!("{names:?}") };
            for name in names {
                let directory = world.zone(name).display().to_string();
                assert!(reason.contains(&format!("{name:?}")) && reason.contains(&directory), "{reason}");
            }
            assert!(reason.contains("restore"), "{reason}");
        };
        refused().await;
        assert!(names.iter().all(|name| !world.zone(name).exists()), "nothing is made in their place");
        names.iter().for_each(|name| std::fs::create_dir(world.zone(name)).unwrap());
        refused().await;
        for name in names {
            assert_eq!(std::fs::read_dir(world.zone(name)).unwrap().count(), 0);
            std::fs::remove_dir(world.zone(name)).unwrap();
            std::fs::rename(aside(name), world.zone(name)).unwrap();
        }
        world.reopen().await;
        world.check("things").await;
    }
}

#[tokio::test]
async fn a_drained_zone_stays_drained_whatever_the_settings_say() {
    let mut world = World::new(&["a", "b"]).await;
    world.put("things", StorageClass::Standard).await;
    world.store().drain_zone("a").await.unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("a"), None, "{:?}", world.store().zones());
    for directory in ["left", "gone", "refilled"] {
        match directory {
            "left" => assert!(!world.zone("a").join("ZONE").exists()),
            "gone" => world.lose("a"),
            _ => {
                std::fs::create_dir(world.zone("a")).unwrap();
                std::fs::write(world.zone("a").join("letter"), b"dear").unwrap();
            }
        }
        world.reopen().await;
        assert_eq!(world.state("a"), None, "{directory}");
        assert_eq!(world.zone("a").exists(), directory != "gone");
        world.check("things").await;
    }
    // It may be had again.
    world.lose("a");
    let zone = || ZoneOptions { name: "a".to_owned(), directory: world.zone("a") };
    world.store().add_zone(zone()).await.unwrap();
    world.reopen().await;
    assert_eq!(world.state("a"), Some(ZoneState::Active));
    world.store().heal().await.unwrap();
    world.store().drain_zone("a").await.unwrap();
    let mark = std::fs::read(world.zone("a").join("ZONE")).unwrap();
    world.store().heal().await.unwrap();
    assert_eq!(world.state("a"), None);
    // Also if its mark was not removed before the end.
    std::fs::write(world.zone("a").join("ZONE"), mark).unwrap();
    let zone = ZoneOptions { name: "c".to_owned(), directory: world.zone("a") };
    world.store().add_zone(zone).await.unwrap();
    world.store().heal().await.unwrap();
    world.lose("b");
    world.store().heal().await.unwrap();
    world.check("things").await;
}

#[tokio::test]
async fn what_was_written_for_fewer_zones_is_degraded_until_it_is_spread_anew() {
    let world = World::new(&["a", "b"]).await;
    let degraded = async || {
        let pools = world.store().pools().await.unwrap();
        pools.iter().map(|pool| pool.degraded_segments).sum::<u64>()
    };
    let backlog = || world.store().workers().into_iter().find(|worker| worker.name == "heal").unwrap().backlog;
    world.lose("b");
    world.store().heal().await.unwrap();
    world.put("meanwhile", StorageClass::Standard).await;
    assert!(degraded().await > 0, "one copy where two are due");
    std::fs::create_dir(world.zone("b")).unwrap();
    // The first of them takes it back.
    world.store().heal().await.unwrap();
    world.store().heal().await.unwrap();
    assert_eq!((degraded().await, backlog()), (0, 0));
    world.lose("a");
    world.store().heal().await.unwrap();
    world.check("meanwhile").await;
}
