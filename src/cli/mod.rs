//! The commands that ask a running server about its store, and print what it says; and the one that looks at a store
//! without a server.
//!
//! A command finds the server by the settings that `strata serve` reads, signs its requests with the root credentials,
//! and prints a table, or the server's JSON.

mod accounts;
mod backup;
mod buckets;
mod check;
mod client;
mod connection;
mod cost;
mod error;
mod events;
mod keys;
mod lifecycle;
mod moving;
mod replication;
mod reports;
mod restore;
mod scrub;
mod table;
mod zones;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::admin::{InfoDocument, StatusDocument};
use crate::cost::DEFAULT_PRICES;

pub use accounts::AccountCommand;
pub use backup::BackupArgs;
pub use buckets::BucketCommand;
pub use check::CheckArgs;
use client::Client;
use connection::Connection;
pub use error::CliError;
pub use events::EventCommand;
pub use keys::KeyCommand;
pub use moving::{ExportArgs, ImportArgs};
pub use replication::ReplicationCommand;
pub use restore::RestoreArgs;
pub use scrub::ScrubCommand;
pub use table::printable;
pub use zones::ZoneCommand;

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what the server's store is: where it is, what it survives, what it holds.
    Info(AskArgs),
    /// Shows whether the server takes writes, and what its background workers do.
    Status(AskArgs),
    /// Shows what the store would cost at S3's prices, and what its rules will save.
    Cost(CostArgs),
    /// Prints the table of prices that `cost` uses unless it is given another.
    Prices,
    /// Works with buckets: what they hold, and how much they may.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// Works with accounts: who owns buckets, each with users and roles of its own.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Checks a store that no server has open: whether all that it says of itself is so. Ends with 0 if it is sound, with 1
    /// if it has faults, with 2 if it could not be checked.
    Check(CheckArgs),
    /// Backs the store of a running server up, to a directory or to a bucket of another store: what is there already is not
    /// sent again. Ends with 0 if the backup is made and whole, with 1 if not, with 2 if it could not be begun.
    Backup(BackupArgs),
    /// Makes a store of a backup, where there is none, without a server. Ends with 0 if it is there and whole, with 1 if not,
    /// with 2 if it was not begun.
    Restore(RestoreArgs),
    /// Works with scrubbing: the reading and repairing of everything at rest, while the server runs.
    #[command(subcommand)]
    Scrub(ScrubCommand),
    /// Works with zones: the disks that object data is spread over.
    #[command(subcommand)]
    Zone(ZoneCommand),
    /// Works with the keys that the store is encrypted with.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Works with events: what happens, and what waits for the targets of notifications.
    #[command(subcommand)]
    Events(EventCommand),
    /// Works with lifecycle rules.
    #[command(subcommand)]
    Lifecycle(LifecycleCommand),
    /// Works with replication to other buckets: how far it is, what failed, and whether both sides are the same.
    #[command(subcommand)]
    Replication(ReplicationCommand),
    /// Writes a bucket with all its versions to a file, which `import` and ordinary tools can read. Ends with 0 if all is in it,
    /// with 1 if something was left out, with 2 if it could not be done.
    Export(ExportArgs),
    /// Makes a bucket from such a file. Ends as `export`.
    Import(ImportArgs),
}

/// What can be asked about lifecycle rules.
#[derive(Debug, Subcommand)]
pub enum LifecycleCommand {
    /// Shows what rules would do to a bucket, and what they would save. Nothing is changed.
    Preview(PreviewArgs),
}

/// How the server is found and what its answer looks like.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// The server's URL [default: the address that it listens on by its settings].
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The server's configuration file; also STRATA_CONFIG.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory, where generated credentials are [default: ./strata-data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The server's region [default: us-east-1].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What a bill is made of.
#[derive(Debug, Args)]
pub struct CostArgs {
    /// Only this bucket; then what its rules will save is shown too.
    bucket: Option<String>,
    /// A table of prices instead of the built-in one, which `strata prices` prints.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// How many days ahead savings are looked for.
    #[arg(long, value_name = "N", default_value_t = crate::admin::DAYS_DEFAULT, requires = "bucket")]
    days: u32,
    #[command(flatten)]
    ask: AskArgs,
}

/// What to preview.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The bucket.
    bucket: String,
    /// The rules: XML as PutBucketLifecycleConfiguration takes it, or the JSON of aws s3api get-bucket-lifecycle-configuration.
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// A table of prices instead of the built-in one, which `strata prices` prints.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// How many days ahead to look.
    #[arg(long, value_name = "N", default_value_t = crate::admin::DAYS_DEFAULT)]
    days: u32,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs a command and writes what it has to say to `out`.
pub async fn run(command: Command, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        Command::Prices => Ok(out.write_all(DEFAULT_PRICES.as_bytes())?),
        Command::Info(args) => {
            let answer = Client::new(Connection::find(&args)?)?.get("info").await?;
            match args.json {
                true => print_json(&answer, out),
                false => Ok(out.write_all(reports::info(&client::read::<InfoDocument>(&answer)?).as_bytes())?),
            }
        }
        Command::Status(args) => {
            let answer = Client::new(Connection::find(&args)?)?.get("status").await?;
            match args.json {
                true => print_json(&answer, out),
                false => Ok(out.write_all(reports::status(&client::read::<StatusDocument>(&answer)?).as_bytes())?),
            }
        }
        Command::Check(args) => check::run(&args, out),
        Command::Backup(args) => backup::run(&args, out).await,
        Command::Restore(args) => restore::run(&args, out).await,
        Command::Scrub(command) => scrub::run(command, out).await,
        Command::Cost(args) => cost::run(&args, out).await,
        Command::Bucket(command) => buckets::run(command, out).await,
        Command::Key(command) => keys::run(command, out).await,
        Command::Account(command) => accounts::run(command, out).await,
        Command::Zone(command) => zones::run(command, out).await,
        Command::Events(command) => events::run(command, out).await,
        Command::Lifecycle(LifecycleCommand::Preview(args)) => lifecycle::preview(&args, out).await,
        Command::Replication(command) => replication::run(command, out).await,
        Command::Export(args) => moving::export(&args, out).await,
        Command::Import(args) => moving::import(&args, out).await,
    }
}

/// Prints an answer as it came, indented.
fn print_json(answer: &[u8], out: &mut impl Write) -> Result<(), CliError> {
    print_value(&client::read::<serde_json::Value>(answer)?, out)
}

fn print_value(value: &serde_json::Value, out: &mut impl Write) -> Result<(), CliError> {
    Ok(writeln!(out, "{value:#}")?)
}

/// Reads a file that the user names.
fn read_file(path: &std::path::Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::File { path: path.to_owned(), source })
}
