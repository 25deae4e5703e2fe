//! The versions of a bucket, with the rows of listings and of null versions, walked through side by side by key.

use std::cmp::Ordering;

use super::buckets::Walked;
use super::contents::Owner;
use super::{Check, FindingKind, shown_object};
use crate::error::Result;
use crate::index::key::DueKind;
use crate::index::record::{CurrentRecord, Record as _, VersionRecord};
use crate::index::{Cursor, Family, key};
use crate::stamp::{Stamp, VersionId};

/// What the versions of one key say that its other rows must be.
struct Key {
    /// The row of the key in those families.
    row: Vec<u8>,
    name: String,
    /// What a listing shows: of the newest version, unless it is a delete marker.
    current: Option<CurrentRecord>,
    null: Option<Stamp>,
    /// Whether a version cannot be read, so that the rest is not known.
    uncertain: bool,
}

impl Key {
    /// The row of the null version that there must be: if the listing's row does not name it.
    fn null_row(&self) -> Option<Stamp> {
        let shown = self.current.as_ref().filter(|current| current.null).map(|current| current.stamp);
        self.null.filter(|null| shown != Some(*null))
    }
}

/// The rows that follow from the versions of a bucket.
struct Followers<'a> {
    current: Cursor<'a>,
    null: Cursor<'a>,
}

impl Check<'_> {
    pub(super) fn versions(&mut self, bucket: &mut Walked) -> Result<()> {
        let (from, to) = (key::bucket_start(bucket.id), key::bucket_end(bucket.id));
        let mut followers = Followers {
            current: self.rows.cursor(Family::Current, &from, &to),
            null: self.rows.cursor(Family::Null, &from, &to),
        };
        let mut rows = self.rows.cursor(Family::Version, &from, &to);
        let mut present: Option<Key> = None;
        while let Some((row, value)) = rows.row()? {
            self.report.versions += u64::from(!self.muted);
            let Some((name, stamp)) = key::split_version(row) else {
                self.unreadable(Family::Version, row, &key::corrupt("version row", row));
                (self.unreadable_owner, bucket.uncertain) = (true, true);
                rows.advance();
                continue;
            };
            let record = self.decode::<VersionRecord>(Family::Version, row, value);
            let mut of = match present.take() {
                Some(of) if of.name == name => of,
                before => {
                    self.end_key(before, bucket, &mut followers)?;
                    let current = record
                        .as_ref()
                        .and_then(|record| Some(CurrentRecord::of(stamp, record.null, record.object.as_ref()?)));
                    Key { row: key::object(bucket.id, &name), name, current, null: None, uncertain: false }
                }
            };
            match record {
                Some(record) => self.version(&mut of, stamp, &record, bucket)?,
                None => {
                    (of.uncertain, bucket.uncertain, self.unreadable_owner) = (true, true, true);
                }
            }
            present = Some(of);
            self.advance(1);
            rows.advance();
        }
        self.end_key(present, bucket, &mut followers)?;
        self.rest(bucket, &mut followers)
    }

    fn version(&mut self, of: &mut Key, stamp: Stamp, record: &VersionRecord, bucket: &mut Walked) -> Result<()> {
        let id = if record.null { VersionId::Null } else { VersionId::Stamp(stamp) };
        let shown = shown_object(&bucket.name, &of.name, &format!("version {id}"));
        if record.null && of.null.replace(stamp).is_some() {
            self.find(FindingKind::NullRow, shown.clone(), "the key has more than one null version");
        }
        let (counted, usage) = record.usage(bucket.id, &of.name);
        *bucket.usage.entry(counted).or_default() += usage;
        if let Some(due) = record.due {
            let row = key::due(DueKind::Version, due, bucket.id, &of.name, stamp);
            if self.rows.get(Family::Due, &row)?.is_none() {
                self.find(FindingKind::TimerMissing, shown.clone(), "its record has a timer that has no row");
            }
        }
        let Some(object) = &record.object else { return Ok(()) };
        let owner = Owner { shown: &shown, is_garbage: false, pools: object.residence.pools };
        let size = self.body(&object.body, owner)?;
        if size.is_some_and(|size| size != object.size) {
            let detail = format!("it has {} bytes instead of {}", size.unwrap_or(0), object.size);
            self.find(FindingKind::ContentRecord, shown, detail);
        }
        Ok(())
    }

    /// Compares what follows from the versions of a key.
    fn end_key(&mut self, of: Option<Key>, bucket: &Walked, followers: &mut Followers<'_>) -> Result<()> {
        let Some(of) = of else { return Ok(()) };
        let shown = format!("{}/{}", bucket.name, of.name);
        let current = self.follow(&mut followers.current, FindingKind::CurrentRow, bucket, &of.row)?;
        let null = self.follow(&mut followers.null, FindingKind::NullRow, bucket, &of.row)?;
        if of.uncertain {
            return Ok(());
        }
        let detail = match (current.map(|value| CurrentRecord::decode(&value)), &of.current) {
            (Some(Err(error)), _) => Some(error.to_string()),
            (Some(Ok(_)), None) => Some("the newest version is no object, and listings show one".to_owned()),
            (None, Some(_)) => Some("listings do not show the newest version".to_owned()),
            (Some(Ok(found)), Some(expected)) if found != *expected => Some("listings show something else".to_owned()),
            (Some(Ok(_)), Some(_)) | (None, None) => None,
        };
        if let Some(detail) = detail {
            self.find(FindingKind::CurrentRow, shown.clone(), detail);
        }
        let detail = match (null.map(|value| Stamp::decode(&value)), of.null_row()) {
            (Some(Err(error)), _) => Some(error.to_string()),
            (Some(Ok(found)), expected) if Some(found) != expected => Some("the row names another version".to_owned()),
            (None, Some(_)) => Some("the row that names the null version is missing".to_owned()),
            (Some(Ok(_)), _) | (None, None) => None,
        };
        if let Some(detail) = detail {
            self.find(FindingKind::NullRow, shown, detail);
        }
        Ok(())
    }

    /// Moves a cursor on to the row of a key and past it, and returns its value. Rows before it have no versions.
    fn follow(
        &mut self,
        rows: &mut Cursor<'_>,
        kind: FindingKind,
        bucket: &Walked,
        row: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        while let Some((found, value)) = rows.row()? {
            match found.cmp(row) {
                Ordering::Less => {
                    self.find(kind, shown_key(bucket, found), "the key has no versions");
                    rows.advance();
                }
                Ordering::Equal => {
                    let value = value.to_vec();
                    rows.advance();
                    return Ok(Some(value));
                }
                Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Tells of the rows behind the last key.
    fn rest(&mut self, bucket: &Walked, followers: &mut Followers<'_>) -> Result<()> {
        let both = [(FindingKind::CurrentRow, &mut followers.current), (FindingKind::NullRow, &mut followers.null)];
        for (kind, rows) in both {
            while let Some((row, _)) = rows.row()? {
                self.find(kind, shown_key(bucket, row), "the key has no versions");
                rows.advance();
            }
        }
        Ok(())
    }
}

fn shown_key(bucket: &Walked, row: &[u8]) -> String {
    format!("{}/{}", bucket.name, String::from_utf8_lossy(row.get(8..).unwrap_or_default()))
}
