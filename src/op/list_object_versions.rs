//! ListObjectVersions: versions and delete markers, newest first within a key.

use strata_storage::{AccountId, Timestamp, VersionEntry, VersionId, VersionsPage, VersionsQuery};

use crate::error::S3Error;
use crate::op::bucket;
use crate::op::list_document::{self, boolean};
use crate::op::list_parameters::{self, Encoding, PageSize};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::time;
use crate::xml::Writer;

/// Answers `GET /bucket?versions`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let restores = list_parameters::restores_told(&request.headers, request.now)?;
    let parameters = Parameters::from_query(&request.query)?;
    let page = match parameters.page.max {
        0 => VersionsPage::default(),
        _ => {
            let query = parameters.versions_query();
            ctx.store.list_versions(name, query).await.map_err(|error| bucket::error(error, name))?
        }
    };
    Ok(list_document::answer(document(name.as_str(), &parameters, &page, bucket.owner, restores), &bucket))
}

struct Parameters<'q> {
    page: PageSize,
    encoding: Encoding,
    prefix: &'q str,
    delimiter: &'q str,
    key_marker: &'q str,
    /// The marker as sent, and the id in it.
    version_marker: Option<(&'q str, VersionId)>,
}

impl Parameters<'_> {
    /// The order of the checks is S3's.
    fn from_query(query: &Query) -> Result<Parameters<'_>, S3Error> {
        const MARKER: &str = "version-id-marker";
        let page = list_parameters::page_size(query, "max-keys")?;
        let version_marker = query.get(MARKER);
        if let Some(marker) = version_marker {
            if !query.contains("key-marker") {
                let message = "A version-id marker cannot be specified without a key marker.";
                return Err(S3Error::invalid_argument(message, MARKER, marker));
            }
            if marker.is_empty() {
                return Err(S3Error::invalid_argument("A version-id marker cannot be empty.", MARKER, marker));
            }
        }
        let encoding = Encoding::from_query(query)?;
        let prefix = list_parameters::text(query, "prefix")?;
        let key_marker = list_parameters::text(query, "key-marker")?;
        let version_marker = match version_marker {
            None => None,
            Some(marker) => match VersionId::parse(marker) {
                Some(id) => Some((marker, id)),
                None => return Err(S3Error::invalid_argument("Invalid version id specified", MARKER, marker)),
            },
        };
        let delimiter = query.get("delimiter").unwrap_or_default();
        Ok(Parameters { page, encoding, prefix, delimiter, key_marker, version_marker })
    }

    fn versions_query(&self) -> VersionsQuery {
        VersionsQuery {
            prefix: self.prefix.to_string(),
            delimiter: self.delimiter.to_string(),
            key_marker: self.key_marker.to_string(),
            // No key is empty, so an id without one has nothing to go on from.
            version_marker: self.version_marker.map(|(_, id)| id).filter(|_| !self.key_marker.is_empty()),
            max: self.page.max,
        }
    }
}

fn document(
    bucket: &str,
    parameters: &Parameters<'_>,
    page: &VersionsPage,
    bucket_owner: AccountId,
    restores: Option<Timestamp>,
) -> Writer {
    let encoding = parameters.encoding;
    let mut writer = Writer::new("ListVersionsResult");
    writer.element("Name", bucket);
    writer.element("Prefix", encoding.apply(parameters.prefix));
    writer.element("KeyMarker", encoding.apply(parameters.key_marker));
    writer.element("VersionIdMarker", parameters.version_marker.map_or("", |(text, _)| text));
    if let Some((key, version)) = &page.next {
        writer.element("NextKeyMarker", encoding.apply(key));
        if let Some(version) = version {
            writer.element("NextVersionIdMarker", version.to_string());
        }
    }
    writer.element("MaxKeys", parameters.page.asked.to_string());
    list_document::delimiter_and_encoding(&mut writer, parameters.delimiter, encoding);
    writer.element("IsTruncated", boolean(page.next.is_some()));
    for entry in &page.entries {
        version(&mut writer, entry, encoding, bucket_owner, restores);
    }
    list_document::common_prefixes(&mut writer, &page.common_prefixes, encoding);
    writer
}

/// Writes one version. Markers have no owner of their own.
fn version(
    writer: &mut Writer,
    entry: &VersionEntry,
    encoding: Encoding,
    bucket_owner: AccountId,
    restores: Option<Timestamp>,
) {
    writer.open(if entry.object.is_some() { "Version" } else { "DeleteMarker" });
    writer.element("Key", encoding.apply(entry.key.as_str()));
    writer.element("VersionId", entry.version_id.to_string());
    writer.element("IsLatest", boolean(entry.latest));
    writer.element("LastModified", time::iso8601(entry.modified));
    if let Some(object) = &entry.object {
        writer.element("ETag", format!("\"{}\"", object.etag));
        list_document::checksum_summary(writer, object.checksum);
        writer.element("Size", object.size.to_string());
        writer.element("StorageClass", object.class.name());
    }
    list_document::owner(writer, entry.object.as_ref().map_or(bucket_owner, |object| object.owner));
    list_document::restore_status(writer, entry.object.as_ref().and_then(|object| object.restore), restores);
    writer.close();
}

#[cfg(test)]
mod tests {
    use strata_storage::{
        AccountId, ETag, ObjectKey, Stamp, StorageClass, Timestamp, VersionEntry, VersionId, VersionObject,
        VersionsPage,
    };

    use super::{Parameters, document};
    use crate::identity::Account;
    use crate::request::Query;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn order_of_checks() {
        fn check(pairs: &[(&str, &str)], message: &str) {
            let query = query(pairs);
            let Err(error) = Parameters::from_query(&query) else { panic!("{pairs:?} was accepted") };
            assert_eq!((error.code, error.message.as_ref()), ("InvalidArgument", message), "{pairs:?}");
        }
        let no_key = "A version-id marker cannot be specified without a key marker.";
        check(&[("version-id-marker", ""), ("max-keys", "-1")], "max-keys cannot be negative");
        check(&[("version-id-marker", "null"), ("encoding-type", "x")], no_key);
        check(&[("version-id-marker", "")], no_key);
        check(&[("version-id-marker", ""), ("key-marker", "")], "A version-id marker cannot be empty.");
        check(
            &[("version-id-marker", "abc"), ("key-marker", "k"), ("encoding-type", "")],
            "Invalid Encoding Method specified in Request",
        );
        check(&[("version-id-marker", "abc"), ("key-marker", "k")], "Invalid version id specified");
        check(&[("key-marker", "\0")], "Value must be a sequence of Unicode characters and cannot include Null.");
    }

    #[test]
    fn markers() {
        fn check(pairs: &[(&str, &str)], key: &str, version: Option<VersionId>) {
            let query = query(pairs);
            let query = Parameters::from_query(&query).expect("valid parameters").versions_query();
            assert_eq!((query.key_marker.as_str(), query.version_marker), (key, version));
        }
        let id = VersionId::Stamp(Stamp { time: Timestamp::from_secs(9), random: 1 });
        check(&[], "", None);
        check(&[("key-marker", "k")], "k", None);
        check(&[("key-marker", "k"), ("version-id-marker", "null")], "k", Some(VersionId::Null));
        check(&[("key-marker", "k"), ("version-id-marker", &id.to_string())], "k", Some(id));
        check(&[("key-marker", ""), ("version-id-marker", &id.to_string())], "", None);
    }

    #[test]
    fn documents() {
        let entry = |object| VersionEntry {
            key: ObjectKey::parse("k").expect("a valid key"),
            version_id: VersionId::Null,
            latest: true,
            modified: Timestamp::from_secs(1),
            object,
        };
        let object = VersionObject {
            size: 3,
            etag: ETag::single([1; 16]),
            class: StorageClass::Standard,
            restore: None,
            checksum: None,
            owner: AccountId::ROOT,
        };
        let page = VersionsPage {
            entries: vec![entry(None), entry(Some(object))],
            common_prefixes: vec![],
            next: Some(("k".to_string(), Some(VersionId::Null))),
        };
        let query = query(&[("max-keys", "2147483647"), ("key-marker", "a b"), ("encoding-type", "url")]);
        let owner = Account::canonical_id_of(AccountId::ROOT);
        let text =
            document("b", &Parameters::from_query(&query).expect("valid parameters"), &page, AccountId::ROOT, None)
                .finish();
        for part in [
            "<Name>b</Name><Prefix></Prefix><KeyMarker>a+b</KeyMarker><VersionIdMarker></VersionIdMarker>\
             <NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>\
             <MaxKeys>2147483647</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>",
            "<DeleteMarker><Key>k</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>",
            &format!("<Owner><ID>{owner}</ID></Owner></DeleteMarker><Version><Key>k</Key>"),
            &format!("<Size>3</Size><StorageClass>STANDARD</StorageClass><Owner><ID>{owner}</ID></Owner></Version>"),
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
