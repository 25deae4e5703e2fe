//! Zones: the places, in production a disk each, that segments are spread over, and what is told about them.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fs::Disk;

/// The number of a zone, which stays its own for as long as the store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ZoneId(pub u16);

/// A place for shards of segments.
#[derive(Clone)]
pub struct Zone {
    /// Its number.
    pub id: ZoneId,
    /// What people call it.
    pub name: String,
    /// The directory of its segments.
    pub directory: PathBuf,
    /// Where the directory is.
    pub disk: Arc<dyn Disk>,
}

/// What a zone is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ZoneState {
    /// For everything.
    Active,
    /// For nothing: it cannot be reached.
    Lost,
    /// For reads and removals only: what is in it is on its way to other zones.
    Draining,
}

/// What is known about a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneInfo {
    /// Its number.
    pub id: ZoneId,
    /// What people call it.
    pub name: String,
    /// The directory of its segments.
    pub directory: PathBuf,
    /// What it is used for.
    pub state: ZoneState,
    /// How many segments have a shard in it.
    pub segments: u64,
    /// The size of these shards in bytes.
    pub bytes: u64,
}

/// A call in a zone that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The zone.
    pub zone: ZoneId,
    /// The segment concerned, if it was one.
    pub segment: Option<u64>,
    /// What failed, and why.
    pub error: String,
}

/// A shard that is missing, cut short or has missed writes, in a segment that is readable without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The segment's id.
    pub segment: u64,
    /// Which of its shards.
    pub shard: u8,
    /// The size of the shard when it is whole, in bytes.
    pub bytes: u64,
    /// Where there is a file of it that is of no use.
    pub home: Option<ZoneId>,
}

/// A file that belongs to no segment as it is now, because another one has its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Where it is.
    pub zone: ZoneId,
    /// The name of the file.
    pub name: String,
    /// The size of the file in bytes.
    pub bytes: u64,
}
