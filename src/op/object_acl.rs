//! GetObjectAcl and PutObjectAcl: the access control list of one object version.

use http::StatusCode;
use strata_storage::VersionSelector;

use crate::acl::{self, Acl, CanonicalId, Scope};
use crate::error::S3Error;
use crate::op::requested_acl;
use crate::op::target::{self, Target, set_version};
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `GET /bucket/key?acl`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    let bucket = ctx.store.bucket(&target.bucket).await?;
    let object = ctx.store.object(&target.bucket, &target.key, target.selector()).await?;
    let info = object.info();
    let acl = Acl::of_object(&info.protection.owner)?;
    let mut response = Response::xml(requested_acl::shown(ctx, acl, &bucket)?);
    set_version(&mut response, info.bucket_versioned.then_some(info.version_id));
    Ok(response)
}

/// Answers `PUT /bucket/key?acl`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    let bucket = ctx.store.bucket(&target.bucket).await?;
    let object = ctx.store.object(&target.bucket, &target.key, target.selector()).await;
    let info = object.map_err(target::change_error)?.info().clone();
    let owner = if acl::acls_count(&bucket) { info.protection.owner.account } else { bucket.owner };
    let owner = CanonicalId::of(owner);
    if let Some(acl) = requested_acl::read(ctx, &mut request, Scope::Object, owner, &bucket).await? {
        // The version that was looked at: the list names its owner, who may be another than that of a later version.
        let version = VersionSelector::Id(info.version_id);
        let changed = request.store(ctx).set_acl(&target.bucket, &target.key, version, acl::encode(&acl)).await;
        changed.map_err(target::change_error)?;
    }
    let mut response = Response::empty(StatusCode::OK);
    set_version(&mut response, info.bucket_versioned.then_some(info.version_id));
    Ok(response)
}
