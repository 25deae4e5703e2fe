//! Writing: whatever was acknowledged is there, also after reopening, in the segments that it should be in.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{append, content, open, open_on, options, put_large, read_all, write_large};
use crate::blob::buffer::Buffers;
use crate::blob::large::{LargeLane, LargeWriter};
use crate::blob::{Blobs, BlobsOptions, StreamHint};
use crate::error::Error;
use crate::fs::{FailingDisk, Failure};
use crate::pool::Pool;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[tokio::test]
async fn small_chunks_come_back_at_every_size() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let mut stored = Vec::new();
    for bytes in [1, 2, 63, 64, 65, 4095, 4096, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB] {
        let content = content(bytes as u64, bytes);
        let (id, placement) = append(&blobs, &content).await.unwrap();
        assert_eq!((placement.plain_bytes as usize, placement.stored_bytes as usize), (bytes, bytes));
        assert_eq!(read_all(&blobs, &id, &placement).await.unwrap(), content, "{bytes} bytes");
        stored.push((id, placement, content));
    }
    drop(blobs);
    let blobs = open(directory.path());
    for (id, placement, content) in stored {
        assert_eq!(read_all(&blobs, &id, &placement).await.unwrap(), content);
    }
}

#[tokio::test]
async fn large_chunks_come_back_at_every_size_also_when_they_end_early() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let hint = StreamHint::new(None);
    // Among them: data that fills the first buffer exactly, and a record that does.
    let sizes = [1, 64 * KIB, 64 * KIB + 1, MIB - 64 - 576, MIB - 64, MIB - 1, MIB, MIB + 1, 2 * MIB - 64, 8 * MIB - 1];
    for bytes in sizes {
        for spare in [0, 1, 8 * MIB - bytes] {
            let content = content(bytes as u64, bytes);
            let (id, placement) = put_large(&blobs, &content, spare, &hint).await.unwrap();
            assert_eq!(placement.plain_bytes as usize, bytes);
            assert_eq!(read_all(&blobs, &id, &placement).await.unwrap(), content, "{bytes} bytes, {spare} spare");
        }
    }
    // What was reserved and not used was given back.
    let used: usize = sizes.iter().map(|bytes| 3 * (bytes + 2 * 4096 + bytes / 2048)).sum();
    assert!(blobs.segments()[0].bytes <= used as u64);
}

#[tokio::test]
async fn writers_of_one_segment_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let hint = Arc::new(StreamHint::new(Some(5 << 20)));
    let mut tasks = JoinSet::new();
    for seed in 0..5 {
        let (blobs, hint) = (blobs.clone(), hint.clone());
        tasks.spawn(async move {
            let content = content(seed, MIB + seed as usize * 100_000);
            let (id, placement) = put_large(&blobs, &content, 0, &hint).await.unwrap();
            (id, placement, content)
        });
    }
    // One that is abandoned half way.
    let writer = blobs.begin_large(Pool::Hot, 3 << 20, &hint).await.unwrap();
    drop(write_large(writer, &content(9, 2 * MIB), 70_000).await.unwrap());
    for (id, placement, content) in tasks.join_all().await {
        assert_eq!(read_all(&blobs, &id, &placement).await.unwrap(), content);
    }
    assert_eq!(blobs.segments().len(), 1);
}

#[tokio::test]
async fn writers_share_buffers_without_waiting_for_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let segments = Arc::new(
        crate::blob::segments::SegmentSet::open(options(directory.path()), crate::blob::OpenFor::Use).unwrap(),
    );
    let lane = LargeLane::new(segments);
    let (buffers, hint) = (Arc::new(Buffers::new(2)), StreamHint::new(None));
    let content = content(1, 3 * MIB);
    let mut writers = Vec::new();
    for _ in 0..2 {
        let mut writer =
            LargeWriter::begin(&lane, Pool::Hot, buffers.clone(), content.len() as u64, &hint).await.unwrap();
        writer.write(content.slice(..10)).await.unwrap();
        writers.push(writer);
    }
    assert_eq!(buffers.write_buffers_free(), 0, "each holds one, so neither finds a second");
    for mut writer in writers {
        writer.write(content.slice(10..)).await.unwrap();
        let (_, _, ticket) = writer.finish().await.unwrap();
        ticket.synced().await.unwrap();
    }
}

#[tokio::test]
async fn a_writer_whose_body_halts_holds_one_buffer() {
    let directory = tempfile::tempdir().unwrap();
    let segments = Arc::new(
        crate::blob::segments::SegmentSet::open(options(directory.path()), crate::blob::OpenFor::Use).unwrap(),
    );
    let lane = LargeLane::new(segments);
    let (buffers, hint) = (Arc::new(Buffers::new(3)), StreamHint::new(None));
    let mut writer = LargeWriter::begin(&lane, Pool::Hot, buffers.clone(), 3 << 20, &hint).await.unwrap();
    writer.write(content(1, MIB + 10)).await.unwrap();
    // The first MiB is on its way to the disk, or there already: both others are to be had without further ado.
    let both = async { (buffers.write_buffer().await.unwrap(), buffers.write_buffer().await.unwrap()) };
    drop(tokio::time::timeout(Duration::from_secs(60), both).await.unwrap());
    drop(writer);
    assert_eq!(buffers.write_buffers_free(), 3);
}

#[tokio::test]
async fn chunks_that_arrive_together_share_syncs() {
    const CHUNKS: u64 = 400;
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new(0, Failure::Broken);
    let blobs = open_on(directory.path(), disk.clone()).unwrap();
    let mut tasks = JoinSet::new();
    for seed in 0..CHUNKS {
        let blobs = blobs.clone();
        tasks.spawn(async move {
            let content = content(seed, 5000 + seed as usize);
            let (id, placement) = append(&blobs, &content).await.unwrap();
            (id, placement, content)
        });
    }
    let mut stored = tasks.join_all().await;
    assert!(disk.calls() < CHUNKS, "alone they would take two calls each, not {} in all", disk.calls());
    stored.sort_by_key(|(_, placement, _)| placement.offset);
    for pair in stored.windows(2) {
        assert!(pair[0].1.offset + pair[0].1.record_bytes() <= pair[1].1.offset);
    }
    for (id, placement, content) in stored {
        assert_eq!(read_all(&blobs, &id, &placement).await.unwrap(), content);
    }
}

#[tokio::test]
async fn segments_rotate_and_ids_are_never_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let small = || BlobsOptions { segment_bytes: 20_000, ..options(directory.path()) };
    let blobs = Blobs::open(small()).unwrap();
    for seed in 0..5 {
        append(&blobs, &content(seed, 9000)).await.unwrap();
    }
    let found: Vec<_> = blobs.segments().iter().map(|segment| (segment.id, segment.bytes, segment.sealed)).collect();
    let full = 4096 + 12288;
    assert_eq!(found, [(1, full, true), (2, full, true), (3, full, true), (4, full, true), (5, full, false)]);
    blobs.seal_active().await.unwrap();
    assert!(blobs.segments().iter().all(|segment| segment.sealed));
    let (_, placement) = append(&blobs, &content(9, 10)).await.unwrap();
    assert_eq!(placement.segment, 6);
    drop(blobs);

    let blobs = Blobs::open(small()).unwrap();
    assert_eq!(blobs.segments().len(), 6);
    assert!(blobs.segments().iter().all(|segment| segment.sealed));
    assert_eq!(append(&blobs, &content(9, 10)).await.unwrap().1.segment, 7);
    drop(blobs);

    let blobs = Blobs::open(BlobsOptions { next_segment: 70, ..small() }).unwrap();
    assert_eq!(append(&blobs, &content(9, 10)).await.unwrap().1.segment, 70);
}

#[tokio::test]
async fn a_large_body_has_segments_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (shared, own) = (StreamHint::new(Some((64 << 20) - 1)), StreamHint::new(Some(64 << 20)));
    let mut segments = Vec::new();
    for (seed, hint) in [&shared, &own, &shared, &own].into_iter().enumerate() {
        segments.push(put_large(&blobs, &content(seed as u64, MIB + 1), 0, hint).await.unwrap().1.segment);
    }
    assert_eq!(segments, [1, 2, 1, 2]);
    assert!(matches!(blobs.remove_segment(2).await, Err(Error::Conflict)), "more of the body may come");
    drop(own);
    assert!(blobs.remove_segment(2).await.unwrap() > 2 << 20);
}
