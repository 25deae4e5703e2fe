//! NATS JetStream, on a real server.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::{self, Context, stream};
use futures_util::StreamExt as _;
use strata::credentials::Secret;
use strata::events::broker::LinkSettings;
use strata::events::nats::{NatsSettings, NatsTarget};
use strata::events::target::{DeliveryError, Target as _};
use tempfile::TempDir;

use crate::server::{Server, program, words};
use crate::support::{
    Certificates, delivered, free_port, ids, message, message_of_bytes, messages, signs, unavailable,
};

struct Nats {
    directory: TempDir,
    port: u16,
}

impl Nats {
    fn new(more: &str) -> Nats {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let path = directory.path().display();
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{path}/store\", max_mem: 64MB, max_file: 1GB }}\n{more}\n"
        );
        std::fs::write(directory.path().join("nats.conf"), text).expect("a file");
        Nats { directory, port }
    }

    fn start(&self) -> Server {
        let configuration = self.directory.path().join("nats.conf");
        let program = program("nats-server", "nats-server");
        Server::start(&program, &words([&"--config", &configuration]), &[], "Server is ready")
    }

    fn settings(&self) -> NatsSettings {
        let text = format!("addresses = [\"localhost:{}\"]\nsubject = \"strata.events\"\ntimeout = 3", self.port);
        toml::from_str(&text).expect("settings")
    }

    fn target(&self) -> NatsTarget {
        NatsTarget::new(&self.settings()).expect("a target")
    }

    async fn jetstream(&self) -> Context {
        let client = async_nats::connect(format!("nats://127.0.0.1:{}", self.port)).await.expect("a connection");
        jetstream::new(client)
    }

    async fn make_stream(&self) {
        let config = stream::Config {
            name: "EVENTS".to_owned(),
            subjects: vec!["strata.*".to_owned()],
            max_message_size: 4096,
            ..stream::Config::default()
        };
        self.jetstream().await.create_stream(config).await.expect("a stream");
    }

    /// The ids of all messages of the stream, in its order.
    async fn ids(&self) -> Vec<String> {
        let mut stream = self.jetstream().await.get_stream("EVENTS").await.expect("a stream");
        let count = stream.info().await.expect("a stream").state.messages;
        let numbers = futures_util::stream::iter(1..=count);
        let id = |number| {
            let stream = &stream;
            async move {
                let message = stream.get_raw_message(number).await.expect("a message");
                message.headers.get("Nats-Msg-Id").expect("an id").to_string()
            }
        };
        numbers.then(id).collect().await
    }
}

#[tokio::test]
async fn messages_keep_their_order_and_repetitions_are_stored_once() {
    let nats = Nats::new("");
    let _server = nats.start();
    nats.make_stream().await;
    let target = nats.target();
    target.check().await.expect("a stream");
    let all = messages(0, 250);
    for batch in all.chunks(target.batch_max()) {
        delivered(target.deliver(batch).await);
    }
    assert_eq!(nats.ids().await, ids(&all));
    // As after an acknowledgement that got lost.
    delivered(target.deliver(&all[240..]).await);
    delivered(nats.target().deliver(&all[..10]).await);
    assert_eq!(nats.ids().await.len(), all.len());
}

#[tokio::test]
async fn a_restart_is_survived() {
    let nats = Nats::new("");
    let target = nats.target();
    let all = messages(0, 12);
    unavailable(target.deliver(&all[..4]).await);
    assert!(matches!(target.check().await, Err(DeliveryError::Unavailable(_))));
    let server = nats.start();
    nats.make_stream().await;
    delivered(target.deliver(&all[..4]).await);
    server.kill();
    unavailable(target.deliver(&all[4..8]).await);
    let _server = nats.start();
    delivered(target.deliver(&all[4..8]).await);
    delivered(target.deliver(&all[8..]).await);
    assert_eq!(nats.ids().await, ids(&all));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_alone() {
    let nats = Nats::new("max_payload: 65536");
    let _server = nats.start();
    nats.make_stream().await;
    let target = nats.target();
    // The first is more than the server takes, the second more than the stream does.
    for bytes in [100_000, 10_000] {
        let first = bytes + 1;
        let batch = [
            message(first, "a"),
            message_of_bytes(first + 1, "b", bytes),
            message(first + 2, "c"),
            message(first + 3, "b"),
        ];
        assert_eq!(signs(&target.deliver(&batch).await), "+-+?");
        delivered(target.deliver(&batch[3..]).await);
    }
}

#[tokio::test]
async fn a_missing_stream_is_waited_for() {
    let nats = Nats::new("");
    let _server = nats.start();
    let target = nats.target();
    assert!(matches!(target.check().await, Err(DeliveryError::Rejected(reason)) if reason.contains("strata.events")));
    unavailable(target.deliver(&messages(0, 3)).await);
    nats.make_stream().await;
    delivered(target.deliver(&messages(0, 3)).await);
    assert_eq!(nats.ids().await.len(), 3);
}

#[tokio::test]
async fn connections_are_encrypted_and_signed_in() {
    let files = tempfile::tempdir().expect("a directory");
    let certificates = Certificates::make(files.path());
    let text = |path: &PathBuf| path.display().to_string();
    let (certificate, key) = (text(&certificates.certificate), text(&certificates.private_key));
    let nats = Nats::new(&format!(
        "tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}\n\
         authorization {{ users = [ {{ user: strata, password: \"a secret\", permissions: {{ publish: [\"strata.events\", \
         \"$JS.API.>\"], subscribe: [\"_INBOX.>\"] }} }} ] }}"
    ));
    let _server = nats.start();
    let link = LinkSettings {
        tls: true,
        ca_file: Some(certificates.authority.clone()),
        username: Some("strata".to_owned()),
        password: Some(Secret::new("a secret".to_owned())),
        timeout: Duration::from_secs(2),
    };
    let good = NatsSettings { link: link.clone(), ..nats.settings() };
    assert!(!format!("{good:?}").contains("a secret"));
    let target = NatsTarget::new(&good).expect("a target");
    // The server answers, but has no stream yet.
    assert!(matches!(target.check().await, Err(DeliveryError::Rejected(_))));
    let stranger = LinkSettings { ca_file: None, ..link.clone() };
    let stranger = NatsTarget::new(&NatsSettings { link: stranger, ..good.clone() }).expect("a target");
    assert!(matches!(stranger.check().await, Err(DeliveryError::Unavailable(_))));
    let wrong = LinkSettings { password: Some(Secret::new("another".to_owned())), ..link };
    let wrong = NatsSettings { link: wrong, ..good.clone() };
    assert!(matches!(NatsTarget::new(&wrong).expect("a target").check().await, Err(DeliveryError::Unavailable(_))));
    // A subject that the user may not publish to is never acknowledged.
    let elsewhere = NatsTarget::new(&NatsSettings { subject: "strata.others".to_owned(), ..good }).expect("a target");
    unavailable(elsewhere.deliver(&messages(0, 1)).await);
}

#[test]
fn settings_name_one_subject_and_one_way_to_sign_in() {
    let settings: NatsSettings =
        toml::from_str("addresses = [\"localhost:4222\"]\nsubject = \"strata.events\"\ntoken = \"t\"")
            .expect("settings");
    assert!(NatsTarget::new(&settings).is_ok());
    let link = settings.link.clone();
    for wrong in [
        NatsSettings { subject: "strata.*".to_owned(), ..settings.clone() },
        NatsSettings { link: LinkSettings { username: Some("somebody".to_owned()), ..link }, ..settings.clone() },
        NatsSettings { addresses: Vec::new(), ..settings.clone() },
    ] {
        assert!(NatsTarget::new(&wrong).is_err(), "{wrong:?}");
    }
    let unknown = toml::from_str::<NatsSettings>("addresses = []\nsubject = \"s\"\nsubjects = \"t\"");
    assert!(unknown.is_err());
}
