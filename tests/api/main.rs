//! The S3 operations as clients see them: a real SDK and hand-made requests against a server in this process.

mod support;

mod access_lists;
mod admin;
mod analytics;
mod bucket_policies;
mod buckets;
mod checksums;
mod command_line;
mod conditions;
mod copies;
mod cors;
mod delete_objects;
mod forms;
mod identities;
mod intelligent_tiering;
mod lifecycle;
mod listing;
mod matrix;
mod multipart;
mod objects;
mod people;
mod restore;
mod round_trips;
mod signatures;
mod storage_classes;
mod transport;
mod unimplemented;
mod versioning;
mod zones;
