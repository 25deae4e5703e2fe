//! The operations, one file each.

// What several operations share.
mod bucket;
mod completed_parts;
mod continuation_token;
mod copy_range;
mod list_document;
mod list_parameters;
mod upload;

// Buckets.
pub mod bucket_tagging;
pub mod bucket_versioning;
pub mod create_bucket;
pub mod delete_bucket;
pub mod get_bucket_location;
pub mod head_bucket;
pub mod list_buckets;

// Lists.
pub mod list_object_versions;
pub mod list_objects;
pub mod list_objects_v2;

// Multipart uploads.
pub mod abort_multipart_upload;
pub mod complete_multipart_upload;
pub mod create_multipart_upload;
pub mod list_multipart_uploads;
pub mod list_parts;
pub mod upload_part;
pub mod upload_part_copy;
