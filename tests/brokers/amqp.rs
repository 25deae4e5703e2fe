//! AMQP 0.9.1, on a real RabbitMQ. It takes long to start, so one test does everything with it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command};

use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use strata::credentials::Secret;
use strata::events::amqp::{AmqpSettings, AmqpTarget};
use strata::events::broker::LinkSettings;
use strata::events::target::{DeliveryError, Target as _};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

use crate::server::{Server, program, words};
use crate::support::{
    Certificates, delivered, free_port, ids, message, message_of_bytes, messages, signs, unavailable,
};

/// Erlang's daemon that knows where nodes listen. RabbitMQ would start one that outlives it.
struct Names {
    child: Child,
    port: u16,
}

impl Names {
    fn start() -> Names {
        let port = free_port();
        let program = program("epmd", "erlang-base");
        let child = Command::new(program).args(["-address", "127.0.0.1", "-port", &port.to_string()]).spawn();
        Names { child: child.expect("epmd"), port }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited_for = self.child.wait();
    }
}

struct Rabbit {
    directory: TempDir,
    names: Names,
    port: u16,
    tls_port: u16,
    node_port: u16,
    certificates: Certificates,
}

/// The program itself: the one in the path is a script that changes the user.
fn rabbitmq_server() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let mut programs = versions.map(|version| version.path().join("sbin/rabbitmq-server"));
    let found = programs.find(|path| path.is_file());
    found.expect("RabbitMQ is missing in /usr/lib/rabbitmq: install what the Debian package rabbitmq-server holds")
}

impl Rabbit {
    fn new() -> Rabbit {
        let directory = tempfile::tempdir().expect("a directory");
        let certificates = Certificates::make(directory.path());
        let (port, tls_port, node_port) = (free_port(), free_port(), free_port());
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nlisteners.ssl.1 = 127.0.0.1:{tls_port}\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             max_message_size = 65536\nlog.console = true\nlog.file = false\n",
            certificates.authority.display(),
            certificates.certificate.display(),
            certificates.private_key.display(),
        );
        std::fs::write(directory.path().join("rabbitmq.conf"), text).expect("a file");
        std::fs::write(directory.path().join("plugins"), "[].\n").expect("a file");
        Rabbit { directory, names: Names::start(), port, tls_port, node_port, certificates }
    }

    fn start(&self) -> Server {
        let path = |name: &str| self.directory.path().join(name).into_os_string();
        let environment = [
            ("HOME", path("")),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("ERL_EPMD_PORT", self.names.port.to_string().into()),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
            ("RABBITMQ_DIST_PORT", self.node_port.to_string().into()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_MNESIA_BASE", path("data")),
            ("RABBITMQ_NODENAME", format!("strata-{}@localhost", self.port).into()),
            ("RABBITMQ_PID_FILE", path("pid")),
        ];
        Server::start(&rabbitmq_server(), &words([]), &environment, "completed with 0 plugins")
    }

    fn settings(&self) -> AmqpSettings {
        let text = format!(
            "address = \"localhost:{}\"\nexchange = \"events\"\nrouting_key = \"{{bucket}}.{{event}}\"\ntimeout = 5",
            self.port
        );
        toml::from_str(&text).expect("settings")
    }

    async fn channel(&self) -> (Connection, Channel) {
        let url = format!("amqp://127.0.0.1:{}/%2f", self.port);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        (connection, channel)
    }

    async fn make_exchange(&self) {
        let (_connection, channel) = self.channel().await;
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let none = FieldTable::default;
        channel.exchange_declare("events".into(), ExchangeKind::Topic, options, none()).await.expect("an exchange");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare("all".into(), options, none()).await.expect("a queue");
        let options = QueueBindOptions::default();
        channel.queue_bind("all".into(), "events".into(), "bucket.#".into(), options, none()).await.expect("a binding");
    }

    /// Takes all messages off the queue and tells their ids.
    async fn take(&self) -> Vec<String> {
        let (_connection, channel) = self.channel().await;
        let mut found = Vec::new();
        while let Some(got) = channel.basic_get("all".into(), BasicGetOptions { no_ack: true }).await.expect("a queue")
        {
            assert_eq!(*got.properties.delivery_mode(), Some(2), "persistent");
            found.push(got.properties.message_id().clone().expect("an id").to_string());
        }
        found
    }
}

#[tokio::test]
async fn rabbitmq_takes_events() {
    let rabbit = Rabbit::new();
    let target = AmqpTarget::new(&rabbit.settings()).expect("a target");
    unavailable(target.deliver(&messages(0, 3)).await);
    assert!(matches!(target.check().await, Err(DeliveryError::Unavailable(_))));
    let server = rabbit.start();
    a_missing_exchange_is_waited_for(&target).await;
    rabbit.make_exchange().await;
    messages_keep_their_order(&rabbit, &target).await;
    what_no_queue_takes_comes_back(&rabbit, &target).await;
    a_message_that_is_too_large_is_refused_alone(&rabbit, &target).await;
    a_full_queue_is_waited_for(&rabbit).await;
    connections_are_encrypted_and_signed_in(&rabbit).await;
    a_restart_is_survived(&rabbit, &target, server).await;
}

#[tokio::test]
async fn a_broker_that_does_not_answer_costs_nothing_that_stays() {
    let silent = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
    let text = format!(
        "address = \"{}\"\nexchange = \"events\"\nrouting_key = \"\"\ntimeout = \"100ms\"",
        silent.local_addr().expect("an address")
    );
    let target = AmqpTarget::new(&toml::from_str(&text).expect("settings")).expect("a target");
    for number in 0..5 {
        unavailable(target.deliver(&[message(number, "a")]).await);
    }
    for _ in 0..5 {
        let (mut connection, _) = silent.accept().await.expect("a connection");
        // Ends, as the other side is closed.
        let mut said = Vec::new();
        connection.read_to_end(&mut said).await.expect("an end");
        assert!(said.starts_with(b"AMQP"), "{said:?}");
    }
}

async fn a_missing_exchange_is_waited_for(target: &AmqpTarget) {
    assert!(matches!(target.check().await, Err(DeliveryError::Rejected(reason)) if reason.contains("events")));
    unavailable(target.deliver(&messages(0, 3)).await);
}

async fn messages_keep_their_order(rabbit: &Rabbit, target: &AmqpTarget) {
    target.check().await.expect("an exchange");
    let all = messages(0, 250);
    for batch in all.chunks(target.batch_max()) {
        delivered(target.deliver(batch).await);
    }
    assert_eq!(rabbit.take().await, ids(&all));
}

async fn what_no_queue_takes_comes_back(rabbit: &Rabbit, target: &AmqpTarget) {
    let mut batch = [message(0, "a"), message(1, "b"), message(2, "a"), message(3, "b")];
    batch[1].bucket = "other".to_owned();
    batch[3].bucket = "other".to_owned();
    let outcomes = target.deliver(&batch).await;
    assert_eq!(signs(&outcomes), "+-+?");
    assert!(matches!(&outcomes[1], Err(DeliveryError::Rejected(reason)) if reason.contains("no queue is bound")));
    assert_eq!(rabbit.take().await, ["id-0000", "id-0002"]);
}

async fn a_message_that_is_too_large_is_refused_alone(rabbit: &Rabbit, target: &AmqpTarget) {
    let batch = [message(0, "a"), message_of_bytes(1, "b", 100_000), message(2, "c"), message(3, "b"), message(4, "a")];
    assert_eq!(signs(&target.deliver(&batch).await), "+-+?+");
    // What was sent with it may have been sent twice, but in order.
    let mut taken = rabbit.take().await;
    taken.dedup();
    assert_eq!(taken, ["id-0000", "id-0002", "id-0004"]);
}

async fn a_full_queue_is_waited_for(rabbit: &Rabbit) {
    let (_connection, channel) = rabbit.channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(2));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    channel.queue_declare("short".into(), QueueDeclareOptions::default(), arguments).await.expect("a queue");
    // The default exchange's routing keys are queues.
    let settings = AmqpSettings { exchange: String::new(), routing_key: "short".to_owned(), ..rabbit.settings() };
    let target = AmqpTarget::new(&settings).expect("a target");
    target.check().await.expect("a queue");
    let all = [message(0, "a"), message(1, "b"), message(2, "c")];
    assert_eq!(signs(&target.deliver(&all).await), "++?");
    channel.queue_purge("short".into(), QueuePurgeOptions::default()).await.expect("an empty queue");
    delivered(target.deliver(&all[2..]).await);
    let missing = AmqpSettings { routing_key: "missing".to_owned(), ..settings };
    assert!(matches!(AmqpTarget::new(&missing).expect("a target").check().await, Err(DeliveryError::Rejected(_))));
}

async fn connections_are_encrypted_and_signed_in(rabbit: &Rabbit) {
    let ca_file = Some(rabbit.certificates.authority.clone());
    let link = LinkSettings { tls: true, ca_file, ..rabbit.settings().link };
    let address = format!("localhost:{}", rabbit.tls_port);
    let good = AmqpSettings { address, link: link.clone(), ..rabbit.settings() };
    let target = AmqpTarget::new(&good).expect("a target");
    target.check().await.expect("an exchange");
    delivered(target.deliver(&messages(0, 3)).await);
    assert_eq!(rabbit.take().await.len(), 3);
    let stranger = LinkSettings { ca_file: None, ..link.clone() };
    let stranger = AmqpTarget::new(&AmqpSettings { link: stranger, ..good.clone() }).expect("a target");
    unavailable(stranger.deliver(&messages(0, 1)).await);
    let password = Some(Secret::new("another".to_owned()));
    let link = LinkSettings { username: Some("guest".to_owned()), password, ..link };
    let wrong = AmqpSettings { link, ..good };
    assert!(!format!("{wrong:?}").contains("another"));
    unavailable(AmqpTarget::new(&wrong).expect("a target").deliver(&messages(0, 1)).await);
}

async fn a_restart_is_survived(rabbit: &Rabbit, target: &AmqpTarget, server: Server) {
    let all = messages(0, 12);
    delivered(target.deliver(&all[..4]).await);
    server.kill();
    unavailable(target.deliver(&all[4..8]).await);
    let _server = rabbit.start();
    // RabbitMQ writes declarations to the disk within seconds, and these were new: a crash may have taken the queue, and
    // with it what was in it.
    rabbit.make_exchange().await;
    delivered(target.deliver(&all[4..8]).await);
    delivered(target.deliver(&all[8..]).await);
    let taken = rabbit.take().await;
    let kept = taken.len().saturating_sub(8);
    assert!(taken[kept..] == ids(&all[4..]) && ids(&all[..4]).starts_with(&taken[..kept]), "{taken:?}");
}
