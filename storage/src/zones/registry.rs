//! The store's list of zones, kept in the index: numbers, names, places, and which of them are being emptied.
//!
//! Numbers are never given twice. What the settings say is compared with the list at every open: a name that is not in
//! it is a new zone, a name that is has its place from the settings, which may differ after a disk was moved. A copy of a
//! store has a list of its own: what it had in common with its origin, each would take for garbage what only the other
//! one names.

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
    /// As that, but if it is lost, it is forgotten with what is in it: it was lost when it was asked to be drained.
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

    /// As it is stored. The data directory has no path there, so that a store which was moved finds itself again.
    pub(super) fn stored(mut self, data: &Path) -> Registry {
        for zone in self.zones.iter_mut().filter(|zone| zone.directory == data) {
            zone.directory = PathBuf::new();
        }
        self
    }

    /// The inverse of [`Registry::stored`].
    pub(super) fn located(mut self, data: &Path) -> Registry {
        for zone in self.zones.iter_mut().filter(|zone| zone.directory.as_os_str().is_empty()) {
            zone.directory = data.to_path_buf();
        }
        self
    }

    /// The list, as it is stored, of a copy of the store that holds all shards in its data directory.
    pub(super) fn of_copy(&self) -> Result<Registry> {
        let mut copy = Registry { next: self.next, zones: Vec::new() };
        copy.add(DATA_ZONE, Path::new(""))?;
        Ok(copy)
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
    fn the_data_directory_is_stored_without_its_path() {
        let stored = Registry::default().merged(&options(&["a"]), Path::new("/z")).unwrap();
        let stored =
            stored.merged(&[ZoneOptions { name: "here".to_owned(), directory: "/data".into() }], Path::new("/z"));
        let stored = stored.unwrap().stored(Path::new("/data"));
        let moved = stored.clone().located(Path::new("/moved"));
        let directories: Vec<&Path> = moved.zones.iter().map(|zone| zone.directory.as_path()).collect();
        assert_eq!(directories, [Path::new("/z/a"), Path::new("/moved")]);
        assert_eq!(names(&stored.of_copy().unwrap()), [(2, "data", Purpose::Used)]);
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
