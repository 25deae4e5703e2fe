//! Deeds whose content is there already, or comes from another store: parts that are copies, content known by the names of its
//! chunks, replicas, their markers and tags. And attributes of versions, and documents.

use rand::Rng as _;
use rand::rngs::StdRng;
use strata_storage::{
    ChecksumAlgorithm, Clock as _, CopyStage, Digests, DocumentChange, OpenObject, PutObject, Replica, ReplicaChanges,
    Stamp, Tag, Timestamp, VersionSelector,
};

use crate::deeds::{KEYS, allowed};
use crate::machine::{bucket, content, key};
use crate::story::Teller;

/// Something of that kind. All of it happens as a whole or not at all.
#[derive(Debug, Clone)]
pub enum Taken {
    /// Makes the middle third of an object a part of the oldest upload.
    Part {
        number: u16,
        from: &'static str,
    },
    Known {
        from: &'static str,
        to: &'static str,
    },
    /// A version that was made so many seconds ago, or a marker.
    Replica {
        key: &'static str,
        bytes: Option<usize>,
        seed: u64,
        ago: u64,
        null: bool,
    },
    /// Tags that were set elsewhere.
    Tags {
        key: &'static str,
        value: u64,
    },
    Acl {
        key: &'static str,
        value: u8,
    },
    Document {
        value: Option<u8>,
    },
}

/// Draws one.
pub fn draw(draws: &mut StdRng, bytes: usize) -> Taken {
    let (key, from) = (KEYS[draws.random_range(0..KEYS.len())], KEYS[draws.random_range(0..KEYS.len())]);
    let (value, seed) = (draws.random_range(0..4_u8), draws.random_range(0..4));
    match draws.random_range(0..12) {
        0..3 => Taken::Part { number: draws.random_range(1..4), from },
        3 | 4 => Taken::Known { from, to: key },
        5..8 => {
            let (ago, null) = (draws.random_range(0..100_000), draws.random_bool(0.2));
            Taken::Replica { key, bytes: draws.random_bool(0.7).then_some(bytes), seed, ago, null }
        }
        8 => Taken::Tags { key, value: seed },
        9 | 10 => Taken::Acl { key, value },
        _ => Taken::Document { value: draws.random_bool(0.8).then_some(value) },
    }
}

impl Teller {
    /// Does it.
    pub async fn take(&mut self, taken: &Taken) {
        match *taken {
            Taken::Part { number, from } => self.copy_part(number, from).await,
            Taken::Known { from, to } => self.put_known(from, to).await,
            Taken::Replica { key, bytes, seed, ago, null } => {
                let time = self.clock.now().as_nanos() - ago * 1_000_000_000;
                let version = Stamp { time: Timestamp::from_nanos(time), random: ago };
                let replica = Replica { version, null, changes: Default::default(), imported: false };
                self.put_replica(key, bytes.map(|bytes| content(seed, bytes)), replica).await;
            }
            Taken::Tags { key: name, value } => {
                let tags = vec![Tag { key: "elsewhere".to_owned(), value: value.to_string() }];
                let tags = Some((Stamp { time: self.clock.now(), random: value }, tags));
                let changes = ReplicaChanges { tags, ..ReplicaChanges::default() };
                let Some(open) = self.open(name).await else { return };
                let id = open.info().version_id;
                allowed(self.store().change_replica(&bucket(), &key(name), id, changes).await.map(drop));
            }
            Taken::Acl { key: name, value } => {
                let acl = Some(vec![value; 20]);
                allowed(self.store().set_acl(&bucket(), &key(name), VersionSelector::Current, acl).await.map(drop));
            }
            Taken::Document { value } => {
                let change =
                    DocumentChange { name: "document".to_owned(), content: value.map(|value| vec![value; 50]) };
                self.store().write_documents(vec![change]).await.expect("documents are written");
            }
        }
    }

    /// Opens the current version of a key, if it can be read.
    async fn open(&self, name: &str) -> Option<OpenObject> {
        let open = self.store().object(&bucket(), &key(name), VersionSelector::Current).await.ok()?;
        open.info().readable.then_some(open)
    }

    async fn copy_part(&mut self, number: u16, from: &str) {
        let Some(source) = self.open(from).await else { return };
        let size = source.info().size;
        let range = size / 3..size * 2 / 3;
        // Such a part would keep its upload from being completed.
        if range.is_empty() {
            return;
        }
        let bytes = source.read(range.clone()).collect().await.expect("it can be read").to_vec();
        let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
        let options = CopyStage { range: Some(range), digests, ..CopyStage::default() };
        let staged = self.store().stage_copy(&source, options).await.expect("it can be copied");
        self.put_part(number, bytes, staged).await;
    }

    async fn put_known(&mut self, from: &str, to: &str) {
        let Some(source) = self.open(from).await else { return };
        let size = source.info().size;
        let Some(chunks) = source.chunks(0..size, 100).await.expect("the chunks are known") else { return };
        let staged = self.store().stage_known(&chunks, Digests::NONE).await.expect("the chunks can be read");
        let Some(staged) = staged else { return };
        let bytes = source.read(0..size).collect().await.expect("it can be read").to_vec();
        let written = self.store().put(PutObject::new(bucket(), key(to), staged)).await.expect("it is stored");
        self.contents.insert(written.etag.to_string(), bytes.into());
    }

    async fn put_replica(&mut self, name: &str, bytes: Option<Vec<u8>>, replica: Replica) {
        let Some(bytes) = bytes else {
            let made = self.store().put_replica_marker(&bucket(), &key(name), replica).await;
            return allowed(made.map(drop));
        };
        let staged = self.store().stage_bytes(bytes.clone()).await.expect("bytes are staged");
        self.contents.insert(staged.etag().to_string(), bytes.into());
        let put = PutObject { replica: Some(replica), ..PutObject::new(bucket(), key(name), staged) };
        allowed(self.store().put(put).await.map(drop));
    }
}
