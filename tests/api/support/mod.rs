//! A server to talk to, and the two ways to do so.

mod answer;
mod raw;
mod sdk;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use strata::Server;
use strata::config::Config;
use strata_storage::{Clock, ManualClock, Store, SystemClock, Timestamp};
use tempfile::TempDir;

pub use answer::{Answer, elements};
pub use raw::{Raw, now};
pub use sdk::Sdk;

/// A server of its own for each test.
pub struct Fixture {
    /// Requests that no SDK sends.
    pub raw: Raw,
    /// The SDK's client.
    pub s3: Sdk,
    server: Server,
    directory: TempDir,
}

impl Fixture {
    /// Starts a server with an empty store.
    pub async fn start() -> Fixture {
        Fixture::start_with(|_| {}, Arc::new(SystemClock)).await
    }

    /// Starts a server with changed settings and with an empty store, at the time that the clock tells.
    pub async fn start_with(change: impl FnOnce(&mut Config), clock: Arc<dyn Clock>) -> Fixture {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config { data: directory.path().to_owned(), listen, ..Config::default() };
        change(&mut config);
        let server = Server::start_on_clock(config, Arc::clone(&clock)).await.expect("a server");
        let s3 = sdk::client(&server, Arc::clone(&clock));
        Fixture { raw: Raw::new(&server, clock), s3, server, directory }
    }

    /// The server's store.
    pub fn store(&self) -> &Store {
        self.server.store()
    }

    /// Starts a server with one bucket, and with a clock that stands at 1 October 2026, 10:00, until it is moved.
    pub async fn with_clock(bucket: &str, change: impl FnOnce(&mut Config)) -> (Fixture, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_790_848_800)));
        let fixture = Fixture::start_with(change, Arc::clone(&clock) as Arc<dyn Clock>).await;
        fixture.raw.put(&format!("/{bucket}"), "").await.is(200);
        (fixture, clock)
    }

    /// Starts a server with one bucket.
    pub async fn with_bucket(name: &str) -> Fixture {
        let fixture = Fixture::start().await;
        fixture.raw.put(&format!("/{name}"), "").await.is(200);
        fixture
    }

    /// Starts a server with one bucket that keeps versions.
    pub async fn with_versioned_bucket(name: &str) -> Fixture {
        let fixture = Fixture::with_bucket(name).await;
        fixture.set_versioning(name, "Enabled").await;
        fixture
    }

    /// The data directory.
    pub fn data(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Changes a bucket's versioning state.
    pub async fn set_versioning(&self, bucket: &str, status: &str) {
        let document = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        self.raw.put(&format!("/{bucket}?versioning"), document).await.is(200);
    }

    /// Delivers access logs now.
    pub async fn deliver_access_logs(&self) {
        self.server.deliver_access_logs().await;
    }

    /// Stops the server in order, and starts another on its data.
    pub async fn restart(self) -> Fixture {
        let Fixture { server, directory, raw, s3 } = self;
        let config = server.config().clone();
        drop((raw, s3));
        server.shutdown().await.expect("an orderly end");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let server = Server::start_on_clock(config, Arc::clone(&clock)).await.expect("a server");
        let s3 = sdk::client(&server, Arc::clone(&clock));
        Fixture { raw: Raw::new(&server, clock), s3, server, directory }
    }

    /// Stops the server in order, which also checks that nothing hangs.
    pub async fn stop(self) {
        let Fixture { server, directory, raw, s3 } = self;
        // Idle connections of the clients would hold the server up.
        drop((raw, s3));
        server.shutdown().await.expect("an orderly end");
        drop(directory);
    }
}
