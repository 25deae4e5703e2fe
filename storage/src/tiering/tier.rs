//! The tiers of INTELLIGENT_TIERING.

use serde::{Deserialize, Serialize};

/// In which tier an object of class INTELLIGENT_TIERING is. For other classes it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Tier {
    /// Frequent Access
    #[default]
    Frequent,
    /// Infrequent Access
    Infrequent,
    /// Archive Instant Access
    ArchiveInstant,
    /// Archive Access; readable after a restore.
    Archive,
    /// Deep Archive Access; readable after a restore.
    DeepArchive,
}

impl Tier {
    /// Whether the object has to be restored before it can be read.
    pub const fn is_archive(self) -> bool {
        matches!(self, Tier::Archive | Tier::DeepArchive)
    }
}
