//! `INTELLIGENT_TIERING`: its tiers, its configurations, and when a version moves between tiers. No I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, ConfigurationFilter};

mod decide;
mod tier;

pub use decide::{MONITORED_BYTES_MIN, Monitored, after_access, is_monitored, next, settle};
pub use tier::Tier;

/// Opts the chosen objects in to the archive tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TieringConfiguration {
    /// Unique among the bucket's tiering configurations.
    pub id: String,
    /// The objects that it is about.
    pub filter: ConfigurationFilter,
    /// Whether it counts.
    pub enabled: bool,
    /// Days without access after which an object moves to [`Tier::Archive`]; `None` does not use that tier.
    pub archive_days: Option<u32>,
    /// Days without access after which an object moves to [`Tier::DeepArchive`]; `None` does not use that tier.
    pub deep_archive_days: Option<u32>,
}

impl Configuration for TieringConfiguration {
    fn id(&self) -> &str {
        &self.id
    }
}
