//! The endpoint under load: one at a URL, the built-in fake, or Strata started in this process.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::fake::{self, Checking};
use crate::local::Local;
use crate::options::Options;
use crate::sign::Endpoint;

/// An endpoint, and whatever must stay alive for it to answer.
pub struct Target {
    /// Where it is and whom it knows.
    pub endpoint: Endpoint,
    _running: Running,
}

enum Running {
    Elsewhere,
    Fake {
        _local: Local,
    },
    /// Fields drop in this order: the server before its runtime, and its directory last.
    Strata {
        _server: Box<strata::Server>,
        _runtime: Runtime,
        _data: TempDir,
    },
}

impl Target {
    /// Finds or starts the endpoint that the options ask for.
    pub fn open(options: &Options, data: &DataDir) -> Result<Target, Failure> {
        match &options.url {
            Some(url) => Ok(Target { endpoint: at_url(url, options)?, _running: Running::Elsewhere }),
            None if options.fake => {
                let (local, endpoint) = fake::start(&options.region, Checking::Nothing)?;
                Ok(Target { endpoint, _running: Running::Fake { _local: local } })
            }
            None => start_strata(options, data),
        }
    }
}

/// What is under load, for the record.
pub struct About {
    /// What it is.
    pub description: String,
    /// What it promises when it acknowledges a write.
    pub durability: String,
}

impl About {
    /// The endpoint that the options ask for.
    pub fn of(options: &Options) -> About {
        let (description, durability) = match &options.url {
            Some(url) => (format!("endpoint at {url}"), options.durability.as_str()),
            None if options.fake => ("the generator's own fake, in memory".to_owned(), "none"),
            None => ("Strata in this process, on a runtime of its own".to_owned(), "synced before acknowledged"),
        };
        About { description, durability: durability.to_owned() }
    }
}

/// Strata in a directory of its own, which goes with it, and on a runtime of its own, as in its binary.
fn start_strata(options: &Options, data: &DataDir) -> Result<Target, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(Failure::io("start a server's runtime"))?;
    let directory = tempfile::Builder::new()
        .prefix("store-")
        .tempdir_in(data.path())
        .map_err(Failure::io("create the store's directory"))?;
    let server = runtime
        .block_on(strata::Server::start_local(directory.path()))
        .map_err(|error| Failure::Usage(format!("Strata does not start: {error}")))?;
    let endpoint = Endpoint {
        authority: server.address().to_string(),
        access_key: server.credentials().access_key.clone(),
        secret_key: server.credentials().secret_key.expose().to_owned(),
        region: options.region.clone(),
    };
    Ok(Target {
        endpoint,
        _running: Running::Strata { _server: Box::new(server), _runtime: runtime, _data: directory },
    })
}

fn at_url(url: &str, options: &Options) -> Result<Endpoint, Failure> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')).unwrap_or_default();
    if authority.is_empty() || authority.contains('/') {
        let what = format!("{url}: give --url as http://host:port; this client speaks neither TLS nor base paths");
        return Err(Failure::Usage(what));
    }
    if options.access_key.is_empty() || options.secret_key.is_empty() {
        return Err(Failure::Usage("--url needs --access-key and --secret-key".to_owned()));
    }
    // The client connects to what it signs, so the port is always spelled out.
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(Endpoint {
        authority: if has_port { authority.to_owned() } else { format!("{authority}:80") },
        access_key: options.access_key.clone(),
        secret_key: options.secret_key.clone(),
        region: options.region.clone(),
    })
}

/// The directory of the run on a real disk; a temporary one is removed at the end.
pub struct DataDir {
    path: PathBuf,
    _temporary: Option<TempDir>,
    /// The file system's type, as the kernel names it.
    pub file_system: String,
}

impl DataDir {
    /// Opens `--data`, or a temporary directory beside the binary.
    pub fn open(options: &Options) -> Result<DataDir, Failure> {
        let (path, temporary) = match &options.data {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(Failure::io("create --data"))?;
                (path.clone(), None)
            }
            None => {
                let binary = std::env::current_exe().map_err(Failure::io("find this binary"))?;
                let beside = binary.parent().unwrap_or(Path::new("."));
                let directory = tempfile::Builder::new()
                    .prefix("load-")
                    .tempdir_in(beside)
                    .map_err(Failure::io("create a directory beside the binary"))?;
                (directory.path().to_owned(), Some(directory))
            }
        };
        let path = path.canonicalize().map_err(Failure::io("resolve --data"))?;
        let mounts = std::fs::read_to_string("/proc/mounts").map_err(Failure::io("read the mounts"))?;
        let file_system = file_system_of(&path, &mounts);
        if matches!(file_system.as_str(), "tmpfs" | "ramfs") {
            let what = format!("{} is memory: a sync costs nothing there; give --data on a disk", path.display());
            return Err(Failure::Usage(what));
        }
        Ok(DataDir { path, _temporary: temporary, file_system })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The type of the file system that holds `path`: that of the longest mount point above it, the last one mounted there.
fn file_system_of(path: &Path, mounts: &str) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let point = fields.next()?;
            path.starts_with(point).then_some((point.len(), fields.next()?))
        })
        .max_by_key(|&(length, _)| length)
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}
