//! Every operation of S3, by S3's name.

macro_rules! operations {
    ($($name:ident)*) => {
        /// An operation of S3. Not all of them are implemented: see `op::run`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation {
            $($name,)*
        }

        impl Operation {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Operation] = &[$(Operation::$name,)*];

            /// S3's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Operation::$name => stringify!($name),)*
                }
            }
        }
    };
}

// All are recognized, so that none is ever taken for another; which of them are carried out, `op::run` says. PostObject and
// PreflightRequest are what browsers send. WriteGetObjectResponse is absent: it belongs to the host names of Object Lambda.
operations! {
    AbortMultipartUpload
    CompleteMultipartUpload
    CopyObject
    CreateBucket
    CreateBucketMetadataConfiguration
    CreateBucketMetadataTableConfiguration
    CreateMultipartUpload
    CreateSession
    DeleteBucket
    DeleteBucketAnalyticsConfiguration
    DeleteBucketCors
    DeleteBucketEncryption
    DeleteBucketIntelligentTieringConfiguration
    DeleteBucketInventoryConfiguration
    DeleteBucketLifecycle
    DeleteBucketMetadataConfiguration
    DeleteBucketMetadataTableConfiguration
    DeleteBucketMetricsConfiguration
    DeleteBucketOwnershipControls
    DeleteBucketPolicy
    DeleteBucketReplication
    DeleteBucketTagging
    DeleteBucketWebsite
    DeleteObject
    DeleteObjectAnnotation
    DeleteObjectTagging
    DeleteObjects
    DeletePublicAccessBlock
    GetBucketAbac
    GetBucketAccelerateConfiguration
    GetBucketAcl
    GetBucketAnalyticsConfiguration
    GetBucketCors
    GetBucketEncryption
    GetBucketIntelligentTieringConfiguration
    GetBucketInventoryConfiguration
    GetBucketLifecycleConfiguration
    GetBucketLocation
    GetBucketLogging
    GetBucketMetadataConfiguration
    GetBucketMetadataTableConfiguration
    GetBucketMetricsConfiguration
    GetBucketNotificationConfiguration
    GetBucketOwnershipControls
    GetBucketPolicy
    GetBucketPolicyStatus
    GetBucketReplication
    GetBucketRequestPayment
    GetBucketTagging
    GetBucketVersioning
    GetBucketWebsite
    GetObject
    GetObjectAcl
    GetObjectAnnotation
    GetObjectAttributes
    GetObjectLegalHold
    GetObjectLockConfiguration
    GetObjectRetention
    GetObjectTagging
    GetObjectTorrent
    GetPublicAccessBlock
    HeadBucket
    HeadObject
    ListBucketAnalyticsConfigurations
    ListBucketIntelligentTieringConfigurations
    ListBucketInventoryConfigurations
    ListBucketMetricsConfigurations
    ListBuckets
    ListDirectoryBuckets
    ListMultipartUploads
    ListObjectAnnotations
    ListObjectVersions
    ListObjects
    ListObjectsV2
    ListParts
    PostObject
    PreflightRequest
    PutBucketAbac
    PutBucketAccelerateConfiguration
    PutBucketAcl
    PutBucketAnalyticsConfiguration
    PutBucketCors
    PutBucketEncryption
    PutBucketIntelligentTieringConfiguration
    PutBucketInventoryConfiguration
    PutBucketLifecycleConfiguration
    PutBucketLogging
    PutBucketMetricsConfiguration
    PutBucketNotificationConfiguration
    PutBucketOwnershipControls
    PutBucketPolicy
    PutBucketReplication
    PutBucketRequestPayment
    PutBucketTagging
    PutBucketVersioning
    PutBucketWebsite
    PutObject
    PutObjectAcl
    PutObjectAnnotation
    PutObjectLegalHold
    PutObjectLockConfiguration
    PutObjectRetention
    PutObjectTagging
    PutPublicAccessBlock
    RenameObject
    RestoreObject
    SelectObjectContent
    UpdateBucketMetadataAnnotationTableConfiguration
    UpdateBucketMetadataInventoryTableConfiguration
    UpdateBucketMetadataJournalTableConfiguration
    UpdateObjectEncryption
    UploadPart
    UploadPartCopy
}
