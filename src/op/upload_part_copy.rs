//! UploadPartCopy: bytes of a stored object become a part.

use strata_storage::{CopyStage, DataKey, Error, OpenObject, PartInfo, Store, UploadInfo};

use crate::checksum_headers;
use crate::encryption;
use crate::error::S3Error;
use crate::op::copy_object::SOURCE_VERSION_ID;
use crate::op::copy_range::CopyRange;
use crate::op::copy_source::{Flavour, OpenSource, open_source, read_error};
use crate::op::keep_alive::{Finished, keep_alive};
use crate::op::target::refuse_version;
use crate::op::upload::{self, PART_BYTES_MAX, Target};
use crate::request::{Context, Request};
use crate::response::Response;
use crate::time;
use crate::xml::Writer;

/// Answers `PUT /bucket/key?partNumber=N&uploadId=U` with `x-amz-copy-source`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    refuse_version(&request)?;
    upload::refuse_for_part(&request.headers)?;
    let number = upload::part_number(&request.query)?;
    let range = CopyRange::from_headers(&request.headers)?;
    let target = upload::target(ctx, &request).await?;
    let open = upload::find(ctx, &target).await?;
    let opened = open_source(ctx, &request, Flavour::UploadPartCopy).await?;
    let OpenSource { source: copied, object: source, .. } = opened;
    let info = source.info();
    let range = range.map(|range| range.within(info.size)).transpose()?;
    let size = range.as_ref().map_or(info.size, |range| range.end - range.start);
    check_size(size)?;
    let room = ctx.store.check_room_for_part(&target.bucket, target.id, number, size).await;
    room.map_err(|error| upload::error(error, &target))?;
    ctx.store.meter().retrieval(&copied.bucket, info.class, size);
    let source_version = info.bucket_versioned.then(|| info.version_id.to_string());
    let encryption = open.new.protection.encryption.clone();
    let seal = encryption::part_key(ctx, &request, &target.bucket, &encryption).await?;
    let work = Copy { store: ctx.store.clone(), target, open, number, source, range, seal };
    let mut response = keep_alive(&request.name, work.run()).await?;
    encryption::set_headers(&mut response, &encryption);
    if let Some(version_id) = source_version {
        response.set(SOURCE_VERSION_ID, version_id);
    }
    Ok(response)
}

/// What is left to do once nothing about the request can be refused.
struct Copy {
    store: Store,
    target: Target,
    open: UploadInfo,
    number: u16,
    source: OpenObject,
    range: Option<std::ops::Range<u64>>,
    seal: Option<DataKey>,
}

impl Copy {
    async fn run(self) -> Result<Finished, S3Error> {
        let Copy { store, target, open, number, source, range, seal } = self;
        let named = |error: Error| upload::error(error, &target);
        let options = CopyStage { range, class: open.new.class, digests: upload::digests(&open), seal };
        let staged = store.stage_copy(&source, options).await.map_err(|error| match error {
            Error::Archived { .. } => read_error(error),
            error => named(error),
        })?;
        let checksum = open.new.checksum.and_then(|(algorithm, _)| staged.checksum(algorithm).cloned());
        let part =
            store.put_part(&target.bucket, &target.key, target.id, number, staged, checksum).await.map_err(named)?;
        Ok(Finished::new(document(&part)))
    }
}

fn check_size(size: u64) -> Result<(), S3Error> {
    if size <= PART_BYTES_MAX {
        return Ok(());
    }
    Err(S3Error::invalid_request(format!(
        "The specified copy source is larger than the maximum allowable size for a copy source: {PART_BYTES_MAX}"
    )))
}

fn document(part: &PartInfo) -> String {
    let mut writer = Writer::new("CopyPartResult");
    writer.element("LastModified", time::iso8601(part.modified));
    writer.element("ETag", format!("\"{}\"", part.etag));
    if let Some(checksum) = &part.checksum {
        writer.element(checksum_headers::element_name(checksum.algorithm), upload::part_text(checksum));
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use strata_storage::{Checksum, ChecksumAlgorithm, ChecksumKind, ETag, PartInfo, Timestamp};

    use super::{PART_BYTES_MAX, check_size, document};

    #[test]
    fn sizes() {
        assert!(check_size(0).is_ok());
        assert!(check_size(PART_BYTES_MAX).is_ok());
        assert_eq!(check_size(PART_BYTES_MAX + 1).expect_err("too large").code, "InvalidRequest");
    }

    #[test]
    fn documents() {
        let value = vec![0, 0, 0, 1];
        let part = PartInfo {
            number: 1,
            size: 5,
            etag: ETag::single([0xab; 16]),
            modified: Timestamp::from_secs(1),
            checksum: Some(Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::FullObject, value }),
        };
        let text = document(&part);
        let expected = "<ETag>&quot;abababababababababababababababab&quot;</ETag>\
                        <ChecksumCRC32>AAAAAQ==</ChecksumCRC32></CopyPartResult>";
        assert!(text.ends_with(expected), "{text}");
    }
}
