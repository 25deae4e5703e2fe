//! Lifecycle rules: what a bucket's configuration says, and what it means for one version at one time.
//!
//! Pure. `decide` finds the next action on a version, `dates` tells clients when their objects expire, `calendar` counts
//! days. Who acts on the decisions, and when, is the worker's business.

use serde::{Deserialize, Serialize};

use crate::object::{StorageClass, Tag};
use crate::stamp::Timestamp;

mod calendar;
mod dates;
mod decide;
mod filter;

pub use calendar::Calendar;
pub use decide::{Action, Due, Kind, Next, Position, Subject, may_follow};

/// The smallest object that transitions without a filter by size, in bytes: 128 KiB.
pub const TRANSITION_BYTES_MIN: u64 = 128 << 10;

/// The lifecycle configuration of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lifecycle {
    /// The rules, in the order sent.
    pub rules: Vec<Rule>,
    /// What becomes of small objects.
    pub minimum: TransitionMinimum,
}

/// `x-amz-transition-default-minimum-object-size`: which transitions pass over objects under 128 KiB. A rule that
/// filters by size is not bound by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TransitionMinimum {
    /// `all_storage_classes_128K`: all of them.
    #[default]
    AllStorageClasses128K,
    /// `varies_by_storage_class`: all but those to GLACIER and DEEP_ARCHIVE.
    VariesByStorageClass,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id, unique in the configuration.
    pub id: String,
    /// Whether it is in force.
    pub status: Status,
    /// Which objects it is about.
    pub filter: Filter,
    /// Moves of current versions.
    pub transitions: Vec<Transition>,
    /// The end of current versions, or of delete markers that are alone.
    pub expiration: Option<Expiration>,
    /// Moves of noncurrent versions.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// The end of noncurrent versions.
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    /// Days after which an upload that was not completed is aborted.
    pub abort_days: Option<u32>,
}

/// Whether a rule is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It is.
    Enabled,
    /// It is kept, and ignored.
    Disabled,
}

/// Which objects a rule is about: those for which every predicate holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The key begins with this.
    pub prefix: Option<String>,
    /// The object has all of these tags, and perhaps others.
    pub tags: Vec<Tag>,
    /// The object is larger than this, in bytes.
    pub size_over: Option<u64>,
    /// The object is smaller than this, in bytes.
    pub size_under: Option<u64>,
    /// How the filter was written, so that it is given back alike.
    pub form: FilterForm,
}

/// How a filter was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FilterForm {
    /// A `Filter` element without predicates: all objects.
    #[default]
    Empty,
    /// A `Filter` element with one predicate.
    Single,
    /// A `Filter` element with an `And` of several.
    And,
    /// A `Prefix` element of the rule itself, as the first edition of the API had it.
    RulePrefix,
}

/// When an action on a current version is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// So many days after the version was made.
    Days(u32),
    /// From this midnight on.
    Date(Timestamp),
}

/// A move of current versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub when: When,
    /// Where to.
    pub class: StorageClass,
}

/// The end of current versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// Objects expire then. With `Days`, delete markers that are alone and so old are removed.
    When(When),
    /// `ExpiredObjectDeleteMarker` true: delete markers are removed as soon as they are alone.
    DeleteMarker,
    /// `ExpiredObjectDeleteMarker` false: nothing happens; kept to be given back as it was sent.
    KeepDeleteMarker,
}

/// A move of noncurrent versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    /// Days after the version became noncurrent.
    pub days: u32,
    /// Where to.
    pub class: StorageClass,
    /// How many newer noncurrent versions there must be.
    pub newer: Option<u32>,
}

/// The end of noncurrent versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// Days after the version became noncurrent.
    pub days: u32,
    /// How many newer noncurrent versions there must be.
    pub newer: Option<u32>,
}

impl Lifecycle {
    /// Whether any rule in force could ever act on a version or an upload of this key. Cheap: no tags, no sizes.
    pub fn concerns(&self, key: &str) -> bool {
        self.enabled().any(|(_, rule)| rule.filter.covers(key))
    }

    /// How many newer noncurrent versions the most patient rule in force asks for; 0 if none does. A version that
    /// becomes noncurrent can make actions due on the older ones of its key up to this distance from it, and on none
    /// beyond that were not due before.
    pub fn most_newer(&self) -> u32 {
        let newer = |rule: &Rule| {
            let transitions = rule.noncurrent_transitions.iter().filter_map(|transition| transition.newer).max();
            transitions.max(rule.noncurrent_expiration.and_then(|expiration| expiration.newer)).unwrap_or(0)
        };
        self.enabled().map(|(_, rule)| newer(rule)).max().unwrap_or(0)
    }

    /// Whether any rule in force acts on noncurrent versions.
    pub fn acts_on_noncurrent(&self) -> bool {
        let acts = |rule: &Rule| rule.noncurrent_expiration.is_some() || !rule.noncurrent_transitions.is_empty();
        self.enabled().any(|(_, rule)| acts(rule))
    }

    /// Whether any rule in force removes delete markers that are alone, so that it matters when they become so.
    pub fn acts_on_markers(&self) -> bool {
        let acts = |expiration| matches!(expiration, Expiration::DeleteMarker | Expiration::When(When::Days(_)));
        self.enabled().any(|(_, rule)| rule.expiration.is_some_and(acts))
    }

    /// Whether any rule in force aborts uploads.
    pub fn aborts_uploads(&self) -> bool {
        self.enabled().any(|(_, rule)| rule.abort_days.is_some())
    }

    /// The rules in force, with their positions.
    fn enabled(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.status == Status::Enabled)
    }
}

#[cfg(test)]
mod tests;
