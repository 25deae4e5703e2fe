//! How stores of these tests are opened: on a directory that may be the recorded one, or what a crash has left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strata_storage::{
    BucketName, Clock, ManualClock, MasterKey, ObjectKey, OpenOptions, Result, SeededEntropy, Store, Timestamp,
    ZoneOptions,
};

/// When every story begins.
pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What stays the same over all opens of a store, crashed or not.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// How many zones it has; with one, the data directory is it.
    pub zones: usize,
    /// Whether it has a master key.
    pub sealed: bool,
}

impl Machine {
    /// The options for a store below `root`, at a time by its own clock. `seed` must be another one at every open.
    pub fn options(&self, root: &Path, clock: &Arc<ManualClock>, seed: u64) -> OpenOptions {
        let mut options = OpenOptions::new(data_in(root));
        options.clock = Arc::clone(clock) as Arc<dyn Clock>;
        options.entropy = Arc::new(SeededEntropy::new(seed));
        options.segment_bytes = 1 << 20;
        options.cache_bytes = 4 << 20;
        options.part_bytes_min = 1;
        (options.collect_every, options.settle_every, options.heal_every) = (None, None, None);
        (options.evaluate_every, options.analyze_every) = (None, None);
        options.background_bytes_per_second = 1 << 40;
        options.master_key = self.master_key();
        if self.zones > 1 {
            let zone = |number| {
                let name = format!("z{number}");
                ZoneOptions { directory: root.join(&name), name }
            };
            options.zones = (0..self.zones).map(zone).collect();
        }
        options
    }

    /// Its master key.
    pub fn master_key(&self) -> Option<MasterKey> {
        self.sealed.then(|| MasterKey::new([1; 32]))
    }

    /// Opens the store below `root`, made if it is missing.
    pub async fn open(&self, root: &Path, clock: &Arc<ManualClock>, seed: u64) -> Result<Store> {
        Store::open(self.options(root, clock, seed)).await
    }

    /// Opens the copy that a checkpoint made below `root`: its only zone is the data directory.
    pub async fn open_copy(&self, root: &Path, clock: &Arc<ManualClock>, seed: u64) -> Result<Store> {
        let mut options = Machine { zones: 1, ..*self }.options(root, clock, seed);
        options.directory = copy_in(root);
        Store::open(options).await
    }
}

/// The data directory below the root.
pub fn data_in(root: &Path) -> PathBuf {
    root.join("data")
}

/// Where checkpoints go.
pub fn copy_in(root: &Path) -> PathBuf {
    root.join("copy")
}

/// The only bucket.
pub fn bucket() -> BucketName {
    BucketName::parse("bucket").expect("a valid name")
}

/// A key.
pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

/// Bytes that depend on the seed, hard to compress, equal for equal arguments.
pub fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).expect("eight bits are left")
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A runtime for one store; when it is dropped, nothing of the store is left.
pub fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made")
}
