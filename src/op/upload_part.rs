//! UploadPart: a body becomes a part, its checksum verified and the upload's kind of checksum computed.

use http::StatusCode;

use crate::checksum_headers;
use crate::encryption;
use crate::error::S3Error;
use crate::op::target::refuse_version;
use crate::op::upload;
use crate::request::{Context, Request};
use crate::response::Response;

/// Answers `PUT /bucket/key?partNumber=N&uploadId=U`.
pub async fn run(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    refuse_version(&request)?;
    upload::refuse_for_part(&request.headers)?;
    let number = upload::part_number(&request.query)?;
    let expected = checksum_headers::expected(&request.headers)?;
    let target = upload::target(ctx, &request).await?;
    let open = upload::find(ctx, &target).await?;
    upload::check_algorithm(&open, expected.map(|expected| expected.algorithm))?;
    let size = request.body.require_length()?;
    let room = ctx.store.check_room_for_part(&target.bucket, target.id, number, size).await;
    room.map_err(|error| upload::error(error, &target))?;
    let sealed = &open.new.protection.encryption;
    let seal = encryption::part_key(ctx, &request, &target.bucket, sealed).await?;
    let most_bytes = ctx.config.limits.object_bytes.min(upload::PART_BYTES_MAX);
    let (staged, sent) =
        checksum_headers::stage_body(ctx, &mut request, most_bytes, upload::digests(&open), seal).await?;
    // A part shows the checksum that the client knows of, or the kind that it chose for the upload.
    let chosen = open.new.checksum.and_then(|(algorithm, _)| staged.checksum(algorithm).cloned());
    let part = ctx
        .store
        .put_part(&target.bucket, &target.key, target.id, number, staged, sent.or(chosen))
        .await
        .map_err(|error| upload::error(error, &target))?;
    let mut response = Response::empty(StatusCode::OK);
    upload::set_part_headers(&mut response, &part);
    encryption::set_headers(&mut response, sealed);
    Ok(response)
}
