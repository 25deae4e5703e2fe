//! The `strata` program: `serve` runs a server until a signal, `config` prints an example configuration, `check` looks at a
//! store without a server, and the other commands ask a running one.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use strata::cli::{self, CliError};
use strata::config::{Config, SETTINGS, Sources, example};
use strata::credentials::{Origin, endpoint_export};
use strata::log;
use strata::server::{Reload, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};

// The system's allocator keeps much more memory after bursts of large and small requests.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// An object store that speaks S3.
#[derive(Parser)]
#[command(name = "strata", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a server until it is told to stop.
    Serve(ServeArgs),
    /// Prints an example configuration file: every setting with its default.
    Config,
    #[command(flatten)]
    Ask(cli::Command),
}

#[derive(Args)]
struct ServeArgs {
    /// The configuration file; also STRATA_CONFIG.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory [default: ./strata-data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The address to listen on [default: 127.0.0.1:9000].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// The region [default: us-east-1].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A domain whose subdomains name buckets; may be repeated.
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
    /// A directory on a disk of its own that object data is spread over; may be repeated.
    #[arg(long, value_name = "NAME=/PATH")]
    zone: Vec<String>,
    /// How log lines look: text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// The least level that is logged [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Any other setting, such as limits.uploads=64; may be repeated. `strata config` lists them.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Wrong settings, as opposed to a failure to start.
const EXIT_USAGE: u8 = 2;

/// The files that the store may hold open beside the connections: those of the index, and segments being read and
/// written.
const STORE_FILES_MAX: usize = 1200;

/// As shells report a program ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Config => {
            print!("{}", example());
            ExitCode::SUCCESS
        }
        Command::Serve(args) => serve(args),
        Command::Ask(command) => ask(command),
    }
}

/// Asks a running server, or looks at a store. One thread is enough for it.
fn ask(command: cli::Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start a runtime: {error}")),
    };
    match runtime.block_on(cli::run(command, &mut std::io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, as `head` does.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_status(), &error.to_string()),
    }
}

fn serve(args: ServeArgs) -> ExitCode {
    let mut config = match sources(args).and_then(|sources| Config::load(&sources).map_err(|error| error.to_string())) {
        Ok(config) => config,
        Err(reason) => return fail(EXIT_USAGE, &reason),
    };
    log::start(&config.log);
    if !config.server.core_dumps {
        keep_memory_private();
    }
    fit_open_files(&mut config);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start threads: {error}")),
    };
    runtime.block_on(run(config))
}

/// Raises the limit of open files as far as allowed: the usual 1,024 are meant for programs that use select(). Then
/// keeps connections from using up what the store needs, which would stop at the first file that it cannot open.
fn fit_open_files(config: &mut Config) {
    let allowed = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let connections = files.saturating_sub(STORE_FILES_MAX).max(files / 2);
    if connections < config.limits.connections {
        tracing::warn!(files, connections, "fewer connections than configured: the limit of open files is too low");
        config.limits.connections = connections;
    }
}

/// Keeps secrets that are in memory out of core files, and from debuggers of other processes of the same user.
fn keep_memory_private() {
    let allowed = getrlimit(Resource::Core);
    let limited = setrlimit(Resource::Core, Rlimit { current: Some(0), ..allowed });
    if let Err(error) = limited.and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable)) {
        tracing::warn!(%error, "cannot keep the memory out of core files");
    }
}

async fn run(config: Config) -> ExitCode {
    // Before the start, so that a signal during it is not lost.
    let signals = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    // Without a certificate or an audit log the end of a terminal ends the server, as it does other programs.
    let listens = config.tls.config().is_some() || config.audit.file.is_some();
    let hangups = listens.then(|| signal(SignalKind::hangup())).transpose();
    let ((mut terminate, mut interrupt), mut hangups) = match signals.and_then(|signals| Ok((signals, hangups?))) {
        Ok(signals) => signals,
        Err(error) => return fail(1, &format!("cannot listen for signals: {error}")),
    };
    let server = match Server::start(config).await {
        Ok(server) => server,
        Err(error) => return fail(1, &error.to_string()),
    };
    announce(&server);
    loop {
        tokio::select! {
            () = stop_signal(&mut terminate, &mut interrupt) => break,
            () = hangup(&mut hangups) => {
                server.reopen_audit_log();
                reload_certificate(&server).await;
            }
        }
    }
    tracing::info!("stopping: requests in flight may finish; a second signal stops at once");
    tokio::spawn(async move {
        stop_signal(&mut terminate, &mut interrupt).await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    match server.shutdown().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

async fn stop_signal(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Waits for a SIGHUP, if there is anything to do then.
async fn hangup(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => {
            hangups.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn reload_certificate(server: &Server) {
    match server.reload_certificate().await {
        Ok(Reload::Replaced) => tracing::info!("new connections get the certificate that replaced the former one"),
        Ok(Reload::Unchanged) => tracing::info!("the certificate has not changed"),
        Err(error) => tracing::error!(%error, "the certificate cannot be used; the former one stays in force"),
    }
}

/// Says where the server is and how to reach it. The secret is shown once, when it is made.
fn announce(server: &Server) {
    let endpoint = server.endpoint();
    let text = match server.credentials_origin() {
        Origin::Generated(path) => format!(
            "# Generated root credentials, kept in {} and shown only this once; the region is {}.\n{}\n",
            path.display(),
            server.config().region,
            server.credentials().exports(&endpoint)
        ),
        Origin::Stored(path) => {
            format!("# Root credentials are in {}\n{}\n", path.display(), endpoint_export(&endpoint))
        }
        Origin::Configured => format!("{}\n", endpoint_export(&endpoint)),
    };
    // Nobody may be reading; the server works all the same.
    let _shown = std::io::stdout().write_all(text.as_bytes());
    let address = server.address();
    tracing::info!(%address, data = %server.config().data.display(), "serving");
    if !address.ip().is_loopback() && !server.is_encrypted() {
        tracing::warn!(%address, "requests travel unencrypted; set tls.certificate and tls.private_key");
    }
}

fn sources(args: ServeArgs) -> Result<Sources, String> {
    let mut sources = Sources::of_process(args.config)?;
    let flags = [
        ("data", args.data),
        ("listen", args.listen),
        ("region", args.region),
        ("domains", (!args.domain.is_empty()).then(|| args.domain.join(","))),
        ("zones", (!args.zone.is_empty()).then(|| args.zone.join(","))),
        ("log.format", args.log_format),
        ("log.level", args.log_level),
    ];
    for (name, value) in flags {
        let flag = match name {
            "domains" => "--domain".to_owned(),
            "zones" => "--zone".to_owned(),
            _ => format!("--{}", name.replace('.', "-")),
        };
        sources.flags.extend(value.map(|value| (flag, name.to_owned(), value)));
    }
    for pair in args.set {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("--set {pair:?} is not NAME=VALUE"))?;
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.secret && setting.name == name) {
            return Err(format!(
                "{name} cannot be set by a flag, which other users of the machine can see; use the environment \
                 variable {} or a file",
                setting.variable()
            ));
        }
        sources.flags.push((format!("--set {name}"), name.to_owned(), value.to_owned()));
    }
    Ok(sources)
}

fn fail(code: u8, reason: &str) -> ExitCode {
    eprintln!("strata: {}", cli::printable(&reason.replace('\n', " ")));
    ExitCode::from(code)
}
