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

// WriteGetObjectResponse is absent: it belongs to the host names of Object Lambda.
operations! {
    // Implemented.
    AbortMultipartUpload
    CompleteMultipartUpload
    CopyObject
    CreateBucket
    CreateMultipartUpload
    DeleteBucket
    DeleteBucketTagging
    DeleteObject
    DeleteObjectTagging
    DeleteObjects
    GetBucketLocation
    GetBucketTagging
    GetBucketVersioning
    GetObject
    GetObjectAttributes
    GetObjectTagging
    HeadBucket
    HeadObject
    ListBuckets
    ListMultipartUploads
    ListObjectVersions
    ListObjects
    ListObjectsV2
    ListParts
    PutBucketTagging
    PutBucketVersioning
    PutObject
    PutObjectTagging
    UploadPart
    UploadPartCopy

    // Answered without a signature: browsers send neither with one.
    PostObject
    PreflightRequest

    // Recognized, so that none of them is ever taken for one of the above.
    CreateBucketMetadataConfiguration
    CreateBucketMetadataTableConfiguration
    CreateSession
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
    DeleteBucketWebsite
    DeleteObjectAnnotation
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
    GetBucketWebsite
    GetObjectAcl
    GetObjectAnnotation
    GetObjectLegalHold
    GetObjectLockConfiguration
    GetObjectRetention
    GetObjectTorrent
    GetPublicAccessBlock
    ListBucketAnalyticsConfigurations
    ListBucketIntelligentTieringConfigurations
    ListBucketInventoryConfigurations
    ListBucketMetricsConfigurations
    ListDirectoryBuckets
    ListObjectAnnotations
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
    PutBucketWebsite
    PutObjectAcl
    PutObjectAnnotation
    PutObjectLegalHold
    PutObjectLockConfiguration
    PutObjectRetention
    PutPublicAccessBlock
    RenameObject
    RestoreObject
    SelectObjectContent
    UpdateBucketMetadataAnnotationTableConfiguration
    UpdateBucketMetadataInventoryTableConfiguration
    UpdateBucketMetadataJournalTableConfiguration
    UpdateObjectEncryption
}
