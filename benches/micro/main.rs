//! Micro-benchmarks of the hot pieces: `cargo bench --bench micro -- [part of a name]`.
//!
//! Each piece runs for a fifth of a second, seven times over. The fastest run is what the piece costs, the median tells
//! how much the machine was disturbed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use crc_fast::CrcAlgorithm;
use md5::Digest as _;

const RUN: Duration = Duration::from_millis(200);
const RUNS: usize = 7;
const PIECE_BYTES: usize = 64 << 10;
const SIZES: [(&str, usize); 2] = [("1 KiB", 1 << 10), ("1 MiB", 1 << 20)];

/// A piece that works on some bytes, and leaves a value that the compiler must not drop.
struct Piece {
    name: &'static str,
    work: fn(&[u8]) -> u64,
}

const PIECES: [Piece; 7] = [
    Piece { name: "MD5", work: |bytes| first_bytes(&md5::Md5::digest(bytes)) },
    Piece { name: "SHA256", work: |bytes| first_bytes(&sha2::Sha256::digest(bytes)) },
    Piece { name: "BLAKE3", work: |bytes| first_bytes(blake3::hash(bytes).as_bytes()) },
    Piece { name: "SEAL", work: seal },
    Piece { name: "CRC64NVME", work: |bytes| crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes) },
    Piece { name: "CRC32", work: |bytes| crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) },
    Piece { name: "CRC32C", work: |bytes| crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) },
];

/// What sealing a record takes: a key of its own, and AES-256-GCM over pieces of 64 KiB.
fn seal(bytes: &[u8]) -> u64 {
    let key = blake3::Hasher::new_keyed(&[7; 32]).update(b"record").finalize();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_bytes()).expect("a key of 32 bytes"));
    let mut sealed = vec![0; bytes.len().min(PIECE_BYTES)];
    let mut tag = [0; 16];
    for (position, piece) in (0_u8..).zip(bytes.chunks(PIECE_BYTES)) {
        let nonce = Nonce::assume_unique_for_key([position; 12]);
        let out = &mut sealed[..piece.len()];
        key.seal_out_of_place_scatter(nonce, Aad::empty(), piece, out, &[], &mut tag).expect("a small piece");
    }
    first_bytes(&tag)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds --bench; without it this is `cargo test`, where running once is all there is to check.
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-')).map_or("", String::as_str);
    if cfg!(debug_assertions) {
        println!("debug build: these are not measurements");
    }
    println!("| {:<9} | {:<5} | {:>10} | {:>12} | {:>8} |", "piece", "size", "best ns/op", "median ns/op", "MB/s");
    println!("|-----------|-------|-----------:|-------------:|---------:|");
    for piece in PIECES.iter().filter(|piece| piece.name.to_lowercase().contains(&wanted.to_lowercase())) {
        for (size_name, bytes) in SIZES {
            let input: Vec<u8> = (0..bytes).map(|n| (n * 31 + n / 251) as u8).collect();
            let (best_ns, median_ns) = match is_measured {
                true => measure(piece.work, &input),
                false => {
                    let ns = time_of(piece.work, &input, 1);
                    (ns, ns)
                }
            };
            let megabytes_per_second = bytes as f64 / best_ns * 1000.0;
            let name = piece.name;
            println!("| {name:<9} | {size_name} | {best_ns:>10.0} | {median_ns:>12.0} | {megabytes_per_second:>8.0} |");
        }
    }
}

/// The best and the median time of one call, in nanoseconds.
fn measure(work: fn(&[u8]) -> u64, input: &[u8]) -> (f64, f64) {
    let mut calls = 1;
    // Doubling also warms up caches and the processor's clock.
    while time_of(work, input, calls) * calls as f64 / 1e9 < RUN.as_secs_f64() / 2.0 {
        calls *= 2;
    }
    let mut times: Vec<f64> = (0..RUNS).map(|_| time_of(work, input, calls)).collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[RUNS / 2])
}

/// The mean time of one call over `calls` calls, in nanoseconds.
fn time_of(work: fn(&[u8]) -> u64, input: &[u8], calls: u64) -> f64 {
    let begun = Instant::now();
    for _ in 0..calls {
        black_box(work(black_box(input)));
    }
    begun.elapsed().as_nanos() as f64 / calls as f64
}

fn first_bytes(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
}
