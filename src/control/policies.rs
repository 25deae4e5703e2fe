//! The policies of access points.

use std::sync::Arc;

use http::StatusCode;
use strata_storage::BucketName;

use super::access_point::AccessPoint;
use super::access_points::{error, find};
use super::document::{self, PutPolicy};
use super::{Call, no_content};
use crate::error::S3Error;
use crate::policy::{Policy, PolicyFault, PolicyKind};
use crate::response::Response;
use crate::{public_access_block, xml};

/// The largest policy, in bytes.
const POLICY_BYTES_MAX: usize = 20 << 10;

pub(super) async fn put(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let point = find(call, name, "s3:PutAccessPointPolicy").await?;
    let asked: PutPolicy = xml::parse(&call.request.body)?;
    let kind = PolicyKind::AccessPoint { arn: point.arn(call.region()) };
    let directory = call.ctx.directory.snapshot();
    let policy = Policy::parse(asked.policy.as_bytes(), &kind)
        .and_then(|policy| policy.bind(&|name| directory.unique_id(name)))
        .map_err(malformed)?;
    let text = policy.text();
    if text.len() > POLICY_BYTES_MAX {
        let message = "Normalized policy document exceeds the maximum allowed size of 20480 bytes";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "MalformedPolicy", message));
    }
    let account = directory.account(call.account).and_then(|account| account.public_access_block).unwrap_or_default();
    let mut block = point.block.or(account);
    // The bucket of the same account has a say as well.
    if point.bucket_account == point.account
        && let Ok(name) = BucketName::parse(&point.bucket)
    {
        let bucket = call.ctx.store.bucket(&name).await?;
        block = block.or(public_access_block::effective(call.ctx, &bucket)?);
    }
    if policy.is_public() && block.block_public_policy {
        return Err(S3Error::access_denied(
            "Access Denied: the policy would make the access point public, which Block Public Access forbids.",
        ));
    }
    call.ctx.access_points.set_policy(point.account, &point.name, Some(text)).await.map_err(error)?;
    Ok(Response::empty(StatusCode::OK))
}

pub(super) async fn get(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let point = find(call, name, "s3:GetAccessPointPolicy").await?;
    let policy = compiled(call, &point)?;
    let directory = call.ctx.directory.snapshot();
    let mut writer = document::writer("GetAccessPointPolicyResult");
    writer.element("Policy", policy.shown(&|id| directory.arn_of(id)));
    Ok(Response::xml(writer.finish()))
}

pub(super) async fn delete(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let point = find(call, name, "s3:DeleteAccessPointPolicy").await?;
    call.ctx.access_points.set_policy(point.account, &point.name, None).await.map_err(error)?;
    Ok(no_content())
}

pub(super) async fn status(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let point = find(call, name, "s3:GetAccessPointPolicyStatus").await?;
    let policy = compiled(call, &point)?;
    let mut writer = document::writer("GetAccessPointPolicyStatusResult");
    writer.open("PolicyStatus").element("IsPublic", policy.is_public().to_string());
    Ok(Response::xml(writer.finish()))
}

fn compiled(call: &Call<'_>, point: &AccessPoint) -> Result<Arc<Policy>, S3Error> {
    let compiled = point.compiled(call.region()).map_err(|fault| S3Error::internal(fault.to_string()))?;
    compiled.ok_or_else(missing)
}

fn missing() -> S3Error {
    S3Error::new(StatusCode::NOT_FOUND, "NoSuchAccessPointPolicy", "The specified accesspoint policy does not exist")
}

fn malformed(fault: PolicyFault) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "MalformedPolicy", fault.to_string())
}
