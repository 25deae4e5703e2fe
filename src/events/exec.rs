//! Local programs: each batch of events is the standard input of one run.
//!
//! A run that ends with 0 has taken its events; 75 (EX_TEMPFAIL) asks for them again later; everything else, and taking
//! too long, refuses them. When a run refuses several events, each is given alone, so that only those that are at fault
//! are put aside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rustix::fs::{Access, access};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::arn::TargetArn;
use super::concurrency::Concurrency;
use super::order::deliver_each;
use super::program::{End, Program};
use super::target::{Deliveries, DeliveryError, Message, Target};
use crate::config::{call_time, memory};
use crate::credentials::Secret;

/// The exit status that says "later", as sendmail has it.
const EX_TEMPFAIL: i32 = 75;
const BATCH_MAX: usize = 10;

/// The settings of a local program.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecSettings {
    /// The program, an absolute path or a name to be found in `PATH`, and its arguments.
    pub command: Vec<String>,
    /// Its environment, besides `PATH` and `HOME`.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// Its working directory; the system's directory for temporary files if it is left out.
    pub directory: Option<PathBuf>,
    /// How long a run may take.
    #[serde(default = "timeout_default", deserialize_with = "call_time")]
    pub timeout: Duration,
    /// The address space of each process, in bytes.
    #[serde(default = "memory_default", deserialize_with = "memory")]
    pub memory: u64,
    /// How many runs there are at once.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// How many events one run is given at most, 1 to 10.
    #[serde(default = "batch_default")]
    pub batch: usize,
}

fn timeout_default() -> Duration {
    Duration::from_mins(1)
}

fn memory_default() -> u64 {
    512 << 20
}

fn batch_default() -> usize {
    1
}

/// A local program.
pub struct Exec {
    arn: TargetArn,
    program: Program,
    turns: Semaphore,
    concurrency: usize,
    batch: usize,
}

/// The part of S3's message that runs are given of several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

impl Exec {
    /// The program that the settings name. `Err` says what is wrong with them.
    pub fn open(settings: &ExecSettings, arn: &TargetArn) -> Result<Exec, String> {
        let program = settings.command.first().map(String::as_str).unwrap_or_default();
        if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
            return Err("command must begin with the absolute path of a program, or with its name alone".to_owned());
        }
        if !(1..=BATCH_MAX).contains(&settings.batch) {
            return Err(format!("batch must be a whole number from 1 to {BATCH_MAX}"));
        }
        if settings.directory.as_ref().is_some_and(|directory| !directory.is_absolute()) {
            return Err("directory must be an absolute path".to_owned());
        }
        let texts = settings.command.iter().map(String::as_str).chain(settings.env.values().map(Secret::expose));
        if texts.chain(settings.env.keys().map(String::as_str)).any(|text| text.contains('\0'))
            || settings.env.keys().any(|name| name.is_empty() || name.contains('='))
        {
            return Err("command and env must hold no zero bytes, and names in env no =".to_owned());
        }
        let program = Program {
            command: settings.command.clone(),
            env: settings.env.clone(),
            directory: settings.directory.clone().unwrap_or_else(std::env::temp_dir),
            memory_bytes: settings.memory,
            time_max: settings.timeout,
        };
        let turns = Semaphore::new(settings.concurrency.get());
        let concurrency = settings.concurrency.get();
        Ok(Exec { arn: arn.clone(), program, turns, concurrency, batch: settings.batch })
    }

    async fn run(&self, input: &[u8]) -> Result<(), DeliveryError> {
        let unavailable = |reason: String| DeliveryError::Unavailable(reason);
        let _turn = self.turns.acquire().await.map_err(|error| unavailable(error.to_string()))?;
        let tell = |stream: &'static str, line: &str| tracing::info!(arn = %self.arn, stream, ?line, "a program says");
        let command = &self.program.command[0];
        let end = self.program.run(input, &tell).await;
        match end.map_err(|error| unavailable(format!("{command} cannot be run: {error}")))? {
            End::Exit(0) => Ok(()),
            End::Exit(EX_TEMPFAIL) => Err(unavailable(format!("{command} ended with {EX_TEMPFAIL}: not now"))),
            End::Exit(code) => Err(DeliveryError::Rejected(format!("{command} ended with {code}"))),
            End::Signal(signal) => Err(DeliveryError::Rejected(format!("{command} was ended by signal {signal}"))),
            End::Late => {
                let seconds = self.program.time_max.as_secs_f64();
                Err(DeliveryError::Rejected(format!("{command} was killed, for it took longer than {seconds} s")))
            }
        }
    }

    async fn run_each(&self, messages: &[Message]) -> Deliveries {
        deliver_each(messages, 1, |message| self.run(&message.body)).await
    }

    /// Whether the program is where it is looked for, and may be run.
    fn find(&self) -> Result<(), DeliveryError> {
        let program = Path::new(&self.program.command[0]);
        let own = self.program.env.get("PATH").map(|path| path.expose().into());
        let path = own.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        let is_there = match program.is_absolute() {
            true => access(program, Access::EXEC_OK).is_ok(),
            false => std::env::split_paths(&path).any(|place| access(place.join(program), Access::EXEC_OK).is_ok()),
        };
        let reason = || format!("{} is not there, or must not be run", program.display());
        if is_there { Ok(()) } else { Err(DeliveryError::Unavailable(reason())) }
    }
}

/// The records of all messages in one document. `None` if there is only one, or one is no such document.
fn merged(messages: &[Message]) -> Option<Bytes> {
    if messages.len() < 2 {
        return None;
    }
    let mut records = Vec::new();
    for message in messages {
        let document: Document<'_> = serde_json::from_slice(&message.body).ok()?;
        records.extend(document.records.into_iter().map(RawValue::get));
    }
    Some(Bytes::from(format!("{{\"Records\":[{}]}}", records.join(","))))
}

impl Target for Exec {
    fn batch_max(&self) -> usize {
        self.batch
    }

    fn calls_max(&self) -> usize {
        self.concurrency
    }

    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries> {
        Box::pin(async move {
            let Some(input) = merged(messages) else { return self.run_each(messages).await };
            match self.run(&input).await {
                Err(DeliveryError::Rejected(_)) => self.run_each(messages).await,
                outcome => vec![outcome; messages.len()],
            }
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move { self.find() })
    }
}

#[cfg(test)]
mod tests;
