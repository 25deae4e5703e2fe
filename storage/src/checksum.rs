//! Checksums as S3 offers them: algorithms, values, and the one pass over the bytes that computes them.

use md5_many::Md5State;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// An algorithm that clients may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    /// `CRC32` (ISO-HDLC)
    Crc32,
    /// `CRC32C` (iSCSI)
    Crc32c,
    /// `CRC64NVME`
    Crc64Nvme,
    /// `SHA1`
    Sha1,
    /// `SHA256`
    Sha256,
    /// `SHA512`
    Sha512,
    /// `MD5`
    Md5,
    /// `XXHASH64`
    Xxhash64,
    /// `XXHASH3`
    Xxhash3,
    /// `XXHASH128`
    Xxhash128,
}

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub const ALL: [ChecksumAlgorithm; 10] = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
        ChecksumAlgorithm::Sha512,
        ChecksumAlgorithm::Md5,
        ChecksumAlgorithm::Xxhash64,
        ChecksumAlgorithm::Xxhash3,
        ChecksumAlgorithm::Xxhash128,
    ];

    /// S3's name, upper case; headers carry it in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Crc32 => "CRC32",
            ChecksumAlgorithm::Crc32c => "CRC32C",
            ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
            ChecksumAlgorithm::Sha1 => "SHA1",
            ChecksumAlgorithm::Sha256 => "SHA256",
            ChecksumAlgorithm::Sha512 => "SHA512",
            ChecksumAlgorithm::Md5 => "MD5",
            ChecksumAlgorithm::Xxhash64 => "XXHASH64",
            ChecksumAlgorithm::Xxhash3 => "XXHASH3",
            ChecksumAlgorithm::Xxhash128 => "XXHASH128",
        }
    }

    /// The length of a value in bytes.
    pub const fn value_bytes(self) -> usize {
        match self {
            ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
            ChecksumAlgorithm::Crc64Nvme | ChecksumAlgorithm::Xxhash64 | ChecksumAlgorithm::Xxhash3 => 8,
            ChecksumAlgorithm::Md5 | ChecksumAlgorithm::Xxhash128 => 16,
            ChecksumAlgorithm::Sha1 => 20,
            ChecksumAlgorithm::Sha256 => 32,
            ChecksumAlgorithm::Sha512 => 64,
        }
    }

    /// Whether the checksum of a whole can be computed from those of its parts.
    pub const fn combines(self) -> bool {
        matches!(self, ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c | ChecksumAlgorithm::Crc64Nvme)
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// What a checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// All bytes of the object.
    FullObject,
    /// The checksums of the parts, one after another.
    Composite,
}

/// A checksum value. Its text form (base64, and `-n` for composites) belongs to the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// What it covers.
    pub kind: ChecksumKind,
    /// The raw value, big-endian for CRCs and XXHASH.
    pub value: Vec<u8>,
}

impl Checksum {
    /// The checksum of bytes in memory.
    pub fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = Hasher::new(Digests::NONE.with(algorithm));
        hasher.update(bytes);
        hasher.finish().1.pop().expect("one algorithm was asked for")
    }
}

/// A set of algorithms to compute in one pass; MD5 for the ETag is always computed besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digests(u16);

impl Digests {
    /// No checksum besides the ETag's MD5.
    pub const NONE: Digests = Digests(0);

    /// This set and `algorithm`.
    #[must_use]
    pub fn with(self, algorithm: ChecksumAlgorithm) -> Digests {
        Digests(self.0 | algorithm.bit())
    }

    /// Whether `algorithm` is in the set.
    pub fn contains(self, algorithm: ChecksumAlgorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }
}

/// Joins the checksums of two neighbours into that of the whole; only for algorithms that [combine].
///
/// `second_bytes` is the length of the second neighbour.
///
/// [combine]: ChecksumAlgorithm::combines
pub(crate) fn combine(algorithm: ChecksumAlgorithm, first: &[u8], second: &[u8], second_bytes: u64) -> Vec<u8> {
    let crc = crc_algorithm(algorithm).expect("only CRCs combine, which the caller checked");
    let joined = crc_fast::checksum_combine(crc, number(first), number(second), second_bytes);
    joined.to_be_bytes()[8 - algorithm.value_bytes()..].to_vec()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

fn crc_algorithm(algorithm: ChecksumAlgorithm) -> Option<crc_fast::CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
        _ => None,
    }
}

enum State {
    Crc(crc_fast::Digest),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Xxhash64(xxhash_rust::xxh64::Xxh64),
    Xxhash3(Box<xxhash_rust::xxh3::Xxh3>),
    Xxhash128(Box<xxhash_rust::xxh3::Xxh3>),
}

impl State {
    /// `None` for MD5, which the hasher computes anyway.
    fn new(algorithm: ChecksumAlgorithm) -> Option<State> {
        Some(match algorithm {
            ChecksumAlgorithm::Md5 => return None,
            ChecksumAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            ChecksumAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            ChecksumAlgorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            ChecksumAlgorithm::Xxhash64 => State::Xxhash64(xxhash_rust::xxh64::Xxh64::new(0)),
            ChecksumAlgorithm::Xxhash3 => State::Xxhash3(Box::default()),
            ChecksumAlgorithm::Xxhash128 => State::Xxhash128(Box::default()),
            crc => State::Crc(crc_fast::Digest::new(crc_algorithm(crc).expect("only the CRCs are left"))),
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            State::Crc(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Xxhash64(state) => state.update(bytes),
            State::Xxhash3(state) | State::Xxhash128(state) => state.update(bytes),
        }
    }

    fn finish(self, value_bytes: usize) -> Vec<u8> {
        match self {
            State::Crc(state) => state.finalize().to_be_bytes()[8 - value_bytes..].to_vec(),
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha256(state) => state.finalize().to_vec(),
            State::Sha512(state) => state.finalize().to_vec(),
            State::Xxhash64(state) => state.digest().to_be_bytes().to_vec(),
            State::Xxhash3(state) => state.digest().to_be_bytes().to_vec(),
            State::Xxhash128(state) => state.digest128().to_be_bytes().to_vec(),
        }
    }
}

/// Computes a set of checksums in one pass, but for MD5, which is given.
pub(crate) struct Sums {
    states: Vec<(ChecksumAlgorithm, State)>,
    wanted: Digests,
}

impl Sums {
    pub(crate) fn new(wanted: Digests) -> Sums {
        let states = ChecksumAlgorithm::ALL
            .into_iter()
            .filter(|&algorithm| wanted.contains(algorithm))
            .filter_map(|algorithm| Some((algorithm, State::new(algorithm)?)))
            .collect();
        Sums { states, wanted }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for (_, state) in &mut self.states {
            state.update(bytes);
        }
    }

    /// The full-object checksums asked for, of bytes with that MD5.
    pub(crate) fn finish(self, md5: [u8; 16]) -> Vec<Checksum> {
        let mut checksums: Vec<Checksum> = self
            .states
            .into_iter()
            .map(|(algorithm, state)| Checksum {
                algorithm,
                kind: ChecksumKind::FullObject,
                value: state.finish(algorithm.value_bytes()),
            })
            .collect();
        if self.wanted.contains(ChecksumAlgorithm::Md5) {
            let value = md5.to_vec();
            checksums.push(Checksum { algorithm: ChecksumAlgorithm::Md5, kind: ChecksumKind::FullObject, value });
        }
        checksums
    }
}

/// Computes MD5 and a set of checksums in one pass, where the bytes are.
pub(crate) struct Hasher {
    md5: Md5State,
    sums: Sums,
}

impl Hasher {
    pub(crate) fn new(wanted: Digests) -> Hasher {
        Hasher { md5: Md5State::new(), sums: Sums::new(wanted) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sums.update(bytes);
    }

    /// The MD5 and the full-object checksums asked for.
    pub(crate) fn finish(self) -> ([u8; 16], Vec<Checksum>) {
        let md5 = self.md5.finalize();
        (md5, self.sums.finish(md5))
    }
}

/// The composite checksum over the raw values of an object's parts, in order.
pub(crate) fn composite<'a>(algorithm: ChecksumAlgorithm, parts: impl Iterator<Item = &'a [u8]>) -> Checksum {
    let mut hasher = Hasher::new(Digests::NONE.with(algorithm));
    for value in parts {
        hasher.update(value);
    }
    let (_, mut checksums) = hasher.finish();
    let mut checksum = checksums.pop().expect("one algorithm was asked for");
    checksum.kind = ChecksumKind::Composite;
    checksum
}

#[cfg(test)]
mod tests {
    use super::{ChecksumAlgorithm, Digests, Hasher, combine};

    /// Published check values for the text "123456789".
    #[test]
    fn known_answers() {
        let all = ChecksumAlgorithm::ALL.into_iter().fold(Digests::NONE, Digests::with);
        let mut hasher = Hasher::new(all);
        hasher.update(b"1234");
        hasher.update(b"56789");
        let (md5, checksums) = hasher.finish();
        assert_eq!(hex::encode(md5), "25f9e794323b453885f5181f1b624d0b");
        let value = |algorithm| {
            let found = checksums.iter().find(|checksum| checksum.algorithm == algorithm).expect("it was asked for");
            assert_eq!(found.value.len(), algorithm.value_bytes());
            hex::encode(&found.value)
        };
        assert_eq!(value(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(value(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(value(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(value(ChecksumAlgorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(value(ChecksumAlgorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(value(ChecksumAlgorithm::Xxhash64), "8cb841db40e6ae83");
    }

    /// The fast MD5 against a plain one, at every length around its blocks and in every split of a few.
    #[test]
    fn md5_agrees_with_another_implementation() {
        use md5::Digest as _;
        let bytes: Vec<u8> = (0..1000_u32).map(|n| u8::try_from(n * 31 % 251).expect("a byte")).collect();
        for length in (0..=260).chain([511, 512, 513, 1000]) {
            let plain: [u8; 16] = md5::Md5::digest(&bytes[..length]).into();
            for split in [0, 1, 55, 56, 63, 64, 65, 128, 200].into_iter().filter(|&split| split <= length) {
                let mut hasher = Hasher::new(Digests::NONE);
                hasher.update(&bytes[..split]);
                hasher.update(&bytes[split..length]);
                assert_eq!(hasher.finish().0, plain, "{length} bytes, split at {split}");
            }
        }
    }

    #[test]
    fn crcs_combine() {
        for algorithm in ChecksumAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.combines()) {
            let sum = |bytes: &[u8]| {
                let mut hasher = Hasher::new(Digests::NONE.with(algorithm));
                hasher.update(bytes);
                hasher.finish().1.remove(0).value
            };
            let joined = combine(algorithm, &sum(b"1234"), &sum(b"56789"), 5);
            assert_eq!(joined, sum(b"123456789"), "{algorithm:?}");
        }
    }
}
