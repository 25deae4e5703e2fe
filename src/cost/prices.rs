//! The table of prices: the one that comes with the program, or a file of the same form.

use std::collections::BTreeMap;

use serde::Deserialize;
use strata_storage::{RestoreSpeed, StorageClass, Tier};

/// The table that comes with the program: S3's prices in us-east-1, with their sources.
pub const DEFAULT_PRICES: &str = include_str!("prices.toml");

/// A table of prices. Amounts are in its currency.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The region that the prices are of.
    pub region: String,
    /// When they were read.
    pub date: String,
    /// Their currency.
    pub currency: String,
    /// Bytes in a gigabyte.
    pub gigabyte_bytes: u64,
    /// For watching 1,000 objects of INTELLIGENT_TIERING for a month.
    pub monitoring: f64,
    /// For 10,000 tags and a month.
    pub tags: f64,
    classes: BTreeMap<String, ClassPrices>,
    tiers: BTreeMap<String, TierPrices>,
}

/// The prices of a class; what is left out is free, or not offered.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassPrices {
    storage: Vec<Band>,
    /// For 1,000 requests of the kind PUT, COPY, POST or LIST.
    pub writes: f64,
    /// For 1,000 other requests.
    pub reads: f64,
    /// For 1,000 lifecycle transitions into the class.
    pub transitions: f64,
    /// For a gigabyte that is read.
    pub retrieval: f64,
    expedited: RestorePrices,
    standard: RestorePrices,
    bulk: RestorePrices,
}

/// The prices of restores at one speed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestorePrices {
    /// For 1,000 requests.
    pub requests: f64,
    /// For a gigabyte that is restored.
    pub gb: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierPrices {
    storage: Vec<Band>,
}

/// The price of storage up to some volume.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Band {
    /// The volume at which the band ends, in gigabytes; `None` for the last.
    up_to_gb: Option<f64>,
    /// For a gigabyte and a month.
    gb_month: f64,
}

/// Why a table cannot be used. The message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// It is not of the form.
    #[error("the price table is not valid: {0}; `strata prices` prints one that is")]
    Form(String),
    /// A class or tier is missing or unknown, or a number makes no sense.
    #[error("the price table is not usable: {0}; `strata prices` prints one that is")]
    Content(String),
}

impl Default for Prices {
    fn default() -> Prices {
        Prices::parse(DEFAULT_PRICES).expect("a test reads the table that comes with the program")
    }
}

impl Prices {
    /// Reads a table, and checks that it is complete.
    pub fn parse(text: &str) -> Result<Prices, PricesError> {
        let prices: Prices =
            toml::from_str(text).map_err(|error| PricesError::Form(error.to_string().trim_end().to_owned()))?;
        prices.fault().map_or(Ok(()), |fault| Err(PricesError::Content(fault)))?;
        Ok(prices)
    }

    /// The prices of a class.
    pub fn class(&self, class: StorageClass) -> &ClassPrices {
        &self.classes[class.name()]
    }

    /// What storing that many gigabytes of a class and tier for a month costs, all bands together.
    pub fn storage(&self, class: StorageClass, tier: Tier, gigabytes: f64) -> f64 {
        let mut from = 0.0;
        let mut sum = 0.0;
        for band in self.bands(class, tier) {
            let to = band.up_to_gb.unwrap_or(f64::INFINITY).min(gigabytes);
            sum += (to - from).max(0.0) * band.gb_month;
            from = to.max(from);
        }
        sum
    }

    /// The price of a gigabyte and month in the first band.
    pub fn first_band(&self, class: StorageClass, tier: Tier) -> f64 {
        self.bands(class, tier).first().map_or(0.0, |band| band.gb_month)
    }

    fn bands(&self, class: StorageClass, tier: Tier) -> &[Band] {
        match class {
            StorageClass::IntelligentTiering => &self.tiers[tier.name()].storage,
            class => &self.class(class).storage,
        }
    }

    /// What is wrong with the content, if anything.
    fn fault(&self) -> Option<String> {
        let known = |name: &String| StorageClass::parse(name).is_some();
        if let Some(name) = self.classes.keys().find(|name| !known(name)) {
            return Some(format!("there is no class {name}"));
        }
        if let Some(class) = StorageClass::ALL.into_iter().find(|class| !self.classes.contains_key(class.name())) {
            return Some(format!("the class {} is missing", class.name()));
        }
        let known = |name: &String| Tier::ALL.iter().any(|tier| tier.name() == name);
        if let Some(name) = self.tiers.keys().find(|name| !known(name)) {
            return Some(format!("there is no tier {name}"));
        }
        if let Some(tier) = Tier::ALL.into_iter().find(|tier| !self.tiers.contains_key(tier.name())) {
            return Some(format!("the tier {} is missing", tier.name()));
        }
        let stored = StorageClass::ALL.into_iter().flat_map(|class| Tier::ALL.map(|tier| (class, tier)));
        for (class, tier) in stored {
            if !ends_open(self.bands(class, tier)) {
                return Some(format!("the bands of {} do not rise to one without up_to_gb", class.name()));
            }
        }
        let numbers = self.classes.values().flat_map(ClassPrices::numbers).chain([self.monitoring, self.tags]);
        let bands = self.tiers.values().flat_map(|tier| &tier.storage).map(|band| band.gb_month);
        if self.gigabyte_bytes == 0 || !numbers.chain(bands).all(|number| number.is_finite() && number >= 0.0) {
            return Some("a price is negative or no number, or gigabyte_bytes is 0".to_owned());
        }
        None
    }
}

/// Whether bands rise, and the last one has no end.
fn ends_open(bands: &[Band]) -> bool {
    let Some((last, others)) = bands.split_last() else { return false };
    let ends: Vec<f64> = others.iter().map(|band| band.up_to_gb.unwrap_or(f64::NAN)).collect();
    last.up_to_gb.is_none() && ends.iter().all(|end| *end > 0.0) && ends.is_sorted()
}

impl ClassPrices {
    /// The prices of restores at that speed.
    pub fn restores(&self, speed: RestoreSpeed) -> RestorePrices {
        match speed {
            RestoreSpeed::Bulk => self.bulk,
            RestoreSpeed::Standard => self.standard,
            RestoreSpeed::Expedited => self.expedited,
        }
    }

    fn numbers(&self) -> impl Iterator<Item = f64> {
        let restores = [self.bulk, self.standard, self.expedited];
        let restores = restores.into_iter().flat_map(|RestorePrices { requests, gb }| [requests, gb]);
        let bands = self.storage.iter().map(|band| band.gb_month);
        [self.writes, self.reads, self.transitions, self.retrieval].into_iter().chain(restores).chain(bands)
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{StorageClass, Tier};

    use super::{DEFAULT_PRICES, Prices};

    #[test]
    fn the_default_table_is_complete() {
        let prices = Prices::parse(DEFAULT_PRICES).unwrap();
        assert_eq!((prices.region.as_str(), prices.date.as_str()), ("us-east-1", "2026-08-01"));
        assert_eq!(prices.class(StorageClass::GlacierIr).retrieval, 0.03);
    }

    #[test]
    fn volume_has_bands() {
        fn check(class: StorageClass, tier: Tier, gigabytes: f64, expected: f64) {
            let found = Prices::default().storage(class, tier, gigabytes);
            assert!((found - expected).abs() < 1e-6, "{class:?} {gigabytes}: {found} instead of {expected}");
        }
        let tb = 1024.0;
        let standard = StorageClass::Standard;
        check(standard, Tier::Frequent, 0.0, 0.0);
        check(standard, Tier::Frequent, 100.0, 2.3);
        check(standard, Tier::Frequent, 50.0 * tb, 51_200.0 * 0.023);
        // 50 TB, and 50 TB of the next band.
        check(standard, Tier::Frequent, 100.0 * tb, 51_200.0 * 0.023 + 51_200.0 * 0.022);
        check(standard, Tier::Frequent, 600.0 * tb, 51_200.0 * 0.023 + 460_800.0 * 0.022 + 102_400.0 * 0.021);
        check(StorageClass::IntelligentTiering, Tier::Frequent, 100.0 * tb, 51_200.0 * 0.045);
        check(StorageClass::IntelligentTiering, Tier::ArchiveInstant, 1000.0, 4.0);
        check(StorageClass::DeepArchive, Tier::Frequent, 1000.0, 0.99);
    }

    #[test]
    fn other_tables_are_checked() {
        fn check(from: &str, to: &str, expected: &str) {
            assert!(DEFAULT_PRICES.contains(from), "{from}");
            let error = Prices::parse(&DEFAULT_PRICES.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        check("[classes.GLACIER_IR]", "[classes.GLACIER_XR]", "no class GLACIER_XR");
        check("[tiers.ARCHIVE]", "[tiers.COLD]", "no tier COLD");
        check("monitoring = 0.0025", "monitoring = -1.0", "negative");
        check("gigabyte_bytes = 1073741824", "gigabyte_bytes = 0", "gigabyte_bytes");
        check(
            "{ up_to_gb = 512000, gb_month = 0.022 }, { gb_month = 0.021 }",
            "{ up_to_gb = 1, gb_month = 1.0 }",
            "bands",
        );
        check("writes = 0.005", "wrytes = 0.005", "wrytes");
        check("[classes.STANDARD]", "", "not valid");
        assert!(Prices::parse("").is_err());
    }
}
