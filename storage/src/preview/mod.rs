//! Lifecycle previews: what rules would do to a bucket's versions in the next days, and how long each class would hold
//! how much. Nothing is changed. Uploads that would be aborted follow after the versions (`uploads`).
//!
//! Versions are walked in pages, newest first within a key, and each is followed through the decisions that await it.
//! It is assumed that nothing is written, read or deleted meanwhile. Two things are simplified: noncurrent versions that
//! the rules remove still count as newer ones of older versions, and delete markers that the rules make stay.

mod course;
mod uploads;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::index::record::{ObjectRecord, Record as _, VersionRecord};
use crate::index::{Family, Rows, Step, key};
use crate::lifecycle::{Calendar, Lifecycle, Position};
use crate::list::following;
use crate::name::{BucketName, ObjectKey};
use crate::object::StorageClass;
use crate::stamp::{Stamp, Timestamp, UploadId, VersionId};
use crate::store::Store;
use crate::tiering::Tier;
use crate::worker::ROW_BYTES;

use course::{Course, Horizon, Subject};

/// What to preview.
#[derive(Debug, Clone)]
pub struct PreviewQuery {
    /// In which bucket.
    pub bucket: BucketName,
    /// The rules to try; `None` for those that the bucket has.
    pub rules: Option<Lifecycle>,
    /// How many days ahead to look.
    pub days: u32,
    /// Where the page before ended.
    pub after: Option<PreviewPosition>,
    /// At most this many versions, markers and uploads, at least one.
    pub max: usize,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewPosition(Place);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    Versions(VersionPlace),
    /// After this upload; `None` before all of them.
    Uploads(Option<(String, Stamp)>),
}

/// A version, and what those before it mean for the next ones of the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct VersionPlace {
    key: String,
    stamp: Stamp,
    /// Noncurrent versions of the key so far.
    noncurrent: u32,
    /// When the current version becomes noncurrent.
    hidden: Option<Timestamp>,
    /// The delete marker on top of the key.
    marker: Option<Marker>,
}

/// A delete marker that is current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    stamp: Stamp,
    null: bool,
    /// From when on it is alone, if all versions so far go.
    alone_from: Option<Timestamp>,
}

impl PreviewPosition {
    /// The position as text, to be handed to a client.
    pub fn to_text(&self) -> String {
        hex::encode(postcard::to_allocvec(self).expect("positions hold only types that postcard encodes, into memory"))
    }

    /// The inverse of [`PreviewPosition::to_text`].
    pub fn parse(text: &str) -> Option<PreviewPosition> {
        postcard::from_bytes(&hex::decode(text).ok()?).ok()
    }
}

/// What would be done to a version, or to an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewAction {
    /// Its class becomes this one.
    Transition(StorageClass),
    /// Its tier of INTELLIGENT_TIERING becomes this one, as nobody reads it.
    Tier(Tier),
    /// The current object is hidden behind a delete marker, or, where there are no versions, removed.
    Expire,
    /// The noncurrent version is removed.
    Remove,
    /// The delete marker, alone by then, is removed.
    RemoveMarker,
    /// The upload is aborted, and the bytes of its parts are freed.
    Abort {
        /// Which upload.
        upload: UploadId,
        /// The bytes of its parts.
        bytes: u64,
    },
}

/// One step of a version, or the end of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewEvent {
    /// When it is due; now if it is overdue.
    pub at: Timestamp,
    /// Its key.
    pub key: ObjectKey,
    /// The version's id; `None` for an upload.
    pub version_id: Option<VersionId>,
    /// What is done.
    pub action: PreviewAction,
}

/// What is held, each number times the days for which it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Holding {
    /// Versions.
    pub object_days: f64,
    /// Their bytes.
    pub byte_days: f64,
    /// Their bytes, at least 128 KiB each.
    pub billed_byte_days: f64,
    /// Versions below 128 KiB.
    pub small_object_days: f64,
    /// Their tags.
    pub tag_days: f64,
}

/// What the versions of a page add up to. Pages can be added up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PreviewSums {
    /// Versions and delete markers looked at.
    pub versions: u64,
    /// What is held if every version stays as it is.
    pub unchanged: BTreeMap<(StorageClass, Tier), Holding>,
    /// What is held if the rules are followed.
    pub followed: BTreeMap<(StorageClass, Tier), Holding>,
    /// Transitions into each class.
    pub transitions: BTreeMap<StorageClass, u64>,
    /// Bytes that leave a class too early, each times the days that are missing.
    pub early_delete_byte_days: BTreeMap<StorageClass, u64>,
    /// Versions removed for good.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Uploads aborted.
    pub aborted: u64,
    /// The bytes of their parts.
    pub aborted_bytes: u64,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PreviewPage {
    /// What happens, by key and version, for each version in order of time; then what happens to uploads, by key.
    pub events: Vec<PreviewEvent>,
    /// What the page adds up to.
    pub sums: PreviewSums,
    /// Where the next page begins, if there is more.
    pub next: Option<PreviewPosition>,
}

impl Store {
    /// Previews a page of versions, then of open uploads. The cost is that of the page, and it keeps to the pace of background work.
    /// `Err(Busy)` if others are at it already.
    pub async fn preview(&self, query: PreviewQuery) -> Result<PreviewPage> {
        let _turn = self.inner.previews.try_acquire().map_err(|_| Error::Busy)?;
        let bucket = self.bucket(&query.bucket).await?;
        let (calendar, now) = (self.inner.calendar, self.inner.clock.now());
        self.inner.budget.spend(ROW_BYTES.saturating_mul(query.max as u64)).await;
        self.inner.index.read(move |rows| page(rows, &bucket, &query, calendar, now)).await
    }
}

fn page(
    rows: &Rows<'_>,
    bucket: &Arc<Bucket>,
    query: &PreviewQuery,
    calendar: Calendar,
    now: Timestamp,
) -> Result<PreviewPage> {
    let none = Lifecycle::default();
    let horizon = Horizon {
        lifecycle: query.rules.as_ref().or(bucket.lifecycle.as_ref()).unwrap_or(&none),
        tiering: &bucket.tiering,
        versioning: bucket.versioning,
        calendar,
        now,
        end: now.plus(calendar.day().saturating_mul(query.days)),
    };
    let max = query.max.max(1) as u64;
    let (mut page, after) = match query.after.clone().map(|position| position.0) {
        Some(Place::Uploads(after)) => (PreviewPage::default(), after),
        Some(Place::Versions(after)) => (versions(rows, bucket.id, &horizon, Some(after), max)?, None),
        None => (versions(rows, bucket.id, &horizon, None, max)?, None),
    };
    if page.next.is_none() && horizon.lifecycle.aborts_uploads() {
        let left = max.saturating_sub(page.sums.versions);
        page.next = uploads::add(rows, bucket.id, &horizon, after, left, &mut page)?;
    }
    Ok(page)
}

/// The versions from a place on, and where they were cut.
fn versions(
    rows: &Rows<'_>,
    bucket: u64,
    horizon: &Horizon<'_>,
    after: Option<VersionPlace>,
    max: u64,
) -> Result<PreviewPage> {
    let from = match &after {
        Some(after) => following(key::version(bucket, &after.key, after.stamp)),
        None => key::bucket_start(bucket),
    };
    let mut walk = Walk { horizon, position: after, page: PreviewPage::default() };
    let mut is_cut = false;
    rows.scan(Family::Version, &from, &key::bucket_end(bucket), |row, value| {
        if walk.page.sums.versions >= max {
            is_cut = true;
            return Ok(Step::Stop);
        }
        let corrupt = || key::corrupt("version row", row);
        let (name, stamp) = key::split_version(row).ok_or_else(corrupt)?;
        let name = ObjectKey::parse(&name).map_err(|_| corrupt())?;
        let record = VersionRecord::decode(value)?;
        let in_tiers = |object: &ObjectRecord| object.residence.class == StorageClass::IntelligentTiering;
        let last_access = match record.object.as_ref().is_some_and(in_tiers) {
            true => rows.record::<Timestamp>(Family::Access, &stamp.to_bytes())?,
            false => None,
        };
        walk.take(Seen { name, stamp, record: &record, last_access });
        Ok(Step::Next)
    })?;
    if is_cut {
        walk.page.next = walk.position.map(|place| PreviewPosition(Place::Versions(place)));
    } else {
        walk.end_key();
    }
    Ok(walk.page)
}

/// A version as it was found.
struct Seen<'r> {
    name: ObjectKey,
    stamp: Stamp,
    record: &'r VersionRecord,
    last_access: Option<Timestamp>,
}

/// Goes from version to version.
struct Walk<'a> {
    horizon: &'a Horizon<'a>,
    /// The version before.
    position: Option<VersionPlace>,
    page: PreviewPage,
}

impl Walk<'_> {
    /// Follows the next version.
    fn take(&mut self, seen: Seen<'_>) {
        let Seen { name, stamp, record, last_access } = seen;
        self.page.sums.versions += 1;
        if self.position.as_ref().is_some_and(|position| position.key != name.as_str()) {
            self.end_key();
        }
        let Some(mut position) = self.position.take() else {
            self.position = Some(self.first(Seen { name, stamp, record, last_access }));
            return;
        };
        let place = Position::Noncurrent { since: position.stamp.time, newer: position.noncurrent };
        let version = Subject { key: name, stamp, place, record, crowded: position.hidden, last_access };
        let course = self.follow(&version, self.horizon.now);
        if let Some(marker) = &mut position.marker {
            marker.alone_from = match (marker.alone_from, course.removed) {
                (Some(alone), Some(removed)) => Some(alone.max(removed)),
                _ => None,
            };
        }
        position.stamp = stamp;
        position.noncurrent = position.noncurrent.saturating_add(1);
        self.position = Some(position);
    }

    /// Follows the current version of a key. What becomes of a delete marker is known only at the end of its key.
    fn first(&mut self, seen: Seen<'_>) -> VersionPlace {
        let Seen { name, stamp, record, last_access } = seen;
        let key = name.as_str().to_owned();
        if record.object.is_none() {
            let marker = Marker { stamp, null: record.null, alone_from: Some(self.horizon.now) };
            return VersionPlace { key, stamp, noncurrent: 0, hidden: None, marker: Some(marker) };
        }
        let place = Position::Current { alone: false };
        let version = Subject { key: name, stamp, place, record, crowded: None, last_access };
        let course = self.follow(&version, self.horizon.now);
        VersionPlace { key, stamp, noncurrent: 0, hidden: course.hidden, marker: None }
    }

    /// All versions of a key have been seen.
    fn end_key(&mut self) {
        let Some(VersionPlace { key, marker: Some(marker), .. }) = self.position.take() else { return };
        let (Some(alone_from), Ok(name)) = (marker.alone_from, ObjectKey::parse(&key)) else { return };
        let record = VersionRecord { null: marker.null, due: None, object: None };
        let place = Position::Current { alone: true };
        let version =
            Subject { key: name, stamp: marker.stamp, place, record: &record, crowded: None, last_access: None };
        self.follow(&version, alone_from);
    }

    fn follow(&mut self, version: &Subject<'_>, from: Timestamp) -> Course {
        let course = self.horizon.follow(version, from, &mut self.page.sums);
        let version_id = Some(if version.record.null { VersionId::Null } else { VersionId::Stamp(version.stamp) });
        let event = |&(at, action)| PreviewEvent { at, key: version.key.clone(), version_id, action };
        self.page.events.extend(course.steps.iter().map(event));
        course
    }
}
