//! The names of zones that were emptied, or given up. Settings may go on to name them, so that a start with the settings
//! of before neither fails nor takes into use again what was drained. A name that is added anew is no longer one of them.

use serde::{Deserialize, Serialize};

use super::registry::ZoneOptions;
use crate::index::record::Record;

/// The names, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Drained(Vec<String>);

impl Record for Drained {
    const NAME: &'static str = "list of drained zones";
}

impl Drained {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, name: &str) {
        if let Err(place) = self.0.binary_search_by(|known| known.as_str().cmp(name)) {
            self.0.insert(place, name.to_owned());
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|known| known != name);
    }

    /// The zones in the settings that were not drained. It is told which were.
    pub(super) fn without(&self, options: Vec<ZoneOptions>) -> Vec<ZoneOptions> {
        let (drained, others) = options.into_iter().partition::<Vec<_>, _>(|zone| self.0.contains(&zone.name));
        for ZoneOptions { name, directory } in drained {
            tracing::warn!(
                zone = name,
                directory = %directory.display(),
                "the zone was drained and is not used: take it out of `zones`, or have it again with `strata zone add`"
            );
        }
        others
    }
}
