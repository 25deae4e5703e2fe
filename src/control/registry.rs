//! The access points of all accounts, in memory and in documents.
//!
//! A change is one synced document before it is seen; a crash leaves it whole or not at all. Readers never wait.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use strata_storage::{AccountId, DocumentChange, Error, Store};

use super::access_point::{AccessPoint, AccessPointName};

const PREFIX: &str = "access-point/";
const PAGE: usize = 1000;
/// The most of one account, AWS's limit.
const PER_ACCOUNT_MAX: usize = 10_000;

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is one of that name.
    #[error("the access point exists")]
    Exists,
    /// There is none of that name.
    #[error("the access point does not exist")]
    Missing,
    /// The account has as many as it can have.
    #[error("the account has too many access points")]
    TooMany,
    /// A stored document cannot be read.
    #[error("the stored access point {0} is damaged")]
    Damaged(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// The access points; clones share them.
#[derive(Clone)]
pub struct AccessPoints {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    state: RwLock<Arc<State>>,
    changing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Default)]
struct State {
    /// By account and name.
    points: BTreeMap<(AccountId, String), Arc<AccessPoint>>,
    /// By alias and by label, which are no bucket's name.
    names: BTreeMap<String, Arc<AccessPoint>>,
    /// How many each bucket has.
    buckets: BTreeMap<u64, usize>,
}

impl State {
    fn insert(&mut self, point: Arc<AccessPoint>) {
        self.names.insert(point.alias(), Arc::clone(&point));
        self.names.insert(point.label(), Arc::clone(&point));
        let bucket = point.bucket_id;
        if self.points.insert((point.account, point.name.to_string()), point).is_none() {
            *self.buckets.entry(bucket).or_default() += 1;
        }
    }

    fn remove(&mut self, account: AccountId, name: &AccessPointName) -> Option<Arc<AccessPoint>> {
        let point = self.points.remove(&(account, name.to_string()))?;
        self.names.remove(&point.alias());
        self.names.remove(&point.label());
        if let Some(count) = self.buckets.get_mut(&point.bucket_id) {
            *count -= 1;
        }
        self.buckets.retain(|_, count| *count > 0);
        Some(point)
    }
}

impl AccessPoints {
    /// Reads all access points.
    pub async fn open(store: Store) -> Result<AccessPoints, RegistryError> {
        let mut state = State::default();
        let mut after: Option<String> = None;
        loop {
            let page = store.documents(PREFIX, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(name, _)| name.clone()).or(after);
            for (name, content) in page {
                let point = serde_json::from_slice(&content).map_err(|_| RegistryError::Damaged(name))?;
                state.insert(Arc::new(point));
            }
            if is_last {
                break;
            }
        }
        let state = RwLock::new(Arc::new(state));
        Ok(AccessPoints { shared: Arc::new(Shared { store, state, changing: Arc::default() }) })
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The access point of that name.
    pub fn get(&self, account: AccountId, name: &AccessPointName) -> Option<Arc<AccessPoint>> {
        self.state().points.get(&(account, name.to_string())).cloned()
    }

    /// The access point with that alias, or with that label of a host.
    pub fn named(&self, name: &str) -> Option<Arc<AccessPoint>> {
        self.state().names.get(name).cloned()
    }

    /// Whether a bucket has access points, and so must stay.
    pub fn has_bucket(&self, bucket_id: u64) -> bool {
        self.state().buckets.contains_key(&bucket_id)
    }

    /// The access points of an account, of one bucket if one is named, after that name.
    pub fn list(
        &self,
        account: AccountId,
        bucket: Option<&str>,
        after: Option<&str>,
        max: usize,
    ) -> Vec<Arc<AccessPoint>> {
        let state = self.state();
        // Names are not empty, and the least after another is that name and a zero byte.
        let from = after.map_or_else(String::new, |after| format!("{after}\0"));
        let of_account = state.points.range((account, from)..).take_while(|((owner, _), _)| *owner == account);
        let wanted = of_account.filter(|(_, point)| bucket.is_none_or(|bucket| point.bucket == bucket));
        wanted.take(max).map(|(_, point)| Arc::clone(point)).collect()
    }

    /// Adds an access point.
    pub async fn create(&self, point: AccessPoint) -> Result<Arc<AccessPoint>, RegistryError> {
        let guard = Arc::clone(&self.shared.changing).lock_owned().await;
        let mut state = State::clone(&self.state());
        if state.points.contains_key(&(point.account, point.name.to_string())) {
            return Err(RegistryError::Exists);
        }
        if state.points.values().filter(|other| other.account == point.account).count() >= PER_ACCOUNT_MAX {
            return Err(RegistryError::TooMany);
        }
        let point = Arc::new(point);
        let change = document(&point, true)?;
        state.insert(Arc::clone(&point));
        self.commit(guard, state, change).await?;
        Ok(point)
    }

    /// Replaces an access point's policy; `None` removes it.
    pub async fn set_policy(
        &self,
        account: AccountId,
        name: &AccessPointName,
        policy: Option<String>,
    ) -> Result<(), RegistryError> {
        let guard = Arc::clone(&self.shared.changing).lock_owned().await;
        let mut state = State::clone(&self.state());
        let found = state.points.get(&(account, name.to_string())).ok_or(RegistryError::Missing)?;
        let point = Arc::new(AccessPoint { policy, compiled: OnceLock::new(), ..AccessPoint::clone(found) });
        let change = document(&point, true)?;
        state.insert(point);
        self.commit(guard, state, change).await
    }

    /// Removes an access point.
    pub async fn delete(&self, account: AccountId, name: &AccessPointName) -> Result<(), RegistryError> {
        let guard = Arc::clone(&self.shared.changing).lock_owned().await;
        let mut state = State::clone(&self.state());
        let point = state.remove(account, name).ok_or(RegistryError::Missing)?;
        let change = document(&point, false)?;
        self.commit(guard, state, change).await
    }

    /// Makes a change durable, then visible; in a task of its own, so that a dropped call leaves no difference.
    async fn commit(
        &self,
        guard: tokio::sync::OwnedMutexGuard<()>,
        state: State,
        change: DocumentChange,
    ) -> Result<(), RegistryError> {
        let shared = Arc::clone(&self.shared);
        let commit = tokio::spawn(async move {
            shared.store.write_documents(vec![change]).await?;
            *shared.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
            drop(guard);
            Ok(())
        });
        commit.await.map_err(|_| Error::Closed)?
    }
}

fn document(point: &AccessPoint, keep: bool) -> Result<DocumentChange, RegistryError> {
    let name = format!("{PREFIX}{}/{}", point.account, point.name);
    let content = serde_json::to_vec(point).map_err(|_| RegistryError::Damaged(name.clone()))?;
    Ok(DocumentChange { name, content: keep.then_some(content) })
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use strata_storage::{AccountId, OpenOptions, Store, Timestamp};

    use super::{AccessPoint, AccessPointName, AccessPoints, RegistryError};
    use crate::control::access_point::NetworkOrigin;
    use crate::public_access_block::PublicAccessBlock;

    fn point(account: u64, name: &str, bucket_id: u64) -> AccessPoint {
        AccessPoint {
            name: AccessPointName::parse(name).expect("a valid name"),
            account: AccountId::new(account).expect("an id"),
            bucket: format!("bucket-{bucket_id}"),
            bucket_id,
            bucket_account: AccountId::ROOT,
            origin: NetworkOrigin::Internet,
            block: PublicAccessBlock::ALL,
            created: Timestamp::from_secs(1),
            policy: None,
            compiled: OnceLock::new(),
        }
    }

    fn names(points: &AccessPoints, account: u64, bucket: Option<&str>, after: Option<&str>, max: usize) -> String {
        let account = AccountId::new(account).expect("an id");
        let listed = points.list(account, bucket, after, max);
        listed.iter().map(|point| point.name.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn access_points_are_found_listed_and_survive() {
        let data = tempfile::tempdir().expect("a directory");
        let store = Store::open(OpenOptions::new(data.path())).await.expect("a store");
        let points = AccessPoints::open(store.clone()).await.expect("none");
        for (account, name, bucket) in [(1, "bbb", 1), (1, "aaa", 2), (2, "aaa", 1), (1, "ccc", 1)] {
            points.create(point(account, name, bucket)).await.expect("a new one");
        }
        let again = points.create(point(1, "aaa", 1)).await;
        assert!(matches!(again, Err(RegistryError::Exists)));
        assert_eq!(names(&points, 1, None, None, 9), "aaa bbb ccc");
        assert_eq!(names(&points, 1, None, Some("aaa"), 1), "bbb");
        assert_eq!(names(&points, 1, Some("bucket-1"), None, 9), "bbb ccc");
        assert_eq!(names(&points, 3, None, None, 9), "");
        let (owner, name) = (AccountId::new(1).expect("an id"), AccessPointName::parse("bbb").expect("a valid name"));
        points.set_policy(owner, &name, Some("{}".to_owned())).await.expect("it is there");

        let points = AccessPoints::open(store.clone()).await.expect("what was written");
        let found = points.named("bbb-000000000001").expect("its label");
        assert_eq!(
            (found.policy.as_deref(), points.named(&found.alias()).map(|found| found.bucket_id)),
            (Some("{}"), Some(1))
        );
        for (account, name) in [(1, "bbb"), (1, "ccc"), (2, "aaa")] {
            assert!(points.has_bucket(1));
            let account = AccountId::new(account).expect("an id");
            points.delete(account, &AccessPointName::parse(name).expect("a valid name")).await.expect("it is there");
        }
        assert!(!points.has_bucket(1) && points.has_bucket(2));
        assert!(points.named("bbb-000000000001").is_none() && points.named(&found.alias()).is_none());
        assert!(matches!(points.delete(owner, &name).await, Err(RegistryError::Missing)));
        store.close().await.expect("an orderly end");
    }
}
