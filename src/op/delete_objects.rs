//! DeleteObjects: up to 1,000 deletes in one request, each with a result of its own.

use std::collections::HashSet;

use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use serde::Deserialize;
use strata_storage::{BucketName, DeleteCondition, DeleteObject, Deleted, Governance, NameError, ObjectKey, VersionId};

use crate::authorize::{self, Resource};
use crate::checksum_headers::{self, Need};
use crate::conditions;
use crate::error::S3Error;
use crate::lock_headers;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml;

/// The most entries of one request.
const ENTRIES_MAX: usize = 1000;
/// How many deletes are under way at once: enough to share commits, few enough to leave room for other requests.
const CONCURRENT_MAX: usize = 16;

/// Runs the operation.
pub async fn run(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let bucket = request.bucket()?.clone();
    ctx.store.bucket(&bucket).await?;
    let bytes = request.body.collect(ctx.config.limits.xml_list_bytes).await?;
    checksum_headers::require_for_document(&request.headers, &request.body, &bytes, Need::Required)?;
    let (entries, verbosity) = parse(&bytes)?;
    drop(bytes);
    let results: Vec<_> = stream::iter(entries)
        .map(|entry| {
            let (request, bucket) = (&request, bucket.clone());
            async move {
                let result = delete(ctx, request, bucket, &entry).await;
                // The answer as a whole is a success, so nobody else will log this.
                if let Some(detail) = result.as_ref().err().and_then(|error| error.detail.as_deref()) {
                    tracing::error!(key = entry.key, detail, "an object could not be deleted");
                }
                (entry, result)
            }
        })
        .buffered(CONCURRENT_MAX)
        .collect()
        .await;
    let mut response = Response::xml(document(&results, verbosity));
    response.deleted = results.into_iter().map(deleted_key).collect();
    Ok(response)
}

/// What became of one key, as access logs tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedKey {
    /// The key, as the request has it.
    pub key: String,
    /// The version, if one was named.
    pub version: Option<String>,
    /// The status that DeleteObject would have answered.
    pub status: StatusCode,
    /// The error's code, or empty.
    pub code: &'static str,
}

fn deleted_key((entry, result): (Entry, Result<Deleted, S3Error>)) -> DeletedKey {
    let (status, code) = match result {
        Ok(_) => (StatusCode::NO_CONTENT, ""),
        Err(error) => (error.status, error.code),
    };
    DeletedKey { key: entry.key, version: entry.version, status, code }
}

/// Which results the answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verbosity {
    All,
    /// Only failures.
    Quiet,
}

/// One entry of the request, or why it can't be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    key: String,
    version: Option<String>,
    etag: Option<String>,
    /// Whether it sets a condition that only directory buckets know.
    directory_condition: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteDocument {
    #[serde(rename = "Object", default)]
    objects: Vec<ObjectElement>,
    #[serde(rename = "Quiet")]
    quiet: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectElement {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "VersionId")]
    version_id: Option<String>,
    #[serde(rename = "ETag")]
    etag: Option<String>,
    #[serde(rename = "LastModifiedTime")]
    last_modified_time: Option<String>,
    #[serde(rename = "Size")]
    size: Option<String>,
}

/// The entries in the order sent, equal ones once.
fn parse(bytes: &[u8]) -> Result<(Vec<Entry>, Verbosity), S3Error> {
    let document: DeleteDocument = xml::parse(bytes)?;
    let verbosity = match document.quiet.as_deref().map(str::trim) {
        None | Some("false" | "") => Verbosity::All,
        Some("true") => Verbosity::Quiet,
        Some(_) => return Err(S3Error::malformed_xml()),
    };
    let count = document.objects.len();
    if count == 0 || count > ENTRIES_MAX || document.objects.iter().any(|object| object.key.is_empty()) {
        return Err(S3Error::malformed_xml());
    }
    let mut seen = HashSet::new();
    let entries = document.objects.into_iter().map(|object| Entry {
        key: object.key,
        version: object.version_id,
        etag: object.etag,
        directory_condition: object.last_modified_time.is_some() || object.size.is_some(),
    });
    Ok((entries.filter(|entry| seen.insert(entry.clone())).collect(), verbosity))
}

async fn delete(ctx: &Context, request: &Request, bucket: BucketName, entry: &Entry) -> Result<Deleted, S3Error> {
    let (key, version, condition) = checked(entry)?;
    let resource = Resource::Object(&bucket, &key, version);
    for action in authorize::to_delete(&request.headers, version, &condition) {
        authorize::require(ctx, request, action, resource).await?;
    }
    let governance = match version {
        Some(_) => lock_headers::governance(ctx, request, resource).await?,
        None => Governance::Binding,
    };
    let delete = DeleteObject { bucket, key: key.clone(), version, condition, governance };
    request.store(ctx).delete(delete).await.map_err(|error| conditions::delete_error(error, &key))
}

/// What the entry asks of the engine.
fn checked(entry: &Entry) -> Result<(ObjectKey, Option<VersionId>, DeleteCondition), S3Error> {
    if entry.directory_condition {
        return Err(S3Error::not_implemented(
            "LastModifiedTime and Size are conditions of directory buckets, which are not implemented",
        ));
    }
    let key = ObjectKey::parse(&entry.key).map_err(|error| match error {
        NameError::KeyTooLong(_) => S3Error::new(StatusCode::BAD_REQUEST, "KeyTooLongError", "Your key is too long"),
        NameError::EmptyKey | NameError::InvalidBucket => S3Error::malformed_xml(),
    })?;
    // An empty id is no id either: taking it for an absent one would add a marker that nobody asked for.
    let version = entry.version.as_deref().map(|text| {
        VersionId::parse(text).ok_or_else(|| {
            S3Error::new(StatusCode::NOT_FOUND, "NoSuchVersion", "The specified version does not exist.")
        })
    });
    let condition = entry.etag.as_deref().map_or(DeleteCondition::None, conditions::etag_condition);
    Ok((key, version.transpose()?, condition))
}

fn document(results: &[(Entry, Result<Deleted, S3Error>)], verbosity: Verbosity) -> String {
    let mut writer = xml::Writer::new("DeleteResult");
    for (entry, result) in results {
        match result {
            Ok(_) if verbosity == Verbosity::Quiet => {}
            Ok(deleted) => write_deleted(&mut writer, entry, deleted),
            Err(error) => write_error(&mut writer, entry, error),
        }
    }
    writer.finish()
}

fn write_deleted(writer: &mut xml::Writer, entry: &Entry, deleted: &Deleted) {
    writer.open("Deleted").element("Key", &entry.key);
    if let Some(version) = &entry.version {
        writer.element("VersionId", version);
    }
    if deleted.marker {
        writer.element("DeleteMarker", "true");
        if let Some(version_id) = deleted.version_id {
            writer.element("DeleteMarkerVersionId", version_id.to_string());
        }
    }
    writer.close();
}

fn write_error(writer: &mut xml::Writer, entry: &Entry, error: &S3Error) {
    writer.open("Error").element("Key", &entry.key);
    if let Some(version) = &entry.version {
        writer.element("VersionId", version);
    }
    writer.element("Code", error.code).element("Message", &error.message).close();
}

#[cfg(test)]
mod tests {
    use strata_storage::{DeleteCondition, Deleted, VersionId};

    use super::{Entry, Verbosity, checked, document, parse};
    use crate::error::S3Error;

    fn entry(key: &str, version: Option<&str>) -> Entry {
        let version = version.map(str::to_owned);
        Entry { key: key.to_owned(), version, etag: None, directory_condition: false }
    }

    #[test]
    fn documents_are_read() {
        fn check(body: &str, expected: Result<(Vec<Entry>, Verbosity), &str>) {
            let found = parse(format!("<Delete>{body}</Delete>").as_bytes());
            assert_eq!(found.map_err(|error| error.code), expected, "{body}");
        }
        let a = "<Object><Key>a</Key></Object>";
        let a_null = "<Object><Key>a</Key><VersionId>null</VersionId></Object>";
        check(a, Ok((vec![entry("a", None)], Verbosity::All)));
        check(&format!("<Quiet>true</Quiet>{a}"), Ok((vec![entry("a", None)], Verbosity::Quiet)));
        check(&format!("{a}<Quiet>false</Quiet>"), Ok((vec![entry("a", None)], Verbosity::All)));
        let both = vec![entry("a", None), entry("a", Some("null"))];
        check(&format!("{a}{a_null}{a}{a_null}"), Ok((both, Verbosity::All)));
        check("", Err("MalformedXML"));
        check("<Object></Object>", Err("MalformedXML"));
        check("<Object><Key/></Object>", Err("MalformedXML"));
        check("<Object><Key>a</Key><Name>b</Name></Object>", Err("MalformedXML"));
        check(&format!("<Quiet>maybe</Quiet>{a}"), Err("MalformedXML"));
        assert_eq!(parse(format!("<Delete>{}</Delete>", a.repeat(1000)).as_bytes()).expect("1,000").0.len(), 1);
        check(&a.repeat(1001), Err("MalformedXML"));
    }

    #[test]
    fn entries_are_checked_alone() {
        fn check(entry: &Entry, expected: Result<(Option<VersionId>, DeleteCondition), &str>) {
            let found = checked(entry).map(|(_, version, condition)| (version, condition));
            assert_eq!(found.map_err(|error| error.code), expected, "{entry:?}");
        }
        check(&entry("a", None), Ok((None, DeleteCondition::None)));
        check(&entry("a", Some("null")), Ok((Some(VersionId::Null), DeleteCondition::None)));
        check(&entry("a", Some("abc")), Err("NoSuchVersion"));
        check(&entry("a", Some("")), Err("NoSuchVersion"));
        check(&entry(&"k".repeat(1025), None), Err("KeyTooLongError"));
        let any = Entry { etag: Some("*".to_owned()), ..entry("a", None) };
        check(&any, Ok((None, DeleteCondition::IfPresent)));
        check(&Entry { directory_condition: true, ..entry("a", None) }, Err("NotImplemented"));
    }

    #[test]
    fn answers_show_each_result() {
        let marker = Deleted { marker: true, version_id: Some(VersionId::Null) };
        let removed = Deleted { marker: false, version_id: Some(VersionId::Null) };
        let results = [
            (entry("a", None), Ok(marker)),
            (entry("b", Some("null")), Ok(removed)),
            (entry("c", None), Ok(Deleted::default())),
            (entry("d", None), Err(S3Error::access_denied("no"))),
        ];
        let error = "<Error><Key>d</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
        let all = "<Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker>\
                   <DeleteMarkerVersionId>null</DeleteMarkerVersionId></Deleted>\
                   <Deleted><Key>b</Key><VersionId>null</VersionId></Deleted><Deleted><Key>c</Key></Deleted>";
        assert!(document(&results, Verbosity::All).ends_with(&format!("{all}{error}")));
        let quiet = document(&results, Verbosity::Quiet);
        assert!(quiet.ends_with(error) && !quiet.contains("Deleted>"));
    }
}
