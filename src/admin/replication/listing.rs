//! `GET replication/listing`: a page of the versions of a bucket, or of one of its destinations, wherever that is.

use std::borrow::Cow;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use strata_storage::{VersionEntry, VersionId, VersionsQuery};

use crate::admin::AdminRequest;
use crate::admin::replication::{Side, side};
use crate::error::S3Error;
use crate::replication::sender::is_strata;
use crate::replication::{Found, RegionRequest, error_code};
use crate::request::Context;
use crate::time::iso8601;
use crate::xml;

/// Versions on a page, the most that S3 has.
const PAGE_MAX: usize = 1000;

/// A page of versions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ListingDocument {
    /// The versions, by their keys.
    pub versions: Vec<ListedVersion>,
    /// Whether it is a store that is no Strata, and gives versions ids of its own; told on the first page.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub foreign: bool,
    /// Where the next page begins, if there are more: `key_marker` of the next request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_key: Option<String>,
    /// `version_marker` of the next request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_version: Option<String>,
}

/// A version or delete marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedVersion {
    /// Its key.
    pub key: String,
    /// Its id.
    pub version_id: String,
    /// Whether it is the newest of its key.
    pub latest: bool,
    /// `Last-Modified`
    pub modified: String,
    /// Its entity tag, without quotes; `None` for a delete marker.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    /// Its size in bytes; 0 for a delete marker.
    pub bytes: u64,
}

/// Answers.
pub async fn listing(ctx: &Context, request: AdminRequest) -> Result<ListingDocument, S3Error> {
    let text = |name: &str| request.query.get(name).unwrap_or_default();
    let (prefix, key_marker, version_marker) = (text("prefix"), text("key_marker"), text("version_marker"));
    let (region, bucket) = match side(ctx, &request).await? {
        Side::There(Found::Remote(region, bucket)) => (region, bucket),
        Side::There(Found::Local(_)) => return Err(S3Error::internal("a local destination is a side of this store")),
        Side::Here(bucket) => {
            let query = VersionsQuery {
                prefix: prefix.to_owned(),
                key_marker: key_marker.to_owned(),
                version_marker: VersionId::parse(version_marker),
                max: PAGE_MAX,
                ..VersionsQuery::default()
            };
            let page = ctx.store.list_versions(&bucket, query).await?;
            let (next_key, next_version) = page.next.unzip();
            let next_version = next_version.flatten().map(|id| id.to_string());
            let versions = page.entries.into_iter().map(listed).collect();
            return Ok(ListingDocument { versions, next_key, next_version, ..ListingDocument::default() });
        }
    };
    let mut query = vec![("versions", ""), ("encoding-type", "url")];
    // An empty one is left out: to some stores it is not the same as none.
    let given = [("prefix", prefix), ("key-marker", key_marker), ("version-id-marker", version_marker)];
    query.extend(given.into_iter().filter(|(_, value)| !value.is_empty()));
    let asked = RegionRequest { query: &query, ..RegionRequest::new(Method::GET, bucket.as_str(), None) };
    let failed =
        |reason: String| S3Error::invalid_request(format!("The region {} cannot list {bucket}: {reason}", region.name));
    let answer = region.client.send(asked).await.map_err(|error| failed(error.to_string()))?;
    if answer.status != StatusCode::OK {
        return Err(failed(format!("it answers {} {}", answer.status.as_u16(), error_code(&answer.body))));
    }
    let page = read(&answer.body).ok_or_else(|| failed("its answer is no listing".to_owned()))?;
    if !key_marker.is_empty() {
        return Ok(page);
    }
    let strata = is_strata(&region, &bucket).await.map_err(|fault| failed(fault.to_string()))?;
    Ok(ListingDocument { foreign: !strata, ..page })
}

fn listed(entry: VersionEntry) -> ListedVersion {
    ListedVersion {
        key: entry.key.as_str().to_owned(),
        version_id: entry.version_id.to_string(),
        latest: entry.latest,
        modified: iso8601(entry.modified),
        etag: entry.object.as_ref().map(|object| object.etag.to_string()),
        bytes: entry.object.map_or(0, |object| object.size),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    is_truncated: bool,
    encoding_type: Option<String>,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
    #[serde(default)]
    version: Vec<Version>,
    #[serde(default)]
    delete_marker: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    key: String,
    version_id: String,
    is_latest: bool,
    last_modified: String,
    #[serde(rename = "ETag")]
    etag: Option<String>,
    size: Option<u64>,
}

/// A page as S3 answers it; `None` if it is none.
fn read(document: &[u8]) -> Option<ListingDocument> {
    let listing: Listing = xml::parse(document).ok()?;
    // Not every store encodes because it was asked to; those that do say so.
    let is_encoded = listing.encoding_type.is_some_and(|name| name == "url");
    let decode = |text: String| if is_encoded { decoded(&text) } else { Some(text) };
    let (objects, markers) = (listing.version.into_iter(), listing.delete_marker.into_iter());
    let mut versions = Vec::new();
    for mut version in objects.chain(markers) {
        let key = decode(std::mem::take(&mut version.key))?;
        versions.push(listed_there(key, version));
    }
    // Objects and markers of one key stand among each other; their keys alone are in order now.
    versions.sort_by(|one, other| one.key.cmp(&other.key));
    let next_key = match (listing.is_truncated, listing.next_key_marker) {
        (false, _) => None,
        (true, Some(marker)) => Some(decode(marker)?),
        (true, None) => return None,
    };
    let next_version = listing.next_version_id_marker.filter(|id| next_key.is_some() && !id.is_empty());
    Some(ListingDocument { versions, next_key, next_version, ..ListingDocument::default() })
}

fn listed_there(key: String, version: Version) -> ListedVersion {
    let Version { version_id, is_latest: latest, last_modified: modified, etag, size, .. } = version;
    let etag = etag.map(|etag| etag.trim_matches('"').to_owned());
    ListedVersion { key, version_id, latest, modified, etag, bytes: size.unwrap_or(0) }
}

/// A key of a listing with the encoding type `url`.
fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::{ListedVersion, read};

    #[test]
    fn pages_of_others_are_read() {
        let version = |kind: &str, key: &str, id: &str, more: &str| {
            format!(
                "<{kind}><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>true</IsLatest>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified>{more}<Owner><ID>o</ID></Owner></{kind}>"
            )
        };
        let object = "<ETag>&quot;e&quot;</ETag><Size>3</Size><StorageClass>STANDARD</StorageClass>";
        let encoded = "<EncodingType>url</EncodingType>";
        let page = |truncated: bool, more: &str| {
            let versions = [
                version("DeleteMarker", "a", "1", ""),
                version("Version", "a+b%2B%C3%BC", "2", object),
                version("DeleteMarker", "b", "3", ""),
            ];
            format!(
                "<ListVersionsResult xmlns=\"x\"><Name>n</Name>{more}<IsTruncated>{truncated}</IsTruncated>{}\
                 </ListVersionsResult>",
                versions.concat()
            )
        };
        let found = read(page(false, encoded).as_bytes()).expect("a page");
        let keys: Vec<&str> = found.versions.iter().map(|version| version.key.as_str()).collect();
        assert_eq!((keys, found.next_key), (vec!["a", "a b+ü", "b"], None));
        let expected = ListedVersion {
            key: "a b+ü".to_owned(),
            version_id: "2".to_owned(),
            latest: true,
            modified: "2026-01-01T00:00:00.000Z".to_owned(),
            etag: Some("e".to_owned()),
            bytes: 3,
        };
        assert_eq!(found.versions[1], expected);
        let found = read(page(false, "").as_bytes()).expect("a page");
        assert_eq!(found.versions[1].key, "a+b%2B%C3%BC");
        let next = "<NextKeyMarker>a+b</NextKeyMarker><NextVersionIdMarker>9</NextVersionIdMarker>";
        let found = read(page(true, &format!("{encoded}{next}")).as_bytes()).expect("a page");
        assert_eq!((found.next_key.as_deref(), found.next_version.as_deref()), (Some("a b"), Some("9")));
        assert_eq!(read(page(true, "").as_bytes()), None);
        assert_eq!(read(b"<html>"), None);
    }
}
