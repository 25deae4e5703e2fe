//! `GET cost`: the bill of the store, or of one bucket. A POST brings its own table of prices.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use strata_storage::Month;

use crate::admin::AdminRequest;
use crate::cost::{Bill, Prices, bill};
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::Context;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostDocument {
    /// The month of the requests, `2026-08`. Storage is billed as if it stayed as it is for a month.
    pub month: String,
    /// The currency of all amounts.
    pub currency: String,
    /// The region that the prices are of.
    pub prices_region: String,
    /// When the prices were read.
    pub prices_date: String,
    /// The bill.
    #[serde(flatten)]
    pub bill: Bill,
}

/// Answers.
pub async fn get(ctx: &Context, request: AdminRequest) -> Result<CostDocument, S3Error> {
    let prices = prices(&request.body)?;
    let named = request.bucket()?;
    if let Some(name) = &named {
        bucket::find(ctx, name).await?;
    }
    let month = Month::of(request.now);
    // The bands of prices count the whole store, also in the bill of one bucket.
    let (usage, activity) = (ctx.store.usage(None).await?, ctx.store.activity(None, month).await?);
    let mut bill = bill(&usage, &activity, &ctx.store.pools().await?, &prices);
    if let Some(name) = named {
        bill = bill.of_bucket(name.as_str());
    }
    let (year, month) = month.year_and_month();
    let Prices { region: prices_region, date: prices_date, currency, .. } = prices;
    Ok(CostDocument { month: format!("{year:04}-{month:02}"), currency, prices_region, prices_date, bill })
}

/// The table of prices in a body; the default one if there is none.
pub(super) fn prices(body: &Bytes) -> Result<Prices, S3Error> {
    if body.is_empty() {
        return Ok(Prices::default());
    }
    let text = std::str::from_utf8(body).map_err(|_| S3Error::invalid_request("The price table is not UTF-8."))?;
    Prices::parse(text).map_err(|error| S3Error::invalid_request(error.to_string()))
}
