//! Object Lock in the histories: what holds a version, and until when, is known; so is whether it can be removed.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use strata_storage::{
    BucketChange, Error, Governance, LegalHold, ObjectLock, Retention, RetentionChange, RetentionMode, RetentionPeriod,
    Timestamp, VersionSelector,
};

use crate::model::{Model, Object};
use crate::ops::KEYS;
use crate::run::Run;
use crate::support::{DAY, bucket, key};

/// Something about locks. In a bucket without Object Lock all of it is refused.
#[derive(Debug, Clone)]
pub enum Locking {
    /// How new versions are retained, in days.
    Default(Option<(RetentionMode, u32)>),
    /// Retains the version at a place of the key's list for so many days, or no more. None at all is in the past.
    Retain {
        key: usize,
        place: usize,
        retention: Option<(RetentionMode, u32)>,
        bypass: bool,
    },
    Hold {
        key: usize,
        place: usize,
        on: bool,
    },
    /// Deletes the version at a place of the key's list, and bypasses governance.
    Delete {
        key: usize,
        place: usize,
    },
}

pub fn lockings() -> impl Strategy<Value = Locking> {
    let retentions = || {
        let modes = prop_oneof![2 => Just(RetentionMode::Governance), 1 => Just(RetentionMode::Compliance)];
        prop_oneof![4 => (modes, 0..40_u32).prop_map(Some), 1 => Just(None)]
    };
    let (keys, places) = (0..KEYS.len(), 0..3_usize);
    prop_oneof![
        1 => retentions().prop_map(Locking::Default),
        4 => (keys.clone(), places.clone(), retentions(), any::<bool>())
            .prop_map(|(key, place, retention, bypass)| Locking::Retain { key, place, retention, bypass }),
        2 => (keys.clone(), places.clone(), any::<bool>()).prop_map(|(key, place, on)| Locking::Hold { key, place, on }),
        2 => (keys, places).prop_map(|(key, place)| Locking::Delete { key, place }),
    ]
}

impl Object {
    /// Whether it may not be removed.
    pub fn is_held(&self, now: u64, governance: Governance) -> bool {
        let retained = self.lock.retention.filter(|retention| now < retention.until.as_nanos());
        let yields =
            |retention: &Retention| retention.mode == RetentionMode::Governance && governance == Governance::Bypassed;
        self.lock.legal_hold == Some(LegalHold::On) || retained.is_some_and(|retention| !yields(&retention))
    }
}

impl Model {
    /// The retention of a version that is made now.
    pub fn default_retention(&self, now: u64) -> Option<Retention> {
        let (mode, period) = self.locks?.default?;
        let RetentionPeriod::Days(days) = period else { return None };
        Some(Retention { mode, until: Timestamp::from_nanos(now + u64::from(days) * DAY) })
    }
}

impl Run {
    /// Does it.
    pub async fn lock(&mut self, locking: &Locking) {
        match *locking {
            Locking::Default(default) => self.set_default(default).await,
            Locking::Retain { key, place, retention, bypass } => {
                let governance = if bypass { Governance::Bypassed } else { Governance::Binding };
                self.retain((KEYS[key], place), retention, governance).await;
            }
            Locking::Hold { key, place, on } => {
                self.hold((KEYS[key], place), if on { LegalHold::On } else { LegalHold::Off }).await;
            }
            Locking::Delete { key, place } => {
                self.delete_version_with(KEYS[key], place, Governance::Bypassed).await;
            }
        }
    }

    async fn set_default(&mut self, default: Option<(RetentionMode, u32)>) {
        let default = default.map(|(mode, days)| (mode, RetentionPeriod::Days(days + 1)));
        if self.model.locks.is_none() {
            // It would turn Object Lock on, which `SetVersioning` knows nothing of.
            return;
        }
        let lock = ObjectLock { default };
        self.world.store.change_bucket(&bucket(), BucketChange::ObjectLock(lock)).await.expect("it is versioned");
        self.model.locks = Some(lock);
    }

    async fn retain(
        &mut self,
        (name, place): (&'static str, usize),
        retention: Option<(RetentionMode, u32)>,
        governance: Governance,
    ) {
        let (now, has_locks) = (self.now(), self.model.locks.is_some());
        let Some(version) = self.model.versions(name).get_mut(place) else { return };
        let until = |days: u32| Timestamp::from_nanos(now + u64::from(days) * DAY - u64::from(days == 0));
        let retention = retention.map(|(mode, days)| Retention { mode, until: until(days) });
        let is_over = retention.is_some_and(|retention| retention.until.as_nanos() <= now);
        let selector = VersionSelector::Id(version.id.expect("every id is known"));
        let change = RetentionChange { retention, governance };
        let outcome = self.world.store.set_retention(&bucket(), &key(name), selector, change).await;
        match (&mut version.object, outcome) {
            (_, Err(Error::NoObjectLock)) => assert!(!has_locks),
            (_, Err(Error::RetentionOver)) => assert!(is_over),
            (None, Err(Error::DeleteMarker { .. })) => {}
            (Some(object), outcome) => {
                let present = object.lock.retention.filter(|retention| now < retention.until.as_nanos());
                let extends = |present: Retention| {
                    retention.is_some_and(|it| it.mode == present.mode && it.until >= present.until)
                };
                let yields = |present: Retention| {
                    present.mode == RetentionMode::Governance && governance == Governance::Bypassed
                };
                let allowed = present.is_none_or(|present| extends(present) || yields(present));
                match outcome {
                    Ok(_) => assert!(allowed && has_locks && !is_over),
                    Err(Error::ObjectLocked { lock }) => return assert!(!allowed && lock == object.lock),
                    Err(error) => panic!("{error}"),
                }
                object.lock.retention = retention;
                version.acted = None;
            }
            (None, outcome) => panic!("{outcome:?}"),
        }
    }

    async fn hold(&mut self, (name, place): (&'static str, usize), hold: LegalHold) {
        let has_locks = self.model.locks.is_some();
        let Some(version) = self.model.versions(name).get_mut(place) else { return };
        let selector = VersionSelector::Id(version.id.expect("every id is known"));
        let outcome = self.world.store.set_legal_hold(&bucket(), &key(name), selector, hold).await;
        match (&mut version.object, outcome) {
            (Some(object), Ok(_)) => (object.lock.legal_hold, version.acted) = (Some(hold), None),
            (None, Err(Error::DeleteMarker { .. })) => {}
            (_, Err(Error::NoObjectLock)) => assert!(!has_locks),
            (_, outcome) => panic!("{outcome:?}"),
        }
    }

    /// Takes off all holds and lets all retentions end, without any work being done.
    pub async fn unlock_all(&mut self) {
        for name in KEYS {
            for place in 0..self.model.versions(name).len() {
                if self.object_at(name, place).is_some_and(|(_, it)| it.lock.legal_hold == Some(LegalHold::On)) {
                    self.hold((name, place), LegalHold::Off).await;
                }
            }
        }
        let ends = self.model.objects().filter_map(|(_, object)| Some(object.lock.retention?.until.as_nanos())).max();
        if let Some(end) = ends.filter(|end| *end >= self.now()) {
            self.world.clock.set(Timestamp::from_nanos(end + DAY));
        }
    }
}
