//! A request as policies see it: who asks, from where, saying what.
//!
//! It outlives the request's body, for one question comes after the operation has run: whether the caller may know that
//! a key is not there.

use std::sync::Arc;

use http::HeaderMap;
use strata_storage::{AccountId, BucketName, Tag, Timestamp};

use super::resource::Through;
use crate::auth::Signing;
use crate::identity::{Identity, Who};
use crate::request::{Origin, Query, Request};
use crate::route::Operation;

/// Who asks, and all that conditions can be about but the resource.
#[derive(Clone)]
pub struct Asking {
    /// The caller.
    pub caller: Arc<Identity>,
    /// Where the request came from.
    pub origin: Origin,
    /// The operation of S3 that it asks for; `None` for the other APIs.
    pub operation: Option<Operation>,
    /// Its bucket.
    pub bucket: Option<BucketName>,
    /// Its headers.
    pub headers: Arc<HeaderMap>,
    /// Its query.
    pub query: Arc<Query>,
    /// How it was signed.
    pub signing: Option<Signing>,
    /// When it arrived.
    pub now: Timestamp,
    /// What its document says, where that was read already.
    pub said: Option<Arc<Said>>,
    /// The access point that it came through.
    pub through: Option<Arc<Through>>,
}

/// What a request's document says to condition keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The tags of a `Tagging` document.
    pub tags: Vec<Tag>,
    /// The location constraint of a new bucket.
    pub location: Option<String>,
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub lock_mode: Option<String>,
    /// Until when a version is to be retained.
    pub retain_until: Option<Timestamp>,
    /// `ON` or `OFF`.
    pub legal_hold: Option<String>,
}

impl Asking {
    /// What a request asks.
    pub fn of(request: &Request) -> Asking {
        Asking {
            caller: Arc::clone(&request.caller),
            origin: request.origin,
            operation: Some(request.operation),
            bucket: request.bucket.clone(),
            headers: Arc::clone(&request.headers),
            query: Arc::clone(&request.query),
            signing: request.signing,
            now: request.now,
            said: request.said.clone(),
            through: request.through.clone(),
        }
    }

    /// Whether the caller is the root of that account, and no policy of its own limits it.
    pub fn is_unlimited_root_of(&self, account: AccountId) -> bool {
        let Identity { who, policies, session, boundary, .. } = &*self.caller;
        *who == Who::Root
            && self.caller.account_id() == Some(account)
            && policies.is_empty()
            && session.is_none()
            && boundary.is_none()
    }
}
