//! `GET projection`: what a bucket's lifecycle rules and tiers will save, a page of versions at a time. A POST brings
//! its own table of prices.

use serde::{Deserialize, Serialize};
use strata_storage::{PreviewPosition, PreviewQuery};

use crate::admin::{AdminRequest, cost};
use crate::cost::{Projection, projection};
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::Context;

/// Versions of one page.
const VERSIONS_PER_PAGE: usize = 10_000;

/// The answer: pages add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectionDocument {
    /// How many days were looked ahead.
    pub days: u32,
    /// What the page costs.
    pub projection: Projection,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// Answers.
pub async fn get(ctx: &Context, request: AdminRequest) -> Result<ProjectionDocument, S3Error> {
    let prices = cost::prices(&request.body)?;
    let (bucket, days, after) = (request.named_bucket()?, request.days()?, after(&request)?);
    let query = PreviewQuery { bucket: bucket.clone(), rules: None, days, after, max: VERSIONS_PER_PAGE };
    let page = ctx.store.preview(query).await.map_err(|error| bucket::error(error, &bucket))?;
    let projection = projection(&page.sums, &prices);
    Ok(ProjectionDocument { days, projection, next: page.next.map(|next| next.to_text()) })
}

/// Where the page before ended.
pub(super) fn after(request: &AdminRequest) -> Result<Option<PreviewPosition>, S3Error> {
    let Some(text) = request.query.get("after") else { return Ok(None) };
    let position = PreviewPosition::parse(text);
    position.map(Some).ok_or_else(|| S3Error::invalid_argument("No page ended there.", "after", text))
}
