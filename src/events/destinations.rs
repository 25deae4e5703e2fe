//! The destinations of a configuration, checked before it is stored: the settings must name them for the bucket's account,
//! and they must answer. New topics and queues get a test message.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use strata_storage::{AccountId, Bucket, Timestamp};

use super::configuration::{Configuration, Destination, Entry};
use super::record::test_message;
use super::target::{DeliveryError, Message};
use super::targets::{Configured, Targets};
use crate::error::S3Error;
use crate::events::arn::TargetArn;
use crate::request::RequestName;

/// The resource of the bus that comes first.
const DEFAULT_BUS: &str = "event-bus/default";
/// What fails is told up to so many destinations.
const ARGUMENTS: [(&str, &str); 5] = [
    ("ArgumentName1", "ArgumentValue1"),
    ("ArgumentName2", "ArgumentValue2"),
    ("ArgumentName3", "ArgumentValue3"),
    ("ArgumentName4", "ArgumentValue4"),
    ("ArgumentName5", "ArgumentValue5"),
];

/// A configuration that a bucket is to have.
pub struct Wanted<'a> {
    /// The bucket as it is.
    pub bucket: &'a Bucket,
    /// What it is to have.
    pub configuration: &'a Configuration,
    /// Who asks.
    pub request: &'a RequestName,
    /// When.
    pub now: Timestamp,
    /// Whether destinations are asked, and tested.
    pub validate: bool,
}

/// A destination that was found.
struct Found<'a> {
    arn: &'a str,
    destination: Destination,
    configured: &'a Configured,
}

/// Checks the destinations, and gives the ARN of the event bus if everything goes there.
///
/// A destination that is not in the settings is refused even without validation: nobody would ever take its events. It may be
/// in another region than the bucket, for the operator has chosen it.
pub async fn check(targets: &Targets, wanted: &Wanted<'_>) -> Result<Option<String>, S3Error> {
    let (found, mut failures) = find(targets, wanted)?;
    let bus = match wanted.configuration.event_bridge {
        true => Some(bus(targets, wanted.bucket.owner).ok_or_else(|| {
            unable(vec![("EventBridge".to_owned(), "The destination event bus does not exist".to_owned())])
        })?),
        false => None,
    };
    if wanted.validate && failures.is_empty() {
        let buses = bus.iter().map(|bus| (bus.settings.arn.as_str(), "event bus", *bus));
        let asked = found.iter().map(|found| (found.arn, found.destination.noun(), found.configured));
        let asking = asked.chain(buses).map(|(arn, noun, configured)| ask(arn, noun, configured));
        failures.extend(join_all(asking).await.into_iter().flatten());
    }
    if wanted.validate && failures.is_empty() {
        let testing = found.iter().filter(|found| found.is_tested(wanted.bucket)).map(|found| test(found, wanted));
        failures.extend(join_all(testing).await.into_iter().flatten());
    }
    match failures.is_empty() {
        true => Ok(bus.map(|bus| bus.settings.arn.as_str().to_owned())),
        false => Err(unable(failures)),
    }
}

type Failure = (String, String);

fn find<'a>(targets: &'a Targets, wanted: &Wanted<'a>) -> Result<(Vec<Found<'a>>, Vec<Failure>), S3Error> {
    let mut by_arn: BTreeMap<&str, Destination> = BTreeMap::new();
    for entry in &wanted.configuration.entries {
        check_arn(entry)?;
        by_arn.insert(&entry.arn, entry.destination);
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for (arn, destination) in by_arn {
        let noun = destination.noun();
        match targets.get(arn) {
            None => failures.push((arn.to_owned(), format!("The destination {noun} does not exist"))),
            Some(configured) if !allows(configured, wanted.bucket.owner) => {
                let reason = format!(
                    "Permissions on the destination {noun} do not allow S3 to publish notifications from this bucket"
                );
                failures.push((arn.to_owned(), reason));
            }
            Some(configured) => found.push(Found { arn, destination, configured }),
        }
    }
    Ok((found, failures))
}

fn check_arn(entry: &Entry) -> Result<(), S3Error> {
    let element = entry.destination.element();
    let arn = TargetArn::parse(&entry.arn).filter(|arn| arn.service() == entry.destination.service());
    let Some(arn) = arn else {
        return Err(S3Error::invalid_argument("The ARN could not be parsed", element, entry.arn.clone()));
    };
    if arn.resource().ends_with(".fifo") && entry.destination != Destination::Function {
        // Unconfirmed: the words.
        let message = "FIFO queues and topics are not supported as destinations";
        return Err(S3Error::invalid_argument(message, element, entry.arn.clone()));
    }
    Ok(())
}

fn allows(configured: &Configured, account: AccountId) -> bool {
    configured.settings.accounts.as_ref().is_none_or(|accounts| accounts.contains(&account))
}

/// The event bus for an account's buckets: the default one, else the first.
fn bus(targets: &Targets, account: AccountId) -> Option<&Configured> {
    let buses = || {
        let is_bus = |configured: &&Configured| configured.settings.arn.service() == "events";
        targets.iter().filter(is_bus).filter(|configured| allows(configured, account))
    };
    buses().find(|configured| configured.settings.arn.resource() == DEFAULT_BUS).or_else(|| buses().next())
}

async fn ask(arn: &str, noun: &str, configured: &Configured) -> Option<Failure> {
    refused(arn, noun, configured.target.check().await)
}

impl Found<'_> {
    /// Functions get no test message: it is none that they would understand.
    fn is_tested(&self, bucket: &Bucket) -> bool {
        let is_new = bucket.notifications.iter().all(|rule| rule.target != self.arn);
        is_new && self.destination != Destination::Function
    }
}

async fn test(found: &Found<'_>, wanted: &Wanted<'_>) -> Option<Failure> {
    let RequestName { request_id, host_id, .. } = wanted.request;
    let message = Message {
        id: format!("test-{request_id}"),
        bucket: wanted.bucket.name.clone(),
        key: String::new(),
        event_name: "TestEvent".to_owned(),
        time: wanted.now,
        body: test_message(wanted.now, &wanted.bucket.name, request_id, host_id).into(),
    };
    let delivery = found.configured.target.deliver(std::slice::from_ref(&message)).await.into_iter().next();
    let silent = Err(DeliveryError::Unavailable("the target said nothing of the message".to_owned()));
    refused(found.arn, found.destination.noun(), delivery.unwrap_or(silent))
}

/// The reason goes to the log alone: it may tell of places that the bucket's owner is not to know.
fn refused(arn: &str, noun: &str, result: Result<(), DeliveryError>) -> Option<Failure> {
    let reason = result.err()?;
    tracing::warn!(target_arn = arn, %reason, "a bucket's configuration names a target that takes no events");
    Some((arn.to_owned(), format!("The destination {noun} does not take messages")))
}

fn unable(failures: Vec<Failure>) -> S3Error {
    let message = "Unable to validate the following destination configurations";
    let mut error = S3Error::new(http::StatusCode::BAD_REQUEST, "InvalidArgument", message);
    for ((name, value), (arn, reason)) in ARGUMENTS.into_iter().zip(failures) {
        error = error.with(name, arn).with(value, reason);
    }
    error
}
