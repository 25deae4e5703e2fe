//! `GET info`: what the store is, where it lies, and what it holds by class.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strata_storage::{StorageClass, Tier, Usage};

use crate::admin::AdminRequest;
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
    /// Files of object data.
    pub segments: u64,
    /// Their sizes.
    pub segment_bytes: u64,
    /// The directories that hold object data.
    pub zones: Vec<ZoneDocument>,
    /// What is held by class and tier.
    pub classes: Vec<ClassDocument>,
}

/// A directory that holds object data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneDocument {
    /// Where it is.
    pub directory: String,
    /// What may still be used of its file system.
    pub free_bytes: u64,
    /// The size of its file system.
    pub total_bytes: u64,
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
    /// Sizes by sizes as stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compression: Option<f64>,
}

/// Answers.
pub async fn get(ctx: &Context, _request: AdminRequest) -> Result<InfoDocument, S3Error> {
    let info = ctx.store.info().await?;
    let mut sums: BTreeMap<(StorageClass, Tier), Usage> = BTreeMap::new();
    let mut total = Usage::default();
    for row in ctx.store.usage(None).await? {
        *sums.entry((row.class, row.tier)).or_default() += row.usage;
        total += row.usage;
    }
    let zone = |zone: strata_storage::ZoneInfo| ZoneDocument {
        directory: zone.directory.display().to_string(),
        free_bytes: zone.free_bytes,
        total_bytes: zone.total_bytes,
    };
    Ok(InfoDocument {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store_id: info.id,
        data: ctx.config.data.display().to_string(),
        region: ctx.config.region.clone(),
        objects: total.objects,
        bytes: total.bytes,
        delete_markers: total.markers,
        segments: info.segments,
        segment_bytes: info.segment_bytes,
        zones: info.zones.into_iter().map(zone).collect(),
        classes: sums.into_iter().map(|((class, tier), usage)| document(class, tier, usage)).collect(),
    })
}

fn document(class: StorageClass, tier: Tier, usage: Usage) -> ClassDocument {
    ClassDocument {
        class: class.name().to_owned(),
        tier: (class == StorageClass::IntelligentTiering).then(|| tier.name().to_owned()),
        objects: usage.objects,
        bytes: usage.bytes,
        stored_bytes: usage.stored_bytes,
        compression: (usage.stored_bytes > 0).then(|| usage.bytes as f64 / usage.stored_bytes as f64),
    }
}
