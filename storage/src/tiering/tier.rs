//! The tiers of `INTELLIGENT_TIERING`.

use serde::{Deserialize, Serialize};

/// Where a version of class `INTELLIGENT_TIERING` is, from the most to the least accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Tier {
    /// Accessed within the last 30 days, or too small to be monitored.
    #[default]
    Frequent,
    /// Not accessed for 30 days.
    Infrequent,
    /// Not accessed for 90 days; readable at once.
    ArchiveInstant,
    /// Not accessed for as long as a configuration says; readable after a restore.
    Archive,
    /// Not accessed for longer still; readable after a longer restore.
    DeepArchive,
}

impl Tier {
    /// Every tier, from the most to the least accessed.
    pub const ALL: [Tier; 5] =
        [Tier::Frequent, Tier::Infrequent, Tier::ArchiveInstant, Tier::Archive, Tier::DeepArchive];

    /// The name that inventories use.
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Frequent => "FREQUENT",
            Tier::Infrequent => "INFREQUENT",
            Tier::ArchiveInstant => "ARCHIVE_INSTANT_ACCESS",
            Tier::Archive => "ARCHIVE",
            Tier::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// What `x-amz-archive-status` says; nothing where the object can be read at once.
    pub const fn archive_status(self) -> Option<&'static str> {
        match self {
            Tier::Frequent | Tier::Infrequent | Tier::ArchiveInstant => None,
            Tier::Archive => Some("ARCHIVE_ACCESS"),
            Tier::DeepArchive => Some("DEEP_ARCHIVE_ACCESS"),
        }
    }

    /// Whether a restore is needed before the object can be read.
    pub const fn is_archive(self) -> bool {
        self.archive_status().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Tier;

    #[test]
    fn names() {
        fn check(tier: Tier, name: &str, archive_status: Option<&str>) {
            assert_eq!((tier.name(), tier.archive_status()), (name, archive_status));
            assert_eq!(tier.is_archive(), archive_status.is_some(), "{name}");
        }
        check(Tier::Frequent, "FREQUENT", None);
        check(Tier::Infrequent, "INFREQUENT", None);
        check(Tier::ArchiveInstant, "ARCHIVE_INSTANT_ACCESS", None);
        check(Tier::Archive, "ARCHIVE", Some("ARCHIVE_ACCESS"));
        check(Tier::DeepArchive, "DEEP_ARCHIVE", Some("DEEP_ARCHIVE_ACCESS"));
        assert_eq!(Tier::default(), Tier::Frequent);
    }
}
