//! One slow body, one long read, one hot chunk, one bad sector, one dropped call: nothing else waits for them.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use strata_storage::{Error, OpenOptions, PutObject, StageOptions, Staged, Store, VersionSelector, WriteCondition};

use super::{CHUNK, Fixture, content, key};

const MIB: usize = 1 << 20;

/// Stages bytes in pieces of 1 MiB, each a chunk.
async fn stage_pieces(store: &Store, bytes: &[u8]) -> Staged {
    let mut stage = store.stage(StageOptions::default());
    stage.write(bytes::Bytes::copy_from_slice(bytes)).await.expect("it is written");
    stage.finish().await.expect("it is staged")
}

async fn put_pieces(fixture: &Fixture, store: &Store, name: &str, bytes: &[u8]) {
    let staged = stage_pieces(store, bytes).await;
    store.put(PutObject::new(fixture.bucket.clone(), key(name), staged)).await.expect("it is put");
}

/// Polls a call once, and drops it unless it is done.
async fn begin_and_drop<T>(call: impl Future<Output = T>) {
    let mut call = pin!(call);
    std::future::poll_fn(|context| {
        let _ = call.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_chunk_that_is_always_being_written_keeps_no_other() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let zeros = vec![0; MIB];
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        put_pieces(&fixture, &store, name, &[zeros.clone(), content(seed, MIB)].concat()).await;
    }
    store.collect().await.expect("a pass");
    let staged = stage_pieces(&store, &zeros).await;
    fixture.delete(&store, "a").await;
    fixture.delete(&store, "b").await;
    let freed = store.collect().await.expect("a pass");
    assert!(freed >= 2 * MIB as u64, "{freed} bytes were freed");
    assert!(fixture.read(&store, "c").await == [zeros.clone(), content(3, MIB)].concat());
    fixture.delete(&store, "c").await;
    // Nothing but the pin keeps the zeros now.
    store.collect().await.expect("a pass");
    store.put(PutObject::new(fixture.bucket.clone(), key("d"), staged)).await.expect("it is put");
    store.collect().await.expect("a pass");
    assert!(fixture.read(&store, "d").await == zeros);
    fixture.delete(&store, "d").await;
    drop(store);
    let store = fixture.open().await;
    store.collect().await.expect("a pass");
    assert_eq!(fixture.segment_bytes(), 0);
}

#[tokio::test]
async fn a_long_read_keeps_what_it_reads_and_nothing_else() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (id, listed) = fixture.upload(&store, "parts", &[(1, content(98, CHUNK)), (2, content(99, 50))]).await;
    fixture.complete(&store, "parts", id, &listed, WriteCondition::None).await.expect("it fits");
    for number in 0..8 {
        fixture.put(&store, &format!("k{number}"), content(number, CHUNK)).await;
    }
    drop(store);
    let store = fixture.open().await;
    let open = async |name| store.object(&fixture.bucket, &key(name), VersionSelector::Current).await;
    let opened = open("k0").await.expect("it is there");
    let parts = open("parts").await.expect("it is there");
    let mut reader = open("k1").await.expect("it is there").read(0..CHUNK as u64);
    for number in 0..8 {
        fixture.delete(&store, &format!("k{number}")).await;
    }
    fixture.delete(&store, "parts").await;
    for _ in 0..2 {
        store.collect().await.expect("a pass");
        assert!(fixture.segment_bytes() < 4 * CHUNK as u64, "{} bytes are left", fixture.segment_bytes());
    }
    assert!(opened.read(0..CHUNK as u64).collect().await.expect("it is whole") == content(0, CHUNK));
    let whole = [content(98, CHUNK), content(99, 50)].concat();
    assert!(parts.read(0..whole.len() as u64).collect().await.expect("it is whole") == whole);
    let mut read = Vec::new();
    while let Some(bytes) = reader.next().await.expect("it is whole") {
        read.extend_from_slice(&bytes);
    }
    assert!(read == content(1, CHUNK));
    drop((opened, parts, reader));
    store.collect().await.expect("a pass");
    drop(store);
    let store = fixture.open().await;
    store.collect().await.expect("a pass");
    assert_eq!(fixture.segment_bytes(), 0);
}

#[tokio::test]
async fn a_slow_body_keeps_no_segment_that_was_full_before() {
    let fixture = Fixture::new();
    let options = || OpenOptions { segment_bytes: 16 << 20, write_buffers_max: 1, ..fixture.options() };
    let store = fixture.open_with(options()).await;
    for seed in [1, 2, 3] {
        fixture.put(&store, &format!("large {seed}"), content(seed, 2 * MIB)).await;
    }
    drop(store);
    let store = fixture.open_with(options()).await;
    store.collect().await.expect("a pass");
    let bytes = content(4, 2 * MIB);
    let mut slow = store.stage(StageOptions { size: Some(bytes.len() as u64), ..StageOptions::default() });
    slow.write(bytes::Bytes::copy_from_slice(&bytes[..10])).await.expect("it is taken");
    fixture.delete(&store, "large 1").await;
    fixture.delete(&store, "large 2").await;
    // The only buffer is taken, so this would wait for ever if the collector needed one of those.
    let freed = tokio::time::timeout(Duration::from_secs(120), store.collect()).await.expect("nothing holds it up");
    assert!(freed.expect("a pass") > 3 * MIB as u64);
    assert!(fixture.read(&store, "large 3").await == content(3, 2 * MIB));
    slow.write(bytes::Bytes::copy_from_slice(&bytes[10..])).await.expect("it is taken");
    let staged = slow.finish().await.expect("it is staged");
    store.put(PutObject::new(fixture.bucket.clone(), key("slow"), staged)).await.expect("it is put");
    assert!(fixture.read(&store, "slow").await == bytes);
}

#[tokio::test]
async fn a_disk_error_in_one_segment_stops_no_other() {
    let fixture = Fixture::new();
    for first in [0, 10] {
        let store = fixture.open().await;
        for number in first..first + 9 {
            fixture.put(&store, &format!("k{number}"), content(number, CHUNK)).await;
        }
    }
    let mut segments = fixture.segment_files();
    segments.sort();
    let [broken, sound] = &segments[..] else { panic!("two segments were written") };
    let store = fixture.open().await;
    for number in (1..9).chain(12..19) {
        fixture.delete(&store, &format!("k{number}")).await;
    }
    // A directory can be opened, but not read.
    let aside = broken.with_extension("aside");
    std::fs::rename(broken, &aside).expect("it can be renamed");
    std::fs::create_dir(broken).expect("the name is free");
    store.collect().await.expect("a pass");
    assert!(broken.exists() && !sound.exists());
    let object = store.object(&fixture.bucket, &key("k0"), VersionSelector::Current).await.expect("it is named");
    assert!(matches!(object.read(0..CHUNK as u64).collect().await, Err(Error::Io { .. })));
    drop(object);
    // It is looked at again some time after.
    std::fs::remove_dir(broken).expect("it is empty");
    std::fs::rename(&aside, broken).expect("the name is free");
    for _ in 0..100 {
        store.collect().await.expect("a pass");
    }
    assert!(!broken.exists());
    for number in [0, 10, 11] {
        assert!(fixture.read(&store, &format!("k{number}")).await == content(number, CHUNK), "{number}");
    }
}

#[tokio::test]
async fn dropped_calls_run_to_their_end() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for number in 0..40 {
        fixture.put(&store, &format!("k{number}"), content(number, CHUNK)).await;
    }
    for number in (0..40).filter(|number| number % 4 != 0) {
        fixture.delete(&store, &format!("k{number}")).await;
        begin_and_drop(store.collect()).await;
    }
    let directory = |name| fixture.directory.path().join(name);
    begin_and_drop(store.checkpoint(&directory("first"))).await;
    begin_and_drop(store.collect()).await;
    // Checkpoints take turns, so when this one is done, so is the one before.
    store.checkpoint(&directory("second")).await.expect("a checkpoint");
    store.collect().await.expect("a pass");
    for name in ["first", "second"] {
        let copy = fixture.open_with(OpenOptions { directory: directory(name), ..fixture.options() }).await;
        for number in (0..40).step_by(4) {
            assert!(fixture.read(&copy, &format!("k{number}")).await == content(number, CHUNK), "{number} of {name}");
        }
    }
    for number in (0..40).step_by(4) {
        assert!(fixture.read(&store, &format!("k{number}")).await == content(number, CHUNK), "{number}");
        fixture.delete(&store, &format!("k{number}")).await;
    }
    store.close().await.expect("it closes");
    drop(store);
    let store = fixture.open().await;
    store.collect().await.expect("a pass");
    assert_eq!(fixture.segment_bytes(), 0);
}
