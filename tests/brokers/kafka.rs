//! Kafka, on an endpoint that speaks its protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use strata::events::broker::LinkSettings;
use strata::events::kafka::{KafkaSettings, KafkaTarget};
use strata::events::target::{DeliveryError, Message, Target as _};

use crate::kafka_broker::{Broker, Log};
use crate::support::{
    Certificates, delivered, free_port, ids, message, message_of_bytes, messages, signs, unavailable,
};

const NOT_LEADER: i16 = 6;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const POLICY_VIOLATION: i16 = 44;

struct Kafka {
    port: u16,
    log: Arc<Mutex<Log>>,
}

impl Kafka {
    fn new() -> Kafka {
        let log = Log { topic: "events".to_owned(), partitions: 3, value_bytes_max: 1 << 20, ..Log::default() };
        Kafka { port: free_port(), log: Arc::new(Mutex::new(log)) }
    }

    fn start(&self) -> Broker {
        Broker::start(self.port, &self.log, None)
    }

    fn settings(&self) -> KafkaSettings {
        let text = format!("addresses = [\"localhost:{}\"]\ntopic = \"events\"\ntimeout = 5", self.port);
        toml::from_str(&text).expect("settings")
    }

    fn target(&self) -> KafkaTarget {
        KafkaTarget::new(&self.settings()).expect("a target")
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("a log")
    }

    /// The ids of the records of each key, in the order in which they came.
    fn ids_by_key(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in &self.log().records {
            found.entry(record.key.clone()).or_default().push(record.id.clone());
        }
        found
    }
}

fn expected(messages: &[Message]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in messages {
        found.entry(format!("{}/{}", message.bucket, message.key)).or_default().push(message.id.clone());
    }
    found
}

#[tokio::test]
async fn records_keep_their_order_in_the_partition_of_their_key() {
    let kafka = Kafka::new();
    let _broker = kafka.start();
    let target = kafka.target();
    target.check().await.expect("a topic");
    let all: Vec<_> = (0..250).map(|number| message(number, &format!("key-{}", number % 7))).collect();
    for batch in all.chunks(target.batch_max()) {
        delivered(target.deliver(batch).await);
    }
    assert_eq!(kafka.ids_by_key(), expected(&all));
    let log = kafka.log();
    let partitions: BTreeMap<_, _> = log.records.iter().map(|record| (&record.key, record.partition)).collect();
    assert!(log.records.iter().all(|record| partitions[&record.key] == record.partition));
    assert!(partitions.values().any(|partition| *partition != log.records[0].partition), "{partitions:?}");
    assert_eq!(log.records[0].value, all.iter().find(|message| message.id == log.records[0].id).expect("it").body);
    assert!(log.requests <= 6, "{} requests for two batches to three partitions", log.requests);
}

#[tokio::test]
async fn a_restart_is_survived() {
    let kafka = Kafka::new();
    let target = kafka.target();
    let all = messages(0, 12);
    unavailable(target.deliver(&all[..4]).await);
    assert!(matches!(target.check().await, Err(DeliveryError::Unavailable(_))));
    let broker = kafka.start();
    delivered(target.deliver(&all[..4]).await);
    drop(broker);
    unavailable(target.deliver(&all[4..8]).await);
    let _broker = kafka.start();
    delivered(target.deliver(&all[4..8]).await);
    delivered(target.deliver(&all[8..]).await);
    assert_eq!(kafka.ids_by_key(), expected(&all));
}

#[tokio::test]
async fn what_the_cluster_cannot_do_now_is_waited_for() {
    let kafka = Kafka::new();
    let _broker = kafka.start();
    let target = kafka.target();
    for (round, code) in [NOT_LEADER, NOT_ENOUGH_REPLICAS, TOPIC_AUTHORIZATION_FAILED].into_iter().enumerate() {
        kafka.log().refusals.push_back(code);
        let batch = [message(round, "a"), message(round + 100, "a")];
        assert_eq!(signs(&target.deliver(&batch).await), "??", "{code}");
        delivered(target.deliver(&batch).await);
    }
    assert_eq!(kafka.log().records.len(), 6);
}

#[tokio::test]
async fn a_record_that_is_refused_is_refused_alone() {
    let kafka = Kafka::new();
    kafka.log().partitions = 1;
    kafka.log().value_bytes_max = 1_000;
    let _broker = kafka.start();
    let target = kafka.target();
    let batch = [message(0, "a"), message_of_bytes(1, "b", 2_000), message(2, "c"), message(3, "b"), message(4, "a")];
    assert_eq!(signs(&target.deliver(&batch).await), "+-+?+");
    let taken: Vec<_> = kafka.log().records.iter().map(|record| record.id.clone()).collect();
    assert_eq!(taken, ["id-0000", "id-0002", "id-0004"]);
    // A broker that fails while they are sent one by one is not asked further.
    kafka.log().refusals.extend([POLICY_VIOLATION, 0, NOT_LEADER]);
    let batch = messages(10, 4);
    assert_eq!(signs(&target.deliver(&batch).await), "+???");
    delivered(target.deliver(&batch[1..]).await);
}

#[tokio::test]
async fn large_batches_are_sent_in_several_requests() {
    let kafka = Kafka::new();
    kafka.log().partitions = 1;
    let _broker = kafka.start();
    let batch: Vec<_> = (0..10).map(|number| message_of_bytes(number, "a", 100_000)).collect();
    delivered(kafka.target().deliver(&batch).await);
    assert_eq!(kafka.log().requests, 2);
    assert_eq!(kafka.ids_by_key()["bucket/a"], ids(&batch));
}

#[tokio::test]
async fn a_missing_topic_is_waited_for() {
    let kafka = Kafka::new();
    kafka.log().topic = String::new();
    let _broker = kafka.start();
    let target = kafka.target();
    assert!(matches!(target.check().await, Err(DeliveryError::Rejected(reason)) if reason.contains("events")));
    unavailable(target.deliver(&messages(0, 2)).await);
    kafka.log().topic = "events".to_owned();
    delivered(target.deliver(&messages(0, 2)).await);
}

#[tokio::test]
async fn connections_are_encrypted() {
    let files = tempfile::tempdir().expect("a directory");
    let certificates = Certificates::make(files.path());
    let kafka = Kafka::new();
    let chain = vec![CertificateDer::from_pem_file(&certificates.certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(&certificates.private_key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let _broker = Broker::start(kafka.port, &kafka.log, Some(config));
    let link = LinkSettings { tls: true, ca_file: Some(certificates.authority), ..kafka.settings().link };
    let good = KafkaSettings { link: link.clone(), ..kafka.settings() };
    let target = KafkaTarget::new(&good).expect("a target");
    target.check().await.expect("a topic");
    delivered(target.deliver(&messages(0, 5)).await);
    let stranger = LinkSettings { ca_file: None, ..link };
    let stranger = KafkaTarget::new(&KafkaSettings { link: stranger, ..good }).expect("a target");
    unavailable(stranger.deliver(&messages(0, 1)).await);
}
