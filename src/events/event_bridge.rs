//! Buses: EventBridge itself, or whatever else speaks its API. The parts of an entry are taken from the message, which is
//! EventBridge's envelope.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use strata_storage::Clock;

use super::arn::TargetArn;
use super::aws::{AwsClient, AwsSettings, is_transient, judge};
use super::batch::{self, Batch, CALLS_MAX, ENTRIES_MAX};
use super::target::{Deliveries, DeliveryError, Message, Target};
use crate::time::parse_iso8601;

/// The settings of a bus.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBridgeSettings {
    /// Its name or ARN.
    #[serde(default = "bus_default")]
    pub event_bus_name: String,
    /// The source that entries name instead of `aws.s3`. AWS itself keeps the sources that begin with `aws.` to itself.
    pub source: Option<String>,
}

fn bus_default() -> String {
    "default".to_owned()
}

/// A bus.
pub struct EventBridge {
    client: AwsClient,
    bus: String,
    source: Option<String>,
}

/// What the dispatcher wrote.
#[derive(Deserialize)]
struct Envelope<'a> {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(borrow)]
    detail: &'a RawValue,
    #[serde(default)]
    resources: Vec<String>,
    time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEventsAnswer {
    #[serde(default)]
    entries: Vec<EntryAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntryAnswer {
    error_code: Option<String>,
    error_message: Option<String>,
}

impl EventBridge {
    /// The bus that the settings name. `Err` says what is wrong with them.
    pub fn open(
        aws: &AwsSettings,
        settings: &EventBridgeSettings,
        arn: &TargetArn,
        clock: &Arc<dyn Clock>,
    ) -> Result<EventBridge, String> {
        let bus = settings.event_bus_name.clone();
        if bus.is_empty() {
            return Err("event_bus_name must not be empty; leave it out for the default bus".to_owned());
        }
        Ok(EventBridge { client: AwsClient::open(aws, "events", arn, clock)?, bus, source: settings.source.clone() })
    }

    /// The entry of a message. `Err` if it is no envelope.
    fn entry(&self, message: &Message) -> Result<Value, DeliveryError> {
        let envelope: Envelope<'_> = serde_json::from_slice(&message.body)
            .map_err(|error| DeliveryError::Rejected(format!("the message is no envelope: {error}")))?;
        let mut entry = json!({
            "Source": self.source.as_ref().unwrap_or(&envelope.source),
            "DetailType": envelope.detail_type,
            "Detail": envelope.detail.get(),
            "Resources": envelope.resources,
            "EventBusName": self.bus,
        });
        if let Some(time) = parse_iso8601(&envelope.time) {
            entry["Time"] = json!(time.as_secs());
        }
        Ok(entry)
    }

    async fn put(&self, entries: &[Value]) -> Result<Vec<EntryAnswer>, DeliveryError> {
        let answer = self.client.call_json("AWSEvents.PutEvents", &json!({"Entries": entries})).await?;
        let answer: Option<PutEventsAnswer> = serde_json::from_value(answer).ok();
        answer
            .map(|answer| answer.entries)
            .filter(|answers| answers.len() == entries.len())
            .ok_or_else(|| DeliveryError::Unavailable("the answer is not that of PutEvents".to_owned()))
    }

    async fn send(&self, batch: Batch<'_>) -> Result<Deliveries, DeliveryError> {
        let mut entries = Vec::new();
        let made: Vec<_> =
            batch.iter().map(|(_, message)| self.entry(message).map(|entry| entries.push(entry))).collect();
        let put = if entries.is_empty() { Ok(Vec::new()) } else { self.put(&entries).await };
        let mut answers = put.map(Vec::into_iter);
        let mut answered = || match &mut answers {
            // `put` has given as many answers as there are entries.
            Ok(answers) => answers.next().map_or(Ok(()), outcome),
            Err(error) => Err(error.clone()),
        };
        Ok(made.into_iter().map(|made| made.and_then(|()| answered())).collect())
    }
}

fn outcome(answer: EntryAnswer) -> Result<(), DeliveryError> {
    let Some(code) = answer.error_code else { return Ok(()) };
    Err(judge(is_transient(&code), &format!("{code} {}", answer.error_message.unwrap_or_default())))
}

impl Target for EventBridge {
    fn batch_max(&self) -> usize {
        ENTRIES_MAX
    }

    fn calls_max(&self) -> usize {
        CALLS_MAX
    }

    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries> {
        Box::pin(batch::deliver(messages, |batch| self.send(batch)))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        let asked = json!({"Name": self.bus});
        Box::pin(async move { self.client.call_json("AWSEvents.DescribeEventBus", &asked).await.map(drop) })
    }
}
