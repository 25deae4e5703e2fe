//! The operations, one file each.

// What several operations share.
mod continuation_token;
mod copy_range;
mod copy_source;
mod keep_alive;
mod list_document;
mod list_parameters;
mod object_headers;
mod target;
mod upload;

// Buckets.
mod bucket;
mod bucket_tagging;
mod bucket_versioning;
mod create_bucket;
mod delete_bucket;
mod get_bucket_location;
mod head_bucket;
mod list_buckets;

// Lists.
mod list_object_versions;
mod list_objects;
mod list_objects_v2;

// Objects.
mod copy_object;
mod delete_object;
mod delete_objects;
mod get_object;
mod get_object_attributes;
mod object_tagging;
mod put_object;

// Multipart uploads.
mod abort_multipart_upload;
mod complete_multipart_upload;
mod completed_parts;
mod create_multipart_upload;
mod list_multipart_uploads;
mod list_parts;
mod upload_part;
mod upload_part_copy;
