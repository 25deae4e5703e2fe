//! Listings of versions in pages. Other than a page, which is as of one moment, they promise little, and this:
//!
//! * A version that was there before the listing began, and was not removed before its end, is shown, once.
//! * A version that was removed before the listing began is not shown.
//!
//! A page that ends with a `null` version is where this ends: the next one begins after the `null` version of then. And
//! `null` may be shown twice, if another one takes the place of the first meanwhile: an upload's takes an older place.

use std::collections::HashSet;

use rand::Rng as _;
use rand::rngs::StdRng;
use strata_storage::{VersionId, VersionsQuery};

use crate::history::{Answer, Call, Event, Id};
use crate::machine::KEYS;
use crate::rounds::Round;

/// What a listing showed.
#[derive(Debug)]
pub struct Listing {
    begun: u64,
    ended: u64,
    /// In the order shown.
    found: Vec<(String, Id)>,
}

/// Lists all versions in pages of one to three, and notes what came.
pub async fn list_pages(round: &Round, draws: &mut StdRng) {
    let begun = round.order.next();
    let mut query = VersionsQuery { max: draws.random_range(1..4), ..VersionsQuery::default() };
    let (mut found, mut is_told) = (Vec::new(), true);
    loop {
        let page = round.target.store.list_versions(&round.bucket, query.clone()).await.expect("it is listed");
        found.extend(page.entries.into_iter().map(|entry| (entry.key.as_str().to_owned(), Id::of(entry.version_id))));
        let Some((key, version)) = page.next else { break };
        is_told &= version != Some(VersionId::Null);
        (query.key_marker, query.version_marker) = (key, version);
    }
    if is_told {
        let listing = Listing { begun, ended: round.order.next(), found };
        round.listings.lock().expect("nobody panics with it").push(listing);
    }
}

/// Compares a listing with what happened to a key.
pub fn check(listing: &Listing, key: usize, events: &[Event]) -> Result<(), String> {
    let shown: Vec<Id> = listing.found.iter().filter(|(name, _)| name == KEYS[key]).map(|(_, id)| *id).collect();
    let mut distinct = HashSet::new();
    if !shown.iter().all(|id| *id == Id::Null || distinct.insert(*id)) {
        return Err(format!("{} is shown twice: {listing:?}", KEYS[key]));
    }
    let before = |event: &Event| event.ended.as_ref().is_some_and(|(ended, _)| *ended < listing.begun);
    for event in events.iter().filter(|event| before(event)) {
        let (made, removed) = match (&event.call, event.ended.as_ref().map(|(_, answer)| answer)) {
            (Call::Put { .. } | Call::Complete { .. }, Some(Answer::Written(id, _))) => (*id, None),
            (Call::Delete { .. }, Some(Answer::Deleted { id, .. })) => (*id, None),
            (Call::DeleteVersion(id), Some(Answer::Deleted { .. })) => (None, Some(*id)),
            _ => continue,
        };
        // Whatever is written removes the `null` version.
        let made = made.filter(|id| *id != Id::Null && !is_removed(*id, listing, events));
        if let Some(id) = made.filter(|id| !shown.contains(id)) {
            return Err(format!("{id:?} of {} is not shown: {listing:?}", KEYS[key]));
        }
        if let Some(id) = removed.filter(|id| *id != Id::Null && shown.contains(id)) {
            return Err(format!("{id:?} of {} is shown: {listing:?}", KEYS[key]));
        }
    }
    Ok(())
}

/// Whether somebody may have removed a version before the listing's end.
fn is_removed(id: Id, listing: &Listing, events: &[Event]) -> bool {
    events.iter().any(|event| event.call == Call::DeleteVersion(id) && event.begun < listing.ended)
}
