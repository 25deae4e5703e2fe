//! `GET scrub`, `POST scrub/start`: the reading of everything that is at rest. Both answer with how it goes.

use serde::{Deserialize, Serialize};
use strata_storage::{LostVersion, ScrubStatus};

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::request::Context;
use crate::time::iso8601;

/// How a pass goes, or how the last one went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScrubDocument {
    /// Whether one is under way.
    pub running: bool,
    /// When it began.
    pub started: Option<String>,
    /// When it ended.
    pub finished: Option<String>,
    /// When the next one begins by itself.
    pub next: Option<String>,
    /// What there is to read, each record counted once however many zones have it.
    pub total_bytes: u64,
    /// What was read of that.
    pub done_bytes: u64,
    /// How much of that a second.
    pub bytes_per_second: u64,
    /// Records read.
    pub records: u64,
    /// Records that were damaged somewhere.
    pub damaged: u64,
    /// Of these, those that are whole again.
    pub repaired: u64,
    /// Of these, those that are lost.
    pub lost: u64,
    /// Segments that could not be read because zones are away.
    pub skipped_segments: u64,
    /// Versions that have lost bytes; found at the end.
    pub lost_versions: Vec<LostVersionDocument>,
}

/// A version that has lost bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LostVersionDocument {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version's id.
    pub version_id: String,
}

/// Answers `scrub`.
pub async fn get(ctx: &Context, _request: AdminRequest) -> Result<ScrubDocument, S3Error> {
    Ok(document(ctx.store.scrub_status().await?))
}

/// Answers `scrub/start`.
pub async fn start(ctx: &Context, _request: AdminRequest) -> Result<ScrubDocument, S3Error> {
    Ok(document(ctx.store.start_scrub().await?))
}

fn document(status: ScrubStatus) -> ScrubDocument {
    let lost = |LostVersion { bucket, key, version }| LostVersionDocument { bucket, key, version_id: version };
    ScrubDocument {
        running: status.running,
        started: status.started.map(iso8601),
        finished: status.finished.map(iso8601),
        next: status.next.map(iso8601),
        total_bytes: status.total_bytes,
        done_bytes: status.done_bytes,
        bytes_per_second: status.bytes_per_second,
        records: status.records,
        damaged: status.damaged,
        repaired: status.repaired,
        lost: status.lost,
        skipped_segments: status.skipped_segments,
        lost_versions: status.lost_versions.into_iter().map(lost).collect(),
    }
}
