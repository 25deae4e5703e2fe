//! Where objects go, and that nothing that happens meanwhile loses or leaves anything.

use strata_storage::{Error, Pool, StorageClass, Store, VersionSelector};

use crate::audit::audit;
use crate::support::{Fixture, content, key, options};

const SIZE: usize = 100_000;

#[tokio::test]
async fn objects_of_every_class_go_to_their_pool_and_read_back() {
    let fixture = Fixture::new().await;
    for (seed, class) in (1..).zip(StorageClass::ALL) {
        fixture.put(class.name(), class, content(seed, SIZE)).await;
        fixture.put(&format!("small {}", class.name()), class, content(seed, 100)).await;
        fixture.put(&format!("empty {}", class.name()), class, Vec::new()).await;
    }
    assert_eq!(fixture.store.settle().await.expect("a pass"), 5, "what belongs into the hot pool is there");
    assert_eq!(fixture.store.settle().await.expect("a pass"), 0);
    for (seed, class) in (1..).zip(StorageClass::ALL) {
        if matches!(class, StorageClass::Glacier | StorageClass::DeepArchive) {
            fixture.assert_archived(class.name()).await;
            fixture.assert_archived(&format!("small {}", class.name())).await;
        } else {
            fixture.assert_reads(class.name(), &content(seed, SIZE)).await;
            fixture.assert_reads(&format!("small {}", class.name()), &content(seed, 100)).await;
        }
    }
    let audit = fixture.finish().await;
    assert_eq!(audit.pools(), [3, 2, 1, 2], "{:?}", Pool::ALL);
    assert_eq!((audit.queued, audit.garbage), (0, 0));
}

#[tokio::test]
async fn equal_content_in_two_classes_is_kept_in_both_pools() {
    let fixture = Fixture::new().await;
    let bytes = content(1, SIZE);
    fixture.put("hot", StorageClass::Standard, bytes.clone()).await;
    fixture.put("cool", StorageClass::StandardIa, bytes.clone()).await;
    fixture.put("cool too", StorageClass::GlacierIr, bytes.clone()).await;
    assert_eq!(fixture.store.settle().await.expect("a pass"), 2);
    for name in ["hot", "cool", "cool too"] {
        fixture.assert_reads(name, &bytes).await;
    }
    fixture.delete("hot").await;
    fixture.delete("cool").await;
    for _ in 0..2 {
        fixture.store.collect().await.expect("a collection");
    }
    fixture.assert_reads("cool too", &bytes).await;
    assert_eq!(fixture.finish().await.pools(), [0, 1, 0, 0]);
}

#[tokio::test]
async fn content_that_is_written_again_while_it_is_elsewhere_is_hot_again() {
    let fixture = Fixture::new().await;
    let bytes = content(1, SIZE);
    fixture.put("archived", StorageClass::Glacier, bytes.clone()).await;
    fixture.store.settle().await.expect("a pass");
    fixture.put("hot", StorageClass::Standard, bytes.clone()).await;
    fixture.assert_reads("hot", &bytes).await;
    fixture.delete("archived").await;
    fixture.store.collect().await.expect("a collection");
    fixture.assert_reads("hot", &bytes).await;
    assert_eq!(fixture.finish().await.pools(), [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_reader_that_has_begun_reads_on_while_its_object_moves() {
    let fixture = Fixture::new().await;
    let bytes = content(1, 12 << 20);
    fixture.put("photo", StorageClass::StandardIa, bytes.clone()).await;
    let object = fixture.store.object(&fixture.bucket, &key("photo"), VersionSelector::Current).await;
    let mut reader = object.expect("it is there").read(0..12 << 20);
    let mut read = reader.next().await.expect("it is whole").expect("it has bytes").to_vec();
    fixture.store.settle().await.expect("a pass");
    for _ in 0..3 {
        fixture.store.collect().await.expect("a collection");
    }
    while let Some(bytes) = reader.next().await.expect("it is whole") {
        read.extend_from_slice(&bytes);
    }
    assert!(read == bytes);
    drop(reader);
    assert_eq!(fixture.finish().await.pools(), [0, 2, 0, 0]);
}

#[tokio::test]
async fn a_copy_of_an_object_that_moves_refers_to_where_the_bytes_are() {
    let fixture = Fixture::new().await;
    let bytes = content(1, SIZE);
    fixture.put("source", StorageClass::StandardIa, bytes.clone()).await;
    let object = fixture.store.object(&fixture.bucket, &key("source"), VersionSelector::Current).await;
    let object = object.expect("it is there");
    // Staged from what was read before the move: the pin keeps the hot blob, and the mover tries again.
    let staged = fixture.store.stage_copy(&object, Default::default()).await.expect("it is staged");
    fixture.store.settle().await.expect("a pass");
    let request = strata_storage::PutObject::new(fixture.bucket.clone(), key("early"), staged);
    fixture.store.put(request).await.expect("it is put");
    fixture.store.settle().await.expect("a pass");
    // Staged after the move, from what was read before it.
    let staged = fixture.store.stage_copy(&object, Default::default()).await.expect("it is staged");
    let request = strata_storage::PutObject::new(fixture.bucket.clone(), key("late"), staged);
    fixture.store.put(request).await.expect("it is put");
    drop(object);
    fixture.copy("source", "after", StorageClass::OnezoneIa).await.expect("it is copied");
    fixture.store.settle().await.expect("a pass");
    for _ in 0..2 {
        fixture.store.collect().await.expect("a collection");
    }
    for name in ["source", "early", "late", "after"] {
        fixture.assert_reads(name, &bytes).await;
    }
    let audit = fixture.finish().await;
    assert_eq!((audit.pools(), audit.queued), ([1, 1, 1, 0], 0));
}

#[tokio::test]
async fn an_object_of_thousands_of_parts_moves_whole() {
    let fixture = Fixture::new().await;
    // More than a page of parts, some in the index, one with several chunks, some equal to others.
    let parts: Vec<Vec<u8>> = (0..1200)
        .map(|number| content(number % 1000, if number % 50 == 7 { 50 } else { 5_000 + number as usize }))
        .chain([content(5000, 9 << 20), content(5001, 17 << 20)])
        .collect();
    let whole = parts.concat();
    fixture.multipart("film", StorageClass::StandardIa, &parts).await;
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_reads("film", &whole).await;
    fixture.copy("film", "copy", StorageClass::Glacier).await.expect("it is copied");
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_reads("film", &whole).await;
    fixture.delete("film").await;
    for _ in 0..3 {
        fixture.store.collect().await.expect("a collection");
    }
    let audit = fixture.finish().await;
    let [hot, cool, one_zone, archive] = audit.pools();
    assert_eq!((hot, cool, one_zone, audit.queued, audit.garbage), (0, 0, 0, 0, 0));
    assert!(archive > 900);
}

#[tokio::test]
async fn many_chunks_in_pages_move_whole() {
    let fixture = Fixture::new().await;
    // A body of unknown length has chunks of 1 MiB: more than its record holds.
    let bytes = content(1, 20 << 20);
    let mut stage = fixture.store.stage(Default::default());
    stage.write(bytes.clone().into()).await.expect("it is staged");
    let mut request =
        strata_storage::PutObject::new(fixture.bucket.clone(), key("pages"), stage.finish().await.expect("it ends"));
    request.class = StorageClass::OnezoneIa;
    fixture.store.put(request).await.expect("it is put");
    assert_eq!(fixture.store.settle().await.expect("a pass"), 1);
    fixture.assert_reads("pages", &bytes).await;
    assert_eq!(fixture.finish().await.pools(), [0, 0, 20, 0]);
}

#[tokio::test]
async fn versions_deleted_and_written_while_they_move_leave_nothing() {
    for seed in 0..4 {
        let fixture = Fixture::new().await;
        let names: Vec<String> = (0..40).map(|number| format!("photo {number}")).collect();
        for (number, name) in (0..).zip(&names) {
            let bytes = content(number / 2 + seed * 1000, SIZE);
            match number % 5 {
                3 => fixture.multipart(name, StorageClass::Glacier, &[bytes, content(number, SIZE / 2)]).await,
                _ => fixture.put(name, StorageClass::Glacier, bytes).await,
            }
        }
        let settling = tokio::spawn({
            let store = fixture.store.clone();
            async move { store.settle().await }
        });
        for (number, name) in (0..).zip(&names) {
            match (number + seed) % 4 {
                0 => fixture.delete(name).await,
                1 => fixture.put(name, StorageClass::StandardIa, content(number / 2 + seed * 1000, SIZE)).await,
                2 => _ = fixture.store.collect().await.expect("a collection"),
                _ => {}
            }
        }
        settling.await.expect("it ends").expect("a pass");
        fixture.store.settle().await.expect("a pass");
        for (number, name) in (0..).zip(&names).filter(|(number, _)| (number + seed) % 4 == 1) {
            fixture.assert_reads(name, &content(number / 2 + seed * 1000, SIZE)).await;
        }
        let audit = fixture.finish().await;
        assert_eq!((audit.in_pool(0), audit.queued, audit.garbage), (0, 0, 0), "seed {seed}");
    }
}

#[tokio::test]
async fn a_store_closed_while_objects_move_goes_on_when_it_is_opened() {
    let mut fixture = Fixture::new().await;
    let bytes = content(1, 40 << 20);
    fixture.put("large", StorageClass::StandardIa, bytes.clone()).await;
    for number in 0..100 {
        fixture.put(&format!("small {number}"), StorageClass::StandardIa, content(number + 2, SIZE)).await;
    }
    let mut closed_early = 0;
    for _ in 0..50 {
        let settling = tokio::spawn({
            let store = fixture.store.clone();
            async move { store.settle().await }
        });
        tokio::task::yield_now().await;
        let large = fixture.store.workers().into_iter().find(|worker| worker.name == "settle").expect("it is there");
        assert!(large.bytes <= 200 << 20);
        fixture = fixture.reopen().await;
        match settling.await.expect("it ends") {
            Err(Error::Closed) => closed_early += 1,
            Ok(_) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(closed_early > 0);
    fixture.store.settle().await.expect("a pass");
    fixture.assert_reads("large", &bytes).await;
    for number in 0..100 {
        fixture.assert_reads(&format!("small {number}"), &content(number + 2, SIZE)).await;
    }
    let audit = fixture.finish().await;
    assert_eq!((audit.in_pool(0), audit.queued), (0, 0));
}

#[tokio::test]
async fn copies_of_the_store_taken_while_objects_move_are_whole() {
    let fixture = Fixture::new().await;
    let parts: Vec<Vec<u8>> = (1000..1300).map(|seed| content(seed, 40_000)).collect();
    fixture.multipart("large", StorageClass::StandardIa, &parts).await;
    let large = parts.concat();
    for number in 0..20 {
        fixture.put(&format!("small {number}"), StorageClass::StandardIa, content(number + 2, SIZE)).await;
    }
    let settling = tokio::spawn({
        let store = fixture.store.clone();
        async move { store.settle().await }
    });
    let mut copies = Vec::new();
    while copies.len() < 5 {
        let copy = fixture.directory.path().join(format!("copy {}", copies.len()));
        fixture.store.checkpoint(&copy).await.expect("a copy");
        copies.push(copy);
    }
    settling.await.expect("it ends").expect("a pass");
    for copy in copies {
        let store = Store::open(options(copy.clone(), &fixture.clock)).await.expect("it opens");
        store.settle().await.expect("a pass");
        for _ in 0..3 {
            store.collect().await.expect("a collection");
        }
        let object = store.object(&fixture.bucket, &key("large"), VersionSelector::Current).await;
        let object = object.expect("it is there");
        assert!(object.read(0..object.info().size).collect().await.expect("it is whole") == large[..]);
        drop(object);
        store.close().await.expect("it closes");
        drop(store);
        let audit = audit(&copy);
        assert_eq!((audit.in_pool(0), audit.queued), (0, 0));
    }
}
