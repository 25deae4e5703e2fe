//! A closed store must be sound; and what its index says of pools and queues.

use std::collections::BTreeSet;
use std::path::Path;

use rocksdb::{DB, IteratorMode, Options};
use strata_storage::MasterKey;

use crate::sound::assert_sound;

/// What is in the index of a store that nobody has open.
pub struct Audit {
    /// Blobs and pools: `blob id | pool`.
    pub blobs: BTreeSet<Vec<u8>>,
    /// Due rows of the mover's queues.
    pub queued: usize,
    /// What waits to be collected.
    pub garbage: usize,
}

/// Reads the index of the store in `directory` and checks it.
pub fn audit(directory: &Path) -> Audit {
    assert_sound(directory, Vec::new(), Some(MasterKey::new([1; 32])));
    let families = ["default", "blob", "due", "garbage"];
    let db = DB::open_cf_for_read_only(&Options::default(), directory.join("index"), families, false);
    let db = db.expect("the index opens");
    let keys = |family: &str| -> BTreeSet<Vec<u8>> {
        let family = db.cf_handle(family).expect("the family is there");
        db.iterator_cf(family, IteratorMode::Start).map(|row| row.expect("a row").0.to_vec()).collect()
    };
    let (blobs, garbage) = (keys("blob"), keys("garbage").len());
    // Kinds 2 and 3 are the mover's.
    let queued = keys("due").iter().filter(|row| row[0] >= 2).count();
    Audit { blobs, queued, garbage }
}

impl Audit {
    /// How many blobs are in the pool of that number: 0 hot, 1 cool, 2 one zone, 3 archive.
    pub fn in_pool(&self, number: u8) -> usize {
        self.blobs.iter().filter(|row| row[32] == number).count()
    }

    /// How many blobs are in each pool, by its number.
    pub fn pools(&self) -> [usize; 4] {
        [0, 1, 2, 3].map(|number| self.in_pool(number))
    }
}
