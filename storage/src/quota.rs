//! Quotas: how much a bucket, and the buckets of an account together, may hold; exact however many write at once.
//!
//! What counts is what the counters of usage count: the bytes of all versions and of the parts of open uploads, and the
//! number of versions that are objects.
//!
//! 1. A write that adds something reserves it under the locks that its batch was computed under. It is refused if what
//!    is durable and what is reserved by others would exceed a limit with it.
//! 2. The committer makes the batch durable. Then, in one step, what the batch counted is durable and what it reserved
//!    is reserved no more. So there is no moment at which both are counted, or neither.
//!
//! What was reserved for a batch that is refused, or dropped before it is queued, is given back. What a delete frees is
//! free when the delete is durable, which needs no reservation: the committer sees the counters of all batches.
//!
//! The books are in memory and are kept only for what has a quota. The first write there reads the counters while the
//! committer writes nothing ([`Ledger::load`]), so that no group is missed or counted twice. Dying loses the books;
//! the counters are durable.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::account::AccountId;
use crate::bucket::{Bucket, Versioning};
use crate::error::{Entity, Error, Result};
use crate::index::record::{PartRecord, Record as _, VersionRecord};
use crate::index::{Batch, Family, Rows, Step, key};
use crate::name::{BucketName, ObjectKey};
use crate::protection::Quota;
use crate::stamp::UploadId;
use crate::store::{Inner, Store};
use crate::sync::{Mutex, MutexGuard, RwLock};
use crate::usage::Usage;

/// How often the books are asked: before and after the counters were read. A bucket that they do not know even then is
/// gone.
const ASKED_MAX: usize = 2;

/// What quotas limit, as a sum or as a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Bytes of versions, and of parts of open uploads.
    pub bytes: i64,
    /// Versions that are objects.
    pub objects: i64,
}

impl Amount {
    /// What such a change of usage is for quotas.
    pub(crate) fn of(usage: &Usage) -> Amount {
        Amount { bytes: usage.bytes.saturating_add(usage.part_bytes), objects: usage.objects }
    }

    /// One object of that size in the place of another one.
    fn replacing(size: u64, replaced: Option<u64>) -> Amount {
        let bytes = signed(size).saturating_sub(signed(replaced.unwrap_or(0)));
        Amount { bytes, objects: i64::from(replaced.is_none()) }
    }

    fn plus(self, other: Amount) -> Amount {
        let bytes = self.bytes.saturating_add(other.bytes);
        Amount { bytes, objects: self.objects.saturating_add(other.objects) }
    }

    fn minus(self, other: Amount) -> Amount {
        let bytes = self.bytes.saturating_sub(other.bytes);
        Amount { bytes, objects: self.objects.saturating_sub(other.objects) }
    }

    /// What it adds, without what it takes away: other batches may not build on what is not durable.
    fn added(self) -> Amount {
        Amount { bytes: self.bytes.max(0), objects: self.objects.max(0) }
    }
}

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaScope {
    /// The bucket's.
    Bucket,
    /// That of the account which owns the bucket.
    Account,
}

/// What a quota limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaResource {
    /// Bytes.
    Bytes,
    /// Object versions.
    Objects,
}

/// The limit that a write would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// Whose.
    pub scope: QuotaScope,
    /// Of what.
    pub resource: QuotaResource,
    /// The limit.
    pub limit: u64,
    /// How much of it is neither used nor reserved by writes under way.
    pub left: u64,
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuotaExceeded { scope, resource, limit, left } = self;
        let whose = match scope {
            QuotaScope::Bucket => "The bucket",
            QuotaScope::Account => "The account that owns the bucket",
        };
        let what = match resource {
            QuotaResource::Bytes => "bytes",
            QuotaResource::Objects => "object versions",
        };
        write!(f, "{whose} may hold at most {limit} {what}, of which {left} are left.")
    }
}

impl Quota {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == Quota::default()
    }

    /// `Err` if `added` does not fit beside what is `held`. What is not added to is not looked at: who is beyond a
    /// limit may still do what does not take him further.
    fn check(&self, scope: QuotaScope, held: Amount, added: Amount) -> std::result::Result<(), QuotaExceeded> {
        for (resource, limit, held, added) in [
            (QuotaResource::Bytes, self.bytes, held.bytes, added.bytes),
            (QuotaResource::Objects, self.objects, held.objects, added.objects),
        ] {
            let Some(limit) = limit.filter(|_| added > 0) else { continue };
            let left = limit.saturating_sub(u64::try_from(held).unwrap_or(0));
            if u64::try_from(added).unwrap_or(u64::MAX) > left {
                return Err(QuotaExceeded { scope, resource, limit, left });
            }
        }
        Ok(())
    }
}

/// The quotas of accounts, and the books of all that have one.
#[derive(Default)]
pub(crate) struct Quotas {
    accounts: RwLock<HashMap<AccountId, Quota>>,
}

impl Quotas {
    fn of_account(&self, account: AccountId) -> Quota {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(&account).copied().unwrap_or_default()
    }

    fn limits(&self, bucket: &Bucket) -> Limits {
        Limits { id: bucket.id, owner: bucket.owner, bucket: bucket.quota, account: self.of_account(bucket.owner) }
    }
}

/// What a write in some bucket has to keep to.
#[derive(Debug, Clone, Copy)]
struct Limits {
    id: u64,
    owner: AccountId,
    bucket: Quota,
    account: Quota,
}

impl Limits {
    fn are_none(&self) -> bool {
        self.bucket.is_unlimited() && self.account.is_unlimited()
    }
}

/// What is durable and what is reserved, where there are quotas. Shared with the committer.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Held while a group is written and booked, and while counters are read for the books.
    writing: Mutex<()>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// The buckets of which the counters were read, their owners, and what is durable in them.
    buckets: HashMap<u64, (AccountId, Amount)>,
    /// The accounts of which all buckets were read, and what is durable in them together.
    accounts: HashMap<AccountId, Amount>,
    reserved_in_buckets: HashMap<u64, Amount>,
    reserved_in_accounts: HashMap<AccountId, Amount>,
}

/// What the books answer to a wish.
enum Answer {
    Fits,
    /// The counters were not read yet.
    Unknown,
    Exceeds(QuotaExceeded),
}

impl Books {
    fn ask(&self, limits: &Limits, added: Amount) -> Answer {
        let Some((_, durable)) = self.buckets.get(&limits.id) else { return Answer::Unknown };
        let reserved = self.reserved_in_buckets.get(&limits.id).copied().unwrap_or_default();
        if let Err(exceeded) = limits.bucket.check(QuotaScope::Bucket, durable.plus(reserved), added) {
            return Answer::Exceeds(exceeded);
        }
        if limits.account.is_unlimited() {
            return Answer::Fits;
        }
        let Some(durable) = self.accounts.get(&limits.owner) else { return Answer::Unknown };
        let reserved = self.reserved_in_accounts.get(&limits.owner).copied().unwrap_or_default();
        match limits.account.check(QuotaScope::Account, durable.plus(reserved), added) {
            Ok(()) => Answer::Fits,
            Err(exceeded) => Answer::Exceeds(exceeded),
        }
    }

    fn reserve(&mut self, bucket: u64, owner: AccountId, added: Amount) {
        let sum = self.reserved_in_buckets.entry(bucket).or_default();
        *sum = sum.plus(added);
        let sum = self.reserved_in_accounts.entry(owner).or_default();
        *sum = sum.plus(added);
    }

    fn release(&mut self, bucket: u64, owner: AccountId, added: Amount) {
        fn take<K: Copy + Eq + std::hash::Hash>(sums: &mut HashMap<K, Amount>, key: K, added: Amount) {
            let Some(sum) = sums.get_mut(&key) else { return };
            *sum = sum.minus(added);
            if *sum == Amount::default() {
                sums.remove(&key);
            }
        }
        take(&mut self.reserved_in_buckets, bucket, added);
        take(&mut self.reserved_in_accounts, owner, added);
    }

    fn change(&mut self, bucket: u64, change: Amount) {
        let Some((owner, durable)) = self.buckets.get_mut(&bucket) else { return };
        *durable = durable.plus(change);
        if let Some(durable) = self.accounts.get_mut(owner) {
            *durable = durable.plus(change);
        }
    }

    /// Opens the book of a bucket. If its account's is open the bucket was made since, so that it lacks there.
    fn open(&mut self, bucket: u64, owner: AccountId, durable: Amount) {
        self.buckets.insert(bucket, (owner, durable));
        if let Some(sum) = self.accounts.get_mut(&owner) {
            *sum = sum.plus(durable);
        }
    }
}

/// What a batch may add. Dropping it gives it back.
pub(crate) struct Reservation {
    ledger: Arc<Ledger>,
    bucket: u64,
    owner: AccountId,
    /// `None` once it is given back.
    added: Option<Amount>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(added) = self.added.take() {
            self.ledger.books().release(self.bucket, self.owner, added);
        }
    }
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        // The books are whole after every statement, so a panic elsewhere leaves nothing torn.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps others from reading counters; the committer holds it from before a write until that is booked.
    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any books are open; while this is `false`, changes need not be told.
    pub(crate) fn is_kept(&self) -> bool {
        !self.books().buckets.is_empty()
    }

    /// Books a group: what its batches changed, by bucket, nothing if it failed, and what they had reserved.
    pub(crate) fn book(&self, changes: &[(u64, Amount)], reservations: Vec<Reservation>) {
        if changes.is_empty() && reservations.is_empty() {
            return;
        }
        let mut books = self.books();
        for &(bucket, change) in changes {
            books.change(bucket, change);
        }
        for mut reservation in reservations {
            if let Some(added) = reservation.added.take() {
                books.release(reservation.bucket, reservation.owner, added);
            }
        }
    }

    /// Reserves so much if it fits.
    fn reserve(&self, limits: &Limits, added: Amount) -> Answer {
        let mut books = self.books();
        let answer = books.ask(limits, added);
        if let Answer::Fits = answer {
            books.reserve(limits.id, limits.owner, added);
        }
        answer
    }

    /// Reads the counters that the limits are about, unless that was done already. Blocking.
    fn load(&self, rows: &Rows<'_>, limits: &Limits) -> Result<()> {
        let _nobody_writes = self.writing();
        let is_open =
            |books: &Books| (books.buckets.contains_key(&limits.id), books.accounts.contains_key(&limits.owner));
        let (has_bucket, has_account) = is_open(&self.books());
        if !has_account && !limits.account.is_unlimited() {
            return self.load_account(rows, limits.owner);
        }
        if !has_bucket {
            let durable = held_by_bucket(rows, limits.id)?;
            self.books().open(limits.id, limits.owner, durable);
        }
        Ok(())
    }

    fn load_account(&self, rows: &Rows<'_>, account: AccountId) -> Result<()> {
        let mut found = Vec::new();
        for bucket in buckets_of(rows, account)? {
            found.push((bucket, held_by_bucket(rows, bucket)?));
        }
        let mut books = self.books();
        books.buckets.retain(|_, (owner, _)| *owner != account);
        books.accounts.insert(account, Amount::default());
        for (bucket, durable) in found {
            books.open(bucket, account, durable);
        }
        Ok(())
    }

    /// Closes the book of a bucket that was deleted, with all that is in it.
    pub(crate) fn forget(&self, bucket: u64) {
        let mut books = self.books();
        let Some((owner, durable)) = books.buckets.remove(&bucket) else { return };
        if let Some(sum) = books.accounts.get_mut(&owner) {
            *sum = sum.minus(durable);
        }
    }
}

impl Inner {
    /// Reserves what `batch` adds to its bucket, which the caller holds shared, until the batch is durable or given up.
    /// `Err(QuotaExceeded)` if there is no room for it. Without quotas this costs nothing.
    pub(crate) async fn reserve(&self, bucket: &Bucket, batch: &mut Batch) -> Result<()> {
        let limits = self.quotas.limits(bucket);
        if limits.are_none() {
            return Ok(());
        }
        let added = batch.amount().added();
        for _ in 0..ASKED_MAX {
            match self.index.ledger().reserve(&limits, added) {
                Answer::Fits => {
                    let (ledger, bucket, owner) = (Arc::clone(self.index.ledger()), limits.id, limits.owner);
                    batch.reservation = Some(Reservation { ledger, bucket, owner, added: Some(added) });
                    return Ok(());
                }
                Answer::Exceeds(exceeded) => return Err(Error::QuotaExceeded(exceeded)),
                Answer::Unknown => self.load_books(limits).await?,
            }
        }
        Err(Error::NotFound(Entity::Bucket))
    }

    /// Whether so much would fit now, without reserving it.
    async fn check_room_for(&self, limits: Limits, added: Amount) -> Result<()> {
        for _ in 0..ASKED_MAX {
            // The guard of the books must be gone before anything is waited for.
            let answer = self.index.ledger().books().ask(&limits, added);
            match answer {
                Answer::Fits => return Ok(()),
                Answer::Exceeds(exceeded) => return Err(Error::QuotaExceeded(exceeded)),
                Answer::Unknown => self.load_books(limits).await?,
            }
        }
        Err(Error::NotFound(Entity::Bucket))
    }

    async fn load_books(&self, limits: Limits) -> Result<()> {
        let ledger = Arc::clone(self.index.ledger());
        self.index.read(move |rows| ledger.load(rows, &limits)).await
    }
}

impl Store {
    /// Sets how much the buckets of an account may hold together from now on; what they hold stays. It is kept in memory:
    /// whoever knows accounts says it after each open. Writes under way may still end beyond it.
    pub fn set_account_quota(&self, account: AccountId, quota: Quota) {
        let mut accounts = self.inner.quotas.accounts.write().unwrap_or_else(PoisonError::into_inner);
        match quota.is_unlimited() {
            true => drop(accounts.remove(&account)),
            false => drop(accounts.insert(account, quota)),
        }
    }

    /// How much the buckets of an account may hold together.
    pub fn account_quota(&self, account: AccountId) -> Quota {
        self.inner.quotas.of_account(account)
    }

    /// What the buckets of an account hold together. The cost is that of their counters.
    pub async fn held_by_account(&self, account: AccountId) -> Result<Amount> {
        let held = |rows: &Rows<'_>, bucket| held_by_bucket(rows, bucket);
        self.inner
            .index
            .read(move |rows| {
                let buckets = buckets_of(rows, account)?;
                buckets.into_iter().try_fold(Amount::default(), |sum, bucket| Ok(sum.plus(held(rows, bucket)?)))
            })
            .await
    }

    /// What a bucket holds. The cost is that of its counters.
    pub async fn held_by_bucket(&self, bucket: &BucketName) -> Result<Amount> {
        let id = self.bucket(bucket).await?.id;
        self.inner.index.read(move |rows| held_by_bucket(rows, id)).await
    }

    /// Whether an object of that size could be written now, so that its bytes need not be sent in vain:
    /// `Err(QuotaExceeded)` if not. It promises nothing for later.
    pub async fn check_room_for_object(&self, bucket: &BucketName, key: &ObjectKey, size: u64) -> Result<()> {
        let bucket = self.bucket(bucket).await?;
        let limits = self.inner.quotas.limits(&bucket);
        if limits.are_none() {
            return Ok(());
        }
        let mut replaced = None;
        if bucket.versioning != Versioning::Enabled {
            let newest = self.inner.newest(&bucket, key).await?;
            if let Some(old) = self.inner.null_version(&bucket, key, newest.as_ref()).await? {
                let row = key::version(bucket.id, key.as_str(), old);
                let record = self.inner.index.record::<VersionRecord>(Family::Version, row).await?;
                replaced = record.and_then(|record| record.object).map(|object| object.size);
            }
        }
        self.inner.check_room_for(limits, Amount::replacing(size, replaced)).await
    }

    /// As [`Store::check_room_for_object`], for a part of an upload.
    pub async fn check_room_for_part(&self, bucket: &BucketName, id: UploadId, number: u16, size: u64) -> Result<()> {
        let limits = self.inner.quotas.limits(&*self.bucket(bucket).await?);
        if limits.are_none() {
            return Ok(());
        }
        let replaced = self.inner.index.record::<PartRecord>(Family::Part, key::part(id.0, number)).await?;
        let replaced = replaced.map_or(0, |part| part.content.bytes);
        let added = Amount { objects: 0, ..Amount::replacing(size, Some(replaced)) };
        self.inner.check_room_for(limits, added).await
    }
}

/// What the counters of a bucket say.
fn held_by_bucket(rows: &Rows<'_>, bucket: u64) -> Result<Amount> {
    let mut sum = Amount::default();
    rows.scan(Family::Usage, &key::bucket_start(bucket), &key::bucket_end(bucket), |row, value| {
        let numbers = key::counters(value).ok_or_else(|| key::corrupt("usage row", row))?;
        sum = sum.plus(Amount::of(&Usage::from_array(numbers)));
        Ok(Step::Next)
    })?;
    Ok(sum)
}

/// The ids of the buckets of an account.
fn buckets_of(rows: &Rows<'_>, account: AccountId) -> Result<Vec<u64>> {
    let from = key::account_bucket(account, "");
    let mut found = Vec::new();
    rows.scan(Family::AccountBucket, &from, &key::after_prefix(from.clone()), |row, _| {
        let corrupt = || key::corrupt("account's bucket row", row);
        let name = key::split_account_bucket(row).ok_or_else(corrupt)?;
        // A bucket that was deleted between the two reads holds nothing.
        if let Some(value) = rows.get(Family::Bucket, name)? {
            found.push(Bucket::decode(&value)?.id);
        }
        Ok(Step::Next)
    })?;
    Ok(found)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Amount, Answer, Books, Limits, QuotaExceeded, QuotaResource, QuotaScope};
    use crate::account::AccountId;
    use crate::protection::Quota;

    fn amount(bytes: i64, objects: i64) -> Amount {
        Amount { bytes, objects }
    }

    #[test]
    fn limits_are_reached_and_never_exceeded() {
        fn check(quota: (Option<u64>, Option<u64>), held: Amount, added: Amount, left: Option<(QuotaResource, u64)>) {
            let quota = Quota { bytes: quota.0, objects: quota.1 };
            let found = quota.check(QuotaScope::Bucket, held, added).err();
            assert_eq!(found.map(|exceeded| (exceeded.resource, exceeded.left)), left, "{quota:?} {held:?} {added:?}");
        }
        check((None, None), amount(9, 9), amount(i64::MAX, 1), None);
        check((Some(10), None), amount(9, 1), amount(1, 1), None);
        check((Some(10), None), amount(9, 1), amount(2, 1), Some((QuotaResource::Bytes, 1)));
        check((Some(10), Some(1)), amount(9, 1), amount(1, 1), Some((QuotaResource::Objects, 0)));
        // Beyond a limit that was lowered nothing may be added, and all else may go on.
        check((Some(10), None), amount(20, 1), amount(0, 1), None);
        check((Some(10), None), amount(20, 1), amount(1, 0), Some((QuotaResource::Bytes, 0)));
        check((Some(0), Some(0)), amount(0, 0), amount(0, 0), None);
    }

    #[test]
    fn books_follow_buckets_and_accounts() {
        let (owner, bytes) = (AccountId::ROOT, Some(10));
        let limits = Limits { id: 1, owner, bucket: Quota::default(), account: Quota { bytes, objects: None } };
        let mut books = Books::default();
        assert!(matches!(books.ask(&limits, amount(1, 1)), Answer::Unknown));
        books.accounts.insert(owner, Amount::default());
        books.open(1, owner, amount(3, 1));
        books.open(2, owner, amount(4, 1));
        assert!(matches!(books.ask(&limits, amount(3, 1)), Answer::Fits));
        books.reserve(2, owner, amount(2, 1));
        let Answer::Exceeds(exceeded) = books.ask(&limits, amount(3, 1)) else { panic!("one byte is left") };
        let QuotaExceeded { scope, left, .. } = exceeded;
        assert_eq!((scope, left), (QuotaScope::Account, 1));
        assert_eq!(
            exceeded.to_string(),
            "The account that owns the bucket may hold at most 10 bytes, of which 1 are left."
        );
        books.change(2, amount(2, 1));
        books.release(2, owner, amount(2, 1));
        assert!(books.reserved_in_buckets.is_empty() && books.reserved_in_accounts.is_empty());
        assert!(matches!(books.ask(&limits, amount(2, 1)), Answer::Exceeds(_)));
        books.change(1, amount(-3, -1));
        assert!(matches!(books.ask(&limits, amount(4, 1)), Answer::Fits));
        assert_eq!(books.accounts[&owner], amount(6, 2));
    }
}
