//! What is stored: incompressible bytes that differ from object to object, at no cost to the client.
//!
//! One pseudo-random buffer is shared by all objects. A body is a run of 64 KiB blocks, each opened by a 16-byte stamp
//! of its own, and its place in the buffer depends on the object too, so neither deduplication nor compression can
//! flatter the figures:
//!
//! ```text
//! block 0:  index (8, LE) | version (8, LE) | buffer[start + 16 ..]
//! block n:  mix(index, version, n) (16)     | buffer[start + n * 64 KiB + 16 ..]
//! ```
//!
//! The first stamp is in the clear: whoever holds the first 16 bytes can tell what the rest must be.

use std::sync::LazyLock;

/// Bytes between two stamps.
pub const BLOCK_BYTES: usize = 64 << 10;
/// Bytes of a stamp.
pub const STAMP_BYTES: usize = 16;

const CYCLE_BYTES: usize = 8 << 20;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(0x5eed);
    (0..(CYCLE_BYTES + BLOCK_BYTES) / 8).flat_map(|_| random.next().to_le_bytes()).collect()
});

/// One object's bytes: its key's index, and a version that no other write of any run shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The key's index in the key space.
    pub index: u64,
    /// Tells writes of the same key apart.
    pub version: u64,
}

impl Content {
    /// The stamp that opens block `number`, and the noise after it; the caller cuts the last block short.
    pub fn block(&self, number: u64) -> ([u8; STAMP_BYTES], &'static [u8]) {
        let mut stamp = [0; STAMP_BYTES];
        let (first, second) = match number {
            0 => (self.index, self.version),
            _ => (mix(self.index ^ mix(number)), mix(self.version.wrapping_add(number))),
        };
        stamp[..8].copy_from_slice(&first.to_le_bytes());
        stamp[8..].copy_from_slice(&second.to_le_bytes());
        let start = (mix(self.index ^ self.version) as usize).wrapping_add((number as usize).wrapping_mul(BLOCK_BYTES));
        let start = start % CYCLE_BYTES;
        (stamp, &NOISE[start + STAMP_BYTES..start + BLOCK_BYTES])
    }

    /// All bytes, for bodies small enough to be copied.
    pub fn append_to(&self, out: &mut Vec<u8>, bytes: u64) {
        let mut left = bytes as usize;
        let mut number = 0;
        while left > 0 {
            let (stamp, noise) = self.block(number);
            let stamp = &stamp[..left.min(STAMP_BYTES)];
            out.extend_from_slice(stamp);
            left -= stamp.len();
            let noise = &noise[..left.min(noise.len())];
            out.extend_from_slice(noise);
            left -= noise.len();
            number += 1;
        }
    }

    /// Reads the clear stamp; `None` for bodies shorter than one.
    pub fn from_stamp(bytes: &[u8]) -> Option<Content> {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        let (second, _) = rest.split_first_chunk::<8>()?;
        Some(Content { index: u64::from_le_bytes(*first), version: u64::from_le_bytes(*second) })
    }
}

/// Compares a body with what its first stamp announces, as it streams by.
#[derive(Debug)]
pub struct Verifier {
    index: u64,
    stamp: Vec<u8>,
    content: Option<Content>,
    position: u64,
    good: bool,
}

impl Verifier {
    /// For an object stored under the key of `index`.
    pub fn new(index: u64) -> Verifier {
        Verifier { index, stamp: Vec::with_capacity(STAMP_BYTES), content: None, position: 0, good: true }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        if self.content.is_none() {
            let (stamp, rest) = bytes.split_at(bytes.len().min(STAMP_BYTES - self.stamp.len()));
            self.stamp.extend_from_slice(stamp);
            self.position += stamp.len() as u64;
            bytes = rest;
            self.content = Content::from_stamp(&self.stamp);
            self.good = self.content.is_none_or(|content| content.index == self.index);
        }
        while let Some(content) = self.content.filter(|_| !bytes.is_empty() && self.good) {
            let (stamp, noise) = content.block(self.position / BLOCK_BYTES as u64);
            let within = (self.position % BLOCK_BYTES as u64) as usize;
            let expected = if within < STAMP_BYTES { &stamp[within..] } else { &noise[within - STAMP_BYTES..] };
            let length = expected.len().min(bytes.len());
            self.good = expected[..length] == bytes[..length];
            self.position += length as u64;
            bytes = &bytes[length..];
        }
    }

    /// Whether every byte so far was right.
    pub fn is_good(&self) -> bool {
        self.good
    }
}

/// A small generator of pseudo-random numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts at `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; the bias is far below what a benchmark can see.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// Scatters a number over 64 bits; one to one.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Asserts that a verifier accepts the right bytes in any cut and rejects a flipped one; part of the self-check.
pub fn check() {
    let content = Content { index: 7, version: 0x1234_5678_9abc };
    for bytes in [1, 16, 17, 1024, 65_536, 65_537, 200_000] {
        let mut body = Vec::new();
        content.append_to(&mut body, bytes);
        assert_eq!(body.len() as u64, bytes);
        for cut in [1, 13, 16, 4096, 70_000] {
            let accepts = |body: &[u8]| {
                let mut verifier = Verifier::new(7);
                body.chunks(cut).for_each(|piece| verifier.feed(piece));
                verifier.is_good()
            };
            assert!(accepts(&body), "{bytes} bytes in pieces of {cut}");
            let mut flipped = body.clone();
            let last = flipped.len() - 1;
            flipped[last] ^= 1;
            assert!(bytes <= 16 || !accepts(&flipped), "{bytes} bytes in pieces of {cut}: a flipped byte passed");
        }
    }
    let other = Content { index: 8, ..content };
    assert_ne!(content.block(0).1[..64], other.block(0).1[..64], "neighbours share their noise");
}
