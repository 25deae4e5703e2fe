//! Evaluation: what lifecycle rules, tiering and restores ask of one version now, and when they ask again. Pure.
//!
//! One thing is done at a time. Where more is overdue, because the clock jumped or the store was closed, the time given
//! for the next look is past already, and the version is looked at again as it is by then.

use crate::bucket::{Bucket, Versioning};
use crate::index::record::{ObjectRecord, VersionRecord};
use crate::lifecycle::{Action, Calendar, Due, Kind, Next, Position, Subject};
use crate::object::StorageClass;
use crate::residence::{Residence, Restore, home};
use crate::stamp::Timestamp;
use crate::tiering::{self, Monitored, Tier};

/// What is to be done with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing yet.
    Nothing,
    /// To remove the object, which is the only version there can be, for good.
    Expire,
    /// To cover the object with a delete marker.
    AddMarker,
    /// To remove the noncurrent version, or the delete marker that is alone, for good.
    RemoveVersion,
    /// To change the storage class.
    Transition(StorageClass),
    /// To change the tier.
    Move(Tier),
    /// To forget the restored copy, whose time is over.
    ForgetCopy,
}

/// What an evaluation finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What to do now.
    pub(crate) act: Act,
    /// When to look again once that is done, which may be past; `None` if there is no version left, or nothing can
    /// become due unless version, rules or other versions of the key change.
    pub(crate) next: Option<Timestamp>,
}

/// One version, and all that decides about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) key: &'a str,
    /// Its `Last-Modified`.
    pub(crate) created: Timestamp,
    pub(crate) record: &'a VersionRecord,
    pub(crate) position: Position,
    /// Its row in the access family, if it has one.
    pub(crate) last_access: Option<Timestamp>,
}

/// What to do with a version at `now`, and when to look again.
pub(crate) fn decide(case: &Case<'_>, calendar: &Calendar, now: Timestamp) -> Verdict {
    let due = case.lifecycle_due(calendar, now).filter(|due| due.at <= now);
    // A version takes at most one action a day.
    let tomorrow = calendar.midnight_after(now);
    if case.record.object.as_ref().is_some_and(|object| object.replication.is_under_way()) {
        // S3 leaves alone what is still to be replicated; whoever ends that asks for a look.
        let next = next_due(case, calendar, now).map(|next| next.max(tomorrow));
        return Verdict { act: Act::Nothing, next };
    }
    let Some(object) = &case.record.object else {
        return match due {
            Some(_) => Verdict { act: Act::RemoveVersion, next: None },
            None => Verdict { act: Act::Nothing, next: next_due(case, calendar, now) },
        };
    };
    match due.map(|due| due.action) {
        Some(Action::Remove | Action::RemoveMarker) => return Verdict { act: Act::RemoveVersion, next: None },
        Some(Action::Expire) if case.bucket.versioning == Versioning::Unversioned => {
            return Verdict { act: Act::Expire, next: None };
        }
        Some(Action::Expire) => {
            let since = marker_time(calendar, now, case.created);
            let covered = Case { position: Position::Noncurrent { since, newer: 0 }, ..*case };
            return Verdict { act: Act::AddMarker, next: covered.next(&object.residence, calendar, now, tomorrow) };
        }
        Some(Action::Transition(class)) => {
            let act = Act::Transition(class);
            return Verdict { act, next: case.next(&case.after(object, act, now), calendar, now, tomorrow) };
        }
        None => {}
    }
    let act = match (object.residence.restore, case.tier_due(object, &object.residence, calendar, now)) {
        (Some(Restore::Done { expires }), _) if expires <= now => Act::ForgetCopy,
        (_, Some((tier, _))) if tier != object.residence.tier => Act::Move(tier),
        _ => Act::Nothing,
    };
    let then = Case { last_access: case.idle_since(act), ..*case };
    Verdict { act, next: then.next(&case.after(object, act, now), calendar, now, now) }
}

/// When a version is next to be looked at, at the earliest at `now`.
pub(crate) fn next_due(case: &Case<'_>, calendar: &Calendar, now: Timestamp) -> Option<Timestamp> {
    match &case.record.object {
        Some(object) => case.next(&object.residence, calendar, now, now),
        None => case.lifecycle_due(calendar, now).map(|due| due.at.max(now)),
    }
}

/// The time of a delete marker that lifecycle adds: 00:00 UTC of the day, as S3 has it. Versions are ordered by time,
/// so where that is not later than the newest version, whose time is `newest`, the marker follows right after it.
pub(crate) fn marker_time(calendar: &Calendar, now: Timestamp, newest: Timestamp) -> Timestamp {
    let after_newest = Timestamp::from_nanos(newest.as_nanos().saturating_add(1));
    calendar.midnight_before(now).max(after_newest)
}

impl Case<'_> {
    /// The next action of the lifecycle rules on the version as it is.
    fn lifecycle_due(&self, calendar: &Calendar, now: Timestamp) -> Option<Due> {
        self.lifecycle_next(self.record.object.as_ref().map(|object| &object.residence), calendar, now)
    }

    /// The next action of the lifecycle rules on the version if it were kept like that.
    fn lifecycle_next(&self, residence: Option<&Residence>, calendar: &Calendar, now: Timestamp) -> Option<Due> {
        let lifecycle = self.bucket.lifecycle.as_ref()?;
        let object = self.record.object.as_ref();
        let subject = Subject {
            key: self.key,
            size: object.map_or(0, |object| object.size),
            tags: object.map_or(&[], |object| object.tags.as_slice()),
            class: residence.map_or(StorageClass::default(), |residence| residence.class),
            tier: residence.map_or(Tier::default(), |residence| residence.tier),
            created: self.created,
            position: self.position,
            removable_from: object.map_or(Some(Timestamp::default()), |it| it.protection.lock.removable_from()),
            kind: if object.is_some() { Kind::Object } else { Kind::DeleteMarker },
        };
        match lifecycle.next(&subject, self.bucket.versioning, calendar, now) {
            Next::At(due) => Some(due),
            Next::Parked | Next::Never => None,
        }
    }

    /// When to look again if the object is kept like that: lifecycle actions from `not_before` on, all else from `now`.
    fn next(
        &self,
        residence: &Residence,
        calendar: &Calendar,
        now: Timestamp,
        not_before: Timestamp,
    ) -> Option<Timestamp> {
        let object = self.record.object.as_ref()?;
        let lifecycle = self.lifecycle_next(Some(residence), calendar, now).map(|due| due.at.max(not_before));
        let tier = self
            .tier_due(object, residence, calendar, now)
            .and_then(|(tier, next)| if tier == residence.tier { next } else { Some(now) });
        let copy = match residence.restore {
            Some(Restore::Done { expires }) => Some(expires),
            Some(Restore::Ongoing { .. }) | None => None,
        };
        [lifecycle, tier, copy].into_iter().flatten().min().map(|at| at.max(now))
    }

    /// In which tier an object of INTELLIGENT_TIERING belongs, and when that changes; `None` for all others.
    fn tier_due(
        &self,
        object: &ObjectRecord,
        residence: &Residence,
        calendar: &Calendar,
        now: Timestamp,
    ) -> Option<(Tier, Option<Timestamp>)> {
        if residence.class != StorageClass::IntelligentTiering || !tiering::is_monitored(object.size) {
            return None;
        }
        if residence.restore.is_some() {
            // The restore ends in the frequent tier. Until then nothing moves.
            return Some((residence.tier, Some(calendar.midnight_after(now))));
        }
        let idle_since = match (residence.tier, self.last_access) {
            (Tier::Frequent, Some(access)) => access.max(residence.since),
            (_, Some(access)) => access,
            (_, None) => residence.since,
        };
        // An access takes an object that can be read back to the frequent tier. So where it belongs follows from the
        // last one alone, unless the clock was set back to before it: then it stays.
        let begin = if residence.tier.is_archive() || now < idle_since { residence.tier } else { Tier::Frequent };
        let monitored = Monitored {
            tier: begin,
            size: object.size,
            last_access: idle_since,
            entered: idle_since,
            key: self.key,
            tags: &object.tags,
        };
        Some(tiering::settle(&monitored, &self.bucket.tiering, calendar.day(), now))
    }

    /// How the object is kept after `act`.
    pub(crate) fn after(&self, object: &ObjectRecord, act: Act, now: Timestamp) -> Residence {
        let mut residence = object.residence.clone();
        match act {
            Act::Transition(class) => {
                if residence.class == StorageClass::IntelligentTiering {
                    // A restore there would have ended in another tier of the class.
                    residence.restore = None;
                }
                relocate(&mut residence, class, Tier::Frequent, now, object.size);
            }
            Act::Move(tier) => {
                // An access brings it up at once, however late that is found out.
                let since = if tier == Tier::Frequent { self.last_access.unwrap_or(now) } else { now };
                let class = residence.class;
                relocate(&mut residence, class, tier, since, object.size);
            }
            Act::ForgetCopy => residence.restore = None,
            Act::Nothing | Act::Expire | Act::AddMarker | Act::RemoveVersion => {}
        }
        residence
    }

    /// What the row in the access family says after `act`. The time since which a version counts as not read would be
    /// lost when it leaves the frequent tier, since its residence counts from that move on; the row keeps it.
    pub(crate) fn idle_since(&self, act: Act) -> Option<Timestamp> {
        match (act, &self.record.object) {
            (Act::Move(to), Some(object)) if to > object.residence.tier => {
                let frequent = object.residence.tier == Tier::Frequent;
                let since = if frequent { Some(object.residence.since) } else { None };
                self.last_access.max(since).or(Some(object.residence.since))
            }
            _ => self.last_access,
        }
    }
}

/// Brings a residence to another class and tier.
fn relocate(residence: &mut Residence, class: StorageClass, tier: Tier, since: Timestamp, bytes: u64) {
    if home(class, tier) != home(residence.class, residence.tier) {
        // What they come to in their new pool is known when they are there.
        residence.stored_bytes = bytes;
    }
    (residence.class, residence.tier, residence.since) = (class, tier, since);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Act, Case, Verdict, decide, marker_time, next_due};
    use crate::bucket::{Bucket, Versioning};
    use crate::index::record::{Body, Content, ContentForm, ObjectRecord, VersionRecord};
    use crate::lifecycle::{
        Calendar, Expiration, Filter, FilterForm, Lifecycle, Position, Rule, Status, Transition, TransitionMinimum,
        When,
    };
    use crate::object::{ETag, Metadata, StorageClass};
    use crate::pool::PoolSet;
    use crate::protection::Protection;
    use crate::replication::ReplicationState;
    use crate::residence::{Residence, Restore, RestoreSpeed};
    use crate::stamp::{Stamp, Timestamp};
    use crate::tiering::Tier;

    use StorageClass::{DeepArchive, Glacier, IntelligentTiering, Standard};

    fn day(number: u64) -> Timestamp {
        Timestamp::from_secs(number * 86_400)
    }

    /// A bucket where objects go to GLACIER after 10 days and to DEEP_ARCHIVE after 20, and expire after 40.
    fn bucket(versioning: Versioning) -> Bucket {
        let filter = Filter { prefix: None, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty };
        let steps = [(10, Glacier), (20, DeepArchive)];
        let rule = Rule {
            id: "rule".to_owned(),
            status: Status::Enabled,
            filter,
            transitions: steps.map(|(days, class)| Transition { when: When::Days(days), class }).to_vec(),
            expiration: Some(Expiration::When(When::Days(40))),
            noncurrent_transitions: vec![],
            noncurrent_expiration: None,
            abort_days: None,
        };
        Bucket {
            id: 1,
            created: day(0),
            versioning,
            lifecycle: Some(Lifecycle { rules: vec![rule], minimum: TransitionMinimum::default() }),
            ..Bucket::default()
        }
    }

    fn record(class: StorageClass) -> VersionRecord {
        let id = Stamp { time: day(0), random: 1 };
        let size = 1 << 20;
        let object = ObjectRecord {
            size,
            etag: ETag::single([1; 16]),
            checksum: None,
            metadata: Metadata::default(),
            tags: vec![],
            body: Body::Single(Content { id, bytes: size, form: ContentForm::Empty, seal: None }),
            residence: Residence::new(class, day(0), PoolSet::EMPTY, size),
            protection: Protection::default(),
            replication: ReplicationState::default(),
        };
        VersionRecord { null: false, due: None, object: Some(object) }
    }

    fn check(bucket: &Bucket, record: &VersionRecord, now: Timestamp, act: Act, next: Option<Timestamp>) {
        let position = Position::Current { alone: false };
        let case = Case { bucket, key: "a", created: day(0), record, position, last_access: None };
        assert_eq!(decide(&case, &Calendar::REAL, now), Verdict { act, next }, "{now:?}");
    }

    #[test]
    fn one_action_a_day() {
        let (unversioned, enabled) = (bucket(Versioning::Unversioned), bucket(Versioning::Enabled));
        check(&enabled, &record(Standard), day(9), Act::Nothing, Some(day(10)));
        check(&enabled, &record(Standard), day(10), Act::Transition(Glacier), Some(day(20)));
        check(&enabled, &record(Glacier), day(20), Act::Transition(DeepArchive), Some(day(40)));
        check(&enabled, &record(DeepArchive), day(40), Act::AddMarker, None);
        check(&unversioned, &record(DeepArchive), day(40), Act::Expire, None);
        // Overdue: the strongest, and the next one tomorrow.
        check(&enabled, &record(Standard), day(50), Act::Transition(DeepArchive), Some(day(51)));
        check(&unversioned, &record(Standard), day(50), Act::Expire, None);
    }

    #[test]
    fn restored_copies_end() {
        let rules = bucket(Versioning::Enabled);
        let mut copied = record(DeepArchive);
        let object = copied.object.as_mut().expect("it is an object");
        object.residence.restore = Some(Restore::Done { expires: day(30) });
        check(&rules, &copied, day(29), Act::Nothing, Some(day(30)));
        check(&rules, &copied, day(30), Act::ForgetCopy, Some(day(40)));
        check(&rules, &copied, day(40), Act::AddMarker, Some(day(40)));
    }

    #[test]
    fn nothing_moves_between_tiers_during_a_restore() {
        let mut rules = bucket(Versioning::Enabled);
        rules.lifecycle = None;
        check(&rules, &record(IntelligentTiering), day(31), Act::Move(Tier::Infrequent), Some(day(90)));
        let mut restoring = record(IntelligentTiering);
        let object = restoring.object.as_mut().expect("it is an object");
        object.residence.tier = Tier::Archive;
        let (requested, ready) = (day(100), day(101));
        object.residence.restore =
            Some(Restore::Ongoing { requested, speed: RestoreSpeed::Standard, days: None, ready });
        check(&rules, &restoring, day(100).plus(Duration::from_secs(5)), Act::Nothing, Some(day(101)));
    }

    #[test]
    fn new_versions_get_their_exact_time() {
        let rules = bucket(Versioning::Enabled);
        let position = Position::Current { alone: false };
        let mut object = record(Standard);
        let case = Case { bucket: &rules, key: "a", created: day(0), record: &object, position, last_access: None };
        assert_eq!(next_due(&case, &Calendar::REAL, day(0)), Some(day(10)));
        assert_eq!(next_due(&case, &Calendar::REAL, day(12)), Some(day(12)), "never in the past");
        object.object = None;
        let case = Case { bucket: &rules, key: "a", created: day(0), record: &object, position, last_access: None };
        assert_eq!(next_due(&case, &Calendar::REAL, day(0)), None, "a marker over others waits for them to go");
    }

    #[test]
    fn markers_are_of_midnight_unless_the_object_is_younger() {
        let noon = day(7).plus(Duration::from_secs(43_200));
        assert_eq!(marker_time(&Calendar::REAL, noon, day(3)), day(7));
        assert_eq!(marker_time(&Calendar::REAL, noon, noon), Timestamp::from_nanos(noon.as_nanos() + 1));
        assert_eq!(marker_time(&Calendar::REAL, noon, day(7)), Timestamp::from_nanos(day(7).as_nanos() + 1));
    }
}
