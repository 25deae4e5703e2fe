//! Where settings come from: flags over environment over file.

use std::path::{Path, PathBuf};

use super::event_targets::{self, TargetSettings};
use super::lists::{self, AccountSettings, OidcIssuer};
use super::regions::{self, RegionSettings};
use super::settings::{self, SETTINGS, Setting};
use super::{ConfigError, Place, value};

/// Names the configuration file, like `--config`.
pub const CONFIG_FILE_VARIABLE: &str = "STRATA_CONFIG";

/// Variables that begin with `STRATA_` and are no settings: the file's own, those of tests, and those that Kubernetes
/// and container links add for a service called `strata`.
fn is_foreign(variable: &str) -> bool {
    [CONFIG_FILE_VARIABLE, "STRATA_PORT"].contains(&variable)
        || ["STRATA_TEST_", "STRATA_SERVICE_", "STRATA_PORT_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// What the process was started with.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file given by `--config` or `STRATA_CONFIG`.
    pub file: Option<PathBuf>,
    /// Environment variables; those without the prefix `STRATA_` are passed over, empty ones count as unset.
    pub environment: Vec<(String, String)>,
    /// Values from the command line: the flag as typed, the setting's name, its text.
    pub flags: Vec<(String, String, String)>,
}

/// The lists of the file.
#[derive(Default)]
pub struct Lists {
    /// `[[accounts]]`
    pub accounts: Vec<AccountSettings>,
    /// `[[oidc]]`
    pub oidc: Vec<OidcIssuer>,
    /// `[[events.targets]]`
    pub event_targets: Vec<TargetSettings>,
    /// `[[regions]]`
    pub regions: Vec<RegionSettings>,
}

/// A value found in one of the sources.
pub struct Found {
    /// The setting.
    pub setting: &'static Setting,
    /// Where the value was found.
    pub place: Place,
    /// Its text.
    pub text: String,
}

impl Sources {
    /// The file, given by a flag or `STRATA_CONFIG`, and the environment of this process. `Err` says what is wrong.
    pub fn of_process(file: Option<PathBuf>) -> Result<Sources, String> {
        let named = || std::env::var_os(CONFIG_FILE_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from);
        let mut sources = Sources { file: file.or_else(named), ..Sources::default() };
        for (variable, value) in std::env::vars_os() {
            // Names that are not UTF-8 cannot begin with STRATA_ and mean anything.
            let Ok(variable) = variable.into_string() else { continue };
            if !variable.starts_with("STRATA_") {
                continue;
            }
            let value = value.into_string().map_err(|_| format!("the environment variable {variable} is not UTF-8"))?;
            sources.environment.push((variable, value));
        }
        Ok(sources)
    }

    /// All values, weakest source first, and the lists of the file. `Err` if a name is unknown or the file cannot be read.
    pub fn read(&self) -> Result<(Vec<Found>, Lists), ConfigError> {
        let (mut found, lists) = match &self.file {
            Some(path) => read_file(path)?,
            None => Default::default(),
        };
        for (variable, text) in &self.environment {
            if !variable.starts_with("STRATA_") || is_foreign(variable) || text.is_empty() {
                continue;
            }
            let setting = settings::by_variable(variable).ok_or_else(|| {
                unknown("the environment".to_owned(), variable, SETTINGS.iter().map(Setting::variable))
            })?;
            found.push(Found { setting, place: Place::Environment(variable.clone()), text: text.clone() });
        }
        for (flag, name, text) in &self.flags {
            let setting = by_name(name, || "the command line".to_owned())?;
            found.push(Found { setting, place: Place::Flag(flag.clone()), text: text.clone() });
        }
        Ok((found, lists))
    }
}

fn read_file(path: &Path) -> Result<(Vec<Found>, Lists), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::unreadable(path, source))?;
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
        path: path.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    })?;
    let (accounts, oidc) = lists::take(path, &mut table)?;
    let event_targets = event_targets::take(path, &mut table)?;
    let lists = Lists { accounts, oidc, event_targets, regions: regions::take(path, &mut table)? };
    let mut found = Vec::new();
    collect(path, "", &table, &mut found)?;
    Ok((found, lists))
}

fn collect(path: &Path, section: &str, table: &toml::Table, found: &mut Vec<Found>) -> Result<(), ConfigError> {
    let place = || path.display().to_string();
    for (key, value) in table {
        let name = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        match value {
            // An empty section that is known, or has settings in it, is fine.
            toml::Value::Table(inner) if is_section(&name) || !inner.is_empty() => {
                collect(path, &name, inner, found)?;
            }
            _ => {
                let setting = by_name(&name, place)?;
                let place = Place::File(path.to_owned(), setting.name);
                let text = value::text(value).ok_or_else(|| ConfigError::Invalid {
                    place: place.clone(),
                    text: value.type_str().to_owned(),
                    allowed: "a text, a number, true or false, or a list of texts".to_owned(),
                })?;
                found.push(Found { setting, place, text });
            }
        }
    }
    Ok(())
}

fn is_section(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

fn by_name(name: &str, place: impl FnOnce() -> String) -> Result<&'static Setting, ConfigError> {
    settings::by_name(name)
        .ok_or_else(|| unknown(place(), name, SETTINGS.iter().map(|setting| setting.name.to_owned())))
}

fn unknown(place: String, name: &str, known: impl Iterator<Item = String>) -> ConfigError {
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or_default();
    ConfigError::Unknown { place, name: name.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::Sources;
    use crate::config::{Config, ConfigError};

    fn sources(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> (Sources, Option<PathBuf>) {
        let pair = |&(name, text): &(&str, &str)| (name.to_owned(), text.to_owned());
        let path = file.map(|text| {
            let path = tempfile::NamedTempFile::new().unwrap().into_temp_path().keep().unwrap();
            std::fs::write(&path, text).unwrap();
            path
        });
        let sources = Sources {
            file: path.clone(),
            environment: environment.iter().map(pair).collect(),
            flags: flags.iter().map(|&(name, text)| (format!("--{name}"), name.to_owned(), text.to_owned())).collect(),
        };
        (sources, path)
    }

    fn load(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let (sources, path) = sources(file, environment, flags);
        let loaded = Config::load(&sources);
        if let Some(path) = path {
            std::fs::remove_file(path).unwrap();
        }
        loaded
    }

    #[test]
    fn stronger_sources_win() {
        fn check(file: bool, environment: bool, flag: bool, expected: &str) {
            let file = file.then_some("region = \"from-file\"\n[limits]\nconnections = 7\n");
            let environment: &[_] = if environment { &[("STRATA_REGION", "from-environment")] } else { &[] };
            let flags: &[_] = if flag { &[("region", "from-flag")] } else { &[] };
            let config = load(file, environment, flags).unwrap();
            assert_eq!(config.region, expected);
            assert_eq!(config.limits.connections, if file.is_some() { 7 } else { 4096 });
        }
        check(false, false, false, "us-east-1");
        check(true, false, false, "from-file");
        check(true, true, false, "from-environment");
        check(true, true, true, "from-flag");
        check(false, true, true, "from-flag");
    }

    #[test]
    fn every_kind_of_value_reads_from_a_file() {
        let text = "domains = [\"a.example\", \"b.example\"]\nlisten = \"[::1]:80\"\n[log]\nrequests = true\n\
                    [limits]\nobject_bytes = \"512MiB\"\nidle_seconds = \"5m\"\n[storage]\nsegment_bytes = 1048576\n";
        let config = load(Some(text), &[], &[]).unwrap();
        assert_eq!(config.domains, ["a.example", "b.example"]);
        assert_eq!(config.listen.port(), 80);
        assert!(config.log.requests);
        assert_eq!(config.limits.object_bytes, 512 << 20);
        assert_eq!(config.limits.idle_seconds, 300);
        assert_eq!(config.storage.segment_bytes, 1 << 20);
    }

    #[test]
    fn errors_say_what_to_change() {
        fn check(file: Option<&str>, environment: &[(&str, &str)], expected: &[&str]) {
            let message = load(file, environment, &[]).unwrap_err().to_string();
            for part in expected {
                assert!(message.contains(part), "{message:?} lacks {part:?}");
            }
            assert!(!message.contains("hunter2"), "{message}");
        }
        check(Some("[limits]\nconections = 1"), &[], &["limits.conections", "did you mean limits.connections?"]);
        check(Some("[limit]\nuploads = 1"), &[], &["did you mean limits.uploads?"]);
        check(Some("[other]"), &[], &["no setting other"]);
        check(Some("limits = 3"), &[], &["no setting limits"]);
        check(Some("[listen]\nport = 3"), &[], &["no setting listen.port"]);
        check(Some("region = ["), &[], &["not valid TOML"]);
        check(None, &[("STRATA_LIMITS_CONNECTION", "5")], &["did you mean STRATA_LIMITS_CONNECTIONS?"]);
        check(None, &[("STRATA_LISTEN", "9000")], &["STRATA_LISTEN is \"9000\"", "127.0.0.1:9000"]);
        check(None, &[("STRATA_LIMITS_UPLOADS", "0")], &["from 1 to 1000000"]);
        check(None, &[("STRATA_ROOT_ACCESS_KEY", "somebody")], &["root.secret_key is not", "set both"]);
        check(None, &[("STRATA_ROOT_SECRET_KEY", "hunter2")], &["8 to 128"]);
    }

    #[test]
    fn foreign_and_empty_variables_are_passed_over() {
        let environment = [
            ("STRATA_CONFIG", "/x"),
            ("STRATA_PORT", "tcp://10.0.0.1:9000"),
            ("STRATA_PORT_9000_TCP", "x"),
            ("STRATA_SERVICE_HOST", "10.0.0.1"),
            ("STRATA_ROOT_ACCESS_KEY", ""),
            ("PATH", "/bin"),
        ];
        assert_eq!(load(None, &environment, &[]).unwrap(), Config::default());
    }
}
