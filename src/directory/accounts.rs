//! Changes of accounts: made, disabled, given other keys and quotas. Only the store's root makes them.

use strata_storage::{AccountId, Quota, Timestamp};

use crate::credentials::{Credentials, random_text};
use crate::directory::draft::Draft;
use crate::directory::entity::AccountRecord;
use crate::directory::{Directory, DirectoryError};
use crate::identity::PublicAccessBlock;

/// The most accounts of a store: each is held in memory, and a change copies the list of them.
pub const ACCOUNTS_MAX: usize = 10_000;

const DISPLAY_NAME_CHARS_MAX: usize = 64;
const EMAIL_BYTES_MAX: usize = 254;

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// What it is called in lists.
    pub display_name: String,
    /// The address of whoever answers for it; no two accounts share one.
    pub email: String,
    /// Its id; a random one if there is none.
    pub id: Option<AccountId>,
    /// The keys of its root; new ones if there are none.
    pub credentials: Option<Credentials>,
    /// When it is made.
    pub now: Timestamp,
}

impl Directory {
    /// Makes an account, and gives its id and the keys of its root: the only time that the secret is told.
    pub async fn create_account(&self, account: NewAccount) -> Result<(AccountId, Credentials), DirectoryError> {
        self.change(move |draft| {
            let id = create(draft, &account)?;
            let credentials = match account.credentials {
                Some(credentials) => credentials,
                None => Credentials::generate()?,
            };
            set_keys(draft, id, &credentials, account.now)?;
            Ok((id, credentials))
        })
        .await
    }

    /// Refuses or accepts all keys and sessions of an account from now on.
    pub async fn set_disabled(&self, account: AccountId, disabled: bool) -> Result<(), DirectoryError> {
        if account == AccountId::ROOT {
            return Err(DirectoryError::StoreAccount("the account of the store's root cannot be disabled"));
        }
        self.edit_account(account, move |record| record.disabled = disabled).await
    }

    /// Replaces the keys of an account's root by new ones, and gives them: the only time that the secret is told.
    pub async fn rotate_keys(&self, account: AccountId, now: Timestamp) -> Result<Credentials, DirectoryError> {
        self.change(move |draft| {
            let credentials = Credentials::generate()?;
            set_keys(draft, account, &credentials, now)?;
            Ok(credentials)
        })
        .await
    }

    /// Sets how much the buckets of an account may hold together.
    pub async fn set_quota(&self, account: AccountId, quota: Quota) -> Result<(), DirectoryError> {
        self.edit_account(account, move |record| record.quota = quota).await
    }

    /// Sets what is blocked in all buckets of an account; `None` as if it had never been set.
    pub async fn set_public_access_block(
        &self,
        account: AccountId,
        block: Option<PublicAccessBlock>,
    ) -> Result<(), DirectoryError> {
        self.edit_account(account, move |record| record.public_access_block = block).await
    }

    /// Makes sure that an account is there and has that name and those keys. Accounts are told by their e-mail addresses.
    /// One that is as it should be is not written again.
    pub async fn provision(&self, account: NewAccount) -> Result<AccountId, DirectoryError> {
        self.change(move |draft| {
            let found = draft.snapshot().account_by_email(&account.email).map(|found| found.id);
            let id = match found {
                None => create(draft, &account)?,
                Some(id) if account.id.is_none_or(|wanted| wanted == id) => {
                    let record = draft.roster(id)?.record.as_ref().clone();
                    if record.display_name != account.display_name {
                        check(&account)?;
                        draft.put_account(AccountRecord { display_name: account.display_name.clone(), ..record })?;
                    }
                    id
                }
                Some(_) => return Err(DirectoryError::EmailTaken(account.email)),
            };
            if let Some(credentials) = &account.credentials {
                let present = draft.snapshot().access_key(&credentials.access_key);
                let is_same = present.is_some_and(|present| {
                    present.identity.account_id() == Some(id) && present.secret == credentials.secret_key
                });
                if !is_same || draft.roster(id)?.record.keys.len() != 1 {
                    set_keys(draft, id, credentials, account.now)?;
                }
            }
            Ok(id)
        })
        .await
    }

    async fn edit_account(
        &self,
        account: AccountId,
        edit: impl FnOnce(&mut AccountRecord) + Send + 'static,
    ) -> Result<(), DirectoryError> {
        self.change(move |draft| {
            let mut record = draft.roster(account)?.record.as_ref().clone();
            edit(&mut record);
            draft.put_account(record)
        })
        .await
    }
}

/// Adds an account without keys.
fn create(draft: &mut Draft, account: &NewAccount) -> Result<AccountId, DirectoryError> {
    check(account)?;
    let snapshot = draft.snapshot();
    if snapshot.account_count() >= ACCOUNTS_MAX {
        return Err(DirectoryError::TooManyAccounts(ACCOUNTS_MAX));
    }
    if snapshot.account_by_email(&account.email).is_some() {
        return Err(DirectoryError::EmailTaken(account.email.clone()));
    }
    let id = match account.id {
        Some(id) if snapshot.account(id).is_some() => return Err(DirectoryError::AccountExists(id)),
        Some(id) => id,
        None => free_id(draft)?,
    };
    draft.put_account(AccountRecord {
        id,
        display_name: account.display_name.clone(),
        email: Some(account.email.clone()),
        disabled: false,
        quota: Quota::default(),
        public_access_block: None,
        created: account.now,
        keys: Vec::new(),
    })?;
    Ok(id)
}

/// A random id that no account has. It does not begin with 0, so that no spreadsheet shortens it.
fn free_id(draft: &Draft) -> Result<AccountId, DirectoryError> {
    loop {
        let text = random_text(b"123456789", 1)? + &random_text(b"0123456789", 11)?;
        let id = AccountId::parse(&text).expect("twelve digits");
        if draft.snapshot().account(id).is_none() {
            return Ok(id);
        }
    }
}

fn set_keys(
    draft: &mut Draft,
    account: AccountId,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    if account == AccountId::ROOT {
        return Err(DirectoryError::StoreAccount(
            "the keys of the store's root are those of the server's settings or of its credentials file",
        ));
    }
    let Credentials { access_key, secret_key } = credentials;
    let holder = draft.snapshot().access_key(access_key);
    let is_own = holder
        .as_ref()
        .is_some_and(|found| found.identity.account_id() == Some(account) && draft.snapshot().is_root_key(access_key));
    if holder.is_some() && !is_own {
        return Err(DirectoryError::AccessKeyTaken(access_key.clone()));
    }
    let key = draft.access_key(access_key, secret_key, now)?;
    let record = draft.roster(account)?.record.as_ref().clone();
    draft.put_account(AccountRecord { keys: vec![key], ..record })
}

fn check(account: &NewAccount) -> Result<(), DirectoryError> {
    let name = &account.display_name;
    let is_name = !name.trim().is_empty()
        && name.chars().count() <= DISPLAY_NAME_CHARS_MAX
        && !name.chars().any(char::is_control);
    if !is_name {
        return Err(DirectoryError::InvalidAccount(
            "an account's name has 1 to 64 characters and no control characters",
        ));
    }
    let email = &account.email;
    let is_email = email.len() <= EMAIL_BYTES_MAX
        && email
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && !email.chars().any(|character| character.is_control() || character.is_whitespace());
    if !is_email {
        return Err(DirectoryError::InvalidAccount("an account's e-mail address is of the form name@host"));
    }
    Ok(())
}
