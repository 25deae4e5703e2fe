//! The operations: one file each, and the one place that names them all.

use std::pin::Pin;

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
mod bucket_notification;
mod bucket_ownership_controls;
mod bucket_policy;
mod bucket_public_access_block;
mod bucket_replication;
mod bucket_tagging;
mod bucket_versioning;
mod create_bucket;
mod delete_bucket;
mod get_bucket_location;
pub mod head_bucket;
mod list_buckets;
mod never_set;
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

/// An operation on its way. In a box of its own, so that no request has room made for the largest of them.
type Running<'a> = Pin<Box<dyn Future<Output = Result<Response, S3Error>> + Send + 'a>>;

/// Runs an operation for an authenticated request.
pub fn run(operation: Operation, ctx: &Context, request: Request) -> Running<'_> {
    match operation {
        Operation::CreateBucket => Box::pin(create_bucket::run(ctx, request)),
        Operation::HeadBucket => Box::pin(head_bucket::run(ctx, request)),
        Operation::DeleteBucket => Box::pin(delete_bucket::run(ctx, request)),
        Operation::ListBuckets => Box::pin(list_buckets::run(ctx, request)),
        Operation::GetBucketLocation => Box::pin(get_bucket_location::run(ctx, request)),
        Operation::GetBucketTagging => Box::pin(bucket_tagging::get(ctx, request)),
        Operation::PutBucketTagging => Box::pin(bucket_tagging::put(ctx, request)),
        Operation::DeleteBucketTagging => Box::pin(bucket_tagging::delete(ctx, request)),
        Operation::GetBucketEncryption => Box::pin(bucket_encryption::get(ctx, request)),
        Operation::PutBucketEncryption => Box::pin(bucket_encryption::put(ctx, request)),
        Operation::DeleteBucketEncryption => Box::pin(bucket_encryption::delete(ctx, request)),
        Operation::GetBucketAcl => Box::pin(bucket_acl::get(ctx, request)),
        Operation::PutBucketAcl => Box::pin(bucket_acl::put(ctx, request)),
        Operation::GetBucketCors => Box::pin(bucket_cors::get(ctx, request)),
        Operation::PutBucketCors => Box::pin(bucket_cors::put(ctx, request)),
        Operation::DeleteBucketCors => Box::pin(bucket_cors::delete(ctx, request)),
        Operation::GetBucketOwnershipControls => Box::pin(bucket_ownership_controls::get(ctx, request)),
        Operation::PutBucketOwnershipControls => Box::pin(bucket_ownership_controls::put(ctx, request)),
        Operation::DeleteBucketOwnershipControls => Box::pin(bucket_ownership_controls::delete(ctx, request)),
        Operation::GetBucketPolicy => Box::pin(bucket_policy::get(ctx, request)),
        Operation::PutBucketPolicy => Box::pin(bucket_policy::put(ctx, request)),
        Operation::DeleteBucketPolicy => Box::pin(bucket_policy::delete(ctx, request)),
        Operation::GetBucketPolicyStatus => Box::pin(bucket_policy::status(ctx, request)),
        Operation::GetPublicAccessBlock => Box::pin(bucket_public_access_block::get(ctx, request)),
        Operation::PutPublicAccessBlock => Box::pin(bucket_public_access_block::put(ctx, request)),
        Operation::DeletePublicAccessBlock => Box::pin(bucket_public_access_block::delete(ctx, request)),
        Operation::GetBucketLifecycleConfiguration => Box::pin(bucket_lifecycle::get(ctx, request)),
        Operation::PutBucketLifecycleConfiguration => Box::pin(bucket_lifecycle::put(ctx, request)),
        Operation::DeleteBucketLifecycle => Box::pin(bucket_lifecycle::delete(ctx, request)),
        Operation::GetBucketLogging => Box::pin(bucket_logging::get(ctx, request)),
        Operation::PutBucketLogging => Box::pin(bucket_logging::put(ctx, request)),
        Operation::GetBucketNotificationConfiguration => Box::pin(bucket_notification::get(ctx, request)),
        Operation::PutBucketNotificationConfiguration => Box::pin(bucket_notification::put(ctx, request)),
        Operation::GetBucketReplication => Box::pin(bucket_replication::get(ctx, request)),
        Operation::PutBucketReplication => Box::pin(bucket_replication::put(ctx, request)),
        Operation::DeleteBucketReplication => Box::pin(bucket_replication::delete(ctx, request)),
        Operation::GetBucketVersioning => Box::pin(bucket_versioning::get(ctx, request)),
        Operation::PutBucketVersioning => Box::pin(bucket_versioning::put(ctx, request)),
        Operation::GetBucketIntelligentTieringConfiguration => {
            Box::pin(bucket_intelligent_tiering::OPERATIONS.get(ctx, request))
        }
        Operation::PutBucketIntelligentTieringConfiguration => {
            Box::pin(bucket_intelligent_tiering::OPERATIONS.put(ctx, request))
        }
        Operation::DeleteBucketIntelligentTieringConfiguration => {
            Box::pin(bucket_intelligent_tiering::OPERATIONS.delete(ctx, request))
        }
        Operation::ListBucketIntelligentTieringConfigurations => {
            Box::pin(bucket_intelligent_tiering::OPERATIONS.list(ctx, request))
        }
        Operation::GetBucketAnalyticsConfiguration => Box::pin(bucket_analytics::OPERATIONS.get(ctx, request)),
        Operation::PutBucketAnalyticsConfiguration => Box::pin(bucket_analytics::put(ctx, request)),
        Operation::DeleteBucketAnalyticsConfiguration => Box::pin(bucket_analytics::OPERATIONS.delete(ctx, request)),
        Operation::ListBucketAnalyticsConfigurations => Box::pin(bucket_analytics::OPERATIONS.list(ctx, request)),
        Operation::GetBucketAccelerateConfiguration
        | Operation::GetBucketInventoryConfiguration
        | Operation::GetBucketMetricsConfiguration
        | Operation::GetBucketRequestPayment
        | Operation::GetBucketWebsite
        | Operation::ListBucketInventoryConfigurations
        | Operation::ListBucketMetricsConfigurations => Box::pin(never_set::read(ctx, request)),
        Operation::ListObjects => Box::pin(list_objects::run(ctx, request)),
        Operation::ListObjectsV2 => Box::pin(list_objects_v2::run(ctx, request)),
        Operation::ListObjectVersions => Box::pin(list_object_versions::run(ctx, request)),
        Operation::PutObject => Box::pin(put_object::run(ctx, request)),
        Operation::PostObject => Box::pin(post_object::run(ctx, request)),
        Operation::GetObject => Box::pin(get_object::run(ctx, request)),
        Operation::HeadObject => Box::pin(get_object::head(ctx, request)),
        Operation::DeleteObject => Box::pin(delete_object::run(ctx, request)),
        Operation::DeleteObjects => Box::pin(delete_objects::run(ctx, request)),
        Operation::CopyObject => Box::pin(copy_object::run(ctx, request)),
        Operation::GetObjectAttributes => Box::pin(get_object_attributes::run(ctx, request)),
        Operation::GetObjectAcl => Box::pin(object_acl::get(ctx, request)),
        Operation::PutObjectAcl => Box::pin(object_acl::put(ctx, request)),
        Operation::GetObjectTagging => Box::pin(object_tagging::get(ctx, request)),
        Operation::PutObjectTagging => Box::pin(object_tagging::put(ctx, request)),
        Operation::DeleteObjectTagging => Box::pin(object_tagging::delete(ctx, request)),
        Operation::GetObjectLockConfiguration => Box::pin(object_lock_configuration::get(ctx, request)),
        Operation::PutObjectLockConfiguration => Box::pin(object_lock_configuration::put(ctx, request)),
        Operation::GetObjectRetention => Box::pin(object_lock::get_retention(ctx, request)),
        Operation::PutObjectRetention => Box::pin(object_lock::put_retention(ctx, request)),
        Operation::GetObjectLegalHold => Box::pin(object_lock::get_legal_hold(ctx, request)),
        Operation::PutObjectLegalHold => Box::pin(object_lock::put_legal_hold(ctx, request)),
        Operation::RestoreObject => Box::pin(restore_object::run(ctx, request)),
        Operation::CreateMultipartUpload => Box::pin(create_multipart_upload::run(ctx, request)),
        Operation::UploadPart => Box::pin(upload_part::run(ctx, request)),
        Operation::UploadPartCopy => Box::pin(upload_part_copy::run(ctx, request)),
        Operation::CompleteMultipartUpload => Box::pin(complete_multipart_upload::run(ctx, request)),
        Operation::AbortMultipartUpload => Box::pin(abort_multipart_upload::run(ctx, request)),
        Operation::ListParts => Box::pin(list_parts::run(ctx, request)),
        Operation::ListMultipartUploads => Box::pin(list_multipart_uploads::run(ctx, request)),
        other => Box::pin(std::future::ready(Err(not_implemented(other)))),
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
