//! ListParts: the finished parts of an open upload.

use strata_storage::{ChecksumSummary, PartInfo, PartsPage};

use crate::checksum_headers;
use crate::error::S3Error;
use crate::lifecycle_headers;
use crate::op::bucket;
use crate::op::list_document::{self, boolean};
use crate::op::list_parameters::{self, Encoding, PageSize};
use crate::op::upload::{self, Target};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::time;
use crate::xml::Writer;

/// Answers `GET /bucket/key?uploadId=U`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let parameters = Parameters::from_query(&request.query)?;
    let target = upload::target(ctx, &request).await?;
    let page = match parameters.page.max {
        0 => PartsPage { upload: upload::find(ctx, &target).await?, parts: Vec::new(), truncated: false },
        max => {
            let listed = ctx.store.list_parts(&target.bucket, &target.key, target.id, parameters.after(), max).await;
            listed.map_err(|error| upload::error(error, &target))?
        }
    };
    let mut response = Response::xml(document(&target, &parameters, &page));
    let found = bucket::find(ctx, &target.bucket).await?;
    let upload = (target.key.as_str(), page.upload.initiated);
    lifecycle_headers::set_abort(&mut response, &found, &ctx.store.calendar(), upload);
    Ok(response)
}

struct Parameters {
    page: PageSize,
    /// The number to go on after, as the client sent it.
    marker: u32,
    encoding: Encoding,
}

impl Parameters {
    fn from_query(query: &Query) -> Result<Parameters, S3Error> {
        Ok(Parameters {
            page: list_parameters::page_size(query, "max-parts")?,
            marker: list_parameters::number(query, "part-number-marker")?.unwrap_or(0),
            encoding: Encoding::from_query(query)?,
        })
    }

    /// The engine's marker: no part has a number beyond 16 bits.
    fn after(&self) -> u16 {
        u16::try_from(self.marker).unwrap_or(u16::MAX)
    }
}

fn document(target: &Target, parameters: &Parameters, page: &PartsPage) -> String {
    let new = &page.upload.new;
    let mut writer = Writer::new("ListPartsResult");
    writer.element("Bucket", target.bucket.as_str());
    writer.element("Key", parameters.encoding.apply(target.key.as_str()));
    writer.element("UploadId", target.id.to_string());
    list_document::initiator(&mut writer, &new.initiator);
    list_document::owner(&mut writer, new.protection.owner.account);
    writer.element("StorageClass", new.class.name());
    writer.element("PartNumberMarker", parameters.marker.to_string());
    writer.element("NextPartNumberMarker", page.parts.last().map_or(0, |part| part.number).to_string());
    writer.element("MaxParts", parameters.page.max.to_string());
    list_document::delimiter_and_encoding(&mut writer, "", parameters.encoding);
    writer.element("IsTruncated", boolean(page.truncated));
    list_document::checksum_summary(
        &mut writer,
        new.checksum.map(|(algorithm, kind)| ChecksumSummary { algorithm, kind }),
    );
    for listed in &page.parts {
        part(&mut writer, listed);
    }
    writer.finish()
}

fn part(writer: &mut Writer, part: &PartInfo) {
    writer.open("Part").element("PartNumber", part.number.to_string());
    writer.element("LastModified", time::iso8601(part.modified));
    writer.element("ETag", format!("\"{}\"", part.etag));
    writer.element("Size", part.size.to_string());
    if let Some(checksum) = &part.checksum {
        writer.element(checksum_headers::element_name(checksum.algorithm), upload::part_text(checksum));
    }
    writer.close();
}

#[cfg(test)]
mod tests {
    use strata_storage::{
        AccountId, BucketName, Checksum, ChecksumAlgorithm, ChecksumKind, ETag, NewUpload, ObjectKey, PartInfo,
        PartsPage, Stamp, Timestamp, UploadId, UploadInfo,
    };

    use super::{Parameters, Target, document};
    use crate::identity::Account;
    use crate::request::Query;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn markers() {
        fn check(value: &str, expected: Option<u16>) {
            let found = Parameters::from_query(&query(&[("part-number-marker", value)]));
            assert_eq!(found.ok().map(|parameters| parameters.after()), expected, "{value}");
        }
        check("", Some(0));
        check("0", Some(0));
        check("10000", Some(10_000));
        check("2147483647", Some(u16::MAX));
        check("-1", None);
        check("x", None);
    }

    #[test]
    fn documents() {
        let id = UploadId(Stamp { time: Timestamp::from_secs(1), random: 0 });
        let target = Target {
            bucket: BucketName::parse("abc").expect("a valid name"),
            key: ObjectKey::parse("a b").expect("a valid key"),
            id,
            id_text: id.to_string(),
        };
        let checksum = Some((ChecksumAlgorithm::Crc32, ChecksumKind::Composite));
        let initiator = "arn:aws:iam::000000000000:user/x".to_owned();
        let upload = UploadInfo {
            id,
            initiated: Timestamp::from_secs(1),
            new: NewUpload { checksum, initiator, ..NewUpload::default() },
        };
        let part = PartInfo {
            number: 7,
            size: 5,
            etag: ETag::single([0xab; 16]),
            modified: Timestamp::from_secs(1),
            checksum: Some(Checksum {
                algorithm: ChecksumAlgorithm::Crc32,
                kind: ChecksumKind::FullObject,
                value: vec![0, 0, 0, 1],
            }),
        };
        let owner = Account::canonical_id_of(AccountId::ROOT);
        let parameters =
            Parameters::from_query(&query(&[("max-parts", "2"), ("encoding-type", "url")])).expect("valid");
        let page = PartsPage { upload, parts: vec![part], truncated: true };
        let text = document(&target, &parameters, &page);
        let expected = format!(
            "<Bucket>abc</Bucket><Key>a+b</Key><UploadId>{id}</UploadId>\
             <Initiator><ID>arn:aws:iam::000000000000:user/x</ID><DisplayName>x</DisplayName></Initiator>\
             <Owner><ID>{owner}</ID></Owner>\
             <StorageClass>STANDARD</StorageClass><PartNumberMarker>0</PartNumberMarker>\
             <NextPartNumberMarker>7</NextPartNumberMarker><MaxParts>2</MaxParts><EncodingType>url</EncodingType>\
             <IsTruncated>true</IsTruncated><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>\
             <ChecksumType>COMPOSITE</ChecksumType><Part><PartNumber>7</PartNumber>"
        );
        assert!(text.contains(&expected), "{text}");
        assert!(text.ends_with("<Size>5</Size><ChecksumCRC32>AAAAAQ==</ChecksumCRC32></Part></ListPartsResult>"));
    }
}
