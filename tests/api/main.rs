//! The S3 operations as clients see them: a real SDK and hand-made requests against a server in this process.

mod support;

mod admin;
mod analytics;
mod buckets;
mod checksums;
mod command_line;
mod conditions;
mod copies;
mod delete_objects;
mod http2;
mod intelligent_tiering;
mod lifecycle;
mod listing;
mod multipart;
mod objects;
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
