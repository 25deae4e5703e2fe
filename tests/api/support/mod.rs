//! A server to talk to, and the two ways to do so.

mod answer;
mod raw;
mod sdk;

use strata::Server;
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
        let directory = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start_local(directory.path()).await.expect("a server");
        Fixture { raw: Raw::new(&server), s3: sdk::client(&server), server, directory }
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

    /// Stops the server in order, which also checks that nothing hangs.
    pub async fn stop(self) {
        let Fixture { server, directory, raw, s3 } = self;
        // Idle connections of the clients would hold the server up.
        drop((raw, s3));
        server.shutdown().await.expect("an orderly end");
        drop(directory);
    }
}
