//! Buckets, one after the other by their ids: rows of no bucket, versions, uploads and the usage that they add up to.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::Owner;
use super::{Check, FindingKind, shown_object, shown_row};
use crate::bucket::Bucket;
use crate::error::Result;
use crate::index::record::{PartRecord, UploadRecord};
use crate::index::{Family, key};
use crate::name::BucketName;
use crate::pool::PoolSet;
use crate::stamp::{Stamp, UploadId};
use crate::store_buckets::LAST_ID;
use crate::usage::{Usage, UsageKey, part_key};

/// The families whose keys begin with a bucket's id.
const OF_BUCKETS: [Family; 8] = [
    Family::BucketRules,
    Family::Current,
    Family::Version,
    Family::Null,
    Family::Upload,
    Family::Usage,
    Family::Meter,
    Family::Reindex,
];

/// What uploads are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploads {
    /// Clients may go on with them.
    Open,
    /// They are to be collected.
    Garbage,
}

/// A bucket being walked through.
pub(super) struct Walked {
    pub(super) id: u64,
    pub(super) name: String,
    /// What its versions and parts add up to.
    pub(super) usage: BTreeMap<UsageKey, Usage>,
    /// Whether a row could not be read that would count.
    pub(super) uncertain: bool,
}

impl Check<'_> {
    /// Walks through all buckets. `removed` are those of which garbage says that their uploads are to go.
    pub(super) fn buckets(&mut self, removed: &BTreeSet<u64>) -> Result<()> {
        let mut after = 0;
        let mut names = self.rows.cursor(Family::BucketName, &[], &[]);
        while let Some((row, value)) = names.row()? {
            let Ok(id) = <[u8; 8]>::try_from(row).map(u64::from_be_bytes) else {
                self.unreadable(Family::BucketName, row, &key::corrupt("bucket name row", row));
                names.advance();
                continue;
            };
            let name = String::from_utf8_lossy(value).into_owned();
            self.strangers(after, Some(id), removed)?;
            let mut bucket = Walked { id, name, usage: BTreeMap::new(), uncertain: false };
            self.versions(&mut bucket)?;
            self.uploads(&mut bucket, Uploads::Open)?;
            self.usage(&bucket)?;
            after = id + 1;
            names.advance();
        }
        self.strangers(after, None, removed)
    }

    /// Looks for rows of buckets from the id `from` to `to`, which do not exist. One row of each is told.
    fn strangers(&mut self, from: u64, to: Option<u64>, removed: &BTreeSet<u64>) -> Result<()> {
        let end = to.map_or(Vec::new(), key::bucket_start);
        for family in OF_BUCKETS {
            let mut from = key::bucket_start(from);
            while let Some((row, _)) = self.rows.first(family, &from, &end)? {
                let id = row.first_chunk::<8>().map(|id| u64::from_be_bytes(*id));
                let expected = family == Family::Upload && id.is_some_and(|id| removed.contains(&id));
                if !expected {
                    self.find(FindingKind::BucketGone, shown_row(family, &row), "there is no such bucket");
                }
                let Some(id) = id else { break };
                from = key::bucket_end(id);
            }
        }
        Ok(())
    }

    /// Walks through the uploads of a bucket.
    pub(super) fn uploads(&mut self, bucket: &mut Walked, uploads: Uploads) -> Result<()> {
        let mut rows = self.rows.cursor(Family::Upload, &key::bucket_start(bucket.id), &key::bucket_end(bucket.id));
        while let Some((row, value)) = rows.row()? {
            let record = self.decode::<UploadRecord>(Family::Upload, row, value);
            let split = key::split_upload(row);
            let (Some(record), Some((object, stamp))) = (record, split) else {
                self.unreadable_owner = true;
                bucket.uncertain = true;
                rows.advance();
                continue;
            };
            let shown = shown_object(&bucket.name, &object, &format!("upload {}", UploadId(stamp)));
            let (bytes, certain) = self.parts(stamp, &shown, uploads)?;
            bucket.uncertain |= !certain;
            *bucket.usage.entry(part_key(bucket.id)).or_default() += Usage::parts(bytes);
            if uploads == Uploads::Open {
                self.report.uploads += u64::from(!self.muted);
                if certain && bytes != record.part_bytes {
                    let detail = format!("it says {} bytes, its parts have {bytes}", record.part_bytes);
                    self.find(FindingKind::UploadCounter, shown, detail);
                }
            }
            self.advance(1);
            rows.advance();
        }
        Ok(())
    }

    /// Looks at the parts of an upload. Returns what they add up to, and whether all could be read.
    pub(super) fn parts(&mut self, upload: Stamp, shown: &str, uploads: Uploads) -> Result<(u64, bool)> {
        let (mut bytes, mut certain) = (0_u64, true);
        let is_garbage = uploads == Uploads::Garbage;
        let from = upload.to_bytes().to_vec();
        let mut rows = self.rows.cursor(Family::Part, &from, &key::after_prefix(from.clone()));
        while let Some((row, value)) = rows.row()? {
            let owner = Owner { shown, is_garbage, pools: PoolSet::EMPTY };
            self.claim(Family::Part, row, owner);
            match self.decode::<PartRecord>(Family::Part, row, value) {
                Some(part) => {
                    bytes = bytes.saturating_add(part.content.bytes);
                    self.content(&part.content, Owner { pools: part.pools, ..owner })?;
                }
                None => (certain, self.unreadable_owner) = (false, true),
            }
            rows.advance();
        }
        Ok((bytes, certain))
    }

    /// Compares the counters of a bucket with what its rows add up to.
    fn usage(&mut self, bucket: &Walked) -> Result<()> {
        let mut counted: BTreeMap<UsageKey, Usage> = BTreeMap::new();
        let mut rows = self.rows.cursor(Family::Usage, &key::bucket_start(bucket.id), &key::bucket_end(bucket.id));
        while let Some((row, value)) = rows.row()? {
            match (key::split_usage(row), key::counters(value)) {
                (Some(usage), Some(numbers)) => _ = counted.insert(usage, Usage::from_array(numbers)),
                _ => self.unreadable(Family::Usage, row, &key::corrupt("usage row", row)),
            }
            rows.advance();
        }
        if bucket.uncertain {
            return Ok(());
        }
        let keys: BTreeSet<UsageKey> = counted.keys().chain(bucket.usage.keys()).copied().collect();
        for key in keys {
            let of = |usage: &BTreeMap<UsageKey, Usage>| usage.get(&key).copied().unwrap_or_default();
            let (says, is) = (of(&counted), of(&bucket.usage));
            if says != is {
                let place = format!("{} {} {:?}", bucket.name, key.class.name(), key.tier);
                self.find(FindingKind::UsageCounter, place, format!("it says {says:?}, and is {is:?}"));
            }
        }
        Ok(())
    }

    /// Compares the rows that tell of buckets.
    pub(super) fn bucket_rows(&mut self) -> Result<()> {
        let mut last = 0;
        let mut rows = self.rows.cursor(Family::Bucket, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            self.report.buckets += 1;
            if let Some(bucket) = self.decode::<Bucket>(Family::Bucket, row, value) {
                last = last.max(bucket.id);
                let by_id = self.rows.get(Family::BucketName, &bucket.id.to_be_bytes())?;
                let owned = self.rows.get(Family::AccountBucket, &key::account_bucket(bucket.owner, &bucket.name))?;
                let is_named = bucket.name.as_bytes() == row && BucketName::parse(&bucket.name).is_ok();
                if !is_named || by_id.as_deref() != Some(row) || owned.is_none() {
                    let detail = "its id, its name and its owner's list do not agree";
                    self.find(FindingKind::BucketRows, format!("bucket {}", bucket.name), detail);
                }
            }
            rows.advance();
        }
        let given = self.rows.get(Family::Meta, LAST_ID)?.unwrap_or_else(|| vec![0; 8]);
        if !<[u8; 8]>::try_from(given).map(u64::from_be_bytes).is_ok_and(|given| given >= last) {
            self.find(FindingKind::BucketRows, "the last bucket id", format!("it must be at least {last}"));
        }
        self.bucket_names()
    }

    /// Looks for names of buckets that are not there.
    fn bucket_names(&mut self) -> Result<()> {
        for family in [Family::BucketName, Family::AccountBucket] {
            let mut rows = self.rows.cursor(family, &[], &[]);
            while let Some((row, value)) = rows.row()? {
                let name = if family == Family::BucketName { Some(value) } else { key::split_account_bucket(row) };
                let found = match name {
                    Some(name) => self.rows.get(Family::Bucket, name)?,
                    None => None,
                };
                if found.is_none() {
                    self.find(FindingKind::BucketRows, shown_row(family, row), "there is no such bucket");
                }
                rows.advance();
            }
        }
        Ok(())
    }
}
