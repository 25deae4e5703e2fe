//! The stores of this suite, and names for what is in them.

use std::path::Path;
use std::sync::Arc;

use strata_storage::{
    BucketName, Clock, ManualClock, MasterKey, ObjectKey, OpenOptions, SeededEntropy, Store, Timestamp,
};

/// Few keys, so that calls meet.
pub const KEYS: [&str; 3] = ["a", "a/b", "c"];

/// The master key of the stores that have one.
pub fn master_key() -> MasterKey {
    MasterKey::new([1; 32])
}

/// Opens a new store. Its clock stands still, which makes stamps meet as closely as they can.
pub async fn open(directory: &Path, seed: u64, sealed: bool) -> Store {
    let mut options = OpenOptions::new(directory);
    options.clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000))) as Arc<dyn Clock>;
    options.entropy = Arc::new(SeededEntropy::new(seed));
    options.segment_bytes = 2 << 20;
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    (options.collect_every, options.settle_every, options.heal_every) = (None, None, None);
    (options.evaluate_every, options.analyze_every) = (None, None);
    options.background_bytes_per_second = 1 << 40;
    options.master_key = sealed.then(master_key);
    Store::open(options).await.expect("a new store opens")
}

/// The bucket of a round.
pub fn bucket(round: u64) -> BucketName {
    BucketName::parse(&format!("round-{round}")).expect("a valid name")
}

/// The key of a number.
pub fn key(number: usize) -> ObjectKey {
    ObjectKey::parse(KEYS[number]).expect("a valid key")
}

/// Bytes that depend on the number, hard to compress, equal for equal arguments.
pub fn bytes(number: u64, size: usize) -> Vec<u8> {
    let mut state = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).expect("eight bits are left")
    };
    std::iter::repeat_with(next).take(size).collect()
}
