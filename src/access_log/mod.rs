//! Server access logs: one line for each request to a bucket that has logging, gathered in memory and written as objects
//! of the target bucket.
//!
//! What lifecycle rules and restores do to such a bucket has lines too (`deeds`).
//!
//! Best effort, as at S3: lines that were not delivered when the process dies are lost, and a target that refuses them
//! for long loses the oldest. A request pays for its line only once its answer was sent, and only if its bucket logs.

mod buffer;
mod configuration;
mod deeds;
mod delivery;
mod kind;
mod pending;
mod record;
mod target;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strata_storage::{Bucket, BucketDocument, BucketName, Clock, Deed, Entropy, Store};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use crate::authorize::BucketPolicies;
use crate::error::S3Error;

use buffer::{Buffers, Next, Stream};
use configuration::DateSource;
use record::Record;

pub use configuration::{Logging, invalid_target};
pub use pending::{Ending, Pending, Trace};
pub use target::check;

const SECONDS_PER_DAY: u64 = 86_400;

/// Gathers lines and delivers them; one per server. Copies are the same log.
#[derive(Clone)]
pub struct AccessLog(Arc<Shared>);

struct Shared {
    buffers: Mutex<Buffers>,
    /// Told when some buffer should not wait for its time.
    full: Notify,
    /// Held during a delivery, so that whoever asks for one knows afterwards that all lines before were offered.
    delivering: tokio::sync::Mutex<()>,
    /// What the store did of itself, until its lines are kept.
    deeds: Mutex<broadcast::Receiver<Arc<Deed>>>,
    store: Store,
    policies: BucketPolicies,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl AccessLog {
    /// A log without lines, which writes into `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> AccessLog {
        AccessLog(Arc::new(Shared {
            buffers: Mutex::default(),
            full: Notify::new(),
            delivering: tokio::sync::Mutex::default(),
            deeds: Mutex::new(store.deeds()),
            store,
            policies: BucketPolicies::default(),
            clock,
            entropy,
        }))
    }

    /// Delivers what was gathered whenever `every` has passed or a buffer is full. Never ends by itself.
    pub async fn run(self, every: Duration) {
        // Only wakes it: what others have kept meanwhile is not kept twice.
        let mut deeds = self.0.deeds.lock().unwrap_or_else(PoisonError::into_inner).resubscribe();
        loop {
            let due = Instant::now() + every;
            loop {
                tokio::select! {
                    Ok(_) | Err(RecvError::Lagged(_)) = deeds.recv() => self.keep_deeds().await,
                    // Either is a reason to deliver.
                    () = self.0.full.notified() => break,
                    () = tokio::time::sleep_until(due) => break,
                }
            }
            self.deliver().await;
        }
    }

    /// Keeps the line of one request until it is delivered.
    fn push(&self, logged: &Logged, record: &Record) {
        let day = match logged.logging.date_source() {
            Some(DateSource::EventTime) => Some(record.time.as_secs() / SECONDS_PER_DAY),
            Some(DateSource::DeliveryTime) | None => None,
        };
        let stream = Stream {
            source: logged.name.clone(),
            owner: logged.bucket.owner,
            region: logged.bucket.region.clone(),
            logging: logged.logging.clone(),
            day,
        };
        let line = record.line();
        let next = self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(stream, line);
        if next == Next::Deliver {
            self.0.full.notify_one();
        }
    }
}

/// Whether requests to a bucket are logged.
pub fn is_logged(bucket: &Bucket) -> bool {
    bucket.documents.contains_key(&BucketDocument::Logging)
}

/// A bucket whose requests are logged.
#[derive(Debug, Clone)]
pub struct Logged {
    name: BucketName,
    bucket: Arc<Bucket>,
    logging: Logging,
}

impl Logged {
    /// `None` for buckets without logging.
    pub fn of(name: &BucketName, bucket: &Arc<Bucket>) -> Option<Logged> {
        let logging = Logging::of(bucket).unwrap_or_else(|error: S3Error| {
            tracing::error!(bucket = %name, detail = error.detail, "requests to a bucket are not logged");
            None
        })?;
        Some(Logged { name: name.clone(), bucket: Arc::clone(bucket), logging })
    }
}
