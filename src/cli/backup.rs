//! `strata backup`: has a running server back its store up, and shows how that goes; lists, verifies and prunes what is in a
//! repository, for which no server is needed.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use strata_storage::{
    BackupInfo, BackupProgress, Clock, Error, Repository, SystemClock, SystemEntropy, VerifyReport, backups,
    prune_backups, unlock_repository, verify_backup,
};

use crate::admin::{BackupDocument, BackupQuestion};
use crate::backup;
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::{Table, printable, size};
use crate::cli::{AskArgs, CliError, print_json, print_value};
use crate::config::{Config, Sources};
use crate::replication::Regions;
use crate::time::iso8601;

/// How often a backup is asked after.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What to do about backups.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    #[command(flatten)]
    make: MakeArgs,
}

/// A backup to make.
#[derive(Debug, Args)]
struct MakeArgs {
    /// Where it goes: a directory of the server's machine, or s3://BUCKET/PREFIX in a store of [[regions]].
    #[arg(value_name = "DIR|S3-URL", required = true)]
    repository: Option<String>,
    /// The name of the [[regions]] that has the bucket [default: the first that may].
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Sends everything, whatever the repository has.
    #[arg(long)]
    full: bool,
    /// Begins the backup and does not wait for its end.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// What to do with backups that there are.
#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Shows how the backup under way goes, or how the last one went.
    Status(AskArgs),
    /// Lists the backups of a repository.
    List(RepositoryArgs),
    /// Reads all that a backup names, and tells what is missing or damaged.
    Verify {
        #[command(flatten)]
        of: RepositoryArgs,
        /// The backup [default: the newest].
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
    },
    /// Removes all but the newest backups, and what only those needed. If these lack records, the newest whole one stays too.
    Prune {
        #[command(flatten)]
        of: RepositoryArgs,
        /// How many stay.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
    },
    /// Takes back the lock of a backup or pruning that died. Make sure that it did.
    Unlock(RepositoryArgs),
}

/// A repository, and where the keys to it are.
#[derive(Debug, Args)]
pub struct RepositoryArgs {
    /// The repository: a directory, or s3://BUCKET/PREFIX in a store of [[regions]].
    #[arg(value_name = "DIR|S3-URL")]
    repository: String,
    /// The name of the [[regions]] that has the bucket [default: the first that may].
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// The configuration file; also STRATA_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

impl RepositoryArgs {
    /// The repository, by settings that hold the keys to it.
    pub fn open(&self, config: &Config) -> Result<Arc<dyn Repository>, CliError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let regions = Regions::open(config, &clock).map_err(|error| CliError::Usage(error.to_string()))?;
        backup::open(&absolute(&self.repository)?, self.site.as_deref(), &regions).map_err(CliError::Usage)
    }

    /// As [`RepositoryArgs::open`], of one that shares nothing with these directories.
    pub fn open_apart(&self, config: &Config, used: &[PathBuf]) -> Result<Arc<dyn Repository>, CliError> {
        backup::refuse_within(&absolute(&self.repository)?, used).map_err(CliError::NotBegun)?;
        self.open(config)
    }

    fn open_by_settings(&self) -> Result<Arc<dyn Repository>, CliError> {
        let sources = Sources::of_process(self.config.clone()).map_err(CliError::Usage)?;
        self.open(&Config::load(&sources)?)
    }
}

/// Runs a command. `Err(Backup)` if what was begun did not succeed, or is not whole; `Err(NotBegun)` if it was not begun.
pub async fn run(args: &BackupArgs, out: &mut impl Write) -> Result<(), CliError> {
    match &args.command {
        None => make(&args.make, out).await,
        Some(BackupCommand::Status(args)) => {
            let answer = Client::new(Connection::find(args)?)?.get("backup").await.map_err(not_begun)?;
            show(&answer, args.json, out)
        }
        Some(BackupCommand::List(args)) => list(args, out).await,
        Some(BackupCommand::Verify { of, snapshot }) => verify(of, snapshot.as_deref(), out).await,
        Some(BackupCommand::Prune { of, keep }) => prune(of, *keep, out).await,
        Some(BackupCommand::Unlock(args)) => {
            unlock_repository(args.open_by_settings()?).await.map_err(|error| failed(&error))?;
            match args.json {
                true => print_value(&json!({ "unlocked": true }), out),
                false => Ok(writeln!(out, "unlocked")?),
            }
        }
    }
}

async fn make(args: &MakeArgs, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let repository = absolute(args.repository.as_deref().unwrap_or_default())?;
    let question = BackupQuestion { repository, site: args.site.clone(), full: args.full };
    let body = serde_json::to_vec(&question).map_err(|error| CliError::Usage(error.to_string()))?;
    let question = Question { method: Method::POST, target: "backup/start".to_owned(), body: &body };
    let mut answer = client.ask(question).await.map_err(not_begun)?;
    let mut document: BackupDocument = client::read(&answer)?;
    let bar = bar("backing up");
    while document.running && !args.no_wait {
        bar.set_length(document.total_bytes.max(document.done_bytes));
        bar.set_position(document.done_bytes);
        tokio::time::sleep(ASK_EVERY).await;
        answer = client.get("backup").await?;
        document = client::read(&answer)?;
    }
    bar.finish_and_clear();
    show(&answer, args.ask.json, out)
}

/// Prints how a backup goes or went. `Err(Backup)` if it has ended and is not there, or not whole.
fn show(answer: &[u8], json: bool, out: &mut impl Write) -> Result<(), CliError> {
    let document: BackupDocument = client::read(answer)?;
    match json {
        true => print_json(answer, out)?,
        false => out.write_all(text(&document).as_bytes())?,
    }
    if document.running || document.started.is_none() {
        return Ok(());
    }
    match (document.snapshot, document.lost_records) {
        (Some(_), 0) => Ok(()),
        (Some(_), lost) => Err(CliError::Backup(format!("the backup is incomplete: {lost} records cannot be read"))),
        (None, _) => {
            Err(CliError::Backup(format!("the backup failed: {}", document.error.as_deref().unwrap_or("it broke off"))))
        }
    }
}

/// How it goes, for people.
fn text(document: &BackupDocument) -> String {
    let none = || "-".to_owned();
    let percent = document.done_bytes.saturating_mul(100).checked_div(document.total_bytes).unwrap_or(0).min(100);
    let state = match (document.running, &document.started, &document.snapshot) {
        (true, ..) => format!("running, {percent} %"),
        (false, None, _) => return "no backup was made since the server started\n".to_owned(),
        (false, Some(_), Some(_)) => "made".to_owned(),
        (false, Some(_), None) => format!("failed: {}", document.error.as_deref().unwrap_or("it broke off")),
    };
    format!(
        "state       {}\nrepository  {}\nbackup      {}\nstarted     {}\nfinished    {}\nlooked at   {} in {} \
         records\nsent        {} in {} records\n{}",
        printable(&state),
        printable(&document.repository.clone().unwrap_or_else(none)),
        document.snapshot.clone().unwrap_or_else(none),
        document.started.clone().unwrap_or_else(none),
        document.finished.clone().unwrap_or_else(none),
        size(document.done_bytes),
        document.records,
        size(document.sent_bytes),
        document.sent_records,
        match document.lost_records {
            0 => String::new(),
            lost => format!("lost        {lost} records that cannot be read\n"),
        },
    )
}

async fn list(args: &RepositoryArgs, out: &mut impl Write) -> Result<(), CliError> {
    let infos = backups(args.open_by_settings()?).await.map_err(|error| failed(&error))?;
    if args.json {
        let document = |info: &BackupInfo| {
            json!({
                "id": info.id,
                "taken": info.taken.map(iso8601),
                "records": info.records,
                "record_bytes": info.record_bytes,
                "index_bytes": info.index_bytes,
                "sent_bytes": info.sent_bytes,
                "lost_records": info.lost_records,
            })
        };
        return print_value(&json!({ "backups": infos.iter().map(document).collect::<Vec<_>>() }), out);
    }
    Ok(out.write_all(listed(&infos).as_bytes())?)
}

/// The backups, for people.
fn listed(infos: &[BackupInfo]) -> String {
    let mut table = Table::new(&["BACKUP", "TAKEN", "RECORDS", "BYTES", "INDEX", "SENT", "LOST"]);
    for info in infos {
        table.row(vec![
            printable(&info.id),
            info.taken.map_or_else(|| "damaged".to_owned(), iso8601),
            info.records.to_string(),
            size(info.record_bytes),
            size(info.index_bytes),
            size(info.sent_bytes),
            info.lost_records.to_string(),
        ]);
    }
    table.text()
}

async fn verify(args: &RepositoryArgs, id: Option<&str>, out: &mut impl Write) -> Result<(), CliError> {
    let bar = bar("verifying");
    let verified = verify_backup(args.open_by_settings()?, id, &mut follow(&bar)).await;
    bar.finish_and_clear();
    let VerifyReport { snapshot, files, bytes, lost_records, damaged } = verified.map_err(|error| failed(&error))?;
    if args.json {
        let sound = damaged.is_empty();
        let document = json!({
            "backup": snapshot, "files": files, "bytes": bytes, "lost_records": lost_records, "damaged": damaged,
            "sound": sound,
        });
        print_value(&document, out)?;
    } else {
        for name in &damaged {
            writeln!(out, "DAMAGED {}", printable(name))?;
        }
        writeln!(out, "{snapshot}: {files} files, {} read, {} damaged", size(bytes), damaged.len())?;
    }
    match damaged.len() {
        0 => Ok(()),
        count => Err(CliError::Backup(format!(
            "{count} files are missing or damaged; remove those that are damaged, and the next backup sends what the \
             store still has of them"
        ))),
    }
}

async fn prune(args: &RepositoryArgs, keep: u32, out: &mut impl Write) -> Result<(), CliError> {
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let pruned = prune_backups(args.open_by_settings()?, keep, SystemClock.now(), &SystemEntropy).await;
    let pruned = pruned.map_err(|error| failed(&error))?;
    if args.json {
        let document = json!({
            "removed": pruned.removed, "kept": pruned.kept, "files": pruned.files, "bytes": pruned.bytes,
        });
        return print_value(&document, out);
    }
    let (removed, kept, files) = (pruned.removed, pruned.kept, pruned.files);
    Ok(writeln!(out, "{removed} backups removed, {kept} kept; {files} files of {} freed", size(pruned.bytes))?)
}

/// What the server does is relative to nothing: a directory is named as it is seen from here.
fn absolute(place: &str) -> Result<String, CliError> {
    if place.contains("://") {
        return Ok(place.to_owned());
    }
    let path = std::path::absolute(place).map_err(|error| CliError::Usage(format!("{place:?}: {error}")))?;
    path.into_os_string().into_string().map_err(|_| CliError::Usage(format!("{place:?} is not UTF-8")))
}

/// A bar of bytes. Nothing is drawn unless the standard error is a terminal.
pub fn bar(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent:>3}% {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(0).with_style(style.expect("the template is right").progress_chars("=> "));
    bar.set_message(what);
    bar
}

/// What moves a bar.
pub fn follow(bar: &ProgressBar) -> impl FnMut(BackupProgress) + Send + use<'_> {
    |progress| {
        bar.set_length(progress.total_bytes.max(progress.done_bytes));
        bar.set_position(progress.done_bytes);
    }
}

/// Why something could not be done with a repository: it was not begun if the engine says what to do about it.
pub fn failed(error: &Error) -> CliError {
    match error {
        Error::Backup(_) | Error::MasterKeyMissing | Error::MasterKeyWrong | Error::Locked => {
            CliError::NotBegun(error.to_string())
        }
        error => CliError::Backup(error.to_string()),
    }
}

fn not_begun(error: CliError) -> CliError {
    CliError::NotBegun(error.to_string())
}

#[cfg(test)]
mod tests {
    use strata_storage::{BackupInfo, Timestamp};

    use super::{listed, show, text};
    use crate::admin::BackupDocument;

    #[test]
    fn backups_are_told() {
        let mut document = BackupDocument::default();
        assert_eq!(text(&document), "no backup was made since the server started\n");
        document = BackupDocument {
            running: true,
            repository: Some("/backups".to_owned()),
            started: Some("2026-01-01T00:00:00Z".to_owned()),
            total_bytes: 4096,
            done_bytes: 1024,
            records: 3,
            sent_records: 1,
            sent_bytes: 512,
            ..document
        };
        assert_eq!(
            text(&document),
            "state       running, 25 %\nrepository  /backups\nbackup      -\nstarted     2026-01-01T00:00:00Z\n\
             finished    -\nlooked at   1.0 KiB in 3 records\nsent        512 B in 1 records\n"
        );
    }

    #[test]
    fn backups_that_lack_records_are_listed_as_such() {
        let info = BackupInfo {
            id: "20260101t000000.000z-00".to_owned(),
            taken: Some(Timestamp::from_secs(1_767_225_600)),
            records: 7,
            record_bytes: 2048,
            index_bytes: 1024,
            sent_bytes: 512,
            lost_records: 3,
        };
        let text = listed(&[info]);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!((rows[0].last(), rows[1].last()), (Some(&"LOST"), Some(&"3")), "{text}");
    }

    #[test]
    fn the_end_says_whether_it_is_there() {
        fn check(snapshot: Option<&str>, lost_records: u64, expected: Option<&str>) {
            let document = BackupDocument {
                started: Some("now".to_owned()),
                snapshot: snapshot.map(str::to_owned),
                error: Some("no room".to_owned()),
                lost_records,
                ..BackupDocument::default()
            };
            let shown = show(&serde_json::to_vec(&document).unwrap(), true, &mut Vec::new());
            match (shown, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => {
                    assert!(error.to_string().contains(expected), "{error}");
                    assert_eq!(error.exit_status(), 1);
                }
                (shown, _) => panic!("{shown:?}"),
            }
        }
        check(Some("id"), 0, None);
        check(Some("id"), 2, Some("incomplete: 2 records"));
        check(None, 0, Some("no room"));
    }
}
