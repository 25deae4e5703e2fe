//! Quotas in the histories: what a bucket may hold is exact, so every write is known to fit or not.

use proptest::prelude::{Just, Strategy, prop_oneof};
use strata_storage::{BucketChange, Quota, VersionId, Versioning};

use crate::model::{Model, Upload};
use crate::ops::KEYS;
use crate::run::Run;
use crate::support::bucket;

pub fn quotas() -> impl Strategy<Value = Quota> {
    prop_oneof![
        3 => Just(Quota::default()),
        1 => (100_000..900_000_u64).prop_map(|bytes| Quota { bytes: Some(bytes), objects: None }),
        1 => (1..5_u64).prop_map(|objects| Quota { bytes: None, objects: Some(objects) }),
        1 => (100_000..900_000_u64, 1..5_u64)
            .prop_map(|(bytes, objects)| Quota { bytes: Some(bytes), objects: Some(objects) }),
    ]
}

impl Model {
    /// The bytes and objects that count.
    fn held(&self) -> (i64, i64) {
        let objects = self.keys.values().flatten().filter_map(|version| version.object.as_ref());
        let parts = self.uploads.iter().flat_map(|upload| upload.parts.values());
        let bytes = objects.clone().map(|object| object.bytes.len()).sum::<usize>()
            + parts.map(|(part, _)| part.0.len()).sum::<usize>();
        (bytes as i64, objects.count() as i64)
    }

    /// Whether so much may be added. What adds nothing may always be done.
    pub fn takes(&self, bytes: i64, objects: i64) -> bool {
        let held = self.held();
        let fits = |limit: Option<u64>, held: i64, added: i64| {
            added <= 0 || limit.is_none_or(|limit| held + added <= limit as i64)
        };
        fits(self.quota.bytes, held.0, bytes) && fits(self.quota.objects, held.1, objects)
    }

    /// The bytes and objects that a new version of the key takes the place of.
    fn replaced(&self, name: &'static str) -> (i64, i64) {
        if self.versioning == Versioning::Enabled {
            return (0, 0);
        }
        let versions = self.keys.get(name).into_iter().flatten();
        let null = versions.filter(|version| version.id == Some(VersionId::Null)).find_map(|it| it.object.as_ref());
        null.map_or((0, 0), |object| (object.bytes.len() as i64, 1))
    }

    /// Whether there is room for a version of that size.
    pub fn has_room(&self, name: &'static str, size: usize) -> bool {
        let (bytes, objects) = self.replaced(name);
        self.takes(size as i64 - bytes, 1 - objects)
    }

    /// Whether there is room for a part of that size.
    pub fn has_room_for_part(&self, upload: &Upload, number: u16, size: usize) -> bool {
        let replaced = upload.parts.get(&number).map_or(0, |(part, _)| part.0.len());
        self.takes(size as i64 - replaced as i64, 0)
    }

    /// Whether there is room for what an upload becomes, which has that size.
    pub fn has_room_for_upload(&self, upload: &Upload, size: usize) -> bool {
        let (bytes, objects) = self.replaced(KEYS[upload.key]);
        let parts: usize = upload.parts.values().map(|(part, _)| part.0.len()).sum();
        self.takes(size as i64 - parts as i64 - bytes, 1 - objects)
    }
}

impl Run {
    pub async fn set_quota(&mut self, quota: Quota) {
        self.world.store.change_bucket(&bucket(), BucketChange::Quota(quota)).await.expect("a quota can be set");
        self.model.quota = quota;
    }

    /// Compares what the engine says is held.
    pub async fn compare_held(&self) {
        let held = self.world.store.held_by_bucket(&bucket()).await.expect("it is counted");
        assert_eq!((held.bytes, held.objects), self.model.held());
    }
}
