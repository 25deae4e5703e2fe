//! Buckets: made, found, changed, removed, listed.
//!
//! Each change is one batch under the bucket's exclusive lock, which no write of an object in it can hold meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use crate::bucket::{
    Bucket, BucketChange, BucketDocument, BucketPage, BucketQuery, BucketRules, NewBucket, Versioning,
};
use crate::configuration;
use crate::error::{Entity, Error, Result};
use crate::index::record::{Garbage, Record};
use crate::index::{Batch, Family, Step, key};
use crate::name::BucketName;
use crate::protection::{ObjectLock, Quota};
use crate::queue::QueueName;
use crate::replication::{Destination, Replication};
use crate::store::Store;
use crate::sync::{Mutex, MutexGuard, watch};
use crate::worker;

/// Buckets kept in memory; more are read from the index each time.
const CACHED_MAX: usize = 16_384;
/// The stored sizes of their rules together, in bytes; in memory they take some times as much.
const CACHED_RULES_BYTES_MAX: usize = 32 << 20;
/// The row of the last bucket id given out.
pub(crate) const LAST_ID: &[u8] = b"last bucket id";

/// Buckets by name, as last committed.
#[derive(Default)]
pub(crate) struct BucketCache {
    state: Mutex<CacheState>,
    /// Held from reading the last id given out until the next one is durable.
    ids: Arc<tokio::sync::Mutex<()>>,
    /// Counts changes of buckets, for those who wait for one.
    changed: watch::Sender<u64>,
}

/// What becomes of a bucket that is changed.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stays,
    /// It is gone, with that id.
    Deleted(u64),
}

#[derive(Default)]
struct CacheState {
    buckets: HashMap<BucketName, Arc<Bucket>>,
    /// The stored sizes of the rules of all of them, in bytes.
    rules_bytes: usize,
    /// Counts changes, so that a row read before a change is not cached after it.
    changes: u64,
}

impl CacheState {
    /// Keeps what was read when there had been so many changes, unless there were more since.
    fn keep(&mut self, name: &BucketName, bucket: &Arc<Bucket>, rules_bytes: usize, changes: u64) {
        if self.changes != changes {
            return;
        }
        if self.buckets.len() >= CACHED_MAX || self.rules_bytes + rules_bytes > CACHED_RULES_BYTES_MAX {
            self.buckets.clear();
            self.rules_bytes = 0;
        }
        // What is forgotten or replaced stays counted until all is: an estimate from above.
        self.rules_bytes += rules_bytes;
        self.buckets.insert(name.clone(), Arc::clone(bucket));
    }
}

impl BucketCache {
    fn lock(&self) -> MutexGuard<'_, CacheState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, name: &BucketName) {
        let mut state = self.lock();
        state.changes += 1;
        state.buckets.remove(name);
        self.changed.send_replace(state.changes);
    }
}

impl Store {
    /// Makes a bucket. `Err(BucketExists)` if there is one of that name.
    pub async fn create_bucket(&self, name: &BucketName, new: NewBucket) -> Result<Arc<Bucket>> {
        let guard = self.inner.locks.bucket_exclusive(name.as_str()).await;
        let row = name.as_str().as_bytes().to_vec();
        if self.inner.index.get(Family::Bucket, row.clone()).await?.is_some() {
            return Err(Error::BucketExists);
        }
        let ids = Arc::clone(&self.inner.buckets.ids).lock_owned().await;
        let id = self.last_bucket_id().await? + 1;
        let bucket = Bucket {
            name: name.as_str().to_owned(),
            id,
            owner: new.owner,
            revision: 0,
            created: self.inner.stamp().time,
            region: new.region,
            versioning: if new.object_lock { Versioning::Enabled } else { Versioning::Unversioned },
            ownership: Some(new.ownership),
            object_lock: new.object_lock.then(ObjectLock::default),
            quota: Quota::default(),
            tags: new.tags,
            lifecycle: None,
            tiering: Vec::new(),
            analytics: Vec::new(),
            notifications: Vec::new(),
            replication: None,
            documents: new.documents,
        };
        let mut batch = Batch::new();
        batch.put_raw(Family::BucketName, id.to_be_bytes().to_vec(), row.clone());
        batch.put(Family::Bucket, row, &bucket);
        batch.put_raw(Family::AccountBucket, key::account_bucket(bucket.owner, name.as_str()), Vec::new());
        put_rules(&bucket, &mut batch);
        batch.put_raw(Family::Meta, LAST_ID.to_vec(), id.to_be_bytes().to_vec());
        batch.hold(ids);
        self.commit_bucket(name, guard, Fate::Stays, batch).await?;
        Ok(Arc::new(bucket))
    }

    async fn last_bucket_id(&self) -> Result<u64> {
        match self.inner.index.get(Family::Meta, LAST_ID.to_vec()).await? {
            None => Ok(0),
            Some(value) => value
                .try_into()
                .map(u64::from_be_bytes)
                .map_err(|_| Error::Corrupt { what: "bucket counter", place: "the default family".to_owned() }),
        }
    }

    /// Commits a change of one bucket in a task of its own: the cache must hear of it even if the caller is gone.
    async fn commit_bucket(
        &self,
        name: &BucketName,
        guard: tokio::sync::OwnedRwLockWriteGuard<()>,
        fate: Fate,
        batch: Batch,
    ) -> Result<()> {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        let commit = tokio::spawn(async move {
            let outcome = inner.index.commit(batch).await;
            inner.buckets.forget(&name);
            if let (Fate::Deleted(id), Ok(())) = (fate, &outcome) {
                inner.index.ledger().forget(id);
            }
            drop(guard);
            outcome
        });
        commit.await.map_err(|_| Error::Closed)?
    }

    /// Changes when a bucket was made, changed or removed, and with it perhaps which queues there are.
    pub fn buckets_changed(&self) -> watch::Receiver<u64> {
        self.inner.buckets.changed.subscribe()
    }

    /// The bucket of that name, or `Err(NotFound(Bucket))`.
    pub async fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>> {
        let changes = {
            let state = self.inner.buckets.lock();
            if let Some(bucket) = state.buckets.get(name) {
                return Ok(Arc::clone(bucket));
            }
            state.changes
        };
        let row = name.as_str().as_bytes().to_vec();
        let bucket = self.inner.index.record::<Bucket>(Family::Bucket, row).await?;
        let mut bucket = bucket.ok_or(Error::NotFound(Entity::Bucket))?;
        let rules = self.inner.index.get(Family::BucketRules, bucket.id.to_be_bytes().to_vec()).await?;
        let rules_bytes = rules.as_ref().map_or(0, Vec::len);
        if let Some(rules) = rules {
            BucketRules::decode(&rules)?.put_into(&mut bucket);
        }
        let bucket = Arc::new(bucket);
        self.inner.buckets.lock().keep(name, &bucket, rules_bytes, changes);
        Ok(bucket)
    }

    /// The name of the bucket with that id; `None` if it is gone. Work that waits in queues knows buckets by their ids.
    pub(crate) async fn bucket_name(&self, id: u64) -> Result<Option<BucketName>> {
        let Some(name) = self.inner.index.get(Family::BucketName, id.to_be_bytes().to_vec()).await? else {
            return Ok(None);
        };
        let name = String::from_utf8(name).ok().and_then(|name| BucketName::parse(&name).ok());
        name.map(Some).ok_or_else(|| key::corrupt("bucket name row", &id.to_be_bytes()))
    }

    /// Changes a bucket. `Err(BucketState)` if its state forbids the change; [`BucketChange`] says what else can fail.
    pub async fn change_bucket(&self, name: &BucketName, change: BucketChange) -> Result<()> {
        let guard = self.inner.locks.bucket_exclusive(name.as_str()).await;
        let mut bucket = Bucket::clone(&*self.bucket(name).await?);
        let mut batch = Batch::new();
        if let BucketChange::Lifecycle(_) | BucketChange::PutTiering(_) | BucketChange::DeleteTiering(_) = change {
            worker::ask_reindex(bucket.id, &mut batch);
        }
        match change {
            BucketChange::Versioning(Versioning::Unversioned) => {
                return Err(Error::BucketState("versioning cannot be undone, only suspended"));
            }
            BucketChange::Versioning(Versioning::Suspended) if bucket.object_lock.is_some() => {
                return Err(Error::BucketState("a bucket with Object Lock stays versioned"));
            }
            BucketChange::Versioning(Versioning::Suspended) if bucket.replication.is_some() => {
                return Err(Error::BucketState("a bucket with replication rules stays versioned"));
            }
            BucketChange::Versioning(versioning) => bucket.versioning = versioning,
            BucketChange::Ownership(ownership) => bucket.ownership = ownership,
            BucketChange::ObjectLock(_) if bucket.versioning != Versioning::Enabled => {
                return Err(Error::BucketState("Object Lock needs versioning"));
            }
            BucketChange::ObjectLock(lock) => bucket.object_lock = Some(lock),
            BucketChange::Quota(quota) => bucket.quota = quota,
            BucketChange::Document(kind, Some(document)) => drop(bucket.documents.insert(kind, document)),
            BucketChange::Document(kind, None) => drop(bucket.documents.remove(&kind)),
            BucketChange::Tags(tags) => bucket.tags = tags,
            BucketChange::Lifecycle(lifecycle) => bucket.lifecycle = lifecycle,
            BucketChange::PutTiering(tiering) => configuration::put(&mut bucket.tiering, tiering)?,
            BucketChange::DeleteTiering(id) => configuration::delete(&mut bucket.tiering, &id)?,
            BucketChange::PutAnalytics(analytics) => {
                configuration::put(&mut bucket.analytics, analytics)?;
                self.inner.reads.want();
            }
            BucketChange::DeleteAnalytics(id) => configuration::delete(&mut bucket.analytics, &id)?,
            BucketChange::Notifications { rules, document } => {
                for rule in &rules {
                    self.inner.name_queue(&QueueName::Events { target: rule.target.clone() }, &mut batch);
                }
                bucket.notifications = rules;
                match document {
                    Some(document) => drop(bucket.documents.insert(BucketDocument::Notifications, document)),
                    None => drop(bucket.documents.remove(&BucketDocument::Notifications)),
                }
            }
            BucketChange::Replication(replication) => {
                self.set_replication(&mut bucket, replication, None, &mut batch)?;
            }
            BucketChange::PlacedReplication { replication, places } => {
                self.set_replication(&mut bucket, Some(replication), Some(places), &mut batch)?;
            }
        }
        bucket.revision += 1;
        batch.put(Family::Bucket, name.as_str().as_bytes().to_vec(), &bucket);
        put_rules(&bucket, &mut batch);
        self.commit_bucket(name, guard, Fate::Stays, batch).await
    }

    fn set_replication(
        &self,
        bucket: &mut Bucket,
        replication: Option<Replication>,
        places: Option<Arc<[u8]>>,
        batch: &mut Batch,
    ) -> Result<()> {
        if replication.is_some() && bucket.versioning != Versioning::Enabled {
            return Err(Error::BucketState("replication needs versioning"));
        }
        for Destination { bucket: destination, .. } in destinations(replication.as_ref()) {
            let name = QueueName::Replication { bucket: bucket.id, destination: destination.clone() };
            self.inner.name_queue(&name, batch);
        }
        bucket.replication = replication;
        match places {
            Some(places) => drop(bucket.documents.insert(BucketDocument::ReplicationPlaces, places)),
            None => drop(bucket.documents.remove(&BucketDocument::ReplicationPlaces)),
        }
        Ok(())
    }

    /// Removes an empty bucket; its open uploads vanish with it. `Err(BucketNotEmpty)` if any version is left.
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        let guard = self.inner.locks.bucket_exclusive(name.as_str()).await;
        let Bucket { id, owner, .. } = *self.bucket(name).await?;
        let (versions, uploads, accounts) = self
            .inner
            .index
            .read(move |rows| {
                let (from, to) = (key::bucket_start(id), key::bucket_end(id));
                let has = |family| Ok::<_, Error>(rows.first(family, &from, &to)?.is_some());
                let mut accounts = Vec::new();
                for family in [Family::Usage, Family::Meter] {
                    rows.scan(family, &from, &to, |row, _| {
                        accounts.push((family, row.to_vec()));
                        Ok(Step::Next)
                    })?;
                }
                let analyses = key::analyses(id);
                rows.scan(Family::Meta, &analyses, &key::after_prefix(analyses.clone()), |row, _| {
                    accounts.push((Family::Meta, row.to_vec()));
                    Ok(Step::Next)
                })?;
                Ok((has(Family::Version)?, has(Family::Upload)?, accounts))
            })
            .await?;
        if versions {
            return Err(Error::BucketNotEmpty);
        }
        let mut batch = Batch::making_room();
        batch.delete(Family::Bucket, name.as_str().as_bytes().to_vec());
        batch.delete(Family::BucketName, id.to_be_bytes().to_vec());
        batch.delete(Family::BucketRules, id.to_be_bytes().to_vec());
        batch.delete(Family::AccountBucket, key::account_bucket(owner, name.as_str()));
        worker::forget_reindex(id, &mut batch);
        // Whoever writes them holds the bucket shared until that is durable.
        for (family, row) in accounts {
            batch.delete(family, row);
        }
        if uploads {
            self.inner.release(Garbage::Bucket(id), &mut batch);
        }
        self.commit_bucket(name, guard, Fate::Deleted(id), batch).await
    }

    /// Lists buckets by name. The cost is that of the buckets of the account asked for.
    pub async fn list_buckets(&self, query: BucketQuery) -> Result<BucketPage> {
        self.inner.index.read(move |rows| list(rows, &query)).await
    }
}

fn destinations(replication: Option<&Replication>) -> impl Iterator<Item = &Destination> {
    replication.into_iter().flat_map(|replication| &replication.rules).map(|rule| &rule.destination)
}

/// Writes a bucket's configurations that may be large, or removes their row if there are none.
fn put_rules(bucket: &Bucket, batch: &mut Batch) {
    let row = bucket.id.to_be_bytes().to_vec();
    match BucketRules::of(bucket) {
        rules if rules == BucketRules::default() => batch.delete(Family::BucketRules, row),
        rules => batch.put(Family::BucketRules, row, &rules),
    }
}

fn list(rows: &crate::index::Rows<'_>, query: &BucketQuery) -> Result<BucketPage> {
    let mut page = BucketPage::default();
    let from = query.prefix.as_str().max(query.after.as_deref().unwrap_or(""));
    let mut offer = |row: &[u8], value: &[u8]| {
        let name = std::str::from_utf8(row).ok().and_then(|name| BucketName::parse(name).ok());
        let name = name.ok_or_else(|| key::corrupt("bucket row", row))?;
        let bucket = Bucket::decode(value)?;
        let wanted = query.region.as_ref().is_none_or(|region| *region == bucket.region);
        if !wanted || query.after.as_deref() == Some(name.as_str()) {
            return Ok(Step::Next);
        }
        if page.buckets.len() == query.max {
            page.next = page.buckets.last().map(|(name, _)| name.as_str().to_owned());
            return Ok(Step::Stop);
        }
        page.buckets.push((name, bucket));
        Ok(Step::Next)
    };
    let Some(owner) = query.owner else {
        let to = key::after_prefix(query.prefix.as_bytes().to_vec());
        rows.scan(Family::Bucket, from.as_bytes(), &to, offer)?;
        return Ok(page);
    };
    let to = key::after_prefix(key::account_bucket(owner, &query.prefix));
    rows.scan(Family::AccountBucket, &key::account_bucket(owner, from), &to, |row, _| {
        let name = key::split_account_bucket(row).ok_or_else(|| key::corrupt("account's bucket row", row))?;
        match rows.get(Family::Bucket, name)? {
            Some(value) => offer(name, &value),
            None => Err(key::corrupt("account's bucket row", row)),
        }
    })?;
    Ok(page)
}
