//! Compression of a chunk's content: zstd in frames that are decompressed apart, so that a range costs the frames that
//! it touches and not all before them.
//!
//! ```text
//! data     frame count u32 · bytes of each frame u32 · frames
//! frame    a complete zstd frame · crc32c of it u32
//! ```
//!
//! Each frame holds [`FRAME_BYTES`] of plain content, the last one what is left. Whoever decompresses verifies the plain
//! content against the chunk's name; the sum is for damage to bits that zstd does not look at, which would do no harm
//! here but spoil what is rebuilt with the help of these bytes.

use std::ops::Range;

use crc_fast::crc32_iscsi;
use zstd::bulk::{Compressor, Decompressor};

use crate::blob::layout::Fault;

/// The plain content of a frame, in bytes. The last frame may have less.
pub const FRAME_BYTES: usize = 1 << 20;

/// The checksum behind a frame, in bytes.
const SUM_BYTES: usize = 4;
/// What is gained must be more than this share, or the content stays as it is.
const GAIN_PERCENT_LEAST: usize = 10;
/// Samples that are tried before larger content is compressed, and the size of each in bytes.
const PROBE_SAMPLES: usize = 8;
const PROBE_SAMPLE_BYTES: usize = 16 << 10;
/// Larger content is probed first, in bytes: for less, the samples would be all of it.
const PROBED_BYTES_LEAST: usize = PROBE_SAMPLES * PROBE_SAMPLE_BYTES;
const PROBE_LEVEL: i32 = 1;

/// How hard to compress. Either is decompressed equally fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// About as fast as a disk.
    Cool,
    /// For what is written once and hardly ever read.
    Archive,
}

impl Level {
    fn number(self) -> i32 {
        match self {
            Level::Cool => 3,
            // The strongest that keeps above 8 MB/s on one core. In frames of 1 MiB, source code (67 MB) and text (15 MB)
            // shrink to these shares, at so many MB/s: level 3: 16.6 % at 400, 8.8 % at 745; 15: 13.9 % at 12.5, 6.5 % at
            // 18; 16: 13.3 % at 8.3, 6.3 % at 11.3; 17: 13.2 % at 7.5, 6.2 % at 10.8; 19: 13.0 % at 4.2, 6.0 % at 4.0.
            Level::Archive => 16,
        }
    }
}

/// Compresses the content of a chunk, which must not be empty. `None` if it is not worth it: then it is stored as it is.
/// Takes a processor for as long as it takes, but for what `pause` does, which is called after each frame.
pub fn compress(content: &[u8], level: Level, pause: &mut dyn FnMut()) -> Option<Vec<u8>> {
    if content.len() > PROBED_BYTES_LEAST && !is_promising(content) {
        return None;
    }
    let mut compressor = Compressor::new(level.number()).ok()?;
    let frames = content.len().div_ceil(FRAME_BYTES);
    let mut stored = vec![0; directory_bytes(content.len())];
    stored[..4].copy_from_slice(&(frames as u32).to_le_bytes());
    for (position, plain) in content.chunks(FRAME_BYTES).enumerate() {
        let frame = compressor.compress(plain).ok()?;
        pause();
        let length = u32::try_from(frame.len() + SUM_BYTES).ok()?;
        stored[4 + 4 * position..][..4].copy_from_slice(&length.to_le_bytes());
        stored.extend_from_slice(&frame);
        stored.extend_from_slice(&crc32_iscsi(&frame).to_le_bytes());
    }
    is_gain(content.len(), stored.len()).then_some(stored)
}

/// Decompresses one frame into exactly that many bytes; nothing larger is made, whatever the frame says.
pub fn decompress(frame: &[u8], plain_bytes: usize) -> Result<Vec<u8>, Fault> {
    const FAULT: Fault = Fault::Corrupt("compressed frame");
    let (frame, sum) = frame.split_last_chunk::<SUM_BYTES>().ok_or(FAULT)?;
    if crc32_iscsi(frame) != u32::from_le_bytes(*sum) {
        return Err(FAULT);
    }
    let mut plain = vec![0; plain_bytes];
    let mut decompressor = Decompressor::new().map_err(|_| FAULT)?;
    match decompressor.decompress_to_buffer(frame, plain.as_mut_slice()) {
        Ok(bytes) if bytes == plain_bytes => Ok(plain),
        Ok(_) | Err(_) => Err(FAULT),
    }
}

/// The plain content of the frame at that position, within content of that size in bytes.
pub fn plain_range(position: usize, plain_bytes: usize) -> Range<usize> {
    let start = position * FRAME_BYTES;
    start..(start + FRAME_BYTES).min(plain_bytes)
}

/// The size of the directory in front of the frames of content of that size, in bytes.
pub fn directory_bytes(plain_bytes: usize) -> usize {
    4 + 4 * plain_bytes.div_ceil(FRAME_BYTES)
}

/// Where the frames lie in the stored form of a chunk's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where each frame ends, in bytes from the start of the data.
    ends: Vec<usize>,
    /// Where the first one starts.
    start: usize,
}

impl Directory {
    /// Reads a directory, which must account for all of the stored bytes.
    pub fn decode(bytes: &[u8], plain_bytes: usize, stored_bytes: usize) -> Result<Directory, Fault> {
        const FAULT: Fault = Fault::Corrupt("directory of frames");
        let start = directory_bytes(plain_bytes);
        let ([count, lengths @ ..], []) = bytes.as_chunks::<4>() else { return Err(FAULT) };
        if bytes.len() != start || u32::from_le_bytes(*count) as usize != lengths.len() {
            return Err(FAULT);
        }
        let mut ends = Vec::with_capacity(lengths.len());
        let mut end = start;
        for length in lengths {
            end = match u32::from_le_bytes(*length) as usize {
                length @ 1.. if length <= stored_bytes => end + length,
                _ => return Err(FAULT),
            };
            ends.push(end);
        }
        if end == stored_bytes { Ok(Directory { ends, start }) } else { Err(FAULT) }
    }

    /// The frame at that position, in bytes from the start of the data.
    pub fn frame(&self, position: usize) -> Range<usize> {
        let start = position.checked_sub(1).map_or(self.start, |before| self.ends[before]);
        start..self.ends[position]
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.ends.len()
    }
}

/// Whether samples from all over the content can be compressed.
fn is_promising(content: &[u8]) -> bool {
    let Ok(mut compressor) = Compressor::new(PROBE_LEVEL) else { return false };
    let stride = (content.len() - PROBE_SAMPLE_BYTES) / (PROBE_SAMPLES - 1);
    let mut memory = vec![0; zstd::zstd_safe::compress_bound(PROBE_SAMPLE_BYTES)];
    let mut compressed = 0;
    for sample in 0..PROBE_SAMPLES {
        let sample = &content[sample * stride..][..PROBE_SAMPLE_BYTES];
        match compressor.compress_to_buffer(sample, memory.as_mut_slice()) {
            Ok(bytes) => compressed += bytes,
            Err(_) => return false,
        }
    }
    is_gain(PROBE_SAMPLES * PROBE_SAMPLE_BYTES, compressed)
}

fn is_gain(plain_bytes: usize, stored_bytes: usize) -> bool {
    stored_bytes * 100 < plain_bytes * (100 - GAIN_PERCENT_LEAST)
}

#[cfg(test)]
mod tests {
    use super::{Directory, directory_bytes, is_gain};

    #[test]
    fn a_gain_is_more_than_a_tenth() {
        assert!(is_gain(1000, 899));
        assert!(!is_gain(1000, 900));
        assert!(!is_gain(1, 1));
    }

    #[test]
    fn a_directory_accounts_for_every_byte() {
        fn check(words: &[u32], plain_bytes: usize, stored_bytes: usize, expected: bool) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let decoded = Directory::decode(&bytes, plain_bytes, stored_bytes);
            assert_eq!(decoded.is_ok(), expected, "{words:?}, {plain_bytes}, {stored_bytes}");
        }
        const MIB: usize = 1 << 20;
        check(&[1, 10], 100, 18, true);
        check(&[1, 10], 100, 17, false);
        check(&[1, 10], 100, 19, false);
        check(&[2, 10], 100, 18, false);
        check(&[1, 0], 100, 8, false);
        check(&[2, 10, 20], MIB + 1, 42, true);
        check(&[2, 30, 0], MIB + 1, 42, false);
        check(&[2, u32::MAX, 43], MIB + 1, 42, false);
        check(&[2, 10, 20], MIB, 42, false);
        check(&[1, 10], MIB + 1, 18, false);
        check(&[], 100, 0, false);

        let bytes: Vec<u8> = [2_u32, 10, 20].iter().flat_map(|word| word.to_le_bytes()).collect();
        let directory = Directory::decode(&bytes, MIB + 1, 42).unwrap();
        assert_eq!((directory.frame(0), directory.frame(1), directory.frames()), (12..22, 22..42, 2));
        assert_eq!(directory_bytes(8 * MIB), 36);
    }
}
