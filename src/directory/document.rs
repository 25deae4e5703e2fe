//! The rows in which the directory is stored: their names, and the bytes in them.
//!
//! ```text
//! directory/account/ACCOUNT        an account, with the keys of its root
//! directory/group/ACCOUNT/ID       and likewise policy, role, user: one entity each, under its unique id
//! directory/provider/ACCOUNT/URL   an identity provider
//! directory/used/KEY               the last use of a user's access key
//! ```
//!
//! Each row is one byte of format, 1, and JSON. Rows are read in the order of their names, so an account comes before
//! what is in it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_storage::AccountId;

use crate::directory::DirectoryError;
use crate::directory::roster::Kind;

/// What the names of all rows begin with.
pub const PREFIX: &str = "directory/";

const FORMAT: u8 = 1;

/// What a row is, by its name.
pub enum Row<'a> {
    /// An account.
    Account,
    /// An entity of an account.
    Entity(AccountId, Kind),
    /// The last use of an access key.
    Used(&'a str),
}

/// The row of an account.
pub fn account_row(account: AccountId) -> String {
    format!("{PREFIX}account/{account}")
}

/// The row of an entity.
pub fn entity_row(account: AccountId, kind: Kind, id: &str) -> String {
    format!("{PREFIX}{}/{account}/{id}", word(kind))
}

/// The row of an access key's last use.
pub fn used_row(access_key: &str) -> String {
    format!("{PREFIX}used/{access_key}")
}

/// What the row of that name is; `None` if no such name is written.
pub fn row(name: &str) -> Option<Row<'_>> {
    let (word, rest) = name.strip_prefix(PREFIX)?.split_once('/')?;
    let kind = match word {
        "account" => return Some(Row::Account),
        "used" => return Some(Row::Used(rest)),
        "group" => Kind::Group,
        "policy" => Kind::Policy,
        "provider" => Kind::Provider,
        "role" => Kind::Role,
        "user" => Kind::User,
        _ => return None,
    };
    let (account, _) = rest.split_once('/')?;
    Some(Row::Entity(AccountId::parse(account)?, kind))
}

/// The bytes of a row.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, DirectoryError> {
    let mut bytes = vec![FORMAT];
    serde_json::to_writer(&mut bytes, value).map_err(|error| DirectoryError::Encoding(error.to_string()))?;
    Ok(bytes)
}

/// What the bytes of a row say.
pub fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, DirectoryError> {
    let damaged = |reason: String| DirectoryError::Damaged { row: name.to_owned(), reason };
    match bytes.split_first() {
        Some((&FORMAT, json)) => serde_json::from_slice(json).map_err(|error| damaged(error.to_string())),
        Some((format, _)) => Err(damaged(format!("its format {format} is unknown"))),
        None => Err(damaged("it is empty".to_owned())),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Group => "group",
        Kind::Policy => "policy",
        Kind::Provider => "provider",
        Kind::Role => "role",
        Kind::User => "user",
    }
}
