//! The local key store: keys and aliases of all accounts, in memory and in documents.
//!
//! A change is written as one batch of documents and synced before it is seen; a crash leaves it whole or not at all.
//! Changes wait for each other; readers take the state as it is and never wait.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use strata_storage::{AccountId, Clock, DataKey, DocumentChange, Entropy, Store};
use zeroize::Zeroizing;

use super::access::Subject;
use super::context::EncryptionContext;
use super::envelope::{self, Head, Material};
use super::error::KmsError;
use super::key::{Key, KeyState, uuid, uuid_text};

const KEY_PREFIX: &str = "kms/key/";
const ALIAS_PREFIX: &str = "kms/alias/";
/// Documents read at once when the store is opened.
const PAGE: usize = 1000;
/// The most keys of an account, KMS's default quota; it bounds the memory.
const KEYS_MAX: usize = 100_000;
/// The alias of the key that the server makes for an account.
pub const DEFAULT_ALIAS: &str = "alias/aws/s3";
/// How old a key's newest material gets when rotation is on.
const ROTATED_AFTER: Duration = Duration::from_hours(365 * 24);

/// A data key in plain and wrapped.
pub struct DataKeyPair {
    /// In plain; wiped when dropped.
    pub plain: Zeroizing<Vec<u8>>,
    /// As the key wrapped it.
    pub wrapped: Vec<u8>,
}

/// The keys of this server; clones share them.
#[derive(Clone)]
pub struct KeyStore {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    region: String,
    /// Seals the materials.
    secret: DataKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: RwLock<Arc<State>>,
    changing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Default)]
struct State {
    keys: BTreeMap<String, Arc<Key>>,
    /// Account and alias, then the key's id.
    aliases: BTreeMap<(AccountId, String), String>,
}

/// What a new key shall be.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What its owner says of it.
    pub description: String,
    /// The key policy, as normalised text.
    pub policy: String,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl KeyStore {
    /// Reads all keys. `secret` is the store's key for this purpose.
    pub async fn open(
        store: Store,
        region: String,
        secret: DataKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<KeyStore, KmsError> {
        let mut state = State::default();
        for (_, content) in all(&store, KEY_PREFIX).await? {
            let key: Key = serde_json::from_slice(&content).map_err(KmsError::internal)?;
            state.keys.insert(key.id.clone(), Arc::new(key));
        }
        for (name, content) in all(&store, ALIAS_PREFIX).await? {
            let (account, alias) = name[ALIAS_PREFIX.len()..].split_once('/').unwrap_or_default();
            let account = AccountId::parse(account).ok_or_else(|| KmsError::internal("an alias without account"))?;
            let id = String::from_utf8(content).map_err(KmsError::internal)?;
            state.aliases.insert((account, alias.to_owned()), id);
        }
        let changing = Arc::default();
        let state = RwLock::new(Arc::new(state));
        let keys = KeyStore { shared: Arc::new(Shared { store, region, secret, clock, entropy, state, changing }) };
        keys.erase_soon();
        Ok(keys)
    }

    /// The region in the keys' ARNs.
    pub fn region(&self) -> &str {
        &self.shared.region
    }

    /// A key, or what is about none, as policies are asked about it.
    pub fn subject<'a>(&'a self, key: Option<&'a Key>) -> Subject<'a> {
        Subject { key, store: Some(self), region: &self.shared.region }
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key of that name: an id, `alias/...`, or the ARN of either. Names without an account mean `account`'s.
    pub fn find(&self, account: AccountId, name: &str) -> Result<Arc<Key>, KmsError> {
        let missing = || KmsError::not_found(name);
        let (account, rest) = match name.strip_prefix("arn:aws:kms:") {
            None => (account, name),
            Some(rest) => {
                let mut parts = rest.splitn(3, ':');
                let region = parts.next().ok_or_else(missing)?;
                let account = parts.next().and_then(AccountId::parse).ok_or_else(missing)?;
                if region != self.shared.region {
                    return Err(missing());
                }
                (account, parts.next().ok_or_else(missing)?)
            }
        };
        let state = self.state();
        let id = match rest.starts_with("alias/") {
            true => state.aliases.get(&(account, rest.to_owned())).ok_or_else(missing)?,
            false if name == rest => rest,
            false => rest.strip_prefix("key/").ok_or_else(missing)?,
        };
        let key = state.keys.get(id).filter(|key| key.account == account).ok_or_else(missing)?;
        if self.is_gone(key) {
            self.erase_soon();
            return Err(missing());
        }
        Ok(Arc::clone(key))
    }

    /// The key of an ARN that `find` gave.
    pub fn by_arn(&self, arn: &str) -> Result<Arc<Key>, KmsError> {
        self.find(AccountId::ROOT, arn)
    }

    /// Erases what is left of keys whose time is over, in a task of its own.
    fn erase_soon(&self) {
        let keys = self.clone();
        tokio::spawn(async move {
            let guard = Arc::clone(&keys.shared.changing).lock_owned().await;
            let state = State::clone(&keys.state());
            // It is logged there; the next look at such a key tries again.
            let _erased = keys.commit(guard, state, Vec::new()).await;
        });
    }

    fn is_gone(&self, key: &Key) -> bool {
        matches!(key.state, KeyState::PendingDeletion(at) if at <= self.shared.clock.now())
    }

    /// The keys of an account after that id, in the order of the ids.
    pub fn list(&self, account: AccountId, after: Option<&str>, max: usize) -> Vec<Arc<Key>> {
        let state = self.state();
        let keys = state.keys.values().filter(|key| key.account == account && !self.is_gone(key));
        keys.filter(|key| after.is_none_or(|after| key.id.as_str() > after)).take(max).cloned().collect()
    }

    /// The aliases of an account with their keys' ids, in order.
    pub fn aliases(&self, account: AccountId) -> Vec<(String, String)> {
        let state = self.state();
        let from = (account, String::new());
        let of_account = state.aliases.range(from..).take_while(|((owner, _), _)| *owner == account);
        of_account.map(|((_, alias), id)| (alias.clone(), id.clone())).collect()
    }

    /// Makes a key.
    pub async fn create(&self, account: AccountId, new: NewKey) -> Result<Arc<Key>, KmsError> {
        self.make(account, new, None).await
    }

    /// The key that the server keeps for an account that names none; made when it is first wanted.
    pub async fn default_key(&self, account: AccountId) -> Result<Arc<Key>, KmsError> {
        match self.find(account, DEFAULT_ALIAS) {
            Ok(key) => Ok(key),
            Err(_) => {
                let description = "Protects the account's objects when no other key is named.".to_owned();
                self.make(account, NewKey { description, ..NewKey::default() }, Some(DEFAULT_ALIAS)).await
            }
        }
    }

    async fn make(&self, account: AccountId, new: NewKey, alias: Option<&str>) -> Result<Arc<Key>, KmsError> {
        let guard = Arc::clone(&self.shared.changing).lock_owned().await;
        if let Some(alias) = alias
            && let Ok(made) = self.find(account, alias)
        {
            return Ok(made);
        }
        let mut state = State::clone(&self.state());
        if state.keys.values().filter(|key| key.account == account).count() >= KEYS_MAX {
            return Err(KmsError::new("LimitExceededException", "The account has as many keys as it can have."));
        }
        let mut bits = [0; 16];
        bits[..8].copy_from_slice(&self.shared.entropy.next_u64().to_be_bytes());
        bits[8..].copy_from_slice(&self.shared.entropy.next_u64().to_be_bytes());
        let id = uuid(bits);
        let material = self.seal(&id, 0, &envelope::random()?);
        let key = Arc::new(Key {
            id: id.clone(),
            account,
            created: self.shared.clock.now(),
            description: new.description,
            state: KeyState::Enabled,
            policy: new.policy,
            tags: new.tags,
            managed: alias.is_some(),
            rotation: None,
            materials: vec![material],
            compiled: OnceLock::new(),
        });
        let mut changes = vec![key_document(&key)?];
        state.keys.insert(id.clone(), Arc::clone(&key));
        if let Some(alias) = alias {
            changes.push(alias_document(account, alias, Some(&id)));
            state.aliases.insert((account, alias.to_owned()), id);
        }
        self.commit(guard, state, changes).await?;
        Ok(key)
    }

    /// Changes a key by a function of its present state.
    pub async fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut Key) -> Result<(), KmsError>,
    ) -> Result<Arc<Key>, KmsError> {
        let guard = Arc::clone(&self.shared.changing).lock_owned().await;
        let mut state = State::clone(&self.state());
        let found = state.keys.get(id).filter(|key| !self.is_gone(key)).ok_or_else(|| KmsError::not_found(id))?;
        let mut key = Key::clone(found);
        change(&mut key)?;
        key.compiled = OnceLock::new();
        let key = Arc::new(key);
        state.keys.insert(id.to_owned(), Arc::clone(&key));
        let changes = vec![key_document(&key)?];
        self.commit(guard, state, changes).await?;
        Ok(key)
    }

    /// Points an alias at a key, or removes it. A new alias must not exist, an old one must.
    pub async fn set_alias(
        &self,
        account: AccountId,
        alias: &str,
        id: Option<&str>,
        exists: bool,
    ) -> Result<(), KmsError> {
        let guard = Arc::clone(&self.shared.changing).lock_owned().await;
        let mut state = State::clone(&self.state());
        let name = (account, alias.to_owned());
        match (state.aliases.contains_key(&name), exists) {
            (true, false) => {
                let message = format!("An alias with the name {alias} already exists");
                return Err(KmsError::new("AlreadyExistsException", message));
            }
            (false, true) => return Err(KmsError::new("NotFoundException", format!("Alias {alias} is not found."))),
            _ => {}
        }
        match id {
            Some(id) => drop(state.aliases.insert(name, id.to_owned())),
            None => drop(state.aliases.remove(&name)),
        }
        self.commit(guard, state, vec![alias_document(account, alias, id)]).await
    }

    /// Gives a key new material for what it encrypts from now on.
    pub async fn rotate(&self, id: &str) -> Result<Arc<Key>, KmsError> {
        let (fresh, now) = (envelope::random()?, self.shared.clock.now());
        self.change(id, |key| {
            let number = u32::try_from(key.materials.len()).map_err(KmsError::internal)?;
            key.materials.push(self.seal(&key.id, number, &fresh));
            key.rotation = key.rotation.map(|_| now);
            Ok(())
        })
        .await
    }

    /// Encrypts bytes under a key that is enabled.
    pub async fn encrypt(&self, key: &Key, context: &EncryptionContext, plain: &[u8]) -> Result<Vec<u8>, KmsError> {
        key.usable(&self.shared.region)?;
        let is_old = key.rotation.is_some_and(|last| self.shared.clock.now().since(last) > ROTATED_AFTER);
        let rotated = if is_old { Some(self.rotate(&key.id).await?) } else { None };
        let key = rotated.as_deref().unwrap_or(key);
        let newest = u32::try_from(key.materials.len().saturating_sub(1)).map_err(KmsError::internal)?;
        let material = self.material(key, newest)?;
        envelope::seal(Head { key: key.id_bytes(), material: newest }, &material, &context.text(), plain)
    }

    /// A random key of `bytes` bytes, in plain and encrypted under a key that is enabled.
    pub async fn generate(
        &self,
        key: &Key,
        context: &EncryptionContext,
        bytes: usize,
    ) -> Result<DataKeyPair, KmsError> {
        let mut plain = Zeroizing::new(vec![0; bytes]);
        aws_lc_rs::rand::fill(&mut plain).map_err(|_| KmsError::internal("no randomness"))?;
        let wrapped = self.encrypt(key, context, &plain).await?;
        Ok(DataKeyPair { plain, wrapped })
    }

    /// The key that encrypted this.
    pub fn key_of(&self, ciphertext: &[u8]) -> Result<Arc<Key>, KmsError> {
        let id = uuid_text(envelope::head(ciphertext)?.key);
        let state = self.state();
        let key = state.keys.get(&id).filter(|key| !self.is_gone(key));
        key.cloned().ok_or_else(KmsError::invalid_ciphertext)
    }

    /// Decrypts what `key`, which must be enabled, encrypted in that context.
    pub fn decrypt(
        &self,
        key: &Key,
        context: &EncryptionContext,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        key.usable(&self.shared.region)?;
        let head = envelope::head(ciphertext)?;
        if head.key != key.id_bytes() {
            let message = "The key ID in the request does not identify a key that can perform this operation.";
            return Err(KmsError::new("IncorrectKeyException", message));
        }
        let material = self.material(key, head.material)?;
        envelope::open(&material, &context.text(), ciphertext)
    }

    fn seal(&self, id: &str, number: u32, material: &Material) -> String {
        hex::encode(self.shared.secret.seal(&material[..], format!("kms {id} {number}").as_bytes()))
    }

    fn material(&self, key: &Key, number: u32) -> Result<Material, KmsError> {
        let sealed = usize::try_from(number).ok().and_then(|number| key.materials.get(number));
        let sealed = hex::decode(sealed.ok_or_else(KmsError::invalid_ciphertext)?).map_err(KmsError::internal)?;
        let context = format!("kms {} {number}", key.id);
        let opened = self.shared.secret.open(&sealed, context.as_bytes()).map_err(KmsError::internal)?;
        let bytes: [u8; 32] = opened[..].try_into().map_err(KmsError::internal)?;
        Ok(Zeroizing::new(bytes))
    }

    /// Makes a change durable, then visible; in a task of its own, so that a dropped call leaves no difference. What is
    /// left of keys whose time is over is erased with it: their materials, and so all that only they can open.
    async fn commit(
        &self,
        guard: tokio::sync::OwnedMutexGuard<()>,
        mut state: State,
        mut changes: Vec<DocumentChange>,
    ) -> Result<(), KmsError> {
        changes.extend(erase(&mut state, |key| self.is_gone(key)));
        if changes.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let commit = tokio::spawn(async move {
            shared.store.write_documents(changes).await?;
            *shared.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
            drop(guard);
            Ok::<(), strata_storage::Error>(())
        });
        commit.await.map_err(KmsError::internal)?.map_err(KmsError::internal)
    }
}

/// Takes keys and their aliases out of a state; what that changes in the documents.
fn erase(state: &mut State, is_gone: impl Fn(&Key) -> bool) -> Vec<DocumentChange> {
    let State { keys, aliases } = state;
    let mut changes = Vec::new();
    keys.retain(|_, key| {
        let gone = is_gone(key);
        if gone {
            changes.push(DocumentChange { name: key_name(key), content: None });
        }
        !gone
    });
    aliases.retain(|(account, alias), id| {
        let stays = keys.contains_key(id);
        if !stays {
            changes.push(alias_document(*account, alias, None));
        }
        stays
    });
    changes
}

async fn all(store: &Store, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, KmsError> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        let after = found.last().map(|(name, _)| name.clone());
        let page = store.documents(prefix, after.as_deref(), PAGE).await.map_err(KmsError::internal)?;
        let is_last = page.len() < PAGE;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

fn key_document(key: &Key) -> Result<DocumentChange, KmsError> {
    let content = serde_json::to_vec(key).map_err(KmsError::internal)?;
    Ok(DocumentChange { name: key_name(key), content: Some(content) })
}

fn key_name(key: &Key) -> String {
    format!("{KEY_PREFIX}{}/{}", key.account, key.id)
}

fn alias_document(account: AccountId, alias: &str, id: Option<&str>) -> DocumentChange {
    let content = id.map(|id| id.as_bytes().to_vec());
    DocumentChange { name: format!("{ALIAS_PREFIX}{account}/{alias}"), content }
}
