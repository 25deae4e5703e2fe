//! CreateAccessPoint, GetAccessPoint, ListAccessPoints, DeleteAccessPoint.

use std::sync::{Arc, OnceLock};

use http::StatusCode;
use strata_storage::{AccountId, BucketName};

use super::access_point::{AccessPoint, AccessPointName, NetworkOrigin};
use super::document::{self, Block, Create};
use super::registry::RegistryError;
use super::{Call, no_content};
use crate::error::S3Error;
use crate::public_access_block::PublicAccessBlock;
use crate::response::Response;
use crate::xml;

const PAGE_MAX: usize = 1000;

pub(super) async fn create(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let name = parse_name(name)?;
    let asked: Create = xml::parse(&call.request.body)?;
    call.require("s3:CreateAccessPoint", &arn(call, &name)).await?;
    let no_bucket = || S3Error::invalid_request("Amazon S3 AccessPoint can only be created for existing bucket");
    let bucket = BucketName::parse(&asked.bucket).map_err(|_| no_bucket())?;
    let found = call.ctx.store.bucket(&bucket).await.map_err(|_| no_bucket())?;
    let expected = asked.bucket_account_id.as_deref().map(AccountId::parse);
    if expected.is_some_and(|expected| expected != Some(found.owner)) {
        return Err(no_bucket());
    }
    let label = BucketName::parse(&format!("{name}-{}", call.account));
    if let Ok(label) = label
        && call.ctx.store.bucket(&label).await.is_ok()
    {
        // Its host would be that of the bucket.
        return Err(S3Error::invalid_request("A bucket has the name that the access point's host begins with"));
    }
    let origin = match asked.vpc_configuration.and_then(|vpc| vpc.vpc_id) {
        None => NetworkOrigin::Internet,
        Some(vpc) if call.ctx.config.networks.has_vpc(&vpc) => NetworkOrigin::Vpc(vpc),
        Some(vpc) => {
            return Err(S3Error::invalid_request(format!("The VPC {vpc} has no networks in this server's settings")));
        }
    };
    let block = asked.public_access_block_configuration.map_or(PublicAccessBlock::ALL, block);
    let point = AccessPoint {
        name,
        account: call.account,
        bucket: asked.bucket,
        bucket_id: found.id,
        bucket_account: found.owner,
        origin,
        block,
        created: call.request.asking.now,
        policy: None,
        compiled: OnceLock::new(),
    };
    let point = call.ctx.access_points.create(point).await.map_err(error)?;
    Ok(Response::xml(document::created(&point, call.region())))
}

pub(super) async fn get(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let point = find(call, name, "s3:GetAccessPoint").await?;
    let domain = call.ctx.config.domains.first().map(String::as_str);
    Ok(Response::xml(document::described(&point, call.region(), domain)))
}

pub(super) async fn delete(call: &Call<'_>, name: &str) -> Result<Response, S3Error> {
    let point = find(call, name, "s3:DeleteAccessPoint").await?;
    call.ctx.access_points.delete(point.account, &point.name).await.map_err(error)?;
    Ok(no_content())
}

pub(super) async fn list(call: &Call<'_>) -> Result<Response, S3Error> {
    let query = &call.request.asking.query;
    call.require("s3:ListAccessPoints", "*").await?;
    let max = match query.get("maxResults") {
        None => PAGE_MAX,
        Some(text) => {
            let number = text.parse().ok().filter(|number| (1..=PAGE_MAX).contains(number));
            number.ok_or_else(|| S3Error::invalid_request("maxResults must be a number from 1 to 1000"))?
        }
    };
    let mut points = call.ctx.access_points.list(call.account, query.get("bucket"), query.get("nextToken"), max + 1);
    let is_truncated = points.len() > max;
    points.truncate(max);
    let next = points.last().filter(|_| is_truncated).map(|point| point.name.to_string());
    Ok(Response::xml(document::listed(&points, call.region(), next.as_deref())))
}

/// The access point of that name, if the caller may do `action` with it.
pub(super) async fn find(call: &Call<'_>, name: &str, action: &'static str) -> Result<Arc<AccessPoint>, S3Error> {
    let name = parse_name(name)?;
    call.require(action, &arn(call, &name)).await?;
    call.ctx.access_points.get(call.account, &name).ok_or_else(missing)
}

/// What the registry refuses, as S3 Control answers it.
pub(super) fn error(error: RegistryError) -> S3Error {
    match error {
        RegistryError::Exists => S3Error::new(
            StatusCode::CONFLICT,
            "AccessPointAlreadyOwnedByYou",
            "Your previous request to create the named accesspoint succeeded and you already own it.",
        ),
        RegistryError::Missing => missing(),
        RegistryError::TooMany => S3Error::new(
            StatusCode::BAD_REQUEST,
            "TooManyAccessPoints",
            "You have attempted to create more access points than are allowed for the account.",
        ),
        RegistryError::Damaged(_) => S3Error::internal(error),
        RegistryError::Engine(error) => S3Error::from(error),
    }
}

pub(super) fn missing() -> S3Error {
    S3Error::new(StatusCode::NOT_FOUND, "NoSuchAccessPoint", "The specified accesspoint does not exist")
}

fn parse_name(name: &str) -> Result<AccessPointName, S3Error> {
    AccessPointName::parse(name).ok_or_else(|| {
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidURI", "Couldn't parse the specified URI.").with("URI", name)
    })
}

fn arn(call: &Call<'_>, name: &AccessPointName) -> String {
    format!("arn:aws:s3:{}:{}:accesspoint/{name}", call.region(), call.account)
}

fn block(asked: Block) -> PublicAccessBlock {
    PublicAccessBlock {
        block_public_acls: asked.block_public_acls,
        ignore_public_acls: asked.ignore_public_acls,
        block_public_policy: asked.block_public_policy,
        restrict_public_buckets: asked.restrict_public_buckets,
    }
}
