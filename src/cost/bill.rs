//! The bill: what a store holds, and what happened to it in a month, at S3's prices.
//!
//! Storage is billed as if what is there now stayed for a whole month; requests, transitions, restores, retrievals and
//! early deletions are those of the month so far. The bands of a class count the whole store, so a bucket pays the
//! average. Restored copies and the parts of open uploads are billed at the rate of STANDARD, whatever class the parts are
//! for. Not billed: data sent out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strata_storage::{
    Activity, BucketActivity, BucketUsage, PoolStatus, RestoreSpeed, StorageClass, Tier, Usage, has_least_size,
    home_pool,
};

use crate::cost::Prices;

/// What an archived object is billed beside its bytes, at the rate of its class: its index entry.
const ARCHIVE_INDEX_BYTES: f64 = 32.0 * 1024.0;
/// And at the rate of STANDARD: its name and metadata.
const ARCHIVE_NAME_BYTES: f64 = 8.0 * 1024.0;
/// Days in a month of storage: the durations that classes are paid for at least are 1, 3 and 6 of them.
pub(super) const MONTH_DAYS: f64 = 30.0;

/// A bill, by bucket, class and tier.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Bill {
    /// Its lines.
    pub lines: Vec<Line>,
    /// What they add up to.
    pub total: Amounts,
}

/// One line: what a bucket holds in a class and tier, and what that costs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Line {
    /// The bucket.
    pub bucket: String,
    /// The storage class.
    pub class: String,
    /// The tier, in INTELLIGENT_TIERING.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tier: Option<String>,
    /// Object versions.
    pub objects: i64,
    /// Delete markers.
    pub delete_markers: i64,
    /// The sizes of the objects.
    pub logical_bytes: i64,
    /// What is billed at the rate of the class: least sizes, index entries and the keys of delete markers included.
    pub billable_bytes: i64,
    /// The sizes of the objects as they are stored: compressed, before copies and deduplication.
    pub stored_bytes: i64,
    /// What that takes on disks with copies and parity, by what the class's pool takes for them.
    pub physical_bytes: i64,
    /// Logical by stored bytes; nothing where nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compression: Option<f64>,
    /// The sizes of the parts of open uploads.
    pub part_bytes: i64,
    /// The sizes of the objects that have a restored copy.
    pub restored_bytes: i64,
    /// Tags.
    pub tags: i64,
    /// PUT, COPY, POST and LIST requests of the month.
    pub write_requests: i64,
    /// Other requests of the month.
    pub read_requests: i64,
    /// Bytes read, or restored.
    pub retrieved_bytes: i64,
    /// Lifecycle transitions into the class.
    pub transitions: i64,
    /// What it costs.
    pub cost: Amounts,
}

/// Amounts of money, in the currency of the prices.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Amounts {
    /// Storage for a month at the rate of the class.
    pub storage: f64,
    /// The names and metadata of archived objects for a month.
    pub archive_names: f64,
    /// Restored copies, and parts of open uploads, for a month at the rate of STANDARD.
    pub temporary: f64,
    /// Watching objects of INTELLIGENT_TIERING for a month.
    pub monitoring: f64,
    /// Tags for a month.
    pub tags: f64,
    /// Requests.
    pub requests: f64,
    /// Lifecycle transitions.
    pub transitions: f64,
    /// Bytes read from classes that charge for it, and restores.
    pub retrieval: f64,
    /// What left its class too early.
    pub early_delete: f64,
    /// All of these.
    pub total: f64,
}

/// Makes the bill of a store from all that it holds and all that happened. `pools` tell what bytes take on disks.
pub fn bill(usage: &[BucketUsage], activity: &[BucketActivity], pools: &[PoolStatus], prices: &Prices) -> Bill {
    let rates = Rates::new(usage, prices);
    let mut lines: BTreeMap<(&str, StorageClass, Tier), Line> = BTreeMap::new();
    for BucketUsage { bucket, class, tier, usage } in usage {
        let line = lines.entry((bucket.as_str(), *class, *tier)).or_default();
        hold(line, *class, *tier, usage);
        line.physical_bytes = physical_bytes(pools, *class, *tier, usage.stored_bytes);
        line.cost = rates.held(*class, *tier, usage);
    }
    for BucketActivity { bucket, class, activity } in activity {
        // What happens in INTELLIGENT_TIERING is told with its first tier.
        let line = lines.entry((bucket.as_str(), *class, Tier::Frequent)).or_default();
        happen(line, activity);
        price_activity(&mut line.cost, *class, activity, prices);
    }
    let mut bill = Bill::default();
    for ((bucket, class, tier), mut line) in lines {
        bucket.clone_into(&mut line.bucket);
        class.name().clone_into(&mut line.class);
        line.tier = (class == StorageClass::IntelligentTiering).then(|| tier.name().to_owned());
        line.cost.finish();
        bill.lines.push(line);
    }
    bill.sum();
    bill
}

impl Bill {
    /// Only the lines of one bucket. The bands stay those of the whole store.
    #[must_use]
    pub fn of_bucket(mut self, bucket: &str) -> Bill {
        self.lines.retain(|line| line.bucket == bucket);
        self.sum();
        self
    }

    fn sum(&mut self) {
        self.total = Amounts::default();
        for Line { cost, .. } in &self.lines {
            let Amounts { storage, archive_names, temporary, monitoring, tags, requests, transitions, .. } = *cost;
            self.total.storage += storage;
            self.total.archive_names += archive_names;
            self.total.temporary += temporary;
            self.total.monitoring += monitoring;
            self.total.tags += tags;
            self.total.requests += requests;
            self.total.transitions += transitions;
            self.total.retrieval += cost.retrieval;
            self.total.early_delete += cost.early_delete;
        }
        self.total.finish();
    }
}

impl Amounts {
    fn finish(&mut self) {
        let held = self.storage + self.archive_names + self.temporary + self.monitoring + self.tags;
        self.total = held + self.requests + self.transitions + self.retrieval + self.early_delete;
    }
}

/// What a gigabyte costs on average in each class and tier, given all that the store holds.
struct Rates<'a> {
    prices: &'a Prices,
    gb_month: BTreeMap<(StorageClass, Tier), f64>,
}

impl<'a> Rates<'a> {
    fn new(usage: &[BucketUsage], prices: &'a Prices) -> Rates<'a> {
        let mut volumes: BTreeMap<(StorageClass, Tier), f64> = BTreeMap::new();
        for BucketUsage { class, tier, usage, .. } in usage {
            *volumes.entry((*class, *tier)).or_default() += billable_bytes(*class, *tier, usage);
            *volumes.entry((StorageClass::Standard, Tier::Frequent)).or_default() +=
                name_bytes(*class, *tier, usage) + temporary_bytes(usage);
        }
        let average = |((class, tier), bytes): ((StorageClass, Tier), f64)| {
            let gigabytes = bytes / prices.gigabyte_bytes as f64;
            let rate = match gigabytes > 0.0 {
                true => prices.storage(class, tier, gigabytes) / gigabytes,
                false => prices.first_band(class, tier),
            };
            ((class, tier), rate)
        };
        Rates { prices, gb_month: volumes.into_iter().map(average).collect() }
    }

    fn price(&self, class: StorageClass, tier: Tier, bytes: f64) -> f64 {
        let rate = self.gb_month.get(&(class, tier)).copied();
        let rate = rate.unwrap_or_else(|| self.prices.first_band(class, tier));
        bytes / self.prices.gigabyte_bytes as f64 * rate
    }

    /// What holding it for a month costs.
    fn held(&self, class: StorageClass, tier: Tier, usage: &Usage) -> Amounts {
        let is_monitored = class == StorageClass::IntelligentTiering;
        let monitored = if is_monitored { usage.objects - usage.small_objects } else { 0 };
        Amounts {
            storage: self.price(class, tier, billable_bytes(class, tier, usage)),
            archive_names: self.price(StorageClass::Standard, Tier::Frequent, name_bytes(class, tier, usage)),
            temporary: self.price(StorageClass::Standard, Tier::Frequent, temporary_bytes(usage)),
            monitoring: monitored as f64 / 1000.0 * self.prices.monitoring,
            tags: usage.tags as f64 / 10_000.0 * self.prices.tags,
            ..Amounts::default()
        }
    }
}

/// Whether objects there are billed with the overhead of archives.
pub(super) fn is_archive(class: StorageClass, tier: Tier) -> bool {
    match class {
        StorageClass::Glacier | StorageClass::DeepArchive => true,
        StorageClass::IntelligentTiering => tier.is_archive(),
        _ => false,
    }
}

/// What is billed at the rate of the class.
fn billable_bytes(class: StorageClass, tier: Tier, usage: &Usage) -> f64 {
    let bytes = if has_least_size(class) { usage.billed_bytes } else { usage.bytes };
    let index = if is_archive(class, tier) { usage.objects as f64 * ARCHIVE_INDEX_BYTES } else { 0.0 };
    bytes as f64 + usage.marker_bytes as f64 + index
}

/// What is billed at the rate of STANDARD for objects of another class.
fn name_bytes(class: StorageClass, tier: Tier, usage: &Usage) -> f64 {
    if is_archive(class, tier) { usage.objects as f64 * ARCHIVE_NAME_BYTES } else { 0.0 }
}

/// What is billed at the rate of STANDARD because it is not there to stay.
fn temporary_bytes(usage: &Usage) -> f64 {
    (usage.part_bytes + usage.restored_bytes) as f64
}

/// What holding an archived object costs beside its bytes for a month, in the first bands.
pub(super) fn archive_overhead(class: StorageClass, tier: Tier, prices: &Prices) -> f64 {
    if !is_archive(class, tier) {
        return 0.0;
    }
    let index = ARCHIVE_INDEX_BYTES * prices.first_band(class, tier);
    let name = ARCHIVE_NAME_BYTES * prices.first_band(StorageClass::Standard, Tier::Frequent);
    (index + name) / prices.gigabyte_bytes as f64
}

/// What so many bytes, as stored, take on disks in that class and tier.
pub fn physical_bytes(pools: &[PoolStatus], class: StorageClass, tier: Tier, stored_bytes: i64) -> i64 {
    let pool = pools.iter().find(|pool| pool.pool == home_pool(class, tier));
    pool.map_or(stored_bytes, |pool| pool.physical_bytes_of(stored_bytes))
}

fn hold(line: &mut Line, class: StorageClass, tier: Tier, usage: &Usage) {
    line.objects = usage.objects;
    line.delete_markers = usage.markers;
    line.logical_bytes = usage.bytes;
    line.billable_bytes = billable_bytes(class, tier, usage) as i64;
    line.stored_bytes = usage.stored_bytes;
    line.compression = (usage.stored_bytes > 0).then(|| usage.bytes as f64 / usage.stored_bytes as f64);
    line.part_bytes = usage.part_bytes;
    line.restored_bytes = usage.restored_bytes;
    line.tags = usage.tags;
}

fn happen(line: &mut Line, activity: &Activity) {
    line.write_requests = activity.writes;
    line.read_requests = activity.reads;
    line.retrieved_bytes = activity.retrieved_bytes + activity.restored_bytes.iter().sum::<i64>();
    line.transitions = activity.transitions;
}

fn price_activity(cost: &mut Amounts, class: StorageClass, activity: &Activity, prices: &Prices) {
    let of_class = prices.class(class);
    let gigabytes = |bytes: i64| bytes as f64 / prices.gigabyte_bytes as f64;
    let thousands = |count: i64| count as f64 / 1000.0;
    cost.requests = thousands(activity.writes) * of_class.writes + thousands(activity.reads) * of_class.reads;
    cost.transitions = thousands(activity.transitions) * of_class.transitions;
    cost.retrieval = gigabytes(activity.retrieved_bytes) * of_class.retrieval;
    for speed in [RestoreSpeed::Bulk, RestoreSpeed::Standard, RestoreSpeed::Expedited] {
        let at = speed as usize;
        let price = of_class.restores(speed);
        cost.retrieval += thousands(activity.restores[at]) * price.requests;
        cost.retrieval += gigabytes(activity.restored_bytes[at]) * price.gb;
    }
    cost.early_delete = early_delete(class, activity.early_delete_byte_days as f64, prices);
}

/// What leaving a class too early costs: storage for the days that are missing.
pub(super) fn early_delete(class: StorageClass, byte_days: f64, prices: &Prices) -> f64 {
    let gb_months = byte_days / MONTH_DAYS / prices.gigabyte_bytes as f64;
    gb_months * prices.first_band(class, Tier::Frequent)
}

#[cfg(test)]
mod tests;
