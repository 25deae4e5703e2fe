//! What fuzzers give to the readers of segments. Sums are made right first, or nothing would get past them.

use crc_fast::crc32_iscsi;

use crate::blob::codec::Directory;
use crate::blob::hash::BlobId;
use crate::blob::layout::{self, BLOCK_BYTES, HEAD_BYTES, SegmentHeader};
use crate::blob::shard_name;

/// The first block of a segment, the head and tail of a record, and a directory of frames.
pub fn segment(bytes: &[u8]) {
    let mut block = [0; BLOCK_BYTES];
    let taken = bytes.len().min(BLOCK_BYTES - 4);
    block[..taken].copy_from_slice(&bytes[..taken]);
    with_sum(&mut block);
    if let Ok(header) = SegmentHeader::decode(&block) {
        let mut again = [0; BLOCK_BYTES];
        header.encode(&mut again);
        assert!(again == block, "a header has one form");
    }
    let Some((first, tail)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return };
    let mut head = *first;
    with_sum(&mut head);
    let Ok(placement) = layout::decode_head(&head) else { return };
    assert!(layout::encode_head(&placement) == head, "a head has one form");
    let _ = layout::check_frame(&head, tail, &BlobId([0; 32]), &placement);
    let (plain, stored) = (placement.plain_bytes as usize, placement.stored_bytes as usize);
    if let Ok(directory) = Directory::decode(tail, plain, stored) {
        let frames = (0..directory.frames()).map(|frame| directory.frame(frame));
        assert!(frames.into_iter().all(|frame| frame.start < frame.end && frame.end <= stored));
    }
}

/// The name of a file in a zone.
pub fn file_name(bytes: &[u8]) {
    if let Ok(name) = std::str::from_utf8(bytes) {
        shard_name::parse(name);
    }
}

/// Makes the last four bytes the sum of those before.
fn with_sum(bytes: &mut [u8]) {
    let at = bytes.len() - 4;
    let sum = crc32_iscsi(&bytes[..at]);
    bytes[at..].copy_from_slice(&sum.to_le_bytes());
}
