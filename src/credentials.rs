//! The root credentials: configured, or generated at the first start and kept in the data directory.
//!
//! The file is written under a temporary name, synced, renamed, and its directory synced, so that a crash leaves
//! either no credentials or complete ones. A temporary file left by a crash is replaced at the next start. The data
//! directory is locked by the open store meanwhile, so no two processes generate at once.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::config::RootSettings;
use crate::identity::Account;
use crate::request::Owner;

/// The file in the data directory that holds generated root credentials.
pub const FILE_NAME: &str = "root-credentials.toml";

/// A text that must not be shown: `Debug` prints `***`, and its memory is wiped when it is dropped.
///
/// That goes for every copy made of it by cloning. It cannot go for what others hold: the environment, a parsed
/// configuration file, the terminal.
#[derive(Clone, PartialEq, Eq, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// A new secret key.
    pub fn generate() -> Result<Secret, RandomnessError> {
        // Only letters and digits, so that the secret survives every shell, URL and configuration file: 238 bits.
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        random_text(letters, 40).map(Secret)
    }

    /// The text itself, for computing signatures and for handing it to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An access key id with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The access key id.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Secret,
}

/// Where the credentials in force came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Flags, environment or the configuration file.
    Configured,
    /// Generated just now, and written to this file.
    Generated(PathBuf),
    /// Read from this file, which an earlier start wrote.
    Stored(PathBuf),
}

/// Why there are no credentials. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Others may read the file.
    #[error("the credentials file {path} can be read by others; run: chmod 600 {path}", path = .0.display())]
    Exposed(PathBuf),
    /// The file is not what was written.
    #[error(
        "the credentials file {path} is damaged; put access_key and secret_key back, or remove the file to have new \
         ones generated", path = .0.display()
    )]
    Damaged(PathBuf),
    /// The file system refused.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was being done, in the present tense.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The operating system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness to generate credentials from: {0}")]
pub struct RandomnessError(rand::rand_core::OsError);

impl Credentials {
    /// The configured credentials, or those kept in `data`, or new ones that are then kept there.
    pub fn obtain(root: &RootSettings, data: &Path) -> Result<(Credentials, Origin), CredentialsError> {
        if let Some(present) = Credentials::present(root, data)? {
            return Ok(present);
        }
        let path = data.join(FILE_NAME);
        let credentials = Credentials::generate()?;
        write(&path, &credentials)?;
        Ok((credentials, Origin::Generated(path)))
    }

    /// The configured credentials, or those kept in `data`; `None` if there are neither. Makes none.
    pub fn present(root: &RootSettings, data: &Path) -> Result<Option<(Credentials, Origin)>, CredentialsError> {
        if let (Some(access_key), Some(secret_key)) = (&root.access_key, &root.secret_key) {
            let configured = Credentials { access_key: access_key.clone(), secret_key: secret_key.clone() };
            return Ok(Some((configured, Origin::Configured)));
        }
        let path = data.join(FILE_NAME);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => Err(CredentialsError::Exposed(path)),
            Ok(_) => Ok(Some((read(&path)?, Origin::Stored(path)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CredentialsError::Io { action: "look at", path, source }),
        }
    }

    /// New credentials of a root.
    pub fn generate() -> Result<Credentials, RandomnessError> {
        // Base32 without padding after a fixed word, as AWS does it: 70 random bits in 20 characters.
        let access_key = format!("STRATA{}", random_text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 14)?);
        Ok(Credentials { access_key, secret_key: Secret::generate()? })
    }

    /// The lines that make S3 clients in a shell talk to `endpoint` with these credentials.
    pub fn exports(&self, endpoint: &str) -> String {
        format!(
            "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n{}",
            self.access_key,
            self.secret_key.expose(),
            endpoint_export(endpoint)
        )
    }
}

/// The line that makes S3 clients in a shell talk to `endpoint`.
pub fn endpoint_export(endpoint: &str) -> String {
    format!("export AWS_ENDPOINT_URL={endpoint}")
}

/// The account that owns everything, as `Owner` elements name it.
pub fn root_owner() -> Owner {
    Account::root().owner()
}

/// A text of so many random letters, of at most 256.
pub fn random_text(letters: &[u8], length: usize) -> Result<String, RandomnessError> {
    // The largest multiple of the alphabet below 256: bytes beyond it would favour the first letters.
    let fair = 256 - 256 % letters.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 64];
        OsRng.try_fill_bytes(&mut bytes).map_err(RandomnessError)?;
        let drawn = bytes.iter().map(|&byte| usize::from(byte)).filter(|&byte| byte < fair);
        text.extend(drawn.take(length - text.len()).map(|byte| char::from(letters[byte % letters.len()])));
    }
    Ok(text)
}

fn read(path: &Path) -> Result<Credentials, CredentialsError> {
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|source| CredentialsError::Io {
        action: "read the credentials file",
        path: path.to_owned(),
        source,
    })?;
    let credentials: Option<Credentials> = toml::from_str(&text).ok();
    credentials
        .filter(|found| !found.access_key.is_empty() && !found.secret_key.expose().is_empty())
        .ok_or_else(|| CredentialsError::Damaged(path.to_owned()))
}

fn write(path: &Path, credentials: &Credentials) -> Result<(), CredentialsError> {
    let text = Zeroizing::new(format!(
        "# Made at the first start. Whoever reads this owns the store.\naccess_key = \"{}\"\nsecret_key = \"{}\"\n",
        credentials.access_key,
        credentials.secret_key.expose()
    ));
    replace(path, text.as_bytes()).map_err(|source| CredentialsError::Io {
        action: "write the credentials file",
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("toml.new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Credentials, CredentialsError, FILE_NAME, Origin, Secret, root_owner};
    use crate::config::RootSettings;

    #[test]
    fn generated_once_then_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(path.with_extension("toml.new"), "left by a crash").unwrap();

        assert_eq!(Credentials::present(&RootSettings::default(), directory.path()).unwrap(), None);
        assert!(!path.exists(), "who only looks makes none");
        let (first, origin) = Credentials::obtain(&RootSettings::default(), directory.path()).unwrap();
        assert_eq!(origin, Origin::Generated(path.clone()));
        assert_eq!((first.access_key.len(), first.secret_key.expose().len()), (20, 40));
        assert!(first.access_key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        let (second, origin) = Credentials::obtain(&RootSettings::default(), directory.path()).unwrap();
        let present = Credentials::present(&RootSettings::default(), directory.path()).unwrap();
        assert_eq!(present, Some((second.clone(), origin.clone())));
        assert_eq!((second, origin), (first, Origin::Stored(path)));
    }

    #[test]
    fn a_readable_or_damaged_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        for text in ["", "access_key = \"a\"", "access_key = \"\"\nsecret_key = \"b\"", "nonsense"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Credentials::obtain(&RootSettings::default(), directory.path()).unwrap_err();
            assert!(matches!(error, CredentialsError::Damaged(_)), "{text}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Credentials::obtain(&RootSettings::default(), directory.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn configured_credentials_leave_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let secret = Secret::new("password".to_owned());
        let root = RootSettings { access_key: Some("admin".to_owned()), secret_key: Some(secret.clone()) };
        let (credentials, origin) = Credentials::obtain(&root, directory.path()).unwrap();
        assert_eq!((credentials.access_key.as_str(), origin), ("admin", Origin::Configured));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(format!("{credentials:?}"), "Credentials { access_key: \"admin\", secret_key: *** }");
        assert_eq!(
            credentials.exports("http://127.0.0.1:9000"),
            "export AWS_ACCESS_KEY_ID=admin\nexport AWS_SECRET_ACCESS_KEY=password\n\
             export AWS_ENDPOINT_URL=http://127.0.0.1:9000"
        );
    }

    #[test]
    fn the_owner_has_a_canonical_id() {
        let owner = root_owner();
        assert_eq!((owner.id.len(), owner.account.len()), (64, 12));
    }
}
