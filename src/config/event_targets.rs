//! `[[events.targets]]`: where events may be sent, and how.
//!
//! What all targets have in common is read here; the rest of a table belongs to its kind, whose module says what may be in
//! it. Only the operator names targets: a bucket's configuration can choose among them, and reaches nothing else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use strata_storage::AccountId;

use super::{ConfigError, value};
#[cfg(feature = "amqp")]
use crate::events::amqp::AmqpSettings;
use crate::events::arn::TargetArn;
use crate::events::aws::AwsSettings;
use crate::events::event_bridge::EventBridgeSettings;
use crate::events::exec::ExecSettings;
#[cfg(feature = "kafka")]
use crate::events::kafka::KafkaSettings;
use crate::events::lambda::LambdaSettings;
#[cfg(feature = "nats")]
use crate::events::nats::NatsSettings;
#[cfg(feature = "redis")]
use crate::events::redis::RedisSettings;
use crate::events::sns::SnsSettings;
use crate::events::sqs::SqsSettings;
use crate::events::webhook::WebhookSettings;

const LIST: &str = "events.targets";
/// The settings that every kind has.
const COMMON: &[&str] = &["arn", "kind", "max_age", "retries", "backlog_bytes", "format", "accounts", "on_failure"];
/// Settings that can be left to a file (`secret_file`) or an environment variable (`secret_env`).
const SECRETS: &[&str] = &["secret_key", "token", "secret", "password"];
/// The kinds that a build may leave out.
const BROKERS: [&str; 4] = ["amqp", "kafka", "nats", "redis"];
const RETRIES_MAX: u32 = 100;
const DAY: Duration = Duration::from_hours(24);

/// A target of events.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSettings {
    /// What buckets' configurations call it.
    pub arn: TargetArn,
    /// How long a message is tried to be delivered.
    pub max_age: Duration,
    /// How often a message is sent again that the target refused.
    pub retries: u32,
    /// What may wait for it on the disk, in bytes.
    pub backlog_bytes: u64,
    /// The form of its messages.
    pub format: EventFormat,
    /// The accounts whose buckets may name it; all if it is `None`.
    pub accounts: Option<Vec<AccountId>>,
    /// The target that gets what this one did not take.
    pub on_failure: Option<TargetArn>,
    /// What it is.
    pub kind: TargetKind,
}

/// The form of a target's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventFormat {
    /// S3's own: `{"Records":[...]}`.
    S3,
    /// CloudEvents 1.0, structured.
    CloudEvents,
    /// EventBridge's envelope.
    EventBridge,
}

/// What a target is, with the settings of its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetKind {
    /// A function behind Lambda's Invoke API.
    Lambda(AwsSettings, LambdaSettings),
    /// A local program.
    Exec(ExecSettings),
    /// A queue behind SQS's API.
    Sqs(AwsSettings, SqsSettings),
    /// A topic behind SNS's API.
    Sns(AwsSettings, SnsSettings),
    /// A bus behind EventBridge's API.
    EventBridge(AwsSettings, EventBridgeSettings),
    /// An URL that messages are posted to.
    Webhook(WebhookSettings),
    /// An exchange of an AMQP 0.9.1 broker.
    #[cfg(feature = "amqp")]
    Amqp(AmqpSettings),
    /// A topic of a Kafka cluster.
    #[cfg(feature = "kafka")]
    Kafka(KafkaSettings),
    /// A subject of a NATS JetStream stream.
    #[cfg(feature = "nats")]
    Nats(NatsSettings),
    /// A Redis stream.
    #[cfg(feature = "redis")]
    Redis(RedisSettings),
}

impl TargetKind {
    /// Reads what is left of a table when the common settings are taken out.
    fn read(name: &str, mut table: toml::Table) -> Result<TargetKind, String> {
        Ok(match name {
            "lambda" => TargetKind::Lambda(part(&mut table, AwsSettings::NAMES)?, whole(table)?),
            "exec" => TargetKind::Exec(whole(table)?),
            "sqs" => TargetKind::Sqs(part(&mut table, AwsSettings::NAMES)?, whole(table)?),
            "sns" => TargetKind::Sns(part(&mut table, AwsSettings::NAMES)?, whole(table)?),
            "event_bridge" => TargetKind::EventBridge(part(&mut table, AwsSettings::NAMES)?, whole(table)?),
            "webhook" => TargetKind::Webhook(whole(table)?),
            #[cfg(feature = "amqp")]
            "amqp" => TargetKind::Amqp(whole(table)?),
            #[cfg(feature = "kafka")]
            "kafka" => TargetKind::Kafka(whole(table)?),
            #[cfg(feature = "nats")]
            "nats" => TargetKind::Nats(whole(table)?),
            #[cfg(feature = "redis")]
            "redis" => TargetKind::Redis(whole(table)?),
            _ if BROKERS.contains(&name) => return Err(format!("this server was built without the kind {name:?}")),
            _ => {
                let known = "lambda, exec, sqs, sns, event_bridge, webhook, amqp, kafka, nats or redis";
                return Err(format!("there is no kind {name:?}; it must be {known}"));
            }
        })
    }
}

#[derive(Deserialize)]
struct CommonTable {
    arn: String,
    kind: String,
    #[serde(default = "max_age_default", deserialize_with = "age")]
    max_age: Duration,
    #[serde(default = "retries_default")]
    retries: u32,
    #[serde(default = "backlog_default", deserialize_with = "backlog")]
    backlog_bytes: u64,
    format: Option<EventFormat>,
    accounts: Option<Vec<String>>,
    on_failure: Option<String>,
}

/// How long a message is tried to be delivered, if no setting tells.
pub fn max_age_default() -> Duration {
    DAY
}

fn retries_default() -> u32 {
    3
}

/// What may wait for a target, in bytes, if no setting tells.
pub fn backlog_default() -> u64 {
    256 << 20
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read(deserializer, |text| value::duration(text, Duration::from_secs(1), 30 * DAY))
}

fn backlog<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    read(deserializer, |text| value::size(text, 1 << 20, 1 << 40))
}

/// Reads how long one call may take, as text or in seconds.
pub fn call_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read(deserializer, |text| value::duration(text, Duration::from_millis(1), Duration::from_mins(15)))
}

/// Reads how much memory a program may take, as text or in bytes.
pub fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    read(deserializer, |text| value::size(text, 1 << 20, 1 << 50))
}

fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, value::Allowed>,
) -> Result<T, D::Error> {
    let text = value::text(&toml::Value::deserialize(deserializer)?).unwrap_or_default();
    parse(&text).map_err(|allowed| D::Error::custom(format!("{text:?} is not allowed: it must be {allowed}")))
}

/// Takes the targets out of a configuration file's table.
pub fn take(path: &Path, table: &mut toml::Table) -> Result<Vec<TargetSettings>, ConfigError> {
    let wrong = |reason: String| ConfigError::List { path: path.to_owned(), list: LIST, reason };
    let Some(toml::Value::Table(events)) = table.get_mut("events") else { return Ok(Vec::new()) };
    let Some(targets) = events.remove("targets") else { return Ok(Vec::new()) };
    if events.is_empty() {
        table.remove("events");
    }
    let toml::Value::Array(targets) = targets else { return Err(wrong("it is no list of tables".to_owned())) };
    let targets: Result<Vec<_>, _> = targets.into_iter().map(target).collect();
    let targets = targets.map_err(wrong)?;
    check(&targets).map_err(wrong)?;
    Ok(targets)
}

fn target(table: toml::Value) -> Result<TargetSettings, String> {
    let toml::Value::Table(mut table) = table else { return Err("it is no list of tables".to_owned()) };
    let named = table.get("arn").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let wrong = |reason: String| match named.is_empty() {
        true => reason,
        false => format!("the target {named:?}: {reason}"),
    };
    let CommonTable { arn, kind, max_age, retries, backlog_bytes, format, accounts, on_failure } =
        part(&mut table, COMMON).map_err(wrong)?;
    let arn = parse_arn("arn", &arn).map_err(wrong)?;
    if retries > RETRIES_MAX {
        return Err(wrong(format!("retries must be a whole number from 0 to {RETRIES_MAX}")));
    }
    fill_secrets(&mut table).map_err(wrong)?;
    let kind = TargetKind::read(&kind, table).map_err(wrong)?;
    let format = match (&kind, format) {
        (TargetKind::EventBridge(..), None) => EventFormat::EventBridge,
        (TargetKind::EventBridge(..), Some(EventFormat::S3 | EventFormat::CloudEvents)) => {
            return Err(wrong("EventBridge takes no other format than \"eventbridge\"; leave format out".to_owned()));
        }
        (_, format) => format.unwrap_or(EventFormat::S3),
    };
    let account = |text: &String| AccountId::parse(text).ok_or(format!("the account {text:?} is not 12 digits"));
    let accounts = accounts.map(|accounts| accounts.iter().map(account).collect::<Result<_, _>>());
    let accounts = accounts.transpose().map_err(wrong)?;
    let on_failure = on_failure.map(|arn| parse_arn("on_failure", &arn)).transpose().map_err(wrong)?;
    Ok(TargetSettings { arn, max_age, retries, backlog_bytes, format, accounts, on_failure, kind })
}

fn parse_arn(name: &str, text: &str) -> Result<TargetArn, String> {
    TargetArn::parse(text).ok_or_else(|| {
        format!(
            "{name} must be an ARN of lambda, sqs, sns or events, such as \
             arn:aws:lambda:us-east-1:000000000000:function:thumbnails"
        )
    })
}

/// What can be said only of all targets together.
fn check(targets: &[TargetSettings]) -> Result<(), String> {
    for (index, target) in targets.iter().enumerate() {
        let arn = &target.arn;
        if targets[..index].iter().any(|earlier| earlier.arn == *arn) {
            return Err(format!("there are two targets {:?}; each needs an ARN of its own", arn.as_str()));
        }
        let Some(on_failure) = &target.on_failure else { continue };
        let wrong = |reason: &str| Err(format!("the target {:?}: on_failure {reason}", arn.as_str()));
        match targets.iter().find(|other| other.arn == *on_failure) {
            None => return wrong("must be the arn of another target that is configured"),
            Some(other) if other.arn == *arn => return wrong("must be another target"),
            // Or messages could go round for ever.
            Some(other) if other.on_failure.is_some() => {
                return wrong("must be a target that has no on_failure itself");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Reads the secrets that were left to files and environment variables.
fn fill_secrets(table: &mut toml::Table) -> Result<(), String> {
    for name in SECRETS {
        let (file, variable) = (format!("{name}_file"), format!("{name}_env"));
        let places = [(*name).to_owned(), file.clone(), variable.clone()];
        if places.iter().filter(|place| table.contains_key(*place)).count() > 1 {
            return Err(format!("set only one of {}", places.join(", ")));
        }
        let text_of = |name: &str, value: toml::Value| match value {
            toml::Value::String(text) => Ok(text),
            _ => Err(format!("{name} must be a text")),
        };
        let secret = if let Some(path) = table.remove(&file) {
            let path = PathBuf::from(text_of(&file, path)?);
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
            text.trim_end().to_owned()
        } else if let Some(named) = table.remove(&variable) {
            let named = text_of(&variable, named)?;
            std::env::var(&named).map_err(|_| format!("the environment variable {named} is not set"))?
        } else {
            continue;
        };
        table.insert((*name).to_owned(), toml::Value::String(secret));
    }
    Ok(())
}

/// Takes the settings of these names out of a table, and reads them.
fn part<T: DeserializeOwned>(table: &mut toml::Table, names: &[&str]) -> Result<T, String> {
    let taken = names.iter().filter_map(|name| table.remove_entry(*name)).collect();
    whole(taken)
}

/// Reads a table in which nothing else may be.
fn whole<T: DeserializeOwned>(table: toml::Table) -> Result<T, String> {
    // The whole error would quote the line, and the line may hold a secret.
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

#[cfg(test)]
mod tests;
