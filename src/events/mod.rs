//! Event notifications: what happened to objects, told to those whom the buckets' configurations name.

pub mod target;
