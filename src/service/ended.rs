//! What is told of a request once its answer is known: to the access logs of the buckets that it was about.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use strata_storage::BucketName;

use super::{Service, Trail};
use crate::access_log::{Ending, Pending};
use crate::incoming::Rest;
use crate::op::DeletedKey;
use crate::request::RequestName;

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
        let bucket = match BucketName::parse(&trail.bucket) {
            Err(_) => None,
            Ok(bucket_name) => match &trace.bucket {
                Some(bucket) => Some((bucket_name, Arc::clone(bucket))),
                // The request was refused before anybody looked for the bucket.
                None => self.context.store.bucket(&bucket_name).await.ok().map(|bucket| (bucket_name, bucket)),
            },
        };
        let source = match trace.source() {
            None => None,
            Some(source) => self.context.store.bucket(&source.bucket).await.ok().map(|bucket| (source, bucket)),
        };
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
}
