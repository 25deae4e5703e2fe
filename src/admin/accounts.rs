//! `GET accounts`, and `POST accounts/create`, `accounts/disable`, `accounts/enable`, `accounts/rotate-keys`,
//! `accounts/quota`. Secrets are told by those that make them, and never again.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strata_storage::{AccountId, Quota};

use crate::admin::AdminRequest;
use crate::credentials::Credentials;
use crate::directory::{DirectoryError, NewAccount};
use crate::error::S3Error;
use crate::identity::Account;
use crate::request::Context;

/// The answer to `accounts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountsDocument {
    /// The accounts, in the order of their ids.
    pub accounts: Vec<AccountDocument>,
}

/// The answer to what changes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountDocument {
    /// Its id.
    pub id: String,
    /// What ACLs call it.
    pub canonical_id: String,
    /// Its name.
    pub name: String,
    /// The address of whoever answers for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// Whether its keys are refused.
    pub disabled: bool,
    /// How many bytes its buckets may hold together, if there is a limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quota_bytes: Option<u64>,
    /// How many objects its buckets may hold together, if there is a limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quota_objects: Option<u64>,
    /// The keys of its root, if they were just made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keys: Option<KeysDocument>,
}

/// Keys that were just made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeysDocument {
    /// The access key id.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
}

/// Answers `accounts`.
pub fn list(ctx: &Context, _request: AdminRequest) -> AccountsDocument {
    AccountsDocument { accounts: ctx.directory.snapshot().accounts().map(|account| document(account, None)).collect() }
}

/// Answers `accounts/create`.
pub async fn create(ctx: &Context, request: AdminRequest) -> Result<AccountDocument, S3Error> {
    let id = match request.query.get("id") {
        None => None,
        Some(_) => Some(named(&request)?),
    };
    let text = |name: &str| request.query.get(name).unwrap_or_default().to_owned();
    let (display_name, email) = (text("name"), text("email"));
    let account = NewAccount { display_name, email, id, credentials: None, now: request.now };
    let (id, credentials) = ctx.directory.create_account(account).await.map_err(refused)?;
    found(ctx, id, Some(credentials))
}

/// Answers `accounts/disable`.
pub async fn disable(ctx: &Context, request: AdminRequest) -> Result<AccountDocument, S3Error> {
    let id = named(&request)?;
    ctx.directory.set_disabled(id, true).await.map_err(refused)?;
    found(ctx, id, None)
}

/// Answers `accounts/enable`.
pub async fn enable(ctx: &Context, request: AdminRequest) -> Result<AccountDocument, S3Error> {
    let id = named(&request)?;
    ctx.directory.set_disabled(id, false).await.map_err(refused)?;
    found(ctx, id, None)
}

/// Answers `accounts/rotate-keys`.
pub async fn rotate_keys(ctx: &Context, request: AdminRequest) -> Result<AccountDocument, S3Error> {
    let id = named(&request)?;
    let credentials = ctx.directory.rotate_keys(id, request.now).await.map_err(refused)?;
    found(ctx, id, Some(credentials))
}

/// Answers `accounts/quota`: what is not named is without limit from then on.
pub async fn quota(ctx: &Context, request: AdminRequest) -> Result<AccountDocument, S3Error> {
    let id = named(&request)?;
    let limit = |name: &'static str| match request.query.get(name) {
        None => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| S3Error::invalid_argument("A limit must be a whole number.", name, text))
        }
    };
    let quota = Quota { bytes: limit("bytes")?, objects: limit("objects")? };
    ctx.directory.set_quota(id, quota).await.map_err(refused)?;
    found(ctx, id, None)
}

fn named(request: &AdminRequest) -> Result<AccountId, S3Error> {
    let text = request.query.get("id").unwrap_or_default();
    AccountId::parse(text).ok_or_else(|| S3Error::invalid_argument("An account's id has 12 digits.", "id", text))
}

fn found(ctx: &Context, id: AccountId, credentials: Option<Credentials>) -> Result<AccountDocument, S3Error> {
    let snapshot = ctx.directory.snapshot();
    let account = snapshot.account(id).ok_or_else(|| refused(DirectoryError::NoSuchAccount(id)))?;
    Ok(document(account, credentials))
}

fn document(account: &Account, credentials: Option<Credentials>) -> AccountDocument {
    AccountDocument {
        id: account.id.to_string(),
        canonical_id: account.canonical_id.clone(),
        name: account.display_name.clone(),
        email: account.email.clone(),
        disabled: account.disabled,
        quota_bytes: account.quota.bytes,
        quota_objects: account.quota.objects,
        keys: credentials.map(|Credentials { access_key, secret_key }| KeysDocument {
            access_key,
            secret_key: secret_key.expose().to_owned(),
        }),
    }
}

/// The directory says what is wrong with an account.
fn refused(error: DirectoryError) -> S3Error {
    match error {
        DirectoryError::NoSuchAccount(_) => S3Error::new(StatusCode::NOT_FOUND, "NoSuchAccount", error.to_string()),
        DirectoryError::EmailTaken(_)
        | DirectoryError::AccountExists(_)
        | DirectoryError::AccessKeyTaken(_)
        | DirectoryError::TooManyAccounts(_) => {
            S3Error::new(StatusCode::CONFLICT, "AccountConflict", error.to_string())
        }
        DirectoryError::StoreAccount(_) | DirectoryError::InvalidAccount(_) => {
            S3Error::new(StatusCode::BAD_REQUEST, "InvalidAccount", error.to_string())
        }
        DirectoryError::Store(error) => error.into(),
        error => S3Error::internal(error),
    }
}
