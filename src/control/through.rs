//! Requests that come through an access point: which bucket they mean, and whether the network may.
//!
//! An access point is named by its alias in place of a bucket's name, or by the first label of its host,
//! `NAME-ACCOUNT`. A bucket of that name comes first, so that no access point can stand in front of one; the names that
//! could collide are refused where either is made.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use strata_storage::{AccountId, BucketName};

use super::access_point::{AccessPoint, AccessPointName, NetworkOrigin};
use super::access_points::missing;
use crate::address::Address;
use crate::authorize::Through;
use crate::error::S3Error;
use crate::identity::Identity;
use crate::request::Context;
use crate::route::Operation;

/// What a host of access points has behind the first label: `NAME-ACCOUNT.s3-accesspoint.DOMAIN`.
const LABEL: &str = ".s3-accesspoint";

/// The access point that an address means, if it means one; the address then names its bucket instead.
pub async fn unveil(ctx: &Context, address: &mut Address) -> Result<Option<Arc<AccessPoint>>, S3Error> {
    let Some(name) = address.bucket.as_deref() else { return Ok(None) };
    let (label, is_certain) = match name.split_once(LABEL) {
        Some((label, rest)) if address.virtual_hosted && (rest.is_empty() || rest.starts_with('.')) => (label, true),
        _ => (name, false),
    };
    let Some(point) = ctx.access_points.named(label) else { return Ok(None) };
    let is_alias = label == point.alias();
    // Labels count in hosts only, aliases everywhere.
    if !is_alias && !address.virtual_hosted {
        return Ok(None);
    }
    if !is_certain
        && let Ok(bucket) = BucketName::parse(name)
        && ctx.store.bucket(&bucket).await.is_ok()
    {
        return Ok(None);
    }
    address.bucket = Some(point.bucket.clone());
    Ok(Some(point))
}

/// Splits `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/object/KEY` before `/object/` and behind it; `None` for what is no name
/// of an object behind an access point.
pub fn split_object_arn(text: &str) -> Option<(&str, &str)> {
    let (arn, key) = text.split_once("/object/")?;
    parse_arn(arn).map(|_| (arn, key))
}

/// Region, account and name of an access point's ARN.
fn parse_arn(arn: &str) -> Option<(&str, AccountId, AccessPointName)> {
    let (region, rest) = arn.strip_prefix("arn:aws:s3:")?.split_once(':')?;
    let (account, resource) = rest.split_once(':')?;
    let name = AccessPointName::parse(resource.strip_prefix("accesspoint/")?)?;
    Some((region, AccountId::parse(account)?, name))
}

/// The access point with that ARN or alias. `Err` is 404 `NoSuchAccessPoint`, for one of another region, too.
pub fn point(ctx: &Context, name: &str) -> Result<Arc<AccessPoint>, S3Error> {
    let found = match parse_arn(name) {
        Some((region, account, name)) if region == ctx.config.region => ctx.access_points.get(account, &name),
        Some(_) => None,
        None => ctx.access_points.named(name).filter(|point| point.alias() == name),
    };
    found.ok_or_else(missing)
}

/// Refuses what access points do not offer: everything but the work with objects.
pub fn check_offered(operation: Operation) -> Result<(), S3Error> {
    let offered = matches!(
        operation,
        Operation::AbortMultipartUpload
            | Operation::CompleteMultipartUpload
            | Operation::CopyObject
            | Operation::CreateMultipartUpload
            | Operation::DeleteObject
            | Operation::DeleteObjectTagging
            | Operation::DeleteObjects
            | Operation::GetBucketLocation
            | Operation::GetObject
            | Operation::GetObjectAcl
            | Operation::GetObjectAttributes
            | Operation::GetObjectLegalHold
            | Operation::GetObjectRetention
            | Operation::GetObjectTagging
            | Operation::HeadBucket
            | Operation::HeadObject
            | Operation::ListMultipartUploads
            | Operation::ListObjectVersions
            | Operation::ListObjects
            | Operation::ListObjectsV2
            | Operation::ListParts
            | Operation::PutObject
            | Operation::PutObjectAcl
            | Operation::PutObjectLegalHold
            | Operation::PutObjectRetention
            | Operation::PutObjectTagging
            | Operation::RestoreObject
            | Operation::UploadPart
            | Operation::UploadPartCopy
    );
    if offered {
        return Ok(());
    }
    let message = "The specified method is not allowed against this resource.";
    Err(S3Error::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message))
}

/// What the access point adds to the decision. `Err` for callers whom it never serves, and networks that it does not.
pub async fn through(
    ctx: &Context,
    point: &AccessPoint,
    caller: &Identity,
    source: IpAddr,
) -> Result<Through, S3Error> {
    let denied = || S3Error::access_denied("Access Denied");
    if caller.account.is_none() {
        return Err(denied());
    }
    let bucket = BucketName::parse(&point.bucket).map_err(S3Error::internal)?;
    let found = ctx.store.bucket(&bucket).await?;
    if found.id != point.bucket_id {
        return Err(S3Error::no_such_bucket(point.bucket.as_str()));
    }
    let vpc = match &point.origin {
        NetworkOrigin::Internet => None,
        NetworkOrigin::Vpc(id) if ctx.config.networks.contains(id, source) => Some(id.clone()),
        NetworkOrigin::Vpc(_) => return Err(denied()),
    };
    let region = &ctx.config.region;
    Ok(Through {
        arn: point.arn(region),
        account: point.account,
        vpc,
        tags: Vec::new(),
        policy: point.compiled(region).map_err(|fault| S3Error::internal(fault.to_string()))?,
        restricts_public: point.block.restrict_public_buckets,
        ignores_public_acls: point.block.ignore_public_acls,
    })
}
