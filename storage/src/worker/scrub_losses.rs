//! Which versions lost chunks belong to: contents are found by their references, and versions by going through all of them,
//! once for all losses of a pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::index::record::{Body, PartEntry, Record as _, StoredBlob, VersionRecord};
use crate::index::{Family, Rows, Step, key};
use crate::list::following;
use crate::stamp::{Stamp, VersionId};
use crate::store::{Inner, Store};
use crate::worker::scrub::LostVersion;
use crate::worker::{Next, ROW_BYTES};

/// Contents of which the versions are looked for, and versions that are named. They are in a row of the index.
const CONTENTS_MAX: usize = 1000;
const VERSIONS_MAX: usize = 1000;
/// Versions that are looked at before others have a turn.
const ROWS_PER_STEP: usize = 1000;

/// The losses of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Losses {
    /// Contents that are damaged.
    contents: BTreeSet<Stamp>,
    /// The version row after which the search goes on.
    after: Vec<u8>,
    /// What was found.
    pub(super) versions: Vec<LostVersion>,
}

impl Losses {
    /// Adds a chunk that is lost.
    pub(super) async fn add(&mut self, inner: &Inner, blob: StoredBlob) -> Result<()> {
        let most = CONTENTS_MAX.saturating_sub(self.contents.len());
        let found = inner.index.read(move |rows| contents_of(rows, &blob, most)).await?;
        self.contents.extend(found);
        Ok(())
    }
}

fn contents_of(rows: &Rows<'_>, blob: &StoredBlob, most: usize) -> Result<Vec<Stamp>> {
    let mut found = Vec::new();
    let from = key::stored_blob(blob);
    rows.scan(Family::Reference, &from, &key::after_prefix(from.clone()), |row, _| {
        if found.len() == most {
            return Ok(Step::Stop);
        }
        found.extend(row.last_chunk::<16>().map(|content| Stamp::from_bytes(*content)));
        Ok(Step::Next)
    })?;
    Ok(found)
}

/// Looks through some versions. `Next::Later` when all were looked at, or nothing is lost.
pub(super) async fn find_some(inner: &Arc<Inner>, losses: &mut Losses) -> Result<Next> {
    if losses.contents.is_empty() || losses.versions.len() >= VERSIONS_MAX {
        return Ok(Next::Later);
    }
    inner.budget.spend(ROWS_PER_STEP as u64 * ROW_BYTES).await;
    let (contents, after) = (losses.contents.clone(), losses.after.clone());
    let (found, last) = inner.index.read(move |rows| look_at_some(rows, &contents, &after)).await?;
    let store = Store::of(Arc::clone(inner));
    for (bucket, key, version) in found {
        if let Some(bucket) = store.bucket_name(bucket).await? {
            let bucket = bucket.as_str().to_owned();
            tracing::error!(bucket, key, version, "a version has lost bytes");
            losses.versions.push(LostVersion { bucket, key, version });
        }
    }
    losses.versions.truncate(VERSIONS_MAX);
    match last {
        Some(last) => {
            losses.after = following(last);
            Ok(Next::Now)
        }
        None => {
            losses.contents.clear();
            Ok(Next::Later)
        }
    }
}

/// Bucket, key and version.
type Found = (u64, String, String);

/// The versions among the next that have such a content, and the last row looked at unless it was the last of all.
fn look_at_some(rows: &Rows<'_>, contents: &BTreeSet<Stamp>, after: &[u8]) -> Result<(Vec<Found>, Option<Vec<u8>>)> {
    let (mut found, mut last, mut looked_at) = (Vec::new(), None, 0);
    rows.scan(Family::Version, after, &[], |row, value| {
        looked_at += 1;
        // What cannot be read of the index, a check tells of.
        if let (Some((key, stamp)), Ok(record)) = (key::split_version(row), VersionRecord::decode(value))
            && let Some(object) = &record.object
            && has_content(rows, &object.body, contents)?
            && let Some(bucket) = row.first_chunk::<8>()
        {
            let id = if record.null { VersionId::Null } else { VersionId::Stamp(stamp) };
            found.push((u64::from_be_bytes(*bucket), key, id.to_string()));
        }
        if looked_at < ROWS_PER_STEP {
            return Ok(Step::Next);
        }
        last = Some(row.to_vec());
        Ok(Step::Stop)
    })?;
    Ok((found, last))
}

fn has_content(rows: &Rows<'_>, body: &Body, contents: &BTreeSet<Stamp>) -> Result<bool> {
    let (table, pages) = match body {
        Body::Single(content) => return Ok(contents.contains(&content.id)),
        Body::Parts { table, pages, .. } => (*table, pages.len()),
    };
    for number in (0..).take(pages) {
        let page = rows.get(Family::Manifest, &key::page(table, number))?;
        let parts = page.and_then(|page| Vec::<PartEntry>::decode(&page).ok()).unwrap_or_default();
        if parts.iter().any(|part| contents.contains(&part.content.id)) {
            return Ok(true);
        }
    }
    Ok(false)
}
