//! What each bucket holds, read from its counters, and recounted to audit them.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::index::record::{Record as _, UploadRecord, VersionRecord};
use crate::index::{Family, Rows, Step, key};
use crate::name::BucketName;
use crate::object::StorageClass;
use crate::store::Store;
use crate::tiering::Tier;
use crate::usage::{Usage, UsageKey, part_key};

/// What one bucket holds in one class and tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUsage {
    /// The bucket.
    pub bucket: BucketName,
    /// The class.
    pub class: StorageClass,
    /// The tier, for INTELLIGENT_TIERING.
    pub tier: Tier,
    /// What is there.
    pub usage: Usage,
}

impl Store {
    /// What a bucket, or every bucket, holds, by bucket, class and tier; what is empty is left out. The cost is that of
    /// the rows returned. `Err(NotFound(Bucket))` if the bucket named is not there.
    pub async fn usage(&self, bucket: Option<&BucketName>) -> Result<Vec<BucketUsage>> {
        let (from, to) = self.counter_rows(bucket).await?;
        let rows = self.inner.index.read(move |rows| counted(rows, &from, &to)).await?;
        let mut found = Vec::new();
        for (UsageKey { bucket, class, tier }, usage) in rows {
            if let Some(bucket) = self.bucket_name(bucket).await? {
                found.push(BucketUsage { bucket, class, tier, usage });
            }
        }
        Ok(found)
    }

    /// Counts a bucket's versions and open uploads, and returns by how much the counters exceed what is there, by class and tier; nothing
    /// if they are exact. An audit: it reads every version and upload of the bucket, and writes to it wait meanwhile.
    pub async fn recount(&self, bucket: &BucketName) -> Result<Vec<(StorageClass, Tier, Usage)>> {
        let _guard = self.inner.locks.bucket_exclusive(bucket.as_str()).await;
        let id = self.bucket(bucket).await?.id;
        let differences = self.inner.index.read(move |rows| {
            let (from, to) = (key::bucket_start(id), key::bucket_end(id));
            let mut sums = counted(rows, &from, &to)?;
            rows.scan(Family::Version, &from, &to, |row, value| {
                let (name, _) = key::split_version(row).ok_or_else(|| key::corrupt("version row", row))?;
                let (counted, usage) = VersionRecord::decode(value)?.usage(id, &name);
                *sums.entry(counted).or_default() += usage.negated();
                Ok(Step::Next)
            })?;
            rows.scan(Family::Upload, &from, &to, |_, value| {
                let parts = Usage::parts(UploadRecord::decode(value)?.part_bytes);
                *sums.entry(part_key(id)).or_default() += parts.negated();
                Ok(Step::Next)
            })?;
            Ok(sums)
        });
        let differences = differences.await?.into_iter().filter(|(_, usage)| *usage != Usage::default());
        Ok(differences.map(|(key, usage)| (key.class, key.tier, usage)).collect())
    }

    /// Where the rows of counters of a bucket, or of all, begin and end.
    pub(crate) async fn counter_rows(&self, bucket: Option<&BucketName>) -> Result<(Vec<u8>, Vec<u8>)> {
        match bucket {
            None => Ok((Vec::new(), Vec::new())),
            Some(name) => {
                let id = self.bucket(name).await?.id;
                Ok((key::bucket_start(id), key::bucket_end(id)))
            }
        }
    }
}

/// The counters of usage in a range of rows; those that are all zero are left out.
fn counted(rows: &Rows<'_>, from: &[u8], to: &[u8]) -> Result<BTreeMap<UsageKey, Usage>> {
    let mut found = BTreeMap::new();
    rows.scan(Family::Usage, from, to, |row, value| {
        let key = key::split_usage(row).ok_or_else(|| key::corrupt("usage row", row))?;
        let numbers = key::counters(value).ok_or_else(|| key::corrupt("usage row", row))?;
        let usage = Usage::from_array(numbers);
        if usage != Usage::default() {
            found.insert(key, usage);
        }
        Ok(Step::Next)
    })?;
    Ok(found)
}
