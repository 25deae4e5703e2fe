//! The comparison of engine and model: listings, what is known of each version, bytes, open uploads and counters.

use std::collections::BTreeMap;

use strata_storage::{
    Error, ListQuery, Restore, StorageClass, Tier, UploadsQuery, Usage, VersionId, VersionSelector, VersionsQuery,
};

use crate::model::{Object, Version};
use crate::ops::KEYS;
use crate::parts::compare_attributes;
use crate::run::Run;
use crate::support::{DAY, bucket, key};

impl Run {
    /// Compares all that can be seen, but for the bytes of objects whose reading would be an access.
    pub async fn verify(&mut self) {
        self.compare_lists().await;
        self.compare_current().await;
        let now = self.now();
        for (name, versions) in &self.model.keys {
            for (place, version) in versions.iter().enumerate() {
                let id = version.id.expect("the lists were compared");
                self.compare_version(name, version, VersionSelector::Id(id), now).await;
                if place == 0 {
                    self.compare_version(name, version, VersionSelector::Current, now).await;
                }
            }
        }
        self.compare_usage().await;
        self.compare_parts().await;
        self.compare_held().await;
        self.compare_documents().await;
    }

    /// The list of versions, which also tells the ids of markers that the engine made by itself; and that of uploads.
    pub async fn compare_lists(&mut self) {
        let now = self.now();
        let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
        let page = self.world.store.list_versions(&bucket(), query).await.expect("the listing succeeds");
        let entry = |entry: &strata_storage::VersionEntry| {
            let object = entry.object.as_ref();
            let about = object.map(|object| (object.size, object.etag, object.class, told(object.restore, now)));
            (entry.key.as_str().to_owned(), moment(entry.modified.as_nanos()), entry.latest, about)
        };
        let found: Vec<_> = page.entries.iter().map(entry).collect();
        let expected = self.model.keys.iter().flat_map(|(name, versions)| {
            versions.iter().enumerate().map(move |(place, version)| {
                let about = version
                    .object
                    .as_ref()
                    .map(|object| (object.bytes.len() as u64, object.etag, object.class, told(object.restore, now)));
                ((*name).to_owned(), moment(version.time), place == 0, about)
            })
        });
        let expected: Vec<_> = expected.collect();
        if found != expected {
            panic!("{}\nengine: {found:#?}\nmodel: {expected:#?}\n{:#?}", moment(now), self.model);
        }
        let versions = self.model.keys.values_mut().flatten();
        for (version, entry) in versions.zip(&page.entries) {
            let id = *version.id.get_or_insert(entry.version_id);
            assert_eq!(id, entry.version_id, "{}", entry.key.as_str());
            assert!(id == VersionId::Null || version.time == stamp_time(id));
        }
        self.compare_uploads().await;
    }

    async fn compare_current(&self) {
        let now = self.now();
        let query = ListQuery { max: 1000, ..ListQuery::default() };
        let page = self.world.store.list(&bucket(), query).await.expect("the listing succeeds");
        let found = page
            .entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.size, entry.etag, entry.class, told(entry.restore, now)));
        let expected = self.model.keys.iter().filter_map(|(name, versions)| {
            let object = versions.first()?.object.as_ref()?;
            Some((*name, object.bytes.len() as u64, object.etag, object.class, told(object.restore, now)))
        });
        assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{}", moment(now));
    }

    async fn compare_uploads(&self) {
        let query = UploadsQuery { max: 1000, ..UploadsQuery::default() };
        let page = self.world.store.list_uploads(&bucket(), query).await.expect("the listing succeeds");
        let found: Vec<_> = page.uploads.iter().map(|entry| (entry.key.as_str(), entry.upload.id)).collect();
        let mut expected: Vec<_> = self.model.uploads.iter().map(|upload| (KEYS[upload.key], upload.id)).collect();
        expected.sort_by_key(|(name, id)| (*name, id.0));
        assert_eq!(found, expected, "{}: open uploads", moment(self.now()));
    }

    async fn compare_version(&self, name: &str, version: &Version, selector: VersionSelector, now: u64) {
        let opened = self.world.store.object(&bucket(), &key(name), selector).await;
        let (object, open) = match (&version.object, opened) {
            (Some(object), Ok(open)) => (object, open),
            (None, Err(Error::DeleteMarker { version_id, .. })) => {
                return assert_eq!(Some(version_id), version.id);
            }
            (_, Ok(_)) => panic!("{name} is a marker in the model"),
            (_, Err(error)) => panic!("{name}: {error}"),
        };
        let info = open.info();
        let tier = if object.class == StorageClass::IntelligentTiering { object.tier } else { Tier::Frequent };
        let found = (info.class, info.tier, info.restore, info.readable, info.size, info.etag, &info.tags);
        let (restore, readable) = (object.told_restore(now), object.is_readable(now));
        let expected = (object.class, tier, restore, readable, object.bytes.len() as u64, object.etag, &object.tags);
        assert_eq!(found, expected, "{name} at {}: {version:#?}", moment(now));
        assert_eq!(Some(info.version_id), version.id);
        assert_eq!((info.protection.lock, &info.protection.owner.acl), (object.lock, &object.acl), "{name}");
        compare_attributes(&open, object).await;
        if object.is_monitored() && readable {
            return;
        }
        match open.read(0..info.size).collect().await {
            Ok(bytes) => assert!(readable && bytes == object.bytes[..], "{name} has other bytes"),
            Err(Error::Archived { class, tier }) => {
                assert!(!readable && (class, tier) == (object.class, info.tier), "{name} cannot be read");
            }
            Err(_) if self.model.zones.may_lack(object) => {}
            Err(error) => panic!("{name} at {}: {error}: {version:#?}", moment(now)),
        }
    }

    /// The counters, with what the model adds up to and with what the engine recounts.
    async fn compare_usage(&self) {
        let wrong = self.world.store.recount(&bucket()).await.expect("recounting succeeds");
        assert_eq!(wrong, [], "counters differ from a recount");
        let mut expected: BTreeMap<(StorageClass, Tier), Usage> = BTreeMap::new();
        for (name, versions) in &self.model.keys {
            for version in versions {
                match &version.object {
                    Some(object) => count(expected.entry(usage_key(object)).or_default(), object),
                    None => {
                        let usage = expected.entry((StorageClass::Standard, Tier::Frequent)).or_default();
                        usage.markers += 1;
                        usage.marker_bytes += name.len() as i64;
                    }
                }
            }
        }
        let parts = self.model.uploads.iter().flat_map(|upload| upload.parts.values());
        let part_bytes: i64 = parts.map(|(part, _)| part.0.len() as i64).sum();
        if part_bytes > 0 {
            expected.entry((StorageClass::Standard, Tier::Frequent)).or_default().part_bytes = part_bytes;
        }
        let found = self.world.store.usage(Some(&bucket())).await.expect("usage is told");
        // How well the bytes compress is not the model's to know, nor how soon a copy is forgotten whose time is over.
        let known = |usage| Usage { stored_bytes: 0, restored_bytes: 0, ..usage };
        let found: BTreeMap<_, _> = found.into_iter().map(|it| ((it.class, it.tier), known(it.usage))).collect();
        assert_eq!(found, expected, "usage at {}", moment(self.now()));
    }
}

fn usage_key(object: &Object) -> (StorageClass, Tier) {
    let tiered = object.class == StorageClass::IntelligentTiering;
    (object.class, if tiered { object.tier } else { Tier::Frequent })
}

fn count(usage: &mut Usage, object: &Object) {
    let bytes = object.bytes.len() as i64;
    usage.objects += 1;
    usage.bytes += bytes;
    usage.billed_bytes += bytes.max(128 << 10);
    usage.small_objects += i64::from(bytes < 128 << 10);
    usage.tags += object.tags.len() as i64;
}

/// A restore, unless it is of a copy whose time is over, of which listings may still tell.
fn told(restore: Option<Restore>, now: u64) -> Option<Restore> {
    restore.filter(|restore| !matches!(restore, Restore::Done { expires } if expires.as_nanos() <= now))
}

fn stamp_time(id: VersionId) -> u64 {
    match id {
        VersionId::Null => 0,
        VersionId::Stamp(stamp) => stamp.time.as_nanos(),
    }
}

/// A time as days since the first one, hours and nanoseconds.
fn moment(time: u64) -> String {
    let first = crate::support::START.as_nanos() / DAY;
    let (day, rest) = ((time / DAY).wrapping_sub(first), time % DAY);
    format!("day {day} {}:{:02} + {} ns", rest / (DAY / 24), rest % (DAY / 24) / (DAY / 1440), rest % (DAY / 1440))
}
