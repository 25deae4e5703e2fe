//! Versions of other stores in the histories: they bring their id, and with it their place.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use strata_storage::{
    Error, PutObject, Replica, ReplicaChanges, Stamp, StorageClass, Timestamp, VersionId, Versioning,
};

use crate::model::{Object, Version};
use crate::ops::{Content, KEYS, tag};
use crate::parts::crc;
use crate::run::Run;
use crate::support::{bucket, key, md5};

/// Something that comes from another store.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A version, or a marker, that was made so many minutes ago.
    Version { key: usize, content: Option<Content>, minutes: u32, null: bool },
    /// The version at a place of the key's list, once more.
    Again { key: usize, place: usize, content: Content },
    /// Tags of the version at a place, set before all tags here, or after.
    Tags { key: usize, place: usize, late: bool },
}

pub fn arrivals(contents: impl Strategy<Value = Content> + Clone) -> impl Strategy<Value = Arrival> {
    let (keys, places) = (0..KEYS.len(), 0..3_usize);
    let some = prop_oneof![3 => contents.clone().prop_map(Some), 1 => Just(None)];
    prop_oneof![
        4 => (keys.clone(), some, 1..5_000_u32, prop_oneof![3 => Just(false), 1 => Just(true)])
            .prop_map(|(key, content, minutes, null)| Arrival::Version { key, content, minutes, null }),
        1 => (keys.clone(), places.clone(), contents)
            .prop_map(|(key, place, content)| Arrival::Again { key, place, content }),
        2 => (keys, places, any::<bool>()).prop_map(|(key, place, late)| Arrival::Tags { key, place, late }),
    ]
}

impl Run {
    /// Takes it in.
    pub async fn arrive(&mut self, arrival: &Arrival) {
        match *arrival {
            Arrival::Version { key, content, minutes, null } => {
                let time = self.now() - u64::from(minutes) * 60_000_000_000 + 7;
                let version = Stamp { time: Timestamp::from_nanos(time), random: u64::from(minutes) };
                let replica = Replica { version, null, changes: Default::default(), imported: false };
                match content {
                    Some(content) => self.put_replica(KEYS[key], content, replica).await,
                    None => self.put_marker(KEYS[key], replica).await,
                }
            }
            Arrival::Again { key, place, content } => {
                let Some(Version { id: Some(VersionId::Stamp(version)), object, .. }) = self.model.at(KEYS[key], place)
                else {
                    return;
                };
                let (is_object, version) = (object.is_some(), *version);
                let replica = Replica { version, null: false, changes: Default::default(), imported: false };
                if is_object {
                    self.put_replica(KEYS[key], content, replica).await;
                } else {
                    self.put_marker(KEYS[key], replica).await;
                }
            }
            Arrival::Tags { key, place, late } => self.change_tags(KEYS[key], place, late).await,
        }
    }

    /// Whether the bucket wants it: `Err` if it takes no replicas.
    fn wants(&self, name: &'static str, replica: &Replica) -> Result<bool, ()> {
        if self.model.versioning != Versioning::Enabled {
            return Err(());
        }
        let id = replica.version_id();
        let present = self.model.keys.get(name).into_iter().flatten().find(|version| version.id == Some(id));
        Ok(present.is_none_or(|present| replica.null && replica.version.time.as_nanos() > present.time))
    }

    fn install_replica(&mut self, name: &'static str, replica: &Replica, object: Option<Object>) {
        if replica.null {
            self.model.versions(name).retain(|version| version.id != Some(VersionId::Null));
        }
        self.model.count("replica written", 1);
        let (time, id) = (replica.version.time.as_nanos(), Some(replica.version_id()));
        self.model.install(name, Version { time, id, object, acted: None });
    }

    async fn put_replica(&mut self, name: &'static str, content: Content, replica: Replica) {
        let bytes = content.bytes();
        let (wanted, etag) = (self.wants(name, &replica), strata_storage::ETag::single(md5(&bytes)));
        let null = self.model.keys.get(name).into_iter().flatten().find(|it| it.id == Some(VersionId::Null));
        let null = null.filter(|_| replica.null).and_then(|null| null.object.as_ref());
        let fits = self.model.takes(
            bytes.len() as i64 - null.map_or(0, |object| object.bytes.len() as i64),
            1 - i64::from(null.is_some()),
        );
        let held = null.is_some_and(|object| object.is_held(self.now(), Default::default()));
        let staged = self.world.store.stage_bytes(bytes.clone()).await.expect("bytes are staged");
        let checksum = crc(&bytes);
        let request = PutObject {
            replica: Some(replica),
            checksum: checksum.clone(),
            ..PutObject::new(bucket(), key(name), staged)
        };
        match (wanted, self.world.store.put(request).await) {
            (Err(()), Err(Error::BucketState(_))) => {}
            (Ok(true), Err(Error::QuotaExceeded(_))) => assert!(!fits),
            (Ok(true), Err(Error::ObjectLocked { .. })) => assert!(held),
            (Ok(wanted), Ok(written)) => {
                assert_eq!((written.version_id, written.modified), (Some(replica.version_id()), replica.version.time));
                if wanted {
                    assert!(fits && !held);
                    let now = self.now();
                    let mut object = Object::new(bytes.into(), etag, StorageClass::Standard, Vec::new(), now);
                    (object.checksum, object.lock.retention) = (checksum, self.model.default_retention(now));
                    self.install_replica(name, &replica, Some(object));
                }
            }
            (wanted, outcome) => panic!("{name}: {outcome:?}, wanted: {wanted:?}"),
        }
    }

    async fn put_marker(&mut self, name: &'static str, replica: Replica) {
        let wanted = self.wants(name, &replica);
        let null = self.model.keys.get(name).into_iter().flatten().find(|it| it.id == Some(VersionId::Null));
        let null = null.filter(|_| replica.null).and_then(|null| null.object.as_ref());
        let held = null.is_some_and(|object| object.is_held(self.now(), Default::default()));
        match (wanted, self.world.store.put_replica_marker(&bucket(), &key(name), replica).await) {
            (Err(()), Err(Error::BucketState(_))) | (Ok(false), Ok(false)) => {}
            (Ok(true), Err(Error::ObjectLocked { .. })) => assert!(held),
            (Ok(true), Ok(true)) => {
                assert!(!held);
                self.install_replica(name, &replica, None);
            }
            (wanted, outcome) => panic!("{name}: {outcome:?}, wanted: {wanted:?}"),
        }
    }

    async fn change_tags(&mut self, name: &'static str, place: usize, late: bool) {
        let time = if late { self.now() + 1_000_000_000 } else { 1 };
        let at = Stamp { time: Timestamp::from_nanos(time), random: 1 };
        let Some(version) = self.model.versions(name).get_mut(place) else { return };
        let id = version.id.expect("every id is known");
        let tags = vec![tag(if late { "1" } else { "3" })];
        let changes = ReplicaChanges { tags: Some((at, tags.clone())), ..ReplicaChanges::default() };
        let outcome = self.world.store.change_replica(&bucket(), &key(name), id, changes).await;
        match (&mut version.object, outcome) {
            (Some(object), Ok(changed)) => {
                assert_eq!(changed, late || !object.tags_set);
                if changed {
                    (object.tags, object.tags_set) = (tags, true);
                }
                version.acted = None;
            }
            (None, Err(Error::DeleteMarker { .. })) => {}
            (_, outcome) => panic!("{name}: {outcome:?}"),
        }
    }
}
