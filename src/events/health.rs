//! How the targets are, as their dispatchers saw them last: for `strata status` and the log. In memory only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use strata_storage::Timestamp;

/// How one target is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Since when it takes nothing; `None` if it does, or was not asked yet.
    pub away_since: Option<Timestamp>,
    /// What it said last when it took a message not, and when.
    pub last_error: Option<(Timestamp, String)>,
    /// When it last took a message.
    pub last_delivery: Option<Timestamp>,
}

/// How all targets are, by their ARNs; cheap to clone.
#[derive(Clone, Default)]
pub struct Healths(Arc<Mutex<BTreeMap<String, Health>>>);

impl Healths {
    /// That of one target.
    pub fn of(&self, arn: &str) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(arn).cloned().unwrap_or_default()
    }

    /// Changes that of one target.
    pub fn change(&self, arn: &str, change: impl FnOnce(&mut Health)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(arn.to_owned()).or_default());
    }
}
