//! The store's data keys, and the file that keeps them wrapped.
//!
//! ```text
//! <data>/KEYS   strata-keys 1 <store id>
//!               key <number> <master key id> <wrapped data key>     one line for each data key and master key
//!               sum <BLAKE3 of all before>
//! ```
//!
//! All but the numbers is hex. The file is only ever replaced as a whole: written beside, synced, renamed, directory
//! synced. New records are sealed with the data key of the highest number; the others stay for what was sealed with them.
//!
//! Changing the master key takes three steps, and the process may die between any two:
//!
//! 1. The file is replaced: every data key, and a further one, is wrapped by both master keys. Either opens the store.
//! 2. Whoever keeps the master key puts the next one in its place. Before, the store is opened with the old one.
//! 3. An open with the next one drops what the old one wrapped.
//!
//! Nothing that was sealed is written anew. FORMAT says that there must be a KEYS file, from before anything is sealed:
//! a lost one is told from a store that never had one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::cipher::data_key::{DataKey, MasterKey};
use crate::cipher::piece::{PieceCipher, Seal, salt};
use crate::clock::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::fs;

/// The name of the file in the data directory.
pub const KEYS_FILE: &str = "KEYS";

const FORMAT: &str = "1";
const RECORD: &str = "record";
const DERIVED: &str = "derived key";
const NAME: &str = "data key name";

/// What a store says of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// How many data keys there are; the newest one seals what is written.
    pub data_keys: u32,
    /// What tells the newest master key from others, in hex.
    pub master_key_id: String,
    /// Whether an older master key opens the store as well, until it was opened with the newest one.
    pub rotating: bool,
}

/// The data keys of an open store, or that it has none.
pub struct Keys(Option<Ring>);

struct Ring {
    path: PathBuf,
    store_id: [u8; 16],
    entropy: Arc<dyn Entropy>,
    keys: RwLock<BTreeMap<u32, DataKey>>,
    file: Mutex<File>,
}

/// What the file holds, and who can open it.
struct File {
    lines: Vec<Line>,
    /// The master keys that are known here, the newest one last.
    masters: Vec<MasterKey>,
}

/// A data key as one master key wraps it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    number: u32,
    master: [u8; 8],
    wrapped: Vec<u8>,
}

/// Whether a store must have a KEYS file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It may have sealed something.
    Present,
    /// It has sealed nothing.
    PresentOrAbsent,
}

impl Keys {
    /// No keys: nothing is sealed.
    pub fn none() -> Keys {
        Keys(None)
    }

    /// The keys of the store in a data directory. Makes the file if there is none and a master key is given.
    ///
    /// `Err(MasterKeyMissing)`, `Err(MasterKeyWrong)`: nothing was touched. Blocking.
    pub fn open(
        directory: &Path,
        store_id: [u8; 16],
        master: Option<&MasterKey>,
        expected: Expected,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Keys> {
        let path = directory.join(KEYS_FILE);
        let text = fs::read_small_file(&path)?;
        let (lines, master) = match (text, master) {
            (None, _) if expected == Expected::Present => {
                return Err(Error::Corrupt { what: "KEYS file (missing)", place: path.display().to_string() });
            }
            (None, None) => return Ok(Keys::none()),
            (Some(_), None) => return Err(Error::MasterKeyMissing),
            (Some(text), Some(master)) => (decode(&text, &store_id).ok_or_else(|| damaged(&path))?, master),
            (None, Some(master)) => {
                let first = wrap_all(&BTreeMap::from([(1, DataKey::random(&*entropy))]), master, &store_id);
                fs::write_small_file(&path, encode(&first, &store_id).as_bytes())?;
                (first, master)
            }
        };
        let keys = unwrap_all(&lines, master, &store_id, &path)?;
        let mut file = File { lines, masters: vec![master.clone()] };
        let id = master.id(&store_id);
        if file.newest() == Some(id) && file.lines.iter().any(|line| line.master != id) {
            file.lines.retain(|line| line.master == id);
            fs::write_small_file(&path, encode(&file.lines, &store_id).as_bytes())?;
        }
        Ok(Keys(Some(Ring { path, store_id, entropy, keys: RwLock::new(keys), file: Mutex::new(file) })))
    }

    /// The keys of a store that is looked at and not written to: as [`Keys::open`], but nothing is made or dropped.
    pub fn open_to_read(
        directory: &Path,
        store_id: [u8; 16],
        master: Option<&MasterKey>,
        expected: Expected,
    ) -> Result<Keys> {
        let path = directory.join(KEYS_FILE);
        let (text, master) = match (fs::read_small_file(&path)?, master) {
            (None, _) if expected == Expected::PresentOrAbsent => return Ok(Keys::none()),
            (None, _) => return Err(Error::Corrupt { what: "KEYS file (missing)", place: path.display().to_string() }),
            (Some(_), None) => return Err(Error::MasterKeyMissing),
            (Some(text), Some(master)) => (text, master),
        };
        let lines = decode(&text, &store_id).ok_or_else(|| damaged(&path))?;
        let keys = RwLock::new(unwrap_all(&lines, master, &store_id, &path)?);
        let file = Mutex::new(File { lines, masters: vec![master.clone()] });
        Ok(Keys(Some(Ring { path, store_id, entropy: Arc::new(SystemEntropy), keys, file })))
    }

    /// Whether a master key opens what such a file holds. `Err(MasterKeyWrong)`, or `Err(Corrupt)` if it is damaged.
    pub fn check(text: &str, store_id: &[u8; 16], master: &MasterKey) -> Result<()> {
        let path = Path::new(KEYS_FILE);
        let lines = decode(text.as_bytes(), store_id).ok_or_else(|| damaged(path))?;
        unwrap_all(&lines, master, store_id, path).map(drop)
    }

    /// Whether what is written is sealed.
    pub fn seals(&self) -> bool {
        self.0.is_some()
    }

    /// Begins to seal something: with a salt that was never used, and the cipher that follows from it. `None` if nothing
    /// is sealed.
    pub fn begin(&self) -> Option<(Seal, PieceCipher)> {
        let ring = self.0.as_ref()?;
        let salt = salt(&*ring.entropy);
        let keys = ring.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (&number, key) = keys.last_key_value().expect("a ring has at least one key");
        Some((Seal { key: number, salt }, PieceCipher::new(&key.derive(RECORD, &salt))))
    }

    /// The cipher with which something was sealed.
    pub fn cipher(&self, seal: &Seal) -> Result<PieceCipher> {
        let unknown = || Error::Corrupt { what: "data key (unknown)", place: format!("data key {}", seal.key) };
        let ring = self.0.as_ref().ok_or_else(unknown)?;
        let keys = ring.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(&seal.key).ok_or_else(unknown)?;
        Ok(PieceCipher::new(&key.derive(RECORD, &seal.salt)))
    }

    /// The key for one purpose; it stays the same whatever happens to the master key. `Err(MasterKeyMissing)` if there
    /// are no keys.
    pub fn derived(&self, purpose: &str) -> Result<DataKey> {
        let ring = self.0.as_ref().ok_or(Error::MasterKeyMissing)?;
        let keys = ring.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (_, first) = keys.first_key_value().expect("a ring has at least one key");
        Ok(first.derive(DERIVED, purpose.as_bytes()))
    }

    /// A name of the newest data key, which tells it from all others of any store and says nothing else about it. `None` if
    /// there are no keys.
    pub fn newest_name(&self) -> Option<String> {
        let ring = self.0.as_ref()?;
        let keys = ring.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.last_key_value().map(|(_, key)| name(key, &ring.store_id))
    }

    /// Whether what was sealed while a data key of that name was the newest can be opened. It can if that key is known: a
    /// store that has one has those that it had before.
    pub fn knows(&self, newest: &str) -> bool {
        let Some(ring) = self.0.as_ref() else { return false };
        let keys = ring.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().any(|key| name(key, &ring.store_id) == newest)
    }

    /// What is known about the keys; `None` if there are none.
    pub fn status(&self) -> Option<KeyStatus> {
        let ring = self.0.as_ref()?;
        let file = ring.file.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = file.newest()?;
        let data_keys = ring.keys.read().unwrap_or_else(PoisonError::into_inner).len();
        Some(KeyStatus {
            data_keys: u32::try_from(data_keys).unwrap_or(u32::MAX),
            master_key_id: hex::encode(newest),
            rotating: file.lines.iter().any(|line| line.master != newest),
        })
    }

    /// Wraps all data keys, and a further one for what is written from now on, by a new master key as well. Blocking.
    ///
    /// `Ok` means that the store can be opened with the new master key, durably, and still with those that opened it
    /// before. After `Err` the old ones open it; the new one may. `Err(MasterKeyMissing)` if there are no keys.
    pub fn rotate(&self, master: MasterKey) -> Result<()> {
        let ring = self.0.as_ref().ok_or(Error::MasterKeyMissing)?;
        let mut file = ring.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = ring.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let newest = keys.last_key_value().map_or(0, |(&number, _)| number);
        let number = newest.checked_add(1).ok_or(Error::Corrupt { what: "KEYS file", place: newest.to_string() })?;
        keys.insert(number, DataKey::random(&*ring.entropy));
        // One that is given again becomes the newest.
        let id = master.id(&ring.store_id);
        let mut masters: Vec<MasterKey> =
            file.masters.iter().filter(|known| known.id(&ring.store_id) != id).cloned().collect();
        masters.push(master);
        let lines: Vec<Line> = masters.iter().flat_map(|master| wrap_all(&keys, master, &ring.store_id)).collect();
        fs::write_small_file(&ring.path, encode(&lines, &ring.store_id).as_bytes())?;
        // Nothing is sealed with a key before it is durable.
        *ring.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        *file = File { lines, masters };
        Ok(())
    }

    /// Writes the file of a copy of the store. Blocking.
    pub fn copy_to(&self, directory: &Path) -> Result<()> {
        let Some(text) = self.text() else { return Ok(()) };
        fs::write_small_file(&directory.join(KEYS_FILE), text.as_bytes())
    }

    /// What is in the file; `None` if there are no keys.
    pub fn text(&self) -> Option<String> {
        let ring = self.0.as_ref()?;
        let file = ring.file.lock().unwrap_or_else(PoisonError::into_inner);
        Some(encode(&file.lines, &ring.store_id))
    }
}

impl File {
    /// The master key that the file was last written for.
    fn newest(&self) -> Option<[u8; 8]> {
        self.lines.last().map(|line| line.master)
    }
}

fn name(key: &DataKey, store_id: &[u8; 16]) -> String {
    hex::encode(key.digest(NAME, store_id))
}

/// What a wrapped data key is bound to.
fn context(store_id: &[u8; 16], number: u32) -> Vec<u8> {
    [&b"data key of a store"[..], store_id, &number.to_le_bytes()].concat()
}

fn wrap_all(keys: &BTreeMap<u32, DataKey>, master: &MasterKey, store_id: &[u8; 16]) -> Vec<Line> {
    let wrap = |(&number, key): (&u32, &DataKey)| Line {
        number,
        master: master.id(store_id),
        wrapped: key.wrap(master.expose(), &context(store_id, number)),
    };
    keys.iter().map(wrap).collect()
}

/// The data keys that a master key wraps, which must be all there are.
fn unwrap_all(lines: &[Line], master: &MasterKey, store_id: &[u8; 16], path: &Path) -> Result<BTreeMap<u32, DataKey>> {
    let id = master.id(store_id);
    let mut keys = BTreeMap::new();
    for line in lines.iter().filter(|line| line.master == id) {
        // The line is the master key's, so what does not open is damaged.
        let key = DataKey::unwrap(&line.wrapped, master.expose(), &context(store_id, line.number));
        keys.insert(line.number, key.map_err(|_| damaged(path))?);
    }
    if keys.is_empty() {
        return Err(Error::MasterKeyWrong);
    }
    let is_whole = keys.first_key_value().is_some_and(|(&first, _)| first == 1)
        && keys.last_key_value().is_some_and(|(&last, _)| last as usize == keys.len());
    if is_whole { Ok(keys) } else { Err(damaged(path)) }
}

fn encode(lines: &[Line], store_id: &[u8; 16]) -> String {
    let mut text = format!("strata-keys {FORMAT} {}\n", hex::encode(store_id));
    for Line { number, master, wrapped } in lines {
        text += &format!("key {number} {} {}\n", hex::encode(master), hex::encode(wrapped));
    }
    let sum = blake3::hash(text.as_bytes());
    text + &format!("sum {sum}\n")
}

/// Reads a file that is whole and of this store.
fn decode(text: &[u8], store_id: &[u8; 16]) -> Option<Vec<Line>> {
    let text = std::str::from_utf8(text).ok()?;
    let (body, sum) = text.rsplit_once("sum ")?;
    if sum.strip_suffix('\n')? != blake3::hash(body.as_bytes()).to_string() {
        return None;
    }
    let mut rows = body.lines();
    if rows.next()? != format!("strata-keys {FORMAT} {}", hex::encode(store_id)) {
        return None;
    }
    let line = |row: &str| {
        let ["key", number, master, wrapped] = row.split(' ').collect::<Vec<_>>()[..] else { return None };
        let mut id = [0; 8];
        hex::decode_to_slice(master, &mut id).ok()?;
        Some(Line { number: number.parse().ok()?, master: id, wrapped: hex::decode(wrapped).ok()? })
    };
    rows.map(line).collect()
}

fn damaged(path: &Path) -> Error {
    Error::Corrupt { what: "KEYS file", place: path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::{Expected, KEYS_FILE, Keys};
    use crate::cipher::data_key::MasterKey;
    use crate::clock::SeededEntropy;
    use crate::error::{Error, Result};

    fn open(directory: &Path, master: Option<u8>) -> Result<Keys> {
        let master = master.map(|byte| MasterKey::new([byte; 32]));
        let entropy = Arc::new(SeededEntropy::new(7));
        Keys::open(directory, [9; 16], master.as_ref(), Expected::PresentOrAbsent, entropy)
    }

    fn text(directory: &Path) -> Vec<u8> {
        std::fs::read(directory.join(KEYS_FILE)).unwrap()
    }

    #[test]
    fn keys_are_made_once_and_need_their_master_key() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!open(directory.path(), None).unwrap().seals());
        assert!(matches!(open(directory.path(), None).unwrap().derived("x"), Err(Error::MasterKeyMissing)));
        let first = open(directory.path(), Some(1)).unwrap();
        let (seal, cipher) = first.begin().unwrap();
        let mut piece = *b"piece";
        let tag = cipher.seal(0, b"", &mut piece);

        let written = text(directory.path());
        assert!(matches!(open(directory.path(), None), Err(Error::MasterKeyMissing)));
        assert!(matches!(open(directory.path(), Some(2)), Err(Error::MasterKeyWrong)));
        assert_eq!(text(directory.path()), written, "nothing was touched");

        let again = open(directory.path(), Some(1)).unwrap();
        again.cipher(&seal).unwrap().open(0, b"", &mut piece, &tag).unwrap();
        assert_eq!(&piece, b"piece");
        assert_eq!(again.derived("a").unwrap().expose(), first.derived("a").unwrap().expose());
        assert_ne!(again.derived("a").unwrap().expose(), first.derived("b").unwrap().expose());
        let unknown = super::Seal { key: 2, ..seal };
        assert!(matches!(again.cipher(&unknown), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_lost_or_damaged_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(7));
        let lost = Keys::open(directory.path(), [9; 16], Some(&MasterKey::new([1; 32])), Expected::Present, entropy);
        assert!(matches!(lost, Err(Error::Corrupt { what: "KEYS file (missing)", .. })));
        assert!(!directory.path().join(KEYS_FILE).exists());
        open(directory.path(), Some(1)).unwrap();
        let written = text(directory.path());
        for at in 0..written.len() {
            let mut damaged = written.clone();
            damaged[at] ^= 4;
            std::fs::write(directory.path().join(KEYS_FILE), &damaged).unwrap();
            assert!(matches!(open(directory.path(), Some(1)), Err(Error::Corrupt { .. })), "byte {at}");
        }
        for end in 0..written.len() {
            std::fs::write(directory.path().join(KEYS_FILE), &written[..end]).unwrap();
            assert!(matches!(open(directory.path(), Some(1)), Err(Error::Corrupt { .. })), "{end} bytes");
        }
    }

    /// The process may die between any two steps of a rotation; there is always a master key that opens the store.
    #[test]
    fn a_rotation_can_be_cut_off_anywhere() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let keys = open(path, Some(1)).unwrap();
        let derived = *keys.derived("x").unwrap().expose();
        let (old_seal, old) = keys.begin().unwrap();
        let mut piece = *b"old";
        let tag = old.seal(0, b"", &mut piece);

        // Dying while the file is written beside leaves the file as it was.
        std::fs::write(path.join("KEYS.new"), b"half of a fi").unwrap();
        assert!(!open(path, Some(1)).unwrap().status().unwrap().rotating);
        std::fs::remove_file(path.join("KEYS.new")).unwrap();

        // A disk that refuses changes nothing, here or there.
        std::fs::create_dir(path.join("KEYS.new")).unwrap();
        let before = text(path);
        assert!(keys.rotate(MasterKey::new([2; 32])).is_err());
        assert_eq!(text(path), before);
        assert_eq!((keys.status().unwrap().data_keys, keys.begin().unwrap().0.key), (1, 1));
        std::fs::remove_dir(path.join("KEYS.new")).unwrap();

        // From the moment when the file is replaced both open it, and the old one as often as one likes.
        keys.rotate(MasterKey::new([2; 32])).unwrap();
        assert_eq!(keys.begin().unwrap().0.key, 2);
        let rotating = text(path);
        for _ in 0..2 {
            let status = open(path, Some(1)).unwrap().status().unwrap();
            assert!(status.rotating && status.data_keys == 2);
            assert_eq!(text(path), rotating);
        }

        // An open with the next one ends it; dying while that is written leaves both.
        let next = open(path, Some(2)).unwrap();
        assert!(!next.status().unwrap().rotating);
        assert!(matches!(open(path, Some(1)), Err(Error::MasterKeyWrong)));
        assert_eq!(*next.derived("x").unwrap().expose(), derived);
        next.cipher(&old_seal).unwrap().open(0, b"", &mut piece, &tag).unwrap();
        assert_eq!((&piece, next.begin().unwrap().0.key), (b"old", 2));
    }

    #[test]
    fn a_rotation_that_was_not_finished_can_be_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let keys = open(directory.path(), Some(1)).unwrap();
        keys.rotate(MasterKey::new([2; 32])).unwrap();
        keys.rotate(MasterKey::new([3; 32])).unwrap();
        for master in [1, 2, 3] {
            assert_eq!(open(directory.path(), Some(master)).unwrap().status().unwrap().data_keys, 3);
        }
        // The third one was the newest.
        assert!(matches!(open(directory.path(), Some(1)), Err(Error::MasterKeyWrong)));
        // Whoever comes with the old one after the next was lost begins another.
        let keys = open(directory.path(), Some(3)).unwrap();
        keys.rotate(MasterKey::new([4; 32])).unwrap();
        let again = open(directory.path(), Some(3)).unwrap();
        again.rotate(MasterKey::new([5; 32])).unwrap();
        assert!(matches!(open(directory.path(), Some(4)), Err(Error::MasterKeyWrong)));
        open(directory.path(), Some(5)).unwrap();
    }

    /// A key that was made elsewhere has another name, though its number is the same.
    #[test]
    fn data_keys_are_known_by_name() {
        let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let keys = open(directory.path(), Some(1)).unwrap();
        let first = keys.newest_name().unwrap();
        keys.copy_to(copy.path()).unwrap();
        keys.rotate(MasterKey::new([2; 32])).unwrap();
        let (entropy, master) = (Arc::new(SeededEntropy::new(8)), MasterKey::new([1; 32]));
        let copied = Keys::open(copy.path(), [9; 16], Some(&master), Expected::Present, entropy).unwrap();
        copied.rotate(MasterKey::new([2; 32])).unwrap();
        assert_eq!(keys.status().unwrap().data_keys, copied.status().unwrap().data_keys);
        let (here, there) = (keys.newest_name().unwrap(), copied.newest_name().unwrap());
        // The name stays what it is whatever master key there is.
        let keys = open(directory.path(), Some(2)).unwrap();
        assert_eq!((keys.knows(&first), keys.knows(&here), keys.knows(&there)), (true, true, false));
        assert_eq!((copied.knows(&first), copied.knows(&here), copied.knows(&there)), (true, false, true));
        assert!(!Keys::none().knows(&first) && Keys::none().newest_name().is_none());
    }
}
