//! The lists of the configuration file: `[[accounts]]` to be there at the start, and `[[oidc]]` providers to trust.
//!
//! They have no flags and no environment variables, but the secret of an account can be left to a file or a variable.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use strata_storage::AccountId;

use super::{ConfigError, value};
use crate::credentials::{Credentials, Secret};

/// An account that is made at the start unless it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// What it is called.
    pub name: String,
    /// The address of whoever answers for it, by which it is known again.
    pub email: String,
    /// Its id; random if there is none.
    pub id: Option<AccountId>,
    /// The keys of its root; none are made if there are none.
    pub credentials: Option<Credentials>,
}

/// An OpenID Connect provider that every account can trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcIssuer {
    /// Its URL, as its tokens name it.
    pub issuer: String,
    /// The audiences that its tokens may be for.
    pub audiences: Vec<String>,
    /// The URL of its keys, if it is not to be asked for it.
    pub jwks_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    name: String,
    email: String,
    id: Option<String>,
    access_key: Option<String>,
    secret_key: Option<Secret>,
    secret_key_file: Option<PathBuf>,
    secret_key_env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OidcTable {
    issuer: String,
    audiences: Vec<String>,
    jwks_url: Option<String>,
}

/// Takes the lists out of a configuration file's table.
pub fn take(path: &Path, table: &mut toml::Table) -> Result<(Vec<AccountSettings>, Vec<OidcIssuer>), ConfigError> {
    let accounts = tables::<AccountTable>(path, table, "accounts")?;
    let oidc = tables::<OidcTable>(path, table, "oidc")?;
    let wrong = |list: &'static str| move |reason: String| ConfigError::List { path: path.to_owned(), list, reason };
    let accounts = accounts.into_iter().map(account).collect::<Result<_, _>>().map_err(wrong("accounts"))?;
    let oidc = oidc.into_iter().map(issuer).collect::<Result<_, _>>().map_err(wrong("oidc"))?;
    Ok((accounts, oidc))
}

/// The tables of a list, taken out.
pub(super) fn tables<T: serde::de::DeserializeOwned>(
    path: &Path,
    table: &mut toml::Table,
    list: &'static str,
) -> Result<Vec<T>, ConfigError> {
    let Some(value) = table.remove(list) else { return Ok(Vec::new()) };
    // The message of the parser would quote the line, and the line may hold a secret.
    let wrong =
        |error: toml::de::Error| ConfigError::List { path: path.to_owned(), list, reason: error.message().to_owned() };
    value.try_into().map_err(wrong)
}

fn account(table: AccountTable) -> Result<AccountSettings, String> {
    let AccountTable { name, email, id, access_key, secret_key, secret_key_file, secret_key_env } = table;
    let id = match id {
        None => None,
        Some(text) => Some(AccountId::parse(&text).ok_or(format!("the id {text:?} is not a text of 12 digits"))?),
    };
    if id == Some(AccountId::ROOT) {
        return Err("the account 000000000000 is the store's own, whose keys are under [root]".to_owned());
    }
    let secret_key = secret(&format!("the account {name:?}"), (secret_key, secret_key_file, secret_key_env))?;
    let credentials = match (access_key, secret_key) {
        (None, None) => None,
        (Some(access_key), Some(secret_key)) => {
            let checked = value::access_key(&access_key).map(|_| value::secret_key(secret_key.expose()));
            let is_valid = matches!(checked, Ok(Ok(Some(_)))) && !access_key.is_empty();
            if !is_valid {
                return Err(format!(
                    "the account {name:?} needs an access_key of 3 to 128 letters, digits, or characters of -_.@, and a \
                     secret key of 8 to 128 printable ASCII characters without spaces"
                ));
            }
            Some(Credentials { access_key, secret_key })
        }
        _ => return Err(format!("the account {name:?} needs both access_key and a secret key, or neither")),
    };
    Ok(AccountSettings { name, email, id, credentials })
}

/// A secret that is written there, or in a file, or in an environment variable; `None` if it is nowhere.
pub(super) fn secret(
    whose: &str,
    (written, file, variable): (Option<Secret>, Option<PathBuf>, Option<String>),
) -> Result<Option<Secret>, String> {
    match (written, file, variable) {
        (None, None, None) => Ok(None),
        (Some(secret), None, None) => Ok(Some(secret)),
        (None, Some(file), None) => {
            let text = std::fs::read_to_string(&file);
            let text = text.map_err(|error| format!("the file {} cannot be read: {error}", file.display()))?;
            Ok(Some(Secret::new(text.trim_end().to_owned())))
        }
        (None, None, Some(variable)) => {
            let text = std::env::var(&variable);
            Ok(Some(Secret::new(text.map_err(|_| format!("the environment variable {variable} is not set"))?)))
        }
        _ => Err(format!("{whose} has its secret key in more than one place")),
    }
}

fn issuer(table: OidcTable) -> Result<OidcIssuer, String> {
    let OidcTable { issuer, audiences, jwks_url } = table;
    for url in [Some(&issuer), jwks_url.as_ref()].into_iter().flatten() {
        if !is_safe(url) {
            return Err(format!(
                "{url:?} is not a URL that begins with https://, or with http:// and a loopback address"
            ));
        }
    }
    match audiences.is_empty() {
        true => Err(format!("the provider {issuer} needs audiences: tokens for others must not be accepted")),
        false => Ok(OidcIssuer { issuer, audiences, jwks_url }),
    }
}

/// Whether nobody on the way can change what is fetched from there.
fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::take;

    #[test]
    fn lists_are_read() {
        let text = "[[accounts]]\nname = \"a\"\nemail = \"a@x\"\nid = \"000000000042\"\naccess_key = \"AAA\"\n\
                    secret_key = \"12345678\"\n[[accounts]]\nname = \"b\"\nemail = \"b@x\"\n[[oidc]]\n\
                    issuer = \"https://id.example.com\"\naudiences = [\"s3\"]\n";
        let mut table: toml::Table = text.parse().unwrap();
        let (accounts, oidc) = take(Path::new("f"), &mut table).unwrap();
        assert!(table.is_empty());
        assert_eq!(accounts[0].id.unwrap().to_string(), "000000000042");
        assert_eq!(accounts[0].credentials.as_ref().unwrap().access_key, "AAA");
        assert_eq!((accounts[1].name.as_str(), accounts[1].credentials.is_none()), ("b", true));
        assert_eq!(oidc[0].audiences, ["s3"]);
    }

    #[test]
    fn what_is_wrong_is_said_without_secrets() {
        for (text, expected) in [
            ("[[accounts]]\nname = \"a\"", "email"),
            ("[[accounts]]\nname = \"a\"\nemail = \"x@y\"\nsecret_key = \"hunter2hunter2\"", "both"),
            ("[[accounts]]\nname = \"a\"\nemail = \"x@y\"\naccess_key = \"AAA\"\nsecret_key = \"hunter2\"", "8 to 128"),
            ("[[accounts]]\nname = \"a\"\nemail = \"x@y\"\nid = \"7\"", "12 digits"),
            ("[[accounts]]\nname = \"a\"\nemail = \"x@y\"\nid = \"000000000000\"", "[root]"),
            ("[[accounts]]\nname = \"a\"\nemail = \"x@y\"\nsecret = \"hunter2\"", "secret"),
            ("[[oidc]]\nissuer = \"https://x\"\naudiences = []", "audiences"),
            ("[[oidc]]\nissuer = \"http://id.example.com\"\naudiences = [\"a\"]", "https://"),
        ] {
            let mut table: toml::Table = text.parse().unwrap();
            let message = take(Path::new("f"), &mut table).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
        }
    }
}
