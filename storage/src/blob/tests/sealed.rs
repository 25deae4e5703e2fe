//! Sealed records: they read back whatever way they were written, hold nothing plain, and tell every change.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::compressed::prepared;
use super::corruption::{check, damage};
use super::{append, assert_corrupt, content, options, put_large, read_all, segment_path};
use crate::blob::codec::Level;
use crate::blob::layout::{encode_head, encode_tail};
use crate::blob::{BlobId, Blobs, BlobsOptions, Form, Placement, StreamHint};
use crate::cipher::{Expected, Keys, MasterKey, Seal};
use crate::clock::SystemEntropy;
use crate::error::Error;
use crate::pool::Pool;

const PIECE: usize = 64 << 10;

fn keys(directory: &Path) -> Arc<Keys> {
    let master = MasterKey::new([1; 32]);
    let entropy = Arc::new(SystemEntropy);
    Arc::new(Keys::open(directory, [0; 16], Some(&master), Expected::PresentOrAbsent, entropy).unwrap())
}

fn open(directory: &Path) -> Blobs {
    Blobs::open(BlobsOptions { keys: keys(directory), ..options(directory) }).unwrap()
}

/// Content in which a text stands over and over, so that any part of it is known in a file.
fn canary(bytes: usize) -> Bytes {
    b"The quick brown fox. ".iter().copied().cycle().take(bytes).collect::<Vec<u8>>().into()
}

/// Whether no file of the segments has the text.
fn assert_nothing_plain(blobs: &Blobs) {
    for segment in blobs.segments() {
        for path in blobs.segment_paths(segment.id) {
            let file = std::fs::read(path).unwrap();
            assert!(!file.windows(9).any(|window| window == b"brown fox"), "segment {}", segment.id);
        }
    }
}

async fn check_ranges(blobs: &Blobs, id: &BlobId, placement: &Placement, content: &[u8]) {
    let bytes = content.len() as u32;
    let piece = PIECE as u32;
    for from in [0, 1, piece - 1, piece, piece + 1, bytes / 2, bytes - 1] {
        for to in [1, piece, piece + 1, 3 * piece, bytes - 1, bytes] {
            if from < to && to <= bytes && to - from <= 1 << 20 {
                let read = blobs.read(id, placement, from..to).await.unwrap();
                assert_eq!(read, content[from as usize..to as usize], "{from}..{to} of {bytes}");
            }
        }
    }
    assert_eq!(read_all(blobs, id, placement).await.unwrap(), content);
}

#[tokio::test]
async fn records_read_back_and_hold_nothing_plain() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    for bytes in [1, 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 200_000, 1 << 20] {
        let content = canary(bytes);
        let (id, placement) = append(&blobs, &content).await.unwrap();
        assert_eq!(placement.seal.unwrap().key, 1);
        check_ranges(&blobs, &id, &placement, &content).await;
    }
    for (bytes, spare) in [
        (1, 0),
        (PIECE, 1),
        (PIECE + 1, 0),
        ((1 << 20) - 64, 0),
        (1 << 20, 0),
        ((1 << 20) + 1, 0),
        ((8 << 20) - 1, 1),
        (8 << 20, 0),
        (3 << 20, 3 << 20),
    ] {
        let content = canary(bytes);
        let (id, placement) = put_large(&blobs, &content, spare, &StreamHint::new(None)).await.unwrap();
        check_ranges(&blobs, &id, &placement, &content).await;
    }
    for pool in Pool::ALL {
        let contents = [canary(1), canary(PIECE + 1), canary((1 << 20) + 5), content(1, 300_000), canary(5 << 20)];
        let records: Vec<_> = contents.iter().map(|content| prepared(content, Form::of(pool))).collect();
        let ids: Vec<BlobId> = records.iter().map(|record| record.id).collect();
        let places = blobs.write_batch(pool, records.clone()).await.unwrap();
        for (((id, placement), content), record) in ids.iter().zip(&places).zip(&contents).zip(&records) {
            check_ranges(&blobs, id, placement, content).await;
            let stored = blobs.stored(id, placement).await.unwrap();
            assert_eq!((&stored.stored, &stored.table), (&record.stored, &record.table), "it is opened");
        }
    }
    assert_nothing_plain(&blobs);
}

#[tokio::test]
async fn records_are_read_after_keys_have_changed() {
    let directory = tempfile::tempdir().unwrap();
    let plain = Blobs::open(options(directory.path())).unwrap();
    let content = canary(100_000);
    let before = append(&plain, &content).await.unwrap();
    drop(plain);

    let keys = keys(directory.path());
    let blobs = Blobs::open(BlobsOptions { keys: keys.clone(), ..options(directory.path()) }).unwrap();
    let first = append(&blobs, &content).await.unwrap();
    keys.rotate(MasterKey::new([2; 32])).unwrap();
    let second = append(&blobs, &content).await.unwrap();
    assert_eq!([before.1.seal.map(|seal| seal.key), first.1.seal.map(|seal| seal.key)], [None, Some(1)]);
    assert_eq!(second.1.seal.unwrap().key, 2);
    for (id, placement) in [before, first, second] {
        assert_eq!(read_all(&blobs, &id, &placement).await.unwrap(), content);
    }
    // The same content never has the same ciphertext.
    let third = append(&blobs, &content).await.unwrap();
    assert_ne!(third.1.seal, second.1.seal);
    drop(blobs);

    let without = Blobs::open(options(directory.path())).unwrap();
    assert_corrupt(read_all(&without, &first.0, &first.1).await, "without keys");
    assert_eq!(read_all(&without, &before.0, &before.1).await.unwrap(), content);
}

#[tokio::test]
async fn any_changed_byte_of_a_sealed_record_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (id, placement) = append(&blobs, &content(1, 200)).await.unwrap();
    assert_eq!(placement.record_bytes(), 64 + 200 + 16 + 64 + 40);
    check(&blobs, &id, &placement, 0..placement.record_bytes()).await;
    let (id, placement) = append(&blobs, &content(2, 200_000)).await.unwrap();
    let tail = 64 + 200_000;
    check(&blobs, &id, &placement, (0..64).chain((64..tail).step_by(9973)).chain(tail..placement.record_bytes())).await;
    let record = prepared(&canary(3 << 20), Form::Compressed(Level::Cool));
    let id = record.id;
    let placement = blobs.write_batch(Pool::Cool, vec![record]).await.unwrap()[0];
    assert!(placement.is_compressed());
    check(&blobs, &id, &placement, (0..placement.record_bytes()).step_by(7)).await;
}

/// Whoever can write to the disk can also write checksums that fit.
#[tokio::test]
async fn what_is_put_elsewhere_with_right_checksums_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (first, second) = (content(1, 3 * PIECE), content(2, 3 * PIECE));
    let (id, placement) = append(&blobs, &first).await.unwrap();
    let (other_id, other) = append(&blobs, &second).await.unwrap();
    let path = segment_path(&blobs, placement.segment);
    let mut record = vec![0; placement.record_bytes() as usize];
    File::open(&path).unwrap().read_exact_at(&mut record, placement.offset).unwrap();
    let (data, tail) = (64..64 + 3 * PIECE, 64 + 3 * PIECE);
    let tags: Vec<[u8; 16]> =
        record[tail + 3 * 32..tail + 3 * 48].chunks(16).map(|tag| tag.try_into().unwrap()).collect();
    let table = Blobs::hash(&first).1;

    let swapped = encode_tail(&encode_head(&placement), &id, &table, &[tags[1], tags[0], tags[2]]);
    damage(&path, placement.offset + tail as u64, &swapped);
    assert_corrupt(blobs.read(&id, &placement, 0..1).await, "another piece's tag");
    assert_eq!(blobs.read(&id, &placement, 2 * PIECE as u32..3 * PIECE as u32).await.unwrap(), first[2 * PIECE..]);
    damage(&path, placement.offset, &record);

    let pieces = [&record[64 + PIECE..64 + 2 * PIECE], &record[64..64 + PIECE]].concat();
    damage(&path, placement.offset + 64, &pieces);
    assert_corrupt(blobs.read(&id, &placement, 0..1).await, "another piece");
    damage(&path, placement.offset, &record);

    // Another record's data with its tags, under this record's head and name.
    let mut elsewhere = vec![0; other.record_bytes() as usize];
    File::open(&path).unwrap().read_exact_at(&mut elsewhere, other.offset).unwrap();
    let theirs: Vec<[u8; 16]> =
        elsewhere[tail + 3 * 32..tail + 3 * 48].chunks(16).map(|tag| tag.try_into().unwrap()).collect();
    damage(&path, placement.offset + 64, &elsewhere[data]);
    damage(&path, placement.offset + tail as u64, &encode_tail(&encode_head(&placement), &id, &table, &theirs));
    assert_corrupt(blobs.read(&id, &placement, 0..1).await, "another record");
    damage(&path, placement.offset, &record);
    assert_eq!(read_all(&blobs, &id, &placement).await.unwrap(), first);
    assert_eq!(read_all(&blobs, &other_id, &other).await.unwrap(), second);

    // A place that says another key than the head does.
    for seal in [None, Some(Seal { key: 2, ..placement.seal.unwrap() }), Some(Seal { salt: [0; 16], key: 1 })] {
        assert_corrupt(blobs.read(&id, &Placement { seal, ..placement }, 0..1).await, "another seal");
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let none = Keys::none();
    let unknown = none.cipher(&Seal { key: 1, salt: [0; 16] });
    assert!(matches!(unknown, Err(Error::Corrupt { what: "data key (unknown)", .. })));
    assert!(none.begin().is_none());
    assert!(keys(directory.path()).cipher(&Seal { key: 1, salt: [0; 16] }).is_ok());
}
