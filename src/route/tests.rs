//! The routing table, row by row.

use http::{HeaderMap, HeaderValue, Method};

use super::table::SUB_RESOURCES;
use super::{Operation, route};
use crate::error::S3Error;
use crate::request::Query;

const COPY: (&str, &str) = ("x-amz-copy-source", "b/k");

/// `target` is `/`, `/b` or `/b/k` with a query.
fn run(line: &str, header: Option<(&'static str, &str)>) -> Result<Operation, S3Error> {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.to_owned(), value.to_owned())
    };
    let query = Query(query.split('&').filter(|part| !part.is_empty()).map(pair).collect());
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    route(&method, path != "/", path.matches('/').count() > 1, &query, &headers)
}

#[test]
fn operations() {
    fn check(line: &str, expected: &str) {
        assert_eq!(run(line, None).map(Operation::name).map_err(|error| error.code), Ok(expected), "{line}");
    }
    let rows = "
        GET /                                 ListBuckets
        GET /?x-id=ListBuckets&max-buckets=1  ListBuckets
        GET /?x-id=ListDirectoryBuckets       ListDirectoryBuckets
        PUT /b                                CreateBucket
        HEAD /b                               HeadBucket
        DELETE /b                             DeleteBucket
        GET /b                                ListObjects
        GET /b?prefix=&delimiter=/&marker=    ListObjects
        GET /b?tracing=1                      ListObjects
        GET /b?list-type=2&start-after=       ListObjectsV2
        GET /b?list-type=1                    ListObjects
        GET /b?list-type=                     ListObjects
        GET /b?versions&prefix=a              ListObjectVersions
        GET /b?location=                      GetBucketLocation
        GET /b?uploads                        ListMultipartUploads
        POST /b?delete                        DeleteObjects
        GET /b?tagging                        GetBucketTagging
        PUT /b?tagging                        PutBucketTagging
        DELETE /b?tagging                     DeleteBucketTagging
        GET /b?versioning                     GetBucketVersioning
        PUT /b?versioning                     PutBucketVersioning
        GET /b?analytics                      ListBucketAnalyticsConfigurations
        GET /b?analytics&id=1                 GetBucketAnalyticsConfiguration
        GET /b?inventory&id=1                 GetBucketInventoryConfiguration
        GET /b?metrics&id=1                   GetBucketMetricsConfiguration
        GET /b?intelligent-tiering&id=1       GetBucketIntelligentTieringConfiguration
        DELETE /b?lifecycle                   DeleteBucketLifecycle
        DELETE /b?policy                      DeleteBucketPolicy
        PUT /b?acl                            PutBucketAcl
        PUT /b?encryption                     PutBucketEncryption
        POST /b?metadataTable                 CreateBucketMetadataTableConfiguration
        GET /b?session                        CreateSession
        OPTIONS /b                            PreflightRequest
        GET /b/k                              GetObject
        GET /b/k?versionId=1&partNumber=2     GetObject
        GET /b/k?12345                        GetObject
        GET /b/k?x-id=GetObject               GetObject
        HEAD /b/k                             HeadObject
        PUT /b/k                              PutObject
        PUT /b/k?x-id=PutObject&X-Amz-Date=1  PutObject
        DELETE /b/k                           DeleteObject
        DELETE /b/k?versionId=                DeleteObject
        POST /b/k?uploads                     CreateMultipartUpload
        PUT /b/k?partNumber=1&uploadId=u      UploadPart
        POST /b/k?uploadId=u                  CompleteMultipartUpload
        DELETE /b/k?uploadId=u                AbortMultipartUpload
        GET /b/k?uploadId=u                   ListParts
        GET /b/k?attributes                   GetObjectAttributes
        GET /b/k?tagging                      GetObjectTagging
        PUT /b/k?tagging&versionId=1          PutObjectTagging
        DELETE /b/k?tagging                   DeleteObjectTagging
        PUT /b/k?acl                          PutObjectAcl
        PUT /b/k?retention                    PutObjectRetention
        PUT /b/k?legal-hold                   PutObjectLegalHold
        PUT /b/k?renameObject                 RenameObject
        PUT /b/k?encryption                   UpdateObjectEncryption
        POST /b/k?restore                     RestoreObject
        POST /b/k?select&select-type=2        SelectObjectContent
        GET /b/k?torrent                      GetObjectTorrent
        GET /b/k?annotation                   ListObjectAnnotations
        GET /b/k?annotation&annotationName=a  GetObjectAnnotation
        DELETE /b/k?annotation                DeleteObjectAnnotation
    ";
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (line, expected) = row.rsplit_once(' ').unwrap();
        check(line.trim_end(), expected);
    }
}

#[test]
fn headers_decide_between_operations() {
    fn check(line: &str, header: (&'static str, &str), expected: Operation) {
        assert_eq!(run(line, Some(header)).ok(), Some(expected), "{line}");
    }
    check("PUT /b/k", COPY, Operation::CopyObject);
    check("PUT /b/k?partNumber=1&uploadId=u", COPY, Operation::UploadPartCopy);
    check("PUT /b/k?tagging", COPY, Operation::PutObjectTagging);
}

#[test]
fn refusals() {
    fn check(line: &str, status: u16, code: &str) {
        let error = run(line, None).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (status, code), "{line}");
    }
    for line in ["PUT /", "HEAD /", "GET /?acl", "POST /b/k", "PATCH /b/k", "PUT /b?location", "DELETE /b?versions"] {
        check(line, 405, "MethodNotAllowed");
    }
    for line in ["HEAD /b/k?acl", "PUT /b/k?lifecycle", "DELETE /b/k?policy", "GET /b?attributes", "PUT /b?uploads"] {
        check(line, 405, "MethodNotAllowed");
    }
    for line in ["DELETE /b?newThing", "PUT /b?newThing=", "GET /b?newThing", "DELETE /b/k?newThing"] {
        check(line, 501, "NotImplemented");
    }
    for line in ["GET /b?acl&policy", "PUT /b/k?uploads&uploadId=1", "PUT /b/k?partNumber=1"] {
        check(line, 400, "InvalidArgument");
    }
    check("PUT /b/k?uploadId=u", 405, "MethodNotAllowed");
}

#[test]
fn errors_tell_what_they_mean() {
    let conflict = run("GET /b?policy&acl&policy", None).unwrap_err();
    assert_eq!(conflict.message, "Conflicting query string parameters: policy, acl");

    let refused = run("DELETE /b?versioning", None).unwrap_err();
    assert_eq!(refused.fields, [("Method", "DELETE".to_owned()), ("ResourceType", "VERSIONING".to_owned())]);
    assert_eq!(refused.headers[0].1, "GET, PUT");
}

/// No sub-resource may ever be taken for the resource itself.
#[test]
fn sub_resources_never_fall_through() {
    for path in ["/b", "/b/k"] {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
            let plain = run(&format!("{method} {path}"), None).ok();
            for known in SUB_RESOURCES {
                let line = format!("{method} {path}?{}&partNumber=1&uploadId=u", known.name);
                let line = if known.name == "uploadId" { line } else { line.replace("&partNumber=1&uploadId=u", "") };
                match run(&line, None) {
                    Ok(operation) => assert_ne!(Some(operation), plain, "{line}"),
                    Err(error) => assert_eq!(error.code, "MethodNotAllowed", "{line}"),
                }
            }
        }
    }
}
