//! GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.
//!
//! A policy is stored as this server writes it, with the unique ids of the users and roles that it names: one that is
//! made anew under an old name gets nothing that was given to the old one.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use strata_storage::{Bucket, BucketChange, BucketDocument, BucketName};

use crate::authorize;
use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::policy::{Policy, PolicyFault, PolicyKind};
use crate::public_access_block;
use crate::request::{Context, Request};
use crate::response::{Payload, Response};
use crate::xml::Writer;

/// The header that confirms that a policy shall keep its own sender from changing it again.
const CONFIRM: &str = "x-amz-confirm-remove-self-bucket-access";

/// Answers `GET /bucket?policy`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    of_owner_only(&request, &bucket)?;
    let policy = stored(name, &bucket)?;
    let snapshot = ctx.directory.snapshot();
    let mut response = Response::empty(StatusCode::OK);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.body = Payload::Bytes(policy.shown(&|id| snapshot.arn_of(id)).into());
    Ok(response)
}

/// Answers `PUT /bucket?policy`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let bucket = bucket::find(ctx, &name).await?;
    of_owner_only(&request, &bucket)?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let snapshot = ctx.directory.snapshot();
    let policy = Policy::parse(&bytes, &kind(&name))
        .and_then(|policy| policy.bind(&|principal| snapshot.unique_id(principal)))
        .map_err(malformed)?;
    if public_access_block::effective(ctx, &bucket)?.block_public_policy && policy.is_public() {
        return Err(S3Error::access_denied("Access Denied"));
    }
    let text = policy.text();
    let confirmed = request.headers.get(CONFIRM).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    if !confirmed && authorize::locks_out(ctx, &request, &bucket, policy)? {
        return Err(locked_out());
    }
    let change = BucketChange::Document(BucketDocument::Policy, Some(Arc::from(text.into_bytes())));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Answers `DELETE /bucket?policy`, also when there is nothing to remove.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    of_owner_only(&request, &*bucket::find(ctx, name).await?)?;
    let change = BucketChange::Document(BucketDocument::Policy, None);
    ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Answers `GET /bucket?policyStatus`.
pub async fn status(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let is_public = stored(name, &bucket)?.is_public();
    let mut writer = Writer::new("PolicyStatus");
    writer.element("IsPublic", if is_public { "true" } else { "false" });
    Ok(Response::xml(writer.finish()))
}

fn stored(name: &BucketName, bucket: &Bucket) -> Result<Policy, S3Error> {
    let text = bucket.documents.get(&BucketDocument::Policy).ok_or_else(|| {
        S3Error::new(StatusCode::NOT_FOUND, "NoSuchBucketPolicy", "The bucket policy does not exist")
            .with("BucketName", name.as_str())
    })?;
    Policy::parse(text, &kind(name)).map_err(|fault| S3Error::internal(format!("a stored bucket policy: {fault}")))
}

fn kind(name: &BucketName) -> PolicyKind {
    PolicyKind::Bucket { bucket: name.as_str().to_owned() }
}

/// Other accounts do not get at a bucket's policy, whatever it gives them.
fn of_owner_only(request: &Request, bucket: &Bucket) -> Result<(), S3Error> {
    if request.caller.account_id() == Some(bucket.owner) {
        return Ok(());
    }
    Err(S3Error::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    )
    .with("ResourceType", "BUCKETPOLICY"))
}

fn malformed(fault: PolicyFault) -> S3Error {
    let error = S3Error::new(StatusCode::BAD_REQUEST, "MalformedPolicy", fault.message);
    match fault.detail {
        Some(detail) => error.with("Detail", detail),
        None => error,
    }
}

/// Unconfirmed: S3's code and message.
fn locked_out() -> S3Error {
    S3Error::invalid_request(format!(
        "The policy would keep you from changing the policy of this bucket again. Send {CONFIRM}: true if it shall."
    ))
}
