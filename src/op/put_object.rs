//! PutObject: a request body becomes the newest version of a key.

use http::{HeaderMap, StatusCode, header};
use strata_storage::{ChecksumAlgorithm, Digests, EventKind, Protection, PutObject, Subject, Tag, Written};

use crate::encryption::{self, Sealing};
use crate::error::S3Error;
use crate::op::target::{refuse_version, set_version};
use crate::replication::replica::Head;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::{
    checksum_headers, conditions, lifecycle_headers, lock_headers, metadata_headers, protection_headers, tagging,
};

/// The largest object that one PUT can write: 5 GiB.
const PUT_BYTES_MAX: u64 = 5 << 30;

/// Runs the operation.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    write(ctx, request, EventKind::CreatedPut).await
}

/// Writes an object, which events tell of as `created`.
pub async fn write(ctx: &Context, mut request: Request, created: EventKind) -> Result<Response, S3Error> {
    let bucket = request.bucket()?.clone();
    let key = request.key()?.clone();
    refuse_version(&request)?;
    // Before the body: nobody shall send 5 GiB to learn that the bucket is not there.
    let found = ctx.store.bucket(&bucket).await?;
    let class = metadata_headers::storage_class(&request.headers)?;
    checksum_headers::content_md5(&request.headers)?;
    let Sealing { encryption, key: seal } = encryption::sealing(ctx, &request, &bucket, &found, &key).await?;
    let protection = protection_headers::protection(ctx, &found, &request).await?;
    lock_headers::require_digest(&request.headers, &found, &protection.lock)?;
    let protection = Protection { encryption, ..protection };
    let condition = conditions::write_condition(&request.headers)?;
    let metadata = Head::metadata(&request.headers)?;
    let tags = header_tags(&request.headers)?;
    // Every object has a checksum: the client's, or the one that S3 computes.
    let more = match checksum_headers::expected(&request.headers)? {
        Some(_) => Digests::NONE,
        None => Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme),
    };
    if let Some(size) = request.body.size()? {
        ctx.store.check_room_for_object(&bucket, &key, size).await?;
    }
    let most_bytes = ctx.config.limits.object_bytes.min(PUT_BYTES_MAX);
    let (staged, sent) = checksum_headers::stage_body(ctx, &mut request, most_bytes, more, seal).await?;
    let checksum = sent.or_else(|| staged.checksum(ChecksumAlgorithm::Crc64Nvme).cloned());

    let mut response = Response::empty(StatusCode::OK);
    encryption::set_headers_of_write(&mut response, &protection.encryption);
    if let Some(checksum) = &checksum {
        checksum_headers::set_headers(&mut response, checksum, 0);
    }
    let (refused, size, kept) = (condition.clone(), staged.size(), tags.clone());
    let store = request.store(ctx);
    let put = PutObject {
        bucket,
        key: key.clone(),
        staged,
        class,
        metadata,
        tags,
        checksum,
        protection,
        condition,
        created,
        replica: Head::of(&request.headers)?.map(|head| head.replica),
    };
    let Written { version_id, etag, modified } =
        store.put(put).await.map_err(|error| conditions::write_error(error, &refused, &key))?;
    response.set(header::ETAG, format!("\"{etag}\""));
    set_version(&mut response, version_id);
    let object = Subject::current(key.as_str(), size, &kept, modified);
    if let Some(text) = lifecycle_headers::expiration(&found, &object, &ctx.store.calendar()) {
        response.set(lifecycle_headers::EXPIRATION, text);
    }
    Ok(response)
}

/// The tags in `x-amz-tagging`.
pub fn header_tags(headers: &HeaderMap) -> Result<Vec<Tag>, S3Error> {
    match headers.get("x-amz-tagging") {
        None => Ok(Vec::new()),
        Some(value) => tagging::from_header(&String::from_utf8_lossy(value.as_bytes())),
    }
}
