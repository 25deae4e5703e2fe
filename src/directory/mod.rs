//! The directory: accounts, their users, groups, roles, policies and keys. Held in memory as a whole, and stored.
//!
//! Readers take the snapshot of the moment and never wait. A change goes through these steps, one change at a time:
//!
//! 1. Draft: the change is made on a copy of the snapshot, which collects the rows that have to change.
//! 2. Write: all these rows are written in one synced batch.
//! 3. Replace: the copy becomes the snapshot.
//!
//! Dying before 2 leaves no trace of the change; dying after it, the next start reads the change. A change runs in a task
//! of its own, so a caller who goes away cannot stop it between 2 and 3. If 2 fails in a way that leaves open what is on the
//! disk, the next change first reads the directory anew.

mod accounts;
mod document;
mod draft;
pub mod entity;
pub mod id;
pub mod managed;
pub mod roster;
mod sealer;
mod snapshot;
pub mod token;
mod used;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use strata_storage::{AccountId, DocumentChange, Error, Store, Timestamp};
use tokio::sync::Mutex;

use crate::credentials::{Credentials, RandomnessError, Secret};
use crate::directory::document::{PREFIX, Row, decode, encode, row, used_row};
use crate::directory::entity::{AccountRecord, Group, ManagedPolicy, Provider, Role, User};
use crate::directory::roster::{Entity, Kind};
use crate::directory::sealer::Sealer;
use crate::directory::token::Session;
use crate::directory::used::{LastUse, LastUses};

pub use accounts::NewAccount;
pub use draft::Draft;
pub use sealer::DirectoryKeys;
pub use snapshot::{Found, Snapshot, managed_policy};
pub use token::TokenFault;

/// Rows read at once when the directory is opened.
const ROWS_PER_READ: usize = 1000;

/// The directory of one store. Copies are the same directory.
#[derive(Clone)]
pub struct Directory(Arc<Shared>);

struct Shared {
    store: Store,
    store_root: Arc<Credentials>,
    secrets: Arc<Sealer>,
    tokens: Sealer,
    current: RwLock<Arc<Snapshot>>,
    /// Held during a change.
    changing: Mutex<Trust>,
    uses: LastUses,
}

/// Whether the snapshot is what is stored.
#[derive(PartialEq)]
enum Trust {
    Same,
    Unknown,
}

/// Why the directory could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is no such account.
    #[error("there is no account {0}")]
    NoSuchAccount(AccountId),
    /// Another account has the e-mail address.
    #[error("another account has the e-mail address {0}")]
    EmailTaken(String),
    /// Another account has the id.
    #[error("there is already an account {0}")]
    AccountExists(AccountId),
    /// Another root or user has the access key id.
    #[error("the access key id {0} is in use")]
    AccessKeyTaken(String),
    /// What is asked cannot be done with the account of the store's root.
    #[error("{0}")]
    StoreAccount(&'static str),
    /// What was given for an account cannot be used.
    #[error("{0}")]
    InvalidAccount(&'static str),
    /// There are as many as there may be.
    #[error("there are {0} accounts already, which is the most")]
    TooManyAccounts(usize),
    /// A stored row is not what was written.
    #[error("the row {row} of the directory is damaged: {reason}")]
    Damaged {
        /// Its name.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Secrets were sealed with another key.
    #[error(
        "the secrets of access keys in account {0} do not open with the directory's key; put back the key that they were \
         sealed with"
    )]
    WrongKey(AccountId),
    /// Something could not be written down.
    #[error("an entity of the directory cannot be encoded: {0}")]
    Encoding(String),
    /// The cipher refused to work.
    #[error("the cipher failed")]
    Cipher,
    /// There is no randomness for keys.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// A change was broken off by a panic. It is not known whether it was made.
    #[error("the change was broken off")]
    BrokenOff,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Directory {
    /// Reads the directory of `store`. `root` are the credentials of the store's root, which are not part of it.
    pub async fn open(store: Store, keys: &DirectoryKeys, root: &Credentials) -> Result<Directory, DirectoryError> {
        let store_root = Arc::new(root.clone());
        let secrets = Arc::new(Sealer::new(&keys.secrets)?);
        let empty = Snapshot::new(Arc::clone(&store_root), Arc::clone(&secrets));
        let shared = Shared {
            store,
            store_root,
            secrets,
            tokens: Sealer::new(&keys.tokens)?,
            current: RwLock::new(Arc::new(empty)),
            changing: Mutex::new(Trust::Same),
            uses: LastUses::default(),
        };
        let directory = Directory(Arc::new(shared));
        directory.replace(directory.read().await?);
        Ok(directory)
    }

    /// The directory at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        // The lock guards one assignment, so what a panic left behind is whole.
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the directory. `Ok` means that the change survives a power cut; after an error of `edit` nothing has
    /// changed; after another one everything or nothing has. Dropping the future leaves the change to go on.
    pub async fn change<T, E>(&self, edit: impl FnOnce(&mut Draft) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DirectoryError> + Send + 'static,
    {
        let directory = self.clone();
        let ended = tokio::spawn(async move { directory.apply(edit).await }).await;
        ended.unwrap_or_else(|_| Err(DirectoryError::BrokenOff.into()))
    }

    /// Who signs with `access_key` and sends `token`, a session token made here.
    pub fn session(&self, token: &str, access_key: &str, now: Timestamp) -> Result<Found, TokenFault> {
        token::open(&self.0.tokens, &self.snapshot(), token, access_key, now).map(|(found, _)| found)
    }

    /// The session of a token made here.
    pub fn session_details(&self, token: &str, access_key: &str, now: Timestamp) -> Result<Session, TokenFault> {
        token::open(&self.0.tokens, &self.snapshot(), token, access_key, now).map(|(_, session)| session)
    }

    /// The token of a session whose requests are signed with `secret`; `None` if the session is too large for one.
    pub fn token(
        &self,
        access_key: &str,
        secret: &Secret,
        session: &Session,
    ) -> Result<Option<String>, DirectoryError> {
        token::token(&self.0.tokens, access_key, secret, session)
    }

    /// Notes that an access key signed a request. It is written about once a minute.
    pub fn note_key_used(&self, access_key: &str, service: &'static str, region: &str, now: Timestamp) {
        if self.0.uses.note(access_key, service, region, now) {
            let directory = self.clone();
            tokio::spawn(async move { directory.flush().await });
        }
    }

    /// When a user's access key was last used.
    pub fn last_use(&self, access_key: &str) -> Option<LastUse> {
        self.0.uses.of(access_key)
    }

    /// Writes the last uses of access keys that were not yet written. What fails is logged: uses are noted again.
    pub async fn flush(&self) {
        // No key is removed meanwhile, whose row would then stay behind.
        let _changing = self.0.changing.lock().await;
        let snapshot = self.snapshot();
        let unwritten = self.0.uses.take_unwritten(|access_key| snapshot.bearer(access_key).is_some());
        if unwritten.is_empty() {
            return;
        }
        let rows = unwritten.iter().map(|(access_key, last)| {
            encode(last).map(|content| DocumentChange { name: used_row(access_key), content: Some(content) })
        });
        let written = match rows.collect::<Result<Vec<_>, _>>() {
            Ok(rows) => self.0.store.write_documents(rows).await.map_err(DirectoryError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the last uses of access keys were not written");
        }
    }

    async fn apply<T, E: From<DirectoryError>>(&self, edit: impl FnOnce(&mut Draft) -> Result<T, E>) -> Result<T, E> {
        let mut trust = self.0.changing.lock().await;
        if *trust == Trust::Unknown {
            self.replace(self.read().await?);
            *trust = Trust::Same;
        }
        let mut draft = Draft::new((*self.snapshot()).clone(), Arc::clone(&self.0.secrets));
        let answer = edit(&mut draft)?;
        let (snapshot, rows) = draft.finish();
        if rows.is_empty() {
            return Ok(answer);
        }
        let forgotten: Vec<String> =
            rows.iter().filter(|row| row.content.is_none()).map(|row| row.name.clone()).collect();
        if let Err(error) = self.0.store.write_documents(rows).await {
            if !matches!(error, Error::DocumentTooLarge) {
                *trust = Trust::Unknown;
            }
            return Err(DirectoryError::from(error).into());
        }
        self.replace(snapshot);
        for name in &forgotten {
            if let Some(Row::Used(access_key)) = row(name) {
                self.0.uses.forget(access_key);
            }
        }
        Ok(answer)
    }

    fn replace(&self, snapshot: Snapshot) {
        // The engine keeps quotas of accounts in memory only.
        snapshot.accounts().for_each(|account| self.0.store.set_account_quota(account.id, account.quota));
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// Reads everything that is stored.
    async fn read(&self) -> Result<Snapshot, DirectoryError> {
        let mut snapshot = Snapshot::new(Arc::clone(&self.0.store_root), Arc::clone(&self.0.secrets));
        let mut uses = HashMap::new();
        let mut after: Option<String> = None;
        loop {
            let rows = self.0.store.documents(PREFIX, after.as_deref(), ROWS_PER_READ).await?;
            let is_last = rows.len() < ROWS_PER_READ;
            for (name, content) in &rows {
                take(&mut snapshot, &mut uses, name, content)?;
            }
            after = rows.into_iter().next_back().map(|(name, _)| name);
            if is_last {
                break;
            }
        }
        for account in snapshot.accounts() {
            if snapshot.roster(account.id).is_some_and(|roster| !snapshot.can_open(roster)) {
                return Err(DirectoryError::WrongKey(account.id));
            }
        }
        self.0.uses.load(uses);
        Ok(snapshot)
    }
}

/// Adds what a row says.
fn take(
    snapshot: &mut Snapshot,
    uses: &mut HashMap<String, LastUse>,
    name: &str,
    content: &[u8],
) -> Result<(), DirectoryError> {
    fn put<E: Entity>(
        snapshot: &mut Snapshot,
        account: AccountId,
        name: &str,
        content: &[u8],
    ) -> Result<(), DirectoryError> {
        let entity: E = decode(name, content)?;
        let roster = snapshot.roster_mut(account).ok_or_else(|| damaged(name, "its account is missing"))?;
        if roster.keyed::<E>(&entity.name().to_lowercase()).is_some() {
            return Err(damaged(name, "another one has its name"));
        }
        roster.put(Arc::new(entity));
        Ok(())
    }
    match row(name).ok_or_else(|| damaged(name, "nothing is stored under such a name"))? {
        Row::Account => snapshot.set_account(decode::<AccountRecord>(name, content)?),
        Row::Entity(account, Kind::Group) => put::<Group>(snapshot, account, name, content)?,
        Row::Entity(account, Kind::Policy) => put::<ManagedPolicy>(snapshot, account, name, content)?,
        Row::Entity(account, Kind::Provider) => put::<Provider>(snapshot, account, name, content)?,
        Row::Entity(account, Kind::Role) => put::<Role>(snapshot, account, name, content)?,
        Row::Entity(account, Kind::User) => put::<User>(snapshot, account, name, content)?,
        Row::Used(access_key) => {
            uses.insert(access_key.to_owned(), decode(name, content)?);
        }
    }
    Ok(())
}

fn damaged(row: &str, reason: &str) -> DirectoryError {
    DirectoryError::Damaged { row: row.to_owned(), reason: reason.to_owned() }
}
