//! Restores of archived objects: asked for here, done by `worker::settle` when their time has come.
//!
//! As in `put`, the version is read under the key's lock, which travels with the batch. One batch changes the version's
//! record and what listings show, and puts the row that has the restore finished at its time. Dying before the batch is
//! durable changes nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::announce::Happening;
use crate::error::{Entity, Error, Result};
use crate::event::EventKind;
use crate::index::key::DueKind;
use crate::index::record::VersionRecord;
use crate::index::{Batch, Family};
use crate::lifecycle::Calendar;
use crate::name::{BucketName, ObjectKey};
use crate::object::{StorageClass, VersionSelector};
use crate::residence::{Residence, Restore, RestoreSpeed};
use crate::residence_change::VersionName;
use crate::stamp::{Timestamp, VersionId};
use crate::store::Store;
use crate::tiering::Tier;

/// Within what time no more than so many expedited restores may begin.
const EXPEDITED_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Within what time no more than so many restores may be asked for.
const ASKED_WINDOW: Duration = Duration::from_secs(1);
/// How many those are.
const ASKED_MAX: usize = 1000;

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

impl RestoreTimes {
    /// How long a restore takes; `None` for a speed that is not offered.
    fn of(&self, depth: Depth, speed: RestoreSpeed) -> Option<Duration> {
        let time = match (depth, speed) {
            (Depth::Flexible, RestoreSpeed::Expedited) => self.expedited,
            (Depth::Flexible, RestoreSpeed::Standard) => self.standard,
            (Depth::Flexible, RestoreSpeed::Bulk) => self.bulk,
            (Depth::Deep, RestoreSpeed::Expedited) => return None,
            (Depth::Deep, RestoreSpeed::Standard) => self.deep_standard,
            (Depth::Deep, RestoreSpeed::Bulk) => self.deep_bulk,
        };
        // A scale that is no positive number has them done at once.
        let scale = if self.scale > 0.0 { self.scale } else { 0.0 };
        Some(Duration::try_from_secs_f64(time.as_secs_f64() * scale).unwrap_or(Duration::MAX))
    }
}

/// What kind of archive an object is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// GLACIER, the Archive Access tier
    Flexible,
    /// DEEP_ARCHIVE, the Deep Archive Access tier
    Deep,
}

/// What restores share.
pub(crate) struct Restores {
    times: RestoreTimes,
    /// The latest requests.
    asked: Mutex<Window>,
    /// The latest expedited restores.
    expedited: Mutex<Window>,
}

/// When something happened lately, so that it happens only so often.
#[derive(Default)]
struct Window(VecDeque<Timestamp>);

impl Window {
    /// Counts one more, unless there were `most` within the time before.
    fn take(&mut self, now: Timestamp, time: Duration, most: usize) -> bool {
        while self.0.front().is_some_and(|&first| now.since(first) >= time) {
            self.0.pop_front();
        }
        let takes = self.0.len() < most;
        if takes {
            self.0.push_back(now);
        }
        takes
    }
}

impl Restores {
    pub(crate) fn new(times: RestoreTimes) -> Restores {
        Restores { times, asked: Mutex::default(), expedited: Mutex::default() }
    }

    /// Takes one of the expedited restores that may begin now.
    fn take_expedited(&self, now: Timestamp) -> Result<()> {
        let most = usize::try_from(self.times.expedited_max).unwrap_or(usize::MAX);
        let mut begun = self.expedited.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.take(now, EXPEDITED_WINDOW, most) { Ok(()) } else { Err(Error::RestoreSpeedUnavailable) }
    }

    /// Counts a request for a restore.
    fn take_request(&self, now: Timestamp) -> Result<()> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.take(now, ASKED_WINDOW, ASKED_MAX) { Ok(()) } else { Err(Error::RestoresThrottled) }
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
    /// one is faster and for as many days; `Err(RestoresThrottled)` after 1000 requests within a second; `Err(NotArchived)` if there is nothing to restore; `Err(RestoreDays)`,
    /// `Err(RestoreSpeedNotOffered)` and `Err(RestoreSpeedUnavailable)` if the object cannot be restored like that; else
    /// errors as [`Store::object`].
    pub async fn restore(&self, request: RestoreRequest) -> Result<RestoreOutcome> {
        let RestoreRequest { bucket, key, version, days, speed } = request;
        self.inner.restores.take_request(self.inner.clock.now())?;
        let bucket_guard = self.inner.locks.bucket_shared(bucket.as_str()).await;
        let bucket = self.bucket(&bucket).await?;
        let key_guard = self.inner.locks.key(bucket.id, key.as_str()).await;
        let newest = self.inner.newest(&bucket, &key).await?;
        let (stamp, missing) = match version {
            VersionSelector::Current => (newest.as_ref().map(|newest| newest.stamp), Entity::Key),
            VersionSelector::Id(id) => (self.inner.resolve(&bucket, &key, id, newest.as_ref()).await?, Entity::Version),
        };
        let stamp = stamp.ok_or(Error::NotFound(missing))?;
        let name = VersionName { bucket: bucket.id, key: key.as_str().to_owned(), stamp };
        let record = self.inner.index.record::<VersionRecord>(Family::Version, name.row()).await?;
        let record = record.ok_or(Error::NotFound(missing))?;
        let Some(object) = &record.object else {
            let version_id = if record.null { VersionId::Null } else { VersionId::Stamp(stamp) };
            let by_id = version != VersionSelector::Current;
            return Err(Error::DeleteMarker { version_id, modified: stamp.time, by_id });
        };

        let (now, restores) = (self.inner.clock.now(), &self.inner.restores);
        let ask = Ask { days, speed: speed.unwrap_or_default() };
        let before = object.residence.clone();
        let restore = decide(&before, ask, now, &restores.times, &self.inner.calendar)?;
        let mut batch = Batch::new();
        let outcome = match restore {
            Restore::Done { expires } => RestoreOutcome::Extended { expires },
            Restore::Ongoing { ready, .. } => {
                let happening = Happening::new(EventKind::RestorePost, key.as_str(), (stamp, record.null));
                self.inner.announce(&bucket, &happening.of(object).asked(self.asked()), &mut batch);
                if ask.speed == RestoreSpeed::Expedited {
                    restores.take_expedited(now)?;
                }
                if let Some(Restore::Ongoing { ready, .. }) = before.restore {
                    batch.delete(Family::Due, name.due(DueKind::Restore, ready));
                }
                batch.put_raw(Family::Due, name.due(DueKind::Restore, ready), Vec::new());
                RestoreOutcome::Started
            }
        };
        let after = Residence { restore: Some(restore), ..before };
        self.inner.put_residence(&name, record, after, &mut batch).await?;
        batch.hold(bucket_guard);
        batch.hold(key_guard);
        self.inner.index.commit(batch).await?;
        self.inner.mover.wake();
        Ok(outcome)
    }
}

/// How an object is to be restored.
#[derive(Debug, Clone, Copy)]
struct Ask {
    days: Option<u32>,
    speed: RestoreSpeed,
}

/// What a request makes of an object's restore.
fn decide(
    residence: &Residence,
    ask: Ask,
    now: Timestamp,
    times: &RestoreTimes,
    calendar: &Calendar,
) -> Result<Restore> {
    if !residence.is_archived() {
        return Err(Error::NotArchived { class: residence.class });
    }
    match (residence.class, ask.days) {
        (StorageClass::IntelligentTiering, Some(_)) => {
            return Err(Error::RestoreDays("objects of INTELLIGENT_TIERING are restored for good"));
        }
        (StorageClass::IntelligentTiering, None) | (_, Some(1..)) => {}
        (_, None) => return Err(Error::RestoreDays("a number of days is required")),
        (_, Some(0)) => return Err(Error::RestoreDays("a copy stays for at least one day")),
    }
    let depth = match (residence.class, residence.tier) {
        (StorageClass::DeepArchive, _) | (StorageClass::IntelligentTiering, Tier::DeepArchive) => Depth::Deep,
        _ => Depth::Flexible,
    };
    let ready = now.plus(times.of(depth, ask.speed).ok_or(Error::RestoreSpeedNotOffered)?);
    match (residence.restore, ask.days) {
        (Some(Restore::Done { expires }), Some(days)) if now < expires => {
            Ok(Restore::Done { expires: calendar.days_after(now, days) })
        }
        (Some(Restore::Ongoing { requested, speed, days, ready: before }), _) => {
            // Only the speed may change, and only upwards.
            if ask.speed <= speed || ask.days != days {
                return Err(Error::RestoreInProgress);
            }
            Ok(Restore::Ongoing { requested, speed: ask.speed, days, ready: ready.min(before) })
        }
        _ => Ok(Restore::Ongoing { requested: now, speed: ask.speed, days: ask.days, ready }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ask, RestoreTimes, Restores, decide};
    use crate::error::{Error, Result};
    use crate::lifecycle::Calendar;
    use crate::object::StorageClass;
    use crate::pool::PoolSet;
    use crate::residence::{Residence, Restore, RestoreSpeed};
    use crate::stamp::Timestamp;
    use crate::tiering::Tier;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn residence(class: StorageClass, tier: Tier, restore: Option<Restore>) -> Residence {
        Residence { tier, restore, ..Residence::new(class, NOW, PoolSet::HOT, 1) }
    }

    fn ask(residence: &Residence, days: Option<u32>, speed: RestoreSpeed) -> Result<Restore> {
        let calendar = Calendar::new(Duration::from_secs(300));
        decide(residence, Ask { days, speed }, NOW, &RestoreTimes::default(), &calendar)
    }

    fn ongoing(speed: RestoreSpeed, days: Option<u32>, ready_secs: u64) -> Restore {
        Restore::Ongoing { requested: NOW, speed, days, ready: Timestamp::from_secs(ready_secs) }
    }

    #[test]
    fn what_is_not_archived_is_not_restored() {
        for (class, tier) in [
            (StorageClass::Standard, Tier::Frequent),
            (StorageClass::GlacierIr, Tier::Frequent),
            (StorageClass::IntelligentTiering, Tier::ArchiveInstant),
        ] {
            let asked = ask(&residence(class, tier, None), Some(1), RestoreSpeed::Bulk);
            assert!(matches!(asked, Err(Error::NotArchived { class: of }) if of == class));
        }
    }

    #[test]
    fn days_are_for_copies_only() {
        let glacier = residence(StorageClass::Glacier, Tier::Frequent, None);
        let tiered = residence(StorageClass::IntelligentTiering, Tier::Archive, None);
        for (residence, days) in [(&glacier, None), (&glacier, Some(0)), (&tiered, Some(1))] {
            assert!(matches!(ask(residence, days, RestoreSpeed::Bulk), Err(Error::RestoreDays(_))), "{days:?}");
        }
    }

    #[test]
    fn times_go_by_depth_and_speed() {
        fn check(class: StorageClass, tier: Tier, speed: RestoreSpeed, seconds: Option<u64>) {
            let days = (class != StorageClass::IntelligentTiering).then_some(1);
            match (ask(&residence(class, tier, None), days, speed), seconds) {
                (Ok(restore), Some(seconds)) => assert_eq!(restore, ongoing(speed, days, 1000 + seconds)),
                (asked, None) => assert!(matches!(asked, Err(Error::RestoreSpeedNotOffered))),
                (asked, _) => panic!("{asked:?}"),
            }
        }
        for (class, tier) in
            [(StorageClass::Glacier, Tier::Frequent), (StorageClass::IntelligentTiering, Tier::Archive)]
        {
            check(class, tier, RestoreSpeed::Expedited, Some(180));
            check(class, tier, RestoreSpeed::Standard, Some(4 * 3600));
            check(class, tier, RestoreSpeed::Bulk, Some(8 * 3600));
        }
        for (class, tier) in
            [(StorageClass::DeepArchive, Tier::Frequent), (StorageClass::IntelligentTiering, Tier::DeepArchive)]
        {
            check(class, tier, RestoreSpeed::Expedited, None);
            check(class, tier, RestoreSpeed::Standard, Some(12 * 3600));
            check(class, tier, RestoreSpeed::Bulk, Some(48 * 3600));
        }
    }

    #[test]
    fn a_restore_under_way_can_only_be_made_faster() {
        let under_way = ongoing(RestoreSpeed::Standard, Some(2), 9000);
        let glacier = residence(StorageClass::Glacier, Tier::Frequent, Some(under_way));
        for (days, speed) in [
            (2, RestoreSpeed::Standard),
            (2, RestoreSpeed::Bulk),
            (3, RestoreSpeed::Standard),
            (3, RestoreSpeed::Expedited),
        ] {
            assert!(matches!(ask(&glacier, Some(days), speed), Err(Error::RestoreInProgress)), "{days} {speed:?}");
        }
        let faster = ask(&glacier, Some(2), RestoreSpeed::Expedited).unwrap();
        assert_eq!(faster, ongoing(RestoreSpeed::Expedited, Some(2), 1180));
    }

    #[test]
    fn a_copy_is_kept_longer_and_an_expired_one_made_anew() {
        let copy = |expires| Some(Restore::Done { expires: Timestamp::from_secs(expires) });
        let alive = residence(StorageClass::Glacier, Tier::Frequent, copy(1001));
        // 1000 s and two days of 300 s each, rounded up to a midnight.
        let expected = Restore::Done { expires: Timestamp::from_secs(1800) };
        assert_eq!(ask(&alive, Some(2), RestoreSpeed::Bulk).unwrap(), expected);
        let expired = residence(StorageClass::Glacier, Tier::Frequent, copy(1000));
        let anew = ongoing(RestoreSpeed::Expedited, Some(2), 1180);
        assert_eq!(ask(&expired, Some(2), RestoreSpeed::Expedited).unwrap(), anew);
    }

    #[test]
    fn expedited_restores_have_a_capacity() {
        let restores = Restores::new(RestoreTimes { expedited_max: 2, ..RestoreTimes::default() });
        let taken = |seconds| restores.take_expedited(Timestamp::from_secs(seconds)).is_ok();
        assert_eq!([taken(0), taken(100), taken(299), taken(300), taken(301)], [true, true, false, true, false]);
        let disabled = Restores::new(RestoreTimes { expedited_max: 0, ..RestoreTimes::default() });
        assert!(disabled.take_expedited(NOW).is_err());
    }

    #[test]
    fn so_many_requests_a_second() {
        let restores = Restores::new(RestoreTimes::default());
        let taken = |millis: u64| restores.take_request(Timestamp::from_nanos(millis * 1_000_000)).is_ok();
        assert!((0..super::ASKED_MAX).all(|_| taken(5000)));
        assert_eq!([taken(5000), taken(5999), taken(6000)], [false, false, true]);
    }

    #[test]
    fn times_can_be_scaled() {
        let scaled = |scale| {
            let times = RestoreTimes { scale, ..RestoreTimes::default() };
            times.of(super::Depth::Flexible, RestoreSpeed::Expedited).unwrap()
        };
        assert_eq!(scaled(0.5), Duration::from_secs(90));
        for nothing in [0.0, -1.0, f64::NAN] {
            assert_eq!(scaled(nothing), Duration::ZERO);
        }
        assert_eq!(scaled(f64::INFINITY), Duration::MAX);
    }
}
