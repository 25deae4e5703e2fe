//! The access tiers of INTELLIGENT_TIERING.

use serde::{Deserialize, Serialize};

/// Where an INTELLIGENT_TIERING object version stands. Its storage class stays the same in every tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Tier {
    /// Frequent Access: where every object begins.
    #[default]
    Frequent,
    /// Infrequent Access.
    Infrequent,
    /// Archive Instant Access.
    ArchiveInstant,
    /// Archive Access: readable only after a restore.
    Archive,
    /// Deep Archive Access: readable only after a restore.
    DeepArchive,
}
