//! The master key: from the environment, from a command, or from a file that is generated at the first start.
//!
//! A generated file is written under a name of its own, synced, and linked to its place only if that is free, so that a
//! crash leaves none or a whole one, and two servers that start at once agree on one. It is never generated for a store
//! that has a master key already.
//!
//! Changing the key of a file takes three steps: the next key is written beside (`<file>.next`), the store is told, and
//! the file takes its place. Until the last one the file's key opens the store; from the second on the next one does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strata_storage::{Entropy, MasterKey, SystemEntropy, is_encrypted};
use zeroize::Zeroizing;

use crate::config::Config;

/// The file in the data directory that holds a generated master key.
pub const FILE_NAME: &str = "master-key";
/// The most that a file or a command may hold, in bytes: a key with comments.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Where the master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// The setting `master_key`.
    Setting,
    /// What a command prints.
    Command(String),
    /// A file, generated if it is missing.
    File(PathBuf),
}

/// Why there is no master key. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Others may read the file.
    #[error("the master key file {path} can be read by others; run: chmod 600 {path}", path = .0.display())]
    Exposed(PathBuf),
    /// The text is not a key.
    #[error("{0} does not hold a master key: 32 bytes in hex (64 digits) or base64 (44 characters)")]
    NotAKey(String),
    /// The store is encrypted, and the file is gone.
    #[error(
        "the store is encrypted and its master key file {path} is missing; put it back, or nothing stored can be read",
        path = .0.display()
    )]
    Lost(PathBuf),
    /// The command failed.
    #[error("encryption.master_key_command failed: {0}")]
    Command(String),
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
}

impl MasterKeySource {
    /// The source that the settings name.
    pub fn of(config: &Config) -> MasterKeySource {
        match (&config.master_key, &config.encryption.master_key_command, &config.encryption.master_key_file) {
            (Some(_), _, _) => MasterKeySource::Setting,
            (None, Some(command), _) => MasterKeySource::Command(command.clone()),
            (None, None, Some(file)) => MasterKeySource::File(file.clone()),
            (None, None, None) => MasterKeySource::File(config.data.join(FILE_NAME)),
        }
    }

    /// What is said of the source.
    pub fn name(&self) -> String {
        match self {
            MasterKeySource::Setting => "the setting master_key".to_owned(),
            MasterKeySource::Command(_) => "encryption.master_key_command".to_owned(),
            MasterKeySource::File(path) => path.display().to_string(),
        }
    }
}

/// The master key that the settings name; a file that is missing is generated. Blocks the thread.
pub fn obtain(config: &Config, entropy: &dyn Entropy) -> Result<MasterKey, MasterKeyError> {
    match MasterKeySource::of(config) {
        MasterKeySource::Setting => {
            let text = config.master_key.as_ref().map_or("", |key| key.expose());
            parse(text.as_bytes()).ok_or_else(|| MasterKeyError::NotAKey("the setting master_key".to_owned()))
        }
        MasterKeySource::Command(command) => run(&command),
        MasterKeySource::File(path) => match read(&path)? {
            Some(key) => Ok(key),
            None if is_encrypted(&config.data) => Err(MasterKeyError::Lost(path)),
            None => generate(&path, entropy),
        },
    }
}

/// The master key of a store that is only looked at: none is generated, and a store without one has none. Blocks the
/// thread.
pub fn present(config: &Config) -> Result<Option<MasterKey>, MasterKeyError> {
    if !is_encrypted(&config.data) {
        return Ok(None);
    }
    // Of an encrypted store none is generated, so nothing is made here.
    obtain(config, &SystemEntropy).map(Some)
}

/// The master key that the settings name, if there is one: none is generated, whatever is in the data directory. Blocks the
/// thread.
pub fn kept(config: &Config) -> Result<Option<MasterKey>, MasterKeyError> {
    match MasterKeySource::of(config) {
        MasterKeySource::File(path) => read(&path),
        // Neither is generated.
        MasterKeySource::Setting | MasterKeySource::Command(_) => obtain(config, &SystemEntropy).map(Some),
    }
}

/// The key before the present one, if the settings name one.
pub fn previous(config: &Config) -> Result<Option<MasterKey>, MasterKeyError> {
    let Some(text) = &config.previous_master_key else { return Ok(None) };
    let key = parse(text.expose().as_bytes());
    key.map(Some).ok_or_else(|| MasterKeyError::NotAKey("the setting previous_master_key".to_owned()))
}

/// A key that is to take the place of the one in a file.
pub struct NextKey {
    /// The key.
    pub key: MasterKey,
    beside: PathBuf,
    path: PathBuf,
}

impl NextKey {
    /// Makes a key and writes it beside the file, durably. Blocks the thread.
    pub fn prepare(path: &Path, entropy: &dyn Entropy) -> Result<NextKey, MasterKeyError> {
        let key = MasterKey::random(entropy);
        let beside = with_suffix(path, ".next");
        write(&beside, &key).map_err(|source| refused("write", &beside, source))?;
        Ok(NextKey { key, beside, path: path.to_owned() })
    }

    /// Puts the key in the file's place, durably. Blocks the thread.
    pub fn settle(self) -> Result<(), MasterKeyError> {
        let settled = fs::rename(&self.beside, &self.path).and_then(|()| sync_parent(&self.path));
        settled.map_err(|source| refused("replace", &self.path, source))
    }
}

/// A key as text: lines that begin with `#` are comments.
fn parse(text: &[u8]) -> Option<MasterKey> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let bytes = Zeroizing::new(if line.len() == 64 { hex::decode(line).ok()? } else { STANDARD.decode(line).ok()? });
    Some(MasterKey::new(bytes.as_slice().try_into().ok()?))
}

fn read(path: &Path) -> Result<Option<MasterKey>, MasterKeyError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            return Err(MasterKeyError::Exposed(path.to_owned()));
        }
        Ok(metadata) if metadata.len() > TEXT_BYTES_MAX as u64 => {
            return Err(MasterKeyError::NotAKey(path.display().to_string()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(refused("look at", path, source)),
    }
    let text = Zeroizing::new(fs::read(path).map_err(|source| refused("read", path, source))?);
    parse(&text).map(Some).ok_or_else(|| MasterKeyError::NotAKey(path.display().to_string()))
}

fn run(command: &str) -> Result<MasterKey, MasterKeyError> {
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| MasterKeyError::Command(error.to_string()))?;
    let text = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(MasterKeyError::Command(output.status.to_string()));
    }
    let key = Some(&text).filter(|text| text.len() <= TEXT_BYTES_MAX).and_then(|text| parse(text));
    key.ok_or_else(|| MasterKeyError::NotAKey("what encryption.master_key_command prints".to_owned()))
}

/// Makes a key and its file, unless somebody else was faster.
fn generate(path: &Path, entropy: &dyn Entropy) -> Result<MasterKey, MasterKeyError> {
    let key = MasterKey::random(entropy);
    let beside = with_suffix(path, &format!(".{:016x}", entropy.next_u64()));
    let made = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        write(&beside, &key)?;
        let linked = fs::hard_link(&beside, path);
        fs::remove_file(&beside)?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            linked => linked.and_then(|()| sync_parent(path)).map(|()| true),
        }
    };
    match made().map_err(|source| refused("write", path, source))? {
        true => Ok(key),
        false => read(path)?.ok_or_else(|| MasterKeyError::Lost(path.to_owned())),
    }
}

fn write(path: &Path, key: &MasterKey) -> io::Result<()> {
    let text = Zeroizing::new(format!(
        "# Strata's master key. Without it nothing in the store can be read: keep a copy elsewhere.\n{}\n",
        Zeroizing::new(hex::encode(key.expose())).as_str()
    ));
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn refused(action: &'static str, path: &Path, source: io::Error) -> MasterKeyError {
    MasterKeyError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use strata_storage::{SeededEntropy, SystemEntropy};

    use super::{FILE_NAME, MasterKeyError, NextKey, obtain, parse};
    use crate::config::Config;
    use crate::credentials::Secret;

    #[test]
    fn keys_are_hex_or_base64() {
        let hex = "07".repeat(32);
        for text in
            [hex.clone(), format!("# a comment\n\n {hex} \n"), "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".into()]
        {
            assert_eq!(parse(text.as_bytes()).expect("a key").expose(), &[7; 32], "{text}");
        }
        for text in [String::new(), "# only".into(), "07".repeat(31), format!("{hex}\n{hex}"), "not a key".into()] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_file_is_generated_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data: directory.path().join("data"), ..Config::default() };
        let path = config.data.join(FILE_NAME);
        let first = obtain(&config, &SystemEntropy).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(obtain(&config, &SystemEntropy).unwrap().expose(), first.expose());
        assert_eq!(fs::read_dir(&config.data).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(obtain(&config, &SystemEntropy).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "nonsense").unwrap();
        assert!(matches!(obtain(&config, &SystemEntropy), Err(MasterKeyError::NotAKey(_))));
        // An encrypted store never gets another key.
        fs::remove_file(&path).unwrap();
        fs::write(config.data.join("KEYS"), "").unwrap();
        assert!(matches!(obtain(&config, &SystemEntropy), Err(MasterKeyError::Lost(_))));
        assert!(!path.exists());
    }

    #[test]
    fn settings_and_commands_give_keys() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config { data: directory.path().to_owned(), ..Config::default() };
        config.encryption.master_key_command = Some(format!("echo {}", "07".repeat(32)));
        assert_eq!(obtain(&config, &SystemEntropy).unwrap().expose(), &[7; 32]);
        config.encryption.master_key_command = Some("exit 3".to_owned());
        assert!(matches!(obtain(&config, &SystemEntropy), Err(MasterKeyError::Command(_))));
        config.master_key = Some(Secret::new("09".repeat(32)));
        assert_eq!(obtain(&config, &SystemEntropy).unwrap().expose(), &[9; 32]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_next_key_takes_the_place_in_one_step() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data: directory.path().to_owned(), ..Config::default() };
        let entropy = SeededEntropy::new(1);
        let old = obtain(&config, &entropy).unwrap();
        let next = NextKey::prepare(&directory.path().join(FILE_NAME), &entropy).unwrap();
        assert_eq!(obtain(&config, &entropy).unwrap().expose(), old.expose());
        let key = next.key.clone();
        next.settle().unwrap();
        assert_eq!(obtain(&config, &entropy).unwrap().expose(), key.expose());
        assert_ne!(key.expose(), old.expose());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
