//! Topics: SNS itself, or whatever else speaks its query protocol.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use strata_storage::Clock;

use super::arn::TargetArn;
use super::aws::{AwsClient, AwsSettings};
use super::batch::{self, Batch, CALLS_MAX, ENTRIES_MAX, Failed, Successful};
use super::target::{Deliveries, DeliveryError, Message, Target};

const VERSION: &str = "2010-03-31";
/// What S3 puts above its messages.
const SUBJECT: &str = "Amazon S3 Notification";

/// The settings of a topic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnsSettings {
    /// Its ARN; that of the target if it is left out.
    pub topic_arn: Option<String>,
}

/// A topic.
pub struct Sns {
    client: AwsClient,
    topic_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublishBatchResponse {
    publish_batch_result: PublishBatchResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublishBatchResult {
    #[serde(default = "Members::none")]
    successful: Members<Successful>,
    #[serde(default = "Members::none")]
    failed: Members<Failed>,
}

#[derive(Deserialize)]
struct Members<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

impl<T> Members<T> {
    fn none() -> Members<T> {
        Members { member: Vec::new() }
    }
}

impl Sns {
    /// The topic that the settings, or the target's ARN, name. `Err` says what is wrong with them.
    pub fn open(
        aws: &AwsSettings,
        settings: &SnsSettings,
        arn: &TargetArn,
        clock: &Arc<dyn Clock>,
    ) -> Result<Sns, String> {
        let topic_arn = settings.topic_arn.clone().unwrap_or_else(|| arn.as_str().to_owned());
        if topic_arn.ends_with(".fifo") {
            return Err("topic_arn must be that of a standard topic: events cannot go to FIFO topics".to_owned());
        }
        if TargetArn::parse(&topic_arn).is_none_or(|arn| arn.service() != "sns") {
            return Err("set topic_arn to the topic's ARN, arn:aws:sns:REGION:ACCOUNT:NAME".to_owned());
        }
        Ok(Sns { client: AwsClient::open(aws, "sns", arn, clock)?, topic_arn })
    }

    async fn send(&self, batch: Batch<'_>) -> Result<Deliveries, DeliveryError> {
        let mut form = self.form("PublishBatch");
        for (place, (index, message)) in batch.iter().enumerate() {
            let entry = format!("PublishBatchRequestEntries.member.{}", place + 1);
            form.push((format!("{entry}.Id"), index.to_string()));
            form.push((format!("{entry}.Message"), String::from_utf8_lossy(&message.body).into_owned()));
            form.push((format!("{entry}.Subject"), SUBJECT.to_owned()));
        }
        let answer: Bytes = self.client.call_form(&form).await?;
        let text = std::str::from_utf8(&answer).ok();
        let document: Option<PublishBatchResponse> = text.and_then(|text| quick_xml::de::from_str(text).ok());
        let PublishBatchResponse { publish_batch_result: PublishBatchResult { successful, failed } } =
            document.ok_or_else(|| DeliveryError::Unavailable("the answer is not that of PublishBatch".to_owned()))?;
        Ok(batch::outcomes(&batch, &successful.member, &failed.member))
    }

    fn form(&self, action: &str) -> Vec<(String, String)> {
        [("Action", action), ("Version", VERSION), ("TopicArn", &self.topic_arn)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }
}

impl Target for Sns {
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
        Box::pin(async move { self.client.call_form(&self.form("GetTopicAttributes")).await.map(drop) })
    }
}
