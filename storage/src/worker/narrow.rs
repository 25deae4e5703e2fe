//! Narrowing: references in pools where contents want their chunks no more are deleted, and with the last reference in
//! a pool the blob's place there.
//!
//! Whether a reference is the last one is looked for under three things that the batch holds until it is durable: the
//! lock of those who delete references, of whom there are two, this and `release`; a claim on the blob, which keeps
//! writes from relying on it meanwhile; and the locks of the keys. A blob that somebody else has pinned keeps its place
//! and these references, and the caller tries again later; so does one that a backup has still to copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::blob::BlobId;
use crate::error::Result;
use crate::index::record::StoredBlob;
use crate::index::{Batch, Family, key};
use crate::locks::Pin;
use crate::stamp::Stamp;
use crate::store::Inner;
use crate::worker::release::unreferenced;

/// Adds to `batch` what deletes references and drops the blobs that nothing else refers to. Returns the blobs that had
/// to be kept, with their references.
///
/// `staying` are blobs that the batch itself refers to. `pins` are the caller's: a claim takes their place.
pub(super) async fn narrow(
    inner: &Arc<Inner>,
    mut leaving: BTreeSet<(StoredBlob, Stamp)>,
    staying: &BTreeSet<StoredBlob>,
    pins: &mut BTreeMap<BlobId, Pin>,
    batch: &mut Batch,
) -> Result<BTreeSet<StoredBlob>> {
    let mut kept = BTreeSet::new();
    if leaving.is_empty() {
        return Ok(kept);
    }
    batch.hold(Arc::clone(&inner.collector.references).lock_owned().await);
    let blobs = leaving.iter().map(|&(blob, _)| blob).filter(|blob| !staying.contains(blob)).collect();
    let looked_for = leaving.clone();
    let mut claimed = BTreeSet::new();
    let mut claims = BTreeSet::new();
    let unused = inner.index.read(move |rows| unreferenced(rows, &looked_for, blobs)).await?;
    let needed = inner.needed_by_backup(&unused).await?;
    for blob in unused {
        if needed.contains(&blob.id) {
            kept.insert(blob);
            continue;
        }
        if !claims.contains(&blob.id) {
            let claim = match pins.remove(&blob.id) {
                Some(pin) => inner.pins.claim(pin).map_err(|pin| _ = pins.insert(blob.id, pin)).ok(),
                None => inner.pins.collect(blob.id),
            };
            let Some(claim) = claim else {
                kept.insert(blob);
                continue;
            };
            batch.hold(claim);
            claims.insert(blob.id);
        }
        claimed.insert(blob);
    }
    leaving.retain(|(blob, _)| !kept.contains(blob));
    for (blob, content) in &leaving {
        batch.delete(Family::Reference, key::reference(blob, *content));
    }
    // The look that decides comes after the claims: until then writes could add references.
    for blob in inner.index.read(move |rows| unreferenced(rows, &leaving, claimed)).await? {
        batch.drop_blob(blob);
    }
    Ok(kept)
}
