//! The admin API: JSON under `/-/admin/v1/`, for requests signed with the root credentials. `-` is no bucket's name.
//!
//! One file per topic. The documents are types that the command line reads again.

mod accounts;
mod backup;
mod buckets;
mod cost;
mod events;
mod events_tail;
mod info;
mod keys;
mod lifecycle_json;
mod lifecycle_preview;
mod projection;
mod replication;
mod scrub;
mod status;
mod zones;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use strata_storage::{BucketName, Timestamp};

use crate::address::{self, Address};
use crate::error::S3Error;
use crate::request::{Context, Query};
use crate::response::{Payload, Response};

pub use accounts::{AccountDocument, AccountsDocument, KeysDocument};
pub use backup::{BackupDocument, BackupQuestion};
pub use buckets::{BucketDocument, BucketsDocument};
pub use cost::CostDocument;
pub use events::{
    ChangedEventsDocument, EventTargetDocument, EventsDocument, FailedEventDocument, FailedEventsDocument,
    HappenedDocument,
};
pub use events_tail::TailDocument;
pub use info::{ClassDocument, IndexDocument, InfoDocument, LostDocument, PoolDocument};
pub use keys::KeyDocument;
pub use lifecycle_preview::{EventDocument, PreviewDocument, PreviewQuestion};
pub use projection::ProjectionDocument;
pub use replication::{
    DetailsDocument, DroppedDocument, FailedDocument, FailedTask, ListedVersion, ListingDocument, QueueDocument,
    QueuesDocument, RecentDocument, ResyncDocument, RetriedDocument, RuleDocument, VersionDetails, VersionName,
};
pub use scrub::{LostVersionDocument, ScrubDocument};
pub use status::{FailureDocument, StatusDocument, WorkerDocument};
pub use zones::{ZoneDocument, ZonesDocument};

/// The bucket's name in the path, which no bucket can have.
const PLACE: &str = "-";
/// What keys of admin requests begin with.
const PREFIX: &str = "admin/v1/";
/// The path of the API.
pub const ADMIN_PATH: &str = "/-/admin/v1/";
/// How many days ahead is looked unless the request says so.
pub const DAYS_DEFAULT: u32 = 365;
/// The most days ahead: a century.
const DAYS_MAX: u32 = 36_500;

/// One authenticated request.
pub struct AdminRequest {
    /// The method.
    pub method: Method,
    /// The decoded query.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When the request arrived.
    pub now: Timestamp,
}

/// The topic of an admin request; `None` for every other request.
pub fn topic(address: &Address) -> Option<&str> {
    let is_here = !address.virtual_hosted && address.bucket.as_deref() == Some(PLACE);
    address.key.as_ref().filter(|_| is_here)?.as_str().strip_prefix(PREFIX)
}

/// Answers a request about a topic.
pub async fn run(topic: &str, ctx: &Context, request: AdminRequest) -> Result<Response, S3Error> {
    match topic {
        "status" => json(&status::get(ctx, request.only(&[Method::GET])?).await?),
        "events" => json(&events::get(ctx, request.only(&[Method::GET])?).await?),
        "events/failed" => json(&events::failed(ctx, request.only(&[Method::GET])?).await?),
        "events/retry" => json(&events::retry(ctx, request.only(&[Method::POST])?).await?),
        "events/drop" => json(&events::forget(ctx, request.only(&[Method::POST])?).await?),
        "events/tail" => events_tail::get(ctx, &request.only(&[Method::GET])?).await,
        "info" => json(&info::get(ctx, request.only(&[Method::GET])?).await?),
        "buckets" => json(&buckets::list(ctx, request.only(&[Method::GET])?).await?),
        "buckets/quota" => json(&buckets::set_quota(ctx, request.only(&[Method::POST])?).await?),
        "zones" => json(&zones::list(ctx, request.only(&[Method::GET])?)),
        "zones/add" => json(&zones::add(ctx, request.only(&[Method::POST])?).await?),
        "zones/drain" => json(&zones::drain(ctx, request.only(&[Method::POST])?).await?),
        "key" => {
            request.only(&[Method::GET])?;
            json(&keys::get(ctx)?)
        }
        "key/rotate" => json(&keys::rotate(ctx, request.only(&[Method::POST])?).await?),
        "accounts" => json(&accounts::list(ctx, request.only(&[Method::GET])?)),
        "accounts/create" => json(&accounts::create(ctx, request.only(&[Method::POST])?).await?),
        "accounts/disable" => json(&accounts::disable(ctx, request.only(&[Method::POST])?).await?),
        "accounts/enable" => json(&accounts::enable(ctx, request.only(&[Method::POST])?).await?),
        "accounts/rotate-keys" => json(&accounts::rotate_keys(ctx, request.only(&[Method::POST])?).await?),
        "accounts/quota" => json(&accounts::quota(ctx, request.only(&[Method::POST])?).await?),
        "backup" => json(&backup::get(ctx, request.only(&[Method::GET])?)),
        "backup/start" => json(&backup::start(ctx, request.only(&[Method::POST])?).await?),
        "scrub" => json(&scrub::get(ctx, request.only(&[Method::GET])?).await?),
        "scrub/start" => json(&scrub::start(ctx, request.only(&[Method::POST])?).await?),
        "cost" => json(&cost::get(ctx, request.only(&[Method::GET, Method::POST])?).await?),
        "projection" => json(&projection::get(ctx, request.only(&[Method::GET, Method::POST])?).await?),
        "lifecycle-preview" => json(&lifecycle_preview::post(ctx, request.only(&[Method::POST])?).await?),
        "replication/status" => json(&replication::status(ctx, request.only(&[Method::GET])?).await?),
        "replication/failed" => json(&replication::failed(ctx, request.only(&[Method::GET])?).await?),
        "replication/retry" => json(&replication::retry(ctx, request.only(&[Method::POST])?).await?),
        "replication/drop" => json(&replication::forget(ctx, request.only(&[Method::POST])?).await?),
        "replication/resync" => json(&replication::resync(ctx, request.only(&[Method::POST])?).await?),
        "replication/listing" => json(&replication::listing(ctx, request.only(&[Method::GET])?).await?),
        "replication/details" => json(&replication::details(ctx, request.only(&[Method::POST])?).await?),
        _ => Err(S3Error::new(StatusCode::NOT_FOUND, "NoSuchResource", "The admin API has no such resource.")),
    }
}

impl AdminRequest {
    /// The request, if its method is one of these.
    fn only(self, methods: &[Method]) -> Result<AdminRequest, S3Error> {
        if methods.contains(&self.method) {
            return Ok(self);
        }
        let allow: Vec<&str> = methods.iter().map(Method::as_str).collect();
        Err(S3Error::method_not_allowed(&self.method, "SERVICE", &allow.join(", ")))
    }

    /// The bucket that the query names.
    fn bucket(&self) -> Result<Option<BucketName>, S3Error> {
        self.query.get("bucket").map(address::bucket_name).transpose()
    }

    /// The bucket that the query has to name.
    fn named_bucket(&self) -> Result<BucketName, S3Error> {
        self.bucket()?.ok_or_else(|| S3Error::invalid_argument("A bucket has to be named.", "bucket", ""))
    }

    /// How many days ahead to look.
    fn days(&self) -> Result<u32, S3Error> {
        let Some(text) = self.query.get("days") else { return Ok(DAYS_DEFAULT) };
        let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
        days.ok_or_else(|| S3Error::invalid_argument("The days must be a number from 1 to 36500.", "days", text))
    }
}

/// Sizes by sizes as stored, if anything is.
fn ratio(bytes: i64, stored_bytes: i64) -> Option<f64> {
    (stored_bytes > 0).then(|| bytes as f64 / stored_bytes as f64)
}

fn json(document: &impl Serialize) -> Result<Response, S3Error> {
    let text = serde_json::to_vec(document).map_err(S3Error::internal)?;
    let mut response = Response::empty(StatusCode::OK);
    response.set(CONTENT_TYPE, "application/json");
    response.body = Payload::Bytes(text.into());
    Ok(response)
}
