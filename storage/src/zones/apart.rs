//! Zones lie apart from each other, or the loss of one would be that of another: none is within another one, and those that
//! share a disk are told of.

use std::collections::BTreeMap;
use std::path::Path;

use super::registry::{Registry, ZoneEntry};
use crate::error::{Error, Result};
use crate::fs::{device_of, real_path};
use crate::zone::ZoneId;

/// Where in a data directory zones may be.
const WITHIN_DATA: &str = "zones";

/// `Err(Zone)` if the directory of a zone that is new is within another one's, or within the data directory and not in
/// `zones` there, or the other way round. Blocking.
pub(super) fn refuse_nested(registry: &Registry, new: &ZoneEntry, data: &Path) -> Result<()> {
    let (place, data) = (real_path(&new.directory), real_path(data));
    let nested = |what: String| {
        let directory = new.directory.display();
        Err(Error::Zone(format!(
            "{directory} cannot be zone {:?}: it is within {what}, or the other way round",
            new.name
        )))
    };
    for zone in registry.zones.iter().filter(|zone| zone.id != new.id) {
        let other = real_path(&zone.directory);
        if other != data && place != data && are_nested(&place, &other) {
            return nested(format!("zone {:?} in {}", zone.name, other.display()));
        }
    }
    match place != data && are_nested(&place, &data) && !place.starts_with(data.join(WITHIN_DATA)) {
        true => nested(format!("the data directory {}", data.display())),
        false => Ok(()),
    }
}

fn are_nested(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The names of the zones that share a disk with others, disk by disk. Blocking.
pub(super) fn on_one_disk<'z>(zones: impl Iterator<Item = &'z ZoneEntry>) -> Vec<(Vec<ZoneId>, String)> {
    let mut disks: BTreeMap<u64, Vec<&ZoneEntry>> = BTreeMap::new();
    for zone in zones {
        if let Some(disk) = device_of(&zone.directory) {
            disks.entry(disk).or_default().push(zone);
        }
    }
    let names = |zones: &[&ZoneEntry]| zones.iter().map(|zone| zone.name.as_str()).collect::<Vec<_>>().join(", ");
    let shared = disks.into_values().filter(|zones| zones.len() > 1);
    shared.map(|zones| (zones.iter().map(|zone| zone.id).collect(), names(&zones))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{on_one_disk, refuse_nested};
    use crate::zones::registry::Registry;

    #[test]
    fn zones_are_not_within_each_other() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        for directory in ["data", "a", "link"] {
            std::fs::create_dir(root.path().join(directory)).unwrap();
        }
        std::os::unix::fs::symlink(root.path().join("a"), root.path().join("link/a")).unwrap();
        let mut registry = Registry::default();
        for name in ["data", "a"] {
            registry.add(name, &root.path().join(name)).unwrap();
        }
        let check = |directory: &str, is_apart: bool| {
            let mut registry = registry.clone();
            registry.add("new", &root.path().join(directory)).unwrap();
            let new = registry.named("new").unwrap().clone();
            assert_eq!(refuse_nested(&registry, &new, &data).is_ok(), is_apart, "{directory}");
        };
        check("b", true);
        check("ab/c", true);
        check("data/zones/b", true);
        check("data/b", false);
        check("data/index/b", false);
        check("a/b", false);
        check("a/b/c", false);
        check("link/a", false);
        check("link/a/b", false);
        check("b/../a/b", false);
        check("", false);
        let mut alone = Registry::default();
        alone.add("data", &data).unwrap();
        let entry = alone.named("data").unwrap().clone();
        assert!(refuse_nested(&alone, &entry, &data).is_ok());
        let shared: Vec<String> = on_one_disk(registry.zones.iter()).into_iter().map(|(_, names)| names).collect();
        assert_eq!(shared, ["data, a"]);
        alone.add("proc", Path::new("/proc")).unwrap();
        assert!(on_one_disk(alone.zones.iter()).is_empty());
    }
}
