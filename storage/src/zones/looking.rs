//! Looking at the zones of an open store: which are lost, back, replaced by an empty directory, or emptied.

use std::sync::atomic::Ordering;

use super::marker::Found;
use super::registry::{Purpose, ZoneEntry};
use super::{look, mark_of, take_into_use};
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::store::Inner;
use crate::zone::ZoneState;

impl Inner {
    /// Looks at every zone: tells of those that are lost, and takes back those that returned or were replaced.
    pub(crate) async fn look_at_zones(&self) -> Result<()> {
        let _alone = self.zones.looks.lock().await;
        self.check_writable()?;
        let entries = self.zones.state().registry.zones.clone();
        for entry in entries {
            let (id, zone) = (entry.id, entry.name.clone());
            match self.look_at_zone(entry).await {
                Ok(false) => {}
                Ok(true) => drop(self.zones.news.fetch_add(1, Ordering::SeqCst)),
                Err(Error::Closed) => return Err(Error::Closed),
                // The others are looked at all the same. It is told once.
                Err(error) => {
                    let reason = error.to_string();
                    if self.zones.set_reason(id, Some(reason.clone())) {
                        tracing::error!(zone, reason, "a zone cannot be taken into use; it is tried again");
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks at a zone. Returns whether it was found otherwise than before.
    async fn look_at_zone(&self, entry: ZoneEntry) -> Result<bool> {
        let Some(info) = self.blobs.zones().into_iter().find(|zone| zone.id == entry.id) else { return Ok(false) };
        let mark = mark_of(&entry, self.zones.store_id);
        let back = match entry.purpose {
            Purpose::Used => ZoneState::Active,
            Purpose::Drained | Purpose::GivenUp => ZoneState::Draining,
        };
        let (looker, there) = (mark.clone(), entry.clone());
        let found = blocking(move || look(&looker, &there)).await?;
        let (id, zone, directory) = (entry.id, entry.name.clone(), entry.directory.display().to_string());
        match (found, info.state) {
            (Found::Zone, ZoneState::Lost) => {
                self.blobs.set_zone_state(id, back).await?;
                tracing::info!(zone, directory, "a zone is back");
                self.zones.set_reason(id, None);
                Ok(true)
            }
            (Found::Zone | Found::Unknown, _) | (Found::Nothing | Found::Other(_), ZoneState::Lost) => Ok(false),
            (Found::Empty, _) => {
                // Whatever was known of it lay on another disk.
                self.blobs.set_zone_state(id, ZoneState::Lost).await?;
                self.blobs.seal_active().await?;
                blocking(move || take_into_use(&mark, &entry)).await??;
                self.blobs.set_zone_state(id, back).await?;
                tracing::warn!(zone, directory, "a zone was replaced by an empty directory; it is rebuilt");
                self.zones.set_reason(id, None);
                Ok(true)
            }
            (found, _) => {
                let reason = match found {
                    Found::Other(what) => format!("the directory is {what}"),
                    _ => "the directory is missing or cannot be read".to_owned(),
                };
                self.blobs.set_zone_state(id, ZoneState::Lost).await?;
                // What is still being written without the zone is rebuilt once it is sealed.
                self.blobs.seal_active().await?;
                tracing::error!(zone, directory, reason, "a zone is lost; what is in it is read from the others");
                self.zones.set_reason(id, Some(reason));
                Ok(true)
            }
        }
    }

    /// Forgets drained zones that hold nothing any more, and those that were given up.
    pub(crate) async fn forget_empty_zones(&self) -> Result<()> {
        let _nobody_looks = self.zones.looks.lock().await;
        let _alone = self.zones.changes.lock().await;
        let (mut registry, mut drained) = self.zones.lists();
        let infos = self.blobs.zones();
        let is_done = |entry: &ZoneEntry| {
            let info = infos.iter().find(|info| info.id == entry.id);
            // Of a lost zone nothing is known, so that it seems to be empty.
            let is_lost = info.is_some_and(|info| info.state == ZoneState::Lost);
            match entry.purpose {
                Purpose::Used => false,
                Purpose::Drained if is_lost => false,
                Purpose::Drained | Purpose::GivenUp => info.is_none_or(|info| info.segments == 0),
            }
        };
        let done: Vec<ZoneEntry> = registry.zones.iter().filter(|entry| is_done(entry)).cloned().collect();
        if done.is_empty() {
            return Ok(());
        }
        registry.zones.retain(|entry| !is_done(entry));
        done.iter().for_each(|entry| drained.insert(&entry.name));
        self.commit_zones(registry, drained).await?;
        for entry in done {
            self.blobs.forget_zone(entry.id).await?;
            self.zones.set_reason(entry.id, None);
            let (zone, directory) = (entry.name.clone(), entry.directory.display().to_string());
            tracing::info!(zone, directory, "a zone was emptied and is no longer used");
            let mark = mark_of(&entry, self.zones.store_id);
            // Whoever adds the directory finds what dying before this leaves.
            if let Err(error) = blocking(move || mark.release(&entry.directory)).await? {
                tracing::warn!(%error, zone, directory, "the mark of a zone that was emptied cannot be removed");
            }
        }
        Ok(())
    }
}
