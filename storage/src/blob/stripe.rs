//! The geometry of a segment whose bytes lie in shards. Pure: no I/O.
//!
//! ```text
//! segment  header block · stripe 0 · stripe 1 · ...           a stripe has a block of 4 KiB for each data shard
//! shard    header block · block of stripe 0 · block of stripe 1 · ...
//! ```
//!
//! Block b of a stripe is on data shard b, and the stripe's parity is on the parity shards, at the same offset in
//! every shard. With one data shard the shard is the segment, and parity shards are copies of it. With several the
//! parity is that of reed-solomon-simd over GF(2^16), which works on 64 bytes at a time, so that any blocks of the
//! shards at equal offsets can be decoded alone.

use std::ops::Range;

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use crate::blob::buffer::AlignedBuffer;
use crate::blob::layout::BLOCK_BYTES;
use crate::pool::Pool;

/// The most data shards that a layout is chosen with.
const DATA_SHARDS_MAX: u8 = 8;
/// The most bytes of a stripe in a layout that is chosen.
pub const STRIPE_BYTES_MAX: usize = DATA_SHARDS_MAX as usize * BLOCK_BYTES;
const SHAPE: &str = "shards of one size, which is a multiple of 4 KiB, as many as the layout says";

/// How the bytes of a segment lie in its shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Shards that hold the bytes themselves: at least 1.
    pub data: u8,
    /// Shards that hold what can replace any other: so many may be lost.
    pub parity: u8,
}

/// Bytes of a segment that lie together in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The data shard.
    pub shard: usize,
    /// Where in the shard they start.
    pub offset: u64,
    /// Which of the bytes asked for they are.
    pub range: Range<usize>,
}

impl Layout {
    /// The layout of one plain file.
    pub const PLAIN: Layout = Layout { data: 1, parity: 0 };

    /// The layout of a segment of that pool, to be spread over so many zones.
    pub fn choose(pool: Pool, usable_zones: usize) -> Layout {
        let (data, parity) = match (pool, usable_zones) {
            (Pool::OneZone, _) | (_, 0 | 1) => (1, 0),
            (_, 2) => (1, 1),
            (Pool::Hot | Pool::Cool, 3) => (1, 1),
            (Pool::Archive, 3) => (2, 1),
            (_, zones @ (4 | 5)) => (zones as u8 - 1, 1),
            (_, zones @ 6..=10) => (zones as u8 - 2, 2),
            _ => (DATA_SHARDS_MAX, 2),
        };
        Layout { data, parity }
    }

    /// The same where only some of the zones have room. Those that are full are done without as long as what is written
    /// survives the loss of a zone; `None` if it would not.
    pub fn choose_with_room(pool: Pool, usable_zones: usize, with_room: usize) -> Option<Layout> {
        let layout = Layout::choose(pool, usable_zones);
        match with_room {
            enough if enough >= layout.shards() => Some(layout),
            2.. => Some(Layout::choose(pool, with_room)),
            _ => None,
        }
    }

    /// How many shards there are.
    pub fn shards(self) -> usize {
        usize::from(self.data) + usize::from(self.parity)
    }

    /// How many shards it takes to read everything.
    pub fn needed(self) -> usize {
        usize::from(self.data)
    }

    /// The size of a stripe in bytes, of its data alone.
    pub fn stripe_bytes(self) -> usize {
        usize::from(self.data) * BLOCK_BYTES
    }

    /// The size of a shard, with its header, when the segment has `bytes` with its own: whole stripes.
    pub fn shard_bytes(self, bytes: u64) -> u64 {
        let header = BLOCK_BYTES as u64;
        header.min(bytes) + bytes.saturating_sub(header) / u64::from(self.data)
    }

    /// The size of the segment whose shards have `bytes`.
    pub fn segment_bytes(self, bytes: u64) -> u64 {
        let header = BLOCK_BYTES as u64;
        header.min(bytes) + bytes.saturating_sub(header).saturating_mul(u64::from(self.data))
    }

    /// Where the bytes of a range of the segment lie, behind its header, in the order of the range. A piece lies within
    /// a block.
    pub fn pieces(self, offset: u64, bytes: usize) -> impl Iterator<Item = Piece> {
        let block_bytes = BLOCK_BYTES as u64;
        let data = u64::from(self.data);
        let mut filled = 0;
        std::iter::from_fn(move || {
            if filled == bytes {
                return None;
            }
            let at = offset + filled as u64 - block_bytes;
            let (block, within) = (at / block_bytes, at % block_bytes);
            let range = filled..bytes.min(filled + BLOCK_BYTES - within as usize);
            filled = range.end;
            let offset = (1 + block / data) * block_bytes + within;
            Some(Piece { shard: (block % data) as usize, offset, range })
        })
    }

    /// What has to be read of each data shard for a range of the segment. A shard's pieces of a range lie side by side.
    pub fn spans(self, offset: u64, bytes: usize) -> Vec<Option<Range<u64>>> {
        let mut spans: Vec<Option<Range<u64>>> = vec![None; self.needed()];
        for Piece { shard, offset, range } in self.pieces(offset, bytes) {
            let end = offset + range.len() as u64;
            spans[shard].get_or_insert(offset..end).end = end;
        }
        spans
    }

    /// What of every shard belongs to the stripes that a range of the segment touches.
    pub fn rows(self, offset: u64, bytes: usize) -> Range<u64> {
        let (block, stripe) = (BLOCK_BYTES as u64, self.stripe_bytes() as u64);
        let (first, end) = ((offset - block) / stripe, (offset - block + bytes as u64).div_ceil(stripe));
        (1 + first) * block..(1 + end) * block
    }

    /// Distributes whole stripes over the data shards.
    pub fn split(self, stripes: &[u8]) -> Vec<AlignedBuffer> {
        assert!(stripes.len().is_multiple_of(self.stripe_bytes()), "stripes are written whole");
        let mut data: Vec<AlignedBuffer> =
            (0..self.data).map(|_| AlignedBuffer::new(stripes.len() / self.needed())).collect();
        for (block, bytes) in stripes.chunks(BLOCK_BYTES).enumerate() {
            let (shard, at) = (block % self.needed(), block / self.needed() * BLOCK_BYTES);
            data[shard][at..at + BLOCK_BYTES].copy_from_slice(bytes);
        }
        data
    }

    /// The parity of blocks at equal offsets of all data shards.
    pub fn parity(self, data: &[impl AsRef<[u8]>]) -> Vec<AlignedBuffer> {
        let bytes = data[0].as_ref().len();
        let aligned = |parity: &[u8]| {
            let mut buffer = AlignedBuffer::new(bytes);
            buffer.copy_from_slice(parity);
            buffer
        };
        if self.data == 1 {
            return (0..self.parity).map(|_| aligned(data[0].as_ref())).collect();
        }
        if self.parity == 0 || bytes == 0 {
            return (0..self.parity).map(|_| AlignedBuffer::new(0)).collect();
        }
        let mut encoder = ReedSolomonEncoder::new(self.needed(), usize::from(self.parity), bytes).expect(SHAPE);
        data.iter().for_each(|shard| encoder.add_original_shard(shard).expect(SHAPE));
        encoder.encode().expect(SHAPE).recovery_iter().map(aligned).collect()
    }

    /// Fills in the data shards that are missing, from blocks at equal offsets of as many shards as there are data
    /// shards. `shards` has an entry for each shard, `None` where its blocks are not to be had.
    pub fn restore_data(self, shards: &mut [Option<Vec<u8>>]) {
        let needed = self.needed();
        if shards[..needed].iter().all(Option::is_some) {
            return;
        }
        let present = || shards.iter().enumerate().filter_map(|(shard, bytes)| Some((shard, bytes.as_ref()?)));
        let (_, any) = present().next().expect(SHAPE);
        if needed == 1 {
            shards[0] = Some(any.clone());
            return;
        }
        if self.parity == 1 {
            // The only parity is the sum. Decoding it by the library costs half a millisecond for any size.
            let missing = shards.iter().position(Option::is_none).expect(SHAPE);
            let mut sum = vec![0; any.len()];
            for (_, bytes) in present() {
                sum.iter_mut().zip(bytes).for_each(|(sum, byte)| *sum ^= byte);
            }
            shards[missing] = Some(sum);
            return;
        }
        let mut decoder = ReedSolomonDecoder::new(needed, usize::from(self.parity), any.len()).expect(SHAPE);
        for (shard, bytes) in present().take(needed) {
            let added = match shard.checked_sub(needed) {
                None => decoder.add_original_shard(shard, bytes),
                Some(parity) => decoder.add_recovery_shard(parity, bytes),
            };
            added.expect(SHAPE);
        }
        let restored = decoder.decode().expect(SHAPE);
        let restored: Vec<(usize, Vec<u8>)> =
            restored.restored_original_iter().map(|(shard, bytes)| (shard, bytes.to_vec())).collect();
        restored.into_iter().for_each(|(shard, bytes)| shards[shard] = Some(bytes));
    }

    /// The blocks of any one shard, from those of others as [`Layout::restore_data`] takes them.
    pub fn restore(self, shards: &mut [Option<Vec<u8>>], wanted: usize) -> AlignedBuffer {
        self.restore_data(shards);
        let data: Vec<&Vec<u8>> = shards[..self.needed()].iter().map(|bytes| bytes.as_ref().expect(SHAPE)).collect();
        match wanted.checked_sub(self.needed()) {
            Some(parity) => self.parity(&data).swap_remove(parity),
            None => {
                let mut buffer = AlignedBuffer::new(data[wanted].len());
                buffer.copy_from_slice(data[wanted]);
                buffer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, STRIPE_BYTES_MAX};
    use crate::pool::Pool;

    #[test]
    fn layouts_by_pool_and_zones() {
        fn check(pools: &[Pool], zones: usize, data: u8, parity: u8) {
            for &pool in pools {
                assert_eq!(Layout::choose(pool, zones), Layout { data, parity }, "{pool:?} in {zones} zones");
            }
        }
        let spread = [Pool::Hot, Pool::Cool, Pool::Archive];
        check(&spread, 1, 1, 0);
        check(&spread, 2, 1, 1);
        check(&spread[..2], 3, 1, 1);
        check(&spread[2..], 3, 2, 1);
        check(&spread, 4, 3, 1);
        check(&spread, 5, 4, 1);
        check(&spread, 6, 4, 2);
        check(&spread, 10, 8, 2);
        check(&spread, 40, 8, 2);
        (1..12).for_each(|zones| check(&[Pool::OneZone], zones, 1, 0));
        for zones in 0..20 {
            let layout = Layout::choose(Pool::Hot, zones);
            assert!(layout.shards() <= zones.max(1) && layout.stripe_bytes() <= STRIPE_BYTES_MAX);
        }
    }

    #[test]
    fn layouts_while_zones_are_full() {
        fn check(pool: Pool, zones: usize, with_room: usize, expected: Option<(u8, u8)>) {
            let expected = expected.map(|(data, parity)| Layout { data, parity });
            assert_eq!(Layout::choose_with_room(pool, zones, with_room), expected, "{pool:?}: {with_room} of {zones}");
        }
        check(Pool::Hot, 1, 1, Some((1, 0)));
        check(Pool::Hot, 1, 0, None);
        check(Pool::Hot, 2, 1, None);
        check(Pool::Hot, 3, 2, Some((1, 1)));
        check(Pool::Archive, 3, 2, Some((1, 1)));
        check(Pool::Hot, 5, 4, Some((3, 1)));
        check(Pool::Hot, 5, 1, None);
        check(Pool::OneZone, 5, 1, Some((1, 0)));
        check(Pool::OneZone, 5, 0, None);
        check(Pool::Hot, 12, 10, Some((8, 2)));
        check(Pool::Hot, 12, 9, Some((7, 2)));
    }

    #[test]
    fn sizes() {
        let layout = Layout { data: 3, parity: 1 };
        for (segment, shard) in [(0, 0), (4096, 4096), (4096 + 12288, 8192), (4096 + 5 * 12288, 6 * 4096)] {
            assert_eq!(layout.shard_bytes(segment), shard);
            assert_eq!(layout.segment_bytes(shard), segment);
        }
        assert_eq!(Layout::PLAIN.segment_bytes(70_001), 70_001);
        assert_eq!(Layout::PLAIN.shard_bytes(70_001), 70_001);
    }

    #[test]
    fn a_single_parity_is_the_sum() {
        for data in 2..=8_u8 {
            let shards: Vec<Vec<u8>> = (0..data)
                .map(|shard| (0..8192_usize).map(|at| (at * 7 + at / 251) as u8 ^ (shard * 29)).collect())
                .collect();
            let parity = Layout { data, parity: 1 }.parity(&shards);
            let sum: Vec<u8> = (0..8192).map(|at| shards.iter().fold(0, |sum, shard| sum ^ shard[at])).collect();
            assert!(parity[0][..] == sum[..], "{data} data shards");
        }
    }

    #[test]
    fn pieces_of_a_range() {
        let layout = Layout { data: 2, parity: 1 };
        let found: Vec<_> = layout.pieces(4096 + 4000, 8300).map(|p| (p.shard, p.offset, p.range)).collect();
        assert_eq!(found, [(0, 8096, 0..96), (1, 4096, 96..4192), (0, 8192, 4192..8288), (1, 8192, 8288..8300)][..]);
        assert_eq!(layout.spans(4096 + 4000, 8300), [Some(8096..12288), Some(4096..8204)]);
        assert_eq!(layout.spans(4096 + 8192, 1), [Some(8192..8193), None]);
        assert_eq!(layout.rows(4096 + 4000, 8300), 4096..12288);
        assert_eq!(layout.rows(4096 + 8192, 1), 8192..12288);
    }
}
