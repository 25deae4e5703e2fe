//! The operations: one file each, and the one place that names them all.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::error::S3Error;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::route::Operation;

// What several operations share.
pub mod bucket;
mod bucket_configurations;
mod completed_parts;
mod configuration_filter;
mod continuation_token;
mod copy_range;
mod copy_source;
mod keep_alive;
mod list_document;
mod list_parameters;
pub mod object_headers;
mod requested_acl;
mod rule_id;
mod target;
mod upload;

// Buckets.
mod bucket_acl;
mod bucket_analytics;
mod bucket_cors;
mod bucket_encryption;
mod bucket_intelligent_tiering;
pub mod bucket_lifecycle;
mod bucket_logging;
mod bucket_ownership_controls;
mod bucket_policy;
mod bucket_public_access_block;
mod bucket_replication;
mod bucket_tagging;
mod bucket_versioning;
mod create_bucket;
mod delete_bucket;
mod get_bucket_location;
mod head_bucket;
mod list_buckets;
mod object_lock_configuration;
pub mod preflight_request;

// What is in them.
mod list_object_versions;
mod list_objects;
mod list_objects_v2;

// Objects.
mod copy_object;
mod delete_object;
mod delete_objects;
mod get_object;
mod get_object_attributes;
mod object_acl;
mod object_lock;
mod object_tagging;
mod post_object;
mod put_object;
mod restore_object;

// Objects in parts.
mod abort_multipart_upload;
mod complete_multipart_upload;
mod create_multipart_upload;
mod list_multipart_uploads;
mod list_parts;
mod upload_part;
mod upload_part_copy;

pub use copy_source::CopySource;
pub use delete_objects::DeletedKey;

/// Runs an operation for an authenticated request.
pub async fn run(operation: Operation, ctx: &Context, request: Request) -> Result<Response, S3Error> {
    match operation {
        Operation::CreateBucket => create_bucket::run(ctx, request).await,
        Operation::HeadBucket => head_bucket::run(ctx, request).await,
        Operation::DeleteBucket => delete_bucket::run(ctx, request).await,
        Operation::ListBuckets => list_buckets::run(ctx, request).await,
        Operation::GetBucketLocation => get_bucket_location::run(ctx, request).await,
        Operation::GetBucketTagging => bucket_tagging::get(ctx, request).await,
        Operation::PutBucketTagging => bucket_tagging::put(ctx, request).await,
        Operation::DeleteBucketTagging => bucket_tagging::delete(ctx, request).await,
        Operation::GetBucketEncryption => bucket_encryption::get(ctx, request).await,
        Operation::PutBucketEncryption => bucket_encryption::put(ctx, request).await,
        Operation::DeleteBucketEncryption => bucket_encryption::delete(ctx, request).await,
        Operation::GetBucketAcl => bucket_acl::get(ctx, request).await,
        Operation::PutBucketAcl => bucket_acl::put(ctx, request).await,
        Operation::GetBucketCors => bucket_cors::get(ctx, request).await,
        Operation::PutBucketCors => bucket_cors::put(ctx, request).await,
        Operation::DeleteBucketCors => bucket_cors::delete(ctx, request).await,
        Operation::GetBucketOwnershipControls => bucket_ownership_controls::get(ctx, request).await,
        Operation::PutBucketOwnershipControls => bucket_ownership_controls::put(ctx, request).await,
        Operation::DeleteBucketOwnershipControls => bucket_ownership_controls::delete(ctx, request).await,
        Operation::GetBucketPolicy => bucket_policy::get(ctx, request).await,
        Operation::PutBucketPolicy => bucket_policy::put(ctx, request).await,
        Operation::DeleteBucketPolicy => bucket_policy::delete(ctx, request).await,
        Operation::GetBucketPolicyStatus => bucket_policy::status(ctx, request).await,
        Operation::GetPublicAccessBlock => bucket_public_access_block::get(ctx, request).await,
        Operation::PutPublicAccessBlock => bucket_public_access_block::put(ctx, request).await,
        Operation::DeletePublicAccessBlock => bucket_public_access_block::delete(ctx, request).await,
        Operation::GetBucketLifecycleConfiguration => bucket_lifecycle::get(ctx, request).await,
        Operation::PutBucketLifecycleConfiguration => bucket_lifecycle::put(ctx, request).await,
        Operation::DeleteBucketLifecycle => bucket_lifecycle::delete(ctx, request).await,
        Operation::GetBucketLogging => bucket_logging::get(ctx, request).await,
        Operation::PutBucketLogging => bucket_logging::put(ctx, request).await,
        Operation::GetBucketReplication => bucket_replication::get(ctx, request).await,
        Operation::PutBucketReplication => bucket_replication::put(ctx, request).await,
        Operation::DeleteBucketReplication => bucket_replication::delete(ctx, request).await,
        Operation::GetBucketVersioning => bucket_versioning::get(ctx, request).await,
        Operation::PutBucketVersioning => bucket_versioning::put(ctx, request).await,
        Operation::GetBucketIntelligentTieringConfiguration => {
            bucket_intelligent_tiering::OPERATIONS.get(ctx, request).await
        }
        Operation::PutBucketIntelligentTieringConfiguration => {
            bucket_intelligent_tiering::OPERATIONS.put(ctx, request).await
        }
        Operation::DeleteBucketIntelligentTieringConfiguration => {
            bucket_intelligent_tiering::OPERATIONS.delete(ctx, request).await
        }
        Operation::ListBucketIntelligentTieringConfigurations => {
            bucket_intelligent_tiering::OPERATIONS.list(ctx, request).await
        }
        Operation::GetBucketAnalyticsConfiguration => bucket_analytics::OPERATIONS.get(ctx, request).await,
        Operation::PutBucketAnalyticsConfiguration => bucket_analytics::OPERATIONS.put(ctx, request).await,
        Operation::DeleteBucketAnalyticsConfiguration => bucket_analytics::OPERATIONS.delete(ctx, request).await,
        Operation::ListBucketAnalyticsConfigurations => bucket_analytics::OPERATIONS.list(ctx, request).await,
        Operation::ListObjects => list_objects::run(ctx, request).await,
        Operation::ListObjectsV2 => list_objects_v2::run(ctx, request).await,
        Operation::ListObjectVersions => list_object_versions::run(ctx, request).await,
        Operation::PutObject => put_object::run(ctx, request).await,
        Operation::PostObject => post_object::run(ctx, request).await,
        Operation::GetObject => get_object::run(ctx, request).await,
        Operation::HeadObject => get_object::head(ctx, request).await,
        Operation::DeleteObject => delete_object::run(ctx, request).await,
        Operation::DeleteObjects => delete_objects::run(ctx, request).await,
        Operation::CopyObject => copy_object::run(ctx, request).await,
        Operation::GetObjectAttributes => get_object_attributes::run(ctx, request).await,
        Operation::GetObjectAcl => object_acl::get(ctx, request).await,
        Operation::PutObjectAcl => object_acl::put(ctx, request).await,
        Operation::GetObjectTagging => object_tagging::get(ctx, request).await,
        Operation::PutObjectTagging => object_tagging::put(ctx, request).await,
        Operation::DeleteObjectTagging => object_tagging::delete(ctx, request).await,
        Operation::GetObjectLockConfiguration => object_lock_configuration::get(ctx, request).await,
        Operation::PutObjectLockConfiguration => object_lock_configuration::put(ctx, request).await,
        Operation::GetObjectRetention => object_lock::get_retention(ctx, request).await,
        Operation::PutObjectRetention => object_lock::put_retention(ctx, request).await,
        Operation::GetObjectLegalHold => object_lock::get_legal_hold(ctx, request).await,
        Operation::PutObjectLegalHold => object_lock::put_legal_hold(ctx, request).await,
        Operation::RestoreObject => restore_object::run(ctx, request).await,
        Operation::CreateMultipartUpload => create_multipart_upload::run(ctx, request).await,
        Operation::UploadPart => upload_part::run(ctx, request).await,
        Operation::UploadPartCopy => upload_part_copy::run(ctx, request).await,
        Operation::CompleteMultipartUpload => complete_multipart_upload::run(ctx, request).await,
        Operation::AbortMultipartUpload => abort_multipart_upload::run(ctx, request).await,
        Operation::ListParts => list_parts::run(ctx, request).await,
        Operation::ListMultipartUploads => list_multipart_uploads::run(ctx, request).await,
        other => Err(not_implemented(other)),
    }
}

/// Refuses posts of anything but forms, whoever sends them.
pub fn without_signature(operation: Operation, headers: &HeaderMap) -> Result<(), S3Error> {
    match operation {
        Operation::PostObject if !is_form(headers) => {
            Err(S3Error::precondition_failed("Bucket POST must be of the enclosure-type multipart/form-data"))
        }
        _ => Ok(()),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

fn not_implemented(operation: Operation) -> S3Error {
    S3Error::not_implemented(format!("The operation {} is not implemented by this server.", operation.name()))
}
