//! What access logs call operations: `REST.METHOD.RESOURCE`.

use http::Method;

use crate::route::Operation;

/// The name of a request. Without operation, nobody knows more than whether it named a key.
pub fn of_request(operation: Option<Operation>, method: &Method, has_key: bool) -> String {
    let verb = match operation {
        Some(Operation::CopyObject | Operation::UploadPartCopy) => "COPY",
        _ => method.as_str(),
    };
    // Such a method has no name at S3, and any text may be one.
    let verb = if verb.bytes().all(|byte| byte.is_ascii_uppercase()) { verb } else { "UNKNOWN" };
    let resource = match operation {
        Some(operation) => resource(operation),
        None if has_key => "OBJECT",
        None => "BUCKET",
    };
    format!("REST.{verb}.{resource}")
}

/// The name of the second record of a copy, which is that of the source.
pub fn of_source(operation: Operation) -> &'static str {
    match operation {
        Operation::UploadPartCopy => "REST.COPY.PART_GET",
        _ => "REST.COPY.OBJECT_GET",
    }
}

/// The name of the record of each key of DeleteObjects.
pub const OF_EACH_DELETE: &str = "BATCH.DELETE.OBJECT";

fn resource(operation: Operation) -> &'static str {
    use Operation as O;
    match operation {
        O::ListBuckets | O::ListDirectoryBuckets => "SERVICE",
        O::ListObjects | O::ListObjectsV2 | O::HeadBucket | O::CreateBucket | O::DeleteBucket | O::PostObject => {
            "BUCKET"
        }
        O::ListObjectVersions => "BUCKETVERSIONS",
        O::GetObject | O::HeadObject | O::PutObject | O::DeleteObject | O::CopyObject => "OBJECT",
        O::GetObjectAttributes => "OBJECT_ATTRIBUTES",
        O::GetObjectTorrent => "TORRENT",
        O::SelectObjectContent => "OBJECT_SELECT",
        O::RenameObject => "OBJECT_RENAME",
        O::RestoreObject => "OBJECT_RESTORE",
        O::UpdateObjectEncryption => "OBJECT_ENCRYPTION",
        O::DeleteObjects => "MULTI_OBJECT_DELETE",
        O::CreateMultipartUpload | O::ListMultipartUploads => "UPLOADS",
        O::CompleteMultipartUpload | O::AbortMultipartUpload | O::ListParts => "UPLOAD",
        O::UploadPart | O::UploadPartCopy => "PART",
        O::PreflightRequest => "PREFLIGHT",
        O::CreateSession => "SESSION",
        O::GetBucketAcl | O::PutBucketAcl => "ACL",
        O::GetObjectAcl | O::PutObjectAcl => "OBJECT_ACL",
        O::GetBucketTagging | O::PutBucketTagging | O::DeleteBucketTagging => "TAGGING",
        O::GetObjectTagging | O::PutObjectTagging | O::DeleteObjectTagging => "OBJECT_TAGGING",
        O::GetObjectRetention | O::PutObjectRetention => "OBJECT_LOCK_RETENTION",
        O::GetObjectLegalHold | O::PutObjectLegalHold => "OBJECT_LOCK_LEGALHOLD",
        O::GetObjectLockConfiguration | O::PutObjectLockConfiguration => "OBJECT_LOCK_CONFIGURATION",
        O::ListObjectAnnotations | O::GetObjectAnnotation | O::PutObjectAnnotation | O::DeleteObjectAnnotation => {
            "OBJECT_ANNOTATION"
        }
        O::GetBucketLocation => "LOCATION",
        O::GetBucketLogging | O::PutBucketLogging => "LOGGING_STATUS",
        O::GetBucketVersioning | O::PutBucketVersioning => "VERSIONING",
        O::GetBucketPolicy | O::PutBucketPolicy | O::DeleteBucketPolicy => "BUCKETPOLICY",
        O::GetBucketPolicyStatus => "BUCKETPOLICYSTATUS",
        O::GetBucketCors | O::PutBucketCors | O::DeleteBucketCors => "CORS",
        O::GetBucketEncryption | O::PutBucketEncryption | O::DeleteBucketEncryption => "ENCRYPTION",
        O::GetBucketLifecycleConfiguration | O::PutBucketLifecycleConfiguration | O::DeleteBucketLifecycle => {
            "LIFECYCLE"
        }
        O::GetBucketNotificationConfiguration | O::PutBucketNotificationConfiguration => "NOTIFICATION",
        O::GetBucketReplication | O::PutBucketReplication | O::DeleteBucketReplication => "REPLICATION",
        O::GetBucketRequestPayment | O::PutBucketRequestPayment => "REQUEST_PAYMENT",
        O::GetBucketWebsite | O::PutBucketWebsite | O::DeleteBucketWebsite => "WEBSITE",
        O::GetBucketAbac | O::PutBucketAbac => "ABAC",
        O::GetBucketAccelerateConfiguration | O::PutBucketAccelerateConfiguration => "ACCELERATE",
        O::GetBucketOwnershipControls | O::PutBucketOwnershipControls | O::DeleteBucketOwnershipControls => {
            "OWNERSHIP_CONTROLS"
        }
        O::GetPublicAccessBlock | O::PutPublicAccessBlock | O::DeletePublicAccessBlock => "PUBLIC_ACCESS_BLOCK",
        O::GetBucketAnalyticsConfiguration
        | O::PutBucketAnalyticsConfiguration
        | O::DeleteBucketAnalyticsConfiguration
        | O::ListBucketAnalyticsConfigurations => "ANALYTICS",
        O::GetBucketIntelligentTieringConfiguration
        | O::PutBucketIntelligentTieringConfiguration
        | O::DeleteBucketIntelligentTieringConfiguration
        | O::ListBucketIntelligentTieringConfigurations => "INTELLIGENT_TIERING",
        O::GetBucketInventoryConfiguration
        | O::PutBucketInventoryConfiguration
        | O::DeleteBucketInventoryConfiguration
        | O::ListBucketInventoryConfigurations => "INVENTORY",
        O::GetBucketMetricsConfiguration
        | O::PutBucketMetricsConfiguration
        | O::DeleteBucketMetricsConfiguration
        | O::ListBucketMetricsConfigurations => "METRICS",
        O::CreateBucketMetadataConfiguration
        | O::GetBucketMetadataConfiguration
        | O::DeleteBucketMetadataConfiguration
        | O::CreateBucketMetadataTableConfiguration
        | O::GetBucketMetadataTableConfiguration
        | O::DeleteBucketMetadataTableConfiguration
        | O::UpdateBucketMetadataAnnotationTableConfiguration
        | O::UpdateBucketMetadataInventoryTableConfiguration
        | O::UpdateBucketMetadataJournalTableConfiguration => "METADATA",
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::of_request;
    use crate::route::Operation;

    #[test]
    fn names() {
        fn check(operation: Option<Operation>, method: &str, expected: &str) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(of_request(operation, &method, true), expected);
        }
        check(Some(Operation::GetObject), "GET", "REST.GET.OBJECT");
        check(Some(Operation::CopyObject), "PUT", "REST.COPY.OBJECT");
        check(Some(Operation::UploadPartCopy), "PUT", "REST.COPY.PART");
        check(Some(Operation::DeleteObjects), "POST", "REST.POST.MULTI_OBJECT_DELETE");
        check(Some(Operation::CreateMultipartUpload), "POST", "REST.POST.UPLOADS");
        check(Some(Operation::PutBucketLogging), "PUT", "REST.PUT.LOGGING_STATUS");
        check(None, "PATCH", "REST.PATCH.OBJECT");
        check(None, "x-y", "REST.UNKNOWN.OBJECT");
    }
}
