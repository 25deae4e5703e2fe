//! `POST lifecycle-preview`: what the rules of a document would do to a bucket, a page of versions and open uploads at a
//! time. The document is that of PutBucketLifecycleConfiguration, as XML or in aws-cli's JSON (`lifecycle_json`), and is
//! refused where that would be. With a table of prices it is the `rules` of a JSON document.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use strata_storage::{PreviewAction, PreviewEvent, PreviewQuery};

use crate::admin::{AdminRequest, lifecycle_json, projection};
use crate::cost::{self, Prices, Projection};
use crate::error::S3Error;
use crate::op::{bucket, bucket_lifecycle};
use crate::request::Context;
use crate::time::iso8601;

/// Versions of one page, each with a few events at most.
const VERSIONS_PER_PAGE: usize = 1000;

/// A question that brings its own table of prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewQuestion {
    /// The document.
    pub rules: String,
    /// The table.
    pub prices: String,
}

/// The answer: pages follow each other, and their projections add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviewDocument {
    /// How many days were looked ahead.
    pub days: u32,
    /// What would be done, by key and version, each in order of time.
    pub events: Vec<EventDocument>,
    /// What the page costs.
    pub projection: Projection,
    /// The currency of the costs.
    pub currency: String,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// One step of a version, or the end of an upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventDocument {
    /// When.
    pub at: String,
    /// The key.
    pub key: String,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version_id: Option<String>,
    /// The upload.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upload_id: Option<String>,
    /// `transition`, `tier`, `expire`, `remove`, `remove_marker`, or of an upload `abort_upload`.
    pub action: String,
    /// The class or tier that a transition leads to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// The bytes that the end of an upload frees.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
}

/// Answers.
pub async fn post(ctx: &Context, request: AdminRequest) -> Result<PreviewDocument, S3Error> {
    let bucket = request.named_bucket()?;
    bucket::find(ctx, &bucket).await?;
    let (rules, prices) = question(&request.body)?;
    let mut headers = request.headers.clone();
    let rules = match lifecycle_json::is_json(&rules) {
        true => lifecycle_json::to_xml(&rules, &mut headers)?.into(),
        false => rules,
    };
    let rules = Some(bucket_lifecycle::read(ctx, &headers, &rules)?);
    let (days, after) = (request.days()?, projection::after(&request)?);
    let query = PreviewQuery { bucket: bucket.clone(), rules, days, after, max: VERSIONS_PER_PAGE };
    let page = ctx.store.preview(query).await.map_err(|error| bucket::error(error, &bucket))?;
    Ok(PreviewDocument {
        days,
        events: page.events.into_iter().map(event).collect(),
        projection: cost::projection(&page.sums, &prices),
        currency: prices.currency,
        next: page.next.map(|next| next.to_text()),
    })
}

/// The rules and the prices in a body. No XML document begins as JSON does.
fn question(body: &Bytes) -> Result<(Bytes, Prices), S3Error> {
    if !lifecycle_json::is_json(body) || lifecycle_json::has_rules(body) {
        return Ok((body.clone(), Prices::default()));
    }
    let question = serde_json::from_slice::<PreviewQuestion>(body);
    let question = question.map_err(|error| S3Error::invalid_request(format!("The question is not valid: {error}")))?;
    Ok((question.rules.into(), super::cost::prices(&question.prices.into())?))
}

fn event(event: PreviewEvent) -> EventDocument {
    let (action, to) = match event.action {
        PreviewAction::Transition(class) => ("transition", Some(class.name())),
        PreviewAction::Tier(tier) => ("tier", Some(tier.name())),
        PreviewAction::Expire => ("expire", None),
        PreviewAction::Remove => ("remove", None),
        PreviewAction::RemoveMarker => ("remove_marker", None),
        PreviewAction::Abort { .. } => ("abort_upload", None),
    };
    let (upload_id, bytes) = match event.action {
        PreviewAction::Abort { upload, bytes } => (Some(upload.to_string()), Some(bytes)),
        _ => (None, None),
    };
    EventDocument {
        at: iso8601(event.at),
        key: event.key.as_str().to_owned(),
        version_id: event.version_id.map(|id| id.to_string()),
        upload_id,
        action: action.to_owned(),
        to: to.map(str::to_owned),
        bytes,
    }
}
