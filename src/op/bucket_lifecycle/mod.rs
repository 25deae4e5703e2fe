//! PutBucketLifecycleConfiguration, GetBucketLifecycleConfiguration, DeleteBucketLifecycle.

use http::{HeaderMap, HeaderName, StatusCode};
use strata_storage::{BucketChange, Lifecycle, TransitionMinimum};

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::{bucket, rule_id};
use crate::request::{Context, Request};
use crate::response::Response;

mod answer;
mod document;
mod schedule;
mod validate;

/// Says which objects are too small for transitions.
pub const MINIMUM: HeaderName = HeaderName::from_static("x-amz-transition-default-minimum-object-size");

/// Answers `GET /bucket?lifecycle`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let Some(lifecycle) = &bucket.lifecycle else {
        let message = "The lifecycle configuration does not exist";
        return Err(S3Error::new(StatusCode::NOT_FOUND, "NoSuchLifecycleConfiguration", message)
            .with("BucketName", name.as_str()));
    };
    let mut response = Response::xml(answer::write(lifecycle));
    response.set(MINIMUM, minimum_name(lifecycle.minimum));
    Ok(response)
}

/// Answers `PUT /bucket?lifecycle`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Required).await?;
    let lifecycle = read(ctx, &request.headers, &bytes)?;
    let minimum = lifecycle.minimum;
    let change = BucketChange::Lifecycle(Some(lifecycle));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    let mut response = Response::empty(StatusCode::OK);
    response.set(MINIMUM, minimum_name(minimum));
    Ok(response)
}

/// Reads and validates a document, and the header that belongs to it.
pub fn read(ctx: &Context, headers: &HeaderMap, bytes: &[u8]) -> Result<Lifecycle, S3Error> {
    let minimum = headers.get(MINIMUM).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let minimum = self::minimum(minimum.as_deref())?;
    let mut rules = document::read(bytes)?;
    for rule in &mut rules {
        if rule.id.is_empty() {
            rule.id = rule_id::generate(ctx.entropy.as_ref());
        }
    }
    Ok(Lifecycle { rules, minimum })
}

/// Answers `DELETE /bucket?lifecycle`, also when there is nothing to remove.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let change = BucketChange::Lifecycle(None);
    ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

const MINIMUMS: [(TransitionMinimum, &str); 2] = [
    (TransitionMinimum::AllStorageClasses128K, "all_storage_classes_128K"),
    (TransitionMinimum::VariesByStorageClass, "varies_by_storage_class"),
];

fn minimum(header: Option<&str>) -> Result<TransitionMinimum, S3Error> {
    let Some(text) = header else { return Ok(TransitionMinimum::default()) };
    MINIMUMS
        .iter()
        .find(|(_, name)| *name == text)
        .map(|(minimum, _)| *minimum)
        .ok_or_else(|| S3Error::invalid_request(format!("Invalid TransitionDefaultMinimumObjectSize found: {text}")))
}

fn minimum_name(minimum: TransitionMinimum) -> &'static str {
    MINIMUMS.iter().find(|(known, _)| *known == minimum).map_or("", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use strata_storage::TransitionMinimum;

    use super::{minimum, minimum_name};

    #[test]
    fn minimums() {
        assert_eq!(minimum(None).unwrap(), TransitionMinimum::AllStorageClasses128K);
        for text in ["all_storage_classes_128K", "varies_by_storage_class"] {
            assert_eq!(minimum_name(minimum(Some(text)).unwrap()), text);
        }
        for text in ["", "all_storage_classes_128k", "none"] {
            let error = minimum(Some(text)).unwrap_err();
            let message = format!("Invalid TransitionDefaultMinimumObjectSize found: {text}");
            assert_eq!((error.code, error.message.as_ref()), ("InvalidRequest", message.as_str()));
        }
    }
}
