//! Zones in the histories: one may go, come back, or be replaced by an empty directory; then all is healed before
//! another goes.
//!
//! Only ONEZONE_IA is not redundant. An object that is of it, or that a rule took out of it, may be unreadable while a zone
//! is away, or for good once one was replaced; but it never has other bytes. A copy of it in another class is redundant.

use strata_storage::{StorageClass, ZoneState};

use crate::model::Object;
use crate::run::Run;

/// What happened to the zones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zones {
    /// How many there are; one is the data directory itself.
    pub count: usize,
    /// The one that is away.
    pub away: Option<usize>,
    /// Whether one was ever replaced.
    pub replaced: bool,
}

impl Zones {
    /// Whether the bytes of the object may be away.
    pub fn may_lack(&self, object: &Object) -> bool {
        object.fragile && (self.away.is_some() || self.replaced)
    }
}

impl Run {
    /// Takes a zone away, unless one is.
    pub async fn lose_zone(&mut self, zone: usize, noticed: bool) {
        let zones = &mut self.model.zones;
        if zones.count < 2 || zones.away.is_some() {
            return;
        }
        let zone = zone % zones.count;
        zones.away = Some(zone);
        self.world.lose_zone(zone);
        self.model.count("zone lost", 1);
        if noticed {
            self.heal(ZoneState::Lost, zone).await;
        }
    }

    /// Brings back the zone that is away, or puts an empty directory in its place.
    pub async fn return_zone(&mut self, empty: bool) {
        let Some(zone) = self.model.zones.away.take() else { return };
        self.world.return_zone(zone, empty);
        self.model.zones.replaced |= empty;
        self.model.count(if empty { "zone replaced" } else { "zone back" }, 1);
        self.heal(ZoneState::Active, zone).await;
    }

    /// Goes on with a store that was made of a backup, if all zones are there.
    pub async fn back_up(mut self) -> Run {
        if self.model.zones.away.is_none() && !self.model.zones.replaced {
            self.world = self.world.made_of_backup().await;
            self.model.count("made of a backup", 1);
        }
        self
    }

    async fn heal(&mut self, state: ZoneState, zone: usize) {
        self.world.store.heal().await.expect("what can be healed is");
        let name = format!("z{zone}");
        let found = self.world.store.zones().into_iter().find(|found| found.name == name);
        assert_eq!(found.expect("zones are not forgotten").state, state);
    }

    /// Finds out which objects are redundant after the workers have run: no longer fragile is what can be read while all
    /// zones are there.
    pub fn settle_fragile(&mut self) {
        let zones = self.model.zones;
        for (_, object) in self.model.objects() {
            object.fragile |= object.class == StorageClass::OnezoneIa;
            if zones.away.is_none() && !zones.replaced {
                object.fragile = object.class == StorageClass::OnezoneIa;
            }
        }
    }
}
