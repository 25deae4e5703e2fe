//! `GET backup`, `POST backup/start`: backups of the store. Both answer with how the one under way goes, or the last one
//! went since the server started.

use std::path::PathBuf;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strata_storage::{BackupOptions, BackupStatus, Error};
use tokio::task::spawn_blocking;

use crate::admin::AdminRequest;
use crate::backup::{open, refuse_within};
use crate::error::S3Error;
use crate::request::Context;
use crate::time::iso8601;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupQuestion {
    /// Where the backup goes: a directory of the server's machine, or `s3://bucket/prefix`.
    pub repository: String,
    /// Which of the other stores has the bucket.
    #[serde(default)]
    pub site: Option<String>,
    /// Whether to send everything, whatever the repository has.
    #[serde(default)]
    pub full: bool,
}

/// How a backup goes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BackupDocument {
    /// Whether one is under way.
    pub running: bool,
    /// Where it goes.
    pub repository: Option<String>,
    /// When it began.
    pub started: Option<String>,
    /// When it ended.
    pub finished: Option<String>,
    /// What there is to back up: records and the index.
    pub total_bytes: u64,
    /// What was looked at of that.
    pub done_bytes: u64,
    /// Records looked at.
    pub records: u64,
    /// Of these, those that were sent.
    pub sent_records: u64,
    /// What was sent.
    pub sent_bytes: u64,
    /// Records that cannot be read, and are in no backup.
    pub lost_records: u64,
    /// The id of the backup, once it is made.
    pub snapshot: Option<String>,
    /// Why it was not made.
    pub error: Option<String>,
}

/// Answers `backup`.
pub fn get(ctx: &Context, _request: AdminRequest) -> BackupDocument {
    document(ctx.store.backup_status())
}

/// Answers `backup/start`.
pub async fn start(ctx: &Context, request: AdminRequest) -> Result<BackupDocument, S3Error> {
    let question: BackupQuestion = serde_json::from_slice(&request.body)
        .map_err(|error| S3Error::invalid_argument(format!("The body is not understood: {error}"), "body", ""))?;
    let mut used: Vec<PathBuf> = ctx.store.zones().into_iter().map(|zone| zone.directory).collect();
    used.extend(std::path::absolute(&ctx.config.data));
    let place = question.repository.clone();
    let apart = spawn_blocking(move || refuse_within(&place, &used)).await.map_err(S3Error::internal)?;
    let repository = apart
        .and_then(|()| open(&question.repository, question.site.as_deref(), ctx.destinations.regions()))
        .map_err(|reason| S3Error::invalid_argument(reason, "repository", &question.repository))?;
    let begun = ctx.store.start_backup(repository, BackupOptions { full: question.full }).await;
    begun.map(document).map_err(|error| match error {
        Error::Backup(reason) => S3Error::new(StatusCode::CONFLICT, "InvalidBackup", reason),
        // The directory is the asker's business, and so is why it cannot be written to.
        error @ (Error::Io { .. } | Error::NoSpace { .. } | Error::Corrupt { .. } | Error::UnknownFormat { .. }) => {
            S3Error::new(StatusCode::CONFLICT, "InvalidBackup", error.to_string())
        }
        error => error.into(),
    })
}

/// Every field of the engine's is told.
fn document(status: BackupStatus) -> BackupDocument {
    let BackupStatus {
        running,
        repository,
        started,
        finished,
        total_bytes,
        done_bytes,
        records,
        sent_records,
        sent_bytes,
        lost_records,
        snapshot,
        error,
    } = status;
    let (started, finished) = (started.map(iso8601), finished.map(iso8601));
    BackupDocument {
        running,
        repository,
        started,
        finished,
        total_bytes,
        done_bytes,
        records,
        sent_records,
        sent_bytes,
        lost_records,
        snapshot,
        error,
    }
}
