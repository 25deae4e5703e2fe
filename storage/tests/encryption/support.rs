//! What the tests share: a store with a master key in several zones, and a search for what it must not hold.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use strata_storage::{
    BucketName, Clock, DataKey, Digests, Encryption, Error, KmsEncryption, ManualClock, MasterKey, NewBucket,
    ObjectKey, OpenObject, OpenOptions, Protection, PutObject, Result, StageOptions, Staged, StorageClass, Store,
    Timestamp, VersionSelector, ZoneOptions,
};
use tempfile::TempDir;

/// A word that stands in all content.
pub const CANARY: &[u8] = b"Serinus canaria ";
/// What the ids of keys say, for those who look for the keys themselves.
pub const MASTER: [u8; 32] = *b"the master key of a test, 32 B..";

pub struct Fixture {
    pub root: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Option<Store>,
    pub bucket: BucketName,
    zones: usize,
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

/// Content that is nothing but the canary, beginning anywhere in it so that no two sizes share chunks.
pub fn content(bytes: usize) -> Vec<u8> {
    CANARY.iter().copied().cycle().skip(bytes % 7).take(bytes).collect()
}

pub fn sealed_by(wrapped: Vec<u8>) -> Protection {
    let kms = KmsEncryption {
        key_arn: "arn:aws:kms:us-east-1:000000000000:key/test".to_owned(),
        context: "{}".to_owned(),
        bucket_key: false,
        dual: false,
        wrapped,
    };
    Protection { encryption: Encryption::Kms(kms), ..Protection::default() }
}

pub async fn stage(store: &Store, bytes: &[u8], seal: Option<&DataKey>) -> Result<Staged> {
    let size = Some(bytes.len() as u64);
    let mut stage = store.stage(StageOptions { size, digests: Digests::NONE, seal: seal.cloned() });
    for some in bytes.chunks(100_000) {
        stage.write(some.to_vec().into()).await?;
    }
    stage.finish().await
}

impl Fixture {
    pub async fn new(zones: usize) -> Fixture {
        let root = tempfile::tempdir().expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_500)));
        let bucket = BucketName::parse("photos").expect("a valid name");
        let mut options = OpenOptions::new(root.path().join("data"));
        shape(&mut options, root.path(), &clock, zones);
        let store = Store::open(options).await.expect("a new store opens");
        store.create_bucket(&bucket, NewBucket::default()).await.expect("a bucket");
        Fixture { root, clock, store: Some(store), bucket, zones }
    }

    pub async fn open(&self, directory: &Path, master: Option<[u8; 32]>) -> Result<Store> {
        let mut options = OpenOptions::new(directory);
        shape(&mut options, self.root.path(), &self.clock, if directory.ends_with("data") { self.zones } else { 0 });
        options.master_key = master.map(MasterKey::new);
        Store::open(options).await
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    pub async fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().await.expect("it closes");
        }
    }

    pub async fn reopen(&mut self, master: [u8; 32]) {
        self.close().await;
        let data = self.root.path().join("data");
        self.store = Some(self.open(&data, Some(master)).await.expect("it opens again"));
    }

    pub async fn put(&self, name: &str, class: StorageClass, bytes: &[u8], seal: Option<&DataKey>) {
        let staged = stage(self.store(), bytes, seal).await.expect("it is staged");
        let mut request = PutObject::new(self.bucket.clone(), key(name), staged);
        request.class = class;
        request.protection = seal.map_or_else(Protection::default, |_| sealed_by(vec![1]));
        self.store().put(request).await.expect("it is put");
    }

    pub async fn object(&self, name: &str, seal: Option<&DataKey>) -> OpenObject {
        let object = self.store().object(&self.bucket, &key(name), VersionSelector::Current).await;
        let mut object = object.expect("it is there");
        if let Some(key) = seal {
            object.unseal(key);
        }
        object
    }

    pub async fn read(&self, name: &str, seal: Option<&DataKey>) -> Result<Vec<u8>> {
        let object = self.object(name, seal).await;
        Ok(object.read(0..object.info().size).collect().await?.to_vec())
    }

    /// Looks through every file of the store and its zones, once all of the index is in files.
    pub async fn assert_nothing_plain(&self, what: &str) {
        for (path, bytes) in files(self.root.path()) {
            for secret in [CANARY, &MASTER[..]] {
                // Half of a canary at the least, so that a piece's first bytes would do.
                let part = &secret[..secret.len().min(14)];
                let found = bytes.windows(part.len()).position(|window| window == part);
                assert_eq!(found, None, "{what}: {}", path.display());
            }
        }
    }
}

fn shape(options: &mut OpenOptions, root: &Path, clock: &Arc<ManualClock>, zones: usize) {
    options.clock = Arc::clone(clock) as Arc<dyn Clock>;
    options.segment_bytes = 4 << 20;
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    (options.collect_every, options.settle_every) = (None, None);
    (options.heal_every, options.evaluate_every, options.analyze_every) = (None, None, None);
    options.background_bytes_per_second = 1 << 40;
    options.lifecycle_day = Duration::from_secs(1000);
    options.master_key = Some(MasterKey::new(MASTER));
    let zone = |at: usize| ZoneOptions { name: format!("z{at}"), directory: root.join(format!("zone-{at}")) };
    options.zones = (0..zones).map(zone).collect();
}

/// Every file below a directory.
pub fn files(directory: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).expect("it can be listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("it can be read");
                found.push((path, bytes));
            }
        }
    }
    found
}

pub fn is_sealed(result: Result<Vec<u8>>) -> bool {
    matches!(result, Err(Error::Sealed))
}
