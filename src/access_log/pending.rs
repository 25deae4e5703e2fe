//! The records of one request while its answer is being sent: completed and gathered at its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HOST, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use strata_storage::{Bucket, BucketName, Timestamp};

use super::record::Record;
use super::{AccessLog, Logged, kind};
use crate::auth::SigningPlace;
use crate::authorize::Through;
use crate::identity::{Identity, Who};
use crate::op::{CopySource, DeletedKey};
use crate::origin::Origin;
use crate::request::RequestName;
use crate::route::Operation;

/// What an access log tells of a request, gathered on its way. Taking it costs a few counts of references.
pub struct Trace {
    received: Timestamp,
    begun: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    host: Option<HeaderValue>,
    /// The cipher suite of the connection.
    pub cipher: Option<&'static str>,
    /// What is asked, once it is known.
    pub operation: Option<Operation>,
    /// Who asks, once that is known.
    pub caller: Option<Arc<Identity>>,
    /// Where the signature is.
    pub signing: Option<SigningPlace>,
    /// The bucket, once the request was let pass.
    pub bucket: Option<Arc<Bucket>>,
    /// Whether only an access control list let it pass.
    pub by_acl: bool,
    /// The access point.
    pub through: Option<Arc<Through>>,
    /// The size of the body that is stored.
    pub body_bytes: Option<u64>,
    /// What is copied, by its header.
    pub copied: Option<HeaderValue>,
}

/// How a request ended.
pub struct Ending<'a> {
    /// Its names.
    pub name: &'a Arc<RequestName>,
    /// Where it came from.
    pub origin: Origin,
    /// The key.
    pub key: Option<&'a str>,
    /// The version that it named.
    pub version: Option<&'a str>,
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: &'a HeaderMap,
    /// What became of each key.
    pub deleted: &'a [DeletedKey],
    /// The error's code, or empty.
    pub code: &'static str,
    /// When the last bytes of the body came.
    pub body_ended: Option<Instant>,
}

impl Trace {
    /// Of a request that arrived at `received`.
    pub fn of(parts: &Parts, received: Timestamp) -> Trace {
        let header = |name| parts.headers.get(name).cloned();
        Trace {
            received,
            begun: Instant::now(),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            referer: header(REFERER),
            user_agent: header(USER_AGENT),
            host: header(HOST),
            cipher: None,
            operation: None,
            caller: None,
            signing: None,
            bucket: None,
            by_acl: false,
            through: None,
            body_bytes: None,
            copied: None,
        }
    }

    /// What was copied, if the request asks for that.
    pub fn source(&self) -> Option<CopySource> {
        let value = self.copied.as_ref()?;
        CopySource::named(&String::from_utf8_lossy(value.as_bytes()))
    }

    /// The record of the request itself.
    fn record(&self, logged: &Logged, ending: &Ending<'_>) -> Record {
        let host = self.host.as_ref().map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let answered = Instant::now();
        let target = self.uri.path_and_query().map_or_else(|| self.uri.path(), |target| target.as_str());
        Record {
            owner: logged.bucket.owner,
            bucket: logged.name.as_str().to_owned(),
            time: self.received,
            source: Some(ending.origin.source),
            requester: self.caller.as_deref().and_then(requester),
            name: Arc::clone(ending.name),
            operation: kind::of_request(self.operation, &self.method, ending.key.is_some()),
            key: ending.key.map(str::to_owned),
            line: Some(format!("{} {target} {:?}", self.method, self.version)),
            status: Some(ending.status.as_u16()),
            code: ending.code,
            bytes_sent: 0,
            object_bytes: self.object_bytes(ending.headers, ending.status.is_success()),
            total: None,
            turn_around: Some(answered.saturating_duration_since(ending.body_ended.unwrap_or(self.begun))),
            referer: self.referer.as_ref().map(|value| value.as_bytes().to_vec()),
            user_agent: self.user_agent.as_ref().map(|value| value.as_bytes().to_vec()),
            version: ending.version.map(str::to_owned),
            signing: self.signing,
            cipher: self.cipher,
            host: host.or_else(|| self.uri.authority().map(|authority| authority.as_str().to_owned())),
            tls: ending.origin.tls_version,
            by_acl: self.by_acl,
            access_point: self.through.as_ref().map(|through| through.arn.clone()),
        }
    }

    /// The size of the object that a request read or wrote.
    fn object_bytes(&self, headers: &HeaderMap, succeeded: bool) -> Option<u64> {
        let number = |text: &str| text.parse().ok();
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        match self.operation? {
            _ if !succeeded => None,
            Operation::GetObject | Operation::HeadObject => match header(CONTENT_RANGE) {
                Some(range) => number(range.rsplit('/').next()?),
                None => number(header(CONTENT_LENGTH)?),
            },
            Operation::PutObject | Operation::UploadPart => self.body_bytes,
            _ => None,
        }
    }
}

fn requester(identity: &Identity) -> Option<String> {
    let account = identity.account.as_ref()?;
    match identity.who {
        Who::Root => Some(account.canonical_id.clone()),
        _ => Some(identity.arn()),
    }
}

/// Records that wait for the end of the answer. They are gathered when this is finished, or dropped.
pub struct Pending {
    log: AccessLog,
    begun: Instant,
    bytes_sent: u64,
    records: Vec<(Logged, Record)>,
}

impl Pending {
    /// The records of a request to `bucket`, and of the bucket that it copied from; `None` if neither logs.
    pub fn of(
        log: &AccessLog,
        trace: &Trace,
        bucket: Option<(BucketName, Arc<Bucket>)>,
        source: Option<(CopySource, Arc<Bucket>)>,
        ending: &Ending<'_>,
    ) -> Option<Box<Pending>> {
        let mut records = Vec::new();
        if let Some(logged) = bucket.and_then(|(name, bucket)| Logged::of(&name, &bucket)) {
            let whole = trace.record(&logged, ending);
            let each = ending.deleted.iter().map(|deleted| (logged.clone(), of_key(&whole, deleted)));
            let each: Vec<(Logged, Record)> = each.collect();
            records.push((logged, whole));
            records.extend(each);
        }
        if let (Some((source, bucket)), Some(operation)) = (source, trace.operation)
            && let Some(logged) = Logged::of(&source.bucket, &bucket)
        {
            let record = Record {
                operation: kind::of_source(operation).to_owned(),
                key: Some(source.key.as_str().to_owned()),
                version: source.version.map(|version| version.to_string()),
                // What let the source be read is asked for by the operation, and not known here.
                by_acl: false,
                ..trace.record(&logged, ending)
            };
            records.push((logged, record));
        }
        let (log, begun) = (log.clone(), trace.begun);
        (!records.is_empty()).then(|| Box::new(Pending { log, begun, bytes_sent: 0, records }))
    }

    /// Counts bytes of the answer's body.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let total: Duration = self.begun.elapsed();
        for (position, (logged, mut record)) in std::mem::take(&mut self.records).into_iter().enumerate() {
            record.total = Some(total);
            // The answer belongs to the request itself.
            record.bytes_sent = if position == 0 { self.bytes_sent } else { 0 };
            self.log.push(&logged, &record);
        }
    }
}

/// The record of one key of DeleteObjects.
fn of_key(whole: &Record, deleted: &DeletedKey) -> Record {
    Record {
        operation: kind::OF_EACH_DELETE.to_owned(),
        key: Some(deleted.key.clone()),
        version: deleted.version.clone(),
        line: None,
        status: Some(deleted.status.as_u16()),
        code: deleted.code,
        object_bytes: None,
        turn_around: None,
        referer: None,
        ..whole.clone()
    }
}
