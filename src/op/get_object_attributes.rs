//! GetObjectAttributes: chosen facts about an object version, as a document.

use http::{HeaderMap, header};
use strata_storage::{Checksum, ChecksumKind, ObjectInfo, ObjectPart};

use crate::error::S3Error;
use crate::op::target::{Target, set_version};
use crate::request::{Context, Request};
use crate::response::Response;
use crate::{checksum_headers, encryption, time, xml};

const ATTRIBUTES: &str = "x-amz-object-attributes";
/// The most parts in one answer.
const PARTS_MAX: u32 = 1000;

/// Runs the operation.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    encryption::refuse_on_read(&request.headers)?;
    let wanted = Wanted::from_headers(&request.headers)?;
    let page = Page::from_headers(&request.headers)?;
    let object = ctx.store.object(&target.bucket, &target.key, target.selector()).await?;
    let info = object.info();
    encryption::check_head(ctx, &request, info)?;
    let composite = info.checksum.as_ref().is_some_and(|checksum| checksum.kind == ChecksumKind::Composite);
    let listed = match wanted.object_parts && composite && page.max > 0 {
        true => object.parts(page.after, page.max.min(PARTS_MAX) as usize).await?,
        false => (Vec::new(), false),
    };
    let mut response = Response::xml(document(info, &wanted, &page, &listed));
    response.set(header::LAST_MODIFIED, time::http_date(info.modified));
    set_version(&mut response, info.bucket_versioned.then_some(info.version_id));
    Ok(response)
}

/// The attributes asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Wanted {
    etag: bool,
    checksum: bool,
    object_parts: bool,
    storage_class: bool,
    object_size: bool,
}

impl Wanted {
    fn from_headers(headers: &HeaderMap) -> Result<Wanted, S3Error> {
        let mut wanted = Wanted::default();
        let lines = headers.get_all(ATTRIBUTES).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        for line in lines {
            for name in line.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                match name {
                    "ETag" => wanted.etag = true,
                    "Checksum" => wanted.checksum = true,
                    "ObjectParts" => wanted.object_parts = true,
                    "StorageClass" => wanted.storage_class = true,
                    "ObjectSize" => wanted.object_size = true,
                    _ => {
                        return Err(S3Error::invalid_argument("Invalid attribute name specified.", ATTRIBUTES, name));
                    }
                }
            }
        }
        if wanted == Wanted::default() {
            let message = "The x-amz-object-attributes header specifying the attributes to be retrieved is either \
                           missing or empty";
            return Err(S3Error::invalid_argument(message, ATTRIBUTES, ""));
        }
        Ok(wanted)
    }
}

/// Which parts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    /// Only numbers above this one.
    after: u16,
    /// At most this many; answered as asked, though a page never has more than 1,000.
    max: u32,
}

impl Page {
    fn from_headers(headers: &HeaderMap) -> Result<Page, S3Error> {
        let after = number(headers, "x-amz-part-number-marker", "part-number-marker")?.unwrap_or(0);
        let max = number(headers, "x-amz-max-parts", "max-parts")?.unwrap_or(PARTS_MAX);
        Ok(Page { after: u16::try_from(after).unwrap_or(u16::MAX), max })
    }
}

/// A header that holds a number of at most 31 bits.
fn number(headers: &HeaderMap, name: &str, argument: &str) -> Result<Option<u32>, S3Error> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.trim();
    let number = text.parse().ok().filter(|&number: &u32| i32::try_from(number).is_ok() && !text.starts_with('+'));
    number.map(Some).ok_or_else(|| {
        let message = format!("Argument {argument} must be an integer between 0 and 2147483647");
        S3Error::invalid_argument(message, name, text)
    })
}

fn document(info: &ObjectInfo, wanted: &Wanted, page: &Page, listed: &(Vec<ObjectPart>, bool)) -> String {
    let mut writer = xml::Writer::new("GetObjectAttributesResponse");
    if wanted.etag {
        writer.element("ETag", info.etag.to_string());
    }
    if let Some(checksum) = info.checksum.as_ref().filter(|_| wanted.checksum) {
        writer.open("Checksum");
        write_checksum(&mut writer, checksum);
        writer.element("ChecksumType", checksum_headers::kind_name(checksum.kind)).close();
    }
    if wanted.object_parts && info.parts_count > 0 {
        writer.open("ObjectParts");
        write_parts(&mut writer, info, page, listed);
        writer.close();
    }
    if wanted.storage_class {
        writer.element("StorageClass", info.class.name());
    }
    if wanted.object_size {
        writer.element("ObjectSize", info.size.to_string());
    }
    writer.finish()
}

fn write_parts(writer: &mut xml::Writer, info: &ObjectInfo, page: &Page, listed: &(Vec<ObjectPart>, bool)) {
    let (parts, more) = listed;
    // On the wire the count has another name than in the SDKs.
    writer.element("PartsCount", info.parts_count.to_string());
    // Parts are listed only where they have checksums of their own.
    if info.checksum.as_ref().is_none_or(|checksum| checksum.kind == ChecksumKind::FullObject) {
        return;
    }
    let next = parts.last().map_or(page.after, |part| part.number);
    writer
        .element("PartNumberMarker", page.after.to_string())
        .element("NextPartNumberMarker", next.to_string())
        .element("MaxParts", page.max.to_string())
        .element("IsTruncated", if *more { "true" } else { "false" });
    for part in parts {
        writer.open("Part").element("PartNumber", part.number.to_string()).element("Size", part.size.to_string());
        if let Some(checksum) = &part.checksum {
            write_checksum(writer, checksum);
        }
        writer.close();
    }
}

/// The value without the `-n` of a composite, whose kind and parts have elements of their own (unconfirmed).
fn write_checksum(writer: &mut xml::Writer, checksum: &Checksum) {
    let bare = Checksum { kind: ChecksumKind::FullObject, ..checksum.clone() };
    writer.element(checksum_headers::element_name(checksum.algorithm), checksum_headers::text(&bare, 0));
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use strata_storage::{
        Checksum, ChecksumAlgorithm, ChecksumKind, ETag, Metadata, ObjectInfo, ObjectPart, StorageClass, Timestamp,
        VersionId,
    };

    use super::{Page, Wanted, document};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"));
        }
        map
    }

    #[test]
    fn attributes_are_named_in_one_header_or_several() {
        fn check(pairs: &[(&'static str, &str)], expected: Result<Wanted, &str>) {
            let found = Wanted::from_headers(&headers(pairs)).map_err(|error| error.message.into_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{pairs:?}");
        }
        let name = "x-amz-object-attributes";
        let etag = Wanted { etag: true, ..Wanted::default() };
        check(&[(name, "ETag")], Ok(etag));
        check(&[(name, "ETag, ObjectSize")], Ok(Wanted { object_size: true, ..etag }));
        check(
            &[(name, "ETag"), (name, "Checksum,StorageClass")],
            Ok(Wanted { checksum: true, storage_class: true, ..etag }),
        );
        check(&[(name, "Etag")], Err("Invalid attribute name specified."));
        let missing = "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing \
                       or empty";
        check(&[], Err(missing));
        check(&[(name, "")], Err(missing));
    }

    #[test]
    fn pages_are_numbers() {
        fn check(pairs: &[(&'static str, &str)], expected: Option<(u16, u32)>) {
            let found = Page::from_headers(&headers(pairs)).ok().map(|page| (page.after, page.max));
            assert_eq!(found, expected, "{pairs:?}");
        }
        check(&[], Some((0, 1000)));
        check(&[("x-amz-max-parts", "5000"), ("x-amz-part-number-marker", "7")], Some((7, 5000)));
        check(&[("x-amz-part-number-marker", "70000")], Some((u16::MAX, 1000)));
        for value in ["-1", "+1", "a", "", "2147483648"] {
            check(&[("x-amz-max-parts", value)], None);
        }
    }

    fn info(kind: ChecksumKind) -> ObjectInfo {
        let checksum = Checksum { kind, ..Checksum::of(ChecksumAlgorithm::Crc32, b"123456789") };
        ObjectInfo {
            version_id: VersionId::Null,
            size: 9,
            etag: ETag { digest: [0; 16], parts: 2 },
            modified: Timestamp::from_secs(1_234_567_890),
            class: StorageClass::Standard,
            tier: strata_storage::Tier::Frequent,
            restore: None,
            readable: true,
            checksum: Some(checksum),
            metadata: Metadata::default(),
            tags: Vec::new(),
            parts_count: 2,
            bucket_versioned: false,
            protection: strata_storage::Protection::default(),
            replication: strata_storage::ReplicationState::default(),
            stamp: strata_storage::Stamp::from_bytes([0; 16]),
        }
    }

    fn check(kind: ChecksumKind, wanted: Wanted, expected: &str) {
        let part = ObjectPart {
            number: 1,
            offset: 0,
            size: 5,
            checksum: Some(Checksum::of(ChecksumAlgorithm::Crc32, b"123456789")),
        };
        let found = document(&info(kind), &wanted, &Page { after: 0, max: 1 }, &(vec![part], true));
        let inner = found.split_once("2006-03-01/\">").expect("a root with a namespace").1;
        assert_eq!(inner, format!("{expected}</GetObjectAttributesResponse>"));
    }

    #[test]
    fn plain_attributes() {
        let wanted = Wanted { etag: true, checksum: true, storage_class: true, object_size: true, object_parts: false };
        check(
            ChecksumKind::FullObject,
            wanted,
            "<ETag>00000000000000000000000000000000-2</ETag><Checksum><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32>\
             <ChecksumType>FULL_OBJECT</ChecksumType></Checksum><StorageClass>STANDARD</StorageClass>\
             <ObjectSize>9</ObjectSize>",
        );
    }

    #[test]
    fn parts_are_listed_for_composites_only() {
        let wanted = Wanted { object_parts: true, ..Wanted::default() };
        check(ChecksumKind::FullObject, wanted, "<ObjectParts><PartsCount>2</PartsCount></ObjectParts>");
        check(
            ChecksumKind::Composite,
            wanted,
            "<ObjectParts><PartsCount>2</PartsCount><PartNumberMarker>0</PartNumberMarker>\
             <NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>\
             <Part><PartNumber>1</PartNumber><Size>5</Size><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></Part>\
             </ObjectParts>",
        );
    }
}
