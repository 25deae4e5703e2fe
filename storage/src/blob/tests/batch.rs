//! Batches: runs, segments of their own for each pool, and one failing call to the disk at every point.

use bytes::Bytes;

use super::compressed::{prepared, text};
use super::{append, content, open, open_on, options, read_all, zone};
use crate::blob::codec::Level;
use crate::blob::{Blobs, BlobsOptions, Form, Placement, Prepared};
use crate::error::{Error, Result};
use crate::fs::{FailingDisk, Failure};
use crate::pool::Pool;

const MIB: usize = 1 << 20;

/// Records of many sizes in either form, some 20 MiB in all.
fn records(seed: u64) -> (Vec<Prepared>, Vec<Bytes>) {
    let sizes = [1, 100, 5000, 65_537, MIB, MIB + 1, 8 * MIB, 10, 3 * MIB, 64, 8 * MIB - 1, 70_000];
    let contents: Vec<Bytes> = sizes
        .into_iter()
        .enumerate()
        .map(|(at, bytes)| if at % 3 == 0 { content(seed + at as u64, bytes) } else { text(seed + at as u64, bytes) })
        .collect();
    (contents.iter().map(|content| prepared(content, Form::Compressed(Level::Cool))).collect(), contents)
}

async fn assert_stored(blobs: &Blobs, records: &[Prepared], places: &[Placement], contents: &[Bytes]) {
    assert_eq!(places.len(), contents.len());
    for ((record, place), content) in records.iter().zip(places).zip(contents) {
        assert!(read_all(blobs, &record.id, place).await.unwrap() == *content, "{place:?}");
    }
}

#[tokio::test]
async fn a_batch_takes_few_calls_and_is_found_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new(0, Failure::Broken);
    let blobs = open_on(directory.path(), disk.clone()).unwrap();
    let before = disk.calls();
    let (batch, contents) = records(1);
    let stored_bytes: usize = batch.iter().map(|record| record.stored.len()).sum();
    let places = blobs.write_batch(Pool::Cool, batch.clone()).await.unwrap();
    // A segment is made with four calls; then a write for each 8 MiB begun and left unfilled, and one sync.
    assert!(disk.calls() - before <= 4 + 2 * (1 + stored_bytes as u64 / (8 << 20)) + 1, "{}", disk.calls() - before);
    for pair in places.windows(2) {
        assert!(pair[0].offset + pair[0].record_bytes() <= pair[1].offset);
    }
    for place in &places {
        assert!(place.plain_bytes as usize <= MIB || place.offset.is_multiple_of(4096));
    }
    assert_stored(&blobs, &batch, &places, &contents).await;
    drop(blobs);
    assert_stored(&open(directory.path()), &batch, &places, &contents).await;
}

#[tokio::test]
async fn small_records_lie_close_together() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let batch = (0..100).map(|seed| prepared(&content(seed, 100), Form::Raw)).collect();
    let places = blobs.write_batch(Pool::Archive, batch).await.unwrap();
    assert!(places.windows(2).all(|pair| pair[1].offset - pair[0].offset == 256));
    assert_eq!(blobs.segments()[0].bytes, 4096 + 25_600_u64.next_multiple_of(4096));
    assert!(blobs.write_batch(Pool::Archive, Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn each_pool_has_its_own_segment_until_it_is_sealed_or_full() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(BlobsOptions { segment_bytes: 100_000, ..options(directory.path()) }).unwrap();
    let batch = |seed| vec![prepared(&content(seed, 10_000), Form::Raw)];
    let mut segments = Vec::new();
    for pool in [Pool::Cool, Pool::Archive, Pool::Cool, Pool::OneZone] {
        segments.push(blobs.write_batch(pool, batch(1)).await.unwrap()[0].segment);
    }
    segments.push(append(&blobs, &content(1, 10)).await.unwrap().1.segment);
    assert_eq!(segments, [1, 2, 1, 3, 4]);
    blobs.seal_active().await.unwrap();
    assert!(blobs.segments().iter().all(|segment| segment.sealed));

    let large: Vec<Prepared> = (0..4).map(|seed| prepared(&content(seed, 5 * MIB), Form::Raw)).collect();
    let places = blobs.write_batch(Pool::Cool, large.clone()).await.unwrap();
    assert_eq!(places.iter().map(|place| place.segment).collect::<Vec<_>>(), [5, 6, 7, 8]);
    for (record, place) in large.iter().zip(&places) {
        assert!(read_all(&blobs, &record.id, place).await.unwrap() == record.stored);
    }
}

#[tokio::test]
async fn batches_of_one_pool_go_on_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..4 {
        let blobs = blobs.clone();
        tasks.spawn(async move {
            let (batch, contents) = records(seed * 100);
            let places = blobs.write_batch(Pool::Cool, batch.clone()).await.unwrap();
            (batch, places, contents)
        });
    }
    for (batch, places, contents) in tasks.join_all().await {
        assert_stored(&blobs, &batch, &places, &contents).await;
    }
    assert_eq!(blobs.segments().len(), 1);
}

/// Batches with small segments, in one of which the chosen call fails, and then another one.
async fn check(batches: &[(Vec<Prepared>, Vec<Bytes>)], fail_at: u64, failure: Failure) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new(fail_at, failure).without_syncs();
    let options = BlobsOptions {
        segment_bytes: 12 << 20,
        zones: vec![zone(0, directory.path(), disk.clone())],
        ..options(directory.path())
    };
    let Ok(blobs) = Blobs::open(options) else { return true };
    let mut outcomes: Vec<Result<Vec<Placement>>> = Vec::new();
    for (batch, _) in batches {
        outcomes.push(blobs.write_batch(Pool::Archive, batch.clone()).await);
    }
    let failed: Vec<&Error> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(failed.len(), usize::from(disk.has_failed()), "call {fail_at}, {failure:?}: {failed:?}");
    let has_failed = disk.has_failed();
    if has_failed {
        let again = blobs.write_batch(Pool::Archive, batches[0].0.clone()).await;
        assert_stored(&blobs, &batches[0].0, &again.expect("the disk is sound again"), &batches[0].1).await;
    }
    blobs.seal_active().await.unwrap();
    assert!(blobs.segments().iter().all(|segment| segment.sealed));
    for blobs in [blobs, open(directory.path())] {
        for ((batch, contents), places) in batches.iter().zip(&outcomes) {
            if let Ok(places) = places {
                assert_stored(&blobs, batch, places, contents).await;
            }
        }
    }
    has_failed
}

#[tokio::test]
async fn a_failing_call_fails_its_batch_and_no_other() {
    let batches: Vec<_> = (0..3).map(|seed| records(seed * 100)).collect();
    for failure in [Failure::Broken, Failure::Full] {
        let mut fail_at = 1;
        while check(&batches, fail_at, failure).await {
            fail_at += 1;
        }
        assert!(fail_at > 15, "three batches make more calls than {fail_at}");
    }
}
