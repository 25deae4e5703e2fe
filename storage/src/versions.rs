//! The versions of one key: which is newest, which is `null`, and what becomes visible when one goes.
//!
//! Invariants, kept by every batch under the key's lock:
//!
//! * A `current` row exists if and only if the newest version is an object, and names it.
//! * If a `null` version exists and is not named by the `current` row, a `null` row names it.

use crate::bucket::{Bucket, Versioning};
use crate::error::Result;
use crate::index::record::Record as _;
use crate::index::record::{CurrentRecord, VersionRecord};
use crate::index::{Batch, Family, key};
use crate::name::ObjectKey;
use crate::stamp::{Stamp, Timestamp};
use crate::store::Inner;

/// A version as far as ordering needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) stamp: Stamp,
    pub(crate) null: bool,
    /// What the `current` row says or would say; `None` for a delete marker.
    pub(crate) visible: Option<CurrentRecord>,
}

impl Version {
    fn new(stamp: Stamp, record: &VersionRecord) -> Version {
        let visible = record.object.as_ref().map(|object| CurrentRecord::of(stamp, record.null, object));
        Version { stamp, null: record.null, visible }
    }
}

impl Inner {
    /// The visible object's row.
    pub(crate) async fn current(&self, bucket: u64, key: &ObjectKey) -> Result<Option<CurrentRecord>> {
        self.index.record(Family::Current, key::object(bucket, key.as_str())).await
    }

    /// The newest version of a key, marker or object.
    pub(crate) async fn newest(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Option<Version>> {
        if let Some(current) = self.current(bucket.id, key).await? {
            return Ok(Some(Version { stamp: current.stamp, null: current.null, visible: Some(current) }));
        }
        if bucket.versioning == Versioning::Unversioned {
            return Ok(None);
        }
        self.first_version(bucket.id, key, None).await
    }

    /// The newest version older than the one with `stamp`.
    pub(crate) async fn version_before(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
    ) -> Result<Option<Version>> {
        if bucket.versioning == Versioning::Unversioned {
            return Ok(None);
        }
        self.first_version(bucket.id, key, Some(stamp)).await
    }

    async fn first_version(&self, bucket: u64, key: &ObjectKey, after: Option<Stamp>) -> Result<Option<Version>> {
        let prefix = key::escaped(bucket, key.as_str());
        let from = match after {
            Some(stamp) => crate::list::following(key::version(bucket, key.as_str(), stamp)),
            None => prefix.clone(),
        };
        let found = self.index.first(Family::Version, from, key::after_prefix(prefix)).await?;
        let Some((row, value)) = found else { return Ok(None) };
        let (_, stamp) = key::split_version(&row).ok_or_else(|| key::corrupt("version row", &row))?;
        Ok(Some(Version::new(stamp, &VersionRecord::decode(&value)?)))
    }

    /// The stamp of the `null` version, given the newest one.
    pub(crate) async fn null_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        newest: Option<&Version>,
    ) -> Result<Option<Stamp>> {
        match newest {
            Some(newest) if newest.null => Ok(Some(newest.stamp)),
            _ if bucket.versioning == Versioning::Unversioned => Ok(None),
            _ => self.index.record(Family::Null, key::object(bucket.id, key.as_str())).await,
        }
    }

    /// Adds to `batch` the rows that say that `version` is the newest.
    pub(crate) fn make_visible(&self, bucket: &Bucket, key: &ObjectKey, version: &Version, batch: &mut Batch) {
        let row = key::object(bucket.id, key.as_str());
        match &version.visible {
            Some(current) => {
                if version.null {
                    batch.delete(Family::Null, row.clone());
                }
                batch.put(Family::Current, row, current);
            }
            None => batch.delete(Family::Current, row),
        }
    }

    /// A new stamp: never before one that this process made earlier, so that a clock set back does not reorder.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp_after(None)
    }

    /// A new stamp for a change of what was last changed at `known`, perhaps by a store whose clock is ahead: the later
    /// stamp wins everywhere, so what was changed in view of another change must be later than it.
    pub(crate) fn stamp_of_change(&self, known: Option<Stamp>) -> Stamp {
        self.stamp_after(known.map(|stamp| stamp.time))
    }

    /// A new stamp that is also later than `time`. That floor is the key's alone: a version stamped by a clock that was
    /// ahead does not pull the stamps of other keys after it.
    pub(crate) fn stamp_after(&self, time: Option<Timestamp>) -> Stamp {
        let least = time.map_or(0, |time| time.as_nanos().saturating_add(1));
        let mut last = self.last_stamp.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *last = self.clock.now().as_nanos().max(last.saturating_add(1));
        Stamp { time: Timestamp::from_nanos((*last).max(least)), random: self.entropy.next_u64() }
    }
}
