//! Whatever is in the index comes back, row by row; and what packs and snapshots hold that no backup wrote is no end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::files::Files;
use super::pack::{PackWriter, read_pack};
use super::snapshot::{IndexFile, Snapshot};
use super::{BackupOptions, DirectoryRepository, RestoreOptions, backups, restore, verify_backup};
use crate::bucket::NewBucket;
use crate::error::Error;
use crate::index::{Batch, Family, ReadIndex};
use crate::name::{BucketName, ObjectKey};
use crate::put::PutObject;
use crate::stamp::Timestamp;
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

async fn opened(data: &Path) -> Store {
    let options = OpenOptions {
        collect_every: None,
        settle_every: None,
        evaluate_every: None,
        heal_every: None,
        analyze_every: None,
        scrub_every: None,
        ..OpenOptions::new(data)
    };
    Store::open(options).await.unwrap()
}

async fn put(store: &Store, name: &str, content: Vec<u8>) {
    let staged = store.stage_bytes(content).await.unwrap();
    let (bucket, key) = (BucketName::parse("photos").unwrap(), ObjectKey::parse(name).unwrap());
    store.put(PutObject::new(bucket, key, staged)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let store = opened(&data).await;
    store.create_bucket(&BucketName::parse("photos").unwrap(), NewBucket::default()).await.unwrap();
    for bytes in [0_usize, 100, 4000, 100_000, 3 << 20] {
        put(&store, &bytes.to_string(), vec![7; bytes]).await;
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

/// A record that is not what its name says, in a pack that is whole, is one record.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_is_left_out_of_what_is_salvaged() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory.path().join("data")).await;
    store.create_bucket(&BucketName::parse("photos").unwrap(), NewBucket::default()).await.unwrap();
    for number in 0..5 {
        let mut content = vec![0; 100_000];
        blake3::Hasher::new().update(&[number]).finalize_xof().fill(&mut content);
        put(&store, &number.to_string(), content).await;
    }
    let repository = Arc::new(DirectoryRepository::new(directory.path().join("repository")));
    store.backup(repository.clone(), BackupOptions::default()).await.unwrap();
    store.close().await.unwrap();
    let files = Files::new(repository.clone());
    for id in files.packs().await.unwrap().into_keys() {
        let bytes = files.pack(&id).await.unwrap();
        let mut pack = PackWriter::new(id);
        for (number, (blob, range)) in read_pack(&id, &bytes).unwrap().into_iter().enumerate() {
            let mut record = bytes[range].to_vec();
            let middle = record.len() / 2;
            record[middle] ^= u8::from(number == 2);
            pack.add(blob, &record);
        }
        files.put_pack(&id, pack.finish().into()).await.unwrap();
    }
    let mut options = RestoreOptions::new(directory.path().join("restored"));
    let error = restore(repository.clone(), &options, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    options.salvage = true;
    let restored = restore(repository, &options, &mut |_| {}).await.unwrap();
    assert_eq!((restored.records, restored.lost_records), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_are_too_much_are_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let repository = Arc::new(DirectoryRepository::new(directory.path().join("repository")));
    let files = Files::new(repository.clone());
    files.claim(&[7; 16]).await.unwrap();
    let mut snapshot = Snapshot::new(&[7; 16], Timestamp::from_nanos(u64::MAX));
    for name in ["a", "b"] {
        snapshot.index.push(IndexFile { name: name.to_owned(), bytes: u64::MAX, pieces: Vec::new() });
    }
    files.put_snapshot(&snapshot).await.unwrap();
    assert_eq!(backups(repository.clone()).await.unwrap()[0].index_bytes, u64::MAX);
    assert_eq!(verify_backup(repository.clone(), None, &mut |_| {}).await.unwrap().damaged, Vec::<String>::new());
    let options = RestoreOptions::new(directory.path().join("restored"));
    let error = restore(repository, &options, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "nothing is restored of a file without pieces: {error}");
}
