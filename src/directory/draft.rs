//! A change of the directory in the making: the directory as it will be, and the rows that make it so.

use std::collections::BTreeMap;
use std::sync::Arc;

use strata_storage::{AccountId, DocumentChange};

use crate::directory::DirectoryError;
use crate::directory::document::{account_row, encode, entity_row, used_row};
use crate::directory::entity::{AccessKey, AccountRecord};
use crate::directory::roster::{Entity, Roster};
use crate::directory::sealer::Sealer;
use crate::directory::snapshot::Snapshot;

/// A change in the making. What was found wrong half-way is dropped with it.
pub struct Draft {
    snapshot: Snapshot,
    rows: BTreeMap<String, Option<Vec<u8>>>,
    secrets: Arc<Sealer>,
}

impl Draft {
    /// A change of what is there.
    pub(super) fn new(snapshot: Snapshot, secrets: Arc<Sealer>) -> Draft {
        Draft { snapshot, rows: BTreeMap::new(), secrets }
    }

    /// The directory with the change so far.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The account that is changed.
    pub fn roster(&self, account: AccountId) -> Result<&Arc<Roster>, DirectoryError> {
        self.snapshot.roster(account).ok_or(DirectoryError::NoSuchAccount(account))
    }

    /// Adds an account, or changes what is known of it.
    pub fn put_account(&mut self, record: AccountRecord) -> Result<(), DirectoryError> {
        self.rows.insert(account_row(record.id), Some(encode(&record)?));
        self.snapshot.set_account(record);
        Ok(())
    }

    /// Adds an entity, or puts it in the place of the one with its unique id, whatever that is called.
    pub fn put<E: Entity>(&mut self, account: AccountId, entity: E) -> Result<(), DirectoryError> {
        let row = encode(&entity)?;
        let roster = self.snapshot.roster_mut(account).ok_or(DirectoryError::NoSuchAccount(account))?;
        let before = roster.with_id::<E>(entity.id()).cloned();
        if let Some(before) = before {
            roster.remove::<E>(before.name());
            let gone = before.keys().iter().filter(|key| entity.keys().iter().all(|kept| kept.id != key.id));
            self.rows.extend(gone.map(|key| (used_row(&key.id), None)));
        }
        self.rows.insert(entity_row(account, E::KIND, entity.id()), Some(row));
        roster.put(Arc::new(entity));
        Ok(())
    }

    /// Removes an entity, if it is there.
    pub fn remove<E: Entity>(&mut self, account: AccountId, name: &str) -> Result<(), DirectoryError> {
        let roster = self.snapshot.roster_mut(account).ok_or(DirectoryError::NoSuchAccount(account))?;
        if let Some(entity) = roster.remove::<E>(name) {
            self.rows.insert(entity_row(account, E::KIND, entity.id()), None);
            self.rows.extend(entity.keys().iter().map(|key| (used_row(&key.id), None)));
        }
        Ok(())
    }

    /// An access key with its secret sealed.
    pub fn access_key(
        &self,
        id: &str,
        secret: &crate::credentials::Secret,
        created: strata_storage::Timestamp,
    ) -> Result<AccessKey, DirectoryError> {
        let sealed = self.secrets.seal(id, secret.expose().as_bytes())?;
        Ok(AccessKey { id: id.to_owned(), sealed, active: true, created })
    }

    /// The directory with the change, and the rows that make it so.
    pub(super) fn finish(self) -> (Snapshot, Vec<DocumentChange>) {
        let rows = self.rows.into_iter().map(|(name, content)| DocumentChange { name, content }).collect();
        (self.snapshot, rows)
    }
}
