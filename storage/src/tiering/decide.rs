//! When a version of class `INTELLIGENT_TIERING` moves, and to which tier. Pure.
//!
//! Days count from the last access, and a move happens at the first midnight that is not before their end, as in
//! lifecycle rules. A move down passes through every tier whose time has come; what was away for long, as after the
//! server was down, catches up with [`settle`].

use std::cmp::Reverse;
use std::time::Duration;

use crate::object::Tag;
use crate::stamp::Timestamp;
use crate::tiering::{Tier, TieringConfiguration};

/// Smaller versions, in bytes, are never monitored and stay in [`Tier::Frequent`].
pub const MONITORED_BYTES_MIN: u64 = 128 * 1024;

/// Days without access after which a version leaves [`Tier::Frequent`].
const INFREQUENT_DAYS: u32 = 30;
/// Days without access after which a version needs no more than instant archive access.
const ARCHIVE_INSTANT_DAYS: u32 = 90;

/// What decides about one version.
#[derive(Debug, Clone, Copy)]
pub struct Monitored<'v> {
    /// Where it is.
    pub tier: Tier,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last read; the time of `entered` or before if it never was.
    pub last_access: Timestamp,
    /// When it last entered the class or its frequent tier: by being written, by a transition, by a restore. A move
    /// down does not change it.
    pub entered: Timestamp,
    /// Its key.
    pub key: &'v str,
    /// Its tags.
    pub tags: &'v [Tag],
}

/// Whether versions of that many bytes are monitored at all.
pub const fn is_monitored(size: u64) -> bool {
    size >= MONITORED_BYTES_MIN
}

/// The next move down: when, which may be past, and to which tier. `None` if the version stays where it is.
///
/// `configurations` are the bucket's. Of several that match, the shorter time counts for each tier. `day` is how long
/// a day lasts; midnights are its multiples since 1970.
pub fn next(
    object: &Monitored<'_>,
    configurations: &[TieringConfiguration],
    day: Duration,
) -> Option<(Timestamp, Tier)> {
    if !is_monitored(object.size) {
        return None;
    }
    let matching = || {
        configurations
            .iter()
            .filter(|configuration| configuration.enabled && configuration.filter.matches(object.key, object.tags))
    };
    let archive = matching().filter_map(|configuration| configuration.archive_days).min();
    let deep_archive = matching().filter_map(|configuration| configuration.deep_archive_days).min();
    let steps = [
        (Some(INFREQUENT_DAYS), Tier::Infrequent),
        (Some(ARCHIVE_INSTANT_DAYS), Tier::ArchiveInstant),
        (archive, Tier::Archive),
        (deep_archive, Tier::DeepArchive),
    ];
    // Of two tiers reached on the same day the colder one wins: archive access at 90 days leaves out instant archive
    // access.
    let (days, tier) = steps
        .into_iter()
        .filter_map(|(days, tier)| days.map(|days| (days, tier)))
        .filter(|(_, tier)| *tier > object.tier)
        .min_by_key(|&(days, tier)| (days, Reverse(tier)))?;
    let idle_since = object.last_access.max(object.entered);
    Some((midnight_from(idle_since.plus(day.saturating_mul(days)), day), tier))
}

/// Where the version belongs at `now`, all moves due taken together, and when it moves next.
pub fn settle(
    object: &Monitored<'_>,
    configurations: &[TieringConfiguration],
    day: Duration,
    now: Timestamp,
) -> (Tier, Option<Timestamp>) {
    let mut object = *object;
    // Every round leads to a colder tier, so there are at most four.
    loop {
        match next(&object, configurations, day) {
            Some((at, tier)) if at <= now => object.tier = tier,
            later => return (object.tier, later.map(|(at, _)| at)),
        }
    }
}

/// Where an access takes a version: to the frequent tier, at once. `None` in the archive tiers, which refuse access.
pub const fn after_access(tier: Tier) -> Option<Tier> {
    match tier {
        Tier::Frequent | Tier::Infrequent | Tier::ArchiveInstant => Some(Tier::Frequent),
        Tier::Archive | Tier::DeepArchive => None,
    }
}

/// The first midnight that is not before `moment`.
fn midnight_from(moment: Timestamp, day: Duration) -> Timestamp {
    let day = u64::try_from(day.as_nanos()).unwrap_or(u64::MAX);
    let midnight = moment.as_nanos().checked_next_multiple_of(day);
    // A time beyond the year 2554, or a day of no length, is left as it is.
    midnight.map_or(moment, Timestamp::from_nanos)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MONITORED_BYTES_MIN, Monitored, after_access, midnight_from, next, settle};
    use crate::configuration::ConfigurationFilter;
    use crate::object::Tag;
    use crate::stamp::Timestamp;
    use crate::tiering::{Tier, TieringConfiguration};

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(number: u64) -> Timestamp {
        Timestamp::from_secs(number * 86_400)
    }

    fn idle_in(tier: Tier) -> Monitored<'static> {
        Monitored { tier, size: MONITORED_BYTES_MIN, last_access: day(100), entered: day(1), key: "logs/1", tags: &[] }
    }

    fn configuration(archive_days: Option<u32>, deep_archive_days: Option<u32>) -> TieringConfiguration {
        let filter = ConfigurationFilter::default();
        TieringConfiguration { id: "id".to_string(), filter, enabled: true, archive_days, deep_archive_days }
    }

    /// The movement table, row by row: days after the last access.
    #[test]
    fn moves_down() {
        use Tier::{Archive, ArchiveInstant, DeepArchive, Frequent, Infrequent};
        fn check(tier: Tier, configured: &[(Option<u32>, Option<u32>)], expected: Option<(u64, Tier)>) {
            let configurations: Vec<_> =
                configured.iter().map(|&(archive, deep_archive)| configuration(archive, deep_archive)).collect();
            let found = next(&idle_in(tier), &configurations, DAY);
            assert_eq!(found, expected.map(|(days, tier)| (day(100 + days), tier)), "{tier:?} {configured:?}");
        }
        let (none, archive, deep) = (&[][..], &[(Some(120), None)][..], &[(None, Some(180))][..]);
        let both = &[(Some(120), Some(180))][..];
        check(Frequent, none, Some((30, Infrequent)));
        check(Frequent, both, Some((30, Infrequent)));
        check(Infrequent, none, Some((90, ArchiveInstant)));
        check(Infrequent, archive, Some((90, ArchiveInstant)));
        check(Infrequent, deep, Some((90, ArchiveInstant)));
        check(Infrequent, &[(Some(90), None)], Some((90, Archive)));
        check(Infrequent, &[(Some(90), Some(180))], Some((90, Archive)));
        check(ArchiveInstant, none, None);
        check(ArchiveInstant, archive, Some((120, Archive)));
        check(ArchiveInstant, deep, Some((180, DeepArchive)));
        check(ArchiveInstant, both, Some((120, Archive)));
        check(ArchiveInstant, &[(Some(180), Some(180))], Some((180, DeepArchive)));
        check(ArchiveInstant, &[(Some(200), Some(180))], Some((180, DeepArchive)));
        check(Archive, none, None);
        check(Archive, archive, None);
        check(Archive, deep, Some((180, DeepArchive)));
        check(Archive, both, Some((180, DeepArchive)));
        check(DeepArchive, both, None);
        // Where several match, the shorter time counts, for each tier on its own.
        check(ArchiveInstant, &[(Some(300), Some(400)), (Some(150), None)], Some((150, Archive)));
        check(Archive, &[(Some(300), Some(400)), (None, Some(350))], Some((350, DeepArchive)));
    }

    #[test]
    fn only_configurations_that_match_count() {
        fn check(prefix: Option<&str>, tag: Option<&str>, enabled: bool, expected: Option<Tier>) {
            let tags: Vec<Tag> =
                tag.iter().map(|value| Tag { key: "team".to_string(), value: value.to_string() }).collect();
            let filter = ConfigurationFilter { prefix: prefix.map(str::to_string), tags };
            let configuration = TieringConfiguration { filter, enabled, ..configuration(Some(90), None) };
            let tags = [Tag { key: "team".to_string(), value: "red".to_string() }];
            let object = Monitored { tags: &tags, ..idle_in(Tier::ArchiveInstant) };
            let found = next(&object, &[configuration], DAY).map(|(_, tier)| tier);
            assert_eq!(found, expected, "{prefix:?} {tag:?} {enabled}");
        }
        check(None, None, true, Some(Tier::Archive));
        check(None, None, false, None);
        check(Some("logs/"), None, true, Some(Tier::Archive));
        check(Some("other/"), None, true, None);
        check(Some("logs/"), Some("red"), true, Some(Tier::Archive));
        check(Some("logs/"), Some("blue"), true, None);
    }

    #[test]
    fn small_versions_stay() {
        fn check(size: u64, moves: bool) {
            let object = Monitored { size, ..idle_in(Tier::Frequent) };
            assert_eq!(next(&object, &[configuration(Some(90), Some(180))], DAY).is_some(), moves, "{size}");
        }
        check(0, false);
        check(131_071, false);
        check(131_072, true);
    }

    #[test]
    fn days_count_from_the_last_access_or_from_entering() {
        fn check(last_access: u64, entered: u64, expected: u64) {
            let (last_access, entered) = (Timestamp::from_secs(last_access), Timestamp::from_secs(entered));
            let object = Monitored { last_access, entered, ..idle_in(Tier::Frequent) };
            assert_eq!(next(&object, &[], DAY), Some((day(expected), Tier::Infrequent)));
        }
        check(0, 0, 30);
        check(86_400, 0, 31);
        check(1, 0, 31);
        check(86_399, 0, 31);
        check(0, 5 * 86_400, 35);
        check(7 * 86_400, 5 * 86_400, 37);
    }

    #[test]
    fn a_day_is_as_long_as_it_is_said_to_be() {
        let object = Monitored { last_access: Timestamp::from_secs(95), ..idle_in(Tier::Frequent) };
        let object = Monitored { entered: Timestamp::from_secs(0), ..object };
        let tens = Duration::from_secs(10);
        assert_eq!(next(&object, &[], tens), Some((Timestamp::from_secs(400), Tier::Infrequent)));
    }

    #[test]
    fn what_was_away_catches_up() {
        fn check(days: u64, configured: (Option<u32>, Option<u32>), expected: (Tier, Option<u64>)) {
            let configurations = [configuration(configured.0, configured.1)];
            let found = settle(&idle_in(Tier::Frequent), &configurations, DAY, day(100 + days));
            assert_eq!(found, (expected.0, expected.1.map(|days| day(100 + days))), "{days}");
        }
        check(0, (None, None), (Tier::Frequent, Some(30)));
        check(29, (None, None), (Tier::Frequent, Some(30)));
        check(30, (None, None), (Tier::Infrequent, Some(90)));
        check(5000, (None, None), (Tier::ArchiveInstant, None));
        check(100, (Some(90), Some(180)), (Tier::Archive, Some(180)));
        check(100, (None, Some(180)), (Tier::ArchiveInstant, Some(180)));
        check(5000, (Some(90), Some(180)), (Tier::DeepArchive, None));
        check(5000, (Some(90), None), (Tier::Archive, None));
    }

    #[test]
    fn accesses_lead_to_the_frequent_tier_unless_refused() {
        for tier in [Tier::Frequent, Tier::Infrequent, Tier::ArchiveInstant] {
            assert_eq!((after_access(tier), tier.is_archive()), (Some(Tier::Frequent), false));
        }
        for tier in [Tier::Archive, Tier::DeepArchive] {
            assert_eq!((after_access(tier), tier.is_archive()), (None, true));
        }
    }

    #[test]
    fn midnights() {
        fn check(moment: u64, day: u64, expected: u64) {
            let found = midnight_from(Timestamp::from_nanos(moment), Duration::from_nanos(day));
            assert_eq!(found.as_nanos(), expected);
        }
        check(0, 10, 0);
        check(1, 10, 10);
        check(10, 10, 10);
        check(11, 10, 20);
        check(7, 0, 7);
        check(u64::MAX, 10, u64::MAX);
    }
}
