//! What the tests share: a store in a temporary directory, with a clock that stands still.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::entropy::entropy;
use strata_storage::{
    BucketName, CompleteUpload, CompletedPart, CopyStage, DeleteObject, Error, ManualClock, MasterKey, NewBucket,
    NewUpload, ObjectInfo, ObjectKey, OpenOptions, PutObject, Result, StorageClass, Store, Timestamp, VersionSelector,
    WriteCondition,
};
use tempfile::TempDir;

use crate::audit::{Audit, audit};

/// A store that can be closed and opened again.
pub struct Fixture {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
    pub bucket: BucketName,
}

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect("a valid name")
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

pub fn options(directory: PathBuf, clock: &Arc<ManualClock>) -> OpenOptions {
    let mut options = OpenOptions::new(directory);
    options.clock = Arc::clone(clock) as Arc<dyn strata_storage::Clock>;
    options.entropy = entropy();
    options.segment_bytes = 4 << 20;
    options.master_key = Some(MasterKey::new([1; 32]));
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    options.collect_every = None;
    options.settle_every = None;
    options.background_bytes_per_second = 1 << 40;
    options.lifecycle_day = Duration::from_secs(1000);
    options
}

impl Fixture {
    pub async fn new() -> Fixture {
        Fixture::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut OpenOptions)) -> Fixture {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_500)));
        let mut options = options(directory.path().join("data"), &clock);
        change(&mut options);
        let store = Store::open(options).await.expect("a new store opens");
        let bucket = bucket("photos");
        store.create_bucket(&bucket, NewBucket::default()).await.expect("a new bucket can be made");
        Fixture { directory, clock, store, bucket }
    }

    pub async fn reopen(self) -> Fixture {
        let Fixture { directory, clock, store, bucket } = self;
        store.close().await.expect("it closes");
        drop(store);
        let store = Store::open(options(directory.path().join("data"), &clock)).await.expect("it opens again");
        Fixture { directory, clock, store, bucket }
    }

    /// Collects all garbage, closes the store and checks its index.
    pub async fn finish(self) -> Audit {
        for _ in 0..3 {
            self.store.collect().await.expect("a collection");
        }
        self.store.close().await.expect("it closes");
        drop(self.store);
        audit(&self.directory.path().join("data"))
    }

    pub async fn put(&self, name: &str, class: StorageClass, content: Vec<u8>) {
        let staged = self.store.stage_bytes(content).await.expect("it is staged");
        let mut request = PutObject::new(self.bucket.clone(), key(name), staged);
        request.class = class;
        self.store.put(request).await.expect("it is put");
    }

    pub async fn info(&self, name: &str) -> ObjectInfo {
        let object = self.store.object(&self.bucket, &key(name), VersionSelector::Current).await;
        object.expect("it is there").info().clone()
    }

    pub async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let object = self.store.object(&self.bucket, &key(name), VersionSelector::Current).await?;
        Ok(object.read(0..object.info().size).collect().await?.to_vec())
    }

    pub async fn assert_reads(&self, name: &str, content: &[u8]) {
        let read = self.read(name).await.expect("it can be read");
        assert!(read == content, "{name} reads back as it was written");
    }

    pub async fn assert_archived(&self, name: &str) {
        assert!(matches!(self.read(name).await, Err(Error::Archived { .. })), "{name} cannot be read");
    }

    pub async fn delete(&self, name: &str) {
        let bucket = self.bucket.clone();
        let request = DeleteObject {
            bucket,
            key: key(name),
            version: None,
            condition: Default::default(),
            governance: Default::default(),
        };
        self.store.delete(request).await.expect("it is deleted");
    }

    pub async fn copy(&self, from: &str, to: &str, class: StorageClass) -> Result<()> {
        let source = self.store.object(&self.bucket, &key(from), VersionSelector::Current).await?;
        let staged = self.store.stage_copy(&source, CopyStage { class, ..CopyStage::default() }).await?;
        let mut request = PutObject::new(self.bucket.clone(), key(to), staged);
        request.class = class;
        self.store.put(request).await.map(|_| ())
    }

    pub async fn multipart(&self, name: &str, class: StorageClass, parts: &[Vec<u8>]) {
        let new = NewUpload { class, ..NewUpload::default() };
        let key = key(name);
        let id = self.store.create_upload(&self.bucket, &key, new).await.expect("it begins");
        let mut listed = Vec::new();
        for (number, content) in (1..).zip(parts) {
            let staged = self.store.stage_bytes(content.clone()).await.expect("it is staged");
            let put = self.store.put_part(&self.bucket, &key, id, number, staged, None);
            let etag = put.await.expect("a part").etag.to_string();
            listed.push(CompletedPart { number, etag, checksum: None });
        }
        let request = CompleteUpload {
            bucket: self.bucket.clone(),
            key,
            id,
            parts: listed,
            size: None,
            checksum: None,
            condition: WriteCondition::None,
            replica: None,
        };
        self.store.complete_upload(request).await.expect("it is completed");
    }
}

/// Bytes that depend on the seed and compress to about a half.
pub fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + u8::try_from(state >> 60).expect("four bits are left")
    };
    (0..bytes).map(|_| next()).collect()
}
