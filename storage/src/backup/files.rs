//! What lies in a repository, and under which names.
//!
//! ```text
//! repository             "strata-repository 1 <store id>": whose backups these are; made first
//! lock                   who changes the repository at present, and since when
//! packs/ab/<id>          records, as `pack` draws them
//! index/ab/<hash>        pieces of the index's files
//! lists/ab/<hash>        which chunk is in which pack
//! unfinished/<key>/ab/<hash>
//!                        the same for packs of a backup that has not ended, by the name of the data key that was the
//!                        newest then; `plain` if there was none
//! snapshots/<id>.json    backups; a backup is there when its snapshot is
//! ```
//!
//! What a hash names is verified when it is read, and so is a pack. Nothing is ever changed but `lock`. It keeps out
//! whoever asks; whoever works looks again whether it is still its own right before the step that others could suffer from.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::pack::{PackId, read_list};
use super::repository::{Repository, UNWRITTEN};
use super::snapshot::Snapshot;
use crate::cipher::salt;
use crate::clock::Entropy;
use crate::error::{Error, Result};
use crate::index::record::StoredBlob;
use crate::stamp::Timestamp;

const REPOSITORY: &str = "repository";
const LOCK: &str = "lock";
const SNAPSHOTS: &str = "snapshots/";
const JSON: &str = ".json";
pub(super) const PACKS: &str = "packs/";
pub(super) const INDEX: &str = "index/";
pub(super) const LISTS: &str = "lists/";
const UNFINISHED: &str = "unfinished/";
const PLAIN: &str = "plain";

/// The name of what a hash names.
pub(super) type Hash = [u8; 32];

/// A repository, and what is known of its names.
#[derive(Clone)]
pub(super) struct Files {
    repository: Arc<dyn Repository>,
}

/// Where a list of chunks is.
pub(super) struct List {
    pub(super) name: String,
    pub(super) hash: Hash,
}

impl List {
    /// The one that a snapshot names so.
    pub(super) fn named(hash: &str) -> Result<List> {
        let hash = hash_of(hash)?;
        Ok(List { name: hashed_name(LISTS, &hash), hash })
    }
}

/// Who changes a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    /// What is done: `backup` or `prune`.
    pub(super) what: String,
    /// The store, in hex.
    store: String,
    /// Since when.
    since: String,
    /// Random bits, which tell it from everybody else.
    #[serde(default)]
    token: String,
}

/// The right to change a repository, until it is given back or taken away.
pub(super) struct Hold(Holder);

impl Files {
    pub(super) fn new(repository: Arc<dyn Repository>) -> Files {
        Files { repository }
    }

    /// What people call the repository.
    pub(super) fn place(&self) -> String {
        self.repository.place()
    }

    /// Whose backups these are. `Err(Backup)` if there are none.
    pub(super) async fn store_id(&self) -> Result<[u8; 16]> {
        let found = self.repository.get(REPOSITORY).await?;
        let text =
            found.ok_or_else(|| Error::Backup(format!("there are no backups of a Strata in {}", self.place())))?;
        let damaged = || Error::Corrupt { what: "REPOSITORY file", place: self.place() };
        let text = std::str::from_utf8(&text).map_err(|_| damaged())?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut id = [0; 16];
        match words[..] {
            ["strata-repository", "1", store] if hex::decode_to_slice(store, &mut id).is_ok() => Ok(id),
            ["strata-repository", format, _] if format != "1" => {
                Err(Error::UnknownFormat { found: format.parse().unwrap_or(0), known: 1 })
            }
            _ => Err(damaged()),
        }
    }

    /// Makes the place the repository of a store, unless it is already. `Err(Backup)` if it is that of another one, or
    /// holds something else.
    pub(super) async fn claim(&self, store_id: &[u8; 16]) -> Result<()> {
        if self.repository.get(REPOSITORY).await?.is_none() {
            // Whoever died while it was made has left something.
            let files = self.repository.list("").await?;
            if files.iter().any(|file| !file.name.ends_with(UNWRITTEN)) {
                let message = format!("{} is not empty, and holds no backups; name a place of their own", self.place());
                return Err(Error::Backup(message));
            }
            let text = format!("strata-repository 1 {}\n", hex::encode(store_id));
            self.repository.put_new(REPOSITORY, text.into()).await?;
        }
        match self.store_id().await? {
            found if found == *store_id => Ok(()),
            found => Err(Error::Backup(format!(
                "{} holds the backups of another store ({}); name a place of their own for those of this one ({})",
                self.place(),
                hex::encode(found),
                hex::encode(store_id)
            ))),
        }
    }

    /// Keeps others from changing the repository. A backup of the same store that is told of as under way is none: its
    /// process has ended; if it has not, [`Files::check`] tells it. `Err(Backup)` if somebody else is at work.
    pub(super) async fn lock(
        &self,
        what: &str,
        store_id: &[u8; 16],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Hold> {
        let since = now.to_datetime().to_rfc3339();
        let token = hex::encode(salt(entropy));
        let own = Holder { what: what.to_owned(), store: hex::encode(store_id), since, token };
        let text = Bytes::from(serde_json::to_vec(&own).expect("a holder is text"));
        if self.repository.put_new(LOCK, text.clone()).await? {
            return Ok(Hold(own));
        }
        match self.holder().await? {
            Some(other) if other.what == "backup" && what == "backup" && other.store == own.store => {
                self.repository.put(LOCK, text).await.map(|()| Hold(own))
            }
            other => {
                let (what, since) = other.map_or(("something".to_owned(), "?".to_owned()), |it| (it.what, it.since));
                Err(Error::Backup(format!(
                    "{} is in use since {since} ({what}); if nobody is at work there any more, run `strata backup \
                     unlock` on it",
                    self.place()
                )))
            }
        }
    }

    /// Who changes it, as far as that can be read.
    async fn holder(&self) -> Result<Option<Holder>> {
        let text = self.repository.get(LOCK).await?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Whether one may still change the repository. `Err(Backup)` if somebody has taken that away.
    pub(super) async fn check(&self, hold: &Hold) -> Result<()> {
        let holder = self.holder().await?;
        if holder.as_ref() == Some(&hold.0) {
            return Ok(());
        }
        let now = holder.map_or("is not locked any more".to_owned(), |it| {
            format!("is locked by somebody else since {} ({})", it.since, it.what)
        });
        Err(Error::Backup(format!(
            "{} {now}, and may have been changed meanwhile: somebody ran `strata backup unlock` on it, or a store of the \
             same id backs up to it; see to it that nobody else does, and begin again",
            self.place()
        )))
    }

    /// Lets others change the repository, unless they do already.
    pub(super) async fn unlock(&self, hold: &Hold) -> Result<()> {
        match self.check(hold).await {
            Err(Error::Backup(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.repository.remove(LOCK).await,
        }
    }

    /// Takes the lock away from whoever holds it.
    pub(super) async fn force_unlock(&self) -> Result<()> {
        self.repository.remove(LOCK).await
    }

    /// The ids of the snapshots, the oldest first.
    pub(super) async fn snapshots(&self) -> Result<Vec<String>> {
        let files = self.repository.list(SNAPSHOTS).await?;
        let id = |name: &str| Some(name.strip_prefix(SNAPSHOTS)?.strip_suffix(JSON)?.to_owned());
        let mut ids: Vec<String> = files.iter().filter_map(|file| id(&file.name)).collect();
        ids.sort();
        Ok(ids)
    }

    /// A snapshot. `Err(Backup)` if there is none of that id.
    pub(super) async fn snapshot(&self, id: &str) -> Result<Snapshot> {
        let bytes = self.repository.get(&format!("{SNAPSHOTS}{id}{JSON}")).await?;
        let missing = || Error::Backup(format!("there is no backup {id:?} in {}", self.place()));
        Snapshot::decode(id, &bytes.ok_or_else(missing)?)
    }

    /// Stores a snapshot, with which the backup is made, and returns its id and its size.
    pub(super) async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(String, u64)> {
        let (id, bytes) = snapshot.encode();
        let size = bytes.len() as u64;
        self.repository.put(&format!("{SNAPSHOTS}{id}{JSON}"), bytes.into()).await?;
        Ok((id, size))
    }

    pub(super) async fn remove_snapshot(&self, id: &str) -> Result<()> {
        self.repository.remove(&format!("{SNAPSHOTS}{id}{JSON}")).await
    }

    /// The packs that are there, by their sizes in bytes.
    pub(super) async fn packs(&self) -> Result<std::collections::HashMap<PackId, u64>> {
        let files = self.repository.list(PACKS).await?;
        Ok(files.iter().filter_map(|file| Some((id_in(&file.name)?, file.bytes))).collect())
    }

    pub(super) async fn put_pack(&self, id: &PackId, bytes: Bytes) -> Result<()> {
        self.repository.put(&pack_name(id), bytes).await
    }

    /// The bytes of a pack, not verified. `Err(Corrupt)` if it is gone.
    pub(super) async fn pack(&self, id: &PackId) -> Result<Bytes> {
        let name = pack_name(id);
        let missing = || Error::Corrupt { what: "pack (missing)", place: hex::encode(id) };
        self.repository.get(&name).await?.ok_or_else(missing)
    }

    /// What is there of a kind that hashes name.
    pub(super) async fn hashes(&self, kind: &str) -> Result<HashSet<Hash>> {
        let files = self.repository.list(kind).await?;
        Ok(files.iter().filter_map(|file| id_in(&file.name)).collect())
    }

    /// Stores bytes under their hash.
    pub(super) async fn put_hashed(&self, kind: &str, hash: &Hash, bytes: Bytes) -> Result<()> {
        self.repository.put(&hashed_name(kind, hash), bytes).await
    }

    /// The bytes of that hash, verified.
    pub(super) async fn hashed(&self, kind: &str, hash: &Hash) -> Result<Bytes> {
        self.verified(&hashed_name(kind, hash), hash).await
    }

    async fn verified(&self, name: &str, hash: &Hash) -> Result<Bytes> {
        let found = self.repository.get(name).await?;
        let damaged = |what| Error::Corrupt { what, place: name.to_owned() };
        let bytes = found.ok_or_else(|| damaged("file of a backup (missing)"))?;
        match blake3::hash(&bytes) == *hash {
            true => Ok(bytes),
            false => Err(damaged("file of a backup")),
        }
    }

    /// The entries of a list.
    pub(super) async fn list(&self, list: &List) -> Result<Vec<(StoredBlob, PackId)>> {
        read_list(&self.verified(&list.name, &list.hash).await?)
    }

    /// The lists of backups that have not ended, each with the name of its data key.
    pub(super) async fn unfinished(&self) -> Result<Vec<(List, Option<String>)>> {
        let files = self.repository.list(UNFINISHED).await?;
        let list = |name: String| {
            let hash = id_in(&name)?;
            let (key, _) = name.strip_prefix(UNFINISHED)?.split_once('/')?;
            let key = (key != PLAIN).then(|| key.to_owned());
            Some((List { name, hash }, key))
        };
        Ok(files.into_iter().filter_map(|file| list(file.name)).collect())
    }

    /// Stores a list of what a backup has sent so far, sealed with that data key or those before it.
    pub(super) async fn put_unfinished(&self, data_key: Option<&str>, list: Bytes) -> Result<()> {
        let kind = format!("{UNFINISHED}{}/", data_key.unwrap_or(PLAIN));
        self.put_hashed(&kind, blake3::hash(&list).as_bytes(), list).await
    }

    /// Every file of packs, lists and the index, with the leftovers of those that were not finished.
    pub(super) async fn all(&self) -> Result<Vec<super::RepositoryFile>> {
        let mut files = Vec::new();
        for kind in [PACKS, INDEX, LISTS] {
            files.extend(self.repository.list(kind).await?);
        }
        Ok(files)
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        self.repository.remove(name).await
    }
}

/// A hash that a snapshot names.
pub(super) fn hash_of(text: &str) -> Result<Hash> {
    let mut hash = [0; 32];
    let decoded = hex::decode_to_slice(text, &mut hash);
    decoded.map(|()| hash).map_err(|_| Error::Corrupt { what: "snapshot", place: text.to_owned() })
}

/// How a pack is called.
pub(super) fn pack_name(id: &PackId) -> String {
    let id = hex::encode(id);
    format!("{PACKS}{}/{id}", &id[..2])
}

/// How something of that hash is called.
pub(super) fn hashed_name(kind: &str, hash: &Hash) -> String {
    let hash = hex::encode(hash);
    format!("{kind}{}/{hash}", &hash[..2])
}

/// The id at the end of a name.
fn id_in<const N: usize>(name: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    hex::decode_to_slice(name.rsplit('/').next()?, &mut id).ok().map(|()| id)
}
