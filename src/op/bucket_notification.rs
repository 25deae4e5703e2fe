//! GetBucketNotificationConfiguration, PutBucketNotificationConfiguration.

use http::StatusCode;
use strata_storage::BucketChange;

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::events::configuration::Configuration;
use crate::events::destinations::{self, Wanted};
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;

/// The header that leaves destinations unasked.
const SKIP: &str = "x-amz-skip-destination-validation";

/// Answers `GET /bucket?notification`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let bucket = bucket::find(ctx, request.bucket()?).await?;
    Ok(Response::xml(Configuration::of(&bucket)?.document()))
}

/// Answers `PUT /bucket?notification`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let found = bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let new_id = || format!("{:016x}{:016x}", ctx.entropy.next_u64(), ctx.entropy.next_u64());
    let configuration = Configuration::parse(&bytes, new_id)?;
    let wanted = Wanted {
        bucket: &found,
        configuration: &configuration,
        request: &request.name,
        now: request.now,
        validate: !skips(&request)?,
    };
    let bus = destinations::check(&ctx.events.targets, &wanted).await?;
    let rules = configuration.rules(bus.as_deref());
    let document = (!configuration.is_empty()).then(|| configuration.to_stored()).transpose()?;
    let change = BucketChange::Notifications { rules, document: document.map(Into::into) };
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::OK))
}

fn skips(request: &Request) -> Result<bool, S3Error> {
    match request.header(SKIP)? {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(S3Error::invalid_argument("The header must be true or false", SKIP, value)),
    }
}
