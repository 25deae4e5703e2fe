//! One HTTP request from its head to its answer: id, address, route, signature, permission, operation, error document.
//!
//! The order of the checks is AWS's: what the address and the query look like, who asks, whether they may, and only then
//! what is asked, so that nobody without permission learns what is implemented or stored.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, ORIGIN, SERVER};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use strata_storage::{BucketName, Clock, Entropy, ObjectKey, Store, StoreStatus};

use crate::abuse::{Failures, claimed_access_key, is_failed_sign_in};
use crate::access_log::{AccessLog, Trace};
use crate::address::{self, Address};
use crate::admin::{self, AdminRequest};
use crate::audit::{Asker, Audit, Call, Change};
use crate::auth::{Authenticated, Authenticator, PayloadAuth, Sent};
use crate::authorize::{self, Afterwards, BucketPolicies};
use crate::body::Body;
use crate::config::{Config, TlsVersion};
use crate::control::{self, AccessPoints};
use crate::cors;
use crate::credentials::Secret;
use crate::directory::Directory;
use crate::document_room::{DocumentRoom, makes_document};
use crate::encryption::Keyring;
use crate::error::S3Error;
use crate::events::Events;
use crate::identity::Identity;
use crate::incoming::{IncomingBody, Rest};
use crate::log::RequestLine;
use crate::metering::Priced;
use crate::op::{self, head_bucket, preflight_request};
use crate::origin::Origin;
use crate::query_headers;
use crate::replication::{Destinations, Lags, Troubles, refuse_changes};
use crate::request::{Context, Query, Request, RequestName};
use crate::response::{Outgoing, Payload, Response};
use crate::route::{Operation, route};
use crate::sts::Sts;
use crate::upload_turns::UploadTurns;

mod api;
mod call;
mod ended;

use api::Api;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Documents of those who have not signed have one part in this many of the room besides.
const STRANGERS_PART: usize = 8;

/// Answers requests; one per server.
pub struct Service {
    context: Arc<Context>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    sts: Sts,
    access_log: AccessLog,
    audit: Audit,
    /// Random, so that answers of several servers can be told apart.
    server_id: u64,
}

/// What a service works with besides the store: each was opened from it.
pub struct Rooms {
    /// Accounts, users, roles and keys.
    pub directory: Directory,
    /// Where data keys of objects come from.
    pub keyring: Keyring,
    /// Access points.
    pub access_points: AccessPoints,
    /// Where requests are logged.
    pub access_log: AccessLog,
    /// Where changes are recorded.
    pub audit: Audit,
    /// Where events may be sent.
    pub events: Events,
    /// Where buckets are replicated to.
    pub destinations: Destinations,
}

/// The client of one connection.
pub struct Peer {
    /// Its address.
    pub remote: SocketAddr,
    /// The TLS version of the connection, if it is encrypted.
    pub tls: Option<TlsVersion>,
    /// The cipher suite of the connection, if it is encrypted.
    pub cipher: Option<&'static str>,
    /// Set when the connection must be closed although the client may still be sending.
    pub unread: AtomicBool,
}

/// What is known of a request so far: for its log line and its error document.
struct Trail {
    origin: Origin,
    query_ids: Vec<(&'static str, String)>,
    method: Method,
    api: Api,
    operation: &'static str,
    bucket: String,
    key: Option<ObjectKey>,
    /// Where the script comes from that sends it, if a browser says so.
    script: Option<HeaderValue>,
    trace: Trace,
    /// The record of the change that is asked for.
    change: Option<Change>,
}

impl Service {
    /// Serves `store` to those whom `directory` knows.
    pub fn new(
        config: Arc<Config>,
        store: Store,
        rooms: Rooms,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Service {
        let Rooms { directory, keyring, access_points, access_log, audit, events, destinations } = rooms;
        let nobodys = Secret::new(format!("{:016x}{:016x}", entropy.next_u64(), entropy.next_u64()));
        let authenticator = Arc::new(Authenticator::new(config.region.clone(), directory.clone(), nobodys));
        let failures = Failures::new(&config.limits);
        let uploads = UploadTurns::new(config.limits.uploads);
        let document_bytes = config.limits.document_bytes;
        let documents = Arc::new(DocumentRoom::new(document_bytes));
        let strangers_documents = Arc::new(DocumentRoom::new(document_bytes / STRANGERS_PART));
        let server_id = entropy.next_u64();
        let sts = Sts::new(directory.clone(), &config);
        let policies = BucketPolicies::default();
        let context = Context {
            store,
            config,
            directory,
            policies,
            authenticator,
            keyring,
            failures,
            access_points,
            events,
            destinations,
            troubles: Troubles::default(),
            lags: Lags::default(),
            uploads,
            documents,
            strangers_documents,
            entropy: Arc::clone(&entropy),
        };
        let context = Arc::new(context);
        Service { context, clock, entropy, sts, access_log, audit, server_id }
    }

    /// What its operations work with, for what the server does by itself.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Answers one request. Dropping the future abandons the request.
    pub async fn answer(&self, request: http::Request<Incoming>, peer: &Peer) -> http::Response<Outgoing> {
        let (parts, incoming) = request.into_parts();
        let name = self.name(parts.uri.path());
        let config = &self.context.config;
        let mut line = RequestLine::begin(config.log.requests, &name.request_id, peer.remote, &parts.method);
        let (body, rest) = IncomingBody::new(incoming);
        let waits = parts.headers.contains_key(EXPECT);
        // HTTP/2 closes a stream by itself, whatever of a body nobody read.
        let is_stream = parts.version == Version::HTTP_2;
        let connection = Origin::of_connection(peer.remote, peer.tls);
        let origin = connection.forwarded(&parts.headers, &config.server.trusted_proxies);
        let trace = Trace::of(&parts, self.clock.now());
        let located = origin.as_ref().unwrap_or(&connection).located(&config.networks);
        let mut trail = Trail::new(&parts, located, trace);
        trail.trace.cipher = peer.cipher.filter(|_| trail.origin.tls_version.is_some());

        let result = match origin {
            Ok(_) => self.handle(parts, body, &name, &mut trail).await,
            Err(ambiguous) => {
                drop(body);
                Err(ambiguous)
            }
        };
        let close = !is_stream && (result.as_ref().is_err_and(|error| error.close) || !rest.drain(waits).await);
        let mut code = "";
        let mut response = result.unwrap_or_else(|error| {
            let error = trail.complete(error);
            if let Some(detail) = &error.detail {
                let request_id = &name.request_id;
                tracing::error!(request_id, operation = trail.operation, code = error.code, detail, "request failed");
            }
            code = error.code;
            trail.api.refusal(&error, &name)
        });
        if let Some(change) = &mut trail.change {
            change.end(response.status, &ended::code_of(&response, code));
        }
        if trail.method == Method::HEAD {
            response.body = Payload::Empty;
        }
        if trail.trace.operation == Some(Operation::HeadBucket) && response.status == StatusCode::FORBIDDEN {
            head_bucket::locate(&self.context, &trail.bucket, &mut response).await;
        }
        if let Some(origin) = &trail.script {
            self.share(&mut response, &trail, origin).await;
        }
        if close {
            peer.unread.store(true, Ordering::Relaxed);
            response.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.headers.insert(SERVER, HeaderValue::from_static("Strata"));
        response.set(REQUEST_ID, &name.request_id);
        response.set(HOST_ID, &name.host_id);
        let Response { status, headers, deleted, .. } = &response;
        let pending = self.pending(&trail, &name, &rest, (*status, headers, deleted, code)).await;
        if let Some(line) = &mut line {
            trail.tell(line, &rest, response.status, code);
        }
        let mut answer = http::Response::new(Outgoing::new(response.body, line, pending));
        *answer.status_mut() = response.status;
        *answer.headers_mut() = response.headers;
        answer
    }

    async fn handle(
        &self,
        parts: Parts,
        body: IncomingBody,
        name: &Arc<RequestName>,
        trail: &mut Trail,
    ) -> Result<Response, S3Error> {
        let host = host(&parts)?;
        let mut address = address::resolve(&host, parts.uri.path(), &self.context.config.domains)?;
        if let Some(response) = self.health(&parts, &address) {
            trail.operation = "Health";
            return response;
        }
        let query = address::parse_query(parts.uri.query().unwrap_or_default())?;
        trail.api = Api::of(&parts, &query, &address);
        if let Api::Iam | Api::Sts | Api::Kms = trail.api {
            trail.operation = trail.api.name();
            return Box::pin(self.call((parts, query), body, name, trail)).await;
        }
        if let Some(topic) = admin::topic(&address) {
            trail.operation = "Admin";
            return Box::pin(self.administer(topic, (parts, body), (query, name), trail)).await;
        }
        if trail.api == Api::Control {
            trail.operation = trail.api.name();
            return Box::pin(self.control((parts, query), body, name, trail)).await;
        }
        let point = control::unveil(&self.context, &mut address).await?;
        trail.key = address.key.clone();
        trail.bucket = address.bucket.clone().unwrap_or_default();
        for (parameter, element) in [("versionId", "VersionId"), ("uploadId", "UploadId")] {
            trail.query_ids.extend(query.get(parameter).map(|value| (element, value.to_owned())));
        }

        let merged = query_headers::merged(&parts.headers, &query)?;
        let headers = merged.as_ref().unwrap_or(&parts.headers);
        let has_bucket = address.bucket.is_some();
        let routed = route(&parts.method, has_bucket, address.key.is_some(), &query, headers);
        if let Ok(operation) = routed {
            trail.operation = operation.name();
            trail.trace.operation = Some(operation);
            op::without_signature(operation, headers)?;
        }
        if let Ok(Operation::PreflightRequest) = routed {
            return Box::pin(preflight_request::run(&self.context, &address, headers)).await;
        }
        let now = self.clock.now();
        let authenticated = match routed {
            // A form says in its fields who sends it.
            Ok(Operation::PostObject) => Authenticated::anonymous(),
            _ => self.authenticate(&parts, &query, Sent::Announced, trail.origin)?,
        };
        let operation = routed?;
        let bucket = address.bucket.as_deref().map(address::bucket_name).transpose()?;
        let Authenticated { identity, payload, signing } = authenticated;
        trail.trace.caller = Some(Arc::clone(&identity));
        trail.trace.signing = signing.map(|signing| signing.place);
        let key = address.key.as_ref().map(ObjectKey::as_str);
        trail.change = self.change(Call::of_s3(operation, &trail.bucket, key), &identity, (name, trail.origin));
        let through = match &point {
            Some(point) => {
                control::check_offered(operation)?;
                Some(Arc::new(control::through(&self.context, point, &identity, trail.origin.source).await?))
            }
            None => None,
        };
        trail.trace.through.clone_from(&through);
        if let Operation::CopyObject | Operation::UploadPartCopy = operation {
            trail.trace.copied = headers.get("x-amz-copy-source").cloned();
        }
        let documents = match identity.account_id() {
            Some(_) => &self.context.documents,
            None => &self.context.strangers_documents,
        };
        let body = self.body(body, headers, payload)?.with_room(documents);
        trail.trace.body_bytes = body.size().ok().flatten();
        let mut request = Request {
            name: Arc::clone(name),
            caller: identity,
            origin: trail.origin,
            signing,
            operation,
            through,
            said: None,
            bucket,
            key: address.key,
            query: Arc::new(query),
            raw_path: parts.uri.path().to_owned(),
            headers: Arc::new(merged.unwrap_or(parts.headers)),
            body,
            now,
            host,
        };
        let passed = authorize::authorize(&self.context, &mut request).await?;
        if self.context.config.replication.read_only {
            refuse_changes(operation, &request.headers)?;
        }
        trail.trace.bucket = passed.bucket;
        trail.trace.by_acl = passed.by_acl;
        let _turn = match operation {
            Operation::PutObject | Operation::UploadPart => Some(self.context.uploads.take().await?),
            // A form says only in its fields whether its sender may take a turn.
            _ => None,
        };
        if !makes_document(operation) {
            return self.run(request, passed.afterwards).await;
        }
        let making = documents.begin().await?;
        making.end(self.run(request, passed.afterwards).await?).await
    }

    /// Runs the operation of a request that may pass.
    async fn run(&self, request: Request, afterwards: Afterwards) -> Result<Response, S3Error> {
        let (operation, origin, now) = (request.operation, request.origin, request.now);
        let priced = Priced::of(operation, &request);
        let response = match op::run(operation, &self.context, request).await {
            Ok(response) => response,
            Err(error) => {
                if operation == Operation::PostObject && is_failed_sign_in(error.code) {
                    self.audit.sign_in_failed(origin.source, now);
                }
                return Err(afterwards.conceal(&self.context, error).await);
            }
        };
        if let Some(priced) = priced {
            priced.note(&self.context.store, &response);
        }
        Ok(response)
    }

    fn body(&self, body: IncomingBody, headers: &HeaderMap, payload: PayloadAuth) -> Result<Body, S3Error> {
        let idle = Duration::from_secs(self.context.config.limits.idle_seconds);
        Body::new(BoxBody::new(body.map_err(Into::into)), headers, payload, idle)
    }

    /// Adds to an answer what lets scripts of another origin see it, as the bucket's rules have it.
    async fn share(&self, response: &mut Response, trail: &Trail, origin: &HeaderValue) {
        let Ok(name) = BucketName::parse(&trail.bucket) else { return };
        let Ok(bucket) = self.context.store.bucket(&name).await else { return };
        match cors::of_bucket(&bucket) {
            Ok(Some(rules)) => cors::actual(&mut response.headers, &rules, origin, &trail.method),
            Ok(None) => {}
            Err(error) => tracing::error!(bucket = trail.bucket, detail = error.detail, "an answer is not shared"),
        }
    }

    /// Checks who signed the request, unless there were too many failures.
    fn authenticate(
        &self,
        parts: &Parts,
        query: &Query,
        sent: Sent<'_>,
        origin: Origin,
    ) -> Result<Authenticated, S3Error> {
        let now = self.clock.now();
        let claimed = claimed_access_key(&parts.headers, query);
        let attempt = self.context.failures.attempt(origin.source, claimed, now)?;
        let authenticated = attempt.judge(self.context.authenticator.authenticate(parts, query, sent, now));
        if authenticated.is_err() {
            self.audit.sign_in_failed(origin.source, now);
        }
        authenticated
    }

    /// Begins the record of a call that is a change.
    fn change(&self, call: Option<Call>, caller: &Identity, (name, origin): (&RequestName, Origin)) -> Option<Change> {
        let asker = Asker { caller, source: origin.source, request_id: &name.request_id, now: self.clock.now() };
        call.map(|call| self.audit.begin(&call, &asker))
    }

    /// Answers a request to the admin API, which is authenticated as every other, and only for the root of the store.
    async fn administer(
        &self,
        topic: &str,
        (parts, body): (Parts, IncomingBody),
        (query, name): (Query, &RequestName),
        trail: &mut Trail,
    ) -> Result<Response, S3Error> {
        let now = self.clock.now();
        let authenticated = self.authenticate(&parts, &query, Sent::Announced, trail.origin)?;
        let call = Call::of_admin(&parts.method, topic, &query);
        trail.change = self.change(call, &authenticated.identity, (name, trail.origin));
        if !authenticated.identity.is_store_root() {
            return Err(S3Error::access_denied("Access Denied"));
        }
        let body = self.body(body, &parts.headers, authenticated.payload)?;
        let mut body = body.with_room(&self.context.documents);
        let body = body.collect(self.context.config.limits.xml_bytes).await?;
        let request = AdminRequest { method: parts.method, query, headers: parts.headers, body, now };
        admin::run(topic, &self.context, request).await
    }

    /// `/-/health/live` and `/-/health/ready`, for those who start and stop servers. `-` is no bucket's name.
    fn health(&self, parts: &Parts, address: &Address) -> Option<Result<Response, S3Error>> {
        if address.virtual_hosted || address.bucket.as_deref() != Some("-") {
            return None;
        }
        let (status, text) = match address.key.as_ref()?.as_str() {
            "health/live" => (StatusCode::OK, "live\n"),
            "health/ready" => match self.context.store.status() {
                StoreStatus::Ready => (StatusCode::OK, "ready\n"),
                StoreStatus::ReadOnly => (StatusCode::SERVICE_UNAVAILABLE, "writes are refused after a failed sync\n"),
            },
            _ => return None,
        };
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Some(Err(S3Error::method_not_allowed(&parts.method, "SERVICE", "GET, HEAD")));
        }
        let mut response = Response::empty(status);
        response.set(CONTENT_TYPE, "text/plain");
        response.body = Payload::Bytes(text.into());
        Some(Ok(response))
    }

    fn name(&self, resource: &str) -> Arc<RequestName> {
        let request = self.entropy.next_u64();
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.server_id.to_be_bytes());
        bytes[8..16].copy_from_slice(&request.to_be_bytes());
        bytes[16..].copy_from_slice(&self.clock.now().as_nanos().to_be_bytes());
        let (request_id, host_id) = (format!("{request:016X}"), STANDARD.encode(bytes));
        Arc::new(RequestName { resource: resource.to_owned(), request_id, host_id })
    }
}

impl Trail {
    fn new(parts: &Parts, origin: Origin, trace: Trace) -> Trail {
        Trail {
            origin,
            query_ids: Vec::new(),
            method: parts.method.clone(),
            api: Api::S3,
            operation: "",
            bucket: String::new(),
            key: None,
            script: parts.headers.get(ORIGIN).cloned(),
            trace,
            change: None,
        }
    }

    /// Adds what S3 tells beside a code and the operation had no need to know. What it did tell stays.
    fn complete(&self, mut error: S3Error) -> S3Error {
        let names: &[&'static str] = match error.code {
            "NoSuchBucket" | "BucketNotEmpty" | "BucketAlreadyOwnedByYou" => &["BucketName"],
            "NoSuchKey" => &["Key"],
            "NoSuchVersion" => &["Key", "VersionId"],
            "NoSuchUpload" | "InvalidPart" | "InvalidPartOrder" => &["UploadId"],
            "MethodNotAllowed" => &["Method"],
            _ => &[],
        };
        if error.fields.iter().any(|(told, _)| names.contains(told)) {
            return error;
        }
        let known = names.iter().filter_map(|&name| match name {
            "BucketName" => Some((name, self.bucket.clone())),
            "Key" => self.key.as_ref().map(|key| (name, key.as_str().to_owned())),
            "Method" => Some((name, self.method.as_str().to_owned())),
            _ => self.query_ids.iter().find(|(id, _)| *id == name).cloned(),
        });
        error.fields.splice(0..0, known);
        error
    }

    fn tell(self, line: &mut RequestLine, rest: &Rest, status: StatusCode, code: &'static str) {
        line.source = self.origin.source;
        line.operation = self.operation;
        line.bucket = self.bucket;
        line.key = self.key;
        line.status = status.as_u16();
        line.code = code;
        line.bytes_in = rest.bytes();
    }
}

/// The host that the client meant: the header, or the authority of an absolute request target.
///
/// A signature covers the header, and the host names the bucket. So a request that names two hosts is refused, or what
/// is acted upon would not be what was signed.
fn host(parts: &Parts) -> Result<String, S3Error> {
    let named = parts.headers.get_all(HOST).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut hosts: Vec<String> = named.chain(parts.uri.authority().map(|host| host.as_str().to_owned())).collect();
    let host = hosts.pop().unwrap_or_default();
    if host.contains('@') {
        return Err(S3Error::invalid_request("The host that the request names must not hold a user's name."));
    }
    if hosts.iter().all(|other| other.eq_ignore_ascii_case(&host)) && hosts.len() <= 1 {
        return Ok(host);
    }
    Err(S3Error::invalid_request("The Host header and the request target name more than one host."))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use strata_storage::{Entity, Error, ObjectKey};

    use super::{Api, Trace, Trail, host};
    use crate::error::S3Error;
    use crate::origin::Origin;

    #[test]
    fn a_request_names_one_host() {
        fn check(target: &str, hosts: &[&str], expected: Result<&str, &str>) {
            let mut request = http::Request::builder().uri(target);
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let found = host(&parts).map_err(|error| error.code);
            assert_eq!(found.as_deref().map_err(|code| *code), expected, "{target} {hosts:?}");
        }
        check("/k", &["b.localhost:9000"], Ok("b.localhost:9000"));
        check("/k", &[], Ok(""));
        check("http://b.localhost:9000/k", &[], Ok("b.localhost:9000"));
        check("http://b.localhost:9000/k", &["B.localhost:9000"], Ok("b.localhost:9000"));
        // The signature covers the header; the target would choose another bucket.
        check("http://private.localhost:9000/k", &["public.localhost:9000"], Err("InvalidRequest"));
        check("/k", &["public.localhost", "private.localhost"], Err("InvalidRequest"));
        check("http://a.localhost/k", &["a.localhost", "a.localhost"], Err("InvalidRequest"));
        check("http://user@a.localhost/k", &[], Err("InvalidRequest"));
    }

    #[test]
    fn errors_are_completed_with_what_the_request_named() {
        fn check(error: S3Error, expected: &[(&'static str, &str)]) {
            let trail = Trail {
                origin: Origin::of_connection(([127, 0, 0, 1], 80).into(), None),
                query_ids: vec![("VersionId", "v".to_owned()), ("UploadId", "u".to_owned())],
                method: Method::GET,
                api: Api::S3,
                operation: "GetObject",
                bucket: "bucket".to_owned(),
                key: ObjectKey::parse("key").ok(),
                script: None,
                change: None,
                trace: Trace::of(&http::Request::new(()).into_parts().0, strata_storage::Timestamp::from_secs(0)),
            };
            let fields = trail.complete(error).fields;
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(fields, expected);
        }
        check(Error::NotFound(Entity::Bucket).into(), &[("BucketName", "bucket")]);
        check(Error::NotFound(Entity::Key).into(), &[("Key", "key")]);
        check(Error::NotFound(Entity::Version).into(), &[("Key", "key"), ("VersionId", "v")]);
        check(Error::NotFound(Entity::Upload).into(), &[("UploadId", "u")]);
        check(
            Error::InvalidPart { number: 3, etag: "e".to_owned() }.into(),
            &[("UploadId", "u"), ("PartNumber", "3"), ("ETag", "e")],
        );
        check(S3Error::no_such_key("source"), &[("Key", "source")]);
        check(S3Error::access_denied("Access Denied"), &[]);
    }
}
