//! Whatever is in the index comes back, row by row.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{BackupOptions, DirectoryRepository, RestoreOptions, restore};
use crate::bucket::NewBucket;
use crate::index::{Batch, Family, ReadIndex};
use crate::name::{BucketName, ObjectKey};
use crate::put::PutObject;
use crate::store::{OpenOptions, Store};

type Contents = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

/// All rows but those that say where chunks lie; of these the chunks.
fn rows(data: &Path) -> Contents {
    let index = ReadIndex::open(&data.join("index"), 4 << 20).unwrap();
    let mut found = Contents::new();
    for family in Family::ALL {
        let mut rows = index.rows().cursor(family, &[], &[]);
        while let Some((row, value)) = rows.row().unwrap() {
            let value = match family {
                Family::Placement | Family::Segment => None,
                // Where the zones are, and the scrubber.
                Family::Meta if row == b"zones" || row == b"scrub" => None,
                Family::Blob => Some(Vec::new()),
                _ => Some(value.to_vec()),
            };
            found.extend(value.map(|value| ((family, row.to_vec()), value)));
            rows.advance();
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let options = OpenOptions {
        collect_every: None,
        settle_every: None,
        evaluate_every: None,
        heal_every: None,
        analyze_every: None,
        scrub_every: None,
        ..OpenOptions::new(&data)
    };
    let store = Store::open(options).await.unwrap();
    let bucket = BucketName::parse("photos").unwrap();
    store.create_bucket(&bucket, NewBucket::default()).await.unwrap();
    for bytes in [0_usize, 100, 4000, 100_000, 3 << 20] {
        let staged = store.stage_bytes(vec![7; bytes]).await.unwrap();
        let key = ObjectKey::parse(&bytes.to_string()).unwrap();
        store.put(PutObject::new(bucket.clone(), key, staged)).await.unwrap();
    }
    // Rows that nobody wrote: nothing of the index depends on being understood.
    let mut batch = Batch::new();
    for family in Family::ALL {
        if !matches!(family, Family::Blob | Family::Placement | Family::Segment) {
            batch.put_raw(family, b"a row".to_vec(), vec![1; 8]);
            batch.put_raw(family, b"another row".to_vec(), vec![2; 3000]);
        }
    }
    store.inner.index.commit(batch).await.unwrap();

    let repository = Arc::new(DirectoryRepository::new(directory.path().join("repository")));
    let made = store.backup(repository.clone(), BackupOptions::default()).await.unwrap();
    assert_eq!(made.error, None);
    store.close().await.unwrap();
    drop(store);
    let restored = directory.path().join("restored");
    restore(repository, &RestoreOptions::new(&restored), &mut |_| {}).await.unwrap();
    let (before, after) = (rows(&data), rows(&restored));
    assert!(before.len() > 50 && before == after);
}
