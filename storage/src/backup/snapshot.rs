//! Snapshots: what a backup names. JSON, so that people can read it; named by when it was made and by its own hash.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::stamp::Timestamp;

const FORMAT: u32 = 1;
/// How much of its hash is in a snapshot's name, in bytes.
const HASH_BYTES: usize = 8;

/// One backup: all that it takes to restore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshot {
    format: u32,
    /// The store's id, in hex.
    pub(super) store: String,
    /// The moment that it is of, in nanoseconds since 1970.
    pub(super) taken_ns: u64,
    /// The data keys, wrapped: the store's KEYS file; absent if the store is not encrypted.
    pub(super) keys: Option<String>,
    /// What the newest of them is called ([`crate::cipher::Keys::newest_name`]).
    #[serde(default)]
    pub(super) data_key: Option<String>,
    /// The files of the index.
    pub(super) index: Vec<IndexFile>,
    /// The lists of chunks and the packs that they are in.
    pub(super) lists: Vec<String>,
    /// Chunks, each counted once for each pool that has it.
    pub(super) records: u64,
    /// The records of these, in bytes.
    pub(super) record_bytes: u64,
    /// Chunks that could not be read, and are in no list.
    pub(super) lost_records: u64,
    /// What this backup sent to the repository, in bytes.
    pub(super) sent_bytes: u64,
}

/// A file of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexFile {
    /// Its name in the directory of the index.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The BLAKE3s of its pieces, in order.
    pub(super) pieces: Vec<String>,
}

impl Snapshot {
    /// One that names nothing yet.
    pub(super) fn new(store_id: &[u8; 16], taken: Timestamp) -> Snapshot {
        Snapshot {
            format: FORMAT,
            store: hex::encode(store_id),
            taken_ns: taken.as_nanos(),
            keys: None,
            data_key: None,
            index: Vec::new(),
            lists: Vec::new(),
            records: 0,
            record_bytes: 0,
            lost_records: 0,
            sent_bytes: 0,
        }
    }

    /// The moment that it is of.
    pub(super) fn taken(&self) -> Timestamp {
        Timestamp::from_nanos(self.taken_ns)
    }

    /// The size of the index. What a damaged or foreign snapshot says may be too much for a number.
    pub(super) fn index_bytes(&self) -> u64 {
        sum(self.index.iter().map(|file| file.bytes))
    }

    /// The store's id.
    pub(super) fn store_id(&self) -> Option<[u8; 16]> {
        let mut id = [0; 16];
        hex::decode_to_slice(&self.store, &mut id).ok().map(|()| id)
    }

    /// Its id and its bytes.
    pub(super) fn encode(&self) -> (String, Vec<u8>) {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a snapshot holds only what JSON has");
        bytes.push(b'\n');
        (id(self.taken(), &bytes), bytes)
    }

    /// Reads the one of that id.
    pub(super) fn decode(id: &str, bytes: &[u8]) -> Result<Snapshot> {
        let damaged = || Error::Corrupt { what: "snapshot", place: id.to_owned() };
        if id.rsplit_once('-').is_none_or(|(_, hash)| hash != short_hash(bytes)) {
            return Err(damaged());
        }
        let snapshot: Snapshot = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        if snapshot.format != FORMAT {
            return Err(Error::UnknownFormat { found: snapshot.format, known: FORMAT });
        }
        let is_plain = |file: &IndexFile| !file.name.is_empty() && !file.name.contains('/') && file.name != "..";
        if snapshot.store_id().is_none() || !snapshot.index.iter().all(is_plain) {
            return Err(damaged());
        }
        Ok(snapshot)
    }
}

/// Adds sizes that somebody else wrote, or a listing says.
pub(super) fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

fn short_hash(bytes: &[u8]) -> String {
    hex::encode(&blake3::hash(bytes).as_bytes()[..HASH_BYTES])
}

/// How ids begin, so that they are in the order of time.
const TIME: &str = "%Y%m%dt%H%M%S.%3fz";

fn id(taken: Timestamp, bytes: &[u8]) -> String {
    format!("{}-{}", taken.to_datetime().format(TIME), short_hash(bytes))
}

/// When a snapshot was taken, to the millisecond, as its id says. `None` if that is no id.
pub(super) fn time_of(id: &str) -> Option<Timestamp> {
    let (time, _) = id.rsplit_once('-')?;
    let time = chrono::NaiveDateTime::parse_from_str(time, TIME).ok()?;
    Some(Timestamp::from_nanos(u64::try_from(time.and_utc().timestamp_nanos_opt()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{IndexFile, Snapshot, time_of};
    use crate::stamp::Timestamp;

    #[test]
    fn snapshots_read_back_and_tell_of_damage() {
        let mut snapshot = Snapshot::new(&[7; 16], Timestamp::from_secs(1_800_000_000));
        snapshot.index.push(IndexFile { name: "CURRENT".to_owned(), bytes: 3, pieces: vec!["aa".to_owned()] });
        let (id, mut bytes) = snapshot.encode();
        assert!(id.starts_with("20270115t080000.000z-"), "{id}");
        assert_eq!(time_of(&id), Some(snapshot.taken()));
        assert_eq!((time_of("whatever"), time_of("what-ever")), (None, None));
        assert_eq!(Snapshot::decode(&id, &bytes).unwrap(), snapshot);
        assert!(Snapshot::decode("20270115t080000.000z-0000000000000000", &bytes).is_err());
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(Snapshot::decode(&id, &bytes).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        snapshot.index[0].name = "../x".to_owned();
        let (id, bytes) = snapshot.encode();
        assert!(Snapshot::decode(&id, &bytes).is_err());
    }
}
