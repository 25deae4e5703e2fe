//! One authenticated request as the operations see it.

use std::sync::Arc;

use http::HeaderMap;
use strata_storage::{Asked, BucketName, Entropy, ObjectKey, Store, Timestamp, VersionId};

use crate::abuse::Failures;
use crate::auth::{Authenticator, Signing};
use crate::authorize::{BucketPolicies, Said, Through};
use crate::body::Body;
use crate::config::Config;
use crate::control::AccessPoints;
use crate::directory::Directory;
use crate::document_room::DocumentRoom;
use crate::encryption::Keyring;
use crate::error::S3Error;
use crate::events::Events;
use crate::identity::Identity;
use crate::origin::Origin;
use crate::replication::{Destinations, Lags, Troubles};
use crate::route::Operation;
use crate::upload_turns::UploadTurns;

/// What every operation works with; one per server.
pub struct Context {
    /// The engine.
    pub store: Store,
    /// The settings in force.
    pub config: Arc<Config>,
    /// Where data keys of objects come from.
    pub keyring: Keyring,
    /// Accounts, users, roles and keys.
    pub directory: Directory,
    /// The policies of buckets, ready to be asked.
    pub policies: BucketPolicies,
    /// Who checks signatures, those of forms among them.
    pub authenticator: Arc<Authenticator>,
    /// Who failed to sign in.
    pub failures: Failures,
    /// Access points.
    pub access_points: AccessPoints,
    /// Where events may be sent.
    pub events: Events,
    /// Where buckets are replicated to.
    pub destinations: Destinations,
    /// What holds that up.
    pub troubles: Troubles,
    /// How long it takes.
    pub lags: Lags,
    /// Turns at storing a request body.
    pub uploads: UploadTurns,
    /// Room for documents of those who are known.
    pub documents: Arc<DocumentRoom>,
    /// Room for documents of those who are not, who so cannot use up the others'.
    pub strangers_documents: Arc<DocumentRoom>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
}

/// The account named in `Owner` elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The 12-digit account id.
    pub account: String,
    /// The canonical user id, 64 hex digits.
    pub id: String,
    /// The display name.
    pub display_name: String,
}

/// What error documents call a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestName {
    /// The path asked for, as sent.
    pub resource: String,
    /// `x-amz-request-id`
    pub request_id: String,
    /// `x-amz-id-2`
    pub host_id: String,
}

/// One request: addressed, authenticated, its body decoded and verified as it is read.
pub struct Request {
    /// What errors call it.
    pub name: Arc<RequestName>,
    /// Who sent it.
    pub caller: Arc<Identity>,
    /// Where it came from.
    pub origin: Origin,
    /// How it was signed; `None` for anonymous requests.
    pub signing: Option<Signing>,
    /// What it asks for.
    pub operation: Operation,
    /// The access point that it came through.
    pub through: Option<Arc<Through>>,
    /// What its document says to policies, if one asked.
    pub said: Option<Arc<Said>>,
    /// The bucket, from the path or the host.
    pub bucket: Option<BucketName>,
    /// The object key, percent-decoded.
    pub key: Option<ObjectKey>,
    /// The query parameters, percent-decoded, in the order sent.
    pub query: Arc<Query>,
    /// The headers as sent, and those that the query carried.
    pub headers: Arc<HeaderMap>,
    /// The body; aws-chunked framing is removed, signatures and the payload hash are checked on the way.
    pub body: Body,
    /// When the request arrived.
    pub now: Timestamp,
    /// The `Host` that the client used, port included.
    pub host: String,
    /// The request target's path as sent, still percent-encoded.
    pub raw_path: String,
}

impl Request {
    /// The bucket; the router only calls bucket operations with one.
    pub fn bucket(&self) -> Result<&BucketName, S3Error> {
        self.bucket.as_ref().ok_or_else(|| S3Error::internal("an operation on a bucket was routed without one"))
    }

    /// The key; the router only calls object operations with one.
    pub fn key(&self) -> Result<&ObjectKey, S3Error> {
        self.key.as_ref().ok_or_else(|| S3Error::internal("an operation on an object was routed without a key"))
    }

    /// The store as this request uses it: events name who sent it.
    pub fn store(&self, ctx: &Context) -> Store {
        let (caller, name, source) = (Arc::clone(&self.caller), Arc::clone(&self.name), self.origin.source);
        ctx.store.asked_by(move || Asked {
            principal: format!("AWS:{}", caller.user_id()),
            address: source.to_string(),
            request: name.request_id.clone(),
            host: name.host_id.clone(),
        })
    }

    /// The version that `versionId` names, if it names one.
    pub fn version(&self) -> Option<VersionId> {
        self.query.get("versionId").and_then(VersionId::parse)
    }

    /// A header as text; `None` if it is absent. Bytes that are not UTF-8 become `InvalidArgument`.
    pub fn header(&self, name: &str) -> Result<Option<&str>, S3Error> {
        match self.headers.get(name) {
            None => Ok(None),
            Some(value) => std::str::from_utf8(value.as_bytes())
                .map(Some)
                .map_err(|_| S3Error::invalid_argument("Header value is not valid UTF-8", name, "")),
        }
    }
}

/// Query parameters, decoded, in the order sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// Of parameters that are not encoded.
    pub fn of(parameters: &[(&str, &str)]) -> Query {
        Query(parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The first value of that name; `Some("")` for a name without a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the name occurs.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}
