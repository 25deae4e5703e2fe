//! Functions: Lambda itself, or whatever else speaks its Invoke API, runtime interface emulators among it.
//!
//! One event a call, as S3 does it. Lambda takes an event with 202 and runs the function later; an emulator runs it at
//! once and answers 200, with a header if the function failed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use strata_storage::Clock;

use super::arn::TargetArn;
use super::aws::{AwsClient, AwsSettings, refusal};
use super::concurrency::Concurrency;
use super::order::deliver_each;
use super::target::{Deliveries, DeliveryError, Message, Target};

const API: &str = "/2015-03-31/functions";
/// Everything but the unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The settings of a function.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LambdaSettings {
    /// Its name, with `:qualifier` if one is meant; that of the target's ARN if it is left out.
    pub function: Option<String>,
    /// How many calls are made at once.
    #[serde(default)]
    pub concurrency: Concurrency,
}

/// A function.
pub struct Lambda {
    client: AwsClient,
    /// What GetFunction asks for.
    function: String,
    /// Where it is invoked.
    invocations: String,
    concurrency: usize,
}

impl Lambda {
    /// The function that the settings, or the target's ARN, name. `Err` says what is wrong with them.
    pub fn open(
        aws: &AwsSettings,
        settings: &LambdaSettings,
        arn: &TargetArn,
        clock: &Arc<dyn Clock>,
    ) -> Result<Lambda, String> {
        let of_arn = || arn.resource().strip_prefix("function:").filter(|_| arn.service() == "lambda");
        let name = settings.function.as_deref().or_else(of_arn);
        let name = name.ok_or("set function to the function's name, for the ARN names none")?;
        let (name, qualifier) = match name.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (name, None),
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=140).contains(&name.len()) || !name.bytes().all(is_plain) || qualifier == Some("") {
            return Err(
                "function must be a name of letters, digits, - and _, with :QUALIFIER if one is meant".to_owned()
            );
        }
        let client = AwsClient::open(aws, "lambda", arn, clock)?;
        let encoded = |qualifier| utf8_percent_encode(qualifier, QUERY).to_string();
        let query = qualifier.map(|qualifier| format!("?Qualifier={}", encoded(qualifier))).unwrap_or_default();
        Ok(Lambda {
            function: client.url(&format!("{API}/{name}{query}")),
            invocations: client.url(&format!("{API}/{name}/invocations{query}")),
            client,
            concurrency: settings.concurrency.get(),
        })
    }

    async fn invoke(&self, message: &Message) -> Result<(), DeliveryError> {
        let request = Request::post(&self.invocations)
            .header("content-type", "application/json")
            .header("x-amz-invocation-type", "Event")
            .body(message.body.clone());
        let answer = self.client.send(request).await?;
        if !matches!(answer.status, StatusCode::OK | StatusCode::ACCEPTED) {
            return Err(refusal(&answer));
        }
        match answer.headers.get("x-amz-function-error") {
            None => Ok(()),
            // What the function says may be about anything, so it stays out of the log.
            Some(_) => Err(DeliveryError::Rejected("the function failed".to_owned())),
        }
    }

    async fn look(&self) -> Result<(), DeliveryError> {
        let answer = self.client.send(Request::get(&self.function).body(Bytes::new())).await?;
        // Emulators run one function and know no other call than the one that runs it.
        let is_unknown_call = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
            && !answer.headers.contains_key("x-amzn-errortype")
            && !names_an_error(&answer.body);
        if answer.status.is_success() || is_unknown_call { Ok(()) } else { Err(refusal(&answer)) }
    }
}

/// Whether a body is an error document of Lambda's.
fn names_an_error(body: &[u8]) -> bool {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    ["Type", "__type", "Code"].iter().any(|name| document[*name].is_string())
}

impl Target for Lambda {
    fn batch_max(&self) -> usize {
        self.concurrency
    }

    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries> {
        Box::pin(deliver_each(messages, self.concurrency, |message| self.invoke(message)))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(self.look())
    }
}
