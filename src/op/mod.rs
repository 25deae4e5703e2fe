//! One file per operation, and what several of them share.

mod copy_object;
mod delete_object;
mod delete_objects;
mod get_object;
mod get_object_attributes;
mod object_tagging;
mod put_object;

// What they share.
mod copy_source;
mod keep_alive;
mod object_headers;
mod target;
