//! The course of one version: the decisions that await it, one after another. Pure.

use crate::bucket::Versioning;
use crate::index::record::{ObjectRecord, VersionRecord};
use crate::lifecycle::{self, Action, Calendar, Kind, Lifecycle, Next, Position};
use crate::meter::early_delete_byte_days;
use crate::name::ObjectKey;
use crate::object::StorageClass;
use crate::preview::{Holding, PreviewAction, PreviewSums};
use crate::stamp::{Stamp, Timestamp};
use crate::tiering::{self, Monitored, Tier, TieringConfiguration};
use crate::usage::LEAST_BILLED_BYTES;

/// More steps than any version can take: classes and tiers only go down, and an end comes twice at most.
const STEPS_MAX: usize = 32;

/// The rules of a bucket, and the time that is looked at.
pub(super) struct Horizon<'a> {
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) tiering: &'a [TieringConfiguration],
    pub(super) versioning: Versioning,
    pub(super) calendar: Calendar,
    pub(super) now: Timestamp,
    pub(super) end: Timestamp,
}

/// A version to follow.
pub(super) struct Subject<'a> {
    pub(super) key: ObjectKey,
    pub(super) stamp: Stamp,
    pub(super) place: Position,
    pub(super) record: &'a VersionRecord,
    /// When the current version of its key becomes noncurrent too.
    pub(super) crowded: Option<Timestamp>,
    /// When it was last read, as far as that is known.
    pub(super) last_access: Option<Timestamp>,
}

/// What becomes of a version.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    /// Its steps.
    pub(super) steps: Vec<(Timestamp, PreviewAction)>,
    /// When a delete marker hides it.
    pub(super) hidden: Option<Timestamp>,
    /// When it is gone.
    pub(super) removed: Option<Timestamp>,
}

/// How a version is at some moment.
#[derive(Clone, Copy)]
struct State {
    at: Timestamp,
    place: Position,
    class: StorageClass,
    tier: Tier,
    since: Timestamp,
    /// Since when nobody reads it.
    idle_since: Timestamp,
}

impl Horizon<'_> {
    /// Follows a version from a moment on, and adds what it holds to the sums.
    pub(super) fn follow(&self, version: &Subject<'_>, from: Timestamp, sums: &mut PreviewSums) -> Course {
        let state = State::of(version, from);
        if let Some(object) = &version.record.object {
            let unchanged = sums.unchanged.entry((state.class, state.tier)).or_default();
            *unchanged = unchanged.plus(object, self.days(self.now, self.end));
        }
        let mut follower = Follower { horizon: self, version, state, sums, course: Course::default() };
        follower.run();
        follower.course
    }

    fn days(&self, from: Timestamp, to: Timestamp) -> f64 {
        to.since(from).as_secs_f64() / self.calendar.day().as_secs_f64()
    }
}

/// Goes with one version through time.
struct Follower<'a> {
    horizon: &'a Horizon<'a>,
    version: &'a Subject<'a>,
    state: State,
    sums: &'a mut PreviewSums,
    course: Course,
}

impl Follower<'_> {
    fn run(&mut self) {
        let end = self.horizon.end;
        let mut crowded = self.version.crowded.filter(|&moment| moment <= end);
        for _ in 0..STEPS_MAX {
            let next = self.next().filter(|(due, _)| *due <= end);
            if let Some(moment) = crowded.filter(|&moment| next.is_none_or(|(due, _)| due > moment)) {
                crowded = None;
                self.wait(moment);
                if let Position::Noncurrent { newer, .. } = &mut self.state.place {
                    *newer = newer.saturating_add(1);
                }
                continue;
            }
            let Some((due, action)) = next else { break };
            self.wait(due);
            self.act(action);
            if self.course.removed.is_some() {
                return;
            }
        }
        self.wait(end);
    }

    /// The next step, by the rules or by the tier, and its time, which is not in the past.
    fn next(&self) -> Option<(Timestamp, PreviewAction)> {
        let Follower { horizon, version, state, .. } = self;
        let key = version.key.as_str();
        let object = version.record.object.as_ref();
        let tags = object.map(|object| object.tags.as_slice()).unwrap_or_default();
        let size = object.map_or(0, |object| object.size);
        let subject = lifecycle::Subject {
            key,
            size,
            tags,
            class: state.class,
            tier: state.tier,
            created: version.stamp.time,
            position: state.place,
            removable_from: object.map_or(Some(Timestamp::default()), |it| it.protection.lock.removable_from()),
            kind: if object.is_some() { Kind::Object } else { Kind::DeleteMarker },
        };
        let by_rule = match horizon.lifecycle.next(&subject, horizon.versioning, &horizon.calendar, state.at) {
            Next::At(due) => Some((due.at, PreviewAction::from(due.action))),
            Next::Never | Next::Parked => None,
        };
        let (last_access, entered) = (state.idle_since, state.idle_since);
        let monitored = Monitored { tier: state.tier, size, last_access, entered, key, tags };
        let has_tiers = state.class == StorageClass::IntelligentTiering && object.is_some();
        let by_tier = has_tiers.then(|| tiering::next(&monitored, horizon.tiering, horizon.calendar.day())).flatten();
        let by_tier = by_tier.map(|(due, tier)| (due, PreviewAction::Tier(tier)));
        // On the same day the rules come first: what they do may end the class.
        let steps = [by_rule, by_tier].into_iter().flatten();
        steps.map(|(due, action)| (due.max(state.at), action)).min_by_key(|(due, _)| *due)
    }

    /// Holds the version as it is until `moment`.
    fn wait(&mut self, moment: Timestamp) {
        if let Some(object) = &self.version.record.object {
            let held = self.sums.followed.entry((self.state.class, self.state.tier)).or_default();
            *held = held.plus(object, self.horizon.days(self.state.at, moment));
        }
        self.state.at = self.state.at.max(moment);
    }

    /// Takes a step now.
    fn act(&mut self, action: PreviewAction) {
        let at = self.state.at;
        self.course.steps.push((at, action));
        match action {
            PreviewAction::Transition(class) => {
                self.leave_class();
                *self.sums.transitions.entry(class).or_default() += 1;
                self.state = State { class, tier: Tier::Frequent, since: at, idle_since: at, ..self.state };
            }
            PreviewAction::Tier(tier) => self.state.tier = tier,
            // Nothing of a version.
            PreviewAction::Abort { .. } => {}
            PreviewAction::Remove | PreviewAction::RemoveMarker => self.remove(),
            PreviewAction::Expire => match self.horizon.versioning {
                Versioning::Unversioned => self.remove(),
                // The marker takes the place of the `null` version.
                Versioning::Suspended if self.version.record.null => self.remove(),
                Versioning::Enabled | Versioning::Suspended => {
                    self.course.hidden = Some(at);
                    self.state.place = Position::Noncurrent { since: at, newer: 0 };
                }
            },
        }
    }

    fn remove(&mut self) {
        self.leave_class();
        self.course.removed = Some(self.state.at);
        if let Some(object) = &self.version.record.object {
            self.sums.removed += 1;
            self.sums.removed_bytes = self.sums.removed_bytes.saturating_add(object.size);
        }
    }

    /// Charges for what is left of the time that the class is paid for at least.
    fn leave_class(&mut self) {
        let Some(object) = &self.version.record.object else { return };
        let State { at, class, since, .. } = self.state;
        let byte_days = early_delete_byte_days(object.size, class, at.since(since), self.horizon.calendar.day());
        if byte_days > 0 {
            let sum = self.sums.early_delete_byte_days.entry(class).or_default();
            *sum = sum.saturating_add(byte_days);
        }
    }
}

impl State {
    fn of(version: &Subject<'_>, at: Timestamp) -> State {
        let place = version.place;
        let Some(ObjectRecord { residence, .. }) = &version.record.object else {
            let (class, tier, since) = (StorageClass::Standard, Tier::Frequent, version.stamp.time);
            return State { at, place, class, tier, since, idle_since: since };
        };
        let (class, tier, since) = (residence.class, residence.tier, residence.since);
        // In a lower tier `since` is when the version came there, which is later than when it was last read.
        let idle_since = match version.last_access {
            Some(access) if tier == Tier::Frequent => access.max(since),
            Some(access) => access,
            None => since,
        };
        State { at, place, class, tier, since, idle_since }
    }
}

impl From<Action> for PreviewAction {
    fn from(action: Action) -> PreviewAction {
        match action {
            Action::Transition(class) => PreviewAction::Transition(class),
            Action::Expire => PreviewAction::Expire,
            Action::Remove => PreviewAction::Remove,
            Action::RemoveMarker => PreviewAction::RemoveMarker,
        }
    }
}

impl Holding {
    /// This, and an object for so many days.
    fn plus(self, object: &ObjectRecord, days: f64) -> Holding {
        let is_small = object.size < LEAST_BILLED_BYTES;
        Holding {
            object_days: self.object_days + days,
            byte_days: self.byte_days + object.size as f64 * days,
            billed_byte_days: self.billed_byte_days + object.size.max(LEAST_BILLED_BYTES) as f64 * days,
            small_object_days: self.small_object_days + if is_small { days } else { 0.0 },
            tag_days: self.tag_days + object.tags.len() as f64 * days,
        }
    }
}
