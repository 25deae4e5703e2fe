//! The S3 operations as clients see them: a real SDK and hand-made requests against a server in this process.

mod support;

mod access_lists;
mod access_logs;
mod admin;
mod analytics;
mod audit;
mod bucket_policies;
mod buckets;
mod checksums;
mod command_line;
mod conditions;
mod copies;
mod cors;
mod delete_objects;
mod forms;
mod http2;
mod intelligent_tiering;
mod lifecycle;
mod listing;
mod master_key;
mod multipart;
mod object_lock;
mod objects;
mod quotas;
mod restore;
mod round_trips;
mod sign_ins;
mod signatures;
mod smuggling;
mod storage_classes;
mod tls;
mod transport;
mod unimplemented;
mod versioning;
mod zones;
