//! What lifecycle rules and tiers save: a preview's sums at S3's prices.
//!
//! Volumes are priced in their first band, so that the projections of pages add up to that of the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strata_storage::{Holding, PreviewSums, StorageClass, Tier, has_least_size};

use crate::cost::Prices;
use crate::cost::bill::{MONTH_DAYS, archive_overhead, early_delete};

/// The costs of some versions over the days of a preview, in the currency of the prices.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Projection {
    /// Versions and delete markers looked at.
    pub versions: u64,
    /// Versions that the rules remove.
    pub removed_versions: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Open uploads that the rules abort.
    pub aborted_uploads: u64,
    /// The bytes of their parts.
    pub aborted_bytes: u64,
    /// Storage if every version stays as it is.
    pub unchanged: f64,
    /// Storage if the rules are followed.
    pub followed: f64,
    /// Transitions.
    pub transitions: f64,
    /// What leaves its class too early.
    pub early_delete: f64,
    /// What following the rules saves; negative if they cost more.
    pub saved: f64,
}

impl Projection {
    /// Adds that of further versions.
    pub fn add(&mut self, other: &Projection) {
        self.versions += other.versions;
        self.removed_versions += other.removed_versions;
        self.removed_bytes += other.removed_bytes;
        self.aborted_uploads += other.aborted_uploads;
        self.aborted_bytes += other.aborted_bytes;
        self.unchanged += other.unchanged;
        self.followed += other.followed;
        self.transitions += other.transitions;
        self.early_delete += other.early_delete;
        self.saved += other.saved;
    }
}

/// Prices the sums of a preview.
pub fn projection(sums: &PreviewSums, prices: &Prices) -> Projection {
    let transitions = |(class, count): (&StorageClass, &u64)| *count as f64 / 1000.0 * prices.class(*class).transitions;
    let early = |(class, byte_days): (&StorageClass, &u64)| early_delete(*class, *byte_days as f64, prices);
    let mut projection = Projection {
        versions: sums.versions,
        removed_versions: sums.removed,
        removed_bytes: sums.removed_bytes,
        aborted_uploads: sums.aborted,
        aborted_bytes: sums.aborted_bytes,
        unchanged: held(&sums.unchanged, prices),
        followed: held(&sums.followed, prices),
        transitions: sums.transitions.iter().map(transitions).sum(),
        early_delete: sums.early_delete_byte_days.iter().map(early).sum(),
        saved: 0.0,
    };
    projection.saved = projection.unchanged - projection.followed - projection.transitions - projection.early_delete;
    projection
}

/// What holding something costs.
fn held(holdings: &BTreeMap<(StorageClass, Tier), Holding>, prices: &Prices) -> f64 {
    let cost = |(&(class, tier), held): (&(StorageClass, Tier), &Holding)| {
        let byte_days = if has_least_size(class) { held.billed_byte_days } else { held.byte_days };
        let storage = byte_days / prices.gigabyte_bytes as f64 * prices.first_band(class, tier);
        let overhead = held.object_days * archive_overhead(class, tier, prices);
        let is_monitored = class == StorageClass::IntelligentTiering;
        let monitored = if is_monitored { held.object_days - held.small_object_days } else { 0.0 };
        let tags = held.tag_days / 10_000.0 * prices.tags;
        (storage + overhead + monitored / 1000.0 * prices.monitoring + tags) / MONTH_DAYS
    };
    holdings.iter().map(cost).sum()
}

#[cfg(test)]
mod tests {
    use strata_storage::{Holding, PreviewSums, StorageClass, Tier};

    use super::projection;
    use crate::cost::Prices;

    const GIB: f64 = 1_073_741_824.0;

    fn holding(objects: f64, gigabytes: f64, days: f64) -> Holding {
        let (object_days, byte_days) = (objects * days, gigabytes * GIB * days);
        Holding { object_days, byte_days, billed_byte_days: byte_days, ..Holding::default() }
    }

    #[test]
    fn what_is_saved() {
        let mut sums = PreviewSums { versions: 1000, ..PreviewSums::default() };
        // 100 GB in 1,000 objects: a year in STANDARD costs 100 * 0.023 * 12.
        sums.unchanged.insert((StorageClass::Standard, Tier::Frequent), holding(1000.0, 100.0, 360.0));
        // Or a month there, then eleven in GLACIER with 40 KiB for each object.
        sums.followed.insert((StorageClass::Standard, Tier::Frequent), holding(1000.0, 100.0, 30.0));
        sums.followed.insert((StorageClass::Glacier, Tier::Frequent), holding(1000.0, 100.0, 330.0));
        sums.transitions.insert(StorageClass::Glacier, 1000);
        // And at the end 10 GB go 60 days too early.
        sums.early_delete_byte_days.insert(StorageClass::Glacier, (10.0 * GIB * 60.0) as u64);
        let found = projection(&sums, &Prices::default());
        let index = 1000.0 * 32.0 / 1_048_576.0 * 0.0036 * 11.0;
        let names = 1000.0 * 8.0 / 1_048_576.0 * 0.023 * 11.0;
        let followed = 2.3 + 0.36 * 11.0 + index + names;
        for (name, found, expected) in [
            ("unchanged", found.unchanged, 27.6),
            ("followed", found.followed, followed),
            ("transitions", found.transitions, 0.03),
            ("early", found.early_delete, 10.0 * 2.0 * 0.0036),
            ("saved", found.saved, 27.6 - followed - 0.03 - 0.072),
        ] {
            assert!((found - expected).abs() < 1e-9, "{name}: {found} instead of {expected}");
        }
        let mut twice = found;
        twice.add(&found);
        assert_eq!((twice.versions, twice.saved), (2000, found.saved * 2.0));
    }

    #[test]
    fn small_and_monitored_objects() {
        fn check(class: StorageClass, held: Holding, expected: f64) {
            let mut sums = PreviewSums::default();
            sums.unchanged.insert((class, Tier::Frequent), held);
            let found = projection(&sums, &Prices::default()).unchanged;
            assert!((found - expected).abs() < 1e-9, "{class:?}: {found} instead of {expected}");
        }
        let small = Holding { byte_days: 0.0, ..holding(8192.0, 1.0, 30.0) };
        check(StorageClass::StandardIa, small, 0.0125);
        check(StorageClass::Standard, small, 0.0);
        // Half of the objects are too small to be watched.
        let half = Holding { small_object_days: 30_000.0, ..holding(2000.0, 1.0, 30.0) };
        check(StorageClass::IntelligentTiering, half, 0.023 + 0.0025);
        let tagged = Holding { tag_days: 300_000.0, ..Holding::default() };
        check(StorageClass::Standard, tagged, 0.0065);
    }
}
