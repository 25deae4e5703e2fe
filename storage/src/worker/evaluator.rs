//! The evaluator: looks at versions and uploads whose time has come, and gathers what is to be done in one batch.
//!
//! It runs on a blocking thread and never waits for a lock: what somebody else holds is left for the next round. All is
//! read and decided under the locks of bucket and key, which the batch then holds until it is durable. What is read is
//! the committed state, which does not know of the batch; so a batch evaluates several versions of a key only if they
//! are noncurrent ones, which do not depend on each other, and each version once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::announce::{Happening, bucket_by_id};
use crate::bucket::{Bucket, Versioning};
use crate::deed::DeedKind;
use crate::error::{Error, Result};
use crate::evaluate::{Act, Case, Verdict, decide, marker_time};
use crate::event::{EventDetails, EventKind};
use crate::index::key::{DueKind, DueRow, Older};
use crate::index::record::{CurrentRecord, Garbage, Record as _, UploadRecord, VersionRecord};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::lifecycle::{Lifecycle, Position, Status};
use crate::locks::KeyLocks;
use crate::lost::forget_notes;
use crate::name::{BucketName, ObjectKey};
use crate::object::StorageClass;
use crate::object_lock::{Governance, Removable};
use crate::residence::{Residence, Restore};
use crate::residence_change::keep_as;
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::store::Inner;
use crate::tiering::Tier;
use crate::usage::{Usage, part_key};

/// What evaluations did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evaluated {
    /// Objects of buckets without versioning that expired, and are gone.
    pub expired: u64,
    /// Delete markers added over objects that expired.
    pub markers: u64,
    /// Noncurrent versions, and delete markers that were alone, removed.
    pub removed: u64,
    /// Versions that got another storage class.
    pub transitioned: u64,
    /// Versions that got another tier.
    pub moved: u64,
    /// Uploads aborted.
    pub aborted: u64,
}

impl Evaluated {
    /// Adds what others did.
    pub(super) fn add(&mut self, other: Evaluated) {
        let Evaluated { expired, markers, removed, transitioned, moved, aborted } = other;
        self.expired += expired;
        self.markers += markers;
        self.removed += removed;
        self.transitioned += transitioned;
        self.moved += moved;
        self.aborted += aborted;
    }
}

/// Why something is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A due row says so; it goes with the evaluation.
    Due(Timestamp, Older),
    /// The rules of its bucket have changed. Its timer is set anew; what is due at once is left to that.
    Reindex,
}

/// What came of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Done,
    /// Somebody else is at it: to be tried again.
    Deferred,
    /// There is too little room for a delete marker.
    Withheld,
}

/// One batch in the making.
pub(super) struct Evaluator<'a> {
    inner: &'a Inner,
    rows: Rows<'a>,
    now: Timestamp,
    batch: Batch,
    keys: KeyLocks,
    /// `None` if the bucket is gone.
    buckets: HashMap<u64, Option<Arc<Bucket>>>,
    /// What this batch has looked at already.
    seen: HashMap<(u64, ObjectKey), Seen>,
    done: Evaluated,
    deferred: Vec<DueRow>,
    withheld: u64,
    /// Whether there is room for delete markers, which what expires in a bucket with versions is covered with.
    takes_markers: bool,
}

#[derive(Default)]
struct Seen {
    stamps: Vec<Stamp>,
    current: bool,
}

/// A batch to be committed, and what it will have done.
pub(super) struct Gathered {
    pub(super) batch: Batch,
    pub(super) done: Evaluated,
    /// What could not be looked at.
    pub(super) deferred: Vec<DueRow>,
    /// How many rows wait for room.
    pub(super) withheld: u64,
}

impl<'a> Evaluator<'a> {
    /// What it has to change goes into `batch`.
    pub(super) fn new(inner: &'a Inner, now: Timestamp, batch: Batch) -> Evaluator<'a> {
        Evaluator {
            inner,
            rows: inner.index.rows(),
            now,
            batch,
            keys: KeyLocks::default(),
            buckets: HashMap::new(),
            seen: HashMap::new(),
            done: Evaluated::default(),
            deferred: Vec::new(),
            withheld: 0,
            takes_markers: inner.takes_markers(),
        }
    }

    /// Looks at what a row names. A version whose record cannot be read is left alone for a day.
    pub(super) fn look(&mut self, row: DueRow, cause: Cause) -> Result<()> {
        let looked = match row.kind {
            DueKind::Version => self.version(&row, cause),
            DueKind::Upload => self.upload(&row, cause),
            // They are the queues of others.
            DueKind::Restore | DueKind::Settle => Ok(Look::Done),
        };
        match looked {
            Ok(Look::Done) => Ok(()),
            Ok(Look::Deferred) => {
                self.deferred.push(row);
                Ok(())
            }
            Ok(Look::Withheld) => {
                self.withheld += 1;
                Ok(())
            }
            // Rules know locks, so that what is refused here is as little expected as what cannot be read.
            Err(error @ (Error::Corrupt { .. } | Error::ObjectLocked { .. })) => {
                tracing::error!(%error, key = row.key, "a version cannot be evaluated; it is tried again in a day");
                if let (Cause::Due(at, _), Ok(key)) = (cause, ObjectKey::parse(&row.key)) {
                    self.batch.delete_due(row.kind, at, row.bucket, &key, row.stamp);
                    let tomorrow = self.now.plus(self.inner.calendar.day());
                    self.batch.put_due(row.kind, tomorrow, row.bucket, &key, row.stamp);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What is to be committed.
    pub(super) fn finish(mut self) -> Gathered {
        for guard in self.keys.into_guards() {
            self.batch.hold(guard);
        }
        Gathered { batch: self.batch, done: self.done, deferred: self.deferred, withheld: self.withheld }
    }

    /// The bucket, kept as it is until the batch is durable. The outer `None` means that it is being changed, the inner
    /// one that it is gone.
    fn bucket(&mut self, id: u64) -> Result<Option<Option<Arc<Bucket>>>> {
        if let Some(bucket) = self.buckets.get(&id) {
            return Ok(Some(bucket.clone()));
        }
        let bucket = match bucket_name(&self.rows, id)? {
            None => None,
            Some(name) => {
                let Some(guard) = self.inner.locks.try_bucket_shared(name.as_str()) else { return Ok(None) };
                self.batch.hold(guard);
                bucket_by_id(&self.rows, id)?.map(Arc::new)
            }
        };
        self.buckets.insert(id, bucket.clone());
        Ok(Some(bucket))
    }

    fn upload(&mut self, row: &DueRow, cause: Cause) -> Result<Look> {
        let key = parse(&row.key)?;
        let Some(bucket) = self.bucket(row.bucket)? else { return Ok(Look::Deferred) };
        let Some(guard) = self.inner.locks.try_upload(row.stamp) else { return Ok(Look::Deferred) };
        self.batch.hold(guard);
        if let Cause::Due(at, _) = cause {
            self.batch.delete_due(DueKind::Upload, at, row.bucket, &key, row.stamp);
        }
        let upload = key::upload(row.bucket, key.as_str(), row.stamp);
        let Some(bucket) = bucket else { return Ok(Look::Done) };
        let Some(record) = self.rows.record::<UploadRecord>(Family::Upload, &upload)? else { return Ok(Look::Done) };
        let lifecycle = bucket.lifecycle.as_ref();
        match lifecycle.and_then(|rules| rules.abort(key.as_str(), row.stamp.time, &self.inner.calendar)) {
            Some((at, _)) if at <= self.now && cause != Cause::Reindex => {
                self.batch.delete(Family::Upload, upload);
                self.batch.count(part_key(bucket.id), Usage::parts(record.part_bytes).negated());
                self.inner.release(Garbage::Upload(row.stamp), &mut self.batch);
                self.inner.note_deed(&bucket, &row.key, DeedKind::Aborted, (None, None), &mut self.batch);
                self.done.aborted += 1;
            }
            Some((at, _)) => self.batch.put_due(DueKind::Upload, at.max(self.now), row.bucket, &key, row.stamp),
            None => {}
        }
        Ok(Look::Done)
    }

    fn version(&mut self, row: &DueRow, cause: Cause) -> Result<Look> {
        let key = parse(&row.key)?;
        let Some(bucket) = self.bucket(row.bucket)? else { return Ok(Look::Deferred) };
        let Some(bucket) = bucket else { return Ok(self.drop_row(&key, row, cause)) };
        if !self.inner.locks.try_key(&mut self.keys, row.bucket, key.as_str()) {
            return Ok(Look::Deferred);
        }
        let version = key::version(row.bucket, key.as_str(), row.stamp);
        let Some(record) = self.rows.record::<VersionRecord>(Family::Version, &version)? else {
            return Ok(self.drop_row(&key, row, cause));
        };
        if let Cause::Due(at, Older::None) = cause
            && at < self.now
            && self.has_seen(&key, row)
        {
            // It asks for the look that was just taken; a second one would find the action of the next day overdue.
            return Ok(if record.due == Some(at) { Look::Done } else { self.drop_row(&key, row, cause) });
        }
        let position = position(&self.rows, &bucket, &key, row.stamp)?;
        let is_current = matches!(position, Position::Current { .. });
        if !self.may_see(row.bucket, &key, row.stamp, is_current) {
            return Ok(Look::Deferred);
        }
        let last_access = match &record.object {
            Some(object) if object.residence.class == StorageClass::IntelligentTiering => {
                self.rows.record::<Timestamp>(Family::Access, &row.stamp.to_bytes())?
            }
            _ => None,
        };
        let created = row.stamp.time;
        let case = Case { bucket: &bucket, key: key.as_str(), created, record: &record, position, last_access };
        let mut verdict = decide(&case, &self.inner.calendar, self.now);
        if cause == Cause::Reindex && verdict.act != Act::Nothing {
            verdict = Verdict { act: Act::Nothing, next: Some(self.now) };
        }
        if verdict.act == Act::AddMarker && !self.takes_markers {
            // The row stays, and nothing was done to the key.
            self.seen.remove(&(row.bucket, key));
            return Ok(Look::Withheld);
        }
        // The version's own timer stays with its record: it may be due again at the same moment.
        if !matches!(cause, Cause::Due(at, _) if record.due == Some(at)) {
            self.drop_row(&key, row, cause);
        }
        self.carry_out(&case, &key, row.stamp, verdict)?;
        if let (Cause::Due(_, older), Position::Noncurrent { .. }) = (cause, position) {
            self.wake_older(&bucket, &key, row.stamp, older)?;
        }
        Ok(Look::Done)
    }

    fn drop_row(&mut self, key: &ObjectKey, row: &DueRow, cause: Cause) -> Look {
        if let Cause::Due(at, _) = cause {
            self.batch.delete_due(DueKind::Version, at, row.bucket, key, row.stamp);
        }
        Look::Done
    }

    /// Whether this batch has looked at the version.
    fn has_seen(&self, key: &ObjectKey, row: &DueRow) -> bool {
        self.seen.get(&(row.bucket, key.clone())).is_some_and(|seen| seen.stamps.contains(&row.stamp))
    }

    /// Whether a version can be evaluated without regard to what this batch does to its key.
    fn may_see(&mut self, bucket: u64, key: &ObjectKey, stamp: Stamp, current: bool) -> bool {
        match self.seen.entry((bucket, key.clone())) {
            Entry::Vacant(entry) => {
                entry.insert(Seen { stamps: vec![stamp], current });
                true
            }
            Entry::Occupied(mut entry) => {
                let seen = entry.get_mut();
                if current || seen.current || seen.stamps.contains(&stamp) {
                    return false;
                }
                seen.stamps.push(stamp);
                true
            }
        }
    }

    /// Adds to the batch what the verdict asks for, and the version's timer.
    fn carry_out(&mut self, case: &Case<'_>, key: &ObjectKey, stamp: Stamp, verdict: Verdict) -> Result<()> {
        let (inner, bucket, record) = (self.inner, case.bucket, case.record);
        match verdict.act {
            Act::Expire => {
                inner.forget_version(bucket, key, &stamp, self.removable(record)?, &mut self.batch);
                self.tell(bucket, key, EventKind::ExpirationDelete, (stamp, record.null));
                self.note(bucket, key, DeedKind::Expired, (stamp, record));
                self.batch.delete(Family::Current, key::object(bucket.id, key.as_str()));
                self.done.expired += 1;
            }
            Act::RemoveVersion => {
                inner.forget_version(bucket, key, &stamp, self.removable(record)?, &mut self.batch);
                self.tell(bucket, key, EventKind::ExpirationDelete, (stamp, record.null));
                self.note(bucket, key, DeedKind::Expired, (stamp, record));
                self.done.removed += 1;
                self.wake_marker_above(case, key)?;
            }
            Act::AddMarker => {
                self.done.markers += 1;
                self.add_marker(case, key, stamp, verdict.next)?;
            }
            Act::Transition(_) | Act::Move(_) | Act::ForgetCopy => self.change(case, key, stamp, verdict),
            Act::Nothing => {
                if record.due != verdict.next {
                    self.put(bucket, key, stamp, record.clone(), verdict.next);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, bucket: &Bucket, key: &ObjectKey, kind: EventKind, version: (Stamp, bool)) {
        self.inner.announce(bucket, &Happening::new(kind, key.as_str(), version), &mut self.batch);
    }

    /// Tells those who keep records of what is done without a request.
    fn note(&mut self, bucket: &Bucket, key: &ObjectKey, kind: DeedKind, (stamp, record): (Stamp, &VersionRecord)) {
        let version = if record.null { VersionId::Null } else { VersionId::Stamp(stamp) };
        let of = (Some(version), record.object.as_ref().map(|object| object.size));
        self.inner.note_deed(bucket, key.as_str(), kind, of, &mut self.batch);
    }

    /// Changes how an object is kept.
    fn change(&mut self, case: &Case<'_>, key: &ObjectKey, stamp: Stamp, verdict: Verdict) {
        let (bucket, mut record) = (case.bucket, case.record.clone());
        let object = record.object.as_mut().expect("only objects have a class and a tier");
        if let Act::Transition(class) = verdict.act {
            self.inner.charge_early_delete(bucket.id, object, &mut self.batch);
            self.inner.meter.transition(bucket.id, class);
            self.note(bucket, key, DeedKind::Transitioned(class), (stamp, case.record));
        }
        let after = case.after(object, verdict.act, self.now);
        let before = keep_as(object, bucket.id, after, &mut self.batch);
        if let Some((kind, details)) = told(verdict.act, &before) {
            let happening = Happening::new(kind, key.as_str(), (stamp, record.null)).of(object).details(details);
            self.inner.announce(bucket, &happening, &mut self.batch);
        }
        if matches!(case.position, Position::Current { .. }) {
            let row = key::object(bucket.id, key.as_str());
            self.batch.put(Family::Current, row, &CurrentRecord::of(stamp, record.null, object));
        }
        if object.residence.is_misplaced(self.now) {
            self.batch.put_due(DueKind::Settle, self.now, bucket.id, key, stamp);
            self.inner.mover.wake();
        }
        match verdict.act {
            Act::Transition(_) => {
                self.done.transitioned += 1;
                forget_notes(before.class, stamp, &mut self.batch);
            }
            Act::Move(_) => {
                self.done.moved += 1;
                if let Some(idle_since) = case.idle_since(verdict.act) {
                    self.batch.put(Family::Access, stamp.to_bytes().to_vec(), &idle_since);
                }
            }
            _ => {}
        }
        self.put(bucket, key, stamp, record, verdict.next);
    }

    /// Covers the current object with a delete marker, or in a suspended bucket replaces the `null` version by one.
    fn add_marker(&mut self, case: &Case<'_>, key: &ObjectKey, stamp: Stamp, next: Option<Timestamp>) -> Result<()> {
        let (bucket, record) = (case.bucket, case.record);
        let time = marker_time(&self.inner.calendar, self.now, stamp.time);
        let marker = Stamp { time, random: self.inner.entropy.next_u64() };
        let suspended = bucket.versioning == Versioning::Suspended;
        if suspended && record.null {
            self.inner.forget_version(bucket, key, &stamp, self.removable(record)?, &mut self.batch);
        } else {
            if suspended {
                self.forget_null(bucket, key)?;
            }
            if record.due != next {
                self.put(bucket, key, stamp, record.clone(), next);
            }
            self.wake_older(bucket, key, stamp, Older::Superseded)?;
        }
        self.inner.put_marker(bucket, key, marker, record.null.then_some(stamp), &mut self.batch);
        self.tell(bucket, key, EventKind::ExpirationMarker, (marker, suspended));
        let id = if suspended { VersionId::Null } else { VersionId::Stamp(marker) };
        self.inner.note_deed(bucket, key.as_str(), DeedKind::Hidden, (Some(id), None), &mut self.batch);
        if suspended {
            // It may be the only version there is.
            self.inner.wake_marker(bucket, key, marker, &mut self.batch);
        }
        Ok(())
    }

    /// Removes the noncurrent `null` version, if there is one.
    fn forget_null(&mut self, bucket: &Bucket, key: &ObjectKey) -> Result<()> {
        let row = key::object(bucket.id, key.as_str());
        let Some(stamp) = self.rows.record::<Stamp>(Family::Null, &row)? else { return Ok(()) };
        let row = key::version(bucket.id, key.as_str(), stamp);
        if let Some(record) = self.rows.record::<VersionRecord>(Family::Version, &row)? {
            self.inner.forget_version(bucket, key, &stamp, self.removable(&record)?, &mut self.batch);
        }
        Ok(())
    }

    /// `Err` for a version that Object Lock protects: rules never bypass anything.
    fn removable<'r>(&self, record: &'r VersionRecord) -> Result<Removable<'r>> {
        Removable::of(record, self.now, Governance::Binding)
    }

    /// Wakes the delete marker that is newest, if one is: a version below it goes, so it may be alone then.
    fn wake_marker_above(&mut self, case: &Case<'_>, key: &ObjectKey) -> Result<()> {
        let bucket = case.bucket;
        let acts = bucket.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.acts_on_markers());
        if !acts || !matches!(case.position, Position::Noncurrent { .. }) {
            return Ok(());
        }
        if self.rows.get(Family::Current, &key::object(bucket.id, key.as_str()))?.is_some() {
            return Ok(());
        }
        let from = key::escaped(bucket.id, key.as_str());
        if let Some((row, _)) = self.rows.first(Family::Version, &from, &key::after_prefix(from.clone()))? {
            let (_, newest) = key::split_version(&row).ok_or_else(|| key::corrupt("version row", &row))?;
            self.inner.wake_marker(bucket, key, newest, &mut self.batch);
        }
        Ok(())
    }

    /// Wakes the older versions that a change of `stamp` concerns. When it became noncurrent it was the newest of these,
    /// so that those as far below it as a rule asks for have just got enough newer ones, be they more by now. Those woken
    /// do not wake others in turn.
    fn wake_older(&mut self, bucket: &Bucket, key: &ObjectKey, stamp: Stamp, older: Older) -> Result<()> {
        let limits = bucket.lifecycle.as_ref().map_or_else(Vec::new, newer_limits);
        let Some(&most) = limits.iter().max() else { return Ok(()) };
        let limits = match older {
            Older::None => return Ok(()),
            Older::Superseded => limits,
            Older::PutIn => (1..=most).collect(),
        };
        let from = key::version(bucket.id, key.as_str(), stamp);
        let to = key::after_prefix(key::escaped(bucket.id, key.as_str()));
        let (mut newer, mut woken) = (0, Vec::new());
        self.rows.scan(Family::Version, &from, &to, |row, _| {
            if limits.contains(&newer) {
                let (_, stamp) = key::split_version(row).ok_or_else(|| key::corrupt("version row", row))?;
                woken.push(stamp);
            }
            newer += 1;
            Ok(if newer > most { Step::Stop } else { Step::Next })
        })?;
        for stamp in woken {
            self.inner.wake(bucket, key, stamp, &mut self.batch);
        }
        Ok(())
    }

    /// Puts a version's record with its timer, and the timer's row in the place of the last one's.
    fn put(
        &mut self,
        bucket: &Bucket,
        key: &ObjectKey,
        stamp: Stamp,
        mut record: VersionRecord,
        next: Option<Timestamp>,
    ) {
        if let Some(before) = record.due {
            self.batch.delete_due(DueKind::Version, before, bucket.id, key, stamp);
        }
        record.due = next;
        if let Some(next) = next {
            self.batch.put_due(DueKind::Version, next, bucket.id, key, stamp);
        }
        self.batch.put(Family::Version, key::version(bucket.id, key.as_str(), stamp), &record);
    }
}

/// The name of the bucket with that id, if it is still there.
pub(super) fn bucket_name(rows: &Rows<'_>, id: u64) -> Result<Option<BucketName>> {
    let row = id.to_be_bytes();
    let Some(name) = rows.get(Family::BucketName, &row)? else { return Ok(None) };
    let name = String::from_utf8(name).ok().and_then(|name| BucketName::parse(&name).ok());
    name.map(Some).ok_or_else(|| key::corrupt("bucket name row", &row))
}

/// What events tell of a change of how an object is kept.
fn told(act: Act, before: &Residence) -> Option<(EventKind, EventDetails)> {
    match act {
        Act::Transition(class) => Some((EventKind::Transition, EventDetails::Transition { class })),
        Act::Move(tier @ (Tier::Archive | Tier::DeepArchive)) => {
            Some((EventKind::Tiering, EventDetails::Tiering { tier }))
        }
        Act::ForgetCopy => {
            let expires = match before.restore {
                Some(Restore::Done { expires }) => Some(expires),
                _ => None,
            };
            Some((EventKind::RestoreDelete, EventDetails::Restore { expires, class: before.class }))
        }
        _ => None,
    }
}

fn parse(key: &str) -> Result<ObjectKey> {
    ObjectKey::parse(key).map_err(|_| Error::Corrupt { what: "due row", place: format!("key {key:?}") })
}

/// Where a version stands among those of its key. Reads as few rows as tell: the `current` row for most versions, else the rows of newer versions, of which no more
/// than rules count.
fn position(rows: &Rows<'_>, bucket: &Bucket, key: &ObjectKey, stamp: Stamp) -> Result<Position> {
    if bucket.versioning == Versioning::Unversioned {
        return Ok(Position::Current { alone: true });
    }
    if let Some(current) = rows.get(Family::Current, &key::object(bucket.id, key.as_str()))?
        && CurrentRecord::decode(&current)?.stamp == stamp
    {
        return Ok(Position::Current { alone: false });
    }
    let from = key::escaped(bucket.id, key.as_str());
    let at = key::version(bucket.id, key.as_str(), stamp);
    let counted = bucket.lifecycle.as_ref().map_or(0, Lifecycle::most_newer).saturating_add(1);
    let (mut since, mut newer) = (None, 0_u32);
    rows.scan_back(Family::Version, &from, &at, |row, _| {
        if since.is_none() {
            let (_, next) = key::split_version(row).ok_or_else(|| key::corrupt("version row", row))?;
            since = Some(next.time);
        }
        newer += 1;
        Ok(if newer < counted { Step::Next } else { Step::Stop })
    })?;
    Ok(match since {
        // Of the newer versions one is the newest of all, which is not noncurrent.
        Some(since) => Position::Noncurrent { since, newer: newer - 1 },
        None => {
            let after = crate::list::following(at);
            Position::Current { alone: rows.first(Family::Version, &after, &key::after_prefix(from))?.is_none() }
        }
    })
}

/// The numbers of newer noncurrent versions that the rules in force ask for.
fn newer_limits(lifecycle: &Lifecycle) -> Vec<u32> {
    let enabled = lifecycle.rules.iter().filter(|rule| rule.status == Status::Enabled);
    let limits = enabled.flat_map(|rule| {
        let transitions = rule.noncurrent_transitions.iter().map(|transition| transition.newer);
        transitions.chain(rule.noncurrent_expiration.map(|expiration| expiration.newer)).flatten()
    });
    limits.filter(|&newer| newer > 0).collect()
}
