//! `strata import`: a bucket is made from a file.
//!
//! 1. The whole file is read and checked, if it is one and not a pipe: one that is damaged leaves nothing anywhere.
//! 2. The bucket is made, and set to what its versions need.
//! 3. The versions come, each verified before the store has its last byte.
//! 4. The bucket is configured.
//!
//! An import that is broken off leaves the versions that came before, without the bucket's rules. The next one, told that the
//! bucket may have versions, leaves out what is there.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, Write};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use strata_storage::{Clock as _, Stamp, SystemClock};

use super::archive::ArchiveError;
use super::document::Properties;
use super::pack::Pack;
use super::place::Place;
use super::put::{Outcome, Put};
use super::report::Report;
use super::target::{self, Wishes};
use super::there::{Presence, There};
use super::version::{self, Way};
use super::{ImportArgs, SMALL_BYTES_MAX, TOGETHER, configuration};
use crate::cli::CliError;
use crate::cli::connection::Connection;

/// Why a `null` version is left out.
const NEWER: &str = "the bucket has a null version that is newer, and stays";

/// Runs the command.
pub async fn run(args: &ImportArgs, out: &mut impl Write) -> Result<(), CliError> {
    if args.file.as_os_str() == "-" {
        let mut pack = Pack::open(std::io::stdin().lock()).map_err(|error| failed(&error))?;
        return import(args, &mut pack, Report::new(out, args.ask.json, None)).await;
    }
    let unreadable = |source| CliError::File { path: args.file.clone(), source };
    let mut file = File::open(&args.file).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let bytes = metadata.is_file().then_some(metadata.len());
    let report = Report::new(out, args.ask.json, bytes);
    if metadata.is_file() {
        let mut pack = open(&file)?;
        while pack.version().map_err(|error| failed(&error))?.is_some() {
            report.checking(pack.position());
        }
        file.rewind().map_err(unreadable)?;
    }
    import(args, &mut open(&file)?, report).await
}

fn open(file: &File) -> Result<Pack<BufReader<&File>>, CliError> {
    Pack::open(BufReader::with_capacity(1 << 20, file)).map_err(|error| failed(&error))
}

fn failed(error: &ArchiveError) -> CliError {
    CliError::NotDone(error.to_string())
}

async fn import<R: Read>(args: &ImportArgs, pack: &mut Pack<R>, mut report: Report<'_>) -> Result<(), CliError> {
    let bucket = pack.bucket().clone();
    let name = args.bucket.clone().unwrap_or_else(|| bucket.bucket.clone());
    let place = Place::new(Connection::find(&args.ask)?, &name)?;
    let (into_existing, as_new, configured) = (args.into_existing, args.as_new, !args.no_configuration);
    let wishes = Wishes { into_existing, as_new, configured };
    let holds = target::prepare(&place, &bucket, wishes, &mut report).await?;
    let mut import =
        Import { place: &place, as_new, there: There::new(&place, holds), before: None, report: &mut report };
    import.versions(pack).await?;
    if configured {
        configuration::apply(&place, &bucket.configuration, &mut report).await?;
    }
    report.finish("imported", &name)
}

/// An import under way.
struct Import<'a, 'r> {
    place: &'a Place,
    as_new: bool,
    there: There<'a>,
    /// The version before, and its key.
    before: Option<(String, Stamp)>,
    report: &'a mut Report<'r>,
}

impl Import<'_, '_> {
    async fn versions<R: Read>(&mut self, pack: &mut Pack<R>) -> Result<(), CliError> {
        let mut under_way = FuturesUnordered::new();
        let mut last_key = String::new();
        while let Some(properties) = pack.version().map_err(|error| failed(&error))? {
            self.report.at(pack.position());
            if let Some(reason) = &properties.left_out {
                let reason = format!("not in the file: {reason}");
                self.report.version(&properties.key, &properties.version_id, &reason)?;
                continue;
            }
            // New versions of one key come one after another; those with ids find their places in any order.
            let waits_for_all = self.as_new && last_key == properties.key;
            let most = if waits_for_all { 0 } else { TOGETHER - 1 };
            while under_way.len() > most {
                let Some(done) = under_way.next().await else { break };
                self.done(done?)?;
            }
            last_key.clone_from(&properties.key);
            let way = match self.way(&properties) {
                Ok(way) => way,
                Err(reason) => {
                    self.report.version(&properties.key, &properties.version_id, &reason)?;
                    continue;
                }
            };
            let put = Put { place: self.place, way, now: SystemClock.now() };
            let presence = self.there.find(&properties, way).await?;
            if presence == Presence::Newer {
                self.report.version(&properties.key, &properties.version_id, NEWER)?;
            } else if presence == Presence::There {
                under_way.push(futures_util::future::Either::Left(put.again(properties)));
            } else if properties.size <= SMALL_BYTES_MAX && properties.parts.is_empty() {
                let content = match pack.collect() {
                    Ok(content) => content,
                    Err(ArchiveError::Broken(reason)) => {
                        self.done((properties, Outcome::Refused(format!("not in the file: {reason}"))))?;
                        continue;
                    }
                    Err(error) => return Err(failed(&error)),
                };
                under_way.push(futures_util::future::Either::Right(put.small(properties, content)));
            } else {
                // They are not polled while a large one is under way, and their connections would end.
                while let Some(done) = under_way.next().await {
                    self.done(done?)?;
                }
                let outcome = put.large(&properties, pack, self.report).await?;
                self.done((properties, outcome))?;
            }
        }
        while let Some(done) = under_way.next().await {
            self.done(done?)?;
        }
        Ok(())
    }

    /// Where a version goes. `Err` says why nowhere.
    fn way(&mut self, properties: &Properties) -> Result<Way, String> {
        if self.as_new {
            return Ok(Way::AsNew);
        }
        let before = self.before.take().filter(|(key, _)| *key == properties.key).map(|(_, stamp)| stamp);
        let stamp = version::stamp(properties, before)
            .ok_or_else(|| "its version id is none of a Strata's, or its time cannot be read".to_owned())?;
        self.before = Some((properties.key.clone(), stamp));
        Ok(Way::ById(stamp))
    }

    fn done(&mut self, (properties, outcome): (Properties, Outcome)) -> Result<(), CliError> {
        let Properties { key, version_id, size, delete_marker, incomplete, .. } = &properties;
        let (counts, notes) = (&mut self.report.counts, incomplete.iter());
        let incomplete = match outcome {
            Outcome::Refused(reason) => return self.report.version(key, version_id, &reason),
            Outcome::Made(incomplete) => {
                counts.bytes = counts.bytes.saturating_add(*size);
                incomplete
            }
            Outcome::AlreadyThere(incomplete) => {
                counts.already_there += 1;
                incomplete
            }
        };
        match delete_marker {
            true => counts.delete_markers += 1,
            false => counts.objects += 1,
        }
        for reason in notes.chain(&incomplete) {
            self.report.version(key, version_id, reason)?;
        }
        Ok(())
    }
}
