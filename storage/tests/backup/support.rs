//! What the tests share: a store with objects, and repositories that misbehave.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use strata_storage::{
    BackupOptions, BackupStatus, BucketName, DirectoryRepository, Error, ManualClock, MasterKey, NewBucket, ObjectKey,
    OpenOptions, Pending, PutObject, Repository, RepositoryFile, RestoreOptions, Restored, Result, Store, Timestamp,
    VersionSelector, Versioning, VersionsQuery, ZoneOptions, restore,
};
use tempfile::TempDir;

use crate::sound::assert_sound;

pub fn bucket() -> BucketName {
    BucketName::parse("photos").expect("a valid name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

pub fn master_key() -> Option<MasterKey> {
    Some(MasterKey::new([1; 32]))
}

/// Bytes that depend on the seed and cannot be compressed.
pub fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        content.extend_from_slice(&next());
    }
    content.truncate(bytes);
    content
}

/// A store, and room for others.
pub struct Fixture {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
}

impl Fixture {
    /// A store with a versioned bucket over so many zones.
    pub async fn new(zones: usize) -> Fixture {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let store = open(directory.path(), "data", zones, &clock).await.expect("a new store opens");
        let made = store.create_bucket(&bucket(), NewBucket { object_lock: true, ..NewBucket::default() }).await;
        made.expect("a bucket is made");
        assert_eq!(store.bucket(&bucket()).await.expect("it is there").versioning, Versioning::Enabled);
        Fixture { directory, clock, store }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn repository(&self) -> Arc<DirectoryRepository> {
        Arc::new(DirectoryRepository::new(self.path("repository")))
    }

    pub async fn put(&self, name: &str, content: Vec<u8>) {
        let staged = self.store.stage_bytes(content).await.expect("it is staged");
        self.store.put(PutObject::new(bucket(), key(name), staged)).await.expect("it is put");
    }

    /// Makes a backup, which must succeed.
    pub async fn back_up(&self) -> BackupStatus {
        back_up(&self.store, self.repository()).await
    }

    /// Restores the newest backup to a directory of that name, over so many zones, checks it, and opens it.
    pub async fn restored(&self, name: &str, zones: usize) -> Store {
        let options = restore_options(self.directory.path(), name, zones);
        let restored = restore(self.repository(), &options, &mut |_| {}).await.expect("it is restored");
        assert_eq!(restored.lost_records, 0);
        assert_sound(&self.path(name), options.zones, options.master_key);
        open(self.directory.path(), name, zones, &self.clock).await.expect("what was restored opens")
    }

    /// Restores the newest backup of some repository.
    pub async fn try_restore(&self, repository: Arc<dyn Repository>, name: &str) -> Result<Restored> {
        restore(repository, &restore_options(self.directory.path(), name, 1), &mut |_| {}).await
    }
}

pub async fn back_up(store: &Store, repository: Arc<dyn Repository>) -> BackupStatus {
    let made = store.backup(repository, BackupOptions::default()).await.expect("a backup begins");
    assert_eq!((made.running, &made.error, made.lost_records), (false, &None, 0), "{made:?}");
    assert_eq!(made.done_bytes, made.total_bytes, "{made:?}");
    made
}

fn zones(directory: &Path, name: &str, count: usize) -> Vec<ZoneOptions> {
    let zone = |number| {
        let name = format!("{name}-zone-{number}");
        ZoneOptions { directory: directory.join(&name), name }
    };
    if count > 1 { (0..count).map(zone).collect() } else { Vec::new() }
}

pub fn restore_options(directory: &Path, name: &str, count: usize) -> RestoreOptions {
    RestoreOptions {
        zones: zones(directory, name, count),
        master_key: master_key(),
        segment_bytes: 16 << 20,
        cache_bytes: 4 << 20,
        ..RestoreOptions::new(directory.join(name))
    }
}

/// Opens a store in which nothing happens by itself.
pub async fn open(directory: &Path, name: &str, count: usize, clock: &Arc<ManualClock>) -> Result<Store> {
    let mut options = OpenOptions::new(directory.join(name));
    options.clock = Arc::clone(clock) as Arc<dyn strata_storage::Clock>;
    options.segment_bytes = 16 << 20;
    options.master_key = master_key();
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    options.collect_every = None;
    options.settle_every = None;
    options.evaluate_every = None;
    options.heal_every = None;
    options.background_bytes_per_second = 1 << 40;
    options.zones = zones(directory, name, count);
    Store::open(options).await
}

/// All that there is to see of the bucket, by key and version, with the bytes.
pub async fn seen(store: &Store) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let mut query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
    loop {
        let page = store.list_versions(&bucket(), query.clone()).await.expect("it is listed");
        for entry in &page.entries {
            let about = format!("{:?} {} {:?}", entry.version_id, entry.latest, entry.modified);
            if entry.object.is_none() {
                seen.push((entry.key.as_str().to_owned(), about));
                continue;
            }
            let version = VersionSelector::Id(entry.version_id);
            let object = store.object(&bucket(), &entry.key, version).await.expect("it is there");
            let bytes = match object.read(0..object.info().size).collect().await {
                Ok(bytes) => format!("{} bytes: {:?}", bytes.len(), md5(&bytes)),
                Err(Error::Archived { .. }) => "archived".to_owned(),
                Err(error) => panic!("{}: {error}", entry.key.as_str()),
            };
            seen.push((entry.key.as_str().to_owned(), format!("{about} {:?} {bytes}", object.info())));
        }
        let Some(last) = page.entries.last().filter(|_| page.next.is_some()) else { return seen };
        query.key_marker = last.key.as_str().to_owned();
        query.version_marker = Some(last.version_id);
    }
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest as _;
    md5::Md5::digest(bytes).into()
}

/// What a call does when its turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It fails.
    Fails,
    /// It never returns, as if the process stood still.
    Hangs,
}

/// A repository of which the n-th call of a kind has a fate; all before it are as usual.
pub struct Fateful {
    pub inside: DirectoryRepository,
    pub fate: Fate,
    /// Counted from 1; 0 for none.
    pub put: usize,
    pub get: usize,
    pub puts: AtomicUsize,
    pub gets: AtomicUsize,
    /// Told when a call hangs.
    pub hung: tokio::sync::Notify,
    /// What lets those go on that hang.
    pub released: tokio::sync::Semaphore,
}

impl Fateful {
    pub fn new(path: PathBuf, fate: Fate, put: usize, get: usize) -> Arc<Fateful> {
        Arc::new(Fateful {
            inside: DirectoryRepository::new(path),
            fate,
            put,
            get,
            puts: AtomicUsize::new(0),
            gets: AtomicUsize::new(0),
            hung: tokio::sync::Notify::new(),
            released: tokio::sync::Semaphore::new(0),
        })
    }

    async fn meet(&self, calls: &AtomicUsize, at: usize) -> Result<()> {
        if calls.fetch_add(1, Ordering::SeqCst) + 1 != at {
            return Ok(());
        }
        match self.fate {
            Fate::Fails => Err(Error::Io { action: "do as the test wants", source: std::io::Error::other("no") }),
            Fate::Hangs => {
                self.hung.notify_one();
                self.released.acquire().await.expect("it is not closed").forget();
                Ok(())
            }
        }
    }
}

impl Repository for Fateful {
    fn place(&self) -> String {
        self.inside.place()
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, ()> {
        Box::pin(async move {
            self.meet(&self.puts, self.put).await?;
            self.inside.put(name, bytes).await
        })
    }

    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, bool> {
        self.inside.put_new(name, bytes)
    }

    fn get<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Bytes>> {
        Box::pin(async move {
            self.meet(&self.gets, self.get).await?;
            self.inside.get(name).await
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Pending<'a, Vec<RepositoryFile>> {
        self.inside.list(folder)
    }

    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        self.inside.remove(name)
    }
}
