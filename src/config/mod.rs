//! The settings in force, gathered from flags, the environment, a TOML file and defaults.
//!
//! Every setting is one row of the table in `settings`. Sources are laid over each other row by row, strongest last:
//! default, file, environment, flag. All of them pass through the same parser, and a name that is in no row is an
//! error, so that a misspelt setting never goes unnoticed.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use strata_storage::{ObjectOwnership, RestoreTimes, ZoneOptions};

use crate::credentials::Secret;

mod event_targets;
mod example;
mod lists;
mod networks;
mod regions;
mod settings;
mod sources;
mod value;

pub use event_targets::{EventFormat, TargetKind, TargetSettings, backlog_default, call_time, max_age_default, memory};
pub use example::example;
pub use lists::{AccountSettings, OidcIssuer};
pub use networks::Networks;
pub use regions::{RegionSettings, UrlStyle};
pub use settings::{SETTINGS, Setting};
pub use sources::{CONFIG_FILE_VARIABLE, Lists, Sources};

/// The settings of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The region that requests are signed for and buckets report.
    pub region: String,
    /// Domains whose subdomains name buckets; `localhost` always counts as one.
    pub domains: Vec<String>,
    /// The zones that object data is spread over; none for the data directory alone, or for those last used.
    pub zones: Vec<ZoneOptions>,
    /// Who is believed, and what may be seen of the process.
    pub server: ServerSettings,
    /// The certificate, if connections are encrypted.
    pub tls: TlsSettings,
    /// The virtual private clouds.
    pub networks: Networks,
    /// What is logged, and how.
    pub log: LogSettings,
    /// The root credentials, if they are configured rather than generated.
    pub root: RootSettings,
    /// The bounds on what clients can make the server hold.
    pub limits: Limits,
    /// How long restores of archived objects take.
    pub restore: RestoreTimes,
    /// What work may take that nobody waits for.
    pub background: BackgroundSettings,
    /// The engine's settings.
    pub storage: StorageSettings,
    /// How what is at rest is looked at.
    pub scrub: ScrubSettings,
    /// How lifecycle rules are carried out.
    pub lifecycle: LifecycleSettings,
    /// How access logs are delivered.
    pub access_log: AccessLogSettings,
    /// Where changes are recorded besides the process's log.
    pub audit: AuditSettings,
    /// How buckets begin.
    pub new_buckets: NewBucketSettings,
    /// The master key, if it is given rather than kept in a file.
    pub master_key: Option<Secret>,
    /// The master key before it.
    pub previous_master_key: Option<Secret>,
    /// Where the master key is.
    pub encryption: EncryptionSettings,
    /// Where keys for SSE-KMS are.
    pub kms: KmsSettings,
    /// The accounts that are made at the start unless they are there.
    pub accounts: Vec<AccountSettings>,
    /// The identity providers that every account can trust.
    pub oidc: Vec<OidcIssuer>,
    /// Where events may be sent.
    pub event_targets: Vec<TargetSettings>,
    /// How versions are sent to other buckets, and who may change this store.
    pub replication: ReplicationSettings,
    /// Other stores that buckets are replicated to, in the order in which they are asked for a bucket.
    pub regions: Vec<RegionSettings>,
}

/// Who is believed, and what may be seen of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerSettings {
    /// The networks of proxies that are believed about whom they forward.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether the process leaves its memory in a file when it crashes.
    pub core_dumps: bool,
}

/// The certificate as configured: both files or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The file of the certificate and of those that sign it.
    pub certificate: Option<PathBuf>,
    /// The file of its private key.
    pub private_key: Option<PathBuf>,
    /// The least version that clients may speak.
    pub minimum_version: TlsVersion,
}

/// What encrypted connections need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The file of the certificate and of those that sign it, in PEM form.
    pub certificate: PathBuf,
    /// The file of its private key, in PEM form.
    pub private_key: PathBuf,
    /// The least version that clients may speak.
    pub minimum_version: TlsVersion,
}

impl TlsSettings {
    /// Both files; `None` if connections are not encrypted.
    pub fn config(&self) -> Option<TlsConfig> {
        let (certificate, private_key) = (self.certificate.clone()?, self.private_key.clone()?);
        Some(TlsConfig { certificate, private_key, minimum_version: self.minimum_version })
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2
    V1_2,
    /// TLS 1.3
    V1_3,
}

impl TlsVersion {
    /// The number alone, as `s3:TlsVersion` has it.
    pub fn number(self) -> &'static str {
        match self {
            TlsVersion::V1_2 => "1.2",
            TlsVersion::V1_3 => "1.3",
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Text or JSON.
    pub format: LogFormat,
    /// A level, or directives such as `warn,strata=debug`.
    pub level: String,
    /// Whether every request is logged at INFO rather than DEBUG.
    pub requests: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The root credentials as configured: both or neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootSettings {
    /// The access key id.
    pub access_key: Option<String>,
    /// The secret key.
    pub secret_key: Option<Secret>,
}

/// The bounds on what clients can make the server hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// How long a connection may wait for a request head, or for 1 KiB a second of it to be sent or taken, in seconds.
    pub idle_seconds: u64,
    /// Request bodies being stored at once.
    pub uploads: usize,
    /// The largest body of one PutObject or UploadPart, in bytes.
    pub object_bytes: u64,
    /// The largest XML request body, in bytes.
    pub xml_bytes: usize,
    /// The largest body of CompleteMultipartUpload and DeleteObjects, in bytes.
    pub xml_list_bytes: usize,
    /// The memory for documents being read and sent, in bytes.
    pub document_bytes: usize,
    /// The largest request line with headers, in bytes.
    pub header_bytes: usize,
    /// How long requests in flight may take to finish once the server stops, in seconds.
    pub shutdown_seconds: u64,
    /// Failed sign-ins of one address, and with one key from there, that are answered at once within a minute; 0 for any
    /// number.
    pub failures_per_minute: u32,
    /// How long further ones are turned away at most, in seconds.
    pub failure_seconds: u64,
}

/// What work may take that nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundSettings {
    /// What it reads and writes a second at most, in bytes.
    pub bytes_per_second: u64,
}

/// The engine's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSettings {
    /// The index's block cache, in bytes.
    pub cache_bytes: usize,
    /// The size at which a segment is sealed, in bytes.
    pub segment_bytes: u64,
    /// How often unreferenced bytes are collected, in seconds; 0 for never.
    pub collect_seconds: u64,
}

/// How what is at rest is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubSettings {
    /// How often all of it is read; `None` for only when it is asked for.
    pub every: Option<Duration>,
}

/// How lifecycle rules are carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleSettings {
    /// How long a day is.
    pub day: Duration,
}

/// How access logs are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// How often.
    pub flush: Duration,
}

/// Where changes are recorded besides the process's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditSettings {
    /// The file.
    pub file: Option<PathBuf>,
}

/// How buckets begin, unless the request that makes one asks for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBucketSettings {
    /// Whether all four switches of Block Public Access are on.
    pub block_public_access: bool,
    /// Whether customers' keys are refused.
    pub block_sse_c: bool,
    /// Who owns the objects, and whether access control lists count.
    pub object_ownership: ObjectOwnership,
    /// How objects are encrypted whose writers do not say it.
    pub encryption: NewBucketEncryption,
}

/// The default encryption that a bucket begins with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NewBucketEncryption {
    /// SSE-S3.
    #[default]
    Store,
    /// SSE-KMS with the key of each writer's account that S3 uses by default.
    Kms,
    /// SSE-KMS with the key of that ARN.
    KmsKey(String),
}

/// Where the master key is, unless it is given; neither for a file in the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptionSettings {
    /// The file that holds it.
    pub master_key_file: Option<PathBuf>,
    /// The command that prints it.
    pub master_key_command: Option<String>,
    /// Whether SSE-C and SSE-KMS need a connection with TLS.
    pub require_tls: bool,
}

/// Where keys for SSE-KMS are, if not in this server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KmsSettings {
    /// The endpoint of the service.
    pub endpoint: Option<String>,
    /// The region to sign for.
    pub region: Option<String>,
    /// The access key id.
    pub access_key: Option<String>,
    /// The secret key.
    pub secret_key: Option<Secret>,
}

/// How versions are sent to other buckets, and who may change this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationSettings {
    /// How many versions are sent at once.
    pub concurrency: usize,
    /// What is sent a second at most, in bytes; `None` for no limit.
    pub bytes_per_second: Option<u64>,
    /// The size of the parts in which large objects are sent, in bytes.
    pub part_bytes: u64,
    /// Whether objects change by replication only.
    pub read_only: bool,
}

impl Default for Config {
    fn default() -> Config {
        let mut config = Config::blank();
        for setting in SETTINGS {
            let text = value::literal_text(setting.default).expect("a test reads every default");
            (setting.set)(&mut config, &text).expect("a test sets every default");
        }
        config
    }
}

impl Config {
    /// Lays `sources` over the defaults. `Err` names the setting, where it came from, and what is allowed.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let (values, lists) = sources.read()?;
        Lists {
            accounts: config.accounts,
            oidc: config.oidc,
            event_targets: config.event_targets,
            regions: config.regions,
        } = lists;
        for found in values {
            (found.setting.set)(&mut config, &found.text).map_err(|allowed| ConfigError::Invalid {
                place: found.place.clone(),
                // A secret must not reach the terminal or a log, not even a wrong one.
                text: if found.setting.secret { "***".to_owned() } else { found.text.clone() },
                allowed,
            })?;
        }
        config.check()
    }

    fn check(self) -> Result<Config, ConfigError> {
        match (&self.root.access_key, &self.root.secret_key) {
            (Some(_), None) => Err(ConfigError::HalfRoot { given: "root.access_key", missing: "root.secret_key" }),
            (None, Some(_)) => Err(ConfigError::HalfRoot { given: "root.secret_key", missing: "root.access_key" }),
            _ => Ok(()),
        }?;
        match (&self.tls.certificate, &self.tls.private_key) {
            (Some(_), None) => Err(ConfigError::HalfTls { given: "tls.certificate", missing: "tls.private_key" }),
            (None, Some(_)) => Err(ConfigError::HalfTls { given: "tls.private_key", missing: "tls.certificate" }),
            _ => self.check_master_key(),
        }
    }

    fn check_master_key(self) -> Result<Config, ConfigError> {
        let EncryptionSettings { master_key_file, master_key_command, .. } = &self.encryption;
        let sources = [self.master_key.is_some(), master_key_file.is_some(), master_key_command.is_some()];
        if sources.into_iter().filter(|given| *given).count() > 1 { Err(ConfigError::MasterKeys) } else { Ok(self) }
    }

    /// What the defaults are written over; never seen by anyone.
    fn blank() -> Config {
        Config {
            data: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            region: String::new(),
            domains: Vec::new(),
            zones: Vec::new(),
            server: ServerSettings::default(),
            tls: TlsSettings { certificate: None, private_key: None, minimum_version: TlsVersion::V1_2 },
            networks: Networks::default(),
            log: LogSettings { format: LogFormat::Text, level: String::new(), requests: false },
            root: RootSettings::default(),
            limits: Limits {
                connections: 0,
                idle_seconds: 0,
                uploads: 0,
                object_bytes: 0,
                xml_bytes: 0,
                xml_list_bytes: 0,
                document_bytes: 0,
                header_bytes: 0,
                shutdown_seconds: 0,
                failures_per_minute: 0,
                failure_seconds: 0,
            },
            restore: RestoreTimes::default(),
            background: BackgroundSettings { bytes_per_second: 0 },
            storage: StorageSettings { cache_bytes: 0, segment_bytes: 0, collect_seconds: 0 },
            scrub: ScrubSettings { every: None },
            lifecycle: LifecycleSettings { day: Duration::ZERO },
            access_log: AccessLogSettings { flush: Duration::ZERO },
            audit: AuditSettings::default(),
            new_buckets: NewBucketSettings {
                block_public_access: true,
                block_sse_c: true,
                object_ownership: ObjectOwnership::BucketOwnerEnforced,
                encryption: NewBucketEncryption::Store,
            },
            master_key: None,
            previous_master_key: None,
            encryption: EncryptionSettings::default(),
            accounts: Vec::new(),
            oidc: Vec::new(),
            event_targets: Vec::new(),
            replication: ReplicationSettings {
                concurrency: 0,
                bytes_per_second: None,
                part_bytes: 0,
                read_only: false,
            },
            regions: Vec::new(),
            kms: KmsSettings::default(),
        }
    }
}

/// Where a value came from, as error messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A setting in a file.
    File(PathBuf, &'static str),
    /// An environment variable.
    Environment(String),
    /// A command line flag.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path, name) => write!(f, "{name} in {}", path.display()),
            Place::Environment(variable) => write!(f, "the environment variable {variable}"),
            Place::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Why the settings could not be used. The message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML: {reason}", path = .path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// What the parser says, with the line.
        reason: String,
    },
    /// There is no such setting.
    #[error("{place} has no setting {name}; did you mean {nearest}?")]
    Unknown {
        /// The file, or the kind of source.
        place: String,
        /// The name given.
        name: String,
        /// The known name that is most like it.
        nearest: String,
    },
    /// A value that the setting does not allow.
    #[error("{place} is {text:?}, which is not allowed: it must be {allowed}")]
    Invalid {
        /// Where the value came from.
        place: Place,
        /// The value.
        text: String,
        /// What is allowed.
        allowed: String,
    },
    /// The master key comes from several places.
    #[error("set only one of master_key, encryption.master_key_file and encryption.master_key_command")]
    MasterKeys,
    /// An entry of a list cannot be used.
    #[error("[[{list}]] in {path} cannot be used: {reason}", path = .path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// The list.
        list: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// One half of the root credentials is missing.
    #[error("{given} is set but {missing} is not; set both, or neither to have them generated")]
    HalfRoot {
        /// The setting that is there.
        given: &'static str,
        /// The setting that is not.
        missing: &'static str,
    },
    /// One file of the certificate is missing.
    #[error("{given} is set but {missing} is not; set both, or neither for plain HTTP")]
    HalfTls {
        /// The setting that is there.
        given: &'static str,
        /// The setting that is not.
        missing: &'static str,
    },
}

impl ConfigError {
    fn unreadable(path: &Path, source: std::io::Error) -> ConfigError {
        ConfigError::Unreadable { path: path.to_owned(), source }
    }
}
