//! Times and the ids made from them: a stamp orders the versions of a key, and names versions and uploads.
//!
//! An id's text is 32 characters of URL-safe base64 over 24 bytes: time, random bits, and a check value that tells
//! ids made by a Strata from texts that merely look like one. The check is not a secret.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// A moment: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: u64) -> Timestamp {
        Timestamp(nanos)
    }

    /// From whole seconds since the epoch.
    pub const fn from_secs(secs: u64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: what HTTP dates and conditional requests compare.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// This moment plus `duration`.
    pub fn plus(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment as a chrono date in UTC.
    pub fn to_datetime(self) -> chrono::DateTime<chrono::Utc> {
        chrono::DateTime::from_timestamp_nanos(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

/// What orders the versions of a key, and makes each of them unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// When the version was committed, or its upload initiated.
    pub time: Timestamp,
    /// Random bits.
    pub random: u64,
}

impl Stamp {
    /// The 16 bytes, big-endian, in ascending order of time.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.time.as_nanos().to_be_bytes());
        bytes[8..].copy_from_slice(&self.random.to_be_bytes());
        bytes
    }

    /// The inverse of [`Stamp::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Stamp {
        let value = u128::from_be_bytes(bytes);
        Stamp {
            time: Timestamp::from_nanos(u64::try_from(value >> 64).expect("64 bits are left after the shift")),
            random: u64::try_from(value & u128::from(u64::MAX)).expect("the mask leaves 64 bits"),
        }
    }

    /// Whether a version of this stamp comes before one of the other in the order of versions, newest first: the later time,
    /// and of one time, which only versions of two stores can share, the lesser random bits.
    pub fn is_newer(self, other: Stamp) -> bool {
        (self.time, other.random) > (other.time, self.random)
    }

    fn encode(self, context: &str) -> String {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.to_bytes());
        bytes[16..].copy_from_slice(&check_value(context, &self.to_bytes()));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(context: &str, text: &str) -> Option<Stamp> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let stamp: [u8; 16] = bytes[..16].try_into().ok()?;
        (check_value(context, &stamp) == bytes[16..]).then(|| Stamp::from_bytes(stamp))
    }
}

fn check_value(context: &str, bytes: &[u8; 16]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(context.as_bytes());
    hasher.update(bytes);
    hasher.finalize().as_bytes()[..8].try_into().expect("a BLAKE3 hash has 32 bytes")
}

/// The id of a version as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VersionId {
    /// The version `null`: written while the bucket was unversioned or suspended.
    Null,
    /// A version with an id of its own.
    Stamp(Stamp),
}

const VERSION_CONTEXT: &str = "strata version id";
const UPLOAD_CONTEXT: &str = "strata upload id";

impl VersionId {
    /// Reads `null` or an id that a Strata made; anything else is `None`.
    pub fn parse(text: &str) -> Option<VersionId> {
        match text {
            "null" => Some(VersionId::Null),
            _ => Stamp::decode(VERSION_CONTEXT, text).map(VersionId::Stamp),
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionId::Null => f.write_str("null"),
            VersionId::Stamp(stamp) => f.write_str(&stamp.encode(VERSION_CONTEXT)),
        }
    }
}

/// The id of a multipart upload; its time is the initiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UploadId(pub Stamp);

impl UploadId {
    /// Reads an id that a Strata made; anything else is `None`.
    pub fn parse(text: &str) -> Option<UploadId> {
        Stamp::decode(UPLOAD_CONTEXT, text).map(UploadId)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.encode(UPLOAD_CONTEXT))
    }
}

#[cfg(test)]
mod tests {
    use super::{Stamp, Timestamp, UploadId, VersionId};

    #[test]
    fn ids_read_back_and_refuse_lookalikes() {
        let stamp = Stamp { time: Timestamp::from_nanos(0x1122_3344_5566_7788), random: 42 };
        let text = VersionId::Stamp(stamp).to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(VersionId::parse(&text), Some(VersionId::Stamp(stamp)));
        assert_eq!(VersionId::parse("null"), Some(VersionId::Null));
        assert_eq!(UploadId::parse(&text), None);
        assert_eq!(UploadId::parse(&UploadId(stamp).to_string()), Some(UploadId(stamp)));
        let mut changed = text.into_bytes();
        changed[3] = if changed[3] == b'A' { b'B' } else { b'A' };
        for text in ["", "abc", "NULL", &"A".repeat(32), &String::from_utf8_lossy(&changed)] {
            assert_eq!(VersionId::parse(text), None, "{text}");
        }
    }
}
