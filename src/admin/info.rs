//! `GET info`: what the store is, where it lies, what it survives, and what it holds by pool and by class.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strata_storage::{PoolStatus, StorageClass, Tier, Usage};

use crate::admin::zones::{self, ZoneDocument};
use crate::admin::{AdminRequest, ratio};
use crate::cost::physical_bytes;
use crate::error::S3Error;
use crate::request::Context;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InfoDocument {
    /// The version of the server.
    pub version: String,
    /// The store's id.
    pub store_id: String,
    /// The data directory.
    pub data: String,
    /// The region.
    pub region: String,
    /// Object versions.
    pub objects: i64,
    /// Their sizes.
    pub bytes: i64,
    /// Delete markers.
    pub delete_markers: i64,
    /// Where the index is.
    pub index: IndexDocument,
    /// The disks that object data is spread over.
    pub zones: Vec<ZoneDocument>,
    /// The forms in which object data is kept.
    pub pools: Vec<PoolDocument>,
    /// Files of object data that can be read, though parts of them are missing, or though they were written for fewer zones
    /// than there are: the next loss may be one too many.
    pub degraded_segments: u64,
    /// What cannot be read, because too few zones are left.
    pub lost: LostDocument,
    /// What is held by class and tier.
    pub classes: Vec<ClassDocument>,
}

/// Where the index is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexDocument {
    /// The directory.
    pub directory: String,
    /// What it survives.
    pub redundancy: String,
}

/// A form in which object data is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolDocument {
    /// Its name.
    pub pool: String,
    /// What new data in it survives.
    pub redundancy: String,
    /// The shards of a file that hold its bytes.
    pub data_shards: u8,
    /// The shards of a file that can replace others.
    pub parity_shards: u8,
    /// Files of object data.
    pub segments: u64,
    /// Those that can be read, though parts or copies of them are missing.
    pub degraded_segments: u64,
    /// The sizes of the object versions that belong here.
    pub logical_bytes: i64,
    /// Their sizes as stored: compressed, before copies and deduplication.
    pub stored_bytes: i64,
    /// The sizes of the files with copies and parity, and with what was deleted and is not collected yet.
    pub physical_bytes: u64,
    /// Logical by stored bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compression: Option<f64>,
}

/// What cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LostDocument {
    /// Files of object data.
    pub segments: u64,
    /// What is in use in them.
    pub bytes: u64,
}

/// What is held in a class and tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassDocument {
    /// The class.
    pub class: String,
    /// The tier, in INTELLIGENT_TIERING.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tier: Option<String>,
    /// Object versions.
    pub objects: i64,
    /// Their sizes.
    pub bytes: i64,
    /// Their sizes as stored: compressed, before copies and deduplication.
    pub stored_bytes: i64,
    /// What that takes on disks with copies and parity, by what the class's pool takes for them.
    pub physical_bytes: i64,
    /// Sizes by sizes as stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compression: Option<f64>,
}

/// Answers.
pub async fn get(ctx: &Context, _request: AdminRequest) -> Result<InfoDocument, S3Error> {
    let info = ctx.store.info().await?;
    let lost = ctx.store.lost_bytes().await?;
    let mut sums: BTreeMap<(StorageClass, Tier), Usage> = BTreeMap::new();
    let mut total = Usage::default();
    for row in ctx.store.usage(None).await? {
        *sums.entry((row.class, row.tier)).or_default() += row.usage;
        total += row.usage;
    }
    Ok(InfoDocument {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store_id: info.id,
        data: ctx.config.data.display().to_string(),
        region: ctx.config.region.clone(),
        objects: total.objects,
        bytes: total.bytes,
        delete_markers: total.markers,
        index: IndexDocument {
            directory: info.index.display().to_string(),
            redundancy: "on one disk, with no copy elsewhere: without it object data cannot be found".to_owned(),
        },
        degraded_segments: info.pools.iter().map(|pool| pool.degraded_segments).sum(),
        pools: info.pools.iter().map(|pool| pool_document(pool, info.active_zones)).collect(),
        zones: info.zones.into_iter().map(zones::document).collect(),
        lost: LostDocument { segments: lost.segments, bytes: lost.bytes },
        classes: sums.into_iter().map(|(held, usage)| class_document(held, usage, &info.pools)).collect(),
    })
}

fn pool_document(status: &PoolStatus, zones: usize) -> PoolDocument {
    PoolDocument {
        pool: status.pool.name().to_owned(),
        redundancy: redundancy(status.data, status.parity, zones),
        data_shards: status.data,
        parity_shards: status.parity,
        segments: status.segments,
        degraded_segments: status.degraded_segments,
        logical_bytes: status.object_bytes,
        stored_bytes: status.stored_bytes,
        physical_bytes: status.physical_bytes,
        compression: ratio(status.object_bytes, status.stored_bytes),
    }
}

/// What data survives that is spread over so many of the zones in use.
fn redundancy(data: u8, parity: u8, zones: usize) -> String {
    match (data, parity, zones) {
        (_, _, 0) => "no zone is in use: nothing can be stored".to_owned(),
        (_, _, 1) => "one zone: nothing survives the loss of its disk".to_owned(),
        (_, 0, _) => "1 copy; lost with its zone".to_owned(),
        (1, _, _) => format!("{} copies; survives the loss of any {parity} of {zones} zones", parity + 1),
        (..) => format!("{data}+{parity} Reed-Solomon; survives the loss of any {parity} of {zones} zones"),
    }
}

fn class_document((class, tier): (StorageClass, Tier), usage: Usage, pools: &[PoolStatus]) -> ClassDocument {
    ClassDocument {
        class: class.name().to_owned(),
        tier: (class == StorageClass::IntelligentTiering).then(|| tier.name().to_owned()),
        objects: usage.objects,
        bytes: usage.bytes,
        stored_bytes: usage.stored_bytes,
        physical_bytes: physical_bytes(pools, class, tier, usage.stored_bytes),
        compression: ratio(usage.bytes, usage.stored_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::redundancy;

    #[test]
    fn redundancy_in_words() {
        let check = |data, parity, zones, expected| assert_eq!(redundancy(data, parity, zones), expected);
        check(1, 1, 3, "2 copies; survives the loss of any 1 of 3 zones");
        check(2, 1, 3, "2+1 Reed-Solomon; survives the loss of any 1 of 3 zones");
        check(8, 2, 12, "8+2 Reed-Solomon; survives the loss of any 2 of 12 zones");
        check(1, 0, 3, "1 copy; lost with its zone");
        check(1, 0, 1, "one zone: nothing survives the loss of its disk");
        check(1, 0, 0, "no zone is in use: nothing can be stored");
    }
}
