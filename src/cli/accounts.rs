//! `strata account`: the accounts of the store.

use std::io::Write;

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::admin::{AccountDocument, AccountsDocument};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::{Table, printable, size};
use crate::cli::{AskArgs, CliError, print_json};

/// What can be asked about accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Shows the accounts.
    List(AskArgs),
    /// Makes an account, and shows the keys of its root: the only time that the secret is shown.
    Create(CreateArgs),
    /// Refuses all keys and sessions of an account.
    Disable(AccountArgs),
    /// Accepts the keys and sessions of an account again.
    Enable(AccountArgs),
    /// Replaces the keys of an account's root, and shows the new ones: the only time that the secret is shown.
    RotateKeys(AccountArgs),
    /// Sets how much an account may hold; without a limit, there is none.
    Quota(QuotaArgs),
}

/// What to make.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What the account is called.
    name: String,
    /// The address of whoever answers for it; no two accounts share one.
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Its id of 12 digits [default: random].
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
}

/// Which account.
#[derive(Debug, Args)]
pub struct AccountArgs {
    /// The account's id: 12 digits.
    id: String,
    #[command(flatten)]
    ask: AskArgs,
}

/// What an account may hold.
#[derive(Debug, Args)]
pub struct QuotaArgs {
    /// The account's id: 12 digits.
    id: String,
    /// Bytes of all versions in all its buckets.
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
    /// Object versions in all its buckets.
    #[arg(long, value_name = "N")]
    objects: Option<u64>,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs a command.
pub async fn run(command: AccountCommand, out: &mut impl Write) -> Result<(), CliError> {
    let (ask, target) = match &command {
        AccountCommand::List(ask) => (ask, None),
        AccountCommand::Create(CreateArgs { name, email, id, ask }) => {
            let id = id.as_ref().map(|id| format!("&id={}", encoded(id))).unwrap_or_default();
            (ask, Some(format!("accounts/create?name={}&email={}{id}", encoded(name), encoded(email))))
        }
        AccountCommand::Disable(AccountArgs { id, ask }) => (ask, Some(format!("accounts/disable?id={}", encoded(id)))),
        AccountCommand::Enable(AccountArgs { id, ask }) => (ask, Some(format!("accounts/enable?id={}", encoded(id)))),
        AccountCommand::RotateKeys(AccountArgs { id, ask }) => {
            (ask, Some(format!("accounts/rotate-keys?id={}", encoded(id))))
        }
        AccountCommand::Quota(QuotaArgs { id, bytes, objects, ask }) => {
            let limit = |name, limit: &Option<u64>| limit.map(|limit| format!("&{name}={limit}")).unwrap_or_default();
            let limits = limit("bytes", bytes) + &limit("objects", objects);
            (ask, Some(format!("accounts/quota?id={}{limits}", encoded(id))))
        }
    };
    let client = Client::new(Connection::find(ask)?);
    let answer = match &target {
        None => client.get("accounts").await?,
        Some(target) => client.ask(Question { method: Method::POST, target: target.clone(), body: &[] }).await?,
    };
    if ask.json {
        return print_json(&answer, out);
    }
    let text = match target {
        None => table(&client::read::<AccountsDocument>(&answer)?.accounts),
        Some(_) => one(&client::read(&answer)?),
    };
    Ok(out.write_all(text.as_bytes())?)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The accounts as a table.
fn table(accounts: &[AccountDocument]) -> String {
    let mut table = Table::new(&["ACCOUNT", "NAME", "E-MAIL", "STATE", "BYTES AT MOST", "OBJECTS AT MOST"]);
    for account in accounts {
        table.row(vec![
            account.id.clone(),
            account.name.clone(),
            account.email.clone().unwrap_or_else(|| "-".to_owned()),
            if account.disabled { "disabled" } else { "enabled" }.to_owned(),
            account.quota_bytes.map_or("-".to_owned(), size),
            account.quota_objects.map_or("-".to_owned(), |objects| objects.to_string()),
        ]);
    }
    table.text()
}

/// One account as a table, and below it the keys that were just made.
fn one(account: &AccountDocument) -> String {
    let mut text = table(std::slice::from_ref(account));
    if let Some(keys) = &account.keys {
        text.push_str("\n# The keys of the account's root. The secret is shown only this once.\n");
        text.push_str(&format!("export AWS_ACCESS_KEY_ID={}\n", printable(&keys.access_key)));
        text.push_str(&format!("export AWS_SECRET_ACCESS_KEY={}\n", printable(&keys.secret_key)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::one;
    use crate::admin::{AccountDocument, KeysDocument};

    #[test]
    fn an_account_is_shown_with_its_keys() {
        let keys = KeysDocument { access_key: "AK".to_owned(), secret_key: "SK".to_owned() };
        let account = AccountDocument {
            id: "123456789012".to_owned(),
            canonical_id: "c".to_owned(),
            name: "team".to_owned(),
            email: Some("a@b".to_owned()),
            disabled: false,
            quota_bytes: Some(2048),
            quota_objects: None,
            keys: Some(keys),
        };
        assert_eq!(
            one(&account),
            "     ACCOUNT  NAME  E-MAIL  STATE    BYTES AT MOST  OBJECTS AT MOST\n\
             123456789012  team  a@b     enabled        2.0 KiB                -\n\n\
             # The keys of the account's root. The secret is shown only this once.\n\
             export AWS_ACCESS_KEY_ID=AK\nexport AWS_SECRET_ACCESS_KEY=SK\n"
        );
    }
}
