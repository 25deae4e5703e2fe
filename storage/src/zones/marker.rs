//! The mark in a zone's directory, which tells a zone from an empty mount point and from a zone of another store.
//!
//! ```text
//! <zone>/ZONE        one line: "strata-zone 1 <store id in hex> <zone number> <name>"
//! <zone>/segments/   shards of segments
//! ```
//!
//! The mark is written, durably, after the directory beside it and before the first shard. A directory without one holds
//! nothing of ours: dying before it is written leaves what counts as empty.

use std::path::Path;

use crate::directory::RESTORING;
use crate::error::{Error, Result, is_out_of_files};
use crate::fs;
use crate::zone::ZoneId;

/// The name of the file.
const FILE: &str = "ZONE";
/// The directory beside it.
pub(super) const SEGMENTS: &str = "segments";
/// What it is called while it is written.
const UNFINISHED: &str = "ZONE.new";
/// The format that this build writes.
const FORMAT: u32 = 1;

/// Which zone of which store a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The store.
    pub(super) store_id: [u8; 16],
    /// The zone's number.
    pub(super) id: ZoneId,
    /// The zone's name.
    pub(super) name: String,
}

/// What was found where a zone should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The zone.
    Zone,
    /// A directory with nothing in it, as a new disk has it.
    Empty,
    /// No directory, or none that can be read.
    Nothing,
    /// Not to be told: too many files are open.
    Unknown,
    /// Something else; the text says what.
    Other(String),
}

impl Mark {
    /// Looks whether a directory is the zone that this mark describes. Blocking.
    pub(super) fn look(&self, directory: &Path) -> Found {
        self.look_past(directory, &[])
    }

    /// The same for a restore, which has left its token there before.
    pub(super) fn look_to_restore(&self, directory: &Path) -> Found {
        self.look_past(directory, &[RESTORING])
    }

    fn look_past(&self, directory: &Path, may_hold: &[&str]) -> Found {
        let text = match fs::read_small_file(&directory.join(FILE)) {
            Ok(Some(text)) => text,
            Ok(None) => return look_without_mark(directory, may_hold),
            Err(error) if error.is_out_of_files() => return Found::Unknown,
            Err(_) => return Found::Nothing,
        };
        match Mark::decode(&text) {
            Ok(mark) if mark == *self => Found::Zone,
            Ok(mark) if mark.store_id != self.store_id => Found::Other("a zone of another store".to_owned()),
            Ok(mark) => Found::Other(format!("zone {:?} (number {}) of this store", mark.name, mark.id.0)),
            Err(error) => Found::Other(error.to_string()),
        }
    }

    /// Makes a directory the zone, and the directory itself if it is missing. Blocking.
    pub(super) fn claim(&self, directory: &Path) -> Result<()> {
        fs::create_directories(directory)?;
        fs::write_small_file(&directory.join(FILE), self.encode().as_bytes())
    }

    /// Whether a directory has the mark of an emptied zone of this store: dying before it was removed leaves it. Blocking.
    pub(super) fn is_left_behind(&self, directory: &Path, is_listed: impl Fn(ZoneId) -> bool) -> bool {
        let Ok(Some(text)) = fs::read_small_file(&directory.join(FILE)) else { return false };
        let is_emptied = |mark: Mark| mark.store_id == self.store_id && mark.id != self.id && !is_listed(mark.id);
        Mark::decode(&text).is_ok_and(is_emptied) && is_empty(&directory.join(SEGMENTS))
    }

    /// Removes the mark from a directory that is this zone no longer, so that it can become another one. Blocking.
    pub(super) fn release(&self, directory: &Path) -> Result<()> {
        match self.look(directory) {
            Found::Zone => fs::remove_small_file(&directory.join(FILE)),
            _ => Ok(()),
        }
    }

    fn encode(&self) -> String {
        format!("strata-zone {FORMAT} {} {} {}\n", hex::encode(self.store_id), self.id.0, self.name)
    }

    fn decode(text: &[u8]) -> Result<Mark> {
        let corrupt = || Error::Corrupt { what: "ZONE file", place: String::from_utf8_lossy(text).trim().to_owned() };
        let words: Vec<&str> = std::str::from_utf8(text).map_err(|_| corrupt())?.split_whitespace().collect();
        let ["strata-zone", format, store_id, id, name] = words.as_slice() else { return Err(corrupt()) };
        match format.parse::<u32>() {
            Ok(FORMAT) => {}
            Ok(found) => return Err(Error::UnknownFormat { found, known: FORMAT }),
            Err(_) => return Err(corrupt()),
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(store_id, &mut bytes).map_err(|_| corrupt())?;
        Ok(Mark { store_id: bytes, id: ZoneId(id.parse().map_err(|_| corrupt())?), name: (*name).to_owned() })
    }
}

/// File systems may have `lost+found` from the start, and a crash may have left a zone without its mark.
fn look_without_mark(directory: &Path, may_hold: &[&str]) -> Found {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_out_of_files(&error) => return Found::Unknown,
        Err(_) => return Found::Nothing,
    };
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_name() == "lost+found" || entry.file_name() == UNFINISHED => {}
            Ok(entry) if may_hold.iter().any(|name| entry.file_name() == *name) => {}
            Ok(entry) if entry.file_name() == SEGMENTS && is_empty(&entry.path()) => {}
            Ok(entry) => return Found::Other(format!("no zone, and not empty: it holds {:?}", entry.file_name())),
            Err(_) => return Found::Nothing,
        }
    }
    Found::Empty
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::{Found, Mark};
    use crate::zone::ZoneId;

    #[test]
    fn a_zone_is_known_by_its_mark() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("zone");
        let mark = Mark { store_id: [7; 16], id: ZoneId(2), name: "b".to_owned() };
        assert_eq!(mark.look(&path), Found::Nothing);
        std::fs::create_dir(&path).unwrap();
        assert_eq!(mark.look(&path), Found::Empty);
        // What a crash leaves that comes while the mark is written.
        std::fs::create_dir(path.join("segments")).unwrap();
        std::fs::write(path.join("ZONE.new"), b"").unwrap();
        assert_eq!(mark.look(&path), Found::Empty);
        // What a restore of a backup leaves that does not end is for that one alone.
        std::fs::write(path.join("RESTORING"), b"restore 00").unwrap();
        assert!(matches!(mark.look(&path), Found::Other(_)));
        assert_eq!(mark.look_to_restore(&path), Found::Empty);
        mark.claim(&path).unwrap();
        assert_eq!(mark.look(&path), Found::Zone);
        std::fs::remove_file(path.join("RESTORING")).unwrap();
        let other = Mark { id: ZoneId(3), ..mark.clone() };
        assert!(matches!(other.look(&path), Found::Other(_)));
        let foreign = Mark { store_id: [8; 16], ..mark.clone() };
        assert_eq!(foreign.look(&path), Found::Other("a zone of another store".to_owned()));
        std::fs::remove_file(path.join("ZONE")).unwrap();
        std::fs::write(path.join("letter"), b"dear").unwrap();
        assert!(matches!(mark.look(&path), Found::Other(_)));
    }

    #[test]
    fn marks_read_back() {
        let mark = Mark { store_id: [0xAB; 16], id: ZoneId(12), name: "rack-2".to_owned() };
        assert_eq!(mark.encode(), "strata-zone 1 abababababababababababababababab 12 rack-2\n");
        assert_eq!(Mark::decode(mark.encode().as_bytes()).unwrap(), mark);
        for text in ["", "strata-zone", "strata-zone 2 00 1 a", "strata-zone 1 zz 1 a", "strata 1 ab 1 a"] {
            assert!(Mark::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
