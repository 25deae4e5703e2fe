//! GetObjectTagging, PutObjectTagging, DeleteObjectTagging: the tags of one object version.

use http::StatusCode;
use strata_storage::{ReplicaChanges, Store, Tag};

use crate::checksum_headers::{self, Need};
use crate::error::S3Error;
use crate::op::target::{self, Target, set_version};
use crate::replication::replica::{self, Head};
use crate::request::{Context, Request};
use crate::response::Response;
use crate::tagging::{self, OBJECT_TAGS_MAX};

/// The largest document: ten tags of the longest texts, written as references, take about half of it.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// Runs GetObjectTagging. Of a delete marker that is current it says what writes of tags say, not what other reads do.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    let found = ctx.store.object(&target.bucket, &target.key, target.selector()).await;
    let object = found.map_err(target::change_error)?;
    let info = object.info();
    let mut response = Response::xml(tagging::document(&info.tags));
    set_version(&mut response, info.bucket_versioned.then_some(info.version_id));
    Ok(response)
}

/// Runs PutObjectTagging.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    ctx.store.bucket(&target.bucket).await?;
    let bytes = request.body.collect(DOCUMENT_BYTES_MAX).await?;
    checksum_headers::require_for_document(&request.headers, &request.body, &bytes, Need::Optional)?;
    let tags = tagging::parse_document(&bytes, OBJECT_TAGS_MAX)?;
    if let Some(head) = Head::of(&request.headers)? {
        return replicate(ctx, &target, head.changes(tags)).await;
    }
    replace(&request.store(ctx), &target, tags, StatusCode::OK).await
}

/// Runs DeleteObjectTagging.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    replace(&request.store(ctx), &target, Vec::new(), StatusCode::NO_CONTENT).await
}

async fn replace(store: &Store, target: &Target, tags: Vec<Tag>, status: StatusCode) -> Result<Response, S3Error> {
    let tagged =
        store.set_tags(&target.bucket, &target.key, target.selector(), tags).await.map_err(target::change_error)?;
    let mut response = Response::empty(status);
    set_version(&mut response, tagged.version_id);
    Ok(response)
}

/// Brings the tags, list and lock of another bucket's version to its replica.
async fn replicate(ctx: &Context, target: &Target, changes: ReplicaChanges) -> Result<Response, S3Error> {
    let version = target.version.ok_or_else(replica::refused)?;
    ctx.store.change_replica(&target.bucket, &target.key, version, changes).await.map_err(target::change_error)?;
    Ok(Response::empty(StatusCode::OK))
}
