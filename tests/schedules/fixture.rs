//! A store that each schedule begins with: a copy of what was prepared once.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shuttle::future::block_on;
use strata_storage::{
    BucketName, CheckDepth, CheckObserver, CheckOptions, CheckProgress, Clock, CopyStage, DeleteObject, Error, Finding,
    ManualClock, NewBucket, ObjectKey, OpenOptions, PutObject, Result, SeededEntropy, StorageClass, Store, Timestamp,
    VersionSelector, WriteCondition, check,
};
use tempfile::TempDir;

use crate::explore::{focus, once};

/// When stores are prepared, and when the schedules begin.
const PREPARED: Timestamp = Timestamp::from_secs(1_000_500);
const BEGUN: Timestamp = Timestamp::from_secs(1_005_500);
/// The size of most objects: in a chunk of its own.
pub const SIZE: usize = 6000;

/// An open store in a directory of its own.
#[derive(Clone)]
pub struct Fixture {
    pub store: Store,
    pub clock: Arc<ManualClock>,
}

/// A case: `deeds` prepare a store, and each schedule runs `race` on a copy of it and then looks whether it is sound.
pub fn case<P, R>(
    deeds: impl Fn(Fixture) -> P + Send + Sync + 'static,
    race: impl Fn(Fixture) -> R + Copy + Send + Sync + 'static,
) -> impl Fn() + Clone + Send + Sync + 'static
where
    P: Future<Output = ()> + 'static,
    R: Future<Output = ()> + 'static,
{
    let template = Arc::new(scratch());
    let path = template.path().join("data");
    once(move || {
        block_on(async {
            let fixture = Fixture::open(&path, PREPARED, 1).await;
            fixture.store.create_bucket(&bucket(), NewBucket::default()).await.expect("a new bucket");
            deeds(fixture.clone()).await;
            fixture.store.close().await.expect("it closes");
        });
    });
    move || {
        focus(false);
        let directory = scratch();
        let path = directory.path().join("data");
        copy_directory(&template.path().join("data"), &path);
        block_on(async {
            let fixture = Fixture::open(&path, BEGUN, 2).await;
            focus(true);
            race(fixture.clone()).await;
            focus(false);
            fixture.collect().await;
            fixture.collect().await;
            fixture.store.close().await.expect("it closes");
        });
        assert_sound(&path);
    }
}

impl Fixture {
    async fn open(path: &Path, now: Timestamp, seed: u64) -> Fixture {
        let clock = Arc::new(ManualClock::new(now));
        let mut options = OpenOptions::new(path);
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        options.entropy = Arc::new(SeededEntropy::new(seed));
        options.segment_bytes = 64 << 10;
        options.cache_bytes = 1 << 20;
        options.part_bytes_min = 1;
        options.write_buffers_max = 4;
        options.background_bytes_per_second = 1 << 40;
        options.lifecycle_day = Duration::from_secs(1000);
        (options.collect_every, options.settle_every, options.analyze_every) = (None, None, None);
        (options.heal_every, options.scrub_every, options.evaluate_every) = (None, None, None);
        Fixture { store: Store::open(options).await.expect("it opens"), clock }
    }

    /// Stores an object under a condition.
    pub async fn put_if(&self, name: &str, content: Vec<u8>, condition: WriteCondition) -> Result<()> {
        let staged = self.store.stage_bytes(content).await?;
        let mut request = PutObject::new(bucket(), key(name), staged);
        request.condition = condition;
        self.store.put(request).await.map(drop)
    }

    /// Stores an object in a class.
    pub async fn put_as(&self, name: &str, class: StorageClass, content: Vec<u8>) {
        let staged = self.store.stage_bytes(content).await.expect("it is staged");
        let mut request = PutObject::new(bucket(), key(name), staged);
        request.class = class;
        self.store.put(request).await.expect("it is put");
    }

    /// Stores an object.
    pub async fn put(&self, name: &str, content: Vec<u8>) {
        self.put_as(name, StorageClass::Standard, content).await;
    }

    /// Reads an object whole.
    pub async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let object = self.store.object(&bucket(), &key(name), VersionSelector::Current).await?;
        Ok(object.read(0..object.info().size).collect().await?.to_vec())
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) {
        let request = DeleteObject {
            bucket: bucket(),
            key: key(name),
            version: None,
            condition: Default::default(),
            governance: Default::default(),
        };
        self.store.delete(request).await.expect("it is deleted");
    }

    /// Copies an object.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let source = self.store.object(&bucket(), &key(from), VersionSelector::Current).await?;
        let staged = self.store.stage_copy(&source, CopyStage::default()).await?;
        self.store.put(PutObject::new(bucket(), key(to), staged)).await.map(drop)
    }

    /// A pass of the collector.
    pub async fn collect(&self) {
        self.store.collect().await.expect("a collection");
    }

    /// A pass of the mover.
    pub async fn settle(&self) {
        self.store.settle().await.expect("a pass of the mover");
    }

    /// The object is there and reads as it was written.
    pub async fn assert_reads(&self, name: &str, content: &[u8]) {
        match self.read(name).await {
            Ok(read) => assert!(read == content, "{name} reads as it was written"),
            Err(error) => panic!("{name} cannot be read: {error}"),
        }
    }

    /// Whether an object is there.
    pub async fn has(&self, name: &str) -> bool {
        match self.store.object(&bucket(), &key(name), VersionSelector::Current).await {
            Ok(_) => true,
            Err(Error::NotFound(_)) => false,
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// A task of a race, with the store for its own.
pub fn in_store<F: Future>(fixture: &Fixture, task: impl FnOnce(Fixture) -> F) -> F {
    task(fixture.clone())
}

/// The bucket of all cases.
pub fn bucket() -> BucketName {
    BucketName::parse("photos").expect("a valid name")
}

/// A key.
pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
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

/// In memory where there is such a place: nothing here has to outlive the power.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("it can be listed") {
        let entry = entry.expect("it can be listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it is there").is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

struct Faults(Vec<Finding>);

impl CheckObserver for Faults {
    fn found(&mut self, finding: &Finding) {
        if finding.kind.is_fault() {
            self.0.push(finding.clone());
        }
    }

    fn progress(&mut self, _progress: CheckProgress) {}
}

fn assert_sound(directory: &Path) {
    let options = CheckOptions {
        directory: directory.to_path_buf(),
        zones: Vec::new(),
        master_key: None,
        cache_bytes: 1 << 20,
        depth: CheckDepth::Content,
    };
    let mut faults = Faults(Vec::new());
    loop {
        match check(&options, &mut faults) {
            // A task of the store is not gone yet.
            Err(Error::Locked) => shuttle::thread::yield_now(),
            outcome => break drop(outcome.expect("it can be checked")),
        }
    }
    assert!(faults.0.is_empty(), "{:#?}", faults.0);
}
