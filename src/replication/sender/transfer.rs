//! One task: what a version is, or what changed of it, is brought to the destination.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use strata_storage::{ObjectInfo, ObjectKey, OpenObject, QueueId, Replica, Replicate, ReplicatedPart, Stamp, Tag};

use super::Sender;
use super::endpoint::{Call, CallBody, Endpoint};
use super::fault::{Fault, Step, VERSION_NOT_FOUND};
use super::multipart::{self, Progress};
use super::outgoing;
use super::source::Source;
use crate::metadata_headers;
use crate::outbound::Answer;
use crate::replication::error_code;
use crate::replication::replica::{self, Head};
use crate::route::Operation;
use crate::tagging;

/// The largest object that goes as one request, S3's limit.
const PUT_BYTES_MAX: u64 = 5 << 30;

/// What goes as names first, in bytes: for less, one more round trip is not worth it.
const NAMED_BYTES_MIN: u64 = 1 << 20;

/// A request that carries content.
pub struct Upload<'a> {
    pub step: Step,
    pub operation: Operation,
    pub query: &'a [(&'a str, &'a str)],
    pub headers: HeaderMap,
}

/// A task under way, with what its next attempt goes on from.
pub struct Transfer<'a> {
    pub sender: &'a Sender,
    pub source: &'a Source,
    pub endpoint: &'a Endpoint,
    pub replicate: &'a Replicate,
    pub key: &'a ObjectKey,
    pub queue: QueueId,
    /// The task.
    pub task: Stamp,
}

impl Transfer<'_> {
    /// Does the task. `progress` is kept from one attempt to the next.
    pub async fn run(&self, progress: &mut Progress) -> Result<(), Fault> {
        match self.replicate.part {
            ReplicatedPart::Object => self.object(progress).await,
            ReplicatedPart::Marker => self.marker().await,
            ReplicatedPart::Changes => self.changes().await,
        }
    }

    /// Sends a request, and gives its answer if it is a success.
    pub async fn ask(&self, step: Step, call: Call<'_>) -> Result<Answer, Fault> {
        let answer = self.endpoint.call(self.sender, self.source, self.key, call).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(Fault::of(step, &answer)),
        }
    }

    /// Keeps the id of an upload for a sender that starts anew. That it could not be kept is no matter until then.
    pub async fn keep_upload(&self, id: &str) {
        if let Err(error) = self.sender.context.store.keep_upload(self.queue, self.task, id).await {
            tracing::warn!(%error, "the id of an upload for replication cannot be kept");
        }
    }

    /// What a request says that is about the version, and not about what of it is sent.
    pub fn replica_headers(&self) -> HeaderMap {
        let Replicate { version, null, .. } = *self.replicate;
        match self.endpoint.is_strata() {
            true => {
                let replica = Replica { version, null, changes: Default::default(), imported: false };
                outgoing::of_replica(&Head { replica, acl: None, lock: Default::default(), metadata: None })
            }
            false => HeaderMap::new(),
        }
    }

    async fn object(&self, progress: &mut Progress) -> Result<(), Fault> {
        let Transfer { sender, source, endpoint, replicate, key, .. } = *self;
        let object = source.open(sender, replicate, key).await?;
        let info = object.info();
        let with_tags = info.tags.is_empty() || source.may_read_tags(sender, replicate, key).await;
        if !endpoint.is_strata() && metadata_headers::carried(&info.metadata).is_err() {
            tracing::info!(
                key = key.as_str(),
                version = %info.version_id,
                "metadata that no header can carry is not replicated: the destination is no Strata"
            );
        }
        let mut headers = outgoing::of_object(endpoint, info, source.rule(), with_tags);
        if self.goes_in_parts(info) {
            return multipart::send(self, &object, headers, progress).await;
        }
        outgoing::set_digests(&mut headers, info);
        let put = Upload { step: Step::Put, operation: Operation::PutObject, query: &[], headers };
        self.send(&object, 0..info.size, put).await.map(drop)
    }

    /// Sends a range of the object: by the names of its chunks, if the destination may know them, else as it is.
    pub async fn send(&self, object: &OpenObject, range: Range<u64>, upload: Upload<'_>) -> Result<Answer, Fault> {
        let Upload { step, operation, query, headers } = upload;
        if self.endpoint.may_know_content() && range.end - range.start >= NAMED_BYTES_MIN {
            let chunks = object.chunks(range.clone(), replica::CHUNKS_MAX).await;
            if let Some(chunks) = chunks.map_err(|error| Fault::from(&error))? {
                let mut headers = headers.clone();
                headers.insert(replica::CONTENT, HeaderValue::from_static(replica::CHUNKS));
                let body = CallBody::Bytes(replica::encode_chunks(&chunks).into());
                let call = Call { operation, method: Method::PUT, query, headers, body };
                let answer = self.endpoint.call(self.sender, self.source, self.key, call).await?;
                match answer.status {
                    status if status.is_success() => return Ok(answer),
                    _ if error_code(&answer.body) == replica::MISSING => {}
                    _ => return Err(Fault::of(step, &answer)),
                }
            }
        }
        let body = match range.end - range.start {
            0 => CallBody::Bytes(Bytes::new()),
            bytes => CallBody::Object(Box::new(object.read(range)), bytes),
        };
        self.ask(step, Call { operation, method: Method::PUT, query, headers, body }).await
    }

    /// Whether an object is sent as an upload: one that was made by one, whose entity tag tells its parts; and to other
    /// stores what is larger than a part.
    fn goes_in_parts(&self, info: &ObjectInfo) -> bool {
        let part_bytes = self.sender.context.config.replication.part_bytes;
        info.parts_count > 0 || info.size > PUT_BYTES_MAX || (!self.endpoint.is_strata() && info.size > part_bytes)
    }

    async fn marker(&self) -> Result<(), Fault> {
        let headers = self.replica_headers();
        let (operation, body) = (Operation::DeleteObject, CallBody::Bytes(Bytes::new()));
        let call = Call { operation, method: Method::DELETE, query: &[], headers, body };
        self.ask(Step::Marker, call).await.map(drop)
    }

    async fn changes(&self) -> Result<(), Fault> {
        let Transfer { sender, source, endpoint, replicate, key, .. } = *self;
        let object = source.open(sender, replicate, key).await?;
        let info = object.info();
        let tags = match info.tags.is_empty() || source.may_read_tags(sender, replicate, key).await {
            true => &info.tags[..],
            false => &[],
        };
        if !endpoint.is_strata() {
            return self.changes_elsewhere(info, tags).await;
        }
        let version = info.version_id.to_string();
        let query = [("tagging", ""), ("versionId", version.as_str())];
        let headers = outgoing::of_replica(&outgoing::head(info, source.rule()));
        match self.put_tags(tags, &query, headers).await {
            // With three stores and more, a version of one may be changed at another before it has come to the third.
            Err(Fault::Lasting(reason)) if reason == VERSION_NOT_FOUND && info.replication.replica => Err(Fault::Early),
            answer => answer,
        }
    }

    /// Changes for a store that is no Strata: tags, of the newest version, whose id it does not know.
    async fn changes_elsewhere(&self, info: &ObjectInfo, tags: &[Tag]) -> Result<(), Fault> {
        let Transfer { sender, source, key, .. } = *self;
        let changed = info.replication.changes;
        if changed.acl.is_some() || changed.lock.is_some() {
            tracing::info!(
                key = key.as_str(),
                version = %info.version_id,
                "of changes, only tags are replicated to a store that is no Strata"
            );
        }
        if changed.tags.is_none() {
            return Ok(());
        }
        if !source.is_current(sender, info, key).await? {
            tracing::info!(
                key = key.as_str(),
                version = %info.version_id,
                "a change of a version that is not the newest is not replicated: the destination is no Strata, and \
                 has other version ids"
            );
            return Ok(());
        }
        let query = [("tagging", "")];
        if !tags.is_empty() {
            return self.put_tags(tags, &query, HeaderMap::new()).await;
        }
        // Not all stores take an empty set.
        let (operation, body) = (Operation::DeleteObjectTagging, CallBody::Bytes(Bytes::new()));
        let call = Call { operation, method: Method::DELETE, query: &query, headers: HeaderMap::new(), body };
        self.ask(Step::Tags, call).await.map(drop)
    }

    async fn put_tags(&self, tags: &[Tag], query: &[(&str, &str)], headers: HeaderMap) -> Result<(), Fault> {
        let document = tagging::document(tags).into_bytes();
        let headers = outgoing::of_document(&document, headers);
        let (operation, body) = (Operation::PutObjectTagging, CallBody::Bytes(document.into()));
        self.ask(Step::Tags, Call { operation, method: Method::PUT, query, headers, body }).await.map(drop)
    }
}
