//! The reference model: what a bucket of S3 holds, as a sorted map of lists, and what requests do to it.
//!
//! What time does to it is in `rules`. Nothing here knows how the engine decides or stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use strata_storage::{
    Checksum, ETag, Lifecycle, Lock, ObjectLock, Quota, Restore, StorageClass, Tag, Tier, TieringConfiguration,
    UploadId, VersionId, Versioning,
};

use crate::conditional::Completed;
use crate::zones::Zones;

/// A version or a delete marker.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its `Last-Modified`, in nanoseconds. Versions of a key are ordered by it.
    pub time: u64,
    /// `None` until the engine has told which id it gave to a marker of its own.
    pub id: Option<VersionId>,
    /// `None` for a delete marker.
    pub object: Option<Object>,
    /// The day of the last lifecycle action on it. Forgotten when something about it changes that rules look at: the
    /// engine looks again then, and may act once more.
    pub acted: Option<u64>,
}

/// What a version has and a delete marker lacks.
#[derive(Clone)]
pub struct Object {
    pub bytes: Arc<Vec<u8>>,
    pub etag: ETag,
    pub class: StorageClass,
    pub tags: Vec<Tag>,
    /// Counts only in INTELLIGENT_TIERING.
    pub tier: Tier,
    /// From when days without access count, in nanoseconds.
    pub untouched_since: u64,
    /// An access that the workers have not seen yet.
    pub read: Option<u64>,
    pub restore: Option<Restore>,
    /// Whether it may depend on a single zone: see `zones`.
    pub fragile: bool,
    /// The one that is kept with it.
    pub checksum: Option<Checksum>,
    /// Numbers and sizes of the parts that it was made of, in bytes.
    pub parts: Vec<(u16, u64)>,
    pub lock: Lock,
    pub acl: Option<Vec<u8>>,
    /// Whether tags were set since it was made.
    pub tags_set: bool,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Object { bytes, class, tier, restore, tags, lock, .. } = self;
        let tags: Vec<&str> = tags.iter().map(|tag| tag.value.as_str()).collect();
        write!(f, "{} bytes, {}, {tier:?}, {restore:?}, {tags:?}, {lock:?}", bytes.len(), class.name())
    }
}

impl Object {
    /// A new object.
    pub fn new(bytes: Arc<Vec<u8>>, etag: ETag, class: StorageClass, tags: Vec<Tag>, now: u64) -> Object {
        Object {
            bytes,
            etag,
            class,
            tags,
            tier: Tier::Frequent,
            untouched_since: now,
            read: None,
            restore: None,
            fragile: class == StorageClass::OnezoneIa,
            checksum: None,
            parts: Vec::new(),
            lock: Lock::default(),
            acl: None,
            tags_set: false,
        }
    }

    /// Whether it takes a restore to read it.
    pub fn is_archived(&self) -> bool {
        match self.class {
            StorageClass::Glacier | StorageClass::DeepArchive => true,
            StorageClass::IntelligentTiering => matches!(self.tier, Tier::Archive | Tier::DeepArchive),
            _ => false,
        }
    }

    /// Whether its bytes can be read.
    pub fn is_readable(&self, now: u64) -> bool {
        !self.is_archived() || matches!(self.told_restore(now), Some(Restore::Done { .. }))
    }

    /// What answers say of its restore.
    pub fn told_restore(&self, now: u64) -> Option<Restore> {
        self.restore.filter(|restore| !matches!(restore, Restore::Done { expires } if expires.as_nanos() <= now))
    }

    /// Whether accesses move it between tiers.
    pub fn is_monitored(&self) -> bool {
        self.class == StorageClass::IntelligentTiering && self.bytes.len() >= 128 * 1024
    }
}

/// An open upload.
#[derive(Debug, Clone)]
pub struct Upload {
    pub key: usize,
    pub id: UploadId,
    pub class: StorageClass,
    pub tags: Vec<Tag>,
    pub parts: BTreeMap<u16, (Part, ETag)>,
    /// Whether the key had an object when it began.
    pub existed: bool,
}

/// The bytes of a part.
#[derive(Clone)]
pub struct Part(pub Vec<u8>);

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct Model {
    pub versioning: Versioning,
    /// The versions of each key, newest first.
    pub keys: BTreeMap<&'static str, Vec<Version>>,
    pub uploads: Vec<Upload>,
    pub lifecycle: Option<Lifecycle>,
    pub tiering: Vec<TieringConfiguration>,
    pub zones: Zones,
    pub quota: Quota,
    /// `None` in a bucket without Object Lock.
    pub locks: Option<ObjectLock>,
    /// The upload that was completed last by a request that may be repeated.
    pub completed: Option<Completed>,
    pub documents: BTreeMap<&'static str, Vec<u8>>,
    /// What time did, and how often.
    pub seen: Seen,
}

/// Counts of what happened, by what it was.
pub type Seen = BTreeMap<&'static str, usize>;

impl Model {
    pub fn new(zones: usize, locked: bool) -> Model {
        Model {
            versioning: if locked { Versioning::Enabled } else { Versioning::Unversioned },
            keys: BTreeMap::new(),
            uploads: Vec::new(),
            lifecycle: None,
            tiering: Vec::new(),
            zones: Zones { count: zones, ..Zones::default() },
            quota: Quota::default(),
            locks: locked.then(ObjectLock::default),
            completed: None,
            documents: BTreeMap::new(),
            seen: Seen::new(),
        }
    }

    pub fn versions(&mut self, key: &'static str) -> &mut Vec<Version> {
        self.keys.entry(key).or_default()
    }

    /// The version at a place of the key's list.
    pub fn at(&self, key: &'static str, place: usize) -> Option<&Version> {
        self.keys.get(key)?.get(place)
    }

    /// The object of a key that was made then.
    pub fn made_at(&mut self, key: &'static str, time: u64) -> &mut Object {
        let made = self.versions(key).iter_mut().find(|version| version.time == time);
        made.and_then(|version| version.object.as_mut()).expect("an object was made then")
    }

    /// What a put, a completed upload or a delete marker does.
    pub fn install(&mut self, key: &'static str, version: Version) {
        let place = self.insert(key, version);
        self.came(key, place);
    }

    /// Puts a version into its place, and tells which that is.
    pub fn insert(&mut self, key: &'static str, version: Version) -> usize {
        if self.versioning != Versioning::Enabled {
            self.versions(key).retain(|version| version.id != Some(VersionId::Null));
        }
        let time = version.time;
        let versions = self.versions(key);
        versions.push(version);
        versions.sort_by_key(|version| std::cmp::Reverse(version.time));
        versions.iter().position(|version| version.time == time).expect("it was just put there")
    }

    /// What was put there has changed the position of older versions.
    fn came(&mut self, key: &'static str, place: usize) {
        self.look_again(key, place + 1);
        let limits = self.newer_limits();
        let most = limits.iter().max().copied().unwrap_or(0);
        for older in if place == 0 { limits } else { (1..=most).collect() } {
            self.look_again(key, place + usize::from(place == 0) + older);
        }
    }

    /// Something that rules look at has changed.
    pub fn look_again(&mut self, key: &'static str, place: usize) {
        if let Some(version) = self.versions(key).get_mut(place) {
            version.acted = None;
        }
    }

    /// Counts what time did.
    pub fn count(&mut self, what: &'static str, times: usize) {
        *self.seen.entry(what).or_default() += times;
    }

    /// Every object.
    pub fn objects(&mut self) -> impl Iterator<Item = (&'static str, &mut Object)> {
        let versions = self.keys.iter_mut().flat_map(|(key, versions)| versions.iter_mut().map(move |it| (*key, it)));
        versions.filter_map(|(key, version)| Some((key, version.object.as_mut()?)))
    }
}
