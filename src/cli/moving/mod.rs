//! `strata export` and `strata import`: a bucket with all its versions as one file, over the API that every client uses.
//!
//! `name` says what the file's members are called, `document` what is in those that are no contents, `archive` how they lie one
//! after another, `pack` how they are read again. `place` asks a store; `listing`, `source`, `acl` and `configuration` say what.

mod acl;
mod archive;
mod configuration;
mod document;
mod export;
mod import;
mod listing;
mod name;
mod pack;
mod place;
mod put;
mod report;
mod source;
mod target;
mod there;
mod version;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::{AskArgs, CliError};

/// Requests under way at once.
const TOGETHER: usize = 16;
/// The largest content that is held in memory, in bytes: some sixteen of them at once.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// How long nothing may come of a content.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What to export.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The bucket.
    bucket: String,
    /// The file, a tar archive; `-` for the standard output.
    file: PathBuf,
    /// Only keys that begin so.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Only what is visible: no older versions, no delete markers.
    #[arg(long)]
    current: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// What to import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A file that `export` wrote; `-` for the standard input.
    file: PathBuf,
    /// The bucket [default: the name of the one that was exported].
    bucket: Option<String>,
    /// Goes on with an import that was interrupted, or adds to a bucket that is in use.
    #[arg(long)]
    into_existing: bool,
    /// Makes new versions in the order of the old ones, as any store takes them: ids and times are not kept.
    #[arg(long)]
    as_new: bool,
    /// Leaves out the bucket's configuration.
    #[arg(long)]
    no_configuration: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs `export`. `Err(LeftOut)` if something was left out; any other error tells that there is no file.
pub async fn export(args: &ExportArgs, out: &mut impl Write) -> Result<(), CliError> {
    export::run(args, out).await.map_err(not_done)
}

/// Runs `import`. `Err(LeftOut)` if something was left out; any other error tells that it was not done, or not to its end.
pub async fn import(args: &ImportArgs, out: &mut impl Write) -> Result<(), CliError> {
    import::run(args, out).await.map_err(not_done)
}

/// All that ends a move before its end has one exit status.
fn not_done(error: CliError) -> CliError {
    match error {
        CliError::LeftOut(_) => error,
        // Whoever reads has seen enough: no fault, but no whole file either.
        error if error.exit_status() == 2 => error,
        error => CliError::NotDone(error.to_string()),
    }
}
