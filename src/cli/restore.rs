//! `strata restore`: makes a store of a backup, where there is none. No server is needed.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use strata_storage::{Error, RestoreOptions, Restored, restore};

use crate::cli::CliError;
use crate::cli::backup::{RepositoryArgs, bar, failed, follow};
use crate::cli::table::size;
use crate::config::{Config, SETTINGS, Sources};
use crate::{credentials, master_key};

/// What to restore, and where.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    of: RepositoryArgs,
    /// The backup [default: the newest].
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// The data directory, missing or empty [default: ./strata-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A directory, missing or empty, that object data is spread over; may be repeated.
    #[arg(long, value_name = "NAME=/PATH")]
    zone: Vec<String>,
    /// Any other setting of the server; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Goes on when files of the backup are damaged: what they held is lost then.
    #[arg(long)]
    salvage: bool,
}

/// Restores a backup. `Err(NotBegun)` if nothing was begun, `Err(Backup)` if there is no store now, or one that lacks
/// something.
pub async fn run(args: &RestoreArgs, out: &mut impl Write) -> Result<(), CliError> {
    let config = settings(args)?;
    let unusable = |error: master_key::MasterKeyError| CliError::NotBegun(error.to_string());
    let key = master_key::kept(&config).map_err(unusable)?;
    let previous = master_key::previous(&config).map_err(unusable)?;
    let repository = args.of.open_apart(&config, &made_in(&config)?)?;
    let options = RestoreOptions {
        snapshot: args.snapshot.clone(),
        may_hold: [master_key::FILE_NAME, credentials::FILE_NAME].map(str::to_owned).to_vec(),
        zones: config.zones.clone(),
        master_key: key,
        segment_bytes: config.storage.segment_bytes,
        cache_bytes: config.storage.cache_bytes,
        salvage: args.salvage,
        ..RestoreOptions::new(&config.data)
    };
    let bar = bar("restoring");
    let restored = match restore(repository.clone(), &options, &mut follow(&bar)).await {
        // As the server opens it: the key was changed in the settings after the backup was made.
        Err(Error::MasterKeyWrong) if previous.is_some() => {
            restore(repository, &RestoreOptions { master_key: previous, ..options }, &mut follow(&bar)).await
        }
        restored => restored,
    };
    bar.finish_and_clear();
    let restored = restored.map_err(|error| refused(&error, &config))?;
    let Restored { snapshot, records, bytes, lost_records } = restored;
    let data = config.data.display();
    match args.of.json {
        true => {
            let document = json!({
                "backup": snapshot, "data": data.to_string(), "records": records, "bytes": bytes,
                "lost_records": lost_records,
            });
            crate::cli::print_value(&document, out)?;
        }
        false => writeln!(out, "{snapshot} is restored in {data}: {records} records, {} read", size(bytes))?,
    }
    match lost_records {
        0 => Ok(()),
        lost => {
            let advice = "`strata check --deep` says to which objects they belong";
            Err(CliError::Backup(format!("the store lacks {lost} records that the backup did not have; {advice}")))
        }
    }
}

/// The directories that a store of these settings uses.
fn made_in(config: &Config) -> Result<Vec<PathBuf>, CliError> {
    let zones = config.zones.iter().map(|zone| &zone.directory);
    let directories = zones.chain([&config.data]).map(std::path::absolute);
    directories.collect::<Result<_, _>>().map_err(|error| CliError::NotBegun(error.to_string()))
}

fn settings(args: &RestoreArgs) -> Result<Config, CliError> {
    let mut sources = Sources::of_process(args.of.config.clone()).map_err(CliError::Usage)?;
    let data = args.data.as_ref().map(|data| data.display().to_string());
    sources.flags.extend(data.map(|data| ("--data".to_owned(), "data".to_owned(), data)));
    if !args.zone.is_empty() {
        sources.flags.push(("--zone".to_owned(), "zones".to_owned(), args.zone.join(",")));
    }
    for pair in &args.set {
        let usage = || CliError::Usage(format!("--set {pair:?} is not NAME=VALUE"));
        let (name, value) = pair.split_once('=').ok_or_else(usage)?;
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.secret && setting.name == name) {
            let variable = setting.variable();
            return Err(CliError::Usage(format!("{name} cannot be set by a flag; use {variable} or a file")));
        }
        sources.flags.push((format!("--set {name}"), name.to_owned(), value.to_owned()));
    }
    Ok(Config::load(&sources)?)
}

fn refused(error: &Error, config: &Config) -> CliError {
    let source = master_key::MasterKeySource::of(config).name();
    match error {
        Error::MasterKeyMissing | Error::MasterKeyWrong => CliError::NotBegun(format!(
            "{error}; it was looked for in {source}. It is in no backup: put the file that was kept apart there, or name \
             it with --set encryption.master_key_file=FILE"
        )),
        error => failed(error),
    }
}
