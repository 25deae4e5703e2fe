//! The stored bytes, written out. A change here is a change of the format.

use crate::blob::codec::{Directory, Level, compress, decompress};
use crate::blob::hash::{BlobId, PieceTable};
use crate::blob::layout::{
    BLOCK_BYTES, Fault, Placement, RecordTail, SegmentHeader, check_frame, decode_head, encode_head, encode_tail,
};
use crate::blob::shard_name::SegmentName;
use crate::blob::stripe::Layout;
use crate::cipher::Seal;
use crate::pool::Pool;
use crate::zone::ZoneId;

const PLACEMENT: Placement = Placement {
    segment: 0x0102_0304_0506_0708,
    generation: 0x1112_1314,
    offset: 0x0021_2223_2425_2640,
    plain_bytes: 0x0003_0001,
    stored_bytes: 0x0003_0001,
    seal: None,
};

const SEALED: Placement = Placement { seal: Some(Seal { key: 0x4142_4344, salt: [0x5a; 16] }), ..PLACEMENT };

/// A thousand times the letter a.
const GOLDEN: &str = "010000001700000028b52ffd60e8024d00001061610100e32b8005c1804af1";

fn table() -> PieceTable {
    PieceTable::new(vec![[0xa1; 32], [0xa2; 32], [0xa3; 32], [0xa4; 32]])
}

#[test]
fn the_header_of_a_segment() {
    let of = SegmentName {
        segment: 0x0102_0304_0506_0708,
        generation: 0x1112_1314,
        pool: Pool::Archive,
        layout: Layout { data: 4, parity: 2 },
    };
    let header = SegmentHeader {
        name: of.shard(5),
        created_ns: 0x3132_3334_3536_3738,
        store_id: *b"0123456789abcdef",
        zone: ZoneId(0x0708),
    };
    let mut block = [0; BLOCK_BYTES];
    header.encode(&mut block);
    let start = concat!(
        "5374726174615367",
        "02000000",
        "14131211",
        "0807060504030201",
        "3837363534333231",
        "30313233343536373839616263646566",
        "03040205",
        "0807",
    );
    assert_eq!(hex::encode(&block[..54]), start);
    assert!(block[54..4092].iter().all(|byte| *byte == 0));
    assert_eq!(hex::encode(&block[4092..]), "45fc6518");
    assert_eq!(SegmentHeader::decode(&block), Ok(header));

    let mut of_format_1 = block;
    of_format_1[8] = 1;
    let sum = crc_fast::crc32_iscsi(&of_format_1[..4092]);
    of_format_1[4092..].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&of_format_1), Err(Fault::Unknown { found: 1, known: 2 }));
}

/// Parity is stored bytes as well: another code, or another version of this one, must give the same.
#[test]
fn the_parity_of_a_stripe() {
    fn check(data: u8, parity: u8, expected: &[&str]) {
        let mut stripe = vec![0; usize::from(data) * BLOCK_BYTES];
        blake3::Hasher::new().update(b"a stripe").finalize_xof().fill(&mut stripe);
        let layout = Layout { data, parity };
        let sums: Vec<String> = layout
            .parity(&layout.split(&stripe))
            .iter()
            .map(|parity| blake3::hash(parity).to_hex()[..16].to_owned())
            .collect();
        assert_eq!(sums, expected, "{layout:?}");
    }
    check(2, 1, &["efc446bb2c789ee0"]);
    check(3, 1, &["e3c903eec37dcd06"]);
    check(4, 1, &["d62419e1c99c65e1"]);
    check(4, 2, &["1794c039646a9300", "daad568b61459696"]);
    check(8, 2, &["419b1dcc327087ae", "9e58cf05b0108b58"]);
}

#[test]
fn the_head_of_a_record() {
    let head = encode_head(&PLACEMENT);
    let expected = concat!(
        "53747248",
        "0200",
        "00",
        "00",
        "01000300",
        "01000300",
        "00000000",
        "14131211",
        "0807060504030201",
        "4026252423222100",
        "00000000000000000000000000000000",
        "00000000",
    );
    assert_eq!(hex::encode(&head[..60]), expected);
    assert_eq!(hex::encode(&head[60..]), "HEADCRC");
    assert_eq!(decode_head(&head), Ok(PLACEMENT));
}

#[test]
fn the_head_of_a_sealed_record() {
    let head = encode_head(&SEALED);
    let expected = concat!(
        "53747248",
        "0200",
        "00",
        "01",
        "01000300",
        "01000300",
        "44434241",
        "14131211",
        "0807060504030201",
        "4026252423222100",
        "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        "00000000",
    );
    assert_eq!(hex::encode(&head[..60]), expected);
    assert_eq!(decode_head(&head), Ok(SEALED));
    // A data key and a salt without a cipher, and a cipher without a data key, are none.
    let corrupt = Err(Fault::Corrupt("record head"));
    assert_eq!(decode_head(&forged_head(&SEALED, 7, &[0])), corrupt);
    assert_eq!(decode_head(&forged_head(&SEALED, 16, &[0; 4])), corrupt);
    assert_eq!(decode_head(&forged_head(&PLACEMENT, 40, &[1])), corrupt);
    assert_eq!((SEALED.tags(), PLACEMENT.tags()), (4, 0));
    let compressed = Placement { plain_bytes: (1 << 20) + 1, ..SEALED };
    assert_eq!((compressed.tags(), compressed.tail_bytes()), (2, 17 * 32 + 2 * 16 + 64));
}

/// The head of [`PLACEMENT`] with other bytes in one place, and the checksum that belongs to them.
fn forged_head(placement: &Placement, at: usize, bytes: &[u8]) -> [u8; 64] {
    let mut head = encode_head(placement);
    head[at..at + bytes.len()].copy_from_slice(bytes);
    let sum = crc_fast::crc32_iscsi(&head[..60]);
    head[60..].copy_from_slice(&sum.to_le_bytes());
    head
}

#[test]
fn the_head_of_a_compressed_record() {
    let compressed = Placement { stored_bytes: 0x0002_0304, ..PLACEMENT };
    let head = encode_head(&compressed);
    assert_eq!(hex::encode(&head[..24]), "537472480200010001000300040302000000000014131211");
    assert_eq!(decode_head(&head), Ok(compressed));
    // The codec says the same as the lengths, or the head is not one.
    let corrupt = Err(Fault::Corrupt("record head"));
    assert_eq!(decode_head(&forged_head(&compressed, 6, &[0])), corrupt);
    assert_eq!(decode_head(&forged_head(&PLACEMENT, 6, &[1])), corrupt);
    assert_eq!(decode_head(&forged_head(&compressed, 12, &0_u32.to_le_bytes())), corrupt);
    assert_eq!(decode_head(&forged_head(&compressed, 12, &0x0003_0002_u32.to_le_bytes())), corrupt);
    assert_eq!(compressed.record_bytes(), 64 + 0x0002_0304 + 4 * 32 + 64 + 60);
}

#[test]
fn the_data_of_a_compressed_record() {
    let content = vec![b'a'; (1 << 20) + 1000];
    let stored = compress(&content, Level::Cool).unwrap();
    assert_eq!(hex::encode(&stored[..4]), "02000000");
    let directory = Directory::decode(&stored[..12], content.len(), stored.len()).unwrap();
    for (position, plain) in content.chunks(1 << 20).enumerate() {
        let frame = &stored[directory.frame(position)];
        // A frame of zstd's own format, which tells how much content it has.
        assert_eq!(hex::encode(&frame[..4]), "28b52ffd");
        assert_eq!(zstd::zstd_safe::get_frame_content_size(frame).unwrap(), Some(plain.len() as u64));
        assert_eq!(decompress(frame, plain.len()).unwrap(), plain);
        for other in [0, plain.len() - 1, plain.len() + 1] {
            assert_eq!(decompress(frame, other), Err(Fault::Corrupt("compressed frame")), "{other} bytes");
        }
    }
    // What a build of today compressed is read by every later one.
    let golden = hex::decode(GOLDEN).unwrap();
    let directory = Directory::decode(&golden[..8], 1000, golden.len()).unwrap();
    assert_eq!(decompress(&golden[directory.frame(0)], 1000).unwrap(), vec![b'a'; 1000]);
}

#[test]
fn the_tail_of_a_record() {
    let (head, id) = (encode_head(&PLACEMENT), BlobId([0xb1; 32]));
    let tail = encode_tail(&head, &id, &table(), &[]);
    assert_eq!(tail.len(), PLACEMENT.tail_bytes());
    let values: String = ["a1", "a2", "a3", "a4"].iter().map(|byte| byte.repeat(32)).collect();
    let trailer = ["53747254", &"b1".repeat(32), "04000000", &"00".repeat(20), "TAILCRC"].concat();
    assert_eq!(hex::encode(tail), values.clone() + &trailer);

    let head = encode_head(&SEALED);
    let tail = encode_tail(&head, &id, &table(), &[[0xc1; 16], [0xc2; 16], [0xc3; 16], [0xc4; 16]]);
    assert_eq!(tail.len(), SEALED.tail_bytes());
    let tags: String = ["c1", "c2", "c3", "c4"].iter().map(|byte| byte.repeat(16)).collect();
    let trailer = ["53747254", &"b1".repeat(32), "04000000", "04000000", &"00".repeat(16), "SEALEDCRC"].concat();
    assert_eq!(hex::encode(tail), values + &tags + &trailer);
}

#[test]
fn a_frame_must_fit_its_name_and_place() {
    let id = table().root().unwrap();
    let head = encode_head(&PLACEMENT);
    let whole = RecordTail { table: table(), tags: Vec::new() };
    let mut tail = encode_tail(&head, &id, &table(), &[]);
    tail.resize(PLACEMENT.record_bytes() as usize - 64 - PLACEMENT.plain_bytes as usize, 0);
    assert_eq!(check_frame(&head, &tail, &id, &PLACEMENT), Ok(whole));

    let corrupt = |what| Err(Fault::Corrupt(what));
    assert_eq!(check_frame(&head, &tail, &BlobId([0; 32]), &PLACEMENT), corrupt("record tail"));
    let elsewhere = Placement { offset: 4096, ..PLACEMENT };
    assert_eq!(check_frame(&head, &tail, &id, &elsewhere), corrupt("record head"));
    assert_eq!(check_frame(&encode_head(&elsewhere), &tail, &id, &elsewhere), corrupt("record tail"));
    assert_eq!(check_frame(&head, &tail[..100], &id, &PLACEMENT), corrupt("record tail"));
    assert_eq!(check_frame(&head, &[], &id, &PLACEMENT), corrupt("record tail"));
    *tail.last_mut().unwrap() = 1;
    assert_eq!(check_frame(&head, &tail, &id, &PLACEMENT), corrupt("record tail"));
    // A table that is whole but adds up to another name.
    let other = PieceTable::new(vec![[0; 32]; 4]);
    assert_eq!(check_frame(&head, &encode_tail(&head, &id, &other, &[]), &id, &PLACEMENT), corrupt("record tail"));
}

#[test]
fn formats_of_later_builds_are_told_from_damage() {
    fn check(at: usize, found: u32, known: u32) {
        let head = forged_head(&PLACEMENT, at, &[found as u8]);
        assert_eq!(decode_head(&head), Err(Fault::Unknown { found, known }));
    }
    check(4, 3, 2);
    check(6, 2, 1);
    check(7, 3, 1);
}

#[test]
fn records_take_whole_slots_and_large_ones_whole_blocks() {
    fn check(plain_bytes: u32, expected: u64) {
        let placement = Placement { plain_bytes, stored_bytes: plain_bytes, ..PLACEMENT };
        assert_eq!(placement.record_bytes(), expected, "{plain_bytes} bytes");
    }
    check(1, 192);
    check(64, 192);
    check(65, 256);
    check(65_536, 65_664);
    check(65_537, 64 + 65_600 + 64 + 64);
    check(1 << 20, (1 << 20) + 64 + 16 * 32 + 64);
    check((1 << 20) + 1, (1 << 20) + 4096);
    check(8 << 20, (8 << 20) + 8192);
}
