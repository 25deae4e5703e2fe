//! Object Lock: what keeps a version from being removed for good, until when, and who may change that.
//!
//! What removes a version for good takes a [`Removable`], which is made only after a look at the lock in the version's
//! record, read under the key's lock. These are all the places:
//!
//! * `delete`: the version named by its id; the object of a bucket that never was versioned; the `null` version that a
//!   `null` marker replaces.
//! * `put`, and with it copies and completed uploads: the `null` version that another one replaces.
//! * `worker::evaluator`: noncurrent versions whose time is over, objects of buckets that never were versioned, the
//!   `null` version that a `null` marker replaces. Rules know locks (`lifecycle`) and ask again when they end.
//!
//! A bucket with Object Lock stays versioned, so no `null` version is replaced in it; those places look all the same.
//! Nothing else removes versions: buckets are deleted only when they are empty, an upload that is aborted is no version
//! yet, the collector takes what no version names, and transitions and tiers move bytes of versions that stay.
//!
//! A retention is over when the clock says so. Time that the clock was set back keeps versions longer, never shorter:
//! the retention of a new version counts from the later of clock and stamp, and the end that a request sets must be
//! later than both.

use std::time::Duration;

use chrono::Months;

use crate::announce::Happening;
use crate::bucket::Bucket;
use crate::error::{Entity, Error, Result};
use crate::event::EventKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::VersionSelector;
use crate::protection::{LegalHold, Lock, ObjectLock, Retention, RetentionMode, RetentionPeriod};
use crate::stamp::{Timestamp, VersionId};
use crate::store::{Inner, Store};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// More days than any year has.
const DAYS_OF_A_YEAR_MAX: u32 = 366;

/// Whether governance retentions bind whoever asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Governance {
    /// They do.
    #[default]
    Binding,
    /// They are bypassed, by somebody who may and wants to.
    Bypassed,
}

/// What holds a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// A legal hold, until it is taken off.
    Legal,
    /// A retention that is not over.
    Retained(RetentionMode),
}

impl Hold {
    /// Whether it gives way.
    pub fn yields(self, governance: Governance) -> bool {
        self == Hold::Retained(RetentionMode::Governance) && governance == Governance::Bypassed
    }
}

impl Lock {
    /// What holds the version at `now`; of several the strongest, so that what yields leaves nothing behind.
    pub fn hold(&self, now: Timestamp) -> Option<Hold> {
        if self.legal_hold == Some(LegalHold::On) {
            return Some(Hold::Legal);
        }
        self.retained(now).map(|retention| Hold::Retained(retention.mode))
    }

    /// From when on the version may be removed without bypassing anything; `None` as long as a legal hold is on.
    pub fn removable_from(&self) -> Option<Timestamp> {
        match self.legal_hold {
            Some(LegalHold::On) => None,
            _ => Some(self.retention.map_or(Timestamp::default(), |retention| retention.until)),
        }
    }

    /// Its retention, unless that is over.
    fn retained(&self, now: Timestamp) -> Option<Retention> {
        self.retention.filter(|retention| now < retention.until)
    }

    /// Changes the retention at `now`, or leaves all as it is.
    fn retain(&mut self, change: RetentionChange, now: Timestamp) -> Result<()> {
        let wanted = change.retention;
        if let Some(present) = self.retained(now) {
            let extends = wanted.is_some_and(|it| it.mode == present.mode && it.until >= present.until);
            if !extends && !Hold::Retained(present.mode).yields(change.governance) {
                return Err(Error::ObjectLocked { lock: *self });
            }
        }
        self.retention = wanted;
        Ok(())
    }
}

impl ObjectLock {
    /// The retention of a version that was made then and brings none of its own.
    pub fn default_retention(&self, made: Timestamp) -> Option<Retention> {
        let (mode, period) = self.default?;
        let until = match period {
            RetentionPeriod::Days(days) => made.plus(DAY.saturating_mul(days)),
            RetentionPeriod::Years(years) => years_after(made, years),
        };
        Some(Retention { mode, until })
    }
}

/// The same day and time of another year; 28 February for a 29th that it has not.
fn years_after(time: Timestamp, years: u32) -> Timestamp {
    let date = years.checked_mul(12).and_then(|months| time.to_datetime().checked_add_months(Months::new(months)));
    let nanos = date.and_then(|date| date.timestamp_nanos_opt()).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map_or_else(|| time.plus(DAY.saturating_mul(years.saturating_mul(DAYS_OF_A_YEAR_MAX))), Timestamp::from_nanos)
}

/// The lock of a version that is made in a bucket at that time and asks for `asked`.
pub(crate) fn lock_of_new(bucket: &Bucket, asked: Lock, made: Timestamp) -> Result<Lock> {
    match &bucket.object_lock {
        None if asked == Lock::default() => Ok(asked),
        None => Err(Error::NoObjectLock),
        Some(lock) => Ok(Lock { retention: asked.retention.or_else(|| lock.default_retention(made)), ..asked }),
    }
}

/// A version that may be removed for good. That there is one proves that somebody looked at its lock.
pub(crate) struct Removable<'a>(&'a VersionRecord);

impl<'a> Removable<'a> {
    /// `Err(ObjectLocked)` if the version is held. Delete markers never are.
    pub(crate) fn of(record: &'a VersionRecord, now: Timestamp, governance: Governance) -> Result<Removable<'a>> {
        if let Some(object) = &record.object {
            let lock = object.protection.lock;
            if lock.hold(now).is_some_and(|hold| !hold.yields(governance)) {
                return Err(Error::ObjectLocked { lock });
            }
        }
        Ok(Removable(record))
    }

    /// Its record.
    pub(crate) fn record(&self) -> &'a VersionRecord {
        self.0
    }
}

/// A new retention of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionChange {
    /// The retention; `None` removes it.
    pub retention: Option<Retention>,
    /// Whether a governance retention that the version has binds.
    pub governance: Governance,
}

impl Store {
    /// Sets or removes the retention of a version, and returns the version's id as [`Store::set_tags`] does.
    ///
    /// A retention that is not over can be extended; to shorten or remove it, or to change its mode, governance must
    /// be bypassed, and of compliance it is `Err(ObjectLocked)` for everybody. `Err(RetentionOver)` if the end asked for
    /// is not in the future, `Err(NoObjectLock)` if the bucket has no Object Lock; else errors as [`Store::object`].
    pub async fn set_retention(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        change: RetentionChange,
    ) -> Result<Option<VersionId>> {
        let latest = self.inner.latest_time();
        if change.retention.is_some_and(|retention| retention.until <= latest) {
            // A bucket that is not there, or has no lock, comes first.
            return match self.bucket(bucket).await?.object_lock {
                Some(_) => Err(Error::RetentionOver),
                None => Err(Error::NoObjectLock),
            };
        }
        let now = self.inner.clock.now();
        self.change_lock(bucket, key, version, Some(EventKind::RetentionPut), |lock| lock.retain(change, now)).await
    }

    /// Puts a version under a legal hold, or takes it off; S3 knows no event of it. Errors as [`Store::set_retention`], but no lock forbids it.
    pub async fn set_legal_hold(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        hold: LegalHold,
    ) -> Result<Option<VersionId>> {
        self.change_lock(bucket, key, version, None, |lock| {
            lock.legal_hold = Some(hold);
            Ok(())
        })
        .await
    }

    /// Changes the lock of a version, and tells of it as that kind of event.
    async fn change_lock(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        kind: Option<EventKind>,
        change: impl FnOnce(&mut Lock) -> Result<()>,
    ) -> Result<Option<VersionId>> {
        let inner = &self.inner;
        let mut batch = Batch::new();
        batch.hold(inner.locks.bucket_shared(bucket.as_str()).await);
        let bucket = self.bucket(bucket).await?;
        if bucket.object_lock.is_none() {
            return Err(Error::NoObjectLock);
        }
        batch.hold(inner.locks.key(bucket.id, key.as_str()).await);
        let newest = inner.newest(&bucket, key).await?;
        let (stamp, missing) = match version {
            VersionSelector::Current => (newest.as_ref().map(|newest| newest.stamp), Entity::Key),
            VersionSelector::Id(id) => (inner.resolve(&bucket, key, id, newest.as_ref()).await?, Entity::Version),
        };
        let stamp = stamp.ok_or(Error::NotFound(missing))?;
        let row = key::version(bucket.id, key.as_str(), stamp);
        let record = inner.index.record::<VersionRecord>(Family::Version, row.clone()).await?;
        let mut record = record.ok_or(Error::NotFound(missing))?;
        let version_id = if record.null { VersionId::Null } else { VersionId::Stamp(stamp) };
        let Some(object) = &mut record.object else {
            let by_id = version != VersionSelector::Current;
            return Err(Error::DeleteMarker { version_id, modified: stamp.time, by_id });
        };
        change(&mut object.protection.lock)?;
        let known = &mut object.replication.changes;
        known.lock = Some(inner.stamp_of_change(known.lock));
        inner.replicate_changes(&bucket, key.as_str(), (stamp, record.null), object, &mut batch);
        if let Some(kind) = kind {
            let happening = Happening::new(kind, key.as_str(), (stamp, record.null));
            inner.announce(&bucket, &happening.of(object).asked(self.asked()), &mut batch);
        }
        batch.put(Family::Version, row, &record);
        // A rule may have waited for the lock to end.
        inner.wake(&bucket, key, stamp, &mut batch);
        inner.index.commit(batch).await?;
        Ok(Some(version_id))
    }
}

impl Inner {
    /// The clock's time, or that of the newest stamp if the clock was set back since.
    fn latest_time(&self) -> Timestamp {
        let stamped = *self.last_stamp.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.clock.now().max(Timestamp::from_nanos(stamped))
    }
}

#[cfg(test)]
mod tests {
    use super::{Governance, Hold, RetentionChange};
    use crate::protection::{LegalHold, Lock, ObjectLock, Retention, RetentionMode, RetentionPeriod};
    use crate::stamp::Timestamp;

    use Governance::{Binding, Bypassed};
    use RetentionMode::{Compliance, Governance as Governed};

    const DAY: u64 = 86_400;

    fn retained(mode: RetentionMode, until: u64) -> Option<Retention> {
        Some(Retention { mode, until: Timestamp::from_secs(until) })
    }

    #[test]
    fn holds_end_with_the_retention_or_with_the_hold() {
        fn check(lock: Lock, now: u64, hold: Option<Hold>, from: Option<u64>) {
            assert_eq!(lock.hold(Timestamp::from_secs(now)), hold, "{lock:?}");
            assert_eq!(lock.removable_from(), from.map(Timestamp::from_secs), "{lock:?}");
        }
        for mode in [Governed, Compliance] {
            let lock = Lock { retention: retained(mode, 10), legal_hold: Some(LegalHold::Off) };
            check(lock, 9, Some(Hold::Retained(mode)), Some(10));
            check(lock, 10, None, Some(10));
            check(Lock { legal_hold: Some(LegalHold::On), ..lock }, 9, Some(Hold::Legal), None);
            check(Lock { legal_hold: Some(LegalHold::On), ..lock }, 11, Some(Hold::Legal), None);
        }
        check(Lock::default(), 0, None, Some(0));
    }

    #[test]
    fn only_governance_yields() {
        for (hold, governance, expected) in [
            (Hold::Retained(Governed), Bypassed, true),
            (Hold::Retained(Governed), Binding, false),
            (Hold::Retained(Compliance), Bypassed, false),
            (Hold::Legal, Bypassed, false),
        ] {
            assert_eq!(hold.yields(governance), expected, "{hold:?} {governance:?}");
        }
    }

    #[test]
    fn retentions_change_one_way() {
        fn check(present: Option<Retention>, wanted: Option<Retention>, allowed: [bool; 2]) {
            for (governance, allowed) in [Binding, Bypassed].into_iter().zip(allowed) {
                let mut lock = Lock { retention: present, legal_hold: None };
                let changed = lock.retain(RetentionChange { retention: wanted, governance }, Timestamp::from_secs(5));
                assert_eq!(changed.is_ok(), allowed, "{present:?} to {wanted:?}, {governance:?}");
                assert_eq!(lock.retention, if allowed { wanted } else { present });
            }
        }
        let (free, bypassed, never) = ([true, true], [false, true], [false, false]);
        for mode in [Governed, Compliance] {
            let lessened = if mode == Governed { bypassed } else { never };
            check(None, retained(mode, 10), free);
            check(retained(mode, 10), retained(mode, 11), free);
            check(retained(mode, 10), retained(mode, 10), free);
            check(retained(mode, 10), retained(mode, 9), lessened);
            check(retained(mode, 10), None, lessened);
            // What is over binds nobody.
            check(retained(mode, 5), None, free);
            check(retained(mode, 5), retained(Governed, 6), free);
        }
        check(retained(Governed, 10), retained(Compliance, 11), bypassed);
        check(retained(Compliance, 10), retained(Governed, 11), never);
    }

    #[test]
    fn default_retentions_count_days_and_years() {
        fn check(made: u64, period: RetentionPeriod, until: u64) {
            let lock = ObjectLock { default: Some((Compliance, period)) };
            assert_eq!(lock.default_retention(Timestamp::from_secs(made)), retained(Compliance, until), "{period:?}");
        }
        check(100, RetentionPeriod::Days(3), 100 + 3 * DAY);
        // 1 January 1970 and a year; 29 February 1972 and a year, which has no such day.
        check(100, RetentionPeriod::Years(1), 100 + 365 * DAY);
        check(789 * DAY, RetentionPeriod::Years(1), (789 + 365) * DAY);
        check(100, RetentionPeriod::Days(36_500), 100 + 36_500 * DAY);
        assert_eq!(ObjectLock::default().default_retention(Timestamp::from_secs(1)), None);
        // What no date can tell is far away.
        let far = ObjectLock { default: Some((Compliance, RetentionPeriod::Years(u32::MAX))) };
        let far = far.default_retention(Timestamp::from_secs(1)).expect("there is a default");
        assert!(far.until > Timestamp::from_secs(300 * 365 * DAY));
    }
}
