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
    DeleteBucketOwnershipControls
    DeleteBucketTagging
    DeleteObject
    DeleteObjectTagging
    DeleteObjects
    DeletePublicAccessBlock
    GetBucketAcl
    GetBucketLocation
    GetBucketOwnershipControls
    GetBucketTagging
    GetBucketVersioning
    GetObject
    GetObjectAcl
    GetObjectAttributes
    GetObjectTagging
    GetPublicAccessBlock
    HeadBucket
    HeadObject
    ListBuckets
    ListMultipartUploads
    ListObjectVersions
    ListObjects
    ListObjectsV2
    ListParts
    PutBucketAcl
    PutBucketOwnershipControls
    PutBucketTagging
    PutBucketVersioning
    PutObject
    PutObjectAcl
    PutObjectTagging
    PutPublicAccessBlock
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
    DeleteBucketPolicy
    DeleteBucketReplication
    DeleteBucketWebsite
    DeleteObjectAnnotation
    GetBucketAbac
    GetBucketAccelerateConfiguration
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
    GetBucketPolicy
    GetBucketPolicyStatus
    GetBucketReplication
    GetBucketRequestPayment
    GetBucketWebsite
    GetObjectAnnotation
    GetObjectLegalHold
    GetObjectLockConfiguration
    GetObjectRetention
    GetObjectTorrent
    ListBucketAnalyticsConfigurations
    ListBucketIntelligentTieringConfigurations
    ListBucketInventoryConfigurations
    ListBucketMetricsConfigurations
    ListDirectoryBuckets
    ListObjectAnnotations
    PutBucketAbac
    PutBucketAccelerateConfiguration
    PutBucketAnalyticsConfiguration
    PutBucketCors
    PutBucketEncryption
    PutBucketIntelligentTieringConfiguration
    PutBucketInventoryConfiguration
    PutBucketLifecycleConfiguration
    PutBucketLogging
    PutBucketMetricsConfiguration
    PutBucketNotificationConfiguration
    PutBucketPolicy
    PutBucketReplication
    PutBucketRequestPayment
    PutBucketWebsite
    PutObjectAnnotation
    PutObjectLegalHold
    PutObjectLockConfiguration
    PutObjectRetention
    RenameObject
    RestoreObject
    SelectObjectContent
    UpdateBucketMetadataAnnotationTableConfiguration
    UpdateBucketMetadataInventoryTableConfiguration
    UpdateBucketMetadataJournalTableConfiguration
    UpdateObjectEncryption
}
