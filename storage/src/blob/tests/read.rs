//! Reading: ranges, and what happens when the segment goes away.

use proptest::prelude::{Strategy, any};
use proptest::test_runner::TestRunner;

use super::{append, assert_corrupt, content, open, options, put_large, read_all, segment_path};
use crate::blob::{Blobs, BlobsOptions, Placement, ReadError, StreamHint};
use crate::error::Error;

#[test]
fn every_range_is_that_of_the_content() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let blobs = runtime.block_on(async { open(directory.path()) });
    let mut stored = Vec::new();
    for bytes in [1, 1000, 65_536, 65_537, 300_000, 1 << 20] {
        let content = content(bytes as u64, bytes);
        let (id, placement) = runtime.block_on(append(&blobs, &content)).unwrap();
        stored.push((id, placement, content));
    }
    let large = content(3, (3 << 20) + 77_777);
    let (id, placement) = runtime.block_on(put_large(&blobs, &large, 0, &StreamHint::new(None))).unwrap();
    stored.push((id, placement, large));

    let ranges = (0..stored.len(), any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(which, a, b, aligned)| {
        let unit = if aligned { 65_536 } else { 1 };
        (which, a, b, unit)
    });
    let mut runner = TestRunner::default();
    let outcome = runner.run(&ranges, |(which, a, b, unit)| {
        let (id, placement, content) = &stored[which];
        let cut = |x: u32| (x % (placement.plain_bytes + 1)).next_multiple_of(unit).min(placement.plain_bytes);
        let (start, end) = (cut(a).min(cut(b)), cut(a).max(cut(b)));
        let expected = &content[start as usize..end as usize];
        runtime.block_on(async {
            let bytes = blobs.read(id, placement, start..end).await.unwrap();
            assert_eq!(bytes, expected);
            let mut reader = blobs.reader(id, placement, start..end);
            let mut all = Vec::new();
            while let Some(bytes) = reader.next().await.unwrap() {
                assert!(!bytes.is_empty() && bytes.len() <= 256 << 10);
                all.extend_from_slice(&bytes);
            }
            assert_eq!(all, expected);
        });
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_removed_segment_reads_as_moved_except_for_who_began() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let content = content(1, 3 << 20);
    let (id, placement) = put_large(&blobs, &content, 0, &StreamHint::new(None)).await.unwrap();
    let mut reader = blobs.reader(&id, &placement, 0..placement.plain_bytes);
    let first = reader.next().await.unwrap().unwrap();
    assert!(first == content[..first.len()] && first.len() < content.len());

    assert!(matches!(blobs.remove_segment(placement.segment).await, Err(Error::Conflict)));
    blobs.seal_active().await.unwrap();
    let on_disk = std::fs::metadata(segment_path(&blobs, placement.segment)).unwrap().len();
    assert_eq!(blobs.remove_segment(placement.segment).await.unwrap(), on_disk);
    assert_eq!(blobs.remove_segment(placement.segment).await.unwrap(), 0);
    assert!(blobs.segments().is_empty());
    assert!(matches!(blobs.read(&id, &placement, 0..1).await, Err(ReadError::Moved)));
    assert!(matches!(read_all(&blobs, &id, &placement).await, Err(ReadError::Moved)));
    let mut all = first.to_vec();
    while let Some(bytes) = reader.next().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    assert!(all == content, "who began reads on to the end");
}

#[tokio::test]
async fn a_file_that_vanished_reads_as_moved() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (id, placement) = append(&blobs, &content(1, 100)).await.unwrap();
    std::fs::remove_file(segment_path(&blobs, placement.segment)).unwrap();
    assert!(matches!(blobs.read(&id, &placement, 0..100).await, Err(ReadError::Moved)));
    let elsewhere = Placement { generation: 2, ..placement };
    assert!(matches!(blobs.read(&id, &elsewhere, 0..100).await, Err(ReadError::Moved)));
}

#[tokio::test]
async fn a_placement_that_cannot_be_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (id, placement) = append(&blobs, &content(1, 100)).await.unwrap();
    let cases = [
        Placement { plain_bytes: 0, stored_bytes: 0, ..placement },
        Placement { plain_bytes: 100, stored_bytes: 99, ..placement },
        Placement { plain_bytes: 100, stored_bytes: 101, ..placement },
        Placement { plain_bytes: 100, stored_bytes: 0, ..placement },
        Placement { plain_bytes: u32::MAX, stored_bytes: u32::MAX, ..placement },
        Placement { offset: placement.offset + 1, ..placement },
        Placement { offset: 0, ..placement },
        Placement { offset: u64::MAX - 63, ..placement },
        Placement { offset: placement.offset + 4096, ..placement },
    ];
    for case in cases {
        assert_corrupt(blobs.read(&id, &case, 0..case.plain_bytes.min(100)).await, &format!("{case:?}"));
    }
    assert_corrupt(blobs.read(&id, &placement, 0..101).await, "beyond the end");
}

#[tokio::test]
async fn segments_of_another_store_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (id, placement) = append(&open(directory.path()), &content(1, 100)).await.unwrap();
    let other = Blobs::open(BlobsOptions { store_id: [0; 16], ..options(directory.path()) }).unwrap();
    assert_corrupt(other.read(&id, &placement, 0..100).await, "another store");
}
