//! Compressed records: what comes back is the content, whatever its size and whatever range is asked for.

use bytes::Bytes;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::TestRunner;

use super::{assert_corrupt, content, open, read_all};
use crate::blob::codec::{self, Level};
use crate::blob::{BlobId, Blobs, Form, Placement, Prepared};
use crate::pool::Pool;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Words without an order, which the seed repeats: they compress to less than a half.
pub fn text(seed: u64, bytes: usize) -> Bytes {
    const WORDS: [&str; 8] = ["segment ", "frame ", "of ", "the ", "zone ", "content\n", "reads ", "pool "];
    let choices = content(seed, bytes / 2 + 1);
    let words = choices.iter().flat_map(|&choice| WORDS[usize::from(choice) % 8].bytes());
    words.take(bytes).collect::<Vec<u8>>().into()
}

/// Text in which every other 64 KiB cannot be compressed.
fn mixed(seed: u64, bytes: usize) -> Bytes {
    let (text, noise) = (text(seed, bytes), content(seed, bytes));
    let pieces = text.chunks(64 * KIB).zip(noise.chunks(64 * KIB)).enumerate();
    pieces.flat_map(|(at, (text, noise))| if at % 2 == 0 { text } else { noise }).copied().collect()
}

pub fn prepared(content: &[u8], form: Form) -> Prepared {
    let (id, table) = Blobs::hash(content);
    Blobs::prepare(id, content, table, form, &mut || {})
}

pub async fn store(blobs: &Blobs, content: &[u8], level: Level) -> (BlobId, Placement) {
    let record = prepared(content, Form::Compressed(level));
    let id = record.id;
    (id, blobs.write_batch(Pool::Cool, vec![record]).await.unwrap()[0])
}

#[test]
fn pools_have_their_forms() {
    assert_eq!(Form::of(Pool::Hot), Form::Raw);
    assert_eq!(Form::of(Pool::OneZone), Form::of(Pool::Cool));
    assert_eq!(Form::of(Pool::Archive), Form::Compressed(Level::Archive));
}

#[test]
fn what_gains_too_little_stays_as_it_is() {
    for level in [Level::Cool, Level::Archive] {
        for bytes in [1, 100, 4 * KIB, 64 * KIB, 128 * KIB, 128 * KIB + 1, MIB + 1] {
            assert!(codec::compress(&content(1, bytes), level, &mut || {}).is_none(), "{bytes} bytes");
            if bytes > 100 {
                let stored = codec::compress(&text(1, bytes), level, &mut || {}).unwrap();
                assert!(stored.len() * 2 < bytes, "{bytes} bytes in {}", stored.len());
            }
        }
    }
    // Only the beginning can be compressed, so that the samples and the whole gain 6 %.
    let mostly_noise = [&text(1, 64 * KIB)[..], &content(1, MIB)].concat();
    assert!(codec::compress(&mostly_noise, Level::Cool, &mut || {}).is_none());
}

#[tokio::test]
async fn content_comes_back_at_every_size_also_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let mut stored = Vec::new();
    let blobs = open(directory.path());
    let sizes = [1, 63, 4 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 5, 8 * MIB];
    for bytes in sizes {
        for make in [text, content, mixed] {
            let content = make(bytes as u64, bytes);
            let (id, placement) = store(&blobs, &content, Level::Cool).await;
            assert_eq!(placement.plain_bytes as usize, bytes);
            stored.push((id, placement, content));
        }
    }
    let archived = text(9, 2 * MIB + 9);
    let (id, placement) = store(&blobs, &archived, Level::Archive).await;
    stored.push((id, placement, archived));
    drop(blobs);
    let blobs = open(directory.path());
    let mut compressed = 0;
    for (id, placement, content) in &stored {
        assert!(read_all(&blobs, id, placement).await.unwrap() == *content, "{placement:?}");
        assert!(blobs.read(id, placement, 0..placement.plain_bytes).await.unwrap() == *content, "{placement:?}");
        compressed += usize::from(placement.is_compressed());
    }
    // Text from 4 KiB on, and what is mixed: up to one piece it is text, two pieces are half of it.
    assert!(compressed > 2 * (sizes.len() - 2), "{compressed}");
}

#[test]
fn every_range_is_that_of_the_content() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let blobs = runtime.block_on(async { open(directory.path()) });
    let mut stored = Vec::new();
    for (bytes, make) in
        [(1000, text as fn(u64, usize) -> Bytes), (300_000, mixed), (MIB, text), (3 * MIB + 77_777, mixed)]
    {
        let content = make(bytes as u64, bytes);
        let (id, placement) = runtime.block_on(store(&blobs, &content, Level::Cool));
        assert!(placement.is_compressed());
        stored.push((id, placement, content));
    }
    let ranges = (0..stored.len(), any::<u32>(), any::<u32>(), 0..3_usize)
        .prop_map(|(which, a, b, unit)| (which, a, b, [1, 65_536, MIB as u32][unit]));
    let mut runner = TestRunner::default();
    let outcome = runner.run(&ranges, |(which, a, b, unit)| {
        let (id, placement, content) = &stored[which];
        let cut = |x: u32| (x % (placement.plain_bytes + 1)).next_multiple_of(unit).min(placement.plain_bytes);
        let (start, end) = (cut(a).min(cut(b)), cut(a).max(cut(b)));
        let expected = &content[start as usize..end as usize];
        runtime.block_on(async {
            assert!(blobs.read(id, placement, start..end).await.unwrap() == expected);
            let mut reader = blobs.reader(id, placement, start..end);
            let mut all = Vec::new();
            while let Some(bytes) = reader.next().await.unwrap() {
                assert!(!bytes.is_empty() && bytes.len() <= 256 << 10);
                all.extend_from_slice(&bytes);
            }
            assert!(all == expected);
        });
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_reader_whose_calls_are_dropped_misses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let content = text(1, 3 * MIB);
    let (id, placement) = store(&blobs, &content, Level::Cool).await;
    let mut reader = blobs.reader(&id, &placement, 5..placement.plain_bytes);
    let mut all = Vec::new();
    loop {
        tokio::task::yield_now().await;
        // Polled once, so that whatever has to wait is dropped while it waits.
        let polled = tokio::select! {
            biased;
            polled = reader.next() => polled,
            () = std::future::ready(()) => continue,
        };
        match polled.unwrap() {
            Some(bytes) => all.extend_from_slice(&bytes),
            None => break,
        }
    }
    assert!(all == content[5..]);
}

#[tokio::test]
async fn a_record_moves_as_it_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    for form in [Form::Raw, Form::Compressed(Level::Cool)] {
        for bytes in [1000, MIB, 2 * MIB + 1] {
            let content = text(1, bytes);
            let record = prepared(&content, form);
            let placement = blobs.write_batch(Pool::Cool, vec![record.clone()]).await.unwrap()[0];
            assert_eq!(placement.is_compressed(), form != Form::Raw);
            let read = blobs.stored(&record.id, &placement).await.unwrap();
            assert_eq!((read.id, read.plain_bytes, &read.table), (record.id, record.plain_bytes, &record.table));
            assert!(read.stored == record.stored);
            let moved = blobs.write_batch(Pool::Archive, vec![read]).await.unwrap()[0];
            assert_ne!(moved.segment, placement.segment);
            assert!(read_all(&blobs, &record.id, &moved).await.unwrap() == content);
        }
    }
}

#[tokio::test]
async fn stored_lengths_that_are_not_the_records_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (id, placement) = store(&blobs, &text(1, 2 * MIB), Level::Cool).await;
    for stored_bytes in [1, 11, 12, placement.stored_bytes - 1, placement.stored_bytes + 1, placement.plain_bytes] {
        let case = Placement { stored_bytes, ..placement };
        assert_corrupt(blobs.read(&id, &case, 0..1).await, &format!("{stored_bytes}"));
        assert_corrupt(blobs.stored(&id, &case).await, &format!("{stored_bytes}"));
    }
}
