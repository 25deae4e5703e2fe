//! What time does to the model: lifecycle rules, tiers and restores, evaluated from scratch for every version.
//!
//! What is due together is one day's work: of it the strongest action is done, and a version takes one a day.

use strata_storage::{
    Expiration, Governance, Lifecycle, Restore, Rule, Status, StorageClass, Tier, Timestamp, TransitionMinimum,
    VersionId, Versioning, When,
};

use crate::model::{Model, Object, Version};
use crate::support::DAY;

/// What a lifecycle rule does to a version, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// It is in INTELLIGENT_TIERING, where a rule wants it.
    Stay,
    /// A delete marker covers it.
    Cover,
    /// It moves; the number tells how strong the class is.
    Move(u8, StorageClass),
    /// It is gone.
    Remove,
}

impl Act {
    /// What it is counted as, of the version at that place of its key's list.
    fn name(self, place: usize) -> &'static str {
        match (self, place) {
            (Act::Stay, _) => "kept",
            (Act::Cover, _) => "covered",
            (Act::Remove, 0) => "removed",
            (Act::Remove, _) => "noncurrent version removed",
            (Act::Move(_, class), 0) => class.name(),
            (Act::Move(..), _) => "noncurrent version moved",
        }
    }
}

/// `days` after `time`, at the midnight that comes then or is then.
pub fn days_after(time: u64, days: u32) -> u64 {
    (time.div_ceil(DAY) + u64::from(days)) * DAY
}

impl Model {
    /// Does what is due. Returns whether anything was.
    pub fn pass(&mut self, now: u64) -> bool {
        let mut changed = self.see_reads();
        while self.act(now) {
            changed = true;
        }
        let open = self.uploads.len();
        let lifecycle = self.lifecycle.clone().unwrap_or_default();
        self.uploads.retain(|upload| {
            let key = crate::ops::KEYS[upload.key];
            !enabled(&lifecycle)
                .filter(|rule| has_prefix(rule, key))
                .any(|rule| rule.abort_days.is_some_and(|days| days_after(upload.id.0.time.as_nanos(), days) <= now))
        });
        let aborted = open - self.uploads.len();
        self.count("upload aborted", aborted);
        changed |= aborted > 0;
        changed |= self.move_tiers(now);
        let ended = self.objects().filter_map(|(_, object)| end_restore(object, now)).collect::<Vec<_>>();
        for end in &ended {
            self.count(end, 1);
        }
        changed || !ended.is_empty()
    }

    /// Accesses bring objects back to the frequent tier, or keep them there.
    fn see_reads(&mut self) -> bool {
        let (mut seen, mut up) = (false, 0);
        for (_, object) in self.objects() {
            if let Some(read) = object.read.take().filter(|_| object.is_monitored() && !object.is_archived()) {
                object.untouched_since = object.untouched_since.max(read);
                up += usize::from(object.tier != Tier::Frequent);
                object.tier = Tier::Frequent;
                seen = true;
            }
        }
        self.count("moved up by an access", up);
        seen
    }

    /// Does one lifecycle action, if one is due: of the oldest version that has one.
    fn act(&mut self, now: u64) -> bool {
        let Some(lifecycle) = &self.lifecycle else { return false };
        let found = self.keys.iter().find_map(|(key, versions)| {
            (0..versions.len()).rev().find_map(|place| {
                let acts = due(lifecycle, self.versioning, key, versions, place, now);
                acts.into_iter().max().map(|act| (*key, place, act))
            })
        });
        let Some((key, place, act)) = found else { return false };
        self.count(act.name(place), 1);
        let versions = self.versions(key);
        match act {
            Act::Stay => unreachable!("nothing is to be done"),
            Act::Remove => {
                versions.remove(place);
            }
            Act::Move(_, class) => {
                versions[place].acted = Some(now / DAY);
                let object = versions[place].object.as_mut().expect("markers do not move");
                // Both are archives, and nothing says that a copy would be lost.
                let stays = object.class == StorageClass::Glacier;
                *object = Object {
                    class,
                    fragile: object.fragile || class == StorageClass::OnezoneIa,
                    tier: Tier::Frequent,
                    untouched_since: now,
                    restore: object.restore.filter(|_| stays),
                    ..object.clone()
                };
            }
            Act::Cover => {
                versions[place].acted = Some(now / DAY);
                let time = (now / DAY * DAY).max(versions[place].time + 1);
                let id = (self.versioning == Versioning::Suspended).then_some(VersionId::Null);
                // The covered one has had its action of the day.
                self.insert(key, Version { time, id, object: None, acted: None });
                for newer in self.newer_limits() {
                    self.look_again(key, 1 + newer);
                }
            }
        }
        true
    }

    /// The numbers of newer noncurrent versions that rules in force wait for.
    pub fn newer_limits(&self) -> Vec<usize> {
        let rules = self.lifecycle.iter().flat_map(enabled);
        let limits = rules.flat_map(|rule| {
            let moves = rule.noncurrent_transitions.iter().map(|transition| transition.newer);
            moves.chain(rule.noncurrent_expiration.map(|expiration| expiration.newer)).flatten()
        });
        limits.filter(|newer| *newer > 0).map(|newer| newer as usize).collect()
    }

    fn move_tiers(&mut self, now: u64) -> bool {
        let (configurations, mut moved) = (self.tiering.clone(), Vec::new());
        for (key, object) in self.objects() {
            if !object.is_monitored() || matches!(object.restore, Some(Restore::Ongoing { .. })) {
                continue;
            }
            let matching = configurations.iter().filter(|configuration| {
                let filter = &configuration.filter;
                configuration.enabled
                    && key.starts_with(filter.prefix.as_deref().unwrap_or(""))
                    && filter.tags.iter().all(|tag| object.tags.contains(tag))
            });
            let mut steps = vec![(30, Tier::Infrequent), (90, Tier::ArchiveInstant)];
            for configuration in matching {
                steps.extend(configuration.archive_days.map(|days| (days, Tier::Archive)));
                steps.extend(configuration.deep_archive_days.map(|days| (days, Tier::DeepArchive)));
            }
            let reached = steps.iter().filter(|(days, _)| days_after(object.untouched_since, *days) <= now);
            let coldest = reached.map(|(_, tier)| *tier).max().unwrap_or_default();
            if coldest > object.tier {
                object.tier = coldest;
                moved.push(match coldest {
                    Tier::Frequent | Tier::Infrequent => "moved to infrequent access",
                    Tier::ArchiveInstant => "moved to archive instant access",
                    Tier::Archive => "moved to archive access",
                    Tier::DeepArchive => "moved to deep archive access",
                });
            }
        }
        for tier in &moved {
            self.count(tier, 1);
        }
        !moved.is_empty()
    }
}

/// Finishes a restore that is ready, and forgets a copy whose time is over.
fn end_restore(object: &mut Object, now: u64) -> Option<&'static str> {
    match object.restore {
        Some(Restore::Ongoing { ready, days, .. }) if ready.as_nanos() <= now => {
            object.restore = days.map(|days| Restore::Done { expires: Timestamp::from_nanos(days_after(now, days)) });
            if object.class == StorageClass::IntelligentTiering {
                (object.tier, object.untouched_since) = (Tier::Frequent, now);
                return Some("restored to the frequent tier");
            }
            Some("restored")
        }
        Some(Restore::Done { expires }) if expires.as_nanos() <= now => {
            object.restore = None;
            Some("copy expired")
        }
        _ => None,
    }
}

fn enabled(lifecycle: &Lifecycle) -> impl Iterator<Item = &Rule> {
    lifecycle.rules.iter().filter(|rule| rule.status == Status::Enabled)
}

fn has_prefix(rule: &Rule, key: &str) -> bool {
    key.starts_with(rule.filter.prefix.as_deref().unwrap_or(""))
}

/// Whether the rule is about the version. Delete markers have neither tags nor a size.
fn is_about(rule: &Rule, key: &str, version: &Version) -> bool {
    let filter = &rule.filter;
    has_prefix(rule, key)
        && match &version.object {
            None => filter.tags.is_empty() && filter.size_over.is_none() && filter.size_under.is_none(),
            Some(object) => {
                let size = object.bytes.len() as u64;
                filter.tags.iter().all(|tag| object.tags.contains(tag))
                    && filter.size_over.is_none_or(|bytes| size > bytes)
                    && filter.size_under.is_none_or(|bytes| size < bytes)
            }
        }
}

/// All that is due now for the version at a place of its key's list.
fn due(
    lifecycle: &Lifecycle,
    versioning: Versioning,
    key: &str,
    versions: &[Version],
    place: usize,
    now: u64,
) -> Vec<Act> {
    let version = &versions[place];
    if version.acted == Some(now / DAY) {
        return Vec::new();
    }
    let mut acts = Vec::new();
    for rule in enabled(lifecycle).filter(|rule| is_about(rule, key, version)) {
        if place > 0 {
            // It became noncurrent when its successor was made; the versions between it and the current one are newer.
            acts.extend(noncurrent(rule, lifecycle.minimum, version, versions[place - 1].time, place - 1, now));
        } else if version.object.is_some() {
            acts.extend(current(rule, lifecycle.minimum, versioning, version, now));
        } else if versions.len() == 1 {
            acts.extend(match rule.expiration {
                // As soon as it is alone, but like all actions not before the first midnight after it was made.
                Some(Expiration::DeleteMarker) if days_after(version.time, 0) <= now => Some((Act::Remove, now)),
                Some(Expiration::When(When::Days(days))) if days_after(version.time, days) <= now => {
                    Some((Act::Remove, now))
                }
                _ => None,
            });
        }
    }
    // What INTELLIGENT_TIERING has won, because it was due at the same time or later, it keeps.
    let stays = acts.iter().filter(|(act, _)| matches!(act, Act::Stay)).map(|(_, at)| *at).max();
    let is_weaker =
        |act: &Act| matches!(act, Act::Stay | Act::Move(_, StorageClass::OnezoneIa | StorageClass::GlacierIr));
    acts.retain(|(act, at)| !(is_weaker(act) && stays.is_some_and(|stays| *at <= stays)));
    // What is held stays until it is not, and goes on moving meanwhile.
    let held = version.object.as_ref().is_some_and(|object| object.is_held(now, Governance::Binding));
    acts.into_iter().map(|(act, _)| act).filter(|act| !held || *act != Act::Remove).collect()
}

fn current(
    rule: &Rule,
    minimum: TransitionMinimum,
    versioning: Versioning,
    version: &Version,
    now: u64,
) -> Vec<(Act, u64)> {
    let at = |when| match when {
        When::Days(days) => days_after(version.time, days),
        When::Date(date) => date.as_nanos(),
    };
    let is_due = |when| at(when) <= now;
    let mut acts = Vec::new();
    for transition in rule.transitions.iter().filter(|transition| is_due(transition.when)) {
        let act = transition_to(transition.class, rule, minimum, version, version.time, now);
        let least = if is_infrequent(transition.class) { days_after(version.time, 30) } else { 0 };
        acts.extend(act.map(|act| (act, at(transition.when).max(least))));
    }
    if let Some(Expiration::When(when)) = rule.expiration
        && is_due(when)
    {
        acts.push((if versioning == Versioning::Unversioned { Act::Remove } else { Act::Cover }, now));
    }
    acts
}

fn noncurrent(
    rule: &Rule,
    minimum: TransitionMinimum,
    version: &Version,
    since: u64,
    newer: usize,
    now: u64,
) -> Vec<(Act, u64)> {
    // One that is covered at a midnight has had its action of that day.
    let at = |days| days_after(since, days).max((since / DAY + 1) * DAY);
    let is_due = |days, least: Option<u32>| at(days) <= now && least.unwrap_or(0) as usize <= newer;
    let mut acts = Vec::new();
    for transition in &rule.noncurrent_transitions {
        if version.object.is_some() && is_due(transition.days, transition.newer) {
            let act = transition_to(transition.class, rule, minimum, version, since, now);
            acts.extend(act.map(|act| (act, at(transition.days))));
        }
    }
    if rule.noncurrent_expiration.is_some_and(|expiration| is_due(expiration.days, expiration.newer)) {
        acts.push((Act::Remove, now));
    }
    acts
}

fn is_infrequent(class: StorageClass) -> bool {
    matches!(class, StorageClass::StandardIa | StorageClass::OnezoneIa)
}

/// The move to a class, if the version may make it; `since` is when its days began to count.
fn transition_to(
    class: StorageClass,
    rule: &Rule,
    minimum: TransitionMinimum,
    version: &Version,
    since: u64,
    now: u64,
) -> Option<Act> {
    let object = version.object.as_ref()?;
    let archive = matches!(class, StorageClass::Glacier | StorageClass::DeepArchive);
    let sized = rule.filter.size_over.is_some() || rule.filter.size_under.is_some();
    let large = object.bytes.len() >= 128 * 1024;
    let size_allows = large || sized || (archive && minimum == TransitionMinimum::VariesByStorageClass);
    let young = is_infrequent(class) && days_after(since, 30) > now;
    let strength = match class {
        StorageClass::Standard | StorageClass::ReducedRedundancy => 0,
        StorageClass::StandardIa => 1,
        StorageClass::OnezoneIa => 2,
        StorageClass::GlacierIr => 3,
        StorageClass::IntelligentTiering => 4,
        StorageClass::Glacier => 5,
        StorageClass::DeepArchive => 6,
    };
    if size_allows && (class, object.class) == (StorageClass::IntelligentTiering, class) {
        return Some(Act::Stay);
    }
    (size_allows && !young && waterfall(object).contains(&class)).then_some(Act::Move(strength, class))
}

/// The classes to which lifecycle may move the object.
fn waterfall(object: &Object) -> &'static [StorageClass] {
    use StorageClass::{DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa, StandardIa};
    match object.class {
        StorageClass::Standard | StorageClass::ReducedRedundancy => {
            &[StandardIa, IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive]
        }
        StandardIa => &[IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive],
        IntelligentTiering => match object.tier {
            Tier::Frequent | Tier::Infrequent => &[OnezoneIa, GlacierIr, Glacier, DeepArchive],
            Tier::ArchiveInstant => &[GlacierIr, Glacier, DeepArchive],
            Tier::Archive => &[Glacier, DeepArchive],
            Tier::DeepArchive => &[DeepArchive],
        },
        OnezoneIa | GlacierIr => &[Glacier, DeepArchive],
        Glacier => &[DeepArchive],
        DeepArchive => &[],
    }
}
