//! A running server: starts from settings, stops gracefully. Programs and tests embed it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strata_storage::{Clock, Entropy, OpenOptions, Store, SystemClock, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::access_log::AccessLog;
use crate::audit::{Audit, AuditFile, AuditFileError};
use crate::config::{AccountSettings, Config};
use crate::control::{AccessPoints, RegistryError};
use crate::credentials::{Credentials, CredentialsError, Origin};
use crate::directory::{Directory, DirectoryError, DirectoryKeys, NewAccount};
use crate::encryption::{DefaultEncryption, Keyring};
use crate::events::Events;
use crate::events::dispatch::{Pace, Surroundings};
use crate::events::dispatchers::Dispatchers;
use crate::events::health::Healths;
use crate::events::targets::{Targets, TargetsError};
use crate::kms::{External, KeyStore, KmsError, KmsService};
use crate::master_key::{self, MasterKeyError};
use crate::outbound::TrustError;
use crate::replication::sender::Sender;
use crate::replication::{Destinations, Regions, RegionsError};
use crate::service::{Rooms, Service};

mod connection;
mod stream;
mod streams;
mod tls;

use connection::{Connections, Phase};
use tls::Tls;

pub use tls::{Reload, TlsError};

/// How long connections may take to notice that the server gives up on them.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(5);

/// A server at work in the background of the present tokio runtime.
///
/// Dropping it stops accepting and closes every connection at once; [`Server::shutdown`] lets requests finish.
pub struct Server {
    address: SocketAddr,
    credentials: Credentials,
    origin: Origin,
    store: Store,
    directory: Directory,
    config: Arc<Config>,
    phase: watch::Sender<Phase>,
    permits: Arc<Semaphore>,
    accepting: JoinHandle<()>,
    tls: Option<Arc<Tls>>,
    access_log: AccessLog,
    audit: Audit,
    logging: JoinHandle<()>,
    /// The task that replicates.
    sending: JoinHandle<()>,
    dispatchers: Dispatchers,
    ending: watch::Sender<bool>,
}

/// Why a server could not start or stop. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}: {source}; stop what uses it, or choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// The store could not be opened.
    #[error("cannot open the data directory {directory}: {source}", directory = .directory.display())]
    Open {
        /// The data directory.
        directory: PathBuf,
        /// The reason.
        source: strata_storage::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There are no root credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// There is no master key.
    #[error(transparent)]
    MasterKey(MasterKeyError),
    /// Accounts, users, roles or keys could not be read.
    #[error("cannot open the directory of accounts: {0}")]
    Directory(#[from] DirectoryError),
    /// The keys for SSE-KMS could not be read.
    #[error("cannot open the key store: {0}")]
    Keys(#[from] KmsError),
    /// The access points could not be read.
    #[error("cannot open the access points: {0}")]
    AccessPoints(#[from] RegistryError),
    /// The audit log cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditFileError),
    /// A target of events cannot be used.
    #[error(transparent)]
    Targets(#[from] TargetsError),
    /// There can be no connections to another store.
    #[error(transparent)]
    Regions(#[from] RegionsError),
    /// There can be no secure connections to the key management service.
    #[error("cannot prepare connections to the key management service: {0}")]
    KeyService(TrustError),
    /// The store could not be closed cleanly; what was acknowledged is safe.
    #[error("cannot close the store: {0}")]
    Close(strata_storage::Error),
}

impl Server {
    /// Starts a server. On `Ok` it accepts requests; on `Err` nothing is left running.
    pub async fn start(config: Config) -> Result<Server, ServerError> {
        Server::start_on_clock(config, Arc::new(SystemClock)).await
    }

    /// Starts a server that takes the time from `clock`: for its store, and for the dates of signatures.
    pub async fn start_on_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Server, ServerError> {
        let config = Arc::new(config);
        let tls = config.tls.config().map(Tls::open).transpose()?.map(Arc::new);
        let listen = |source| ServerError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;

        let options = open_options(&config, Arc::clone(&clock));
        let entropy = Arc::clone(&options.entropy);
        let store = open_store(&config, options).await?;
        // Only now: the open store holds the lock that keeps two servers from generating credentials at once.
        let (credentials, origin) = match Credentials::obtain(&config.root, &config.data) {
            Ok(obtained) => obtained,
            Err(error) => {
                store.close().await.map_err(ServerError::Close)?;
                return Err(error.into());
            }
        };

        let ending = watch::Sender::new(false);
        let following = ending.subscribe();
        let rooms = match open_rooms(&config, &store, &credentials, (&clock, &entropy), following).await {
            Ok(rooms) => rooms,
            Err(error) => {
                store.close().await.map_err(ServerError::Close)?;
                return Err(error);
            }
        };
        let (directory, access_log, audit) = (rooms.directory.clone(), rooms.access_log.clone(), rooms.audit.clone());
        tokio::spawn(rooms.events.targets.clone().check_all());
        let around = Surroundings {
            store: store.clone(),
            region: config.region.clone(),
            clock: Arc::clone(&clock),
            healths: rooms.events.healths.clone(),
            pace: Pace::default(),
        };
        let dispatchers = Dispatchers::start(&around, &rooms.events.targets);
        let logging = tokio::spawn(access_log.clone().run(config.access_log.flush));
        let sender_clock = Arc::clone(&clock);
        let service = Service::new(Arc::clone(&config), store.clone(), rooms, clock, entropy);
        let sender = Sender::new(Arc::clone(service.context()), Arc::clone(&sender_clock));
        let sending = tokio::spawn(sender.run());
        let permits = Arc::new(Semaphore::new(config.limits.connections));
        let (phase, changes) = watch::channel(Phase::Serving);
        if let Some(tls) = &tls {
            tokio::spawn(Arc::clone(tls).watch(changes.clone()));
        }
        let connections = Connections {
            service: Arc::new(service),
            permits: Arc::clone(&permits),
            limits: config.limits.clone(),
            tls: tls.clone(),
        };
        let accepting = tokio::spawn(Arc::new(connections).accept(listener, changes));
        Ok(Server {
            address,
            credentials,
            origin,
            store,
            directory,
            config,
            phase,
            permits,
            accepting,
            tls,
            access_log,
            audit,
            logging,
            sending,
            dispatchers,
            ending,
        })
    }

    /// Starts a server with default settings on a free local port, with generated credentials.
    pub async fn start_local(data: impl AsRef<Path>) -> Result<Server, ServerError> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Server::start(Config { data: data.as_ref().to_owned(), listen, ..Config::default() }).await
    }

    /// The address it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that clients on this machine reach it by.
    pub fn endpoint(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        match self.tls {
            Some(_) => format!("https://{address}"),
            None => format!("http://{address}"),
        }
    }

    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificate again, as is also done by itself now and then. `Err`, or dropping the future, means that new
    /// connections get the former one; running ones keep theirs in any case.
    pub async fn reload_certificate(&self) -> Result<Reload, TlsError> {
        let Some(tls) = self.tls.clone() else { return Ok(Reload::Unchanged) };
        // A panic was reported when it happened, and replaced nothing.
        tokio::task::spawn_blocking(move || tls.reload()).await.unwrap_or(Ok(Reload::Unchanged))
    }

    /// The root credentials in force.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Where the root credentials came from.
    pub fn credentials_origin(&self) -> &Origin {
        &self.origin
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Opens the audit log's file anew, if there is one: for those who move it away.
    pub fn reopen_audit_log(&self) {
        self.audit.reopen();
    }

    /// Delivers the access logs that were gathered so far, without waiting for their time.
    pub async fn deliver_access_logs(&self) {
        self.access_log.deliver().await;
    }

    /// The store it serves.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stops: nothing new is accepted, requests in flight may finish within the configured time, what is left is cut
    /// off, and the store is closed. `Err` if the store could not be closed cleanly.
    pub async fn shutdown(self) -> Result<(), ServerError> {
        self.ending.send_replace(true);
        self.phase.send_replace(Phase::Draining);
        // The task ends by itself, and it has no result; a panic in it was reported when it happened.
        let _ended = self.accepting.await;
        // Every connection holds a permit, so having them all means that all connections are closed.
        let all = u32::try_from(self.config.limits.connections).unwrap_or(u32::MAX);
        let drain = Duration::from_secs(self.config.limits.shutdown_seconds);
        if tokio::time::timeout(drain, self.permits.acquire_many(all)).await.is_err() {
            let open = self.config.limits.connections - self.permits.available_permits();
            tracing::warn!(open, "cutting off connections that did not finish in time");
            self.phase.send_replace(Phase::Closing);
            let _closed = tokio::time::timeout(CLOSING_TIME_MAX, self.permits.acquire_many(all)).await;
        }
        // What is on its way is sent again after the next start.
        self.sending.abort();
        let _ended = self.sending.await;
        self.dispatchers.stop().await;
        self.directory.flush().await;
        self.access_log.deliver().await;
        self.logging.abort();
        self.audit.flush().await;
        self.store.close().await.map_err(ServerError::Close)
    }
}

/// Opens the store with its master key; with the one before, if the settings name it and it still has that one.
async fn open_store(config: &Arc<Config>, options: OpenOptions) -> Result<Store, ServerError> {
    let (settings, entropy) = (Arc::clone(config), Arc::clone(&options.entropy));
    let keys = tokio::task::spawn_blocking(move || {
        Ok((master_key::obtain(&settings, &*entropy)?, master_key::previous(&settings)?))
    });
    let (key, previous) = match keys.await {
        Ok(keys) => keys.map_err(ServerError::MasterKey)?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let failed = |source| ServerError::Open { directory: config.data.clone(), source };
    let opened = Store::open(OpenOptions { master_key: Some(key.clone()), ..options.clone() }).await;
    match (opened, previous) {
        (Err(strata_storage::Error::MasterKeyWrong), Some(previous)) => {
            let store = Store::open(OpenOptions { master_key: Some(previous), ..options }).await.map_err(failed)?;
            store.rotate_master_key(key).await.map_err(failed)?;
            tracing::info!("the master key was replaced; previous_master_key is not needed any more");
            Ok(store)
        }
        (opened, _) => opened.map_err(failed),
    }
}

/// Opens what the service works with besides the store.
async fn open_rooms(
    config: &Config,
    store: &Store,
    root: &Credentials,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
    ending: watch::Receiver<bool>,
) -> Result<Rooms, ServerError> {
    Ok(Rooms {
        directory: open_directory(config, store, root, clock.now()).await?,
        keyring: open_keyring(config, store, clock, entropy).await?,
        access_points: AccessPoints::open(store.clone()).await?,
        access_log: AccessLog::new(store.clone(), Arc::clone(clock), Arc::clone(entropy)),
        audit: Audit::new(config.audit.file.as_deref().map(AuditFile::open).transpose()?),
        events: Events { targets: Targets::open(&config.event_targets, clock)?, healths: Healths::default(), ending },
        destinations: Destinations::new(store.clone(), Regions::open(config, clock)?),
    })
}

/// Reads who there is, and makes the accounts that the settings want.
async fn open_directory(
    config: &Config,
    store: &Store,
    root: &Credentials,
    now: Timestamp,
) -> Result<Directory, ServerError> {
    let failed = |source| ServerError::Open { directory: config.data.clone(), source };
    let derived = |purpose| store.derived_key(purpose).map(|key| Zeroizing::new(*key.expose())).map_err(failed);
    let keys = DirectoryKeys { secrets: derived("secrets of access keys")?, tokens: derived("session tokens")? };
    let directory = Directory::open(store.clone(), &keys, root).await?;
    for AccountSettings { name, email, id, credentials } in config.accounts.iter().cloned() {
        let provisioned = directory.provision(NewAccount { display_name: name, email, id, credentials, now });
        provisioned.await?;
    }
    Ok(directory)
}

/// Opens the keys for SSE-KMS: this server's own, or those of another service.
async fn open_keyring(
    config: &Config,
    store: &Store,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Keyring, ServerError> {
    let settings = &config.kms;
    let service = match (&settings.endpoint, &settings.access_key, &settings.secret_key) {
        (Some(endpoint), Some(access_key), Some(secret_key)) => {
            let region = settings.region.clone().unwrap_or_else(|| config.region.clone());
            let credentials = Credentials { access_key: access_key.clone(), secret_key: secret_key.clone() };
            let external = External::new(endpoint, region, credentials, Arc::clone(clock));
            KmsService::External(Box::new(external.map_err(ServerError::KeyService)?))
        }
        _ => {
            let failed = |source| ServerError::Open { directory: config.data.clone(), source };
            let secret = store.derived_key(KEYS_PURPOSE).map_err(failed)?;
            let (clock, entropy) = (Arc::clone(clock), Arc::clone(entropy));
            KmsService::Local(KeyStore::open(store.clone(), config.region.clone(), secret, clock, entropy).await?)
        }
    };
    Ok(Keyring::new(service, Arc::clone(entropy)))
}

/// What the secret that seals the local keys is derived for.
const KEYS_PURPOSE: &str = "kms";

/// Every body that may be stored at once can hold a write buffer, however slow its client; with these besides, the fast
/// ones fill one while the other is being written.
const WRITE_BUFFERS_SPARE: usize = 64;

/// How many times a day it is looked whether one is over, for what is done once a day.
const LOOKS_PER_DAY: u32 = 24;
/// However short days are, looks are so far apart.
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);

fn open_options(config: &Config, clock: Arc<dyn Clock>) -> OpenOptions {
    let collect = config.storage.collect_seconds;
    OpenOptions {
        clock,
        segment_bytes: config.storage.segment_bytes,
        cache_bytes: config.storage.cache_bytes,
        collect_every: (collect > 0).then(|| Duration::from_secs(collect)),
        // A report is sealed with no data key, as default encryption with KMS would have it.
        takes_reports: Arc::new(|bucket| DefaultEncryption::of(bucket).is_ok_and(|default| default.asked().is_none())),
        analyze_every: Some((config.lifecycle.day / LOOKS_PER_DAY).max(LOOK_EVERY_MIN)),
        write_buffers_max: config.limits.uploads.saturating_add(WRITE_BUFFERS_SPARE),
        restore_times: config.restore,
        scrub_every: config.scrub.every,
        background_bytes_per_second: config.background.bytes_per_second,
        lifecycle_day: config.lifecycle.day,
        zones: config.zones.clone(),
        ..OpenOptions::new(&config.data)
    }
}

#[cfg(test)]
mod tests;
