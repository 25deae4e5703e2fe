//! The decision: which action comes next for one version, among all that the rules ask for.
//!
//! Every rule in force that matches the version names its candidates, each with the time at which it is due. Candidates
//! that the version's class or size rules out are not candidates. Of the rest the earliest wins; those that are due
//! together, or all overdue, are one day's work, of which the strongest is done: to remove for good, then to move to the
//! class that costs least, then to hide behind a delete marker. What Object Lock protects is removed when that ends, and
//! goes on moving meanwhile.

use super::calendar::Calendar;
use super::{Expiration, Lifecycle, NoncurrentTransition, Rule, TRANSITION_BYTES_MIN, TransitionMinimum, When};
use crate::bucket::Versioning;
use crate::object::{StorageClass, Tag};
use crate::stamp::Timestamp;
use crate::tiering::Tier;

/// Days that an object must be stored before it can move to STANDARD_IA or ONEZONE_IA.
const INFREQUENT_ACCESS_DAYS: u32 = 30;

/// One version, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its size in bytes; 0 for a delete marker.
    pub size: u64,
    /// Its tags.
    pub tags: &'a [Tag],
    /// Its present class.
    pub class: StorageClass,
    /// Its tier, which only counts in INTELLIGENT_TIERING.
    pub tier: Tier,
    /// When it was made: its `Last-Modified`.
    pub created: Timestamp,
    /// Its place among the versions of its key.
    pub position: Position,
    /// From when on Object Lock lets it be removed for good; `None` as long as a legal hold is on.
    pub removable_from: Option<Timestamp>,
    /// What it is.
    pub kind: Kind,
}

/// What a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object.
    Object,
    /// A delete marker.
    DeleteMarker,
}

/// A version's place among those of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The newest one.
    Current {
        /// Whether it is the only one. It matters only for a delete marker.
        alone: bool,
    },
    /// An older one.
    Noncurrent {
        /// When its successor, an object or a delete marker, was made.
        since: Timestamp,
        /// Noncurrent versions newer than this one; the count may stop at [`Lifecycle::most_newer`].
        newer: u32,
    },
}

impl<'a> Subject<'a> {
    /// A current object of class STANDARD: all that matters for its expiration.
    pub fn current(key: &'a str, size: u64, tags: &'a [Tag], created: Timestamp) -> Subject<'a> {
        Subject {
            key,
            size,
            tags,
            class: StorageClass::Standard,
            tier: Tier::default(),
            created,
            position: Position::Current { alone: false },
            removable_from: Some(Timestamp::default()),
            kind: Kind::Object,
        }
    }
}

/// What is done to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Its class becomes this one.
    Transition(StorageClass),
    /// The current object ends: removed for good where the bucket never was versioned, else hidden behind a delete
    /// marker as a DELETE without a version id would do it.
    Expire,
    /// The delete marker, which is the only version of its key, is removed.
    RemoveMarker,
    /// The noncurrent version is removed for good.
    Remove,
}

/// An action and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// From when on it is due. It may lie in the past.
    pub at: Timestamp,
    /// What is done.
    pub action: Action,
    /// The position of the rule that asks for it.
    pub rule: usize,
}

/// What comes next for a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing, as long as version and rules stay as they are.
    Never,
    /// Nothing, until something else changes: a noncurrent version has too few newer ones, or a legal hold, or a delete
    /// marker is not alone.
    Parked,
    /// This.
    At(Due),
}

impl Lifecycle {
    /// The next action on a version in its present state. `now` only tells what is overdue: of several such actions the
    /// strongest is named, not the oldest.
    pub fn next(&self, subject: &Subject<'_>, versioning: Versioning, calendar: &Calendar, now: Timestamp) -> Next {
        let mut search =
            Search { lifecycle: self, subject, calendar, found: Vec::new(), stays: Vec::new(), parked: false };
        for (position, rule) in self.enabled() {
            if rule.filter.matches(subject) {
                search.consider(position, rule);
            }
        }
        let Search { found, stays, .. } = &mut search;
        found.retain(|due| !stays.iter().any(|&stays| gives_way(due, stays, now)));
        let Some(earliest) = search.found.iter().map(|due| due.at).min() else {
            return if search.parked { Next::Parked } else { Next::Never };
        };
        let together = earliest.max(now);
        let candidates = search.found.into_iter().filter(|due| due.at <= together);
        let order = |due: &Due| (std::cmp::Reverse(strength(due.action, versioning)), due.at, due.rule);
        candidates.min_by_key(order).map_or(Next::Never, Next::At)
    }

    /// Whether the rule may move the version to a class: down the waterfall, and not too small.
    fn may_move(&self, subject: &Subject<'_>, rule: &Rule, to: StorageClass) -> bool {
        self.is_large_enough(subject, rule, to) && flows(subject.class, subject.tier, to)
    }

    /// Whether the rule keeps the version where the waterfall alone would let a weaker one take it away.
    fn keeps(&self, subject: &Subject<'_>, rule: &Rule, class: StorageClass) -> bool {
        let tiering = StorageClass::IntelligentTiering;
        (subject.class, class) == (tiering, tiering) && self.is_large_enough(subject, rule, class)
    }

    fn is_large_enough(&self, subject: &Subject<'_>, rule: &Rule, to: StorageClass) -> bool {
        let small_ones_go = match self.minimum {
            TransitionMinimum::AllStorageClasses128K => false,
            TransitionMinimum::VariesByStorageClass => matches!(to, StorageClass::Glacier | StorageClass::DeepArchive),
        };
        subject.size >= TRANSITION_BYTES_MIN || rule.filter.has_size() || small_ones_go
    }
}

/// The candidates found so far.
struct Search<'a> {
    lifecycle: &'a Lifecycle,
    subject: &'a Subject<'a>,
    calendar: &'a Calendar,
    found: Vec<Due>,
    /// When rules would have moved it to INTELLIGENT_TIERING, if it is there.
    stays: Vec<Timestamp>,
    /// Whether an action only waits for other versions, or a legal hold, to change.
    parked: bool,
}

impl Search<'_> {
    fn consider(&mut self, position: usize, rule: &Rule) {
        match (self.subject.position, self.subject.kind) {
            (Position::Current { .. }, Kind::Object) => self.current_object(position, rule),
            (Position::Current { alone }, Kind::DeleteMarker) => {
                if let Some(at) = self.marker_removal(rule) {
                    let due = Due { at, action: Action::RemoveMarker, rule: position };
                    if alone { self.found.push(due) } else { self.parked = true }
                }
            }
            (Position::Noncurrent { since, newer }, _) => self.noncurrent(position, rule, since, newer),
        }
    }

    fn current_object(&mut self, position: usize, rule: &Rule) {
        let (lifecycle, subject) = (self.lifecycle, self.subject);
        let created = subject.created;
        for transition in &rule.transitions {
            if lifecycle.keeps(subject, rule, transition.class) {
                self.stays.push(transition.when.after(created, self.calendar));
            }
            if !lifecycle.may_move(subject, rule, transition.class) {
                continue;
            }
            let at = transition.when.after(created, self.calendar);
            // By days no rule can ask for less; a date can.
            let earliest = match transition.class {
                StorageClass::StandardIa | StorageClass::OnezoneIa => {
                    self.calendar.days_after(created, INFREQUENT_ACCESS_DAYS)
                }
                _ => at,
            };
            let action = Action::Transition(transition.class);
            self.found.push(Due { at: at.max(earliest), action, rule: position });
        }
        if let Some(Expiration::When(when)) = rule.expiration {
            let at = when.after(created, self.calendar);
            self.found.push(Due { at, action: Action::Expire, rule: position });
        }
    }

    /// When the rule removes the delete marker, if it is alone then.
    fn marker_removal(&self, rule: &Rule) -> Option<Timestamp> {
        match rule.expiration? {
            Expiration::When(when @ When::Days(_)) => Some(when.after(self.subject.created, self.calendar)),
            Expiration::DeleteMarker => Some(self.calendar.days_after(self.subject.created, 0)),
            Expiration::When(When::Date(_)) | Expiration::KeepDeleteMarker => None,
        }
    }

    fn noncurrent(&mut self, position: usize, rule: &Rule, since: Timestamp, newer: u32) {
        let (lifecycle, subject) = (self.lifecycle, self.subject);
        for &NoncurrentTransition { days, class, newer: wanted } in &rule.noncurrent_transitions {
            if newer >= wanted.unwrap_or(0) && lifecycle.keeps(subject, rule, class) {
                self.stays.push(noncurrent_from(since, days, self.calendar));
            }
        }
        let mut offer = |days, wanted: Option<u32>, action| {
            let earliest = match action {
                Action::Remove => self.subject.removable_from,
                _ => Some(since),
            };
            match earliest.filter(|_| newer >= wanted.unwrap_or(0)) {
                Some(earliest) => {
                    let at = noncurrent_from(since, days, self.calendar).max(earliest);
                    self.found.push(Due { at, action, rule: position });
                }
                None => self.parked = true,
            }
        };
        if let Some(expiration) = rule.noncurrent_expiration {
            offer(expiration.days, expiration.newer, Action::Remove);
        }
        for &NoncurrentTransition { days, class, newer } in &rule.noncurrent_transitions {
            if subject.kind == Kind::Object && lifecycle.may_move(subject, rule, class) {
                offer(days, newer, Action::Transition(class));
            }
        }
    }
}

/// When days have passed since a version became noncurrent. At a midnight, as rules have it, it has had its action of that day.
fn noncurrent_from(since: Timestamp, days: u32, calendar: &Calendar) -> Timestamp {
    calendar.days_after(since, days).max(calendar.midnight_after(since))
}

/// Whether a move is one that INTELLIGENT_TIERING has won against, when both were due: the waterfall would allow it on the
/// next day. `stays` is when a rule asks for INTELLIGENT_TIERING.
fn gives_way(due: &Due, stays: Timestamp, now: Timestamp) -> bool {
    let is_weaker = matches!(due.action, Action::Transition(StorageClass::OnezoneIa | StorageClass::GlacierIr));
    is_weaker && due.at <= stays && stays <= due.at.max(now)
}

/// Whether lifecycle moves objects of one class to another, from whatever tier.
pub fn may_follow(from: StorageClass, to: StorageClass) -> bool {
    flows(from, Tier::Frequent, to)
}

/// The waterfall: whether a transition leads from a class, in INTELLIGENT_TIERING from a tier, to another.
fn flows(from: StorageClass, tier: Tier, to: StorageClass) -> bool {
    use StorageClass::{DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa, StandardIa};
    let targets: &[StorageClass] = match (from, tier) {
        (StorageClass::Standard | StorageClass::ReducedRedundancy, _) => {
            &[StandardIa, IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive]
        }
        (StandardIa, _) => &[IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive],
        (IntelligentTiering, Tier::Frequent | Tier::Infrequent) => &[OnezoneIa, GlacierIr, Glacier, DeepArchive],
        (IntelligentTiering, Tier::ArchiveInstant) => &[GlacierIr, Glacier, DeepArchive],
        (OnezoneIa | GlacierIr, _) | (IntelligentTiering, Tier::Archive) => &[Glacier, DeepArchive],
        (Glacier, _) | (IntelligentTiering, Tier::DeepArchive) => &[DeepArchive],
        (DeepArchive, _) => &[],
    };
    targets.contains(&to)
}

/// Which of two actions on one day is done: the one with the greater number.
fn strength(action: Action, versioning: Versioning) -> u8 {
    match action {
        Action::Expire if versioning != Versioning::Unversioned => 0,
        Action::Transition(class) => match class {
            StorageClass::Standard | StorageClass::ReducedRedundancy => 1,
            StorageClass::StandardIa => 2,
            StorageClass::OnezoneIa => 3,
            StorageClass::GlacierIr => 4,
            StorageClass::IntelligentTiering => 5,
            StorageClass::Glacier => 6,
            StorageClass::DeepArchive => 7,
        },
        Action::Expire | Action::RemoveMarker | Action::Remove => 8,
    }
}
