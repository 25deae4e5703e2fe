//! What only rows or pins from within can bring about.

use bytes::Bytes;

use crate::blob::{Form, Placement, Prepared};
use crate::index::record::{CurrentRecord, Record as _, StoredBlob};
use crate::index::{Batch, Family, key};
use crate::pool::Pool;
use crate::store::{OpenOptions, Store};

mod restore;
mod room;
mod settle;

async fn open(directory: &tempfile::TempDir) -> Store {
    let mut options = OpenOptions::new(directory.path().join("data"));
    options.segment_bytes = 1 << 20;
    options.collect_every = None;
    options.settle_every = None;
    Store::open(options).await.unwrap()
}

/// A sealed segment and the place of its only blob.
async fn sealed_blob(store: &Store) -> (StoredBlob, Placement) {
    let content = Bytes::from(vec![7; 100_000]);
    let (blob, table) = crate::blob::Blobs::hash(&content);
    let placement = store.inner.blobs.append(crate::pool::Pool::Hot, blob, vec![content], table).await.unwrap();
    store.inner.blobs.seal_active().await.unwrap();
    (StoredBlob { id: blob, pool: Pool::Hot }, placement)
}

#[tokio::test]
async fn a_damaged_placement_keeps_its_segment_and_ends_no_pass() {
    for plain_bytes in [0, (8 << 20) + 1, u32::MAX] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        let (blob, placement) = sealed_blob(&store).await;
        let damaged = Placement { plain_bytes, stored_bytes: plain_bytes, ..placement };
        let mut batch = Batch::new();
        batch.put_raw(Family::Blob, key::stored_blob(&blob), damaged.encode());
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

#[tokio::test]
async fn compressed_blobs_move_as_they_are_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let blobs = &store.inner.blobs;
    let contents: Vec<Vec<u8>> =
        [1000, 100_000, 1 << 20, (3 << 20) + 1].map(|bytes| vec![bytes as u8 | 1; bytes]).into();
    let prepare = |content: &Vec<u8>| {
        let (blob, table) = crate::blob::Blobs::hash(content);
        crate::blob::Blobs::prepare(blob, content, table, Form::of(Pool::Cool), &mut || {})
    };
    let records: Vec<Prepared> = contents.iter().map(prepare).collect();
    let dead = prepare(&(0..4 << 20_u32).map(|at| at as u8 ^ (at >> 10) as u8).collect());
    let places = blobs.write_batch(Pool::Cool, [records.clone(), vec![dead]].concat()).await.unwrap();
    blobs.seal_active().await.unwrap();
    let mut batch = Batch::new();
    for (record, place) in records.iter().zip(&places) {
        assert!(place.is_compressed());
        let blob = StoredBlob { id: record.id, pool: Pool::Cool };
        batch.put_raw(Family::Blob, key::stored_blob(&blob), place.encode());
        batch.put_raw(Family::Placement, key::placement(place.segment, place.offset), blob.encode());
    }
    store.inner.index.commit(batch).await.unwrap();
    store.collect().await.unwrap();
    store.collect().await.unwrap();

    assert!(blobs.segment_paths(places[0].segment).is_empty(), "everything was moved out of it");
    for (record, content) in records.iter().zip(&contents) {
        let blob = record.id;
        let row = key::stored_blob(&StoredBlob { id: blob, pool: Pool::Cool });
        let row = store.inner.index.record::<Placement>(Family::Blob, row).await.unwrap();
        let place = row.unwrap();
        assert_ne!(place.segment, places[0].segment);
        assert!(blobs.stored(&blob, &place).await.unwrap().stored == record.stored);
        assert!(blobs.read(&blob, &place, 0..place.plain_bytes).await.unwrap() == content[..]);
    }
}

#[tokio::test]
async fn the_collector_tells_what_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (_, placement) = sealed_blob(&store).await;
    let status = || store.workers().into_iter().find(|worker| worker.name == "collect").expect("it is there");
    assert_eq!((status().bytes, status().last_run), (0, None));
    store.collect().await.unwrap();
    store.collect().await.unwrap();
    assert!(!store.inner.blobs.segments().iter().any(|info| info.id == placement.segment));
    assert!(status().bytes > 100_000 && status().last_run.is_some() && !status().running, "{:?}", status());
}

#[tokio::test]
async fn an_access_of_a_damaged_version_loses_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let name = crate::BucketName::parse("bucket").unwrap();
    store.create_bucket(&name, crate::NewBucket::default()).await.unwrap();
    let bucket = store.bucket(&name).await.unwrap().id;
    let (mut stamps, now) = (Vec::new(), store.inner.clock.now());
    for text in ["damaged", "sound"] {
        let key = crate::ObjectKey::parse(text).unwrap();
        let staged = store.stage_bytes(vec![1; 200_000]).await.unwrap();
        let mut request = crate::PutObject::new(name.clone(), key.clone(), staged);
        request.class = crate::StorageClass::IntelligentTiering;
        store.put(request).await.unwrap();
        let row = key::object(bucket, text);
        let current = store.inner.index.record::<CurrentRecord>(Family::Current, row).await.unwrap();
        let stamp = current.expect("it is the newest").stamp;
        store.inner.accesses.record(bucket, &key, stamp, now);
        stamps.push(stamp);
    }
    let mut batch = Batch::new();
    batch.put_raw(Family::Version, key::version(bucket, "damaged", stamps[0]), vec![0xFF]);
    store.inner.index.commit(batch).await.unwrap();
    store.flush_accesses().await.unwrap();
    let is_stored = |stamp: &crate::Stamp| store.inner.index.rows().get(Family::Access, &stamp.to_bytes()).unwrap();
    assert_eq!(is_stored(&stamps[0]), None);
    assert!(is_stored(&stamps[1]).is_some());
}

#[tokio::test]
async fn two_previews_are_made_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = OpenOptions::new(directory.path().join("data"));
    // Each waits for its share for longer than the test lasts.
    options.background_bytes_per_second = 1;
    let store = Store::open(options).await.unwrap();
    let bucket = crate::BucketName::parse("bucket").unwrap();
    store.create_bucket(&bucket, crate::NewBucket::default()).await.unwrap();
    let preview = || {
        let bucket = bucket.clone();
        store.preview(crate::PreviewQuery { bucket, rules: None, days: 1, after: None, max: 1000 })
    };
    tokio::select! {
        biased;
        _ = preview() => panic!("it waits"),
        _ = preview() => panic!("it waits"),
        third = preview() => assert!(matches!(third, Err(crate::Error::Busy))),
    }
}
