//! `POST replication/details`: what listings do not tell of versions, as HEAD and GetObjectTagging do: metadata, class, locks,
//! tags.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use strata_storage::{Bucket, Error, ObjectKey, VersionId, VersionSelector};

use crate::admin::AdminRequest;
use crate::admin::replication::{Side, side};
use crate::error::S3Error;
use crate::lock_headers;
use crate::metadata_headers::SYSTEM_HEADERS;
use crate::op::object_headers;
use crate::replication::{Found, RegionRequest, error_code};
use crate::request::Context;
use crate::response::Response;
use crate::xml;

/// Versions in one request.
const VERSIONS_MAX: usize = 100;
/// Versions that are looked at at once.
const TOGETHER: usize = 16;
/// What the names of headers begin with that describe an object, besides those of its system metadata.
const PREFIXES: [&str; 2] = ["x-amz-meta-", "x-amz-object-lock-"];
/// Left out for STANDARD.
const CLASS: &str = "x-amz-storage-class";

/// A version that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionName {
    /// Its key.
    pub key: String,
    /// Its id.
    pub version_id: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetailsDocument {
    /// The versions, in the order asked for; `null` for those that are not there.
    pub versions: Vec<Option<VersionDetails>>,
}

/// What describes a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VersionDetails {
    /// Headers by their names.
    pub headers: BTreeMap<String, String>,
    /// Tags by their keys.
    pub tags: BTreeMap<String, String>,
}

/// What is compared of versions, and what the rules change of them on the way.
#[derive(Clone, Copy)]
struct Compared {
    class: bool,
}

impl Compared {
    /// What the rules that lead to a destination leave as it is.
    fn by_rules(bucket: &Bucket, destination: Option<&str>) -> Compared {
        let rules = bucket.replication.iter().flat_map(|replication| &replication.rules);
        let mut leading = rules.filter(|rule| Some(rule.destination.bucket.as_str()) == destination);
        Compared { class: !leading.any(|rule| rule.destination.class.is_some()) }
    }
}

/// Answers. `sent_to` names the destination with which the source is compared.
pub async fn details(ctx: &Context, request: AdminRequest) -> Result<DetailsDocument, S3Error> {
    let asked: Vec<VersionName> = serde_json::from_slice(&request.body).map_err(|error| {
        S3Error::invalid_argument("The body must be a list of versions.", "body", error.to_string())
    })?;
    if asked.len() > VERSIONS_MAX {
        let message = format!("At most {VERSIONS_MAX} versions can be asked for.");
        return Err(S3Error::invalid_argument(message, "body", asked.len().to_string()));
    }
    let side = side(ctx, &request).await?;
    let source = ctx.store.bucket(&request.named_bucket()?).await?;
    let destination = request.query.get("destination").or_else(|| request.query.get("sent_to"));
    let compared = Compared::by_rules(&source, destination);
    let versions = stream::iter(asked)
        .map(async |version| match &side {
            Side::Here(bucket) => of_store(ctx, bucket, &version, compared).await,
            Side::There(found) => of_region(found, &version, compared).await,
        })
        .buffered(TOGETHER)
        .try_collect()
        .await?;
    Ok(DetailsDocument { versions })
}

async fn of_store(
    ctx: &Context,
    bucket: &strata_storage::BucketName,
    version: &VersionName,
    compared: Compared,
) -> Result<Option<VersionDetails>, S3Error> {
    let (Ok(key), Some(id)) = (ObjectKey::parse(&version.key), VersionId::parse(&version.version_id)) else {
        return Ok(None);
    };
    let object = match ctx.store.object(bucket, &key, VersionSelector::Id(id)).await {
        Ok(object) => object,
        Err(Error::NotFound(_) | Error::DeleteMarker { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let info = object.info();
    let mut response = Response::empty(StatusCode::OK);
    object_headers::set(&mut response, info);
    lock_headers::set(info.protection.lock, &mut response);
    let tags = info.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    Ok(Some(VersionDetails { headers: described(&response.headers, compared), tags }))
}

async fn of_region(
    found: &Found,
    version: &VersionName,
    compared: Compared,
) -> Result<Option<VersionDetails>, S3Error> {
    let Found::Remote(region, bucket) = found else {
        return Err(S3Error::internal("a local destination is a side of this store"));
    };
    let failed = |reason: String| {
        S3Error::invalid_request(format!("The region {} cannot tell of {}: {reason}", region.name, version.key))
    };
    let by_id = [("versionId", version.version_id.as_str())];
    let tagging = [("tagging", ""), ("versionId", version.version_id.as_str())];
    let request = |method, query| RegionRequest {
        query,
        ..RegionRequest::new(method, bucket.as_str(), Some(version.key.as_str()))
    };
    let head = region.client.send(request(Method::HEAD, &by_id)).await.map_err(|error| failed(error.to_string()))?;
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Ok(None),
        status => return Err(failed(format!("it answers {}", status.as_u16()))),
    }
    let tags = region.client.send(request(Method::GET, &tagging)).await.map_err(|error| failed(error.to_string()))?;
    if tags.status != StatusCode::OK {
        return Err(failed(format!("it answers {} {}", tags.status.as_u16(), error_code(&tags.body))));
    }
    let tags = read_tags(&tags.body).ok_or_else(|| failed("its tags cannot be read".to_owned()))?;
    Ok(Some(VersionDetails { headers: described(&head.headers, compared), tags }))
}

/// The headers that describe an object.
fn described(headers: &HeaderMap, compared: Compared) -> BTreeMap<String, String> {
    let is_wanted = |name: &str| {
        SYSTEM_HEADERS.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || (compared.class && name == CLASS)
    };
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let wanted = headers.iter().filter(|(name, _)| is_wanted(name.as_str()));
    wanted.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn read_tags(document: &[u8]) -> Option<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Tagging {
        tag_set: TagSet,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct TagSet {
        #[serde(default)]
        tag: Vec<Tag>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Tag {
        key: String,
        value: String,
    }
    let tagging: Tagging = xml::parse(document).ok()?;
    Some(tagging.tag_set.tag.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{CLASS, Compared, described, read_tags};

    #[test]
    fn what_describes_an_object() {
        let mut headers = HeaderMap::new();
        for name in
            ["content-type", "x-amz-meta-a", "x-amz-object-lock-mode", "x-amz-request-id", "date", "etag", CLASS]
        {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        let names = |class| described(&headers, Compared { class }).into_keys().collect::<Vec<String>>();
        assert_eq!(names(false), ["content-type", "x-amz-meta-a", "x-amz-object-lock-mode"]);
        assert_eq!(names(true), ["content-type", "x-amz-meta-a", "x-amz-object-lock-mode", CLASS]);
        let tags = read_tags(b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>");
        assert_eq!(tags.expect("tags").into_iter().collect::<Vec<_>>(), [("k".to_owned(), "v".to_owned())]);
        assert!(read_tags(b"<Tagging><TagSet/></Tagging>").expect("none").is_empty());
        assert!(read_tags(b"<Error/>").is_none());
    }
}
