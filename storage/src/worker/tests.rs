//! What only rows or pins from within can bring about.

use bytes::Bytes;

use crate::blob::{BlobId, Placement};
use crate::index::record::Record;
use crate::index::{Batch, Family, key};
use crate::store::{OpenOptions, Store};

async fn open(directory: &tempfile::TempDir) -> Store {
    let mut options = OpenOptions::new(directory.path().join("data"));
    options.segment_bytes = 1 << 20;
    options.collect_every = None;
    Store::open(options).await.unwrap()
}

/// A sealed segment and the place of its only blob.
async fn sealed_blob(store: &Store) -> (BlobId, Placement) {
    let content = Bytes::from(vec![7; 100_000]);
    let (blob, table) = crate::blob::Blobs::hash(&content);
    let placement = store.inner.blobs.append(crate::pool::Pool::Hot, blob, vec![content], table).await.unwrap();
    store.inner.blobs.seal_active().await.unwrap();
    (blob, placement)
}

#[tokio::test]
async fn a_damaged_placement_keeps_its_segment_and_ends_no_pass() {
    for plain_bytes in [0, (8 << 20) + 1, u32::MAX] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        let (blob, placement) = sealed_blob(&store).await;
        let damaged = Placement { plain_bytes, stored_bytes: plain_bytes, ..placement };
        let mut batch = Batch::new();
        batch.put_raw(Family::Blob, blob.0.to_vec(), damaged.encode());
        batch.put_raw(Family::Placement, key::placement(placement.segment, placement.offset), blob.encode());
        store.inner.index.commit(batch).await.unwrap();
        for _ in 0..2 {
            store.collect().await.unwrap();
            let paths = store.inner.blobs.segment_paths(placement.segment);
            assert!(paths[0].exists(), "{plain_bytes}");
        }
    }
}

#[tokio::test]
async fn a_segment_whose_writer_lives_is_not_settled_and_a_settled_one_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let exists = |placement: Placement| store.inner.blobs.segments().iter().any(|info| info.id == placement.segment);

    // Nothing names the blob, but a writer may be about to.
    let writer = store.inner.writers.enter();
    let (_, early) = sealed_blob(&store).await;
    store.collect().await.unwrap();
    assert!(exists(early));
    drop(writer);
    let later = store.inner.writers.enter();
    store.collect().await.unwrap();
    assert!(!exists(early), "whoever came later cannot have written to it");
    drop(later);

    // Settled while something is named in it, and removed when not, whoever writes elsewhere meanwhile.
    let (blob, named) = sealed_blob(&store).await;
    let mut batch = Batch::new();
    batch.add_blob(blob, named);
    store.inner.index.commit(batch).await.unwrap();
    store.collect().await.unwrap();
    let _later = store.inner.writers.enter();
    let (_, unsettled) = sealed_blob(&store).await;
    store.collect().await.unwrap();
    let mut batch = Batch::new();
    batch.drop_blob(blob);
    store.inner.index.commit(batch).await.unwrap();
    store.collect().await.unwrap();
    assert!(!exists(named));
    assert!(exists(unsettled));
}
