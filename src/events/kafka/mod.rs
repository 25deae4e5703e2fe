//! Events as records of a Kafka topic.
//!
//! A record's key is `bucket/key`, so that what happens to one object stays in order in one partition. It counts as
//! delivered when all replicas that are in sync have it (`acks=all`; the topic's `min.insync.replicas` says how many these
//! are at least). A record whose acknowledgement got lost is sent again, with the same `id` header.

mod partition;
mod produce;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures_util::future::join_all;
use rskafka::BackoffConfig;
use rskafka::client::error::Error;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use rskafka::record::Record;
use serde::Deserialize;

use super::broker::{Address, Broker, Link, LinkSettings};
use super::order::Order;
use super::target::{DeliveryError, Message};
use crate::credentials::Secret;

/// A topic of a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// The `host:port` of some brokers of one cluster; they tell of the others.
    pub addresses: Vec<String>,
    /// The topic, which must exist.
    pub topic: String,
    /// How to show the password.
    #[serde(default)]
    pub mechanism: Mechanism,
    /// How it is reached.
    #[serde(flatten)]
    pub link: LinkSettings,
}

/// How a user signs in, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Mechanism {
    /// The password as it is, which wants TLS.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of knowing it.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of knowing it.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// The cluster as it was when the session began. Partitions that are added later are seen by the next one, so that
/// meanwhile no key changes its partition.
pub struct Session {
    client: Client,
    partitions: Vec<i32>,
    clients: HashMap<i32, PartitionClient>,
}

/// Delivers to a topic.
pub struct KafkaTarget {
    brokers: Vec<String>,
    topic: String,
    sign_in: Option<(Mechanism, String, Secret)>,
    link: Link<Session>,
}

impl KafkaTarget {
    /// Connects only when there is something to deliver. `Err` says what is wrong with the settings.
    pub fn new(settings: &KafkaSettings) -> Result<KafkaTarget, String> {
        if settings.topic.is_empty() {
            return Err("topic must be the name of a topic".to_owned());
        }
        let user = settings.link.user()?;
        let brokers = Address::parse_all(&settings.addresses)?;
        Ok(KafkaTarget {
            brokers: brokers.iter().map(Address::to_string).collect(),
            topic: settings.topic.clone(),
            sign_in: user.map(|(username, password)| (settings.mechanism, username, password)),
            link: Link::new(&settings.link)?,
        })
    }

    async fn open(&self, session: &mut Session, partition: i32) -> Result<(), DeliveryError> {
        if !session.clients.contains_key(&partition) {
            let made = session.client.partition_client(&self.topic, partition, UnknownTopicHandling::Error).await;
            session.clients.insert(partition, made.map_err(unavailable)?);
        }
        Ok(())
    }

    fn no_topic(&self) -> String {
        format!("Kafka: there is no topic {}", self.topic)
    }
}

fn record(message: &Message) -> Record {
    let nanos = i64::try_from(message.time.as_nanos()).unwrap_or(i64::MAX);
    Record {
        key: Some(format!("{}/{}", message.bucket, message.key).into_bytes()),
        value: Some(message.body.to_vec()),
        headers: BTreeMap::from([("id".to_owned(), message.id.clone().into_bytes())]),
        timestamp: DateTime::from_timestamp_nanos(nanos),
    }
}

fn unavailable(error: Error) -> DeliveryError {
    // There is one attempt; that all are over says nothing.
    let text = error.to_string().replace("ll retries failed: Retry exceeded deadline. Source", "ttempt failed");
    DeliveryError::Unavailable(format!("Kafka: {text}"))
}

impl Broker for KafkaTarget {
    type Session = Session;

    fn link(&self) -> &Link<Session> {
        &self.link
    }

    async fn connect(&self) -> Result<Session, DeliveryError> {
        // One attempt: whoever calls tries again in its own time.
        let backoff = BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() };
        let mut builder = ClientBuilder::new(self.brokers.clone()).client_id("strata").backoff_config(backoff);
        if let Some(tls) = &self.link.tls {
            builder = builder.tls_config(Arc::clone(tls));
        }
        if let Some((mechanism, username, password)) = &self.sign_in {
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            builder = builder.sasl_config(match mechanism {
                Mechanism::Plain => SaslConfig::Plain(credentials),
                Mechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
                Mechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
            });
        }
        let client = builder.build().await.map_err(unavailable)?;
        let topics = client.list_topics().await.map_err(unavailable)?;
        let topic = topics.into_iter().find(|topic| topic.name == self.topic);
        let partitions = topic.map(|topic| topic.partitions.into_iter().collect()).unwrap_or_default();
        Ok(Session { client, partitions, clients: HashMap::new() })
    }

    async fn send(&self, session: &mut Session, order: &mut Order<'_>) -> Result<(), DeliveryError> {
        if session.partitions.is_empty() {
            // True of every event of the target, until somebody makes the topic: were it a refusal, all events until then
            // would be put aside.
            return Err(DeliveryError::Unavailable(self.no_topic()));
        }
        let mut chunks: BTreeMap<i32, Vec<(usize, Record)>> = BTreeMap::new();
        for (index, message) in order.messages().iter().enumerate() {
            let record = record(message);
            let key = record.key.as_deref().unwrap_or_default();
            let partition = session.partitions[partition::of_key(key, session.partitions.len())];
            chunks.entry(partition).or_default().push((index, record));
        }
        for partition in chunks.keys() {
            self.open(session, *partition).await?;
        }
        let sent = chunks.into_iter().map(|(partition, records)| produce::all(&session.clients[&partition], records));
        join_all(sent).await.into_iter().flatten().for_each(|(index, outcome)| order.note(index, outcome));
        Ok(())
    }

    async fn look(&self, session: Session) -> Result<(), DeliveryError> {
        if session.partitions.is_empty() { Err(DeliveryError::Rejected(self.no_topic())) } else { Ok(()) }
    }
}
