//! The resources of S3 and the operations that each method names on them.

use super::Operation;

/// The methods of one resource.
pub type Methods = &'static [(&'static str, Operation)];

/// A sub-resource: a query parameter that makes a request mean something else.
pub struct SubResource {
    /// The parameter.
    pub name: &'static str,
    /// Its methods on a bucket.
    pub bucket: Methods,
    /// Its methods on an object.
    pub object: Methods,
}

/// `/`
pub const SERVICE: Methods = &[("GET", Operation::ListBuckets)];

/// A bucket without sub-resource.
pub const BUCKET: Methods = &[
    ("GET", Operation::ListObjects),
    ("HEAD", Operation::HeadBucket),
    ("PUT", Operation::CreateBucket),
    ("POST", Operation::PostObject),
    ("DELETE", Operation::DeleteBucket),
];

/// An object without sub-resource.
pub const OBJECT: Methods = &[
    ("GET", Operation::GetObject),
    ("HEAD", Operation::HeadObject),
    ("PUT", Operation::PutObject),
    ("DELETE", Operation::DeleteObject),
];

const fn of_bucket(name: &'static str, bucket: Methods) -> SubResource {
    SubResource { name, bucket, object: &[] }
}

const fn of_object(name: &'static str, object: Methods) -> SubResource {
    SubResource { name, bucket: &[], object }
}

/// Every sub-resource.
pub static SUB_RESOURCES: &[SubResource] = &[
    of_bucket("abac", &[("GET", Operation::GetBucketAbac), ("PUT", Operation::PutBucketAbac)]),
    of_bucket(
        "accelerate",
        &[("GET", Operation::GetBucketAccelerateConfiguration), ("PUT", Operation::PutBucketAccelerateConfiguration)],
    ),
    SubResource {
        name: "acl",
        bucket: &[("GET", Operation::GetBucketAcl), ("PUT", Operation::PutBucketAcl)],
        object: &[("GET", Operation::GetObjectAcl), ("PUT", Operation::PutObjectAcl)],
    },
    of_bucket(
        "analytics",
        &[
            ("GET", Operation::ListBucketAnalyticsConfigurations),
            ("PUT", Operation::PutBucketAnalyticsConfiguration),
            ("DELETE", Operation::DeleteBucketAnalyticsConfiguration),
        ],
    ),
    of_object(
        "annotation",
        &[
            ("GET", Operation::ListObjectAnnotations),
            ("PUT", Operation::PutObjectAnnotation),
            ("DELETE", Operation::DeleteObjectAnnotation),
        ],
    ),
    of_object("attributes", &[("GET", Operation::GetObjectAttributes)]),
    of_bucket(
        "cors",
        &[
            ("GET", Operation::GetBucketCors),
            ("PUT", Operation::PutBucketCors),
            ("DELETE", Operation::DeleteBucketCors),
        ],
    ),
    of_bucket("delete", &[("POST", Operation::DeleteObjects)]),
    SubResource {
        name: "encryption",
        bucket: &[
            ("GET", Operation::GetBucketEncryption),
            ("PUT", Operation::PutBucketEncryption),
            ("DELETE", Operation::DeleteBucketEncryption),
        ],
        object: &[("PUT", Operation::UpdateObjectEncryption)],
    },
    of_bucket(
        "intelligent-tiering",
        &[
            ("GET", Operation::ListBucketIntelligentTieringConfigurations),
            ("PUT", Operation::PutBucketIntelligentTieringConfiguration),
            ("DELETE", Operation::DeleteBucketIntelligentTieringConfiguration),
        ],
    ),
    of_bucket(
        "inventory",
        &[
            ("GET", Operation::ListBucketInventoryConfigurations),
            ("PUT", Operation::PutBucketInventoryConfiguration),
            ("DELETE", Operation::DeleteBucketInventoryConfiguration),
        ],
    ),
    of_object("legal-hold", &[("GET", Operation::GetObjectLegalHold), ("PUT", Operation::PutObjectLegalHold)]),
    of_bucket(
        "lifecycle",
        &[
            ("GET", Operation::GetBucketLifecycleConfiguration),
            ("PUT", Operation::PutBucketLifecycleConfiguration),
            ("DELETE", Operation::DeleteBucketLifecycle),
        ],
    ),
    of_bucket("location", &[("GET", Operation::GetBucketLocation)]),
    of_bucket("logging", &[("GET", Operation::GetBucketLogging), ("PUT", Operation::PutBucketLogging)]),
    of_bucket("metadataAnnotationTable", &[("PUT", Operation::UpdateBucketMetadataAnnotationTableConfiguration)]),
    of_bucket(
        "metadataConfiguration",
        &[
            ("GET", Operation::GetBucketMetadataConfiguration),
            ("POST", Operation::CreateBucketMetadataConfiguration),
            ("DELETE", Operation::DeleteBucketMetadataConfiguration),
        ],
    ),
    of_bucket("metadataInventoryTable", &[("PUT", Operation::UpdateBucketMetadataInventoryTableConfiguration)]),
    of_bucket("metadataJournalTable", &[("PUT", Operation::UpdateBucketMetadataJournalTableConfiguration)]),
    of_bucket(
        "metadataTable",
        &[
            ("GET", Operation::GetBucketMetadataTableConfiguration),
            ("POST", Operation::CreateBucketMetadataTableConfiguration),
            ("DELETE", Operation::DeleteBucketMetadataTableConfiguration),
        ],
    ),
    of_bucket(
        "metrics",
        &[
            ("GET", Operation::ListBucketMetricsConfigurations),
            ("PUT", Operation::PutBucketMetricsConfiguration),
            ("DELETE", Operation::DeleteBucketMetricsConfiguration),
        ],
    ),
    of_bucket(
        "notification",
        &[
            ("GET", Operation::GetBucketNotificationConfiguration),
            ("PUT", Operation::PutBucketNotificationConfiguration),
        ],
    ),
    of_bucket(
        "object-lock",
        &[("GET", Operation::GetObjectLockConfiguration), ("PUT", Operation::PutObjectLockConfiguration)],
    ),
    of_bucket(
        "ownershipControls",
        &[
            ("GET", Operation::GetBucketOwnershipControls),
            ("PUT", Operation::PutBucketOwnershipControls),
            ("DELETE", Operation::DeleteBucketOwnershipControls),
        ],
    ),
    of_bucket(
        "policy",
        &[
            ("GET", Operation::GetBucketPolicy),
            ("PUT", Operation::PutBucketPolicy),
            ("DELETE", Operation::DeleteBucketPolicy),
        ],
    ),
    of_bucket("policyStatus", &[("GET", Operation::GetBucketPolicyStatus)]),
    of_bucket(
        "publicAccessBlock",
        &[
            ("GET", Operation::GetPublicAccessBlock),
            ("PUT", Operation::PutPublicAccessBlock),
            ("DELETE", Operation::DeletePublicAccessBlock),
        ],
    ),
    of_object("renameObject", &[("PUT", Operation::RenameObject)]),
    of_bucket(
        "replication",
        &[
            ("GET", Operation::GetBucketReplication),
            ("PUT", Operation::PutBucketReplication),
            ("DELETE", Operation::DeleteBucketReplication),
        ],
    ),
    of_bucket(
        "requestPayment",
        &[("GET", Operation::GetBucketRequestPayment), ("PUT", Operation::PutBucketRequestPayment)],
    ),
    of_object("restore", &[("POST", Operation::RestoreObject)]),
    of_object("retention", &[("GET", Operation::GetObjectRetention), ("PUT", Operation::PutObjectRetention)]),
    of_object("select", &[("POST", Operation::SelectObjectContent)]),
    of_bucket("session", &[("GET", Operation::CreateSession)]),
    SubResource {
        name: "tagging",
        bucket: &[
            ("GET", Operation::GetBucketTagging),
            ("PUT", Operation::PutBucketTagging),
            ("DELETE", Operation::DeleteBucketTagging),
        ],
        object: &[
            ("GET", Operation::GetObjectTagging),
            ("PUT", Operation::PutObjectTagging),
            ("DELETE", Operation::DeleteObjectTagging),
        ],
    },
    of_object("torrent", &[("GET", Operation::GetObjectTorrent)]),
    of_object(
        "uploadId",
        &[
            ("GET", Operation::ListParts),
            ("PUT", Operation::UploadPart),
            ("POST", Operation::CompleteMultipartUpload),
            ("DELETE", Operation::AbortMultipartUpload),
        ],
    ),
    SubResource {
        name: "uploads",
        bucket: &[("GET", Operation::ListMultipartUploads)],
        object: &[("POST", Operation::CreateMultipartUpload)],
    },
    of_bucket("versioning", &[("GET", Operation::GetBucketVersioning), ("PUT", Operation::PutBucketVersioning)]),
    of_bucket("versions", &[("GET", Operation::ListObjectVersions)]),
    of_bucket(
        "website",
        &[
            ("GET", Operation::GetBucketWebsite),
            ("PUT", Operation::PutBucketWebsite),
            ("DELETE", Operation::DeleteBucketWebsite),
        ],
    ),
];

/// Parameters that only refine an operation, and may come without a value.
pub const MODIFIERS: &[&str] = &[
    "annotation-prefix",
    "annotationName",
    "bucket-region",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "id",
    "key-marker",
    "list-type",
    "marker",
    "max-annotation-results",
    "max-buckets",
    "max-directory-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "select-type",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "versionId",
];
