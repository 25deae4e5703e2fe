//! What is told of a request once its answer is known: to the access logs of the buckets that it was about, and to the
//! audit log.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use strata_storage::{Bucket, BucketName};

use super::{Service, Trail};
use crate::access_log::{self, Ending, Pending};
use crate::incoming::Rest;
use crate::op::DeletedKey;
use crate::request::RequestName;
use crate::response::{Payload, Response};

/// The code of an error. The APIs beside S3 have it in their documents only.
pub(super) fn code_of(response: &Response, code: &'static str) -> String {
    let document = match &response.body {
        Payload::Bytes(bytes) if code.is_empty() && !response.status.is_success() => String::from_utf8_lossy(bytes),
        _ => return code.to_owned(),
    };
    let between = |start: &str, end: &str| Some(document.split_once(start)?.1.split_once(end)?.0.to_owned());
    between("<Code>", "</Code>").or_else(|| between("\"__type\":\"", "\"")).unwrap_or_default()
}

impl Service {
    /// The records that buckets with logging want of a request; they are gathered once `response` was sent.
    pub(super) async fn pending(
        &self,
        trail: &Trail,
        name: &Arc<RequestName>,
        rest: &Rest,
        (status, headers, deleted, code): (StatusCode, &HeaderMap, &[DeletedKey], &'static str),
    ) -> Option<Box<Pending>> {
        let trace = &trail.trace;
        let bucket = match &trace.bucket {
            Some(bucket) if !access_log::is_logged(bucket) => None,
            _ => self.logged(trail).await,
        };
        let source = match trace.source() {
            None => None,
            Some(source) => self.context.store.bucket(&source.bucket).await.ok().map(|bucket| (source, bucket)),
        };
        if bucket.is_none() && source.is_none() {
            return None;
        }
        let version = trail.query_ids.iter().find(|(id, _)| *id == "VersionId").map(|(_, version)| version.as_str());
        let ending = Ending {
            name,
            origin: trail.origin,
            key: trail.key.as_ref().map(strata_storage::ObjectKey::as_str),
            version,
            status,
            headers,
            deleted,
            code,
            body_ended: rest.last_read(),
        };
        Pending::of(&self.access_log, trace, bucket, source, &ending)
    }

    /// The bucket that a request was about, with its name.
    async fn logged(&self, trail: &Trail) -> Option<(BucketName, Arc<Bucket>)> {
        let name = BucketName::parse(&trail.bucket).ok()?;
        let bucket = match &trail.trace.bucket {
            Some(bucket) => Arc::clone(bucket),
            // The request was refused before anybody looked for the bucket, or made it.
            None => self.context.store.bucket(&name).await.ok()?,
        };
        Some((name, bucket))
    }
}
