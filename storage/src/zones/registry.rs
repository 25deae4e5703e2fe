//! The store's list of zones, kept in the index: numbers, names, places, and which of them are being emptied.
//!
//! Numbers are never given twice. What the settings say is compared with the list at every open: a name that is not in
//! it is a new zone, a name that is has its place from the settings, which may differ after a disk was moved. A copy of a
//! store has a list of its own: what it had in common with its origin, each would take for garbage what only the other
//! one names.
//!
//! Places within the data directory are stored as seen from there, so that it may be moved, or copied, as a whole.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::index::record::Record;
use crate::zone::ZoneId;

/// A zone as the settings name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneOptions {
    /// Its name: letters, digits, `-`, `_`, `.`; at most 32.
    pub name: String,
    /// Its directory, on a disk of its own.
    pub directory: PathBuf,
}

/// What shall become of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// It is used.
    Used,
    /// It is emptied, and then forgotten. While it is lost that waits: what is in it may be nowhere else.
    Drained,
    /// As that, but if it is lost, it is forgotten with what is in it: it was lost when that was asked for.
    GivenUp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ZoneEntry {
    pub(super) id: ZoneId,
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) purpose: Purpose,
    /// Whether the directory was the root of a file system when the zone was last seen there. If it is none, and empty,
    /// the disk is not mounted, which is not the same as a new one.
    pub(super) mounted: bool,
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Registry {
    /// Above every number given so far.
    pub(super) next: u16,
    pub(super) zones: Vec<ZoneEntry>,
}

impl Record for Registry {
    const NAME: &'static str = "list of zones";
}

/// The name of the zone that the data directory itself is, as long as no others are named.
pub(super) const DATA_ZONE: &str = "data";
/// The most zones of a store: more than this many shards no segment has any use for.
const ZONES_MAX: usize = 64;

impl Registry {
    /// The list as it is stored.
    pub(super) fn stored(mut self, data: &Path) -> Registry {
        for zone in &mut self.zones {
            if let Ok(within) = zone.directory.strip_prefix(data) {
                zone.directory = within.to_path_buf();
            }
        }
        self
    }

    /// The list that was stored as this one.
    pub(super) fn resolved(mut self, data: &Path) -> Registry {
        for zone in &mut self.zones {
            zone.directory = match zone.directory.as_os_str().is_empty() {
                true => data.to_path_buf(),
                // One that is absolute stays as it is.
                false => data.join(&zone.directory),
            };
        }
        self
    }

    /// Whether the data directory is all there is.
    pub(super) fn is_alone(&self, data: &Path) -> bool {
        matches!(&self.zones[..], [only] if only.directory == data)
    }

    /// The list without any zones, which gives no number twice.
    pub(super) fn emptied(&self) -> Registry {
        Registry { next: self.next, zones: Vec::new() }
    }

    /// The list of a copy, as it is stored, in which the shards of all zones lie in the data directory.
    pub(super) fn gathered(&self) -> Result<Registry> {
        let mut gathered = self.emptied();
        gathered.add(DATA_ZONE, Path::new(""))?;
        Ok(gathered)
    }

    /// The list after an open with those settings. Without zones in the settings the data directory is one.
    ///
    /// A zone that the settings do not name any more stays where it was: with none named at all the list is as it was
    /// left, so zones that were added while the store ran need not be in the settings.
    pub(super) fn merged(mut self, options: &[ZoneOptions], data: &Path) -> Result<Registry> {
        for (place, zone) in options.iter().enumerate() {
            check_name(&zone.name)?;
            let twice = |other: &ZoneOptions| other.name == zone.name || other.directory == zone.directory;
            if options[..place].iter().any(twice) {
                return Err(Error::Zone(format!("the zone {:?} or its directory is named twice", zone.name)));
            }
        }
        if options.is_empty() && self.zones.is_empty() {
            self.add(DATA_ZONE, data)?;
        }
        for zone in options {
            match self.zones.iter_mut().find(|known| known.name == zone.name) {
                Some(known) => known.directory.clone_from(&zone.directory),
                None => self.add(&zone.name, &zone.directory)?,
            }
        }
        // The data directory served alone so far: from now on it is emptied into the zones that are named.
        if !options.is_empty() && !options.iter().any(|zone| zone.name == DATA_ZONE) {
            let data_zone = self.zones.iter_mut().find(|known| known.name == DATA_ZONE && known.directory == data);
            if let Some(known) = data_zone {
                known.purpose = Purpose::Drained;
            }
        }
        Ok(self)
    }

    /// Adds a zone. `Err(Zone)` if there is one of that name or in that directory, or if there are too many.
    pub(super) fn add(&mut self, name: &str, directory: &Path) -> Result<()> {
        check_name(name)?;
        if self.zones.iter().any(|zone| zone.name == name || zone.directory == directory) {
            return Err(Error::Zone(format!("there is a zone {name:?}, or one in {}", directory.display())));
        }
        if self.zones.len() >= ZONES_MAX {
            return Err(Error::Zone(format!("a store has at most {ZONES_MAX} zones")));
        }
        let id = ZoneId(self.next);
        self.next = self.next.checked_add(1).ok_or_else(|| Error::Zone("all zone numbers were given".to_owned()))?;
        let (name, directory) = (name.to_owned(), directory.to_path_buf());
        self.zones.push(ZoneEntry { id, name, directory, purpose: Purpose::Used, mounted: false });
        Ok(())
    }

    /// The zone of that name.
    pub(super) fn named(&mut self, name: &str) -> Result<&mut ZoneEntry> {
        let known: Vec<String> = self.zones.iter().map(|zone| zone.name.clone()).collect();
        let found = self.zones.iter_mut().find(|zone| zone.name == name);
        found.ok_or_else(|| Error::Zone(format!("there is no zone {name:?}; there are {}", known.join(", "))))
    }
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=32).contains(&name.len()) && name.chars().all(allowed) {
        true => Ok(()),
        false => Err(Error::Zone(format!("the zone name {name:?} must be 1 to 32 letters, digits, '-', '_' or '.'"))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Purpose, Registry, ZoneOptions};

    fn options(names: &[&str]) -> Vec<ZoneOptions> {
        names
            .iter()
            .map(|name| ZoneOptions { name: (*name).to_owned(), directory: Path::new("/z").join(name) })
            .collect()
    }

    fn names(registry: &Registry) -> Vec<(u16, &str, Purpose)> {
        registry.zones.iter().map(|zone| (zone.id.0, zone.name.as_str(), zone.purpose)).collect()
    }

    #[test]
    fn settings_and_list_are_merged() {
        let data = Path::new("/data");
        let alone = Registry::default().merged(&[], data).unwrap();
        assert_eq!(names(&alone), [(0, "data", Purpose::Used)]);
        let spread = alone.merged(&options(&["a", "b"]), data).unwrap();
        let expected = [(0, "data", Purpose::Drained), (1, "a", Purpose::Used), (2, "b", Purpose::Used)];
        assert_eq!(names(&spread), expected);
        assert_eq!(names(&spread.clone().merged(&[], data).unwrap()), expected);
        let moved = [ZoneOptions { name: "a".to_owned(), directory: "/elsewhere".into() }];
        let moved = spread.merged(&moved, data).unwrap();
        assert_eq!(moved.zones[1].directory, Path::new("/elsewhere"));
    }

    #[test]
    fn places_in_the_data_directory_move_with_it() {
        let (here, there) = (Path::new("/data"), Path::new("/copy"));
        let zones = [("data", "/data"), ("within", "/data/zones/a"), ("b", "/z/b"), ("c", "/data-2/c")];
        let mut list = Registry::default();
        for (name, directory) in zones {
            list.add(name, Path::new(directory)).unwrap();
        }
        let directories = |list: Registry| list.zones.into_iter().map(|zone| zone.directory).collect::<Vec<_>>();
        assert_eq!(list.clone().stored(here).resolved(here), list);
        let moved = directories(list.clone().stored(here).resolved(there));
        assert_eq!(moved, ["/copy", "/copy/zones/a", "/z/b", "/data-2/c"].map(Path::new));
        assert!(!list.is_alone(here));
        let gathered = list.gathered().unwrap().resolved(there);
        assert!(gathered.is_alone(there));
        assert_eq!(names(&gathered), [(4, "data", Purpose::Used)], "numbers are not given twice");
    }

    #[test]
    fn bad_zones_are_refused() {
        let check = |zones: &[ZoneOptions]| assert!(Registry::default().merged(zones, Path::new("/data")).is_err());
        check(&options(&["a", "a"]));
        check(&options(&["a b"]));
        check(&options(&[""]));
        let same = Path::new("/same");
        check(&["a", "b"].map(|name| ZoneOptions { name: name.to_owned(), directory: same.to_path_buf() }));
    }
}
