//! What a directory is in which a backup is being restored, and what a restore that did not end has left.
//!
//! ```text
//! <data>/RESTORING   "restore <token>", and the directories of the zones, one a line: this is no store yet
//! <zone>/RESTORING   "restore <token>": what lies beside it is that restore's
//! ```
//!
//! The one in the data directory is written first, those of the zones before anything else that is put there. A restore
//! that is begun again removes what the one before has left, from a zone only if that one's token is still there: by now
//! the directory may be somebody else's. At the end the one in the data directory goes first: from then on this is a store,
//! and nobody comes back for what a token names. Whoever takes a zone into use removes the one that a crash left there.

use std::path::{Path, PathBuf};

use super::{index_in, segments_in, write_format};
use crate::cipher::{KEYS_FILE, salt};
use crate::clock::Entropy;
use crate::error::{Error, Result};
use crate::fs;

/// The name of both files.
pub(crate) const RESTORING: &str = "RESTORING";
/// What it is called while it is written.
const UNWRITTEN: &str = "RESTORING.new";

/// Refuses a directory in which a restore has not come to its end.
pub(super) fn refuse_unfinished(path: &Path) -> Result<()> {
    match path.join(RESTORING).exists() {
        true => Err(Error::Backup(format!(
            "the restore of a backup into {} did not come to its end; begin it again",
            path.display()
        ))),
        false => Ok(()),
    }
}

/// Makes a directory one in which a backup is restored, after removing what an earlier restore has left there, and in the
/// zones that it used. The directory is locked; all paths are absolute. `Err(Backup)` if it holds anything else than files
/// of these names, or if a zone is not empty. Blocking.
pub(crate) fn begin_restore(path: &Path, may_hold: &[String], zones: &[PathBuf], entropy: &dyn Entropy) -> Result<()> {
    let marker = path.join(RESTORING);
    if let Some(text) = fs::read_small_file(&marker)? {
        forget_restore(path, &String::from_utf8_lossy(&text))?;
    }
    let is_ours = |name: &str| [RESTORING, UNWRITTEN, "lost+found"].contains(&name);
    for name in fs::names_in(path)? {
        // A zone may lie within.
        let is_zone = zones.iter().any(|zone| zone.starts_with(path.join(&name)));
        if !is_ours(&name) && !is_zone && !may_hold.contains(&name) {
            return refuse(path, &name);
        }
    }
    let beside = || zones.iter().filter(|zone| *zone != path);
    for zone in beside() {
        if let Some(name) = fs::names_in(zone)?.into_iter().find(|name| name == RESTORING || !is_ours(name)) {
            return refuse(zone, &name);
        }
    }
    let token = format!("restore {}\n", hex::encode(salt(entropy)));
    let zones = || beside().map(|zone| format!("{}\n", zone.display()));
    fs::write_small_file(&marker, (token.clone() + &zones().collect::<String>()).as_bytes())?;
    for zone in beside() {
        fs::create_directories(zone)?;
        fs::write_small_file(&zone.join(RESTORING), token.as_bytes())?;
    }
    Ok(())
}

fn refuse(directory: &Path, name: &str) -> Result<()> {
    let directory = directory.display();
    Err(Error::Backup(format!("{directory} is not empty (it holds {name:?}); a backup is restored into an empty one")))
}

/// Removes what the restore of that marker has left.
fn forget_restore(path: &Path, text: &str) -> Result<()> {
    let mut lines = text.lines();
    let token = lines.next().filter(|line| line.starts_with("restore "));
    for zone in lines.map(Path::new) {
        let found = fs::read_small_file(&zone.join(RESTORING))?;
        if token.is_some_and(|token| found.as_deref() == Some(format!("{token}\n").as_bytes())) {
            let last = zone.join(RESTORING);
            fs::remove_all(&[zone.join("ZONE"), zone.join("ZONE.new"), segments_in(zone), last])?;
        }
    }
    let files = [KEYS_FILE, "KEYS.new", "ZONE", "ZONE.new", "FORMAT", "FORMAT.new"].map(|name| path.join(name));
    fs::remove_all(&[index_in(path), segments_in(path)])?;
    fs::remove_all(&files)
}

/// Makes the directory that of a store: dying in between leaves one that is restored once more, or a store. Blocking.
pub(crate) fn end_restore(path: &Path, zones: &[PathBuf], store_id: [u8; 16], sealed: bool) -> Result<()> {
    write_format(path, store_id, sealed)?;
    fs::remove_all(&[path.join(RESTORING)])?;
    fs::sync_directory(path)?;
    zones.iter().try_for_each(|zone| forget_token(zone))
}

/// Removes the token of a restore from a zone that is used by a store. Blocking.
pub(crate) fn forget_token(zone: &Path) -> Result<()> {
    match zone.join(RESTORING).exists() {
        true => fs::remove_all(&[zone.join(RESTORING)]).and_then(|()| fs::sync_directory(zone)),
        false => Ok(()),
    }
}
