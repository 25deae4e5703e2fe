//! Records of what the store did of itself: lifecycle rules and restores. They have no request, and no answer.

use std::sync::{Arc, PoisonError};

use strata_storage::{BucketName, Deed, DeedKind, StorageClass};
use tokio::sync::broadcast::error::TryRecvError;

use super::record::Record;
use super::{AccessLog, Logged};
use crate::request::RequestName;

/// Who did it, as S3 calls itself in these records.
const REQUESTER: &str = "AmazonS3";

impl AccessLog {
    /// Keeps the lines of all deeds that were told so far. Some are missed if there are very many at once.
    pub(super) async fn keep_deeds(&self) {
        loop {
            let next = self.0.deeds.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
            match next {
                Ok(deed) => self.keep_deed(&deed).await,
                Err(TryRecvError::Lagged(lines)) => {
                    tracing::warn!(lines, "lines of access logs are lost: rules did too much at once");
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    async fn keep_deed(&self, deed: &Deed) {
        // A bucket that is gone, or cannot be read now, loses a line.
        let Ok(name) = BucketName::parse(&deed.bucket) else { return };
        let Ok(bucket) = self.0.store.bucket(&name).await else { return };
        if let Some(logged) = Logged::of(&name, &bucket) {
            self.push(&logged, &record(&logged, deed, self.0.entropy.next_u64()));
        }
    }
}

fn record(logged: &Logged, deed: &Deed, id: u64) -> Record {
    let name = RequestName { resource: String::new(), request_id: format!("{id:016X}"), host_id: String::new() };
    Record {
        owner: logged.bucket.owner,
        bucket: logged.name.as_str().to_owned(),
        time: deed.time,
        source: None,
        requester: Some(REQUESTER.to_owned()),
        name: Arc::new(name),
        operation: operation(deed.kind).to_owned(),
        key: Some(deed.key.clone()),
        line: None,
        status: None,
        code: "",
        bytes_sent: 0,
        object_bytes: deed.bytes,
        total: None,
        turn_around: None,
        referer: None,
        user_agent: None,
        version: deed.version_id.map(|version| version.to_string()),
        signing: None,
        cipher: None,
        host: None,
        tls: None,
        access_point: None,
        by_acl: false,
    }
}

/// `S3.action.type`
fn operation(kind: DeedKind) -> &'static str {
    match kind {
        DeedKind::Expired => "S3.EXPIRE.OBJECT",
        DeedKind::Hidden => "S3.CREATE.DELETEMARKER",
        DeedKind::Aborted => "S3.DELETE.UPLOAD",
        DeedKind::Restored => "S3.RESTORE.OBJECT",
        DeedKind::Transitioned(class) => match class {
            StorageClass::StandardIa => "S3.TRANSITION_SIA.OBJECT",
            StorageClass::OnezoneIa => "S3.TRANSITION_ZIA.OBJECT",
            StorageClass::IntelligentTiering => "S3.TRANSITION_INT.OBJECT",
            StorageClass::GlacierIr => "S3.TRANSITION_GIR.OBJECT",
            StorageClass::DeepArchive => "S3.TRANSITION_GDA.OBJECT",
            // Into the first two no rule leads.
            StorageClass::Standard | StorageClass::ReducedRedundancy | StorageClass::Glacier => "S3.TRANSITION.OBJECT",
        },
    }
}
