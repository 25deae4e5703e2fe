//! One history: every step is done by the engine and by the model, whose answers are compared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strata_storage::{
    BucketChange, Clock as _, CopyStage, DeleteCondition, DeleteObject, ETag, Entity, Error, Governance, NewUpload,
    PutObject, Restore, RestoreOutcome, RestoreRequest, RestoreSpeed, StorageClass, Tag, Tier, Timestamp, VersionId,
    VersionSelector, Versioning, Written,
};

use crate::conditional::{Condition, Fault};
use crate::histories::Setting;
use crate::model::{Model, Object, Part, Seen, Upload, Version};
use crate::ops::{Content, KEYS, Op};
use crate::parts::crc;
use crate::rules::days_after;
use crate::support::{DAY, STAGES, World, bucket, key, md5};

/// Open uploads at once.
const UPLOADS_MAX: usize = 2;
const HOUR: u64 = DAY / 24;

/// An engine and a model that have lived through the same.
pub struct Run {
    pub world: World,
    pub model: Model,
}

impl Run {
    pub async fn new(setting: Setting) -> Run {
        let Setting { zones, locked } = setting;
        Run { world: World::new(zones, locked).await, model: Model::new(zones, locked) }
    }

    pub fn now(&self) -> u64 {
        self.world.clock.now().as_nanos()
    }

    /// Does one step, a minute after the last one, and compares all that there is.
    pub async fn step(mut self, op: &Op) -> Run {
        self.world.clock.advance(Duration::from_secs(61));
        match op {
            Op::Put { key, content, class, tags } => self.put(KEYS[*key], *content, *class, tags).await,
            Op::Delete { key } => self.delete(KEYS[*key]).await,
            Op::DeleteVersion { key, place } => self.delete_version(KEYS[*key], *place).await,
            Op::Copy { from, place, to, class } => self.copy(KEYS[*from], *place, KEYS[*to], *class).await,
            Op::Read { place, part } => {
                let (name, place) = self.place(*place, Object::is_monitored);
                self.read(name, place, *part).await;
            }
            Op::SetTags { key, place, tags } => self.set_tags(KEYS[*key], *place, tags).await,
            Op::Restore { place, days, speed } => {
                let (name, place) = self.place(*place, Object::is_archived);
                self.restore(name, place, *days, *speed).await;
            }
            Op::CreateUpload { key, class } => self.create_upload(*key, *class).await,
            Op::PutPart { upload, number, content } => self.put_part(*upload, *number, *content).await,
            Op::Complete { upload } => self.complete_if(*upload, Condition::None, Fault::Nothing).await,
            Op::Abort { upload } => self.abort(*upload).await,
            Op::SetAcl { key, place, acl } => self.set_acl(KEYS[*key], *place, *acl).await,
            Op::Conditional(request) => self.conditional(request).await,
            Op::Take(taken) => self.take(taken).await,
            Op::Arrive(arrival) => self.arrive(arrival).await,
            Op::Lock(locking) => self.lock(locking).await,
            Op::SetQuota(quota) => self.set_quota(*quota).await,
            Op::KeepUp(upkeep) => self.keep_up(upkeep).await,
            Op::Days(days) => self.days(*days).await,
            Op::Hours(hours) => self.hours(*hours).await,
            Op::LoseZone { zone, noticed } => self.lose_zone(*zone, *noticed).await,
            Op::ReturnZone { empty } => self.return_zone(*empty).await,
            Op::Reopen => self.world = self.world.reopen().await,
            Op::BackUp => self = self.back_up().await,
            Op::Crash { hours, stages } => return self.crash(*hours, *stages).await,
            Op::SetVersioning(_) | Op::SetLifecycle(_) | Op::PutTiering(_) | Op::DeleteTiering { .. } => {
                self.configure(op).await;
            }
        }
        self.verify().await;
        self
    }

    async fn configure(&mut self, op: &Op) {
        let model = &mut self.model;
        let change = match op.clone() {
            Op::SetVersioning(Versioning::Suspended) if model.locks.is_some() => {
                let change = BucketChange::Versioning(Versioning::Suspended);
                let refused = self.world.store.change_bucket(&bucket(), change).await;
                return assert!(matches!(refused, Err(Error::BucketState(_))), "{refused:?}");
            }
            Op::SetVersioning(versioning) => {
                model.versioning = versioning;
                BucketChange::Versioning(versioning)
            }
            Op::SetLifecycle(lifecycle) => {
                // A rule without an action would be refused.
                let lifecycle = lifecycle.filter(|lifecycle| lifecycle.rules.iter().all(crate::drawn_rules::acts));
                model.lifecycle = lifecycle.clone();
                BucketChange::Lifecycle(lifecycle)
            }
            Op::PutTiering(tiering) => {
                model.tiering.retain(|other| other.id != tiering.id);
                model.tiering.push(tiering.clone());
                BucketChange::PutTiering(tiering)
            }
            Op::DeleteTiering { id } if model.tiering.iter().any(|tiering| tiering.id == id) => {
                model.tiering.retain(|tiering| tiering.id != id);
                BucketChange::DeleteTiering(id.into())
            }
            _ => return,
        };
        if !matches!(change, BucketChange::Versioning(_)) {
            model.keys.values_mut().flatten().for_each(|version| version.acted = None);
        }
        self.world.store.change_bucket(&bucket(), change).await.expect("the bucket can be changed");
    }

    async fn put(&mut self, name: &'static str, content: Content, class: StorageClass, tags: &[Tag]) {
        let bytes = content.bytes();
        let staged = self.world.store.stage_bytes(bytes.clone()).await.expect("bytes are staged");
        let mut request = PutObject::new(bucket(), key(name), staged);
        (request.class, request.tags, request.checksum) = (class, tags.to_vec(), crc(&bytes));
        let (checksum, fits) = (crc(&bytes), self.model.has_room(name, bytes.len()));
        match self.world.store.put(request).await {
            Ok(written) => {
                assert!(fits);
                self.written(name, bytes, class, tags, &written);
                self.model.made_at(name, written.modified.as_nanos()).checksum = checksum;
            }
            Err(Error::QuotaExceeded(_)) => {
                assert!(!fits);
                self.model.count("kept out by a quota", 1);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Has the model take over what a put or a copy made.
    pub fn written(
        &mut self,
        name: &'static str,
        bytes: Vec<u8>,
        class: StorageClass,
        tags: &[Tag],
        written: &Written,
    ) {
        let (now, etag) = (self.now(), ETag::single(md5(&bytes)));
        let time = written.modified.as_nanos();
        assert!((now..now + 1_000).contains(&time), "an object is as old as its request");
        assert_eq!(written.version_id.is_some(), self.model.versioning == Versioning::Enabled);
        assert_eq!(written.etag, etag);
        let mut object = Object::new(Arc::new(bytes), etag, class, tags.to_vec(), now);
        object.lock.retention = self.model.default_retention(time);
        let id = Some(written.version_id.unwrap_or(VersionId::Null));
        self.model.install(name, Version { time, id, object: Some(object), acted: None });
    }

    async fn delete(&mut self, name: &'static str) {
        self.delete_with(name, DeleteCondition::None).await.expect("deleting succeeds");
    }

    /// Deletes an object, or covers it.
    pub async fn delete_with(&mut self, name: &'static str, condition: DeleteCondition) -> Result<(), Error> {
        let governance = Governance::default();
        let request = DeleteObject { bucket: bucket(), key: key(name), version: None, condition, governance };
        let deleted = self.world.store.delete(request).await?;
        if self.model.versioning == Versioning::Unversioned {
            assert!(!deleted.marker && deleted.version_id.is_none());
            self.model.versions(name).clear();
            return Ok(());
        }
        let id = deleted.version_id.expect("a marker has an id");
        assert_eq!(id == VersionId::Null, self.model.versioning == Versioning::Suspended);
        let newest = self.model.at(name, 0).map_or(0, |version| version.time + 1);
        let time = match id {
            VersionId::Stamp(stamp) => stamp.time.as_nanos(),
            VersionId::Null => self.now().max(newest),
        };
        self.model.install(name, Version { time, id: Some(id), object: None, acted: None });
        Ok(())
    }

    async fn delete_version(&mut self, name: &'static str, place: usize) {
        self.delete_version_with(name, place, Governance::Binding).await;
    }

    /// Removes the version at a place of the key's list, unless it is held.
    pub async fn delete_version_with(&mut self, name: &'static str, place: usize, governance: Governance) {
        let now = self.now();
        let Some(version) = self.model.at(name, place) else { return };
        let (id, marker) = (version.id.expect("every id is known"), version.object.is_none());
        let held = version.object.as_ref().is_some_and(|object| object.is_held(now, governance));
        let condition = DeleteCondition::None;
        let request = DeleteObject { bucket: bucket(), key: key(name), version: Some(id), condition, governance };
        match self.world.store.delete(request).await {
            Ok(deleted) => {
                assert!(!held, "{name} can be removed");
                assert_eq!((deleted.marker, deleted.version_id), (marker, Some(id)));
                self.model.versions(name).remove(place);
                if place == 0 {
                    self.model.look_again(name, 0);
                }
            }
            Err(Error::ObjectLocked { .. }) => {
                assert!(held, "{name} cannot be removed");
                self.model.count("kept by a lock", 1);
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn copy(&mut self, from: &'static str, place: usize, to: &'static str, class: StorageClass) {
        let now = self.now();
        let Some((id, object)) = self.object_at(from, place) else { return };
        let (id, bytes, tags) = (id, Arc::clone(&object.bytes), object.tags.clone());
        let lacking = self.model.zones.may_lack(object);
        let (readable, archived) = (object.is_readable(now), (object.class, object.tier));
        let source = self.world.store.object(&bucket(), &key(from), VersionSelector::Id(id)).await;
        let source = source.expect("the model has it");
        match self.world.store.stage_copy(&source, CopyStage { class, ..CopyStage::default() }).await {
            Ok(staged) => {
                assert!(readable, "an archived object can be copied");
                self.accessed(from, place);
                let mut request = PutObject::new(bucket(), key(to), staged);
                (request.class, request.tags) = (class, tags.clone());
                let fits = self.model.has_room(to, bytes.len());
                match self.world.store.put(request).await {
                    Ok(written) => {
                        assert!(fits);
                        self.written(to, bytes.to_vec(), class, &tags, &written);
                    }
                    Err(Error::QuotaExceeded(_)) => assert!(!fits),
                    Err(error) => panic!("{error}"),
                }
            }
            Err(_) if lacking => {}
            Err(Error::Archived { class, tier }) => assert!(!readable && (class, tier) == archived),
            Err(error) => panic!("{error}"),
        }
    }

    /// The object, with its id, at a place of the key's list.
    pub fn object_at(&self, name: &'static str, place: usize) -> Option<(VersionId, &Object)> {
        let version = self.model.at(name, place)?;
        Some((version.id.expect("every id is known"), version.object.as_ref()?))
    }

    /// The key and the place in its list of one of the objects that are like that; else those of the first version.
    fn place(&self, at: usize, like: impl Fn(&Object) -> bool) -> (&'static str, usize) {
        let versions = self.model.keys.iter().flat_map(|(name, versions)| {
            versions.iter().enumerate().map(move |(place, version)| (*name, place, version.object.as_ref()))
        });
        let found = versions.filter(|(_, _, object)| object.is_some_and(&like)).map(|(name, place, _)| (name, place));
        let found: Vec<(&'static str, usize)> = found.collect();
        if found.is_empty() { (KEYS[0], 0) } else { found[at % found.len()] }
    }

    /// Notes an access.
    pub fn accessed(&mut self, name: &'static str, place: usize) {
        let now = self.now();
        if let Some(object) = self.model.versions(name)[place].object.as_mut().filter(|object| object.is_monitored()) {
            object.read = Some(now);
        }
    }

    async fn read(&mut self, name: &'static str, place: usize, part: bool) {
        let now = self.now();
        let Some((id, object)) = self.object_at(name, place) else { return };
        let size = object.bytes.len() as u64;
        let range = if part { size / 3..size * 2 / 3 } else { 0..size };
        let open = self.world.store.object(&bucket(), &key(name), VersionSelector::Id(id)).await;
        let open = open.expect("the model has it");
        match open.read(range.clone()).collect().await {
            Ok(bytes) => {
                assert!(object.is_readable(now), "an archived object can be read");
                let range = usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small");
                assert!(bytes == object.bytes[range], "{name} has other bytes");
                self.accessed(name, place);
            }
            Err(Error::Archived { .. }) => assert!(!object.is_readable(now), "{name} cannot be read"),
            Err(_) if self.model.zones.may_lack(object) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }

    async fn set_tags(&mut self, name: &'static str, place: usize, tags: &[Tag]) {
        let Some(version) = self.model.versions(name).get_mut(place) else { return };
        let id = VersionSelector::Id(version.id.expect("every id is known"));
        let selector = if place == 0 { VersionSelector::Current } else { id };
        let outcome = self.world.store.set_tags(&bucket(), &key(name), selector, tags.to_vec()).await;
        match (&mut version.object, outcome) {
            (Some(object), Ok(_)) => (object.tags, object.tags_set, version.acted) = (tags.to_vec(), true, None),
            (None, Err(Error::DeleteMarker { .. })) => {}
            (_, outcome) => panic!("{name}: {outcome:?}"),
        }
    }

    async fn set_acl(&mut self, name: &'static str, place: usize, acl: Option<u8>) {
        let Some(version) = self.model.versions(name).get_mut(place) else { return };
        let id = VersionSelector::Id(version.id.expect("every id is known"));
        let acl = acl.map(|byte| vec![byte; 10]);
        let outcome = self.world.store.set_acl(&bucket(), &key(name), id, acl.clone()).await;
        match (&mut version.object, outcome) {
            (Some(object), Ok(_)) => object.acl = acl,
            (None, Err(Error::DeleteMarker { .. })) => {}
            (_, outcome) => panic!("{name}: {outcome:?}"),
        }
    }

    async fn restore(&mut self, name: &'static str, place: usize, days: u32, speed: RestoreSpeed) {
        let now = self.now();
        let Some((id, object)) = self.object_at(name, place).filter(|(_, object)| !object.fragile) else { return };
        let tiered = object.class == StorageClass::IntelligentTiering;
        let deep = object.class == StorageClass::DeepArchive || (tiered && object.tier == Tier::DeepArchive);
        let days = (!tiered).then_some(days);
        let version = VersionSelector::Id(id);
        let request = RestoreRequest { bucket: bucket(), key: key(name), version, days, speed: Some(speed) };
        let outcome = self.world.store.restore(request).await;
        let takes = match (speed, deep) {
            (RestoreSpeed::Expedited, false) => HOUR / 20,
            (RestoreSpeed::Standard, false) => 4 * HOUR,
            (RestoreSpeed::Bulk, false) => 8 * HOUR,
            (RestoreSpeed::Standard, true) => 12 * HOUR,
            (RestoreSpeed::Bulk | RestoreSpeed::Expedited, true) => 48 * HOUR,
        };
        let begun = |requested, ready| {
            let (requested, ready) = (Timestamp::from_nanos(requested), Timestamp::from_nanos(ready));
            Some(Restore::Ongoing { requested, speed, days, ready })
        };
        let expected = match object.told_restore(now) {
            _ if !object.is_archived() => Err("not archived"),
            _ if deep && speed == RestoreSpeed::Expedited => Err("not offered"),
            None => Ok(begun(now, now + takes)),
            Some(Restore::Done { .. }) => {
                let days = days.expect("there are copies of objects with days only");
                Ok(Some(Restore::Done { expires: Timestamp::from_nanos(days_after(now, days)) }))
            }
            Some(Restore::Ongoing { requested, speed: before, days: first, ready })
                if speed > before && first == days =>
            {
                Ok(begun(requested.as_nanos(), ready.as_nanos().min(now + takes)))
            }
            Some(Restore::Ongoing { .. }) => Err("in progress"),
        };
        match (expected, outcome) {
            (Ok(restore), Ok(outcome)) => {
                if let Some(Restore::Done { expires }) = restore {
                    assert_eq!(outcome, RestoreOutcome::Extended { expires });
                } else {
                    assert_eq!(outcome, RestoreOutcome::Started);
                }
                self.model.versions(name)[place].object.as_mut().expect("it is an object").restore = restore;
            }
            (Err("not archived"), Err(Error::NotArchived { .. }))
            | (Err("not offered"), Err(Error::RestoreSpeedNotOffered | Error::RestoreInProgress))
            | (Err("in progress"), Err(Error::RestoreInProgress)) => {}
            (expected, outcome) => panic!("{name}: {outcome:?} instead of {expected:?}"),
        }
    }

    async fn create_upload(&mut self, index: usize, class: StorageClass) {
        if self.model.uploads.len() == UPLOADS_MAX {
            return;
        }
        let tags = if index == 0 { vec![crate::ops::tag("1")] } else { Vec::new() };
        let new = NewUpload { class, tags: tags.clone(), ..NewUpload::default() };
        let id = self.world.store.create_upload(&bucket(), &key(KEYS[index]), new).await.expect("an upload begins");
        let existed = self.model.at(KEYS[index], 0).is_some_and(|newest| newest.object.is_some());
        self.model.uploads.push(Upload { key: index, id, class, tags, parts: BTreeMap::new(), existed });
    }

    async fn put_part(&mut self, place: usize, number: u16, content: Content) {
        let Some(upload) = self.model.uploads.get(place) else { return };
        let (bytes, store) = (content.bytes(), &self.world.store);
        let fits = self.model.has_room_for_part(upload, number, bytes.len());
        let staged = store.stage_bytes(bytes.clone()).await.expect("bytes are staged");
        let part = store.put_part(&bucket(), &key(KEYS[upload.key]), upload.id, number, staged, None).await;
        let etag = match part {
            Err(Error::QuotaExceeded(_)) => return assert!(!fits),
            part => part.expect("the upload is open").etag,
        };
        assert!(fits && etag == ETag::single(md5(&bytes)));
        self.model.uploads[place].parts.insert(number, (Part(bytes), etag));
    }

    async fn abort(&mut self, place: usize) {
        if place >= self.model.uploads.len() {
            return;
        }
        let upload = self.model.uploads.remove(place);
        let (name, store) = (key(KEYS[upload.key]), &self.world.store);
        store.abort_upload(&bucket(), &name, upload.id).await.expect("the upload is open");
        let again = store.abort_upload(&bucket(), &name, upload.id).await;
        assert!(matches!(again, Err(Error::NotFound(Entity::Upload))));
    }

    /// Goes from midnight to midnight. At those at which the model does nothing the workers may rest: they rest but for
    /// the first and the last.
    async fn days(&mut self, days: u32) {
        for day in 1..=days {
            self.world.clock.set(Timestamp::from_nanos((self.now() / DAY + 1) * DAY));
            let changed = self.model.pass(self.now());
            if changed || day == 1 || day == days {
                self.world.work(STAGES).await;
                self.settle_fragile();
                self.compare_lists().await;
            }
        }
        self.world.clock.advance(Duration::from_nanos(9 * HOUR + 7_000_000_000));
    }

    /// As many hours pass; the workers run at a midnight on the way and at the end.
    async fn hours(&mut self, hours: u32) {
        self.pass_hours(hours).await;
        self.work().await;
    }

    async fn pass_hours(&mut self, hours: u32) {
        let end = self.now() + u64::from(hours) * HOUR;
        while self.now() / DAY < end / DAY {
            self.days_end().await;
        }
        self.world.clock.set(Timestamp::from_nanos(end));
    }

    /// Dies within the work that is due, which is done again and comes to the same.
    async fn crash(mut self, hours: u32, stages: usize) -> Run {
        self.pass_hours(hours).await;
        if stages == 0 {
            // What was not stored of the accesses is lost.
            self.model.objects().for_each(|(_, object)| object.read = None);
        }
        self.world.work(stages).await;
        self.world = self.world.crash().await;
        self.work().await;
        self.verify().await;
        self
    }

    async fn days_end(&mut self) {
        self.world.clock.set(Timestamp::from_nanos((self.now() / DAY + 1) * DAY));
        self.work().await;
    }

    async fn work(&mut self) {
        self.model.pass(self.now());
        self.world.work(STAGES).await;
        self.settle_fragile();
        self.compare_lists().await;
    }

    /// Removes everything: then nothing is left, not even in the counters. Returns what time did.
    pub async fn end(mut self) -> Seen {
        let is_whole = !self.model.zones.replaced && self.model.zones.away.is_none();
        if is_whole {
            self.work().await;
            self.world = self.world.crash_and_check().await;
        }
        self.unlock_all().await;
        for name in KEYS {
            while self.model.at(name, 0).is_some() {
                self.delete_version(name, 0).await;
            }
        }
        while !self.model.uploads.is_empty() {
            self.abort(0).await;
        }
        self.world.work(STAGES).await;
        self.verify().await;
        self.world = self.world.reopen().await;
        self.world.work(STAGES).await;
        self.world.work(STAGES).await;
        let info = self.world.store.info().await.expect("the store tells of itself");
        let lost = self.model.zones.replaced || self.model.zones.away.is_some();
        let (segments, bytes) =
            info.pools.iter().fold((0, 0), |(segments, bytes), pool| (segments + pool.segments, bytes + pool.bytes));
        assert!(lost || bytes <= 8192 * segments, "bytes of nothing are left: {info:?}");
        assert_eq!(self.world.store.usage(Some(&bucket())).await.expect("usage is told"), []);
        self.world.store.delete_bucket(&bucket()).await.expect("an empty bucket can be deleted");
        if is_whole {
            self.world.crash_and_check().await;
        }
        self.model.seen
    }
}
