//! ListMultipartUploads: the open uploads of a bucket.

use strata_storage::{ChecksumSummary, UploadEntry, UploadId, UploadsPage, UploadsQuery};

use crate::error::S3Error;
use crate::op::bucket;
use crate::op::list_document::{self, boolean};
use crate::op::list_parameters::{self, Encoding, PageSize};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::time;
use crate::xml::Writer;

/// Answers `GET /bucket?uploads`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let parameters = Parameters::from_query(&request.query)?;
    let page = match parameters.page.max {
        0 => UploadsPage::default(),
        _ => {
            let query = parameters.uploads_query();
            ctx.store.list_uploads(name, query).await.map_err(|error| bucket::error(error, name))?
        }
    };
    Ok(list_document::answer(document(name.as_str(), &parameters, &page), &bucket))
}

struct Parameters<'q> {
    page: PageSize,
    encoding: Encoding,
    prefix: &'q str,
    delimiter: &'q str,
    key_marker: &'q str,
    /// The marker as sent, and the id in it if it counts.
    upload_marker: (&'q str, Option<UploadId>),
}

impl Parameters<'_> {
    fn from_query(query: &Query) -> Result<Parameters<'_>, S3Error> {
        const MARKER: &str = "upload-id-marker";
        let page = list_parameters::page_size(query, "max-uploads")?;
        let encoding = Encoding::from_query(query)?;
        let prefix = list_parameters::text(query, "prefix")?;
        let key_marker = list_parameters::text(query, "key-marker")?;
        let marker = query.get(MARKER).unwrap_or_default();
        let id = match (key_marker, marker) {
            ("", _) | (_, "") => None,
            (_, marker) => match UploadId::parse(marker) {
                Some(id) => Some(id),
                None => return Err(S3Error::invalid_argument("Invalid uploadId marker", MARKER, marker)),
            },
        };
        let delimiter = query.get("delimiter").unwrap_or_default();
        Ok(Parameters { page, encoding, prefix, delimiter, key_marker, upload_marker: (marker, id) })
    }

    fn uploads_query(&self) -> UploadsQuery {
        UploadsQuery {
            prefix: self.prefix.to_string(),
            delimiter: self.delimiter.to_string(),
            key_marker: self.key_marker.to_string(),
            upload_marker: self.upload_marker.1,
            max: self.page.max,
        }
    }
}

fn document(bucket: &str, parameters: &Parameters<'_>, page: &UploadsPage) -> Writer {
    let encoding = parameters.encoding;
    let (next_key, next_upload) = match &page.next {
        None => ("", String::new()),
        Some((key, upload)) => (key.as_str(), upload.map_or_else(String::new, |id| id.to_string())),
    };
    let mut writer = Writer::new("ListMultipartUploadsResult");
    writer.element("Bucket", bucket);
    writer.element("KeyMarker", encoding.apply(parameters.key_marker));
    writer.element("UploadIdMarker", parameters.upload_marker.0);
    writer.element("NextKeyMarker", encoding.apply(next_key));
    writer.element("NextUploadIdMarker", next_upload);
    writer.element("Prefix", encoding.apply(parameters.prefix));
    list_document::delimiter_and_encoding(&mut writer, parameters.delimiter, encoding);
    writer.element("MaxUploads", parameters.page.max.to_string());
    writer.element("IsTruncated", boolean(page.truncated));
    for entry in &page.uploads {
        upload(&mut writer, entry, encoding);
    }
    list_document::common_prefixes(&mut writer, &page.common_prefixes, encoding);
    writer
}

fn upload(writer: &mut Writer, entry: &UploadEntry, encoding: Encoding) {
    let new = &entry.upload.new;
    writer.open("Upload");
    writer.element("Key", encoding.apply(entry.key.as_str()));
    writer.element("UploadId", entry.upload.id.to_string());
    list_document::initiator(writer, &new.initiator);
    list_document::owner(writer, new.protection.owner.account);
    writer.element("StorageClass", new.class.name());
    writer.element("Initiated", time::iso8601(entry.upload.initiated));
    let summary = new.checksum.map(|(algorithm, kind)| ChecksumSummary { algorithm, kind });
    list_document::checksum_summary(writer, summary);
    writer.close();
}

#[cfg(test)]
mod tests {
    use strata_storage::{NewUpload, ObjectKey, Stamp, Timestamp, UploadEntry, UploadId, UploadInfo, UploadsPage};

    use super::{Parameters, document};
    use crate::request::Query;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    fn id() -> UploadId {
        UploadId(Stamp { time: Timestamp::from_secs(1), random: 7 })
    }

    #[test]
    fn markers() {
        fn check(pairs: &[(&str, &str)], expected: Result<Option<UploadId>, &str>) {
            let query = query(pairs);
            let found = Parameters::from_query(&query).map(|parameters| parameters.uploads_query().upload_marker);
            assert_eq!(found.map_err(|error| error.code), expected, "{pairs:?}");
        }
        check(&[], Ok(None));
        check(&[("key-marker", "k"), ("upload-id-marker", &id().to_string())], Ok(Some(id())));
        check(&[("key-marker", "k"), ("upload-id-marker", "")], Ok(None));
        check(&[("upload-id-marker", "nonsense")], Ok(None));
        check(&[("key-marker", "k"), ("upload-id-marker", "nonsense")], Err("InvalidArgument"));
        check(&[("key-marker", "\0")], Err("InvalidArgument"));
        check(&[("max-uploads", "-1")], Err("InvalidArgument"));
    }

    #[test]
    fn documents() {
        fn check(page: &UploadsPage, expected: &str) {
            let query = query(&[("delimiter", "/"), ("prefix", "a b"), ("encoding-type", "url")]);
            let text = document("abc", &Parameters::from_query(&query).expect("valid"), page).finish();
            assert!(text.contains(expected), "{expected} in {text}");
        }
        check(
            &UploadsPage::default(),
            "<Bucket>abc</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>\
             <NextKeyMarker></NextKeyMarker><NextUploadIdMarker></NextUploadIdMarker>\
             <Prefix>a+b</Prefix><Delimiter>/</Delimiter>\
             <EncodingType>url</EncodingType><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated>\
             </ListMultipartUploadsResult>",
        );
        let entry = UploadEntry {
            key: ObjectKey::parse("k").expect("a valid key"),
            upload: UploadInfo { id: id(), initiated: Timestamp::from_secs(1), new: NewUpload::default() },
        };
        let page = UploadsPage {
            uploads: vec![entry],
            common_prefixes: vec!["p/".to_string()],
            truncated: true,
            next: Some(("p/".to_string(), None)),
        };
        check(&page, "<NextKeyMarker>p/</NextKeyMarker><NextUploadIdMarker></NextUploadIdMarker>");
        check(&page, &format!("<Upload><Key>k</Key><UploadId>{}</UploadId><Initiator>", id()));
        check(&page, "</Upload><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>");
    }
}
