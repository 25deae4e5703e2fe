//! Turns at storing a request body: as many at once as the settings allow, so that memory stays bounded.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::S3Error;

/// How long a request body waits for its turn to be stored: well below the 60 s after which clients give up.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The turns; one per server.
pub struct UploadTurns(Semaphore);

impl UploadTurns {
    /// So many at once.
    pub fn new(count: usize) -> UploadTurns {
        UploadTurns(Semaphore::new(count))
    }

    /// A turn, which ends when it is dropped. `Err` is 503 `SlowDown`. Whoever sends the body must be allowed to by then, or
    /// strangers could take all turns.
    pub async fn take(&self) -> Result<SemaphorePermit<'_>, S3Error> {
        match tokio::time::timeout(WAIT_MAX, self.0.acquire()).await {
            Ok(turn) => Ok(turn.expect("the semaphore is never closed")),
            Err(_) => Err(S3Error::slow_down()),
        }
    }
}
