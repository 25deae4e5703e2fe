//! Damage: no changed byte of a record ever comes out as content.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{append, assert_corrupt, content, open, put_large, read_all, segment_path};
use crate::blob::{BlobId, Blobs, Placement, StreamHint};

pub(super) fn damage(path: &Path, offset: u64, damaged: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(damaged, offset).unwrap();
}

/// Flips bits of chosen bytes of a record, one after the other.
pub(super) async fn check(blobs: &Blobs, id: &BlobId, placement: &Placement, chosen: impl Iterator<Item = u64>) {
    let path = segment_path(blobs, placement.segment);
    for at in chosen.map(|at| placement.offset + at) {
        let mut byte = [0];
        File::open(&path).unwrap().read_exact_at(&mut byte, at).unwrap();
        damage(&path, at, &[byte[0] ^ 1 << (at % 8)]);
        assert_corrupt(read_all(blobs, id, placement).await, &format!("byte {}", at - placement.offset));
        damage(&path, at, &byte);
    }
    read_all(blobs, id, placement).await.unwrap();
}

#[tokio::test]
async fn any_changed_byte_of_a_record_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (id, placement) = append(&blobs, &content(1, 200)).await.unwrap();
    assert_eq!(placement.record_bytes(), 64 + 200 + 64 + 56);
    check(&blobs, &id, &placement, 0..placement.record_bytes()).await;

    let (id, placement) = append(&blobs, &content(2, 200_000)).await.unwrap();
    let tail = 64 + 200_000;
    check(&blobs, &id, &placement, (0..64).chain((64..tail).step_by(9973)).chain(tail..placement.record_bytes())).await;

    let large = content(3, (2 << 20) + 1);
    let (id, placement) = put_large(&blobs, &large, 0, &StreamHint::new(None)).await.unwrap();
    let tail = 64 + large.len() as u64;
    let chosen =
        (0..64).step_by(5).chain((64..tail).step_by(199_999)).chain((tail..placement.record_bytes()).step_by(31));
    check(&blobs, &id, &placement, chosen).await;
}

#[tokio::test]
async fn damage_elsewhere_does_not_hurt_a_range() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let content = content(1, 200_000);
    let (id, placement) = append(&blobs, &content).await.unwrap();
    let changed = [content[100_000] ^ 1];
    damage(&segment_path(&blobs, placement.segment), placement.offset + 64 + 100_000, &changed);
    assert_eq!(blobs.read(&id, &placement, 0..65_536).await.unwrap(), content[..65_536]);
    assert_eq!(blobs.read(&id, &placement, 131_072..200_000).await.unwrap(), content[131_072..]);
    assert_corrupt(blobs.read(&id, &placement, 65_536..65_537).await, "the piece that is damaged");
    assert_corrupt(blobs.read(&id, &placement, 65_535..131_073).await, "a range around it");
}

#[tokio::test]
async fn a_record_counts_only_in_its_own_place() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (first, second) = (content(1, 1000), content(2, 1000));
    let (first_id, first_placement) = append(&blobs, &first).await.unwrap();
    let (second_id, second_placement) = append(&blobs, &second).await.unwrap();
    assert_corrupt(blobs.read(&second_id, &first_placement, 0..1).await, "another chunk");

    let path = segment_path(&blobs, 1);
    let mut record = vec![0; first_placement.record_bytes() as usize];
    File::open(&path).unwrap().read_exact_at(&mut record, first_placement.offset).unwrap();
    damage(&path, second_placement.offset, &record);
    assert_corrupt(blobs.read(&first_id, &second_placement, 0..1).await, "a misplaced record");
    assert_eq!(blobs.read(&first_id, &first_placement, 0..1000).await.unwrap(), first);
}

#[tokio::test]
async fn a_file_cut_short_or_without_header_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path());
    let (id, placement) = append(&blobs, &content(1, 1000)).await.unwrap();
    let path = segment_path(&blobs, 1);
    File::options().write(true).open(&path).unwrap().set_len(placement.offset + 1000).unwrap();
    assert_corrupt(blobs.read(&id, &placement, 0..1).await, "cut short");
    drop(blobs);
    for at in [0, 20, 48, 51, 60, 4000, 4095] {
        let mut byte = [0];
        File::open(&path).unwrap().read_exact_at(&mut byte, at).unwrap();
        damage(&path, at, &[byte[0] ^ 4]);
        assert_corrupt(open(directory.path()).read(&id, &placement, 0..1).await, "header");
        damage(&path, at, &byte);
    }
    std::fs::write(directory.path().join("segments/1.seg"), b"").unwrap();
    let opened = Blobs::open(super::options(directory.path()));
    assert!(matches!(opened.err(), Some(crate::error::Error::Corrupt { what: "segment name", .. })));
}
