//! GetBucketLogging, PutBucketLogging.

use http::StatusCode;
use strata_storage::{BucketChange, BucketDocument, Error, ObjectKey};

use crate::access_log::{self, Logging};
use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `GET /bucket?logging`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let bucket = bucket::find(ctx, request.bucket()?).await?;
    Ok(Response::xml(Logging::document(Logging::of(&bucket)?.as_ref())))
}

/// Answers `PUT /bucket?logging`. Whether the target takes the logs is checked now, and at each delivery.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let source = bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let logging = Logging::parse(&bytes)?;
    if let Some(logging) = &logging {
        let target = ctx.store.bucket(&logging.target()?).await.map_err(|error| match error {
            Error::NotFound(_) => access_log::invalid_target("The target bucket for logging does not exist"),
            error => error.into(),
        })?;
        let sample = ObjectKey::parse(&format!("{}-", logging.prefix())).map_err(S3Error::internal)?;
        let from = (&name, source.owner, &*source.region);
        access_log::check(&ctx.policies, logging, from, &target, (&sample, request.now))?;
    }
    let stored = logging.as_ref().map(Logging::to_stored).transpose()?;
    let change = BucketChange::Document(BucketDocument::Logging, stored.map(Into::into));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::OK))
}
