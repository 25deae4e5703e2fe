//! Replication: versions go to the buckets that a bucket's rules name, here or in other stores, and come from there.
//!
//! The engine queues what is to be done with the change itself. `sender` does it, task by task; `replica` is what a replica
//! says of itself on the way between two Stratas.

pub mod replica;
