//! The stores that are kept: one on a single disk, one encrypted and spread over four.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strata_storage::{Clock, ManualClock, MasterKey, OpenOptions, SeededEntropy, Timestamp, ZoneOptions};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Plain,
    SealedInZones,
}

impl Shape {
    pub const ALL: [Shape; 2] = [Shape::Plain, Shape::SealedInZones];

    pub fn name(self) -> &'static str {
        match self {
            Shape::Plain => "plain",
            Shape::SealedInZones => "sealed",
        }
    }

    pub fn data(self, root: &Path) -> PathBuf {
        root.join(self.name()).join("data")
    }

    pub fn zones(self, root: &Path) -> Vec<ZoneOptions> {
        let count = if self == Shape::Plain { 0 } else { 4 };
        let zone = |at: usize| ZoneOptions {
            name: format!("z{at}"),
            directory: root.join(self.name()).join(format!("zone-{at}")),
        };
        (0..count).map(zone).collect()
    }

    pub fn master_key(self) -> Option<MasterKey> {
        (self != Shape::Plain).then(|| MasterKey::new(*b"the master key of a kept store.."))
    }
}

pub fn manual_clock(seconds: u64) -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_secs(seconds)))
}

pub fn options(shape: Shape, root: &Path, clock: &Arc<ManualClock>) -> OpenOptions {
    let mut options = OpenOptions::new(shape.data(root));
    options.clock = Arc::clone(clock) as Arc<dyn Clock>;
    options.entropy = Arc::new(SeededEntropy::new(clock.now().as_secs()));
    options.segment_bytes = 4 << 20;
    options.cache_bytes = 4 << 20;
    options.part_bytes_min = 1;
    (options.settle_every, options.collect_every, options.evaluate_every) = (None, None, None);
    (options.heal_every, options.analyze_every, options.scrub_every) = (None, None, None);
    options.background_bytes_per_second = 1 << 40;
    options.lifecycle_day = Duration::from_secs(86_400);
    options.zones = shape.zones(root);
    options.master_key = shape.master_key();
    options
}
