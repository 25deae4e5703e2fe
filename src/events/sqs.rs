//! Queues: SQS itself, or whatever else speaks its JSON protocol.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};
use strata_storage::Clock;

use super::arn::TargetArn;
use super::aws::{AwsClient, AwsSettings, check_url};
use super::batch::{self, Batch, CALLS_MAX, ENTRIES_MAX, Failed, Successful};
use super::target::{Deliveries, DeliveryError, Message, Target};

/// The settings of a queue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqsSettings {
    /// Its URL. The endpoint is taken from it unless that is set.
    pub queue_url: String,
}

/// A queue.
pub struct Sqs {
    client: AwsClient,
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer {
    #[serde(default)]
    successful: Vec<Successful>,
    #[serde(default)]
    failed: Vec<Failed>,
}

impl Sqs {
    /// The queue that the settings name. `Err` says what is wrong with them.
    pub fn open(
        aws: &AwsSettings,
        settings: &SqsSettings,
        arn: &TargetArn,
        clock: &Arc<dyn Clock>,
    ) -> Result<Sqs, String> {
        let queue_url = settings.queue_url.clone();
        check_url("queue_url", &queue_url)?;
        if queue_url.ends_with(".fifo") {
            return Err("queue_url must be that of a standard queue: events cannot go to FIFO queues".to_owned());
        }
        let uri: Uri = queue_url.parse().map_err(|_| "queue_url is no URL")?;
        let of_queue =
            uri.scheme_str().zip(uri.authority()).map(|(scheme, authority)| format!("{scheme}://{authority}"));
        let aws = AwsSettings { endpoint: aws.endpoint.clone().or(of_queue), ..aws.clone() };
        Ok(Sqs { client: AwsClient::open(&aws, "sqs", arn, clock)?, queue_url })
    }

    async fn send(&self, batch: Batch<'_>) -> Result<Deliveries, DeliveryError> {
        let entries: Vec<Value> = batch
            .iter()
            .map(|(index, message)| {
                json!({"Id": index.to_string(), "MessageBody": String::from_utf8_lossy(&message.body)})
            })
            .collect();
        let asked = json!({"QueueUrl": self.queue_url, "Entries": entries});
        let answer = self.client.call_json("AmazonSQS.SendMessageBatch", &asked).await?;
        let BatchAnswer { successful, failed } = serde_json::from_value(answer)
            .map_err(|_| DeliveryError::Unavailable("the answer is not that of SendMessageBatch".to_owned()))?;
        Ok(batch::outcomes(&batch, &successful, &failed))
    }
}

impl Target for Sqs {
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
        let asked = json!({"QueueUrl": self.queue_url, "AttributeNames": ["QueueArn"]});
        Box::pin(async move { self.client.call_json("AmazonSQS.GetQueueAttributes", &asked).await.map(drop) })
    }
}
