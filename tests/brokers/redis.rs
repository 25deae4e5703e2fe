//! Redis streams, on a real server.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};
use strata::credentials::Secret;
use strata::events::broker::LinkSettings;
use strata::events::redis::{RedisSettings, RedisTarget};
use strata::events::target::{DeliveryError, Target as _};
use tempfile::TempDir;

use crate::server::{Server, program, words};
use crate::support::{Certificates, delivered, free_port, ids, messages, signs, unavailable};

struct Redis {
    directory: TempDir,
    port: u16,
    more: Vec<(&'static str, String)>,
}

impl Redis {
    fn new(more: &[(&'static str, &str)]) -> Redis {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Redis { directory: tempfile::tempdir().expect("a directory"), port: free_port(), more }
    }

    /// What was acknowledged is on the disk, so that a restart keeps it.
    fn start(&self) -> Server {
        let port = self.port.to_string();
        let mut arguments = words([
            &"--port",
            &port,
            &"--bind",
            &"127.0.0.1",
            &"--dir",
            &self.directory.path(),
            &"--appendonly",
            &"yes",
            &"--appendfsync",
            &"always",
            &"--save",
            &"",
        ]);
        for (name, value) in &self.more {
            arguments.extend(words([name, value]));
        }
        Server::start(&program("redis-server", "redis-server"), &arguments, &[], "Ready to accept connections")
    }

    fn settings(&self) -> RedisSettings {
        let text = format!("address = \"localhost:{}\"\nstream = \"events\"\ntimeout = 5", self.port);
        toml::from_str(&text).expect("settings")
    }

    fn target(&self) -> RedisTarget {
        RedisTarget::new(&self.settings()).expect("a target")
    }

    async fn connection(&self) -> MultiplexedConnection {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port)).expect("a URL");
        client.get_multiplexed_async_connection().await.expect("a connection")
    }

    /// The `id` fields of all entries, in the stream's order.
    async fn ids(&self) -> Vec<String> {
        let entries: Vec<(String, Vec<(String, String)>)> = cmd("XRANGE")
            .arg("events")
            .arg("-")
            .arg("+")
            .query_async(&mut self.connection().await)
            .await
            .expect("entries");
        entries.into_iter().map(|(_, fields)| fields[0].1.clone()).collect()
    }
}

#[tokio::test]
async fn entries_keep_their_order() {
    let redis = Redis::new(&[]);
    let _server = redis.start();
    let target = redis.target();
    target.check().await.expect("a server that can be used");
    let all = messages(0, 250);
    for batch in all.chunks(target.batch_max()) {
        delivered(target.deliver(batch).await);
    }
    assert_eq!(redis.ids().await, ids(&all));
    let first: Vec<(String, Vec<(String, String)>)> = cmd("XRANGE")
        .arg("events")
        .arg("-")
        .arg("+")
        .arg("COUNT")
        .arg(1)
        .query_async(&mut redis.connection().await)
        .await
        .expect("an entry");
    assert_eq!(first[0].1[1], ("event".to_owned(), String::from_utf8(all[0].body.to_vec()).expect("text")));
}

#[tokio::test]
async fn a_restart_is_survived() {
    let redis = Redis::new(&[]);
    let target = redis.target();
    let all = messages(0, 12);
    unavailable(target.deliver(&all[..4]).await);
    assert!(matches!(target.check().await, Err(DeliveryError::Unavailable(_))));
    let server = redis.start();
    delivered(target.deliver(&all[..4]).await);
    server.kill();
    unavailable(target.deliver(&all[4..8]).await);
    let _server = redis.start();
    delivered(target.deliver(&all[4..8]).await);
    delivered(target.deliver(&all[8..]).await);
    assert_eq!(redis.ids().await, ids(&all));
}

#[tokio::test]
async fn what_meets_every_event_is_waited_for() {
    let redis = Redis::new(&[("--maxmemory-policy", "noeviction")]);
    let _server = redis.start();
    let target = redis.target();
    let mut connection = redis.connection().await;
    cmd("SET").arg("events").arg("text").exec_async(&mut connection).await.expect("a value");
    assert_eq!(signs(&target.deliver(&messages(0, 3)).await), "???");
    assert!(matches!(target.check().await, Err(DeliveryError::Rejected(reason)) if reason.contains("string")));
    cmd("DEL").arg("events").exec_async(&mut connection).await.expect("no value");
    cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").exec_async(&mut connection).await.expect("no memory");
    assert_eq!(signs(&target.deliver(&messages(0, 3)).await), "???");
    cmd("CONFIG").arg("SET").arg("maxmemory").arg("0").exec_async(&mut connection).await.expect("memory");
    delivered(target.deliver(&messages(0, 3)).await);
}

#[tokio::test]
async fn a_stream_is_bounded_and_replicas_are_waited_for() {
    let redis = Redis::new(&[]);
    let _server = redis.start();
    let bounded = RedisTarget::new(&RedisSettings { length_max: Some(100), ..redis.settings() }).expect("a target");
    for batch in messages(0, 1_000).chunks(bounded.batch_max()) {
        delivered(bounded.deliver(batch).await);
    }
    let kept = redis.ids().await;
    assert!((100..300).contains(&kept.len()), "{} entries", kept.len());
    assert_eq!(kept.last().map(String::as_str), Some("id-0999"));

    let link = LinkSettings { timeout: Duration::from_secs(1), ..redis.settings().link };
    let settings = RedisSettings { replicas: 1, link, ..redis.settings() };
    assert!(RedisTarget::new(&RedisSettings { length_max: Some(0), ..settings.clone() }).is_err());
    let alone = RedisTarget::new(&settings).expect("a target");
    let outcomes = alone.deliver(&messages(0, 1)).await;
    assert!(
        matches!(&outcomes[0], Err(DeliveryError::Unavailable(reason)) if reason.contains("0 of 1")),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn connections_are_encrypted_and_signed_in() {
    let files = tempfile::tempdir().expect("a directory");
    let certificates = Certificates::make(files.path());
    let text = |path: &PathBuf| path.display().to_string();
    let mut redis = Redis::new(&[("--requirepass", "a secret"), ("--tls-auth-clients", "no")]);
    // The port without TLS is another one.
    let tls_port = free_port();
    redis.more.push(("--tls-port", tls_port.to_string()));
    redis.more.push(("--tls-cert-file", text(&certificates.certificate)));
    redis.more.push(("--tls-key-file", text(&certificates.private_key)));
    redis.more.push(("--tls-ca-cert-file", text(&certificates.authority)));
    let _server = redis.start();
    let link = LinkSettings {
        tls: true,
        ca_file: Some(certificates.authority.clone()),
        password: Some(Secret::new("a secret".to_owned())),
        ..redis.settings().link
    };
    let address = format!("localhost:{tls_port}");
    let good = RedisSettings { address, link: link.clone(), ..redis.settings() };
    let target = RedisTarget::new(&good).expect("a target");
    target.check().await.expect("a server that can be used");
    delivered(target.deliver(&messages(0, 5)).await);

    let stranger = LinkSettings { ca_file: None, ..link.clone() };
    let stranger = RedisTarget::new(&RedisSettings { link: stranger, ..good.clone() }).expect("a target");
    unavailable(stranger.deliver(&messages(0, 1)).await);
    let wrong = Some(Secret::new("another".to_owned()));
    let wrong = RedisSettings { link: LinkSettings { password: wrong, ..link }, ..good };
    assert!(!format!("{wrong:?}").contains("another"));
    let outcomes = RedisTarget::new(&wrong).expect("a target").deliver(&messages(0, 1)).await;
    assert!(matches!(&outcomes[0], Err(DeliveryError::Unavailable(reason)) if !reason.contains("another")));
}
